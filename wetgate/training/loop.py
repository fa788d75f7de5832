"""The training loop of the context network. One loop, plain steps.

Everything random is drawn anew for each step from (seed, job, step), so a checkpoint needs only the weights, the
optimiser's moments and the step to go on exactly as if nothing had happened.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from wetgate.training import context, quadratic
from wetgate.training.color_model import LUMA, ColorModel, correction
from wetgate.training.samples import STEP, Sample
from wetgate.training.torch_operations import Torch, tensor

Array = NDArray[np.float32]

RATE = 3e-3
DECAY = 1e-2
BATCH = 6
CROP = 96
WARM_UP_STEPS = 20
EXPOSURE_NOISE, PIXEL_NOISE = 0.15, 0.075
"""Of the drawn crops, in standard deviations of the scan's density: the network must not lean on either."""
VALIDATION_SIDE = 384
SNAPSHOT_STEPS = 50
DIVERGED = 10.0
"""A running loss this many times the best one so far is a divergence."""


@dataclass
class State:
    """Where a job stands; what a checkpoint holds."""

    step: int = 0
    seconds: float = 0.0
    rate_scale: float = 1.0
    running: float = math.nan
    best: float = math.inf
    weights: dict[str, Tensor] = field(default_factory=dict)
    moments: dict[str, Any] = field(default_factory=dict)


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
    torch.use_deterministic_algorithms(True, warn_only=True)
    lessons = [Lesson(s, w, job) for s, w in zip(job.training, job.training_weights, strict=True)]
    if not state.weights:
        first = context.initial_weights(job.width, job.seed + job.index)
        state.weights = {name: torch.from_numpy(value) for name, value in first.items()}
    state.weights = {
        name: value.detach().to(job.device).clone(memory_format=_memory_format(value)).requires_grad_()
        for name, value in state.weights.items()
    }
    optimiser = torch.optim.AdamW(state.weights.values(), RATE, betas=(0.9, 0.99), weight_decay=DECAY)
    if state.moments:
        optimiser.load_state_dict(state.moments)
    good = _snapshot(state, optimiser)
    while (done := fraction(state)) < 1:
        generator = np.random.default_rng((job.seed, job.index, state.step))
        rate = RATE * state.rate_scale * min(1.0, (state.step + 1) / WARM_UP_STEPS)
        for group in optimiser.param_groups:
            group["lr"] = rate * (0.5 + 0.5 * math.cos(math.pi * done))
        optimiser.zero_grad()
        loss = _loss(job, state.weights, _draw(lessons, generator, job))
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        state.step += 1
        value = float(loss.detach())
        running = value if math.isnan(state.running) else 0.95 * state.running + 0.05 * value
        if not math.isfinite(running) or (state.step > 2 * WARM_UP_STEPS and running > DIVERGED * state.best + 1e-9):
            _restore(state, optimiser, good)
            after_step(state, math.nan)
            continue
        state.running = running
        if state.step >= WARM_UP_STEPS:
            state.best = min(state.best, running)
        state.moments = optimiser.state_dict()
        if state.step % SNAPSHOT_STEPS == 0:
            good = _snapshot(state, optimiser)
        after_step(state, value)
    return state


class Lesson:
    """A sample on the training device, with what fit and kernels already answer."""

    def __init__(self, sample: Sample, weight: Array, job: Job) -> None:
        with torch.no_grad():
            half = tensor(sample.scan)
            ops = Torch()
            base = quadratic.apply(ops, half, job.model.coefficients)
            added = correction(ops, half, job.model.with_(context={}))
            base = base if added is None else base + added
            target = torch.pow(10.0, -tensor(sample.target))
        self.picture = torch.cat([half, base, target, tensor(weight[..., None])], 1)[0].to(job.device)


def weights_of(state: State) -> dict[str, Array]:
    """The network's weights as arrays, for the model."""
    return {name: value.detach().float().cpu().numpy() for name, value in state.weights.items()}


def checkpoint(state: State) -> bytes:
    """The state as bytes; :func:`from_checkpoint` gives it back exactly."""
    stream = io.BytesIO()
    plain = {name: value.detach().cpu().contiguous() for name, value in state.weights.items()}
    torch.save({**vars(state), "weights": plain}, stream)
    return stream.getvalue()


def from_checkpoint(data: bytes | Path) -> State:
    """The state that :func:`checkpoint` saved; nothing in it is executed."""
    source = io.BytesIO(data) if isinstance(data, bytes) else data
    return State(**torch.load(source, map_location="cpu", weights_only=True))


def held_out_errors(job: Job, weights: dict[str, Array] | None, shares: Sequence[float]) -> list[float]:
    """Weighted mean squared display error on the held-out samples, for each share of what is judged.

    Judged is the context network where ``weights`` are given, else the kernels.
    """
    totals = np.zeros(len(shares))
    mass = 0.0
    ops = Torch()
    with torch.no_grad():
        for sample, weight in zip(job.held_out, job.held_out_weights, strict=True):
            half = tensor(sample.scan)
            base = quadratic.apply(ops, half, job.model.coefficients)
            target, trust = torch.pow(10.0, -tensor(sample.target)), tensor(weight[..., None])
            if weights is None:
                added = correction(ops, half, job.model.with_(context={}, kernel_share=1.0))
            else:
                kernels_part = correction(ops, half, job.model.with_(context={}))
                base = base if kernels_part is None else base + kernels_part
                added = context.apply(ops, half, weights, job.model.mean, job.model.scale)
            mass += float(trust.sum())
            for index, share in enumerate(shares):
                answer = base if added is None else base + share * added
                totals[index] += float((trust * _error(answer, target, job.model.protect) ** 2).sum())
    return [float(total / max(mass, 1e-9)) for total in totals]


def validation(job: Job, state: State) -> float | None:
    """Root of the weighted mean squared display error on the middle of the held-out samples."""
    if not job.held_out:
        return None
    total = mass = 0.0
    with torch.no_grad():
        for sample, weight in zip(job.held_out, job.held_out_weights, strict=True):
            rows, columns = (_middle(side) for side in weight.shape)
            part = Sample(
                **{**vars(sample), "scan": sample.scan[rows, columns], "target": sample.target[rows, columns]}
            )
            picture = Lesson(part, weight[rows, columns], job).picture[None]
            total += float(_squared(job, state.weights, picture).sum())
            mass += float(picture[:, 9].sum())
    return math.sqrt(total / max(mass, 1e-9))


def _draw(lessons: Sequence[Lesson], generator: np.random.Generator, job: Job) -> Tensor:
    """A batch of crops, turned and mirrored at random, their scans a little noisy."""
    side = min(CROP, *(min(lesson.picture.shape[1:]) for lesson in lessons)) // STEP * STEP
    crops = []
    for _ in range(BATCH):
        picture = lessons[generator.integers(len(lessons))].picture
        top, left = (generator.integers(length - side + 1) for length in picture.shape[1:])
        crop = torch.rot90(picture[:, top : top + side, left : left + side], int(generator.integers(4)), (1, 2))
        crops.append(crop.flip(2) if generator.integers(2) else crop)
    batch = torch.stack(crops)
    exposure = generator.standard_normal((BATCH, 3, 1, 1), np.float32) * EXPOSURE_NOISE
    noise = exposure + generator.standard_normal((BATCH, 3, side, side), np.float32) * PIXEL_NOISE
    batch[:, :3] += torch.from_numpy(noise * np.float32(job.model.scale)).to(job.device)
    return batch.contiguous(memory_format=torch.channels_last)


def _loss(job: Job, weights: dict[str, Tensor], batch: Tensor) -> Tensor:
    return _squared(job, weights, batch).sum() / batch[:, 9].sum().clamp_min(1e-6)


def _squared(job: Job, weights: dict[str, Tensor], picture: Tensor) -> Tensor:
    """Weighted squared display errors of pictures [N, 10, h, w]: scan, answer so far, target, weight."""
    kind = torch.bfloat16 if _gains_from_bfloat16(job.device) else torch.float32
    with torch.autocast(job.device, kind, enabled=kind != torch.float32):
        added = context.apply(Torch(), picture[:, :3], weights, job.model.mean, job.model.scale)
    error = _error(picture[:, 3:6] + added.float(), picture[:, 6:9], job.model.protect)
    return picture[:, 9:] * error**2


def _error(density: Tensor, target: Tensor, protect: str) -> Tensor:
    """Error in display values; where luma is the scan's, only of what is not luma."""
    error = torch.pow(10.0, -density) - target
    if protect == "luma":
        luma = torch.from_numpy(LUMA).to(error).view(1, 3, 1, 1)
        error = error - (error * luma).sum(1, keepdim=True)
    return error


def _snapshot(state: State, optimiser: torch.optim.Optimizer) -> dict[str, Any]:
    return {
        "step": state.step,
        "weights": {name: value.detach().clone() for name, value in state.weights.items()},
        "moments": {index: {k: v.clone() for k, v in moment.items()} for index, moment in _moments(optimiser).items()},
        "running": state.running,
    }


def _moments(optimiser: torch.optim.Optimizer) -> dict[int, dict[str, Tensor]]:
    return optimiser.state_dict()["state"]  # type: ignore[no-any-return]


def _restore(state: State, optimiser: torch.optim.Optimizer, good: dict[str, Any]) -> None:
    """Back to the last good snapshot, more carefully; the step goes on, so that other crops are drawn."""
    with torch.no_grad():
        for name, value in good["weights"].items():
            state.weights[name].copy_(value)
    groups = optimiser.state_dict()["param_groups"]
    optimiser.load_state_dict({"state": good["moments"], "param_groups": groups})
    state.running = good["running"]
    state.rate_scale *= 0.5
    state.moments = optimiser.state_dict()


def _gains_from_bfloat16(device: str) -> bool:
    return device == "cuda" or torch.ops.mkldnn._is_mkldnn_bf16_supported()


def _memory_format(value: Tensor) -> torch.memory_format:
    return torch.channels_last if value.dim() == 4 else torch.contiguous_format


def _middle(length: int) -> slice:
    side = min(length, VALIDATION_SIDE) // STEP * STEP
    start = (length - side) // 2 // STEP * STEP
    return slice(start, start + side)
