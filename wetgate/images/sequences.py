"""Numbered picture files as a moving picture."""

from __future__ import annotations

import math
import re
from collections import defaultdict
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from typing import Any, Self

from wetgate.errors import WetgateError
from wetgate.files import make_folder
from wetgate.images.image import Header, Image, Pixels
from wetgate.images.moving import Sink, Source
from wetgate.images.still import FORMATS, read_header, read_image, write_image

_PLACEHOLDER = re.compile(r"#+|%(?:0(\d+))?d")
_FRAME_RATES = ("FramesPerSecond", "dpx:FrameRate", "dpx/FrameRate", "dpx:TemporalFrameRate", "dpx/TemporalFrameRate")
_NUMBERED = re.compile(r"^(.*?)(\d+)(\.[^.]+)$")


@dataclass(frozen=True)
class Naming:
    """The names of a sequence's files: a text, the frame number with at least ``digits`` digits, a text."""

    folder: Path
    before: str
    digits: int
    after: str

    @classmethod
    def of(cls, pattern: Path) -> Self | None:
        """Read ``shot.####.exr`` or ``shot.%04d.exr``; None for a name without a place for the number."""
        found = list(_PLACEHOLDER.finditer(pattern.name))
        if not found:
            return None
        if len(found) > 1:
            raise WetgateError(f"{pattern} has two places for the frame number; keep one.")
        match = found[0]
        digits = len(match[0]) if match[0].startswith("#") else int(match[1] or 1)
        return cls(pattern.parent, pattern.name[: match.start()], digits, pattern.name[match.end() :])

    def path(self, frame: int) -> Path:
        """The file of a frame."""
        return self.folder / f"{self.before}{frame:0{self.digits}d}{self.after}"

    def frame_of(self, name: str) -> int | None:
        """The frame number in a file's name, or None where the name is not of this sequence."""
        number = name[len(self.before) : len(name) - len(self.after)]
        if not re.fullmatch(r"-?\d+", number) or self.path(int(number)).name != name:
            return None
        return int(number)

    def __str__(self) -> str:
        return f"{self.before}{'#' * self.digits}{self.after}"


class PictureSource(Source):
    """Picture files by frame number; they are opened when they are read.

    Attributes:
        folder: where the sequence lies, or None for a picture named by itself.
    """

    is_video = False

    def __init__(self, name: str, paths: dict[int, Path], folder: Path | None) -> None:
        self.name = name
        self.frames = sorted(paths)
        self.folder = folder
        self._paths = paths

    @classmethod
    def of_file(cls, path: Path) -> Self:
        """One picture; its frame is the number at the end of its name, or 1."""
        numbered = _NUMBERED.match(path.name)
        return cls(path.name, {int(numbered[2]) if numbered else 1: path}, None)

    @classmethod
    def of_naming(cls, naming: Naming) -> Self:
        """All files that fit a pattern."""
        if not naming.folder.is_dir():
            raise WetgateError(f"{naming.folder} does not exist, so {naming} cannot be read from it.")
        numbered = ((naming.frame_of(entry.name), entry) for entry in _entries(naming.folder))
        paths = {frame: entry for frame, entry in numbered if frame is not None}
        if not paths:
            raise WetgateError(f"{naming.folder} holds no file named like {naming}. Check the name and its digits.")
        return cls(str(naming), paths, naming.folder)

    @classmethod
    def of_folder(cls, folder: Path) -> Self:
        """The only sequence, or the only picture, in a folder."""
        groups: dict[str, list[tuple[str, Path]]] = defaultdict(list)
        for entry in _entries(folder):
            if entry.suffix.lower() in FORMATS and not entry.name.startswith(".") and entry.is_file():
                match = _NUMBERED.match(entry.name)
                name = f"{match[1]}####{match[3]}" if match else entry.name
                groups[name].append((match[2] if match else "1", entry))
        if not groups:
            raise WetgateError(f"{folder} holds no pictures that Wetgate reads ({', '.join(FORMATS)}).")
        if len(groups) > 1:
            some = ", ".join(list(groups)[:4]) + (", ..." if len(groups) > 4 else "")
            raise WetgateError(f"{folder} holds {len(groups)} sequences ({some}); name one of them as a pattern.")
        ((name, members),) = groups.items()
        paths = {int(number): path for number, path in members}
        if len(paths) < len(members):
            raise WetgateError(f"{folder} holds a frame number twice, with different zeros in front; keep one of each.")
        return cls(name, paths, folder)

    def path(self, frame: int) -> Path:
        try:
            return self._paths[frame]
        except KeyError:
            raise WetgateError(
                f"Frame {frame} of {self.name} is missing in {self._first_path.parent}; "
                f"its frames run from {self.frames[0]} to {self.frames[-1]}."
            ) from None

    def read(self, frame: int) -> Image:
        image = read_image(self.path(frame))
        if image.size != self.size:
            raise WetgateError(
                f"{image.path} is {image.size[0]} x {image.size[1]}, but {self._first_path.name} is "
                f"{self.size[0]} x {self.size[1]}; all frames of a sequence must have one size."
            )
        return image

    @property
    def size(self) -> tuple[int, int]:
        return self._first.size

    @property
    def fps(self) -> Fraction | None:
        attributes = self._first.attributes
        value: Any = next((attributes[name] for name in _FRAME_RATES if name in attributes), None)
        if isinstance(value, tuple) and len(value) == 2 and value[0] > 0 and value[1] > 0:
            return Fraction(int(value[0]), int(value[1]))
        if isinstance(value, (int, float)) and 0 < value < 1000:
            broadcast = Fraction(math.ceil(value) * 1000, 1001)
            near = abs(float(broadcast) - value) < 0.002
            return broadcast if near else Fraction(value).limit_denominator(1001)
        return None

    def close(self) -> None:
        """Nothing is open between reads."""

    @property
    def _first_path(self) -> Path:
        return self._paths[self.frames[0]]

    @cached_property
    def _first(self) -> Header:
        return read_header(self._first_path)


def _entries(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError as error:
        raise WetgateError(
            f"The folder {folder} cannot be read ({error.strerror}): change its permissions, or copy it elsewhere."
        ) from error


class PictureSink(Sink):
    """One picture file a frame, each written whole or not at all; threads may write at once."""

    def __init__(self, folder: Path, names: Naming | Source | str) -> None:
        """Write into ``folder`` under a pattern's names, a source's own names, or one fixed name."""
        self._folder = folder
        self._names = names

    def open(self) -> None:
        make_folder(self._folder)

    def path(self, frame: int) -> Path:
        if isinstance(self._names, Naming):
            return self._names.path(frame)
        return self._folder / (self._names if isinstance(self._names, str) else self._names.path(frame).name)

    def write(self, frame: int, pixels: Pixels, like: Image | None) -> None:
        alpha = like.alpha if like is not None and like.size == (pixels.shape[1], pixels.shape[0]) else None
        write_image(self.path(frame), pixels, like=like.header if like is not None else None, alpha=alpha)

    def close(self) -> None:
        """Each frame is finished when it is written."""

    def abort(self) -> None:
        """Finished frames stay."""
