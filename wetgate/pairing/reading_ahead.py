"""A source's frames in order, some of them read and looked at ahead, and a part of a source as a source."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from fractions import Fraction
from pathlib import Path
from typing import TypeVar

from wetgate.errors import WetgateError
from wetgate.images import Image, Pixels, Source

Look = TypeVar("Look")

READERS = 3


def looks(source: Source, look_at: Callable[[Pixels], Look]) -> Iterator[tuple[int, Look | None]]:
    """Each frame's number and what ``look_at`` makes of its pixels; None for a frame that cannot be read."""

    def look(number: int) -> Look | None:
        try:
            return look_at(source.read(number).pixels)
        except WetgateError:
            return None

    waiting: deque[tuple[int, Future[Look | None]]] = deque()
    with ThreadPoolExecutor(1 if source.is_video else READERS, "wetgate-look") as pool:
        try:
            for number in source.frames:
                waiting.append((number, pool.submit(look, number)))
                if len(waiting) > READERS:
                    first, future = waiting.popleft()
                    yield first, future.result()
            for first, future in waiting:
                yield first, future.result()
        finally:
            pool.shutdown(cancel_futures=True)


class Part(Source):
    """Some frames of a source, which stays open."""

    def __init__(self, whole: Source, frames: Sequence[int]) -> None:
        self.name, self.frames, self.is_video, self._whole = whole.name, list(frames), whole.is_video, whole

    def path(self, frame: int) -> Path:
        return self._whole.path(frame)

    def read(self, frame: int) -> Image:
        return self._whole.read(frame)

    @property
    def size(self) -> tuple[int, int]:
        return self._whole.size

    @property
    def fps(self) -> Fraction | None:
        return self._whole.fps

    def close(self) -> None:
        pass
