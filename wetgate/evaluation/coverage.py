"""How well the pairs show what a scan holds, and which frames to pair next.

A colour is a dye density and the density around it, low-passed, as the kernels of the colour recipe see it. It counts
as known by its distance to the nearest colour of the pairs, in widths of a kernel: fully up to 0.57, not at all from
1.01 on. That is what a model's `coverage` says of its kernels (:mod:`wetgate.training.color_model`); here all colours
of the pairs stand in for them, so no model is needed. The coverage of a frame is the mean over its area.

Frames are chosen one after the other, each where it adds most to the coverage of the whole reel (Nemhauser, Wolsey &
Fisher 1978: for such a gain that is at least 63 % of what the best choice would add), one from each shot before a
second from any.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from wetgate.evaluation.metrics import srgb_to_lab
from wetgate.inference.curves import STILL, Curve, density_of

Array = NDArray[np.float32]
Floats = NDArray[np.float64]

KERNEL_WIDTH, KERNEL_SURROUND, LOW_PASS = 0.5, 0.5, 1.5
"""As in :mod:`wetgate.training`, which lies above this; a test holds them together."""
UNLIKE, LIKE = 0.6, 0.85
"""The same: similarity from which a colour begins to be known, and from which it is."""

POINTS = 2000
"""Of each frame, on a regular grid."""
POINTS_OF_PAIR = 8000
MOST_FRAMES = 600
"""Looked at; every n-th of a longer reel."""
MOST_CELLS = 12_000
CANDIDATES = 240
CANDIDATES_OF_SHOT = 12
LEAST_GAIN = 0.002
"""Of the reel's area: what adds less is not worth a pair."""
HELPED = 0.02
"""A frame is helped where its coverage rises by so much."""

_FIRST_CELL = 0.3
_BLOCK = 4_000_000


@dataclass(frozen=True)
class Suggestion:
    """A frame worth pairing.

    Attributes:
        frame: its number.
        shot: the shot's number in the reel, from 1.
        coverage: of the frame by the pairs that there are, 0-1.
        gain: what it adds to the coverage of the whole reel, after the suggestions before it.
        helps: about how many frames of the reel it helps.
        colours: what of it no pair shows, in words, most first; as they are beside the scan's cast.
    """

    frame: int
    shot: int
    coverage: float
    gain: float
    helps: int
    colours: tuple[str, ...]


@dataclass(frozen=True)
class Support:
    """What the pairs show of a scan.

    Attributes:
        coverage: of each frame that was looked at, 0-1.
        suggestions: best first.
    """

    coverage: Mapping[int, float]
    suggestions: Sequence[Suggestion]


def colours_of(pixels: Array, encoding: str, points: int = POINTS, weight: Array | None = None) -> Array:
    """[n, 6] densities of about ``points`` places of a picture [H, W, 3], and of what surrounds each.

    Args:
        pixels: in ``encoding``; what is not finite counts as black or white.
        encoding: of the pixels.
        points: on a regular grid, so that two pictures of one size are looked at in the same places.
        weight: [H, W]; places at 0.5 and less are left out.
    """
    height, width = pixels.shape[:2]
    half = (max(width // 2, 1), max(height // 2, 1))
    small = cv2.resize(np.nan_to_num(pixels, nan=0.0, posinf=1.0, neginf=0.0), half, interpolation=cv2.INTER_AREA)
    density = density_of(small, encoding)
    density = cv2.GaussianBlur(density, (0, 0), LOW_PASS / 2, borderType=cv2.BORDER_REPLICATE)
    eighth = (max(half[0] // 4, 1), max(half[1] // 4, 1))
    around = cv2.GaussianBlur(cv2.resize(density, eighth, interpolation=cv2.INTER_AREA), (0, 0), 1.0)
    around = cv2.resize(around, half, interpolation=cv2.INTER_LINEAR)
    step = max(round((half[0] * half[1] / points) ** 0.5), 1)
    places = np.s_[step // 2 :: step, step // 2 :: step]
    found = np.concatenate([density[places], around[places]], axis=2).reshape(-1, 6)
    if weight is not None:
        found = found[cv2.resize(weight, half, interpolation=cv2.INTER_AREA)[places].ravel() > 0.5]
    return np.ascontiguousarray(found, np.float32)


def steadied(colours: Array, curve: Curve) -> Array:
    """Colours [n, 6] of a frame after its flicker is taken out."""
    if curve == STILL:
        return colours
    offset, gain = (np.tile(np.array(column, np.float32), 2) for column in zip(*curve, strict=True))
    return colours * (1 + gain) + offset


def support(
    frames: Mapping[int, Array], pairs: Sequence[Array], shots: Sequence[tuple[int, int]], count: int, every: int = 1
) -> Support:
    """Find what ``pairs`` show of ``frames``, and ``count`` frames to pair next, or fewer where little is left.

    Args:
        frames: :func:`colours_of` each frame, by number, ascending.
        pairs: the same of the pairs; may be empty.
        shots: first and last frame of each shot.
        count: how many suggestions.
        every: one of so many frames of the reel is among ``frames``.
    """
    numbers = list(frames)
    scale = _scale(pairs or list(frames.values()))
    cells, shares, seen = _in_cells([frames[number] * scale for number in numbers])
    known = np.zeros(len(cells), np.float32)
    if pairs:
        known = _known(cells, _thinned(np.concatenate([pair * scale for pair in pairs])))
    before = np.minimum(shares @ known, 1)
    mass = shares.mean(axis=0)
    even = _without_cast(cells / scale, mass)
    place_of = {number: place for place, number in enumerate(numbers)}
    shot_of = {
        number: shot for shot, (first, last) in enumerate(shots, 1) for number in numbers if first <= number <= last
    }
    open_cells = np.flatnonzero(known < 1)
    shown = {
        number: _known(cells[open_cells], cells[seen[place_of[number]]]) for number in _candidates(numbers, shot_of)
    }
    suggestions: list[Suggestion] = []
    now = known.copy()
    while len(suggestions) < count and shown and len(open_cells):
        gains = {
            number: float(mass[open_cells] @ np.maximum(adds - now[open_cells], 0)) for number, adds in shown.items()
        }
        taken = {one.shot for one in suggestions}
        worth = [number for number, gain in gains.items() if gain >= LEAST_GAIN]
        fresh = [number for number in worth if shot_of.get(number, 0) not in taken]
        if not worth:
            break
        best = max(fresh or worth, key=lambda number: gains[number])
        place = place_of[best]
        added = np.zeros_like(now)
        added[open_cells] = np.maximum(shown.pop(best) - now[open_cells], 0)
        missing = shares[place] * (1 - known)
        suggestions.append(
            Suggestion(
                frame=best,
                shot=shot_of.get(best, 0),
                coverage=float(before[place]),
                gain=gains[best],
                helps=int(np.count_nonzero(shares @ added >= HELPED)) * every,
                colours=_words(even, missing),
            )
        )
        now += added
    return Support({number: float(value) for number, value in zip(numbers, before, strict=True)}, suggestions)


def _scale(colours: Sequence[Array]) -> Array:
    """What densities are multiplied by, so that distances are widths of a kernel."""
    spread = float(np.concatenate(colours)[:, :3].std()) + 1e-3
    return np.array([1.0] * 3 + [KERNEL_SURROUND] * 3, np.float32) / np.float32(spread * KERNEL_WIDTH)


def _in_cells(frames: Sequence[Array]) -> tuple[Array, Array, list[NDArray[np.int64]]]:
    """Similar colours put together: their means [M, 6], the share of each frame's area [F, M], and each frame's own."""
    every = np.concatenate(frames)
    side = _FIRST_CELL
    while True:
        _, cell_of, counts = np.unique(_keys(every, side), return_inverse=True, return_counts=True)
        if len(counts) <= MOST_CELLS:
            break
        side *= 1.2
    sums = np.stack([np.bincount(cell_of, column, len(counts)) for column in every.T], axis=1)
    means: Array = (sums / counts[:, None]).astype(np.float32)
    own = np.split(cell_of, np.cumsum([len(frame) for frame in frames])[:-1])
    shares = [np.bincount(cells, minlength=len(counts)) / np.float32(max(len(cells), 1)) for cells in own]
    return means, np.stack(shares).astype(np.float32), [np.unique(cells) for cells in own]


def _keys(colours: Array, side: float) -> NDArray[np.int64]:
    """One number for each cell of a grid of that side."""
    steps = np.floor((colours - colours.min(axis=0)) / np.float32(side)).astype(np.int64)
    keys = np.zeros(len(colours), np.int64)
    for column in steps.T:
        keys = keys * (int(column.max()) + 1) + column
    return keys


def _thinned(colours: Array) -> Array:
    """Colours of the pairs, one for each small cell."""
    means, _, _ = _in_cells([colours])
    return means


def _known(cells: Array, examples: Array) -> Array:
    """[M] how well each of ``cells`` [M, 6] is known by the nearest of ``examples`` [K, 6], 0-1."""
    nearest = np.full(len(cells), np.inf, np.float32)
    lengths = (examples**2).sum(axis=1)
    step = max(_BLOCK // max(len(examples), 1), 1)
    for start in range(0, len(cells), step):
        part = cells[start : start + step]
        products = part @ examples.T
        nearest[start : start + step] = (part**2).sum(axis=1) + (lengths - 2 * products).min(axis=1, initial=np.inf)
    similarity = np.exp(-0.5 * np.maximum(nearest, 0))
    known: Array = np.clip((similarity - UNLIKE) / (LIKE - UNLIKE), 0, 1).astype(np.float32)
    return known


def _candidates(numbers: Sequence[int], shot_of: Mapping[int, int]) -> list[int]:
    """Frames that may be suggested: some of each shot, evenly spread and away from its cuts."""
    by_shot: dict[int, list[int]] = {}
    for number in numbers:
        by_shot.setdefault(shot_of.get(number, 0), []).append(number)
    of_shot = min(max(CANDIDATES // len(by_shot), 1), CANDIDATES_OF_SHOT)
    chosen = []
    for own in by_shot.values():
        count = min(of_shot, len(own))
        chosen += [own[int((index + 0.5) * len(own) / count)] for index in range(count)]
    return chosen


_HUES = (
    (20, "pinks"),
    (50, "reds"),
    (75, "oranges"),
    (105, "yellows"),
    (175, "greens"),
    (230, "cyans"),
    (295, "blues"),
    (345, "purples"),
    (361, "pinks"),
)
"""Upper ends in degrees of CIE Lab hue."""
_DARK, _LIGHT, _COLOURLESS = 35.0, 72.0, 8.0
_TAILS, _RANGE = (0.05, 0.95), (0.1, 1.3)
_MOST_WORDS = 2
_LEAST_SHARE = 0.2


def _words(density: Array, mass: Array) -> tuple[str, ...]:
    """What kinds of colour the mass is on, those with a fifth of it and more, at most two."""
    sums: dict[str, float] = {}
    heavy = np.flatnonzero(mass > 0)
    for lab, weight in zip(srgb_to_lab(10.0 ** -density[heavy]), mass[heavy], strict=True):
        name = _name(*(float(value) for value in lab))
        sums[name] = sums.get(name, 0.0) + float(weight)
    ranked = sorted(sums, key=lambda name: -sums[name])[:_MOST_WORDS]
    return tuple(name for place, name in enumerate(ranked) if place == 0 or sums[name] >= _LEAST_SHARE * mass.sum())


def _name(lightness: float, a: float, b: float) -> str:
    depth = "dark " if lightness < _DARK else "light " if lightness > _LIGHT else ""
    hue = float(np.degrees(np.arctan2(b, a)) % 360)
    return depth + ("greys" if np.hypot(a, b) < _COLOURLESS else next(name for end, name in _HUES if hue < end))


def _without_cast(cells: Array, mass: Array) -> Array:
    """Densities [M, 3] after each record was stretched to the range of a good print: what colours are beside a cast."""
    order = np.argsort(cells[:, :3], axis=0)
    even = np.empty((len(cells), 3), np.float32)
    for record in range(3):
        rising = order[:, record]
        places = np.searchsorted(np.cumsum(mass[rising]) / mass.sum(), _TAILS).clip(max=len(rising) - 1)
        low, high = cells[rising[places], record]
        even[:, record] = _RANGE[0] + (cells[:, record] - low) * (_RANGE[1] - _RANGE[0]) / max(float(high - low), 0.05)
    return even
