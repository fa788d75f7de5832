"""Dust, hairs and scratches, each drawn with soft edges, and the mask of what they touched."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from wetgate.images import Pixels
from wetgate.simulate import seeds

Plane = NDArray[np.float32]
FloatArray = NDArray[np.float64]

_FINE = 4
_LEAST = 1 / 255


@dataclass(frozen=True)
class Dust:
    """How dirty and how worn; counts are means per frame.

    Attributes:
        specks: dust on the print: dark.
        sparkle: dust that sat on the negative and was printed in: white.
        hairs: hairs and fibres on the print: dark, thin, curled.
        scratches: running scratches in the emulsion, present at any one time; each lasts for some dozens of
            frames and wanders sideways. The magenta layer lies on top of a print and goes first, so that shallow
            scratches are green and deep ones white.
        size_um: median diameter of a speck on the film, in micrometres.
    """

    specks: float = 0.0
    sparkle: float = 0.0
    hairs: float = 0.0
    scratches: float = 0.0
    size_um: float = 50.0


@dataclass(frozen=True)
class Damage:
    """Coverage 0-1 as [H,W] planes; exactly 0 where nothing is.

    Attributes:
        printed: white dust, in the picture since it was printed.
        scratched: [H,W,3] share of the cyan, magenta and yellow dye that is scraped off.
        lying: dark dust and hairs on top.
    """

    printed: Plane
    scratched: Pixels
    lying: Plane

    @property
    def mask(self) -> Plane:
        """[H,W] greatest coverage by any damage, 0-1; pixels at 0 are untouched."""
        return np.asarray(np.maximum(np.maximum(self.printed, self.lying), self.scratched.max(axis=2)), np.float32)


def damage_at(dust: Dust, height: int, width: int, pixel_um: float, seed: int, frame: int) -> Damage:
    """What lies on, and what is missing from, one frame."""
    printed, lying = np.zeros((height, width), np.float32), np.zeros((height, width), np.float32)
    random = seeds.generator(seed, "dust", frame)
    for plane, count in ((lying, dust.specks), (printed, dust.sparkle)):
        for _ in range(random.poisson(count)):
            draw_speck(plane, random, dust.size_um / pixel_um)
    for _ in range(random.poisson(dust.hairs)):
        draw_hair(lying, random, pixel_um)
    scratched = np.zeros((height, width, 3), np.float32)
    if dust.scratches:
        _draw_scratches(scratched, dust.scratches, pixel_um, seed, frame)
    return Damage(printed, scratched, lying)


def draw_speck(plane: Plane, random: np.random.Generator, diameter: float) -> None:
    """Draw an irregular blob into a coverage [H, W]: a polygon whose radius wobbles with the angle."""
    radius = diameter / 2 * np.exp(random.normal(0, 0.55))
    angles = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    wobble = sum(random.normal(0, 0.45 / k) * np.cos(k * angles + random.uniform(0, 2 * np.pi)) for k in (1, 2, 3, 4))
    radii = radius * np.clip(1 + wobble, 0.25, 2.2)
    stretch = np.exp(random.normal(0, 0.3))
    turn = random.uniform(0, np.pi)
    shape = np.column_stack([np.cos(angles) * radii * stretch, np.sin(angles) * radii / stretch])
    shape = shape @ np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    place = random.uniform((0, 0), (plane.shape[1], plane.shape[0]))
    stamp(plane, shape + place, random.uniform(0.55, 1.0), soft=random.uniform(0.4, 0.8) + 0.05 * radius)


def draw_hair(plane: Plane, random: np.random.Generator, pixel_um: float) -> None:
    """Draw a fibre 10 to 25 micrometres thick into a coverage [H, W]; its direction drifts along its length."""
    length, steps = random.uniform(200, 1500) / pixel_um, 40
    curl = np.cumsum(random.normal(0, 0.12, steps)) + random.normal(0, 0.06) * np.arange(steps)
    direction = random.uniform(0, 2 * np.pi) + curl
    points = np.cumsum(np.column_stack([np.cos(direction), np.sin(direction)]) * length / steps, axis=0)
    points += random.uniform((0, 0), (plane.shape[1], plane.shape[0])) - points.mean(axis=0)
    thickness = random.uniform(10, 25) / pixel_um
    opacity = random.uniform(0.6, 0.95) * min(1.0, thickness)
    stamp(plane, points, opacity, soft=random.uniform(0.4, 0.8), thickness=max(1.0, thickness))


def stamp(plane: Plane, outline: FloatArray, opacity: float, soft: float, thickness: float | None = None) -> None:
    """Draw a filled polygon, or a line of some thickness, over ``plane``; coordinates in pixels.

    Drawn on a finer grid and averaged down, so that specks smaller than a pixel keep their weight.
    """
    margin = int(np.ceil(3 * soft + (thickness or 0))) + 1
    low = np.floor(outline.min(axis=0)).astype(int) - margin
    high = np.ceil(outline.max(axis=0)).astype(int) + margin + 1
    size = high - low
    fine = np.zeros((size[1] * _FINE, size[0] * _FINE), np.uint8)
    points = np.round((outline - low) * _FINE * 16).astype(np.int32)
    if thickness is None:
        cv2.fillPoly(fine, [points], 255, cv2.LINE_AA, shift=4)
    else:
        cv2.polylines(fine, [points], False, 255, max(1, round(thickness * _FINE)), cv2.LINE_AA, shift=4)
    patch = cv2.resize(fine.astype(np.float32), (int(size[0]), int(size[1])), interpolation=cv2.INTER_AREA)
    patch = cv2.GaussianBlur(patch, (0, 0), soft) * np.float32(opacity / 255)
    patch[patch < _LEAST] = 0
    left, top = np.maximum(low, 0)
    right, bottom = np.minimum(high, (plane.shape[1], plane.shape[0]))
    if left < right and top < bottom:
        target = plane[top:bottom, left:right]
        np.maximum(target, patch[top - low[1] : bottom - low[1], left - low[0] : right - low[0]], out=target)


def _draw_scratches(scratched: Pixels, count: float, pixel_um: float, seed: int, frame: int) -> None:
    """Scratches come and go in slots: a slot's life is cut into spans, and a span may hold one scratch."""
    slots = max(1, int(np.ceil(count * 2)))
    for slot in range(slots):
        length = int(seeds.generator(seed, "scratch slot", slot).integers(30, 90))
        span, age = divmod(frame + slot * 37, length)
        random = seeds.generator(seed, "scratch", slot, span)
        if random.uniform() >= count / slots:
            continue
        strength = min(1.0, 4 * min(age + 1, length - age) / length) * random.uniform(0.5, 1.0)
        depth = np.array([random.uniform(0, 0.7), 1.0, random.uniform(0, 0.3)], np.float32)
        coverage = _scratch(scratched.shape[0], scratched.shape[1], pixel_um, random, frame)
        nodes = max(2, round(len(coverage) * pixel_um / 200))
        gaps = seeds.generator(seed, "scratch gaps", slot, frame).normal(0.8, 0.4, (nodes, 1)).astype(np.float32)
        coverage *= strength * np.clip(cv2.resize(gaps, (1, len(coverage))).reshape(-1, 1), 0, 1)
        coverage[coverage < _LEAST] = 0
        np.maximum(scratched, coverage[..., None] * depth, out=scratched)


def _scratch(height: int, width: int, pixel_um: float, random: np.random.Generator, frame: int) -> Plane:
    """[H,W] profile of one scratch, 8 to 25 micrometres wide, that sways on its way down the strip."""
    thickness = random.uniform(8, 25) / pixel_um
    middle = random.uniform(0.03, 0.97) * width
    slow, quick = random.uniform(0, 2 * np.pi, 2)
    turns = 2 * np.pi * (frame + np.arange(height) / height)
    sway = (60 * np.sin(turns / 45 + slow) + 12 * np.sin(turns / 7 + quick)) / pixel_um
    distance = np.arange(width, dtype=np.float32) - (middle + sway).astype(np.float32)[:, None]
    return np.exp(-0.5 * (distance / max(0.45, thickness / 2)) ** 2) * np.float32(min(1.0, thickness))
