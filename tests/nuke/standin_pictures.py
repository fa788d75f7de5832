"""Pictures in the stand-in's graph: float32 RGBA with a bounding box, as Nuke has them, in files and out of them.

Row 0 is the bottom one, boxes are left, bottom, right, top. Outside its bounding box a picture repeats its edge.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass

import numpy as np
import OpenImageIO as oiio

Box = tuple[int, int, int, int]
_NUMBER = re.compile(r"#+|%0?(\d*)d")


@dataclass(frozen=True)
class Picture:
    size: tuple[int, int]
    box: Box
    pixels: np.ndarray

    def within(self, box: Box) -> np.ndarray:
        """The pixels of any box."""
        x, y, right, top = self.box
        rows = np.clip(np.arange(box[1], box[3]), y, top - 1) - y
        columns = np.clip(np.arange(box[0], box[2]), x, right - 1) - x
        return self.pixels[rows][:, columns]

    def whole(self) -> np.ndarray:
        return self.within((0, 0, *self.size))

    def at_scale(self, scale: int) -> Picture:
        """Every ``scale``-th pixel, as proxy mode does."""
        if scale == 1:
            return self
        width, height = self.size[0] // scale, self.size[1] // scale
        return Picture(
            (width, height), (0, 0, width, height), self.whole()[: height * scale : scale, ::scale][:, :width]
        )

    def cropped(self, box: Box, *, reformat: bool, intersect: bool, black_outside: bool) -> Picture:
        if intersect:
            mine = self.box
            box = (max(box[0], mine[0]), max(box[1], mine[1]), min(box[2], mine[2]), min(box[3], mine[3]))
        pixels, size = self.within(box), self.size
        if black_outside:
            pixels = np.pad(pixels, ((1, 1), (1, 1), (0, 0)))
            box = (box[0] - 1, box[1] - 1, box[2] + 1, box[3] + 1)
        if reformat:
            inset = int(black_outside)
            x, y = box[0] + inset, box[1] + inset
            box = (box[0] - x, box[1] - y, box[2] - x, box[3] - y)
            size = (box[2] - inset, box[3] - inset)
        return Picture(size, box, pixels)

    def autocropped(self) -> Picture:
        lit = self.pixels.any(axis=2)
        if not lit.any():
            return self
        rows, columns = np.flatnonzero(lit.any(axis=1)), np.flatnonzero(lit.any(axis=0))
        x, y = self.box[0] + int(columns[0]), self.box[1] + int(rows[0])
        box = (x, y, self.box[0] + int(columns[-1]) + 1, self.box[1] + int(rows[-1]) + 1)
        return Picture(self.size, box, self.within(box))


def plain(size: tuple[int, int], colour: tuple[float, ...]) -> Picture:
    return Picture(size, (0, 0, *size), np.full((size[1], size[0], 4), colour, np.float32))


def file_of(pattern: str, frame: int, view: str) -> str:
    """``shot.%V.####.exr`` is ``shot.left.1001.exr``."""

    def number(match: re.Match[str]) -> str:
        width = len(match.group()) if match.group(1) is None else int(match.group(1) or 0)
        return f"{frame:0{width}d}"

    folder, name = os.path.split(pattern.replace("%V", view))
    return os.path.join(folder, _NUMBER.sub(number, name))


def read(path: str) -> Picture:
    source = oiio.ImageInput.open(path)
    if source is None:
        raise RuntimeError(f"{path}: No such file or directory")
    spec, values = source.spec(), source.read_image(format="float")
    source.close()
    values = np.asarray(values, np.float32).reshape(spec.height, spec.width, spec.nchannels)
    pixels = np.zeros((spec.height, spec.width, 4), np.float32)
    pixels[..., 3] = 1.0 if spec.nchannels == 3 else 0.0
    pixels[..., : min(4, spec.nchannels)] = values[..., :4]
    x, y = spec.x - spec.full_x, spec.full_height - (spec.y - spec.full_y) - spec.height
    return Picture((spec.full_width, spec.full_height), (x, y, x + spec.width, y + spec.height), pixels[::-1])


def channels(path: str) -> list[str]:
    """What a file holds, by Nuke's names."""
    source = oiio.ImageInput.open(path)
    names = () if source is None else source.spec().channelnames
    nukes = {"R": "red", "G": "green", "B": "blue", "A": "alpha"}
    return [f"rgba.{nukes[name]}" for name in names if name in nukes]


def write(path: str, picture: Picture, channels: list[str], *, half: bool) -> None:
    """``channels`` names the first three or four channels in the file."""
    x, y, right, top = picture.box
    spec = oiio.ImageSpec(right - x, top - y, len(channels), oiio.HALF if half else oiio.FLOAT)
    spec.full_x = spec.full_y = 0
    spec.full_width, spec.full_height = picture.size
    spec.x, spec.y = x, picture.size[1] - top
    spec.channelnames = channels
    spec["compression"] = "zips"
    target = oiio.ImageOutput.create(path)
    if target is None or not target.open(path, spec):
        raise RuntimeError(f"{path}: {oiio.geterror() if target is None else target.geterror()}")
    target.write_image(np.ascontiguousarray(picture.pixels[::-1, :, : len(channels)]))
    target.close()
