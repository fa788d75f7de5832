"""A scan's flicker, measured in its files by the engine: it sees the whole scan, as the node never does."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Optional

from nuke_plugin import host
from nuke_plugin.background import Say, require_place
from nuke_plugin.engine import Engine, Task
from nuke_plugin.following import restoration_of
from nuke_plugin.restoring import number_of
from nuke_plugin.scratch import make_scratch
from wetgate.errors import WetgateError
from wetgate.files import make_folder, sentence_for
from wetgate.service.client import connect

_ADVICE = "write its frames out with a Write that has raw data on, and connect a Read of them that has it on, too."

Measured = Callable[[Optional[str]], None]
"""Told the file of the curves in the end, None where there is none, in Nuke's main thread."""


@dataclass(frozen=True)
class Scan:
    """A node's files.

    Attributes:
        pattern: all of them, as ``folder/shot.####.exr``.
        offset: added to Nuke's frame to get the number in a file's name.
    """

    pattern: str
    offset: int


def scan_of(node: str, view: str) -> Scan:
    """The files whose pixels are a node's own.

    Raises:
        WetgateError: its pixels are others, or its files are no numbered pictures.
    """
    if not host.is_as_in_files(node):
        raise WetgateError(f"Flicker is measured in the scan's files, but {node} changes what is in them: {_ADVICE}")
    first, last = host.frame_range(node)
    files = host.files_of(node, (first, last), view)
    if not files:
        raise WetgateError(f"{node} has no file for its first or last frame: set its range to the frames that it has.")
    name = os.path.basename(host.source_files(node)[0]).replace("%V", view).replace("%v", view[:1])
    start, end = (number_of(name, files[frame]) for frame in (first, last))
    folder, other = (os.path.dirname(files[frame]) for frame in (first, last))
    if start is None or end is None or end - start != last - first or folder != other:
        raise WetgateError(f"Flicker is measured in numbered pictures, one for each frame, unlike {node}'s: {_ADVICE}")
    return Scan(f"{folder}/{name}", start - first)


def curves_file(scan: Scan, model: str) -> str:
    """Where a scan's curves go: beside the runs or the model; one file for a scan, of how these pictures are coded."""
    restoration = restoration_of(model)
    digest = hashlib.sha256(f"{scan.pattern}\n{restoration or model}".encode()).hexdigest()[:8]
    shot = re.split("[#%]", os.path.basename(scan.pattern))[0].strip(" ._-") or "scan"
    return os.path.join(restoration or os.path.dirname(os.path.abspath(model)), "curves", f"{shot}-{digest}.json")


class Measurement:
    """One scan at work.

    Args:
        model: what the curves are for: its card says how the scan is coded.
        node: whose frames they are.
        scan: the node's files.
        output: the file of the curves; it is replaced in the end, whole or not at all.
        say: told how it stands.
        ended: told the result, once, whatever happens.
    """

    def __init__(self, model: str, node: str, scan: Scan, output: str, say: Say, ended: Measured) -> None:
        self._model, self._node, self._scan, self._output = model, node, scan, output
        self._say, self._ended = say, ended
        self._folder: Optional[Path] = None
        self._task: Optional[Task] = None

    def start(self) -> None:
        """Begin, and come back at once.

        Raises:
            WetgateError: the curves cannot be written where they go.
        """
        require_place(self._output, self._node)
        self._folder = make_scratch(str(make_folder(os.path.dirname(self._output))))
        self._say("Reading the model.")
        self._task = _engine.measure(
            self._scan.pattern, self._made, self._encoding, follow=self._follow, done=self._take, failed=self._fail
        )

    def cancel(self) -> None:
        """End it; nothing of it stays."""
        if self._task is not None:
            self._task.cancel()
        self._end("Cancelled.")

    @property
    def _made(self) -> str:
        return str(self._folder / "curves.json") if self._folder is not None else ""

    def _encoding(self) -> str:
        """In a thread: the server may have to be started."""
        with connect() as client:
            return client.describe(self._model).encoding or "display"

    # In Nuke's main thread

    def _follow(self, line: str) -> None:
        self._say(f"Flicker: {' '.join(line.split())}.")

    def _take(self, said: str) -> None:
        try:
            os.replace(self._made, self._output)
        except OSError as error:
            self._fail(sentence_for(error, self._output))
        else:
            self._end(f"Measured: {said.strip().rpartition(': ')[2]}", self._output)

    def _fail(self, sentence: str) -> None:
        self._end(sentence)
        host.tell(sentence)  # the artist may look at something else by now

    def _end(self, sentence: str, curves: Optional[str] = None) -> None:
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            with contextlib.suppress(OSError):  # it holds curves
                self._folder.parent.rmdir()
        self._say(sentence)
        self._ended(curves)


_engine = Engine(host.in_main_thread)
