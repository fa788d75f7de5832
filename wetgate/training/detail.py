"""How strongly the scan's detail comes back: its contrast, not its shape.

Fading costs the picture's fine structure contrast like everything else. How much contrast the restored colour gains
over the scan is read where both show the same structures (between two and six pixels): a mixture of the scan's three
layers by least squares, at the strength that gives it the colour's energy there. The detail below gets the same, so
the answer does not depend on how sharp the reference is. One mixture serves all three channels: grain comes back
neutral, for the layers' own noise, multiplied by what undoes the fading, would come back as coloured speckle.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]

FINE, COARSE = 2.0, 6.0
"""Sigmas, in pixels, between which contrast is compared."""
_EVENNESS = 1.0
"""How far the mixture is drawn towards equal parts of the layers: their noise then averages out."""


def fit(responses: Sequence[Array], colours: Sequence[Array]) -> Array:
    """The mixture [3] of the scan's density detail that is added to each restored density.

    Args:
        responses: [n, 3] how luma would change with the density of each of the scan's layers, band-passed, one
            array a pair.
        colours: [n] luma of the restored colour, band-passed. Every pair counts the same, however rich in detail.
    """
    gram, towards, pairs = np.zeros((3, 3)), np.zeros(3), 0
    for response, colour in zip(responses, colours, strict=True):
        t, c = response.astype(np.float64), colour.astype(np.float64)
        energy = float(c @ c) + 1e-9
        gram += t.T @ t / energy
        towards += t.T @ c / energy
        pairs += 1
    if np.trace(gram) < 1e-9:
        return np.full(3, 1 / 3, np.float32)
    free = np.linalg.lstsq(gram, towards, rcond=1e-6)[0]
    ridge = _EVENNESS * np.trace(gram) / 3
    mixture = np.linalg.solve(gram + ridge * np.eye(3), towards + ridge * free.sum() / 3)
    strength = np.sqrt(pairs / float(mixture @ gram @ mixture))
    return np.asarray(mixture * strength, np.float32)
