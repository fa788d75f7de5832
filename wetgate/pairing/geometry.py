"""Which part of the scan the reference shows: crop, aspect, mirroring and a little rotation.

Found on sketches: first the best of a few hundred windows, by orientation descriptors of many frames at once; then
refined on pairs of frames by least squares (Lucas and Kanade, IJCAI 1981, for affine motion).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import cv2
import numpy as np
from numpy.typing import NDArray

from wetgate.pairing.descriptors import mirrored, orientation_fields, resampled
from wetgate.pairing.sketches import HEIGHT, WIDTH, Sketches

Array = NDArray[np.float32]
Window = tuple[float, float, float, float]

_COARSE = (16, 12)
_PLACES = (
    *((0.0, 1.0),),
    *((0.13 * start, 0.87 + 0.13 * start) for start in (0.0, 0.5, 1.0)),
    *((0.26 * start, 0.74 + 0.26 * start) for start in (0.0, 0.5, 1.0)),
    *((-0.08, 1.08), (-0.17, 1.17)),
)
"""Start and end of a window along one axis, as shares of the scan; beyond it where the reference shows more."""


@dataclass(frozen=True)
class Geometry:
    """Where the reference lies on the scan.

    Attributes:
        affine: [2, 3] from places in the reference to places in the scan; both run from 0 to 1 across and down.
    """

    affine: NDArray[np.float64]

    @classmethod
    def of_window(cls, window: Window, mirror: bool) -> Geometry:
        """The reference fills a window of the scan."""
        x0, y0, x1, y1 = window
        if mirror:
            x0, x1 = x1, x0
        return cls(np.array([[x1 - x0, 0, x0], [0, y1 - y0, y0]]))

    @property
    def mirrored(self) -> bool:
        return bool(np.linalg.det(self.affine[:, :2]) < 0)

    @property
    def window(self) -> Window:
        """x0, y0, x1, y1 of what the reference shows, in shares of the scan; below 0 or above 1 where it shows more."""
        middle = self.affine @ [0.5, 0.5, 1]
        half = np.abs(self.affine[[0, 1], [0, 1]]) / 2
        (x0, y0), (x1, y1) = middle - half, middle + half
        return float(x0), float(y0), float(x1), float(y1)

    def overlap(self) -> Window:
        """The part of the reference, in its own shares, that lies within the scan."""
        x0, y0, x1, y1 = self.window
        sides = [max(0.0, -x0 / (x1 - x0)), max(0.0, -y0 / (y1 - y0))]
        sides += [min(1.0, (1 - x0) / (x1 - x0)), min(1.0, (1 - y0) / (y1 - y0))]
        if self.mirrored:
            sides[0], sides[2] = 1 - sides[2], 1 - sides[0]
        return sides[0], sides[1], sides[2], sides[3]

    def grids(self, size: tuple[int, int]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """2x3 matrices from pixels of a grid over the common part to those of both sketches, scan and reference."""
        x0, y0, x1, y1 = self.overlap()
        width, height = size
        to_share = np.array([[(x1 - x0) / width, 0, x0], [0, (y1 - y0) / height, y0], [0, 0, 1]])
        centred = np.array([[1, 0, 0.5], [0, 1, 0.5], [0, 0, 1]])
        to_pixels = np.array([[WIDTH, 0, -0.5], [0, HEIGHT, -0.5], [0, 0, 1]])
        reference = to_share @ centred
        scan = np.vstack([self.affine, [0, 0, 1]]) @ reference
        return (to_pixels @ scan)[:2], (to_pixels @ reference)[:2]

    def moved(self, change: NDArray[np.float64]) -> Geometry:
        """After a 3x3 change of places in the reference."""
        return Geometry(self.affine @ change)


def first_guess(scan: Sketches, reference: Sketches, most: int = 120) -> Geometry:
    """The window that makes frames of the scan most like some frames of the reference."""
    ours, theirs = (
        orientation_fields(part.local_contrast(_spread(part, count)))
        for part, count in ((scan, most), (reference, 3 * most))
    )
    whole: Window = (0, 0, 1, 1)
    targets = [resampled(fields, whole, _COARSE) for fields in (theirs, mirrored(theirs))]
    best, found = -1.0, Geometry.of_window(whole, False)
    for (x0, x1), (y0, y1) in product(_PLACES, repeat=2):
        source = resampled(ours, (x0, y0, x1, y1), _COARSE)
        for mirror, target in enumerate(targets):
            score = float(np.sort((source @ target.T).max(axis=1))[len(source) // 4 :].mean())
            if score > best:
                best, found = score, Geometry.of_window((x0, y0, x1, y1), bool(mirror))
    return found


def _spread(sketches: Sketches, most: int) -> list[int]:
    seen = np.flatnonzero(~sketches.blank)
    return [int(index) for index in seen[np.linspace(0, len(seen) - 1, min(most, len(seen))).astype(int)]]


def warped(pictures: Array, matrix: NDArray[np.float64], size: tuple[int, int]) -> Array:
    """[n, height, width] pictures sampled at the places to which ``matrix`` takes the pixels of a grid."""
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return np.stack([cv2.warpAffine(p, matrix, size, flags=flags, borderMode=cv2.BORDER_REPLICATE) for p in pictures])


def refined(
    geometry: Geometry, scan: Sketches, reference: Sketches, pairs: Sequence[tuple[int, int]], rounds: int = 6
) -> Geometry:
    """The affine map that lays the references of ``pairs`` (indexes of sketches) best over their scans.

    Every round solves one linear system over all pairs: the scan's contrast, less the part that the reference's own
    explains, by its derivatives times the six changes. Pairs that fit worse than most count less.
    """
    scans, references = (
        part.local_contrast([pair[side] for pair in pairs]) for side, part in enumerate((scan, reference))
    )
    for blur in (*(2.5,) * (rounds // 2), *(1.0,) * (rounds - rounds // 2)):
        to_scan, to_reference = geometry.grids(_REFINED)
        x0, y0, x1, y1 = geometry.overlap()
        x = (np.linspace(x0, x1, _REFINED[0]) - 0.5)[None, :]
        y = (np.linspace(y0, y1, _REFINED[1]) - 0.5)[:, None]
        normal, right = np.zeros((6, 6)), np.zeros(6)
        for ours, theirs in zip(
            warped(scans, to_scan, _REFINED), warped(references, to_reference, _REFINED), strict=True
        ):
            source, target = (cv2.GaussianBlur(part, (0, 0), blur) for part in (ours, theirs))
            source, target = ((part - part.mean()) / (part.std() + 1e-6) for part in (source, target))
            likeness = float((source * target).mean())
            down, across = np.gradient(source)
            across, down = across * _REFINED[0] / (x1 - x0), down * _REFINED[1] / (y1 - y0)
            basis = np.stack([across * x, across * y, across, down * x, down * y, down]).reshape(6, -1)
            rest = (likeness * target - source * likeness**2).ravel()
            weight = max(0.0, abs(likeness) - 0.2)
            normal += weight * likeness**2 * (basis @ basis.T)
            right += weight * (basis @ rest)
        if not normal.trace():
            break
        steps = np.linalg.solve(normal + 1e-4 * normal.trace() / 6 * np.eye(6), right)
        limit = min(1.0, 0.06 / (np.abs(steps).max() + 1e-9))
        change = np.eye(3)
        change[:2] += limit * steps.reshape(2, 3)
        centre = np.array([[1, 0, 0.5], [0, 1, 0.5], [0, 0, 1]])
        geometry = geometry.moved(centre @ change @ np.linalg.inv(centre))
    return geometry


_REFINED = (128, 96)
