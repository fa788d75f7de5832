"""How a restoration stands on disk: its pairs, its runs and what they measured, read without waiting for anyone.

A :class:`Reader` is asked a few times a second, from one thread at a time, and reads only what has changed. What it
returns is frozen, so that a window may look at it from another thread.
"""

from __future__ import annotations

import contextlib
import os
import struct
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Optional

from wetgate.errors import WetgateError
from wetgate.files import write_json
from wetgate.project import Pair, Restoration, Run, open_restoration
from wetgate.project.numbered import numbered_folders
from wetgate.project.schema import read_object

Region = tuple[int, int, int, int]
Stamp = tuple[int, int]
"""When a file was last written, in nanoseconds, and its size."""

ENDED = ("finished", "stopped", "failed", "interrupted")
NOTES = "notes.json"
START_PATIENCE_S = 60.0
_END_OF_LOG = 2048
_EXR_MAGIC = b"\x76\x2f\x31\x01"
_EXR_HEADER = 1 << 16
_NOTHING: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True)
class Picture:
    """A PNG to show, and when it was written: another stamp is another picture."""

    path: Path
    stamp: Stamp


@dataclass(frozen=True)
class PairStanding:
    """A pair as an artist sees it.

    Attributes:
        number: in the restoration, from 1.
        folder: where its files are.
        frame: of the scan.
        state: collected, prepared, accepted, rejected, or damaged.
        reason: why it is in that state; may be empty.
        residual_px: what is left of the misalignment, in pixels of the scan; None where it is unknown.
        region: what part of the frame was collected, x, y, width, height from the top left; None for all of it.
        where_from: what it was collected from.
        decidable: whether it has been looked at, so that an artist can overrule what was found.
        thumbnail: scan and reference side by side.
        scan, reference, difference: to lay over one another, the reference aligned.
        proof: the page of the pair.
    """

    number: int
    folder: Path
    frame: int
    state: str
    reason: str
    residual_px: Optional[float]
    region: Optional[Region]
    where_from: Mapping[str, Any]
    thumbnail: Optional[Picture]
    scan: Optional[Picture]
    reference: Optional[Picture]
    difference: Optional[Picture]
    proof: Optional[Picture]

    @property
    def decidable(self) -> bool:
        return self.state not in ("collected", "damaged")

    @property
    def drawn(self) -> bool:
        """Whether the engine has made its pictures."""
        return self.thumbnail is not None and (self.scan is not None or self.state in ("collected", "damaged"))


@dataclass(frozen=True)
class Point:
    """A moment of a training.

    Attributes:
        seconds: since its start, pauses left out.
        loss: of the pairs it trains on; None at a start.
        validation: of pairs it does not train on; None where there are none.
        job: which of its networks, from 0; each has a curve of its own.
    """

    seconds: float
    loss: Optional[float]
    validation: Optional[float]
    job: int


@dataclass(frozen=True)
class RunStanding:
    """A run as an artist sees it.

    Attributes:
        number: in the restoration, from 1.
        folder: where its files are.
        state: waiting, preparing, training, paused, finished, stopped, failed or interrupted.
        asked: commands that were sent and not taken yet.
        settings: what it was started with.
        status: what the trainer said last.
        measures: mean measures on held-out pairs, by method ("scan", "restored").
        note: what the artist noted.
        points: its curves.
        jobs: what each of its networks is for, by number.
        events: what else happened, in order.
        model, report: None before they are there.
        strip: scan, restored and reference side by side.
        before, after, aim: the chosen preview: the scan, restored, and where there is one, its reference.
        preview_pair: which pair that is.
        trouble: the last words of a trainer that went without telling why.
    """

    number: int
    folder: Path
    state: str
    asked: tuple[str, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)
    status: Mapping[str, Any] = field(default_factory=dict)
    measures: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    note: str = ""
    points: tuple[Point, ...] = ()
    jobs: Mapping[int, str] = field(default_factory=dict)
    events: tuple[Mapping[str, Any], ...] = ()
    model: Optional[Path] = None
    report: Optional[Path] = None
    strip: Optional[Picture] = None
    before: Optional[Picture] = None
    after: Optional[Picture] = None
    aim: Optional[Picture] = None
    preview_pair: Optional[int] = None
    trouble: str = ""

    @property
    def at_work(self) -> bool:
        """Whether a trainer works on it, or will soon."""
        return self.state not in ENDED

    @property
    def stage(self) -> str:
        """Of its latest model, in the trainer's words."""
        for event in reversed(self.events):
            if event.get("event") == "model":
                return str(event.get("stage", ""))
        return ""


@dataclass(frozen=True)
class Standing:
    """A restoration at one moment.

    Attributes:
        folder: None while none is open.
        problem: why it cannot be read, in a sentence; empty when it can.
        footage: scans without a reference that it learns from, as patterns.
    """

    folder: Optional[Path] = None
    problem: str = ""
    recipe: str = ""
    encoding: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)
    footage: tuple[str, ...] = ()
    pairs: tuple[PairStanding, ...] = ()
    runs: tuple[RunStanding, ...] = ()

    @property
    def latest(self) -> Optional[RunStanding]:
        """The run with the highest number."""
        return self.runs[-1] if self.runs else None

    def run(self, number: int) -> Optional[RunStanding]:
        return next((run for run in self.runs if run.number == number), None)

    def pair(self, number: int) -> Optional[PairStanding]:
        return next((pair for pair in self.pairs if pair.number == number), None)


class Reader:
    """Reads one restoration again and again."""

    def __init__(self, folder: Path) -> None:
        self.folder = Path(os.path.abspath(folder))
        self._restoration: tuple[Optional[Stamp], Optional[Restoration]] = (None, None)
        self._pairs: dict[Path, tuple[Any, PairStanding]] = {}
        self._runs: dict[Path, _RunReader] = {}

    def read(self) -> Standing:
        """How it stands now. What is wrong with it is told in ``problem``, never raised."""
        try:
            restoration = self._open()
            pairs = tuple(self._pair(folder) for folder in numbered_folders(self.folder / "pairs"))
            runs = [self._run(folder) for folder in numbered_folders(self.folder / "runs")]
        except (WetgateError, OSError) as error:
            return Standing(self.folder, str(error))
        return Standing(
            self.folder,
            "",
            restoration.recipe,
            restoration.encoding,
            MappingProxyType(restoration.settings),
            tuple(one["scan"] for one in restoration.footage),
            pairs,
            tuple(run for run in runs if run is not None),
        )

    def _open(self) -> Restoration:
        stamp, restoration = self._restoration
        now = stamp_of(self.folder / "restoration.json")
        if restoration is None or now is None or now != stamp:
            restoration = open_restoration(self.folder)
            self._restoration = (now, restoration)
        return restoration

    def _pair(self, folder: Path) -> PairStanding:
        proofs = self.folder / "proofs"
        pictures = [
            picture(folder / "thumbnail.png"),
            *(picture(proofs / f"{folder.name}-{kind}.png") for kind in ("scan", "reference", "difference")),
            picture(proofs / f"{folder.name}.png"),
        ]
        key = (stamp_of(folder / "pair.json"), *pictures)
        known = self._pairs.get(folder)
        if known is None or known[0] != key:
            known = self._pairs[folder] = (key, _pair_standing(folder, pictures))
        return known[1]

    def _run(self, folder: Path) -> Optional[RunStanding]:
        reader = self._runs.get(folder)
        if reader is None:
            try:
                reader = self._runs[folder] = _RunReader(Run(folder))
            except WetgateError:  # without settings.json it is none
                return None
        return reader.read()


class _RunReader:
    """Reads one run again and again."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._offset = 0
        self._points: list[Point] = []
        self._jobs: dict[int, str] = {}
        self._events: list[Mapping[str, Any]] = []
        self._files = _Files()
        self._last: Optional[RunStanding] = None
        self._key: Any = None

    def read(self) -> RunStanding:
        run, files = self._run, self._files
        state = self._state()
        paths = [run.folder / name for name in ("status.json", "record.json", NOTES, "events.jsonl", "preview.json")]
        paths += [run.previews / name for name in ("latest.png", "scan.png", "restored.png", "reference.png")]
        asked = tuple(name for name in ("stop", "pause", "resume", "checkpoint") if self._is_asked(name))
        key = (state, asked, *map(stamp_of, paths), run.model.exists(), run.report.exists())
        if self._last is not None and key == self._key:
            return self._last
        self._take_events()
        strip, before, after, aim = (picture(path) for path in paths[5:])
        chosen = files.read(paths[4]).get("pair")
        self._key, self._last = (
            key,
            RunStanding(
                number=run.number,
                folder=run.folder,
                state=state,
                asked=asked,
                settings=MappingProxyType(run.settings),
                status=files.read(paths[0]),
                measures=_measures(files.read(paths[1])),
                note=str(files.read(paths[2]).get("note", "")),
                points=tuple(self._points),
                jobs=MappingProxyType(dict(self._jobs)),
                events=tuple(self._events),
                model=run.model if run.model.exists() else None,
                report=run.report if run.report.exists() else None,
                strip=strip,
                before=before,
                after=after,
                aim=aim if chosen is not None else None,
                preview_pair=chosen if isinstance(chosen, int) else None,
                trouble=_last_line(run.log) if state in ("failed", "interrupted") else "",
            ),
        )
        return self._last

    def _state(self) -> str:
        """As the run says; one that no trainer took for a minute was broken off before it began."""
        state = self._run.state
        stamp = stamp_of(self._run.folder / "settings.json")
        if state == "waiting" and stamp is not None and time.time() - stamp[0] / 1e9 > START_PATIENCE_S:
            return "interrupted"
        return state

    def _is_asked(self, command: str) -> bool:
        return (self._run.folder / "commands" / command).exists()

    def _take_events(self) -> None:
        events, self._offset = self._run.events(self._offset)
        for event in events:
            if event.get("event") == "step":
                self._points.append(_point(event))
            else:
                self._events.append(MappingProxyType(event))
            if event.get("event") == "job":
                self._jobs[int(event.get("job", 0))] = str(event.get("what", ""))


@dataclass
class _Files:
    """JSON files as they were last read; one that is missing or torn is empty."""

    known: dict[Path, tuple[Stamp, Mapping[str, Any]]] = field(default_factory=dict)

    def read(self, path: Path) -> Mapping[str, Any]:
        stamp = stamp_of(path)
        if stamp is None:
            return _NOTHING
        if path not in self.known or self.known[path][0] != stamp:
            with contextlib.suppress(WetgateError):
                self.known[path] = (stamp, MappingProxyType(read_object(path)))
        return self.known[path][1] if path in self.known else _NOTHING


def write_note(run: Path, note: str) -> None:
    """Keep what the artist noted about a run, in its folder."""
    write_json(run / NOTES, {"note": note})


def stamp_of(path: Path) -> Optional[Stamp]:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size


def picture(path: Path) -> Optional[Picture]:
    """None where there is no such file."""
    stamp = stamp_of(path)
    return None if stamp is None else Picture(path, stamp)


def _last_line(log: Path) -> str:
    try:
        with open(log, "rb") as stream:
            stream.seek(0, os.SEEK_END)
            stream.seek(max(0, stream.tell() - _END_OF_LOG))
            said = stream.read().decode("utf-8", "replace").split("\n")
    except OSError:
        return ""
    lines = [line.strip() for line in said if line.strip()]
    return lines[-1].partition("wetgate: ")[2] or lines[-1] if lines else ""


def exr_size(path: Path) -> Optional[tuple[int, int]]:
    """Width and height of an OpenEXR file's data window, from its header; None where it is no such file.

    The header holds attributes as name, type, length in bytes and value; a box2i is four little-endian 32-bit
    integers: first column and row, last column and row.
    """
    try:
        with open(path, "rb") as stream:
            header = stream.read(_EXR_HEADER)
    except OSError:
        return None
    name = b"dataWindow\0box2i\0" + struct.pack("<i", 16)
    at = header.find(name) + len(name)
    if not header.startswith(_EXR_MAGIC) or at < len(name) or len(header) < at + 16:
        return None
    left, top, right, bottom = struct.unpack_from("<4i", header, at)
    return right - left + 1, bottom - top + 1


def _pair_standing(folder: Path, pictures: list[Optional[Picture]]) -> PairStanding:
    try:
        pair = Pair(folder)
        pair.check_files()
    except WetgateError as error:
        return PairStanding(int(folder.name), folder, 0, "damaged", str(error), None, None, _NOTHING, *pictures)
    return PairStanding(
        pair.number,
        folder,
        pair.frame,
        pair.state,
        pair.reason,
        pair.residual_px,
        pair.region,
        MappingProxyType(pair.where_from),
        *pictures,
    )


def _point(event: Mapping[str, Any]) -> Point:
    return Point(
        seconds=float(event.get("seconds") or 0.0),
        loss=_number(event.get("loss")),
        validation=_number(event.get("validation")),
        job=int(event.get("job") or 0),
    )


def _number(value: Any) -> Optional[float]:
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def _measures(record: Mapping[str, Any]) -> Mapping[str, Mapping[str, float]]:
    results = record.get("results")
    if not isinstance(results, dict):
        return _NOTHING
    return MappingProxyType({name: dict(values) for name, values in results.items() if isinstance(values, dict)})
