"""Pairs as the colour recipe trains on them: low-passed densities at half resolution."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from wetgate.training.blur import gaussian
from wetgate.training.color_model import LOW_PASS
from wetgate.training.density import to_density
from wetgate.training.operations import Numpy

Array = NDArray[np.float32]

STEP = 4
"""Sides at half resolution are multiples of this, as the model's are."""
SOFTEST = 8.0
"""Sigma, in pixels, of the softest reference whose softness the scan is brought to."""
WINDOW = 512
"""Largest side of the full-resolution part that is kept of each pair, for detail and previews."""


@dataclass(frozen=True)
class Sample:
    """One pair. Densities are those of :mod:`wetgate.training.density`; h and w are half of the padded sides.

    Attributes:
        number: of the pair.
        frame: of the scan.
        scan: [h, w, 3] low-passed density.
        target: [h, w, 3] low-passed density of the reference.
        weight: [h, w] how much each pixel counts, 0 where it is not to be trusted.
        scan_window, reference_window: [<=512, <=512, 3] from the middle at full resolution, as encoded.
    """

    number: int
    frame: int
    scan: Array
    target: Array
    weight: Array
    scan_window: Array
    reference_window: Array


def make_sample(
    scan: Array,
    reference: Array,
    encoding: str,
    *,
    number: int,
    frame: int,
    weight: Array | None = None,
    resolution_px: float = 0.0,
) -> Sample:
    """Make a sample of a pair of pictures [H, W, 3] in ``encoding``.

    Both are brought to the same softness, the reference's own or the model's low-pass: a reference softer than the
    scan it is learnt from would teach that colour and contrast fade at every edge.

    Args:
        scan, reference: the pair.
        encoding: of both.
        number, frame: of the pair.
        weight: [H, W] 0-1.
        resolution_px: sigma, in pixels, of the blur that the reference has against the scan.
    """
    softness = max(LOW_PASS, min(resolution_px, SOFTEST))
    missing = max(softness**2 - resolution_px**2, 0.0) ** 0.5
    height, width = scan.shape[:2]
    window = (_middle(height), _middle(width))
    trust = np.ones((height, width), np.float32) if weight is None else np.clip(weight, 0, 1).astype(np.float32)
    return Sample(
        number=number,
        frame=frame,
        scan=_half(low_density(scan, encoding, softness)),
        target=_half(low_density(reference, encoding, missing)),
        weight=_half(trust),
        scan_window=np.ascontiguousarray(scan[window]),
        reference_window=np.ascontiguousarray(reference[window]),
    )


def rarity(samples: list[Sample]) -> list[Array]:
    """For each sample [h, w]: trust times a weight that lifts rare colours of the reference.

    The weight is the inverse square root of how often a colour (a cell of display values, 16 a side) occurs in all
    pairs, held between 1/3 and 3: a red flower counts against a wide sky, and does not outweigh it.
    """
    cells = [_cell(sample.target) for sample in samples]
    counts = np.bincount(np.concatenate([cell.ravel() for cell in cells]), minlength=16**3).astype(np.float64)
    per_pixel = np.concatenate([counts[cell].ravel() for cell in cells])
    typical = np.median(per_pixel)
    lifts = [np.clip(np.sqrt(typical / counts[cell]), 1 / 3, 3).astype(np.float32) for cell in cells]
    return [sample.weight * lift for sample, lift in zip(samples, lifts, strict=True)]


def _cell(density: Array) -> NDArray[np.int64]:
    value = np.clip(10.0**-density * 16, 0, 15).astype(np.int64)
    return value[..., 0] * 256 + value[..., 1] * 16 + value[..., 2]


def low_density(pixels: Array, encoding: str, sigma: float = LOW_PASS) -> Array:
    """Density of a picture [H, W, 3] in ``encoding``, low-passed by a Gaussian of ``sigma`` pixels."""
    density = to_density(Numpy(), pixels, encoding)
    size = len(gaussian(max(sigma, 1e-3)))
    return cv2.GaussianBlur(density, (size, size), max(sigma, 1e-3), borderType=cv2.BORDER_REPLICATE)


def _half(picture: Array) -> Array:
    height, width = picture.shape[:2]
    multiple = 2 * STEP
    padded = cv2.copyMakeBorder(picture, 0, -height % multiple, 0, -width % multiple, cv2.BORDER_REPLICATE)
    rows, columns = padded.shape[:2]
    return cv2.resize(padded, (columns // 2, rows // 2), interpolation=cv2.INTER_AREA)


def _middle(length: int) -> slice:
    start = max((length - WINDOW) // 2, 0)
    return slice(start, min(start + WINDOW, length))
