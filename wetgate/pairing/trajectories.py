"""The plainest path within a tube: which part of a movement a camera may have made.

Cameras stand, pan evenly, or speed up gently: of the paths that stay near what was measured, the plainest one has the
least speed, acceleration and jerk, each in absolute value, so that it is still or even for most of the time instead of
a little restless always (Grundmann et al., "Auto-directed video stabilization with robust L1 optimal camera paths",
CVPR 2011). How near is told by the movement's own quick part: where nothing trembles, nothing is taken away.
"""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

Floats = NDArray[np.float64]

TUBE = 12.0
"""Half of its width, in standard deviations of the quick part of a movement."""
LEAST_TUBE = 0.1
"""In pixels: finer trembling is left alone."""

_SPEED, _BEND, _JERK = 1.0, 5.0, 3.0
_SURE = 1.5
"""How many times its own noise a movement must tremble to be touched."""
_MUCH = 0.02
"""In tubes a frame: more speed, bend or jerk than this costs little more, for a camera that pans pans."""
_PULL = 0.2
"""How much, against these, a place within the tube counts."""
_WALL, _MOST_FORCE = 30.0, 30.0
"""How steeply it counts beyond, and the most that one frame can."""
_AROUND, _JUMP = 3, 8.0
"""A frame that is so many deviations off the median of so many to either side has jumped, and says nothing."""
_ROUNDS, _CONVEX = 60, 25
"""Of these rounds, so many look for the one best path where much bend costs much, from which the others begin."""
_REACH = 8
_QUIETEST, _OF_NORMAL = 0.25, 0.3186
"""A share of the frames, and below how many standard deviations of a normal distribution they lie."""


def camera_path(path: Floats, noise: float, most: float) -> Floats:
    """The camera's path [n] behind a movement.

    Args:
        path: [n] in pixels; NaN where it is not known, which the path crosses evenly.
        noise: standard deviation of its values, in pixels.
        most: half of the tube's width may not be more.

    Returns:
        ``path`` itself where nothing trembles.
    """
    known = np.isfinite(path)
    filled = np.interp(np.arange(len(path)), np.flatnonzero(known), path[known])
    quick = quick_part(filled)
    tube = min(TUBE * float(np.sqrt(max(quick**2 - noise**2, 0.0))), most)
    if tube < LEAST_TUBE or quick < _SURE * noise:
        return path.copy()
    around = sliding_window_view(np.pad(filled, _AROUND, mode="edge"), 2 * _AROUND + 1)
    jumps = np.abs(filled - np.median(around, axis=1)) > _JUMP * quick
    return plainest(filled / tube, known & ~jumps) * tube


def quick_part(path: Floats) -> float:
    """Standard deviation of a path [n] around local cubics over ``_REACH`` frames to either side.

    As its quieter frames have it: weave trembles always, a camera is uneven at times.
    """
    count = len(path)
    rest = np.empty(count)
    for index in range(count):
        first, end = max(0, index - _REACH), min(count, index + _REACH + 1)
        away = np.arange(first, end) - index
        weight = np.exp(-0.25 * (away / (0.75 * _REACH)) ** 2)
        fitted = np.polyfit(away, path[first:end], min(3, end - first - 2), w=weight)
        rest[index] = path[index] - fitted[-1]
    return float(np.quantile(np.abs(rest - np.median(rest)), _QUIETEST) / _OF_NORMAL)


def plainest(path: Floats, known: NDArray[np.bool_]) -> Floats:
    """The plainest path [n] that stays within 1 of ``path`` [n] where it is ``known``, by reweighted least squares."""
    count = len(path)
    stencils = [
        (weight, np.array(stencil))
        for weight, stencil in ((_SPEED, (-1, 1)), (_BEND, (1, -2, 1)), (_JERK, (-1, 3, -3, 1)))
        if count >= len(stencil)
    ]
    found = path.copy()
    for step in range(_ROUNDS):
        least = max(1e-4, 0.1 * 0.8**step)
        bands = np.zeros((4, count))
        away = np.abs(path - found)
        force = np.minimum(_PULL * away + _WALL * np.maximum(away - 1, 0), _MOST_FORCE)
        pull = np.where(known, np.where(away > 1, force / np.maximum(away, 1), _PULL), 0.0)
        bands[0] += pull
        for weight, stencil in stencils:
            change = np.convolve(found, stencil[::-1], "valid")
            stiff = weight / np.sqrt(change**2 + least**2)
            if len(stencil) == 2 or step >= _CONVEX:
                stiff /= 1 + np.abs(change) / _MUCH
            for offset in range(len(stencil)):
                products = stencil[: len(stencil) - offset] * stencil[offset:]
                for start, product in enumerate(products):
                    bands[offset, start : start + len(stiff)] += product * stiff
        found = _solved(bands, pull * path)
    return found


def _solved(bands: Floats, right: Floats) -> Floats:
    """Solve a symmetric, banded system: ``bands[k, i]`` is the matrix at i, i + k."""
    lower = [list(band) for band in bands]
    width, count = len(lower), len(right)
    found = list(right)
    diagonal = lower[0]
    for i in range(count):
        pivot = diagonal[i]
        for k in range(1, min(width, count - i)):
            factor = lower[k][i] / pivot
            if factor:
                for j in range(k, min(width, count - i)):
                    lower[j - k][i + k] -= factor * lower[j][i]
                found[i + k] -= factor * found[i]
    for i in range(count - 1, -1, -1):
        total = found[i]
        for k in range(1, min(width, count - i)):
            total -= lower[k][i] * found[i + k]
        found[i] = total / diagonal[i]
    return np.array(found)
