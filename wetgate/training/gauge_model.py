"""The gauge model: what happens to a frame's luma between `frames` and `restored`, written once.

A copy of a copy, or a smaller gauge, has lost fine detail, contrast, and the look of its grain. Detail is gains of
bands, solved, and what a residual network at full resolution adds to them; contrast comes from kernels
(:mod:`wetgate.training.gauge_contrast`); grain is the scan's own, band by band, as strong as was asked for
(:mod:`wetgate.training.gauge_grain`). No noise is made up.

All of it is one change of luma, added to the three channels alike: what the channels differ by, the chroma, stays as
it lies on the scan. Where the change would push a channel out of the range that files of whole numbers hold, and they
would clip it, it is held back.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from wetgate.images import LUMA
from wetgate.training import gauge_contrast, residual_net
from wetgate.training.density import from_density, to_density, to_values
from wetgate.training.gauge_bands import CUTS, Grain, sharpen, with_grain
from wetgate.training.gauge_contrast import Contrast
from wetgate.training.kernels import told
from wetgate.training.memory import Memory, recall
from wetgate.training.operations import Numpy

MULTIPLE = gauge_contrast.MULTIPLE
LEAST = 1e-3
"""Smallest seen value that scene-linear pictures are restored to."""


@dataclass(frozen=True)
class GaugeModel:
    """All numbers of a gauge model. As it is made, it gives the scan back.

    Attributes:
        encoding: of the frames: "display", "linear" or "log".
        radius: frames before and after that are looked at.
        mean, scale: of the scan's seen luma in the pairs.
        contrast: gives contrast back: of any place, or, as a memory, of places that the pairs show; or None.
        sharpening: gains, counted from 0, of the bands of detail.
        network: weights of the residual network that adds to them, empty where there is none.
        share: how much of what detail and grain change is taken, 0-1, where a place is not known from the pairs; where
            it is, all.
        grain: None to leave it as it comes.
    """

    encoding: str
    radius: int = 0
    mean: float = 0.5
    scale: float = 0.2
    contrast: Contrast | Memory | None = None
    sharpening: tuple[float, ...] = (0.0,) * len(CUTS)
    network: dict[str, Any] = field(default_factory=dict)
    share: float = 1.0
    grain: Grain | None = None

    def with_(self, **changes: Any) -> GaugeModel:
        return replace(self, **changes)


def seen(ops: Any, pixels: Any, encoding: str) -> Any:
    """Values as an eye weighs them: coded ones as they are, scene-linear ones gamma-coded, flare included."""
    return to_values(ops, to_density(ops, pixels, encoding)) if encoding == "linear" else pixels


def unseen(ops: Any, values: Any, encoding: str) -> Any:
    """The inverse of :func:`seen`."""
    if encoding != "linear":
        return values
    density = ops.affine(ops.log(ops.at_least(values, LEAST)), -1 / math.log(10), 0.0)
    return from_density(ops, density, encoding)


def luma(ops: Any, values: Any) -> Any:
    """[N, 1, H, W] of seen values [N, 3, H, W]."""
    return ops.convolve(values, LUMA[None, :, None, None])


def forward(ops: Any, frames: Any, model: GaugeModel) -> Any:
    """Restored frames [N, 3, H, W] of scan frames [N, 3 * (2r + 1), H, W], both in ``model.encoding``."""
    padded = ops.pad_to_multiple(frames, MULTIPLE)
    every = [ops.channels(padded, 3 * i, 3 * i + 3) for i in range(2 * model.radius + 1)]
    values = [seen(ops, frame, model.encoding) for frame in every]
    lumas = [luma(ops, frame) for frame in values]
    own, scan = values[model.radius], lumas[model.radius]
    start, known = with_contrast(ops, scan, model)
    restored = restore(ops, scan, start, detail(ops, lumas, model), known, model.grain, model.share)
    change = _held_back(ops, ops.subtract(restored, scan), own, model.encoding)
    answer = every[model.radius]
    if model.encoding == "linear":
        back = [unseen(ops, value, "linear") for value in (ops.add(own, change), own)]
        change = ops.subtract(*back)
    return ops.crop_like(ops.add(answer, change), frames)


def with_contrast(ops: Any, scan: Any, model: GaugeModel) -> tuple[Any, Any]:
    """The scan's luma with its contrast back, and how well known each place is (or None), both [N, 1, H, W]."""
    if model.contrast is None:
        return scan, None
    seen = gauge_contrast.features(ops, scan)
    if isinstance(model.contrast, Memory):
        added, known = recall(ops, seen, model.contrast)
        return ops.add(scan, gauge_contrast.enlarge(ops, added)), gauge_contrast.enlarge(ops, known)
    added = told(ops, seen, model.contrast.kernels)
    return ops.add(ops.add(scan, gauge_contrast.enlarge(ops, added)), model.contrast.curve.apply(ops, scan)), None


def detail(ops: Any, lumas: list[Any], model: GaugeModel) -> Any:
    """Detail to be added [N, 1, H, W], with nothing of contrast in it: gains of bands, and what a network adds."""
    drawn = sharpen(ops, lumas[model.radius], model.sharpening)
    if model.network:
        drawn = ops.add(drawn, draw(ops, lumas, model.network, model.mean, model.scale))
    return without_contrast(ops, drawn)


def draw(ops: Any, lumas: list[Any], weights: dict[str, Any], mean: float, scale: float) -> Any:
    """The network's answer in seen luma."""
    together = ops.concat(lumas) if len(lumas) > 1 else lumas[0]
    answer = residual_net.apply(ops, ops.affine(together, 1 / scale, -mean / scale), weights)
    return ops.affine(answer, scale, 0.0)


def without_contrast(ops: Any, picture: Any) -> Any:
    """What of a change [N, 1, H, W] is detail: whatever the kernels of contrast leave to others."""
    return ops.subtract(picture, gauge_contrast.enlarge(ops, gauge_contrast.low(ops, picture)))


def restore(ops: Any, scan: Any, start: Any, drawn: Any, known: Any, grain: Grain | None, share: float) -> Any:
    """Seen luma [N, 1, H, W]: all of what detail and grain change where a place is known, else a share of it.

    Args:
        ops: where to compute (:mod:`wetgate.training.operations`).
        scan: seen luma.
        start: with its contrast back.
        drawn: of :func:`detail`.
        known: [N, 1, H, W] 0-1, or None where that does not count.
        grain: None to leave it as it comes.
        share: 0-1.
    """
    restored = ops.add(start, drawn)
    if grain is not None:
        restored = with_grain(ops, restored, scan, grain)
    if share >= 1:
        return restored
    change = ops.subtract(restored, start)
    if known is None:
        return ops.add(start, ops.affine(change, share, 0.0))
    return ops.add(start, ops.multiply(change, ops.affine(known, 1 - share, share)))


def _held_back(ops: Any, change: Any, values: Any, encoding: str) -> Any:
    """The change, smaller where a channel would leave the range 0-1 of a file (or 0 of a scene-linear one)."""
    room = ops.at_least(ops.affine(ops.most_of_channels(ops.affine(values, -1.0, 0.0)), -1.0, -_black(encoding)), 0.0)
    change = ops.subtract(ops.at_least(ops.add(change, room), 0.0), room)
    if encoding == "linear":
        return change
    room = ops.at_least(ops.affine(ops.most_of_channels(values), -1.0, 1.0), 0.0)
    return ops.subtract(room, ops.at_least(ops.subtract(room, change), 0.0))


def _black(encoding: str) -> float:
    """The seen value of 0."""
    return float(seen(Numpy(), np.zeros(1, np.float32), encoding)[0])
