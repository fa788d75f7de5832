"""Aligning two sequences in order, where either may lack or repeat frames.

A hidden Markov model: every scan frame shows one reference frame or none of them, and the reference never goes
back. Going on by one is free; passing over reference frames costs what each has that its neighbours lack, or a
fixed amount for any number of them (a shot that the scan lacks); showing the same frame again, or none, has its cost
too; where both sequences begin and end is free. Forward and backward sums (Rabiner, Proc. IEEE 77, 1989) give the
probability of every pairing. Time and memory grow with the area of the band of reference frames that come into
question for each scan frame, not with the product of the lengths.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]

REPEAT = 9.0
REPEAT_OF_COPY = 2.0
NONE = 5.0
JUMP = 12.0
"""Negative logarithms of the odds against going on by one."""


@dataclass(frozen=True)
class Row:
    """Values of one scan frame for the reference frames from index ``first`` on."""

    first: int
    values: Values

    @property
    def end(self) -> int:
        return self.first + len(self.values)


def probabilities(costs: Sequence[Row], passing: Values, repeating: Values, advancing: Values) -> list[Row]:
    """The probability that a scan frame shows a reference frame, given all costs; what lacks to 1 is "none of them".

    Args:
        costs: per scan frame, negative log likelihoods for a band of reference frames; starts and ends of the bands
            never go back.
        passing: [M] what passing over each reference frame costs.
        repeating: [N] what showing the same as the scan frame before costs.
        advancing: [M] what showing the reference frame after the one that the scan frame before showed costs: nothing,
            but where that is a copy of the one before it.
    """
    forward, total = _swept(costs, passing, repeating, advancing)
    turned = [Row(len(passing) - row.end, row.values[::-1]) for row in reversed(costs)]
    backward, _ = _swept(turned, passing[::-1], np.roll(repeating[::-1], 1), np.roll(advancing[::-1], 1))
    return [
        Row(row.first, np.exp(np.minimum(ahead + behind[::-1] - row.values - total, 0)))
        for row, ahead, behind in zip(costs, forward, reversed(backward), strict=True)
    ]


def best_path(gains: Sequence[Row]) -> list[int | None]:
    """The reference index of each scan frame, never going back, with the highest sum of gains; None gains nothing."""
    reached: list[Row] = []
    for row in gains:
        before = _looked_up(reached[-1], row.first, row.end) if reached else np.zeros(len(row.values))
        reached.append(Row(row.first, np.maximum.accumulate(before + np.maximum(row.values, 0))))
    path: list[int | None] = [None] * len(gains)
    at = gains[-1].end - 1 if gains else 0
    for index in range(len(gains) - 1, -1, -1):
        row = reached[index]
        best = _looked_up(row, at, at + 1)[0]
        if best > (_looked_up(reached[index - 1], at, at + 1)[0] if index else 0.0):
            at = path[index] = row.first + int(np.searchsorted(row.values, best))
    return path


def _looked_up(row: Row, first: int, end: int) -> Values:
    """Of values that never fall and stay what they are beyond their end."""
    return row.values[np.clip(np.arange(first, end) - row.first, 0, len(row.values) - 1)]


def _swept(costs: Sequence[Row], passing: Values, repeating: Values, advancing: Values) -> tuple[list[Values], float]:
    """Log sums over all beginnings: per row, without the row's own costs; and over all whole alignments."""
    passed = np.concatenate([[0.0], np.cumsum(passing)])
    sums: list[Values] = []
    first, matched, missing = costs[0].first, np.empty(0), np.empty(0)
    unstarted, left_behind, left_behind_adjusted = 0.0, -np.inf, -np.inf
    for row, repeat in zip(costs, repeating, strict=True):
        either = np.logaddexp(matched, missing)
        places = np.arange(first, first + len(either))
        onward = _prefixes(left_behind_adjusted, either + passed[places + 1])
        jumping = _prefixes(left_behind, either)
        where = np.clip(np.arange(row.first, row.end) - first, 0, len(either) + 1)
        passing_by = onward[np.maximum(where - 1, 0)] - passed[row.first : row.end]
        jumping_to = jumping[np.minimum(where, len(either))] - JUMP
        going_on = np.concatenate([[-np.inf], either, [-np.inf]])[where] - advancing[row.first : row.end]
        arriving = np.logaddexp(np.logaddexp(passing_by, going_on), jumping_to)
        kept = max(0, min(len(either), row.end - first) - (row.first - first))
        again = np.full(len(row.values), -np.inf)
        again[:kept] = np.logaddexp(matched - repeat, missing - REPEAT)[len(either) - kept :]
        arriving = np.logaddexp(np.logaddexp(arriving, again), unstarted)

        rest = either - NONE
        dropped, stays = rest[: len(rest) - kept], rest[len(rest) - kept :]
        adjusted = dropped + passed[places[: len(dropped)] + 1]
        left_behind = np.logaddexp.reduce(dropped, initial=left_behind - NONE)
        left_behind_adjusted = np.logaddexp.reduce(adjusted, initial=left_behind_adjusted - NONE)
        missing = np.concatenate([stays, np.full(len(row.values) - kept, -np.inf)])
        matched = arriving - row.values
        unstarted -= NONE
        first = row.first
        sums.append(arriving)
    last = np.concatenate([matched, missing, [left_behind, unstarted]])
    return sums, float(np.logaddexp.reduce(last))


def _prefixes(start: float, values: Values) -> Values:
    """Log sums of ``start`` and the first 0, 1, ... of ``values``."""
    sums: Values = np.logaddexp.accumulate(np.concatenate([[start], values]))
    return sums
