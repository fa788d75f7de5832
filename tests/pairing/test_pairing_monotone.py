"""Probabilities and paths against the sum over all alignments, one by one."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from wetgate.pairing.monotone import JUMP, NONE, REPEAT, Row, best_path, probabilities


def problem(seed):
    random = np.random.default_rng(seed)
    scan, reference = int(random.integers(1, 5)), int(random.integers(1, 6))
    first = np.sort(random.integers(0, reference, scan))
    end = np.maximum(np.sort(random.integers(1, reference + 1, scan)), first + 1)
    costs = [Row(int(a), random.uniform(-3, 8, b - a)) for a, b in zip(first, end, strict=True)]
    return costs, random.uniform(0, 3, reference), random.uniform(0, 3, scan), random.uniform(0, 3, reference)


def alignments(rows):
    """All choices of a reference frame or None per row that never go back."""
    for choice in itertools.product(*[[None, *range(row.first, row.end)] for row in rows]):
        shown = [at for at in choice if at is not None]
        if shown == sorted(shown):
            yield choice


def likelihood(choice, costs, passing, repeating, advancing):
    weight, last = 1.0, None
    for index, at in enumerate(choice):
        if at is None:
            weight *= np.exp(-NONE)
            continue
        weight *= np.exp(-costs[index].values[at - costs[index].first])
        if last == at:
            weight *= np.exp(-repeating[index] if choice[index - 1] == at else -REPEAT)
        elif last is not None:
            onward = advancing[at] if at == last + 1 else passing[last + 1 : at].sum()
            weight *= np.exp(-onward) + np.exp(-JUMP)
        last = at
    return weight


@pytest.mark.parametrize("seed", range(12))
def test_probabilities_are_the_share_of_all_alignments(seed):
    costs, *rest = problem(seed)
    if any(row.first for row in costs):
        rest[2] *= 0  # is not charged where the band has left the frame before behind
    expected = [np.zeros(len(row.values)) for row in costs]
    total = 0.0
    for choice in alignments(costs):
        weight = likelihood(choice, costs, *rest)
        total += weight
        for index, at in enumerate(choice):
            if at is not None:
                expected[index][at - costs[index].first] += weight
    for row, values in zip(probabilities(costs, *rest), expected, strict=True):
        np.testing.assert_allclose(row.values, values / total, atol=1e-9)


@pytest.mark.parametrize("seed", range(12))
def test_the_path_gains_most_and_never_goes_back(seed):
    gains = [Row(row.first, row.values / 3) for row in problem(seed)[0]]

    def gain(choice):
        return sum(row.values[at - row.first] for row, at in zip(gains, choice, strict=True) if at is not None)

    path = best_path(gains)
    shown = [at for at in path if at is not None]
    assert shown == sorted(shown)
    assert gain(path) == pytest.approx(max(map(gain, alignments(gains))))
