"""Gate weave: where each frame of a scan lies against its neighbours, and which part of that was no camera.

Weave moves everything in the picture alike, quickly and about a place of rest; a camera moves smoothly or not at all.

1. Small pictures of local contrast, blind to exposure. Each frame is laid over an earlier one of its shot, so that
   errors do not add up, and over the one before. Where the two do not agree, since the picture has moved on or
   something large moves in it, the better one counts; if that is the one before, it is the earlier one from then on.
2. Dense flow at a small size, then the shifts of blocks, each explained by one shift, turn and size by least
   squares with redescending weights: what moves by itself, dust and damage have no say. Parts of the picture that
   disagree make it uncertain; a frame that is too uncertain is left alone.
3. The shifts are a path. Of the paths within a tube around it, as wide as the quick part of the shot's movement says,
   the camera took the plainest one (:mod:`wetgate.pairing.trajectories`). What is left over is weave.

Sources: Kroeger et al., "Fast optical flow using dense inverse search", ECCV 2016; Lucas & Kanade, IJCAI 1981; Beaton &
Tukey, Technometrics 16, 1974 (biweight); Grundmann et al., "Auto-directed video stabilization with robust L1 optimal
camera paths", CVPR 2011.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from wetgate.images import Source
from wetgate.inference.curves import density_of
from wetgate.inference.transforms import Transform, Transforms
from wetgate.pairing.borders import find_borders
from wetgate.pairing.reading_ahead import looks
from wetgate.pairing.resampling import pixel_grid, scaling, shrink
from wetgate.pairing.shifts import Shifts, measure_shifts
from wetgate.pairing.trajectories import camera_path

Array = NDArray[np.float32]
Floats = NDArray[np.float64]
Matrix = NDArray[np.float64]

SIDE = 768
"""Pictures are laid over one another at this size of their longer side."""
LEAST_SIDE = 48
"""Of both sides of the scan: there is too little to see in smaller pictures."""
LEAST_FRAMES = 5
"""In a shorter shot nobody can tell weave from a camera."""
MOST_DOUBT = 0.4
"""Deviation of a frame's shift, in pixels as measured, beyond which the frame is left alone."""
LEAST_LIKENESS = 0.15
"""Correlation of local contrast below which two frames show different things, or nothing but grain."""
FURTHEST = 0.15
"""Share of the picture by which a frame may lie away from the earlier one that it is laid over."""
MOST_WEAVE = 0.05
"""Share of the picture's width and height: what lies further off was measured wrongly, or is no weave."""

MOST_TUBE = 0.01
"""Share of the picture's width that weave is taken to reach at the most, to either side."""

_COARSE = 256
_CELL = 8
_BLOCK = 32
_TILES = 4
_GRAIN, _SURROUND, _FAINT = 1.0, 8.0, 0.003
"""Deviations of the blurs that contrast is taken between, in pixels, and a density that is hardly seen."""
_FURTHEST_SIZE = 0.1
_SAME_PLACE = 0.1
_LITTLE_DOUBT, _STAYS = 0.1, 1.2
"""Pixels beside which a doubt is small; and by how much the frame before must say more, to be believed instead."""
_MOST_MISSED = 3
"""So many frames in a row of which nothing can be told are skipped; after them a new path begins."""
_LEAST_FOR_FLOW = 24
_LEAST_BLOCKS = 6
_WHOLLY = 0.99
_LEAST_SUPPORT = 0.12
"""Share of the picture's structure that must have moved as the whole."""
_MOST_OF_MEDIAN = 10.0
_STIFF = 1e-5
_ROUNDS = 12
_LEAST_REST, _MOST_REST = 0.02, 0.4
_TRUST = 1.3
"""How much less of the structure is believed where it moves as expected."""


@dataclass(frozen=True)
class Look:
    """What is kept of a frame.

    Attributes:
        coarse, fine: local contrast [h, w], the one as uint8.
        counts: [h, w] 1 where there may be picture, else 0.
        structure: [R, C] of the fine one's blocks: mean square of its slopes.
    """

    coarse: NDArray[np.uint8]
    fine: Array
    counts: Array
    structure: Array


@dataclass(frozen=True)
class Link:
    """How a frame lies on an earlier one.

    Attributes:
        place: x, y, turn and size: the middle of this frame lies so many pixels right of and below the middle of the
            earlier one, turned by radians clockwise and larger by a share; in pixels as measured.
        doubt: standard deviations of the four, from the disagreement of parts of the picture.
        support: share of the picture's structure that moved so.
        likeness: correlation of local contrast, 1 is the same picture.
    """

    place: Floats
    doubt: Floats
    support: float
    likeness: float = 1.0

    @property
    def holds(self) -> bool:
        """Whether it can be relied on."""
        sure = bool(np.hypot(*self.doubt[:2]) <= MOST_DOUBT)
        return sure and self.support >= _LEAST_SUPPORT and self.likeness >= LEAST_LIKENESS


@dataclass
class Shot:
    """The movement of one shot; arrays are in pixels of the scan and radians.

    Attributes:
        frames: its frames, in order.
        path: [n, 3] x, y and turn of the picture in each; NaN where it could not be told.
        camera: [n, 3] the part of it that is taken for the camera's.
        doubt: [n, 3] standard deviations of ``path``.
    """

    frames: list[int]
    path: Floats
    camera: Floats
    doubt: Floats

    @property
    def weave(self) -> Floats:
        """[n, 3]: what is to be undone; NaN where it could not be told."""
        return self.path - self.camera


@dataclass(frozen=True)
class Movement:
    """The movement of a scan.

    Attributes:
        size: width and height of its pictures.
        shots: as far as their frames could be read.
    """

    size: tuple[int, int]
    shots: list[Shot] = field(default_factory=list)

    def unknown(self) -> list[int]:
        """Frames that are left alone because nothing could be told of them, in shots where others are moved."""
        return sorted(
            frame
            for shot in self.shots
            if np.nan_to_num(shot.weave).any()
            for frame, row in zip(shot.frames, shot.weave, strict=True)
            if not np.isfinite(row).all()
        )

    def transforms(self, frames: Sequence[int], shrinkage: tuple[float, float] = (0.0, 0.0)) -> Transforms:
        """What brings ``frames`` to rest.

        Args:
            frames: which; one without a movement is only enlarged.
            shrinkage: shares of its width and height that the film has lost.
        """
        sizes = (1 - shrinkage[0], 1 - shrinkage[1])
        found = {}
        for shot in self.shots:
            for frame, (x, y, turn) in zip(shot.frames, np.nan_to_num(shot.weave), strict=True):
                found[frame] = Transform(x, y, float(np.degrees(turn)), *sizes).rounded()
        still = Transform(0.0, 0.0, 0.0, *sizes).rounded()
        return Transforms(self.size, {frame: found.get(frame, still) for frame in frames})


def measure(
    source: Source,
    encoding: str,
    shots: Sequence[tuple[int, int]],
    follow: Callable[[int, str], None] = lambda done, note: None,
) -> Movement:
    """Measure the movement of a whole scan in one pass; memory does not grow with its length.

    Args:
        source: the scan.
        encoding: of its pixels.
        shots: first and last frame of each, as :class:`wetgate.inference.curves.Curves` has them.
        follow: called with the frames done so far and a note.
    """
    width, height = source.size
    movement = Movement((width, height))
    if min(width, height) < LEAST_SIDE:
        return movement
    ends = {frame: index for index, span in enumerate(shots) for frame in span}
    current: _Tracker | None = None
    number_of_shot = -1
    px = max(width, height) / min(SIDE, max(width, height))
    for done, (number, look) in enumerate(looks(source, lambda pixels: look_at(pixels, encoding)), 1):
        if number in ends and number == shots[ends[number]][0]:
            if current is not None:
                movement.shots.append(current.shot(px, (width, height)))
            number_of_shot, current = ends[number], _Tracker()
        if current is not None and look is not None:
            current.add(number, look)
        follow(done, f"frame {number}")
        if current is not None and number == shots[number_of_shot][1]:
            movement.shots.append(current.shot(px, (width, height)))
            current = None
    return movement


class _Tracker:
    """The path of one shot while its frames come in; in pixels as measured."""

    def __init__(self) -> None:
        self.frames: list[int] = []
        self.places: list[Floats] = []
        self.doubts: list[Floats] = []
        self.stretches: list[int] = []
        self._missed = 0
        self._pace = np.zeros(4)
        self._anchor: _Known | None = None
        self._before: _Known | None = None

    def add(self, number: int, look: Look) -> None:
        """The next frame."""
        found = self._laid(look)
        begins = found is None and (self._before is None or self._missed >= _MOST_MISSED)
        if begins:
            found = self._anchor = _Known(look, np.zeros(4), np.zeros(4))
        elif found is not None and self._before is not None:
            self._pace = np.zeros(4) if self._missed else found.place - self._before.place
        self.frames.append(number)
        self.places.append(np.full(4, np.nan) if found is None else found.place)
        self.doubts.append(np.full(4, np.nan) if found is None else found.doubt)
        self.stretches.append((self.stretches[-1] if self.stretches else 0) + begins)
        self._missed = self._missed + 1 if found is None else 0
        self._before = found or self._before

    def _laid(self, look: Look) -> _Known | None:
        """Where the frame lies on the earlier one, or else on the one before, which then is the earlier one."""
        if self._anchor is None or self._before is None:
            return None
        guess = self._before.place + self._pace
        near = _laid_over(self._before, look, guess)
        if self._anchor is self._before:
            return near
        far = _laid_over(self._anchor, look, guess) if _is_near(guess - self._anchor.place, look) else None
        if far is not None and (near is None or _agree(far, near) or _STAYS * far.worth > near.worth):
            return far
        if near is not None:
            self._anchor = self._before
        return near

    def shot(self, px: float, size: tuple[int, int]) -> Shot:
        """What came out, in pixels of the scan (``px`` to one as measured), with the camera's path."""
        scale = np.array([px, px, 1.0])
        path, doubt = -np.stack(self.places)[:, :3] * scale, np.stack(self.doubts)[:, :3] * scale
        camera = path.copy()
        stretches = np.array(self.stretches)
        for stretch in np.unique(stretches):
            rows = stretches == stretch
            camera[rows] = _camera(path[rows], doubt[rows], size)
        off = np.abs(path - camera)[:, :2] > MOST_WEAVE * np.array(size)
        path[off.any(axis=1)] = np.nan
        return Shot(self.frames, path, camera, doubt)


@dataclass(frozen=True, eq=False)
class _Known:
    look: Look
    place: Floats
    doubt: Floats
    worth: float = 1.0


def _laid_over(known: _Known, look: Look, guess: Floats) -> _Known | None:
    link = link_between(known.look, look, guess - known.place)
    if link is None or not link.holds:
        return None
    worth = link.support / (_LITTLE_DOUBT + float(np.hypot(*link.doubt[:2])))
    return _Known(look, known.place + link.place, np.hypot(known.doubt, link.doubt), worth)


def _agree(one: _Known, other: _Known) -> bool:
    """Whether two ways to the same frame come to the same place."""
    apart = float(np.hypot(*(one.place - other.place)[:2]))
    return apart <= _SAME_PLACE + 4 * float(np.hypot(*np.hypot(one.doubt, other.doubt)[:2]))


def _is_near(place: Floats, look: Look) -> bool:
    height, width = look.fine.shape
    return bool(
        abs(place[0]) < FURTHEST * width and abs(place[1]) < FURTHEST * height and abs(place[3]) < _FURTHEST_SIZE
    )


def _camera(path: Floats, doubt: Floats, size: tuple[int, int]) -> Floats:
    """The camera's path [n, 3] of one stretch; the stretch's own where it is too short to tell."""
    if np.isfinite(path[:, 0]).sum() < LEAST_FRAMES:
        return path
    to_pixels = np.array([1.0, 1.0, np.hypot(*size) / 2])  # a turn as the corners see it
    noise = np.nanmedian(doubt, axis=0) * to_pixels
    found = [camera_path(path[:, k] * to_pixels[k], float(noise[k]), MOST_TUBE * size[0]) for k in range(3)]
    return np.stack(found, axis=1) / to_pixels


def look_at(pixels: Array, encoding: str) -> Look:
    """A picture [H, W, 3] as it is laid over others."""
    clean = np.nan_to_num(pixels, nan=0.0, posinf=1.0, neginf=0.0)
    density = density_of(shrink(np.ascontiguousarray(clean), SIDE), encoding)
    inner = _inside_borders(density)
    fine, counts = np.zeros((2, *density.shape[:2]), np.float32)
    fine[inner], counts[inner] = _contrast(density[inner].mean(axis=2)), 1
    coarse = np.clip(128 + 40 * shrink(fine, _COARSE), 0, 255).astype(np.uint8)
    return Look(coarse, fine, counts, _structure(fine))


def _structure(fine: Array) -> Array:
    height, width = fine.shape
    block = _block(fine.shape)
    slopes = (cv2.Scharr(fine, cv2.CV_32F, *axis, scale=1 / 32) for axis in ((1, 0), (0, 1)))
    squares = sum(slope * slope for slope in slopes)
    cells = (max(1, round(width / block)), max(1, round(height / block)))
    return np.asarray(cv2.resize(squares, cells, interpolation=cv2.INTER_AREA))


def _block(shape: tuple[int, ...]) -> int:
    return int(np.clip(min(shape) // 8, 12, _BLOCK))


def _contrast(grey: Array) -> Array:
    """Local contrast [h, w] of a density, about deviation 1 where there is structure; fine grain is out."""
    band = cv2.GaussianBlur(grey, (0, 0), _GRAIN) - cv2.GaussianBlur(grey, (0, 0), _SURROUND)
    strength = np.sqrt(cv2.GaussianBlur(band * band, (0, 0), 2 * _SURROUND))
    floor = 0.25 * float(np.sqrt((band * band).mean())) + _FAINT
    return np.asarray(np.clip(band / (strength + np.float32(floor)), -3, 3), np.float32)


def _inside_borders(density: Array) -> tuple[slice, slice]:
    """Rows and columns of a density [h, w, 3] without black borders, which stand still in the scan's raster."""
    height, width = density.shape[:2]
    small = shrink(np.exp(-density), _COARSE)
    if min(small.shape[:2]) < LEAST_SIDE // 2:
        return slice(0, height), slice(0, width)
    scale = height / small.shape[0]
    widths = {side: int(np.ceil((px + 2) * scale)) for side, px in find_borders(small, small).widths.items()}
    top, bottom, left, right = (widths.get(side, 0) for side in ("top", "bottom", "left", "right"))
    return slice(top, max(height - bottom, top + 1)), slice(left, max(width - right, left + 1))


def link_between(before: Look, after: Look, guess: Floats | None = None) -> Link | None:
    """How ``after`` lies on ``before``; None where nothing of the two can be laid over one another.

    Args:
        before, after: frames of one size.
        guess: of :attr:`Link.place`.
    """
    shape = after.fine.shape
    transform = _as_matrix(np.zeros(4) if guess is None else guess, shape)
    fitted = None
    coarse_px = shape[1] / after.coarse.shape[1]
    for shifts_of, most_rest in ((_by_flow, coarse_px), (_by_blocks, 1.0), (_by_blocks, 1.0)):
        measured = shifts_of(before, after, transform)
        own = after.structure if shifts_of is _by_blocks else np.trace(measured.information, axis1=2, axis2=3)
        fitted = _fit(measured, own, shape, most_rest * _MOST_REST)
        if fitted is None:
            return None
        transform = transform @ _as_matrix(fitted.place, shape)
    assert fitted is not None
    return Link(_as_place(transform, shape), fitted.doubt, fitted.support, _likeness(before, after, transform))


def _likeness(before: Look, after: Look, transform: Matrix) -> float:
    """Correlation of the coarse pictures, over what both show."""
    to_small = scaling(after.fine.shape, after.coarse.shape)
    inner = to_small @ transform @ np.linalg.inv(to_small)
    inside = _moved(np.ones(before.coarse.shape, np.float32), inner, outside=cv2.BORDER_CONSTANT) > _WHOLLY
    a, b = (inside * (picture - np.float32(128)) for picture in (after.coarse, _moved(before.coarse, inner)))
    both, first, second = (float((x * y).sum(dtype=np.float64)) for x, y in ((a, b), (a, a), (b, b)))
    return both / float(np.sqrt(first * second) + 1e-9)


def _by_flow(before: Look, after: Look, transform: Matrix) -> Shifts:
    """Shifts of cells by dense flow, in pixels of the fine pictures."""
    small, fine = after.coarse.shape, after.fine.shape
    to_small = scaling(fine, small)
    inner = to_small @ transform @ np.linalg.inv(to_small)
    laid = _moved(before.coarse, inner)
    if min(small) < _LEAST_FOR_FLOW:
        flow = np.zeros((*small, 2), np.float32)
    else:
        flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST).calc(after.coarse, laid, None)
    cells = (max(1, small[1] // _CELL), max(1, small[0] // _CELL))
    x, y = (cv2.Scharr(after.coarse, cv2.CV_32F, *axis, scale=1 / 32) for axis in ((1, 0), (0, 1)))
    planes = np.dstack([x * x, x * y, x * y, y * y, flow, pixel_grid(small)])
    means = (
        cv2.resize(planes[..., :4], cells, interpolation=cv2.INTER_AREA),
        cv2.resize(planes[..., 4:], cells, interpolation=cv2.INTER_AREA),
    )
    ratio = fine[1] / small[1]
    information = means[0].astype(np.float64).reshape(*means[0].shape[:2], 2, 2)
    shifts, places = means[1][..., :2].astype(np.float64), means[1][..., 2:].astype(np.float64)
    return Shifts((places + 0.5) * ratio - 0.5, shifts * ratio, information)


def _by_blocks(before: Look, after: Look, transform: Matrix) -> Shifts:
    """Shifts of blocks of the fine pictures."""
    inside = _moved(before.counts, transform, cv2.INTER_NEAREST, cv2.BORDER_CONSTANT)
    laid = _moved(before.fine, transform)
    return measure_shifts(after.fine, laid, after.counts * inside, _block(after.fine.shape))


def _moved(
    picture: NDArray[np.generic],
    transform: Matrix,
    kernel: int = cv2.INTER_LANCZOS4,
    outside: int = cv2.BORDER_REPLICATE,
) -> Array:
    """The picture seen through ``transform``. (OpenCV's cubic kernel shifts by 0.3 where 0.25 is asked for.)"""
    height, width = picture.shape
    flags = kernel | cv2.WARP_INVERSE_MAP
    return np.asarray(cv2.warpAffine(picture, transform[:2], (width, height), flags=flags, borderMode=outside))


def _fit(measured: Shifts, own: NDArray[Any], shape: tuple[int, ...], most_rest: float) -> Link | None:
    """The shift, turn and size that most of the blocks' structure agrees on, or nearly as much of it around none.

    None where there is no structure. Blocks agree that lie no further apart than ``most_rest`` pixels, as deviation.
    How much agrees is said of the picture's ``own`` structure [R, C], whether its blocks were found again or not.
    """
    middle = np.array([(shape[1] - 1) / 2, (shape[0] - 1) / 2])
    places, shifts = measured.places.reshape(-1, 2) - middle, measured.shifts.reshape(-1, 2)
    information = measured.information.reshape(-1, 2, 2)
    structure = np.trace(information, axis1=1, axis2=2)
    known = structure > 0
    if known.sum() < _LEAST_BLOCKS:
        return None
    most = _MOST_OF_MEDIAN * np.median(structure[known])
    tame = np.minimum(1, most / np.maximum(structure, 1e-12))
    information, structure = information * tame[:, None, None], structure * tame
    x, y = places.T
    ones, zeros = np.ones_like(x), np.zeros_like(x)
    design = np.stack([np.stack([ones, zeros, -y, x], axis=1), np.stack([zeros, ones, x, y], axis=1)], axis=1)
    half = float(np.hypot(shape[0], shape[1])) / 2
    ridge = np.diag([1e-9, 1e-9, _STIFF * half**2, _STIFF * half**2]) * structure.sum()
    normal = np.einsum("nik,nij,njl->nkl", design, information, design)
    right = np.einsum("nik,nij,nj->nk", design, information, shifts)

    def agreed(place: Floats) -> tuple[Floats, Floats, float]:
        """The place that blocks near ``place`` agree on, their weights, and their share of the structure."""
        weight = np.zeros(len(shifts))
        for step in range(_ROUNDS):
            rest = np.hypot(*(shifts - design @ place).T)
            usual = 1.4826 * _weighted_median(rest, structure) + _LEAST_REST
            scale = min(usual, most_rest * max(1.0, 4 * 0.7**step))
            weight = np.clip(1 - (rest / (3 * scale)) ** 2, 0, None) ** 2
            place = np.linalg.solve(np.einsum("n,nkl->kl", weight, normal) + ridge, weight @ right)
        return place, weight, float((weight * known * own.ravel()).sum() / own.sum())

    usual = np.array([_weighted_median(shifts[:, k], structure) for k in range(2)] + [0.0, 0.0])
    expected, common = agreed(np.zeros(4)), agreed(usual)
    place, weight, support = expected if _TRUST * expected[2] >= common[2] else common
    tiles = _tiles(places, shape)
    parts = [weight * (tiles != tile) for tile in np.unique(tiles[known])]
    without = np.stack([np.linalg.solve(np.einsum("n,nkl->kl", part, normal) + ridge, part @ right) for part in parts])
    doubt = np.sqrt(np.square(without - place).sum(axis=0) * (len(parts) - 1) / len(parts))
    return Link(place, doubt, support)


def _tiles(places: Floats, shape: tuple[int, ...]) -> NDArray[np.int64]:
    column, row = (
        np.clip((places[:, k] / shape[1 - k] + 0.5) * _TILES, 0, _TILES - 1).astype(np.int64) for k in range(2)
    )
    return row * _TILES + column


def _weighted_median(values: Floats, weights: Floats) -> float:
    order = np.argsort(values)
    total = np.cumsum(weights[order])
    return float(values[order[np.searchsorted(total, total[-1] / 2)]])


def _as_matrix(place: Floats, shape: tuple[int, ...]) -> Matrix:
    """[3, 3] from pixels of a frame to those of the earlier one."""
    x, y, turn, size = place
    middle = np.array([(shape[1] - 1) / 2, (shape[0] - 1) / 2])
    linear = np.array([[1 + size, -turn], [turn, 1 + size]])
    matrix = np.eye(3)
    matrix[:2, :2], matrix[:2, 2] = linear, middle + np.array([x, y]) - linear @ middle
    return matrix


def _as_place(matrix: Matrix, shape: tuple[int, ...]) -> Floats:
    middle = np.array([(shape[1] - 1) / 2, (shape[0] - 1) / 2])
    x, y = matrix[:2, :2] @ middle + matrix[:2, 2] - middle
    return np.array([x, y, (matrix[1, 0] - matrix[0, 1]) / 2, (matrix[0, 0] + matrix[1, 1]) / 2 - 1])
