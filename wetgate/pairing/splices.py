"""Where the film was cut and joined: shots that begin, frames that flash, pictures that jump.

Told from small pictures of all frames, so one pass over a scan is enough. A join's own line across the frame is damage
like any other and is in the masks; here stands what a mask cannot show.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from wetgate.images import LUMA

Array = NDArray[np.float32]

WIDTH, HEIGHT = 96, 72
UNLIKE = 0.2
"""Correlation of local contrast below which two frames show different things: cuts of real footage measured 0.06 at the
most, the fastest motion 0.35 at the least."""
FLASH = 0.12
"""Of a frame's mean density against that of the frames around it."""
JUMP = 0.03
"""Of the picture's height: a step up or down that no frame before or after continues."""

BLANK = 0.25
"""Energy of local contrast, 1 for a picture, below which there is nothing to see: such a frame is like any other."""

_FLARE = 1 / 64
_SURROUND = 5.0

Kind = Literal["cut", "flash", "jump"]


@dataclass(frozen=True)
class Splice:
    """Something that a cut and join leaves.

    Attributes:
        frame: the frame that flashes, or the first one after the cut or jump.
        kind: "cut", "flash" or "jump".
    """

    frame: int
    kind: Kind


def thumbnail(pixels: Array) -> Array:
    """[72, 96] density of a display picture [H, W, 3]."""
    luma = np.maximum(pixels @ LUMA, 0)
    small = cv2.resize(luma, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA)
    return np.asarray(-np.log10(small + np.float32(_FLARE)), np.float32)


def find_splices(thumbnails: Mapping[int, Array]) -> list[Splice]:
    """Splices among successive frames.

    Args:
        thumbnails: of :func:`thumbnail`, by frame number; frames on both sides of a gap are compared, too.

    Returns:
        In order of frames. A cut that flashes is told as both.
    """
    frames = sorted(thumbnails)
    densities = [float(np.mean(thumbnails[frame])) for frame in frames]
    contrasts = [_contrast(thumbnails[frame]) for frame in frames]
    steps = [(1.0, 0.0), *(_step(a, b) for a, b in itertools.pairwise(contrasts))]
    found: list[Splice] = []
    for at, frame in enumerate(frames):
        if at == 0:
            continue
        last = at + 1 == len(frames)
        across = min(steps[at][0], _step(contrasts[at - 2], contrasts[at])[0] if at > 1 else 1.0)
        over = 1.0 if last else _step(contrasts[at - 1], contrasts[at + 1])[0]
        if max(steps[at][0], across) < UNLIKE and (last or over < UNLIKE):
            found.append(Splice(frame, "cut"))
        elif abs(steps[at][1]) > JUMP and not _goes_on(steps, at):
            found.append(Splice(frame, "jump"))
        around = densities[max(at - 2, 0) : at] + densities[at + 1 : at + 3]
        sides = (densities[at - 1], densities[min(at + 1, len(frames) - 1)])
        apart = [densities[at] - side for side in sides]
        stands_out = min(map(abs, [*apart, densities[at] - float(np.median(around))])) > FLASH
        if not last and over >= UNLIKE and stands_out and apart[0] * apart[1] > 0:
            found.append(Splice(frame, "flash"))
    return found


def _contrast(thumbnail: Array) -> Array:
    rest = thumbnail - cv2.GaussianBlur(thumbnail, (0, 0), _SURROUND)
    return np.asarray(rest / np.float32(np.sqrt(np.mean(rest**2)) + 1e-4), np.float32)


def _step(a: Array, b: Array) -> tuple[float, float]:
    """How alike two contrasts are where they fit best, up to 1, and how far down ``b`` lies there, in heights."""
    if min(float(np.mean(one**2)) for one in (a, b)) < BLANK:
        return 1.0, 0.0
    window = cv2.createHanningWindow((WIDTH, HEIGHT), cv2.CV_32F)
    (x, y), _ = cv2.phaseCorrelate(a * window, b * window)  # copies: it writes into what it is given
    if abs(x) > WIDTH / 4 or abs(y) > HEIGHT / 4:
        x = y = 0.0
    back = cv2.warpAffine(
        b, np.array([[1, 0, x], [0, 1, y]]), (WIDTH, HEIGHT), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    )
    likeness = [float(np.mean(a * one)) for one in (back, b)]
    return (likeness[0], y / HEIGHT) if likeness[0] > likeness[1] else (likeness[1], 0.0)


def _goes_on(steps: list[tuple[float, float]], at: int) -> bool:
    """Whether the frames before or after move the same way by nearly as much: a tilt, not a jump."""
    own = steps[at][1]
    beside = [steps[near][1] for near in (at - 1, at + 1) if 0 < near < len(steps)]
    return any(one * own > 0 and abs(one) > 0.4 * abs(own) for one in beside)
