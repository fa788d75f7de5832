"""EXR files for the stand-in's Reads, and what is in them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import OpenImageIO as oiio


def pixels_of(number: int, size: tuple[int, int] = (64, 48)) -> np.ndarray:
    """What a picture of the fixture ``save_frames`` holds, top row first: values below 0 and above 1, too."""
    return np.random.default_rng(number).uniform(-0.5, 4.0, (size[1], size[0], 3)).astype(np.float32)


def write_exr(path: Path, pixels: np.ndarray) -> None:
    buffer = oiio.ImageBuf(np.ascontiguousarray(pixels))
    assert buffer.write(str(path)), buffer.geterror()


def read_exr(path: Path | str) -> np.ndarray:
    """The pixels of a file whose data window is the whole picture."""
    buffer = oiio.ImageBuf(str(path))
    spec = buffer.spec()
    assert (spec.x, spec.y, spec.width, spec.height) == (0, 0, spec.full_width, spec.full_height)
    return buffer.get_pixels(oiio.FLOAT)
