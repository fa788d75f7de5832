"""Made-up moving scenes, where no footage is at hand: leaves that hide one another, each with a texture.

Pictures of opaque shapes of all sizes laid over one another have the statistics of photographs: edges, flat places,
the same at every scale (Lee, Mumford & Huang, "Occlusion models for natural images", IJCV 2001), and networks learn
from them nearly what they learn from photographs (Achddou, Gousseau & Ladjal, "Synthetic images as priors", SSVM
2021). Here the leaves hang in branches that move, each as a whole, and the camera moves too.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]
FloatArray = NDArray[np.float64]

LEAVES, STEEPNESS = 420, 2.2
"""How many, and how fast their number falls with their size."""
SIZES = (2.0, 150.0)
"""Radii in pixels."""
BRANCHES, STRAY = 5, 0.1
"""What moves by itself, and the share of leaves that hang on any branch; others do on the nearest one."""
SHUTTER = (0.0, 0.6)
"""Part of the time from frame to frame for which light falls on the film."""
_EXPOSURES = 3
_WIDER = 1.25
"""Leaves hang beyond the frame's edges, so far as this."""


@dataclass(frozen=True)
class _Branch:
    """Leaves around a ``place`` that move together: by ``step`` pixels a frame, with ``turn`` and ``growth``."""

    place: FloatArray
    step: FloatArray
    turn: float
    growth: float
    texture: Array

    def matrix(self, time: float, middle: FloatArray) -> FloatArray:
        """[2, 3] from where it is at time 0 to where it is at ``time``, in frames."""
        scale = np.exp(self.growth * time)
        cos, sin = scale * np.cos(self.turn * time), scale * np.sin(self.turn * time)
        linear = np.array([[cos, -sin], [sin, cos]])
        return np.column_stack([linear, middle - linear @ middle + self.step * time])


def moving_scene(random: np.random.Generator, height: int, width: int, count: int = 3) -> Array:
    """[count, H, W, 3] display values 0-1 of a scene in motion; the middle frame is at time 0.

    Args:
        random: everything is drawn from it.
        height, width: of the frames.
        count: how many frames.
    """
    camera = _motion(random, random.choice((0.0, 2.0, 10.0, 30.0), p=(0.25, 0.4, 0.25, 0.1)))
    branches = [_branch(random, height, width, camera) for _ in range(BRANCHES)]
    leaves = [_leaf(random, height, width, branches) for _ in range(LEAVES)]
    shutter = random.uniform(*SHUTTER)
    fast = max(float(np.hypot(*branch.step)) for branch in branches) * shutter > 1
    times = np.linspace(-shutter / 2, shutter / 2, _EXPOSURES) if fast else np.zeros(1)
    frames = [
        np.mean([_drawn(branches, leaves, at - count // 2 + time, height, width) for time in times], axis=0)
        for at in range(count)
    ]
    blur = random.uniform(0.4, 1.1)
    contrast, light = np.exp(random.normal(0, 0.25, 2))
    cast = np.exp(random.normal(0, 0.08, 3))
    return np.stack([_as_shot(frame, blur, contrast, light * cast) for frame in frames])


def _as_shot(light: Array, blur: float, contrast: float, gain: FloatArray) -> Array:
    seen = cv2.GaussianBlur(light, (0, 0), blur) * gain.astype(np.float32)
    return np.asarray(np.clip(seen, 0, 1) ** np.float32(contrast), np.float32)


def _motion(random: np.random.Generator, speed: float) -> tuple[FloatArray, float, float]:
    """Pixels, radians and logarithm of scale that something goes in a frame."""
    step = random.normal(0, speed, 2) * (1, 0.4)
    return step, random.normal(0, 4e-4 * speed), random.normal(0, 6e-4 * speed)


def _branch(random: np.random.Generator, height: int, width: int, camera: tuple[FloatArray, float, float]) -> _Branch:
    own = _motion(random, random.choice((0.0, 1.0, 6.0, 16.0), p=(0.4, 0.3, 0.2, 0.1)))
    place = random.uniform((0, 0), (width, height))
    step, turn, growth = own[0] + camera[0], own[1] + camera[1], own[2] + camera[2]
    return _Branch(place, step, turn, growth, _texture(random, height, width))


def _texture(random: np.random.Generator, height: int, width: int) -> Array:
    """[H, W] about 0, of a spread of about 1: noise whose waves of all lengths are about as strong, or stripes."""
    if random.uniform() < 0.2:
        y, x = np.mgrid[:height, :width].astype(np.float32)
        way, wave = random.choice((0.0, np.pi / 2, random.uniform(0, np.pi))), np.exp(random.uniform(1.0, 3.5))
        stripes = np.sin((x * np.cos(way) + y * np.sin(way)) * (2 * np.pi / wave))
        return np.asarray(np.clip(stripes * random.uniform(1, 4), -1, 1), np.float32)
    rough, total = random.uniform(0.3, 1.0), np.zeros((height, width), np.float32)
    for octave in range(7):
        cells = [max(2, round(side / 2 ** (6 - octave) / 1.5)) for side in (height, width)]
        noise = random.standard_normal(cells, np.float32)
        total += np.float32(rough**octave) * cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.asarray(total / total.std(), np.float32)


@dataclass(frozen=True)
class _Leaf:
    """A filled outline [n, 2], or a line of some thickness; its light, and how far its branch's texture shows."""

    branch: int
    outline: FloatArray
    thickness: float | None
    light: FloatArray
    textured: float
    shade: FloatArray


def _leaf(random: np.random.Generator, height: int, width: int, branches: list[_Branch]) -> _Leaf:
    low, high = (size ** (1 - STEEPNESS) for size in SIZES)
    radius = (low + random.uniform() * (high - low)) ** (1 / (1 - STEEPNESS))
    place = (random.uniform(0, 1, 2) - 0.5) * _WIDER * (width, height) + (width / 2, height / 2)
    turn = random.choice((0.0, np.pi / 2, random.uniform(0, np.pi)), p=(0.25, 0.25, 0.5))
    thickness = None
    if random.uniform() < 0.15:
        thickness = float(np.exp(random.uniform(-0.3, 2.0)))
        along = np.linspace(-1, 1, 8) * radius * 6
        shape = np.column_stack([along, random.normal(0, 0.15) * along**2 / (radius * 6)])
    elif random.uniform() < 0.35:
        shape = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * radius * np.exp(random.normal(0, 0.5, 2))
    else:
        angles = np.linspace(0, 2 * np.pi, 32, endpoint=False)
        wobble = sum(random.normal(0, 0.3 / k) * np.cos(k * angles + random.uniform(0, 6)) for k in (1, 2, 3, 4))
        radii = radius * np.clip(1 + wobble, 0.3, 2)
        shape = np.column_stack([np.cos(angles) * radii, np.sin(angles) * radii * np.exp(random.normal(0, 0.3))])
    cos, sin = np.cos(turn), np.sin(turn)
    outline = shape @ np.array([[cos, sin], [-sin, cos]]) + place
    grey = random.beta(0.9, 1.1)
    light = np.clip(grey + random.normal(0, 0.12, 3) * (0.3 + grey), 0.005, 1)
    textured = abs(random.normal(0, 0.15)) * (0.2 + grey)
    nearest = int(np.argmin([np.hypot(*(place - branch.place)) for branch in branches]))
    branch = int(random.integers(BRANCHES)) if random.uniform() < STRAY else nearest
    return _Leaf(branch, outline, thickness, light, textured, random.normal(0, 0.3, 2) / radius)


def _drawn(branches: list[_Branch], leaves: list[_Leaf], time: float, height: int, width: int) -> Array:
    """Light [H, W, 3], the last leaf on top; display values."""
    middle = np.array([width / 2, height / 2])
    matrices = [branch.matrix(time, middle) for branch in branches]
    textures = [
        cv2.warpAffine(
            branch.texture, matrix, (width, height), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT_101
        )
        for branch, matrix in zip(branches, matrices, strict=True)
    ]
    canvas = np.empty((height, width, 3), np.float32)
    canvas[:] = 0.4 + 0.1 * textures[0][..., None]
    for leaf in leaves:
        matrix = matrices[leaf.branch]
        outline = leaf.outline @ matrix[:, :2].T + matrix[:, 2]
        margin = 2 + (leaf.thickness or 0)
        left, top = np.maximum(np.floor(outline.min(0) - margin), 0).astype(int)
        right, bottom = np.minimum(np.ceil(outline.max(0) + margin), (width, height)).astype(int)
        if left >= right or top >= bottom:
            continue
        cover = np.zeros((bottom - top, right - left), np.uint8)
        points = np.round((outline - (left, top)) * 16).astype(np.int32)
        if leaf.thickness is None:
            cv2.fillPoly(cover, [points], 255, cv2.LINE_AA, shift=4)
        else:
            cv2.polylines(cover, [points], False, 255, max(1, round(leaf.thickness)), cv2.LINE_AA, shift=4)
        part = np.s_[top:bottom, left:right]
        y, x = np.mgrid[top:bottom, left:right].astype(np.float32)
        place = outline.mean(0)
        shade = 1 + leaf.shade[0] * (x - place[0]) + leaf.shade[1] * (y - place[1])
        lit = leaf.light.astype(np.float32) * np.clip(shade, 0.3, 1.7)[..., None].astype(np.float32)
        lit = lit + np.float32(leaf.textured) * textures[leaf.branch][part][..., None]
        canvas[part] += (cover[..., None] * np.float32(1 / 255)) * (lit - canvas[part])
    return canvas.clip(0, 1)
