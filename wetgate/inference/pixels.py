"""What happens to single pixels around the model: bad ones, and those that a mask leaves alone.

Bad pixels (NaN or infinite in any channel) never reach the model: they are filled from the nearest
good ones for the computation, and stand in the result exactly as they stood in the scan.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from wetgate.errors import WetgateError
from wetgate.images import LUMA, Image

Array = NDArray[np.float32]
Flags = NDArray[np.bool_]

_ROWS = 256


def fill_bad(pixels: Array) -> tuple[Array, Flags | None]:
    """Fill bad pixels with the mean of the nearest good ones; 0 where a frame has none.

    Returns:
        the filled frame float32 [H, W, 3], and which pixels were bad [H, W]; the frame itself and
        None where all are good.
    """
    bad = ~_finite(pixels)
    if not bad.any():
        return pixels, None
    filled = _fill(np.where(bad[..., None], np.float32(0), pixels), ~bad)
    return np.ascontiguousarray(filled, dtype=np.float32), bad


def _finite(pixels: Array) -> Flags:
    return np.asarray(np.isfinite(pixels).all(axis=2))


def _fill(values: Array, good: Flags) -> Array:
    """Take each missing value from the finest pyramid level that has one there."""
    height, width = good.shape
    if good.all() or height * width == 1:
        return values
    even = ((0, height % 2), (0, width % 2))
    counts = np.pad(good, even).reshape(-(-height // 2), 2, -(-width // 2), 2).sum(axis=(1, 3))
    sums = np.pad(values, (*even, (0, 0))).reshape(*counts.shape[:1], 2, counts.shape[1], 2, 3)
    coarse = sums.sum(axis=(1, 3), dtype=np.float64) / np.maximum(counts, 1)[..., None]
    coarse = _fill(coarse, counts > 0)
    finer = coarse.repeat(2, axis=0).repeat(2, axis=1)[:height, :width]
    return np.where(good[..., None], values, finer)


def matte(mask: Image, size: tuple[int, int]) -> Array:
    """Weights float32 [H, W] of a mask: 0 keeps the scan, 1 takes the restored pixel.

    The brightest channel counts; a mask drawn into alpha over black is as good as one in grey.

    Raises:
        WetgateError: the mask is not of ``size`` (width, height) or holds NaN.
    """
    if mask.size != size:
        raise WetgateError(
            f"The mask {mask.path} is {mask.size[0]} x {mask.size[1]} but the scan is {size[0]} x {size[1]}; "
            "masks must have the scan's size."
        )
    weights = mask.pixels.max(axis=2)
    if mask.alpha is not None and not mask.pixels.any():
        weights = mask.alpha
    if np.isnan(weights).any():
        raise WetgateError(f"The mask {mask.path} holds NaN; paint or export it again.")
    return np.clip(weights, 0.0, 1.0)


def compose(scan: Array, restored: Array, *, bad: Flags | None, weights: Array | None, mono: bool) -> int:
    """Turn what the model gave into the frame to write, in place in ``restored``.

    Where ``bad``, where ``weights`` are 0, and where the model gave NaN or infinity, the scan's own bits
    are put back. Between 0 and 1 ``weights`` mix linearly. A ``mono`` scan takes the luma of the result, but for pixels
    that the model left as they were.

    Returns:
        how many pixels the model gave no number for.
    """
    unusable = 0
    for top in range(0, len(scan), _ROWS):
        rows = slice(top, top + _ROWS)
        source, result = scan[rows], restored[rows]
        keep = ~_finite(result)
        unusable += int(keep.sum())
        if mono:
            keep |= (result == source).all(axis=2)
            result[...] = (result @ LUMA)[..., None]
        if weights is not None:
            weight = weights[rows][..., None]
            with np.errstate(invalid="ignore"):
                mixed = source + weight * (result - source)
            np.copyto(result, mixed, where=weight < 1)
            keep |= weights[rows] == 0
        if bad is not None:
            keep |= bad[rows]
        np.copyto(result, source, where=keep[..., None])
    return unusable


def colourfulness(pixels: Array) -> float:
    """The largest distance between two channels of a pixel; NaN and infinities do not count."""
    with np.errstate(invalid="ignore"):
        spread = pixels.max(axis=2) - pixels.min(axis=2)
    return float(np.max(spread, where=np.isfinite(spread), initial=0.0))
