"""The telecine model: the file computes what torch does, at any size and in tiles; nothing knows its place."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from color_pictures import smooth_picture

from wetgate.inference.session import Session
from wetgate.inference.tiles import Restorer
from wetgate.onnx_model import ModelCard
from wetgate.training import loop, residual_net
from wetgate.training.onnx_export import export
from wetgate.training.telecine_features import SIZES, describe
from wetgate.training.telecine_model import (
    Lesson,
    Step,
    TelecineModel,
    added,
    forward,
    moments,
    pixels_of,
    plain_step,
    reduced_array,
    solved,
    values_of,
)
from wetgate.training.telecine_task import DOUBTS, TelecineTask, answer_of
from wetgate.training.torch_operations import Torch

WIDTHS = (8, 12)


def step(channels, seen, reduction, seed=1):
    generator = np.random.default_rng(seed)
    weights, last = {}, None
    for member in "ab":
        own = residual_net.initial_weights(seen * reduction**2, channels, seed, WIDTHS)
        last = generator.normal(0, 0.05, own["out.weight"].shape) if last is None else last
        own["out.weight"][:] = last + generator.normal(0, 0.01, last.shape)
        weights |= {f"{member}.{name}": weight for name, weight in own.items()}
    tone = np.concatenate([0.8 * np.eye(channels), np.full((1, channels), 0.1)]).astype(np.float32)
    mean, scale = np.full(seen, 0.5, np.float32), np.full(seen, 0.25, np.float32)
    return Step(reduction, tone, np.zeros(0, np.float32), mean, scale, weights)


def with_features(model):
    """The first step goes by features of the picture."""
    levels = np.linspace(0.2, 0.8, 6, dtype=np.float32)
    first, channels = model.steps[0], model.channels
    count = channels * (SIZES + 3 * (SIZES - 1) * len(levels))
    tone = np.random.default_rng(4).normal(0, 0.3 / count**0.5, (count + 1, channels)).astype(np.float32)
    return replace(model, steps=(replace(first, tone=tone, levels=levels), *model.steps[1:]))


def model_of(encoding="display", grey=False, radius=0, reductions=(4, 1), looks_back=True):
    channels = 1 if grey else 3
    first = step(channels, channels * (2 * radius + 1), reductions[0])
    second = [step(channels, channels * (2 if looks_back else 1), one, 2) for one in reductions[1:]]
    return TelecineModel(encoding, grey, radius, (first, *second), looks_back)


def save(path, model, **how):
    card = ModelCard(recipe="telecine", encoding=model.encoding, radius=model.radius)
    export(path, lambda ops, frames: forward(ops, frames, model), card, **how)
    return path


def noisy(height, width, seed=1):
    grain = np.random.default_rng(seed).normal(0, 0.03, (height, width, 3))
    return (smooth_picture(seed, height, width) + grain).astype(np.float32)


def frames_of(*pictures):
    return np.concatenate([picture.transpose(2, 0, 1) for picture in pictures])[None].copy()


def in_torch(frames, model):
    with torch.no_grad():
        return forward(Torch(), torch.from_numpy(frames), model).numpy()


@pytest.mark.parametrize("encoding", ["display", "linear", "log"])
@pytest.mark.parametrize(("grey", "reductions"), [(False, (4, 1)), (True, (2, 1)), (False, (2,)), (True, (1,))])
def test_the_file_answers_as_torch_does_at_any_size(tmp_path, encoding, grey, reductions):
    model = with_features(model_of(encoding, grey, 0, reductions))
    session = Session(save(tmp_path / "model.onnx", model), "cpu")
    for height, width in ((1, 1), (1, 7), (37, 53)):
        frames = frames_of(noisy(height, width))
        restored = session.run(frames)[0]
        assert restored.shape == frames.shape
        np.testing.assert_allclose(restored, in_torch(frames, model), atol=1e-4, rtol=0)


def test_the_first_step_sees_the_frames_around(tmp_path):
    model = model_of(radius=1)
    session = Session(save(tmp_path / "model.onnx", model), "cpu")
    frames = frames_of(*(noisy(32, 40, seed) for seed in (1, 2, 3)))
    restored = session.run(frames)[0]
    np.testing.assert_allclose(restored, in_torch(frames, model), atol=1e-4, rtol=0)
    frames[:, :3] = 0.5
    assert np.abs(session.run(frames)[0] - restored).max() > 1e-3


def test_where_all_is_grey_the_answer_is_exactly(tmp_path):
    session = Session(save(tmp_path / "model.onnx", model_of(grey=True)), "cpu")
    restored = session.run(frames_of(noisy(24, 40)))[0][0]
    assert np.array_equal(restored[0], restored[1])
    assert np.array_equal(restored[0], restored[2])


@pytest.mark.parametrize("encoding", ["display", "linear", "log"])
def test_nothing_is_clamped(encoding):
    plain = plain_step([np.zeros((3, 8, 8), np.float32)], [np.zeros((3, 8, 8), np.float32)], 1)
    model = TelecineModel(encoding, False, 0, (plain,))
    for level in (-0.3, 0.0, 0.5, 1.6):
        frames = np.full((1, 3, 8, 8), level, np.float32)
        np.testing.assert_allclose(in_torch(frames, model), frames, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("encoding", ["display", "linear", "log"])
@pytest.mark.parametrize("grey", [False, True])
def test_arrays_are_taken_in_and_given_out_as_the_model_does(encoding, grey):
    blank = np.zeros((1 if grey else 3, 8, 8), np.float32)
    plain = plain_step([blank], [blank], 1)
    model = TelecineModel(encoding, grey, 0, (plain,))
    picture = noisy(8, 8)
    wanted = in_torch(frames_of(picture), model)[0].transpose(1, 2, 0)
    np.testing.assert_allclose(pixels_of(values_of(picture, model), model), wanted, atol=1e-4)


def test_networks_that_disagree_add_nothing_and_those_that_agree_add_it_whole():
    both = model_of(reductions=(2,))
    first = both.steps[0]
    same = {name: first.weights[f"a.{name[2:]}"] for name in first.weights}
    turned = {n: -w if n.startswith("b.out") else w for n, w in same.items()}
    frames = torch.from_numpy(frames_of(noisy(32, 48)))
    alone = {name: weight for name, weight in same.items() if name.startswith("a.")}
    seen = {
        name: added(Torch(), [frames], replace(first, weights=w))
        for name, w in (("alone", alone), ("same", same), ("turned", turned))
    }
    assert float(seen["alone"].abs().max()) > 1e-2
    torch.testing.assert_close(seen["same"], seen["alone"], atol=2e-4, rtol=1e-2)
    assert float(seen["turned"].abs().max()) == 0


def test_doubt_takes_from_networks_that_agree_half():
    first = model_of(reductions=(2,)).steps[0]
    frames = torch.from_numpy(frames_of(noisy(32, 48)))
    last = first.weights["a.out.weight"]
    other = last + np.random.default_rng(2).normal(0, 0.05, last.shape).astype(np.float32)
    half = {**first.weights, "a.out.weight": other}
    sizes = [
        float(added(Torch(), [frames], replace(first, weights=half, doubt=doubt)).square().mean()) for doubt in DOUBTS
    ]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[-1] < 0.9 * sizes[0]


def test_in_half_precision_it_looks_the_same(tmp_path):
    model = model_of()
    frames = frames_of(noisy(37, 53))
    answers = [Session(save(tmp_path / f"{half}.onnx", model, half=half), "cpu").run(frames)[0] for half in (0, 1)]
    assert np.abs(answers[0] - answers[1]).max() < 5e-3


def test_tiles_equal_the_whole_frame_bit_for_bit(tmp_path):
    session = Session(save(tmp_path / "model.onnx", with_features(model_of(reductions=(2, 1)))), "cpu")
    scan = noisy(157, 203)
    whole, *_ = Restorer(session, 400).restore([scan])
    tiled, *_ = Restorer(session, 64).restore([scan])
    assert np.array_equal(tiled, whole), np.abs(tiled - whole).max()


def test_a_picture_elsewhere_is_answered_alike():
    """No network knows where in the frame it is."""
    model = model_of(reductions=(4, 1))
    picture = noisy(96, 96)
    wide = np.pad(picture, ((64, 64), (64, 64), (0, 0)), mode="reflect")
    moved = wide[64 - 16 :, 64 - 24 :]
    answers = [in_torch(frames_of(one), model)[0] for one in (wide, moved)]
    inner = answers[0][:, 104:120, 104:120]
    np.testing.assert_allclose(answers[1][:, 104 - 48 : 120 - 48, 104 - 40 : 120 - 40], inner, atol=1e-5)


def test_tone_and_colour_are_solved_where_the_reference_counts():
    generator = np.random.default_rng(3)
    matrix = np.array([[0.7, 0.1, 0.0], [0.2, 0.9, 0.1], [0.0, 0.0, 1.1]], np.float32)
    scans = [generator.random((3, 32, 40), dtype=np.float32) for _ in range(2)]
    targets = [np.einsum("ij,ihw->jhw", matrix, scan) + 0.05 for scan in scans]
    weights = [np.ones((32, 40), np.float32) for _ in range(2)]
    targets[1][:, :16], weights[1][:16] = 9.0, 0.0
    found = solved_step(scans, targets, weights, 2)
    np.testing.assert_allclose(found.tone, [*matrix, [0.05] * 3], atol=5e-3)


def solved_step(scans, targets, weights, reduction):
    step = plain_step(scans, scans, reduction)
    seen = [
        moments(reduced_array(scan, reduction), target, weight, reduction)
        for scan, target, weight in zip(scans, targets, weights, strict=True)
    ]
    return solved(step, seen, step.levels)


def test_features_tell_what_is_left_of_a_picture_beside_what_is_lost():
    """Half of the pixels are gone: the mean of those below a level is the picture's all the same."""
    generator = np.random.default_rng(1)
    picture = np.full((1, 1, 64, 64), 0.3, np.float32)
    picture[generator.random(picture.shape) < 0.5] = 0.9
    found = describe(Torch(), torch.from_numpy(picture), 1, 2, np.array([0.6], np.float32))[0].numpy()
    plain, above, rest = found[:SIZES], found[SIZES : 2 * SIZES - 1], found[2 * SIZES - 1 :]
    darker, lighter = rest[: SIZES - 1], rest[SIZES - 1 :]
    middle = np.s_[:, 12:20, 12:20]
    np.testing.assert_allclose(plain[middle][1:], 0.6, atol=0.08)
    np.testing.assert_allclose(above[middle][1:], 0.15, atol=0.04)
    np.testing.assert_allclose(darker[middle][1:], 0.3, atol=0.03)
    np.testing.assert_allclose(lighter[middle][1:], 0.9, atol=0.03)


def lesson(seed=1, height=64, width=80):
    picture = noisy(height, width, seed).transpose(2, 0, 1)
    target = np.ascontiguousarray(smooth_picture(seed, height, width).transpose(2, 0, 1) ** 1.5)
    picture = np.ascontiguousarray(picture)
    return Lesson(seed, seed, picture, picture, target, np.ones((height, width), np.float32))


def task_of(lessons, reduction=2):
    plain = solved_step(*([getattr(one, k) for one in lessons] for k in ("picture", "target", "weight")), reduction)
    return TelecineTask(0, plain, lessons, lessons, 3, "cpu")


def test_training_lowers_the_error_of_the_solved_tone():
    task = task_of([lesson(1), lesson(2)])
    errors = []

    def note(state, loss):
        errors.append(task.validation(state.weights) if state.step in (1, 60) else 0)

    state = loop.train(task, loop.State(), lambda state: state.step / 60, note)
    assert errors[-1] < 0.8 * errors[0]
    answer = answer_of(replace(task.step, weights=loop.weights_of(state)), task.training[0])
    error = np.sqrt(np.square(answer - task.training[0].target).mean())
    assert error < np.sqrt(np.square(answer_of(task.step, task.training[0]) - task.training[0].target).mean())


def test_what_the_reference_does_not_cover_teaches_nothing():
    plain = lesson()
    covered = plain.weight.copy()
    covered[:, 40:] = 0
    other = plain.target.copy()
    other[:, :, 40:] = -7.0
    gradients = []
    for target in (plain.target, other):
        task = task_of([replace(plain, target=target, weight=covered)])
        task.begin()
        weights = {k: torch.from_numpy(v).requires_grad_() for k, v in task.initial_weights().items()}
        _, found = task.gradients(weights, np.random.default_rng(5))
        gradients.append(found["a.out.weight"])
    assert float(gradients[0].abs().max()) > 0
    assert torch.equal(*gradients)
