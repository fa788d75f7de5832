"""Colour that spreads from where it is known, and stops where the picture's structure does.

Neighbouring pixels that look alike in the scan should differ alike from what was known before (A. Levin, D. Lischinski,
Y. Weiss, "Colorization using optimization", ACM TOG 23(3), 2004). What spreads here is a correction of density, not a
colour: shading, which multiplies light, stays. The same equations, solved for the paint's own outline, say how much of
each pixel's answer comes from paint: that falls with the distance from it, measured along the structure.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from wetgate.images import LUMA
from wetgate.inference.curves import density_of, values_of

Array = NDArray[np.float32]

MOST_SIDE = 480
"""Pixels: larger pictures are solved at this side and enlarged along their own structure."""
LOW_PASS = 1.5
"""Sigma, in pixels of the scan, below which the scan's differences are taken for grain."""
_HOLD = 8.0
"""How firmly a painted pixel keeps its colour, against one link to a neighbour that looks the same."""
_REACH = 1 / 3
"""Of the larger side: where nothing stands between, paint is worth 1/e at this distance."""
_CONTRAST = 0.7
"""Of the deviation of the scan's differences between neighbours: two that differ by this hold together by a quarter."""
_LEAST_SHARE = 0.005
"""Of paint in an answer: below, the answer fades to the prior."""
_ACCURACY = 1e-4
_MOST_STEPS = 300
_COARSEST = 48


def spread(
    scan: Array, known: Array, amount: Array, prior: Array, belief: Array | float, *, start: Array | None = None
) -> tuple[Array, Array]:
    """Spread what is known of some pixels over a picture.

    Args:
        scan: [H, W, 3] display values, whose structure is followed.
        known: [H, W, 3] display values, that count where ``amount`` is above 0.
        amount: [H, W] 0-1, how much each is to be believed.
        prior: [H, W, 3] display values, what to think where nothing is known.
        belief: [H, W] or one number, 0-1, how far the prior is to be trusted.
        start: [H, W, 3] display values that what is known corrects, and that have the contrast of the answer: the prior
            by default. Of a black-and-white picture it is the scan, whatever colours the prior gives to its shades.

    Returns:
        [H, W, 3] display values, and [H, W] 0-1 how far each of them is to be trusted: ``amount`` where something is
        known, falling to ``belief`` away from it.
    """
    height, width = amount.shape
    shrink = min(1.0, MOST_SIDE / max(height, width))
    size = max(round(width * shrink), 1), max(round(height * shrink), 1)
    guide = _soft(density_of(scan, "display"))
    before = density_of(prior if start is None else start, "display")
    change = np.asarray((density_of(known, "display") - before) * amount[..., None], np.float32)
    small_guide, painted = (_resized(picture, size) for picture in (guide, np.dstack([change, amount])))
    weight = painted[..., 3]
    links = _links(small_guide)
    leak = 1 / max(_REACH * max(size), 2.0) ** 2
    hold = _HOLD * weight
    towards = np.dstack([_HOLD * painted[..., :3], hold * weight, hold])
    solved = _solve(hold + leak, links, towards)
    share = np.clip(solved[..., 4:], 0, 1).astype(np.float32)
    sure = np.clip(solved[..., 3:4], 0, 1).astype(np.float32)
    correction = _within(solved[..., :3] / np.maximum(share, _LEAST_SHARE), painted[..., :3], weight)
    grown = _enlarged(np.dstack([correction, sure, share]), small_guide, guide)
    sure, share = (np.clip(np.maximum(grown[..., plane], amount), 0, 1) for plane in (3, 4))
    sure = np.minimum(sure, share)
    trust = sure + (1 - share) * belief
    counted = np.divide(sure, trust, out=np.zeros_like(sure), where=trust > 0)
    otherwise = before if start is None else density_of(prior, "display")
    answer = otherwise + counted[..., None] * (before + grown[..., :3] - otherwise)
    kept = amount[..., None]
    own = density_of(known, "display")
    return values_of((1 - kept) * answer + kept * own, "display"), trust.astype(np.float32)


def with_luma_of(scan: Array, colours: Array) -> Array:
    """Display values [H, W, 3] of these hues and saturations at the scan's own luma: shading under flat paint stays."""
    luma = [density_of((picture @ LUMA)[..., None], "display") for picture in (scan, colours)]
    return values_of(density_of(colours, "display") + luma[0] - luma[1], "display")


def _soft(density: Array) -> Array:
    return np.asarray(cv2.GaussianBlur(density, (0, 0), LOW_PASS, borderType=cv2.BORDER_REPLICATE), np.float32)


def _resized(picture: Array, size: tuple[int, int]) -> Array:
    if (picture.shape[1], picture.shape[0]) == size:
        return picture
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.float32)


def _within(correction: NDArray[np.floating], change: Array, weight: Array) -> NDArray[np.floating]:
    """No further than paint itself went: what an average of it cannot be."""
    inside = weight > 0.5 * max(float(weight.max()), 1e-6)
    if not inside.any():
        return correction
    known = change[inside] / weight[inside][:, None]
    return np.clip(correction, known.min(0), known.max(0))


def _links(guide: Array) -> tuple[Array, Array]:
    """How firmly each pixel holds to its right-hand neighbour [h, w-1] and to the one below [h-1, w], up to 1."""
    across, down = np.diff(guide, axis=1), np.diff(guide, axis=0)
    squares = [(difference**2).sum(2) for difference in (across, down)]
    typical = sum(float(one.sum()) for one in squares) / max(sum(one.size for one in squares), 1)
    scale = _CONTRAST**2 * typical + 1e-8
    across, down = (((1 + one / scale) ** -2).astype(np.float32) for one in squares)
    return across, down


def _solve(own: Array, links: tuple[Array, Array], towards: Array) -> Array:
    """u [h, w, k] of ``own * u + sum over neighbours of link * (u - u of neighbour) = towards``.

    Preconditioned conjugate gradients (Hestenes & Stiefel 1952), started from the answer at half the size.
    """
    across, down = links
    height, width = own.shape
    start = towards / np.maximum(own, 1e-12)[..., None] * (own / own.max())[..., None]
    if max(height, width) > _COARSEST and min(height, width) >= 4:
        start = _from_half(own, links, towards)
    diagonal = own.copy()
    diagonal[:, :-1] += across
    diagonal[:, 1:] += across
    diagonal[:-1] += down
    diagonal[1:] += down

    def applied(u: Array) -> Array:
        out = diagonal[..., None] * u
        out[:, :-1] -= across[..., None] * u[:, 1:]
        out[:, 1:] -= across[..., None] * u[:, :-1]
        out[:-1] -= down[..., None] * u[1:]
        out[1:] -= down[..., None] * u[:-1]
        return out

    u = start.astype(np.float32)
    residual = towards - applied(u)
    target = _ACCURACY**2 * np.maximum((towards**2).sum((0, 1)), 1e-20)
    ahead = residual / diagonal[..., None]
    direction = ahead
    product = (residual * ahead).sum((0, 1))
    for _ in range(_MOST_STEPS):
        if np.all((residual**2).sum((0, 1)) <= target):
            break
        image = applied(direction)
        length = product / np.maximum((direction * image).sum((0, 1)), 1e-30)
        u = u + length * direction
        residual = residual - length * image
        ahead = residual / diagonal[..., None]
        product, last = (residual * ahead).sum((0, 1)), product
        direction = ahead + (product / np.maximum(last, 1e-30)) * direction
    return np.asarray(u, np.float32)


def _from_half(own: Array, links: tuple[Array, Array], towards: Array) -> Array:
    """The answer at half the size, enlarged. Two links in a row are as one of half the strength."""
    height, width = own.shape
    rows, columns = (height + 1) // 2, (width + 1) // 2

    def halved(picture: Array) -> Array:
        padded = np.pad(picture, [(0, height % 2), (0, width % 2)] + [(0, 0)] * (picture.ndim - 2))
        return padded[::2, ::2] + padded[1::2, ::2] + padded[::2, 1::2] + padded[1::2, 1::2]

    across = np.zeros((height, width), np.float32)
    across[:, :-1] = links[0]
    down = np.zeros((height, width), np.float32)
    down[:-1] = links[1]
    pairs = [np.pad(one, [(0, height % 2), (0, width % 2)]) for one in (across, down)]
    beside = np.minimum(pairs[0][::2, ::2] + pairs[0][1::2, ::2], pairs[0][::2, 1::2] + pairs[0][1::2, 1::2]) / 2
    below = np.minimum(pairs[1][::2, ::2] + pairs[1][::2, 1::2], pairs[1][1::2, ::2] + pairs[1][1::2, 1::2]) / 2
    coarse = _solve(halved(own), (beside[:, : columns - 1] + 1e-6, below[: rows - 1] + 1e-6), halved(towards))
    return np.repeat(np.repeat(coarse, 2, axis=0), 2, axis=1)[:height, :width]


def _enlarged(answer: Array, guide: Array, large_guide: Array) -> Array:
    """What was solved [h, w, k] at the size of ``large_guide``, along its structure.

    Each small neighbourhood gives a straight line from the guide's luma to the answer, and the large guide is put in
    (K. He, J. Sun, "Fast guided filter", arXiv:1505.00996).
    """
    if answer.shape[:2] == large_guide.shape[:2]:
        return answer
    luma = guide.mean(2, keepdims=True)

    def around(picture: Array) -> Array:
        out = np.asarray(cv2.blur(picture, (5, 5), borderType=cv2.BORDER_REPLICATE), np.float32)
        return out[..., None] if out.ndim == 2 else out

    mean, mean_answer = around(luma), around(answer)
    variance = around(luma * luma) - mean * mean
    slope = (around(luma * answer) - mean * mean_answer) / (np.maximum(variance, 0) + 1e-4)
    offset = mean_answer - slope * mean
    size = large_guide.shape[1], large_guide.shape[0]
    slope, offset = (np.asarray(cv2.resize(one, size, interpolation=cv2.INTER_LINEAR)) for one in (slope, offset))
    return np.asarray(slope * large_guide.mean(2, keepdims=True) + offset, np.float32)
