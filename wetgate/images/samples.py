"""Stored samples and the floats they stand for."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from wetgate.images.encodings import LUMA
from wetgate.images.image import Pixels

HALF_MAX = 65504.0


def single_channel(pixels: Pixels) -> Pixels:
    """[H, W] of pixels [H, W, 3]: what the three channels share, or their BT.709 luma where they differ."""
    first = pixels[..., 0]
    shared = all(np.array_equal(first, pixels[..., other], equal_nan=True) for other in (1, 2))
    return first if shared else (pixels @ LUMA).astype(np.float32)


def codes_to_float(codes: NDArray[Any], bits: int) -> Pixels:
    """Unsigned codes as code / largest code; exact back through :func:`float_to_codes` up to 16 bits."""
    values = codes.astype(np.float32)
    values /= np.float32((1 << bits) - 1)
    return values


def float_to_codes(values: Pixels, bits: int) -> NDArray[Any]:
    """The nearest codes; what lies outside 0-1 is clipped, NaN becomes 0."""
    largest = np.float32((1 << bits) - 1)
    codes = np.fmin(np.fmax(values * largest, np.float32(0)), largest)  # fmax takes the number where the other is NaN
    return np.rint(codes, out=codes).astype(np.uint8 if bits <= 8 else np.uint16)


def float_to_half(values: Pixels) -> NDArray[np.float16]:
    """Half floats; finite values beyond half's range become +-65504, NaN and infinities stay."""
    with np.errstate(over="ignore"):
        halves = values.astype(np.float16)
    overflown = np.isinf(halves) & np.isfinite(values)
    if overflown.any():
        halves[overflown] = np.copysign(np.float16(HALF_MAX), halves[overflown])
    return halves
