"""The damage model: what happens to a frame and its neighbours between `frames` and `restored`, written once.

Neighbours are laid over the frame (:mod:`wetgate.training.motion`) and matched to its exposure. One network finds
damage: what the frame shows and its neighbours do not (the spike of Kokaram, "Motion Picture Restoration", 1998, in
learnt form), and what keeps its place on the screen while the picture moves, as scratches do. Damage found, or the
artist's mask, makes a hole. A second network fills it from the neighbours, from a picture that closes the hole from
its rim, and from what still shines through. A pixel outside the mask is the scan's own, bit for bit.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wetgate.images import LUMA
from wetgate.onnx_model import DAMAGE
from wetgate.training import motion, residual_net
from wetgate.training.density import from_density, to_density, to_values
from wetgate.training.flight import FLIES, unexplained

Array = NDArray[np.float32]

LEAST, MOST = 1e-3, 1.5
"""Display values that are told apart: what is darker or lighter is seen as this."""
LIMIT = 0.1
"""In display values: how far a difference counts where exposures and motion are measured."""
EXPOSED_LEVELS, EXPOSED = 3, 8
"""How often the picture is halved where exposures are compared, and half the side of the squares compared there: much
wider than a stain, which is no exposure."""
GAIN = 10.0
"""Networks see differences times this: their spread is then nearer to 1."""
TELLING = 0.3
"""Larger differences of display values tell a network no more than this does."""
START, MOST_START = (60.0, -3.0), 3.0
"""Gain and offset by which the spike, in display values, becomes the logit that the finding network starts from, and
the most that it says."""
LINES = (4, 16, 48)
"""Rows above and below over which vertical lines are summed."""
LINE_LIMIT = 0.03
"""In display values: how far one row counts for a line, so that edges count little more than scratches."""
GROWS, LOOSER = 3, 3.0
"""Damage reaches so many pixels on from a sure find, where its logit is at most so much lower."""
NEVER = -1e3
"""The logit of what is no damage for sure."""
FILLING_LEVELS = 3
RIM = 2
"""Pixels around a hole that are not trusted either when it is closed from its rim."""
MULTIPLE = max(2**FILLING_LEVELS, motion.MULTIPLE)
FINDING_WIDTHS = (16, 24, 32)
"""Lessons of many kinds are not learnt by heart at this width; wider ones find no more in the same time, for they take
fewer steps."""
FILLING_WIDTHS = (16, 32)

LAST_CHOICE, UNLIKE = -3.0, 60.0
"""Logits from which filling starts: of the frame itself and of the closed hole, and for each display value by which a
neighbour is unlike the frame around, less of it."""

_BAND = 3
_STEP = 10
"""Channels that the finding network is told about the neighbours of one step."""


@dataclass(frozen=True)
class DamageModel:
    """All numbers of a damage model.

    Attributes:
        encoding: of the frames: "display", "linear" or "log".
        radius: frames before and after, 1 or 2.
        finding, filling: weights of the two networks by name.
        threshold: of the finding network's answer, grown, from which a pixel is damage.
    """

    encoding: str
    radius: int
    finding: dict[str, Any] = field(repr=False)
    filling: dict[str, Any] = field(repr=False)
    threshold: float = 0.0

    def with_(self, **changes: Any) -> DamageModel:
        return replace(self, **changes)


@dataclass(frozen=True)
class Seen:
    """A window as both networks see it, in display values; all [N, C, H, W].

    Attributes:
        frame: the middle frame.
        neighbours: each neighbour as it lies in the middle frame at its exposure: 1 before, 1 after, 2 before, ...
        start: the classical detector's logit, 1 channel.
        evidence: of damage, as the finding network is told it.
        screen: luma of the nearest neighbours as they lie on the screen, 2 channels.
    """

    frame: Any
    neighbours: tuple[Any, ...]
    start: Any
    evidence: Any
    screen: Any


def initial_weights(radius: int, seed: int) -> tuple[dict[str, Array], dict[str, Array]]:
    """Of the finding and of the filling network."""
    finding = residual_net.initial_weights(_told_of(radius), 1, seed, FINDING_WIDTHS)
    filling = residual_net.initial_weights(8 + 9 * radius, 3 * (3 + 2 * radius), seed + 1, FILLING_WIDTHS)
    return finding, filling


def widened(weights: Mapping[str, Array], radius: int) -> dict[str, Array]:
    """Weights of both networks for ``radius``, of those for 1, by "finding.NAME" and "filling.NAME".

    What they say of the farther neighbours is nothing yet; their finding network answers as that for 1 does.
    """
    told = [*range(_STEP), *range(_STEP * radius, _told_of(radius))]
    seen = [*range(14), 8 + 6 * radius, 8 + 7 * radius, 9 + 7 * radius]
    drawn = [*range(3), *(3 + (2 + 2 * radius) * colour + choice for colour in range(3) for choice in range(4))]
    places: dict[str, Any] = {
        "finding.down0.a.weight": np.s_[:, told],
        "filling.down0.a.weight": np.s_[:, seen],
        "filling.out.weight": drawn,
        "filling.out.bias": drawn,
    }
    fresh = dict(zip(("finding", "filling"), initial_weights(radius, 0), strict=True))
    wide = dict(weights)
    for name, place in places.items():
        net, _, layer = name.partition(".")
        wide[name] = np.zeros_like(fresh[net][layer])
        wide[name][place] = weights[name]
    return wide


def forward(ops: Any, frames: Any, model: DamageModel) -> Any:
    """The middle frame repaired [N, 3, H, W], of frames [N, 3 * (2 radius + 1), H, W] in ``model.encoding``.

    Where to repair may be told by the model's second input ``damage`` (:mod:`wetgate.onnx_model`).
    """
    told = ops.optional_input(DAMAGE, -1.0, frames)
    middle = ops.channels(frames, 3 * model.radius, 3 * model.radius + 3)
    seen = see(ops, to_display_values(ops, ops.pad_to_multiple(frames, MULTIPLE), model.encoding), model.radius)
    found = ops.crop_like(dirt(ops, seen, model.finding), frames)
    found = ops.affine(found, 1.0, 0.5 - model.threshold)
    level = ops.choose(ops.affine(told, -1.0, 0.0), 0.0, found, told)
    nowhere = ops.affine(found, 0.0, 0.0)
    hole = ops.pad_to_multiple(ops.choose(level, 0.5, ops.affine(nowhere, 1.0, 1.0), nowhere), MULTIPLE)
    filled = ops.crop_like(fill(ops, seen, hole, model.filling), frames)
    return ops.choose(level, 0.5, to_encoding(ops, filled, model.encoding), middle)


def to_display_values(ops: Any, frames: Any, encoding: str) -> Any:
    """Display values, flare included, of encoded ones, from :data:`LEAST` to :data:`MOST`."""
    return ops.at_most(ops.at_least(to_values(ops, to_density(ops, frames, encoding)), LEAST), MOST)


def to_encoding(ops: Any, values: Any, encoding: str) -> Any:
    """Encoded values of display values, flare included, from :data:`LEAST` up."""
    density = ops.affine(ops.log(ops.at_least(values, LEAST)), -1 / math.log(10), 0.0)
    return from_density(ops, density, encoding)


def see(ops: Any, values: Any, radius: int) -> Seen:
    """Lay the neighbours over the middle one of frames in display values; H and W multiples of :data:`MULTIPLE`."""
    window = [ops.channels(values, 3 * at, 3 * at + 3) for at in range(2 * radius + 1)]
    lumas = [luma(ops, one) for one in window]
    pyramids = [motion.pyramid(ops, one) for one in lumas]
    middle = window[radius]
    neighbours = []
    for step in range(1, radius + 1):
        where = motion.motion(ops, pyramids[radius - step], pyramids[radius], pyramids[radius + step], LIMIT)
        for at, way in zip((radius - step, radius + step), where, strict=True):
            neighbours.append(_as_exposed(ops, motion.moved(ops, window[at], way, colours=3), middle))
    beside = [luma(ops, window[at]) for at in (radius - 1, radius + 1)]
    return Seen(middle, tuple(neighbours), *_evidence(ops, middle, neighbours, beside), ops.concat(beside))


def find(ops: Any, seen: Seen, weights: dict[str, Any]) -> Any:
    """How much speaks for damage [N, 1, H, W], a logit.

    The network adds to what the classical detector says, so it starts from that.
    """
    return ops.add(seen.start, residual_net.apply(ops, seen.evidence, weights))


def dirt(ops: Any, seen: Seen, weights: dict[str, Any]) -> Any:
    """The logit [N, 1, H, W] of damage: what a network of ``weights`` finds, grown, and no small thing that flies."""
    before, after = ops.channels(seen.screen, 0, 1), ops.channels(seen.screen, 1, 2)
    stands_out = ops.absolute(spike(ops, *(luma(ops, ops.subtract(seen.frame, one)) for one in seen.neighbours[:2])))
    left = unexplained(ops, before, luma(ops, seen.frame), after, stands_out)
    grown = grow(ops, find(ops, seen, weights))
    return ops.choose(left, FLIES, grown, ops.affine(grown, 0.0, NEVER))


def grow(ops: Any, logit: Any) -> Any:
    """The logit [N, 1, H, W] raised to what is beside it, :data:`GROWS` times, but to :data:`LOOSER` above it at most.

    What is above a threshold then is above it by itself, or hangs together with what is and is nearly as high: the two
    thresholds of Canny ("A computational approach to edge detection", 1986), whatever they are.
    """
    most, grown = ops.affine(logit, 1.0, LOOSER), logit
    for _ in range(GROWS):
        beside = grown
        for rows, columns in ((1, 0), (0, 1)):
            sides = (ops.shift(beside, rows, columns), ops.shift(beside, -rows, -columns))
            beside = ops.larger(beside, ops.larger(*sides))
        grown = ops.larger(grown, ops.smaller(beside, most))
    return grown


def _told_of(radius: int) -> int:
    """Channels of the evidence that the finding network is told."""
    return _STEP * radius + 5 * len(LINES)


def _evidence(ops: Any, frame: Any, neighbours: Sequence[Any], beside: Sequence[Any]) -> tuple[Any, Any]:
    """The classical detector's logit, and what speaks for damage and against it, of a spread near to 1.

    Nothing of it shows the picture itself: a network that sees it learns the film's things by heart, and finds them in
    other shots.

    Args:
        ops: where to compute (:mod:`wetgate.training.operations`).
        frame: the middle frame.
        neighbours: laid over it, see :class:`Seen`.
        beside: luma of the nearest neighbours as they lie on the screen.
    """
    parts, start = [], None
    for before, after in zip(neighbours[::2], neighbours[1::2], strict=True):
        first, last = (ops.subtract(frame, one) for one in (before, after))
        stands_out = spike(ops, first, last)
        apart = ops.absolute(ops.subtract(before, after))
        rises = ops.most_of_channels(ops.subtract(ops.absolute(stands_out), ops.affine(apart, 0.5, 0.0)))
        first, last, apart = (luma(ops, one) for one in (first, last, apart))
        if start is None:
            start = ops.at_most(ops.at_least(ops.affine(rises, *START), -MOST_START), MOST_START)
        misled = ops.mean_around(ops.at_most(apart, LIMIT), 4, 4)
        least = ops.smaller(ops.absolute(first), ops.absolute(last))
        rough = ops.mean_around(ops.at_most(least, 0.5 * LIMIT), 8, 8)
        times = ops.divide(ops.most_of_channels(ops.absolute(stands_out)), ops.affine(misled, 1.0, 0.01))
        parts += [_told(ops, one) for one in (stands_out, first, last, apart, rises)]
        parts += [ops.affine(ops.at_most(times, 12.0), 0.25, 0.0)]
        parts += [ops.affine(misled, 40.0, -1.0), ops.affine(rough, 60.0, -1.0)]
    lines = [line for one in (frame, *beside) for line in _lines(ops, one)]
    return start, ops.concat([*parts, *(ops.affine(line, 40.0, 0.0) for line in lines)])


def fill(ops: Any, seen: Seen, hole: Any, weights: dict[str, Any]) -> Any:
    """Display values [N, 3, H, W] for the places where ``hole`` [N, 1, H, W] is 1; elsewhere they mean nothing.

    For each colour a mixture of the frame itself, of a picture that closes the hole from its rim and of each neighbour,
    and a residual. It starts as the mean of the neighbours, more of the one that is like the frame around the hole.
    """
    wide = ops.mean_around(hole, RIM, RIM)
    nothing = ops.affine(hole, 0.0, 0.0)
    known = ops.choose(wide, 1e-3, nothing, ops.affine(nothing, 1.0, 1.0))
    mean = ops.affine(ops.add(seen.neighbours[0], seen.neighbours[1]), 0.5, 0.0)
    closed = _closed(ops, seen.frame, known, mean)
    choices = [seen.frame, closed, *seen.neighbours]
    unlike = [_mismatch(ops, seen.frame, one, known) for one in seen.neighbours]
    start = [ops.affine(nothing, 1.0, LAST_CHOICE)] * 2 + [ops.affine(one, -UNLIKE, 0.0) for one in unlike]
    parts = [ops.affine(hole, 1.0, -0.5), ops.affine(known, 1.0, -0.5)]
    parts += [_told(ops, ops.subtract(one, mean)) for one in choices]
    for before, after in zip(seen.neighbours[::2], seen.neighbours[1::2], strict=True):
        parts.append(_told(ops, luma(ops, ops.absolute(ops.subtract(before, after)))))
    parts += [_told(ops, one) for one in unlike]
    answer = residual_net.apply(ops, ops.concat(parts), weights)
    colours = []
    for colour in range(3):
        first = 3 + colour * len(choices)
        shares = ops.softmax(ops.add(ops.channels(answer, first, first + len(choices)), ops.concat(start)))
        filled = ops.affine(ops.channels(answer, colour, colour + 1), 1 / GAIN, 0.0)
        for at, choice in enumerate(choices):
            share = ops.channels(shares, at, at + 1)
            filled = ops.add(filled, ops.multiply(ops.channels(choice, colour, colour + 1), share))
        colours.append(filled)
    return ops.concat(colours)


def _told(ops: Any, difference: Any) -> Any:
    """A difference of display values as networks see it."""
    return ops.affine(ops.at_most(ops.at_least(difference, -TELLING), TELLING), GAIN, 0.0)


def luma(ops: Any, values: Any) -> Any:
    """[N, 1, H, W] of [N, 3, H, W]."""
    return ops.convolve(values, LUMA[None, :, None, None])


def _as_exposed(ops: Any, neighbour: Any, middle: Any) -> Any:
    """The neighbour at the local exposure of the middle frame; what differs much is no exposure and counts little."""
    differs = ops.at_most(ops.at_least(ops.subtract(middle, neighbour), -LIMIT), LIMIT)
    for _ in range(EXPOSED_LEVELS):
        differs = ops.shrink(differs)
    differs = ops.mean_around(differs, EXPOSED, EXPOSED)
    for _ in range(EXPOSED_LEVELS):
        differs = ops.enlarge(differs)
    return ops.add(neighbour, differs)


def _lines(ops: Any, picture: Any) -> list[Any]:
    """How much lighter than what is left and right of it a vertical line is, over some rows and over many."""
    stands_out = ops.subtract(picture, ops.mean_around(picture, 0, _BAND))
    stands_out = ops.at_most(ops.at_least(stands_out, -LINE_LIMIT), LINE_LIMIT)
    return [ops.mean_around(stands_out, rows, 0) for rows in LINES]


def spike(ops: Any, first: Any, last: Any) -> Any:
    """The smaller of two differences where both are of one sign, with that sign, else 0."""
    lighter = ops.at_least(ops.smaller(first, last), 0.0)
    return ops.add(lighter, ops.at_most(ops.larger(first, last), 0.0))


def _mismatch(ops: Any, frame: Any, neighbour: Any, known: Any) -> Any:
    """How unlike the frame a neighbour is around here, [N, 1, H, W], where the frame is known."""
    differs = ops.multiply(ops.absolute(luma(ops, ops.subtract(frame, neighbour))), known)
    total, mass = (ops.mean_around(one, 6, 6) for one in (differs, known))
    return ops.divide(total, ops.affine(mass, 1.0, 0.02))


def _closed(ops: Any, frame: Any, known: Any, otherwise: Any) -> Any:
    """``frame`` with what is not known filled from its rim, coarse to fine; ``otherwise`` where the rim is far.

    Pull and push (Gortler et al., "The lumigraph", SIGGRAPH 1996): means of what is known at each coarser level fill
    what the finer one lacks.
    """
    sums, masses = [ops.multiply(frame, known)], [known]
    for _ in range(FILLING_LEVELS):
        sums.append(ops.shrink(sums[-1]))
        masses.append(ops.shrink(masses[-1]))
        otherwise = ops.shrink(otherwise)
    filled = _mean(ops, sums[-1], masses[-1], otherwise, 1e-3)
    for total, mass in zip(sums[-2::-1], masses[-2::-1], strict=True):
        filled = _mean(ops, total, mass, ops.enlarge(filled), 1e-2)
    return filled


def _mean(ops: Any, total: Any, mass: Any, otherwise: Any, weight: float) -> Any:
    """A mean to which ``otherwise`` counts as much as ``weight`` of a known pixel."""
    return ops.divide(ops.add(total, ops.affine(otherwise, weight, 0.0)), ops.affine(mass, 1.0, weight))
