"""What the loop trains for the telecine recipe: one step's network, on crops of the pairs."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from wetgate.training import residual_net
from wetgate.training.loop import gains_from_bfloat16
from wetgate.training.telecine_model import Lesson, Moments, Step, added, drawn, enlarged, features, moments, reduced
from wetgate.training.torch_operations import Torch

Array = NDArray[np.float32]

RATE = 1e-3
DECAY = 1e-2
MEMBERS = ("a.", "b.")
"""Before the names of each network's weights. They are computed side by side, one thread each."""
BATCH = 4
"""Crops of a step, for each network."""
SIDES = {1: 96, 2: 192, 4: 256}
"""Of a crop, in pixels of the frame, by the step's reduction."""
WIDTHS = {1: (24, 48, 96), 2: (32, 48, 64, 96), 4: (32, 48, 64, 96, 128)}
"""Channels of a network at each level, by the step's reduction: few where pixels are many."""
LEAST_SHARE, TRIES = 0.3, 4
"""A crop should count on so much of it; so many are drawn for that."""
VALIDATION_SIDE = 512
DOUBTS = (0, 1, 2)
"""What held-out pairs choose from (:class:`wetgate.training.telecine_model.Step`). More would also take what networks
know of the paired frames themselves, where they agree to a tenth."""


@dataclass(frozen=True)
class TelecineTask:
    """One training of a step's network.

    Attributes:
        index: of the task in its run; part of the seed.
        step: tone and scale of the step; its network is what is trained.
        training: what it learns from.
        held_out: what judges it, perhaps empty.
        seed: of the run.
        device: "cpu" or "cuda".
        rate, decay: see :class:`wetgate.training.loop.Task`.
    """

    index: int
    step: Step
    training: Sequence[Lesson]
    held_out: Sequence[Lesson]
    seed: int
    device: str
    rate: float = RATE
    decay: float = DECAY
    _pictures: list[Tensor] = field(default_factory=list, init=False, repr=False, compare=False)
    _judging: list[Tensor] = field(default_factory=list, init=False, repr=False, compare=False)

    @property
    def widths(self) -> tuple[int, ...]:
        """Channels of the network at each level."""
        return WIDTHS[self.step.reduction]

    def initial_weights(self) -> dict[str, Array]:
        """A network that adds nothing."""
        lesson = self.training[0]
        inputs = len(lesson.seen) * self.step.reduction**2
        weights: dict[str, Array] = {}
        for number, member in enumerate(MEMBERS):
            seed = self.seed + self.index + 1000 * number
            own = residual_net.initial_weights(inputs, len(lesson.target), seed, self.widths)
            weights |= {f"{member}{name}": weight for name, weight in own.items()}
        return weights

    def begin(self) -> None:
        """Put the lessons on the device: solved answer, target, weight, seen as channels of one tensor each."""
        self._pictures[:] = [self._joined(lesson) for lesson in self.training]
        self._judging[:] = [self._joined(lesson) for lesson in self.held_out]

    def gradients(self, weights: dict[str, Tensor], generator: np.random.Generator) -> tuple[Tensor, dict[str, Tensor]]:
        """Mean weighted squared error in display values at the step's fineness, and its gradients by weight.

        Each network learns for itself, from crops of its own.
        """

        def of_member(member: str, crops: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
            own = {name: weight for name, weight in weights.items() if name.startswith(member)}
            squares = self._error(own, crops).square().sum() * self.step.reduction**2 / self._channels
            loss = squares / crops[:, 2 * self._channels].sum().clamp_min(1e-6)
            return loss.detach(), dict(zip(own, torch.autograd.grad(loss, list(own.values())), strict=True))

        batches = [self._draw(generator) for _ in MEMBERS]
        losses, gradients = zip(*_side_by_side().map(of_member, MEMBERS, batches), strict=True)
        return torch.stack(losses).mean(), {name: value for own in gradients for name, value in own.items()}

    def validation(self, weights: dict[str, Tensor]) -> float | None:
        """Root of the weighted mean squared display error on the middle of the held-out lessons."""
        return math.sqrt(self._held_out_error(weights, self.step.doubt)) if self.held_out else None

    def held_out_errors(self, weights: dict[str, Tensor]) -> list[float]:
        """Weighted mean squared display error on the middle of the held-out lessons, for each of ``DOUBTS``."""
        return [self._held_out_error(weights, doubt) for doubt in DOUBTS]

    def _held_out_error(self, weights: dict[str, Tensor], doubt: int) -> float:
        total = mass = 0.0
        with torch.no_grad():
            for picture in self._judging:
                rows, columns = (_middle(length, self._multiple) for length in picture.shape[1:])
                picture = picture[None, :, rows, columns]
                squares = float(self._error(weights, picture, doubt).square().sum())
                total += squares * self.step.reduction**2 / self._channels
                mass += float(picture[:, 2 * self._channels].sum())
        return total / max(mass, 1e-9)

    @property
    def _channels(self) -> int:
        return len(self.training[0].target)

    @property
    def _multiple(self) -> int:
        return self.step.reduction * int(2 ** (len(self.widths) - 1))

    def _joined(self, lesson: Lesson) -> Tensor:
        """[2c + 1 + k, H, W], padded to the multiple by what does not count."""
        height, width = lesson.weight.shape
        pads = ((0, 0), (0, -height % self._multiple), (0, -width % self._multiple))
        start = answer_of(replace(self.step, weights={}), lesson, self.device)
        start, target, seen = (np.pad(values, pads, mode="edge") for values in (start, lesson.target, lesson.seen))
        weight = np.pad(lesson.weight[None], pads)
        return torch.from_numpy(np.concatenate([start, target, weight, seen]).astype(np.float32)).to(self.device)

    def _error(self, weights: dict[str, Tensor], pictures: Tensor, doubt: int = 0) -> Tensor:
        """Times the root of the weight: [N, c, h, w] for joined pictures [N, 2c + 1 + k, H, W]."""
        c, ops = self._channels, Torch()
        start, target, weight, seen = torch.split(pictures, [c, c, 1, pictures.shape[1] - 2 * c - 1], 1)
        step = replace(self.step, weights=weights, doubt=doubt)
        kind = torch.bfloat16 if gains_from_bfloat16(self.device) else torch.float32
        with torch.autocast(self.device, kind, enabled=kind != torch.float32):
            more = added(ops, [seen], step)
        answer = reduced(ops, start, step) + more.float()
        counted = reduced(ops, weight, step)
        wanted = reduced(ops, target * weight, step) / counted.clamp_min(1e-6)
        return (answer - wanted) * counted.sqrt()

    def _draw(self, generator: np.random.Generator) -> Tensor:
        """Crops that mostly count, mirrored left to right at random (skies stay above)."""
        shortest = min(min(picture.shape[1:]) for picture in self._pictures)
        side = min(SIDES[self.step.reduction], shortest) // self._multiple * self._multiple
        crops = []
        for _ in range(BATCH):
            picture = self._pictures[int(generator.integers(len(self._pictures)))]
            for _ in range(TRIES):
                top, left = (int(generator.integers(length - side + 1)) for length in picture.shape[1:])
                crop = picture[:, top : top + side, left : left + side]
                if float(crop[2 * self._channels].mean()) >= LEAST_SHARE:
                    break
            crops.append(crop.flip(2) if generator.integers(2) else crop)
        return torch.stack(crops)


def moments_of(step: Step, lesson: Lesson, device: str = "cpu") -> Moments:
    """What a lesson says about the linear map of a step, whose levels and reduction are those of ``step``."""
    with torch.no_grad():
        described = features(Torch(), _padded(lesson.picture, step.multiple, device), step)[0].cpu().numpy()
    return moments(described, lesson.target, lesson.weight, step.reduction)


def answer_of(step: Step, lesson: Lesson, device: str = "cpu") -> Array:
    """A step's answer [c, H, W], at the frame's size, to a lesson's picture."""
    height, width = lesson.weight.shape
    ops = Torch()
    with torch.no_grad():
        picture, seen = (_padded(values, step.multiple, device) for values in (lesson.picture, lesson.seen))
        answer = enlarged(ops, drawn(ops, picture, [seen], step), step)[0, :, :height, :width]
    return np.ascontiguousarray(answer.cpu().numpy())


def _padded(values: Array, multiple: int, device: str) -> Tensor:
    """[1, c, H, W], its border repeated up to multiples."""
    height, width = values.shape[1:]
    pads = ((0, 0), (0, -height % multiple), (0, -width % multiple))
    return torch.from_numpy(np.pad(values, pads, mode="edge"))[None].to(device)


@functools.cache
def _side_by_side() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(len(MEMBERS))


def _middle(length: int, multiple: int) -> slice:
    side = min(length, VALIDATION_SIDE) // multiple * multiple
    start = (length - side) // 2
    return slice(start, start + side)
