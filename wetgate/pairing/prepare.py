"""Prepare pairs: look at each, accept or reject it with a reason. (Pairs that are laid over one another already.)"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from wetgate.errors import WetgateError
from wetgate.files import sweep_temporaries
from wetgate.images import read_image
from wetgate.project import Pair, Restoration

Array = NDArray[np.float32]

LEAST_CORRELATION = 0.1
"""Of local luma contrast. Pairs of the same picture reach 0.5 and more, unrelated ones stay near 0."""
SAME_PICTURE_PEAK = 0.15
"""Of their phase correlation: shifted pictures reach 0.25 and more, unrelated ones stay below 0.07."""
_EXAMINED_SIDE = 512


@dataclass(frozen=True)
class Pictures:
    """A pair's pictures [H, W, 3] and how far each pixel counts [H, W], or None where all do."""

    scan: Array
    reference: Array
    weight: Array | None


def prepare(
    restoration: Restoration, follow: Callable[[Pair], None] = lambda pair: None
) -> list[tuple[Pair, Pictures]]:
    """Examine the collected pairs, note what was found, and return all accepted ones with their pictures.

    A pair that cannot be used is rejected with a reason; one that was accepted or rejected before stays so.

    Raises:
        WetgateError: there are no pairs, none is accepted, or a picture of an accepted pair cannot be read.
    """
    pairs = restoration.pairs()
    if not pairs:
        raise WetgateError(
            f"{restoration.folder} holds no pairs: add some with `wetgate add {restoration.folder} --scan ... "
            "--reference ... --frames ...`."
        )
    for pair in pairs:
        sweep_temporaries(pair.folder)
    accepted = []
    for pair, pictures in _looked_at([pair for pair in pairs if pair.state != "rejected"]):
        follow(pair)
        if pictures is not None:
            accepted.append((pair, pictures))
    if not accepted:
        reasons = "; ".join(f"pair {pair.number}: {pair.reason}" for pair in restoration.pairs())
        raise WetgateError(f"No pair of {restoration.folder} can be used ({reasons}). Add others.")
    return accepted


def _looked_at(pairs: list[Pair]) -> Iterator[tuple[Pair, Pictures | None]]:
    with ThreadPoolExecutor(2) as readers:
        for pair, pictures in zip(pairs, readers.map(_read, pairs), strict=True):
            if isinstance(pictures, WetgateError):
                if pair.state == "accepted":
                    raise pictures
                pair.update(state="rejected", reason=str(pictures))
                yield pair, None
            elif pair.state == "accepted":
                yield pair, pictures
            else:
                found = examine(pictures)
                if found.reason:
                    pair.update(state="rejected", reason=found.reason, residual_px=found.residual_px)
                    yield pair, None
                else:
                    pair.update(state="accepted", prepared="reference.exr", residual_px=found.residual_px)
                    yield pair, pictures


def _read(pair: Pair) -> Pictures | WetgateError:
    try:
        pair.check_files()
        scan = read_image(pair.scan).pixels
        reference = read_image(pair.reference if pair.state == "collected" else pair.prepared).pixels
        weight = None
        for path in (pair.mask, pair.confidence):
            if path is not None:
                matte = read_image(path).pixels[..., 0]
                if matte.shape != scan.shape[:2]:
                    return WetgateError(f"{path} has another size than its scan: make it again at the scan's size.")
                weight = matte if weight is None else weight * matte
        return Pictures(scan, reference, weight)
    except WetgateError as error:
        return error


@dataclass(frozen=True)
class Finding:
    """``reason`` to reject, empty to accept; ``residual_px`` is how far the reference lies off, None if unknown."""

    reason: str
    residual_px: float | None


def examine(pictures: Pictures) -> Finding:
    """Whether scan and reference can be a pair: same size, real numbers, not blank, the same picture."""
    scan, reference = pictures.scan, pictures.reference
    if scan.shape != reference.shape:
        sizes = [f"{p.shape[1]}x{p.shape[0]}" for p in (scan, reference)]
        return Finding(f"the scan is {sizes[0]} and the reference {sizes[1]} pixels", None)
    for name, picture in (("scan", scan), ("reference", reference)):
        bad = int(np.count_nonzero(~np.isfinite(picture)))
        if bad:
            return Finding(f"the {name} holds {bad} values that are not numbers (NaN or infinity)", None)
    if pictures.weight is not None and not np.any(pictures.weight > 0):
        return Finding("its mask leaves nothing to train on", None)
    if min(scan.shape[:2]) < 16:
        return Finding("", None)
    first, second = (_local_contrast(picture) for picture in (scan, reference))
    if first is None or second is None:
        blank = "scan" if first is None else "reference"
        return Finding("", None) if first is second else Finding(f"the {blank} is blank", None)
    window = cv2.createHanningWindow(first.shape[::-1], cv2.CV_32F)
    (dx, dy), peak = cv2.phaseCorrelate(first, second, window)
    residual = round(float(np.hypot(dx, dy)) * max(scan.shape[:2]) / max(first.shape), 3)
    correlation = float((first * second).mean())
    if correlation >= LEAST_CORRELATION:
        return Finding("", residual)
    if peak >= SAME_PICTURE_PEAK:
        return Finding(f"the reference lies about {residual:.0f} pixels off: lay it over the scan first", residual)
    return Finding(
        f"scan and reference do not show the same picture (correlation of local contrast {correlation:.2f})", None
    )


def _local_contrast(pixels: Array) -> Array | None:
    """Luma less its surround, by its local spread, small: mean 0, variance 1. None where nothing varies."""
    luma = pixels @ np.array([0.2126, 0.7152, 0.0722], np.float32)
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
