"""`wetgate suggest` on files: what it says, to people and to programs."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest

from wetgate.cli.main import main
from wetgate.images import write_image
from wetgate.inference.curves import as_lists
from wetgate.project import create_restoration

HEIGHT, WIDTH = 72, 128
TINTS = {1: (0.7, 0.4, 0.3), 2: (0.2, 0.3, 0.7)}


def frame_of(number):
    """Two shots of eight frames: two scenes with two tints that drift slowly; frames 6-8 have a green thing."""
    shot = 1 if number <= 8 else 2
    generator = np.random.default_rng(shot)
    patches = generator.normal(1, 0.25, (9, 16 + 8, 1)).astype(np.float32)
    scene = cv2.resize(patches, (WIDTH + 64, HEIGHT), interpolation=cv2.INTER_CUBIC)
    moved = scene[:, number : number + WIDTH, None] * np.array(TINTS[shot], np.float32)
    grain = np.random.default_rng(100 + number).normal(0, 0.005, (HEIGHT, WIDTH, 1))
    picture = np.clip(moved + grain, 0.02, 0.98).astype(np.float32)
    if 6 <= number <= 8:
        picture[20:50, 30:80] = (0.1, 0.6, 0.15)
    return picture


@pytest.fixture(scope="module")
def scan(tmp_path_factory):
    folder = tmp_path_factory.mktemp("scan")
    for number in range(1, 17):
        write_image(folder / f"reel.{number:04d}.exr", frame_of(number), bit_depth="half")
    return folder


@pytest.fixture
def reel(tmp_path):
    return create_restoration(tmp_path / "reel.wetgate", "color")


def add(reel, number, *, scan=None, state="accepted", region=None, mask=None):
    where_from = {} if scan is None else {"scan": str(scan / f"reel.{number:04d}.exr")}
    with reel.add_pair(number, region, where_from) as draft:
        write_image(draft.scan, frame_of(number), bit_depth="float")
        write_image(draft.reference, frame_of(number), bit_depth="float")
        if mask is not None:
            write_image(draft.mask, np.repeat(mask[..., None], 3, axis=2).astype(np.float32), bit_depth="half")
    reason = "no good" if state == "rejected" else ""
    draft.pair.update(state=state, reason=reason, prepared="reference.exr")


@pytest.fixture
def suggest(reel, scan, capfd):
    def run(*words):
        code = main(["suggest", str(reel.folder), "--scan", str(scan / "reel.####.exr"), "--json", *words])
        out = capfd.readouterr().out
        assert code == 0, out
        return json.loads(out)

    return run


def test_programs_get_everything(reel, suggest):
    add(reel, 2)
    answer = suggest("--count", "3")
    assert answer["pairs"] == 1
    assert answer["steadied"] is True
    assert list(answer["frames"]) == [str(number) for number in range(1, 17)]
    assert answer["coverage"] == pytest.approx(np.mean(list(answer["frames"].values())), abs=1e-3)
    assert [(shot["first"], shot["last"]) for shot in answer["shots"]] == [(1, 8), (9, 16)]
    assert answer["shots"][0]["coverage"] > 0.85
    assert answer["shots"][1]["coverage"] < 0.2
    other_shot, green = answer["suggestions"][:2]
    assert (other_shot["shot"], other_shot["helps"]) == (2, 8)
    assert other_shot["frame"] >= 9
    assert 6 <= green["frame"] <= 8
    assert green["helps"] == 3
    assert "colours that no pair shows, mostly" in green["reason"]
    assert "greens" in green["reason"]
    assert "shot 1 of 2, helps 3 frames" in green["reason"]


def test_people_get_a_sentence_each(reel, scan, capfd):
    add(reel, 2)
    words = ["suggest", str(reel.folder), "--scan", str(scan), "--count", "1"]
    assert main(words) == 0
    out = capfd.readouterr().out
    assert out.startswith("1 pair covers ")
    assert out.count("of the picture has colours that no pair shows") == 1
    add(reel, 12)
    add(reel, 7)
    assert main([*words, "--no-steady"]) == 0
    out = capfd.readouterr().out
    assert out.startswith("3 pairs cover ")
    assert "No frame would add anything worth a pair." in out


def test_a_reel_without_pairs(suggest):
    answer = suggest()
    assert answer["coverage"] == 0
    assert {one["shot"] for one in answer["suggestions"][:2]} == {1, 2}
    assert all(one["reason"].startswith("stands for ") for one in answer["suggestions"])


def test_a_rejected_pair_shows_nothing_and_a_collected_one_does(reel, suggest):
    add(reel, 12, state="rejected")
    assert suggest("--no-steady")["coverage"] == 0
    add(reel, 13, state="collected")
    assert suggest("--no-steady")["shots"][1]["coverage"] > 0.85


def test_what_a_mask_leaves_out_is_not_shown(reel, suggest):
    add(reel, 2)
    mask = np.ones((HEIGHT, WIDTH))
    mask[10:60, 20:90] = 0
    add(reel, 7, mask=mask)
    assert any(6 <= one["frame"] <= 8 for one in suggest("--no-steady")["suggestions"])


def test_nothing_is_written(reel, suggest):
    add(reel, 2)
    before = {path: path.stat().st_mtime_ns for path in reel.folder.rglob("*")}
    suggest()
    assert {path: path.stat().st_mtime_ns for path in reel.folder.rglob("*")} == before


def test_it_steadies_as_the_newest_training_did(reel, suggest, monkeypatch):
    """A pair of another scan, whose flicker that training took out."""
    from wetgate.cli import suggest as verb

    add(reel, 2)
    seen = []
    monkeypatch.setattr(verb, "steadied", lambda colours, curve: seen.append(curve) or colours)
    curve = ((0.1, 0.0), (0.0, 0.0), (0.0, 0.2))
    run = reel.new_run({"steady": True, "exposure": {"1": as_lists(curve)}})
    suggest()
    assert seen[-1] == curve
    run.settings["steady"] = False
    (run.folder / "settings.json").write_text(json.dumps(run.settings))
    seen.clear()
    assert suggest()["steadied"] is False
    assert curve not in seen


def test_a_pair_of_this_scan_is_steadied_with_it(reel, scan, suggest, monkeypatch):
    from wetgate.cli import suggest as verb

    add(reel, 2, scan=scan)
    curves = {number: ((number / 100, 0.0),) * 3 for number in range(1, 17)}
    seen = []
    monkeypatch.setattr(verb, "_curves", lambda *_: curves)
    monkeypatch.setattr(verb, "steadied", lambda colours, curve: seen.append(curve) or colours)
    suggest()
    assert seen == [*curves.values(), curves[2]]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [(("--count", "0"), "--count 0 asks for nothing"), (("--scan", "nowhere.####.exr"), "nowhere.####.exr")],
)
def test_what_is_wrong_is_said(reel, scan, capfd, words, sentence):
    code = main(["suggest", str(reel.folder), "--scan", str(scan), *words])
    assert code == 1
    assert sentence in capfd.readouterr().err


@pytest.mark.parametrize("recipe", ["steady", "damage"])
def test_a_recipe_that_learns_from_the_scan_itself_is_told_of_no_pairs(scan, tmp_path, capfd, recipe):
    folder = create_restoration(tmp_path / "own.wetgate", recipe).folder
    assert main(["suggest", str(folder), "--scan", str(scan)]) == 1
    assert "wants no pairs" in capfd.readouterr().err


def test_what_to_add_is_said_in_the_recipes_words(scan, tmp_path, capfd):
    folder = create_restoration(tmp_path / "painted.wetgate", "exemplar").folder
    assert main(["suggest", str(folder), "--scan", str(scan), "--count", "1"]) == 0
    out = capfd.readouterr().out
    assert "--paint PATTERN" in out and "--reference" not in out
