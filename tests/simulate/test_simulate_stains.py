"""Stains, dirt in the gate, and joins."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from wetgate.simulate.film import FilmDecay
from wetgate.simulate.grain import Grain
from wetgate.simulate.splices import Splices, join_at
from wetgate.simulate.stains import Stains, stained_at

CLEAN = FilmDecay(grain=Grain(6, 8), seed=5)


@pytest.fixture
def picture():
    y, x = np.mgrid[0:1:90j, 0:1:160j]
    return np.stack([0.2 + 0.6 * x, 0.3 + 0.4 * y, 0.5 + 0.3 * np.sin(9 * x)], axis=2).astype(np.float32)


@pytest.mark.parametrize(
    "damage",
    [
        {"stains": Stains(blots=3, blot_um=1500)},
        {"stains": Stains(gate_dirt=3)},
        {"splices": Splices(at=(7, 8))},
    ],
    ids=["blots", "gate", "joins"],
)
def test_what_the_mask_leaves_out_is_untouched(picture, damage):
    touched = 0
    for number in (7, 8, 40):
        decayed, clean = replace(CLEAN, **damage).frame(picture, number), CLEAN.frame(picture, number)
        outside = decayed.damage_mask == 0
        assert outside.mean() > 0.3
        assert np.array_equal(decayed.scan[outside], clean.scan[outside])
        touched += int((np.abs(decayed.scan - clean.scan).max(axis=2) > 0.02)[~outside].sum())
    assert touched > 50


def test_dirt_in_the_gate_stays_where_it_is_and_blots_do_not():
    stains = Stains(blots=2, blot_um=900, gate_dirt=6)
    one, two = (stained_at(stains, 120, 200, 50, 3, frame) for frame in (11, 12))
    assert one.held.any()
    shared = np.minimum(one.held, two.held).sum() / np.maximum(one.held, two.held).sum()
    assert shared > 0.7
    assert one.density.any() and not np.array_equal(one.density, two.density)
    far = stained_at(stains, 120, 200, 50, 3, 500)
    assert not np.array_equal(one.held, far.held)


def test_a_join_marks_the_two_frames_that_it_joins():
    splices = Splices(at=(20,), jump_um=600, flash=0.1)
    lines = {frame: join_at(splices, 100, 80, 60, 1, frame) for frame in range(18, 23)}
    assert [bool(join.line.any()) for join in lines.values()] == [False, True, True, False, False]
    assert lines[19].line[-30:].any() and not lines[19].line[:50].any()
    assert lines[20].line[:30].any() and not lines[20].line[50:].any()
    assert lines[20].jump != 0 and lines[20].density != 0
    assert all(lines[frame].jump == 0 for frame in (18, 19, 21, 22))


def test_a_jump_moves_the_truth_with_the_scan(picture):
    decay = replace(CLEAN, grain=Grain(), splices=Splices(at=(3,), jump_um=2000))
    rows = join_at(decay.splices, *picture.shape[:2], decay.picture_width_mm * 1000 / 160, decay.seed, 3).jump
    assert abs(rows) > 2
    joined = decay.frame(picture, 3)
    untouched = joined.damage_mask == 0
    assert np.abs(joined.scan - joined.aligned_truth).max(axis=2)[untouched].max() < 0.01
    assert np.abs(joined.aligned_truth - picture).mean() > 0.005


def test_the_same_seed_gives_the_same_stains_in_any_order():
    stains = Stains(blots=2, gate_dirt=2)
    late = stained_at(stains, 60, 80, 100, 9, 33)
    stained_at(stains, 60, 80, 100, 9, 1)
    again = stained_at(stains, 60, 80, 100, 9, 33)
    assert np.array_equal(late.density, again.density) and np.array_equal(late.held, again.held)
