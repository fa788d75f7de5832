"""Lessons that a film gives about its own damage: clean windows of it, damaged by us, so that the truth is known.

Damage differs from frame to frame, but for what keeps its place on the screen: scratches, dirt in the gate. Beside it
the lessons show what only looks like damage, as part of the truth: scenes of all kinds
(:mod:`wetgate.training.damage_scenes`), small things that fly, rain, the repeated frame at the end of a reel. What
seems damaged in the film itself is neither learnt as damage nor as clean.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from wetgate.simulate import dust
from wetgate.training.damage_scenes import Scene, as_it_may_come

Array = NDArray[np.float32]

VISIBLE = 0.02
"""Change of a display value from which a pixel counts as damaged; below it counts as clean."""
MARGIN = 24
"""Pixels at a lesson's edge that motion cannot be found for, and that nothing is learnt from."""

_DARK, _LIGHT, _DYE = range(3)


@dataclass(frozen=True)
class Lesson:
    """One damaged window; display values, float32.

    Attributes:
        frames: [2r+1, H, W, 3] as damaged.
        truth: [H, W, 3] the middle frame as it was.
        label: [H, W] 1 where the middle frame is visibly damaged.
        weight: [H, W] 1 where that is certain, else 0.
    """

    frames: Array
    truth: Array
    label: Array
    weight: Array


def make_lesson(
    scenes: Sequence[Scene],
    index: int,
    random: np.random.Generator,
    *,
    scale: float = 1.0,
    odd: float = 1.0,
) -> Lesson:
    """Damage one of ``scenes``.

    Args:
        scenes: of the film; those beside ``index`` lend what passes, and frames for cuts.
        index: which one.
        random: everything is drawn from it.
        scale: size of damage, in pixels of a frame 640 wide.
        odd: how often things are as they rarely are (a cut, a jump, what passes, what flies, a reel's end), 0 to 1.
    """
    scene = as_it_may_come(scenes, index, random, odd)
    frames = scene.frames
    _fly(frames, random, scale, odd)
    truth = frames[len(frames) // 2].copy()
    damaged = _damaged(frames, random, scale)
    if random.uniform() < 0.05 * odd:  # the end of a reel: the frame itself stands in for its neighbour
        middle = len(frames) // 2
        damaged[slice(0, middle) if random.integers(2) else slice(middle + 1, None)] = damaged[middle]
    change = np.abs(damaged[len(frames) // 2] - truth).max(axis=2)
    label = (change > VISIBLE).astype(np.float32)
    return Lesson(damaged, truth, label, (scene.doubtful < 0.5).astype(np.float32))


def lessons_of_pair(
    frames: Array, reference: Array, confidence: Array, side: int, multiple: int, most: int = 6
) -> list[Lesson]:
    """What a pair says of its scan's damage: it is where the scan and its reference differ by far more than elsewhere.

    Args:
        frames: [2r+1, H, W, 3] the scan, display values.
        reference: [H, W, 3] the same picture undamaged, laid over the scan's middle frame; display values.
        confidence: [H, W] how far it can be trusted, 0-1.
        side: of the lessons, in pixels; smaller where the pair is.
        multiple: of which the lessons' sides are.
        most: lessons at the most, where most damage is.
    """
    scan = frames[len(frames) // 2]
    difference = np.clip(scan - reference, -0.1, 0.1)
    truth = reference + cv2.blur(difference, (65, 65))
    apart = np.abs(scan - truth).max(axis=2)
    usual = float(np.median(apart))
    label = (apart > max(2 * VISIBLE, 5 * usual)).astype(np.float32)
    certain = ((label > 0) | (apart < max(VISIBLE, 2.5 * usual))) & (confidence > 0.5)
    sides = [min(side, length // multiple * multiple) for length in label.shape]
    found = []
    for _ in range(min(most, max(1, label.size // (sides[0] * sides[1])))):
        amounts = cv2.boxFilter(
            label * certain, -1, (sides[1], sides[0]), normalize=False, borderType=cv2.BORDER_CONSTANT
        )
        spot = np.unravel_index(int(amounts.argmax()), amounts.shape)
        top, left = (
            int(np.clip(at - length // 2, 0, whole - length))
            for at, length, whole in zip(spot, sides, label.shape, strict=True)
        )
        part = slice(top, top + sides[0]), slice(left, left + sides[1])
        found.append(
            Lesson(frames[:, *part].copy(), truth[part].copy(), label[part].copy(), certain[part].astype(np.float32))
        )
        certain[part] = False
    return found


def _fly(frames: Array, random: np.random.Generator, scale: float, odd: float) -> None:
    """Draw small things that move through all frames, or rain, into the truth."""
    count, height, width = frames.shape[:3]
    chance = random.uniform() / max(odd, 1e-9)
    if chance < 0.12:
        for _ in range(int(random.integers(1, 5))):
            place, speed = random.uniform((0, 0), (width, height)), random.normal(0, 10 * scale, 2)
            radius = random.uniform(0.8, 5) * scale
            colour = _colour(random, int(random.integers(2)))
            smear = speed * random.uniform(0, 0.6)
            for at in range(count):
                plane = np.zeros((height, width), np.float32)
                middle = place + speed * (at - count // 2)
                ends = np.linspace(middle - smear / 2, middle + smear / 2, 6)
                dust.stamp(plane, ends, 1.0, soft=random.uniform(0.4, 0.9), thickness=2 * radius)
                frames[at] += plane[..., None] * (colour - frames[at])
    elif chance < 0.17:
        angle, colour = random.normal(0, 0.25), _colour(random, _LIGHT)
        length, opacity = random.uniform(6, 30) * scale, random.uniform(0.15, 0.6)
        way = np.array([np.sin(angle), np.cos(angle)])
        drops = int(random.uniform(0.0005, 0.003) / scale**2 * height * width)
        for at in range(count):
            plane = np.zeros((height, width), np.float32)
            for _ in range(drops):
                begin = random.uniform((0, 0), (width, height))
                ends = np.stack([begin, begin + way * length * random.uniform(0.6, 1.4)])
                dust.stamp(plane, ends, opacity * random.uniform(0.5, 1), soft=0.5, thickness=1.0)
            frames[at] += plane[..., None] * (colour - frames[at])


def _damaged(frames: Array, random: np.random.Generator, scale: float) -> Array:
    """The frames with dust, hairs, scratches, stains and splices; each is left out of some lessons."""
    frames = frames.copy()
    count, height, width = frames.shape[:3]
    area = height * width / 10_000
    size = random.uniform(2.5, 9) * scale
    specks = random.uniform(0.4, 3.0) * area * min(1.0, 16 / size**2 + 0.3)
    per_frame, everywhere = random.uniform() < 0.9, random.uniform() < 0.12
    for at in range(count):
        if per_frame:
            for kind, share in ((_DARK, 0.6), (_LIGHT, 0.4)):
                plane = np.zeros((height, width), np.float32)
                for _ in range(random.poisson(specks * share)):
                    dust.draw_speck(plane, random, size)
                _lay(frames[at], plane, _colour(random, kind))
        if random.uniform() < 0.5:
            plane = np.zeros((height, width), np.float32)
            for _ in range(int(random.integers(1, 3))):
                dust.draw_hair(plane, random, random.uniform(8, 16) / scale)
            _lay(frames[at], plane, _colour(random, int(random.uniform() < 0.3)))
        for _ in range(int(random.uniform() < 0.35) * int(random.integers(1, 3))):
            _stain(frames[at], random, scale)
        if random.uniform() < 0.06:
            _splice(frames[at], random, scale)
    if everywhere:
        plane = np.zeros((height, width), np.float32)
        for _ in range(int(random.integers(1, 4))):
            dust.draw_hair(plane, random, random.uniform(8, 16) / scale)
            dust.draw_speck(plane, random, size)
        colour = _colour(random, _DARK)
        for frame in frames:
            _lay(frame, plane, colour)
    if random.uniform() < 0.65:
        for _ in range(int(random.integers(1, 4))):
            _scratch(frames, random, scale)
    return frames


def _lay(frame: Array, coverage: Array, colour: Array) -> None:
    frame += coverage[..., None] * (colour - frame)


def _scratch(frames: Array, random: np.random.Generator, scale: float) -> None:
    """A line down the film that keeps its place, but for some wandering; now and then on the middle frame alone."""
    count, height, width = frames.shape[:3]
    thickness = random.uniform(0.4, 2.2) * scale
    place, lean = random.uniform(0, width), random.normal(0, 0.01)
    rows = np.arange(height)
    kind, strength = int(random.choice((_DARK, _LIGHT, _DYE), p=(0.2, 0.2, 0.6))), random.uniform(0.3, 1.0)
    colour = _colour(random, kind)
    depth = np.array([random.uniform(0, 0.8), 1.0, random.uniform(0, 0.5)], np.float32)
    if random.uniform() < 0.3:
        depth = random.uniform(0.2, 1, 3).astype(np.float32)
    alone = random.uniform() < 0.2
    for at in range(count):
        if alone and at != count // 2:
            continue
        sway = random.normal(0, 0.6 * scale) + 2 * scale * np.sin(
            rows / (25 * scale) + random.uniform(0, 6)
        ) * random.uniform(0, 0.4)
        middle = place + lean * rows + sway
        nodes = max(2, round(height / (random.uniform(8, 40) * scale)))
        gaps = random.normal(random.uniform(0.4, 1.1), 0.4, (nodes, 1)).astype(np.float32)
        shows = np.clip(cv2.resize(gaps, (1, height)), 0, 1) * strength * min(1.0, thickness)
        profile = np.exp(-0.5 * ((np.arange(width) - middle[:, None]) / max(0.45, thickness / 2)) ** 2)
        coverage = (profile * shows).astype(np.float32)
        coverage[coverage < 1 / 255] = 0
        if kind == _DYE:
            frames[at] = frames[at] ** (1 - coverage[..., None] * depth)
        else:
            _lay(frames[at], coverage, colour)


def _stain(frame: Array, random: np.random.Generator, scale: float) -> None:
    """A blot with an uneven edge, more or less transparent, often with a rim."""
    height, width = frame.shape[:2]
    size = int(random.uniform(12, 70) * scale)
    noise = cv2.resize(random.standard_normal((7, 7)).astype(np.float32), (size, size), interpolation=cv2.INTER_CUBIC)
    y, x = np.mgrid[-1 : 1 : size * 1j, -1 : 1 : size * 1j]
    height_of = 1 - (x**2 + y**2) * 1.6 + 0.35 * noise
    soft = random.uniform(0.05, 0.4)
    blot = np.clip(height_of / soft, 0, 1) * random.uniform(0.2, 1) * (np.hypot(x, y) < 0.97)
    if random.uniform() < 0.5:
        blot = blot + np.exp(-((height_of / 0.1) ** 2)) * random.uniform(0, 0.5) * (np.hypot(x, y) < 0.97)
    blot = np.clip(blot * random.uniform(0.3, 1), 0, 0.95).astype(np.float32)
    top, left = (
        int(random.integers(-size // 2, height - size // 2)),
        int(random.integers(-size // 2, width - size // 2)),
    )
    rows, columns = slice(max(top, 0), min(top + size, height)), slice(max(left, 0), min(left + size, width))
    part = blot[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left, None]
    target = frame[rows, columns]
    if random.uniform() < 0.5:  # a tint: density added, more in some layers
        target[...] = target * np.exp(-part * random.uniform(0.1, 2.0, 3).astype(np.float32))
    else:
        target += part * (_colour(random, int(random.integers(2))) - target)


def _splice(frame: Array, random: np.random.Generator, scale: float) -> None:
    """A line right across the frame: cement, tape's edge, a tear."""
    height, width = frame.shape[:2]
    thick = random.uniform(0.6, 7) * scale
    place = random.uniform(0, height) + random.normal(0, 0.005) * np.arange(width)
    rough = np.convolve(random.normal(0, random.uniform(0, 2) * scale, width + 16), np.ones(17) / 17, "valid")
    distance = np.abs(np.arange(height)[:, None] - (place + rough))
    coverage = np.clip((thick / 2 - distance) / 0.8 + 0.5, 0, 1) * random.uniform(0.4, 1)
    coverage[coverage < 1 / 255] = 0
    _lay(frame, coverage.astype(np.float32), _colour(random, int(random.integers(2))))


def _colour(random: np.random.Generator, kind: int) -> Array:
    level = random.uniform(0.0, 0.25) if kind == _DARK else random.uniform(0.7, 1.05)
    return np.clip(level + random.normal(0, 0.04, 3), 0.015, 1.1).astype(np.float32)
