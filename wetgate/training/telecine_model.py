"""The telecine model: what happens to a frame between `frames` and `restored`, written once.

One or two steps, each a tone and colour that are solved and a network that adds to them. The first draws what a video
of the film still shows; it works at the fineness of that video, where a pixel stands for a square of the scan's, so
that it sees far and costs little. The second goes on from the first's answer, at the fineness of the good film, and
looks at the scan once more for what the video never held.

Everything is the same at every place of the frame: nothing tells a network where it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wetgate.training import residual_net
from wetgate.training.color_model import LUMA
from wetgate.training.density import from_density, to_density
from wetgate.training.operations import Numpy

Array = NDArray[np.float32]

DRAWN = np.float32(0.2)
"""Display values that the network's answer counts in."""
RIDGE = 1e-3
"""How far the solved colours are drawn towards those of the scan, as a share of their energy."""
_FIT_PIXELS = 60_000
"""Pixels of a pair that its tone is solved from."""
_THINNING = 7


@dataclass(frozen=True)
class Step:
    """One learnt step.

    Attributes:
        reduction: pixels of the frame, along a side, to one that is drawn: 1, 2 or 4.
        tone: [c + 1, c], linear map of the reduced picture's c channels, the shift last.
        mean, scale: [k], of the k channels that the network sees: what it counts from.
        weights: of :mod:`wetgate.training.residual_net`, empty where there is no network.
    """

    reduction: int
    tone: Array
    mean: Array
    scale: Array
    weights: dict[str, Any] = field(default_factory=dict)

    @property
    def multiple(self) -> int:
        """What sides must be multiples of."""
        return self.reduction * (residual_net.multiple_of(self.weights) if self.weights else 1)


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
    answer = toned(ops, reduced(ops, picture, step), step)
    return ops.add(answer, added(ops, seen, step)) if step.weights else answer


def added(ops: Any, seen: Sequence[Any], step: Step) -> Any:
    """What the network adds [N, c, h, w]; see :func:`drawn`."""
    gain = (1 / step.scale).astype(np.float32)
    shown = ops.concat(list(seen)) if len(seen) > 1 else seen[0]
    shown = ops.affine(shown, gain[:, None, None], (-step.mean * gain)[:, None, None])
    if step.reduction > 1:
        shown = ops.unshuffle(shown, step.reduction)
    return ops.affine(residual_net.apply(ops, shown, step.weights), DRAWN, 0.0)


def toned(ops: Any, low: Any, step: Step) -> Any:
    """The tone and colour that are solved, of a reduced picture."""
    kernel = np.ascontiguousarray(step.tone[:-1].T[:, :, None, None])
    return ops.convolve(low, kernel, step.tone[-1])


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


def solved(
    pictures: Sequence[Array], seen: Sequence[Array], targets: Sequence[Array], weights: Sequence[Array], reduction: int
) -> Step:
    """A step without a network: the linear map from reduced pictures to reduced targets, by weighted least squares.

    Args:
        pictures: [c, H, W] display values that the step starts from, one array a pair.
        seen: [k, H, W], what a network will see; its mean and spread are noted.
        targets: [c, H, W], the references.
        weights: [H, W] 0-1.
        reduction: see :class:`Step`.
    """
    counted = [target * weight for target, weight in zip(targets, weights, strict=True)]
    x, y, w = (
        np.concatenate([_thinned(picture, reduction) for picture in part])
        for part in (pictures, counted, [weight[None] for weight in weights])
    )
    y = y / np.maximum(w, 1e-6)
    x = np.concatenate([x, np.ones((len(x), 1))], 1)
    strength = np.full(x.shape[1], RIDGE * float((w * x[:, :-1] ** 2).sum()) / y.shape[1] + 1e-9)
    strength[-1] = 1e-9
    ridge = np.diag(strength)
    tone = np.linalg.solve(x.T @ (w * x) + ridge, x.T @ (w * y) + ridge @ np.eye(x.shape[1], y.shape[1]))
    every = np.concatenate([picture.reshape(len(picture), -1)[:, ::_THINNING] for picture in seen], 1)
    return Step(
        reduction,
        np.asarray(tone, np.float32),
        every.mean(1, dtype=np.float64).astype(np.float32),
        (every.std(1, dtype=np.float64) + 1e-3).astype(np.float32),
    )


def _thinned(picture: Array, reduction: int) -> NDArray[np.float64]:
    """[n, c] some pixels of a picture [c, H, W], reduced by averaging."""
    channels, height, width = picture.shape
    rows, columns = height // reduction, width // reduction
    if not rows or not columns:
        return picture.reshape(channels, -1).T.astype(np.float64)
    whole = picture[:, : rows * reduction, : columns * reduction]
    small = whole.reshape(channels, rows, reduction, columns, reduction).mean((2, 4))
    step = max(round((rows * columns / _FIT_PIXELS) ** 0.5), 1)
    return np.asarray(small[:, ::step, ::step].reshape(channels, -1).T, np.float64)
