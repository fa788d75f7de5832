"""Small pairs: patches of colour that fade."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from wetgate.images import write_image

HEIGHT, WIDTH = 48, 64
FADE = np.array([[0.5, 0.1, 0.0], [0.1, 0.8, 0.1], [0.0, 0.1, 0.9]], np.float32)

Array = NDArray[np.float32]


def pair(number: int, height: int = HEIGHT, width: int = WIDTH) -> tuple[Array, Array]:
    """Scan and reference [H, W, 3]: the scan has faded and has grain."""
    generator = np.random.default_rng(number)
    patches = generator.random((6, 8, 3), dtype=np.float32)
    reference = np.clip(cv2.resize(patches, (width, height), interpolation=cv2.INTER_CUBIC), 0.05, 0.95)
    density = -np.log10(reference + 1 / 64) @ FADE + 0.1
    grain = generator.normal(0, 0.01, (height, width, 1))
    return (10.0**-density - 1 / 64 + grain).astype(np.float32), reference


def save_footage(folder: Path, frames: range = range(1, 5), **size: int) -> Path:
    """``scan`` and ``reference`` folders with half-float EXR frames; return ``folder``."""
    for frame in frames:
        for name, pixels in zip(("scan", "reference"), pair(frame, **size), strict=True):
            (folder / name).mkdir(parents=True, exist_ok=True)
            write_image(folder / name / f"shot.{frame:04d}.exr", pixels, bit_depth="half")
    return folder
