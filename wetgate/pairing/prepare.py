"""Prepare pairs: lay each reference over its scan, weigh what can be learnt from, accept or reject with a reason."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from wetgate.errors import WetgateError
from wetgate.files import sweep_temporaries
from wetgate.images import LUMA, read_image, to_display, write_image
from wetgate.pairing.align import LEAST_SIDE, Alignment, align, measure_residual, warp
from wetgate.pairing.confidence import burnt_in, judge
from wetgate.pairing.fields import COMBED_SHARE, combed_share, upper_field
from wetgate.pairing.overlap import fineness, overlap
from wetgate.pairing.thumbnails import draw_missing
from wetgate.project import Pair, Restoration

Array = NDArray[np.float32]

LEAST_CORRELATION = 0.1
"""Of local luma contrast. Pairs of the same picture reach 0.5 and more, unrelated ones stay near 0."""
CLOSE_PX, CLOSE_CORNER_PX = 0.25, 0.75
"""A pair that lies this close, on average and in its worst corner, stays as it was collected."""
MOST_PX = 1.0
"""A pair that stays further apart than this, on average, is rejected: it would teach false colour."""
MOST_COMPARED = 12
"""Of the references, to find logos."""
MOST_VALUE = 1e6
"""Sixteen times what a half float holds: beyond, a file is broken."""
LEAST_USABLE = 0.1
"""Of a pair's picture, or it is rejected."""
_EXAMINED_SIDE = 512
DAMAGED = ("telecine",)
"""Recipes whose scans lack picture: references are trusted there, and lie as close as their own pixels allow."""


@dataclass(frozen=True)
class Pictures:
    """A pair's pictures [H, W, 3], how far each pixel counts [H, W] (None where all do fully), and how soft the
    reference is against the scan: sigma in pixels.
    """

    scan: Array
    reference: Array
    weight: Array | None
    resolution_px: float = 0.0


@dataclass(frozen=True)
class Finding:
    """What was found about a pair.

    Attributes:
        reason: to reject it; empty to accept it.
        residual_px: how far the reference lies off in the end, in scan pixels; None if unknown.
        before_px: how far it lay off as collected; None if unknown, or where sizes differ.
        alignment: how it was laid over the scan; None where it stayed as it was.
    """

    reason: str = ""
    residual_px: float | None = None
    before_px: float | None = None
    alignment: Alignment | None = None


def prepare(
    restoration: Restoration, follow: Callable[[Pair], None] = lambda pair: None
) -> list[tuple[Pair, Pictures]]:
    """Prepare the collected pairs, note what was found, and return all accepted ones with their pictures.

    A pair that cannot be used is rejected with a reason; one that was accepted or rejected before stays so.

    Raises:
        WetgateError: there are no pairs, none is accepted, or a picture of an accepted pair cannot be read.
    """
    pairs = restoration.pairs()
    if not pairs and restoration.footage:
        raise WetgateError(
            f"{restoration.folder} is of the recipe {restoration.recipe}, which learns from the scan itself: there is "
            f"nothing to prepare. Go on with `wetgate train {restoration.folder}`."
        )
    if not pairs:
        raise WetgateError(
            f"{restoration.folder} holds no pairs: add some with `wetgate add {restoration.folder} --scan ... "
            "--reference ... --frames ...`."
        )
    for pair in pairs:
        sweep_temporaries(pair.folder)
    draw_missing(pairs, restoration.encoding)
    accepted = []
    waiting = [pair for pair in pairs if pair.state != "rejected"]
    for pair, pictures in _looked_at(waiting, restoration.encoding, restoration.recipe in DAMAGED):
        follow(pair)
        if pictures is not None:
            accepted.append((pair, pictures))
    if not accepted:
        reasons = "; ".join(f"pair {pair.number}: {pair.reason}" for pair in restoration.pairs())
        raise WetgateError(f"No pair of {restoration.folder} can be used ({reasons}). Add others.")
    return accepted


def without_logos(pairs: list[tuple[Pair, Pictures]], encoding: str) -> list[tuple[Pair, Pictures]]:
    """What stands still in the references of several pairs and not in their scans, as a station's logo does, does
    not count.
    """
    if len({pictures.scan.shape for _, pictures in pairs}) != 1 or any(pair.region for pair, _ in pairs):
        return pairs
    scans, references = (
        burnt_in([to_display(getattr(pictures, side), encoding) for _, pictures in pairs[:MOST_COMPARED]])
        for side in ("scan", "reference")
    )
    logos = references * (1 - scans)
    if not logos.any():
        return pairs
    return [
        (pair, replace(pictures, weight=(1 - logos) * (1 if pictures.weight is None else pictures.weight)))
        for pair, pictures in pairs
    ]


def glance(restoration: Restoration) -> list[tuple[Pair, Pictures]]:
    """Pairs that seem to lie over one another already, unprepared: enough for a first look at what they may give."""
    with ThreadPoolExecutor(2) as readers:
        seen = list(zip(pairs := restoration.pairs({"collected", "accepted"}), readers.map(_read, pairs), strict=True))
    return [
        (pair, pictures)
        for pair, pictures in seen
        if not isinstance(pictures, WetgateError)
        and pictures.scan.shape == pictures.reference.shape
        and not _refusal(pictures)
        and _alike(*(to_display(picture, restoration.encoding) for picture in (pictures.scan, pictures.reference)))
    ]


def accepted(restoration: Restoration) -> list[tuple[Pair, Pictures]]:
    """The accepted pairs and their pictures, as they are.

    Raises:
        WetgateError: a picture cannot be read.
    """
    found = []
    for pair in restoration.pairs({"accepted"}):
        pictures = _read(pair)
        if isinstance(pictures, WetgateError):
            raise pictures
        found.append((pair, pictures))
    return found


def _looked_at(pairs: list[Pair], encoding: str, damaged: bool) -> Iterator[tuple[Pair, Pictures | None]]:
    def look(pair: Pair) -> tuple[Pictures | None, dict[str, Any]]:
        pictures = _read(pair)
        if isinstance(pictures, WetgateError):
            if pair.state == "accepted":
                raise pictures
            return None, {"state": "rejected", "reason": str(pictures)}
        return (pictures, {}) if pair.state == "accepted" else _prepared(pair, pictures, encoding, damaged)

    with ThreadPoolExecutor(2) as workers:
        for pair, (pictures, found) in zip(pairs, workers.map(look, pairs), strict=True):
            if found:
                pair.update(**found)
            yield pair, pictures


def _prepared(pair: Pair, pictures: Pictures, encoding: str, damaged: bool) -> tuple[Pictures | None, dict[str, Any]]:
    """The pair's pictures as they are learnt from, written beside the collected ones, and what to note."""
    combed = combed_share(to_display(pictures.reference, encoding).mean(2)) > COMBED_SHARE
    collected = pictures
    if combed:
        pictures = replace(pictures, reference=upper_field(pictures.reference))
    aligned = bool(pair.where_from.get("aligned"))
    found = _by_hand(pictures) if aligned else examine(pictures, encoding, damaged=damaged)
    residual = None if found.residual_px is None else round(found.residual_px, 3)
    if found.reason:
        return None, {"state": "rejected", "reason": found.reason, "residual_px": residual}
    note: dict[str, Any] = {"state": "accepted", "residual_px": residual, "prepared": "reference.exr"}
    confidence = pair.folder / "confidence.exr"
    confidence.unlink(missing_ok=True)
    if residual is None and not damaged and not aligned:
        return collected, note
    reference, valid = pictures.reference, None
    if found.alignment is not None:
        reference, valid = warp(reference, found.alignment, pictures.scan.shape), found.alignment.valid
        note["transform"] = _described(found)
    if combed or found.alignment is not None:
        depth = read_image(pair.reference).header.depth
        write_image(pair.folder / "prepared.exr", reference, bit_depth=depth)
        reference = read_image(pair.folder / "prepared.exr").pixels
        note["prepared"] = "prepared.exr"
    weigh = overlap if damaged else judge
    judged = weigh(to_display(pictures.scan, encoding), to_display(reference, encoding), valid)
    usable = float(judged.weight.mean())
    if usable < LEAST_USABLE:
        reason = f"only {usable:.0%} of the picture can be learnt from ({', '.join(judged.notes)})"
        return None, {"state": "rejected", "reason": reason, "residual_px": residual}
    write_image(confidence, np.repeat(judged.weight[..., None], 3, axis=2), bit_depth="half")
    weight = read_image(confidence).pixels[..., 0]
    weight = weight if pictures.weight is None else weight * pictures.weight
    note["resolution_px"] = round(judged.resolution_px, 2)
    said = (*(["interlaced: only the upper field is used"] if combed else []), *judged.notes)
    prepared = replace(pictures, reference=reference, weight=weight, resolution_px=note["resolution_px"])
    return prepared, {**note, "reason": ", ".join(said)}


def _described(found: Finding) -> dict[str, Any]:
    alignment = found.alignment
    assert alignment is not None
    return {
        "kind": alignment.kind,
        "scan_to_reference": [[float(f"{value:.9g}") for value in row] for row in alignment.transform],
        "mirrored": alignment.mirrored,
        "before_px": None if found.before_px is None else round(found.before_px, 3),
        "worst_corner_px": round(alignment.worst_corner_px, 3),
        "correlation": round(alignment.correlation, 4),
    }


def _read(pair: Pair) -> Pictures | WetgateError:
    try:
        pair.check_files()
        scan = read_image(pair.scan).pixels
        reference = read_image(pair.reference if pair.state == "collected" else pair.prepared).pixels
        weight = None
        for path in (pair.mask, pair.confidence if pair.state == "accepted" else None):
            if path is not None:
                matte = read_image(path).pixels[..., 0]
                if matte.shape != scan.shape[:2]:
                    return WetgateError(f"{path} has another size than its scan: make it again at the scan's size.")
                weight = matte if weight is None else weight * matte
        if pair.state == "accepted" and scan.shape != reference.shape:
            sizes = [f"{picture.shape[1]} x {picture.shape[0]}" for picture in (reference, scan)]
            return WetgateError(
                f"Pair {pair.number} was accepted, but its reference is {sizes[0]} and its scan {sizes[1]}, and nobody "
                "has laid one over the other: reject it, and add it again."
            )
        return Pictures(scan, reference, weight, pair.resolution_px or 0.0)
    except WetgateError as error:
        return error


def examine(pictures: Pictures, encoding: str = "display", *, damaged: bool = False) -> Finding:
    """Whether scan and reference can be a pair, and how the reference is laid over the scan.

    Pictures of one size that lie close already stay as they are; others are aligned
    (:func:`wetgate.pairing.align.align`).

    Args:
        pictures: as collected.
        encoding: of both.
        damaged: the scan lacks picture; then a reference is close where it lies within half a pixel of its own, which
            may be several of the scan's, and is never bent to what the scan still shows.
    """
    if reason := _refusal(pictures):
        return Finding(reason)
    scan, reference = (to_display(picture, encoding) for picture in (pictures.scan, pictures.reference))
    if scan.shape != reference.shape:
        return _aligned(scan, reference, damaged=damaged)
    try:
        correlation = _correlation(scan, reference)
    except WetgateError as error:
        return Finding(str(error))
    same = correlation >= LEAST_CORRELATION
    if math.isinf(correlation):
        return Finding()
    if min(scan.shape[:2]) < LEAST_SIDE:
        return Finding("" if same else "scan and reference do not show the same picture")
    if not same:
        return _aligned(scan, reference, damaged=damaged)
    try:
        measured, corner = measure_residual(scan, reference)
    except WetgateError as error:
        return Finding(str(error).rstrip("."))
    if measured <= CLOSE_PX and corner <= CLOSE_CORNER_PX:
        return Finding(residual_px=measured, before_px=measured)
    before = measured if math.isfinite(measured) else None
    found = _aligned(scan, reference, before, damaged=damaged)
    if found.residual_px is None:  # too little to align by, but the same picture at the same place
        return Finding(before_px=before)
    if before is not None and before <= min(found.residual_px, MOST_PX):
        return Finding(residual_px=before, before_px=before)
    return found


def _by_hand(pictures: Pictures) -> Finding:
    """A pair that somebody has laid over one another: nothing is measured, nothing moved."""
    if pictures.scan.shape != pictures.reference.shape:
        return Finding("it was added as aligned, but scan and reference differ in size: add it again without --aligned")
    return Finding(_refusal(pictures))


def _refusal(pictures: Pictures) -> str:
    for name, picture in (("scan", pictures.scan), ("reference", pictures.reference)):
        bad = int(np.count_nonzero(~np.isfinite(picture)))
        if bad:
            return f"the {name} holds {bad} values that are not numbers (NaN or infinity)"
        bad = int(np.count_nonzero(np.abs(picture) > MOST_VALUE))
        if bad:
            return f"the {name} holds {bad} values above {MOST_VALUE:.0e}, as no picture does"
    if pictures.weight is not None and not np.any(pictures.weight > 0):
        return "its mask leaves nothing to train on"
    return ""


def _alike(scan: Array, reference: Array) -> bool:
    try:
        return _correlation(scan, reference) >= LEAST_CORRELATION
    except WetgateError:
        return False


def _correlation(scan: Array, reference: Array) -> float:
    """Of the local contrast of pictures of one size; infinite where there is too little to tell, in either.

    Raises:
        WetgateError: only one of them is blank.
    """
    if min(scan.shape[:2]) < 16:
        return math.inf
    first, second = (_local_contrast(picture) for picture in (scan, reference))
    if first is None or second is None:
        if first is second:
            return math.inf
        raise WetgateError(f"the {'scan' if first is None else 'reference'} is blank")
    return float((first * second).mean())


def _aligned(scan: Array, reference: Array, before: float | None = None, *, damaged: bool) -> Finding:
    try:
        alignment = align(scan, reference, dense=not damaged)
    except WetgateError as error:
        words = str(error).rstrip(".")
        return Finding(words[:1].lower() + words[1:], before_px=before)
    left = alignment.residual_px
    most = max(MOST_PX, 0.5 * fineness(reference) * scan.shape[1] / reference.shape[1]) if damaged else MOST_PX
    if left > most:
        return Finding(
            f"after alignment the reference still lies {left:.2f} pixels off on average; {most:.1f} is the most",
            left,
            before,
        )
    return Finding("", left, before, alignment)


def _local_contrast(pixels: Array) -> Array | None:
    """Luma less its surround, by its local spread, small: mean 0, variance 1. None where nothing varies."""
    luma = pixels @ LUMA
    scale = _EXAMINED_SIDE / max(luma.shape)
    if scale < 1:
        luma = cv2.resize(luma, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    difference = luma - cv2.GaussianBlur(luma, (0, 0), 6)
    spread = np.sqrt(cv2.GaussianBlur(difference**2, (0, 0), 12))
    if float(spread.max()) < 1e-4:
        return None
    contrast = difference / (spread + 0.1 * float(spread.mean()) + 1e-6)
    contrast -= contrast.mean()
    result: Array = (contrast / (contrast.std() + 1e-9)).astype(np.float32)
    return result
