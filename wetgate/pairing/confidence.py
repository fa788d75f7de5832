"""What not to learn from: how far each pixel of a pair can be trusted, and what was found against it."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from wetgate.pairing.borders import Borders, clipped, find_borders
from wetgate.pairing.overlays import Overlay, burnt_in, find_overlays
from wetgate.pairing.resampling import shrink
from wetgate.pairing.sharpness import resolution
from wetgate.pairing.unexplained import busyness, unexplained, usual

__all__ = ["Confidence", "burnt_in", "judge"]

Array = NDArray[np.float32]
Mask = NDArray[np.bool_]

_SIDE = 720
"""Longest side at which structures are compared: that of a DVD, which is what most references hold."""
_REACH, _NEAR_REACH = 6, 2
_YCC = np.array([[0.299, -0.169, 0.5], [0.587, -0.331, -0.419], [0.114, 0.5, -0.081]], np.float32)
"""RGB to luma and colour differences (BT.601), in which videos lose unequally much."""
_LEAST_SPREAD = 0.006
"""Of a reference, in display values: what 8-bit video leaves in doubt."""
_LEAST_SHARE = 0.012
"""The same of a scan, as a share of its range: fade lowers that."""
_DOUBTFUL = 3.5
_SPOT = 5.0
_MANY = 4
_LIKELY, _SURE = 2.4, 4.5
_MOST = 20.0
_COARSE = 0.75
"""At half the size the edges of rare colours stand out more, too."""
_CLIPPED = 0.2
"""Weight of pixels clipped in all channels: they still say that black is black."""
_TOLD_SHARE = 0.001
_MARGIN = 0.045
"""Of an overlay, as a share of the picture's height: what a translucent box may reach beyond its text."""


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
    known: Mask = np.isfinite((scan + reference) @ np.ones(3, np.float32))
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
    contrast = max(float(np.ptp(np.percentile(blurred[::3, ::3], (1, 99)))), 0.05) * _LEAST_SHARE
    alone = _compare(softened @ _YCC, blurred, _LEAST_SPREAD, outside, True)
    marred = _compare(blurred, softened, contrast, outside, False)

    strength = np.maximum(alone.strength, _COARSE * _coarse_strength(softened, blurred, outside))
    overlays = find_overlays((strength > _SURE) & ~outside, (strength > _LIKELY) & ~outside)
    laid_over = np.zeros(outside.shape, np.bool_)
    for found in overlays:
        margin = min(round(0.5 * found.height), round(_MARGIN * len(laid_over)))
        top, left = max(found.y - margin, 0), max(found.x - margin, 0)
        laid_over[top : found.y + found.height + margin, left : found.x + found.width + margin] = True
    limits = np.maximum(clipped(small_scan), clipped(small_reference))

    reach = 2 + 1.5 * sigma * scale
    spots = (alone.strength > _SPOT) | (marred.strength > _SPOT)
    weight = np.minimum(_trust(alone), _trust(marred)) * (1 - _spread(spots, 0.5 * sigma * scale))
    weight *= 1 - (1 - _CLIPPED) * cv2.blur(limits, (3, 3))
    weight *= 1 - _spread(outside, reach)
    weight *= 1 - _spread(laid_over, reach)
    seen = ~outside & ~laid_over
    return Confidence(
        weight=np.clip(_enlarged(weight, shape), 0, 1) * known,
        notes=(
            *_borders_in_words(borders, scale),
            *_overlays_in_words(overlays, shape, scale),
            *_shares(
                {
                    "dust and scratches": spots & seen,
                    "clipped": limits > 0,
                    "scan and reference differ in": (np.maximum(alone.foreign, marred.foreign) > 0.5) & seen,
                }
            ),
        ),
        resolution_px=sigma,
    )


@dataclass(frozen=True)
class _Comparison:
    """What of a target [H, W, 3] a source does not explain.

    Attributes:
        strength: [H, W] how many times as much as is usual in this pair, in the worst channel.
        foreign: [H, W] 0-1, where most of the target's texture is of that kind: something else is to be seen.
    """

    strength: Array
    foreign: Array


def _compare(target: Array, source: Array, least: float, outside: Mask, forgiving: bool) -> _Comparison:
    """Forgiving: what the nearest pixels explain is explained, as where three colours meet and a wider map fails."""
    left = unexplained(target, source, _REACH)
    structure = busyness(source)
    strength = _strength(left, structure, least, outside)
    if forgiving:
        near = unexplained(target, source, _NEAR_REACH)
        strength = np.minimum(strength, _strength(near, structure, least, outside))
    texture = target - cv2.blur(target, (2 * _REACH + 1,) * 2)
    energies = [cv2.GaussianBlur(np.square(p).sum(2), (0, 0), _REACH) for p in (left, texture)]
    noise = max(float(np.percentile(energies[0][~outside][::7], 25)), least**2) if not outside.all() else 1.0
    share = energies[0] / (energies[1] + 6 * np.float32(noise))
    return _Comparison(strength, np.clip((share - 0.5) / 0.25, 0, 1))


def _strength(left: Array, structure: Array, least: float, outside: Mask) -> Array:
    worst = np.zeros(outside.shape, np.float32)
    for k in range(3):
        spread = usual(left[..., k], structure, ~outside) + np.float32(least)
        worst = np.maximum(worst, np.abs(left[..., k]) / spread)
    return np.sqrt(cv2.GaussianBlur(np.minimum(worst, _MOST) ** 2, (0, 0), 1.2))


def _coarse_strength(target: Array, source: Array, outside: Mask) -> Array:
    """The strength [H, W] of what is alone in the target, seen at half the size: faint edges stand out there."""
    half = [shrink(p, _SIDE // 2) for p in (target, source)]
    beyond = shrink(outside.astype(np.float32), _SIDE // 2) > 0
    return _enlarged(_compare(half[0] @ _YCC, half[1], 0.7 * _LEAST_SPREAD, beyond, True).strength, outside.shape)


def _trust(compared: _Comparison) -> Array:
    trust = 1 / (1 + (compared.strength / _DOUBTFUL) ** 4)
    return np.asarray(trust * (1 - 0.9 * compared.foreign), np.float32)


def _spread(mask: Mask, reach: float) -> Array:
    """The mask as 0-1, grown by ``reach`` pixels with a soft edge beyond."""
    side = 2 * round(reach + 1) + 1
    grown = cv2.dilate(mask.astype(np.float32), cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side)))
    return np.asarray(np.clip(1.6 * cv2.GaussianBlur(grown, (0, 0), 1), 0, 1))


def _enlarged(picture: Array, shape: tuple[int, ...]) -> Array:
    if picture.shape == tuple(shape):
        return picture
    return np.asarray(cv2.resize(picture, (shape[1], shape[0]), interpolation=cv2.INTER_LINEAR))


def _borders_in_words(borders: list[Borders], scale: float) -> list[str]:
    return [
        f"{name}: black border {side}, {round(width / scale)} px"
        for name, found in zip(("scan", "reference"), borders, strict=True)
        for side, width in found.widths.items()
    ]


def _overlays_in_words(overlays: list[Overlay], shape: tuple[int, ...], scale: float) -> list[str]:
    if len(overlays) > _MANY:
        return [f"{len(overlays)} places of the reference without a counterpart in the scan"]
    small = tuple(round(length * scale) for length in shape)
    return list(dict.fromkeys(found.words(small) for found in overlays))


def _shares(masks: dict[str, Mask]) -> list[str]:
    shares = {name: float(mask.mean()) for name, mask in masks.items()}
    return [f"{name} {100 * share:.1f} %" for name, share in shares.items() if share > _TOLD_SHARE]
