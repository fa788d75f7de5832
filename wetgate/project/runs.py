"""A run folder: one training, followed and steered through plain files.

The trainer holds the lock, appends to events.jsonl, replaces status.json, and takes the commands that
others put into commands/. Whoever looks on only reads, so any number of windows can attach again.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from wetgate.errors import WetgateError
from wetgate.files import make_folder, sentence_for, sweep_temporaries, write_json
from wetgate.project import checkpoints
from wetgate.project.locks import FileLock, is_locked
from wetgate.project.numbered import host_name
from wetgate.project.processes import process_start
from wetgate.project.schema import read_object

COMMANDS = ("stop", "pause", "resume", "checkpoint")
ENDED = ("finished", "stopped", "failed")
HEARTBEAT_S = 60.0
_THIS_PROCESS_SINCE = time.time()


class Run:
    """The folder of one training.

    Raises:
        WetgateError: ``folder`` has no valid settings.json.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = Path(os.path.abspath(folder))
        self.settings: dict[str, Any] = read_object(self.folder / "settings.json")
        self.previews = self.folder / "previews"
        self.model = self.folder / "model.onnx"
        self.record = self.folder / "record.json"
        self.report = self.folder / "report.html"
        self.log = self.folder / "log.txt"
        self._events = -1

    def __repr__(self) -> str:
        return f"Run({str(self.folder)!r})"

    def __del__(self) -> None:
        self._close_events()

    @property
    def number(self) -> int:
        """Its number in the restoration, from 1."""
        return int(self.folder.name)

    # Who works on it

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Be the one process that works on this run, during the block.

        Leftovers of a killed predecessor (temporary files, commands that it never took) are removed.

        Raises:
            WetgateError: another process works on it.
        """
        lock = FileLock(self.folder / "lock")
        give_up = time.monotonic() + 5.0
        while self._runs_elsewhere() or not lock.try_acquire():
            owner = self.owner()
            # A look by is_alive() also holds the lock, for microseconds: only a live owner is final.
            if self._runs_elsewhere() or _is_running_here(owner) or time.monotonic() > give_up:
                raise WetgateError(
                    f"{self.folder} is already being worked on by process {owner.get('pid', '?')} on "
                    f"{owner.get('host', 'this machine')}: stop it with `wetgate stop`, or wait until it ends."
                )
            time.sleep(0.01)
        try:
            _overwrite(
                lock.descriptor, {"pid": os.getpid(), "started": process_start(os.getpid()), "host": host_name()}
            )
            sweep_temporaries(self.folder)
            sweep_temporaries(self.previews)
            self._drop_old_commands()
            yield
        finally:
            with contextlib.suppress(OSError):
                os.ftruncate(lock.descriptor, 0)
            lock.release()

    def owner(self) -> dict[str, Any]:
        """pid, started and host of the process that holds the lock, or held it when it was killed; else empty."""
        try:
            owner = json.loads((self.folder / "lock").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return owner if isinstance(owner, dict) else {}

    def is_alive(self) -> bool:
        """Whether a process works on this run.

        On this machine the lock tells exactly, however the process ended. Where locks do not travel
        between machines, a run of another one counts as alive while its status.json is younger than a minute.
        """
        return bool(self.owner()) and (is_locked(self.folder / "lock") or self._runs_elsewhere())

    @property
    def state(self) -> str:
        """What the trainer said last (see :meth:`write_status`).

        "waiting" before a trainer took the run, "interrupted" when it went without a last word.
        """
        alive = self.is_alive()
        said = self.status().get("state")
        if said is None and not alive and not self.owner():
            return "waiting"
        if alive or said in ENDED:
            return str(said or "preparing")
        return "interrupted"

    def _runs_elsewhere(self) -> bool:
        owner = self.owner()
        if not owner or owner.get("host") == host_name():
            return False
        try:
            return abs(time.time() - (self.folder / "status.json").stat().st_mtime) < HEARTBEAT_S
        except OSError:
            return False

    # What happened

    def emit(self, event: Mapping[str, Any]) -> None:
        """Append ``event`` to events.jsonl with its ``time`` (seconds since 1970); NaN and infinity become null.

        Raises:
            WetgateError: the disk is full or the folder cannot be written.
        """
        line = json.dumps(_finite({"time": round(time.time(), 3), **event}), ensure_ascii=False, default=float)
        rest = memoryview(line.encode("utf-8") + b"\n")
        try:
            if self._events < 0:
                self._events = _open_for_lines(self.folder / "events.jsonl")
            while rest:
                rest = rest[os.write(self._events, rest) :]
        except OSError as error:
            self._close_events()
            raise WetgateError(sentence_for(error, self.folder / "events.jsonl")) from error

    def events(self, since_offset: int = 0) -> tuple[list[dict[str, Any]], int]:
        """The events from a byte offset on, and the offset to ask from next time.

        A last line that is still being written is left for next time; a line that a crash tore is left out.
        """
        try:
            with open(self.folder / "events.jsonl", "rb") as stream:
                stream.seek(since_offset)
                data = stream.read()
        except FileNotFoundError:
            return [], 0
        except OSError as error:
            raise WetgateError(f"{self.folder / 'events.jsonl'} cannot be read: {error.strerror}.") from error
        whole, newline, _ = data.rpartition(b"\n")
        found = []
        for line in whole.split(b"\n"):
            with contextlib.suppress(ValueError):
                event = json.loads(line)
                if isinstance(event, dict):
                    found.append(event)
        return found, since_offset + len(whole) + len(newline)

    def write_status(self, status: Mapping[str, Any]) -> None:
        """Replace status.json; costs a third of a millisecond, so once or twice a second is plenty.

        ``state`` is one of preparing, training, paused, finished, stopped, failed; the rest is free
        (step, steps, loss, validation, eta_s, message are shown by ``wetgate status``).
        """
        write_json(self.folder / "status.json", _finite({"time": round(time.time(), 3), **status}))

    def status(self) -> dict[str, Any]:
        """The last status; empty before the first. events.jsonl, not this file, is the truth."""
        try:
            return read_object(self.folder / "status.json")
        except WetgateError:
            return {}

    def _close_events(self) -> None:
        if getattr(self, "_events", -1) >= 0:
            os.close(self._events)
            self._events = -1

    # What it is told

    def send(self, command: str) -> None:
        """Put ``command`` (one of COMMANDS) where the trainer finds it; a plain `touch commands/stop` does the same.

        Raises:
            WetgateError: there is no such command, or the folder cannot be written.
        """
        if command not in COMMANDS:
            raise WetgateError(f"There is no command {command!r}: choose one of {', '.join(COMMANDS)}.")
        path = make_folder(self.folder / "commands") / command
        now = time.time_ns()
        try:
            path.touch()
            with contextlib.suppress(FileNotFoundError):  # taken already
                os.utime(path, ns=(now, now))
        except OSError as error:
            raise WetgateError(sentence_for(error, path)) from error

    def take_commands(self) -> list[str]:
        """The commands that were sent since the last call, oldest first; each is given once."""
        taken = []
        for _, path in self._pending_commands():
            with contextlib.suppress(FileNotFoundError):
                path.unlink()
                taken.append(path.name)
        return taken

    def _pending_commands(self) -> list[tuple[int, Path]]:
        pending = []
        for name in COMMANDS:
            path = self.folder / "commands" / name
            with contextlib.suppress(FileNotFoundError):
                pending.append((path.stat().st_mtime_ns, path))
        return sorted(pending)

    def _drop_old_commands(self) -> None:
        """Commands from before this process began were for a predecessor; a stop during our start-up is ours."""
        for sent, path in self._pending_commands():
            if sent < _THIS_PROCESS_SINCE * 1e9:
                path.unlink()

    # What it is to draw

    def choose_preview(self, *, pair: int | None = None, picture: str = "", frame: int | None = None) -> None:
        """Have the trainer draw one pair, or one picture, whenever its model gets better, and once now.

        It writes previews/scan.png, previews/restored.png and, for a pair, previews/reference.png, then the event
        "preview" (or "no preview", with the reason). A choice may be changed at any time; none ends it.

        Args:
            pair: its number.
            picture: a picture, sequence or video of the scan, in the restoration's encoding.
            frame: of ``picture``, by default the first.

        Raises:
            WetgateError: the folder cannot be written.
        """
        chosen: dict[str, Any] = {} if pair is None else {"pair": pair}
        if pair is None and picture:
            chosen = {"picture": os.path.abspath(picture), "frame": frame}
        write_json(self.folder / "preview.json", chosen)

    # What it can go on from

    def save_checkpoint(self, content: bytes | Callable[[Path], None]) -> Path:
        """Keep a checkpoint and the one before it: ``content`` is the bytes, or writes them to the path it is given."""
        return checkpoints.save(self.folder, content)

    def newest_checkpoint(self) -> Path | None:
        """The newest checkpoint whose bytes match their SHA-256; None when there is none. Torn ones are removed."""
        return checkpoints.newest(self.folder)


def _is_running_here(owner: Mapping[str, Any]) -> bool:
    pid = owner.get("pid")
    return isinstance(pid, int) and owner.get("host") == host_name() and process_start(pid) == owner.get("started")


def _overwrite(descriptor: int, value: Mapping[str, Any]) -> None:
    os.ftruncate(descriptor, 0)
    os.lseek(descriptor, 0, os.SEEK_SET)
    os.write(descriptor, json.dumps(value).encode("utf-8"))


def _open_for_lines(path: Path) -> int:
    """Open for appending whole lines; a line that a crash tore is closed first."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_BINARY", 0), 0o666)
    size = os.lseek(descriptor, 0, os.SEEK_END)
    if size:
        os.lseek(descriptor, size - 1, os.SEEK_SET)
        if os.read(descriptor, 1) != b"\n":
            os.write(descriptor, b"\n")
    return descriptor


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): _finite(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(part) for part in value]
    return value
