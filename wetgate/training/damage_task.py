"""What the loop trains for the damage recipe: finding and filling, side by side, on lessons that the film gives."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from wetgate.training import damage_model
from wetgate.training.damage_lessons import MARGIN, Lesson, make_lesson
from wetgate.training.damage_model import Seen, see
from wetgate.training.damage_scenes import Scene
from wetgate.training.density import FLARE
from wetgate.training.torch_operations import Torch

Array = NDArray[np.float32]
Value = TypeVar("Value")

RATE = 3e-3
DECAY = 1e-3
MOST_GRADIENT = 0.3
"""Length of a network's gradient; longer ones are shortened to it: a batch of rare lessons shall not undo others."""
BATCH, FILLING_BATCH = 8, 4
"""Crops that finding and filling learn from in a step; side by side, they then take about as long."""
CROP = 96
DOUBT, DOUBT_AROUND = 0.5, 2
"""Logit from which the network that a training starts from takes something of the film itself for damage, and pixels
around it that are in doubt, too."""
FALSE_SHARE = 1e-3
"""Of the pixels that no damage is near: what may be taken for damage at the threshold that is chosen, if any of
:data:`THRESHOLDS` takes so few."""
USUAL_SHARE = 1e-2
"""Of a film's pixels: what is damaged, where F1 is told. Lessons show more, so that much is learnt from each."""
NEAR = 8
"""False finds so many pixels around damage come with the damage; those farther away come with the film."""
JUDGED_EACH, JUDGED_ODD = 1, 0.1
"""Lessons of each window that judges. They show what is rare as rarely as it comes, or a threshold would be chosen
for it."""
THRESHOLDS = tuple(np.round(np.arange(2.25, 3.01, 0.25), 2).tolist())
"""Logits that the threshold is chosen from. None is lower: what the first network takes for damage in the film itself
is in doubt and not judged, so false finds there would not count. None is higher: a window or two that no motion can be
found for, as of a whip pan, would make it so strict that little is found in the rest of the film."""

_SHADE = 1e-2
_JUDGING = 1


@dataclass(frozen=True)
class Material:
    """Windows of the film to make lessons of.

    Attributes:
        windows: [2r+1, H, W, 3] each, display values; H and W multiples of the model's.
        scales: of damage on each, in pixels of a frame 640 wide.
    """

    windows: Sequence[Array]
    scales: Sequence[float]


@dataclass(frozen=True)
class Prepared:
    """Lessons as networks see them, [N, C, H, W] each, without the margin; in half precision until :func:`_batch`.

    Attributes:
        seen: the windows, neighbours laid over the middle frame.
        truth, label, weight: see :class:`wetgate.training.damage_lessons.Lesson`.
    """

    seen: Seen
    truth: Tensor
    label: Tensor
    weight: Tensor

    def part(self, rows: slice, columns: slice) -> Prepared:
        return self._each(lambda x: x[:, :, rows, columns])

    def flipped(self, axes: list[int]) -> Prepared:
        return self._each(lambda x: x.flip(axes))

    def halved(self) -> Prepared:
        return self._each(Tensor.half)

    def _each(self, change: Callable[[Tensor], Tensor]) -> Prepared:
        own = self.seen
        single = map(change, (own.start, own.evidence, own.screen))
        seen = Seen(change(own.frame), tuple(map(change, own.neighbours)), *single)
        return Prepared(seen, change(self.truth), change(self.label), change(self.weight))


@dataclass
class DamageTask:
    """One training of both networks.

    Attributes:
        index: of the task in its run; part of the seed.
        material: what lessons are made of.
        held_out: the same, for judging; perhaps without windows.
        radius: frames before and after.
        lessons: how many are made.
        start: weights to start from, by name; empty for new ones. What they find in the film itself is in doubt: it is
            neither learnt as damage nor as clean.
        given: lessons that pairs give, in addition.
        obey: called after each lesson that is made; may raise to stop.
        seed: of the run.
        device: "cpu" or "cuda".
        rate, decay: see :class:`wetgate.training.loop.Task`.
    """

    index: int
    material: Material
    held_out: Material
    radius: int
    lessons: int
    seed: int
    device: str
    start: Mapping[str, Array] = field(default_factory=dict)
    given: Sequence[Lesson] = ()
    obey: Callable[[], None] = lambda: None
    rate: float = RATE
    decay: float = DECAY
    _lessons: list[Prepared] = field(default_factory=list, init=False, repr=False)
    _judging: list[Prepared] = field(default_factory=list, init=False, repr=False)

    def initial_weights(self) -> dict[str, Array]:
        """Of both networks, by "finding.NAME" and "filling.NAME"."""
        if self.start:
            return dict(self.start)
        both = damage_model.initial_weights(self.radius, self.seed + self.index)
        return {f"{net}.{key}": one for net, own in zip(_LOSSES, both, strict=True) for key, one in own.items()}

    def begin(self) -> None:
        """Make the lessons; the same ones after a resume."""
        self._lessons = self._made(self.material, self.lessons, 0)
        self._lessons += [prepared(lesson, self.radius, self.device) for lesson in self.given]
        self._judging = self._made(self.held_out, JUDGED_EACH * len(self.held_out.windows), _JUDGING)

    def gradients(self, weights: dict[str, Tensor], generator: np.random.Generator) -> tuple[Tensor, dict[str, Tensor]]:
        """The sum of both networks' losses, and its gradients by weight."""
        drawn = [
            self._draw(generator, BATCH, on_damage=False),
            self._draw(generator, FILLING_BATCH, on_damage=True),
        ]

        def of_one(net: str, batch: Prepared) -> tuple[Tensor, dict[str, Tensor]]:
            own = {key: value for key, value in weights.items() if key.startswith(net)}
            loss = _LOSSES[net](batch, parted(own, net))
            found = torch.autograd.grad(loss, list(own.values()))
            length = torch.stack([one.square().sum() for one in found]).sum().sqrt()
            share = (MOST_GRADIENT / length.clamp_min(1e-12)).clamp_max(1.0)
            return loss.detach(), {key: one * share for key, one in zip(own, found, strict=True)}

        losses, gradients = zip(*_side_by_side().map(of_one, _LOSSES, drawn), strict=True)
        return torch.stack(losses).sum(), {name: value for own in gradients for name, value in own.items()}

    @torch.no_grad()
    def validation(self, weights: dict[str, Tensor]) -> float | None:
        """The finding network's loss on the middle of a few windows that no lesson was made of: often asked for."""
        if not self._judging:
            return None
        sides = [min(lesson.truth.shape[axis] for lesson in self._judging) for axis in (2, 3)]
        few = self._judging[:: math.ceil(len(self._judging) / BATCH)]
        middle = [slice((side - min(side, CROP)) // 2, (side + min(side, CROP)) // 2) for side in sides]
        parts = _batch([lesson.part(*middle) for lesson in few])
        return float(_finding_loss(parts, parted(weights, "finding")))

    @torch.no_grad()
    def judged(self, weights: dict[str, Tensor]) -> dict[str, float]:
        """What held-out windows say: "threshold", and there "f1", "false_share", "psnr" in damage.

        They are told for a film of which :data:`USUAL_SHARE` is damaged; the false share is of pixels that no damage is
        near.
        """
        scores, kinds, squares = [], [], []
        for lesson in map(_batch, zip(self._judging)):
            score = damage_model.dirt(Torch(), lesson.seen, parted(weights, "finding"))
            filled = damage_model.fill(Torch(), lesson.seen, lesson.label, parted(weights, "filling"))
            certain = lesson.weight > 0.5
            near = F.max_pool2d(lesson.label, 2 * NEAR + 1, stride=1, padding=NEAR)
            scores.append(score[certain])
            kinds.append((lesson.label + near)[certain])
            squares.append(((filled - lesson.truth) ** 2).mean(1, keepdim=True)[certain & (lesson.label > 0.5)])
        score, kind, square = torch.cat(scores), torch.cat(kinds), torch.cat(squares)
        far, near, damaged = (score[kind == at] for at in range(3))
        judged = [_found(damaged, near, far, threshold) for threshold in THRESHOLDS]
        rare = [one for one in judged if one["false_share"] <= FALSE_SHARE]
        best = max(rare, key=lambda one: one["f1"]) if rare else min(judged, key=lambda one: one["false_share"])
        return best | {"psnr": -10 * math.log10(max(float(square.mean()) if len(square) else 1.0, 1e-10))}

    @torch.no_grad()
    def shown(self, weights: dict[str, Tensor], threshold: float) -> list[tuple[Array, Array, Array]]:
        """Held-out windows as damaged, as repaired and as they were: display values [H, W, 3], flare taken off."""
        found = []
        for lesson in map(_batch, zip(self._judging)):
            hole = (damage_model.dirt(Torch(), lesson.seen, parted(weights, "finding")) > threshold).float()
            filled = damage_model.fill(Torch(), lesson.seen, hole, parted(weights, "filling"))
            restored = torch.where(hole > 0, filled, lesson.seen.frame)
            pictures = (lesson.seen.frame, restored, lesson.truth)
            scan, repaired, truth = ((one[0].permute(1, 2, 0).cpu().numpy() - np.float32(FLARE)) for one in pictures)
            found.append((scan, repaired, truth))
        return found

    def _made(self, material: Material, count: int, use: int) -> list[Prepared]:
        odd = JUDGED_ODD if use == _JUDGING else 1.0
        finding = {key: torch.from_numpy(one).to(self.device) for key, one in parted(self.start, "finding").items()}
        suspects = _side_by_side().map(lambda one: doubtful(one, self.radius, finding, self.device), material.windows)
        scenes = list(map(Scene, material.windows, suspects))

        def make(number: int) -> Prepared:
            random = np.random.default_rng((self.seed, self.index, use, number))
            at = number % len(scenes)
            lesson = make_lesson(scenes, at, random, scale=material.scales[at], odd=odd)
            return prepared(lesson, self.radius, self.device)

        lessons = []
        for lesson in _side_by_side().map(make, range(count)):
            lessons.append(lesson)
            self.obey()
        return lessons

    def _draw(self, generator: np.random.Generator, count: int, *, on_damage: bool) -> Prepared:
        """So many crops, flipped at random; with ``on_damage`` each of them around some damage, if there is any."""
        least = min(min(lesson.truth.shape[2:]) for lesson in self._lessons)
        side = min(CROP, least) // damage_model.MULTIPLE * damage_model.MULTIPLE
        crops = []
        for _ in range(count):
            lesson = self._lessons[int(generator.integers(len(self._lessons)))]
            sides = lesson.truth.shape[2:]
            places = [int(generator.integers(length - side + 1)) for length in sides]
            if on_damage:
                damaged = lesson.label[0, 0].nonzero()
                if len(damaged):
                    spot = damaged[int(generator.integers(len(damaged)))].tolist()
                    aside = generator.integers(side // 4, 3 * side // 4 + 1, 2)
                    places = [
                        int(np.clip(y - off, 0, length - side))
                        for y, off, length in zip(spot, aside, sides, strict=True)
                    ]
            crop = lesson.part(*(slice(place, place + side) for place in places))
            crops.append(crop.flipped([axis for axis in (2, 3) if generator.integers(2)]))
        return _batch(crops)


def parted(weights: Mapping[str, Value], net: str) -> dict[str, Value]:
    """The weights of one network by the names that it has for them."""
    return {key.removeprefix(f"{net}."): value for key, value in weights.items() if key.startswith(f"{net}.")}


@torch.no_grad()
def prepared(lesson: Lesson, radius: int, device: str) -> Prepared:
    """A lesson on the device, its margin cut off."""
    values = _values(lesson.frames, device)
    planes = [torch.from_numpy(one.copy())[None, None].to(device) for one in (lesson.label, lesson.weight)]
    truth = torch.from_numpy(lesson.truth.transpose(2, 0, 1)[None].copy()).to(device)
    inside = slice(MARGIN, -MARGIN)
    return Prepared(see(Torch(), values, radius), truth, *planes).part(inside, inside).halved()


@torch.no_grad()
def doubtful(window: Array, radius: int, finding: dict[str, Tensor], device: str = "cpu") -> Array:
    """[H, W] 1 where a window may be damaged by itself, as far as a finding network can tell; 0 without one."""
    if not finding:
        return np.zeros(window.shape[1:3], np.float32)
    seen = see(Torch(), _values(window, device), radius)
    found = (damage_model.dirt(Torch(), seen, finding) > DOUBT).float()
    around = F.max_pool2d(found, 2 * DOUBT_AROUND + 1, stride=1, padding=DOUBT_AROUND)
    return np.asarray(around[0, 0].cpu().numpy())


def _values(window: Array, device: str) -> Tensor:
    """[1, 3 * (2r+1), H, W] of a window, as the model sees it."""
    stacked = torch.from_numpy(np.ascontiguousarray(window.transpose(0, 3, 1, 2)))
    values = stacked.reshape(1, -1, *stacked.shape[2:]).to(device)
    return values.clamp(damage_model.LEAST, damage_model.MOST)


def _found(damaged: Tensor, near: Tensor, far: Tensor, threshold: float) -> dict[str, float]:
    """What a threshold finds, of the scores of damaged pixels, of clean ones near to them, and of those far away."""
    hits, beside, false = (float((one > threshold).sum()) for one in (damaged, near, far))
    share = false / max(len(far), 1)
    right, wrong = USUAL_SHARE * hits, USUAL_SHARE * beside + (1 - USUAL_SHARE) * share * len(damaged)
    f1 = 2 * right / max(right + wrong + USUAL_SHARE * len(damaged), 1e-9)
    return {"threshold": threshold, "f1": f1, "false_share": share}


def _finding_loss(batch: Prepared, weights: dict[str, Tensor]) -> Tensor:
    answer = damage_model.find(Torch(), batch.seen, weights)
    each = F.binary_cross_entropy_with_logits(answer, batch.label, reduction="none")
    return (each * batch.weight).sum() / batch.weight.sum().clamp_min(1.0)


def _filling_loss(batch: Prepared, weights: dict[str, Tensor]) -> Tensor:
    """Charbonnier error where damage is and around it, as the artist's brush goes around it."""
    holes = []
    for at, label in enumerate(batch.label):
        wider = at % 3
        holes.append(F.max_pool2d(label[None], 2 * wider + 1, stride=1, padding=wider) if wider else label[None])
    hole = torch.cat(holes)
    error = damage_model.fill(Torch(), batch.seen, hole, weights) - batch.truth
    each = ((error * error).sum(1, keepdim=True) + _SHADE**2).sqrt() - _SHADE
    return (each * hole).sum() / hole.sum().clamp_min(1.0)


_LOSSES: dict[str, Callable[[Prepared, dict[str, Tensor]], Tensor]] = {
    "finding": _finding_loss,
    "filling": _filling_loss,
}


def _batch(parts: Sequence[Prepared]) -> Prepared:
    def join(*tensors: Tensor) -> Tensor:
        return torch.cat(tensors).float().contiguous(memory_format=torch.channels_last)

    seen = Seen(
        join(*(part.seen.frame for part in parts)),
        tuple(join(*same) for same in zip(*(part.seen.neighbours for part in parts), strict=True)),
        join(*(part.seen.start for part in parts)),
        join(*(part.seen.evidence for part in parts)),
        join(*(part.seen.screen for part in parts)),
    )
    truth, label, weight = zip(*((part.truth, part.label, part.weight) for part in parts), strict=True)
    return Prepared(seen, join(*truth), join(*label), join(*weight))


@functools.cache
def _side_by_side() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(len(_LOSSES))
