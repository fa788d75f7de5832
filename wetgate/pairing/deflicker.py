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

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from wetgate.images import Source
from wetgate.inference.curves import STILL, Curve, Curves, density_of, identity
from wetgate.pairing.reading_ahead import Part, looks

Array = NDArray[np.float32]
Floats = NDArray[np.float64]

SMALL_SIDE = 240
"""Pictures are compared at this size of their longer side."""
SAME_SHOT = 0.3
"""Correlation of local contrast with the frame before, laid over; below it there is a cut."""
REACH = 12
"""Frames to either side that a frame's level is found from, with weights of a Gaussian half as wide."""
STEP = 2.5
"""A level steps where two lines leave so much less variance than one."""

BETWEEN, OUTSIDE = 3, 4.0
"""At a step, so many frames to either side may be in between, where they are so many flickers off their side's line."""
NEAR = 2 * REACH
"""Frames to either side that are read where only some frames' curves are wanted."""
LEAST_FRAMES = 5
"""In a shorter shot nobody can tell flicker from change."""

_TILES = (4, 4)
_FLAT = 0.01
_NOISE = 1e-4
_ROUNDING = 0.1
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


@dataclass
class _Shot:
    frames: list[int]
    changes: list[Change]
    tones: list[Floats]
    look: Look | None

    def add(self, number: int, change: Change, look: Look) -> None:
        self.frames.append(number)
        self.changes.append(change)
        self.tones.append(look.tones)
        self.look = look


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

    Returns:
        Curves that are the same on every machine; a frame that cannot be read has none.
    """
    starts = None if shots is None else {first for first, _ in shots}

    def same_shot(before: Look | None, number: int, look: Look) -> Change | None:
        if before is None or (starts is not None and number in starts):
            return None
        change = change_between(before, look)
        return change if starts is not None or change.likeness >= SAME_SHOT else None

    found: list[_Shot] = []
    curves: dict[int, Curve] = {}
    for done, (number, look) in enumerate(looks(source, lambda pixels: look_at(pixels, encoding)), 1):
        follow(done, f"frame {number}")
        if look is None:
            continue
        change = same_shot(found[-1].look, number, look) if found else None
        if change is None and starts is None and len(found) > 1 and len(found[-1].frames) == 1:
            change = same_shot(found[-2].look, number, look)
            if change is not None:  # one destroyed frame makes no shot
                curves[found.pop().frames[0]] = STILL
        if change is None:
            for shot in found[-2:-1]:
                shot.look = None
            found.append(_Shot([number], [], [look.tones], look))
        else:
            found[-1].add(number, change, look)
    for shot in found:
        curves |= zip(shot.frames, curves_of_shot(shot.changes, np.median(shot.tones, axis=0)), strict=True)
    spans = tuple((shot.frames[0], shot.frames[-1]) for shot in found)
    return Curves(encoding, dict(sorted(curves.items())), spans, identity(source))


def measure_near(
    source: Source,
    encoding: str,
    frames: Sequence[int],
    follow: Callable[[int, str], None] = lambda done, note: None,
) -> Curves:
    """Measure the curves of some frames of a scan, from those within ``NEAR`` of each; for what else see `measure`."""
    places = [source.frames.index(frame) for frame in sorted(set(frames))]
    stretches: list[list[int]] = []
    for place in places:
        first, end = max(place - NEAR, 0), min(place + NEAR + 1, len(source.frames))
        if stretches and first <= stretches[-1][1]:
            stretches[-1][1] = end
        else:
            stretches.append([first, end])
    found: dict[int, Curve] = {}
    for first, end in stretches:
        found |= measure(Part(source, source.frames[first:end]), encoding, follow=follow).frames
    return Curves(encoding, {frame: found[frame] for frame in frames if frame in found}, (), identity(source))


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
        x, y, sigma = (part[..., channel].ravel().astype(np.float64) for part in (middle, change, doubt))
        line[channel], covariance[channel] = _robust_line(x, y, sigma, regions)
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
    step = _step(levels)
    reach = np.arange(-REACH, REACH + 1)
    weights = np.exp(-0.5 * (reach / (REACH / 2)) ** 2)
    if not step:
        return levels + _local_lines(levels, reach, weights)[0]
    from_before, from_after = (
        np.abs(_local_lines(levels, reach, weights * side)[0]).max(axis=1) for side in (reach < 0, reach > 0)
    )
    first = last = step  # a lamp may need some frames: those between belong to neither side
    while first > max(step - BETWEEN, LEAST_FRAMES) and from_before[first - 1] > OUTSIDE:
        first -= 1
    while last < min(step + BETWEEN, len(levels) - LEAST_FRAMES) and from_after[last] > OUTSIDE:
        last += 1
    return np.concatenate([steady_level(levels[:first]), levels[first:last], steady_level(levels[last:])])


def _step(levels: Floats) -> int:
    """The frame before which two lines, one to either side, are needed most; 0 where one line will do everywhere."""
    reach = np.arange(-2 * REACH, 2 * REACH)
    weights = np.exp(-0.5 * ((reach + 0.5) / REACH) ** 2)
    variances = [
        _local_lines(levels, reach, weights * side)[1] for side in (reach >= -2 * REACH, reach < 0, reach >= 0)
    ]
    one, before, after = (variance.sum(axis=1) + _ROUNDING for variance in variances)
    need = (2 * one / (before + after))[LEAST_FRAMES : len(levels) - LEAST_FRAMES + 1]
    return int(need.argmax()) + LEAST_FRAMES if len(need) and need.max() > STEP else 0


def _local_lines(levels: Floats, reach: NDArray[np.int64], weights: Floats) -> tuple[Floats, Floats]:
    """A weighted line around each frame: its value there less the frame's, and the residuals' variance, both [n, k]."""
    index = np.arange(len(levels))[:, None] + reach
    w = np.where((index >= 0) & (index < len(levels)), weights, 0.0)
    y = levels[np.clip(index, 0, len(levels) - 1)] - levels[:, None]
    moments = [(w * reach**power).sum(axis=1) for power in range(3)]
    m0, m1 = ((w * reach**power)[..., None] * y for power in range(2))
    m0, m1, m2 = m0.sum(axis=1), m1.sum(axis=1), (w[..., None] * y * y).sum(axis=1)
    determinant = moments[0] * moments[2] - moments[1] ** 2
    safe = np.maximum(determinant, 1e-9)[:, None]
    value = (moments[2][:, None] * m0 - moments[1][:, None] * m1) / safe
    slope = (moments[0][:, None] * m1 - moments[1][:, None] * m0) / safe
    frames = moments[0] ** 2 / np.maximum((w * w).sum(axis=1), 1e-9)
    free = moments[0] * (1 - 2 / np.maximum(frames, 3))
    return value, np.maximum(m2 - value * m0 - slope * m1, 0) / np.maximum(free, 1e-9)[:, None]


def _spread(steps: Floats) -> Floats:
    """[k] standard deviation of the flicker behind steps [n, k], as if each frame's were new."""
    third = np.diff(steps, 2, axis=0)  # 1, -3, 3, -1 over the levels: blind to their slope and bend
    return 1.4826 / np.sqrt(20) * np.median(np.abs(third), axis=0) + _NOISE


def _laid_over(before: Look, after: Look) -> tuple[Array, float]:
    """The density of the frame before, moved onto this one; and how alike the two are then."""
    rows, columns = after.contrast.shape
    if min(rows, columns) < 24:
        moved, contrast = before.density, before.contrast
    else:
        flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST).calc(after.contrast, before.contrast, None)
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
