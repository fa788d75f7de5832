"""The frames before and after a pair's scan, for models that look at several frames.

They were collected with the pair (``scan.-1.exr``, ``scan.+1.exr``), or are read from the scan that the pair was
collected from. What a model is trained on is what it will be given: at the ends of a scan and at gaps in it the last
frame is repeated (:func:`wetgate.service.layout.window_of`), and across a cut the neighbour is of the other shot, as
``wetgate apply`` and the node, who know of no cuts, hand it over.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from wetgate.errors import WetgateError
from wetgate.images import Source, read_image
from wetgate.inference.curves import Curves
from wetgate.inference.pixels import fill_bad
from wetgate.pairing.shots import of_one_shot
from wetgate.project import Pair, Restoration
from wetgate.recipes.exposure import is_of, scans_of
from wetgate.service.layout import window_of

Array = NDArray[np.float32]

SAME_PICTURE = 1e-3
"""Up to this mean difference of values (relative, where bright) a file still holds what was collected from it."""


def possible_radius(restoration: Restoration, pairs: Sequence[Pair], wanted: int) -> tuple[int, str]:
    """How many frames before and after a model of these pairs can look at.

    Args:
        restoration: whose sources are looked into.
        pairs: all that the model is to learn from.
        wanted: no more than this.

    Returns:
        the radius, ``wanted`` at most, and why it is less in a sentence for the artist; "" where it is not.
    """
    possible, reason = wanted, ""
    for pair in pairs:
        found, why = _reach(restoration, pair, possible)
        if found < possible:
            possible, reason = found, why
    return possible, reason


def is_moving_picture(restoration: Restoration, pairs: Sequence[Pair]) -> bool:
    """Whether around half of the pairs and more a frame shows the same shot: the scan is no collection of stills.

    Args:
        restoration: whose sources are looked into.
        pairs: some, for which :func:`possible_radius` is 1 at least.

    Raises:
        WetgateError: a picture cannot be read.
    """
    moving = 0
    for pair in pairs:
        before, own, after = window(restoration, pair, 1)
        others = [frame for frame in (before, after) if not np.array_equal(frame, own)]
        moving += not others or any(of_one_shot(own, other) for other in others)
    return 2 * moving >= len(pairs)


def window(restoration: Restoration, pair: Pair, radius: int, curves: Curves | None = None) -> list[Array]:
    """The scan around a pair, as a model of that radius will see it.

    Args:
        restoration: whose sources are looked into.
        pair: any of its pairs.
        radius: at most what :func:`possible_radius` said.
        curves: exposure curves that steady each frame, as :func:`wetgate.recipes.exposure.curves_of_windows` gives
            them, or None.

    Returns:
        2r+1 frames float32 [H, W, 3] of the pair's size, oldest first; the middle one is the pair's own. Bad pixels of
        neighbours are filled.

    Raises:
        WetgateError: a picture cannot be read, or there are no neighbours.
    """
    own = read_image(pair.scan).pixels
    frames = {pair.frame: own}
    numbers: tuple[int, ...] = (pair.frame,)
    if radius and _collected(pair) >= radius:
        paths = {pair.frame + step: path for step, path in pair.neighbours.items()}
        numbers = window_of(pair.frame, radius, frozenset([pair.frame, *paths]))
        frames |= {number: read_image(paths[number]).pixels for number in set(numbers) - {pair.frame}}
    elif radius:
        with _scan_of(restoration, pair) as source:
            if source is None:
                raise WetgateError(_gone(pair))
            numbers = window_of(pair.frame, radius, frozenset(source.frames))
            frames |= {number: _cut(source.read(number).pixels, pair) for number in set(numbers) - {pair.frame}}
    for number, pixels in frames.items():
        if pixels.shape != own.shape:
            raise WetgateError(f"Frame {number} has not the size of pair {pair.number}: add the pair again.")
        clean = fill_bad(pixels)[0]
        frames[number] = clean if curves is None else curves.steady(number, clean)
    return [frames[number] for number in numbers]


def _reach(restoration: Restoration, pair: Pair, wanted: int) -> tuple[int, str]:
    if wanted == 0:
        return 0, ""
    collected = _collected(pair)
    if collected and not pair.neighbours:
        return 0, f"Pair {pair.number} has no frames before or after it: its scan is a single picture."
    if collected >= wanted:
        return wanted, ""
    with _scan_of(restoration, pair) as source:
        if source is None:
            return collected, _gone(pair)
        if len(set(window_of(pair.frame, 1, frozenset(source.frames)))) == 1:
            return 0, f"Pair {pair.number} has no frames before or after it in {source.name}."
        return wanted, ""


def _collected(pair: Pair) -> int:
    """How far around the pair's frame its neighbours were collected."""
    return int(pair.where_from.get("neighbours", 0))


@contextlib.contextmanager
def _scan_of(restoration: Restoration, pair: Pair) -> Iterator[Source | None]:
    """The scan that a pair was collected from, where it is still there and still the same."""
    with contextlib.closing(scans_of(restoration)) as scans:
        yield next((source for source in scans if is_of(pair, source) and _is_unaltered(pair, source)), None)


def _is_unaltered(pair: Pair, source: Source) -> bool:
    """Whether the pair's frame in ``source`` shows what was collected, to the rounding of a half-float file."""
    try:
        there, own = _cut(source.read(pair.frame).pixels, pair), read_image(pair.scan).pixels
    except WetgateError:
        return False
    if there.shape != own.shape:
        return False
    apart = np.abs(there - own) / np.maximum(1, np.abs(own))
    return bool(apart.mean(dtype=np.float64) <= SAME_PICTURE)


def _cut(pixels: Array, pair: Pair) -> Array:
    if pair.region is None:
        return pixels
    x, y, width, height = pair.region
    return np.ascontiguousarray(pixels[y : y + height, x : x + width])


def _gone(pair: Pair) -> str:
    return (
        f"The frames before and after pair {pair.number} are not to be had: they were not collected with it, and its "
        "scan is no longer where it was, or has changed. Add the pair again for a model that looks at several frames."
    )
