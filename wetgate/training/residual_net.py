"""The residual network: a U-Net at full resolution that starts as "add nothing".

Recipes that must draw detail use it: what it gives is added to the scan. Each level halves the resolution; what a
level saw comes back by addition, which costs half of what U-Nets spend on concatenation (Ronneberger et al., "U-Net",
MICCAI 2015). Its last layer is zero at first, so that a recipe starts from the scan itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]

WIDTHS = (24, 48, 96)
"""Channels at full resolution, at half and at a quarter: 42,000 multiplications a pixel."""


def initial_weights(inputs: int, outputs: int, seed: int, widths: Sequence[int] = WIDTHS) -> dict[str, Array]:
    """Weights by name, He-initialised; the last layer is zero.

    Args:
        inputs: channels that the network sees.
        outputs: channels that it gives.
        seed: of the random numbers.
        widths: channels of each level, full resolution first.
    """
    generator = np.random.default_rng(seed)
    weights: dict[str, Array] = {}

    def layer(name: str, inputs: int, outputs: int, size: int = 3) -> None:
        spread = np.sqrt(2 / (inputs * size * size))
        drawn = generator.standard_normal((outputs, inputs, size, size)) * spread
        weights[f"{name}.weight"] = drawn.astype(np.float32)
        weights[f"{name}.bias"] = np.zeros(outputs, np.float32)

    for level, wide in enumerate(widths):
        layer(f"down{level}.a", inputs if level == 0 else widths[level - 1], wide)
        layer(f"down{level}.b", wide, wide)
    for level in reversed(range(len(widths) - 1)):
        layer(f"up{level}.lift", widths[level + 1], widths[level], 1)
        layer(f"up{level}.a", widths[level], widths[level])
        layer(f"up{level}.b", widths[level], widths[level])
    layer("out", widths[0], outputs)
    weights["out.weight"][:] = 0
    return weights


def levels_of(weights: dict[str, Any]) -> int:
    """How many resolutions the network works at."""
    return sum(name.startswith("down") and name.endswith(".a.weight") for name in weights)


def multiple_of(weights: dict[str, Any]) -> int:
    """What the sides of a picture must be multiples of."""
    return int(2 ** (levels_of(weights) - 1))


def multiplications(weights: dict[str, Array]) -> float:
    """Multiplications (each with its addition) that a pixel of the picture costs."""
    total = 0.0
    for name, weight in weights.items():
        if name.endswith(".weight"):
            place = name.partition(".")[0]
            level = 0 if place == "out" else int(place.lstrip("downup")) + name.endswith(".lift.weight")
            total += weight.size / 4**level
    return total


def apply(ops: Any, x: Any, weights: dict[str, Any]) -> Any:
    """What is to be added [N, outputs, H, W] for pictures [N, inputs, H, W].

    Args:
        ops: where to compute (:mod:`wetgate.training.operations`).
        x: centred on about 0, of a spread of about 1; H and W multiples of :func:`multiple_of`.
        weights: of :func:`initial_weights`, trained.
    """

    def layer(x: Any, name: str) -> Any:
        return ops.convolve(x, weights[f"{name}.weight"], weights[f"{name}.bias"])

    def block(x: Any, name: str) -> Any:
        return ops.leaky(layer(ops.leaky(layer(x, f"{name}.a")), f"{name}.b"))

    x = ops.enter_network(x)
    seen = []
    for level in range(levels_of(weights)):
        x = block(x if level == 0 else ops.shrink(x), f"down{level}")
        seen.append(x)
    x = seen.pop()
    for level in reversed(range(len(seen))):
        x = block(ops.add(ops.enlarge(layer(x, f"up{level}.lift")), seen[level]), f"up{level}")
    return ops.leave_network(layer(x, "out"))
