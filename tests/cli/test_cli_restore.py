"""`wetgate restore` hands its words on to the verbs that it is made of."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from wetgate.cli import restore
from wetgate.cli.main import main
from wetgate.images import write_image


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
        return {"state": "finished", "report": "r", "model": "m", "restored": 3, "output": "out"}

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
    assert (train["--grain"], train["--radius"], train["--time"], train["--protect"]) == ("match", "1", "5m", "grain")


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
