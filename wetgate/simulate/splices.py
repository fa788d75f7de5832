"""Joins: where the film was cut and put together again, or tore and was mended."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wetgate.simulate import seeds

Plane = NDArray[np.float32]

_LEAST = 1 / 255


@dataclass(frozen=True)
class Splices:
    """Where joins are and what they do.

    Attributes:
        at: the first frame after each join. Its own picture shows the edge of the join near its top, and the frame
            before shows it near its bottom.
        jump_um: standard deviation of how far the frame after a join is displaced down the film, in micrometres.
        flash: standard deviation of the density by which that frame differs.
    """

    at: tuple[int, ...] = ()
    jump_um: float = 0.0
    flash: float = 0.0


@dataclass(frozen=True)
class Join:
    """What a join does to one frame.

    Attributes:
        line: [H,W] coverage by the edge of the join, 0-1; exactly 0 where there is none.
        light: whether that edge is clear film rather than dark cement.
        jump: displacement down, in pixels.
        density: added to the whole frame.
    """

    line: Plane
    light: bool
    jump: float
    density: float


def join_at(splices: Splices, height: int, width: int, pixel_um: float, seed: int, frame: int) -> Join:
    """What joins do to a frame; nothing to most."""
    line = np.zeros((height, width), np.float32)
    after, before = frame in splices.at, frame + 1 in splices.at
    if not (after or before):
        return Join(line, False, 0.0, 0.0)
    random = seeds.generator(seed, "splice", frame if after else frame + 1)
    light, jump, density = (
        bool(random.uniform() < 0.5),
        random.normal(0, splices.jump_um),
        random.normal(0, splices.flash),
    )
    random = seeds.generator(seed, "splice edge", frame)
    thickness = random.uniform(30, 120) / pixel_um
    inwards = random.uniform(0.02, 0.12) * height
    middle = (inwards if after else height - 1 - inwards) + random.normal(0, 0.003) * np.arange(width)
    rough = np.convolve(random.normal(0, 10 / pixel_um, width + 8), np.ones(9) / 9, "valid")
    distance = np.abs(np.arange(height)[:, None] - (middle + rough))
    line[...] = np.clip((thickness / 2 - distance) / 0.8 + 0.5, 0, 1) * random.uniform(0.6, 1.0)
    line[line < _LEAST] = 0
    return Join(line, light, jump / pixel_um if after else 0.0, density if after else 0.0)
