"""Windows of frames, each frame decoded once and ahead of its use."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from wetgate.errors import WetgateError
from wetgate.images import Source
from wetgate.inference.curves import Curves
from wetgate.inference.frames import Frame
from wetgate.inference.pixels import matte
from wetgate.records.receipts import file_hash

Array = NDArray[np.float32]


class Unreadable(WetgateError):
    """A frame, one of its neighbours or its mask cannot be read."""


class Masks:
    """Weights per frame from a source of masks; a source of one picture serves every frame.

    Frames before and after those of ``frames``, which a chain of models may need, can do without: they have none then.

    Raises:
        WetgateError: a frame of ``frames`` has no mask.
    """

    def __init__(self, source: Source, frames: Sequence[int], size: tuple[int, int]) -> None:
        self._source, self._size, self._present = source, size, frozenset(source.frames)
        self._one_for_all = not source.is_video and len(source.frames) == 1
        missing = [] if self._one_for_all else sorted(set(frames) - self._present)
        if missing:
            raise WetgateError(f"The mask {source.name} has no frame {missing[0]}; every frame needs its mask.")

    def path(self, frame: int) -> Path | None:
        """The file of the mask for ``frame``."""
        return None if (number := self._number(frame)) is None else self._source.path(number)

    def weights(self, frame: int) -> Array | None:
        """See :func:`wetgate.inference.pixels.matte`."""
        return None if (number := self._number(frame)) is None else matte(self._source.read(number), self._size)

    def _number(self, frame: int) -> int | None:
        if self._one_for_all:
            return self._source.frames[0]
        return frame if frame in self._present else None


class Hashes:
    """SHA-256 of files, each read once."""

    def __init__(self) -> None:
        self._known: dict[Path, str] = {}

    def of(self, path: Path) -> str:
        """The hash of ``path``.

        Raises:
            WetgateError: it cannot be read.
        """
        if path not in self._known:
            self._known[path] = file_hash(path)
        return self._known[path]

    def of_any(self, path: Path | None) -> str | None:
        """Likewise; None where there is no file."""
        return None if path is None else self.of(path)


class WindowReader:
    """Reads windows in order, decoding up to ``ahead`` windows before they are asked for.

    Args:
        source: where the frames are.
        windows: frame numbers of each window, in ascending order of their middle frames.
        masks: masks of the middle frames, or None.
        damage: masks of what is to be repaired in them, or None.
        curves: exposure curves that steady each frame, or None.
        hashes: filled with the hash of each file that is read, while it is in memory anyway.
        ahead: windows to decode ahead; as many threads read (a video is read by one).
    """

    def __init__(
        self,
        source: Source,
        windows: Sequence[tuple[int, ...]],
        masks: Masks | None,
        damage: Masks | None,
        curves: Curves | None,
        hashes: Hashes,
        ahead: int,
    ) -> None:
        self._source, self._windows, self._curves, self._hashes, self._ahead = source, windows, curves, hashes, ahead
        self._masks = [masks, damage]
        self._pool = ThreadPoolExecutor(1 if source.is_video else ahead, "wetgate-read")
        self._frames: dict[int, Future[Frame]] = {}
        self._weights: dict[int, list[Future[Array | None] | None]] = {}

    def __enter__(self) -> WindowReader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)

    def read(self, index: int) -> tuple[list[Frame], Array | None, Array | None]:
        """Window ``index``, the weights of its middle frame's mask, and those of what is to be repaired in it.

        Raises:
            Unreadable: one of its frames or a mask cannot be read.
        """
        self._schedule(index)
        window = self._windows[index]
        try:
            frames = [self._frames[number].result() for number in window]
            middle = window[len(window) // 2]
            weights, damage = (waiting.result() if waiting else None for waiting in self._weights[middle])
        except WetgateError as error:
            raise Unreadable(str(error)) from error
        finally:
            self._forget(index)
        return frames, weights, damage

    def _schedule(self, index: int) -> None:
        for window in self._windows[index : index + 1 + self._ahead]:
            for number in window:
                if number not in self._frames:
                    self._frames[number] = self._pool.submit(self._load, number)
            middle = window[len(window) // 2]
            if middle not in self._weights:
                self._weights[middle] = [
                    self._pool.submit(self._load_weights, masks, middle) if masks else None for masks in self._masks
                ]

    def _forget(self, index: int) -> None:
        later = self._windows[index + 1 : index + 2]
        oldest = min(later[0]) if later else None
        middle = later[0][len(later[0]) // 2] if later else None
        for number in [number for number in self._frames if oldest is None or number < oldest]:
            del self._frames[number]
        for number in [number for number in self._weights if middle is None or number < middle]:
            del self._weights[number]

    def _load(self, number: int) -> Frame:
        image = self._source.read(number)
        self._hashes.of(self._source.path(number))
        frame = Frame.of(image)
        return frame if self._curves is None else replace(frame, clean=self._curves.steady(number, frame.clean))

    def _load_weights(self, masks: Masks, number: int) -> Array | None:
        self._hashes.of_any(masks.path(number))
        return masks.weights(number)
