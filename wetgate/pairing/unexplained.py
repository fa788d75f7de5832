"""Structure of one picture that has no counterpart in another which shows the same, whatever became of the colours."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]
Mask = NDArray[np.bool_]

_BINS = 12
_TO_DEVIATION = 1.4826
"""From the median of absolute values of normal noise to its deviation."""


def unexplained(target: Array, source: Array, reach: int) -> Array:
    """What no local affine map of ``source``'s channels gives of ``target``: [H, W, 3], in the target's values.

    In a square of 2 ``reach`` + 1 pixels around each pixel the target is regressed on the source (the guided filter
    of He, Sun & Tang, PAMI 2013, without its last averaging): faded, bleached or painted anew, what begins and ends in
    both is explained, and so is whatever is flat.

    Args:
        target: float32 [H, W, 3].
        source: float32 [H, W, 3].
        reach: pixels.
    """
    side = (2 * reach + 1, 2 * reach + 1)
    # about the middle: small numbers, few digits lost
    x, y = (np.ascontiguousarray((p - p.mean((0, 1))).transpose(2, 0, 1)) for p in (source, target))
    noise = [_noise(channel) ** 2 + 1e-6 for channel in x]
    mean_x, mean_y = ([cv2.blur(channel, side) for channel in p] for p in (x, y))
    a, b, c, d, e, f = (
        cv2.blur(x[i] * x[j], side) - mean_x[i] * mean_x[j] + np.float32(noise[i] if i == j else 0)
        for i, j in ((0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2))
    )
    # covariance = L D L', which stays positive where the channels are all but one
    first = 1 / np.maximum(a, noise[0])
    b, c, d, e, f = b * first, c * first, d - b * b * first, e - b * c * first, f - c * c * first
    second = 1 / np.maximum(d, noise[1])
    e, f = e * second, f - e * e * second
    third = 1 / np.maximum(f, noise[2])
    away = [x[i] - mean_x[i] for i in range(3)]
    away[1] = away[1] - b * away[0]
    away[2] = (away[2] - c * away[0] - e * away[1]) * third
    away[1] = away[1] * second - e * away[2]
    shares = [away[0] * first - b * away[1] - c * away[2], away[1], away[2]]
    left = np.empty_like(y)
    for k in range(3):
        covariances = (cv2.blur(x[i] * y[k], side) - mean_x[i] * mean_y[k] for i in range(3))
        left[k] = y[k] - mean_y[k] - sum(share * cross for share, cross in zip(shares, covariances, strict=True))
    return np.ascontiguousarray(left.transpose(1, 2, 0))


def usual(values: Array, structure: Array, counts: Mask) -> Array:
    """[H, W] deviation that values [H, W] have where there is about as much ``structure`` [H, W].

    By medians, over the pixels that count: what stands out on less than half of the places raises nothing.
    """
    every = np.s_[::2, ::2]
    chosen = counts[every]
    if np.count_nonzero(chosen) < 10 * _BINS:
        return np.zeros_like(values)
    level, size = np.log(structure[every][chosen] + 1e-6), np.abs(values[every][chosen])
    parts = np.array_split(np.argsort(level), _BINS)
    centres = [float(np.median(level[part])) for part in parts]
    heights = np.maximum.accumulate([float(np.median(size[part])) * _TO_DEVIATION for part in parts])
    return np.interp(np.log(structure + 1e-6), centres, heights).astype(np.float32)


def busyness(pixels: Array) -> Array:
    """[H, W] how strongly [H, W, 3] changes around each pixel, in its own values."""
    dx, dy = (np.abs(np.gradient(pixels, axis=axis)).max(2) for axis in (1, 0))
    return cv2.GaussianBlur(cv2.dilate(np.hypot(dx, dy), np.ones((3, 3))), (0, 0), 1)


def _noise(channel: Array) -> float:
    """Deviation of white noise in a picture [H, W] (Immerkaer, CVIU 1996)."""
    mask = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32)
    return float(np.median(np.abs(cv2.filter2D(channel, -1, mask)))) * _TO_DEVIATION / 6
