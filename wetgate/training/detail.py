"""How strongly the scan's detail comes back: its contrast, not its shape.

Fading costs the picture's fine structure contrast like everything else. Which mixture of the scan's three layers
carries the reference's detail best, and how much of it, is read from a band that both can show (between one and three
pixels, coarser than a soft reference's limit): the mixture by least squares, the amount so that the restored picture
has as much energy there as the reference. One mixture for all three channels: grain comes back neutral, since the
layers' own noise, multiplied by what undoes the fading, would come back as coloured speckle.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]

LEAST, MOST = 0.5, 3.0
_RIDGE = 0.05


def fit(colour: Sequence[Array], responses: Sequence[Array], reference: Sequence[Array]) -> Array:
    """The mixture [3] of the scan's density detail that is added to each restored density.

    Args:
        colour: [n] band-passed luma of the restored colour without detail, one array a pair.
        responses: [n, 3] how that luma changes with the density detail of each layer, band-passed.
        reference: [n] band-passed luma of the reference; each pair counts the same, however rich in detail.
    """
    energy = [float(np.sqrt((band.astype(np.float64) ** 2).sum())) + 1e-9 for band in reference]
    c, t, r = (
        np.concatenate([part / e for part, e in zip(parts, energy, strict=True)]).astype(np.float64)
        for parts in (colour, responses, reference)
    )
    gram = t.T @ t
    ridge = _RIDGE * np.trace(gram) / 3
    equal = np.full(3, 1 / 3)
    mixture = np.linalg.solve(gram + ridge * np.eye(3) + 1e-12 * np.eye(3), t.T @ (r - c) + ridge * equal)
    mixture = np.maximum(mixture, 0)
    mixture = mixture / mixture.sum() if mixture.sum() > 0.05 else equal
    detail = t @ mixture
    return (mixture * _amount(c, detail, r)).astype(np.float32)


def _amount(colour: NDArray[np.float64], detail: NDArray[np.float64], reference: NDArray[np.float64]) -> float:
    """The gain for which colour + gain * detail has the reference's energy."""
    a, b = float(detail @ detail), float(colour @ detail)
    c = float(colour @ colour - reference @ reference)
    if a <= 1e-12:
        return 1.0
    return float(np.clip((-b + np.sqrt(max(b * b - a * c, 0.0))) / a, LEAST, MOST))
