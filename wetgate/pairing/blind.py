"""Pictures blind to fade: what a scan and its reference still have in common, whatever became of the dyes.

Brightness and colour change as film fades, and a negative has both turned round; where something begins and ends
does not change.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]

_FLARE = 0.03
"""Added before the logarithm: below it a display value is mostly noise."""
_GRAIN = 0.7
_SURROUND = 5.6
"""Deviations, in pixels, of the blur that takes grain and compression away and of what contrast is measured against."""


def fade_blind(pixels: Array) -> Array:
    """Local contrast of a display picture [H, W, 3]: [H, W], about mean 0 and deviation 1 everywhere.

    Grey is the principal component of the band-passed log image, so that a layer which has faded away
    has no say. Its sign is that of most channels; a negative comes out inverted. Shrink a picture to look at
    larger structures.

    Args:
        pixels: finite values, 0-1 nominal.

    Returns:
        float32, -3 to 3; all 0 where the picture is blank.
    """
    density = cv2.GaussianBlur(np.log(np.maximum(pixels, 0) + np.float32(_FLARE)), (0, 0), _GRAIN)
    band = density - cv2.GaussianBlur(density, (0, 0), _SURROUND)
    grey = band @ _principal(band)
    spread = np.sqrt(cv2.GaussianBlur(grey * grey, (0, 0), 2 * _SURROUND))
    floor = 0.25 * float(np.sqrt((grey * grey).mean())) + 1e-3
    contrast: Array = np.clip(grey / (spread + np.float32(floor)), -3, 3)
    return contrast


def _principal(band: Array) -> Array:
    values = band.reshape(-1, 3)
    direction = np.linalg.eigh(np.asarray(values.T @ values, np.float64))[1][:, -1]
    return (direction if direction.sum() >= 0 else -direction).astype(np.float32)
