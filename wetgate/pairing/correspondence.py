"""Which place of a picture is like which place of another that shows something else: by tone, texture and colour.

Both are described on a grid of cells: lightness of the cell and of two surrounds, how rough it is at three scales and
in which direction, how high it lies, and its colour. Cells are assigned by optimal transport with an entropic term and
relaxed marginals (Cuturi, NIPS 2013; Chizat et al., Mathematics of Computation 87, 2018): similar cells find each
other, every part of a picture is used about as often as its area says, and what has no counterpart is left over.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]

_PIXELS = 384 * 216
"""At which pictures are looked at, whatever their shape."""
_CELLS = 64 * 36
"""Of a picture."""
_MOST = 1200
"""Cells of all other pictures together."""
_TONE, _TEXTURE, _DIRECTION, _HEIGHT, _COLOUR = (1.6, 0.8, 0.6), (0.9, 0.9, 0.7), 0.5, 0.5, 0.06
"""How much each part of a description counts; colour by a unit of a* or b*."""
_PLACE = 0.6
"""And within a shot, how far off in the frame, by a width of it."""
_BLUR, _RELAXED, _ROUNDS = 0.06, 0.5, 40
NEAR, SAME = 0.5, 0.3
"""Distances of descriptions at which likeness has fallen to exp(-1/2): to another picture, and within a shot."""


@dataclass(frozen=True)
class Described:
    """A picture on its grid.

    Attributes:
        features: [rows, columns, f]; the first two are the place's, the last two the colour's.
        colour: [rows, columns, 2] a* and b*.
    """

    features: Array
    colour: Array

    @property
    def flat(self) -> Array:
        """[rows * columns, f]."""
        return self.features.reshape(-1, self.features.shape[-1])


def describe(lab: Array) -> Described:
    """Describe a CIELAB picture [H, W, 3] of any size."""
    height, width = lab.shape[:2]
    columns, rows = _sides(width, height, _PIXELS)
    shrinks = columns < width
    small = cv2.resize(lab, (columns, rows), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
    low, high = np.percentile(small[..., 0], [1, 99])
    tone = np.clip((small[..., 0] - low) / max(high - low, 10.0), -0.2, 1.2)
    right, below = np.meshgrid(np.linspace(0, 1, columns), np.linspace(0, rows / columns, rows))
    maps: list[Array] = [(_PLACE * place).astype(np.float32) for place in (right, below)]
    maps += [weight * _blurred(tone, sigma) for weight, sigma in zip(_TONE, (2, 8, 24), strict=True)]
    for weight, fine, wide in zip(_TEXTURE, (0.7, 2, 6), (4, 8, 16), strict=True):
        rough = _blurred(np.square(_blurred(tone, fine) - _blurred(tone, 2 * fine)), wide)
        maps.append(np.float32(weight / 2) * np.log1p(np.sqrt(np.maximum(rough, 0)) / np.float32(0.02)))
    soft = _blurred(tone, 1.5)
    across, down = (_blurred(np.square(cv2.Sobel(soft, cv2.CV_32F, dx, 1 - dx)), 8) for dx in (1, 0))
    maps.append(_DIRECTION * (across - down) / (across + down + 1e-4))
    maps.append(_HEIGHT * np.broadcast_to(np.linspace(0, 1, rows, dtype=np.float32)[:, None], tone.shape))
    cells = _sides(width, height, _CELLS)
    grid = [cv2.resize(np.ascontiguousarray(one, np.float32), cells, interpolation=cv2.INTER_AREA) for one in maps]
    colour = cv2.resize(_blurred(small[..., 1:], 2), cells, interpolation=cv2.INTER_AREA)
    return Described(np.dstack([*grid, _COLOUR * colour]).astype(np.float32), np.asarray(colour, np.float32))


@dataclass(frozen=True)
class Found:
    """What the other pictures have for each cell.

    Attributes:
        colour: [n, 2] a* and b*.
        likeness: [n] 0-1, how like the best counterparts are.
        agreement: [n] 0-1, how far the counterparts agree about colour.
    """

    colour: Array
    likeness: Array
    agreement: Array


def correspond(cells: Array, others: list[tuple[Array, Array, float]], *, with_colour: bool) -> Found:
    """Find counterparts.

    Args:
        cells: [n, f] descriptions.
        others: of each other picture its descriptions [m, f], colours [m, 2], and its weight.
        with_colour: whether the colours of ``cells`` say anything.
    """
    used = slice(2, None if with_colour else -2)
    each = max(1, _MOST // len(others))
    thinned = [(f[:: -(-len(f) // each)], c[:: -(-len(f) // each)], w) for f, c, w in others]
    features = np.concatenate([f for f, _, _ in thinned])[:, used]
    colours = np.concatenate([c for _, c, _ in thinned])
    share = np.concatenate([np.full(len(f), w / len(f)) for f, _, w in thinned]).astype(np.float32)
    cost = _squared_distances(cells[:, used], features)
    plan = _transport(cost, share / share.sum())
    mass = plan.sum(axis=1, keepdims=True) + 1e-20
    plan /= mass
    colour = plan @ colours
    spread = np.maximum(plan @ np.square(colours).sum(axis=1) - np.square(colour).sum(axis=1), 0)
    distance = np.sqrt((plan * cost).sum(axis=1))
    return Found(
        colour.astype(np.float32),
        np.exp(-0.5 * np.square(distance / NEAR)).astype(np.float32),
        (1 / (1 + spread / 15**2)).astype(np.float32),
    )


def likeness(cells: Array, samples: Array, *, with_colour: bool, nearest: int = 4) -> Array:
    """[n] 0-1: how like the nearest of some sample descriptions of the same shot each cell is."""
    used = slice(None) if with_colour else slice(0, -2)
    squared = _squared_distances(cells[:, used], samples[:, used])
    count = min(nearest, squared.shape[1])
    closest = np.partition(squared, count - 1, axis=1)[:, :count].mean(axis=1)
    return np.asarray(np.exp(-0.5 * closest / SAME**2), np.float32)


def _transport(cost: Array, share: Array) -> Array:
    """[n, m] how much of each cell goes where; rows relaxed little, columns much."""
    kernel = np.exp(-(cost - cost.min(axis=1, keepdims=True)) / _BLUR).astype(np.float32) + np.float32(1e-12)
    rows = np.full(len(cost), 1 / len(cost), np.float32)
    right = np.ones(cost.shape[1], np.float32)
    power = _RELAXED / (_RELAXED + 1)
    for _ in range(_ROUNDS):
        left = rows / (kernel @ right + 1e-20)
        right = (share / (left @ kernel + 1e-20)) ** power
    return np.asarray(left[:, None] * kernel * right[None], np.float32)


def _squared_distances(a: Array, b: Array) -> Array:
    squares = np.square(a).sum(axis=1)[:, None] + np.square(b).sum(axis=1)[None] - 2 * a @ b.T
    return np.maximum(squares, 0)


def _sides(width: int, height: int, area: int) -> tuple[int, int]:
    """Width and height of about so many pixels in the same shape; slivers are widened to 8 to 1."""
    ratio = float(np.clip(width / height, 1 / 8, 8))
    columns = round((area * ratio) ** 0.5)
    return columns, round(columns / ratio)


def _blurred(picture: Array, sigma: float) -> Array:
    return np.asarray(cv2.GaussianBlur(picture, (0, 0), sigma, borderType=cv2.BORDER_REPLICATE), np.float32)
