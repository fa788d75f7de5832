"""Pairs whose scan is damaged: what the reference shows is to be learnt, above all where the scan does not show it."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from wetgate.pairing.borders import find_borders
from wetgate.pairing.confidence import Confidence

Array = NDArray[np.float32]

REDUCTIONS = (4, 2)
"""By which a reference may be reduced where it holds nothing finer."""
LEAST_LOSS = 0.01
"""Display values, root mean square, that a reduction may cost: 40 dB. What networks leave open is far more."""
_MARGIN = 2.0
"""Pixels of the reference beside its border that are not trusted: they mix with what lies there."""


def overlap(scan: Array, reference: Array, valid: Array | None = None) -> Confidence:
    """Trust every pixel over which the reference holds picture, whatever the scan shows there.

    Other recipes ask :func:`wetgate.pairing.confidence.judge`, which distrusts what only one of the two shows: dust
    of the scan, picture that the scan has lost. Here that is the lesson.

    Args:
        scan: display values [H, W, 3], 0-1 nominal.
        reference: the same, laid over the scan.
        valid: [H, W] 0-1, where the reference holds picture; None where it does everywhere.
    """
    known = np.isfinite((scan + reference) @ np.ones(3, np.float32))
    if valid is not None:
        known &= valid > 0.99
    pictures = [np.where(known[..., None], picture, np.float32(0.5)) for picture in (scan, reference)]
    borders = find_borders(pictures[1], pictures[0])
    usable = (known & ~borders.mask).astype(np.uint8)
    softness = fineness(pictures[1])
    reach = round(_MARGIN * softness)
    if not usable.all():
        framed = cv2.copyMakeBorder(usable, 1, 1, 1, 1, cv2.BORDER_REPLICATE)
        side = 2 * reach + 1
        usable = cv2.erode(framed, np.ones((side, side), np.uint8), borderValue=1)[1:-1, 1:-1]
    notes = tuple(f"reference: black border {side}, {width} px" for side, width in borders.widths.items())
    share = float(usable.mean())
    if share < 0.999:
        notes = (*notes, f"the reference covers {100 * share:.0f} % of the picture")
    return Confidence(weight=usable.astype(np.float32), notes=notes, resolution_px=0.5 * softness)


def fineness(reference: Array) -> int:
    """By how much a reference [H, W, 3] of display values may be reduced without loss, along a side: 4, 2 or 1."""
    height, width = reference.shape[:2]
    for by in REDUCTIONS:
        if min(height, width) < 8 * by:
            continue
        whole = reference[: height // by * by, : width // by * by]
        small = cv2.resize(whole, (whole.shape[1] // by, whole.shape[0] // by), interpolation=cv2.INTER_AREA)
        again = cv2.resize(small, (whole.shape[1], whole.shape[0]), interpolation=cv2.INTER_LINEAR)
        if float(np.sqrt(np.square(again - whole).mean())) <= LEAST_LOSS:
            return by
    return 1
