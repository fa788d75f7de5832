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
from wetgate.training.gauge_bands import Grain, with_grain
from wetgate.training.gauge_model import GaugeModel, detail, taken, with_contrast
from wetgate.training.gauge_samples import Sample
from wetgate.training.torch_operations import Torch

Array = NDArray[np.float32]

SHARES = (1.0, 0.75, 0.5, 0.25, 0.0)
TOLERATED_DB = 0.1
"""What a held-out pair may lose and is still called no worse: less than anybody sees."""


@dataclass(frozen=True)
class Seen:
    """A pair with what a model makes of it, which had not seen it where ``unseen``; tensors [1, 1, H, W]."""

    sample: Sample
    start: Tensor
    drawn: Tensor
    known: Tensor | None
    radius: int

    def restored(self, share: float) -> Tensor:
        """Seen luma without grain."""
        return self.start + taken(Torch(), self.drawn, self.known, share)

    @property
    def scan(self) -> Tensor:
        return torch.from_numpy(self.sample.scan[self.radius])[None, None]


@dataclass(frozen=True)
class Verdict:
    """What evidence says.

    Attributes:
        share: of the detail, where a place is not known.
        grain: for that share.
        gains_db: of each held-out pair over the scan; empty where none was held out.
        keeps_scan: whether nothing was found that is no worse than the scan.
    """

    share: float
    grain: Grain | None
    gains_db: tuple[float, ...] = ()
    keeps_scan: bool = False


def look_at(sample: Sample, model: GaugeModel) -> Seen:
    """What the model makes of the middle of a sample, in parts."""
    part = sample.middle()
    with torch.no_grad():
        lumas = [torch.from_numpy(plane)[None, None] for plane in part.scan]
        start, known = with_contrast(Torch(), lumas[model.radius], model)
        return Seen(part, start, detail(Torch(), lumas, model), known, model.radius)


def judge(kind: str, held_out: Sequence[Seen]) -> Verdict:
    """The share of detail that pays most on pairs that were not seen, with the grain that goes with it.

    Each pair counts by its gain in decibels. A share with which a pair comes out worse than its scan, or all of them
    on average, is refused; if all are, the scan is kept.

    Args:
        kind: of grain: "keep", "match" or "none".
        held_out: pairs with what models make of them that had not seen them.
    """
    best: Verdict | None = None
    for share in SHARES:
        grain = grain_of(kind, held_out, share)
        gains = tuple(_gain_db(one, share, grain) for one in held_out)
        refused = min(gains) < -TOLERATED_DB or np.mean(gains) < 0
        if not refused and (best is None or np.mean(gains) > np.mean(best.gains_db)):
            best = Verdict(share, grain, gains)
    return best or Verdict(0.0, None, (0.0,) * len(held_out), keeps_scan=True)


def grain_of(kind: str, pairs: Sequence[Seen], share: float) -> Grain | None:
    """The grain that goes with a share of the detail."""
    looks = [
        gauge_grain.Look(_plane(one.restored(share)), _plane(one.scan), one.sample.weight, one.sample.untouched)
        for one in pairs
    ]
    return gauge_grain.fit(kind, looks)


def _gain_db(one: Seen, share: float, grain: Grain | None) -> float:
    with torch.no_grad():
        restored = one.restored(share)
        if grain is not None:
            restored = with_grain(Torch(), restored, one.scan, grain)
    before, after = (_error(_plane(picture), one.sample) for picture in (one.scan, restored))
    return 10 * math.log10((before + 1e-12) / (after + 1e-12))


def _error(picture: Array, sample: Sample) -> float:
    error = sample.weight.astype(np.float64) * (picture - sample.target) ** 2
    return float(error.sum() / max(float(sample.weight.sum()), 1e-9))


def _plane(picture: Tensor) -> Array:
    plane: Array = picture[0, 0].numpy()
    return plane
