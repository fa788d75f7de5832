"""Bands of detail, and what a restored band is made of: detail, and the scan's own grain."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wetgate.training.blur import blur

Array = NDArray[np.float32]

CUTS = (1.0, 2.0, 4.0)
"""Sigmas, in pixels, that end the bands: up to 1, 1 to 2, 2 to 4."""


@dataclass(frozen=True)
class Curve:
    """A line through points: its values at rising knots, level before the first one and after the last."""

    knots: tuple[float, ...]
    values: tuple[float, ...]

    def apply(self, ops: Any, x: Any) -> Any:
        answer = None
        for left, right, low, high in zip(self.knots, self.knots[1:], self.values, self.values[1:], strict=False):
            run = ops.at_most(ops.at_least(ops.affine(x, 1.0, -left), 0.0), right - left)
            rise = ops.affine(run, (high - low) / (right - left), low if answer is None else 0.0)
            answer = rise if answer is None else ops.add(answer, rise)
        if answer is None:
            answer = ops.affine(ops.at_most(ops.at_least(x, 0.0), 0.0), 1.0, self.values[0])
        return answer


@dataclass(frozen=True)
class Grain:
    """What restored bands are made of, one entry a band.

    Attributes:
        gains: of the restored detail.
        shares: how much of the scan's band is the restored detail, and therefore no grain.
        strengths: of the scan's grain, by low-passed seen luma.
        most: largest grain, in seen luma; what is larger is dust.
    """

    gains: tuple[float, ...]
    shares: tuple[float, ...]
    strengths: tuple[Curve, ...]
    most: tuple[float, ...]


def split(ops: Any, luma: Any) -> tuple[list[Any], Any]:
    """The bands of a picture [N, 1, H, W], finest first, and what is left of it."""
    bands, before, sigma = [], luma, 0.0
    for cut in CUTS:
        after = blur(ops, before, math.sqrt(cut**2 - sigma**2), 1)
        bands.append(ops.subtract(before, after))
        before, sigma = after, cut
    return bands, before


def sharpen(ops: Any, luma: Any, gains: Sequence[float]) -> Any:
    """What is to be added to a picture for each of its bands to have its gain, which is counted from 0."""
    bands, _ = split(ops, luma)
    added = [ops.affine(band, gain, 0.0) for band, gain in zip(bands, gains, strict=True)]
    return ops.add(ops.add(added[0], added[1]), added[2])


def with_grain(ops: Any, restored: Any, scan: Any, grain: Grain) -> Any:
    """Restored luma with its bands at the grain's gains, and with the scan's grain; all [N, 1, H, W]."""
    details, rest = split(ops, restored)
    seen, _ = split(ops, scan)
    answer = rest
    for band, (detail, own) in enumerate(zip(details, seen, strict=True)):
        answer = ops.add(answer, ops.affine(detail, grain.gains[band], 0.0))
        strength = grain.strengths[band]
        if any(strength.values):
            specks = leftover(ops, own, detail, grain.shares[band], grain.most[band])
            answer = ops.add(answer, ops.multiply(specks, strength.apply(ops, rest)))
    return answer


def leftover(ops: Any, own: Any, detail: Any, share: float, most: float) -> Any:
    """What of a scan's band the restored detail does not account for, dust cut down."""
    return ops.at_most(ops.at_least(ops.subtract(own, ops.affine(detail, share, 0.0)), -most), most)
