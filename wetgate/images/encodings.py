"""What pixel values mean, and the exact way from one meaning to another.

A restoration has one of ``ENCODINGS``:

- ``display``: gamma-coded 0-1, as sRGB (IEC 61966-2-1). Video and stills are treated alike; for
  showing, metrics and fits the difference to BT.1886 does not matter as long as it is one curve.
- ``linear``: proportional to scene light, 0.18 a grey card.
- ``log``: Cineon printing density, code value / 1023, 0.002 density a code.

Every curve is odd or continued by its tangent outside its range, so that it is strictly increasing
over all floats and has an inverse. Arrays are float32 [..., 3] and come back so.

Sources:
- Cineon: Glenn Kennel, "Conversion of 10-bit Log Film Data to 8-bit Linear or Video Data for the Cineon
  Digital Film System", Eastman Kodak 1995: white at code 685, black at code 95, 0.002 density a code,
  negative gamma 0.6.
- ADX: SMPTE ST 2065-3:2012 "Academy Density Exchange Encoding (ADX)" for densities, and the Academy's
  transform ``ACEScsc.ADX10_to_ACES`` of aces-dev 1.0 (A.M.P.A.S.) for the way to ACES2065-1.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from wetgate.errors import WetgateError
from wetgate.images import dpx
from wetgate.images.image import Header, Pixels

ENCODINGS = ("display", "linear", "log")

LUMA = np.array([0.2126, 0.7152, 0.0722], np.float32)
"""[3] what red, green and blue count for in luma (ITU-R BT.709-6)."""

_DPX_TRANSFERS = {1: "log", 2: "linear", 3: "log", 13: "log"} | dict.fromkeys(range(4, 11), "display")

_CINEON_SLOPE = 1023.0 * 0.002 / 0.6
_CINEON_WHITE = 685.0 / 1023.0
_CINEON_BLACK = 10.0 ** ((95.0 - 685.0) * 0.002 / 0.6)

_CDD_TO_CID = np.array(
    [[0.75573, 0.22197, 0.02230], [0.05901, 0.96928, -0.02829], [0.16134, 0.07406, 0.76460]], np.float64
)
_EXPOSURE_TO_ACES = np.array(
    [[0.72286, 0.12630, 0.15084], [0.11923, 0.76418, 0.11659], [0.01427, 0.08213, 0.90359]], np.float64
)
_CID = np.array([-0.19, 0.01, 0.028, 0.054, 0.095, 0.145, 0.22, 0.3, 0.4, 0.5, 0.6])
_LOG_EXPOSURE = np.array(
    [
        -6.0,
        -2.721718645,
        -2.521718645,
        -2.321718645,
        -2.121718645,
        -1.921718645,
        -1.721718645,
        -1.521718645,
        -1.321718645,
        -1.121718645,
        -0.926545676714876,
    ]
)
_REFERENCE_POINT = (7120.0 - 1520.0) / 8000.0 * (100.0 / 55.0) - np.log10(0.18)


def to_linear(pixels: Pixels, encoding: str) -> Pixels:
    """Pixels of an encoding as linear light."""
    if _known(encoding) == "display":
        return _srgb_to_linear(pixels)
    if encoding == "log":
        return cineon_to_linear(pixels)
    return np.asarray(pixels, np.float32)


def from_linear(pixels: Pixels, encoding: str) -> Pixels:
    """Linear light in an encoding; the inverse of :func:`to_linear`."""
    if _known(encoding) == "display":
        return _linear_to_srgb(pixels)
    if encoding == "log":
        return linear_to_cineon(pixels)
    return np.asarray(pixels, np.float32)


def to_display(pixels: Pixels, encoding: str) -> Pixels:
    """Pixels of an encoding as they are shown; ``display`` comes back as it is."""
    if _known(encoding) == "display":
        return np.asarray(pixels, np.float32)
    return _linear_to_srgb(to_linear(pixels, encoding))


def from_display(pixels: Pixels, encoding: str) -> Pixels:
    """The inverse of :func:`to_display`."""
    if _known(encoding) == "display":
        return np.asarray(pixels, np.float32)
    return from_linear(_srgb_to_linear(pixels), encoding)


def cineon_to_linear(pixels: Pixels) -> Pixels:
    """Cineon code value / 1023 to linear light: code 95 is 0, code 685 is 1.

    Below code 0 the curve goes on as its tangent there.
    """
    x = np.asarray(pixels, np.float64)
    exposure = 10.0 ** (_CINEON_SLOPE * (np.maximum(x, 0.0) - _CINEON_WHITE))
    exposure += _tangent() * np.minimum(x, 0.0)
    return ((exposure - _CINEON_BLACK) / (1.0 - _CINEON_BLACK)).astype(np.float32)


def linear_to_cineon(pixels: Pixels) -> Pixels:
    """The inverse of :func:`cineon_to_linear`."""
    exposure = np.asarray(pixels, np.float64) * (1.0 - _CINEON_BLACK) + _CINEON_BLACK
    floor = 10.0 ** (-_CINEON_SLOPE * _CINEON_WHITE)
    x = np.log10(np.maximum(exposure, floor)) / _CINEON_SLOPE + _CINEON_WHITE
    x += np.minimum(exposure - floor, 0.0) / _tangent()
    return x.astype(np.float32)


def adx_to_density(pixels: Pixels, bits: int) -> Pixels:
    """ADX10 (code / 1023) or ADX16 (code / 65535) to Academy printing density above base.

    ST 2065-3: ADX10 = 500 D + 95, ADX16 = 8000 D + 1520.
    """
    scale, offset, largest = _adx(bits)
    return ((np.asarray(pixels, np.float64) * largest - offset) / scale).astype(np.float32)


def density_to_adx(density: Pixels, bits: int) -> Pixels:
    """The inverse of :func:`adx_to_density`."""
    scale, offset, largest = _adx(bits)
    return ((np.asarray(density, np.float64) * scale + offset) / largest).astype(np.float32)


def adx_to_log(pixels: Pixels, bits: int) -> Pixels:
    """ADX as the ``log`` encoding: the same code scale as Cineon, 0.002 density a code and black at 95."""
    return pixels if bits == 10 else density_to_adx(adx_to_density(pixels, 16), 10)


def log_to_adx(pixels: Pixels, bits: int) -> Pixels:
    """The inverse of :func:`adx_to_log`."""
    return pixels if bits == 10 else density_to_adx(adx_to_density(pixels, 10), 16)


def adx_to_aces(pixels: Pixels, bits: int) -> Pixels:
    """ADX10 or ADX16 to linear ACES2065-1 (AP0), by the Academy's transform."""
    channel_independent = adx_to_density(pixels, bits).astype(np.float64) @ _CDD_TO_CID.T
    exposure = 10.0 ** _tone_curve(channel_independent)
    return (exposure @ _EXPOSURE_TO_ACES.T).astype(np.float32)


def aces_to_adx(pixels: Pixels, bits: int) -> Pixels:
    """The inverse of :func:`adx_to_aces`; light at or below 0 becomes the lowest density of the curve."""
    exposure = np.asarray(pixels, np.float64) @ np.linalg.inv(_EXPOSURE_TO_ACES).T
    logarithm = np.log10(np.maximum(exposure, 10.0 ** _LOG_EXPOSURE[0]))
    straight = (logarithm + _REFERENCE_POINT) * (55.0 / 100.0)
    independent = np.where(logarithm > _LOG_EXPOSURE[-1], straight, np.interp(logarithm, _LOG_EXPOSURE, _CID))
    return density_to_adx((independent @ np.linalg.inv(_CDD_TO_CID).T).astype(np.float32), bits)


def guess_encoding(header: Header) -> str | None:
    """The encoding that a file states, to be shown to the artist; never to be applied silently.

    A DPX states its transfer characteristic (ST 268-1, table 5), also where its header came along into
    another format. EXR is linear by its own specification, but for one made from video.
    """
    if header.block is not None:
        return _DPX_TRANSFERS.get(dpx.transfer(header.block))
    if header.format == "exr" and "video/codec" not in header.attributes:
        return "linear"
    return "display" if header.format in ("exr", "jpeg", "png", "video") else None


def _known(encoding: str) -> str:
    if encoding not in ENCODINGS:
        raise WetgateError(f"'{encoding}' is not an encoding; choose one of {', '.join(ENCODINGS)}.")
    return encoding


def _srgb_to_linear(pixels: Pixels) -> Pixels:
    x = np.abs(np.asarray(pixels, np.float64))
    y = np.where(x <= 0.04045, x / 12.92, ((x + 0.055) / 1.055) ** 2.4)
    return np.copysign(y, pixels).astype(np.float32)


def _linear_to_srgb(pixels: Pixels) -> Pixels:
    x = np.abs(np.asarray(pixels, np.float64))
    y = np.where(x <= 0.0031308, x * 12.92, 1.055 * x ** (1.0 / 2.4) - 0.055)
    return np.copysign(y, pixels).astype(np.float32)


def _tangent() -> float:
    return float(np.log(10.0) * _CINEON_SLOPE * 10.0 ** (-_CINEON_SLOPE * _CINEON_WHITE))


def _tone_curve(density: NDArray[np.float64]) -> NDArray[np.float64]:
    straight = density * (100.0 / 55.0) - _REFERENCE_POINT
    return np.where(density > _CID[-1], straight, np.interp(density, _CID, _LOG_EXPOSURE))


def _adx(bits: int) -> tuple[float, float, float]:
    try:
        return {10: (500.0, 95.0, 1023.0), 16: (8000.0, 1520.0, 65535.0)}[bits]
    except KeyError:
        raise ValueError(f"ADX has 10 or 16 bits, not {bits}") from None
