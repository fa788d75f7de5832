"""What is left of a misalignment, estimated from the pictures alone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wetgate.pairing.resampling import move_points
from wetgate.pairing.shifts import Shifts, fit_shifts, tiles

Array = NDArray[np.float32]
Matrix = NDArray[np.float64]

_RAYLEIGH_MEAN = 0.886
"""Mean length of a vector with two normal components of equal spread, over its root mean square."""


@dataclass(frozen=True)
class Residual:
    """Estimated misalignment, in pixels of the shifts that it was estimated from."""

    mean: float
    worst_corner: float


def estimate_residual(measured: Shifts, kind: str | None, variance: float = 0.0) -> Residual:
    """What is left of a misalignment after a fit of ``kind``; None where the shifts were not fitted at all.

    Parts are added in squares. What the fit did not explain: products of neighbouring shifts, whose noise is
    independent. How uncertain the fit itself is, which its shifts cannot show: a delete-a-group jackknife (Shao & Tu,
    "The Jackknife and Bootstrap", 1995, 2.3) over nine tiles of the picture. And a ``variance`` of what lies on top.
    """
    where = measured.known
    if not where.any():
        return Residual(np.inf, np.inf)
    left = np.maximum(_local_squares(measured), 0)
    unsure = variance + (_fit_squares(measured, kind) if kind else np.zeros_like(left))
    mean = np.sqrt(left[where].mean() + _RAYLEIGH_MEAN**2 * unsure[where].mean())
    drift = move_points(fit_shifts(measured, "affine"), measured.places) - measured.places
    worst = np.maximum(left, (drift**2).sum(axis=2)) + unsure
    return Residual(float(mean), float(np.sqrt(max(mean**2, *(worst[corner] for corner in _corners(where))))))


def _local_squares(measured: Shifts) -> Matrix:
    """[R, C] square of the shift that the blocks around each agree on; below 0 where they do not."""
    trace = np.trace(measured.information, axis1=2, axis2=3)
    weight = trace / (trace + np.median(trace[measured.known]))
    total, weights = np.zeros(weight.shape), np.zeros(weight.shape)
    for axis in (0, 1):
        one, other = (_without(measured.shifts, axis, side) for side in (0, -1))
        both = _without(weight, axis, 0) * _without(weight, axis, -1)
        product = (one * other).sum(axis=2) * both
        for side in (0, -1):
            _without(total, axis, side)[...] += product
            _without(weights, axis, side)[...] += both
    return _smooth(total) / np.maximum(_smooth(weights), 1e-9)


def _fit_squares(measured: Shifts, kind: str) -> Matrix:
    """[R, C] variance of where the fit takes each place."""
    parts = tiles(measured)
    fits = [fit_shifts(measured, kind, (~part).astype(np.float64)) for part in parts]
    moved = np.stack([move_points(fit, measured.places) for fit in fits])
    spread = ((moved - moved.mean(axis=0)) ** 2).sum(axis=(0, 3))
    return np.asarray(spread * (len(parts) - 1) / len(parts))


def _without(values: Matrix, axis: int, side: int) -> Matrix:
    """All rows (or columns) but the last (side 0) or the first (side -1)."""
    part = slice(None, -1) if side == 0 else slice(1, None)
    return values[(slice(None),) * axis + (part,)]


def _smooth(values: Matrix) -> Matrix:
    """Averaged over about a third of the picture around each block."""
    for axis in (0, 1):
        length = values.shape[axis]
        distance = np.subtract.outer(np.arange(length), np.arange(length)) / max(1.0, length / 6)
        values = np.tensordot(np.exp(-(distance**2) / 2), values, (1, axis)).swapaxes(0, axis)
    return values


def _corners(known: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """The known blocks nearest to the picture's corners."""
    row, column = np.nonzero(known)
    order = [np.argmax(a * row * known.shape[1] + b * column * known.shape[0]) for a in (-1, 1) for b in (-1, 1)]
    return [(int(row[k]), int(column[k])) for k in order]
