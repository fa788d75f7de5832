"""What a damaged film still tells about a place: means around it at several sizes, with and without what is damage.

Where emulsion has come off a film is lighter than its picture, where dirt lies it is darker. So besides plain means
there are means of those pixels alone that are darker, or lighter, than a level, and of what rises above a level: a
local histogram at several sizes. A linear map from these to the reference is solved, not trained: some hundred numbers
that hold on frames that no pair shows, where a network with millions has learnt its few pairs by heart.

Everything is written over the operations of :mod:`wetgate.training.operations`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from wetgate.images import LUMA
from wetgate.training.blur import blur

Array = NDArray[np.float32]

SIZES = 5
"""Each twice as large as the one before; the first is the step's own pixel."""
MULTIPLE = 2 ** (SIZES - 1)
"""What sides at the step's fineness must be multiples of."""
QUANTILES = (0.02, 0.1, 0.25, 0.5, 0.75, 0.93)
"""Of the scans' luma: the levels."""
SOFT = 0.04
"""Display values over which a pixel comes to count."""
_LEAST = 0.02
"""Share of counting pixels around a place below which the plain mean takes over."""


def levels_of(lumas: list[Array]) -> Array:
    """The levels [6] for scans with these luma values."""
    every = np.concatenate([luma.ravel()[::7] for luma in lumas])
    return np.quantile(every, QUANTILES).astype(np.float32)


def describe(ops: Any, picture: Any, channels: int, reduction: int, levels: Array) -> Any:
    """Features [N, F, h, w] of a picture of display values [N, c, H, W], at the step's fineness.

    Args:
        ops: where to compute.
        picture: H and W multiples of ``reduction * MULTIPLE``.
        channels: c, 1 or 3.
        reduction: pixels of the frame to one of the features.
        levels: of :func:`levels_of`.
    """
    luma = picture if channels == 1 else ops.convolve(picture, LUMA[None, :, None, None])
    whole = _around(ops, _reduced(ops, picture, reduction), channels, SIZES)
    found = list(whole)
    for level in levels:
        above = ops.at_least(ops.affine(picture, 1.0, -float(level)), 0.0)
        found += _around(ops, _reduced(ops, above, reduction), channels, SIZES - 1)
        for sign in (-1.0, 1.0):
            counts = ops.at_most(
                ops.at_least(ops.affine(luma, sign / SOFT, 0.5 - sign * float(level) / SOFT), 0.0), 1.0
            )
            kept = picture
            kept = ops.multiply(kept, counts)
            sums = _around(ops, _reduced(ops, kept, reduction), channels, SIZES - 1)
            shares = _around(ops, _reduced(ops, counts, reduction), 1, SIZES - 1)
            for total, share in zip(sums, shares, strict=True):
                mixed = ops.add(total, ops.affine(whole[-1], _LEAST, 0.0))
                found.append(ops.divide(mixed, ops.affine(share, 1.0, _LEAST)))
    return ops.concat(found)


def _around(ops: Any, low: Any, channels: int, sizes: int) -> list[Any]:
    """Means around each place at several sizes, the smallest first."""
    found = [low]
    for size in range(1, sizes):
        low = ops.shrink(low)
        wide = blur(ops, low, 1.0, channels)
        for _ in range(size):
            wide = ops.enlarge(wide)
        found.append(wide)
    return found


def _reduced(ops: Any, picture: Any, reduction: int) -> Any:
    for _ in range(reduction.bit_length() - 1):
        picture = ops.shrink(picture)
    return picture
