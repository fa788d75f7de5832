"""The context network: what a colour is can depend on what the thing is.

Two small encoder-decoders at half resolution see the scan over some hundred pixels around. Both start from the scan's
density, shifted by what the pairs differ on average. One says how much density to add (a dye that faded), the other
how much light (a stain, a veil); each learns alone, and their answers are averaged: where few pairs leave much open,
the mean of two errs less than either (Hansen & Salamon, Neural network ensembles, 1990). Both start as "add nothing",
and neither sees or draws full-resolution detail.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from wetgate.training.density import to_values

Array = NDArray[np.float32]

MEMBERS = ("density", "light")
LEVELS = 3
BOUND = 1.0
"""Largest correction, in density and in display values."""


def initial_weights(width: int, seed: int) -> dict[str, Array]:
    """Weights of both members by name, He-initialised; their last layers are zero.

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
    for member in MEMBERS:
        for level, wide in enumerate(channels):
            layer(f"{member}.down{level}.a", 3 if level == 0 else channels[level - 1], wide)
            layer(f"{member}.down{level}.b", wide, wide)
        for level in reversed(range(LEVELS - 1)):
            layer(f"{member}.up{level}.a", channels[level + 1] + channels[level], channels[level])
            layer(f"{member}.up{level}.b", channels[level], channels[level])
        layer(f"{member}.out", width, 3, 1)
        weights[f"{member}.out.weight"][:] = 0
    return weights


def width_of(weights: dict[str, Array]) -> int:
    """Channels at half resolution."""
    return len(weights[f"{MEMBERS[0]}.out.weight"][0])


def apply(ops: Any, values: Any, weights: dict[str, Any], member: str, mean: Array, scale: Array) -> Any:
    """What a member adds [N, 3, h, w] for half-resolution display values [N, 3, h, w]; h and w multiples of 4.

    Args:
        ops: where to compute (:mod:`wetgate.training.operations`).
        values: ``10**-density`` of the scan's low-passed density: small differences between light colours, which tell
            things apart, count there for more than those between blacks.
        weights: of :func:`initial_weights`, trained.
        member: one of ``MEMBERS``.
        mean, scale: [3], of these values in the pairs, and its standard deviation: a layer that has faded to
            little contrast speaks as loudly as the others.
    """

    def layer(x: Any, name: str) -> Any:
        return ops.convolve(x, weights[f"{member}.{name}.weight"], weights[f"{member}.{name}.bias"])

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


def answer(ops: Any, start: Any, added: Any, member: str) -> Any:
    """Display values, flare included, of the density that a member starts from and what it adds."""
    if member == "density":
        return to_values(ops, ops.add(start, added))
    return ops.add(to_values(ops, start), added)
