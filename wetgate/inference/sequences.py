"""A model over a whole sequence: read, compute and write at once; stop at any moment, and go on later.

Every frame is written whole, then gets a receipt (:mod:`wetgate.records.receipts`). Started again, frames
whose receipt still matches (model, input files, mask, software) and whose file still has the receipt's
hash are left as they are; all others are made anew. A video is one file and is made in one go.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wetgate.errors import WetgateError
from wetgate.images import Image, Sink, Source, format_frames, guess_encoding
from wetgate.images.opening import VIDEO_SUFFIXES
from wetgate.inference.curves import Curves
from wetgate.inference.frames import marks, restore_frame
from wetgate.inference.reading import Hashes, Masks, Unreadable, WindowReader
from wetgate.inference.requests import Requests
from wetgate.inference.session import Session
from wetgate.inference.summary import FrameResult, notes, summarise
from wetgate.inference.tiles import Restorer
from wetgate.inference.writing import WriteQueue
from wetgate.records import change_maps, receipts
from wetgate.service.layout import window_of

FLIGHT_BYTES = 256 << 20
"""What the frames read ahead may hold, and what the frames waiting to be written were read from."""

_VISIBLE_COLOUR = 0.01

Array = NDArray[np.float32]
Progress = Callable[[int, str], None]


def apply(
    session: Session,
    source: Source,
    sink: Sink,
    *,
    frames: Sequence[int] | None = None,
    mask: Source | None = None,
    curves: Curves | None = None,
    change_map: Path | None = None,
    tile: int | None = None,
    progress: Progress = lambda done, note: None,
) -> dict[str, Any]:
    """Restore frames of ``source`` into ``sink``.

    Pixels outside ``mask``, bad pixels and alpha are the scan's own. A frame that cannot be read is
    left out, the others are made, and the error names it; a video, which cannot have a gap, is given up.

    Args:
        session: the model.
        source: the scan.
        sink: where to; closed at the end, aborted after an error.
        frames: which frames; all by default. Temporal models also read their neighbours in ``source``.
        mask: masks by frame number, or one picture for all; see :func:`wetgate.inference.pixels.matte`.
        curves: exposure curves of the scan: what the model sees is steadied by them.
        change_map: a folder for change maps; see :mod:`wetgate.records.change_maps`.
        tile: pixels kept on a side of a tile; by default as many as the memory budget allows.
        progress: called with the frames done so far and a note.

    Returns:
        A JSON-able dict: ``frames``, ``restored`` and ``kept`` (how many were made, and stood already),
        ``output``, ``device``, ``steadied`` (see :meth:`Curves.extent`, or None), ``notes`` (sentences), and what
        :func:`summarise` gives.

    Raises:
        WetgateError: a frame does not exist or cannot be read, the output cannot be written, or the
            model fails. What was written stays, and the same call goes on from there.
        KeyboardInterrupt: likewise.
    """
    try:
        restorer = Restorer(session, tile)
        run = _Run(session, source, sink, chosen(source, frames), mask, curves, change_map)
        run.prepare()
        results = run.results_that_stand(progress)
        todo = [frame for frame in run.frames if frame not in results]
        kept = len(results)
        progress(kept, "")
        results |= run.restore(todo, restorer, lambda done, note: progress(kept + done, note))
        if todo:
            sink.close()
        else:
            sink.abort()  # the video that stands is not replaced by an empty one
    except BaseException:
        sink.abort()
        raise
    run.finish(results, made=bool(todo))
    return {
        "frames": format_frames(run.frames),
        "restored": len(todo),
        "kept": kept,
        "output": str(run.output if run.one_file else run.output.parent),
        "device": session.device,
        "steadied": None if curves is None else curves.extent(run.frames),
        "notes": notes(session.card, results),
        **summarise(results),
    }


class _Run:
    """One call of :func:`apply`: what it reads, where it writes, what each frame's receipt says.

    Attributes:
        frames: the frames to make, ascending.
        output: the first file that is written.
        one_file: whether it is the only one: a video.
        flight: frames in memory on either side of the computation.
    """

    def __init__(
        self,
        session: Session,
        source: Source,
        sink: Sink,
        frames: list[int],
        mask: Source | None,
        curves: Curves | None,
        change_map: Path | None,
    ) -> None:
        self.session, self.source, self.sink, self.frames, self.change_map = session, source, sink, frames, change_map
        self._curves = curves
        self.output = sink.path(frames[0])
        self.one_file = self.output.suffix.lower() in VIDEO_SUFFIXES
        self._masks = Masks(mask, frames, source.size) if mask is not None else None
        self._hashes = Hashes()
        present = frozenset(source.frames)
        self._windows = {frame: window_of(frame, session.card.radius, present) for frame in frames}
        self._requests = Requests(
            session.model_sha256, source, sink, self._windows, self._masks, curves, change_map, self._hashes
        )
        width, height = source.size
        self.flight = max(1, min(os.cpu_count() or 1, FLIGHT_BYTES // (width * height * 12)))

    def prepare(self) -> None:
        """Make the folders, sweep what a killed run left, keep the model's card."""
        if self.change_map is not None:
            change_maps.prepare(self.change_map, self.source)
        folder = self.output.parent
        receipts.prepare(folder)
        receipts.save_model_card(folder, self.session.model_sha256, self.session.card.to_metadata())

    def results_that_stand(self, progress: Progress) -> dict[int, FrameResult]:
        """Results of an earlier run that would come out the same again and whose files are intact."""
        if self.one_file:
            return self._requests.results_of_video(self.output)
        return self._requests.results_of_frames(self.flight, progress)

    def restore(self, todo: Sequence[int], restorer: Restorer, progress: Progress) -> dict[int, FrameResult]:
        """Make the frames ``todo``; return their results."""
        results: dict[int, FrameResult] = {}
        left_out: dict[int, str] = {}

        def written(task: tuple[int, FrameResult]) -> None:
            frame, results[frame] = task
            progress(len(results), f"frame {frame}")

        windows = [self._windows[frame] for frame in todo]
        threads = 1 if self.one_file else self.flight
        with (
            WindowReader(self.source, windows, self._masks, self._curves, self._hashes, self.flight) as reader,
            WriteQueue(threads, self.flight, written) as writing,
        ):
            for index, frame in enumerate(todo):
                try:
                    writing.put(self._restored(frame, index, reader, restorer))
                except Unreadable as error:
                    if self.one_file:
                        raise
                    left_out[frame] = str(error)
        if left_out:
            raise WetgateError(_sentence_for_left_out(left_out, len(self.frames)))
        return results

    def finish(self, results: dict[int, FrameResult], *, made: bool) -> None:
        """Once the sink is closed: the receipt of a video that was made, the change maps' summary."""
        if self.one_file and made:
            by_frame = {str(frame): results[frame] for frame in self.frames}
            receipts.save(self.output, receipts.file_hash(self.output), self._requests.of_video(), by_frame)
        if self.change_map is not None:
            change_maps.add_to_summary(self.change_map, {frame: result["change"] for frame, result in results.items()})

    def _restored(
        self, frame: int, index: int, reader: WindowReader, restorer: Restorer
    ) -> Callable[[], tuple[int, FrameResult]]:
        """Compute a frame; calling what is returned writes it."""
        window, weights = reader.read(index)
        middle = window[len(window) // 2]
        restored = restore_frame(window, weights, restorer, f"frame {frame}")
        result: FrameResult = {
            "device": self.session.device,
            "bad_pixels": 0 if middle.bad is None else int(middle.bad.sum()),
            "unusable_pixels": restored.unusable,
            "stated_encoding": guess_encoding(middle.image.header),
        }
        if restored.coverage is not None:
            result["coverage"] = float(restored.coverage.mean(dtype=np.float64))
        if restored.colour > _VISIBLE_COLOUR:
            result["colour_dropped"] = restored.colour
        return lambda: (frame, self._write(frame, middle.image, restored.pixels, result))

    def _write(self, frame: int, image: Image, restored: Array, result: FrameResult) -> FrameResult:
        result["change"] = change_maps.figures(image.pixels, restored)
        self.sink.write(frame, restored, self._marked(frame, image))
        if self.change_map is not None:
            result["change_map"] = change_maps.write_map(self.change_map, frame, image, restored)
        if not self.one_file:
            output = self.sink.path(frame)
            receipts.save(output, receipts.file_hash(output), self._requests.of_frame(frame), result)
        return result

    def _marked(self, frame: int, image: Image) -> Image:
        """``image`` with what an EXR frame says about its making."""
        if self.sink.path(frame).suffix.lower() != ".exr":
            return image
        path = self.source.path(frame)
        curve = None if self._curves is None else self._curves.of(frame)
        said = marks(self.session.card, self.session.model_sha256, path, self._hashes.of(path), frame, curve)
        return replace(image, header=image.header.with_attributes(said))


def chosen(source: Source, frames: Sequence[int] | None) -> list[int]:
    """``frames``, or all of ``source``, ascending.

    Raises:
        WetgateError: there are none, or ``source`` lacks one.
    """
    wanted = sorted(set(source.frames if frames is None else frames))
    if not wanted:
        raise WetgateError(f"No frames were named; {source.name} has {format_frames(source.frames) or 'none'}.")
    missing = sorted(set(wanted) - set(source.frames))
    if missing:
        raise WetgateError(
            f"{source.name} has no frame {format_frames(missing)}, but {format_frames(source.frames)}. Change --frames."
        )
    return wanted


def _sentence_for_left_out(left_out: dict[int, str], total: int) -> str:
    reasons = list(dict.fromkeys(left_out.values()))
    more = f" ({len(reasons) - 3} more like this.)" if len(reasons) > 3 else ""
    return (
        f"{len(left_out)} of {total} frames could not be restored ({format_frames(left_out)}): "
        f"{' '.join(reasons[:3])}{more} All others are done; run the same command again after the repair."
    )
