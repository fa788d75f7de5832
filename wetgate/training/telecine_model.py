"""The telecine model: what happens to a frame between `frames` and `restored`, written once.

One or two steps, each a linear map that is solved and a network that adds to its answer. The first draws what a video
of the film still shows; it works at the fineness of that video, where a pixel stands for a square of the scan's, so
that it sees far and costs little. The second goes on from the first's answer, at the fineness of the good film, and
looks at the scan once more for what the video never held.

Everything is the same at every place of the frame: nothing tells a network where it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wetgate.images import LUMA
from wetgate.training import residual_net, telecine_features
from wetgate.training.density import from_density, to_density
from wetgate.training.operations import Numpy

Array = NDArray[np.float32]

DRAWN = np.float32(0.2)
"""Display values that the network's answer counts in."""
RIDGE, PLAIN_RIDGE = 0.03, 1e-3
"""How far a solved map is drawn towards saying nothing, for features of unit variance and for a picture's channels."""
_FIT_PIXELS = 40_000
"""Pixels of a pair that the map is solved from."""
_THINNING = 7
AGREE_AROUND = 5
"""Pixels, at the step's fineness, around a place over which networks are compared."""
_LEAST_ENERGY = 1e-6


@dataclass(frozen=True)
class Step:
    """One learnt step.

    Attributes:
        reduction: pixels of the frame, along a side, to one that is drawn: 1, 2 or 4.
        tone: [f + 1, c], linear map from f features of the picture to its c restored channels, the shift last.
        levels: of the features (:mod:`wetgate.training.telecine_features`); empty where they are the reduced picture's
            own c channels.
        mean, scale: [k], of the k channels that the network sees: what it counts from.
        weights: of one or two networks (:mod:`wetgate.training.residual_net`), their names after "a." and "b."; empty
            where there is none.
        doubt: how many times the networks' agreement is squared: they count less the more of it, where they agree
            half; what both know by heart hardly suffers.
    """

    reduction: int
    tone: Array
    levels: Array
    mean: Array
    scale: Array
    weights: dict[str, Any] = field(default_factory=dict)
    doubt: int = 1

    @property
    def multiple(self) -> int:
        """What sides must be multiples of."""
        features = telecine_features.MULTIPLE if self.levels.size else 1
        first = members_of(self.weights)[:1]
        own = {name.removeprefix(first[0]): weight for name, weight in self.weights.items()} if first else {}
        return self.reduction * max(features, residual_net.multiple_of(own) if own else 1)


@dataclass(frozen=True)
class TelecineModel:
    """All numbers of a telecine model.

    Attributes:
        encoding: of the frames: "display", "linear" or "log".
        grey: whether film and references are black-and-white; then luma alone is restored, and the answer is grey.
        radius: frames before and after that the first step sees.
        steps: one or two.
        looks_back: whether the second step sees the scan beside the first one's answer.
    """

    encoding: str
    grey: bool
    radius: int
    steps: Sequence[Step]
    looks_back: bool = True

    @property
    def channels(self) -> int:
        """Of a picture inside: 1 where all is grey, else 3."""
        return 1 if self.grey else 3


@dataclass(frozen=True)
class Lesson:
    """A pair as a step learns from it; float32, display values.

    Attributes:
        number, frame: of the pair.
        picture: [c, H, W], what the step starts from.
        seen: [k, H, W], what the network sees, ``picture`` among it.
        target: [c, H, W], the reference.
        weight: [H, W] 0-1, how far each pixel counts.
    """

    number: int
    frame: int
    picture: Array
    seen: Array
    target: Array
    weight: Array


def forward(ops: Any, frames: Any, model: TelecineModel) -> Any:
    """Restored frames [N, 3, H, W] of scan frames [N, 3 * (2 * radius + 1), H, W], both in ``model.encoding``."""
    padded = ops.pad_to_multiple(frames, max(step.multiple for step in model.steps))
    seen = [taken_in(ops, ops.channels(padded, 3 * i, 3 * i + 3), model) for i in range(2 * model.radius + 1)]
    scan = answer = seen[model.radius]
    for number, step in enumerate(model.steps):
        if number > 0:
            seen = [answer, scan] if model.looks_back else [answer]
        answer = enlarged(ops, drawn(ops, answer, seen, step), step)
    return ops.crop_like(given_out(ops, answer, model), frames)


def taken_in(ops: Any, picture: Any, model: TelecineModel) -> Any:
    """Display values [N, c, H, W] of a picture [N, 3, H, W] as encoded; unclamped."""
    if model.encoding != "display":
        picture = from_density(ops, to_density(ops, picture, model.encoding), "display")
    return ops.convolve(picture, LUMA[None, :, None, None]) if model.grey else picture


def given_out(ops: Any, picture: Any, model: TelecineModel) -> Any:
    """A picture [N, 3, H, W] as encoded, of display values [N, c, H, W]."""
    if model.grey:
        picture = ops.convolve(picture, np.ones((3, 1, 1, 1), np.float32))
    if model.encoding == "display":
        return picture
    return from_density(ops, to_density(ops, picture, "display"), model.encoding)


def drawn(ops: Any, picture: Any, seen: Sequence[Any], step: Step) -> Any:
    """A step's answer [N, c, h, w], reduced, for the picture [N, c, H, W] that it starts from.

    Args:
        ops: where to compute (:mod:`wetgate.training.operations`).
        picture: display values; H and W multiples of ``step.multiple``.
        seen: what the network sees: pictures like it.
        step: its numbers.
    """
    answer = toned(ops, picture, step)
    return ops.add(answer, added(ops, seen, step)) if step.weights else answer


def added(ops: Any, seen: Sequence[Any], step: Step) -> Any:
    """What the networks add [N, c, h, w]; see :func:`drawn`.

    Two networks that learnt the same pairs, each for itself, say the same of what the pairs show and err differently
    on what they do not (Lakshminarayanan et al., "Simple and scalable predictive uncertainty estimation using deep
    ensembles", NIPS 2017). So their mean counts by how far they agree around a place.
    """
    answers = [answer_of_member(ops, seen, step, member) for member in members_of(step.weights)]
    if len(answers) == 1:
        return answers[0]
    first, second = answers
    common = ops.sum_channels(ops.multiply(first, second))
    squares = ops.sum_channels(ops.add(ops.multiply(first, first), ops.multiply(second, second)))
    common, energy = (ops.mean_around(x, AGREE_AROUND, AGREE_AROUND) for x in (common, squares))
    agreed = ops.divide(ops.affine(common, 2.0, 0.0), ops.affine(energy, 1.0, _LEAST_ENERGY))
    agreed = ops.at_most(ops.at_least(agreed, 0.0), 1.0)
    for _ in range(step.doubt):
        agreed = ops.multiply(agreed, agreed)
    return ops.multiply(ops.affine(ops.add(first, second), 0.5, 0.0), agreed)


def answer_of_member(ops: Any, seen: Sequence[Any], step: Step, member: str) -> Any:
    """What one network would add [N, c, h, w]."""
    gain = (1 / step.scale).astype(np.float32)
    shown = ops.concat(list(seen)) if len(seen) > 1 else seen[0]
    shown = ops.affine(shown, gain[:, None, None], (-step.mean * gain)[:, None, None])
    if step.reduction > 1:
        shown = ops.unshuffle(shown, step.reduction)
    own = {name.removeprefix(member): weight for name, weight in step.weights.items() if name.startswith(member)}
    return ops.affine(residual_net.apply(ops, shown, own), DRAWN, 0.0)


def members_of(weights: dict[str, Any]) -> tuple[str, ...]:
    """Prefixes of the names of each network's weights."""
    return tuple(dict.fromkeys(f"{name.partition('.')[0]}." for name in weights))


def toned(ops: Any, picture: Any, step: Step) -> Any:
    """What is solved of a step's answer; see :func:`drawn`."""
    kernel = np.ascontiguousarray(step.tone[:-1].T[:, :, None, None])
    return ops.convolve(features(ops, picture, step), kernel, step.tone[-1])


def features(ops: Any, picture: Any, step: Step) -> Any:
    """What the solved part of a step goes by: [N, f, h, w]."""
    if not step.levels.size:
        return reduced(ops, picture, step)
    return telecine_features.describe(ops, picture, step.tone.shape[1], step.reduction, step.levels)


def reduced(ops: Any, picture: Any, step: Step) -> Any:
    """A picture at the step's fineness."""
    for _ in range(step.reduction.bit_length() - 1):
        picture = ops.shrink(picture)
    return picture


def enlarged(ops: Any, picture: Any, step: Step) -> Any:
    """Back to the frame's size."""
    for _ in range(step.reduction.bit_length() - 1):
        picture = ops.enlarge(picture)
    return picture


def values_of(pixels: Array, model: TelecineModel) -> Array:
    """Display values [c, H, W] of a picture [H, W, 3] as encoded, as :func:`taken_in` gives them."""
    if model.encoding != "display":
        pixels = from_density(Numpy(), to_density(Numpy(), pixels, model.encoding), "display")
    values = (pixels @ LUMA)[None] if model.grey else pixels.transpose(2, 0, 1)
    return np.ascontiguousarray(values, np.float32)


def pixels_of(values: Array, model: TelecineModel) -> Array:
    """A picture [H, W, 3] as encoded, of display values [c, H, W], as :func:`given_out` gives it."""
    pixels = np.ascontiguousarray(np.broadcast_to(values, (3, *values.shape[1:])).transpose(1, 2, 0))
    if model.encoding == "display":
        return pixels
    return np.asarray(from_density(Numpy(), to_density(Numpy(), pixels, "display"), model.encoding), np.float32)


def plain_step(pictures: Sequence[Array], seen: Sequence[Array], reduction: int) -> Step:
    """A step that changes nothing yet, with the mean and spread of what a network will see.

    Args:
        pictures: [c, H, W] display values that the step starts from, one array a pair.
        seen: [k, H, W], what a network will see.
        reduction: see :class:`Step`.
    """
    channels = len(pictures[0])
    every = np.concatenate([picture.reshape(len(picture), -1)[:, ::_THINNING] for picture in seen], 1)
    return Step(
        reduction,
        np.eye(channels + 1, channels, dtype=np.float32),
        np.zeros(0, np.float32),
        every.mean(1, dtype=np.float64).astype(np.float32),
        (every.std(1, dtype=np.float64) + 1e-3).astype(np.float32),
    )


def reduced_array(picture: Array, reduction: int) -> Array:
    """A picture [c, H, W] reduced by averaging squares; a rest that fills none is left out."""
    height, width = (max(side // reduction, 1) * reduction for side in picture.shape[1:])
    short = ((0, 0), *((0, max(reduction - side, 0)) for side in picture.shape[1:]))
    whole = np.pad(picture, short, mode="edge")[:, :height, :width]
    small: Array = whole.reshape(-1, height // reduction, reduction, width // reduction, reduction).mean((2, 4))
    return small


@dataclass(frozen=True)
class Moments:
    """What a pair says about a linear map from features to its reference: sums over its pixels, float64.

    Attributes:
        features: [f + 1, f + 1], of products of the features and 1.
        towards: [f + 1, c], of their products with the reference.
    """

    features: NDArray[np.float64]
    towards: NDArray[np.float64]


def moments(features: Array, target: Array, weight: Array, reduction: int) -> Moments:
    """Of one pair; every pair counts by its pixels that count.

    Args:
        features: [f, h, w] at the step's fineness.
        target: [c, H, W] display values.
        weight: [H, W] 0-1.
        reduction: see :class:`Step`.
    """
    counted, wanted = (reduced_array(picture, reduction) for picture in (weight[None], target * weight))
    h, w = counted.shape[1:]
    step = max(round((h * w / _FIT_PIXELS) ** 0.5), 1)
    x, y, mass = (
        np.ascontiguousarray(picture[:, :h:step, :w:step]).reshape(len(picture), -1).astype(np.float64)
        for picture in (features, wanted / np.maximum(counted, 1e-6), counted)
    )
    x = np.concatenate([x, np.ones_like(mass)])
    return Moments((x * mass) @ x.T, (x * mass) @ y.T)


def solved(step: Step, seen: Sequence[Moments], levels: Array) -> Step:
    """The step with the linear map that its pairs ask for: ridge regression on standardised features.

    Args:
        step: which is changed.
        seen: of the pairs.
        levels: of the features; empty where they are the picture's own channels.
    """
    gram = np.sum([one.features for one in seen], axis=0)
    towards = np.sum([one.towards for one in seen], axis=0)
    mass = max(float(gram[-1, -1]), 1e-9)
    mean, aim = gram[-1, :-1] / mass, towards[-1] / mass
    cover = gram[:-1, :-1] / mass - np.outer(mean, mean)
    spread = np.sqrt(np.maximum(np.diag(cover), 0)) + 1e-4
    ridge = (RIDGE if levels.size else PLAIN_RIDGE) * np.eye(len(mean))
    right = (towards[:-1] / mass - np.outer(mean, aim)) / spread[:, None]
    slope = np.linalg.solve(cover / np.outer(spread, spread) + ridge, right) / spread[:, None]
    tone = np.concatenate([slope, (aim - mean @ slope)[None]])
    return replace(step, tone=np.asarray(tone, np.float32), levels=levels)
