"""Starting the inference server where none runs, and connecting to the one that does."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from wetgate.errors import WetgateError
from wetgate.project import detached
from wetgate.project.locks import is_locked
from wetgate.service.channel import Channel, dial
from wetgate.service.places import Places

COMMAND_VARIABLE = "WETGATE_COMMAND"

_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.01, 0.1
_END_OF_LOG = 4096


def find_command() -> list[str]:
    """The command that ``serve`` is added to.

    Raises:
        WetgateError: Wetgate is not installed where a host application can find it.
    """
    if os.name == "nt":
        local = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
        installed = local / "Wetgate" / "bin" / "wetgate.cmd"
    else:
        installed = Path.home() / ".local" / "bin" / "wetgate"
    for candidate in (os.environ.get(COMMAND_VARIABLE), installed, shutil.which("wetgate")):
        if candidate and os.path.isfile(candidate):
            return [os.fspath(candidate)]
    raise WetgateError(
        f"The command `wetgate` was found neither at {installed} nor on PATH: install Wetgate, "
        f"or set {COMMAND_VARIABLE} to the full path of the command."
    )


class Starter:
    """Connects, again and again, to the server at ``places``, and starts one while nobody listens.

    Args:
        places: where the server is or will be.
        command: what ``serve`` is added to; None for :func:`find_command`, empty to start nothing.
        patience_s: how long to go on, from now.
    """

    def __init__(self, places: Places, command: Sequence[str] | None, patience_s: float) -> None:
        self._places = places
        self._command = command
        self._patience_s = patience_s
        self._give_up = time.monotonic() + patience_s
        self._pause_s = _FIRST_PAUSE_S
        self._started: subprocess.Popen[bytes] | None = None
        self._log_size = 0

    @property
    def remaining_s(self) -> float:
        """Seconds until patience ends."""
        return max(0.0, self._give_up - time.monotonic())

    def channel(self) -> Channel:
        """A stream to a server that listens.

        Raises:
            WetgateError: there is none, and none came up in time; the sentence holds what it last told.
        """
        while True:
            channel = dial(self._places)
            if channel is not None:
                return channel
            self._have_one_started()
            self.pause()

    def pause(self) -> None:
        """Wait a moment before the next try.

        Raises:
            WetgateError: patience has ended.
        """
        if not self.remaining_s:
            raise WetgateError(
                f"The inference server did not answer within {self._patience_s:.0f} s"
                f"{self._last_words()} Its log is {self._places.log}."
            )
        time.sleep(min(self._pause_s, self.remaining_s))
        self._pause_s = min(2 * self._pause_s, _LONGEST_PAUSE_S)

    def _have_one_started(self) -> None:
        if self._command is not None and not self._command:
            raise WetgateError("No inference server is running.")
        ended = None if self._started is None else self._started.poll()
        if ended:
            raise WetgateError(
                f"The inference server ended as soon as it was started{self._last_words()} "
                f"Its log is {self._places.log}."
            )
        if is_locked(self._places.lock):
            return  # another one is about to listen, or to end
        if self._started is None or ended == 0:  # 0: another one had the lock
            self._places.make()
            self._log_size = _size(self._places.log)
            command = find_command() if self._command is None else self._command
            self._started = detached([*command, "serve"], self._places.log)

    def _last_words(self) -> str:
        """The last line that the started server wrote, for the middle of a sentence."""
        try:
            with open(self._places.log, "rb") as log:
                end = _size(self._places.log)
                log.seek(max(self._log_size, end - _END_OF_LOG))
                lines = log.read(_END_OF_LOG).decode("utf-8", "replace").split("\n")
        except OSError:
            return "."
        told = [line.strip() for line in lines if line.strip()]
        return f": {told[-1]}" if told else "."


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
