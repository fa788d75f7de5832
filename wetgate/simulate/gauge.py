"""What a smaller gauge and another generation take from a picture: sharpness, contrast, and clean grain."""

from __future__ import annotations

from dataclasses import dataclass, field

import cv2
import numpy as np

from wetgate.errors import WetgateError
from wetgate.images import Pixels, from_linear, to_linear
from wetgate.simulate.fade import dyes_of, light_of
from wetgate.simulate.grain import Grain, add_grain, grain_field


@dataclass(frozen=True)
class GaugeLoss:
    """A copy on a smaller gauge.

    Attributes:
        blur_um: standard deviation of the printer's and the emulsion's spread of light, in micrometres on the film.
        contrast: slope of the copy's density against the original's; below 1 it is flatter, above 1 harsher.
        pivot: the density that stays where it was.
        veil: light that strays over the whole frame, as a share of white.
        grain: of the copy.
        picture_width_mm: 10.26 for 16 mm.
    """

    blur_um: float = 16.0
    contrast: float = 0.85
    pivot: float = 0.7
    veil: float = 0.01
    grain: Grain = field(default_factory=lambda: Grain(granularity=10, size_um=9, shared=1.0))
    picture_width_mm: float = 10.26


def copy_of(pixels: Pixels, loss: GaugeLoss, seed: int = 0, frame: int = 0) -> Pixels:
    """The copy [H, W, 3] of a display frame [H, W, 3], both 0-1 (values outside are clipped).

    Light spreads and strays, the copy's density is the original's at another slope, and the copy has grain of its own,
    another on each frame.

    Raises:
        WetgateError: the frame is not [H, W, 3].
    """
    if pixels.ndim != 3 or pixels.shape[2] != 3 or not pixels.size:
        raise WetgateError(f"Frame {frame} has the shape {pixels.shape}; a copy needs height x width x 3.")
    height, width = pixels.shape[:2]
    pixel_um = loss.picture_width_mm * 1000 / width
    light = to_linear(np.clip(pixels, 0, 1).astype(np.float32, copy=False), "display")
    if loss.blur_um > 0:
        light = cv2.GaussianBlur(light, (0, 0), loss.blur_um / pixel_um, borderType=cv2.BORDER_REFLECT_101)
    dyes = dyes_of(light * np.float32(1 - loss.veil) + np.float32(loss.veil))
    dyes = np.float32(loss.pivot) + (dyes - np.float32(loss.pivot)) * np.float32(loss.contrast)
    if loss.grain.granularity:
        dyes = add_grain(dyes, grain_field(loss.grain, height, width, pixel_um, seed, frame))
    return from_linear(np.clip(light_of(dyes), 0, 1), "display")
