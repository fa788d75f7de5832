"""What every moving picture can do, whether it is a folder of files or a video."""

from __future__ import annotations

from abc import ABC, abstractmethod
from fractions import Fraction
from pathlib import Path
from typing import Self

from wetgate.images.image import Image, Pixels


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
        """The file that holds ``frame``."""

    @abstractmethod
    def read(self, frame: int) -> Image:
        """Read one frame; threads may read at once.

        Raises:
            WetgateError: no such frame, unreadable, or of another size than the others.
        """

    @property
    @abstractmethod
    def size(self) -> tuple[int, int]:
        """Width and height of every frame's pixel array."""

    @property
    @abstractmethod
    def fps(self) -> Fraction | None:
        """Frames per second, where the files state it."""

    @abstractmethod
    def close(self) -> None:
        """Let go of open files."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        self.close()


class Sink(ABC):
    """Where restored frames go. Leaving the context closes it, or aborts it after an error."""

    @abstractmethod
    def path(self, frame: int) -> Path:
        """The file that ``frame`` is written to."""

    @abstractmethod
    def open(self) -> None:
        """Make the folder; :func:`open_sink` has done so."""

    @abstractmethod
    def write(self, frame: int, pixels: Pixels, like: Image | None) -> None:
        """Write one frame; header, alpha, single channel and bit depth are those of ``like``.

        Raises:
            WetgateError: full disk, unwritable folder, or a frame that the format cannot hold.
        """

    @abstractmethod
    def close(self) -> None:
        """Finish the output; only now a video stands under its name."""

    @abstractmethod
    def abort(self) -> None:
        """Give up: a video leaves nothing behind, a sequence its finished frames."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: object) -> None:
        if kind is None:
            self.close()
        else:
            self.abort()
