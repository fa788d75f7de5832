"""Gaussian low-pass."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]


def gaussian(sigma: float) -> Array:
    """Normalised samples of a Gaussian out to three sigma."""
    radius = int(3 * sigma + 0.5)
    x = np.arange(-radius, radius + 1)
    samples = np.exp(-0.5 * (x / sigma) ** 2)
    return (samples / samples.sum()).astype(np.float32)


def blur(ops: Any, x: Any, sigma: float, channels: int = 3) -> Any:
    """Gaussian low-pass with repeated borders."""
    line = gaussian(sigma)
    radius = len(line) // 2
    across = np.ascontiguousarray(np.broadcast_to(line[None, None, None], (channels, 1, 1, len(line))))
    x = ops.convolve(ops.pad_edges(x, 0, radius), across, groups=channels, pad=False)
    return ops.convolve(
        ops.pad_edges(x, radius, 0), np.ascontiguousarray(across.transpose(0, 1, 3, 2)), groups=channels, pad=False
    )
