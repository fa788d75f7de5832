"""Transforms: where in the scan each frame of a weaving film lies, and the frame brought to rest.

They are measured by :mod:`wetgate.pairing.weave` and applied here, before a model sees the frame, with numpy alone. A
frame is resampled once, by a windowed sinc along rows and then along columns (Catmull & Smith, "3-D transformations of
images in scanline order", SIGGRAPH 1980), which for affine transforms is exact.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from wetgate.errors import WetgateError

Array = NDArray[np.float32]
Matrix = NDArray[np.float64]

LOBES = 8
"""Of the kernel to either side (Lanczos): three blur grain of the size of a pixel, as the benchmark shows."""
PHASES = 1024
"""Places are taken to this fraction of a pixel."""
SAME_SHAPE = 0.05
"""A proxy's width over height may differ by so much from that of the pictures that were measured."""

_FURTHEST = 1e6
_ROWS = 32
_DIGITS = (4, 4, 6, 6, 6)


class Transform(NamedTuple):
    """Where the scan shows what a steady picture would.

    The place p of the steady picture, from the frame's middle, lies in the scan at ``(x, y) + rotated(scaled(p))``.

    Attributes:
        x, y: in pixels, to the right and down.
        rotation: in degrees, clockwise.
        width, height: the scan's size over the steady picture's; below 1 where film has shrunk.
    """

    x: float = 0.0
    y: float = 0.0
    rotation: float = 0.0
    width: float = 1.0
    height: float = 1.0

    def rounded(self) -> Transform:
        """To the precision that is kept on disk."""
        return Transform(*(round(float(value), digits) + 0.0 for value, digits in zip(self, _DIGITS, strict=True)))


UNMOVED = Transform()


@dataclass(frozen=True)
class Transforms:
    """The transforms of one scan.

    Attributes:
        size: width and height of the pictures that were measured.
        frames: the :class:`Transform` of each frame, by number.
    """

    size: tuple[int, int]
    frames: Mapping[int, Transform]

    def of(self, frame: int) -> Transform:
        """The transform of ``frame``.

        Raises:
            WetgateError: ``frame`` was not measured.
        """
        try:
            return self.frames[frame]
        except KeyError:
            raise WetgateError(
                f"The transforms know no frame {frame}: measure them for the whole scan, or put the frame offset right."
            ) from None

    def matrix(self, transform: Transform, shape: Sequence[int]) -> Matrix:
        """[2, 3] from x, y of the steady picture's pixels to the scan's, for pictures of ``shape`` (H, W, ...).

        Raises:
            WetgateError: these pictures are of another shape than those that were measured.
        """
        height, width = shape[:2]
        across, down = width / self.size[0], height / self.size[1]
        one_pixel = 1 / min(height, width)
        if abs(across / down - 1) > SAME_SHAPE + one_pixel:
            raise WetgateError(
                f"The transforms are of pictures of {self.size[0]} x {self.size[1]} pixels, this one is {width} x "
                f"{height}: measure the scan as it is given here."
            )
        turn = math.radians(transform.rotation)
        turned = np.array([[math.cos(turn), -math.sin(turn)], [math.sin(turn), math.cos(turn)]])
        to_size = np.array([across, down])
        linear = to_size[:, None] * turned * (np.array([transform.width, transform.height]) / to_size)
        middle = np.array([(width - 1) / 2, (height - 1) / 2])
        shift = to_size * (transform.x, transform.y)
        return np.column_stack([linear, middle - linear @ middle + shift])

    def extent(self, frames: Sequence[int]) -> dict[str, Any]:
        """``moved``: how many of ``frames`` are moved at all; ``furthest_px``: by how much at most, at the middle."""
        found = [self.of(frame) for frame in frames]
        furthest = max((math.hypot(one.x, one.y) for one in found), default=0.0)
        return {"moved": sum(one != UNMOVED for one in found), "furthest_px": round(furthest, 3)}

    def to_json(self) -> dict[str, Any]:
        """A JSON-able dict that :meth:`from_json` reads."""
        return {"size": list(self.size), "frames": {str(frame): list(one) for frame, one in self.frames.items()}}

    @classmethod
    def from_json(cls, value: Any) -> Transforms:
        """The transforms in what :meth:`to_json` gave.

        Raises:
            ValueError, TypeError, KeyError, AttributeError, OverflowError: there are none.
        """
        width, height = (int(side) for side in value["size"])
        if min(width, height) < 1:
            raise ValueError("no size")
        return cls((width, height), {int(frame): as_transform(one) for frame, one in value["frames"].items()})


def as_transform(numbers: Any) -> Transform:
    """The transform in a list of its numbers.

    Raises:
        ValueError, TypeError, OverflowError: it is none that a picture could be brought back from.
    """
    x, y, rotation, width, height = (float(number) for number in numbers)
    found = Transform(x, y, rotation, width, height)
    sound = (
        max(abs(x), abs(y)) <= _FURTHEST and abs(rotation) <= 45 and all(0.5 <= side <= 2 for side in (width, height))
    )
    if not all(map(math.isfinite, found)) or not sound:
        raise ValueError("no transform of a scan")
    return found


def whole_shift(matrix: Matrix) -> tuple[int, int] | None:
    """By how many pixels across and down ``matrix`` [2, 3] shifts; None where that is no whole number, or not all."""
    shift = np.rint(matrix[:, 2])
    if not np.array_equal(matrix[:, :2], np.eye(2)) or np.abs(matrix[:, 2] - shift).max() >= 0.5 / PHASES:
        return None
    return int(shift[0]), int(shift[1])


def shifted(pixels: Array, shift: tuple[int, int]) -> Array:
    """``pixels`` [H, W, 3] as seen so many pixels further right and down: their own values, bit for bit."""
    height, width = pixels.shape[:2]
    columns = np.clip(np.arange(width) + shift[0], 0, width - 1)
    rows = np.clip(np.arange(height) + shift[1], 0, height - 1)
    return np.ascontiguousarray(pixels[rows[:, None], columns])


def resampled(pixels: Array, matrix: Matrix) -> Array:
    """``pixels`` [H, W, 3] seen at the places to which ``matrix`` [2, 3] takes x, y of each pixel.

    Beyond the frame's edges its outermost pixels go on; nothing is clamped.

    Args:
        pixels: finite.
    """
    (a, b, x), (c, d, y) = matrix
    planes = np.ascontiguousarray(pixels.transpose(2, 0, 1))
    planes = _along_rows(planes, a - b * c / d, b / d, x - b * y / d)
    turned = np.ascontiguousarray(planes.transpose(0, 2, 1))
    turned = _along_rows(turned, d, c, y)
    return np.ascontiguousarray(turned.transpose(2, 1, 0))


def _along_rows(planes: Array, step: float, slant: float, start: float) -> Array:
    """Planes [C, H, W] whose row v, column u shows what row v shows at ``step * u + slant * v + start``."""
    _, height, width = planes.shape
    if step == 1 and slant == 0 and abs(start) < 0.5 / PHASES:
        return planes
    kernels = _kernels()
    moved = np.empty_like(planes)
    columns = np.arange(width)
    margin = 2 * LOBES
    for top in range(0, height, _ROWS):
        rows = np.arange(top, min(top + _ROWS, height))
        place = step * columns + slant * rows[:, None] + start
        fine = np.rint(np.clip(place, -LOBES, width - 1 + LOBES) * PHASES).astype(np.int64)
        whole, phase = fine // PHASES, fine % PHASES
        weights = kernels[phase]
        first = whole - (LOBES - 1) + margin
        for plane, result in zip(planes, moved, strict=True):
            wide = np.pad(plane[rows], ((0, 0), (margin, margin)), mode="edge")
            around = sliding_window_view(wide, 2 * LOBES, axis=1)[np.arange(len(rows))[:, None], first]
            np.einsum("rut,rut->ru", around, weights, out=result[rows[0] : rows[-1] + 1])
    return moved


@functools.cache
def _kernels() -> Array:
    """[PHASES, 2 * LOBES] weights of the pixels around a place that lies so far beyond the middle left one."""
    away = np.arange(1 - LOBES, LOBES + 1) - np.arange(PHASES)[:, None] / PHASES
    weights = np.sinc(away) * np.sinc(away / LOBES)
    return np.asarray(weights / weights.sum(axis=1, keepdims=True), np.float32)
