"""What an artist links: a place of a scan frame, and the place of a picture whose colours it has; boxes or strokes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from wetgate.errors import WetgateError
from wetgate.images import read_image

Array = NDArray[np.float32]
Mask = NDArray[np.bool_]
Box = tuple[int, int, int, int]
"""x, y, width, height in pixels from the top left."""

_LEAST_PIXELS = 16
_DRAWN = 0.25
"""Brightest channel, or alpha, from which on a pixel counts as drawn over."""
_STEPS = 3
"""Steps of a channel by which the colours of strokes are told apart."""


@dataclass(frozen=True)
class Link:
    """This box of a scan frame has the colours of that box of the picture."""

    scan: Box
    picture: Box
    frame: int

    def places(self, scan: Array, picture: Array, name: str) -> tuple[Mask, Mask]:
        """Where it lies in both, [H, W] each.

        Raises:
            WetgateError: a box lies outside.
        """
        return _mask_of(self.scan, scan, f"frame {self.frame}"), _mask_of(self.picture, picture, name)


@dataclass(frozen=True)
class Strokes:
    """What was drawn over in a scan frame has the colours of what was drawn over in the picture, [H, W] each."""

    scan: Mask
    picture: Mask
    frame: int

    def places(self, scan: Array, picture: Array, name: str) -> tuple[Mask, Mask]:
        """Where they lie in both.

        Raises:
            WetgateError: they were drawn at another size.
        """
        for mask, drawn_on, what in ((self.scan, scan, f"frame {self.frame}"), (self.picture, picture, name)):
            if mask.shape != drawn_on.shape[:2]:
                raise WetgateError(
                    f"The strokes for {what} are {mask.shape[1]} x {mask.shape[0]} but it is {drawn_on.shape[1]} x "
                    f"{drawn_on.shape[0]}: draw them at its own size."
                )
        return self.scan, self.picture


def strokes_in(scan: Path, picture: Path, frame: int) -> list[Strokes]:
    """What two drawings link: what was drawn in about the same colour in both belongs together.

    Nothing is drawn where alpha is low, or, without alpha, where it is black.

    Args:
        scan: drawn over a scan frame.
        picture: drawn over the picture.
        frame: of the scan.

    Raises:
        WetgateError: one cannot be read, or a colour is in one of them alone.
    """
    colours, there = _drawn(scan), _drawn(picture)
    for one, other, path, lacks in ((colours, there, scan, picture), (there, colours, picture, scan)):
        if alone := [colour for colour in one if colour not in other]:
            shown = "#" + "".join(f"{round(255 * part / _STEPS):02x}" for part in alone[0])
            raise WetgateError(
                f"{path} has strokes of about {shown}, but {lacks} has none: draw what belongs together in one colour."
            )
    return [Strokes(mask, there[colour], frame) for colour, mask in colours.items()]


def _drawn(path: Path) -> dict[tuple[int, ...], Mask]:
    """Where each colour was drawn, without slivers of mixed colours at edges."""
    image = read_image(path)
    shown = np.clip(image.pixels, 0, 1)
    amount = shown.max(axis=2) if image.alpha is None else image.alpha
    colours = np.where((amount >= _DRAWN)[..., None], np.rint(shown * _STEPS).astype(int) + 1, 0)
    found = {}
    for colour in np.unique(colours.reshape(-1, 3), axis=0):
        mask = (colours == colour).all(axis=2)
        core = cv2.erode(mask.astype(np.uint8), np.ones((3, 3), np.uint8))
        if colour.any() and core.sum() >= _LEAST_PIXELS:
            found[tuple(int(part) - 1 for part in colour)] = mask
    if not found:
        raise WetgateError(f"{path} has no strokes, or none that is a few pixels wide.")
    return found


def _mask_of(box: Box, picture: Array, name: str) -> Mask:
    x, y, width, height = box
    mask = np.zeros(picture.shape[:2], np.bool_)
    mask[max(y, 0) : y + height, max(x, 0) : x + width] = True
    if min(x, y) < 0 or mask.sum() != width * height or width * height < _LEAST_PIXELS:
        raise WetgateError(
            f"The box {x},{y},{width},{height} does not lie in {name}, which is {picture.shape[1]} x "
            f"{picture.shape[0]}, or is smaller than {_LEAST_PIXELS} pixels."
        )
    return mask
