"""What not to learn from: how far each pixel of a pair can be trusted, and what was found against it."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from wetgate.pairing.borders import Borders, clipped, find_borders
from wetgate.pairing.overlays import burnt_in, find_overlays
from wetgate.pairing.resampling import shrink
from wetgate.pairing.sharpness import resolution
from wetgate.pairing.unexplained import busyness, unexplained, usual

__all__ = ["Confidence", "burnt_in", "judge"]

Array = NDArray[np.float32]
Mask = NDArray[np.bool_]

_SIDE = 720
"""Longest side at which structures are compared: that of a DVD, which is what most references hold."""
_REACH = 6
_YCC = np.array([[0.299, -0.169, 0.5], [0.587, -0.331, -0.419], [0.114, 0.5, -0.081]], np.float32)
"""RGB to luma and colour differences (BT.601), in which videos lose unequally much."""
_LEAST_SPREAD = 0.006
"""Of a reference, in display values: what 8-bit video leaves in doubt."""
_LEAST_SHARE = 0.012
"""The same of a scan, as a share of its range: fade lowers that."""
_DOUBTFUL = 4.5
_LIKELY, _SURE = 3.0, 6.0
_CLIPPED = 0.2
"""Weight of pixels clipped in all channels: they still say that black is black."""
_TOLD_SHARE = 0.001


@dataclass(frozen=True)
class Confidence:
    """How far a pair can be learnt from.

    Attributes:
        weight: [H, W] float32, 0-1, in the scan's frame: how far each pixel may be learnt from.
        notes: what was found, in artists' words: "black border left, 14 px", "subtitle bottom", "dust 0.3 %".
        resolution_px: sigma, in scan pixels, of the low-pass under which the reference holds what the scan shows.
    """

    weight: Array
    notes: tuple[str, ...]
    resolution_px: float


def judge(scan: Array, reference: Array, valid: Array | None = None) -> Confidence:
    """Weigh every pixel of a pair whose reference lies on its scan.

    Structures are compared, not colours: whatever a local affine map of one picture's colours gives of the other is
    trusted, and so is everything flat. What has no counterpart loses weight as it stands out from what is usual in
    the pair for places as busy; dense groups of it in the reference are taken whole, as subtitles and logos.

    Args:
        scan: display values [H, W, 3], 0-1 nominal.
        reference: the same, laid over the scan.
        valid: [H, W] 0-1, where the reference holds picture; None where it does everywhere.
    """
    shape = scan.shape[:2]
    known: Mask = np.isfinite(scan + reference).all(2)
    if valid is not None:
        known &= valid > 0.99
    pictures: list[Array] = [np.where(known[..., None], p, np.float32(0.5)) for p in (scan, reference)]
    scale = min(1.0, _SIDE / max(shape))
    small_scan, small_reference = (np.ascontiguousarray(shrink(p, _SIDE), np.float32) for p in pictures)
    small_known = shrink(known.astype(np.float32), _SIDE)

    borders = [find_borders(*pair) for pair in ((small_scan, small_reference), (small_reference, small_scan))]
    outside = borders[0].mask | borders[1].mask | (small_known < 0.99)
    sigma = resolution(pictures[0], pictures[1], _enlarged((~outside).astype(np.float32), shape))
    blurred = cv2.GaussianBlur(small_scan, (0, 0), float(np.hypot(sigma * scale, 0.8)))
    softened = cv2.GaussianBlur(small_reference, (0, 0), 0.8)
    alone = _standing_out(softened @ _YCC, blurred, _LEAST_SPREAD, outside)
    contrast = float(np.ptp(np.percentile(blurred[::3, ::3], (1, 99)))) * _LEAST_SHARE
    marred = _standing_out(blurred, softened, contrast, outside)

    overlays = find_overlays((alone > _SURE) & ~outside, (alone > _LIKELY) & ~outside)
    laid_over = np.zeros(outside.shape, np.bool_)
    for found in overlays:
        laid_over[found.y : found.y + found.height, found.x : found.x + found.width] = True
    limits = np.maximum(clipped(small_scan), clipped(small_reference))

    reach = 2 + 1.5 * sigma * scale
    weight = np.minimum(_trust(alone), _trust(marred))
    weight *= 1 - (1 - _CLIPPED) * cv2.blur(limits, (3, 3))
    weight *= 1 - _spread(outside, reach)
    weight *= 1 - _spread(laid_over, reach)
    notes = _notes(borders, scale)
    return Confidence(
        weight=np.clip(_enlarged(weight, shape), 0, 1) * known,
        notes=(*notes, *dict.fromkeys(found.words(outside.shape) for found in overlays)),
        resolution_px=sigma,
    )


def _standing_out(target: Array, source: Array, least: float, outside: Mask) -> Array:
    """[H, W] how many times as far as usual the target is from what the source explains, in its worst channel."""
    left = unexplained(target, source, _REACH)
    structure = busyness(source)
    worst = np.zeros(outside.shape, np.float32)
    for k in range(3):
        worst = np.maximum(worst, np.abs(left[..., k]) / (usual(left[..., k], structure, ~outside) + np.float32(least)))
    return worst


def _trust(strength: Array) -> Array:
    around = np.sqrt(cv2.GaussianBlur(np.minimum(strength, 20) ** 2, (0, 0), 1.2))
    return np.asarray(1 / (1 + (around / _DOUBTFUL) ** 4), np.float32)


def _spread(mask: Mask, reach: float) -> Array:
    """The mask as 0-1, grown by ``reach`` pixels with a soft edge beyond."""
    side = 2 * round(reach + 1) + 1
    grown = cv2.dilate(mask.astype(np.float32), cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side)))
    return np.asarray(np.clip(1.6 * cv2.GaussianBlur(grown, (0, 0), 1), 0, 1))


def _enlarged(picture: Array, shape: tuple[int, ...]) -> Array:
    if picture.shape == tuple(shape):
        return picture
    return np.asarray(cv2.resize(picture, (shape[1], shape[0]), interpolation=cv2.INTER_LINEAR))


def _notes(borders: list[Borders], scale: float) -> list[str]:
    return [
        f"{name}black border {side}, {round(width / scale)} px"
        for name, found in zip(("scan: ", "reference: "), borders, strict=True)
        for side, width in found.widths.items()
    ]
