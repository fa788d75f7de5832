"""Gradient-orientation descriptors: what a picture shows, blind to fade, exposure and polarity.

Each place says which way its contours run, as a vector at twice the angle, so that a contour from dark to light and
one from light to dark are the same and opposite directions cancel (as in the structure tensor). Vectors are
averaged over cells, as in histograms of oriented gradients (Dalal and Triggs, CVPR 2005).
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]

CELLS = (40, 30)
"""Cells across and down."""


def orientation_fields(pictures: Array) -> Array:
    """[n, 2, 30, 40] mean contour vectors in the cells of pictures [n, H, W]; length 0-1."""
    fields = np.empty((len(pictures), 2, CELLS[1], CELLS[0]), np.float32)
    for field, picture in zip(fields, pictures, strict=True):
        across, down = (cv2.Sobel(picture, cv2.CV_32F, *order, ksize=3) for order in ((1, 0), (0, 1)))
        strength = np.sqrt(across**2 + down**2)
        scale = 1 / (strength * (strength + strength.mean() + 1e-6) + 1e-12)
        for part, vector in zip(field, (across**2 - down**2, 2 * across * down), strict=True):
            part[:] = cv2.resize(vector * scale, CELLS, interpolation=cv2.INTER_AREA)
    return fields


def mirrored(fields: Array) -> Array:
    """Fields of the same pictures, left and right exchanged."""
    return fields[..., ::-1] * np.array([1, -1], np.float32)[:, None, None]


def resampled(fields: Array, window: tuple[float, float, float, float], size: tuple[int, int]) -> Array:
    """Descriptors [n, 2 * height * width] of length 1 of a window (x0, y0, x1, y1 as shares) at ``size`` cells.

    Where the window reaches outside the picture there is nothing.
    """
    across = _averaging(fields.shape[3], window[0], window[2], size[0])
    down = _averaging(fields.shape[2], window[1], window[3], size[1])
    cells = (down @ fields @ across.T).reshape(len(fields), -1)
    return np.asarray(cells / (np.linalg.norm(cells, axis=1, keepdims=True) + 1e-6), np.float32)


def _averaging(count: int, start: float, end: float, cells: int) -> Array:
    """[cells, count] matrix that averages ``count`` cells over the equal parts of start-end, given as shares."""
    edges = np.linspace(start, end, cells + 1) * count
    left, right = edges[:-1, None], edges[1:, None]
    places = np.arange(count)
    overlap = np.clip(np.minimum(right, places + 1) - np.maximum(left, places), 0, None)
    return np.asarray(overlap / (right - left), np.float32)
