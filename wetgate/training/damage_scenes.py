"""Scenes that a film's windows become before they are damaged: more than the few that it has.

A film shows some things from some sides, and other shots show others. So a window is turned, rescaled, held as if the
camera stood, and other windows' pictures pass before it or behind what stands in it: bars that keep their place are no
scratches then, and what comes out from behind something is no dirt. There are cuts, jumps and flicker too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from wetgate.simulate import dust
from wetgate.training.motion import MULTIPLE

Array = NDArray[np.float32]

SMALLEST, LARGER = 144, 1.6
"""Pixels on a side down to which a window is reduced, so that crops of 96 fit within its margins; and how much larger
it may be shown."""
GRAIN = 1.7
"""Standard deviation of grain, for each unit of the median of what a blur takes off it."""
PAN = 1.5
"""Standard deviation of pixels that a slow pan goes in a frame."""
WITHIN = (1e-3, 1.5)
"""Display values of a scene."""


@dataclass(frozen=True)
class Scene:
    """Frames of film, not yet damaged by us.

    Attributes:
        frames: [2r+1, H, W, 3] display values.
        doubtful: [H, W] 1 where the film itself may be damaged.
    """

    frames: Array
    doubtful: Array


def as_it_may_come(scenes: Sequence[Scene], index: int, random: np.random.Generator, odd: float) -> Scene:
    """One of ``scenes``, changed now and then.

    Args:
        scenes: those beside ``index`` lend frames for cuts, and what passes.
        index: which one.
        random: everything is drawn from it.
        odd: how often things are as they rarely are, 0 to 1.
    """
    scene = scenes[index]
    others = [one for at, one in enumerate(scenes) if at != index and one.frames.shape == scene.frames.shape]
    other = others[int(random.integers(len(others)))] if others else None
    if random.uniform() < 0.25 * odd:
        scene = held(lined(scene, random) if random.integers(2) else scene, random)
    if random.uniform() < 0.3 * odd and other:
        scene = passed(scene, other, random)
    if random.uniform() < 0.06 * odd and other:
        scene = _cut(scene, other, random)
    if random.uniform() < 0.5:
        scene = Scene(scene.frames.swapaxes(1, 2), scene.doubtful.T)
    if random.uniform() < 0.4:
        scene = resized(scene, random)
    frames = np.array(scene.frames, np.float32, order="C")
    middle = len(frames) // 2
    if random.uniform() < 0.3 * odd:
        for at in set(range(len(frames))) - {middle}:
            frames[at] = np.roll(frames[at], random.integers(-2, 3, 2), axis=(0, 1))
    if random.uniform() < 0.4:
        frames *= np.exp(random.normal(0, 0.03, (len(frames), 1, 1, 1))).astype(np.float32)
    return Scene(frames, scene.doubtful)


def held(scene: Scene, random: np.random.Generator) -> Scene:
    """The middle frame as a camera shows it that stands or pans slowly: weaving, and with other grain each time."""
    middle = len(scene.frames) // 2
    picture = scene.frames[middle]
    grain = GRAIN * np.median(np.abs(picture - cv2.GaussianBlur(picture, (0, 0), 1.0)))
    frames = scene.frames.copy()
    weave, pan = random.uniform(0.1, 0.7), random.normal(0, PAN, 2) * random.integers(2)
    for at in set(range(len(frames))) - {middle}:
        step = (at - middle) * pan + random.normal(0, weave, 2)
        frames[at] = _moved(picture, step) + random.normal(0, grain, picture.shape)
    return Scene(frames.clip(*WITHIN), scene.doubtful)


def lined(scene: Scene, random: np.random.Generator) -> Scene:
    """A few thin upright lines in the middle frame: a door's, a mast. Held, they move with the picture."""
    frames, middle = scene.frames.copy(), len(scene.frames) // 2
    height, width = frames.shape[1:3]
    for _ in range(int(random.integers(1, 6))):
        place, way = random.uniform((0, 0), (width, height)), np.array([random.normal(0, 0.02), 1.0])
        ends = np.stack([place - way * random.uniform(10, 200), place + way * random.uniform(10, 200)])
        line = np.zeros((height, width), np.float32)
        opacity, thickness = random.uniform(0.1, 1.0), random.uniform(0.7, 3)
        dust.stamp(line, ends, opacity, soft=random.uniform(0.4, 1.0), thickness=thickness)
        frames[middle] += line[..., None] * (np.float32(random.uniform(*WITHIN)) - frames[middle])
    return Scene(frames, scene.doubtful)


def passed(scene: Scene, other: Scene, random: np.random.Generator) -> Scene:
    """Bars of the other scene's picture pass before this one, or that picture behind bars of this one."""
    count, height, width = scene.frames.shape[:3]
    bars = _bars(height, width, random)
    behind = bool(random.integers(2))
    speed = random.normal(0, random.choice((4, 14)), 2) * (1, 0.6)
    smear = random.uniform(0, 0.6) * int(random.integers(2))
    frames, doubtful = [], scene.doubtful
    for at, (own, passing) in enumerate(zip(scene.frames, other.frames, strict=True)):
        steps = [speed * (at - count // 2 + part) for part in (np.linspace(-0.5, 0.5, 5) * smear if smear else (0.0,))]
        picture = np.mean([_moved(passing, step) for step in steps], axis=0)
        shows = 1 - bars if behind else np.mean([_moved(bars, step, cv2.INTER_LINEAR) for step in steps], axis=0)
        frames.append(own + shows[..., None] * (picture - own))
        if at == count // 2:
            lent = np.max([_moved(other.doubtful, step, cv2.INTER_LINEAR) for step in steps], axis=0)
            doubtful = np.maximum(doubtful * (shows < 0.99), np.ceil(lent) * (shows > 0.01))
    return Scene(np.stack(frames).clip(*WITHIN), doubtful)


def resized(scene: Scene, random: np.random.Generator) -> Scene:
    """The whole scene smaller, or a part of it larger."""
    sides = scene.doubtful.shape
    scale = random.uniform(min(1.0, SMALLEST / min(sides)), LARGER)
    size = [round(side * min(scale, 1.0) / MULTIPLE) * MULTIPLE for side in sides]
    part = [min(round(length / scale), side) for length, side in zip(size, sides, strict=True)]
    places = [int(random.integers(side - length + 1)) for length, side in zip(part, sides, strict=True)]
    rows, columns = (slice(place, place + length) for place, length in zip(places, part, strict=True))

    def shown(picture: Array, how: int) -> Array:
        return cv2.resize(np.ascontiguousarray(picture[rows, columns]), size[::-1], interpolation=how)

    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    frames = np.stack([shown(frame, how) for frame in scene.frames]).clip(*WITHIN)
    return Scene(frames, np.ceil(shown(scene.doubtful, cv2.INTER_LINEAR)))


def _cut(scene: Scene, other: Scene, random: np.random.Generator) -> Scene:
    """The frames before, or after, or now and then both, are of the other scene."""
    frames, middle = scene.frames.copy(), len(scene.frames) // 2
    sides = [slice(0, middle), slice(middle + 1, None)][:: random.choice((1, -1))]
    for side in sides[: 1 + int(random.integers(4) == 0)]:
        frames[side] = other.frames[side]
    return Scene(frames, scene.doubtful)


def _bars(height: int, width: int, random: np.random.Generator) -> Array:
    """[H, W] 1 inside some bars, thin and thick, most of them upright or level; with soft edges."""
    bars = np.zeros((height, width), np.float32)
    for _ in range(int(random.integers(1, 5))):
        angle = random.choice((0.0, np.pi / 2, random.uniform(0, np.pi)))
        way = np.array([np.sin(angle), np.cos(angle)]) * random.uniform(20, 200)
        place = random.uniform((0, 0), (width, height))
        thickness = random.choice((random.uniform(2, 12), random.uniform(8, 70)))
        dust.stamp(bars, np.stack([place - way, place + way]), 1.0, soft=random.uniform(0.4, 1.5), thickness=thickness)
    return bars


def _moved(picture: Array, step: NDArray[np.float64], how: int = cv2.INTER_CUBIC) -> Array:
    """A picture or plane moved by (x, y) pixels."""
    matrix = np.column_stack([np.eye(2), step])
    moved = cv2.warpAffine(picture, matrix, picture.shape[1::-1], flags=how, borderMode=cv2.BORDER_REFLECT_101)
    return np.asarray(moved, np.float32)
