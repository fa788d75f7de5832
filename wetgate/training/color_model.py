"""The colour model: what happens to a frame between `frames` and `restored`, written once.

The scan's density is split by a low-pass into colour and detail. Colour goes through the closed-form fit and what
kernels add to it; a context network gives a second opinion; both work at half resolution, where colour lives, and are
mixed by what held-out pairs say. Detail comes back as it lay on the film. So no network ever draws a pixel, and grain
stays grain. With ``protect="none"`` the fit is applied to every pixel, detail and all.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wetgate.training import context, kernels, quadratic
from wetgate.training.density import from_density, to_density
from wetgate.training.kernels import Kernels

Array = NDArray[np.float32]

LUMA = np.array([0.2126, 0.7152, 0.0722], np.float32)
"""ITU-R BT.709 luma of coded values."""

LOW_PASS = 1.5
"""Sigma, in pixels, of the low-pass between colour and detail: about what a 4:2:0 reference holds of colour."""

MULTIPLE = 8
PROTECTED = ("grain", "luma", "none")


@dataclass(frozen=True)
class ColorModel:
    """All numbers of a colour model.

    Attributes:
        encoding: of the frames: "display", "linear" or "log".
        protect: "grain", "luma" or "none".
        coefficients: [10, 3], the closed-form fit.
        detail: [3], the mixture of the scan's density detail that every channel of the result gets.
        kernels: mends the fit, or None.
        kernel_share: how much of the kernels' answer is taken, 0-1, by held-out evidence.
        context: weights of the context network by name, empty where there is none.
        context_share: how much of the restored colour is the context network's, 0-1; the rest is the fit's with its
            kernels. The two answer independently, so that neither builds upon the other's mistakes.
        shift: [3], from the scan's mean density to the reference's: what the context network adds to.
        mean, scale: [3], of the scan's display values in the pairs: what the context network counts from.
    """

    encoding: str
    protect: str
    coefficients: Array
    detail: Array
    kernels: Kernels | None = None
    kernel_share: float = 1.0
    context: dict[str, Array] = field(default_factory=dict)
    context_share: float = 1.0
    shift: Array = field(default_factory=lambda: np.zeros(3, np.float32))
    mean: Array = field(default_factory=lambda: np.zeros(3, np.float32))
    scale: Array = field(default_factory=lambda: np.ones(3, np.float32))

    def with_(self, **changes: Any) -> ColorModel:
        return replace(self, **changes)

    @property
    def weight_of_context(self) -> float:
        """The share of the context network's answer; 0 where there is no network."""
        return self.context_share if self.context else 0.0

    @property
    def mixed_coefficients(self) -> Array:
        """[10, 3]: the closed-form fit, and the shift that the context network adds to, by their shares."""
        plain = np.zeros_like(self.coefficients)
        plain[0] = self.shift
        plain[1:4] = np.eye(3)
        share = np.float32(self.weight_of_context)
        return (1 - share) * self.coefficients + share * plain


def gaussian(sigma: float) -> Array:
    """Normalised samples of a Gaussian out to three sigma."""
    radius = int(3 * sigma + 0.5)
    x = np.arange(-radius, radius + 1)
    samples = np.exp(-0.5 * (x / sigma) ** 2)
    return (samples / samples.sum()).astype(np.float32)


def blur(ops: Any, x: Any, sigma: float, channels: int = 3) -> Any:
    """Gaussian low-pass with repeated borders."""
    line = gaussian(sigma)
    radius = len(line) // 2
    across = np.ascontiguousarray(np.broadcast_to(line[None, None, None], (channels, 1, 1, len(line))))
    x = ops.convolve(ops.pad_edges(x, 0, radius), across, groups=channels, pad=False)
    return ops.convolve(
        ops.pad_edges(x, radius, 0), np.ascontiguousarray(across.transpose(0, 1, 3, 2)), groups=channels, pad=False
    )


def features(ops: Any, half: Any) -> Any:
    """Colour and surround [N, 6, h, w] of a half-resolution density [N, 3, h, w]; h and w multiples of 4."""
    surround = ops.enlarge(ops.enlarge(blur(ops, ops.shrink(ops.shrink(half)), 1.0)))
    return ops.concat([half, surround])


def correction(ops: Any, half: Any, model: ColorModel) -> Any:
    """What kernels and context add at half resolution: density [N, 3, h, w], or None where they add nothing."""
    parts = []
    kernel_share = model.kernel_share * (1 - model.weight_of_context)
    if model.kernels is not None and kernel_share > 0:
        mended = kernels.apply(ops, features(ops, half), model.kernels)
        parts.append(ops.affine(mended, kernel_share, 0.0))
    if model.weight_of_context > 0:
        values = ops.exp(ops.affine(half, -math.log(10), 0.0))
        seen = context.apply(ops, values, model.context, model.mean, model.scale)
        parts.append(ops.affine(seen, model.weight_of_context, 0.0))
    if not parts:
        return None
    return parts[0] if len(parts) == 1 else ops.add(*parts)


def forward(ops: Any, frames: Any, model: ColorModel) -> Any:
    """Restored frames [N, 3, H, W] of scan frames [N, 3, H, W], both in ``model.encoding``."""
    padded = ops.pad_to_multiple(frames, MULTIPLE)
    density = to_density(ops, padded, model.encoding)
    low = blur(ops, density, LOW_PASS)
    keeps_detail = model.protect != "none"
    restored = quadratic.apply(ops, low if keeps_detail else density, model.mixed_coefficients)
    added = correction(ops, ops.shrink(low), model)
    if added is not None:
        restored = ops.add(restored, ops.enlarge(added))
    if keeps_detail:
        mixture = np.ascontiguousarray(np.broadcast_to(model.detail[None, :, None, None], (3, 3, 1, 1)))
        restored = ops.add(restored, ops.convolve(ops.subtract(density, low), mixture))
    restored = from_density(ops, restored, model.encoding)
    if model.protect == "luma":
        change = ops.convolve(ops.subtract(padded, restored), LUMA[None, :, None, None])
        restored = ops.add(restored, change)
    return ops.crop_like(restored, frames)
