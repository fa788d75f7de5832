"""Small pictures of pairs for lists: the scan on the left, its reference on the right, as they are shown."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from wetgate.errors import WetgateError
from wetgate.images import read_image, to_display, write_image
from wetgate.project import Pair

Array = NDArray[np.float32]

NAME = "thumbnail.png"
WIDTH, MOST_HEIGHT, GAP = 320, 240, 4
"""Pixels, the gap included."""
_GREY = 0.2


def draw_missing(pairs: Iterable[Pair], encoding: str) -> list[Path]:
    """Write ``thumbnail.png`` (8 bit) beside the pictures of each pair that has none; return what was written.

    It is a convenience and no part of the pair: nothing checks it, and it may be deleted. So a pair whose pictures
    cannot be read, or whose folder cannot be written, goes without.
    """
    written = []
    for pair in pairs:
        path = pair.folder / NAME
        if path.exists():
            continue
        with contextlib.suppress(WetgateError):
            scan, reference = (read_image(side).pixels for side in (pair.scan, pair.reference))
            write_image(path, side_by_side(scan, reference, encoding), bit_depth="8")
            written.append(path)
    return written


def side_by_side(scan: Array, reference: Array, encoding: str) -> Array:
    """Both pictures [H, W, 3], which may differ in size, at one height and 320 pixels wide in all; display, 0-1."""
    shapes = [picture.shape for picture in (scan, reference)]
    height = min(round((WIDTH - GAP) / sum(shape[1] / shape[0] for shape in shapes)), MOST_HEIGHT)
    height = max(height, 1)
    left, right = (_shown(picture, encoding, height) for picture in (scan, reference))
    return np.hstack([left, np.full((height, GAP, 3), _GREY, np.float32), right])


def _shown(picture: Array, encoding: str, height: int) -> Array:
    """At that height; the picture is reduced before it is recoded, which is a matter of milliseconds then."""
    rows, columns = picture.shape[:2]
    width = min(max(round(columns * height / rows), 1), WIDTH - GAP)
    whole = np.nan_to_num(picture, nan=0.0, posinf=1.0, neginf=0.0)
    small = cv2.resize(whole, (width, height), interpolation=cv2.INTER_AREA if rows > height else cv2.INTER_LINEAR)
    shown: Array = np.clip(to_display(small, encoding), 0, 1)
    return shown
