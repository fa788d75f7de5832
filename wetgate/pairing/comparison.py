"""Scan and reference laid over one another at some size, fade-blind, to be compared."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import cv2
import numpy as np
from numpy.typing import NDArray

from wetgate.pairing.blind import fade_blind
from wetgate.pairing.resampling import inside, move_points, pixel_grid, sample, scaling, shrink
from wetgate.pairing.shifts import Shifts, measure_shifts

Array = NDArray[np.float32]
Matrix = NDArray[np.float64]

_EDGE = np.ones((7, 7))
"""What the fade-blind pictures see around a pixel, about."""
_REFERENCE_SIDE = 2
"""A reference is kept at this many times a level's side: a scan may be a part of what it shows."""


@dataclass(frozen=True)
class Picture:
    """``pixels`` [H, W, 3], all of them numbers, and ``known`` [H, W] 0-1, where they were so from the start."""

    pixels: Array
    known: Array

    @classmethod
    def of(cls, pixels: Array) -> Self:
        """The picture, with its middle value where it holds no numbers."""
        with np.errstate(invalid="ignore", over="ignore"):
            known: NDArray[np.bool_] = np.isfinite(pixels[..., 0] + pixels[..., 1] + pixels[..., 2])
        if not known.all():
            middle = np.median(pixels[known]) if known.any() else 0
            pixels = np.where(known[..., None], pixels, np.float32(middle))
        return cls(np.ascontiguousarray(pixels, np.float32), known.astype(np.float32))

    def shrunk(self, side: int) -> Picture:
        """Averaged down until no side is longer than ``side``."""
        return Picture(shrink(self.pixels, side), shrink(self.known, side))


@dataclass(frozen=True)
class Laid:
    """Fade-blind scan and reference [H, W] in one frame, and the weight [H, W], 0 or 1, of the pixels that count."""

    scan: Array
    reference: Array
    weight: Array

    @property
    def correlation(self) -> float:
        """Over the pixels that count, -1 to 1."""
        return float(_correlation(*(float(product.sum()) for product in self._products())))

    @property
    def local_correlation(self) -> Array:
        """[H, W] correlation within about 16 pixels around each."""
        return np.asarray(_correlation(*(cv2.GaussianBlur(product, (0, 0), 16) for product in self._products())))

    def shifts(self, block: int | None = None, steps: int = 1) -> Shifts:
        """See :func:`measure_shifts`; blocks of 12 to 32 pixels, as the picture has room for."""
        block = block or int(np.clip(min(self.scan.shape) // 8, 12, 32))
        return measure_shifts(self.scan, self.reference, self.weight, block, steps)

    def prominence(self) -> float:
        """How far the correlation stands out of that at all other shifts of the pictures, in their deviations."""
        size = [2 * length for length in self.scan.shape]
        spectra = [np.fft.rfft2(self.weight * picture, size) for picture in (self.scan, self.reference)]
        surface = np.fft.irfft2(spectra[0] * spectra[1].conj(), size)
        peak = surface[0, 0]
        reach = [max(4, length // 8) for length in self.scan.shape]
        surface[np.ix_(*(np.arange(-r, r + 1) for r in reach))] = 0
        far = np.ix_(*(np.r_[0 : length // 2, -(length // 2) : 0] for length in self.scan.shape))
        return float(peak / (surface[far].std() + 1e-9))

    def _products(self) -> tuple[Array, Array, Array]:
        scan, reference = self.weight * self.scan, self.weight * self.reference
        return scan * reference, scan * scan, reference * reference


def _correlation(both: Array | float, first: Array | float, second: Array | float) -> Array | float:
    return both / np.sqrt(np.maximum(first, 1e-6) * np.maximum(second, 1e-6))


class Level:
    """Scan and reference compared in the frame of the scan shrunk to ``side``.

    Attributes:
        shape: (H, W) of that frame.
        to_scan: [3, 3] from its pixels to the scan's.
    """

    def __init__(self, scan: Picture, reference: Picture, side: int) -> None:
        small = scan.shrunk(side)
        self.shape: tuple[int, int] = small.known.shape
        self.to_scan = scaling(small.known.shape, scan.known.shape)
        self._scan, self._known = fade_blind(small.pixels), (small.known > 0.99).astype(np.float32)
        self._reference = reference.shrunk(_REFERENCE_SIDE * side)
        self._to_reference = scaling(reference.known.shape, self._reference.known.shape)

    @property
    def scan_px(self) -> float:
        """Scan pixels that one pixel of the frame spans."""
        return float(np.sqrt(self.to_scan[0, 0] * self.to_scan[1, 1]))

    def lay(self, transform: Matrix, field: Array | None = None) -> Laid:
        """Both pictures, the reference through ``transform`` (from scan pixels) after ``field`` [H, W, 2] (in pixels
        of the frame). A negative is turned positive.
        """
        grid = pixel_grid(self.shape)
        through = self._to_reference @ transform @ self.to_scan
        places = move_points(through, grid if field is None else grid + field)
        known = self._known * inside(places, self._reference.known.shape)
        if not self._reference.known.all():
            known *= sample(self._reference.known, places) > 0.99
        weight = cv2.erode(known, _EDGE, borderType=cv2.BORDER_CONSTANT, borderValue=0)
        reference = fade_blind(sample(self._reference.pixels, places))
        sign = -1 if float((self._scan * reference * weight).sum()) < 0 else 1
        return Laid(self._scan, reference * np.float32(sign), weight)

    def changed(self, transform: Matrix, change: Matrix) -> Matrix:
        """``transform`` after a change [3, 3] of places within the frame."""
        changed = transform @ self.to_scan @ change @ np.linalg.inv(self.to_scan)
        return np.asarray(changed / changed[2, 2])
