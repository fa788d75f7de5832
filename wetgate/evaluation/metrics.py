"""How far a restored picture is from the truth: pixel error, structure, colour, texture, flicker.

Pictures are float32 ``[H, W, 3]`` RGB, display-referred with sRGB-like coding, 0-1 nominal and never
clamped; other encodings go through :func:`wetgate.images.encodings.to_display` first. A sigma-3 Gaussian
splits a picture in two: what it keeps is judged as colour (CIEDE2000, flicker), what it takes away as
texture (HF gain and correlation). So neither grain nor its loss can pass for a colour error.

Sources: SSIM: Wang, Bovik, Sheikh, Simoncelli, IEEE TIP 13(4), 2004. CIEDE2000: Sharma, Wu, Dalal, Color
Research and Application 30(1), 2005. sRGB: IEC 61966-2-1. Luma: ITU-R BT.709 weights on coded values.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, fields
from functools import cached_property

import cv2
import numpy as np
from numpy.typing import NDArray

from wetgate.errors import WetgateError
from wetgate.images import LUMA

Array = NDArray[np.floating]
Mask = NDArray[np.bool_]

LOW_PASS_SIGMA = 3.0
BAND_SIGMAS = (1.0, 4.0)
PSNR_CEILING = 100.0
CODE_VALUES = 255.0

_RGB_TO_XYZ_OVER_WHITE = np.array(
    [
        [0.4124564 / 0.950470, 0.3575761 / 0.950470, 0.1804375 / 0.950470],
        [0.2126729, 0.7151522, 0.0721750],
        [0.0193339 / 1.088830, 0.1191920 / 1.088830, 0.9503041 / 1.088830],
    ]
)
_NO_ENERGY = 1e-10
_STRIP_PIXELS = 1 << 14  # temporaries that stay in cache: half the time at 1080p, half the memory at 4K


@dataclass(frozen=True)
class Measures:
    """Measures of one frame, or their means over several.

    psnr: dB over all channels, peak 1, at most 100. ssim: of the luma, 1 is best. delta_e,
    delta_e_p95: mean and 95th percentile of CIEDE2000 after the sigma-3 low-pass. hf_gain: energy
    (mean square) of the high-passed luma over the truth's, 1 is best: below, texture was lost; above, invented.
    hf_correlation: of the two high-passed lumas. fine_gain, middle_gain: the energy ratio below 1 px and from 1 to
    4 px. flicker: mean absolute change of the low-passed error from the frame before, in 8-bit code
    values; None where the frame before was not measured. luma_psnr: dB of the luma alone.
    """

    psnr: float
    ssim: float
    delta_e: float
    delta_e_p95: float
    hf_gain: float
    hf_correlation: float
    fine_gain: float
    middle_gain: float
    flicker: float | None = None
    luma_psnr: float | None = None


class Comparison:
    """One restored picture beside its truth; every measure is computed when first asked for.

    Args:
        result, truth: float ``[H, W, 3]``, display-referred.
        inset: pixels left out along each edge, before any filtering.
        mask: ``[H, W]``; pixels above 0.5 count, and nothing leaks in from the others.
        name: what the errors call the result.

    Raises:
        WetgateError: sizes differ, NaN or infinite pixels count, or no pixel counts.
    """

    def __init__(
        self, result: Array, truth: Array, *, inset: int = 0, mask: Array | Mask | None = None, name: str = "result"
    ) -> None:
        for picture in (result, truth):
            if picture.ndim != 3 or picture.shape[2] != 3:
                raise ValueError(f"pictures are [H, W, 3], not {list(picture.shape)}")
        if result.shape != truth.shape:
            raise WetgateError(
                f"The {name} is {_size(result)} and the truth {_size(truth)} pixels: "
                "only pictures of the same size can be compared."
            )
        if mask is not None and mask.shape != truth.shape[:2]:
            raise WetgateError(f"The mask is {_size(mask)} and the picture {_size(truth)} pixels: they must agree.")
        height, width = truth.shape[:2]
        if inset < 0 or 2 * inset >= min(height, width):
            raise WetgateError(
                f"An inset of {inset} pixels leaves nothing of a {_size(truth)} picture: choose a smaller one."
            )
        window = np.s_[inset : height - inset, inset : width - inset]
        self.mask: Mask | None = None if mask is None else np.asarray(mask, np.float32)[window] > 0.5
        if self.mask is not None and not self.mask.any():
            raise WetgateError("The mask leaves no pixel to measure: paint white what shall count.")
        self.result = self._checked(result[window], name)
        self.truth = self._checked(truth[window], "truth")

    @cached_property
    def psnr(self) -> float:
        return _decibels(self._counted(self.result - self.truth))

    @cached_property
    def luma_psnr(self) -> float:
        result, truth = self._lumas
        return _decibels(self._counted(result - truth))

    @cached_property
    def ssim(self) -> float:
        """Of the luma: 11 x 11 Gaussian window of sigma 1.5, K1 0.01, K2 0.03, windows wholly inside the picture."""
        x, y = self._lumas
        moments = np.dstack([x, y, x * x + y * y, x * y])
        mean_x, mean_y, squares, product = np.moveaxis(self._blur(moments, 1.5, taps=11), 2, 0)
        mean_squares = mean_x * mean_x + mean_y * mean_y
        mean_product = mean_x * mean_y
        c1, c2 = 0.01**2, 0.03**2
        similarity = ((2 * mean_product + c1) * (2 * (product - mean_product) + c2)) / (
            (mean_squares + c1) * (squares - mean_squares + c2)
        )
        if self.mask is None and min(similarity.shape) > 10:
            similarity = similarity[5:-5, 5:-5]
            return float(np.mean(similarity, dtype=np.float64))
        return float(np.mean(self._counted(similarity), dtype=np.float64))

    @cached_property
    def delta_e_map(self) -> Array:
        """CIEDE2000 after the low-pass, ``[H, W]`` inside the inset (outside the mask: no meaning)."""
        result, truth = self._low_passed
        rows = max(1, _STRIP_PIXELS // truth.shape[1])
        strips = [np.s_[top : top + rows] for top in range(0, len(truth), rows)]
        return np.concatenate([ciede2000(srgb_to_lab(result[strip]), srgb_to_lab(truth[strip])) for strip in strips])

    @cached_property
    def delta_e(self) -> float:
        return float(np.mean(self._counted(self.delta_e_map), dtype=np.float64))

    @cached_property
    def delta_e_p95(self) -> float:
        return float(np.percentile(self._counted(self.delta_e_map), 95))

    @cached_property
    def hf_gain(self) -> float:
        return self._energy_ratio(*self._high_passed)

    @cached_property
    def hf_correlation(self) -> float:
        result, truth = (self._counted(band) for band in self._high_passed)
        return (_mean_product(result, truth) + _NO_ENERGY) / math.sqrt(
            (_mean_product(result, result) + _NO_ENERGY) * (_mean_product(truth, truth) + _NO_ENERGY)
        )

    @cached_property
    def band_gains(self) -> tuple[float, float]:
        """Luma energy over the truth's in the fine band (below 1 px) and the middle band (1-4 px)."""
        lumas = np.dstack(self._lumas)
        sharp, soft = (self._blur(lumas, sigma) for sigma in BAND_SIGMAS)
        fine, middle = lumas - sharp, sharp - soft
        return (
            self._energy_ratio(fine[..., 0], fine[..., 1]),
            self._energy_ratio(middle[..., 0], middle[..., 1]),
        )

    @cached_property
    def low_passed_error(self) -> Array:
        """Result minus truth after the low-pass, ``[H, W, 3]``; NaN outside the mask. :func:`flicker` takes these."""
        result, truth = self._low_passed
        error = result - truth
        if self.mask is not None:
            error[~self.mask] = np.nan
        return error

    def measures(self, previous_error: Array | None = None) -> Measures:
        """All measures; with ``previous_error``, the ``low_passed_error`` of the frame before, flicker too."""
        fine, middle = self.band_gains
        return Measures(
            psnr=self.psnr,
            ssim=self.ssim,
            delta_e=self.delta_e,
            delta_e_p95=self.delta_e_p95,
            hf_gain=self.hf_gain,
            hf_correlation=self.hf_correlation,
            fine_gain=fine,
            middle_gain=middle,
            flicker=None if previous_error is None else flicker([previous_error, self.low_passed_error]),
            luma_psnr=self.luma_psnr,
        )

    @cached_property
    def _lumas(self) -> tuple[Array, Array]:
        return self.result @ LUMA, self.truth @ LUMA

    @cached_property
    def _low_passed(self) -> tuple[Array, Array]:
        return self._blur(self.result, LOW_PASS_SIGMA), self._blur(self.truth, LOW_PASS_SIGMA)

    @cached_property
    def _high_passed(self) -> tuple[Array, Array]:
        lumas, low_passed = self._lumas, self._low_passed
        return lumas[0] - low_passed[0] @ LUMA, lumas[1] - low_passed[1] @ LUMA

    def _checked(self, picture: Array, name: str) -> Array:
        picture = np.ascontiguousarray(picture, np.float32)
        if self.mask is not None:
            picture = np.where(self.mask[..., None], picture, np.float32(0))
        bad = int(np.count_nonzero(~np.isfinite(picture).all(axis=2)))
        if bad:
            raise WetgateError(
                f"The {name} holds NaN or infinity in {bad} {'pixel' if bad == 1 else 'pixels'}: "
                "repair them, or leave them out with a mask."
            )
        return picture

    def _counted(self, values: Array) -> Array:
        return values if self.mask is None else values[self.mask]

    def _blur(self, values: Array, sigma: float, taps: int = 0) -> Array:
        blurred = _gaussian(values, sigma, taps)
        if self.mask is None:
            return blurred
        weights = _gaussian(self.mask.astype(np.float32), sigma, taps)[..., None]
        return np.divide(blurred, weights, out=np.zeros_like(blurred), where=weights > 1e-6)

    def _energy_ratio(self, result: Array, truth: Array) -> float:
        result, truth = self._counted(result), self._counted(truth)
        return (_mean_product(result, result) + _NO_ENERGY) / (_mean_product(truth, truth) + _NO_ENERGY)


class Meter:
    """The measures of one method over the frames of a sequence, one frame in memory at a time."""

    def __init__(self, name: str = "result", *, inset: int = 0) -> None:
        self.name = name
        self.measures: list[Measures] = []
        self._inset = inset
        self._last_frame: int | None = None
        self._last_error: Array | None = None

    def add(self, frame: int, result: Array, truth: Array, mask: Array | Mask | None = None) -> Measures:
        """Measure one frame. Flicker needs the frame numbered one lower to have been added just before."""
        comparison = Comparison(result, truth, inset=self._inset, mask=mask, name=self.name)
        error = comparison.low_passed_error
        last = self._last_error
        follows = self._last_frame == frame - 1 and last is not None and last.shape == error.shape
        self.measures.append(comparison.measures(last if follows else None))
        self._last_frame, self._last_error = frame, error
        return self.measures[-1]

    @property
    def summary(self) -> Measures:
        return summarise(self.measures)


def measure(result: Array, truth: Array, *, inset: int = 0, mask: Array | Mask | None = None) -> Measures:
    """All measures of one frame; arguments and errors as :class:`Comparison`."""
    return Comparison(result, truth, inset=inset, mask=mask).measures()


def summarise(measures: Iterable[Measures]) -> Measures:
    """The mean of each measure over frames (PSNR: mean of dB); flicker over the frames that have one.

    Raises:
        WetgateError: there is no frame.
    """
    measures = list(measures)
    if not measures:
        raise WetgateError("There is no frame to measure: give at least one frame that both sequences have.")

    def mean(name: str) -> float | None:
        values = [value for value in (getattr(one, name) for one in measures) if value is not None]
        return float(np.mean(values)) if values else None

    return Measures(**{field.name: mean(field.name) for field in fields(Measures)})  # type: ignore[arg-type]


def _decibels(error: Array) -> float:
    square = float(np.mean(np.square(error), dtype=np.float64))
    return PSNR_CEILING if square <= 0 else min(PSNR_CEILING, -10.0 * math.log10(square))


def flicker(errors: Iterable[Array]) -> float:
    """Mean absolute difference between the low-passed errors of successive frames, in 8-bit code values.

    A restoration that is wrong in the same way on every frame does not flicker; nor does one that follows
    the truth's own changes.

    Raises:
        WetgateError: fewer than two frames.
    """
    changes: list[float] = []
    previous: Array | None = None
    for error in errors:
        if previous is not None:
            changes.append(float(np.nanmean(np.abs(error - previous), dtype=np.float64)))
        previous = error
    if not changes:
        raise WetgateError("Flicker needs at least two successive frames.")
    return CODE_VALUES * sum(changes) / len(changes)


def srgb_to_lab(pixels: Array) -> Array:
    """CIE L*a*b* (D65, 2 degrees) ``[..., 3]`` of sRGB; below 0 the curve goes on point-symmetrically."""
    size = np.abs(pixels)
    linear = np.where(size <= 0.04045, size / 12.92, ((size + 0.055) / 1.055) ** 2.4)
    linear = np.copysign(linear, pixels)
    ratios = linear @ _RGB_TO_XYZ_OVER_WHITE.T.astype(pixels.dtype)
    f = np.where(ratios > (6 / 29) ** 3, np.cbrt(ratios), ratios * (29 / 6) ** 2 / 3 + 4 / 29)
    x, y, z = np.moveaxis(f, -1, 0)
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=-1)


def ciede2000(first: Array, second: Array) -> Array:
    """CIEDE2000 colour difference ``[...]`` of two L*a*b* arrays ``[..., 3]``, all weights 1; keeps the dtype."""
    l1, a1, b1 = np.moveaxis(first, -1, 0)
    l2, a2, b2 = np.moveaxis(second, -1, 0)
    stretch = 1 + 0.5 * (1 - _chroma_weight((np.hypot(a1, b1) + np.hypot(a2, b2)) / 2))
    a1, a2 = a1 * stretch, a2 * stretch
    c1, c2 = np.hypot(a1, b1), np.hypot(a2, b2)
    h1, h2 = np.degrees(np.arctan2(b1, a1)) % 360, np.degrees(np.arctan2(b2, a2)) % 360

    coloured = c1 * c2 > 0
    turn = h2 - h1
    far = np.abs(turn) > 180
    turn = np.where(coloured, np.where(far, turn - np.copysign(360, turn), turn), 0)
    hue = np.where(coloured & ~far, (h1 + h2) / 2, h1 + h2)
    hue = np.where(coloured & far, np.where(h1 + h2 < 360, h1 + h2 + 360, h1 + h2 - 360) / 2, hue)
    lightness, chroma = (l1 + l2) / 2, (c1 + c2) / 2

    t = 1 - 0.17 * _cos(hue - 30) + 0.24 * _cos(2 * hue) + 0.32 * _cos(3 * hue + 6) - 0.20 * _cos(4 * hue - 63)
    off_middle = np.square(lightness - 50)
    d_lightness = (l2 - l1) / (1 + 0.015 * off_middle / np.sqrt(20 + off_middle))
    d_chroma = (c2 - c1) / (1 + 0.045 * chroma)
    d_hue = 2 * np.sqrt(c1 * c2) * np.sin(np.radians(turn / 2)) / (1 + 0.015 * chroma * t)
    rotation = -2 * _chroma_weight(chroma) * np.sin(np.radians(60 * np.exp(-np.square((hue - 275) / 25))))
    square = d_lightness**2 + d_chroma**2 + d_hue**2 + rotation * d_chroma * d_hue
    return np.sqrt(np.maximum(square, 0))


def _chroma_weight(chroma: Array) -> Array:
    seventh = chroma * np.square(chroma * np.square(chroma))
    return np.sqrt(seventh / (seventh + 25**7))


def _cos(degrees: Array) -> Array:
    return np.cos(np.radians(degrees))


def _gaussian(values: Array, sigma: float, taps: int = 0) -> Array:
    return cv2.GaussianBlur(values, (taps, taps), sigma, borderType=cv2.BORDER_REFLECT)


def _mean_product(first: Array, second: Array) -> float:
    return float(np.mean(first * second, dtype=np.float64))


def _size(picture: Array | Mask) -> str:
    return f"{picture.shape[1]}x{picture.shape[0]}"
