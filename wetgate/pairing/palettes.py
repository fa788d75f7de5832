"""Palettes: which colours go with which lightness, and the hues and saturations that a set of pictures supports.

Colours are CIELAB (D65); lightness is never changed here.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from wetgate.evaluation.metrics import srgb_to_lab
from wetgate.images import from_linear

Array = NDArray[np.float32]

_TONES = 12
_LEAST_GAIN, _MOST_GAIN = 0.4, 1.5
"""How much the scatter around a palette may shrink or grow."""
_HUES, _LEVELS = 36, 10
_GREY = 4.0
"""Chroma that every hue may have: no picture is so grey that its greys lie below."""
_RARE = 2e-4
"""Share of a picture's pixels below which a colour counts as an accident."""
_XYZ_TO_RGB = np.linalg.inv(
    np.array([[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]])
)
_WHITE = np.array([0.950470, 1.0, 1.088830])


def lab_of(display: Array) -> Array:
    """CIELAB [..., 3] of display values, as float32."""
    return np.asarray(srgb_to_lab(np.asarray(display, np.float32)), np.float32)


def display_of_lab(lab: Array) -> Array:
    """Display values [..., 3] of CIELAB; a colour that no display has loses chroma until it has, not lightness."""
    keep = np.ones(lab.shape[:-1], np.float32)
    for _ in range(6):
        linear = _linear(lab, keep)
        outside = (linear.min(axis=-1) < -1e-4) | (linear.max(axis=-1) > 1 + 1e-4)
        outside &= (lab[..., 0] > 0) & (lab[..., 0] < 100)
        if not outside.any():
            break
        keep = np.where(outside, keep * np.float32(0.85), keep)
    return from_linear(linear.astype(np.float32), "display")


def _linear(lab: Array, keep: Array) -> Array:
    fy = (lab[..., 0] + 16) / 116
    f = np.stack([fy + keep * lab[..., 1] / 500, fy, fy - keep * lab[..., 2] / 200], axis=-1)
    ratios = np.where(f > 6 / 29, f**3, (f - 4 / 29) * 3 * (6 / 29) ** 2)
    return np.asarray((ratios * _WHITE) @ _XYZ_TO_RGB.T, np.float32)


@dataclass(frozen=True)
class Palette:
    """The colours of one region by its tones.

    Attributes:
        lightness: [n] from the region's darkest to its brightest.
        colour: [n, 2] mean a* and b* at these.
        scatter: standard deviation around that, of a* and b* together.
    """

    lightness: Array
    colour: Array
    scatter: float

    @classmethod
    def of(cls, lab: Array) -> Palette:
        """The palette of pixels [n, 3]."""
        low, high = np.percentile(lab[:, 0], [2, 98])
        high = max(high, low + 1.0)
        nodes = np.linspace(low, high, _TONES)
        width = max((high - low) / _TONES, 2.0)
        weight = np.exp(-0.5 * ((lab[:, 0][None] - nodes[:, None]) / width) ** 2) + 1e-6
        colour = weight @ lab[:, 1:] / weight.sum(axis=1, keepdims=True)
        palette = cls(nodes.astype(np.float32), colour.astype(np.float32), 1.0)
        apart = lab[:, 1:] - palette.at(lab[:, 0])
        return cls(palette.lightness, palette.colour, float(np.sqrt(np.mean(apart**2))) + 0.5)

    def at(self, lightness: Array) -> Array:
        """Mean a* and b* [..., 2] at a lightness [...]."""
        both = [np.interp(lightness, self.lightness, self.colour[:, k]) for k in range(2)]
        return np.stack(both, axis=-1).astype(np.float32)

    def tone(self, lightness: Array) -> Array:
        """Where a lightness stands between the darkest and the brightest, 0-1."""
        low, high = float(self.lightness[0]), float(self.lightness[-1])
        return np.clip((lightness - low) / (high - low), 0, 1)


def recoloured(lab: Array, seen: Palette, wanted: Palette) -> Array:
    """a* and b* [..., 2] for pixels [..., 3] of a region: its palette, tone for tone, is taken to the wanted one.

    What sets a pixel off its own palette stays, scaled by the palettes' scatters.
    """
    tone = seen.tone(lab[..., 0])
    low, high = float(wanted.lightness[0]), float(wanted.lightness[-1])
    gain = np.clip(wanted.scatter / seen.scatter, _LEAST_GAIN, _MOST_GAIN)
    return np.asarray(wanted.at(low + tone * (high - low)) + gain * (lab[..., 1:] - seen.at(lab[..., 0])), np.float32)


@dataclass(frozen=True)
class Support:
    """How saturated each hue is, at each lightness, in a set of pictures.

    Attributes:
        chroma: [levels, hues] largest chroma; never below that of a near grey.
    """

    chroma: Array

    @classmethod
    def of(cls, pictures: list[Array]) -> Support:
        """What CIELAB pixels [n, 3] of several pictures support: all but the rarest of each picture."""
        chroma = np.full((_LEVELS, _HUES), _GREY, np.float32)
        for lab in pictures:
            level, hue, saturation = _coordinates(lab)
            cell = np.minimum(level.astype(int), _LEVELS - 1) * _HUES + hue.astype(int) % _HUES
            order = np.lexsort((-saturation, cell))
            cell, saturation = cell[order], saturation[order]
            skipped = max(1, round(_RARE * len(lab)))
            starts = np.searchsorted(cell, np.arange(_LEVELS * _HUES))
            ends = np.searchsorted(cell, np.arange(_LEVELS * _HUES), side="right")
            usable = np.flatnonzero(ends - starts > skipped)
            flat = chroma.reshape(-1)
            flat[usable] = np.maximum(flat[usable], saturation[starts[usable] + skipped])
        widened = cv2.dilate(_around(chroma, 1), np.ones((3, 3), np.uint8))[1:-1, 1:-1]
        return cls(np.asarray(cv2.GaussianBlur(_around(widened, 2), (5, 5), 0.7)[2:-2, 2:-2], np.float32))

    def most(self, lab: Array) -> Array:
        """Largest chroma [H, W] for the lightness and hue of pixels [H, W, 3]."""
        level, hue, _ = _coordinates(lab)
        rows, columns = np.clip(level - 0.5, 0, _LEVELS - 1) + 1, hue - 0.5 + 1
        return np.asarray(cv2.remap(_around(self.chroma, 1), columns, rows, cv2.INTER_LINEAR), np.float32)

    def bounded(self, lab: Array, own: Array) -> Array:
        """The pixels [H, W, 3] with no more chroma than their hue has at their lightness in the pictures.

        Args:
            lab: colours that were inferred.
            own: CIELAB of the same pixels as far as the film itself tells: what they have of a hue they may keep.
        """
        saturation = np.maximum(np.hypot(lab[..., 1], lab[..., 2]), 1e-3)
        kept = (lab[..., 1:] * own[..., 1:]).sum(axis=-1) / saturation
        share = np.minimum(1, np.maximum(self.most(lab), kept) / saturation)
        return np.concatenate([lab[..., :1], lab[..., 1:] * share[..., None]], axis=-1).astype(np.float32)


def _around(chroma: Array, margin: int) -> Array:
    """The table continued: hues are a circle, lightness ends."""
    rows = cv2.copyMakeBorder(chroma, margin, margin, 0, 0, cv2.BORDER_REPLICATE)
    return np.asarray(cv2.copyMakeBorder(rows, 0, 0, margin, margin, cv2.BORDER_WRAP), np.float32)


def _coordinates(lab: Array) -> tuple[Array, Array, Array]:
    """Lightness in levels, hue in sectors, and chroma."""
    level = np.clip(lab[..., 0] / 100, 0, 1) * _LEVELS
    hue = (np.arctan2(lab[..., 2], lab[..., 1]) / (2 * np.pi) % 1) * _HUES
    return level.astype(np.float32), hue.astype(np.float32), np.hypot(lab[..., 1], lab[..., 2]).astype(np.float32)
