"""The frames around a pair's scan: collected with it, read from the scan, or honestly not there."""

from __future__ import annotations

import json
import shutil

import cv2
import numpy as np
import pytest

from wetgate.errors import WetgateError
from wetgate.images import read_image, write_image
from wetgate.inference.curves import Curves
from wetgate.project import create_restoration, open_restoration
from wetgate.recipes.exposure import curves_of_pairs, curves_of_windows
from wetgate.recipes.neighbours import is_moving_picture, possible_radius, window

HEIGHT, WIDTH = 24, 32
SCAN = (1, 2, 3, 4, 5, 7, 8)
"""Frame 6 is missing."""


def picture(frame: int):
    return np.random.default_rng(frame).random((HEIGHT, WIDTH, 3), dtype=np.float32).astype(np.float16)


@pytest.fixture
def scan(tmp_path):
    for frame in SCAN:
        for name in ("scan", "reference"):
            (tmp_path / name).mkdir(exist_ok=True)
            write_image(tmp_path / name / f"shot.{frame:04d}.exr", picture(frame).astype(np.float32), bit_depth="half")
    return tmp_path / "scan"


@pytest.fixture
def collect(scan, tmp_path, wetgate):
    """Pairs of these frames, added by the command; ``kept`` says whether their neighbours come along."""

    def collect(frames: str, *words, recipe="damage", kept=True):
        folder = tmp_path / "reel.wetgate"
        create_restoration(folder, recipe)
        code, _, err = wetgate(
            "add", folder, "--scan", scan, "--reference", tmp_path / "reference", "--frames", frames, *words
        )
        assert code == 0, err
        if not kept:
            for pair in open_restoration(folder).pairs():
                forget_neighbours(pair)
        return open_restoration(folder)

    return collect


def forget_neighbours(pair):
    """As pairs were before there were neighbours."""
    for path in pair.neighbours.values():
        path.unlink()
    data = json.loads((pair.folder / "pair.json").read_text())
    del data["where_from"]["neighbours"]
    data["sha256"] = {name: hash for name, hash in data["sha256"].items() if name.count(".") == 1}
    (pair.folder / "pair.json").write_text(json.dumps(data))


def frames_in(window, where=np.s_[:, :]):
    """The number of the frame that each picture of a window shows."""
    return [
        next(frame for frame in SCAN if np.array_equal(pixels, picture(frame).astype(np.float32)[where]))
        for pixels in window
    ]


@pytest.mark.parametrize("kept", [True, False])
def test_a_window_is_what_inference_would_see(collect, kept):
    restoration = collect("1,4,7", kept=kept)
    first, middle, after_gap = restoration.pairs()
    assert possible_radius(restoration, [first, middle, after_gap], 2) == (2, "")
    assert frames_in(window(restoration, middle, 1)) == [3, 4, 5]
    assert frames_in(window(restoration, middle, 2)) == [2, 3, 4, 5, 5]
    assert frames_in(window(restoration, first, 2)) == [1, 1, 1, 2, 3]
    assert frames_in(window(restoration, after_gap, 1)) == [7, 7, 8]
    assert frames_in(window(restoration, middle, 0)) == [4]


@pytest.mark.parametrize("kept", [True, False])
def test_a_region_is_cut_out_of_the_neighbours_too(collect, kept):
    restoration = collect("3", "--region", "5,2,10,8", kept=kept)
    (pair,) = restoration.pairs()
    assert frames_in(window(restoration, pair, 1), np.s_[2:10, 5:15]) == [2, 3, 4]


def test_collected_neighbours_move_with_the_restoration(collect, scan, tmp_path):
    restoration = collect("3")
    (pair,) = restoration.pairs()
    assert sorted(pair.neighbours) == [-2, -1, 1, 2]
    pair.check_unaltered()
    shutil.rmtree(scan)
    moved = open_restoration(shutil.move(restoration.folder, tmp_path / "elsewhere"))
    assert possible_radius(moved, moved.pairs(), 2) == (2, "")
    assert frames_in(window(moved, moved.pairs()[0], 2)) == [1, 2, 3, 4, 5]
    moved.pairs()[0].neighbours[1].unlink()
    with pytest.raises(WetgateError, match=r"scan\.\+1\.exr is missing"):
        moved.pairs()


def test_colour_collects_none_and_reads_them_from_the_scan(collect):
    restoration = collect("3", recipe="color")
    (pair,) = restoration.pairs()
    assert pair.neighbours == {} and "neighbours" not in pair.where_from
    assert frames_in(window(restoration, pair, 1)) == [2, 3, 4]


def test_where_the_scan_is_gone_or_another_only_single_frames_are_possible(collect, scan):
    restoration = collect("2,4", kept=False)
    pairs = restoration.pairs()
    write_image(scan / "shot.0004.exr", 1 - picture(4).astype(np.float32), bit_depth="half")
    radius, why = possible_radius(restoration, pairs, 2)
    assert radius == 0 and "pair 2" in why and "has changed" in why
    assert possible_radius(restoration, pairs[:1], 2) == (2, "")
    assert possible_radius(restoration, pairs, 0) == (0, "")
    with pytest.raises(WetgateError, match="after pair 2 are not to be had"):
        window(restoration, pairs[1], 1)
    assert frames_in(window(restoration, pairs[1], 0)) == [4]


@pytest.mark.parametrize("kept", [True, False])
def test_a_scan_of_one_picture_has_no_neighbours_and_it_is_said(collect, scan, kept):
    for frame in SCAN[1:]:
        (scan / f"shot.{frame:04d}.exr").unlink()
    restoration = collect("1", kept=kept)
    radius, why = possible_radius(restoration, restoration.pairs(), 1)
    assert radius == 0 and "Pair 1 has no frames before or after it" in why


@pytest.mark.parametrize("kept", [True, False])
def test_holes_in_neighbours_are_filled_as_inference_fills_them(collect, scan, kept):
    holed = picture(4).astype(np.float32)
    holed[3:5, 3:6] = np.nan
    write_image(scan / "shot.0004.exr", holed, bit_depth="half")
    restoration = collect("3", kept=kept)
    _, _, after = window(restoration, restoration.pairs()[0], 1)
    assert np.isfinite(after).all()
    assert np.array_equal(after[10:], holed[10:])


def test_curves_of_windows_know_each_frame_of_a_window(collect, scan):
    still = np.random.default_rng(0).random((HEIGHT, WIDTH, 3), dtype=np.float32) * 0.6 + 0.2
    for frame in range(1, 25):
        exposure = 10 ** np.random.default_rng(frame).normal(0, 0.05)
        write_image(scan / f"shot.{frame:04d}.exr", still * np.float32(exposure), bit_depth="half")
        shutil.copy(scan / f"shot.{frame:04d}.exr", scan.parent / "reference")
    restoration = collect("8,24", recipe="detail")
    pairs = restoration.pairs()
    curves = curves_of_windows(restoration, pairs, 1, lambda: None)
    assert {number: sorted(one.frames) for number, one in curves.items()} == {1: [7, 8, 9], 2: [23, 24]}
    steady = window(restoration, pairs[0], 1, curves[1])
    plain = window(restoration, pairs[0], 1)
    assert np.std([frame.mean() for frame in steady]) < 0.3 * np.std([frame.mean() for frame in plain])
    own = curves_of_pairs(restoration, pairs, lambda: None)
    again = Curves("display", {8: own[1]}).steady(8, read_image(pairs[0].scan).pixels)
    assert np.allclose(again, steady[1], atol=0.01)


def test_a_shot_is_told_from_a_collection_of_stills(tmp_path, wetgate):
    """Frames that move a little are a shot, frames that share nothing are stills, whatever their numbers."""
    scene = cv2.GaussianBlur(np.random.default_rng(3).random((150, 400, 3), dtype=np.float32), (0, 0), 4)
    shown = {
        "shot": lambda frame: scene[:120, 6 * frame : 6 * frame + 160],
        "stills": lambda frame: cv2.GaussianBlur(
            np.random.default_rng(frame).random((120, 160, 3), dtype=np.float32), (0, 0), 4
        ),
    }
    for name, picture_of in shown.items():
        for side in ("scan", "reference"):
            (tmp_path / name / side).mkdir(parents=True)
            for frame in range(1, 6):
                write_image(tmp_path / name / side / f"a.{frame:04d}.exr", picture_of(frame), bit_depth="half")
        folder = tmp_path / f"{name}.wetgate"
        create_restoration(folder, "detail")
        pictures = ("--scan", tmp_path / name / "scan", "--reference", tmp_path / name / "reference")
        assert wetgate("add", folder, *pictures, "--frames", "1-5x2")[0] == 0
        restoration = open_restoration(folder)
        assert is_moving_picture(restoration, restoration.pairs()) == (name == "shot")
