"""Pairs of the `exemplar` recipe: a frame of the scan, and what somebody painted over it, perhaps nothing.

reference.exr holds the paint's own colours where there is paint and the scan elsewhere; its alpha is how much paint
covers each pixel.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from wetgate.errors import WetgateError
from wetgate.images import Image, Pixels, Source, read_image, to_display, write_image
from wetgate.pairing.painting import Paint, paint_of
from wetgate.project import Pair, PairDraft

_HALF_HOLDS = ("8", "10", "half")


def collect_painted(draft: PairDraft, scan: Source, paint: Source | None, encoding: str) -> None:
    """Write a draft's scan and reference, cut to its region, and note where they come from.

    Args:
        draft: of a frame of ``scan``.
        scan: the frames to restore.
        paint: painted pictures of the same numbers, or a single one; None where nothing is painted.
        encoding: of the restoration.

    Raises:
        WetgateError: a picture cannot be read, holds NaN or infinity, or does not fit the scan.
    """
    image = scan.read(draft.frame)
    bad = int((~np.isfinite(_cut(image.pixels, draft))).any(axis=2).sum())
    if bad:
        raise WetgateError(
            f"{image.path}, frame {draft.frame}, has {bad} {'pixel' if bad == 1 else 'pixels'} of NaN or infinity: "
            "repair the picture, leave the frame out, or choose a --region without them."
        )
    draft.where_from["scan"] = str(scan.path(draft.frame).absolute())
    found = Paint(image.pixels, np.zeros(image.pixels.shape[:2], np.float32))
    if paint is not None:
        frame = paint.frames[0] if len(paint.frames) == 1 else draft.frame
        draft.where_from["paint"] = str(paint.path(frame).absolute())
        found = paint_of(paint.read(frame), image.pixels, encoding)
    depth = "half" if image.header.depth in _HALF_HOLDS else "float"
    write_image(draft.scan, _cut(image.pixels, draft), bit_depth=depth)
    write_image(draft.reference, _cut(found.colours, draft), alpha=_cut(found.amount, draft), bit_depth=depth)


def paint_in(pair: Pair, encoding: str) -> Paint:
    """The paint that was collected with a pair, in display values."""
    picture = read_image(pair.reference)
    paint = Paint(to_display(picture.pixels, encoding), _all_or(picture))
    return replace(paint, amount=np.clip(paint.amount, 0, 1))


def _all_or(picture: Image) -> Pixels:
    """A reference without alpha is a frame that was painted as a whole."""
    return np.ones(picture.pixels.shape[:2], np.float32) if picture.alpha is None else picture.alpha


def _cut(pixels: Pixels, draft: PairDraft) -> Pixels:
    if draft.region is None:
        return pixels
    x, y, width, height = draft.region
    return np.ascontiguousarray(pixels[y : y + height, x : x + width])
