"""One picture in memory, and what its file said besides the pixels."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.float32]

DEPTHS = ("8", "10", "12", "16", "half", "float")
"""Sample types: unsigned integers by their bits, and the two floating-point types."""


@dataclass(frozen=True)
class Window:
    """A rectangle in the pixel coordinates of its file, y downwards."""

    x: int
    y: int
    width: int
    height: int

    def union(self, other: Window) -> Window:
        """The smallest rectangle that covers both."""
        x, y = min(self.x, other.x), min(self.y, other.y)
        right = max(self.x + self.width, other.x + other.width)
        bottom = max(self.y + self.height, other.y + other.height)
        return Window(x, y, right - x, bottom - y)

    def within(self, other: Window) -> tuple[slice, slice]:
        """Rows and columns of this rectangle in an array that covers ``other``."""
        top, left = self.y - other.y, self.x - other.x
        return slice(top, top + self.height), slice(left, left + self.width)


@dataclass(frozen=True)
class Header:
    """Everything of a file that its twin needs besides pixels.

    The pixel array covers the display window and whatever of the data window lies outside it
    (overscan); inside the array but outside the data window the picture is 0, as OpenEXR defines.
    A twin is cropped back to the same data window, so that windows survive.

    Attributes:
        format: "exr", "dpx", "tiff", "png", "jpeg" or "video".
        depth: one of ``DEPTHS``.
        channels: names of the channels used, in order: R, G, B or one name, then A where there is alpha.
        data_window, display_window: equal in every format but EXR.
        attributes: metadata under OpenImageIO's names, such as ``smpte:TimeCode``.
        types: OpenImageIO type of each attribute that was read from a file.
        tile: width and height of tiles, or None for scanlines.
        block: a DPX file's bytes up to its pixels.
    """

    format: str
    depth: str
    channels: tuple[str, ...]
    data_window: Window
    display_window: Window
    attributes: dict[str, Any] = field(default_factory=dict)
    types: dict[str, str] = field(default_factory=dict)
    tile: tuple[int, int] | None = None
    block: bytes | None = None

    @property
    def window(self) -> Window:
        """The rectangle that the pixel array covers."""
        return self.data_window.union(self.display_window)

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the pixel array."""
        return self.window.width, self.window.height

    @property
    def mono(self) -> bool:
        """Whether the file has one colour channel (an alpha channel does not count)."""
        return len(self.channels) < 3

    def with_attributes(self, attributes: dict[str, Any]) -> Header:
        """The same header with these attributes added or replaced; None as a value removes one."""
        merged = {**self.attributes, **attributes}
        types = {name: kind for name, kind in self.types.items() if name not in attributes}
        return replace(self, attributes={k: v for k, v in merged.items() if v is not None}, types=types)


@dataclass(frozen=True)
class Image:
    """A picture as read.

    Attributes:
        pixels: float32 [H, W, 3], C-contiguous. Integer files as code value / largest code, EXR and
            other floating-point files as stored; nothing is clamped, NaN and infinities stay.
            A single-channel file has three equal channels.
        alpha: float32 [H, W] as stored (never multiplied or divided), or None.
        header: what the file said besides.
        path: the file, or None for a picture that never was one.
    """

    pixels: Pixels
    alpha: Pixels | None
    header: Header
    path: Path | None = None

    @property
    def mono(self) -> bool:
        """Whether the file has a single colour channel."""
        return self.header.mono

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of ``pixels``."""
        return self.pixels.shape[1], self.pixels.shape[0]

    def has_bad_pixels(self) -> bool:
        """Whether any colour value is NaN or infinite."""
        with np.errstate(invalid="ignore", over="ignore"):
            total = self.pixels.sum(dtype=np.float64)  # finite float32 cannot overflow a float64 sum
        return not np.isfinite(total)
