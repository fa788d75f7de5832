"""Pairs as the gauge model learns from them: seen luma at full resolution."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wetgate.images import LUMA
from wetgate.training.gauge_contrast import curve_of
from wetgate.training.gauge_model import MULTIPLE, seen
from wetgate.training.gauge_shift import moved_to
from wetgate.training.operations import Numpy

Array = NDArray[np.float32]

EDGE = 4
"""Pixels at a pair's edges that do not count: a film's frame goes on there, and a scan's darkens."""
WINDOW = 768
"""Largest side of the part of each pair that is solved from, judged by and shown."""


@dataclass(frozen=True)
class Sample:
    """One pair, cut to multiples of :data:`MULTIPLE`, or padded where it is smaller than that.

    Attributes:
        number: of the pair.
        frame: of the scan.
        scan: [2r+1, H, W] seen luma, oldest first.
        target: [H, W] seen luma of the reference, laid over the scan.
        weight: [H, W] how much each pixel counts, 0 where it is not to be trusted.
        untouched: [H', W'] seen luma of the reference before it was laid over anything, for its grain.
        frames, reference: [2r+1, h, w, 3] and [h, w, 3] from the middle, as encoded, sides up to :data:`WINDOW`.
    """

    number: int
    frame: int
    scan: Array
    target: Array
    weight: Array
    untouched: Array
    frames: Array
    reference: Array

    def middle(self) -> Sample:
        """The part of the pair that is solved from and judged by."""
        rows, columns = (_middle(side) for side in self.target.shape)
        return Sample(
            **{
                **vars(self),
                "scan": np.ascontiguousarray(self.scan[:, rows, columns]),
                "target": np.ascontiguousarray(self.target[rows, columns]),
                "weight": np.ascontiguousarray(self.weight[rows, columns]),
            }
        )


def make_sample(
    frames: Sequence[Array],
    reference: Array,
    encoding: str,
    *,
    number: int,
    frame: int,
    weight: Array | None = None,
    untouched: Array | None = None,
    off_px: float = 0.0,
) -> Sample:
    """Make a sample of pictures [H, W, 3] in ``encoding``.

    Args:
        frames: the scan's, 2r+1 of them, oldest first.
        reference: laid over the middle one.
        encoding: of all.
        number, frame: of the pair.
        weight: [H, W] 0-1.
        untouched: the reference as it was collected, any size; itself where it was not resampled.
        off_px: how far the reference still lies off, in pixels: its luma is moved to where the scan's shows the same.
    """
    height, width = reference.shape[:2]
    trust = np.ones((height, width), np.float32) if weight is None else np.clip(weight, 0, 1).astype(np.float32)
    trust = _without_edges(trust)
    rows, columns = (_middle(side) for side in (height, width))
    lumas = [seen_luma(one, encoding) for one in frames]
    target = _laid_over(seen_luma(reference, encoding), lumas[len(lumas) // 2], trust, off_px)
    return Sample(
        number=number,
        frame=frame,
        scan=np.stack([_fitting(luma) for luma in lumas]),
        target=_fitting(target),
        weight=_fitting(trust),
        untouched=seen_luma(reference if untouched is None else untouched, encoding),
        frames=np.stack([one[rows, columns] for one in frames]),
        reference=np.ascontiguousarray(reference[rows, columns]),
    )


def seen_luma(pixels: Array, encoding: str) -> Array:
    """[H, W] of a picture [H, W, 3]."""
    return np.asarray(seen(Numpy(), pixels.astype(np.float32, copy=False), encoding) @ LUMA, np.float32)


def scale_of(samples: Sequence[Sample]) -> tuple[float, float]:
    """Mean and standard deviation of the scans' luma; of a flat picture a little."""
    values = np.concatenate([sample.scan[len(sample.scan) // 2, ::4, ::4].ravel() for sample in samples])
    return float(values.mean(dtype=np.float64)), float(values.std(dtype=np.float64)) + 1e-2


def _laid_over(target: Array, scan: Array, weight: Array, off_px: float) -> Array:
    """The target where the scan shows it, which gets the target's contrast for that."""
    if off_px <= 0:
        return target
    curve = curve_of([scan.ravel()], [(target - scan).ravel()], [weight.ravel()])
    return moved_to(scan + curve.apply(Numpy(), scan), target, weight, off_px)


def _without_edges(weight: Array) -> Array:
    """Nothing within :data:`EDGE` pixels of the edges, unless the picture is hardly larger than that."""
    if min(weight.shape) <= 4 * EDGE:
        return weight
    return np.pad(weight[EDGE:-EDGE, EDGE:-EDGE], EDGE)


def _fitting(plane: Array) -> Array:
    """Cut to multiples of the model's; what is smaller is padded."""
    height, width = (max(side // MULTIPLE, 1) * MULTIPLE for side in plane.shape)
    cut = plane[:height, :width]
    missing = [(0, full - side) for full, side in zip((height, width), cut.shape, strict=True)]
    return np.ascontiguousarray(np.pad(cut, missing, mode="edge"))


def _middle(length: int) -> slice:
    side = min(length, WINDOW) // MULTIPLE * MULTIPLE if length >= MULTIPLE else length
    start = (length - side) // 2 // MULTIPLE * MULTIPLE
    return slice(start, start + side)
