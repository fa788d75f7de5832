"""What the damage networks know before they have seen the film: weights learnt on made-up scenes.

They were made by ``python -m benchmarks.damage_prior``; nobody's footage is in them. The networks see differences and
lines, not pictures, so what they learn of one film holds for others.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wetgate.training.damage_model import widened

Array = NDArray[np.float32]

RADIUS = 1
"""Frames before and after that they were learnt for."""
PATH = Path(__file__).with_name("damage_prior.npz")


def write(weights: dict[str, Array]) -> None:
    """Keep weights by name, in half precision."""
    np.savez_compressed(PATH, **{name: value.astype(np.float16) for name, value in weights.items()})


def read(radius: int) -> dict[str, Array]:
    """Weights by name, float32, of networks for ``radius`` frames before and after."""
    with np.load(PATH) as kept:
        return widened({name: kept[name].astype(np.float32) for name in kept.files}, radius)
