"""Stains on the film, and dirt that sits in the gate and so stays where it is from frame to frame."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from wetgate.images import Pixels
from wetgate.simulate import seeds
from wetgate.simulate.dust import draw_hair, draw_speck

Plane = NDArray[np.float32]

_LEAST = 1 / 255
_CELLS = 7


@dataclass(frozen=True)
class Stains:
    """How stained; counts are means.

    Attributes:
        blots: water marks, mould and glue, per frame: uneven, more or less transparent, often with a darker rim.
        blot_um: median diameter of a blot on the film, in micrometres.
        gate_dirt: hairs and crumbs in the gate, present at any one time; each stays for some dozens of frames.
    """

    blots: float = 0.0
    blot_um: float = 600.0
    gate_dirt: float = 0.0


@dataclass(frozen=True)
class Stained:
    """What lies on one frame.

    Attributes:
        density: [H,W,3] added in the red, green and blue band; exactly 0 where nothing is.
        held: [H,W] coverage by what sits in the gate, 0-1.
    """

    density: Pixels
    held: Plane

    @property
    def mask(self) -> Plane:
        """[H,W] greatest coverage, 0-1, a density of 1 counting as 0.9; pixels at 0 are untouched."""
        return np.asarray(np.maximum(1 - 10 ** -self.density.max(axis=2), self.held), np.float32)


def stained_at(stains: Stains, height: int, width: int, pixel_um: float, seed: int, frame: int) -> Stained:
    """The stains of one frame and the dirt in the gate at the time."""
    density = np.zeros((height, width, 3), np.float32)
    random = seeds.generator(seed, "stains", frame)
    for _ in range(random.poisson(stains.blots)):
        _draw_blot(density, random, stains.blot_um / pixel_um)
    held = np.zeros((height, width), np.float32)
    slots = int(np.ceil(stains.gate_dirt * 2))
    for slot in range(slots):
        length = int(seeds.generator(seed, "gate slot", slot).integers(20, 80))
        random = seeds.generator(seed, "gate", slot, (frame + slot * 29) // length)
        if random.uniform() < stains.gate_dirt / slots:
            draw_hair(held, random, pixel_um) if random.uniform() < 0.6 else draw_speck(held, random, 80 / pixel_um)
    return Stained(density, held)


def _draw_blot(density: Pixels, random: np.random.Generator, diameter: float) -> None:
    height, width = density.shape[:2]
    size = max(4, int(diameter * np.exp(random.normal(0, 0.4))))
    coarse = random.standard_normal((_CELLS, _CELLS)).astype(np.float32)
    uneven = cv2.resize(coarse, (size, size), interpolation=cv2.INTER_CUBIC)
    y, x = np.mgrid[-1 : 1 : size * 1j, -1 : 1 : size * 1j]
    above = 0.8 - 1.3 * (x**2 + y**2) + 0.25 * uneven
    body = np.clip(above / random.uniform(0.1, 0.5), 0, 1) * random.uniform(0.05, 0.5)
    rim = np.exp(-((above / 0.08) ** 2)) * random.uniform(0, 0.4)
    blot = ((body + rim) * np.clip((1 - np.hypot(x, y)) / 0.1, 0, 1)).astype(np.float32)
    blot[blot < _LEAST] = 0
    colour = np.array([0.6, 1.0, 1.5], np.float32) ** random.uniform(-0.3, 1.0)
    left, top = (int(random.integers(-size // 2, length - size // 2)) for length in (width, height))
    rows, columns = slice(max(top, 0), min(top + size, height)), slice(max(left, 0), min(left + size, width))
    part = blot[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left]
    density[rows, columns] += part[..., None] * colour
