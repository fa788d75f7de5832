"""Gate weave: the film never comes to rest in quite the same place."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from wetgate.images import Pixels
from wetgate.simulate import seeds


@dataclass(frozen=True)
class Weave:
    """Standard deviations of the movement.

    Attributes:
        shift_um: horizontal and vertical shift on the film, in micrometres.
        rotation: rotation in degrees.
    """

    shift_um: tuple[float, float] = (0.0, 0.0)
    rotation: float = 0.0


def weave_transform(
    weave: Weave, height: int, width: int, pixel_um: float, seed: int, frame: int
) -> NDArray[np.float64]:
    """2x3 affine matrix from a point (x, y) of the steady picture to its place in the scanned frame, in pixels."""
    sway = seeds.smooth_noise(seed, "weave", frame, 3, longest=80, shortest=4)
    angle = np.radians(weave.rotation * sway[2])
    cosine, sine = np.cos(angle), np.sin(angle)
    rotation = np.array([[cosine, -sine], [sine, cosine]])
    centre = np.array([(width - 1) / 2, (height - 1) / 2])
    shift = np.asarray(weave.shift_um) / pixel_um * sway[:2]
    return np.column_stack([rotation, centre - rotation @ centre + shift])


def move(pixels: Pixels, transform: NDArray[np.float64]) -> Pixels:
    """Move a display picture [H,W,3] by a 2x3 matrix (bicubic; edges are drawn outwards), within 0-1."""
    if np.array_equal(transform, np.eye(2, 3)):
        return pixels
    height, width = pixels.shape[:2]
    moved = cv2.warpAffine(pixels, transform, (width, height), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    return np.clip(moved, 0, 1).astype(np.float32, copy=False)
