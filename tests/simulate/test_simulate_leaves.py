"""Scenes that are made up where no footage is at hand."""

from __future__ import annotations

import numpy as np

from wetgate.simulate.leaves import moving_scene


def scene(seed, count=3):
    return moving_scene(np.random.default_rng(seed), 90, 130, count)


def test_a_scene_is_a_few_frames_of_display_values():
    for seed in range(6):
        frames = scene(seed)
        assert frames.shape == (3, 90, 130, 3) and frames.dtype == np.float32
        assert frames.min() >= 0 and frames.max() <= 1
        assert frames.std() > 0.02


def test_the_same_seed_gives_the_same_scene_and_another_one_another():
    assert np.array_equal(scene(1), scene(1))
    assert not np.array_equal(scene(1), scene(2))


def test_scenes_move_some_more_than_others():
    changes = [float(np.abs(np.diff(scene(seed), axis=0)).mean()) for seed in range(12)]
    assert 0 < 3 * min(changes) < max(changes)


def test_a_frame_is_the_same_whatever_frames_are_around_it():
    np.testing.assert_array_equal(scene(4, 3), scene(4, 5)[1:4])


def test_edges_are_sharp_and_places_between_them_flat_as_photographs_have_it():
    """Slopes of photographs have heavy tails: a kurtosis of some ten and more, where a normal one has three."""
    found = []
    for seed in range(8):
        luma = scene(seed)[1].mean(axis=2)
        slopes = np.diff(luma, axis=1).ravel()
        found.append(float((slopes**4).mean() / (slopes**2).mean() ** 2))
    assert np.median(found) > 8
