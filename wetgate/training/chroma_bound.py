"""Hue and saturation never leave what the references show.

Where colour is inferred, a network's slip must not paint a colour that nobody chose. Around the hue circle it is noted
how saturated the references are; what a model answers is drawn towards grey of the same luma until it lies inside.
Saturation is chroma over luma, so whatever multiplies all three channels, as the scan's grain and shading do, keeps it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wetgate.images import LUMA

Array = NDArray[np.float32]

HUES = 24
"""Directions around the hue circle at which saturation is noted; a colour counts for the two that it lies between."""
MOST = 0.995
"""Of a hue's weight lies below the saturation that is noted: single stray pixels do not widen the bound."""
MARGIN = 1.05
LEAST_SHARE = 2e-4
"""Of the whole weight: a hue that the references show less of is not supported, and what has it turns grey."""
_SHARPNESS = 120.0
"""Of the interpolation between hues: 24 of them are 15 degrees apart, where exp(120 (cos - 1)) is 0.02."""
_LEAST_LUMA = 1e-3
FARTHEST = 6.0
"""Density to either side of 0 beyond which nothing lies that a picture shows; values there are numbers still."""
_TINY = 1e-6


@dataclass(frozen=True)
class ChromaBound:
    """``reach`` [HUES]: the largest saturation at each hue, from that of +Cb on towards +Cr."""

    reach: Array


def saturations(values: Array) -> Array:
    """Chroma over luma [..., 2] of display values, flare included [..., 3]: Cb and Cr of ITU-R BT.709 over luma."""
    return (values @ _TO_CHROMA.T) / np.maximum(values @ LUMA, _LEAST_LUMA)[..., None]


def fit(values: Sequence[Array], weights: Sequence[Array]) -> ChromaBound:
    """The bound that references support.

    Args:
        values: display values, flare included, [n, 3] each.
        weights: [n] each, how much a pixel counts.
    """
    chroma = np.concatenate([saturations(one.reshape(-1, 3)) for one in values])
    weight = np.concatenate([one.ravel() for one in weights]).astype(np.float64)
    length = np.linalg.norm(chroma, axis=1)
    sector = np.floor(np.arctan2(chroma[:, 1], chroma[:, 0]) / (2 * np.pi) * HUES).astype(np.int64) % HUES
    total = max(float(weight.sum()), 1e-12)
    reach = np.zeros(HUES, np.float32)
    for hue in range(HUES):
        inside = ((sector == hue) | (sector == (hue - 1) % HUES)) & (weight > 0)
        if weight[inside].sum() < LEAST_SHARE * total:
            continue
        order = np.argsort(length[inside])
        below = np.cumsum(weight[inside][order])
        index = min(int(np.searchsorted(below, MOST * below[-1])), len(order) - 1)
        reach[hue] = length[inside][order][index]
    return ChromaBound(reach * np.float32(MARGIN))


def apply(ops: Any, density: Any, bound: ChromaBound) -> Any:
    """A density [N, 3, H, W] whose saturation lies within the bound at its hue; luma and hue stay."""
    values = ops.exp(ops.affine(ops.at_least(density, -FARTHEST), -math.log(10), 0.0))
    luma = ops.at_least(ops.convolve(values, LUMA[None, :, None, None]), _LEAST_LUMA)
    chroma = ops.multiply(ops.convolve(values, _TO_CHROMA[:, :, None, None]), _reciprocal(ops, luma))
    square = ops.at_least(ops.sum_channels(ops.multiply(chroma, chroma)), _TINY**2)
    towards = ops.exp(ops.affine(ops.log(square), -0.5, 0.0))
    cosines = ops.multiply(ops.convolve(chroma, _DIRECTIONS[:, :, None, None]), towards)
    near = ops.exp(ops.affine(ops.subtract(cosines, ops.most_of_channels(cosines)), _SHARPNESS, 0.0))
    reach = ops.convolve(near, np.maximum(bound.reach, _TINY)[None, :, None, None].astype(np.float32))
    allowed = ops.multiply(reach, _reciprocal(ops, ops.sum_channels(near)))
    kept = ops.at_most(ops.multiply(allowed, towards), 1.0)
    grey = ops.concat([luma, luma, luma])
    inside = ops.add(grey, ops.multiply(ops.subtract(values, grey), kept))
    return ops.affine(ops.log(ops.at_least(inside, _LEAST_LUMA)), -1 / math.log(10), 0.0)


def _reciprocal(ops: Any, x: Any) -> Any:
    return ops.exp(ops.affine(ops.log(x), -1.0, 0.0))


_TO_CHROMA = np.array([(np.array([0, 0, 1]) - LUMA) / 1.8556, (np.array([1, 0, 0]) - LUMA) / 1.5748], np.float32)
_DIRECTIONS = np.array(
    [[math.cos(2 * math.pi * hue / HUES), math.sin(2 * math.pi * hue / HUES)] for hue in range(HUES)], np.float32
)
