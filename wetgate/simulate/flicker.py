"""Flicker: density that changes from frame to frame, most of it in the faded red record."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wetgate.simulate import seeds


@dataclass(frozen=True)
class Flicker:
    """Standard deviations over time.

    Attributes:
        exposure: density added to all three bands alike.
        cyan: relative change of the cyan dye, the layer that controls red.
    """

    exposure: float = 0.0
    cyan: float = 0.0


def flicker_at(flicker: Flicker, seed: int, frame: int) -> tuple[float, NDArray[np.float64]]:
    """Density added to a frame, and the factors of its cyan, magenta and yellow dye.

    Half of the variance is slow (periods of 3 to 40 frames), half is new in every frame.
    """
    slow = seeds.smooth_noise(seed, "flicker", frame, 2, longest=40, shortest=3)
    quick = seeds.generator(seed, "flicker of a frame", frame).standard_normal(2)
    exposure, cyan = (slow + quick) * np.sqrt(0.5)
    return flicker.exposure * exposure, np.array([max(0.0, 1 + flicker.cyan * cyan), 1.0, 1.0])
