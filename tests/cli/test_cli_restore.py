"""`wetgate restore` hands its words on to the verbs that it is made of."""

from __future__ import annotations

import itertools
import json

import numpy as np
import pytest

from wetgate.cli import restore
from wetgate.cli.main import main
from wetgate.images import write_image
from wetgate.project import create_restoration


@pytest.fixture
def reel(tmp_path):
    for name in ("scan", "reference"):
        (tmp_path / name).mkdir()
        for frame in (1, 2, 3):
            pixels = np.random.default_rng(frame).random((12, 16, 3), dtype=np.float32)
            write_image(tmp_path / name / f"shot.{frame:04d}.exr", pixels)
    return [
        "--scan",
        str(tmp_path / "scan"),
        "--reference",
        str(tmp_path / "reference"),
        "--output",
        str(tmp_path / "out"),
    ]


@pytest.fixture
def invoked(monkeypatch):
    """The verbs that were called, with their words; nothing is done."""
    calls: list[list[str]] = []

    def invoke(words):
        calls.append(words)
        return {
            "state": "finished",
            "report": "r",
            "model": "m",
            "restored": 3,
            "kept": 0,
            "output": "out",
            "notes": [],
        }

    monkeypatch.setattr(restore, "invoke", invoke)
    monkeypatch.setattr(restore, "TRAINABLE", ("color", "detail", "telecine"))
    return calls


def words_of(calls, verb):
    (words,) = [call for call in calls if call[0] == verb]
    return dict(itertools.pairwise(words))


def test_the_recipe_and_how_it_is_trained_are_handed_on(reel, invoked):
    assert main(["restore", *reel, "--recipe", "detail", "--grain", "match", "--radius", "1", "--time", "5m"]) == 0
    assert [call[0] for call in invoked] == ["new", "add", "train", "apply"]
    assert words_of(invoked, "new")["--recipe"] == "detail"
    train = words_of(invoked, "train")
    assert (train["--grain"], train["--radius"], train["--time"], train["--protect"]) == ("match", "1", "300s", "grain")


def test_colour_is_the_recipe_where_nothing_is_said(reel, invoked):
    assert main(["restore", *reel]) == 0
    assert words_of(invoked, "new")["--recipe"] == "color"
    assert "--radius" not in words_of(invoked, "train")


def test_a_recipe_that_cannot_be_trained_is_refused_before_anything_is_made(
    reel, invoked, monkeypatch, capsys, tmp_path
):
    monkeypatch.setattr(restore, "TRAINABLE", ("color",))
    assert main(["restore", *reel, "--recipe", "telecine"]) == 1
    assert "'telecine' cannot be trained yet: only color can" in capsys.readouterr().err
    assert invoked == [] and not (tmp_path / "out").exists()


def test_recipes_that_need_no_reference_are_not_for_this_verb(reel, invoked):
    for recipe in ("damage", "steady", "exemplar"):
        assert main(["restore", *reel, "--recipe", recipe]) == 2
    assert invoked == []


SETTINGS = {
    "time_s": 60.0,
    "steady": True,
    "protect": "grain",
    "grain": "keep",
    "radius": None,
    "device": "auto",
}


@pytest.fixture
def begun(tmp_path):
    """The restoration of an earlier call: its pairs are there, nothing is trained."""
    restoration = create_restoration(tmp_path / "out.wetgate", "color")
    where_from = {side: str(tmp_path / side / "shot.0002.exr") for side in ("scan", "reference")}
    with restoration.add_pair(2, where_from=where_from) as draft:
        for picture in (draft.scan, draft.reference):
            write_image(picture, np.zeros((12, 16, 3), np.float32))
    return restoration


def ended(restoration, state, *, model=True, **settings):
    run = restoration.new_run(SETTINGS | settings)
    with run.lock():
        run.write_status({"state": state})
    if model:
        run.model.touch()
    return run


def verbs(calls):
    return [call[0] for call in calls]


def test_a_folder_without_pairs_is_gone_on_with(reel, invoked, tmp_path):
    create_restoration(tmp_path / "out.wetgate", "color")
    assert main(["restore", *reel]) == 0
    assert verbs(invoked) == ["add", "train", "apply"]


def test_pairs_that_are_there_are_not_collected_again(reel, invoked, begun, capsys):
    assert main(["restore", *reel]) == 0
    assert verbs(invoked) == ["train", "apply"] and "--resume" not in invoked[0]
    assert f"Went on with the pairs that {begun.folder} holds." in capsys.readouterr().out


@pytest.mark.parametrize("state", ["stopped", "failed", "training"])
def test_a_training_that_did_not_finish_is_resumed(reel, invoked, begun, state):
    ended(begun, state)
    assert main(["restore", *reel]) == 0
    assert verbs(invoked) == ["train", "apply"] and "--resume" in invoked[0]


def test_a_finished_training_is_only_applied(reel, invoked, begun, capsys):
    run = ended(begun, "finished")
    assert main(["restore", *reel]) == 0
    assert verbs(invoked) == ["apply"]
    assert f"Model:  {run.model}" in capsys.readouterr().out


def test_a_finished_telecine_which_is_never_steadied_is_only_applied(reel, invoked, begun):
    begun.update(recipe="telecine")
    ended(begun, "finished", steady=False)
    assert main(["restore", *reel, "--recipe", "telecine"]) == 0
    assert verbs(invoked) == ["apply"]


def test_other_options_or_a_lost_model_are_trained_anew(reel, invoked, begun):
    ended(begun, "finished")
    assert main(["restore", *reel, "--time", "5m"]) == 0
    ended(begun, "finished", model=False)
    assert main(["restore", *reel]) == 0
    assert verbs(invoked) == ["train", "apply"] * 2
    assert not any("--resume" in call for call in invoked)


def test_a_stopped_training_says_what_goes_on_with_it(reel, begun, monkeypatch, capsys):
    monkeypatch.setattr(restore, "invoke", lambda words: {"state": "stopped"})
    assert main(["restore", *reel]) == 1
    assert "run the same command to go on" in capsys.readouterr().err


@pytest.mark.parametrize(("option", "other"), [("--recipe", "detail"), ("--encoding", "log")])
def test_another_restoration_is_left_alone(reel, invoked, begun, capsys, option, other):
    assert main(["restore", *reel, option, other]) == 1
    assert "already holds a restoration of the recipe color, display pictures" in capsys.readouterr().err
    assert invoked == []


def test_pairs_of_other_pictures_are_not_trained_on(reel, invoked, begun, tmp_path, capsys):
    (tmp_path / "scan").rename(tmp_path / "other")
    reel[1] = str(tmp_path / "other")
    assert main(["restore", *reel]) == 1
    assert "holds pairs of other pictures" in capsys.readouterr().err
    assert invoked == []


def test_the_folder_that_one_stands_in_may_be_the_output(reel, invoked, tmp_path, monkeypatch):
    (tmp_path / "out").mkdir()
    monkeypatch.chdir(tmp_path / "out")
    reel[-1] = "."
    assert main(["restore", *reel]) == 0
    assert invoked[0][:2] == ["new", str(tmp_path / "out.wetgate")]


def test_what_the_verbs_note_is_said(reel, monkeypatch, capsys):
    told = {
        "new": {},
        "add": {"notes": ["of the pairs"]},
        "train": {"state": "finished", "report": "r", "model": "m", "note": "of the model", "unheeded": ["--grain"]},
        "apply": {"restored": 3, "kept": 0, "output": "out", "notes": ["of the frames"]},
    }
    monkeypatch.setattr(restore, "invoke", lambda words: told[words[0]])
    notes = ["of the pairs", "of the model", "--grain said nothing to this recipe.", "of the frames"]
    assert main(["restore", *reel]) == 0
    assert capsys.readouterr().out.splitlines()[1:5] == notes
    assert main(["restore", *reel, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["notes"] == notes
