"""Where each pixel of a frame is a frame before, and a frame after: block matching that damage does not mislead.

Coarse to fine on a pyramid of luma without its local mean (so a change of exposure is no motion). Down to half the
resolution both neighbours are searched together, as if motion went straight on; then each on its own, for film weaves
from frame to frame and things speed up, and takes over what was found beside where that fits better (as PatchMatch of
Barnes et al., SIGGRAPH 2009, does). A pixel is explained where the frame is like its neighbours, or, for a price,
where the neighbours are like each other and only the frame itself is not: that is what dirt does, and no block is drawn
to something that happens to look like the dirt. Differences count up to a limit (the robust matching of Black &
Anandan, "The robust estimation of multiple motions", 1996).

Motion is bounded by construction, and pictures are moved by whole pixels and mixed, so tiles give the same numbers as
the whole frame. Everything here is fixed: nothing is learnt, no gradient is needed.
"""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]

LEVELS = 3
MULTIPLE = 2**LEVELS
TOGETHER = (0, 1, 2, 4)
"""Steps searched around what the coarser level found, both neighbours together, in pixels of each level: full
resolution first."""
ALONE = (1, 1, 0, 0)
"""The same, each neighbour on its own."""
AROUND = (4, 4, 3, 2)
"""Half the side of the blocks that are compared, in pixels of each level."""
SURROUND = (4, 4, 4, 3)
"""Half the side of the square whose mean is taken off, in pixels of each level."""
STEP_PRICE = 0.08
"""What a step away from the coarser level's answer must gain, as a share of the limit."""
DIRT_PRICE = (0.5, 0.5, 1.0, 2.0)
"""What it costs to take the frame itself for damaged, as a share of the limit: nothing is gained by it from twice the
limit on, where blocks are much larger than dirt."""
BESIDE, NARROW = 4, 2
"""What was found so many pixels away is tried too, on blocks of so many pixels around: edges of things that move."""
BESIDE_PRICE = 0.02
"""What another place's motion must gain, as a share of the limit."""
EVEN = 0.01
"""A bend of the squared cost, as a share of the limit's square, that says nothing about fractions of a pixel."""


def bound(level: int = 0) -> int:
    """The most that anything is found to move, in pixels of a level."""
    reach = [a + b for a, b in zip(TOGETHER, ALONE, strict=True)]
    return int(sum(steps * 2 ** (at - level) for at, steps in enumerate(reach) if at >= level)) + 1


def pyramid(ops: Any, luma: Any) -> list[Any]:
    """Luma [N, 1, H, W] without its local mean at full resolution and at 1/2, 1/4, 1/8; H and W multiples of 8."""
    levels = [luma]
    for _ in range(LEVELS):
        levels.append(ops.shrink(levels[-1]))
    return [
        ops.subtract(level, ops.mean_around(level, reach, reach)) for level, reach in zip(levels, SURROUND, strict=True)
    ]


def motion(ops: Any, before: list[Any], middle: list[Any], after: list[Any], limit: float) -> tuple[Any, Any]:
    """Where each pixel of the middle frame is in the frame before and in the frame after.

    Args:
        ops: where to compute (:mod:`wetgate.training.operations`).
        before, middle, after: of :func:`pyramid`.
        limit: differences count up to this, in display values.

    Returns:
        Two [N, 2, H, W]: rows and columns to go, to a fraction of a pixel.
    """
    ahead = back = None
    for level in reversed(range(LEVELS + 1)):
        frames = before[level], middle[level], after[level]
        if ahead is not None:
            ahead, back = (ops.repeat(ops.affine(one, 2.0, 0.0)) for one in (ahead, back))
        if TOGETHER[level]:
            ahead, back = _together(ops, frames, ahead, back, level, limit)
        if ALONE[level]:
            first, last = (ops.displace(*one, bound(level)) for one in ((frames[0], back), (frames[2], ahead)))
            back = _alone(ops, frames[1], frames[0], last, back, level, limit)
            ahead = _alone(ops, frames[1], frames[2], first, ahead, level, limit)
        if level < LEVELS:
            back, ahead = _beside(ops, frames, ahead, back, level, limit)
    first, last = (ops.displace(*one, bound()) for one in ((before[0], back), (after[0], ahead)))
    return (
        ops.add(back, _fraction(ops, middle[0], before[0], last, back, limit)),
        ops.add(ahead, _fraction(ops, middle[0], after[0], first, ahead, limit)),
    )


def moved(ops: Any, picture: Any, motion: Any) -> Any:
    """``picture`` [N, C, H, W] as it lies in the middle frame: the mixture of the four pixels around each place."""
    whole = ops.floor(motion)
    part = ops.subtract(motion, whole)
    down, right = ops.channels(part, 0, 1), ops.channels(part, 1, 2)
    most = bound() + 1
    corners = [[ops.displace(picture, ops.affine(whole, 1.0, _step(y, x)), most) for x in (0, 1)] for y in (0, 1)]
    rows = [_between(ops, left, other, right) for left, other in corners]
    return _between(ops, rows[0], rows[1], down)


def _together(ops: Any, frames: tuple[Any, Any, Any], ahead: Any, back: Any, level: int, limit: float) -> Any:
    """The motion of both neighbours, a common step further."""
    before, middle, after = frames
    steps = _steps(TOGETHER[level])
    first = _at(ops, before, back, [(-y, -x) for y, x in steps], level)
    last = _at(ops, after, ahead, steps, level)
    like = ops.add(_differs(ops, middle, first, limit), _differs(ops, middle, last, limit))
    dirt = ops.affine(_differs(ops, first, last, limit), 1.0, DIRT_PRICE[level] * limit)
    best = _cheapest(ops, ops.smaller(like, dirt), steps, level, limit)
    if ahead is None:
        return best, ops.affine(best, -1.0, 0.0)
    return ops.add(ahead, best), ops.subtract(back, best)


def _alone(ops: Any, middle: Any, other: Any, help: Any, start: Any, level: int, limit: float) -> Any:
    """The motion of one neighbour, a step further; ``help`` is the other one as it lies in the middle frame."""
    steps = _steps(ALONE[level])
    cost = _explained(ops, middle, _at(ops, other, start, steps, level), help, level, limit)
    return ops.add(start, _cheapest(ops, cost, steps, level, limit))


def _beside(ops: Any, frames: tuple[Any, Any, Any], ahead: Any, back: Any, level: int, limit: float) -> tuple[Any, Any]:
    """The motion back and ahead, or that of a place beside where it explains a pixel better."""
    before, middle, after = frames
    first, last = (ops.displace(*one, bound(level)) for one in ((before, back), (after, ahead)))

    def better(other: Any, way: Any, there: Any, help: Any) -> Any:
        def cost(there: Any) -> Any:
            return ops.mean_around(_explained(ops, middle, there, help, level, limit), NARROW, NARROW)

        best, least = way, cost(there)
        for rows, columns in ((BESIDE, 0), (-BESIDE, 0), (0, BESIDE), (0, -BESIDE)):
            found = ops.shift(way, rows, columns)
            there = cost(ops.displace(other, found, bound(level)))
            gain = ops.subtract(least, there)
            best = ops.choose(gain, BESIDE_PRICE * limit, found, best)
            least = ops.choose(gain, BESIDE_PRICE * limit, there, least)
        return best

    return better(before, back, first, last), better(after, ahead, last, first)


def _fraction(ops: Any, middle: Any, other: Any, help: Any, found: Any, limit: float) -> Any:
    """Up to half a pixel, to the foot of a parabola through squared costs at the place and on either side of it."""
    beside = [(1, 0), (-1, 0), (0, 1), (0, -1)]
    cost = _explained(ops, middle, _at(ops, other, found, [(0, 0), *beside], 0), help, 0, limit)
    squared = ops.mean_around(ops.multiply(cost, cost), AROUND[0], AROUND[0])
    here = ops.channels(squared, 0, 1)
    parts = []
    for at in (1, 3):
        more, less = ops.channels(squared, at, at + 1), ops.channels(squared, at + 1, at + 2)
        bend = ops.affine(ops.subtract(ops.add(more, less), ops.add(here, here)), 1.0, EVEN * limit**2)
        share = ops.divide(ops.affine(ops.subtract(less, more), 0.5, 0.0), ops.at_least(bend, EVEN * limit**2))
        parts.append(ops.at_most(ops.at_least(share, -0.5), 0.5))
    return ops.concat(parts)


def _at(ops: Any, picture: Any, start: Any, steps: list[tuple[int, int]], level: int) -> Any:
    """``picture`` [N, 1, h, w] at ``start`` and each of the steps, [N, K, h, w]."""
    reach = max(max(abs(y), abs(x)) for y, x in steps)
    chosen = np.zeros((len(steps), 1, 2 * reach + 1, 2 * reach + 1), np.float32)
    for at, (y, x) in enumerate(steps):
        chosen[at, 0, reach + y, reach + x] = 1
    stepped = ops.convolve(ops.pad_edges(picture, reach, reach), chosen, pad=False)
    return stepped if start is None else ops.displace(stepped, start, bound(level))


def _differs(ops: Any, a: Any, b: Any, limit: float) -> Any:
    return ops.at_most(ops.absolute(ops.subtract(a, b)), limit)


def _explained(ops: Any, middle: Any, there: Any, help: Any, level: int, limit: float) -> Any:
    dirt = ops.affine(_differs(ops, there, help, limit), 1.0, DIRT_PRICE[level] * limit)
    return ops.smaller(_differs(ops, middle, there, limit), dirt)


def _cheapest(ops: Any, cost: Any, steps: list[tuple[int, int]], level: int, limit: float) -> Any:
    """The step [N, 2, h, w] whose cost [N, K, h, w] is least over a block; short steps are cheaper."""
    table = np.array(steps, np.float32)
    price = STEP_PRICE * limit * np.hypot(table[:, 0], table[:, 1])[:, None, None].astype(np.float32)
    around = ops.mean_around(cost, AROUND[level], AROUND[level])
    return ops.of_least(ops.affine(around, 1.0, price), table)


def _steps(reach: int) -> list[tuple[int, int]]:
    """All steps of a square, the shortest first: of equal costs the first one counts."""
    square = [(y, x) for y, x in itertools.product(range(-reach, reach + 1), repeat=2)]
    return sorted(square, key=lambda step: (np.hypot(*step), step))


def _between(ops: Any, a: Any, b: Any, share: Any) -> Any:
    return ops.add(a, ops.multiply(ops.subtract(b, a), share))


def _step(rows: int, columns: int) -> Array:
    return np.array([rows, columns], np.float32)[:, None, None]
