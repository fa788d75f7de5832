"""The training loop. One loop, plain steps, whatever is trained.

Everything random is drawn anew for each step from (seed, task, step), so a checkpoint needs only the weights, the
optimiser's moments and the step to go on exactly as if nothing had happened.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from wetgate.errors import WetgateError

Array = NDArray[np.float32]

MOMENTS = (0.9, 0.99)
EPSILON = 1e-8
WARM_UP_STEPS = 20
SNAPSHOT_STEPS = 50
DIVERGED = 10.0
"""A running loss this many times the best one so far is a divergence."""

_LEARNT = ("weights", "means", "squares")


class Task(Protocol):
    """What the loop trains: the network's first weights, and what a step learns from.

    Attributes:
        index: of the task in its run; part of the seed.
        seed: of the run.
        device: "cpu" or "cuda".
        rate: largest learning rate of AdamW.
        decay: weight decay of AdamW.
    """

    @property
    def index(self) -> int: ...
    @property
    def seed(self) -> int: ...
    @property
    def device(self) -> str: ...
    @property
    def rate(self) -> float: ...
    @property
    def decay(self) -> float: ...

    def initial_weights(self) -> dict[str, Array]:
        """By name; the same each time."""
        ...

    def begin(self) -> None:
        """Called once before the first step, after a resume too: bring on the device what steps learn from."""
        ...

    def gradients(self, weights: dict[str, Tensor], generator: np.random.Generator) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss of one step, and its gradients by weight; everything random is drawn from ``generator``."""
        ...

    def validation(self, weights: dict[str, Tensor]) -> float | None:
        """The error on what is held out, in units of the task's own; None where nothing is."""
        ...


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


def settle() -> None:
    """The same bits each time, from before the first sum. Crops are computed side by side instead of in threads."""
    torch.set_deterministic_debug_mode("warn")  # use_deterministic_algorithms loads the compiler: three seconds
    torch.set_num_threads(1)


def train(
    task: Task, state: State, fraction: Callable[[State], float], after_step: Callable[[State, float], None]
) -> State:
    """Train until ``fraction(state)`` reaches 1.

    Args:
        task: what to train.
        state: a new one, or one from a checkpoint.
        fraction: how much of the task is done, 0-1; the learning rate follows it down.
        after_step: called with the state and the loss after each step; may raise to stop.

    Returns:
        The same state, trained.

    Raises:
        WetgateError: the checkpoint is of another network.
    """
    task.begin()
    if not state.weights:
        state.weights = {name: torch.from_numpy(value) for name, value in task.initial_weights().items()}
        state.means = {name: torch.zeros_like(value) for name, value in state.weights.items()}
        state.squares = {name: torch.zeros_like(value) for name, value in state.weights.items()}
    elif {k: v.shape for k, v in state.weights.items()} != {k: v.shape for k, v in task.initial_weights().items()}:
        raise WetgateError("This run was started by another version of Wetgate: train without --resume.")
    for tensors in (state.weights, state.means, state.squares):
        for name, value in tensors.items():
            tensors[name] = value.detach().to(task.device).clone(memory_format=_memory_format(value))
    for value in state.weights.values():
        value.requires_grad_()
    state.good = state.good or _snapshot(state)
    while (done := fraction(state)) < 1:
        generator = np.random.default_rng((task.seed, task.index, state.step))
        rate = task.rate * state.rate_scale * min(1.0, (state.step + 1) / WARM_UP_STEPS)
        loss, gradients = task.gradients(state.weights, generator)
        _adamw(state, gradients, rate * (0.5 + 0.5 * math.cos(math.pi * done)), task.decay)
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


@torch.no_grad()
def _adamw(state: State, gradients: dict[str, Tensor], rate: float, decay: float) -> None:
    """One step of AdamW (Loshchilov & Hutter 2019). torch.optim would take two seconds to import."""
    slow, fast = MOMENTS
    correction = math.sqrt(1 - fast ** (state.step + 1)) / (1 - slow ** (state.step + 1))
    for name, weight in state.weights.items():
        gradient, mean, square = gradients[name], state.means[name], state.squares[name]
        mean.lerp_(gradient, 1 - slow)
        square.lerp_(gradient * gradient, 1 - fast)
        weight.mul_(1 - rate * decay).addcdiv_(mean, square.sqrt().add_(EPSILON), value=-rate * correction)


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


def gains_from_bfloat16(device: str) -> bool:
    """Whether convolutions run faster in bfloat16 there."""
    return device == "cuda" or torch.ops.mkldnn._is_mkldnn_bf16_supported()


def _memory_format(value: Tensor) -> torch.memory_format:
    return torch.channels_last if value.dim() == 4 else torch.contiguous_format
