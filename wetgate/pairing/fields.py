"""Interlaced pictures: two fields, half a frame's time apart, woven into one picture.

Where film was carried to video by 3:2 pulldown, two frames in five hold fields of two film frames; such a
frame is combed where the picture moves. Each of its fields alone is a clean film frame.
"""

from __future__ import annotations

import numpy as np

from wetgate.images import Pixels

COMBED_SHARE = 0.002
"""Share of pixels that are combed, above which a frame is: progressive MPEG-2 video stays below 0.0002."""
_STEP = 0.04
_LEAST_LINES = 16


def combed_share(luma: Pixels) -> float:
    """Share of pixels 0-1 of a picture [H,W], display values, that stand out from both of their neighbouring lines.

    A pixel counts where it differs by 0.04 and more, in the same direction, from the line above and from the
    one below, while these two agree, and where the next line does the same in the opposite direction: fine
    detail and lines one pixel high do so alone, fields of different moments do so line after line.
    """
    if luma.shape[0] < _LEAST_LINES:
        return 0.0
    above, here, below = luma[:-2], luma[1:-1], luma[2:]
    up, down = here - above, here - below
    agree = np.abs(above - below) < 0.5 * np.minimum(np.abs(up), np.abs(down))
    sign = np.where(agree & (np.minimum(np.abs(up), np.abs(down)) > _STEP) & (up * down > 0), np.sign(up), 0)
    alternating = (sign[:-3] * sign[1:-2] < 0) & (sign[1:-2] * sign[2:-1] < 0) & (sign[2:-1] * sign[3:] < 0)
    return float(alternating.mean())


def upper_field(pixels: Pixels) -> Pixels:
    """The upper field of a picture [H,W,...]: its even lines; those between are made of their two neighbours."""
    field = pixels.copy()
    field[1:-1:2] = 0.5 * (pixels[:-2:2] + pixels[2::2])[: len(field[1:-1:2])]
    if len(pixels) % 2 == 0 and len(pixels) > 1:
        field[-1] = pixels[-2]
    return field
