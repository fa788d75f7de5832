"""Dye fading of a chromogenic colour print, in density.

A display picture is read as what a scanner saw of a fresh print: linear light is transmittance, its
negative decimal logarithm is density, and the densities of the three bands are a mixture of three dyes,
since each dye absorbs a little outside its own band. In the dark a dye loses a fraction of itself,
whatever the amount, so fading is one factor per dye (C. Tuite, "Image stability in color photography",
J. Appl. Photogr. Eng. 5, 1979); what the lost cyan leaves behind is the red cast of old prints. Residual
couplers turn yellow-brown meanwhile: the base stain.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from wetgate.images import Pixels
from wetgate.simulate import seeds

Triple = NDArray[np.float64] | tuple[float, float, float]

ABSORPTION = np.array([[0.897, 0.088, 0.015], [0.120, 0.785, 0.095], [0.082, 0.153, 0.765]])
"""Density in the red, green and blue band (rows) of one unit of cyan, magenta and yellow dye (columns).

Averages, over Gaussian bands 50 nm wide (FWHM) at 630, 535 and 455 nm, of the spectral dye densities that
Kodak publishes for Vision Color Print Film 2383; each row is scaled to a sum of 1, so that equal amounts of
the three dyes are neutral and one unit of each is a density of 1 (equivalent neutral density).
"""

FLARE = 10**-2.8
"""Light that reaches the sensor through the blackest film, as a share of white: display black has a density of 2.8."""


@dataclass(frozen=True)
class Fade:
    """How far the dyes have gone.

    Attributes:
        remaining: what is left of the cyan, magenta and yellow dye, each 0-1.
        stain: density that residual couplers and base add in the red, green and blue band.
        scanner_light: density by which the scanner's operator opened up each band, to make up for the stain or
            for a dense print; positive is brighter.
        unevenness: standard deviation of the local age: where it is 0.1, that place is 10 % further gone in time.
    """

    remaining: tuple[float, float, float] = (1.0, 1.0, 1.0)
    stain: tuple[float, float, float] = (0.0, 0.0, 0.0)
    scanner_light: tuple[float, float, float] = (0.0, 0.0, 0.0)
    unevenness: float = 0.0


def dyes_of(linear: Pixels) -> Pixels:
    """Amounts of cyan, magenta and yellow dye (equivalent neutral density) behind linear light.

    Colours that no mixture of the three dyes gives come out with a negative amount of one.
    """
    density = -np.log10((np.maximum(linear, 0) + FLARE) / (1 + FLARE))
    return (density.astype(np.float32).reshape(-1, 3) @ _UNMIX).reshape(linear.shape)


def light_of(dyes: Pixels, added_density: NDArray[np.float64] | None = None) -> Pixels:
    """Linear light through the dyes plus a density per band; undoes :func:`dyes_of`."""
    density = dyes.reshape(-1, 3) @ _MIX
    if added_density is not None:
        density += added_density.astype(np.float32)
    light = np.exp(density * np.float32(-np.log(10))).reshape(dyes.shape)
    return light * np.float32(1 + FLARE) - np.float32(FLARE)


def fade_dyes(dyes: Pixels, remaining: Triple, age: Pixels | None = None) -> Pixels:
    """What is left of dye amounts [H,W,3]; a negative amount (an unreachable colour) has nothing to lose.

    Dyes decay exponentially: ``age`` [H,W], relative, raises the share that remains to a power.
    """
    share = np.maximum(np.asarray(remaining, np.float32), np.float32(1e-4))
    if age is not None:
        share = np.exp(age[..., None] * np.log(share))
    return np.minimum(dyes, 0) + np.maximum(dyes, 0) * share


def local_age(fade: Fade, height: int, width: int, pixel_um: float, seed: int, frame: int) -> Pixels | None:
    """[H,W] relative age over one frame, 1 on average; None where the fade is even.

    Waves of 8 to 60 mm across the film and 40 to 400 mm along it: the pattern drifts through the frames as they
    follow each other on the strip.
    """
    if not fade.unevenness:
        return None
    waves = 16
    random = seeds.generator(seed, "local age")
    across, along = (1 / np.exp(random.uniform(np.log(a), np.log(b), waves)) for a, b in ((8, 60), (40, 400)))
    phases = random.uniform(0, 2 * np.pi, waves)
    mm = pixel_um / 1000
    x = np.linspace(0, width * mm, max(2, width // 16))
    y = np.linspace(0, height * mm, max(2, height // 16)) + frame * height * mm
    angles = 2 * np.pi * (across * x[None, :, None] + along * y[:, None, None]) + phases
    coarse = 1 + fade.unevenness * np.sqrt(2 / waves) * np.sin(angles).sum(axis=2)
    return np.asarray(cv2.resize(coarse.astype(np.float32), (width, height), interpolation=cv2.INTER_CUBIC))


_MIX = np.ascontiguousarray(ABSORPTION.T, dtype=np.float32)
_UNMIX = np.ascontiguousarray(np.linalg.inv(ABSORPTION).T, dtype=np.float32)
