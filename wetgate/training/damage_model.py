"""The damage model: what happens to a frame and its neighbours between `frames` and `restored`, written once.

Neighbours are laid over the frame (:mod:`wetgate.training.motion`) and matched to its exposure. One network finds
damage: what the frame shows and its neighbours do not (the spike of Kokaram, "Motion Picture Restoration", 1998, in
learnt form), and what keeps its place on the screen while the picture moves, as scratches do. Damage found, or the
artist's mask, makes a hole. A second network fills it from the neighbours, from a picture that closes the hole from
its rim, and from what still shines through. A pixel outside the mask is the scan's own, bit for bit.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wetgate.onnx_model import DAMAGE
from wetgate.training import motion, residual_net
from wetgate.training.color_model import LUMA
from wetgate.training.density import from_density, to_density, to_values

Array = NDArray[np.float32]

LEAST, MOST = 1e-3, 1.5
"""Display values that are told apart: what is darker or lighter is seen as this."""
LIMIT = 0.1
"""In display values: how far a difference counts where exposures and motion are measured."""
GAIN = 10.0
"""Networks see differences times this: their spread is then nearer to 1."""
TELLING = 0.3
"""Larger differences of display values tell a network no more than this does."""
START, MOST_START = (60.0, -3.0), 3.0
"""Gain and offset by which the spike, in display values, becomes the logit that the finding network starts from, and
the most that it says."""
LINES = (4, 24)
"""Rows above and below over which vertical lines are summed."""
FILLING_LEVELS = 3
RIM = 2
"""Pixels around a hole that are not trusted either when it is closed from its rim."""
MULTIPLE = 2**FILLING_LEVELS
FINDING_WIDTHS = (16, 24, 40)
FILLING_WIDTHS = (16, 32)

_BAND = 3


@dataclass(frozen=True)
class DamageModel:
    """All numbers of a damage model.

    Attributes:
        encoding: of the frames: "display", "linear" or "log".
        radius: frames before and after, 1 or 2.
        finding, filling: weights of the two networks by name.
        threshold: of the finding network's answer, from which a pixel is damage.
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
        lines: vertical lines in the middle frame, and at the same place of the screen in the nearest neighbours.
    """

    frame: Any
    neighbours: tuple[Any, ...]
    lines: Any


def initial_weights(radius: int, seed: int) -> tuple[dict[str, Array], dict[str, Array]]:
    """Of the finding and of the filling network."""
    finding = residual_net.initial_weights(4 + 10 * radius + 3 * len(LINES), 1, seed, FINDING_WIDTHS)
    filling = residual_net.initial_weights(8 + 9 * radius, 3 + 1 + 2 * radius, seed + 1, FILLING_WIDTHS)
    return finding, filling


def forward(ops: Any, frames: Any, model: DamageModel) -> Any:
    """The middle frame repaired [N, 3, H, W], of frames [N, 3 * (2 radius + 1), H, W] in ``model.encoding``.

    Where to repair may be told by the model's second input ``damage`` (:mod:`wetgate.onnx_model`).
    """
    told = ops.optional_input(DAMAGE, -1.0, frames)
    middle = ops.channels(frames, 3 * model.radius, 3 * model.radius + 3)
    seen = see(ops, to_display_values(ops, ops.pad_to_multiple(frames, MULTIPLE), model.encoding), model.radius)
    found = ops.affine(ops.crop_like(find(ops, seen, model.finding), frames), 1.0, 0.5 - model.threshold)
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
            neighbours.append(_as_exposed(ops, motion.moved(ops, window[at], way), middle))
    lines = [line for at in (radius, radius - 1, radius + 1) for line in _lines(ops, lumas[at])]
    return Seen(middle, tuple(neighbours), ops.concat(lines))


def find(ops: Any, seen: Seen, weights: dict[str, Any]) -> Any:
    """How much speaks for damage [N, 1, H, W], a logit; from which on a pixel is damaged is the model's threshold.

    The network adds to what the classical detector says, so it starts from that.
    """
    local = ops.subtract(seen.frame, _surround(ops, seen.frame))
    parts = [_told(ops, local), ops.affine(luma(ops, seen.frame), 1.0, -0.5)]
    spikes = []
    for before, after in zip(seen.neighbours[::2], seen.neighbours[1::2], strict=True):
        first, last = (ops.subtract(seen.frame, one) for one in (before, after))
        spike, apart = _spike(ops, first, last), ops.absolute(ops.subtract(before, after))
        a, b = luma(ops, first), luma(ops, last)
        lighter, darker = ops.at_least(ops.smaller(a, b), 0.0), ops.at_most(ops.larger(a, b), 0.0)
        spikes.append(ops.most_of_channels(ops.subtract(spike, ops.affine(apart, 0.5, 0.0))))
        parts += [_told(ops, one) for one in (first, last, luma(ops, apart), lighter, darker, spikes[-1])]
    parts.append(ops.affine(seen.lines, 2 * GAIN, 0.0))
    start = ops.affine(spikes[0], *START)
    start = ops.at_most(ops.at_least(start, -MOST_START), MOST_START)
    return ops.add(start, residual_net.apply(ops, ops.concat(parts), weights))


def fill(ops: Any, seen: Seen, hole: Any, weights: dict[str, Any]) -> Any:
    """Display values [N, 3, H, W] for the places where ``hole`` [N, 1, H, W] is 1; elsewhere they mean nothing."""
    wide = ops.mean_around(hole, RIM, RIM)
    nothing = ops.affine(hole, 0.0, 0.0)
    known = ops.choose(wide, 1e-3, nothing, ops.affine(nothing, 1.0, 1.0))
    mean = ops.affine(ops.add(seen.neighbours[0], seen.neighbours[1]), 0.5, 0.0)
    closed = _closed(ops, seen.frame, known, mean)
    surround = _surround(ops, closed)
    parts = [ops.affine(hole, 1.0, -0.5), ops.affine(known, 1.0, -0.5)]
    parts += [_told(ops, ops.subtract(one, surround)) for one in (seen.frame, closed)]
    pairs = list(zip(seen.neighbours[::2], seen.neighbours[1::2], strict=True))
    for before, after in pairs:
        parts += [_told(ops, ops.subtract(one, closed)) for one in (before, after)]
        parts.append(_told(ops, ops.absolute(luma(ops, ops.subtract(before, after)))))
        parts += [_told(ops, _mismatch(ops, seen.frame, one, known)) for one in (before, after)]
    answer = residual_net.apply(ops, ops.concat(parts), weights)
    choices = [closed, *seen.neighbours]
    shares = ops.softmax(ops.channels(answer, 3, 3 + len(choices)))
    filled = ops.affine(ops.channels(answer, 0, 3), 1 / GAIN, 0.0)
    for at, choice in enumerate(choices):
        filled = ops.add(filled, ops.multiply(choice, ops.channels(shares, at, at + 1)))
    return filled


def _told(ops: Any, difference: Any) -> Any:
    """A difference of display values as networks see it."""
    return ops.affine(ops.at_most(ops.at_least(difference, -TELLING), TELLING), GAIN, 0.0)


def luma(ops: Any, values: Any) -> Any:
    """[N, 1, H, W] of [N, 3, H, W]."""
    return ops.convolve(values, LUMA[None, :, None, None])


def _as_exposed(ops: Any, neighbour: Any, middle: Any) -> Any:
    """The neighbour at the local exposure of the middle frame; what differs much is no exposure and counts little."""
    differs = ops.at_most(ops.at_least(ops.subtract(middle, neighbour), -LIMIT), LIMIT)
    coarse = ops.mean_around(ops.shrink(ops.shrink(differs)), 4, 4)
    return ops.add(neighbour, ops.enlarge(ops.enlarge(coarse)))


def _surround(ops: Any, values: Any) -> Any:
    return ops.enlarge(ops.enlarge(ops.mean_around(ops.shrink(ops.shrink(values)), 2, 2)))


def _lines(ops: Any, luma: Any) -> list[Any]:
    """How much lighter than what is left and right of it a vertical line is, over some rows and over many."""
    stands_out = ops.subtract(luma, ops.mean_around(luma, 0, _BAND))
    stands_out = ops.at_most(ops.at_least(stands_out, -LIMIT), LIMIT)
    return [ops.mean_around(stands_out, rows, 0) for rows in LINES]


def _spike(ops: Any, first: Any, last: Any) -> Any:
    """The smaller of two differences where both are of one sign, else 0."""
    lighter = ops.at_least(ops.smaller(first, last), 0.0)
    return ops.subtract(lighter, ops.at_most(ops.larger(first, last), 0.0))


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
