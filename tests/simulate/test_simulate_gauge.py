"""A copy on a smaller gauge loses sharpness and contrast, and has grain of its own."""

from __future__ import annotations

import numpy as np
import pytest

from wetgate.errors import WetgateError
from wetgate.simulate.gauge import GaugeLoss, copy_of
from wetgate.simulate.grain import Grain

CLEAN = GaugeLoss(grain=Grain(), veil=0.0)


def edge():
    picture = np.full((64, 256, 3), 0.25, np.float32)
    picture[:, 128:] = 0.7
    return picture


def test_contrast_is_lower_and_turns_about_the_pivot():
    copy = copy_of(edge(), GaugeLoss(blur_um=0, contrast=0.5, veil=0.0, grain=Grain()))
    span = copy[0, 250, 0] - copy[0, 5, 0]
    assert 0.1 < span < 0.35
    np.testing.assert_allclose(
        copy_of(edge(), GaugeLoss(blur_um=0, contrast=1, veil=0, grain=Grain())), edge(), atol=1e-4
    )


def test_edges_are_softer_the_larger_the_blur():
    slopes = [
        np.abs(np.diff(copy_of(edge(), GaugeLoss(blur_um=um, contrast=1, veil=0, grain=Grain()))[0, :, 0])).max()
        for um in (0, 60, 120)
    ]
    assert slopes[0] > 1.5 * slopes[1] > 1.5 * slopes[2] > 0


def test_grain_differs_from_frame_to_frame_and_follows_the_seed():
    first, second = (copy_of(edge(), GaugeLoss(), 1, frame) for frame in (1, 2))
    assert np.abs(first - second).std() > 1e-3
    np.testing.assert_array_equal(first, copy_of(edge(), GaugeLoss(), 1, 1))
    assert np.abs(copy_of(edge(), CLEAN, 1, 1) - copy_of(edge(), CLEAN, 1, 2)).max() == 0


def test_a_picture_without_three_channels_is_refused():
    with pytest.raises(WetgateError, match="height x width x 3"):
        copy_of(np.zeros((4, 4), np.float32), GaugeLoss())
