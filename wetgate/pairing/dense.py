"""A field of shifts on top of a transform, where film or telecine is warped: only as far as the pictures prove it.

Dense optical flow (Kroeger et al., "Fast optical flow using dense inverse search", ECCV 2016), blurred by 4 to 16
pixels, was tried: it follows the grain. Fitted to the coarse structure of pictures it made their fine detail, which it
had not seen, correlate less than the affine transform alone, on every pair tried; this field as well or better.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from wetgate.pairing.shifts import Shifts, huber_losses

Array = NDArray[np.float32]
Matrix = NDArray[np.float64]

_RADII = (0.7, 1.2, 2.0, 3.5)
"""Deviations of the smoothing, in blocks, that are tried."""
_GAIN_LEAST = 0.1
"""Share of a block's deviation that its neighbours must foretell before they are believed."""
_GAIN_FULL = 0.3


def smooth_field(measured: Shifts, shape: tuple[int, ...]) -> tuple[Array, Matrix] | None:
    """A field that explains shifts better than none, or None where no field does.

    Each block's shift is foretold from its neighbours alone, which share no pixel with it, with several radii of
    smoothing; the radius that foretells best is taken (leave-one-out cross-validation), and the field fades out
    where it foretells nothing.

    Returns:
        [H, W, 2] float32 shifts in pixels for every pixel of ``shape``; and [R, C] the variance of the field at the
        blocks, from what the fields of every second block differ by.
    """
    nothing = huber_losses(measured.shifts, measured)
    losses = {
        radius: huber_losses(measured.shifts - _smooth(measured, radius, alone=False), measured) for radius in _RADII
    }
    radius = min(losses, key=lambda r: float(losses[r].sum()))
    gain = 1 - _around(losses[radius]) / np.maximum(_around(nothing), 1e-12)
    belief = np.clip((gain - _GAIN_LEAST) / (_GAIN_FULL - _GAIN_LEAST), 0, 1)
    if not belief.any() or losses[radius].sum() > (1 - _GAIN_LEAST) * nothing.sum():
        return None
    field = _smooth(measured, radius) * belief[..., None]
    checker = np.indices(belief.shape).sum(axis=0) % 2
    halves = [_smooth(measured, radius, trust=(checker == k).astype(np.float64)) for k in (0, 1)]
    variance = ((halves[0] - halves[1]) ** 2).sum(axis=2) / 4 * belief**2
    grown = cv2.resize(field.astype(np.float32), (shape[1], shape[0]), interpolation=cv2.INTER_CUBIC)
    return np.asarray(grown), variance


def _smooth(measured: Shifts, radius: float, alone: bool = True, trust: Matrix | None = None) -> Matrix:
    """[R, C, 2] shifts averaged by information and nearness; without each block's own where not ``alone``."""
    information = measured.information if trust is None else measured.information * trust[..., None, None]
    told = np.einsum("rcij,rcj->rci", information, measured.shifts)
    planes = np.dstack([information.reshape(*information.shape[:2], 4), told])
    size = 2 * int(np.ceil(3 * radius)) + 1
    line = cv2.getGaussianKernel(size, radius)
    kernel = line @ line.T
    if not alone:
        kernel[size // 2, size // 2] = 0
    planes = np.dstack(
        [
            cv2.filter2D(np.ascontiguousarray(plane), -1, kernel, borderType=cv2.BORDER_CONSTANT)
            for plane in np.moveaxis(planes, 2, 0)
        ]
    )
    tensor = planes[..., :4].reshape(information.shape)
    floor = 0.02 * np.trace(tensor, axis1=2, axis2=3).mean() + 1e-12
    return np.asarray(np.linalg.solve(tensor + floor * np.eye(2), planes[..., 4:, None])[..., 0])


def _around(losses: Matrix) -> Matrix:
    return np.asarray(cv2.GaussianBlur(losses, (0, 0), 1.5, borderType=cv2.BORDER_CONSTANT))
