"""The loop: the same from the same seed, through checkpoints, and past what is not a number."""

from __future__ import annotations

import math
from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
from color_pictures import faded, smooth_picture

from wetgate.errors import WetgateError
from wetgate.training import loop
from wetgate.training.closed_form import first_model
from wetgate.training.context_task import ContextTask, countable
from wetgate.training.loop import State, checkpoint, from_checkpoint, train, weights_of
from wetgate.training.samples import make_sample, rarity

STEPS = 12


def pairs():
    found = []
    for number in (1, 2, 3):
        reference = smooth_picture(number, 48, 64)
        found.append(make_sample(faded(reference) ** 1.1, reference, "display", number=number, frame=number))
    return found


@pytest.fixture(scope="module")
def job() -> ContextTask:
    samples = pairs()
    model = first_model(samples[:2], "display", "grain")
    weights = rarity(samples)
    return ContextTask(
        0, model, samples[:2], weights[:2], samples[2:], [samples[2].weight], width=4, seed=5, device="cpu"
    )


def run(job, steps=STEPS, state=None, after_step=lambda state, loss: None):
    return train(job, state or State(), lambda state: state.step / steps, after_step)


def same(a: State, b: State) -> bool:
    first, second = weights_of(a), weights_of(b)
    return all(np.array_equal(first[name], second[name]) for name in first)


@pytest.fixture(scope="module")
def undisturbed(job) -> State:
    return run(job)


def test_the_same_seed_gives_the_same_bits_and_another_seed_does_not(job, undisturbed):
    assert same(run(job), undisturbed)
    assert not same(run(replace(job, **{"seed": 6})), undisturbed)
    assert not same(run(replace(job, **{"index": 1})), undisturbed)


def test_it_learns_what_depends_on_the_surround():
    """Darkened where the surround is dark: no curve of a pixel's own colour can say that."""
    samples = []
    for number in (1, 2, 3):
        scan = (smooth_picture(number, 96, 128) + np.random.default_rng(number).normal(0, 0.1, (96, 128, 3))).clip(0, 1)
        surround = cv2.GaussianBlur(scan, (0, 0), 10).mean(2, keepdims=True)
        reference = scan * np.clip(surround * 2, 0.3, 1)
        samples.append(make_sample(np.float32(scan), np.float32(reference), "display", number=number, frame=number))
    model, weights = first_model(samples[:2], "display", "grain"), rarity(samples)
    job = ContextTask(
        0, model, samples[:2], weights[:2], samples[2:], [samples[2].weight], width=8, seed=5, device="cpu"
    )
    state = run(job, 100)
    nothing = State(weights={name: torch.zeros_like(value) for name, value in state.weights.items()})
    assert job.validation(state.weights) < 0.8 * job.validation(nothing.weights)


class Killed(Exception):
    pass


@pytest.mark.parametrize("at", [1, 5, STEPS - 1, STEPS])
def test_from_a_checkpoint_it_goes_on_bit_for_bit(job, undisturbed, at):
    kept = []

    def after_step(state, loss):
        if state.step == at:
            kept.append(checkpoint(state))
            raise Killed

    with pytest.raises(Killed):
        run(job, after_step=after_step)
    state = from_checkpoint(kept[0])
    assert state.step == at
    resumed = run(job, state=state)
    assert same(resumed, undisturbed)
    assert resumed.running == undisturbed.running
    assert all(torch.equal(resumed.squares[name], undisturbed.squares[name]) for name in undisturbed.squares)


def test_a_checkpoint_of_another_network_is_refused_with_a_sentence(job, undisturbed):
    with pytest.raises(WetgateError, match="without --resume"):
        run(replace(job, width=6), state=from_checkpoint(checkpoint(undisturbed)))


def test_a_checkpoint_runs_no_code(tmp_path):
    class Evil:
        def __reduce__(self):
            return (open, (str(tmp_path / "owned"), "w"))

    torch.save({"step": Evil()}, tmp_path / "bad")
    with pytest.raises(Exception, match="Unsupported|Weights only"):
        from_checkpoint(tmp_path / "bad")
    assert not (tmp_path / "owned").exists()


def poison(monkeypatch, at: int, *, loss_too: bool) -> None:
    """The gradients of step ``at`` are not numbers; the loss perhaps still is."""
    honest, calls = ContextTask.gradients, []

    def poisoned(*arguments):
        loss, gradients = honest(*arguments)
        calls.append(1)
        if len(calls) == at:
            gradients = {name: gradient * math.nan for name, gradient in gradients.items()}
            loss = loss * math.nan if loss_too else loss
        return loss, gradients

    monkeypatch.setattr(ContextTask, "gradients", poisoned)


@pytest.mark.parametrize("loss_too", [True, False])
@pytest.mark.parametrize("at", [3, 4, STEPS])
def test_past_a_step_that_is_not_a_number_it_goes_back_and_says_so(job, monkeypatch, at, loss_too):
    monkeypatch.setattr(loop, "SNAPSHOT_STEPS", 4)
    poison(monkeypatch, at, loss_too=loss_too)
    losses = []
    state = run(job, after_step=lambda state, loss: losses.append(loss))
    assert [index + 1 for index, loss in enumerate(losses) if math.isnan(loss)] == [at]
    assert len(losses) == state.step == STEPS
    assert state.rate_scale == 0.5
    assert all(np.isfinite(value).all() for value in weights_of(state).values())


def test_it_goes_back_to_the_last_good_weights(job, monkeypatch):
    monkeypatch.setattr(loop, "SNAPSHOT_STEPS", 4)
    poison(monkeypatch, 7, loss_too=True)
    seen = {}
    run(job, 7, after_step=lambda state, loss: seen.update({state.step: weights_of(state)["light.out.bias"].copy()}))
    assert np.array_equal(seen[7], seen[4])
    assert not np.array_equal(seen[6], seen[4])


def test_going_back_after_a_resume_comes_to_the_same(job, monkeypatch):
    """The good weights travel in the checkpoint."""
    monkeypatch.setattr(loop, "SNAPSHOT_STEPS", 4)
    kept = []

    def keep(state, loss):
        if state.step == 6:
            kept.append(checkpoint(state))

    poison(monkeypatch, 7, loss_too=True)
    whole = run(job, after_step=keep)
    monkeypatch.undo()
    monkeypatch.setattr(loop, "SNAPSHOT_STEPS", 4)
    poison(monkeypatch, 1, loss_too=True)
    assert same(run(job, state=from_checkpoint(kept[0])), whole)


def test_poisoned_pictures_never_reach_the_weights(job):
    bad = job.training[0].scan.copy()
    bad[10, 10] = math.nan
    poisoned = type(job.training[0])(**{**vars(job.training[0]), "scan": bad})
    losses = []
    whole = replace(job, **{"training": [poisoned, job.training[1]]})
    state = run(whole, after_step=lambda state, loss: losses.append(loss))
    assert any(math.isnan(loss) for loss in losses)
    assert all(np.isfinite(value).all() for value in weights_of(state).values())


def test_where_luma_is_protected_only_the_rest_is_learnt(job):
    """Errors of luma alone give no gradient."""
    error = countable(torch.full((1, 3, 2, 2), -0.5), "luma")
    assert error.abs().max() < 1e-6
    assert countable(torch.full((1, 3, 2, 2), -0.5), "grain").abs().max() > 0.4


def test_frames_of_one_pixel_train(job):
    grey = np.full((1, 1, 3), 0.4, np.float32)
    sample = make_sample(grey, grey + 0.2, "display", number=1, frame=1)
    small = replace(job, **{"training": [sample], "training_weights": [sample.weight], "held_out": []})
    assert run(small, 3).step == 3
    assert small.validation({}) is None
