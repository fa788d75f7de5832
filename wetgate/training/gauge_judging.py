"""How much of a gauge model to rely upon: what pairs say that it had not seen."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from wetgate.training import gauge_contrast, gauge_grain
from wetgate.training.gauge_bands import Grain, with_grain
from wetgate.training.gauge_model import GaugeModel, contrasted, detail, taken
from wetgate.training.gauge_samples import Sample
from wetgate.training.torch_operations import Torch

Array = NDArray[np.float32]

SHARES = (1.0, 0.75, 0.5, 0.25, 0.0)
TOLERATED_DB, TOLERATED_ON_AVERAGE_DB = 0.1, 0.05
"""What a held-out pair, and what all of them, may lose and are still called no worse: less than anybody sees."""
MATCHING_STEPS = 10


@dataclass(frozen=True)
class Seen:
    """A pair with what a model makes of it; tensors [1, 1, H, W].

    Attributes:
        sample: the middle of it.
        scan: its luma.
        drawn: detail.
        starts: for each gate of contrast, the scan's luma with its contrast back, and how well known each place is.
    """

    sample: Sample
    scan: Tensor
    drawn: Tensor
    starts: Sequence[tuple[Tensor, Tensor | None]]

    def restored(self, share: float, gate: int = 0) -> Tensor:
        """Seen luma without grain."""
        start, known = self.starts[gate]
        return start + taken(Torch(), self.drawn, known, share)

    def grained(self, share: float, gate: int, grain: Grain, grain_share: float) -> Tensor:
        """Seen luma with grain."""
        restored = self.restored(share, gate)
        change = with_grain(Torch(), restored, self.scan, grain) - restored
        return restored + taken(Torch(), change, self.starts[gate][1], grain_share)


@dataclass(frozen=True)
class Verdict:
    """What evidence says.

    Attributes:
        share: of the detail, where a place is not known.
        gate: which of the contrast's gates.
        gains_db: of each held-out pair over the scan; empty where none was held out.
        keeps_scan: whether nothing was found that is no worse than the scan.
        matched: how far grain is matched where a place is not known, 0-1, where that was asked for.
    """

    share: float = 1.0
    gate: int = 0
    gains_db: tuple[float, ...] = ()
    keeps_scan: bool = False
    matched: float = 1.0


def look_at(sample: Sample, model: GaugeModel) -> Seen:
    """What the model makes of the middle of a sample, in parts."""
    part = sample.middle()
    with torch.no_grad():
        lumas = [torch.from_numpy(plane)[None, None] for plane in part.scan]
        scan = lumas[model.radius]
        starts: list[tuple[Tensor, Tensor | None]] = [(scan, None)]
        if model.contrast is not None:
            told = gauge_contrast.told(Torch(), gauge_contrast.features(Torch(), scan), model.contrast)
            starts = [contrasted(Torch(), scan, told, gated) for gated in model.contrast.alternatives()]
        return Seen(part, scan, detail(Torch(), lumas, model), starts)


def judge(kind: str, held_out: Sequence[Seen]) -> Verdict:
    """The share of detail that pays most on pairs that were not seen, and the widest gate that they allow.

    Each pair counts by its gain in decibels. What makes a pair worse than its scan, or all of them on average, is
    refused; if everything is, the scan is kept. Grain that is matched is a look, and costs decibels as all noise does:
    it plays no part in the choice, and is then taken as far as no pair comes out worse than its scan.

    Args:
        kind: of grain: "keep", "match" or "none".
        held_out: pairs with what models make of them that had not seen them; where there are none, all is taken.
    """
    if not held_out:
        return Verdict()
    best: Verdict | None = None
    for gate in range(min(len(one.starts) for one in held_out)):
        for share in SHARES:
            grain = grain_of(kind, held_out, Verdict(share, gate)) if kind == "keep" else None
            gains = tuple(_gain_db(one, share, gate, grain) for one in held_out)
            if not _refused(gains) and (best is None or np.mean(gains) > np.mean(best.gains_db)):
                best = Verdict(share, gate, gains, matched=0.0 if kind == "match" else 1.0)
        if best is not None:
            break
    if best is None:
        return Verdict(0.0, 0, (0.0,) * len(held_out), keeps_scan=True)
    return _matched(best, held_out) if kind == "match" else best


def _matched(verdict: Verdict, held_out: Sequence[Seen]) -> Verdict:
    """With grain matched as far as no pair comes out worse."""
    whole = grain_of("match", held_out, Verdict(verdict.share, verdict.gate))
    if whole is None:
        return verdict
    for step in reversed(range(1, MATCHING_STEPS + 1)):
        part = step / MATCHING_STEPS
        gains = tuple(_gain_db(one, verdict.share, verdict.gate, whole, part) for one in held_out)
        if not _refused(gains):
            return replace(verdict, gains_db=gains, matched=part)
    return verdict


def _refused(gains: Sequence[float]) -> bool:
    return min(gains) < -TOLERATED_DB or float(np.mean(gains)) < -TOLERATED_ON_AVERAGE_DB


def grain_of(kind: str, pairs: Sequence[Seen], verdict: Verdict) -> Grain | None:
    """The grain that goes with a verdict, all of it, measured on ``pairs``."""
    looks = [
        gauge_grain.Look(
            _plane(one.restored(verdict.share, verdict.gate)),
            _plane(one.scan),
            one.sample.weight,
            one.sample.untouched,
        )
        for one in pairs
    ]
    return gauge_grain.fit(kind, looks)


def _gain_db(one: Seen, share: float, gate: int, grain: Grain | None, grain_share: float = 1.0) -> float:
    with torch.no_grad():
        restored = one.restored(share, gate) if grain is None else one.grained(share, gate, grain, grain_share)
    before, after = (_error(_plane(picture), one.sample) for picture in (one.scan, restored))
    return 10 * math.log10((before + 1e-12) / (after + 1e-12))


def _error(picture: Array, sample: Sample) -> float:
    error = sample.weight.astype(np.float64) * (picture - sample.target) ** 2
    return float(error.sum() / max(float(sample.weight.sum()), 1e-9))


def _plane(picture: Tensor) -> Array:
    plane: Array = picture[0, 0].numpy()
    return plane
