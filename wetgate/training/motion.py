"""Where each pixel of a frame is a frame before, and a frame after: optical flow that damage does not mislead.

Coarse to fine on a pyramid of luma without its local mean (so a change of exposure is no motion). At a sixteenth of the
resolution all steps are tried. Each finer level follows the slopes of the picture around a place (Lucas & Kanade, "An
iterative image registration technique", 1981), and the motion beside it where they say little (as Bruhn, Weickert &
Schnörr, "Lucas/Kanade meets Horn/Schunck", 2005, join the two); then a place takes over what was found beside it where
that fits better (as PatchMatch of Barnes et al., SIGGRAPH 2009, does), for edges of things that move. Differences count
less the larger they are (Black & Anandan, "The robust estimation of multiple motions", 1996), and least where the
neighbours are like each other and only the frame itself is not: that is what dirt does, and no motion follows it.

Motion is bounded by construction, and pictures are moved by whole pixels and mixed, so tiles give the same numbers as
the whole frame. Everything here is fixed: nothing is learnt, no gradient is needed.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]

LEVELS = 4
MULTIPLE = 2**LEVELS
REACH, BLOCK = 4, 2
"""Steps tried at the coarsest level, and half the side of the blocks compared there, in its pixels."""
STEP_PRICE = 0.05
"""What a step of the coarsest level must gain, as a share of the limit."""
MOST = REACH * MULTIPLE
"""Pixels of the full resolution that anything is found to move, down, up or aside, at most."""
SURROUND = 4
"""Half the side of the square whose mean is taken off, in pixels of each level."""
REFINED = (1, 2, 2, 2)
"""How often each level follows the slopes; full resolution first, where it is done after looking beside."""
SPREAD, SOLVED = 2, 2
"""Half the side of the square whose slopes are taken together, and how often a place looks at the motion beside it."""
SMOOTH = 2e-3
"""What one pixel of difference to the motion beside weighs, against slopes of display values squared."""
FARTHEST = 1.5
"""Pixels of each level that one step goes at most, down, up or aside."""
BREAK = 0.1
"""Change of motion in pixels, from one place to the next, that halves this weight: it may break at an edge."""
USUAL = 0.03
"""Difference in display values that is usual: larger ones count little where the neighbours agree."""
BESIDE = ((4,), (4, 2), (4, 2), (2,))
"""What was found so many pixels away is tried too, in pixels of each level."""
NARROW = 2
"""Half the side of the blocks that are compared for it."""
BESIDE_PRICE = 0.02
"""What another place's motion must gain, as a share of the limit."""
DIRT_PRICE = 0.5
"""What it costs there to take the frame itself for damaged, as a share of the limit."""


def _kernels(*steps: tuple[int, int]) -> Array:
    """[K, 1, 3, 3], one for each (row, column) step: the pixel that lies there."""
    kernels = np.zeros((len(steps), 1, 3, 3), np.float32)
    for at, (row, column) in enumerate(steps):
        kernels[at, 0, 1 + row, 1 + column] = 1
    return kernels


def _of_both(kernels: Array) -> Array:
    """[2 K, 2, 3, 3] of [K, 1, 3, 3]: all of them on the first channel, then all on the second."""
    nothing = np.zeros_like(kernels)
    return np.concatenate([np.concatenate([kernels, nothing], 1), np.concatenate([nothing, kernels], 1)])


_SIDES = _kernels((1, 0), (-1, 0), (0, 1), (0, -1))
_BETWEEN = 0.5 * (_SIDES + _kernels((0, 0)))
_SLOPES = 0.5 * (_SIDES[0::2] - _SIDES[1::2])
_SIDES_OF_BOTH, _SLOPES_OF_BOTH = _of_both(_SIDES), _of_both(_SLOPES)
_CORNERS = _kernels((0, 0), (0, 1), (1, 0), (1, 1))


def pyramid(ops: Any, luma: Any) -> list[Any]:
    """Luma [N, 1, H, W] without its local mean, at full resolution and at 1/2 to 1/16; H and W multiples of 16."""
    levels = [luma]
    for _ in range(LEVELS):
        levels.append(ops.shrink(levels[-1]))
    return [ops.subtract(level, ops.mean_around(level, SURROUND, SURROUND)) for level in levels]


def motion(ops: Any, before: list[Any], middle: list[Any], after: list[Any], limit: float) -> list[Any]:
    """Where each pixel of the middle frame is in the frame before and in the frame after.

    Args:
        ops: where to compute (:mod:`wetgate.training.operations`).
        before, middle, after: of :func:`pyramid`.
        limit: differences count up to this where blocks are compared, in display values.

    Returns:
        Two [N, 2, H, W]: rows and columns to go, to a fraction of a pixel.
    """
    ways = [_searched(ops, middle[LEVELS], other[LEVELS], limit) for other in (before, after)]
    for level in reversed(range(LEVELS)):
        ways = [_bounded(ops, ops.affine(ops.enlarge(way), 2.0, 0.0), level) for way in ways]
        frames = middle[level], (before[level], after[level])
        if level:
            for _ in range(REFINED[level]):
                ways = _refined(ops, *frames, ways, level)
        for distance in BESIDE[level]:
            ways = _as_beside(ops, *frames, ways, level, distance, limit)
    for _ in range(REFINED[0]):
        ways = _refined(ops, *frames, ways, 0)
    return ways


def moved(ops: Any, picture: Any, way: Any, level: int = 0, colours: int = 1) -> Any:
    """``picture`` [N, colours, H, W] as it lies in the middle frame: the four pixels around each place, mixed."""
    whole = ops.floor(way)
    part = ops.subtract(way, whole)
    after, before = part, ops.affine(part, -1.0, 1.0)
    (up, left), (down, right) = ((ops.channels(one, 0, 1), ops.channels(one, 1, 2)) for one in (before, after))
    shares = ops.concat([ops.multiply(row, column) for row in (up, down) for column in (left, right)])
    mixed = []
    for colour in range(colours):
        corners = _near(ops, ops.channels(picture, colour, colour + 1), _CORNERS)
        mixed.append(ops.sum_channels(ops.multiply(ops.displace(corners, whole, _most(level)), shares)))
    return ops.concat(mixed) if colours > 1 else mixed[0]


def _searched(ops: Any, middle: Any, other: Any, limit: float) -> Any:
    """The step of the coarsest level at which a block is most like the other frame; short steps are cheaper."""
    square = [(row, column) for row, column in itertools.product(range(-REACH, REACH + 1), repeat=2)]
    steps = sorted(square, key=lambda step: (np.hypot(*step), step))
    chosen = np.zeros((len(steps), 1, 2 * REACH + 1, 2 * REACH + 1), np.float32)
    for at, (row, column) in enumerate(steps):
        chosen[at, 0, REACH + row, REACH + column] = 1
    there = ops.convolve(ops.pad_edges(other, REACH, REACH), chosen, pad=False)
    cost = ops.mean_around(_differs(ops, middle, there, limit), BLOCK, BLOCK)
    table = np.array(steps, np.float32)
    price = STEP_PRICE * limit * np.hypot(table[:, 0], table[:, 1])[:, None, None].astype(np.float32)
    return ops.of_least(ops.affine(cost, 1.0, price), table)


def _refined(ops: Any, middle: Any, others: Sequence[Any], ways: list[Any], level: int) -> list[Any]:
    """The motion of both neighbours, following the slopes once."""
    before, after = (moved(ops, other, way, level) for other, way in zip(others, ways, strict=True))
    return [
        _bounded(ops, ops.add(way, _step(ops, middle, there, help, way)), level)
        for way, there, help in ((ways[0], before, after), (ways[1], after, before))
    ]


def _step(ops: Any, middle: Any, there: Any, help: Any, way: Any) -> Any:
    """How much farther to go [N, 2, h, w], a pixel and a half at most each way.

    Args:
        ops: where to compute.
        middle, there, help: [N, 1, h, w] the frame, the neighbour as it lies in it, and the other neighbour so.
        way: [N, 2, h, w] the motion so far.
    """
    differs, apart = ops.subtract(there, middle), ops.subtract(there, help)
    strange, usual = (ops.mean_around(ops.multiply(one, one), 1, 1) for one in (differs, apart))
    usual = ops.affine(usual, 1.0, USUAL**2)
    trust = ops.divide(usual, ops.add(usual, strange))
    trust = ops.multiply(trust, trust)
    slopes = ops.affine(_near(ops, ops.add(middle, there), _SLOPES), 0.5, 0.0)
    trusted = ops.multiply(slopes, trust)
    down, right = (ops.channels(slopes, at, at + 1) for at in (0, 1))
    products = ops.concat([ops.multiply(trusted, one) for one in (down, right, differs)])
    products = ops.mean_around(products, SPREAD, SPREAD)
    yy, xy, _, xx, y, x = (ops.channels(products, at, at + 1) for at in range(6))
    bends = ops.sum_channels(ops.absolute(_near(ops, way, _SLOPES_OF_BOTH)))
    holds = ops.divide(ops.affine(bends, 0.0, SMOOTH * BREAK), ops.affine(bends, 1.0, BREAK))
    weights = _near(ops, holds, _BETWEEN)
    total = ops.sum_channels(weights)
    yy, xx = ops.add(yy, total), ops.add(xx, total)
    whole = ops.subtract(ops.multiply(yy, xx), ops.multiply(xy, xy))
    farther = ops.affine(way, 0.0, 0.0)
    for _ in range(SOLVED):
        beside = _near(ops, ops.add(way, farther), _SIDES_OF_BOTH)
        pulls = []
        for at, force in enumerate((y, x)):
            mean = ops.sum_channels(ops.multiply(weights, ops.channels(beside, 4 * at, 4 * at + 4)))
            here = ops.multiply(total, ops.channels(way, at, at + 1))
            pulls.append(ops.subtract(ops.subtract(mean, here), force))
        rows = ops.subtract(ops.multiply(xx, pulls[0]), ops.multiply(xy, pulls[1]))
        columns = ops.subtract(ops.multiply(yy, pulls[1]), ops.multiply(xy, pulls[0]))
        farther = ops.divide(ops.concat([rows, columns]), whole)
    return ops.at_most(ops.at_least(farther, -FARTHEST), FARTHEST)


def _as_beside(
    ops: Any, middle: Any, others: Sequence[Any], ways: list[Any], level: int, distance: int, limit: float
) -> list[Any]:
    """The motion, or that of a place ``distance`` away where it explains a pixel better."""
    over = [moved(ops, other, way, level) for other, way in zip(others, ways, strict=True)]

    def better(other: Any, way: Any, there: Any, help: Any) -> Any:
        def cost(there: Any) -> Any:
            dirt = ops.affine(_differs(ops, there, help, limit), 1.0, DIRT_PRICE * limit)
            return ops.mean_around(ops.smaller(_differs(ops, middle, there, limit), dirt), NARROW, NARROW)

        best, least = way, cost(there)
        for rows, columns in ((distance, 0), (-distance, 0), (0, distance), (0, -distance)):
            found = ops.shift(way, rows, columns)
            price = cost(moved(ops, other, found, level))
            gain = ops.subtract(least, price)
            best = ops.choose(gain, BESIDE_PRICE * limit, found, best)
            least = ops.choose(gain, BESIDE_PRICE * limit, price, least)
        return best

    return [better(others[0], ways[0], over[0], over[1]), better(others[1], ways[1], over[1], over[0])]


def _near(ops: Any, x: Any, kernels: Array) -> Any:
    """``x`` under kernels of 3 × 3 pixels; edges repeated."""
    return ops.convolve(ops.pad_edges(x, 1, 1), kernels, pad=False)


def _differs(ops: Any, a: Any, b: Any, limit: float) -> Any:
    return ops.at_most(ops.absolute(ops.subtract(a, b)), limit)


def _bounded(ops: Any, way: Any, level: int) -> Any:
    most = float(_most(level))
    return ops.at_most(ops.at_least(way, -most), most)


def _most(level: int) -> int:
    """The most that anything is found to move, in pixels of a level."""
    return MOST // 2**level
