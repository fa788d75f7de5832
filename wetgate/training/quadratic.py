"""The closed-form fit in dye density: the first answer, about a second after the pairs are in.

A scan's densities ``(r, g, b)`` go to the reference's by ten terms a channel: a shift, a 3x3 matrix that undoes
fading and side absorptions, and six products for the curves. Thirty numbers, solved by weighted ridge regression:
the matrix is drawn towards "change nothing but the shift" and the curves towards zero, by as much as the pairs leave
them open, so that colours that no pair shows are not thrown about.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]

TERMS = 10
_PRODUCTS = ((0, 0), (1, 1), (2, 2), (0, 1), (1, 2), (0, 2))
LIGHTEST, DARKEST = -0.5, 1.9
"""Densities between which curves hold: three times a display white, and a little below black. What lies beyond, as an
overshoot of black does in a file of floats, keeps its distance to them: a parabola would throw it far away."""
_MATRIX_RIDGE = 1e-3
_CURVE_RIDGE = 0.1


def fit(scan: Sequence[Array], reference: Sequence[Array], weights: Sequence[Array]) -> Array:
    """Solve for the coefficients.

    Args:
        scan: densities [n, 3] of low-passed scan pixels, one array a pair.
        reference: densities [n, 3] of the same pixels in the reference.
        weights: importance [n] of each pixel, >= 0; every pair counts the same as a whole.

    Returns:
        float32 [10, 3]: shift, three densities, six products.
    """
    importance = np.concatenate([w / max(float(w.sum()), 1e-12) / len(weights) for w in weights]).astype(np.float64)
    x = np.concatenate(scan).astype(np.float64)
    y = np.concatenate(reference).astype(np.float64)
    mean_x, mean_y = importance @ x, importance @ y
    linear = x - mean_x
    products = np.stack([linear[:, i] * linear[:, j] for i, j in _PRODUCTS], 1)
    around = np.concatenate([np.ones((len(x), 1)), linear], 1)
    gram = around.T @ (importance[:, None] * around)
    overlap = np.linalg.lstsq(gram, around.T @ (importance[:, None] * products), rcond=1e-8)[0]
    curves = products - around @ overlap
    spread = np.sqrt(importance @ curves**2) + 1e-6
    basis = np.concatenate([linear, curves / spread], 1)
    ridge = np.diag([_MATRIX_RIDGE * (importance @ linear**2).mean() + 1e-9] * 3 + [_CURVE_RIDGE**2] * 6)
    solution = np.linalg.solve(
        basis.T @ (importance[:, None] * basis) + ridge, basis.T @ (importance[:, None] * (y - mean_y - linear))
    )
    matrix, bends = solution[:3] + np.eye(3), solution[3:] / spread[:, None]
    constant = mean_y - overlap[0] @ bends
    slope = matrix - overlap[1:] @ bends
    return _about_zero(constant, slope, bends, mean_x).astype(np.float32)


def _about_zero(constant: Any, slope: Any, bends: Any, centre: Any) -> Any:
    """Coefficients for densities themselves, from coefficients for their distance to ``centre``."""
    coefficients = np.zeros((TERMS, 3))
    coefficients[0] = constant - centre @ slope
    coefficients[1:4] = slope
    for (i, j), bend in zip(_PRODUCTS, bends, strict=True):
        coefficients[0] += centre[i] * centre[j] * bend
        coefficients[1 + i] -= centre[j] * bend
        coefficients[1 + j] -= centre[i] * bend
    coefficients[4:] = bends
    return coefficients


def apply(ops: Any, density: Any, coefficients: Array) -> Any:
    """Restored densities [N, 3, H, W] of scan densities of the same shape."""
    inside = ops.at_most(ops.at_least(density, LIGHTEST), DARKEST)
    channels = [ops.channels(inside, i, i + 1) for i in range(3)]
    products = [ops.multiply(channels[i], channels[j]) for i, j in _PRODUCTS]
    kernel = np.ascontiguousarray(coefficients[1:].T[:, :, None, None])
    answer = ops.convolve(ops.concat([inside, *products]), kernel, coefficients[0])
    return ops.add(answer, ops.subtract(density, inside))
