"""How unlike a scan frame and a reference frame are, finely enough to tell neighbours apart.

Both sketches are laid over one another and compared as patterns: what share of the scan's contrast the reference
does not explain. Film moves in the gate from frame to frame, and a pattern that is a fraction of a pixel off would
look less alike than the next frame of a pan does; so every reference frame that comes close is compared at the shift
that suits it best, found by Gauss-Newton steps on its derivatives (Lucas and Kanade, IJCAI 1981).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from wetgate.pairing.geometry import Geometry
from wetgate.pairing.monotone import Row
from wetgate.pairing.sketches import Sketches

Array = NDArray[np.float32]
Values = NDArray[np.float64]

SIZE = (128, 96)
"""Pixels of the grid over the part that both show."""
SHIFT_COSTS = 1e-4
"""Added to the unlikeness for a shift by one pixel of the grid, four times that for two."""
_BLUR = 0.5
_RIDGE = np.diag([1e-6, 1e-3, 1e-3])
_BLOCK = 128
_STEPS = 2
_NEAR = 3
_MOST_SHIFT = 4.0


def unlikeness(
    scan: Sketches, reference: Sketches, geometries: Sequence[Geometry], band: Sequence[tuple[int, int]]
) -> Iterator[Row]:
    """Per scan frame, a row of what the reference frames of its ``band`` (first, end) do not explain of it, 0-1.

    ``geometries`` has one for every scan frame; frames in a row share one.
    """
    start = 0
    while start < len(band):
        end = start + 1
        while end < len(band) and end - start < _BLOCK and geometries[end] is geometries[start]:
            end += 1
        low, high = min(first for first, _ in band[start:end]), max(last for _, last in band[start:end])
        to_scan, to_reference = geometries[start].grids(SIZE)
        bases = _Bases(reference, to_reference, low, high)
        pictures = scan.local_contrast(slice(start, end))
        still = bases.compared(np.stack([_unit(pattern(picture, to_scan)) for picture in pictures]))
        shifts = [
            bases.settled(picture, to_scan, first + int(row[first - low : last - low].argmin()))[1]
            for picture, row, (first, last) in zip(pictures, still, band[start:end], strict=True)
        ]
        steadied = bases.compared(
            np.stack([_unit(pattern(p, moved(to_scan, shift))) for p, shift in zip(pictures, shifts, strict=True)])
        )
        for picture, row, shift, (first, last) in zip(pictures, steadied, shifts, band[start:end], strict=True):
            values = row[first - low : last - low] + SHIFT_COSTS * float(shift @ shift)
            _settle_nearest(values, first, bases, picture, to_scan)
            yield Row(first, np.clip(values, 0, 1))
        start = end


def _settle_nearest(values: Values, first: int, bases: _Bases, picture: Array, to_scan: Values) -> None:
    """Compare at their own shifts the best of a row and those around it, until the best one has been."""
    done: set[int] = set()
    while True:
        best = int(values.argmin())
        todo = set(range(max(0, best - _NEAR), min(len(values), best + _NEAR + 1))) - done
        if not todo or best in done:
            return
        for index in todo:
            value, shift = bases.settled(picture, to_scan, first + index)
            values[index] = value + SHIFT_COSTS * float(shift @ shift)
        done |= todo


@dataclass(frozen=True)
class _Fit:
    """Patterns [n, 3, D] with their derivatives across and down, and the inverses [n, 3, 3] of their products."""

    patterns: Array
    inverses: Values


class _Bases:
    """Reference frames ``low`` to ``high`` to compare with."""

    def __init__(self, sketches: Sketches, matrix: Values, low: int, high: int) -> None:
        self._sketches = sketches
        self._matrix = matrix
        self._low = low
        self._high = high
        self._kept: dict[int, _Fit] = {}

    def compared(self, ours: Array) -> Values:
        """[n, high - low] what each reference frame leaves of our patterns [n, D] of length 1, after a small shift."""
        values = np.empty((len(ours), self._high - self._low))
        for first in range(self._low, self._high, _BLOCK):
            last = min(self._high, first + _BLOCK)
            fit = self._fit(first, last)
            products = (ours @ fit.patterns.reshape(3 * (last - first), -1).T).reshape(len(ours), -1, 3)
            values[:, first - self._low : last - self._low] = 1 - _explained(products.astype(np.float64), fit.inverses)
        return values

    def settled(self, picture: Array, to_scan: Values, at: int) -> tuple[float, Values]:
        """What reference frame ``at`` leaves of the picture at the shift that suits it best, and that shift."""
        first = self._low + (at - self._low) // _BLOCK * _BLOCK
        fit = self._fit(first, min(self._high, first + _BLOCK))
        basis, inverse = fit.patterns[at - first], fit.inverses[at - first]
        shift, best, found = np.zeros(2), np.inf, np.zeros(2)
        for _ in range(_STEPS + 1):
            products = (basis @ _unit(pattern(picture, moved(to_scan, shift)))).astype(np.float64)
            shares = inverse @ products
            left = 1 - float(products @ shares)
            if left < best:
                best, found = left, shift
            if abs(shares[0]) < 1e-3:
                break
            shift = np.clip(shift - np.clip(shares[1:] / shares[0], -1, 1), -_MOST_SHIFT, _MOST_SHIFT)
        return best, found

    def _fit(self, first: int, last: int) -> _Fit:
        if first not in self._kept:
            pictures = self._sketches.local_contrast(slice(first, last))
            patterns = np.stack([_with_derivatives(pattern(picture, self._matrix)) for picture in pictures])
            products = np.matmul(patterns, patterns.transpose(0, 2, 1)).astype(np.float64)
            self._kept[first] = _Fit(patterns, np.linalg.inv(products + _RIDGE))
        return self._kept[first]


def neighbours(sketches: Sketches) -> Values:
    """[N-1] unlikeness of each frame to the next, after a small shift."""
    whole = Geometry.of_window((0, 0, 1, 1), False).grids(SIZE)[0]
    found = np.empty(max(0, len(sketches) - 1))
    before: Array | None = None
    for index in range(len(sketches)):
        basis = _with_derivatives(pattern(sketches.local_contrast([index])[0], whole))
        if before is not None:
            products = (basis @ before).astype(np.float64)
            inverse = np.asarray(np.linalg.inv((basis @ basis.T).astype(np.float64) + _RIDGE), np.float64)
            found[index - 1] = 1 - _explained(products[None], inverse[None])[0]
        before = basis[0]
    return np.clip(found, 0, 1)


def pattern(picture: Array, matrix: Values) -> Array:
    """[96, 128] a sketch's picture where ``matrix`` takes the grid's pixels."""
    flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
    laid = cv2.warpAffine(picture, matrix, SIZE, flags=flags, borderMode=cv2.BORDER_REPLICATE)
    return cv2.GaussianBlur(laid, (0, 0), _BLUR)


def moved(matrix: Values, shift: Values) -> Values:
    """The matrix for a grid that lies ``shift`` pixels further right and down."""
    return np.column_stack([matrix[:, :2], matrix[:, 2] + matrix[:, :2] @ shift])


def _explained(products: Values, inverses: Values) -> Values:
    """[..., m] share of patterns of length 1 that fits by bases explain, from their products [..., m, 3]."""
    return np.asarray((np.matmul(products[..., None, :], inverses)[..., 0, :] * products).sum(axis=-1))


def _with_derivatives(flat: Array) -> Array:
    down, across = np.gradient(flat)
    basis = np.stack([(flat - flat.mean()).ravel(), across.ravel(), down.ravel()])
    return np.asarray(basis / (np.linalg.norm(basis[0]) + 1e-6), np.float32)


def _unit(flat: Array) -> Array:
    values = (flat - flat.mean()).ravel()
    return values / (np.linalg.norm(values) + 1e-6)
