"""What the loop trains for the detail recipe: the residual network, on crops of the pairs."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from wetgate.simulate.dust import Dust, damage_at
from wetgate.training import residual_net
from wetgate.training.gauge_bands import sharpen
from wetgate.training.gauge_model import GaugeModel, draw, with_contrast, without_contrast
from wetgate.training.gauge_samples import Sample
from wetgate.training.loop import gains_from_bfloat16
from wetgate.training.torch_operations import Torch

Array = NDArray[np.float32]

RATE = 2e-3
DECAY = 1e-2
PARTS, CROPS = 2, 4
"""A step's crops, in parts that are computed side by side, one thread each."""
SIDE = 64
INSET = 4
"""Pixels at a crop's edges that do not count: a film's frame goes on there."""
SPECKS = 24
"""Pictures of dust that crops are strewn with; every third crop is."""
_DUST = Dust(specks=14, hairs=0.7, sparkle=0, scratches=0, size_um=30)


@dataclass(frozen=True)
class GaugeTask:
    """One training of the residual network.

    Attributes:
        index: of the task in its run; part of the seed.
        model: whose contrast the network adds to.
        training: what it learns from.
        held_out: what judges it, perhaps empty.
        seed: of the run.
        device: "cpu" or "cuda".
        rate, decay: see :class:`wetgate.training.loop.Task`.
    """

    index: int
    model: GaugeModel
    training: Sequence[Sample]
    held_out: Sequence[Sample]
    seed: int
    device: str
    rate: float = RATE
    decay: float = DECAY
    _lessons: list[Tensor] = field(default_factory=list, init=False, repr=False, compare=False)
    _specks: list[Tensor] = field(default_factory=list, init=False, repr=False, compare=False)

    def initial_weights(self) -> dict[str, Array]:
        """A network that adds nothing to what was solved."""
        return residual_net.initial_weights(2 * self.model.radius + 1, 1, self.seed + self.index)

    def begin(self) -> None:
        """Put the samples on the device."""
        self._lessons[:] = [lesson(sample, self.model).to(self.device) for sample in self.training]
        planes = [damage_at(_DUST, 2 * SIDE, 2 * SIDE, 10.0, self.seed, index).lying for index in range(SPECKS)]
        self._specks[:] = [torch.from_numpy(plane).to(self.device) for plane in planes]

    def gradients(self, weights: dict[str, Tensor], generator: np.random.Generator) -> tuple[Tensor, dict[str, Tensor]]:
        """Mean squared error of detail, in the scan's standard deviations, and its gradients by weight."""
        batches = [self._draw(generator) for _ in range(PARTS)]

        def of_part(crops: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
            loss = self._loss(crops, weights)
            return loss.detach(), torch.autograd.grad(loss, list(weights.values()))

        losses, parts = zip(*_side_by_side().map(of_part, batches), strict=True)
        gradients = [torch.stack(of_one).mean(0) for of_one in zip(*parts, strict=True)]
        return torch.stack(losses).mean(), dict(zip(weights, gradients, strict=True))

    def validation(self, weights: dict[str, Tensor]) -> float | None:
        """Root of the mean squared error of seen luma on held-out samples; None without any."""
        if not self.held_out:
            return None
        total = 0.0
        with torch.no_grad():
            for sample in self.held_out:
                total += float(self._loss(lesson(sample.middle(), self.model)[None].to(self.device), weights))
        return self.model.scale * math.sqrt(total / len(self.held_out))

    def _loss(self, crops: Tensor, weights: dict[str, Tensor]) -> Tensor:
        count = 2 * self.model.radius + 1
        lumas = [crops[:, i : i + 1] for i in range(count)]
        start, target, weight = (crops[:, count + i : count + i + 1] for i in range(3))
        kind = torch.bfloat16 if gains_from_bfloat16(self.device) else torch.float32
        with torch.autocast(self.device, kind, enabled=kind != torch.float32):
            drawn = draw(Torch(), lumas, weights, self.model.mean, self.model.scale)
        added = sharpen(Torch(), lumas[self.model.radius], self.model.sharpening) + drawn.float()
        answer = start + without_contrast(Torch(), added)
        error = without_contrast(Torch(), answer - target) / self.model.scale
        inside = np.s_[:, :, INSET:-INSET, INSET:-INSET] if crops.shape[2] > 4 * INSET < crops.shape[3] else np.s_[:]
        return (weight * error**2)[inside].sum() / weight[inside].sum().clamp_min(1e-6)

    def _draw(self, generator: np.random.Generator) -> Tensor:
        """A batch of crops, mirrored at random, some with dust on scan and target: it is left as it is."""
        side = min(SIDE, *(min(lesson.shape[1:]) for lesson in self._lessons))
        crops = []
        for _ in range(CROPS):
            picture = self._lessons[int(generator.integers(len(self._lessons)))]
            crop = _cut(picture, side, generator)
            if generator.integers(3) == 0:
                plane = _cut(self._specks[int(generator.integers(SPECKS))][None], side, generator)
                level = self.model.mean + self.model.scale * float(generator.uniform(-3, 3))
                crop = crop.clone()
                start = 2 * self.model.radius + 1
                for channel in (self.model.radius, start, start + 1):  # this frame, with contrast, and the target
                    crop[channel] += plane[0] * (level - crop[channel])
            for side_to_side in (1, 2):
                if generator.integers(2):
                    crop = crop.flip(side_to_side)
            crops.append(crop)
        return torch.stack(crops)


def lesson(sample: Sample, model: GaugeModel) -> Tensor:
    """[2r+4, H, W]: the scan's frames, where the network starts, the target and its weight."""
    scan = torch.from_numpy(sample.scan)
    with torch.no_grad():
        start, _ = with_contrast(Torch(), scan[model.radius][None, None], model)
    others = [torch.from_numpy(plane)[None] for plane in (sample.target, sample.weight)]
    return torch.cat([scan, start[0], *others])


def _cut(picture: Tensor, side: int, generator: np.random.Generator) -> Tensor:
    top, left = (int(generator.integers(length - side + 1)) for length in picture.shape[1:])
    return picture[:, top : top + side, left : left + side]


@functools.cache
def _side_by_side() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(PARTS)
