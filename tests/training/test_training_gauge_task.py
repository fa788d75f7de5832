"""What a step of the detail recipe learns from."""

from __future__ import annotations

import cv2
import numpy as np
import torch

from wetgate.training.gauge_fit import first_model
from wetgate.training.gauge_judging import look_at
from wetgate.training.gauge_model import GaugeModel
from wetgate.training.gauge_samples import make_sample
from wetgate.training.gauge_task import GaugeTask
from wetgate.training.loop import State, train, weights_of


def sample(seed=0, size=96, count=1):
    generator = np.random.default_rng(seed)
    sharp = 0.3 + 0.4 * (cv2.resize(generator.random((24, 24), np.float32), (size, size)) > 0.5).astype(np.float32)
    frames = [cv2.GaussianBlur(sharp, (0, 0), 1.5) + generator.normal(0, 0.01, sharp.shape) for _ in range(count)]
    colour = [np.repeat(frame[..., None], 3, 2).astype(np.float32) for frame in frames]
    return make_sample(colour, np.repeat(sharp[..., None], 3, 2), "display", number=1, frame=1)


def task(radius=0, seed=0):
    one = sample(count=2 * radius + 1)
    return GaugeTask(0, GaugeModel("display", radius), [one], [sample(1, count=2 * radius + 1)], seed, "cpu")


def trained(one, steps):
    state = State()
    return train(one, state, lambda state: state.step / steps, lambda state, loss: None)


def unseen_error(model, one):
    return float(np.square(look_at(one, model).restored()[0, 0].numpy() - one.target).mean())


def test_it_learns_detail_that_holds_on_a_picture_it_has_not_seen():
    one = task()
    before = one.validation({name: torch.from_numpy(value) for name, value in one.initial_weights().items()})
    state = trained(one, 30)
    assert one.validation(state.weights) < 0.85 * before


def test_neighbours_are_looked_at():
    one = task(radius=1)
    weights = weights_of(trained(one, 5))
    assert weights["down0.a.weight"].shape[1] == 3
    assert all(
        np.abs(weights["down0.a.weight"][:, i] - one.initial_weights()["down0.a.weight"][:, i]).max() > 1e-4
        for i in range(3)
    )


def test_the_same_seed_gives_the_same_bits():
    first, second, other = (weights_of(trained(task(seed=seed), 4)) for seed in (1, 1, 2))
    assert all(np.array_equal(first[name], second[name]) for name in first)
    assert not np.array_equal(first["out.weight"], other["out.weight"])


def test_a_few_steps_lose_nothing_of_what_was_solved():
    learnt, unseen = sample(), sample(1)
    solved = first_model([learnt], "display", 0)
    nothing = solved.with_(sharpening=(0.0,) * 3)
    for model in (solved, nothing):
        one = GaugeTask(0, model, [learnt], [unseen], 0, "cpu")
        untrained = {name: torch.from_numpy(value) for name, value in one.initial_weights().items()}
        assert one.validation(trained(one, 5).weights) < 1.02 * one.validation(untrained)
    assert unseen_error(solved, unseen) < 0.9 * unseen_error(nothing, unseen)


def test_it_learns_to_leave_dust_as_it_is():
    learnt, unseen = sample(count=3), sample(1, count=3)
    model = first_model([learnt], "display", 0)
    state = trained(GaugeTask(0, model, [learnt], [], 0, "cpu"), 100)
    frames = unseen.frames.copy()
    specks = np.zeros(frames.shape[1:3], np.uint8)
    for top, left in ((20, 30), (50, 60), (70, 20)):
        specks[top : top + 4, left : left + 4] = 1
    frames[1][specks > 0] = 0.02
    dusty = make_sample(list(frames), unseen.reference, "display", number=1, frame=1)
    inner = cv2.erode(specks, np.ones((3, 3))) > 0
    sharpened, left = (
        float(np.abs(look_at(dusty, one).restored()[0, 0].numpy()[inner] - 0.02).mean())
        for one in (model, model.with_(network=weights_of(state)))
    )
    assert left < 0.85 * sharpened
