"""Film grain as a fluctuation of dye, in density."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from wetgate.images import Pixels
from wetgate.simulate import seeds

_APERTURE_UM2 = np.pi * 24.0**2


@dataclass(frozen=True)
class Grain:
    """Grain in the units of film data sheets.

    Attributes:
        granularity: diffuse RMS granularity: 1000 times the standard deviation of density at a density of 1,
            seen through the standard round aperture of 48 micrometres (ISO 10505). Data sheets of fine negative
            stock say about 5; every generation on the way to a print adds its own.
        size_um: standard deviation of the Gaussian that a dye cloud is spread over, in micrometres.
        shared: part of the variance that all three layers have in common (0-1), grain that was printed
            through from an earlier generation.
    """

    granularity: float = 0.0
    size_um: float = 6.0
    shared: float = 0.3


def grain_field(grain: Grain, height: int, width: int, pixel_um: float, seed: int, frame: int) -> Pixels:
    """[H,W,3] fluctuation of dye density at a density of 1; zero mean.

    White noise of the power that the granularity states, then spread by the size of the clouds: at any pixel
    size the standard deviation follows Selwyn's law (E. W. H. Selwyn, Photogr. J. 75, 1935).
    """
    per_pixel = grain.granularity / 1000 * np.sqrt(_APERTURE_UM2) / pixel_um
    random = seeds.generator(seed, "grain", frame)
    noise = random.standard_normal((height, width, 4), dtype=np.float32)
    field = noise[..., :3] * np.float32(per_pixel * np.sqrt(1 - grain.shared))
    field += noise[..., 3:] * np.float32(per_pixel * np.sqrt(grain.shared))
    sigma = grain.size_um / pixel_um
    if sigma < 0.2:
        return field
    return np.asarray(cv2.GaussianBlur(field, (0, 0), sigma, borderType=cv2.BORDER_REFLECT_101), np.float32)


def add_grain(dyes: Pixels, field: Pixels) -> Pixels:
    """Add the fluctuation to dye amounts [H,W,3].

    The variance of the grain grows with the amount of dye (P. G. Nutting, Phil. Mag. 26, 1913), less steeply in
    the deepest shadows, where the clouds overlap; a little is left in clear film.
    """
    amount = np.maximum(dyes, 0)
    return dyes + field * np.sqrt((amount + 0.03) * (1.3 / 1.03) / (1 + 0.3 * amount))
