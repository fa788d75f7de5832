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

    Raises:
        WetgateError: a frame of ``frames`` has no mask.
    """

    def __init__(self, source: Source, frames: Sequence[int], size: tuple[int, int]) -> None:
        self._source, self._size = source, size
        self._one_for_all = not source.is_video and len(source.frames) == 1
        missing = [] if self._one_for_all else sorted(set(frames) - set(source.frames))
        if missing:
            raise WetgateError(f"The mask {source.name} has no frame {missing[0]}; every frame needs its mask.")

    def path(self, frame: int) -> Path:
        """The file of the mask for ``frame``."""
        return self._source.path(self._number(frame))

    def weights(self, frame: int) -> Array:
        """See :func:`wetgate.inference.pixels.matte`."""
        return matte(self._source.read(self._number(frame)), self._size)

    def _number(self, frame: int) -> int:
        return self._source.frames[0] if self._one_for_all else frame


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


class WindowReader:
    """Reads windows in order, decoding up to ``ahead`` windows before they are asked for.

    Args:
        source: where the frames are.
        windows: frame numbers of each window, in ascending order of their middle frames.
        masks: masks of the middle frames, or None.
        curves: exposure curves that steady each frame, or None.
        hashes: filled with the hash of each file that is read, while it is in memory anyway.
        ahead: windows to decode ahead; as many threads read (a video is read by one).
    """

    def __init__(
        self,
        source: Source,
        windows: Sequence[tuple[int, ...]],
        masks: Masks | None,
        curves: Curves | None,
        hashes: Hashes,
        ahead: int,
    ) -> None:
        self._source, self._windows, self._masks, self._hashes, self._ahead = source, windows, masks, hashes, ahead
        self._curves = curves
        self._pool = ThreadPoolExecutor(1 if source.is_video else ahead, "wetgate-read")
        self._frames: dict[int, Future[Frame]] = {}
        self._weights: dict[int, Future[Array]] = {}

    def __enter__(self) -> WindowReader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)

    def read(self, index: int) -> tuple[list[Frame], Array | None]:
        """Window ``index`` and the weights of its middle frame's mask.

        Raises:
            Unreadable: one of its frames or the mask cannot be read.
        """
        self._schedule(index)
        window = self._windows[index]
        try:
            frames = [self._frames[number].result() for number in window]
            middle = window[len(window) // 2]
            weights = self._weights[middle].result() if self._masks else None
        except WetgateError as error:
            raise Unreadable(str(error)) from error
        finally:
            self._forget(index)
        return frames, weights

    def _schedule(self, index: int) -> None:
        for window in self._windows[index : index + 1 + self._ahead]:
            for number in window:
                if number not in self._frames:
                    self._frames[number] = self._pool.submit(self._load, number)
            middle = window[len(window) // 2]
            if self._masks and middle not in self._weights:
                self._weights[middle] = self._pool.submit(self._load_weights, self._masks, middle)

    def _forget(self, index: int) -> None:
        later = self._windows[index + 1 : index + 2]
        oldest = min(later[0]) if later else None
        middle = later[0][len(later[0]) // 2] if later else None
        for store, limit in ((self._frames, oldest), (self._weights, middle)):
            for number in [number for number in store if limit is None or number < limit]:
                del store[number]

    def _load(self, number: int) -> Frame:
        image = self._source.read(number)
        self._hashes.of(self._source.path(number))
        frame = Frame.of(image)
        return frame if self._curves is None else replace(frame, clean=self._curves.steady(number, frame.clean))

    def _load_weights(self, masks: Masks, number: int) -> Array:
        self._hashes.of(masks.path(number))
        return masks.weights(number)
