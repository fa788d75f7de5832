"""Places in pictures: transforms between pixel frames, and pictures resampled through them.

A pixel's centre has whole coordinates, (0, 0) at the top left; a picture W pixels wide spans -0.5 to W - 0.5.
Transforms are 3x3 float64 matrices on homogeneous columns (x, y, 1).
"""

from __future__ import annotations

from typing import TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]
Matrix = NDArray[np.float64]
Points = TypeVar("Points", Array, Matrix)

_RESIZED_FROM = 1.1
"""Nearer to 1:1 than this, a picture is sampled as it is."""
_MOST_ENLARGED = 8


def scaling(source: tuple[int, ...], target: tuple[int, ...]) -> Matrix:
    """From a picture's pixels to those of the same picture resized; sizes are (height, width, ...)."""
    y, x = (new / old for old, new in zip(source[:2], target[:2], strict=True))
    return np.array([[x, 0, (x - 1) / 2], [0, y, (y - 1) / 2], [0, 0, 1]])


def mirroring(width: int) -> Matrix:
    """Left to right and back."""
    return np.array([[-1.0, 0, width - 1], [0, 1, 0], [0, 0, 1]])


def move_points(transform: Matrix, points: Points) -> Points:
    """Points [..., 2] through a transform, in their own precision."""
    across = transform.astype(points.dtype)
    moved = points @ across[:, :2].T + across[:, 2]
    return moved[..., :2] / moved[..., 2:]


def shrink(pixels: Array, side: int) -> Array:
    """Averaged down until no side is longer than ``side``; untouched where none is."""
    height, width = pixels.shape[:2]
    scale = side / max(height, width)
    if scale >= 1:
        return pixels
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA))


def pixel_grid(shape: tuple[int, ...]) -> Array:
    """[H, W, 2] x and y of every pixel centre."""
    y, x = np.mgrid[: shape[0], : shape[1]].astype(np.float32)
    return np.stack([x, y], axis=2)


def places_in(transform: Matrix, shape: tuple[int, ...], flow: Array | None = None) -> Array:
    """[H, W, 2] where each pixel of a frame of ``shape`` lies in the source: transform(p) + flow(p)."""
    places = move_points(transform, pixel_grid(shape))
    return places if flow is None else places + flow


def inside(places: Array, source: tuple[int, ...]) -> Array:
    """[H, W] float32: 1 for places within the source's outermost pixel centres, 0 beyond."""
    x, y = places[..., 0], places[..., 1]
    within = (x >= 0) & (y >= 0) & (x <= source[1] - 1) & (y <= source[0] - 1)
    return within.astype(np.float32)


def sample(pixels: Array, places: Array) -> Array:
    """``pixels`` [h, w, C] or [h, w] seen at ``places`` [H, W, 2].

    Where neighbouring places lie several pixels apart the picture is averaged first, where they lie within
    one it is enlarged first (cubic), so that the last step, Lanczos with 8 taps, is always near 1:1. Beyond its
    edges the picture goes on with the value at the edge; nothing is clamped.
    """
    steps = _steps(places)
    if max(*steps, *(1 / step for step in steps)) > _RESIZED_FROM:
        shape = pixels.shape[:2]
        size = [max(1, round(length / step)) for length, step in zip(shape, steps, strict=True)]
        averaged = [min(pair) for pair in zip(shape, size, strict=True)]
        pixels = cv2.resize(pixels, averaged[::-1], interpolation=cv2.INTER_AREA)
        pixels = cv2.resize(pixels, size[::-1], interpolation=cv2.INTER_CUBIC)
        resized = scaling(shape, pixels.shape).astype(np.float32)
        places = places * resized.diagonal()[:2] + resized[:2, 2]
    return np.asarray(cv2.remap(pixels, places, None, cv2.INTER_LANCZOS4, borderMode=cv2.BORDER_REPLICATE))


def _steps(places: Array) -> tuple[float, float]:
    """Source pixels, down and across the source, that one step of the places spans; their median."""
    across = np.median(places[::8, 1:] - places[::8, :-1], axis=(0, 1)) if places.shape[1] > 1 else np.ones(2)
    down = np.median(places[1:, ::8] - places[:-1, ::8], axis=(0, 1)) if places.shape[0] > 1 else np.ones(2)
    x, y = np.hypot(across, down)
    return max(float(y), 1 / _MOST_ENLARGED), max(float(x), 1 / _MOST_ENLARGED)
