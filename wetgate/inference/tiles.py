"""Whole frames from a model, in tiles where they would not fit: the same numbers either way.

A tile is read with ``halo`` pixels around what is kept of it and starts at a multiple of ``multiple``,
so that every kept pixel is computed from exactly the pixels it would be computed from in the whole
frame. Nothing is blended. On the CPU the result equals the whole frame's bit for bit; on CUDA to
rounding, since cuDNN chooses its sums by size.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wetgate.errors import WetgateError
from wetgate.inference.session import OutOfMemory, Session, Stop, Stopped

Array = NDArray[np.float32]

FIRST_SIDES = {"cpu": 2304, "cuda": 8192}
"""Pixels on a side of the first tiles tried (a frame of 2K, of 8K); a third less each time until the session's memory
budget holds them."""
SMALLEST_SIDE = 32

_SPARE_ARRAYS = 9
"""Tiles at a frame's end differ by a few pixels: up to three shapes in, out and of coverage."""


@dataclass
class Effort:
    """What a frame took: its tiles, and the seconds inside the model."""

    tiles: int = 0
    model_s: float = 0.0


@dataclass(frozen=True)
class Span:
    """Along one axis: the pixels read, and those of them that are kept."""

    read: slice
    keep: slice

    @property
    def kept_of_read(self) -> slice:
        """Where the kept pixels lie in what was read."""
        return slice(self.keep.start - self.read.start, self.keep.stop - self.read.start)


def spans(length: int, side: int, halo: int, multiple: int) -> list[Span]:
    """Cut ``length`` pixels into parts that keep about ``side`` pixels each and read ``halo`` more around.

    Every part but a lone one reads as many pixels as the others (the last up to ``multiple`` - 1 fewer),
    so that memory is reused.
    """
    reach = -(-halo // multiple) * multiple
    side = max(-(-side // multiple), 1) * multiple
    size = side + 2 * reach
    if size >= length:
        return [Span(slice(0, length), slice(0, length))]
    last = -(-(length - size) // multiple) * multiple
    starts = [*range(0, last, side), last]
    parts = []
    kept = 0
    for start in starts:
        stop = length if start == last else start + size - reach
        parts.append(Span(slice(start, min(start + size, length)), slice(kept, stop)))
        kept = stop
    return parts


class Restorer:
    """Runs a session over whole frames within its memory budget.

    Args:
        session: the model.
        tile: pixels kept on a side of a tile (``--tile N``), or None to find the largest that fits.

    Raises:
        WetgateError: ``tile`` is below 1, or was given for a model that sees whole frames only.
    """

    def __init__(self, session: Session, tile: int | None = None) -> None:
        if tile is not None and tile < 1:
            raise WetgateError(f"A tile of {tile} pixels is not possible; choose at least 1, or 'auto'.")
        if tile is not None and session.card.halo is None:
            raise WetgateError("This model sees whole frames only, so it cannot be tiled; leave --tile at 'auto'.")
        self.session = session
        self._side = tile or FIRST_SIDES[session.device]
        self._fixed = tile is not None
        self._spare = _Spare()

    def restore(
        self, window: Sequence[Array], stop: Stop | None = None, damage: Array | None = None
    ) -> tuple[Array, Array | None, Effort]:
        """Restore the middle frame of ``window``.

        Args:
            window: 2r+1 frames float32 [H, W, 3], oldest first, all of one size, finite.
            stop: ends the computation from another thread.
            damage: float32 [H, W], above 0.5 where to repair and nowhere else; None: the model finds it. Only for a
                model that takes it.

        Returns:
            restored float32 [H, W, 3], coverage float32 [H, W] or None, and what it took.

        Raises:
            Stopped: ``stop`` was requested.
            OutOfMemory: even the smallest tile (or the given one) does not fit.
            WetgateError: the model failed; see :meth:`Session.run`.
        """
        height, width = window[0].shape[:2]
        restored = np.empty((height, width, 3), np.float32)
        coverage = np.empty((height, width), np.float32) if self.session.gives_coverage else None
        planes = [frame.transpose(2, 0, 1) for frame in window]
        effort = self.restore_into(planes, restored.transpose(2, 0, 1), coverage, stop, damage)
        return restored, coverage, effort

    def restore_into(
        self,
        window: Sequence[Array],
        restored: Array,
        coverage: Array | None,
        stop: Stop | None = None,
        damage: Array | None = None,
    ) -> Effort:
        """Restore the middle frame of a window of planes, in place.

        Args:
            window: float32 [C, H, W] each, together 3*(2r+1) planes, oldest frame first, finite. Nothing is copied
                where one contiguous array holds them all and one tile does.
            restored: float32 [3, H, W]; filled.
            coverage: float32 [H, W] to be filled, or None where it is not wanted or the model gives none.
            stop: ends the computation from another thread.
            damage: as for :meth:`restore`.

        Returns:
            what it took.

        Raises:
            Stopped: ``stop`` was requested.
            OutOfMemory, WetgateError: as :meth:`restore`.
        """
        while True:
            try:
                return self._in_tiles(window, restored, coverage, stop, damage)
            except OutOfMemory:
                if self._fixed or self.session.card.halo is None or self._side <= SMALLEST_SIDE:
                    raise
                self._side = self._side * 2 // 3

    def _in_tiles(
        self,
        window: Sequence[Array],
        restored: Array,
        coverage: Array | None,
        stop: Stop | None,
        damage: Array | None,
    ) -> Effort:
        height, width = restored.shape[1:]
        effort = Effort()
        for rows, columns in self._grid(height, width):
            if stop is not None and stop.requested:
                raise Stopped("The computation was stopped before it was done.")
            parts = [planes[:, rows.read, columns.read] for planes in window]
            frames = self._spare.together(parts)
            kept = (rows.keep, columns.keep)
            targets = [restored[:, *kept], *([] if coverage is None else [coverage[kept]])]
            inner = (rows.kept_of_read, columns.kept_of_read)
            size = frames.shape[1:]
            whole = [self._spare.tile_for(target, size) for target in targets]
            started = time.perf_counter()
            marked = None if damage is None else np.ascontiguousarray(damage[rows.read, columns.read])
            self.session.run_into(frames, whole[0], whole[1] if coverage is not None else None, stop, marked)
            effort.model_s += time.perf_counter() - started
            for target, tile in zip(targets, whole, strict=True):
                if tile is not target:
                    target[...] = tile[..., *inner]
            effort.tiles += 1
        return effort

    def _grid(self, height: int, width: int) -> Iterator[tuple[Span, Span]]:
        card = self.session.card
        if card.halo is None:
            whole = (Span(slice(0, height), slice(0, height)), Span(slice(0, width), slice(0, width)))
            yield whole
            return
        columns = spans(width, self._side, card.halo, card.multiple)
        for rows in spans(height, self._side, card.halo, card.multiple):
            for across in columns:
                yield rows, across


class _Spare(threading.local):
    """Memory for tiles, kept from one to the next: fresh memory costs more than what is copied into it."""

    def __init__(self) -> None:
        self._arrays: dict[tuple[str, tuple[int, ...]], Array] = {}

    def together(self, parts: Sequence[Array]) -> Array:
        """The planes of all parts, contiguous; the only part itself where it is."""
        if len(parts) == 1 and parts[0].flags.c_contiguous:
            return parts[0]
        shape = (sum(len(part) for part in parts), *parts[0].shape[1:])
        return np.concatenate(parts, out=self._array("in", shape))

    def tile_for(self, target: Array, size: tuple[int, ...]) -> Array:
        """``target`` itself where a whole tile of ``size`` can be written into it, else memory for the tile."""
        if target.shape[-2:] == size and target.flags.c_contiguous:
            return target
        return self._array("out", (*target.shape[:-2], *size))

    def _array(self, use: str, shape: tuple[int, ...]) -> Array:
        key = use, shape
        if key not in self._arrays:
            if len(self._arrays) >= _SPARE_ARRAYS:
                self._arrays.clear()
            self._arrays[key] = np.empty(shape, np.float32)
        return self._arrays[key]
