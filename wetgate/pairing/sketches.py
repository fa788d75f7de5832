"""What is kept of every frame to compare it with others: a small picture of its local contrast.

A frame is decoded once. Its sketch is luma (mostly green, the dye that fades last), reduced to 160 x 120 whatever
its aspect, less its surround, by its local spread: so neither fade, exposure, flicker nor uneven decay leave
a trace, and dust counts no more than any contour. Sketches lie in a temporary file of 19 kB a frame (twice that for
a reference), which the system pages in and out: 20,000 frames take 384 MB of disk and little memory.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from wetgate.images import Pixels, Source
from wetgate.pairing.fields import COMBED_SHARE, combed_share, upper_field

Array = NDArray[np.float32]

WIDTH, HEIGHT = 160, 120
LUMA = np.array([0.25, 0.5, 0.25], np.float32)
"""Mostly green, the dye that fades last."""
_SURROUND = 5.0
_BLANK_SPREAD = 0.004
_SCALE = 32.0


@dataclass(frozen=True)
class Sketches:
    """Sketches of some frames, in order.

    Attributes:
        frames: their numbers.
        pictures: uint8 [N, 120, 160] of the whole frames; see :meth:`local_contrast`.
        fields: the same of their upper fields alone, or None where they were not wanted.
        blank: [N] whether there is nothing to see in the frame.
        combed: [N] whether it holds two fields of different moments.
    """

    frames: list[int]
    pictures: NDArray[np.uint8]
    fields: NDArray[np.uint8] | None
    blank: NDArray[np.bool_]
    combed: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.frames)

    def local_contrast(self, indexes: slice | Sequence[int]) -> Array:
        """[n, 120, 160] contrast to the surround in units of the local spread, within -4 to 4."""
        return (self.pictures[indexes].astype(np.float32) - 128) / _SCALE

    def of_upper_fields(self) -> Sketches:
        """The same frames, seen in their upper fields only."""
        return self if self.fields is None else replace(self, pictures=self.fields, fields=None)


def sketch(
    source: Source,
    frames: Sequence[int] | None = None,
    *,
    with_fields: bool = False,
    follow: Callable[[int], None] = lambda frame: None,
) -> Sketches:
    """Read ``frames`` (all of them by default) of ``source`` in order, each once; ``follow`` hears of each.

    Raises:
        WetgateError: a frame is missing or unreadable.
    """
    numbers = list(source.frames if frames is None else frames)
    pictures = _in_temporary_file(len(numbers))
    fields = _in_temporary_file(len(numbers)) if with_fields else None
    blank, combed = (np.zeros(len(numbers), np.bool_) for _ in range(2))
    for index, number in enumerate(numbers):
        luma = np.nan_to_num(source.read(number).pixels @ LUMA, nan=0, posinf=1, neginf=0)
        pictures[index], spread = _coded(luma)
        blank[index] = spread < _BLANK_SPREAD
        if fields is not None:
            combed[index] = combed_share(luma) > COMBED_SHARE
            fields[index], _ = _coded(upper_field(luma))
        follow(number)
    return Sketches(numbers, pictures, fields, blank, combed)


def local_contrast(luma: Pixels) -> tuple[Array, float]:
    """[120, 160] contrast of a picture [H,W] to its surround by the local spread, and its spread over all.

    The picture is blurred before it is reduced, so that a shift by part of a sketch's pixel changes no detail.
    """
    shrinks = luma.shape[0] > HEIGHT and luma.shape[1] > WIDTH
    larger = cv2.resize(luma, (2 * WIDTH, 2 * HEIGHT), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
    small = cv2.resize(cv2.GaussianBlur(larger, (0, 0), 1), (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA)
    difference = small - cv2.GaussianBlur(small, (0, 0), _SURROUND)
    spread = float(difference.std())
    local = np.sqrt(cv2.GaussianBlur(difference**2, (0, 0), 2 * _SURROUND))
    return difference / (local + 0.3 * spread + 1e-6), spread


def _coded(luma: Pixels) -> tuple[NDArray[np.uint8], float]:
    contrast, spread = local_contrast(luma)
    return np.clip(np.rint(contrast * _SCALE + 128), 0, 255).astype(np.uint8), spread


def _in_temporary_file(count: int) -> NDArray[np.uint8]:
    with tempfile.TemporaryFile() as file:
        pictures = np.memmap(file, np.uint8, "w+", shape=(max(1, count), HEIGHT, WIDTH))
    return pictures[:count]
