"""The last half pixel: references lie near where they should, and what they show says where.

Film is warped, and no transform of a whole picture takes that out. A network that is punished for being half a pixel
beside a misplaced target learns to blur. So the target is moved, once, to where the scan itself shows the same: never
to where a network has moved its answer, for the two would wander off together.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from wetgate.pairing.resampling import pixel_grid, sample

Array = NDArray[np.float32]

AROUND = 33
"""Pixels, across and down, that agree on one shift."""
MOST = 1.0
"""Largest shift, in pixels."""
MEASURED = 0.1
"""Pixels of a residual that are the measurement's own, not the picture's."""
_STEPS = 2
_INDEPENDENT = 50
"""Of the pixels around, how many tell something new."""
_COARSE = 17


def moved_to(guide: Array, target: Array, weight: Array, expected: float) -> Array:
    """The target, resampled where the guide shows it.

    Two steps of Lucas and Kanade's registration (IJCAI 1981) on windows around every pixel, drawn to no shift as a
    normal prior draws them: where the pictures say nothing, the target stays.

    Args:
        guide, target: [H, W] of about the same contrast.
        weight: [H, W] how much each pixel is trusted.
        expected: standard deviation of the shifts, in pixels; 0 moves nothing.
    """
    if expected <= 0:
        return target
    places = pixel_grid(target.shape)
    shift, moved = np.zeros_like(places), target
    for _ in range(_STEPS):
        shift = np.clip(shift + _step(guide, moved, weight, shift, expected), -MOST, MOST)
        moved = sample(target, places + shift)
    return moved


def expected_of(residual_px: float | None) -> float:
    """Shifts to expect where a reference was found to lie so far off; half a pixel where that is not known."""
    return 0.5 if residual_px is None else max(residual_px**2 - MEASURED**2, 0.0) ** 0.5


def _step(guide: Array, target: Array, weight: Array, shift: Array, expected: float) -> Array:
    """[H, W, 2] x and y to go farther in the target, which has been moved by ``shift``."""
    seen, wanted = _mean(guide, 3), _mean(target, 3)
    wider = np.pad(wanted, 1, mode="edge")
    down = np.float32(0.5) * (wider[2:, 1:-1] - wider[:-2, 1:-1])
    across = np.float32(0.5) * (wider[1:-1, 2:] - wider[1:-1, :-2])
    differs = seen - wanted
    error: Array = differs - _mean(differs, _COARSE)
    xx, xy, yy, xe, ye = (
        _mean(weight * a * b, AROUND)
        for a, b in ((across, across), (across, down), (down, down), (across, error), (down, error))
    )
    noise = float((weight * error**2).mean(dtype=np.float64))
    prior = np.float32(noise / (expected**2 * _INDEPENDENT) + 1e-12)
    xx, yy = xx + prior, yy + prior
    xe, ye = xe - prior * shift[..., 0], ye - prior * shift[..., 1]
    determinant = xx * yy - xy * xy
    return np.stack([(yy * xe - xy * ye) / determinant, (xx * ye - xy * xe) / determinant], 2)


def _mean(picture: Array, side: int) -> Array:
    return np.asarray(cv2.blur(picture, (side, side), borderType=cv2.BORDER_REPLICATE), np.float32)
