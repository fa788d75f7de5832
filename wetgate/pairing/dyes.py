"""Dye amounts behind the colours of a scanned print: the published absorptions of common stocks.

A scanner sees three bands of light, a print holds three dyes, and each dye absorbs a little outside its own band. So
the densities that a scan shows are a mixture, and dyes, which fade each by itself, are told apart by undoing it.

The mixtures are averages of the spectral dye densities on the makers' data sheets (in the digitised form of the open
project spectral_film_lut) over Gaussian bands 30 nm wide (FWHM) at 640, 540 and 460 nm. Each row is scaled to a sum
of 1: equal amounts of the three dyes are neutral, and one unit of each is a density of 1.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from wetgate.errors import WetgateError
from wetgate.images import from_linear, to_linear

Array = NDArray[np.float32]
Matrix = NDArray[np.float64]

FLARE = 10**-2.8
"""Light that reaches a sensor through black film, as a share of white: blacks end at a density of 2.8."""

STOCKS: dict[str, tuple[tuple[float, float, float], ...]] = {
    "eastman-5381": ((0.897, 0.087, 0.016), (0.109, 0.757, 0.134), (0.048, 0.232, 0.720)),
    "eastman-5383": ((0.948, 0.047, 0.005), (0.155, 0.796, 0.049), (0.033, 0.232, 0.735)),
    "eastman-5384": ((0.950, 0.046, 0.004), (0.152, 0.797, 0.051), (0.043, 0.221, 0.736)),
    "eastman-5386": ((0.926, 0.065, 0.009), (0.133, 0.801, 0.066), (0.048, 0.163, 0.789)),
    "fuji-3513": ((0.829, 0.115, 0.056), (0.134, 0.741, 0.125), (0.121, 0.178, 0.701)),
}
"""Density in the red, green and blue band (rows) of one unit of cyan, magenta and yellow dye (columns): Eastman Color
Print Film 5381 (1962), 5383 (1974), 5384 (1982) and EXR 5386 (1993), Fujicolor Positive Film 3513."""

UNKNOWN = "print"
"""The mean of all: for a print whose stock is not known."""


def absorption_of(stock: str) -> Matrix:
    """[3, 3] density per dye, bands in rows.

    Raises:
        WetgateError: no such stock is known.
    """
    if stock == UNKNOWN:
        return np.mean([np.array(rows) for rows in STOCKS.values()], axis=0)
    if stock not in STOCKS:
        raise WetgateError(f"There is no stock {stock}: choose one of {', '.join((UNKNOWN, *STOCKS))}.")
    return np.array(STOCKS[stock])


def dyes_of(display: Array, absorption: Matrix) -> Array:
    """Amounts of cyan, magenta and yellow dye [..., 3] behind display values [..., 3].

    Colours that no mixture of the dyes gives have a negative amount of one.
    """
    light = np.maximum(to_linear(display, "display"), 0)
    density = -np.log10((light + FLARE) / (1 + FLARE))
    return np.asarray(density @ np.linalg.inv(absorption).T, np.float32)


def display_of(dyes: Array, absorption: Matrix) -> Array:
    """Display values [..., 3] of dye amounts; undoes :func:`dyes_of`."""
    light = np.exp(-np.log(10.0) * np.clip(dyes @ absorption.T, -1.0, 6.0))
    return from_linear((light * (1 + FLARE) - FLARE).astype(np.float32), "display")
