"""Do the benchmarks measure what they say? Tiny crops and budgets; how good a method is, is not asked here."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest

from benchmarks import crops
from benchmarks.baselines import BASELINES, Budget, ColourCube, train
from wetgate.evaluation.compare import Frame
from wetgate.images import write_image

LUMA = np.array([0.2126, 0.7152, 0.0722], np.float32)
SIZE = 48


def faded_pair(seed: int):
    """A scan whose contrast and colour have gone, with the luma that its reference has too."""
    random = np.random.default_rng(seed)
    blobs = random.random((6, 6, 3), np.float32)
    reference = cv2.resize(blobs, (SIZE, SIZE), interpolation=cv2.INTER_CUBIC).clip(0, 1)
    scan = 0.35 + 0.4 * reference @ np.array([[0.5, 0.1, 0], [0.3, 0.8, 0.2], [0, 0.1, 0.6]], np.float32)
    reference += ((scan - reference) @ LUMA)[..., None]
    return scan.astype(np.float32), reference.astype(np.float32)


def error(picture, truth) -> float:
    return float(np.square(picture - truth).mean())


@pytest.fixture
def shot(tmp_path):
    folder = tmp_path / "shot_a"
    folder.mkdir()
    for frame in (1, 2, 3):
        for kind, pixels in zip(("scan", "reference"), faded_pair(frame), strict=True):
            write_image(folder / f"{kind}.{frame:04d}.png", pixels.clip(0, 1))
    return folder


@pytest.mark.parametrize("name", BASELINES)
def test_baselines_learn_and_keep_the_luma(name):
    pairs = [faded_pair(1), faded_pair(2)]
    method = train(name, pairs, Budget(0.3, cpu=True), protect="luma")
    scan, truth = pairs[0]
    restored = method.restore(Frame(1, truth, scan))
    assert restored.shape == scan.shape and restored.dtype == np.float32
    assert np.abs(restored @ LUMA - scan @ LUMA).max() < 1e-5
    start = (scan @ LUMA)[..., None] if name == "copycat-style" else scan
    assert error(restored, truth) < error(start, truth)
    assert method.parameters and method.seconds


@pytest.mark.parametrize("name", BASELINES)
def test_baselines_restore_any_size(name):
    method = train(name, [faded_pair(1)], Budget(0.1))
    scan = faded_pair(2)[0][:19, :37]
    assert method.restore(Frame(1, scan, scan)).shape == (19, 37, 3)


def test_a_new_colour_cube_changes_nothing():
    import torch

    picture = torch.rand(2, 3, 5, 7) * 1.4 - 0.2
    assert torch.allclose(ColourCube()(picture), picture, atol=1e-6)


def test_budgets_end():
    for budget in (Budget(0.05), Budget(0.05, cpu=True)):
        while budget.share < 1:
            pass
        assert budget.share == 1


def test_crops_are_held_out_and_what_is_there_is_not_done_again(shot, tmp_path, capsys):
    results = tmp_path / "results" / "crops.jsonl"
    words = [str(shot), "--seconds", "0.1", "--methods", "scan", "closed-form", "3d-lut", "--json", str(results)]
    assert crops.main([*words, "--test", "3"]) == 0
    rows = [json.loads(line) for line in results.read_text().splitlines()]
    assert [(row["method"], row["trained"], row["frame"]) for row in rows] == [
        ("scan", [1, 2], 3),
        ("closed-form", [1, 2], 3),
        ("3d-lut", [1, 2], 3),
    ]
    assert rows[1]["psnr"] > rows[0]["psnr"]

    results.write_text(results.read_text()[:-40])  # killed while it wrote the last line
    capsys.readouterr()
    assert crops.main([*words, "--test", "3"]) == 0
    shown = capsys.readouterr()
    assert [line.split(":")[0] for line in shown.err.splitlines()] == ["shot_a 3 3d-lut"]
    assert "shot_a 3" in shown.out and "mean" in shown.out

    assert crops.main([*words, "--test", "all"]) == 0
    capsys.readouterr()
    assert crops.main([*words, "--test", "all"]) == 0
    shown = capsys.readouterr()
    assert not shown.err
    assert [line.split("  ")[0] for line in shown.out.splitlines()[1:5]] == ["shot_a 3", "shot_a 2", "shot_a 1", "mean"]


def test_trained_on_all_stands_beside_the_pictures_that_came_with_the_shot(shot, capsys):
    for frame in (1, 2, 3):
        write_image(shot / f"copycat.{frame:04d}.png", np.full((SIZE, SIZE, 3), 0.5, np.float32))
    words = [str(shot), "--trained-on-all", "--seconds", "0.1", "--methods", "closed-form", "--csv"]
    assert crops.main(words) == 0
    header, *lines = capsys.readouterr().out.splitlines()
    rows = [dict(zip(header.split(","), next(iter_csv(line)), strict=True)) for line in lines]
    assert [(row["method"], row["frame"]) for row in rows] == [
        (method, frame) for method in ("closed-form", "copycat") for frame in "123"
    ]
    assert {row["trained"] for row in rows} == {"[1, 2, 3]"}


def iter_csv(line: str):
    import csv

    return csv.reader([line])


def test_a_folder_without_crops_is_refused(tmp_path, capsys):
    assert crops.main([str(tmp_path)]) == 1
    assert "fewer than two crops" in capsys.readouterr().err


def test_wetgate_is_compared_with_the_best_of_the_others():
    rows = [
        {"shot": "a", "frame": frame, "method": method, "psnr": psnr, "delta_e": 1.0}
        for method, values in (("3d-lut", (30, 36)), ("u-net", (34, 31)), ("wetgate", (33, 36)))
        for frame, psnr in enumerate(values, 1)
    ]
    verdict = crops.summary(rows).splitlines()[-3:]
    assert verdict == [
        "wetgate against 3d-lut: +1.50 dB on average",
        "  a 1: -1.00 dB against u-net",
        "  a 2: +0.00 dB against 3d-lut",
    ]
