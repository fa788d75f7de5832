"""What flies is on the frames around it too; dirt and lines are not."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch

from wetgate.training.flight import FLIES, unexplained
from wetgate.training.torch_operations import Torch

SIDE = 96


def scene():
    """[H, W] without much contrast."""
    noise = np.random.default_rng(1).standard_normal((SIDE, SIDE)).astype(np.float32)
    return 0.4 + 0.3 * cv2.GaussianBlur(noise, (0, 0), 3)


def disc(place, radius=3.5):
    plane = np.zeros((SIDE, SIDE), np.float32)
    cv2.circle(plane, [round(16 * x) for x in place], round(16 * radius), 1.0, -1, cv2.LINE_AA, 4)
    return plane


def share(*things):
    """What no flight explains, of three frames with a thing on each (or nothing)."""
    frames = [scene() if thing is None else scene() + thing * (0.9 - scene()) for thing in things]
    stands_out = np.minimum(*(np.abs(frames[1] - frames[at]) for at in (0, 2)))
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


def test_where_nothing_stands_out_nothing_is_said_to_fly():
    assert share(None, None, None).min() == 1
