"""A page of pictures and text as one PNG, in the report's greys; the type is the one that OpenCV carries."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from wetgate.files import write_bytes

Array = NDArray[np.float32]
Colour = tuple[int, int, int]

GROUND: Colour = (38, 38, 38)
LINE: Colour = (71, 71, 71)
DIM: Colour = (166, 166, 166)
TEXT: Colour = (214, 214, 214)
STRONG: Colour = (255, 255, 255)

REGULAR, SEMIBOLD = 400, 600
_LEADING = 1.4
_PNG = [cv2.IMWRITE_PNG_COMPRESSION, 2]
"""An eighth larger than level 6, in a quarter of the time."""


class Page:
    """``pixels`` [H, W, 3] uint8 to put things on; x goes right, y down, from the top left."""

    def __init__(self, width: int, height: int) -> None:
        self.pixels: NDArray[np.uint8] = np.full((height, width, 3), GROUND, np.uint8)

    def picture(self, x: int, y: int, pixels: Array) -> None:
        """Put down a display picture [h, w, 3], 0-1, with its top left corner at (x, y); it must lie on the page."""
        height, width = pixels.shape[:2]
        self.pixels[y : y + height, x : x + width] = np.rint(np.clip(pixels, 0, 1) * 255).astype(np.uint8)

    def box(self, x: int, y: int, width: int, height: int, colour: Colour) -> None:
        """Fill a box."""
        self.pixels[y : y + height, x : x + width] = colour

    def text(self, x: int, y: int, lines: list[str], size: int, colour: Colour = TEXT, weight: int = REGULAR) -> None:
        """Lines of text; (x, y) is the top left corner of the first."""
        for number, line in enumerate(lines):
            baseline = y + line_height(size) * number + size
            cv2.putText(self.pixels, line, (x, baseline), colour, _font(), size, weight, wrap=(0, 1 << 15))

    def write(self, path: Path) -> None:
        """As an 8 bit PNG, whole or not at all; the same page gives the same bytes.

        Raises:
            WetgateError: the file cannot be written.
        """
        _, data = cv2.imencode(".png", np.ascontiguousarray(self.pixels[..., ::-1]), _PNG)
        write_bytes(path, data.tobytes(), durable=False)


def write_animation(path: Path, pages: list[Page], milliseconds: int) -> None:
    """Write pages of one size as an animated PNG that shows each for so long, over and over.

    Raises:
        WetgateError: the file cannot be written.
    """
    animation = cv2.Animation()
    animation.frames = [np.ascontiguousarray(page.pixels[..., ::-1]) for page in pages]
    animation.durations = [milliseconds] * len(pages)
    _, data = cv2.imencodeanimation(".png", animation, _PNG)
    write_bytes(path, data.tobytes(), durable=False)


def line_height(size: int) -> int:
    """From one line of text to the next, in pixels."""
    return round(_LEADING * size)


def text_width(text: str, size: int, weight: int = REGULAR) -> int:
    """In pixels."""
    _, _, width, _ = cv2.getTextSize((1 << 15, 1 << 15), text, (0, 0), _font(), size, weight)
    return int(width)


def wrapped(text: str, size: int, width: int, most: int, weight: int = REGULAR) -> list[str]:
    """Lines no wider than ``width`` pixels, at most so many; what has no room ends in an ellipsis."""
    lines: list[str] = []
    for paragraph in text.splitlines():
        line = ""
        for word in paragraph.split():
            longer = f"{line} {word}".lstrip()
            if line and text_width(longer, size, weight) > width:
                lines.append(line)
                line = word
            else:
                line = longer
        lines.append(line)
    if len(lines) > most:
        lines = [*lines[: most - 1], f"{lines[most - 1]}…"] if most else []
    return [_shortened(line, size, width, weight) for line in lines]


def _shortened(line: str, size: int, width: int, weight: int) -> str:
    if text_width(line, size, weight) <= width:
        return line
    short = line.rstrip("…")
    while short and text_width(f"{short}…", size, weight) > width:
        short = short[:-1]
    return f"{short.rstrip()}…"


def _font() -> cv2.FontFace:
    """Its own for each use: one shared between threads is not known to be safe."""
    return cv2.FontFace("sans")
