"""Cuts, flashes and jumps, told from small pictures."""

from __future__ import annotations

import numpy as np
import pytest

from wetgate.images import open_source
from wetgate.pairing.splices import Splice, find_splices, thumbnail
from wetgate.simulate.footage import demo_footage

FRAMES = range(15, 46)


@pytest.fixture(scope="module")
def pictures():
    """Frames 15 to 45 of the demo footage, whose second shot begins at 31. Not to be altered."""
    with open_source(demo_footage()) as source:
        return {frame: np.clip(source.read(frame).pixels, 0, 1) for frame in FRAMES}


def found(pictures):
    return find_splices({frame: thumbnail(pixels) for frame, pixels in pictures.items()})


def test_a_cut_is_found_and_nothing_else(pictures):
    assert found(pictures) == [Splice(31, "cut")]


def test_a_flash_is_found(pictures):
    flashed = {**pictures, 22: np.clip(pictures[22] * 1.9 + 0.08, 0, 1)}
    assert found(flashed) == [Splice(22, "flash"), Splice(31, "cut")]


def test_a_frame_that_jumps_is_found_where_it_jumps(pictures):
    jumped = {frame: np.roll(pixels, 14, axis=0) if frame >= 38 else pixels for frame, pixels in pictures.items()}
    assert found(jumped) == [Splice(31, "cut"), Splice(38, "jump")]


def test_a_tilt_is_no_jump(pictures):
    still = pictures[20]
    tilted = {frame: np.roll(still, 12 * (frame - 15), axis=0) for frame in range(15, 24)}
    assert found(tilted) == []


def test_flicker_is_no_flash_and_nothing_is_no_splice(pictures):
    random = np.random.default_rng(2)
    flickering = {frame: np.clip(pixels * random.uniform(0.92, 1.08), 0, 1) for frame, pixels in pictures.items()}
    assert found(flickering) == [Splice(31, "cut")]
    assert found({frame: np.full((40, 60, 3), 0.4, np.float32) for frame in range(5)}) == []
    assert found({7: pictures[20]}) == [] == found({})
