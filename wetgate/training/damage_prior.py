"""What the damage networks know before they have seen the film: weights learnt on made-up scenes.

They were made by ``python -m benchmarks.damage_prior``; nobody's footage is in them. The networks see differences and
lines, not pictures, so what they learn of one film holds for others.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wetgate.files import write_bytes
from wetgate.training.damage_model import widened

Array = NDArray[np.float32]

RADIUS = 1
"""Frames before and after that they were learnt for."""
PATH = Path(__file__).with_name("damage_prior.npz")


def write(weights: dict[str, Array]) -> None:
    """Keep weights by name, in half precision."""
    kept: dict[str, Any] = {name: value.astype(np.float16) for name, value in weights.items()}
    stream = io.BytesIO()
    np.savez_compressed(stream, **kept)
    write_bytes(PATH, stream.getvalue())


def read(radius: int) -> dict[str, Array]:
    """Weights by name, float32, of networks for ``radius`` frames before and after."""
    with np.load(PATH) as kept:
        return widened({name: kept[name].astype(np.float32) for name in kept.files}, radius)
