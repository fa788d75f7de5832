"""The engine's processes: started, asked and stopped from inside a host application, which they never hold up.

Everything here returns at once. What takes time happens in a thread, and its outcome is told by a callback, which
``deliver`` brings to whatever thread the caller lives in (see :class:`Calls`).

Training itself is no child of the host: ``wetgate train --detach`` leaves a process of its own that is followed through
the files of its run folder, so that the host may end and another may look on.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional

from wetgate.errors import WetgateError
from wetgate.project.processes import clean_environment
from wetgate.service.starting import find_command

Deliver = Callable[[Callable[[], None]], None]
"""Takes a call and has it made in the caller's own thread."""
Done = Callable[[Any], None]
Failed = Callable[[str], None]
Follow = Callable[[str], None]

_PROTECTED = ("grain", "luma", "none")
_GRAIN = ("keep", "match", "none")
_NEEDED = ("Python", "Packages", "Training", "Models", "Images")
"""What of `wetgate doctor` must work for a training."""
_KEPT_LINES = 20


class Calls:
    """Calls that threads have put here, waiting to be made by the thread that they are for: a ``deliver``."""

    def __init__(self) -> None:
        self._waiting: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()

    def __call__(self, call: Callable[[], None]) -> None:
        self._waiting.put(call)

    def make(self, at_most_s: float) -> None:
        """Make those that wait, oldest first, until none is left or that time has passed."""
        end = time.monotonic() + at_most_s
        while time.monotonic() < end:
            try:
                call = self._waiting.get_nowait()
            except queue.Empty:
                return
            call()


def _nothing(_: Any) -> None:
    """The callback of those who do not ask."""


@dataclass(frozen=True)
class Options:
    """How to train: the words of ``wetgate train``.

    Attributes:
        seconds: how long it may take, in all.
        protect: what of the scan is kept where colour is learnt: "grain", "luma" or "none".
        hold_out: so many pairs are never trained on.
        device: "auto", "cpu" or "cuda".
        operator: who is responsible, for the record.
        grain: what becomes of the scan's grain where detail is learnt: "keep", "match" or "none".
    """

    seconds: float = 60.0
    protect: str = "grain"
    hold_out: int = 0
    device: str = "auto"
    operator: str = ""
    grain: str = "keep"

    def words(self) -> list[str]:
        if self.protect not in _PROTECTED:
            raise WetgateError(f"{self.protect} cannot be protected: choose one of {', '.join(_PROTECTED)}.")
        if self.grain not in _GRAIN:
            raise WetgateError(f"Grain cannot be {self.grain}: choose one of {', '.join(_GRAIN)}.")
        words = ["--time", f"{self.seconds:g}s", "--protect", self.protect, "--device", self.device]
        words += ["--grain", self.grain] if self.grain != "keep" else []
        words += ["--hold-out", str(self.hold_out)] if self.hold_out else []
        return [*words, "--operator", self.operator] if self.operator else words


@dataclass(frozen=True)
class Health:
    """Whether the engine is there and works.

    Attributes:
        state: "ready", "missing" or "broken".
        sentence: for the artist; empty when it is ready.
        device: what it trains on, in words; empty where it does not train.
    """

    state: str
    sentence: str = ""
    device: str = ""


class Task:
    """A process at work for a callback.

    Args:
        outlives: it goes on when nobody waits for it any more: half of it done would be worse than none.
    """

    def __init__(self, *, outlives: bool = False) -> None:
        self._process: Optional[subprocess.Popen[str]] = None
        self._lock = threading.Lock()
        self._outlives = outlives
        self._cancelled = False
        self.is_awaited = True

    def cancel(self) -> None:
        """End it, and whatever it has started; its ``done`` and ``failed`` are not called then."""
        with self._lock:
            self._cancelled, self.is_awaited = True, False
            if self._process is not None and self._process.poll() is None:
                _end(self._process)

    def leave(self) -> None:
        """Nobody waits for it any more: cancel it, or let it go on unheard."""
        if self._outlives:
            self.is_awaited = False
        else:
            self.cancel()

    def _start(self, command: Sequence[str]) -> Optional[subprocess.Popen[str]]:
        with self._lock:
            if not self._cancelled:
                self._process = _popen(command)
            return self._process


class Worker:
    """One thread that does what it is given, one after another, and has the outcome delivered."""

    def __init__(self, deliver: Deliver) -> None:
        self._deliver = deliver
        self._todo: queue.SimpleQueue[Optional[Callable[[], None]]] = queue.SimpleQueue()
        self._thread: Optional[threading.Thread] = None
        self._closed = False

    def run(self, work: Callable[[], Any], done: Done = _nothing, failed: Failed = _nothing) -> None:
        """Do ``work``; then have ``done`` called with what it returned, or ``failed`` with a sentence."""

        def job() -> None:
            try:
                result = work()
            except Exception as error:  # the thread goes on; whoever asked is told
                sentence = str(error) if isinstance(error, (WetgateError, OSError)) else repr(error)
                self._tell(lambda: failed(sentence))
            else:
                self._tell(lambda: done(result))

        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="wetgate-worker", daemon=True)
            self._thread.start()
        self._todo.put(job)

    def close(self) -> None:
        """Deliver nothing any more; what is being done is done to its end."""
        self._closed = True
        self._todo.put(None)

    def _tell(self, call: Callable[[], None]) -> None:
        if not self._closed:
            self._deliver(lambda: None if self._closed else call())

    def _work(self) -> None:
        for job in iter(self._todo.get, None):
            job()


class Engine:
    """The verbs of ``wetgate``, run in processes of their own.

    Args:
        deliver: how callbacks reach the caller's thread.
        command: what verbs are added to; None for the installed ``wetgate``.
    """

    def __init__(self, deliver: Deliver, command: Optional[Sequence[str]] = None) -> None:
        self._deliver = deliver
        self._command = command
        self._tasks: list[Task] = []

    def command(self) -> list[str]:
        """What a verb is added to.

        Raises:
            WetgateError: the engine is not installed.
        """
        return find_command() if self._command is None else list(self._command)

    # Verbs

    def start_training(self, folder: Path, options: Options, done: Done = _nothing, failed: Failed = _nothing) -> Task:
        """Train in the background; ``done`` gets "run", "folder" and "pid" of what was started."""
        return self._verb(lambda: ["train", str(folder), *options.words(), "--detach"], done, failed, outlives=True)

    def go_on(self, folder: Path, done: Done = _nothing, failed: Failed = _nothing) -> Task:
        """Go on with the newest run where it was stopped or broken off."""
        return self._verb(lambda: ["train", str(folder), "--resume", "--detach"], done, failed, outlives=True)

    def prepare(self, folder: Path, done: Done = _nothing, failed: Failed = _nothing) -> Task:
        """Align, weigh, accept or reject the pairs and draw their pictures; ``done`` gets the pairs."""
        return self._verb(lambda: ["prepare", str(folder)], done, failed)

    def suggest(
        self, folder: Path, scan: str, count: int = 5, done: Done = _nothing, failed: Failed = _nothing
    ) -> Task:
        """Ask which frames of ``scan`` are worth pairing next."""
        return self._verb(lambda: ["suggest", str(folder), "--scan", scan, "--count", str(count)], done, failed)

    def measure(
        self, scan: str, output: str, encoding: Callable[[], str], follow: Follow, done: Done, failed: Failed = _nothing
    ) -> Task:
        """Measure the exposure curves of ``scan`` into a file; ``follow`` gets lines, ``done`` what it said at the end.

        ``encoding`` is called in a thread: who asks may have to wait for how the scan is coded, too.
        """
        return self._start(
            lambda: [*self.command(), "curves", scan, output, "--encoding", encoding()],
            lambda code, out, last: done(out) if code == 0 else failed(_last_words(last, "The engine ended")),
            failed,
            follow,
        )

    def examine(self, done: Callable[[Health], None]) -> Task:
        """Ask whether the engine is there and works; ``done`` always gets an answer."""

        def missing(sentence: str) -> None:
            try:
                self.command()
            except WetgateError as error:
                done(Health("missing", str(error)))
            else:
                done(Health("broken", sentence))

        return self._verb(lambda: ["doctor"], lambda page: done(_health(page)), missing)

    def install(
        self, follow: Follow, done: Done = _nothing, failed: Failed = _nothing, words: Sequence[str] = ()
    ) -> Task:
        """Run ``bootstrap.py install``; ``follow`` gets its lines, ``done`` what it said at the end."""
        return self._start(
            lambda: [*find_python(), str(find_bootstrap()), "install", *words],
            lambda code, out, last: done(out) if code == 0 else failed(_last_words(last, "The set-up failed")),
            failed,
            follow,
            outlives=True,
        )

    def close(self) -> None:
        """Cancel what still runs for a callback, but for a set-up and the start of a training."""
        for task in list(self._tasks):
            task.leave()

    # How

    def _verb(self, words: Callable[[], Sequence[str]], done: Done, failed: Failed, *, outlives: bool = False) -> Task:
        def ended(code: int, out: str, last: Sequence[str]) -> None:
            answer = _answer(out)
            if answer is None:
                failed(_last_words(last, "The engine ended without an answer"))
            elif "error" in answer:
                failed(str(answer["error"]))
            else:
                done(answer)

        return self._start(lambda: [*self.command(), *words(), "--json"], ended, failed, _nothing, outlives=outlives)

    def _start(
        self,
        command: Callable[[], Sequence[str]],
        ended: Callable[[int, str, Sequence[str]], None],
        failed: Failed,
        follow: Follow,
        *,
        outlives: bool = False,
    ) -> Task:
        task = Task(outlives=outlives)
        self._tasks.append(task)

        def tell(call: Callable[[], None]) -> None:
            self._deliver(lambda: call() if task.is_awaited else None)

        def work() -> None:
            try:
                process = task._start(command())
            except WetgateError as error:
                sentence = str(error)
                tell(lambda: failed(sentence))
            else:
                if process is not None:
                    code, out, last = _listen(process, lambda line: tell(lambda: follow(line)))
                    tell(lambda: ended(code, out, last))
            finally:
                self._tasks.remove(task)

        threading.Thread(target=work, name="wetgate-task", daemon=True).start()
        return task


def find_bootstrap() -> Path:
    """The ``bootstrap.py`` that this plug-in came with.

    Raises:
        WetgateError: it came without.
    """
    path = Path(__file__).resolve().parents[1] / "bootstrap.py"
    if not path.is_file():
        raise WetgateError(
            f"{path} is missing: this plug-in came without the engine's set-up. Install Wetgate as its README says."
        )
    return path


def find_python() -> list[str]:
    """A Python that can run ``bootstrap.py``, which finds the one to install by itself; never the host application.

    Raises:
        WetgateError: there is none.
    """
    own = Path(sys.executable or "python").name.lower()
    candidates = [[sys.executable]] if own.startswith("python") else []
    candidates += [["py", "-3"]] if os.name == "nt" else [["python3"], ["/usr/bin/python3"]]
    candidates += [["python"]]
    for words in candidates:
        found = shutil.which(words[0])
        if found:
            return [found, *words[1:]]
    raise WetgateError("No Python was found on PATH: install Python 3.11 or newer, then start the host again.")


def _popen(command: Sequence[str]) -> subprocess.Popen[str]:
    try:
        return subprocess.Popen(
            list(command),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            errors="replace",
            env={**clean_environment(), "PYTHONIOENCODING": "utf-8", "PYTHONUNBUFFERED": "1", "WETGATE_PROGRESS": "1"},
            start_new_session=os.name != "nt",
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
        )
    except OSError as error:
        raise WetgateError(f"{command[0]} cannot be started: {error.strerror or error}.") from error


def _listen(process: subprocess.Popen[str], follow: Follow) -> tuple[int, str, list[str]]:
    """Read what it prints to its end; the exit code, standard output, and the last lines of its errors."""
    out: list[str] = []
    last: list[str] = []
    assert process.stdout is not None and process.stderr is not None
    reader = threading.Thread(target=lambda stream=process.stdout: out.append(stream.read()), daemon=True)
    reader.start()
    for line in _lines(process.stderr):
        last = [*last, line][-_KEPT_LINES:]
        follow(line)
    reader.join()
    return process.wait(), "".join(out), last


def _lines(stream: Any) -> Iterator[str]:
    with contextlib.suppress(ValueError, OSError):  # closed under our hands: it was cancelled
        for line in stream:
            if line.strip():
                yield line.strip()


def _end(process: subprocess.Popen[str]) -> None:
    """End a process with its children: the launcher of ``wetgate`` and pip both have some."""
    if os.name == "nt":
        subprocess.run(
            ["taskkill", "/T", "/F", "/PID", str(process.pid)],
            capture_output=True,
            check=False,
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
        )
        return
    with contextlib.suppress(OSError):
        os.killpg(process.pid, signal.SIGTERM)


def _answer(out: str) -> Optional[dict[str, Any]]:
    """The JSON object that a verb printed last."""
    for line in reversed(out.splitlines()):
        with contextlib.suppress(ValueError):
            answer = json.loads(line)
            if isinstance(answer, dict):
                return answer
    return None


def _last_words(lines: Sequence[str], otherwise: str) -> str:
    for line in reversed(lines):
        said = line.partition(": ")[2] if line.startswith(("wetgate: ", "bootstrap: ")) else line
        if said:
            return said if said.endswith((".", "!", "?")) else f"{said}."
    return f"{otherwise}; run `wetgate doctor` in a terminal to see why."


def _health(page: dict[str, Any]) -> Health:
    checks = [check for check in page.get("checks", []) if isinstance(check, dict)]
    bad = [check for check in checks if check.get("state") == "bad" and check.get("topic") in _NEEDED]
    device = next((str(check["detail"]) for check in checks if check.get("topic") == "Training"), "")
    if bad:
        what = "; ".join(f"{check.get('topic')}: {check.get('detail')}" for check in bad[:2])
        advice = bad[0].get("advice") or "Install it again."
        return Health("broken", f"The engine is damaged ({what}). {advice}", device)
    return Health("ready", "", device)
