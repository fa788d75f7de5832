"""What decides each frame's content, and whether what lies on disk still answers it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from wetgate.errors import WetgateError
from wetgate.images import Sink, Source, format_frames
from wetgate.inference.curves import Curves, as_lists
from wetgate.inference.frames import SOFTWARE
from wetgate.inference.reading import Hashes, Masks
from wetgate.inference.summary import FrameResult
from wetgate.records import change_maps, receipts
from wetgate.records.canonical import record_hash


class Requests:
    """What receipts say was asked for.

    Args:
        model_sha256: the model.
        source, sink: the scan and where it goes.
        windows: the frames that each frame is made from, by frame.
        masks: the masks, or None.
        curves: the exposure curves, or None.
        change_map: folder of change maps, or None.
        hashes: hashes of files read so far.
    """

    def __init__(
        self,
        model_sha256: str,
        source: Source,
        sink: Sink,
        windows: Mapping[int, tuple[int, ...]],
        masks: Masks | None,
        curves: Curves | None,
        change_map: Path | None,
        hashes: Hashes,
    ) -> None:
        self._model, self._source, self._sink, self._windows = model_sha256, source, sink, windows
        self._masks, self._curves, self._change_map, self._hashes = masks, curves, change_map, hashes

    def of_frame(self, frame: int) -> dict[str, Any]:
        """All that decides what ``frame`` looks like.

        Raises:
            WetgateError: an input cannot be read.
        """
        window = self._windows[frame]
        return {
            "software": SOFTWARE,
            "model": self._model,
            "source": self._source.path(frame).name,
            "frame": frame,
            "window": list(window),
            "inputs": [self._hashes.of(self._source.path(number)) for number in window],
            "mask": self._hashes.of(self._masks.path(frame)) if self._masks else None,
            "exposure": [as_lists(self._curves.of(number)) for number in window] if self._curves else None,
        }

    def of_video(self) -> dict[str, Any]:
        """All that decides what a video of all frames looks like; raises as :meth:`of_frame`."""
        return {
            "software": SOFTWARE,
            "model": self._model,
            "source": self._source.name,
            "frames": format_frames(self._windows),
            "requests_sha256": record_hash([self.of_frame(frame) for frame in sorted(self._windows)]),
        }

    def results_of_frames(self, threads: int, progress: Callable[[int, str], None]) -> dict[int, FrameResult]:
        """Results of the frames that would come out the same again and whose files are intact."""
        found: dict[int, FrameResult] = {}
        pool = ThreadPoolExecutor(threads, "wetgate-check")
        try:
            for frame, result in zip(self._windows, pool.map(self._result_of_frame, self._windows), strict=True):
                if result is not None:
                    found[frame] = result
                    progress(len(found), "checked")
        finally:
            pool.shutdown(cancel_futures=True)
        return found

    def results_of_video(self, output: Path) -> dict[int, FrameResult]:
        """Results of all frames of a video that would come out the same again; else none."""
        result = self._answer(output, self.of_video)
        results = {int(frame): figures for frame, figures in result.items()} if result else {}
        return results if all(self._map_stands(frame, figures) for frame, figures in results.items()) else {}

    def _result_of_frame(self, frame: int) -> FrameResult | None:
        result = self._answer(self._sink.path(frame), lambda: self.of_frame(frame))
        return result if result is not None and self._map_stands(frame, result) else None

    def _answer(self, output: Path, request: Callable[[], dict[str, Any]]) -> dict[str, Any] | None:
        """The result in the receipt of ``output``, where the receipt still holds."""
        receipt = receipts.load(output)
        if receipt is None or receipt["request"].get("model") != self._model:
            return None
        try:
            matches = receipt["request"] == request()
        except WetgateError:  # an input cannot be read: restoring will say which
            return None
        result: dict[str, Any] = receipt["result"]
        return result if matches and receipts.is_intact(output, receipt) else None

    def _map_stands(self, frame: int, result: FrameResult) -> bool:
        if self._change_map is None:
            return True
        return "change_map" in result and change_maps.is_intact(self._change_map, frame, result["change_map"])
