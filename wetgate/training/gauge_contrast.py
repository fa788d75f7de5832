"""Contrast that a copy lost, given back where the pairs show how much: Gaussian kernels on what a place looks like.

How much lighter or darker a reference is follows, within one shot, a curve of luma; each shot has its own, for each
was graded. So a place is told by its luma, by its surround's, and by the strength of its texture at several scales,
and kernels carry the difference (kernel ridge regression on inducing points, as in :mod:`wetgate.training.kernels`,
whose graph this shares). It is solved, not trained, and fades to no change where a place is unlike all pairs.

There are two kinds. Wide kernels say of any place what the pairs say on the whole; they are for pairs that foretell
one another. Where these do not, narrow ones speak, and of places alone that are as like one of the pairs' own as pairs
that were held out allow: a gate shuts elsewhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wetgate.training.color_model import blur
from wetgate.training.gauge_bands import Curve
from wetgate.training.kernels import AT_ONCE, Kernels, mend, nearness, similarity, similarity_of, spread_out

Array = NDArray[np.float32]
Matrix = NDArray[np.float64]

REDUCTION = 8
"""Contrast is worked on at an eighth of the size."""
MULTIPLE = 16
NARROW, WIDE = 0.3, 0.8
"""Widths of kernels, in standard deviations of luma and in units of the texture features."""
NARROW_CENTRES, WIDE_CENTRES = 2048, 512
PLACES = 8192
"""Places of the pairs that are kept to know them again."""
GATES = ((0.8, 0.9), (0.9, 0.97), (0.96, 0.99))
"""Likeness to one of these from which a place counts as known at all, and as known well: as a rule, and where pairs say
that this lets through too much."""
KNOTS = 12
_RIDGE = 2e-4
_SAMPLES = 12_000
_TEXTURE = (1.0, 0.5, 0.5, 0.5)
"""What a natural logarithm of texture counts for."""
_LEAST_TEXTURE = 2e-3
"""In seen luma."""


@dataclass(frozen=True)
class Contrast:
    """Kernels on the seven features, and the gate, one of :data:`GATES`, or None where they speak of any place.

    There, what luma itself foretells is ``curve``'s, pixel by pixel, and the kernels add what it leaves. With a gate,
    ``places`` [P, 7] of the pairs, scaled as the kernels' centres, are those that are known.
    """

    kernels: Kernels
    gate: tuple[float, float] | None
    curve: Curve | None = None
    places: Array | None = field(default=None, repr=False)

    def alternatives(self) -> list[Contrast]:
        """With each gate that there is, widest first; itself alone where there is none."""
        return [self] if self.gate is None else [replace(self, gate=gate) for gate in GATES]


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


def told(ops: Any, seen: Any, contrast: Contrast) -> tuple[Any, Any]:
    """What the kernels would add to :func:`features` [N, 7, h, w], and how like the pairs' places each place is.

    Both are [N, 1, h, w]; the second, 0-1, is None where the kernels speak of any place.
    """
    every = contrast.kernels
    added = None
    for start in range(0, len(every.centres), AT_ONCE):
        some = slice(start, start + AT_ONCE)
        part = Kernels(every.centres[some], every.weights[some], every.mean, every.scale, every.own)
        more = mend(ops, similarity(ops, seen, part), part)
        added = more if added is None else ops.add(added, more)
    if contrast.places is None:
        return added, None
    return added, nearness(ops, seen, contrast.places, every)


def let_through(ops: Any, added: Any, near: Any, contrast: Contrast) -> tuple[Any, Any]:
    """Seen luma to add, of :func:`told`; and how well known each place is, 0-1, or None where that does not count."""
    if contrast.gate is None:
        return added, None
    unlike, like = contrast.gate
    known = ops.affine(near, 1 / (like - unlike), -unlike / (like - unlike))
    known = blur(ops, ops.at_most(ops.at_least(known, 0.0), 1.0), 2.0, 1)
    return ops.multiply(added, known), known


def fit(
    seen: Sequence[Array], missing: Sequence[Array], weights: Sequence[Array], *, gated: bool, seed: int
) -> Contrast:
    """Solve for the kernels.

    Args:
        seen: [n, 7] of :func:`features`, one array a pair.
        missing: [n] seen luma that the reference has more than the scan there.
        weights: [n] importance of each place.
        gated: narrow kernels with a gate, else wide ones.
        seed: of the choice of samples.
    """
    width, count = (NARROW, NARROW_CENTRES) if gated else (WIDE, WIDE_CENTRES)
    generator = np.random.default_rng(seed)
    share = max(_SAMPLES // len(seen), 1)
    chosen = [generator.permutation(len(places))[:share] for places in seen]
    x = np.concatenate([places[i] for places, i in zip(seen, chosen, strict=True)]).astype(np.float64)
    y = np.concatenate([values[i] for values, i in zip(missing, chosen, strict=True)]).astype(np.float64)
    w = np.concatenate([weight[i] for weight, i in zip(weights, chosen, strict=True)]).astype(np.float64)
    mean = x.mean(0)
    scale = np.array([1 / (x[:, 0].std() + 1e-3)] * 3 + list(_TEXTURE)) / width
    x = (x - mean) * scale
    places = spread_out(x, PLACES) if gated else x[generator.permutation(len(x))]
    centres = places[:count]
    near = similarity_of(x, centres)
    gram = ((near * w[:, None].astype(np.float32)).T @ near).astype(np.float64)
    penalty = _RIDGE * len(x) * (similarity_of(centres, centres) + 1e-4 * np.eye(len(centres)))
    solution = np.linalg.solve(gram + penalty, near.T @ (w * y))
    one = np.float32
    kernels = Kernels(centres.astype(one), solution[:, None].astype(one), mean.astype(one), scale.astype(one), 1.0)
    return Contrast(kernels, GATES[0], places=places.astype(one)) if gated else Contrast(kernels, None)


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
