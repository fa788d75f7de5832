"""What the loop trains for the colour recipe: the context network, on crops of the pairs."""

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

from wetgate.images import LUMA
from wetgate.training import context
from wetgate.training.color_model import ColorModel
from wetgate.training.loop import gains_from_bfloat16
from wetgate.training.samples import STEP, Sample
from wetgate.training.torch_operations import Torch, tensor

Array = NDArray[np.float32]

RATE = 1e-3
DECAY = 1e-2
BATCH = 8
"""Crops of a step, for each member of the network. Members are computed side by side, one thread each: on few cores
this beats threads inside every operation several times over."""
CROP = 64
EXPOSURE_NOISE = 0.1
"""Of the layers of every other drawn crop, in their standard deviations: the network must not lean on absolute values,
and must know the pairs as they are."""
VALIDATION_SIDE = 384


@dataclass(frozen=True)
class ContextTask:
    """One training of the context network.

    Attributes:
        index: of the task in its run; part of the seed.
        model: fit and kernels of the training samples; the network adds to them.
        training, training_weights: what it learns from.
        held_out, held_out_weights: what judges it, perhaps empty.
        width: channels of the network.
        seed: of the run.
        device: "cpu" or "cuda".
        rate, decay: see :class:`wetgate.training.loop.Task`.
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
    rate: float = RATE
    decay: float = DECAY
    _lessons: list[Lesson] = field(default_factory=list, init=False, repr=False, compare=False)

    def initial_weights(self) -> dict[str, Array]:
        """Of both members."""
        return context.initial_weights(self.width, self.seed + self.index)

    def begin(self) -> None:
        """Put the samples on the device."""
        self._lessons[:] = [
            Lesson(s, w, self.model, self.device) for s, w in zip(self.training, self.training_weights, strict=True)
        ]

    def gradients(self, weights: dict[str, Tensor], generator: np.random.Generator) -> tuple[Tensor, dict[str, Tensor]]:
        """Mean weighted absolute error of the members, each of its batch alone, and its gradients by weight."""
        batches = [self._draw(generator) for _ in context.MEMBERS]

        def of_member(member: str, crops: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
            own = {name: weight for name, weight in weights.items() if name.startswith(member)}
            error = countable(_answer(self, weights, member, crops) - crops[:, 6:9], self.model.protect)
            loss = (crops[:, 9:] * error.abs()).sum() / crops[:, 9].sum().clamp_min(1e-6)
            return loss.detach(), dict(zip(own, torch.autograd.grad(loss, list(own.values())), strict=True))

        losses, gradients = zip(*_side_by_side().map(of_member, context.MEMBERS, batches), strict=True)
        return torch.stack(losses).mean(), {name: value for own in gradients for name, value in own.items()}

    def validation(self, weights: dict[str, Tensor]) -> float | None:
        """Root of the weighted mean squared display error on the middle of the held-out samples."""
        if not self.held_out:
            return None
        total = mass = 0.0
        with torch.no_grad():
            for sample, weight in zip(self.held_out, self.held_out_weights, strict=True):
                rows, columns = (middle(side) for side in weight.shape)
                part = Sample(
                    **{**vars(sample), "scan": sample.scan[rows, columns], "target": sample.target[rows, columns]}
                )
                picture = Lesson(part, weight[rows, columns], self.model, self.device).picture[None]
                answers = [_answer(self, weights, member, picture) for member in context.MEMBERS]
                error = countable(torch.stack(answers).mean(0) - picture[:, 6:9], self.model.protect)
                total += float((picture[:, 9:] * error**2).sum())
                mass += float(picture[:, 9].sum())
        return math.sqrt(total / max(mass, 1e-9))

    def _draw(self, generator: np.random.Generator) -> Tensor:
        """A batch of crops, mirrored left to right at random (skies stay above), half of them a little off."""
        side = min(CROP, *(min(lesson.picture.shape[1:]) for lesson in self._lessons)) // STEP * STEP
        crops = []
        for _ in range(BATCH):
            picture = self._lessons[int(generator.integers(len(self._lessons)))].picture
            top, left = (generator.integers(length - side + 1) for length in picture.shape[1:])
            crop = picture[:, top : top + side, left : left + side]
            crops.append(crop.flip(2) if generator.integers(2) else crop)
        batch = torch.stack(crops)
        shift = generator.standard_normal((BATCH // 2, 3, 1, 1), np.float32) * self.model.scale[:, None, None]
        batch[::2, :3] += torch.from_numpy(EXPOSURE_NOISE * shift).to(self.device)
        return batch.contiguous(memory_format=torch.channels_last)


class Lesson:
    """A sample on the training device, with what the network adds to."""

    def __init__(self, sample: Sample, weight: Array, model: ColorModel, device: str) -> None:
        with torch.no_grad():
            half = tensor(sample.scan)
            base = half + torch.from_numpy(model.shift).view(1, 3, 1, 1)
            target = torch.pow(10.0, -tensor(sample.target))
        picture = torch.cat([torch.pow(10.0, -half), base, target, tensor(weight[..., None])], 1)
        for _ in range(model.coarser):
            picture = Torch().shrink(picture)
        rows, columns = (max(side // STEP * STEP, STEP) for side in picture.shape[2:])
        self.picture = Torch().pad_to_multiple(picture, STEP)[0, :, :rows, :columns].to(device)


@functools.cache
def _side_by_side() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(len(context.MEMBERS))


def _answer(task: ContextTask, weights: dict[str, Tensor], member: str, picture: Tensor) -> Tensor:
    """Display values of a member for pictures [N, 10, h, w]: scan, where the network starts, target, weight."""
    kind = torch.bfloat16 if gains_from_bfloat16(task.device) else torch.float32
    with torch.autocast(task.device, kind, enabled=kind != torch.float32):
        added = context.apply(Torch(), picture[:, :3], weights, member, task.model.mean, task.model.scale)
    return context.answer(Torch(), picture[:, 3:6], added.float(), member)


def countable(error: Tensor, protect: str) -> Tensor:
    """What counts of an error in display values: where luma is the scan's, only what is not luma."""
    if protect == "luma":
        luma = torch.from_numpy(LUMA).to(error).view(1, 3, 1, 1)
        error = error - (error * luma).sum(1, keepdim=True)
    return error


def middle(length: int) -> slice:
    side = min(length, VALIDATION_SIDE) // STEP * STEP
    start = (length - side) // 2 // STEP * STEP
    return slice(start, start + side)
