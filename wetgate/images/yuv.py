"""Y'CbCr code planes to R'G'B' floats and back, in numpy.

Source: ITU-T H.273 (07/2021), equations for MatrixCoefficients and VideoFullRangeFlag; chroma positions as
in ITU-T H.264 figure E-1 (type 0, the default of MPEG-2, H.264 and 4:2:2 video: chroma stands on every
second luma sample of a line, and half-way between two lines in 4:2:0) and JFIF 1.02 (half-way in both).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wetgate.images.image import Pixels

Plane = NDArray[Any]

LUMA_WEIGHTS = {
    "bt709": (0.2126, 0.0722),
    "fcc": (0.30, 0.11),
    "bt601": (0.299, 0.114),
    "smpte240m": (0.212, 0.087),
    "bt2020": (0.2627, 0.0593),
}
"""Weights of red and blue in luma, by matrix."""


@dataclass(frozen=True)
class Coding:
    """How Y'CbCr codes stand for a picture.

    Attributes:
        bits: of a code.
        matrix: a key of ``LUMA_WEIGHTS``.
        full_range: black at code 0 instead of 16 (times a power of two).
        step: luma samples per chroma sample, across and down: (1, 1), (2, 1), (2, 2) or (4, 1).
        centred: whether chroma stands half-way across too, as in JPEG.
    """

    bits: int
    matrix: str
    full_range: bool
    step: tuple[int, int]
    centred: bool = False


def luma_to_float(luma: Plane, bits: int, full_range: bool) -> Pixels:
    """Luma codes as floats, black 0 and white 1."""
    black, span, _, _ = _levels(bits, full_range)
    return (luma.astype(np.float32) - black) / span


def float_to_luma(values: Pixels, bits: int, full_range: bool) -> NDArray[np.uint16]:
    """The inverse of :func:`luma_to_float`, to the nearest code."""
    black, span, _, _ = _levels(bits, full_range)
    return _to_codes(values * span + black, bits)


def planes_to_rgb(luma: Plane, cb: Plane, cr: Plane, coding: Coding) -> Pixels:
    """Integer code planes as float32 R'G'B' [H, W, 3]; codes beyond black and white go beyond 0-1."""
    height, width = luma.shape
    _, _, middle, chroma_span = _levels(coding.bits, coding.full_range)
    y = luma_to_float(luma, coding.bits, coding.full_range)
    blue, red = (
        _enlarge(_enlarge(plane.astype(np.float32), width, 1, coding), height, 0, coding) - middle for plane in (cb, cr)
    )
    weight_red, weight_blue = LUMA_WEIGHTS[coding.matrix]
    weight_green = 1.0 - weight_red - weight_blue
    pixels = np.empty((height, width, 3), np.float32)
    pixels[..., 0] = y + np.float32(2.0 * (1.0 - weight_red) / chroma_span) * red
    pixels[..., 2] = y + np.float32(2.0 * (1.0 - weight_blue) / chroma_span) * blue
    pixels[..., 1] = (y - weight_red * pixels[..., 0] - weight_blue * pixels[..., 2]) / weight_green
    return pixels


def rgb_to_planes(pixels: Pixels, coding: Coding) -> tuple[NDArray[np.uint16], NDArray[np.uint16], NDArray[np.uint16]]:
    """The inverse of :func:`planes_to_rgb`; NaN is written as black."""
    pixels = np.nan_to_num(pixels, nan=0.0, posinf=1.0, neginf=0.0)
    weight_red, weight_blue = LUMA_WEIGHTS[coding.matrix]
    weights = np.array([weight_red, 1.0 - weight_red - weight_blue, weight_blue], np.float32)
    _, _, middle, chroma_span = _levels(coding.bits, coding.full_range)
    y: Pixels = (pixels @ weights).astype(np.float32)
    chroma = []
    for channel, weight in ((2, weight_blue), (0, weight_red)):
        difference = (pixels[..., channel] - y) / np.float32(2.0 * (1.0 - weight))
        reduced = _reduce(_reduce(difference.astype(np.float32), 1, coding), 0, coding)
        chroma.append(_to_codes(reduced * chroma_span + middle, coding.bits))
    return float_to_luma(y, coding.bits, coding.full_range), chroma[0], chroma[1]


def _levels(bits: int, full_range: bool) -> tuple[np.float32, np.float32, np.float32, np.float32]:
    """Luma's black code and span, chroma's middle code and span."""
    unit = 1 << (bits - 8)
    largest = (1 << bits) - 1
    levels = (0, largest, 128 * unit, largest) if full_range else (16 * unit, 219 * unit, 128 * unit, 224 * unit)
    return np.float32(levels[0]), np.float32(levels[1]), np.float32(levels[2]), np.float32(levels[3])


def _to_codes(values: Pixels, bits: int) -> NDArray[np.uint16]:
    return np.rint(np.clip(values, 0, (1 << bits) - 1)).astype(np.uint16)


def _is_centred(axis: int, coding: Coding) -> bool:
    return axis == 0 or coding.centred


def _enlarge(plane: Pixels, size: int, axis: int, coding: Coding) -> Pixels:
    """Chroma at every luma position along an axis, linearly between its samples."""
    factor = coding.step[1 - axis]
    if factor == 1:
        return plane
    offset = (factor - 1) / 2 if _is_centred(axis, coding) else 0.0
    position = np.clip((np.arange(size) - offset) / factor, 0, plane.shape[axis] - 1)
    before = np.floor(position).astype(np.intp)
    share = (position - before).astype(np.float32)
    if axis == 0:
        share = share[:, None]
    first = plane.take(before, axis)
    second = plane.take(np.minimum(before + 1, plane.shape[axis] - 1), axis)
    return first + (second - first) * share


def _reduce(plane: Pixels, axis: int, coding: Coding) -> Pixels:
    """Chroma at its own positions along an axis: a box where it stands half-way, else a tent."""
    factor = coding.step[1 - axis]
    if factor == 1:
        return plane
    size = plane.shape[axis]
    places = np.arange(-(-size // factor)) * factor
    if _is_centred(axis, coding):
        taps = [(offset, 1 / factor) for offset in range(factor)]
    else:
        taps = [(offset, (factor - abs(offset)) / factor**2) for offset in range(1 - factor, factor)]
    total = np.zeros((), np.float32)
    for offset, weight in taps:
        total = total + plane.take(np.clip(places + offset, 0, size - 1), axis) * np.float32(weight)
    return total
