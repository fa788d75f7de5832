"""Where shots begin, and what is no cut."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from telecines import Pictures

from wetgate.pairing.fields import COMBED_SHARE, combed_share, upper_field
from wetgate.pairing.shots import find_shots
from wetgate.simulate.footage import demo_frames


@pytest.fixture(scope="module")
def footage():
    """The first 140 demo frames, 8 bit; shots begin at indexes 30, 76 and 137."""
    frames = []
    for number, pixels in demo_frames():
        if number > 140:
            break
        frames.append(np.rint(cv2.resize(pixels, (320, 136), interpolation=cv2.INTER_AREA) * 255).astype(np.uint8))
    return np.stack(frames)


def test_cuts_are_found_and_fast_motion_is_none(footage):
    assert find_shots(Pictures(footage)) == [(0, 30), (30, 76), (76, 137), (137, 140)]


def test_flicker_flashes_and_a_destroyed_frame_are_no_cuts(footage):
    random = np.random.default_rng(2)
    worn = footage * (1 + 0.18 * random.standard_normal((len(footage), 1, 1, 1)))
    worn[[15, 60, 110]] = worn[[15, 60, 110]] * 2 + 90
    worn[45] = random.integers(0, 255, worn[45].shape)
    assert find_shots(Pictures(np.clip(worn, 0, 255).astype(np.uint8)))[:3] == [(0, 30), (30, 76), (76, 137)]


@pytest.mark.parametrize("count", [0, 1, 2])
def test_few_frames_are_one_shot(footage, count):
    assert find_shots(Pictures(footage[:count])) == ([(0, count)] if count else [])


def test_fields_of_two_moments_are_combed_and_whole_frames_are_not(footage):
    luma = footage[..., 1].astype(np.float32) / 255
    woven = luma[70].copy()
    woven[1::2] = luma[71][1::2]
    assert combed_share(woven) > 2 * COMBED_SHARE
    assert max(combed_share(frame) for frame in luma[::7]) < COMBED_SHARE / 2


@pytest.mark.parametrize("height", [17, 18])
def test_the_upper_field_is_kept_and_the_lines_between_are_made_of_it(height):
    lines = np.arange(height, dtype=np.float32)[:, None].repeat(5, axis=1)
    odd = lines.copy()
    odd[1::2] = 99
    field = upper_field(odd)
    np.testing.assert_array_equal(field[:17], lines[:17])
    assert field.max() == 16
