"""The context network: what a colour is can depend on what the thing is.

A small encoder-decoder at half resolution sees the scan over some hundred pixels around and adds a bounded correction
to the scan's density, shifted by what the pairs differ on average. It starts as "add nothing". It never sees or draws
full-resolution detail.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]

LEVELS = 3
BOUND = 1.0
"""Largest correction, in density."""


def initial_weights(width: int, seed: int) -> dict[str, Array]:
    """Weights by name, He-initialised; the last layer is zero.

    Args:
        width: channels at half resolution; twice as many at each coarser level.
        seed: of the random numbers.
    """
    generator = np.random.default_rng(seed)
    weights: dict[str, Array] = {}

    def layer(name: str, inputs: int, outputs: int, size: int = 3) -> None:
        spread = np.sqrt(2 / (inputs * size * size))
        weights[f"{name}.weight"] = (generator.standard_normal((outputs, inputs, size, size)) * spread).astype(
            np.float32
        )
        weights[f"{name}.bias"] = np.zeros(outputs, np.float32)

    channels = [width * 2**level for level in range(LEVELS)]
    for level, wide in enumerate(channels):
        layer(f"down{level}.a", 3 if level == 0 else channels[level - 1], wide)
        layer(f"down{level}.b", wide, wide)
    for level in reversed(range(LEVELS - 1)):
        layer(f"up{level}.a", channels[level + 1] + channels[level], channels[level])
        layer(f"up{level}.b", channels[level], channels[level])
    layer("out", width, 3, 1)
    weights["out.weight"][:] = 0
    return weights


def apply(ops: Any, values: Any, weights: dict[str, Any], mean: Array, scale: Array) -> Any:
    """Density to add [N, 3, h, w] for half-resolution display values [N, 3, h, w]; h and w multiples of 4.

    Args:
        ops: where to compute (:mod:`wetgate.training.operations`).
        values: ``10**-density`` of the scan's low-passed density: small differences between light colours, which tell
            things apart, count there for more than those between blacks.
        weights: of :func:`initial_weights`, trained.
        mean, scale: [3], of these values in the pairs, and its standard deviation: a layer that has faded to
            little contrast speaks as loudly as the others.
    """

    def layer(x: Any, name: str) -> Any:
        return ops.convolve(x, weights[f"{name}.weight"], weights[f"{name}.bias"])

    def block(x: Any, name: str) -> Any:
        return ops.leaky(layer(ops.leaky(layer(x, f"{name}.a")), f"{name}.b"))

    gain = (1 / scale).astype(np.float32)
    x = ops.enter_network(ops.affine(values, gain[:, None, None], (-mean * gain)[:, None, None]))
    seen = []
    for level in range(LEVELS):
        x = block(x if level == 0 else ops.shrink(x), f"down{level}")
        seen.append(x)
    x = seen.pop()
    for level in reversed(range(LEVELS - 1)):
        x = block(ops.concat([ops.enlarge(x), seen.pop()]), f"up{level}")
    x = ops.leave_network(layer(x, "out"))
    return ops.affine(ops.tanh(ops.affine(x, 1 / BOUND, 0.0)), BOUND, 0.0)
