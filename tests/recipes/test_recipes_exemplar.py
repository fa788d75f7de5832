"""Colour from paint: references are made, seen, corrected and accepted, and then learnt from."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from wetgate.cli.main import main
from wetgate.evaluation.metrics import ciede2000, srgb_to_lab
from wetgate.images import read_image, write_image
from wetgate.project import open_restoration
from wetgate.records.shot_record import INFERRED
from wetgate.training.chroma_bound import saturations

torch.set_num_threads(1)

HEIGHT, WIDTH, FRAMES = 64, 96, range(1, 11)
LUMA = np.array([0.2126, 0.7152, 0.0722], np.float32)
COLOURS = np.array([[1.35, 0.9, 0.75], [0.75, 1.1, 0.8], [0.8, 0.95, 1.5]], np.float32)
"""A red ball on a green ground under a blue sky."""
PAINTED = (2, 9)


def picture(frame: int) -> tuple[np.ndarray, np.ndarray]:
    """A black-and-white frame and its true colours."""
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    texture = np.random.default_rng(0).normal(0, 1, (HEIGHT, WIDTH)).astype(np.float32)
    texture = cv2.GaussianBlur(texture, (0, 0), 2) * 0.2
    ball = np.hypot(rows - 38, columns - (20 + 4 * frame)) < 15
    part = np.where(ball, 0, np.where(rows < 28, 2, 1))
    moved = np.roll(texture, 4 * frame, axis=1)
    grey = np.array([0.33, 0.5, 0.7], np.float32)[part] + np.where(ball, moved, texture)
    grey += np.random.default_rng(frame).normal(0, 0.005, grey.shape)
    truth = grey[..., None] * (COLOURS / (COLOURS @ LUMA)[:, None])[part]
    scan = np.repeat((truth @ LUMA)[..., None], 3, axis=2)
    return scan.astype(np.float32), truth.astype(np.float32)


def strokes() -> np.ndarray:
    """A stroke over everything, from top to bottom and from left to right through the ball's rows."""
    amount = np.zeros((HEIGHT, WIDTH), np.float32)
    amount[36:41] = amount[:, 8:12] = amount[10:14] = 1
    return amount


def difference(first: np.ndarray, second: np.ndarray) -> float:
    return float(ciede2000(srgb_to_lab(first), srgb_to_lab(second)).mean())


def run(*words: object) -> int:
    return main([str(word) for word in words])


@pytest.fixture(scope="session")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """scan/, truth/, and strokes in paint/ (layers) and whole frames in whole/. Not to be altered."""
    folder = tmp_path_factory.mktemp("film")
    for name in ("scan", "truth", "paint", "whole"):
        (folder / name).mkdir()
    for frame in FRAMES:
        scan, truth = picture(frame)
        write_image(folder / "scan" / f"shot.{frame:04d}.exr", scan, bit_depth="float")
        write_image(folder / "truth" / f"shot.{frame:04d}.exr", truth, bit_depth="float")
        if frame in PAINTED:
            amount = strokes()
            write_image(folder / "paint" / f"shot.{frame:04d}.png", truth, alpha=amount, bit_depth="16")
            write_image(folder / "whole" / f"shot.{frame:04d}.exr", truth, bit_depth="float")
    return folder


@pytest.fixture(scope="session")
def proposed_of_all(film: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A restoration with two painted frames and what `wetgate prepare` made of them. Not to be altered."""
    folder = tmp_path_factory.mktemp("proposed") / "reel.wetgate"
    assert run("new", folder, "--recipe", "exemplar") == 0
    scan, paint = film / "scan" / "shot.####.exr", film / "paint" / "shot.####.png"
    assert (
        run("add", folder, "--scan", scan, "--paint", paint, "--frames", "2,9", "--rights", "painted by A. Artist") == 0
    )
    assert run("prepare", folder) == 0
    return folder


@pytest.fixture
def proposed(proposed_of_all: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    return Path(shutil.copytree(proposed_of_all, tmp_path / "reel.wetgate"))


@pytest.fixture(scope="session")
def trained_of_all(proposed_of_all: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same, accepted and trained for a few steps. Not to be altered."""
    folder = Path(shutil.copytree(proposed_of_all, tmp_path_factory.mktemp("trained") / "reel.wetgate"))
    assert run("train", folder, "--accept", "--steps", "30") == 0
    return folder


def test_proposals_wait_and_say_what_they_are(proposed_of_all: Path):
    pairs = open_restoration(proposed_of_all).pairs()
    assert {pair.state for pair in pairs} == {"prepared"}
    kinds = {pair.frame: pair.where_from["constructed"]["kind"] for pair in pairs}
    assert {frame for frame, kind in kinds.items() if kind == "paint"} == set(PAINTED)
    assert {frame for frame, kind in kinds.items() if kind == "motion"} >= {5}
    assert all(pair.reason for pair in pairs)
    assert (proposed_of_all / "proofs" / "pairs.png").exists()


def test_paint_spreads_over_its_frame_and_to_others(film: Path, proposed_of_all: Path):
    for pair in open_restoration(proposed_of_all).pairs():
        scan, truth = picture(pair.frame)
        made = read_image(pair.prepared).pixels
        assert difference(made, truth) < 0.4 * difference(scan, truth)
        assert np.abs(made @ LUMA - scan @ LUMA).max() < 0.01
        confidence = read_image(pair.confidence).pixels[..., 0]
        painted = (strokes() > 0) if pair.frame in PAINTED else np.zeros(confidence.shape, bool)
        assert confidence.max() <= 1.001
        assert not painted.any() or confidence[painted].min() > 0.99
        assert confidence[~painted].mean() < 1


def test_training_asks_for_acceptance_first(proposed: Path, wetgate):
    code, _, said = wetgate("train", proposed, "--steps", "2")
    assert code == 1
    assert "references wait" in said and "wetgate accept" in said and "--accept" in said
    assert not (proposed / "runs" / "001" / "model.onnx").exists()


def test_accept_takes_all_or_those_that_are_named(proposed: Path, wetgate):
    code, said, _ = wetgate("accept", proposed, "--pairs", "1", "--json")
    assert code == 0
    result = json.loads(said)
    assert [one["pair"] for one in result["accepted"]] == [1]
    assert 2 in result["waiting"]
    code, _, said = wetgate("accept", proposed, "--pairs", "1")
    assert code == 1 and "Pair 1 of" in said and "is accepted" in said
    assert wetgate("accept", proposed)[0] == 0
    assert {pair.state for pair in open_restoration(proposed).pairs()} == {"accepted"}


def test_preparing_again_leaves_what_was_accepted_and_adds_no_frame_twice(proposed: Path, wetgate):
    assert wetgate("accept", proposed, "--pairs", "1")[0] == 0
    before = [(pair.number, pair.frame) for pair in open_restoration(proposed).pairs()]
    stamp = (proposed / "pairs" / "0001" / "prepared.exr").read_bytes()
    code, told, followed = wetgate("prepare", proposed)
    assert code == 0 and told.endswith(f"Next: wetgate accept {proposed}\n")
    assert "%" not in followed.split("proofs")[0], "of more frames than there were pairs there is no share"
    after = open_restoration(proposed).pairs()
    assert [(pair.number, pair.frame) for pair in after] == before
    assert after[0].state == "accepted" and {pair.state for pair in after[1:]} == {"prepared"}
    assert (proposed / "pairs" / "0001" / "prepared.exr").read_bytes() == stamp


def test_a_correction_counts_as_paint(proposed: Path, wetgate):
    pair = open_restoration(proposed).pairs()[0]
    proposal = read_image(pair.prepared).pixels
    amount = np.zeros((HEIGHT, WIDTH), np.float32)
    amount[50:60, 60:80] = 1
    yellow = np.array([0.9, 0.8, 0.1], np.float32)
    write_image(pair.folder / "corrected.png", np.broadcast_to(yellow, proposal.shape), alpha=amount, bit_depth="16")
    code, said, _ = wetgate("accept", proposed, "--pairs", "1")
    assert code == 0 and "corrected by hand on 3% of the frame" in said
    corrected, confidence = (read_image(path).pixels for path in (pair.prepared, pair.confidence))
    assert np.abs(corrected[amount == 1] - yellow).max() < 1e-3
    assert np.array_equal(corrected[amount == 0], proposal[amount == 0])
    assert confidence[amount == 1].min() == 1


def test_a_correction_of_another_size_is_refused_and_nothing_is_accepted(proposed: Path, wetgate):
    pair = open_restoration(proposed).pairs()[0]
    write_image(pair.folder / "corrected.png", np.zeros((8, 8, 3), np.float32))
    code, _, said = wetgate("accept", proposed, "--pairs", "1")
    assert code == 1 and "corrected.png is 8 x 8" in said
    assert open_restoration(proposed).pairs()[0].state == "prepared"


def test_a_frame_that_was_painted_as_a_whole_needs_no_acceptance(film: Path, tmp_path: Path, wetgate):
    folder = tmp_path / "whole.wetgate"
    wetgate("new", folder, "--recipe", "exemplar")
    code, _, said = wetgate(
        "add",
        folder,
        "--scan",
        film / "scan" / "shot.####.exr",
        "--paint",
        film / "whole" / "shot.####.exr",
        "--frames",
        9,
    )
    assert code == 0, said
    assert wetgate("prepare", folder)[0] == 0
    pairs = open_restoration(folder).pairs()
    assert pairs[0].state == "accepted"
    made, truth = read_image(pairs[0].prepared).pixels, picture(9)[1]
    assert difference(made, truth) < 0.3
    assert {pair.state for pair in pairs[1:]} == {"prepared"}


def test_a_painted_frame_of_another_size_is_rejected_with_the_reason(film: Path, proposed: Path, wetgate):
    """As a plug-in may collect it: a frame painted as a whole, without alpha."""
    with open_restoration(proposed).add_pair(5) as draft:
        write_image(draft.scan, picture(5)[0], bit_depth="float")
        write_image(draft.reference, picture(5)[1][::2, ::2], bit_depth="float")
    assert wetgate("prepare", proposed)[0] == 0
    pairs = open_restoration(proposed).pairs()
    assert [(pair.number, pair.reason) for pair in pairs if pair.state == "rejected"] == [
        (len(pairs), "its painted frame is of another size than the scan's")
    ]


def test_frames_of_which_nothing_tells_the_colour_are_named(film: Path, tmp_path: Path, wetgate):
    folder = tmp_path / "grey.wetgate"
    wetgate("new", folder, "--recipe", "exemplar")
    assert wetgate("add", folder, "--scan", film / "scan" / "shot.####.exr", "--frames", 3)[0] == 0
    code, _, said = wetgate("prepare", folder)
    assert code == 1 and "says anything about colour" in said and "--paint" in said
    assert open_restoration(folder).pairs()[0].state == "collected"


def test_add_tells_which_recipe_takes_paint(film: Path, proposed: Path, tmp_path: Path, wetgate):
    scan = film / "scan" / "shot.####.exr"
    code, _, said = wetgate("add", proposed, "--scan", scan, "--reference", scan, "--frames", 3)
    assert code == 1 and "--paint" in said
    colour = tmp_path / "color.wetgate"
    wetgate("new", colour, "--recipe", "color")
    code, _, said = wetgate("add", colour, "--scan", scan, "--reference", scan, "--paint", scan, "--frames", 3)
    assert code == 1 and "recipe exemplar" in said


def test_a_black_and_white_scan_gets_colour_and_keeps_its_luma(film: Path, trained_of_all: Path, tmp_path: Path):
    model = trained_of_all / "runs" / "001" / "model.onnx"
    assert run("apply", model, film / "scan" / "shot.####.exr", tmp_path / "out.####.exr") == 0
    before, after = [], []
    for frame in set(FRAMES) - set(PAINTED):
        scan, truth = picture(frame)
        restored = read_image(tmp_path / f"out.{frame:04d}.exr").pixels
        before.append(difference(scan, truth))
        after.append(difference(restored, truth))
        assert np.abs(restored @ LUMA - scan @ LUMA).max() < 2e-3
    assert np.mean(after) < 0.6 * np.mean(before)


def test_no_colour_leaves_what_was_painted(trained_of_all: Path, tmp_path: Path):
    """Shown what it was never trained on, the model may be wrong, but not in a colour that nobody painted."""
    scan = np.random.default_rng(8).uniform(0.1, 0.9, (4, 6, 3)).astype(np.float32).repeat(16, 0).repeat(16, 1)
    write_image(tmp_path / "wild.exr", scan, bit_depth="float")
    model = trained_of_all / "runs" / "001" / "model.onnx"
    assert run("apply", model, tmp_path / "wild.exr", tmp_path / "out.exr") == 0
    restored = read_image(tmp_path / "out.exr").pixels
    painted = saturations(picture(2)[1][strokes() > 0] + 1 / 64)
    found = saturations(restored + 1 / 64).reshape(-1, 2)
    assert np.linalg.norm(found, axis=1).max() <= 1.1 * np.linalg.norm(painted, axis=1).max()


def test_the_record_says_that_colour_was_inferred_and_from_what(trained_of_all: Path):
    record = json.loads((trained_of_all / "runs" / "001" / "record.json").read_text())
    assert record["recipe"] == "exemplar"
    assert record["digital_source_type"] == INFERRED
    assert record["protected"] == "luma"
    assert open_restoration(trained_of_all).latest_run().settings["steady"] is False
    said = " ".join(record["limitations"])
    assert "Colour is inferred: from frames that were painted by hand and paint that was carried" in said
    paint = [source for source in record["sources"] if source["role"] == "paint"]
    assert [(one["name"], one["rights"]) for one in paint] == [("shot.####.png", "painted by A. Artist")]
    assert str(trained_of_all.parent) not in json.dumps(record)
    assert any(pair["reason"].startswith("paint on") for pair in record["pairs"])


def test_faded_colour_is_brought_back_by_a_few_strokes(tmp_path: Path, wetgate):
    """Where the scan has colour of its own nothing is carried from frame to frame, and detail comes from the scan."""
    fade = np.array([[0.45, 0.1, 0.0], [0.1, 0.8, 0.1], [0.0, 0.1, 0.7]], np.float32)
    amount = strokes()
    for frame in (1, 2, 3):
        truth = np.clip(picture(frame)[1], 0.02, 0.98)
        scan = 10.0 ** -(-np.log10(truth + 1 / 64) @ fade + 0.1) - 1 / 64
        write_image(tmp_path / f"scan.{frame:04d}.exr", scan.astype(np.float32), bit_depth="float")
        if frame < 3:
            write_image(tmp_path / f"paint.{frame:04d}.exr", truth * amount[..., None], alpha=amount, bit_depth="float")
        else:
            unseen, wanted = scan, truth
    folder = tmp_path / "faded.wetgate"
    wetgate("new", folder, "--recipe", "exemplar")
    words = ("--scan", tmp_path / "scan.####.exr", "--paint", tmp_path / "paint.####.exr", "--frames", "1-2")
    assert wetgate("add", folder, *words)[0] == 0
    code, _, said = wetgate("train", folder, "--accept", "--steps", "4", "--no-steady")
    assert code == 0, said
    assert len(open_restoration(folder).pairs()) == 2
    model = folder / "runs" / "001" / "model.onnx"
    assert wetgate("apply", model, tmp_path / "scan.0003.exr", tmp_path / "out.exr")[0] == 0
    restored = read_image(tmp_path / "out.exr").pixels
    assert difference(restored, wanted) < 0.35 * difference(unseen, wanted)
