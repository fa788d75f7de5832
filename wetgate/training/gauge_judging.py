"""How much of a gauge model to rely upon: what pairs say that it had not seen."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from wetgate.training import gauge_grain
from wetgate.training.gauge_bands import Grain
from wetgate.training.gauge_model import GaugeModel, detail, restore, with_contrast
from wetgate.training.gauge_samples import Sample
from wetgate.training.torch_operations import Torch

Array = NDArray[np.float32]

SHARES = (1.0, 0.75, 0.5, 0.25, 0.0)
TOLERATED_DB, TOLERATED_ON_AVERAGE_DB = 0.1, 0.05
"""What a held-out pair, and what all of them, may lose and are still called no worse: less than anybody sees."""
FEW_PAIRS = 6
"""Where pairs do not foretell one another, n of them say of a place that none of them shows no more than n of n + 6:
so large a share is taken at most."""


@dataclass(frozen=True)
class Seen:
    """A pair with what a model makes of it; tensors [1, 1, H, W].

    Attributes:
        sample: the middle of it.
        scan: its luma.
        drawn: detail.
        start: the scan's luma with its contrast back.
        known: how well known each place is, 0-1, or None where that does not count.
    """

    sample: Sample
    scan: Tensor
    drawn: Tensor
    start: Tensor
    known: Tensor | None

    def restored(self, share: float = 1.0, grain: Grain | None = None) -> Tensor:
        """Seen luma."""
        return restore(Torch(), self.scan, self.start, self.drawn, self.known, grain, share)


@dataclass(frozen=True)
class Verdict:
    """What evidence says.

    Attributes:
        share: of detail and grain, where a place is not known.
        gains_db: of each held-out pair over the scan; empty where none was held out.
        keeps_scan: whether nothing was found that is no worse than the scan.
    """

    share: float = 1.0
    gains_db: tuple[float, ...] = ()
    keeps_scan: bool = False


def look_at(sample: Sample, model: GaugeModel) -> Seen:
    """What the model makes of the middle of a sample, in parts."""
    part = sample.middle()
    with torch.no_grad():
        lumas = [torch.from_numpy(plane)[None, None] for plane in part.scan]
        scan = lumas[model.radius]
        return Seen(part, scan, detail(Torch(), lumas, model), *with_contrast(Torch(), scan, model))


def judge(kind: str, held_out: Sequence[Seen], *, remembered: bool = False) -> Verdict:
    """The share of detail that pays most on pairs that were not seen.

    Each pair counts by its gain in decibels. What makes a pair worse than its scan, or all of them on average, is
    refused; if everything is, the scan is kept. Grain that is matched is a look, and costs decibels as all noise does:
    it has no say in which share is best, but one that makes a pair worse than its scan is refused.

    Args:
        kind: of grain: "keep", "match" or "none".
        held_out: pairs with what models make of them that had not seen them; where there are none, the most is taken.
        remembered: whether contrast is for places alone that the pairs show, for these do not foretell one another.
    """
    count = max(len(held_out), 1)
    shares = [share * (count / (count + FEW_PAIRS) if remembered else 1.0) for share in SHARES]
    if not held_out:
        return Verdict(shares[0])
    whole = _gains(held_out, shares, grain_of(kind, held_out))
    plain = _gains(held_out, shares, grain_of("keep", held_out)) if kind == "match" else whole
    best = max(shares, key=lambda share: float(np.mean(plain[share])))
    for share in shares:
        if share <= best and not _refused(whole[share]):
            return Verdict(share, whole[share])
    return Verdict(0.0, (0.0,) * len(held_out), keeps_scan=True)


def _refused(gains: Sequence[float]) -> bool:
    return min(gains) < -TOLERATED_DB or float(np.mean(gains)) < -TOLERATED_ON_AVERAGE_DB


def grain_of(kind: str, pairs: Sequence[Seen]) -> Grain | None:
    """The grain that was asked for, measured on ``pairs``."""
    looks = [
        gauge_grain.Look(_plane(one.restored()), _plane(one.scan), one.sample.weight, one.sample.untouched)
        for one in pairs
    ]
    return gauge_grain.fit(kind, looks)


def _gains(pairs: Sequence[Seen], shares: Sequence[float], grain: Grain | None) -> dict[float, tuple[float, ...]]:
    """Decibels of each pair over its scan, by share."""
    return {share: tuple(_gain(one, one.restored(share, grain)) for one in pairs) for share in shares}


def _gain(one: Seen, restored: Tensor) -> float:
    before, after = (_error(_plane(picture), one.sample) for picture in (one.scan, restored))
    return 10 * math.log10((before + 1e-12) / (after + 1e-12))


def _error(picture: Array, sample: Sample) -> float:
    error = sample.weight.astype(np.float64) * (picture - sample.target) ** 2
    return float(error.sum() / max(float(sample.weight.sum()), 1e-9))


def _plane(picture: Tensor) -> Array:
    plane: Array = picture[0, 0].numpy()
    return plane
