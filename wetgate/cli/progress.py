"""How far a long verb is, on stderr."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from types import TracebackType
from typing import TextIO

TERMINAL_S = 0.1
LOG_S = 5.0


class Progress:
    """One line that is rewritten on a terminal; elsewhere a line every few seconds and one at the end.

    Args:
        total: how many ``unit`` there are, or None when nobody knows.
        unit: what is counted, such as "frames".
        quiet: print nothing (with ``--json``).
    """

    def __init__(
        self,
        total: float | None,
        unit: str,
        *,
        quiet: bool = False,
        stream: TextIO | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.total = total
        self.unit = unit
        self._quiet = quiet
        self._stream = sys.stderr if stream is None else stream
        self._clock = clock
        self._terminal = self._stream.isatty()
        self._first: tuple[float, float] | None = None
        self._shown_at: float | None = None
        self._line = self._printed = ""

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def update(self, done: float, note: str = "") -> None:
        """Say that ``done`` are done; ``note`` is put behind. Cheap enough to call for every frame or step."""
        now = self._clock()
        if self._first is None:
            self._first = (now, done)
        self._line = self._describe(done, now, note)
        wait_s = TERMINAL_S if self._terminal else LOG_S
        if self._shown_at is None or now - self._shown_at >= wait_s:
            self._shown_at = now
            self._show()

    def close(self) -> None:
        """Show the last update and end the line."""
        if self._line != self._printed:
            self._show()
        if self._terminal and self._printed and not self._quiet:
            print(file=self._stream, flush=True)
        self._line = self._printed = ""

    def _describe(self, done: float, now: float, note: str) -> str:
        if self.total is None:
            parts = [f"{done:g} {self.unit}"]
        else:
            share = done / self.total if self.total else 1.0
            parts = [f"{done:g}/{self.total:g} {self.unit}", f"{share:4.0%}"]
            started, done_before = self._first or (now, done)
            if done > done_before and done < self.total:
                left = (now - started) * (self.total - done) / (done - done_before)
                parts.append(f"{duration(left)} left")
        return "  ".join([*parts, *([note] if note else [])])

    def _show(self) -> None:
        self._printed = self._line
        if self._quiet:
            return
        if self._terminal:
            print(f"\r{self._line}\x1b[K", end="", file=self._stream, flush=True)
        else:
            print(self._line, file=self._stream, flush=True)


def duration(seconds: float) -> str:
    """Seconds as people write them: 7 s, 1:05, 2:03:10."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
