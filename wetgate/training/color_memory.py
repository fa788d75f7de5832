"""What the colour model remembers of places that the pairs show: what its other parts leave wrong there.

A place looks like its colour, that of its surround at two scales, and how rough it is at two more. So a thing is known
again on the next frame, where fit and networks have only learnt what such colours are on the whole.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wetgate.images import LUMA
from wetgate.training import memory
from wetgate.training.blur import blur
from wetgate.training.memory import HALVINGS, Memory

Array = NDArray[np.float32]

MULTIPLE = 16
"""Of which the sides at half resolution are."""
SURROUND, ROUGH_AROUND = (1, 3), (2, 2)
"""Half the sides of the squares that surround a place, at a sixteenth of the size, and of the one whose roughness is
its own, at an eighth."""
AROUND = 8
"""See :class:`wetgate.training.memory.Memory`."""
WIDTH, ROUGHNESS_WIDTH = 0.3, 0.45
"""Of kernels: in standard deviations of density, and in natural logarithms of roughness."""
_RIDGE = 0.003
_LEAST_ROUGHNESS = 2e-3
"""In density."""


def recalled(ops: Any, half: Any, known: Memory) -> Any:
    """Density to add [N, 3, h, w] to what is restored of a half-resolution scan density [N, 3, h, w]."""
    padded = ops.pad_to_multiple(half, MULTIPLE)
    missing, _ = memory.recall(ops, features(ops, padded), known)
    for _ in range(HALVINGS - 1):
        missing = ops.enlarge(missing)
    return ops.crop_like(missing, half)


def features(ops: Any, half: Any) -> Any:
    """What places look like [N, 11, h/4, w/4] of a half-resolution density [N, 3, h, w]; h and w multiples of 16."""
    eighth = to_eighth(ops, half)
    sixteenth = ops.shrink(eighth)
    near, far = (ops.enlarge(ops.mean_around(sixteenth, reach, reach)) for reach in SURROUND)
    luma = ops.convolve(half, LUMA[None, :, None, None])
    soft = blur(ops, luma, 1.0, 1)
    quarter = ops.shrink(soft)
    fine, coarse = ops.subtract(luma, soft), ops.subtract(quarter, blur(ops, quarter, 1.0, 1))
    rough = ops.concat([to_eighth(ops, ops.multiply(fine, fine)), ops.shrink(ops.multiply(coarse, coarse))])
    rough = ops.affine(ops.mean_around(rough, *ROUGH_AROUND), 1.0, _LEAST_ROUGHNESS**2)
    return ops.concat([eighth, near, far, ops.affine(ops.log(rough), 0.5, 0.0)])


def to_eighth(ops: Any, half: Any) -> Any:
    """From half the resolution to an eighth."""
    for _ in range(HALVINGS - 1):
        half = ops.shrink(half)
    return half


def fit(seen: Sequence[Array], missing: Sequence[Array], seed: int) -> Memory:
    """Solve for what is missing.

    Args:
        seen: [n, 11] of :func:`features`, one array a pair.
        missing: [n, 3] density that is to be added there.
        seed: of the choice of samples.
    """
    spread = float(np.concatenate([one[:, :3] for one in seen]).std()) + 1e-3
    scale = np.array([1 / (spread * WIDTH)] * 9 + [1 / ROUGHNESS_WIDTH] * 2)
    return memory.fit(seen, missing, scale, ridge=_RIDGE, around=AROUND, seed=seed)
