"""Paint carried to other frames of its shot, by the motion between them.

Where each pixel of a frame lay in a painted one is found from frame to frame (dense inverse search: Kroeger et al.,
"Fast optical flow using dense inverse search", ECCV 2016) and put together. It is believed where the way there and the
way back agree, and where the picture still looks the same at the end: not behind what moved away, not across a cut.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from wetgate.images import Pixels

Array = NDArray[np.float32]

MOST_SIDE = 480
"""Pixels: motion is measured at this side."""
LOST = 0.25
"""Mean belief below which a frame shows something else: the way ends there."""
_AGREE_PX = 1.0
"""There and back may differ by this, in pixels of the measured size, and be half believed."""
_ALIKE = 1.0
"""So many deviations of local contrast may a place differ from where it came from, and be half believed."""
_SOFT = 1.2
_SURROUND = 8.0


@dataclass(frozen=True)
class Carried:
    """Where the pixels of a frame lie in a painted one.

    Attributes:
        frame: whose pixels.
        painted: the frame that they are found in.
        small_place: float32 [h, w, 2], x and y there, in pixels of the size at which motion was measured.
        small_belief: float32 [h, w], 0-1.
        size: width and height of the frames.
    """

    frame: int
    painted: int
    small_place: Array
    small_belief: Array
    size: tuple[int, int]

    @property
    def belief(self) -> Array:
        """float32 [H, W], 0-1."""
        return np.asarray(cv2.resize(self.small_belief, self.size, interpolation=cv2.INTER_LINEAR), np.float32)

    def bring(self, picture: Array) -> Array:
        """A picture [H, W] or [H, W, C] of the painted frame, as it lies in this one."""
        height, width = self.small_belief.shape
        scale = np.array([self.size[0] / width, self.size[1] / height], np.float32)
        place = cv2.resize(self.small_place, self.size, interpolation=cv2.INTER_LINEAR)
        place = np.asarray((place + 0.5) * scale - 0.5, np.float32)
        return _at(picture, place)


def carry(read: Callable[[int], Pixels], painted: int, frames: Sequence[int]) -> Iterator[Carried]:
    """Follow the pixels of a painted frame through the frames after it (or before it), until they are lost.

    Args:
        read: gives a frame of the scan, display values [H, W, 3].
        painted: number of the painted frame.
        frames: the frames to follow, in the order in which they lead away from it.

    Yields:
        One for each frame, in that order.
    """
    picture = read(painted)
    shape = picture.shape[:2]
    first = before = _contrast(picture)
    height, width = before.shape
    here = np.dstack(np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32)))
    place, belief = here, np.ones((height, width), np.float32)
    for frame in frames:
        picture = read(frame)
        if picture.shape[:2] != shape:
            return
        now = _contrast(picture)
        back, forth = _flow(now, before), _flow(before, now)
        there = here + back
        place, belief = _at(place, there), _at(belief, there)
        gap = np.linalg.norm(back + _at(forth, there), axis=2)
        inside = ((there >= 0) & (there <= (width - 1, height - 1))).all(axis=2)
        belief = belief * inside * np.exp2(-((gap / _AGREE_PX) ** 2)).astype(np.float32)
        believed = belief * _likeness(now, _at(first, place))
        if float(believed.mean()) < LOST:
            return
        yield Carried(frame, painted, place, believed, (shape[1], shape[0]))
        before = now


def _contrast(picture: Pixels) -> Array:
    """Small luma in deviations of the contrast around: blind to exposure and fade, [h, w] around 0."""
    luma = np.asarray(picture.mean(axis=2), np.float32)
    shrink = MOST_SIDE / max(luma.shape)
    if shrink < 1:
        size = max(round(luma.shape[1] * shrink), 1), max(round(luma.shape[0] * shrink), 1)
        luma = np.asarray(cv2.resize(luma, size, interpolation=cv2.INTER_AREA))
    soft = cv2.GaussianBlur(luma, (0, 0), _SOFT)
    difference = soft - cv2.GaussianBlur(luma, (0, 0), _SURROUND)
    spread = np.sqrt(cv2.GaussianBlur(difference**2, (0, 0), 2 * _SURROUND))
    return np.asarray(difference / (spread + 0.2 * float(spread.mean()) + 1e-4), np.float32)


def _flow(start: Array, end: Array) -> Array:
    """[h, w, 2] from each pixel of ``start`` to where it lies in ``end``."""
    codes = [np.clip(127.5 + 40 * one, 0, 255).astype(np.uint8) for one in (start, end)]
    if min(start.shape) < 24:
        return np.zeros((*start.shape, 2), np.float32)
    search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    return np.asarray(search.calc(codes[0], codes[1], None), np.float32)


def _at(picture: Array, place: Array) -> Array:
    found = cv2.remap(
        picture, np.ascontiguousarray(place, np.float32), None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    return np.asarray(found, np.float32)


def _likeness(first: Array, second: Array) -> Array:
    """0-1 [h, w]: whether small neighbourhoods look the same."""
    difference = cv2.GaussianBlur((first - second) ** 2, (0, 0), 2.0)
    return np.exp2(-difference / _ALIKE**2).astype(np.float32)
