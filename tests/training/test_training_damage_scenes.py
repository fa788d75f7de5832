"""Scenes that a film's windows become before they are damaged."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from wetgate.training.damage_scenes import Scene, as_it_may_come, held, lined, passed, resized

SIDE = 192
NOTHING = np.zeros((SIDE, SIDE), np.float32)


def scene(seed=1, step=2, level=0.5, doubtful=NOTHING):
    """A picture that drifts, with grain."""
    random = np.random.default_rng(seed)
    wide = cv2.GaussianBlur(random.standard_normal((SIDE + 40, SIDE + 40, 3)), (0, 0), 4)
    wide = level + 0.05 * wide / wide.std()
    frames = [wide[20 + step * k :, 20 - step * k :][:SIDE, :SIDE] for k in (-1, 0, 1)]
    return Scene((np.stack(frames) + random.normal(0, 0.005, (3, SIDE, SIDE, 3))).astype(np.float32), doubtful)


def apart(frames, at):
    """How far two frames differ, but for their grain."""
    return np.abs(cv2.GaussianBlur(frames[at] - frames[1], (0, 0), 1.5))[8:-8, 8:-8].mean()


def apart_at_best(frames, at, reach=6):
    """The same where one frame is moved by whole pixels to be like the other."""
    steps = [(row, column) for row in range(-reach, reach + 1) for column in range(-reach, reach + 1)]
    return min(apart(np.stack([frames[1], np.roll(frames[at], step, (0, 1))]), 0) for step in steps)


def test_a_camera_stands_or_pans_slowly_while_the_film_weaves_and_has_its_grain():
    drifting = scene(step=6)
    for seed in range(4):
        found = held(drifting, np.random.default_rng(seed))
        assert np.array_equal(found.frames[1], drifting.frames[1])
        for at in (0, 2):
            assert apart_at_best(found.frames, at) < 0.2 * apart(drifting.frames, at)
            rest = found.frames[at] - cv2.GaussianBlur(found.frames[at], (0, 0), 1)
            assert 0.003 < rest.std() < 0.02


def test_thin_upright_lines_of_a_held_scene_move_with_its_picture():
    own = scene()
    drawn = lined(own, np.random.default_rng(3))
    lines = np.abs(drawn.frames[1] - own.frames[1]).max(axis=2) > 0.1
    assert 0.005 < lines.mean() < 0.3
    assert lines.sum(axis=0).max() > 40
    for seed in range(4):
        found = held(drawn, np.random.default_rng(seed))
        for at in (0, 2):
            assert apart_at_best(found.frames, at) < 0.4 * apart(drawn.frames, at)


def test_what_passes_hides_other_parts_of_each_frame_and_brings_its_own_doubt():
    hidden = []
    for seed in range(12):
        dark, light = scene(1, level=0.25), scene(2, level=0.75, doubtful=np.ones_like(NOTHING))
        found = passed(dark, light, np.random.default_rng(seed))
        shows = found.frames.mean(axis=3) > 0.5
        own = found.doubtful == 0
        assert np.allclose(found.frames[1][own], dark.frames[1][own], atol=0.02)
        assert found.doubtful[shows[1]].all()
        hidden.append((shows[1] & ~shows[0] & ~shows[2]).mean())
    assert max(hidden) > 0.02


def test_a_larger_or_smaller_scene_keeps_its_doubt_where_it_was():
    sides = set()
    for seed in range(12):
        spot = scene(3)
        spot.frames[:, 50:66, 52:70] = 0.95
        doubtful = NOTHING.copy()
        doubtful[50:66, 52:70] = 1
        found = resized(Scene(spot.frames, doubtful), np.random.default_rng(seed))
        assert found.frames.shape[1:3] == found.doubtful.shape
        assert found.doubtful[found.frames[1].min(axis=2) > 0.9].all()
        assert found.doubtful.mean() < 0.12
        sides |= set(found.doubtful.shape)
    assert all(side % 8 == 0 for side in sides)
    assert 144 <= min(sides) < 176
    assert max(sides) == SIDE


@pytest.mark.parametrize("odd", [0.0, 1.0])
def test_scenes_come_upright_and_turned_and_follow_from_their_seed(odd):
    scenes = [scene(seed) for seed in range(3)]
    scenes[0].frames[:, :, 40:44] = 0.02
    upright = turned = 0
    for seed in range(40):
        one, again = (as_it_may_come(scenes, 0, np.random.default_rng(seed), odd) for _ in range(2))
        assert np.array_equal(one.frames, again.frames)
        assert np.isfinite(one.frames).all()
        dark = one.frames[1].max(axis=2) < 0.1
        upright += bool(dark.mean(axis=0).max() > 0.9)
        turned += bool(dark.mean(axis=1).max() > 0.9)
    assert upright > 5
    assert turned > 5
    assert scenes[0].frames[:, :, 40:44].max() == np.float32(0.02)
