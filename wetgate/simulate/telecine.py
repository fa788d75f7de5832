"""The other source: what a DVD or a telecine kept of a film that had not faded yet."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from wetgate.errors import WetgateError
from wetgate.images import Pixels
from wetgate.simulate import seeds


@dataclass(frozen=True)
class Telecine:
    """How much the video kept.

    Attributes:
        width: picture width of the video in pixels (352 for a VCD or half-D1 DVD, 720 for a DVD).
        crop: share of the picture lost at each side (left, top, right, bottom); what is left fills the frame
            again, so that a cropped reference needs alignment.
        quantiser: MPEG-2 quantiser scale, 1-62; 0 leaves the compression out.
        noise: standard deviation of the video noise, in display values.
    """

    width: int = 352
    crop: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)
    quantiser: float = 4.0
    noise: float = 0.0


def reference_of(truth: Pixels, telecine: Telecine | None = None, seed: int = 0, frame: int = 0) -> Pixels:
    """A softer reference of the same size from an unfaded display frame [H,W,3], 0-1.

    Cropped, scaled down, coded as an MPEG-2 intra picture in 4:2:0 at 8 bit (BT.601 studio range), decoded and
    scaled up again.

    Raises:
        WetgateError: the width or the crop leaves no picture.
    """
    telecine = telecine or Telecine()
    height, width = truth.shape[:2]
    left, right = round(telecine.crop[0] * width), width - round(telecine.crop[2] * width)
    top, bottom = round(telecine.crop[1] * height), height - round(telecine.crop[3] * height)
    kept = truth[top:bottom, left:right]
    if telecine.width < 1 or not kept.size:
        raise WetgateError(
            f"A reference {telecine.width} pixels wide and cropped by {telecine.crop} holds no picture: "
            "choose a width above 0 and a smaller crop."
        )
    small_width = min(telecine.width, kept.shape[1])
    small_height = max(1, round(kept.shape[0] * small_width / kept.shape[1]))
    video = cv2.resize(np.ascontiguousarray(kept), (small_width, small_height), interpolation=cv2.INTER_AREA)
    if telecine.noise:
        random = seeds.generator(seed, "telecine", frame)
        video = video + telecine.noise * random.standard_normal(video.shape, dtype=np.float32)
    video = _through_mpeg(video.astype(np.float32), telecine.quantiser)
    return np.clip(cv2.resize(video, (width, height), interpolation=cv2.INTER_CUBIC), 0, 1).astype(np.float32)


def _through_mpeg(pixels: Pixels, quantiser: float) -> Pixels:
    height, width = pixels.shape[:2]
    planes = pixels @ _YCBCR.T * np.array([219, 224, 224], np.float32) + np.array([16, 128, 128], np.float32)
    half = (-(-width // 2), -(-height // 2))
    luma = _through_blocks(planes[..., 0], quantiser)
    halved = [cv2.resize(planes[..., k], half, interpolation=cv2.INTER_AREA) for k in (1, 2)]
    blue, red = (cv2.resize(_through_blocks(plane, quantiser), (width, height)) for plane in halved)
    decoded = np.stack([(luma - 16) / 219, (blue - 128) / 224, (red - 128) / 224], axis=2)
    return np.asarray(decoded @ np.linalg.inv(_YCBCR).T, np.float32)


def _through_blocks(plane: Pixels, quantiser: float) -> Pixels:
    """Round code values to 8 bit, through the 8x8 DCT where a quantiser is given."""
    if not quantiser:
        return np.round(plane)
    height, width = plane.shape
    padded = np.pad(np.round(plane), ((0, -height % 8), (0, -width % 8)), mode="edge")
    blocks = padded.reshape(padded.shape[0] // 8, 8, padded.shape[1] // 8, 8).transpose(0, 2, 1, 3) - 128
    steps = _INTRA * np.float32(quantiser / 16)
    steps[0, 0] = 8
    coefficients = np.round(_DCT @ blocks @ _DCT.T / steps) * steps
    decoded = (_DCT.T @ coefficients @ _DCT + 128).transpose(0, 2, 1, 3).reshape(padded.shape)
    return np.asarray(np.clip(np.round(decoded), 0, 255)[:height, :width], np.float32)


_YCBCR = np.array([[0.299, 0.587, 0.114], [-0.168736, -0.331264, 0.5], [0.5, -0.418688, -0.081312]], np.float32)
_DCT = np.array(
    [[np.sqrt((1 if k == 0 else 2) / 8) * np.cos(np.pi * (2 * n + 1) * k / 16) for n in range(8)] for k in range(8)],
    np.float32,
)
_INTRA = np.array(
    [
        [8, 16, 19, 22, 26, 27, 29, 34],
        [16, 16, 22, 24, 27, 29, 34, 37],
        [19, 22, 26, 27, 29, 34, 34, 38],
        [22, 22, 26, 27, 29, 34, 37, 40],
        [22, 26, 27, 29, 32, 35, 40, 48],
        [26, 27, 29, 32, 35, 40, 48, 58],
        [26, 27, 29, 34, 38, 46, 56, 69],
        [27, 29, 35, 38, 46, 56, 69, 83],
    ],
    np.float32,
)
"""Default intra quantiser matrix of ISO/IEC 13818-2, 6.3.11."""
