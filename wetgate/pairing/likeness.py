"""How unlike a scan frame and a reference frame are, fine enough to tell neighbours apart.

Both sketches are laid over one another and compared as patterns: what share of the scan's contrast the reference
does not explain. The film moves in the gate from frame to frame, and a pattern that is a fraction of a pixel off
would look less alike than the next frame; so the reference may explain the scan together with its two derivatives,
which stand for a small shift.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from wetgate.pairing.geometry import Geometry
from wetgate.pairing.monotone import Row
from wetgate.pairing.sketches import Sketches

Array = NDArray[np.float32]

SIZE = (128, 96)
_BLUR = 0.5
_RIDGE = 1e-3
_BLOCK = 128


def unlikeness(
    scan: Sketches,
    reference: Sketches,
    geometries: Sequence[Geometry],
    shifts: NDArray[np.float64],
    band: Sequence[tuple[int, int]],
) -> Iterator[Row]:
    """One :class:`Row` per scan frame: against the reference frames of its ``band`` (first, end).

    Args:
        geometries: one per scan frame; frames in a row share one.
        shifts: [N, 2] by which each scan frame is off its geometry, in pixels of a 128 x 96 grid over the picture.
    """
    start = 0
    while start < len(band):
        end = start + 1
        while end < len(band) and end - start < _BLOCK and geometries[end] is geometries[start]:
            end += 1
        yield from _block(scan, reference, geometries[start], shifts, band, start, end)
        start = end


def _block(
    scan: Sketches,
    reference: Sketches,
    geometry: Geometry,
    shifts: NDArray[np.float64],
    band: Sequence[tuple[int, int]],
    start: int,
    end: int,
) -> Iterator[Row]:
    to_scan, to_reference = geometry.grids(SIZE)
    ours = np.stack(
        [
            _unit(pattern(picture, moved(to_scan, shift)))
            for picture, shift in zip(scan.local_contrast(slice(start, end)), shifts[start:end], strict=True)
        ]
    )
    low, high = min(band[index][0] for index in range(start, end)), max(band[index][1] for index in range(start, end))
    values = np.empty((end - start, high - low))
    for first in range(low, high, _BLOCK):
        last = min(high, first + _BLOCK)
        values[:, first - low : last - low] = _unexplained(ours, _bases(reference, to_reference, first, last))
    for index in range(start, end):
        first, last = band[index]
        yield Row(first, values[index - start, first - low : last - low])


def _bases(sketches: Sketches, matrix: NDArray[np.float64], first: int, last: int) -> Array:
    """[n, 3, D] patterns of frames with their derivatives across and down; a pattern's length is 1."""
    bases = np.empty((last - first, 3, SIZE[0] * SIZE[1]), np.float32)
    for basis, picture in zip(bases, sketches.local_contrast(slice(first, last)), strict=True):
        flat = pattern(picture, matrix)
        down, across = np.gradient(flat)
        for part, values in zip(basis, (flat - flat.mean(), across, down), strict=True):
            part[:] = values.ravel()
        basis /= np.linalg.norm(basis[0]) + 1e-6
    return bases


def _unexplained(ours: Array, bases: Array) -> NDArray[np.float64]:
    """[n, m] what a least-squares fit by each basis leaves of each of our patterns of length 1."""
    count = len(bases)
    gram = np.matmul(bases, bases.transpose(0, 2, 1)).astype(np.float64) + np.diag([1e-6, _RIDGE, _RIDGE])
    products = (ours @ bases.reshape(3 * count, -1).T).reshape(len(ours), count, 3).astype(np.float64)
    explained = np.einsum("nmk,mkl,nml->nm", products, np.linalg.inv(gram), products, optimize=True)
    return np.clip(1 - explained, 0, 1)


def neighbours(sketches: Sketches) -> NDArray[np.float64]:
    """[N-1] unlikeness of each frame to the next, as above."""
    whole = Geometry.of_window((0, 0, 1, 1), False).grids(SIZE)[0]
    found = np.empty(max(0, len(sketches) - 1))
    for start in range(0, len(found), _BLOCK):
        end = min(len(found), start + _BLOCK)
        bases = _bases(sketches, whole, start, end + 1)
        gram = np.matmul(bases, bases.transpose(0, 2, 1)).astype(np.float64) + np.diag([1e-6, _RIDGE, _RIDGE])
        products = np.einsum("nkd,nd->nk", bases[1:], bases[:-1, 0]).astype(np.float64)
        explained = np.einsum("nk,nkl,nl->n", products, np.linalg.inv(gram[1:]), products)
        found[start:end] = np.clip(1 - explained, 0, 1)
    return found


def shift_between(scan: Array, reference: Array, geometry: Geometry, start: NDArray[np.float64]) -> NDArray[np.float64]:
    """By how much a scan's sketch is off where the geometry has it, in pixels of the grid: two steps from ``start``."""
    to_scan, to_reference = geometry.grids(SIZE)
    target = _unit(pattern(reference, to_reference, blur=1.0))
    shift = start.copy()
    for _ in range(2):
        flat = pattern(scan, moved(to_scan, shift), blur=1.0)
        down, across = np.gradient(flat)
        basis = np.stack([_unit(flat), across.ravel(), down.ravel()])
        share, *steps = np.linalg.lstsq(basis.T, target, rcond=None)[0]
        scale = share / (np.linalg.norm(flat - flat.mean()) + 1e-6)
        if abs(scale) > 1e-6:
            shift += np.clip(np.array(steps) / scale, -1, 1)
    limited: NDArray[np.float64] = np.clip(shift, -_MOST_SHIFT, _MOST_SHIFT)
    return limited


_MOST_SHIFT = 4.0


def pattern(picture: Array, matrix: NDArray[np.float64], blur: float = _BLUR) -> Array:
    """[96, 128] a sketch's picture where ``matrix`` takes the grid's pixels."""
    flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
    laid = cv2.warpAffine(picture, matrix, SIZE, flags=flags, borderMode=cv2.BORDER_REPLICATE)
    return cv2.GaussianBlur(laid, (0, 0), blur)


def moved(matrix: NDArray[np.float64], shift: NDArray[np.float64]) -> NDArray[np.float64]:
    """The matrix for a grid that lies ``shift`` pixels further right and down."""
    return np.column_stack([matrix[:, :2], matrix[:, 2] + matrix[:, :2] @ shift])


def _unit(flat: Array) -> Array:
    values = (flat - flat.mean()).ravel()
    return values / (np.linalg.norm(values) + 1e-6)
