"""Dye density: the domain in which colour fades and in which the colour recipe works.

Values of every encoding are taken to a density on one scale, that of a gamma-coded display value:
``D = -log10(value + flare)``. It is invertible for every finite value: below zero it goes on in a straight
line, so that nothing is clamped. ``10**-D`` is then the display-like value by which errors are weighed.

Written over the operations of :mod:`wetgate.training.operations`, so that one text serves numpy, torch and ONNX.
"""

from __future__ import annotations

import math
from typing import Any

FLARE = 1 / 64
"""The light that even a black carries, in display values: a plausible flare of a film scan, and the slope limit."""

_LN10 = math.log(10)
_DISPLAY_GAMMA = 2.2
_LINEAR_FLARE = 1 / 1024
_LOG_DENSITY_RANGE = 2.046 / 0.6 / _DISPLAY_GAMMA
"""Cineon: 1023 codes of 0.002 density, negative gamma 0.6, on the display scale (Kodak, Cineon 4.5)."""


def to_density(ops: Any, values: Any, encoding: str) -> Any:
    """Density of encoded values, any shape; finite for every finite value."""
    if encoding == "log":
        return ops.affine(values, -_LOG_DENSITY_RANGE, _LOG_DENSITY_RANGE)
    flare, scale = _constants(encoding)
    logarithmic = ops.affine(ops.log(ops.affine(ops.at_least(values, 0.0), 1.0, flare)), -scale / _LN10, 0.0)
    return ops.add(logarithmic, ops.affine(ops.at_most(values, 0.0), -scale / (flare * _LN10), 0.0))


def from_density(ops: Any, density: Any, encoding: str) -> Any:
    """The inverse of :func:`to_density`."""
    if encoding == "log":
        return ops.affine(density, -1 / _LOG_DENSITY_RANGE, 1.0)
    flare, scale = _constants(encoding)
    black = -scale * math.log10(flare)
    positive = ops.affine(ops.exp(ops.affine(ops.at_most(density, black), -_LN10 / scale, 0.0)), 1.0, -flare)
    return ops.add(
        positive, ops.affine(ops.at_least(ops.affine(density, 1.0, -black), 0.0), -flare * _LN10 / scale, 0.0)
    )


def to_values(ops: Any, density: Any) -> Any:
    """Display-like values of a density, flare included: what errors are weighed by."""
    return ops.exp(ops.affine(density, -_LN10, 0.0))


def _constants(encoding: str) -> tuple[float, float]:
    if encoding == "display":
        return FLARE, 1.0
    if encoding == "linear":
        return _LINEAR_FLARE, 1 / _DISPLAY_GAMMA
    raise ValueError(f"no density for the encoding {encoding!r}")
