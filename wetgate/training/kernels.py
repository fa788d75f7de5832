"""Gaussian kernels on what pixels look like, which carry what is missing there.

It is kernel ridge regression on inducing points (Rasmussen & Williams, Gaussian Processes for Machine Learning, 2006,
ch. 8.3): solved, not trained, and it fades to nothing by itself where a pixel is unlike everything in the pairs.
:func:`fit` takes the scan's low-passed density at two scales (a colour, and what surrounds it) and what the closed-form
fit lacks there.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]
Matrix = NDArray[np.float64]

CENTRES = 256
COVERED = 0.3
"""Widths of a kernel from a centre within which a point is covered."""
AT_ONCE = 64
"""Kernels that are computed together: what they take of memory decides how large a tile can be."""
_ROUNDING = 1e-6
"""For each sample: ten times what sums of single precision are off by."""
_SAMPLES = 16_000
_CANDIDATES = 4_000


@dataclass(frozen=True)
class Kernels:
    """Centres [M, F] in scaled features, weights [M, K] of what is carried, and how features are scaled.

    ``own`` is the similarity to the nearest centre that 95 % of the pairs' own pixels have: where colours are too many
    for the centres, it is low.
    """

    centres: Array
    weights: Array
    mean: Array
    scale: Array
    own: float


def fit(
    features: Sequence[Array],
    residual: Sequence[Array],
    weights: Sequence[Array],
    *,
    width: float,
    surround: float,
    ridge: float,
    seed: int,
) -> Kernels:
    """Solve for the kernels.

    Args:
        features: [n, 6] densities of scan pixels and of their surround, one array a pair.
        residual: [n, 3] density that the closed-form fit lacks there.
        weights: [n] importance of each pixel.
        width: of a kernel, in standard deviations of the scan's density.
        surround: how much the surround counts against the colour itself.
        ridge: how much noise is expected: larger is smoother.
        seed: of the choice of samples.
    """
    x, y, w = drawn(features, residual, weights, _SAMPLES, seed)
    mean = x.mean(0)
    spread = x[:, :3].std() + 1e-3
    scale = np.array([1.0] * 3 + [surround] * 3) / (spread * width)
    x = (x - mean) * scale
    candidates = x[np.random.default_rng(seed).permutation(len(x))[:_CANDIDATES]]
    return solved(x, y, w, spread_out(candidates, CENTRES), mean, scale, ridge)


def drawn(
    features: Sequence[Array], values: Sequence[Array], weights: Sequence[Array], count: int, seed: int
) -> tuple[Matrix, Matrix, Matrix]:
    """About ``count`` places, equally many of each pair: features [n, F], values [n, K], weights [n], each pair's 1 on
    average.
    """
    generator = np.random.default_rng(seed)
    share = max(count // len(features), 1)
    chosen = [generator.permutation(len(f))[:share] for f in features]
    together = [
        np.concatenate([one[i] for one, i in zip(every, chosen, strict=True)]).astype(np.float64)
        for every in (features, values, [one / max(float(one.mean()), 1e-12) for one in weights])
    ]
    return together[0], together[1], together[2]


def solved(x: Matrix, y: Matrix, w: Matrix, centres: Matrix, mean: Matrix, scale: Matrix, ridge: float) -> Kernels:
    """Ridge regression of ``y`` [n, K], which weigh ``w`` [n], on the similarity of ``x`` [n, F] to centres [M, F].

    Args:
        x, centres: in widths of a kernel, as ``mean`` and ``scale`` make them of features.
        ridge: how much noise is expected: larger is smoother.
    """
    root = np.sqrt(w)[:, None].astype(np.float32)
    nearness = similarity_of(x, centres)
    design = root * nearness
    gram = (design.T @ design).astype(np.float64)
    penalty = ridge / 100 * similarity_of(centres, centres).astype(np.float64) + _ROUNDING * np.eye(len(centres))
    solution = np.linalg.solve(gram + len(x) * penalty, (design.T @ (root * y.astype(np.float32))).astype(np.float64))
    own = float(np.quantile(nearness.max(axis=1), 0.05))
    single = np.float32
    return Kernels(centres.astype(single), solution.astype(single), mean.astype(single), scale.astype(single), own)


def spread_out(points: Matrix, count: int) -> Matrix:
    """``count`` of the points [n, F] at the most, far from each other, until none is left uncovered.

    Farthest-point sampling (Gonzalez, "Clustering to minimize the maximum intercluster distance", Theoretical Computer
    Science 38, 1985).

    Args:
        points: in widths of a kernel.
        count: at least 1.
    """
    near = (points - points.mean(0)).astype(np.float32)
    squares = (near**2).sum(1)
    chosen = [0]
    distance = np.full(len(points), np.inf, np.float32)
    while len(chosen) < count:
        last = chosen[-1]
        np.minimum(distance, squares + squares[last] - 2 * (near @ near[last]), out=distance)
        farthest = int(distance.argmax())
        if distance[farthest] <= COVERED**2:
            break
        chosen.append(farthest)
    return points[chosen]


def told(ops: Any, features: Any, kernels: Kernels) -> Any:
    """What the kernels carry [N, K, H, W], for features [N, F, H, W]."""
    carried = functools.reduce(ops.add, (_carried(ops, *part) for part in _alike(ops, features, kernels)))
    return ops.as_picture(carried, features)


def told_and_near(ops: Any, features: Any, kernels: Kernels) -> tuple[Any, Any]:
    """As :func:`told`; and how like the likest centre every pixel is, 0-1 [N, 1, H, W]."""
    parts = ((_carried(ops, *part), ops.most_of_channels(part[1])) for part in _alike(ops, features, kernels))
    carried, near = functools.reduce(lambda a, b: (ops.add(a[0], b[0]), ops.larger(a[1], b[1])), parts)
    return ops.as_picture(carried, features), ops.as_picture(near, features)


def _alike(ops: Any, features: Any, kernels: Kernels) -> Iterator[tuple[Array, Any]]:
    """Some kernels after the other: their weights, and how like each of them every pixel is, 0-1, flat."""
    x, length = _scaled(ops, features, kernels)
    for start in range(0, len(kernels.centres), AT_ONCE):
        some = slice(start, start + AT_ONCE)
        exponent = ops.at_most(ops.add(_towards(ops, x, kernels.centres[some]), length), 0.0)
        yield kernels.weights[some], ops.exp(exponent)


def _carried(ops: Any, weights: Array, alike: Any) -> Any:
    return ops.weigh(np.ascontiguousarray(weights.T), alike)


def nearness(ops: Any, features: Any, places: Array, kernels: Kernels) -> Any:
    """How like the likest of ``places`` [P, F] every pixel is, 0-1: [N, 1, H, W] for features [N, F, H, W].

    Places are given, and likeness counts, as the kernels' centres do.
    """
    x, length = _scaled(ops, features, kernels)
    nearest = None
    for start in range(0, len(places), AT_ONCE):
        own = ops.most_of_channels(_towards(ops, x, places[start : start + AT_ONCE]))
        nearest = own if nearest is None else ops.larger(nearest, own)
    return ops.as_picture(ops.exp(ops.at_most(ops.add(nearest, length), 0.0)), features)


def _scaled(ops: Any, features: Any, kernels: Kernels) -> tuple[Any, Any]:
    """Features in widths of a kernel and a row of ones, flat; and minus half their squares' sum."""
    scale, mean = kernels.scale[:, None], kernels.mean[:, None]
    x = ops.affine(ops.flat(features), scale, -mean * scale)
    length = ops.affine(ops.sum_channels(ops.multiply(x, x)), -0.5, 0.0)
    return ops.concat([x, ops.affine(length, 0.0, 1.0)]), length


def _towards(ops: Any, x: Any, centres: Array) -> Any:
    """What, with the pixel's own length, is the logarithm of how like each centre it is."""
    lengths = -0.5 * (centres.astype(np.float64) ** 2).sum(1, keepdims=True)
    return ops.weigh(np.concatenate([centres, lengths.astype(np.float32)], 1), x)


def similarity_of(a: Matrix, b: Matrix) -> Array:
    """Of points [n, F] to centres [M, F], in widths of a kernel: [n, M]."""
    a, b = a.astype(np.float32), b.astype(np.float32)
    squares = (a**2).sum(1)[:, None] + (b**2).sum(1)[None] - 2 * a @ b.T
    similarity: Array = np.exp(-0.5 * np.maximum(squares, 0))
    return similarity
