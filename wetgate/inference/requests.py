"""What decides each frame's content, and whether what lies on disk still answers it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from wetgate.errors import WetgateError
from wetgate.images import Sink, Source, format_frames
from wetgate.inference.chains import Plan, Stage
from wetgate.inference.curves import as_lists
from wetgate.inference.frames import SOFTWARE
from wetgate.inference.reading import Hashes, Masks
from wetgate.inference.summary import FrameResult
from wetgate.records import change_maps, receipts
from wetgate.records.canonical import record_hash


class Requests:
    """What receipts say was asked for.

    Args:
        stages: the models, and what goes with each.
        source, sink: the scan and where it goes.
        masks: the masks, or None.
        damage: of each stage, the masks of what it is to repair, or None.
        change_map: folder of change maps, or None.
        hashes: hashes of files read so far.
        frames: which frames, ascending.
    """

    def __init__(
        self,
        stages: Sequence[Stage],
        source: Source,
        sink: Sink,
        masks: Masks | None,
        damage: Sequence[Masks | None],
        change_map: Path | None,
        hashes: Hashes,
        frames: Sequence[int],
    ) -> None:
        self._stages, self._source, self._sink, self._frames = stages, source, sink, frames
        self._masks, self._damage, self._change_map, self._hashes = masks, damage, change_map, hashes
        self._radii = [stage.session.card.radius for stage in stages]
        self._present = frozenset(source.frames)

    def of_frame(self, frame: int) -> dict[str, Any]:
        """All that decides what ``frame`` looks like.

        Raises:
            WetgateError: an input cannot be read.
        """
        plan = Plan(self._radii, [frame], self._present)
        first, *later = zip(self._stages, plan.windows, self._damage, strict=True)
        window = list(plan.windows[0][frame]) if not later else plan.scans
        request = {
            "software": SOFTWARE,
            "model": first[0].session.model_sha256,
            "source": self._source.path(frame).name,
            "frame": frame,
            "window": window,
            "inputs": [self._hashes.of(self._source.path(number)) for number in window],
            "mask": self._hashes.of_any(self._masks.path(frame)) if self._masks else None,
            "exposure": _exposure(first[0], window),
        }
        if self._damage[0]:
            request["damage"] = self._of_masks(self._damage[0], plan.windows[0])
        if later:
            request["masks"] = self._of_masks(self._masks, plan.windows[0])
            request["then"] = [
                {
                    "model": stage.session.model_sha256,
                    "window": (looked_at := sorted({number for window in windows.values() for number in window})),
                    "exposure": _exposure(stage, looked_at),
                    "damage": self._of_masks(masks, windows),
                }
                for stage, windows, masks in later
            ]
        return request

    def _of_masks(self, masks: Masks | None, frames: Iterable[int]) -> list[str | None] | None:
        return [self._hashes.of_any(masks.path(frame)) for frame in frames] if masks else None

    def of_video(self) -> dict[str, Any]:
        """All that decides what a video of all frames looks like; raises as :meth:`of_frame`."""
        return {
            "software": SOFTWARE,
            "model": self._stages[0].session.model_sha256,
            "source": self._source.name,
            "frames": format_frames(self._frames),
            "requests_sha256": record_hash([self.of_frame(frame) for frame in self._frames]),
        }

    def results_of_frames(self, threads: int, progress: Callable[[int, str], None]) -> dict[int, FrameResult]:
        """Results of the frames that would come out the same again and whose files are intact."""
        found: dict[int, FrameResult] = {}
        pool = ThreadPoolExecutor(threads, "wetgate-check")
        try:
            for frame, result in zip(self._frames, pool.map(self._result_of_frame, self._frames), strict=True):
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
        if receipt is None or receipt["request"].get("model") != self._stages[0].session.model_sha256:
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


def _exposure(stage: Stage, frames: Iterable[int]) -> Any:
    """What steadies these frames, and whatever else that depends on."""
    curves = stage.curves
    if curves is None:
        return None
    numbers = list(frames)
    lists = [as_lists(curves.of(number)) for number in numbers]
    implied = stage.session.card.encoding or "display"
    if curves.transforms is None and curves.encoding == implied:
        return lists
    moved = curves.transforms
    return {
        "encoding": curves.encoding,
        "curves": lists,
        "size": None if moved is None else list(moved.size),
        "places": None if moved is None else [list(moved.of(number)) for number in numbers],
    }
