"""Grain: the scan's own, as strong in each band, and at each luma, as was asked for.

A network that is trained on squared error takes grain away, for nobody can foretell it, and with it goes what makes a
picture look like film. So what the restored detail does not account for in the scan is put back: as it was ("keep"), or
as strong as the reference's ("match"), which is measured band by band where the pictures are flat, and by luma.
What of the reference's energy nobody foretold, and is not grain, is made up for by gains of the detail; the scan's dust
counts there as what it is, energy. With a correlation rho between detail and reference, a gain takes the error from
1 - rho^2 to 2 (1 - rho) of the band's energy.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from wetgate.training.gauge_bands import CUTS, Curve, Grain, split
from wetgate.training.torch_operations import Torch

Array = NDArray[np.float32]
Matrix = NDArray[np.float64]

KINDS = ("keep", "match", "none")
FLAT = 0.3
"""Share of the picture, at each luma, that is taken for flat."""
STEPS = 4
"""Of luma, in which grain is measured."""
MOST_GAIN = 1.5
MOST_STRENGTH = 2.0
DUST = 5.0
"""Standard deviations beyond which a leftover is dust."""


@dataclass(frozen=True)
class Look:
    """A pair for the eyes of grain, all float32.

    Attributes:
        restored: [H, W] seen luma without grain added, by a model that had not seen the pair where there is one.
        scan: [H, W].
        weight: [H, W].
        untouched: [H', W'] the reference's, as it was collected.
    """

    restored: Array
    scan: Array
    weight: Array
    untouched: Array


@dataclass(frozen=True)
class _Bands:
    """Of a picture: [B, n] bands, [n] low-passed luma, [n] how rough the surround is, [n] whether it is trusted."""

    bands: Array
    luma: Array
    rough: Array
    trusted: NDArray[np.bool_]


def fit(kind: str, looks: Sequence[Look]) -> Grain | None:
    """The grain that was asked for; None for none.

    Args:
        kind: "keep", "match" or "none".
        looks: of all pairs.
    """
    if kind == "none":
        return None
    details = [_bands_of(look.restored, look.weight) for look in looks]
    owns = [_bands_of(look.scan, look.weight).bands for look in looks]
    trusted = np.concatenate([one.trusted for one in details])
    shares, most, leftovers = [], [], []
    for band in range(len(CUTS)):
        detail = np.concatenate([one.bands[band] for one in details]).astype(np.float64)
        own = np.concatenate([one[band] for one in owns]).astype(np.float64)
        clean = detail[trusted]
        share = float(np.clip((clean @ own[trusted]) / (clean @ clean + 1e-12), 0, 1))
        left = own - share * detail
        bound = max(DUST * 1.4826 * float(np.median(np.abs(left[trusted]))), 1e-5)
        shares.append(share)
        most.append(bound)
        leftovers.append(np.clip(left, -bound, bound))
    if kind == "keep":
        whole = Curve((0.0,), (1.0,))
        return Grain((1.0,) * len(CUTS), tuple(shares), (whole,) * len(CUTS), tuple(most))
    wanted = [_bands_of(look.untouched, np.ones_like(look.untouched)) for look in looks]
    luma = np.concatenate([one.luma for one in details])
    rough = np.concatenate([np.where(one.trusted, one.rough, np.inf) for one in details])
    knots = _knots(luma)
    gains, strengths = [], []
    parts: list[tuple[Matrix, Matrix, Matrix]] = []
    for band in range(len(CUTS)):
        detail = np.concatenate([one.bands[band] for one in details]).astype(np.float64)
        target = np.concatenate([one.bands[band] for one in wanted]).astype(np.float64)
        target_luma = np.concatenate([one.luma for one in wanted])
        target_rough = np.concatenate([one.rough for one in wanted])
        values = []
        for low, high in zip(_edges(knots)[:-1], _edges(knots)[1:], strict=True):
            here = _flat(luma, rough, low, high)
            there = _flat(target_luma, target_rough, low, high)
            values.append(_strength(detail[here], leftovers[band][here], target[there]))
        known = [value for value in values if value is not None]
        typical = float(np.median(known)) if known else 1.0
        curve = Curve(tuple(knots), tuple(typical if value is None else value for value in values))
        added = leftovers[band] * np.interp(luma, curve.knots, curve.values)
        gains.append(_gain(detail, added, float((target**2).mean())))
        strengths.append(curve)
        parts.append((detail, added, target))
    gains, part = _together(gains, parts)
    weaker = [Curve(one.knots, tuple(part * value for value in one.values)) for one in strengths[1:]]
    return Grain(tuple(gains), tuple(shares), (strengths[0], *weaker), tuple(most))


def _together(gains: Sequence[float], parts: Sequence[tuple[Matrix, Matrix, Matrix]]) -> tuple[list[float], float]:
    """Gains, and a part of the grain, with which all bands but the finest have no more energy in their sum than the
    target's.

    Bands of a soft picture rise and fall together, those of a sharp one do so less; and what is measured as grain where
    pictures are flat is more than that at edges.
    """
    wanted = float((np.sum([target for _, _, target in parts[1:]], 0) ** 2).mean())
    for gained, part in [(step / 10, 1.0) for step in range(10, -1, -1)] + [
        (0.0, step / 10) for step in range(9, -1, -1)
    ]:
        tried = [gains[0], *(1 + gained * (gain - 1) for gain in gains[1:])]
        whole = [gain * detail + part * added for gain, (detail, added, _) in zip(tried[1:], parts[1:], strict=True)]
        if float((np.sum(whole, 0) ** 2).mean()) <= wanted:
            break
    return tried, part


def _strength(detail: Matrix, leftover: Matrix, target: Matrix) -> float | None:
    """Of the leftover, for the sum to have the target's energy; None where there is too little to tell."""
    if min(len(detail), len(target)) < 500:
        return None
    own, both, rest = (detail**2).mean(), (detail * leftover).mean(), (leftover**2).mean()
    missing = own - (target**2).mean()
    inside = both**2 - rest * missing
    if rest < 1e-12 or inside < 0:
        return 0.0
    return float(np.clip((-both + np.sqrt(inside)) / rest, 0, MOST_STRENGTH))


def _gain(detail: Matrix, added: Matrix, energy: float) -> float:
    """Of the detail, for it and the grain to have an energy; at least 1."""
    own, both, rest = (detail**2).mean(), (detail * added).mean(), (added**2).mean()
    inside = both**2 - own * (rest - energy)
    if own < 1e-12 or inside < 0:
        return 1.0
    return float(np.clip((-both + np.sqrt(inside)) / own, 1, MOST_GAIN))


def _bands_of(picture: Array, weight: Array) -> _Bands:
    with torch.no_grad():
        bands, rest = split(Torch(), torch.from_numpy(np.ascontiguousarray(picture))[None, None])
    planes = np.stack([band[0, 0].numpy() for band in bands])
    coarse = rest[0, 0].numpy()
    rough = cv2.blur((coarse - cv2.GaussianBlur(coarse, (0, 0), 8)) ** 2, (17, 17))
    rows, columns = (slice(4, -4) if side > 16 else slice(None) for side in picture.shape)
    inside = np.s_[rows, columns]
    return _Bands(
        planes[:, rows, columns].reshape(len(planes), -1),
        coarse[inside].ravel(),
        rough[inside].ravel(),
        weight[inside].ravel() > 0.5,
    )


def _knots(luma: Array) -> list[float]:
    """Rising lumas in which the picture is about equally rich."""
    quantiles = np.quantile(luma, (np.arange(STEPS) + 0.5) / STEPS) if len(luma) else np.zeros(1)
    knots = [float(quantiles[0])]
    for value in quantiles[1:]:
        if value > knots[-1] + 0.02:
            knots.append(float(value))
    return knots


def _edges(knots: Sequence[float]) -> list[float]:
    return [-np.inf, *(0.5 * (a + b) for a, b in itertools.pairwise(knots)), np.inf]


def _flat(luma: Array, rough: Array, low: float, high: float) -> NDArray[np.bool_]:
    here = (luma >= low) & (luma < high)
    known = here & np.isfinite(rough)
    if not known.any():
        return known
    return np.asarray(known & (rough <= np.quantile(rough[known], FLAT)))
