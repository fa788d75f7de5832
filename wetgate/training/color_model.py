"""The colour model: what happens to a frame between `frames` and `restored`, written once.

The scan's density is split by a low-pass into colour and detail. Colour goes through the closed-form fit and what
kernels add to it; a context network gives a second opinion; both work at half resolution, where colour lives, and are
mixed by what held-out pairs say. A network goes astray where a fit does not, on colours that no pair shows: there it
is not asked. What both leave wrong at places that the pairs show is remembered. Detail comes back as it lay on the
film. So no network ever draws a pixel, and grain stays grain. With ``protect="none"`` the fit is applied to every
pixel, detail and all.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wetgate.images import LUMA
from wetgate.training import chroma_bound, color_memory, context, kernels, quadratic
from wetgate.training.blur import blur
from wetgate.training.chroma_bound import ChromaBound
from wetgate.training.density import from_density, to_density, to_values
from wetgate.training.kernels import Kernels
from wetgate.training.memory import Memory, rising

Array = NDArray[np.float32]


LOW_PASS = 1.5
"""Sigma, in pixels, of the low-pass between colour and detail: about what a 4:2:0 reference holds of colour."""

LEAST = 1e-3
"""Smallest display value, flare included, that two opinions are mixed to: density 3."""

UNLIKE, LIKE = 0.6, 0.85
"""Nearness from which a colour counts as known at all, and as known well: 1.0 and 0.6 widths of a kernel away from the
nearest. Between them coverage rises from 0 to 1; half way, at 0.8 widths, is where context began to do harm. Where the
pairs' own colours are not all so near to a kernel, both are lower."""

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
        kernel_share: how much of the kernels' and of the memory's answer is taken, 0-1, by held-out evidence.
        context: weights of the context network by name, empty where there is none.
        context_share: how much of the restored colour is the context network's, 0-1, where the scan's colours are
            like those of the pairs; the rest is the fit's with its kernels, and all of it where they are unlike.
            The two answer independently, so that neither builds upon the other's mistakes.
        memory: what is to be added at places that the pairs show, or None.
        coarser: how often the context network's picture is halved once more: it then sees twice as far, and what it
            adds is as much softer.
        shift: [3], from the scan's mean density to the reference's: where the context network starts.
        mean, scale: [3], of the scan's display values in the pairs: what the context network counts from.
        bound: what hues and saturations restored colours may have; None where all may be. With ``protect="luma"``
            saturation is then kept when luma is put back.
    """

    encoding: str
    protect: str
    coefficients: Array
    detail: Array
    kernels: Kernels | None = None
    kernel_share: float = 1.0
    context: dict[str, Array] = field(default_factory=dict)
    context_share: float = 1.0
    memory: Memory | None = None
    coarser: int = 0
    shift: Array = field(default_factory=lambda: np.zeros(3, np.float32))
    mean: Array = field(default_factory=lambda: np.zeros(3, np.float32))
    scale: Array = field(default_factory=lambda: np.ones(3, np.float32))
    bound: ChromaBound | None = None

    def with_(self, **changes: Any) -> ColorModel:
        return replace(self, **changes)

    @property
    def multiple(self) -> int:
        """Of which the sides of padded frames are."""
        return max(MULTIPLE << self.coarser, 2 * color_memory.MULTIPLE if self.remembers else 0)

    @property
    def remembers(self) -> bool:
        """Whether a memory has a say."""
        return self.memory is not None and self.kernel_share > 0

    @property
    def weight_of_context(self) -> float:
        """The share of the context network's answer; 0 where there is no network."""
        return self.context_share if self.context else 0.0


def features(ops: Any, half: Any) -> Any:
    """Colour and surround [N, 6, h, w] of a half-resolution density [N, 3, h, w]; h and w multiples of 4."""
    surround = ops.enlarge(ops.enlarge(blur(ops, ops.shrink(ops.shrink(half)), 1.0)))
    return ops.concat([half, surround])


def colour(ops: Any, full: Any, half: Any, model: ColorModel, enlarge: Callable[[Any], Any]) -> tuple[Any, Any]:
    """Restored density of ``full`` [N, 3, H, W] and of nothing finer than that; how near its colours are (below).

    Args:
        full: scan density whose colour is restored.
        half: [N, 3, h, w] the low-passed density at half resolution, from which kernels and context are computed.
        enlarge: brings what is computed from ``half`` to the size of ``full``.
    """
    restored, near = fit_and_kernels(ops, full, half, model, enlarge)
    if model.weight_of_context > 0:
        second = second_opinion(ops, full, half, model, enlarge)
        mixed = mix(ops, to_values(ops, restored), second, near, model.context_share)
        restored = ops.affine(ops.log(ops.at_least(mixed, LEAST)), -1 / math.log(10), 0.0)
    if model.memory is not None and model.remembers:
        missing = color_memory.recalled(ops, half, model.memory)
        restored = ops.add(restored, enlarge(ops.affine(missing, model.kernel_share, 0.0)))
    return restored, near


def fit_and_kernels(
    ops: Any, full: Any, half: Any, model: ColorModel, enlarge: Callable[[Any], Any]
) -> tuple[Any, Any]:
    """The first opinion, a density like ``full``, and how near [N, 1, H, W] its colours are to those of the pairs.

    Nearness is 1 for a colour in its surround as a pair has it and falls to 0 for what is unlike all pairs; None
    where the model has no kernels.
    """
    fitted = quadratic.apply(ops, full, model.coefficients)
    if model.kernels is None:
        return fitted, None
    mended, near = kernels.told_and_near(ops, features(ops, half), model.kernels)
    if model.kernel_share > 0:
        fitted = ops.add(fitted, enlarge(ops.affine(mended, model.kernel_share, 0.0)))
    return fitted, enlarge(near)


def second_opinion(ops: Any, full: Any, half: Any, model: ColorModel, enlarge: Callable[[Any], Any]) -> Any:
    """The context network's answer in display values, flare included, like ``full``: the mean of its members'."""
    start = ops.affine(full, 1.0, model.shift[:, None, None])
    seen = to_values(ops, half)
    for _ in range(model.coarser):
        seen = ops.shrink(seen)
    answers = []
    for member in context.MEMBERS:
        added = context.apply(ops, seen, model.context, member, model.mean, model.scale)
        for _ in range(model.coarser):
            added = ops.enlarge(added)
        answers.append(context.answer(ops, start, enlarge(added), member))
    return ops.affine(ops.add(*answers), 1 / len(answers), 0.0)


def mix(ops: Any, first: Any, second: Any, near: Any, share: float) -> Any:
    """Display values: of the second opinion ``share`` where colours are near to those of the pairs, less elsewhere."""
    change = ops.affine(ops.subtract(second, first), share, 0.0)
    return ops.add(first, change if near is None else ops.multiply(change, near))


def forward(ops: Any, frames: Any, model: ColorModel) -> Any:
    """Restored frames [N, 3, H, W] of scan frames [N, 3, H, W], both in ``model.encoding``."""
    return forward_with_coverage(ops, frames, model)[0]


def forward_with_coverage(ops: Any, frames: Any, model: ColorModel) -> tuple[Any, ...]:
    """Restored frames, and coverage [N, 1, H, W] where the model has kernels to tell it by.

    Coverage is 1 where a colour in its surround is as the pairs have it, 0 where it is unlike all of them.
    """
    padded = ops.pad_to_multiple(frames, model.multiple)
    density = to_density(ops, padded, model.encoding)
    if model.bound is not None:
        density = ops.at_most(ops.at_least(density, -chroma_bound.FARTHEST), chroma_bound.FARTHEST)
    low = blur(ops, density, LOW_PASS)
    keeps_detail = model.protect != "none"
    restored, near = colour(ops, low if keeps_detail else density, ops.shrink(low), model, ops.enlarge)
    if model.bound is not None:
        restored = chroma_bound.apply(ops, restored, model.bound)
    if keeps_detail:
        mixture = np.ascontiguousarray(np.broadcast_to(model.detail[None, :, None, None], (3, 3, 1, 1)))
        restored = ops.add(restored, ops.convolve(ops.subtract(density, low), mixture))
    if model.bound is not None and model.protect == "luma":
        restored = ops.add(restored, ops.subtract(_of_luma(ops, density), _of_luma(ops, restored)))
    restored = from_density(ops, restored, model.encoding)
    if model.protect == "luma":
        change = ops.convolve(ops.subtract(padded, restored), LUMA[None, :, None, None])
        restored = ops.add(restored, change)
    restored = ops.crop_like(restored, frames)
    if model.kernels is None:
        return (restored,)
    like = min(model.kernels.own, LIKE)
    return restored, ops.crop_like(rising(ops, near, like * UNLIKE / LIKE, like), frames)


def _of_luma(ops: Any, density: Any) -> Any:
    """Density [N, 1, H, W] of the luma of a density [N, 3, H, W]."""
    luma = ops.convolve(to_values(ops, density), LUMA[None, :, None, None])
    return ops.affine(ops.log(ops.at_least(luma, LEAST)), -1 / math.log(10), 0.0)
