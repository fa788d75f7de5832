"""What is no picture: black borders, overscan, the corners of a gate, and values at the limits of a source."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]
Mask = NDArray[np.bool_]
Plane = TypeVar("Plane", Array, Mask)

SIDES = ("left", "right", "top", "bottom")
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)
_MOST = 0.3
"""Share of a side's length that a border may take."""
_DARK = 0.12
"""How far above the darkest of a picture, as a share of its range, a border may lie."""
_FLAT = 0.06
"""How much, as a share of the range, a line of it may vary."""
_TOUCHING = 2
"""Pixels from the frame's edge within which a dark place counts as part of it."""
_PILE = 0.002
"""Share of a picture's pixels that makes a pile at a limit."""
_PILE_RATIO = 4.0
"""How many times as high as its neighbours it must be."""
_CONTINUED = 0.004
"""Share of a pile that its neighbours must have: beside a painted area there is nothing."""
_LEVEL = 1 / 255


@dataclass(frozen=True)
class Borders:
    """``mask`` [H, W], and the width in pixels of each straight border by its side."""

    mask: Mask
    widths: dict[str, int]


def find_borders(pixels: Array, other: Array) -> Borders:
    """Where one picture [H, W, 3] is black along the frame's edge and another, laid on it, is not, or has a border too.

    Straight lines are taken whole; beside them, dark places at the edge where the other is bright enough there to be
    picture: slanted frame lines, rounded corners.
    """
    luma, counter = pixels @ _LUMA, other @ _LUMA
    (black, scope), (other_black, other_scope) = _range(luma), _range(counter)
    dark = luma < black + _DARK * scope
    mask, widths = np.zeros(luma.shape, np.bool_), {}
    for side in SIDES:
        lines, others = _from(luma, side), _from(counter, side)
        width = _width(lines, black, scope)
        # a night sky is as dark in both; a border in both is taken where it is black and ends at once
        if width and (_shows(others[:width], other_black, other_scope) or _ends_at_once(lines, width, scope)):
            widths[side] = width
            _from(mask, side)[:width] = True
    expected, spread = _expected(counter, luma)
    missing = dark & (luma < expected - np.maximum(0.1 * scope, 4 * spread)) & ~mask
    return Borders(mask | _at_the_edge(missing, mask), widths)


def clipped(pixels: Array) -> Array:
    """[H, W] share of the channels of [H, W, 3] that are flat at their black or white limit.

    A faded scan's limits are not 0 and 1: a limit is the extreme value of a channel at which many more pixels pile up
    than beside it.
    """
    share = np.zeros(pixels.shape[:2], np.float32)
    for k in range(3):
        for sign in (1, -1):
            values = sign * pixels[..., k]
            top = float(values.max())
            counts = np.histogram(top - values, bins=12, range=(-0.5 * _LEVEL, 11.5 * _LEVEL))[0]
            beside = float(counts[2:].mean())
            piled = counts[0] > _PILE * values.size and counts[0] > _PILE_RATIO * beside
            if piled and beside > _CONTINUED * counts[0]:
                limit = (values > top - 0.75 * _LEVEL).astype(np.float32)
                share += cv2.morphologyEx(limit, cv2.MORPH_OPEN, np.ones((3, 3))) / 3
    return share


def _range(luma: Array) -> tuple[float, float]:
    low, high = np.percentile(luma[::3, ::3], (0.2, 99.0))
    return float(low), max(float(high - low), 0.05)


def _from(picture: Plane, side: str) -> Plane:
    """A view whose first axis leads away from that side of the frame."""
    turned = picture if side in ("top", "bottom") else picture.T
    return turned if side in ("left", "top") else turned[::-1]


def _width(lines: Array, black: float, scope: float) -> int:
    """Lines from the edge on that are black and even."""
    some = lines[: int(_MOST * len(lines))]
    low, high = np.percentile(some, (2, 98), axis=1)
    even = (high - low < _FLAT * scope) & (high < black + _DARK * scope)
    return int(len(some) if even.all() else np.argmin(even))


def _shows(others: Array, black: float, scope: float) -> bool:
    """Whether lines hold picture."""
    low, high = np.percentile(others, (5, 95))
    return bool(high - low > 2 * _FLAT * scope or low > black + _DARK * scope)


def _ends_at_once(lines: Array, width: int, scope: float) -> bool:
    """Whether the border's end is a step for at least half of its length."""
    beyond, within = lines[min(width + 3, len(lines) - 1)], lines[max(width - 2, 0)]
    return float(np.median(beyond - within)) > 0.15 * scope


def _expected(source: Array, target: Array) -> tuple[Array, Array]:
    """The target's usual value, and its deviation, where the source [H, W] is as bright as it is."""
    every = np.s_[::3, ::3]
    level, value = source[every].ravel(), target[every].ravel()
    parts = [part for part in np.array_split(np.argsort(level), 24) if len(part)]
    centres = [float(np.median(level[part])) for part in parts]
    middles = [float(np.median(value[part])) for part in parts]
    deviations = [1.5 * float(np.median(np.abs(value[part] - m))) for part, m in zip(parts, middles, strict=True)]
    return (
        np.interp(source, centres, middles).astype(np.float32),
        np.interp(source, centres, deviations).astype(np.float32),
    )


def _at_the_edge(places: Mask, border: Mask) -> Mask:
    """Those of the places that hang together with the frame's edge or with a straight border."""
    frame = np.ones(places.shape, np.uint8)
    frame[_TOUCHING:-_TOUCHING, _TOUCHING:-_TOUCHING] = 0
    frame |= cv2.dilate(border.astype(np.uint8), np.ones((2 * _TOUCHING + 1,) * 2))
    solid = cv2.morphologyEx(places.astype(np.uint8), cv2.MORPH_OPEN, np.ones((3, 3)))
    labels = cv2.connectedComponents(solid, connectivity=4)[1]
    touching = np.unique(labels[(frame > 0) & (solid > 0)])
    return np.asarray(np.isin(labels, touching[touching > 0]))
