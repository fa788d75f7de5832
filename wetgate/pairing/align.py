"""Lay a reference over its scan, to a fraction of a pixel, and say how well that went."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from wetgate.errors import WetgateError
from wetgate.pairing.comparison import Laid, Level, Picture
from wetgate.pairing.dense import smooth_field
from wetgate.pairing.landmarks import ENOUGH, Guess, guess_by_landmarks
from wetgate.pairing.resampling import inside, mirroring, move_points, pixel_grid, places_in, sample, scaling
from wetgate.pairing.residual import Residual, estimate_residual
from wetgate.pairing.shifts import Shifts, better_kind, fit_shifts

Array = NDArray[np.float32]
Matrix = NDArray[np.float64]

_SIDES = (88, 176, 352, 704)
"""Longest sides at which pictures are compared, coarse to fine; a DVD has little to say beyond the last."""
LEAST_SIDE = 32
"""Of both pictures, to be aligned."""
_LEAST_PROMINENCE = 10.0
"""Other pictures reach 6.4, the same ones, however faded or damaged, 19 and more."""
_LEAST_OVERLAP = 0.1
_STEPS = 4
_CLOSE_PX = 0.01
_SLACK = 0.002
"""What a robust fit may lose in correlation, which is not robust."""
_WARP_BLOCKS = (32, 24, 16)
_WARP_GAIN_PX = 0.05
"""By how many scan pixels a field must lower the residual."""


@dataclass(frozen=True)
class Alignment:
    """How a reference lies on a scan.

    Pixel centres have whole coordinates, (0, 0) at the top left; x goes right, y down.

    Attributes:
        transform: [3, 3] float64, from (x, y, 1) of a scan pixel to its place in the reference, homogeneous.
        kind: "affine", "homography", or "dense" where ``flow`` goes on top.
        flow: [H, W, 2] float32, x and y to add to the place in the reference, in its pixels; or None.
        mirrored: the reference is mirrored left to right (``transform`` says so too).
        residual_px: estimated mean misalignment that is left, in scan pixels.
        worst_corner_px: the same in the corner of the overlap where it is worst.
        correlation: of the fade-blind pictures over the overlap, -1 to 1.
        valid: [H, W] float32, 1 where the reference holds picture for a scan pixel, else 0.
    """

    transform: Matrix
    kind: str
    flow: Array | None
    mirrored: bool
    residual_px: float
    worst_corner_px: float
    correlation: float
    valid: Array


def align(scan: Array, reference: Array, *, dense: bool = True) -> Alignment:
    """Find where each pixel of ``scan`` [H, W, 3] lies in ``reference`` [h, w, 3].

    Both are float32, display-coded, 0-1 nominal, of any size; the reference may be cropped, stretched, mirrored, soft,
    of other colours, turned by some degrees, or a negative. Values that are no numbers are left out.

    A first guess comes from landmarks, or else both are taken to show the same frame. At the coarsest of several
    sizes the enhanced correlation coefficient improves it (Evangelidis & Psarakis, "Parametric image alignment using
    enhanced correlation coefficient maximization", PAMI 2008), at each larger one a robust fit to the shifts of
    blocks. A homography is taken where it foretells unseen blocks better than an affine transform does; with ``dense``
    a smooth field goes on top where neighbours foretell a block's shift and local correlation improves.

    Raises:
        WetgateError: a picture is too small, blank or holds too few numbers, or the two do not show the same, or too
            little to be measured.
    """
    pictures = [_checked(pixels, name) for pixels, name in ((scan, "scan"), (reference, "reference"))]
    levels = _levels(pictures[0], pictures[1])
    guess = _best_guess(pictures[0], pictures[1], levels[0])
    transform = guess.transform
    for level in levels[1:]:
        transform = _refined(level, transform, "affine")
    finest = levels[-1]
    _check_same(levels[min(2, len(levels) - 1)].lay(transform))
    kind = better_kind(finest.lay(transform).shifts())
    if kind == "homography":
        transform = _refined(finest, transform, kind)
    laid = finest.lay(transform)
    left = estimate_residual(_fine_shifts(laid), kind)
    flow = None
    if dense and (warped := _warped(finest, transform, kind, left)) is not None:
        laid, field, left = warped
        kind, flow = "dense", _flow(finest, transform, field, scan.shape)
    if not np.isfinite(left.mean):
        raise WetgateError(
            "There is too little in scan and reference to tell how well they lie on one another; choose another frame."
        )
    return Alignment(
        transform=transform,
        kind=kind,
        flow=flow,
        mirrored=guess.mirrored,
        residual_px=left.mean * finest.scan_px,
        worst_corner_px=left.worst_corner * finest.scan_px,
        correlation=laid.correlation,
        valid=_valid(pictures[1], places_in(transform, scan.shape, flow)),
    )


def measure_residual(scan: Array, reference: Array, transform: Matrix | None = None) -> tuple[float, float]:
    """Mean and worst corner of the misalignment, in scan pixels, of pictures [H, W, 3] that lie on one another.

    Infinite where there is too little in them to measure.

    Args:
        transform: [3, 3] from scan to reference pixels; None where both show the same frame.

    Raises:
        WetgateError: a picture is too small, blank or holds too few numbers.
    """
    pictures = [_checked(pixels, name) for pixels, name in ((scan, "scan"), (reference, "reference"))]
    level = _levels(pictures[0], pictures[1])[-1]
    laid = level.lay(scaling(scan.shape, reference.shape) if transform is None else transform)
    left = estimate_residual(_fine_shifts(laid, steps=4), None)
    return left.mean * level.scan_px, left.worst_corner * level.scan_px


def warp(reference: Array, alignment: Alignment, shape: tuple[int, ...]) -> Array:
    """``reference`` [h, w, 3] resampled into the scan's frame: float32 [H, W, 3] for ``shape`` (H, W, ...).

    Lanczos, averaged first where the reference is larger. Nothing is clamped. Where the reference holds no
    numbers, and beyond its edges, values come from nearby; ``alignment.valid`` is 0 there.
    """
    pixels = Picture.of(reference).pixels
    return sample(pixels, places_in(alignment.transform, shape, alignment.flow))


def _checked(pixels: Array, name: str) -> Picture:
    if pixels.ndim != 3 or pixels.shape[2] != 3:
        raise WetgateError(f"The {name} has the shape {pixels.shape}: alignment needs height x width x 3.")
    height, width = pixels.shape[:2]
    if min(height, width) < LEAST_SIDE:
        raise WetgateError(
            f"The {name} is {width}x{height} pixels: alignment needs at least {LEAST_SIDE} on each side."
        )
    picture = Picture.of(pixels)
    if picture.known.mean() < 0.5:
        raise WetgateError(
            f"Most of the {name} holds values that are not numbers (NaN or infinity): read or render it again."
        )
    low, high = np.percentile(picture.pixels[:: max(1, height // 256), :: max(1, width // 256)], (0.5, 99.5))
    if high - low < 1e-3:
        raise WetgateError(f"The {name} is blank: there is nothing in it to align by; choose another frame.")
    return picture


def _levels(scan: Picture, reference: Picture) -> list[Level]:
    """Coarse to fine; at least one."""
    height, width = scan.known.shape
    longest, least = max(height, width), LEAST_SIDE / min(height, width)
    finest = min(longest, _SIDES[-1])
    sides = [side for side in _SIDES if side < finest and side >= least * longest]
    return [Level(scan, reference, side) for side in (*sides, finest)]


def _best_guess(scan: Picture, reference: Picture, coarse: Level) -> Guess:
    """Improved at the coarsest size."""
    guesses = guess_by_landmarks(scan.pixels, reference.pixels)
    if not guesses or guesses[0].support < ENOUGH:
        same = scaling(scan.known.shape, reference.known.shape)
        guesses += [Guess(same, False, 0), Guess(mirroring(reference.known.shape[1]) @ same, True, 0)]
    improved = [Guess(_by_correlation(coarse, guess.transform), guess.mirrored, guess.support) for guess in guesses]
    return max(improved, key=lambda guess: _evidence(coarse.lay(guess.transform)))


def _evidence(laid: Laid) -> float:
    """How unlikely a correlation is by chance, in standard deviations up to a factor."""
    return laid.correlation * float(np.sqrt(laid.weight.sum()))


def _by_correlation(level: Level, transform: Matrix) -> Matrix:
    """The affine change that maximises the enhanced correlation coefficient, if it finds any improvement."""
    laid = level.lay(transform)
    criteria = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 50, 1e-4)
    start = np.eye(2, 3, dtype=np.float32)
    mask = laid.weight.astype(np.uint8)
    try:
        _, change = cv2.findTransformECC(laid.scan, laid.reference, start, cv2.MOTION_AFFINE, criteria, mask, 1)
    except cv2.error:  # it does not converge
        return transform
    changed = level.changed(transform, np.vstack([change, [0, 0, 1]]))
    return changed if _evidence(level.lay(changed)) > _evidence(laid) else transform


def _refined(level: Level, transform: Matrix, kind: str) -> Matrix:
    """After robust fits to the blocks' shifts, as long as they do not lower the correlation."""
    laid = level.lay(transform)
    edges = np.array([[x, y] for x in (0, level.shape[1]) for y in (0, level.shape[0])], np.float64)
    for _ in range(_STEPS):
        change = fit_shifts(laid.shifts(), kind)
        changed = level.changed(transform, change)
        after = level.lay(changed)
        if after.correlation < laid.correlation - _SLACK:
            break
        transform, laid = changed, after
        if np.abs(move_points(change, edges) - edges).max() < _CLOSE_PX:
            break
    return transform


def _check_same(laid: Laid) -> None:
    overlap = float(laid.weight.mean())
    prominence = laid.prominence() if overlap >= _LEAST_OVERLAP else 0.0
    if prominence < _LEAST_PROMINENCE:
        raise WetgateError(
            "Scan and reference do not show the same picture, or too little of it: they correlate "
            f"{max(prominence, 0):.1f} times as well as by chance, {_LEAST_PROMINENCE:.0f} times is the least; "
            "choose another frame."
        )


def _warped(level: Level, transform: Matrix, kind: str, before: Residual) -> tuple[Laid, Array, Residual] | None:
    """Pictures laid with a field [H, W, 2] in pixels of the level, and what is left; None where none is better."""
    plain = laid = level.lay(transform)
    field = np.zeros((*level.shape, 2), np.float32)
    variance = 0.0
    for block in _WARP_BLOCKS:
        found = smooth_field(laid.shifts(block, steps=3), level.shape)
        if found is not None:
            field, variance = field + found[0], max(variance, float(found[1].mean()))
            laid = level.lay(transform, field)
    better = (laid.local_correlation > plain.local_correlation).astype(np.float32)
    field *= cv2.GaussianBlur(better, (0, 0), 8)[..., None]
    laid = level.lay(transform, field)
    after = estimate_residual(_fine_shifts(laid), kind, variance)
    if laid.correlation <= plain.correlation or after.mean > before.mean - _WARP_GAIN_PX / level.scan_px:
        return None
    return laid, field, after


def _fine_shifts(laid: Laid, steps: int = 2) -> Shifts:
    """Of blocks small enough to show what a warp leaves."""
    return laid.shifts(min(_WARP_BLOCKS[1], max(8, min(laid.scan.shape) // 8)), steps)


def _flow(level: Level, transform: Matrix, field: Array, shape: tuple[int, ...]) -> Array:
    """The field [H, W, 2] of the scan's frame in reference pixels."""
    grid, to_reference = pixel_grid(level.shape), transform @ level.to_scan
    flow = move_points(to_reference, grid + field) - move_points(to_reference, grid)
    return np.asarray(cv2.resize(flow, (shape[1], shape[0]), interpolation=cv2.INTER_CUBIC))


def _valid(reference: Picture, places: Array) -> Array:
    valid = inside(places, reference.known.shape)
    return valid if reference.known.all() else valid * (sample(reference.known, places) > 0.99).astype(np.float32)
