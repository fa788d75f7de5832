"""What flies is on the frames around it too; dirt and lines are not."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch

from wetgate.training.flight import FLIES, unexplained
from wetgate.training.torch_operations import Torch

SIDE = 96


def scene(at=0):
    """[H, W] without much contrast; it moves by (2, 5) pixels a frame."""
    noise = np.random.default_rng(1).standard_normal((2 * SIDE, 2 * SIDE)).astype(np.float32)
    smooth = 0.4 + 0.3 * cv2.GaussianBlur(noise, (0, 0), 3)
    return smooth[SIDE // 2 - 2 * at :, SIDE // 2 - 5 * at :][:SIDE, :SIDE]


def disc(place, radius=3.5):
    plane = np.zeros((SIDE, SIDE), np.float32)
    cv2.circle(plane, [round(16 * x) for x in place], round(16 * radius), 1.0, -1, cv2.LINE_AA, 4)
    return plane


def share(*things):
    """What no flight explains, of three frames with a thing on each (or nothing)."""
    frames = [
        scene(at) if thing is None else scene(at) + thing * (0.9 - scene(at))
        for at, thing in zip((-1, 0, 1), things, strict=True)
    ]
    laid_over = [np.roll(frames[at], (2 * way, 5 * way), (0, 1)) for at, way in ((0, 1), (2, -1))]
    stands_out = np.minimum(*(np.abs(frames[1] - one) for one in laid_over))
    planes = [torch.from_numpy(np.ascontiguousarray(plane))[None, None] for plane in (*frames, stands_out)]
    return unexplained(Torch(), *planes)[0, 0].numpy()


@pytest.mark.parametrize("step", [(12, 0), (0, 12), (-9, 7), (3, -14)])
def test_a_ball_that_goes_straight_on_flies(step):
    middle, step = np.array([48.0, 46.0]), np.array(step)
    balls = [disc(middle + way * step) for way in (-1, 0, 1)]
    assert share(*balls)[balls[1] > 0.5].max() < FLIES


def test_a_speck_on_one_frame_does_not():
    speck = disc((48, 46))
    assert share(None, speck, None)[speck > 0.5].min() > FLIES


def test_nor_do_specks_that_lie_elsewhere_on_the_frames_around():
    specks = [disc((30, 40)), disc((48, 46)), disc((60, 70))]
    assert share(*specks)[specks[1] > 0.5].min() > FLIES


def test_a_line_is_no_small_thing():
    lines = [np.zeros((SIDE, SIDE), np.float32) for _ in range(3)]
    for at, line in enumerate(lines):
        line[40 + 10 * at : 44 + 10 * at] = 1
    assert share(*lines)[51:53, 20:-20].min() == 1


def test_dirt_in_the_gate_keeps_its_place_and_does_not_fly():
    speck = disc((48, 46))
    assert share(speck, speck, speck)[speck > 0.5].min() > FLIES


def test_nor_does_a_scratch_with_gaps():
    scratch = np.zeros((SIDE, SIDE), np.float32)
    for row in range(10, 80, 20):
        scratch[row : row + 7, 50:52] = 1
    assert share(scratch, scratch, scratch)[scratch > 0.5].min() > FLIES
