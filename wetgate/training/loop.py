"""The training loop of the context network. One loop, plain steps.

Everything random is drawn anew for each step from (seed, job, step), so a checkpoint needs only the weights, the
optimiser's moments and the step to go on exactly as if nothing had happened.
"""

from __future__ import annotations

import functools
import io
import math
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from wetgate.training import context
from wetgate.training.color_model import LUMA, ColorModel
from wetgate.training.samples import STEP, Sample
from wetgate.training.torch_operations import Torch, tensor

Array = NDArray[np.float32]

RATE = 1e-3
DECAY = 1e-2
MOMENTS = (0.9, 0.99)
EPSILON = 1e-8
BATCH = 8
"""Crops of a step, for each member of the network. Members are computed side by side, one thread each: on few cores
this beats threads inside every operation several times over."""
CROP = 64
WARM_UP_STEPS = 20
EXPOSURE_NOISE = 0.1
"""Of each drawn crop's layers, in their standard deviations: the network must not lean on absolute values."""
VALIDATION_SIDE = 384
SNAPSHOT_STEPS = 50
DIVERGED = 10.0
"""A running loss this many times the best one so far is a divergence."""

_LEARNT = ("weights", "means", "squares")


@dataclass
class State:
    """Where a job stands; what a checkpoint holds."""

    step: int = 0
    seconds: float = 0.0
    rate_scale: float = 1.0
    running: float = math.nan
    best: float = math.inf
    weights: dict[str, Tensor] = field(default_factory=dict)
    means: dict[str, Tensor] = field(default_factory=dict)
    squares: dict[str, Tensor] = field(default_factory=dict)
    good: dict[str, Any] = field(default_factory=dict)
    """Where to go back to."""


@dataclass(frozen=True)
class Job:
    """One training of the context network.

    Attributes:
        index: of the job in its run; part of the seed.
        model: fit and kernels of the training samples; the network adds to them.
        training, training_weights: what it learns from.
        held_out, held_out_weights: what judges it, perhaps empty.
        width: channels of the network.
        seed: of the run.
        device: "cpu" or "cuda".
    """

    index: int
    model: ColorModel
    training: Sequence[Sample]
    training_weights: Sequence[Array]
    held_out: Sequence[Sample]
    held_out_weights: Sequence[Array]
    width: int
    seed: int
    device: str


def settle() -> None:
    """The same bits each time, from before the first sum. Crops are computed side by side instead of in threads."""
    torch.set_deterministic_debug_mode("warn")  # use_deterministic_algorithms loads the compiler: three seconds
    torch.set_num_threads(1)


def train(
    job: Job, state: State, fraction: Callable[[State], float], after_step: Callable[[State, float], None]
) -> State:
    """Train until ``fraction(state)`` reaches 1.

    Args:
        job: what to train.
        state: a new one, or one from a checkpoint.
        fraction: how much of the job is done, 0-1; the learning rate follows it down.
        after_step: called with the state and the loss after each step; may raise to stop.

    Returns:
        The same state, trained.
    """
    lessons = [Lesson(s, w, job) for s, w in zip(job.training, job.training_weights, strict=True)]
    if not state.weights:
        first = context.initial_weights(job.width, job.seed + job.index)
        state.weights = {name: torch.from_numpy(value) for name, value in first.items()}
        state.means = {name: torch.zeros_like(value) for name, value in state.weights.items()}
        state.squares = {name: torch.zeros_like(value) for name, value in state.weights.items()}
    for tensors in (state.weights, state.means, state.squares):
        for name, value in tensors.items():
            tensors[name] = value.detach().to(job.device).clone(memory_format=_memory_format(value))
    for value in state.weights.values():
        value.requires_grad_()
    state.good = state.good or _snapshot(state)
    while (done := fraction(state)) < 1:
        generator = np.random.default_rng((job.seed, job.index, state.step))
        rate = RATE * state.rate_scale * min(1.0, (state.step + 1) / WARM_UP_STEPS)
        loss, gradients = _gradients(job, state.weights, [_draw(lessons, generator, job) for _ in context.MEMBERS])
        _adamw(state, gradients, rate * (0.5 + 0.5 * math.cos(math.pi * done)))
        state.step += 1
        error = float(loss) if _finite(gradients) else math.nan
        running = error if math.isnan(state.running) else 0.95 * state.running + 0.05 * error
        if not math.isfinite(running) or (state.step > 2 * WARM_UP_STEPS and running > DIVERGED * state.best + 1e-9):
            _restore(state)
            after_step(state, math.nan)
            continue
        state.running = running
        if state.step >= WARM_UP_STEPS:
            state.best = min(state.best, running)
        if state.step % SNAPSHOT_STEPS == 0:
            state.good = _snapshot(state)
        after_step(state, error)
    return state


class Lesson:
    """A sample on the training device, with what the network adds to."""

    def __init__(self, sample: Sample, weight: Array, job: Job) -> None:
        with torch.no_grad():
            half = tensor(sample.scan)
            base = half + torch.from_numpy(job.model.shift).view(1, 3, 1, 1)
            target = torch.pow(10.0, -tensor(sample.target))
        self.picture = torch.cat([torch.pow(10.0, -half), base, target, tensor(weight[..., None])], 1)[0].to(job.device)


def weights_of(state: State) -> dict[str, Array]:
    """The network's weights as arrays, for the model."""
    return {name: value.detach().float().cpu().numpy() for name, value in state.weights.items()}


def checkpoint(state: State) -> bytes:
    """The state as bytes; :func:`from_checkpoint` gives it back exactly."""
    stream = io.BytesIO()
    learnt = {part: {k: v.detach().cpu().contiguous() for k, v in getattr(state, part).items()} for part in _LEARNT}
    torch.save({**vars(state), **learnt}, stream)
    return stream.getvalue()


def from_checkpoint(data: bytes | Path) -> State:
    """The state that :func:`checkpoint` saved; nothing in it is executed."""
    source = io.BytesIO(data) if isinstance(data, bytes) else data
    return State(**torch.load(source, map_location="cpu", weights_only=True))


def validation(job: Job, state: State) -> float | None:
    """Root of the weighted mean squared display error on the middle of the held-out samples."""
    if not job.held_out:
        return None
    total = mass = 0.0
    with torch.no_grad():
        for sample, weight in zip(job.held_out, job.held_out_weights, strict=True):
            rows, columns = (middle(side) for side in weight.shape)
            part = Sample(
                **{**vars(sample), "scan": sample.scan[rows, columns], "target": sample.target[rows, columns]}
            )
            picture = Lesson(part, weight[rows, columns], job).picture[None]
            answers = [_answer(job, state.weights, member, picture) for member in context.MEMBERS]
            error = countable(torch.stack(answers).mean(0) - picture[:, 6:9], job.model.protect)
            total += float((picture[:, 9:] * error**2).sum())
            mass += float(picture[:, 9].sum())
    return math.sqrt(total / max(mass, 1e-9))


def _draw(lessons: Sequence[Lesson], generator: np.random.Generator, job: Job) -> Tensor:
    """A batch of crops, mirrored left to right at random (skies stay above), their layers a little shifted."""
    side = min(CROP, *(min(lesson.picture.shape[1:]) for lesson in lessons)) // STEP * STEP
    crops = []
    for _ in range(BATCH):
        picture = lessons[int(generator.integers(len(lessons)))].picture
        top, left = (generator.integers(length - side + 1) for length in picture.shape[1:])
        crop = picture[:, top : top + side, left : left + side]
        crops.append(crop.flip(2) if generator.integers(2) else crop)
    batch = torch.stack(crops)
    shift = generator.standard_normal((BATCH, 3, 1, 1), np.float32) * EXPOSURE_NOISE * job.model.scale[:, None, None]
    batch[:, :3] += torch.from_numpy(shift).to(job.device)
    return batch.contiguous(memory_format=torch.channels_last)


def _gradients(job: Job, weights: dict[str, Tensor], batches: Sequence[Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
    """Mean weighted absolute error of the members, each of its batch alone, and its gradients by weight."""

    def of_member(member: str, crops: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        own = {name: weight for name, weight in weights.items() if name.startswith(member)}
        error = countable(_answer(job, weights, member, crops) - crops[:, 6:9], job.model.protect)
        loss = (crops[:, 9:] * error.abs()).sum() / crops[:, 9].sum().clamp_min(1e-6)
        return loss.detach(), dict(zip(own, torch.autograd.grad(loss, list(own.values())), strict=True))

    losses, gradients = zip(*_side_by_side().map(of_member, context.MEMBERS, batches), strict=True)
    return torch.stack(losses).mean(), {name: value for own in gradients for name, value in own.items()}


@functools.cache
def _side_by_side() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(len(context.MEMBERS))


def _answer(job: Job, weights: dict[str, Tensor], member: str, picture: Tensor) -> Tensor:
    """Display values of a member for pictures [N, 10, h, w]: scan, where the network starts, target, weight."""
    kind = torch.bfloat16 if _gains_from_bfloat16(job.device) else torch.float32
    with torch.autocast(job.device, kind, enabled=kind != torch.float32):
        added = context.apply(Torch(), picture[:, :3], weights, member, job.model.mean, job.model.scale)
    return context.answer(Torch(), picture[:, 3:6], added.float(), member)


def countable(error: Tensor, protect: str) -> Tensor:
    """What counts of an error in display values: where luma is the scan's, only what is not luma."""
    if protect == "luma":
        luma = torch.from_numpy(LUMA).to(error).view(1, 3, 1, 1)
        error = error - (error * luma).sum(1, keepdim=True)
    return error


@torch.no_grad()
def _adamw(state: State, gradients: dict[str, Tensor], rate: float) -> None:
    """One step of AdamW (Loshchilov & Hutter 2019). torch.optim would take two seconds to import."""
    slow, fast = MOMENTS
    correction = math.sqrt(1 - fast ** (state.step + 1)) / (1 - slow ** (state.step + 1))
    for name, weight in state.weights.items():
        gradient, mean, square = gradients[name], state.means[name], state.squares[name]
        mean.lerp_(gradient, 1 - slow)
        square.lerp_(gradient * gradient, 1 - fast)
        weight.mul_(1 - rate * DECAY).addcdiv_(mean, square.sqrt().add_(EPSILON), value=-rate * correction)


def _finite(gradients: dict[str, Tensor]) -> bool:
    return math.isfinite(sum(gradient.sum() for gradient in gradients.values()))


def _snapshot(state: State) -> dict[str, Any]:
    copies = {part: {k: v.detach().clone() for k, v in getattr(state, part).items()} for part in _LEARNT}
    return {**copies, "running": state.running}


def _restore(state: State) -> None:
    """Back to the last good snapshot, more carefully; the step goes on, so that other crops are drawn."""
    with torch.no_grad():
        for part in _LEARNT:
            for name, value in state.good[part].items():
                getattr(state, part)[name].copy_(value)
    state.running = state.good["running"]
    state.rate_scale *= 0.5


def _gains_from_bfloat16(device: str) -> bool:
    return device == "cuda" or torch.ops.mkldnn._is_mkldnn_bf16_supported()


def _memory_format(value: Tensor) -> torch.memory_format:
    return torch.channels_last if value.dim() == 4 else torch.contiguous_format


def middle(length: int) -> slice:
    side = min(length, VALIDATION_SIDE) // STEP * STEP
    start = (length - side) // 2 // STEP * STEP
    return slice(start, start + side)
