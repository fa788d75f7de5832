"""What pairs show of a place, given back where a place looks like one of theirs, and nowhere else.

Narrow Gaussian kernels on what places look like, at an eighth of the size, carry what is missing there (kernel ridge
regression, :mod:`wetgate.training.kernels`). It is solved, not trained. A place is known if it is like one of the
pairs', and most of what is around it is, too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wetgate.training import kernels
from wetgate.training.kernels import Kernels

Array = NDArray[np.float32]
Matrix = NDArray[np.float64]

HALVINGS = 3
CENTRES, PLACES = 2048, 8192
"""Of the pairs' places, those that carry what is missing, and those that are kept to know them again."""
UNLIKE, LIKE = 0.75, 0.95
"""Likeness to a place of the pairs from which a place counts as known at all, and as known well."""
FEW, ENOUGH = 0.3, 0.6
"""Share of a place's surroundings that must be known for the place to count at all, and to count whole: another shot,
too, has places here and there that look like the pairs'."""
_SAMPLES = 12_000


@dataclass(frozen=True)
class Memory:
    """What :func:`fit` solves.

    Attributes:
        kernels: which carry what is missing.
        places: [P, F] of the pairs, scaled as the kernels' centres.
        around: half the side of the square that surrounds a place, at an eighth of the size.
    """

    kernels: Kernels
    places: Array
    around: int


def recall(ops: Any, seen: Any, memory: Memory) -> tuple[Any, Any]:
    """What is missing [N, K, h, w], nothing where a place is not known; and how well each is known [N, 1, h, w], 0-1.

    Args:
        ops: where to compute (:mod:`wetgate.training.operations`).
        seen: what each place looks like [N, F, h, w], at an eighth of the size.
        memory: of :func:`fit`.
    """
    missing = kernels.told(ops, seen, memory.kernels)
    well = known(ops, kernels.nearness(ops, seen, memory.places, memory.kernels), memory.around)
    return ops.multiply(missing, well), well


def known(ops: Any, near: Any, around: int) -> Any:
    """How well places are known [N, 1, h, w], 0-1, by their likeness to the likest of the pairs'."""
    single = ops.mean_around(rising(ops, near, UNLIKE, LIKE), 1, 1)
    return ops.multiply(single, rising(ops, ops.mean_around(single, around, around), FEW, ENOUGH))


def fit(
    seen: Sequence[Array],
    missing: Sequence[Array],
    scale: Matrix,
    *,
    ridge: float,
    around: int,
    seed: int,
) -> Memory:
    """Solve for the kernels.

    Args:
        seen: [n, F] what places look like that are to be trusted, one array a pair.
        missing: [n, K] what is to be given back there.
        scale: [F] of what is seen, to widths of a kernel.
        ridge: how much noise is expected: larger is smoother.
        around: see :class:`Memory`.
        seed: of the choice of samples.
    """
    x, y, w = kernels.drawn(seen, missing, [np.ones(len(one), np.float32) for one in seen], _SAMPLES, seed)
    mean = x.mean(0)
    x = (x - mean) * scale
    places = kernels.spread_out(x, PLACES)
    return Memory(kernels.solved(x, y, w, places[:CENTRES], mean, scale, ridge), places.astype(np.float32), around)


def rising(ops: Any, x: Any, low: float, high: float) -> Any:
    """From 0 at ``low`` to 1 at ``high``."""
    return ops.at_most(ops.at_least(ops.affine(x, 1 / (high - low), -low / (high - low)), 0.0), 1.0)
