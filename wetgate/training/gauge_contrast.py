"""Contrast that a copy has lost, from kernels on what a place looks like.

How much lighter or darker a reference is follows, within one shot, a curve of luma; each shot has its own, for each
was graded. So a place is told by its luma, by its surround's, and by the strength of its texture at several scales,
and kernels carry the difference (kernel ridge regression on inducing points, as in :mod:`wetgate.training.kernels`,
whose graph this shares). It is solved, not trained, and fades to no change where a place is unlike all pairs.

Wide kernels say of any place what the pairs say on the whole; they are for pairs that foretell one another. Where these
do not, each is remembered for itself (:mod:`wetgate.training.memory`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wetgate.training import memory
from wetgate.training.blur import blur
from wetgate.training.gauge_bands import Curve
from wetgate.training.kernels import Kernels, drawn, solved
from wetgate.training.memory import Memory

Array = NDArray[np.float32]
Matrix = NDArray[np.float64]

MULTIPLE = 16
NARROW, WIDE = 0.3, 0.8
"""Widths of kernels, in standard deviations of luma and in units of the texture features."""
AROUND = 16
"""See :class:`wetgate.training.memory.Memory`."""
SURE = 0.45
"""Trust from which a place is remembered. At the edges, which say nothing themselves, it is a half."""
CENTRES = 512
"""Of wide kernels."""
KNOTS = 12
_RIDGE = 0.02
_SAMPLES = 12_000
_TEXTURE = (1.0, 0.5, 0.5, 0.5)
"""What a natural logarithm of texture counts for."""
_LEAST_TEXTURE = 2e-3
"""In seen luma."""


@dataclass(frozen=True)
class Contrast:
    """Of any place: what luma itself foretells, pixel by pixel, and kernels for what that leaves."""

    kernels: Kernels
    curve: Curve


def features(ops: Any, luma: Any) -> Any:
    """What each place looks like: [N, 7, h, w] at an eighth of the size, for seen luma [N, 1, H, W].

    Luma, its surround at two scales, and the logarithm of the local spread in four bands. H and W are multiples of
    :data:`MULTIPLE`.
    """
    eighth = reduce(ops, luma)
    sixteenth = ops.shrink(eighth)
    fine = blur(ops, luma, 1.0, 1)
    middle = blur(ops, fine, 3.0, 1)
    near, far = blur(ops, sixteenth, 0.7, 1), blur(ops, sixteenth, 2.0, 1)
    spreads = [
        ops.shrink(reduce(ops, _square(ops, ops.subtract(luma, fine)))),
        ops.shrink(reduce(ops, _square(ops, ops.subtract(fine, middle)))),
        ops.shrink(_square(ops, ops.subtract(eighth, ops.enlarge(near)))),
        _square(ops, ops.subtract(near, far)),
    ]
    texture = blur(ops, ops.concat(spreads), 1.5, 4)
    texture = ops.affine(ops.log(ops.affine(texture, 1.0, _LEAST_TEXTURE**2)), 0.5, 0.0)
    return ops.concat([eighth, ops.enlarge(ops.concat([near, far, texture]))])


def reduce(ops: Any, picture: Any) -> Any:
    """To an eighth of the size."""
    return ops.shrink(ops.shrink(ops.shrink(picture)))


def enlarge(ops: Any, picture: Any) -> Any:
    """To eight times the size."""
    return ops.enlarge(ops.enlarge(ops.enlarge(picture)))


def low(ops: Any, picture: Any) -> Any:
    """What of a picture [N, 1, H, W] is contrast and not detail, at an eighth of the size."""
    return blur(ops, reduce(ops, picture), 1.0, 1)


def wide(seen: Sequence[Array], missing: Sequence[Array], weights: Sequence[Array], seed: int) -> Kernels:
    """Kernels that speak of any place.

    Args:
        seen: [n, 7] of :func:`features`, one array a pair.
        missing: [n, 1] seen luma that the reference has more than the scan there.
        weights: [n] importance of each place.
        seed: of the choice of samples.
    """
    x, y, w = drawn(seen, missing, weights, _SAMPLES, seed)
    mean, scale = x.mean(0), _scale(seen, WIDE)
    x = (x - mean) * scale
    return solved(x, y, w, x[np.random.default_rng(seed).permutation(len(x))[:CENTRES]], mean, scale, _RIDGE)


def remembered(seen: Sequence[Array], missing: Sequence[Array], weights: Sequence[Array], seed: int) -> Memory:
    """Of places that look like the pairs', of which those count that are trusted; arguments as for :func:`wide`."""
    sure = [weight >= SURE if (weight >= SURE).any() else weight >= 0 for weight in weights]
    seen, missing = ([one[own] for one, own in zip(every, sure, strict=True)] for every in (seen, missing))
    return memory.fit(seen, missing, _scale(seen, NARROW), ridge=_RIDGE, around=AROUND, seed=seed)


def _scale(seen: Sequence[Array], width: float) -> Matrix:
    luma = np.concatenate([places[:, 0] for places in seen]).astype(np.float64)
    return np.array([1 / (luma.std() + 1e-3)] * 3 + list(_TEXTURE)) / width


def curve_of(luma: Sequence[Array], missing: Sequence[Array], weights: Sequence[Array]) -> Curve:
    """What is missing on average by luma: least squares on hat functions, a little drawn to a smooth line.

    Args:
        luma, missing, weights: [n] of pixels, one array a pair.
    """
    x, y, w = (np.concatenate(parts).astype(np.float64) for parts in (luma, missing, weights))
    first, last = float(np.quantile(x, 0.001)), float(np.quantile(x, 0.999))
    knots = np.linspace(first, max(last, first + 1e-2), KNOTS)
    place = np.clip((x - knots[0]) / (knots[1] - knots[0]), 0, len(knots) - 1 - 1e-9)
    left, share = place.astype(int), place % 1
    gram, towards = np.zeros((len(knots), len(knots))), np.zeros(len(knots))
    for first, amount in ((left, 1 - share), (left + 1, share)):
        towards += np.bincount(first, w * amount * y, len(knots))
        for second, other in ((left, 1 - share), (left + 1, share)):
            flat = np.bincount(first * len(knots) + second, w * amount * other, len(knots) ** 2)
            gram += flat.reshape(gram.shape)
    bend = np.diff(np.eye(len(knots)), 2, axis=0)
    even = 1e-3 * np.trace(gram) / len(knots)
    solved = np.linalg.solve(gram + even * (bend.T @ bend) + 1e-3 * even * np.eye(len(knots)), towards)
    return Curve(tuple(map(float, knots)), tuple(map(float, solved)))


def _square(ops: Any, x: Any) -> Any:
    return ops.multiply(x, x)
