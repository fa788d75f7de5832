"""How far one fade-blind picture lies off another, place by place, and what the places agree on.

Each place is a square block; its shift is the least-squares step of Lucas and Kanade ("An iterative image
registration technique", IJCAI 1981), weighted by how much of the block's gradient both pictures share, so that
blocks of grain and dust have little to say. Blocks share no pixel: what neighbours agree on is no noise.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from wetgate.pairing.resampling import move_points, pixel_grid

Array = NDArray[np.float32]
Matrix = NDArray[np.float64]

_SHARED_LEAST = 0.1
"""Share of the gradient that both pictures must have for a block to count."""
_VALID_LEAST = 0.8
_PARAMETERS = {"affine": 6, "homography": 8}
_HOMOGRAPHY_GAIN = 0.25
"""Share of the loss that a homography must spare: a true keystone of 0.4 px spares half, chance up to 0.15."""


@dataclass(frozen=True)
class Shifts:
    """Blocks in R rows and C columns.

    Attributes:
        places: [R, C, 2] x, y of the blocks' centres.
        shifts: [R, C, 2] pixels: the second picture at place + shift shows what the first shows at place.
        information: [R, C, 2, 2] inverse covariance of the shifts up to a common factor; 0 where a block knows nothing.
    """

    places: Matrix
    shifts: Matrix
    information: Matrix

    @property
    def known(self) -> NDArray[np.bool_]:
        """[R, C] which blocks know anything."""
        return np.trace(self.information, axis1=2, axis2=3) > 0


def measure_shifts(first: Array, second: Array, weight: Array, block: int, steps: int = 1) -> Shifts:
    """Shifts between fade-blind pictures [H, W] of the same size, up to a quarter of a block.

    Args:
        weight: [H, W] 0-1, how far pixels count.
        block: side of a block in pixels.
        steps: how often to move the second picture by what was found and measure the rest; one is enough for
            shifts well below a pixel.
    """
    height, width = first.shape
    cells = (max(1, round(width / block)), max(1, round(height / block)))
    grid = pixel_grid(first.shape)
    shifts, information = _step(first, second, weight, cells)
    for _ in range(steps - 1):
        shifts = np.clip(shifts, -block / 4, block / 4)
        field = cv2.resize(shifts.astype(np.float32), (width, height), interpolation=cv2.INTER_LINEAR)
        moved = cv2.remap(second, grid + field, None, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
        found, information = _step(first, moved, weight, cells)
        shifts = _block_means(field, cells) + found
    return Shifts(_block_means(grid, cells), shifts, information)


def _step(first: Array, second: Array, weight: Array, cells: tuple[int, int]) -> tuple[Matrix, Matrix]:
    slopes = [[cv2.Scharr(p, cv2.CV_32F, *axis, scale=1 / 32) for axis in ((1, 0), (0, 1))] for p in (first, second)]
    x, y = ((a + b) / 2 for a, b in zip(*slopes, strict=True))
    shared = slopes[0][0] * slopes[1][0] + slopes[0][1] * slopes[1][1]
    error = first - second
    products = (x * x, x * y, y * y, x * error, y * error, error * error, shared, np.ones_like(x))
    summed = _block_means(np.dstack([product * weight for product in products]), cells)
    xx, xy, yy, xe, ye, ee, common, valid = np.moveaxis(summed, 2, 0)
    share = np.clip(common / (xx + yy + 1e-9), 0, 1)
    counts = (share > _SHARED_LEAST) & (valid > _VALID_LEAST)
    tensor = np.stack([xx, xy, xy, yy], axis=2).reshape(*xx.shape, 2, 2) * (share * counts)[..., None, None]
    floor = 0.02 * float(np.trace(tensor, axis1=2, axis2=3).sum()) / max(1, int(counts.sum())) + 1e-9
    shifts = np.linalg.solve(tensor + floor * np.eye(2), np.stack([xe, ye], axis=2)[..., None])[..., 0]
    information = tensor * (share / (ee / np.maximum(valid, 1e-6) + 1e-3))[..., None, None]
    return shifts * counts[..., None], information


def _block_means(values: Array, cells: tuple[int, int]) -> Matrix:
    planes = [cv2.resize(values[..., k], cells, interpolation=cv2.INTER_AREA) for k in range(values.shape[2])]
    return np.dstack(planes).astype(np.float64)


def fit_shifts(measured: Shifts, kind: str, trust: Matrix | None = None) -> Matrix:
    """The transform [3, 3], "affine" or "homography", that explains the shifts best: place to place + shift.

    Least squares weighted by information and reweighted by Huber's loss, so that blocks which moved on their
    own (a logo, dust, an actor between two fields) do not pull. A homography is taken to first order: measure
    again after applying it.

    Args:
        trust: [R, C] how far each block counts on top of its information.
    """
    places, shifts = measured.places.reshape(-1, 2), measured.shifts.reshape(-1, 2)
    information = measured.information.reshape(-1, 2, 2)
    if trust is not None:
        information = information * trust.reshape(-1)[:, None, None]
    frame = np.array([[1, 0, -places[:, 0].mean()], [0, 1, -places[:, 1].mean()], [0, 0, np.ptp(places) / 2 + 1]])
    frame /= frame[2, 2]
    design = _design(move_points(frame, places), kind)
    weighted = np.einsum("nik,nij->nkj", design, information)
    huber = np.ones(len(places))
    parameters = np.zeros(_PARAMETERS[kind])
    for _ in range(8):
        normal = np.einsum("nkj,njl,n->kl", weighted, design, huber)
        right = np.einsum("nkj,nj,n->k", weighted, shifts * frame[0, 0], huber)
        ridge = 1e-6 * np.trace(normal) / len(normal) + 1e-12
        parameters = np.linalg.solve(normal + ridge * np.eye(len(normal)), right)
        deviation = deviations(shifts * frame[0, 0] - design @ parameters, information)
        known = deviation[deviation > 0]
        limit = 1.5 * float(np.median(known)) if len(known) else 1.0
        huber = np.minimum(1, limit / np.maximum(deviation, 1e-12))
    change = np.eye(3)
    change[:2] += parameters[:6].reshape(2, 3)
    change[2, :2] -= parameters[6:] if kind == "homography" else 0
    fitted = np.linalg.inv(frame) @ change @ frame
    return np.asarray(fitted / fitted[2, 2])


def _design(places: Matrix, kind: str) -> Matrix:
    """[N, 2, parameters]: shifts at the places by each parameter."""
    x, y = places.T
    design = np.zeros((len(places), 2, _PARAMETERS[kind]))
    design[:, 0, :3] = design[:, 1, 3:6] = np.column_stack([x, y, np.ones_like(x)])
    if kind == "homography":
        design[:, 0, 6:] = np.column_stack([x * x, x * y])
        design[:, 1, 6:] = np.column_stack([x * y, y * y])
    return design


def deviations(rest: Matrix, information: Matrix) -> Matrix:
    """[...] how many (common) standard deviations ``rest`` [..., 2] is off 0."""
    squares: Matrix = np.einsum("...i,...ij,...j->...", rest, information, rest)
    return np.sqrt(np.maximum(squares, 0))


def huber_losses(rest: Matrix, measured: Shifts) -> Matrix:
    """[R, C] what is left of the shifts, in deviations, squared up to twice the median of the shifts' own."""
    known = deviations(measured.shifts, measured.information)[measured.known]
    limit = 2 * float(np.median(known)) if len(known) else 1.0
    deviation = deviations(rest, measured.information)
    return np.where(deviation < limit, deviation**2, limit * (2 * deviation - limit))


def tiles(measured: Shifts, across: int = 3) -> list[NDArray[np.bool_]]:
    """The known blocks [R, C] of each of ``across`` x ``across`` equal parts of the picture that holds any."""
    rows, columns = measured.known.shape
    tile = np.add.outer(np.arange(rows) * across // rows * across, np.arange(columns) * across // columns)
    parts = [measured.known & (tile == number) for number in np.unique(tile)]
    return [part for part in parts if part.any()]


def better_kind(measured: Shifts) -> str:
    """A "homography" where it foretells the shifts of tiles left out of the fit better, else "affine"."""
    loss = {}
    for kind in _PARAMETERS:
        foretold = np.zeros_like(measured.shifts)
        for tile in tiles(measured):
            fitted = fit_shifts(measured, kind, (~tile).astype(np.float64))
            foretold[tile] = (move_points(fitted, measured.places) - measured.places)[tile]
        loss[kind] = float(huber_losses(measured.shifts - foretold, measured).sum())
    return "homography" if loss["homography"] < (1 - _HOMOGRAPHY_GAIN) * loss["affine"] else "affine"
