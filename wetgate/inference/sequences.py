"""Models over a whole sequence: read, compute and write at once; stop at any moment, and go on later.

Every frame is written whole, then gets a receipt (:mod:`wetgate.records.receipts`). Started again, frames
whose receipt still matches (model, input files, mask, software) and whose file still has the receipt's
hash are left as they are; all others are made anew. A video is one file and is made in one go.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from wetgate.errors import WetgateError
from wetgate.images import Image, Sink, Source, format_frames
from wetgate.images.opening import VIDEO_SUFFIXES
from wetgate.inference.chains import Made, Plan, Stage, chain
from wetgate.inference.curves import STEADY, Curves
from wetgate.inference.frames import joined, marks
from wetgate.inference.reading import Hashes, Masks, Unreadable, WindowReader
from wetgate.inference.requests import Requests
from wetgate.inference.session import Session
from wetgate.inference.summary import FrameResult, handles_note, notes, summarise
from wetgate.inference.transforms import UNMOVED
from wetgate.inference.writing import WriteQueue
from wetgate.records import change_maps, receipts

FLIGHT_BYTES = 256 << 20
"""What the frames read ahead may hold, and what the frames waiting to be written were read from."""

_LEAVE_EXPOSURE = ("damage", "steady")

Progress = Callable[[int, str], None]


def apply(
    session: Session,
    source: Source,
    sink: Sink,
    *,
    then: Sequence[Stage] = (),
    frames: Sequence[int] | None = None,
    mask: Source | None = None,
    damage: Source | None = None,
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
        then: models that work on what it has made, in this order; see :mod:`wetgate.inference.chains`.
        frames: which frames; all by default. Temporal models also read their neighbours in ``source``.
        mask: masks by frame number, or one picture for all; see :func:`wetgate.inference.pixels.matte`. Each model of
            several keeps to it.
        damage: masks of what ``session`` is to repair, likewise; None: it finds that itself.
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
        stages = (Stage(session, curves, damage), *then)
        check(stages)
        run = _Run(stages, source, sink, chosen(source, frames), mask, change_map, tile)
        run.prepare()
        results = run.results_that_stand(progress)
        todo = [frame for frame in run.frames if frame not in results]
        kept = len(results)
        progress(kept, "")
        results |= run.restore(todo, lambda done, note: progress(kept + done, note))
        if todo:
            sink.close()
        else:
            sink.abort()  # the video that stands is not replaced by an empty one
    except BaseException:
        sink.abort()
        raise
    run.finish(results, made=bool(todo))
    cards = [stage.session.card for stage in stages]
    steadied = [stage.curves for stage in stages if stage.curves is not None]
    return {
        "frames": format_frames(run.frames),
        "restored": len(todo),
        "kept": kept,
        "output": str(run.output if run.one_file else run.output.parent),
        "device": ", ".join(dict.fromkeys(stage.session.device for stage in stages)),
        "steadied": steadied[0].extent(run.frames) if steadied else None,
        "notes": [
            *notes(cards, results),
            *_steadying_note(stages),
            *_moved_masks_note(stages),
            *handles_note(sum(card.radius for card in cards), source, run.frames),
        ],
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
        stages: Sequence[Stage],
        source: Source,
        sink: Sink,
        frames: list[int],
        mask: Source | None,
        change_map: Path | None,
        tile: int | None,
    ) -> None:
        self.stages, self.source, self.sink, self.frames = stages, source, sink, frames
        self.change_map, self._tile = change_map, tile
        self.output = sink.path(frames[0])
        self.one_file = self.output.suffix.lower() in VIDEO_SUFFIXES
        self._masks = Masks(mask, frames, source.size) if mask is not None else None
        self._damage = [
            Masks(stage.damage, frames, source.size) if stage.damage is not None else None for stage in stages
        ]
        for masks in (mask, *(stage.damage for stage in stages)):
            _keep_masks(masks, sink, frames)
        self._hashes = Hashes()
        self._requests = Requests(stages, source, sink, self._masks, self._damage, change_map, self._hashes, frames)
        width, height = source.size
        self.flight = max(1, min(os.cpu_count() or 1, FLIGHT_BYTES // (width * height * 12)))

    def prepare(self) -> None:
        """Make the folders, sweep what a killed run left, keep the models' cards."""
        if self.change_map is not None:
            change_maps.prepare(self.change_map, self.source)
        folder = self.output.parent
        receipts.prepare(folder)
        for stage in self.stages:
            receipts.save_model_card(folder, stage.session.model_sha256, stage.session.card.to_metadata())

    def results_that_stand(self, progress: Progress) -> dict[int, FrameResult]:
        """Results of an earlier run that would come out the same again and whose files are intact."""
        if self.one_file:
            return self._requests.results_of_video(self.output)
        return self._requests.results_of_frames(self.flight, progress)

    def restore(self, todo: Sequence[int], progress: Progress) -> dict[int, FrameResult]:
        """Make the frames ``todo``; return their results."""
        results: dict[int, FrameResult] = {}
        left_out: dict[int, str] = {}

        def written(task: tuple[int, FrameResult]) -> None:
            frame, results[frame] = task
            progress(len(results), f"frame {frame}")

        plan = self._plan(todo)
        windows = list(plan.windows[0].values())
        curves = self.stages[0].curves
        threads = 1 if self.one_file else self.flight
        with (
            WindowReader(
                self.source, windows, self._masks, self._damage[0], curves, self._hashes, self.flight
            ) as reader,
            WriteQueue(threads, self.flight, written) as writing,
        ):
            maker = chain(self.stages, self._tile, plan, reader, self._damage)
            while (frame := maker.coming) is not None:
                try:
                    made = maker.next()
                except Unreadable as error:
                    if self.one_file:
                        raise
                    left_out[frame] = str(error)
                else:
                    writing.put(functools.partial(self._write, frame, made))
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

    def _plan(self, frames: Sequence[int]) -> Plan:
        return Plan([stage.session.card.radius for stage in self.stages], frames, frozenset(self.source.frames))

    def _write(self, frame: int, made: Made) -> tuple[int, FrameResult]:
        image, restored = made.scan, made.pixels
        result = {**made.result, "change": change_maps.figures(image.pixels, restored)}
        self.sink.write(frame, restored, self._marked(frame, image))
        if self.change_map is not None:
            result["change_map"] = change_maps.write_map(self.change_map, frame, image, restored)
        if not self.one_file:
            output = self.sink.path(frame)
            receipts.save(output, receipts.file_hash(output), self._requests.of_frame(frame), result)
        return frame, result

    def _marked(self, frame: int, image: Image) -> Image:
        """``image`` with what an EXR frame says about its making."""
        if self.sink.path(frame).suffix.lower() != ".exr":
            return image
        path = self.source.path(frame)
        said = [
            marks(
                stage.session.card,
                stage.session.model_sha256,
                path,
                self._hashes.of(path),
                frame,
                None if stage.curves is None else stage.curves.of(frame),
                UNMOVED if stage.curves is None else stage.curves.place_of(frame),
            )
            for stage in self.stages
        ]
        return replace(image, header=image.header.with_attributes(joined(said)))


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


def check(stages: Sequence[Stage]) -> None:
    """Fail where these models cannot work one after another, or with what goes with each.

    Raises:
        WetgateError: they cannot.
    """
    encodings = {stage.session.card.encoding for stage in stages} - {""}
    if len(encodings) > 1:
        named = ", ".join(f"{_name(stage)} on {stage.session.card.encoding or 'unknown'}" for stage in stages)
        raise WetgateError(
            f"The models were trained on pictures of different encodings ({named}), so one cannot be given what "
            "another makes: convert the pictures between two runs, or train the models alike."
        )
    for stage in stages:
        if stage.curves is not None and stage.session.card.encoding not in ("", stage.curves.encoding):
            raise WetgateError(
                f"The exposure curves were measured on {stage.curves.encoding} pictures, but the model "
                f"({_name(stage)}) was trained on {stage.session.card.encoding} ones: measure them for --encoding "
                f"{stage.session.card.encoding}."
            )
        if stage.damage is not None and not stage.session.takes_damage:
            raise WetgateError(
                f"The model ({_name(stage)}) cannot be told where to repair: train one with the recipe `damage`."
            )


def _steadying_note(stages: Sequence[Stage]) -> list[str]:
    """What to know where flicker is taken out behind a model that changes what it was measured on."""
    steadied = next((index for index, stage in enumerate(stages) if stage.curves is not None), 0)
    before = [_name(stage) for stage in stages[:steadied] if stage.session.card.recipe not in _LEAVE_EXPOSURE]
    if not before:
        return []
    own = stages[steadied].session.card.recipe == STEADY
    advice = "named first," if own else "with --steady"
    return [
        f"Flicker is taken out before the model for {_name(stages[steadied])}, by curves that were measured on the "
        f"scan, but the model for {before[0]} has changed its colours by then: {advice} it is taken out first."
    ]


def _moved_masks_note(stages: Sequence[Stage]) -> list[str]:
    """What to know where masks of damage are laid over frames that were moved before."""
    told = next((index for index, stage in enumerate(stages) if stage.damage is not None), -1)
    if not any(stage.curves is not None and stage.curves.transforms is not None for stage in stages[: told + 1]):
        return []
    return [
        "The frames are brought to rest before the masks of damage are laid over them, and the masks are not moved: "
        "they must be drawn on the frames at rest. If they are the scan's, name the model for damage before the one "
        "for steady."
    ]


def _keep_masks(masks: Source | None, sink: Sink, frames: Sequence[int]) -> None:
    """Fail where a mask, which may have taken somebody a day, would be written over.

    Raises:
        WetgateError: it would.
    """
    if masks is None:
        return
    folder_of = functools.cache(Path.resolve)
    written = {(folder_of(path.parent), path.name) for path in map(sink.path, frames)}
    for path in map(masks.path, masks.frames):
        if (folder_of(path.parent), path.name) in written:
            raise WetgateError(
                f"{path.parent} holds the mask {path.name}, which would be overwritten; choose another output."
            )


def _name(stage: Stage) -> str:
    return stage.session.card.recipe or "one made elsewhere"


def _sentence_for_left_out(left_out: dict[int, str], total: int) -> str:
    reasons = list(dict.fromkeys(left_out.values()))
    more = f" ({len(reasons) - 3} more like this.)" if len(reasons) > 3 else ""
    return (
        f"{len(left_out)} of {total} frames could not be restored ({format_frames(left_out)}): "
        f"{' '.join(reasons[:3])}{more} All others are done; run the same command again after the repair."
    )
