"""What was laid over a picture after it was taken: subtitles, logos, boxes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]
Mask = NDArray[np.bool_]

_GAP = (0.035, 0.012)
"""Between letters and between the parts of a letter, across and down, as a share of the picture's height."""
_LEAST_AREA = 1.5e-4
"""Of an overlay, as a share of the picture's; below it, it is a speck."""
_MOST_AREA = 0.25
_LEAST_FILLED = 0.3
"""Share of an overlay's box that has no counterpart: text reaches 0.5, misaligned outlines of things 0.2."""
_STANDS = 0.7
_CHANGES = 0.03
"""Display values by which a picture must differ from another to have changed."""


@dataclass(frozen=True)
class Overlay:
    """A box of the picture, in its pixels."""

    x: int
    y: int
    width: int
    height: int

    def words(self, shape: tuple[int, ...]) -> str:
        """Where and what it looks like, in an artist's words, for a picture [H, W]."""
        height, width = shape[:2]
        x, y = (self.x + self.width / 2) / width, (self.y + self.height / 2) / height
        across = "left" if x < 1 / 3 else "right" if x > 2 / 3 else ""
        down = "top" if y < 1 / 3 else "bottom" if y > 2 / 3 else ""
        if across and down and self.width < 0.25 * width:
            return f"logo {down} {across}"
        if self.width > 2 * self.height:
            return f"subtitle {down or 'middle'}"
        return f"overlay {' '.join(filter(None, (down, across))) or 'middle'}"


def find_overlays(sure: Mask, likely: Mask) -> list[Overlay]:
    """Boxes around dense groups of pixels [H, W] that have no counterpart in the other picture.

    Args:
        sure: pixels that surely have none.
        likely: pixels that belong to an overlay where they hang together with sure ones.
    """
    height = len(sure)
    across, down = (max(3, round(share * height) | 1) for share in _GAP)
    joined = cv2.morphologyEx(_grown(sure, likely).astype(np.uint8), cv2.MORPH_CLOSE, np.ones((down, across)))
    count, labels, stats, _ = cv2.connectedComponentsWithStats(joined, connectivity=8)
    found = []
    for label in range(1, count):
        x, y, w, h, _area = (int(value) for value in stats[label])
        inside = np.s_[y : y + h, x : x + w]
        own = (labels[inside] == label) & likely[inside]
        if own.sum() < _LEAST_AREA * sure.size or w * h > _MOST_AREA * sure.size or min(w, h) < 0.012 * height:
            continue
        if own.mean() >= _LEAST_FILLED or _boxed(own):
            found.append(Overlay(x, y, w, h))
    return found


def burnt_in(references: Sequence[Array]) -> Array:
    """[H, W] 0-1: what stands still over several references [H, W, 3] while the picture around it changes.

    All references are laid over the same frame (aligned). Logos, also translucent ones, keep their outlines
    whatever goes on behind them. With less than three references, or where the picture itself stands still, 0.
    """
    shape = references[0].shape[:2] if references else (1, 1)
    result = np.zeros(shape, np.float32)
    if len(references) < 3:
        return result
    scale = min(1.0, 720 / max(shape))
    size = (max(1, round(shape[1] * scale)), max(1, round(shape[0] * scale)))
    lumas = [
        cv2.GaussianBlur(cv2.resize(r.mean(2, dtype=np.float32), size, interpolation=cv2.INTER_AREA), (0, 0), 1)
        for r in references
    ]
    gradients = np.stack([np.stack(np.gradient(luma)) for luma in lumas])
    steady = np.median(gradients, axis=0)
    strength = np.hypot(*steady)
    # how much of the steady gradient each picture has, in its direction
    shares = (gradients * steady).sum(1) / np.maximum(strength**2, 1e-8)
    agreeing = (shares > 0.5).mean(0)
    changing = np.ptp(np.stack(lumas), axis=0) > _CHANGES
    stands = (strength > 0.008) & (agreeing >= _STANDS) & (shares.min(0) > 0.15)
    for overlay in find_overlays(stands, stands):
        if _surroundings(changing, stands, overlay) > _STANDS:
            margin = max(3, round(0.01 * size[1]))
            y, x = max(overlay.y - margin, 0), max(overlay.x - margin, 0)
            box = np.s_[
                round(y / scale) : round((overlay.y + overlay.height + margin) / scale),
                round(x / scale) : round((overlay.x + overlay.width + margin) / scale),
            ]
            result[box] = 1
    return np.asarray(cv2.blur(result, (3, 3)))


def _grown(sure: Mask, likely: Mask) -> Mask:
    """The likely pixels that hang together with sure ones."""
    labels = cv2.connectedComponents((likely | sure).astype(np.uint8), connectivity=8)[1]
    kept = np.unique(labels[sure])
    return np.asarray(np.isin(labels, kept[kept > 0]))


def _boxed(own: Mask) -> bool:
    """Whether pixels line all four sides of their box."""
    edge = max(2, min(own.shape) // 6)
    sides = (own[:edge].any(0), own[-edge:].any(0), own[:, :edge].any(1), own[:, -edge:].any(1))
    return all(float(side.mean()) > 0.6 for side in sides)


def _surroundings(changing: Mask, stands: Mask, overlay: Overlay) -> float:
    """Share of the ring around an overlay in which the picture changes."""
    reach = max(6, round(0.04 * changing.shape[0]))
    ring = np.zeros(changing.shape, np.bool_)
    x, y = overlay.x, overlay.y
    ring[max(y - reach, 0) : y + overlay.height + reach, max(x - reach, 0) : x + overlay.width + reach] = True
    ring[max(y - 3, 0) : y + overlay.height + 3, max(x - 3, 0) : x + overlay.width + 3] = False
    return float((changing & ~stands)[ring].mean()) if ring.any() else 0.0
