"""Moving pictures as files: folders, numbered sequences, single pictures, and videos.

A PATTERN is a folder with one sequence in it, ``shot.####.exr``, ``shot.%04d.exr``, one picture, or a
video. Frames carry the numbers of their file names; a video's frames count from 1.
"""

from __future__ import annotations

import os
import re
from abc import ABC, abstractmethod
from collections import defaultdict
from fractions import Fraction
from functools import cached_property
from pathlib import Path

from wetgate.errors import WetgateError
from wetgate.files import make_folder
from wetgate.images.image import Header, Image, Pixels
from wetgate.images.still import FORMATS, read_header, read_image, write_image

_PLACEHOLDER = re.compile(r"#+|%(?:0(\d+))?d")
_NUMBERED = re.compile(r"^(.*?)(\d+)(\.[^.]+)$")

VIDEO_SUFFIXES = (".mov", ".mp4", ".m4v", ".mkv", ".mxf", ".avi", ".mpg", ".mpeg", ".m2v", ".ts", ".vob", ".webm")


class Source(ABC):
    """Pictures by frame number. Use it as a context manager, or call :meth:`close`.

    Attributes:
        name: the pattern without its folder, for people.
        frames: the frame numbers that exist, ascending.
        is_video: whether all frames are in one file.
    """

    name: str
    frames: list[int]
    is_video: bool

    @abstractmethod
    def path(self, frame: int) -> Path:
        """The file that holds ``frame``, whether or not it exists."""

    @abstractmethod
    def read(self, frame: int) -> Image:
        """Read one frame; threads may read different frames at once.

        Raises:
            WetgateError: no such frame, unreadable, or of another size than the first frame.
        """

    @property
    @abstractmethod
    def size(self) -> tuple[int, int]:
        """Width and height of every frame's pixel array."""

    @property
    @abstractmethod
    def fps(self) -> Fraction | None:
        """Frames per second where the files state it."""

    def close(self) -> None:
        """Let go of open files."""
        return None

    def __enter__(self) -> Source:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: object) -> None:
        self.close()


class Sink(ABC):
    """Where restored frames go. Leaving the context closes it, or aborts it after an error."""

    @abstractmethod
    def path(self, frame: int) -> Path:
        """The file that ``frame`` is written to."""

    @abstractmethod
    def write(self, frame: int, pixels: Pixels, like: Image | None) -> None:
        """Write one frame whole or not at all; header, alpha and bit depth come from ``like``."""

    def close(self) -> None:
        """Finish the output."""
        return None

    def abort(self) -> None:
        """Give up: nothing half-written stays."""
        return None

    def __enter__(self) -> Sink:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: object) -> None:
        if kind is None:
            self.close()
        else:
            self.abort()


class _Naming:
    """File names of a sequence: what stands before the number, its digits, what stands behind."""

    def __init__(self, folder: Path, before: str, digits: int, after: str) -> None:
        self.folder, self.before, self.digits, self.after = folder, before, digits, after

    @classmethod
    def of(cls, pattern: Path) -> _Naming | None:
        found = list(_PLACEHOLDER.finditer(pattern.name))
        if not found:
            return None
        if len(found) > 1:
            raise WetgateError(f"{pattern} has two places for the frame number; keep one.")
        match = found[0]
        digits = len(match[0]) if match[0].startswith("#") else int(match[1] or 1)
        return cls(pattern.parent, pattern.name[: match.start()], digits, pattern.name[match.end() :])

    def path(self, frame: int) -> Path:
        return self.folder / f"{self.before}{frame:0{self.digits}d}{self.after}"

    def frame_of(self, name: str) -> int | None:
        """The frame number in a file name, or None where the name is not of this sequence."""
        if not (name.startswith(self.before) and name.endswith(self.after)):
            return None
        number = name[len(self.before) : len(name) - len(self.after)]
        if not re.fullmatch(r"-?\d+", number) or f"{int(number):0{self.digits}d}" != number:
            return None
        return int(number)

    def __str__(self) -> str:
        return f"{self.before}{'#' * self.digits}{self.after}"


class _Pictures(Source):
    is_video = False

    def __init__(self, name: str, paths: dict[int, Path], naming: _Naming | None) -> None:
        self.name = name
        self.frames = sorted(paths)
        self._paths = paths
        self.naming = naming

    @property
    def folder(self) -> Path:
        return self._paths[self.frames[0]].parent

    def path(self, frame: int) -> Path:
        if frame in self._paths:
            return self._paths[frame]
        if self.naming is not None:
            return self.naming.path(frame)
        raise WetgateError(f"{self.name} has no frame {frame}.")

    def read(self, frame: int) -> Image:
        if frame not in self._paths:
            raise WetgateError(
                f"Frame {frame} of {self.name} is missing in {self.folder}; "
                f"its frames run from {self.frames[0]} to {self.frames[-1]}."
            )
        image = read_image(self._paths[frame])
        if image.size != self.size:
            raise WetgateError(
                f"{image.path} is {image.size[0]} x {image.size[1]}, but {self._paths[self.frames[0]].name} is "
                f"{self.size[0]} x {self.size[1]}; all frames of a sequence must have one size."
            )
        return image

    @cached_property
    def _first(self) -> Header:
        return read_header(self._paths[self.frames[0]])

    @property
    def size(self) -> tuple[int, int]:
        return self._first.size

    @property
    def fps(self) -> Fraction | None:
        value = self._first.attributes.get("FramesPerSecond", self._first.attributes.get("dpx:FrameRate"))
        if isinstance(value, tuple) and len(value) == 2 and value[0] > 0 and value[1] > 0:
            return Fraction(int(value[0]), int(value[1]))
        if isinstance(value, (int, float)) and 0 < value < 1000:
            return Fraction(value).limit_denominator(1001)
        return None


def open_source(pattern: str | os.PathLike[str]) -> Source:
    """Open a folder, sequence pattern, picture or video for reading.

    Raises:
        WetgateError: nothing is there, a folder holds no sequence or several, or a video is unreadable.
    """
    path = Path(pattern)
    if path.is_dir():
        return _open_folder(path)
    naming = _Naming.of(path)
    if naming is not None and not path.exists():
        return _open_sequence(naming)
    if not path.exists():
        raise WetgateError(
            f"{path} does not exist. Give a folder, a pattern such as shot.####.exr, a picture or a video."
        )
    if path.suffix.lower() in VIDEO_SUFFIXES:
        from wetgate.images.video import VideoSource

        return VideoSource(path)
    numbered = _NUMBERED.match(path.name)
    return _Pictures(path.name, {int(numbered[2]) if numbered else 1: path}, None)


def _open_folder(folder: Path) -> Source:
    groups: dict[tuple[str, str], list[tuple[str, Path]]] = defaultdict(list)
    for entry in sorted(folder.iterdir()):
        if entry.suffix.lower() not in FORMATS or entry.name.startswith(".") or not entry.is_file():
            continue
        match = _NUMBERED.match(entry.name)
        key = (match[1], match[3]) if match else (entry.name, "")
        groups[key].append((match[2] if match else "1", entry))
    if not groups:
        raise WetgateError(f"{folder} holds no images that Wetgate reads ({', '.join(FORMATS)}).")
    if len(groups) > 1:
        names = [f"{before}####{after}" if after else before for before, after in groups]
        raise WetgateError(
            f"{folder} holds {len(names)} sequences ({', '.join(names[:4])}{', ...' if len(names) > 4 else ''}); "
            f"name one of them as a pattern."
        )
    (before, after), members = next(iter(groups.items()))
    paths = {int(number): path for number, path in members}
    if len(paths) < len(members):
        raise WetgateError(f"{folder} holds a frame number twice, with different zeros in front; keep one of each.")
    if not after:
        return _Pictures(folder.name, paths, None)
    digits = min(len(number) for number, _ in members)
    naming = _Naming(folder, before, digits, after)
    return _Pictures(str(naming), paths, naming)


def _open_sequence(naming: _Naming) -> Source:
    if not naming.folder.is_dir():
        raise WetgateError(f"{naming.folder} does not exist, so {naming} cannot be read from it.")
    numbered = ((naming.frame_of(entry.name), entry) for entry in naming.folder.iterdir())
    paths = {frame: entry for frame, entry in numbered if frame is not None}
    if not paths:
        raise WetgateError(f"{naming.folder} holds no file named like {naming}. Check the name and its digits.")
    return _Pictures(str(naming), paths, naming)


class _PictureSink(Sink):
    def __init__(self, folder: Path, naming: _Naming | None, source: Source | None) -> None:
        self._naming = naming
        self._source = source
        self._folder = make_folder(folder)

    def path(self, frame: int) -> Path:
        if self._naming is not None:
            return self._naming.path(frame)
        assert self._source is not None
        return self._folder / self._source.path(frame).name

    def write(self, frame: int, pixels: Pixels, like: Image | None) -> None:
        target = self.path(frame)
        header = like.header if like is not None else None
        alpha = like.alpha if like is not None and like.size == (pixels.shape[1], pixels.shape[0]) else None
        write_image(target, pixels, like=header, alpha=alpha)


class _OnePictureSink(_PictureSink):
    def __init__(self, path: Path) -> None:
        super().__init__(path.parent, None, None)
        self._path = path

    def path(self, frame: int) -> Path:
        return self._path


def open_sink(pattern: str | os.PathLike[str], like: Source) -> Sink:
    """Open an output for frames restored from ``like``.

    A folder takes the file names and format of the source (``name.######.exr`` for a video); a pattern
    names its own; a video suffix makes a video; one picture's name takes a source of one frame.

    Raises:
        WetgateError: the output is the source, lies in the folder of a source sequence, cannot be
            written, or has an unknown suffix.
    """
    path = Path(pattern)
    suffix = path.suffix.lower()
    naming = None if path.is_dir() else _Naming.of(path)
    is_file = not path.is_dir() and (suffix in FORMATS or suffix in VIDEO_SUFFIXES)
    folder = path.parent if is_file or naming is not None else path
    _refuse_source(path, folder, like)
    if naming is not None:
        if suffix not in FORMATS:
            raise WetgateError(f"{path} cannot be written: a sequence needs one of the suffixes {', '.join(FORMATS)}.")
        return _PictureSink(folder, naming, like)
    if suffix in VIDEO_SUFFIXES and is_file:
        from wetgate.images.video import VideoSink

        return VideoSink(path, like)
    if is_file:
        if len(like.frames) > 1:
            raise WetgateError(
                f"{path} is one picture, but {like.name} has {len(like.frames)} frames; name {path.stem}.####{suffix}."
            )
        return _OnePictureSink(path)
    if like.is_video:
        return _PictureSink(path, _Naming(path, f"{Path(like.name).stem}.", 6, ".exr"), like)
    return _PictureSink(path, None, like)


def _refuse_source(path: Path, folder: Path, like: Source) -> None:
    first = like.path(like.frames[0]).resolve()
    if path.resolve() == first:
        raise WetgateError(f"{path} is the source itself; a source is never overwritten. Choose another output.")
    if like.is_video or len(like.frames) == 1:
        if (folder / first.name).resolve() == first and folder.resolve() == path.resolve():
            raise WetgateError(f"{path} is the source's folder; a source is never overwritten. Choose another output.")
        return
    if folder.resolve() == first.parent or first.parent in folder.resolve().parents:
        raise WetgateError(
            f"{path} lies in the source's folder {first.parent}; nothing is ever written there. Choose another output."
        )
