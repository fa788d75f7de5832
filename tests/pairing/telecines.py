"""A faded scan of real footage and a cropped, pulled-down MPEG-2 reference of it with frames missing."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from wetgate.images import Header, Image, Source, Window, open_sink
from wetgate.simulate.footage import demo_frames
from wetgate.simulate.presets import preset

CROP = (0.05, 0.04, 0.94, 0.97)
Frames = NDArray[np.uint8]


class Pictures(Source):
    """Frames [N, H, W, 3] of 8 bit, numbered from ``first``."""

    is_video = False

    def __init__(self, pictures: Frames, first: int = 1, name: str = "pictures") -> None:
        self.name = name
        self.frames = list(range(first, first + len(pictures)))
        self._pictures = pictures

    def path(self, frame: int) -> Path:
        return Path(f"{self.name}.{frame:04d}.dpx")

    def read(self, frame: int) -> Image:
        pixels = self._pictures[frame - self.frames[0]].astype(np.float32) / 255
        window = Window(0, 0, *self.size)
        return Image(pixels, None, Header("dpx", "8", ("R", "G", "B"), window, window, {}, {}), self.path(frame))

    @property
    def size(self) -> tuple[int, int]:
        return self._pictures.shape[2], self._pictures.shape[1]

    @property
    def fps(self) -> Fraction | None:
        return Fraction(24)

    def close(self) -> None:
        """Nothing is open."""


@dataclass(frozen=True)
class Film:
    """``truth`` and the ``scan`` of it, and a function to make references of it."""

    truth: Frames
    scan: Frames

    def reference(self, order: list[int], *, mirror: bool = False, grey: bool = False) -> Frames:
        """The film's frames (indexes) in this order, cropped and reduced to 352 x 240."""
        height, width = self.truth.shape[1:3]
        x0, y0, x1, y1 = (round(share * size) for share, size in zip(CROP, (width, height) * 2, strict=True))
        pictures = np.stack(
            [cv2.resize(np.ascontiguousarray(self.truth[at][y0:y1, x0:x1]), (352, 240)) for at in order]
        )
        if grey:
            pictures = np.repeat(pictures.mean(axis=3, keepdims=True).astype(np.uint8), 3, axis=3)
        return np.ascontiguousarray(pictures[:, :, ::-1]) if mirror else pictures


def film(first: int, last: int, seed: int = 1) -> Film:
    """Frames ``first`` to ``last`` (from 1) of the demo footage at 320 x 136, and a faded print of them."""
    decay = replace(preset("faded_print", seed))
    truth, scan = [], []
    for number, pixels in demo_frames():
        if number > last:
            break
        if number >= first:
            small = cv2.resize(pixels, (320, 136), interpolation=cv2.INTER_AREA)
            truth.append(small)
            scan.append(decay.frame(small, number).scan)
    return Film(*(np.rint(np.stack(part) * 255).astype(np.uint8) for part in (truth, scan)))


def pulled_down(order: list[int]) -> list[tuple[int, int]]:
    """Film frames (upper field, lower field) of every video frame after 3:2 pulldown."""
    fields = [at for place, at in enumerate(order) for at in [at] * (2 + place % 2)]
    return list(zip(fields[0::2], fields[1::2], strict=False))


def woven(pictures: dict[int, NDArray[np.uint8]], fields: list[tuple[int, int]]) -> Frames:
    """Video frames whose even lines are of one film frame, and whose odd lines are of another."""
    frames = []
    for upper, lower in fields:
        frame = pictures[upper].copy()
        frame[1::2] = pictures[lower][1::2]
        frames.append(frame)
    return np.stack(frames)


def as_mpeg2(path: Path, pictures: Frames) -> Path:
    """Write an MPEG-2 video."""
    source = Pictures(pictures)
    with open_sink(path, source) as sink:
        for frame in source.frames:
            sink.write(frame, source.read(frame).pixels, None)
    return path
