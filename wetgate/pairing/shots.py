"""Where shots begin: the descriptors of the frames before and after have little in common."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from wetgate.images import Pixels, Source
from wetgate.pairing.descriptors import orientation_fields, resampled
from wetgate.pairing.sketches import LUMA, Sketches, local_contrast, sketch

CUT = 0.42
"""Distance of descriptors, 0 alike to 1 unrelated: cuts of real footage measured 0.63 and more, fast motion 0.31."""
_CELLS = (16, 12)
_BLOCK = 256
_SURROUND = 6
_ABOVE_SURROUND = 1.5


def find_shots(pictures: Sketches | Source) -> list[tuple[int, int]]:
    """First and end (one past the last) index of every shot, in order; together they hold all frames.

    Indexes count the frames of a source, or the sketches made of them, from 0.

    A shot begins where a frame and the two before it, and its successor and the one before it, are unlike, and more
    so than frames around are: a flash or one destroyed frame makes no shot. Fade and flicker make none either,
    since orientation is blind to exposure. Dissolves are not found.

    Raises:
        WetgateError: a frame of a source cannot be read.
    """
    sketches = pictures if isinstance(pictures, Sketches) else sketch(pictures)
    count = len(sketches)
    if count < 2:
        return [(0, count)] if count else []
    one, two = _distances(sketches)
    begins = [0]
    for index in range(1, count):
        around = [one[near] for near in range(index - _SURROUND, index + _SURROUND + 1) if 0 < near < count]
        across = (one[index], two[index], two[min(index + 1, count - 1)])
        if min(across) > CUT and one[index] > _ABOVE_SURROUND * np.median(around):
            begins.append(index)
    return list(zip(begins, [*begins[1:], count], strict=True))


def of_one_shot(first: Pixels, second: Pixels) -> bool:
    """Whether two pictures [H, W, 3] have as much in common as frames of one shot that lie side by side."""
    contrasts = np.stack([local_contrast(picture @ LUMA)[0] for picture in (first, second)])
    found = resampled(orientation_fields(contrasts), (0, 0, 1, 1), _CELLS)
    return bool(1 - (found[0] * found[1]).sum() <= CUT)


def _distances(sketches: Sketches) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """[N] of each frame to the one before it and to the one before that; infinite where there is none."""
    one, two = np.full((2, len(sketches)), np.inf)
    for start in range(0, len(sketches), _BLOCK):
        first = max(0, start - 2)
        fields = orientation_fields(sketches.local_contrast(slice(first, start + _BLOCK)))
        found = resampled(fields, (0, 0, 1, 1), _CELLS)
        for step, distances in ((1, one), (2, two)):
            distances[first + step : first + len(found)] = 1 - (found[step:] * found[:-step]).sum(axis=1)
    return one, two
