"""Lessons that a film gives about its own damage."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch

from wetgate.training import damage_prior
from wetgate.training.damage_lessons import VISIBLE, lessons_of_pair, make_lesson
from wetgate.training.damage_scenes import Scene, as_it_may_come
from wetgate.training.damage_task import FALSE_SHARE, DamageTask, Material, doubtful, parted
from wetgate.training.loop import State, train

SIDE = 96


def window(seed=1, side=SIDE):
    """[3, H, W, 3] a drifting scene in display values."""
    random = np.random.default_rng(seed)
    scene = cv2.GaussianBlur(random.random((side + 20, side + 20, 3)).astype(np.float32), (0, 0), 4)
    scene = 0.2 + 0.6 * (scene - scene.min()) / (scene.max() - scene.min())
    return np.stack([scene[8 + 2 * k : 8 + 2 * k + side, 8 - 2 * k : 8 - 2 * k + side] for k in (-1, 0, 1)])


@pytest.fixture(scope="module")
def windows():
    return [window(seed) for seed in range(4)]


def lessons(windows, count=24):
    scenes = [Scene(one, np.zeros((SIDE, SIDE), np.float32)) for one in windows]
    return [make_lesson(scenes, n % len(scenes), np.random.default_rng((9, n))) for n in range(count)]


def test_the_label_is_where_the_middle_frame_was_changed(windows):
    shares = []
    for lesson in lessons(windows):
        change = np.abs(lesson.frames[1] - lesson.truth).max(axis=2)
        assert np.array_equal(lesson.label > 0, change > VISIBLE)
        assert np.all(lesson.weight == 1)
        assert np.isfinite(lesson.frames).all()
        shares.append(lesson.label.mean())
    assert 0.01 < np.mean(shares) < 0.25


def test_damage_comes_in_kinds_that_stay_and_kinds_that_do_not(windows):
    """Of the damage of the middle frame some is at the same place a frame later, most is not."""
    stays = []
    for lesson in lessons(windows, 90):
        after = np.abs(lesson.frames[2] - lesson.frames[1]).max(axis=2)
        inside = lesson.label > 0
        if inside.sum() > 30:
            stays.append(float((after[inside] < VISIBLE).mean()))
    assert min(stays) < 0.1
    assert max(stays) > 0.3


def test_small_things_that_fly_belong_to_the_truth(windows):
    """The truth is not always the window as it was: what flies over it is no damage."""
    found = 0
    scenes = [Scene(one, np.zeros((SIDE, SIDE), np.float32)) for one in windows]
    for number, lesson in enumerate(lessons(windows, 80)):
        scene = as_it_may_come(scenes, number % len(scenes), np.random.default_rng((9, number)), 1.0)
        original = scene.frames[1]
        gain = np.median(lesson.truth / original)
        strange = np.abs(lesson.truth - original * gain).max(axis=2) > 0.1
        found += bool(strange.any() and not np.any(strange & (lesson.label > 0) & (lesson.weight == 0) & strange.all()))
    assert found > 5


def test_where_the_film_may_be_damaged_nothing_is_learnt(windows):
    frames = windows[0].copy()
    frames[1, 40:46, 50:55] = 0.02
    finding = {name: torch.from_numpy(one) for name, one in parted(damage_prior.read(1), "finding").items()}
    suspect = doubtful(frames, 1, finding)
    assert suspect[40:46, 50:55].all()
    assert suspect.mean() < 0.05
    assert doubtful(windows[0], 1, finding).mean() < 0.01
    for seed in range(8):  # as it is, turned, rescaled, held
        lesson = make_lesson([Scene(frames, suspect)], 0, np.random.default_rng(seed))
        dark = lesson.truth.max(axis=2) < 0.06
        assert np.count_nonzero(dark & (lesson.weight > 0)) < 4
        assert 0 < (lesson.weight == 0).mean() < 0.06


def test_a_pair_tells_its_own_damage():
    frames = window(3, 160)
    clean = frames[1].copy()
    frames[1, 100:108, 60:70] = 0.9
    frames[1, 20:140, 30] *= 0.6
    faded = clean * 0.93 + 0.02  # another print: a little darker everywhere
    found = lessons_of_pair(frames, faded, np.ones((160, 160), np.float32), 96, 8)
    assert all(lesson.frames.shape == (3, 96, 96, 3) for lesson in found)
    first = found[0]
    changed = np.abs(first.frames[1] - first.truth).max(axis=2) > 0.1
    assert changed.any()
    assert (first.label[changed] > 0).mean() > 0.9
    assert first.label[~changed].mean() < 0.02


@pytest.fixture(scope="module")
def task(windows):
    learnt, judging = Material(windows[:3], [1.0] * 3), Material(windows[3:], [1.0])
    return DamageTask(0, learnt, judging, radius=1, lessons=12, seed=3, device="cpu")


def test_steps_follow_from_the_generator_alone(task):
    task.begin()
    weights = {name: torch.from_numpy(value).requires_grad_() for name, value in task.initial_weights().items()}
    one, two, other = (task.gradients(weights, np.random.default_rng(seed)) for seed in (5, 5, 6))
    assert one[0] == two[0] != other[0]
    assert set(one[1]) == set(weights)
    assert all(torch.equal(one[1][name], two[1][name]) for name in weights)


def test_training_lessens_the_loss_and_the_threshold_keeps_false_finds_rare(task):
    losses = []
    task.begin()
    before = task.validation({name: torch.from_numpy(value) for name, value in task.initial_weights().items()})
    state = train(task, State(), lambda state: state.step / 40, lambda state, loss: losses.append(loss))
    assert np.mean(losses[-10:]) < np.mean(losses[:10])
    judged = task.judged(state.weights)
    assert judged["false_share"] <= FALSE_SHARE
    assert task.validation(state.weights) < before
    scan, repaired, truth = task.shown(state.weights, judged["threshold"])[0]
    assert scan.shape == repaired.shape == truth.shape
    looser = task.shown(state.weights, -100.0)[0][1]
    assert (looser != scan).mean() > (repaired != scan).mean()


def test_a_network_that_is_too_sure_of_itself_gets_a_higher_threshold(task):
    """As one is that has learnt for seconds: clean pixels are still left alone."""
    task.begin()
    judged = []
    for surer in (2.0, 2.5):
        weights = {name: torch.from_numpy(value) for name, value in task.initial_weights().items()}
        weights["finding.out.bias"] = weights["finding.out.bias"] + surer
        judged.append(task.judged(weights))
    before, after = judged
    assert before["false_share"] <= FALSE_SHARE
    assert after["threshold"] == before["threshold"] + 0.5
    assert after["false_share"] == before["false_share"]
