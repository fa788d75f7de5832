"""Deflicker: the exposure curves of a scan, per shot and channel.

Flicker is what all places of a picture do alike and what does not stay: exposure that wanders from frame to frame,
and dye that faded unevenly along the strip, so that the contrast of a record wanders too (the red one's most). In
dye density both are a line: ``change = offset + gain * density``. It is found between neighbouring frames and not
from histograms, since what moves into the picture changes those:

1. Small pictures; the frame before is laid over by optical flow, blind to exposure.
2. A line through the changes of all places, per channel, by least squares with redescending weights, so that dust
   and what moves otherwise do not count. Regions judge it: what they do not agree on (a door, a lamp's corner,
   flow that failed) is uncertain, and an uncertain change is taken in part only.
3. The changes add up to a level at two densities per channel. A line is fitted to it around each frame, or to one
   side where that fits far better: so fades and steps of light stay as they are. What is left over is flicker.

Sources: van Roosmalen et al., "Correction of intensity flicker in old film sequences", IEEE Trans. CSVT 9(7), 1999
(offset and gain, robust against motion); Delon, "Movie and video scale-time equalization application to flicker
reduction", IEEE TIP 15(1), 2006 (levels over time instead of a reference frame); Kuwahara et al. 1976 (one-sided
windows keep steps); Beaton & Tukey, Technometrics 16, 1974 (biweight).
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from wetgate.errors import WetgateError
from wetgate.images import Source
from wetgate.inference.curves import STILL, Curve, Curves, density_of

Array = NDArray[np.float32]
Floats = NDArray[np.float64]

SMALL_SIDE = 240
"""Pictures are compared at this size of their longer side."""
SAME_SHOT = 0.3
"""Correlation of local contrast with the frame before, laid over; below it there is a cut."""
REACH = 12
"""Frames to either side that a frame's level is found from, with weights of a Gaussian half as wide."""
ONE_SIDED = 3.0
"""A line through one side is taken where its residuals are so much smaller, in variance."""

ONE_SIDED_FRAMES = 8
LEAST_FRAMES = 5
"""In a shorter shot nobody can tell flicker from change."""

_TILES = (4, 4)
_FLAT = 0.01
_NOISE = 1e-4
_FLICKER_AT_MOST = (5.0, 10.0)
_DIGITS = 5


@dataclass(frozen=True)
class Change:
    """From one frame to the next, per channel: density D becomes ``D + offset + gain * D``.

    Attributes:
        line: [3, 2] offset and gain.
        covariance: [3, 2, 2] of the two, from the disagreement of regions.
        likeness: correlation of local contrast, 1 is the same picture.
    """

    line: Floats
    covariance: Floats
    likeness: float


@dataclass(frozen=True)
class Look:
    """What is kept of a frame until the next: density [h, w, 3], and local contrast uint8 [h, w]."""

    density: Array
    contrast: NDArray[np.uint8]

    @property
    def tones(self) -> Floats:
        """[2, 3]: densities that 15 % and 85 % of the places lie under."""
        return np.percentile(self.density.reshape(-1, 3), (15, 85), axis=0)


def measure(
    source: Source,
    encoding: str,
    shots: Sequence[tuple[int, int]] | None = None,
    follow: Callable[[int, str], None] = lambda done, note: None,
) -> Curves:
    """Measure the curves of a whole scan in one pass; memory for pictures does not grow with its length.

    Args:
        source: the scan.
        encoding: of its pixels.
        shots: first and last frame of each; by default they are told apart here.
        follow: called with the frames done so far and a note.

    Raises:
        WetgateError: a frame cannot be read.
    """
    starts = {first for first, _ in shots} if shots is not None else set()
    numbers = list(source.frames)
    groups: list[list[int]] = []
    changes: list[list[Change]] = []
    tones: list[list[Floats]] = []
    before: Look | None = None
    for done, (number, pixels) in enumerate(_pictures(source, numbers), 1):
        look = look_at(pixels, encoding)
        change = change_between(before, look) if before is not None and number not in starts else None
        if change is None or (shots is None and change.likeness < SAME_SHOT):
            groups.append([])
            changes.append([])
            tones.append([])
        else:
            changes[-1].append(change)
        groups[-1].append(number)
        tones[-1].append(look.tones)
        before = look
        follow(done, f"frame {number}")
    curves: dict[int, Curve] = {}
    for group, steps, marks in zip(groups, changes, tones, strict=True):
        curves |= dict(zip(group, curves_of_shot(steps, np.median(marks, axis=0)), strict=True))
    spans = tuple((group[0], group[-1]) for group in groups)
    return Curves(encoding, curves, spans, identity(source))


def identity(source: Source) -> str:
    """Tells a scan from others without reading its pictures: names, sizes and times of its files, hashed."""
    digest = hashlib.sha256()
    for path in dict.fromkeys(source.path(frame) for frame in source.frames):
        try:
            state = path.stat()
        except OSError as error:
            raise WetgateError(f"{path} cannot be read: {error.strerror or error}.") from error
        digest.update(f"{path.name}\0{state.st_size}\0{state.st_mtime_ns}\n".encode())
    return digest.hexdigest()


def look_at(pixels: Array, encoding: str) -> Look:
    """A picture [H, W, 3] as it is compared."""
    height, width = pixels.shape[:2]
    shrink = min(1.0, SMALL_SIDE / max(height, width))
    size = (max(1, round(width * shrink)), max(1, round(height * shrink)))
    small = np.nan_to_num(pixels, nan=0.0, posinf=1.0, neginf=0.0)
    if size != (width, height):
        small = cv2.resize(small, size, interpolation=cv2.INTER_AREA)
    density = density_of(small, encoding)
    grey = density.mean(axis=2)
    sigma = max(size) / 20
    detail = grey - cv2.GaussianBlur(grey, (0, 0), sigma)
    strength = np.sqrt(cv2.GaussianBlur(detail * detail, (0, 0), sigma)) + np.float32(0.01)
    contrast = np.clip(128 - 48 * detail / strength, 0, 255).astype(np.uint8)
    return Look(density, contrast)


def change_between(before: Look, after: Look) -> Change:
    """How exposure and contrast of each channel changed from one frame to the next of the same shot."""
    moved, likeness = _laid_over(before, after)
    middle = (moved + after.density) / 2
    change = after.density - moved
    slope = np.abs(cv2.Sobel(middle, cv2.CV_32F, 1, 0)) + np.abs(cv2.Sobel(middle, cv2.CV_32F, 0, 1))
    doubt = np.float32(0.01) + slope / 8  # a flow that is half a pixel off
    line, covariance = np.empty((3, 2)), np.empty((3, 2, 2))
    regions = _regions(*change.shape[:2])
    for channel in range(3):
        line[channel], covariance[channel] = _robust_line(
            *(part[..., channel].ravel().astype(np.float64) for part in (middle, change, doubt)), regions
        )
    return Change(line, covariance, likeness)


def curves_of_shot(changes: Sequence[Change], tones: Floats) -> list[Curve]:
    """Curves of a shot's frames, one more than there are changes.

    Args:
        changes: from each frame to the next.
        tones: [2, 3] a dark and a light density of each channel, between which the line is held.
    """
    if len(changes) < LEAST_FRAMES - 1:
        return [STILL] * (len(changes) + 1)
    tones = np.maximum(tones, tones[:1] + np.array([[0.0], [0.05]]))
    at = np.stack([np.ones_like(tones), tones], axis=-1)  # [2, 3, 2]
    lines = np.stack([change.line for change in changes])
    covariances = np.stack([change.covariance for change in changes])
    steps = np.einsum("acj,ncj->nac", at, lines).reshape(-1, 6)
    doubts = np.einsum("aci,ncij,acj->nac", at, covariances, at).reshape(-1, 6)
    spread = _spread(steps)
    true = np.maximum(2 * spread**2 - np.median(doubts, axis=0), 0)
    believed = steps * true / (true + doubts + _NOISE**2)
    levels = np.concatenate([np.zeros((1, 6)), np.cumsum(believed, axis=0)])
    flicker = levels - spread * steady_level(levels / spread)
    excess = (np.abs(flicker) / spread).max(axis=1, keepdims=True)
    low, high = _FLICKER_AT_MOST
    dark, light = np.moveaxis((-flicker * np.clip((high - excess) / (high - low), 0, 1)).reshape(-1, 2, 3), 1, 0)
    gain = (light - dark) / (tones[1] - tones[0])
    offset = dark - gain * tones[0]
    both = np.round(np.stack([offset, gain], axis=-1), _DIGITS) + 0.0
    return [tuple((float(o), float(g)) for o, g in frame) for frame in both]  # type: ignore[misc]


def steady_level(levels: Floats) -> Floats:
    """Levels [n, k], in units of their flicker, without what is quick: local lines; steps and slow changes stay."""
    count = len(levels)
    reach = np.arange(-2 * REACH, 2 * REACH + 1)
    centred = np.exp(-0.5 * (reach / (REACH / 2)) ** 2) * (np.abs(reach) <= REACH)
    one_sided = np.exp(-0.5 * (reach / REACH) ** 2)
    best = np.zeros_like(levels)
    smallest = np.full(count, np.inf)
    for weights, handicap, least in (
        (centred, 1.0, LEAST_FRAMES),
        (one_sided * (reach <= 0), ONE_SIDED, ONE_SIDED_FRAMES),
        (one_sided * (reach >= 0), ONE_SIDED, ONE_SIDED_FRAMES),
    ):
        fitted, variance = _local_lines(levels, reach, weights, least)
        score = handicap * (variance.sum(axis=1) + 0.1)
        better = score < smallest
        best[better], smallest[better] = fitted[better], score[better]
    return best


def _local_lines(levels: Floats, reach: NDArray[np.int64], weights: Floats, least: int) -> tuple[Floats, Floats]:
    """A weighted line around each frame: its value there, and the mean square of the residuals, both [n, k]."""
    index = np.arange(len(levels))[:, None] + reach
    w = np.where((index >= 0) & (index < len(levels)), weights, 0.0)
    y = levels[np.clip(index, 0, len(levels) - 1)] - levels[:, None]
    moments = [(w * reach**power).sum(axis=1) for power in range(3)]
    m0, m1 = ((w * reach**power)[..., None] * y for power in range(2))
    m0, m1, m2 = m0.sum(axis=1), m1.sum(axis=1), (w[..., None] * y * y).sum(axis=1)
    determinant = moments[0] * moments[2] - moments[1] ** 2
    enough = (w > 0).sum(axis=1) >= least
    safe = np.where(enough, determinant, 1.0)[:, None]
    value = (moments[2][:, None] * m0 - moments[1][:, None] * m1) / safe
    slope = (moments[0][:, None] * m1 - moments[1][:, None] * m0) / safe
    free = moments[0] * (1 - 2 / np.maximum(moments[0] ** 2 / (w * w).sum(axis=1), 3))
    residual = np.maximum(m2 - value * m0 - slope * m1, 0) / free[:, None]
    return levels + np.where(enough[:, None], value, 0.0), np.where(enough[:, None], residual, np.inf)


def _spread(steps: Floats) -> Floats:
    """[k] standard deviation of the flicker behind steps [n, k], as if each frame's were new: blind to steady change."""
    turns = np.diff(steps, axis=0)
    return 1.4826 / np.sqrt(6) * np.median(np.abs(turns), axis=0) + _NOISE


def _laid_over(before: Look, after: Look) -> tuple[Array, float]:
    """The density of the frame before, moved onto this one; and how alike the two are then."""
    rows, columns = after.contrast.shape
    if min(rows, columns) < 24:
        moved, contrast = before.density, before.contrast
    else:
        flow = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_FAST).calc(after.contrast, before.contrast, None)
        x = flow[..., 0] + np.arange(columns, dtype=np.float32)
        y = flow[..., 1] + np.arange(rows, dtype=np.float32)[:, None]
        moved, contrast = (
            cv2.remap(picture, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
            for picture in (before.density, before.contrast)
        )
    a, b = (picture.astype(np.float64) - picture.mean() for picture in (contrast, after.contrast))
    return moved, float((a * b).sum() / np.sqrt((a * a).sum() * (b * b).sum() + 1e-9))


def _robust_line(x: Floats, y: Floats, doubt: Floats, regions: NDArray[np.int64]) -> tuple[Floats, Floats]:
    """Offset and gain of y over x with biweights, and their covariance by leaving out one region after another."""
    centre = x.mean()
    x = x - centre
    line = np.array([np.median(y), 0.0])
    moments = np.zeros((1, 5))
    for _ in range(6):
        residual = (y - line[0] - line[1] * x) / doubt
        scale = 1.4826 * np.median(np.abs(residual)) + 0.05
        weight = np.clip(1 - (residual / (4.0 * scale)) ** 2, 0, None) ** 2 / doubt**2
        parts = (weight, weight * x, weight * x * x, weight * y, weight * x * y)
        moments = np.stack([np.bincount(regions, part) for part in parts], axis=1)
        line = _solve(moments.sum(axis=0))
    without = np.stack([_solve(moments.sum(axis=0) - region) for region in moments])
    count = len(without)
    apart = without - without.mean(axis=0)
    covariance = apart.T @ apart * (count - 1) / count
    shift = np.array([[1.0, -centre], [0.0, 1.0]])
    return shift @ line, shift @ covariance @ shift.T


def _solve(moments: Floats) -> Floats:
    w, wx, wxx, wy, wxy = moments
    matrix = np.array([[w, wx], [wx, wxx + w * _FLAT**2]]) + 1e-12 * np.eye(2)
    return np.linalg.solve(matrix, np.array([wy, wxy]))


def _regions(rows: int, columns: int) -> NDArray[np.int64]:
    down, across = (np.arange(side) * parts // side for side, parts in zip((rows, columns), _TILES, strict=True))
    return (down[:, None] * _TILES[1] + across).ravel()


def _pictures(source: Source, numbers: Sequence[int]) -> Iterator[tuple[int, Array]]:
    """Frames in order, a few decoded ahead."""
    ahead = 1 if source.is_video else 3
    waiting: deque[tuple[int, Future[Array]]] = deque()
    with ThreadPoolExecutor(1 if source.is_video else 2, "wetgate-deflicker") as pool:
        try:
            for number in numbers:
                waiting.append((number, pool.submit(lambda number=number: source.read(number).pixels)))
                if len(waiting) > ahead:
                    first, future = waiting.popleft()
                    yield first, future.result()
            while waiting:
                first, future = waiting.popleft()
                yield first, future.result()
        finally:
            pool.shutdown(cancel_futures=True)
