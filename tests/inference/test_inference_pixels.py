"""Single pixels around the model: filling bad ones, and what compose puts back."""

from __future__ import annotations

import numpy as np
import pytest

from wetgate.inference.pixels import colourfulness, compose, fill_bad


def test_good_frames_are_handed_through():
    frame = np.ones((3, 4, 3), np.float32)
    filled, bad = fill_bad(frame)
    assert filled is frame and bad is None


@pytest.mark.parametrize("size", [(1, 2), (5, 7), (64, 33)])
def test_holes_take_the_value_around_them(size):
    frame = np.full((*size, 3), 0.25, np.float32)
    frame[0, 1] = np.nan
    frame[size[0] // 2 :, size[1] // 2 :, 2] = np.inf
    filled, bad = fill_bad(frame)
    assert bad is not None and bad[0, 1]
    assert (filled == 0.25).all()


def test_a_hole_takes_the_nearer_side():
    frame = np.zeros((32, 32, 3), np.float32)
    frame[:, 16:] = 1.0
    frame[10:12, 2:4] = frame[10:12, 28:30] = np.nan
    filled, _ = fill_bad(frame)
    assert (filled[10:12, 2:4] == 0).all() and (filled[10:12, 28:30] == 1).all()


def test_a_frame_without_a_good_pixel_is_black_for_the_model():
    filled, bad = fill_bad(np.full((5, 3, 3), np.nan, np.float32))
    assert bad is not None and bad.all() and (filled == 0).all()


def test_the_largest_floats_do_not_overflow():
    frame = np.full((4, 4, 3), 3e38, np.float32)
    frame[1, 1] = np.nan
    assert np.isfinite(fill_bad(frame)[0]).all()


def test_compose_puts_back_bits_and_counts_what_the_model_missed():
    generator = np.random.default_rng(1)
    scan = generator.random((600, 5, 3), dtype=np.float32)
    scan[2, 2] = np.nan
    restored = generator.random((600, 5, 3), dtype=np.float32)
    plain = restored.copy()
    restored[400, 1, 0] = np.inf
    weights = np.ones((600, 5), np.float32)
    weights[500:] = 0
    bad = ~np.isfinite(scan).all(axis=2)
    assert compose(scan, restored, bad=bad, weights=weights, mono=False) == 1
    expected = plain.copy()
    expected[500:], expected[400, 1], expected[2, 2] = scan[500:], scan[400, 1], scan[2, 2]
    assert restored.tobytes() == expected.tobytes()


def test_colourfulness_is_the_widest_distance_of_channels():
    frame = np.full((2, 2, 3), 0.5, np.float32)
    assert colourfulness(frame) == 0
    frame[1, 0] = (0.25, 0.5, 0.75)
    frame[0, 0] = np.nan
    assert colourfulness(frame) == 0.5
