"""Motion between a frame and its neighbours: found to a fraction of a pixel, and not misled by damage."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch

from wetgate.training import motion
from wetgate.training.torch_operations import Torch

OPS = Torch()
LIMIT = 0.1


@pytest.fixture
def scene():
    """[160, 208] structure of several sizes."""
    random = np.random.default_rng(4)
    parts = [cv2.GaussianBlur(random.standard_normal((160, 208)), (0, 0), sigma) * sigma for sigma in (1.5, 4, 12)]
    picture = sum(parts)
    return (0.5 + 0.12 * picture / picture.std()).astype(np.float32)


def shifted(picture, down, right):
    """The picture moved down and to the right, bicubic."""
    matrix = np.array([[1, 0, right], [0, 1, down]], np.float64)
    size = picture.shape[::-1]
    return cv2.warpAffine(picture, matrix, size, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT_101)


def found(before, middle, after):
    """Motion to the frame before and after, [H, W, 2] each."""
    pyramids = [motion.pyramid(OPS, torch.from_numpy(one)[None, None]) for one in (before, middle, after)]
    return [way[0].permute(1, 2, 0).numpy() for way in motion.motion(OPS, *pyramids, LIMIT)]


def inner(values, margin=40):
    return values[margin:-margin, margin:-margin]


def assert_found(way, step):
    """To a quarter of a pixel in most places; some blocks of the random scene are taken for others."""
    error = np.abs(inner(way) - step).max(axis=2)
    assert np.median(error) < 0.25
    assert (error > 1).mean() < 0.2


@pytest.mark.parametrize("step", [(0, 0), (3, -5), (-11, 17), (24, -20)])
def test_motion_that_goes_straight_on_is_found(scene, step):
    back, ahead = found(shifted(scene, -step[0], -step[1]), scene, shifted(scene, *step))
    assert_found(ahead, step)
    assert_found(back, (-step[0], -step[1]))


@pytest.mark.parametrize(("before", "after"), [((-5.5, 3.25), (5.5, -3.25)), ((-1.3, 0.4), (0.6, -0.7))])
def test_neighbours_laid_over_the_frame_are_like_it(scene, before, after):
    """Where motion goes straight on, and where each frame has a way of its own; to fractions of a pixel."""
    frames = shifted(scene, *before), shifted(scene, *after)
    for frame, way in zip(frames, found(frames[0], scene, frames[1]), strict=True):
        over = motion.moved(OPS, torch.from_numpy(frame)[None, None], torch.from_numpy(way.transpose(2, 0, 1))[None])
        apart = [np.abs(inner(one) - inner(scene)).mean() for one in (over[0, 0].numpy(), frame)]
        assert apart[0] < 0.02
        assert apart[0] < 0.6 * apart[1]


def test_a_change_of_exposure_is_no_motion(scene):
    back, ahead = found(scene - 0.08, scene, scene * 0.9 + 0.1)
    assert np.abs(inner(back)).mean() < 0.05
    assert np.abs(inner(ahead)).mean() < 0.05


def test_dirt_is_not_matched_to_what_happens_to_look_like_it():
    """On an even ground a dark speck on the frame, and a dark thing 18 pixels away on the neighbours."""
    ground = np.full((128, 128), 0.6, np.float32) + np.random.default_rng(1).normal(0, 0.005, (128, 128))
    neighbour = ground.astype(np.float32).copy()
    neighbour[60:68, 74:82] = 0.1
    middle = neighbour.copy()
    middle[60:68, 56:64] = 0.1
    for way in found(neighbour, middle, neighbour):
        assert np.abs(way[58:70, 54:66]).max() < 3.0
        over = motion.moved(
            OPS, torch.from_numpy(neighbour)[None, None], torch.from_numpy(way.transpose(2, 0, 1))[None]
        )
        np.testing.assert_allclose(over[0, 0, 58:70, 54:66], 0.6, atol=0.03)


def test_no_motion_goes_beyond_its_bound(scene):
    random = np.random.default_rng(2)
    noise = [random.random((96, 96)).astype(np.float32) for _ in range(3)]
    for way in found(*noise):
        assert np.abs(way).max() <= motion.MOST
