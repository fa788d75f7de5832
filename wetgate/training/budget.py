"""How long a training may take, in wall time or in steps, and what of it each job gets."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from wetgate.training.loop import State

JUDGING_SHARE = 0.2
"""Of the time, and as much on top of the steps: for the jobs that only find out, on held-out pairs, how much context
is worth."""
LARGE_FROM_S, LARGE_FROM_STEPS = 120.0, 3000
"""From here on there is time to try a larger network against the small one."""
SMALL, LARGE = 16, 32
LEAST_STEPS = 5
"""Of each network, even where preparing took all the time."""


@dataclass
class Budget:
    """Either ``seconds`` from ``started`` (``time.monotonic()``), or ``steps`` of the network that is kept in the end;
    ``reserve`` seconds are kept back.
    """

    started: float
    seconds: float | None
    steps: int | None
    reserve: float = 0.0

    def left(self) -> float:
        """Seconds that training may still take; infinite when steps are counted."""
        if self.seconds is None:
            return math.inf
        return max(self.seconds - self.reserve - (time.monotonic() - self.started), 0.0)

    def widths(self) -> tuple[int, ...]:
        """Channels of the networks to try."""
        roomy = self.steps >= LARGE_FROM_STEPS if self.steps is not None else self.left() >= LARGE_FROM_S
        return (SMALL, LARGE) if roomy else (SMALL,)

    def of_judging(self, jobs: int) -> float:
        """Seconds, or steps, of each of the ``jobs`` that judge."""
        whole = self.left() if self.steps is None else self.steps
        return JUDGING_SHARE * whole / max(jobs, 1)

    def of_final(self) -> float:
        """Seconds, or steps, of the job that trains the model itself."""
        return self.left() if self.steps is None else self.steps

    def fraction(self, state: State, planned: float) -> float:
        """How much of a job is done."""
        if self.steps is not None:
            return min(state.step / planned, 1.0) if planned > 0 else 1.0
        return min(state.seconds / planned if planned > 0 else 1.0, state.step / LEAST_STEPS, 1.0)
