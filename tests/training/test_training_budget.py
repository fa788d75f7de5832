"""How long a network is trained."""

from __future__ import annotations

import time

from wetgate.training.budget import LEAST_STEPS, Budget
from wetgate.training.loop import State


def test_steps_are_those_of_the_network_that_is_kept():
    budget = Budget(time.monotonic(), None, 100)
    assert budget.of_final() == 100
    assert budget.fraction(State(step=50, seconds=1e9), 100) == 0.5
    assert 0 < 3 * budget.of_judging(3) < 100


def test_time_that_was_spent_before_leaves_a_handful_of_steps():
    budget = Budget(time.monotonic() - 60, 10.0, None)
    assert budget.of_final() == 0
    fractions = [budget.fraction(State(step=step, seconds=step), 0) for step in range(LEAST_STEPS + 1)]
    assert fractions == sorted(fractions) and fractions[-2] < 1 == fractions[-1]


def test_a_handful_that_was_slow_is_all():
    budget = Budget(time.monotonic(), 10.0, None)
    assert budget.fraction(State(step=LEAST_STEPS - 1, seconds=100), 8.0) < 1
    assert budget.fraction(State(step=LEAST_STEPS, seconds=100), 8.0) == 1
    assert budget.fraction(State(step=1000, seconds=4), 8.0) == 0.5
