"""Paint over scan frames: where it is and what colour it has, whatever program it comes from."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from wetgate.errors import WetgateError
from wetgate.images import Image, from_display, to_display

Array = NDArray[np.float32]

WHOLE = 0.6
"""Share of a frame that differs from its scan, from which on an opaque picture is a frame that was painted as a whole,
black and white parts that paint did not change included."""
_DIFFERS = 2.5 / 255
"""Display values: an opaque picture that differs from its scan by more was painted there. Two pictures of 8 and 10
bits of the same frame differ by less."""
_LEAST_ALPHA = 1 / 255
_DISPLAY_FORMATS = ("png", "jpeg")


@dataclass(frozen=True)
class Paint:
    """A painted frame.

    Attributes:
        colours: float32 [H, W, 3], in the scan's encoding: the paint's own colours, not mixed with what lies below,
            where there is paint; the scan elsewhere.
        amount: float32 [H, W], 0-1, how much paint covers each pixel.
    """

    colours: Array
    amount: Array


def paint_of(picture: Image, scan: Array, encoding: str) -> Paint:
    """The paint in a picture that was painted over a frame.

    A picture with alpha is a layer of paint: in PNG, and in TIFF that says so, its colours are straight; in EXR and
    other TIFF multiplied by alpha, unless they are brighter than that can be. A picture without alpha is a frame with
    paint in it: paint is where it differs from the scan. PNG and JPEG hold display values in any restoration.

    Args:
        picture: the painted layer or frame.
        scan: [H, W, 3] in ``encoding``.
        encoding: of the restoration.

    Raises:
        WetgateError: sizes differ, there is no paint, or colours are not numbers.
    """
    name = "The painted picture" if picture.path is None else str(picture.path)
    if picture.pixels.shape != scan.shape:
        raise WetgateError(
            f"{name} is {picture.size[0]} x {picture.size[1]} but its scan frame {scan.shape[1]} x {scan.shape[0]}: "
            "paint over the frame at its own size."
        )
    colours = np.asarray(picture.pixels, np.float32)
    if picture.alpha is None:
        colours = _encoded(colours, picture, encoding)
        amount = _changed(to_display(colours, encoding), to_display(scan, encoding))
    else:
        amount = np.clip(np.nan_to_num(picture.alpha), 0, 1).astype(np.float32)
        if _is_multiplied(picture, amount):
            colours = np.divide(
                colours, amount[..., None], out=np.zeros_like(colours), where=amount[..., None] > _LEAST_ALPHA
            )
        amount[amount <= _LEAST_ALPHA] = 0
        colours = _encoded(colours, picture, encoding)
    painted = amount > 0
    if not painted.any():
        raise WetgateError(
            f"{name} holds no paint: paint on a layer with alpha, or over the frame itself, at the scan's size."
        )
    if not np.isfinite(colours[painted]).all():
        raise WetgateError(f"{name} holds NaN or infinity in its paint: repair it, or paint it anew.")
    return Paint(np.where(painted[..., None], colours, scan).astype(np.float32), amount)


def _encoded(colours: Array, picture: Image, encoding: str) -> Array:
    return from_display(colours, encoding) if picture.header.format in _DISPLAY_FORMATS else colours


def _is_multiplied(picture: Image, amount: Array) -> bool:
    """Whether colours were multiplied by alpha. Straight paint shines through where alpha is low."""
    if picture.header.format in _DISPLAY_FORMATS or picture.header.attributes.get("oiio:UnassociatedAlpha"):
        return False
    soft = (amount < 0.98) & (picture.pixels.max(axis=2) > _LEAST_ALPHA)
    if not soft.any():
        return True
    return bool((picture.pixels[soft].max(axis=1) > amount[soft] * 1.02 + 0.01).mean() < 0.05)


def _changed(picture: Array, scan: Array) -> Array:
    """Where an opaque picture differs from the scan, by more than a few lone pixels."""
    differs = (np.abs(picture - scan).max(axis=2) > _DIFFERS).astype(np.uint8)
    if differs.mean() > WHOLE:
        return np.ones(scan.shape[:2], np.float32)
    core = cv2.morphologyEx(differs, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    return np.asarray(cv2.morphologyEx(core, cv2.MORPH_CLOSE, np.ones((5, 5), np.uint8)), np.float32)
