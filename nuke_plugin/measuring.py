"""A scan's flicker, measured in its files by the engine: it sees the whole scan, as the node never does."""

from __future__ import annotations

import functools
import hashlib
import os
import re
from dataclasses import dataclass
from typing import Optional

from nuke_plugin import host
from nuke_plugin.engine import Engine, Task
from nuke_plugin.errand import Ended, Errand, Say
from nuke_plugin.following import restoration_of
from nuke_plugin.restoring import number_of
from wetgate.errors import WetgateError
from wetgate.files import sentence_for
from wetgate.service.client import connect

_ADVICE = "write its frames out with a Write that has raw data on, and connect a Read of them that has it on, too."


@dataclass(frozen=True)
class Scan:
    """A node's files.

    Attributes:
        pattern: all of them, as ``folder/shot.####.exr``.
        offset: added to Nuke's frame to get the number in a file's name.
    """

    pattern: str
    offset: int


def scan_of(node: str, view: str, what: str = "Flicker is measured") -> Scan:
    """The files whose pixels are a node's own; ``what`` is done in them, for errors.

    Raises:
        WetgateError: its pixels are others, or its files are no numbered pictures.
    """
    if not host.is_as_in_files(node):
        raise WetgateError(f"{what} in the scan's files, but {node} changes what is in them: {_ADVICE}")
    first, last = host.frame_range(node)
    files = {frame: host.frame_file(node, frame, view) for frame in (first, last)}
    if not all(map(os.path.isfile, files.values())):
        raise WetgateError(f"{node} has no file for its first or last frame: set its range to the frames that it has.")
    name = os.path.basename(host.source_files(node)[0]).replace("%V", view).replace("%v", view[:1])
    start, end = (number_of(name, files[frame]) for frame in (first, last))
    folder, other = (os.path.dirname(files[frame]) for frame in (first, last))
    if start is None or end is None or end - start != last - first or folder != other:
        raise WetgateError(f"{what} in numbered pictures, one for each frame, unlike {node}'s: {_ADVICE}")
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
        scan: the node's files.
        output: the file of the curves; it is replaced in the end, whole or not at all.
        say: told how it stands.
        ended: told the file of the curves in the end, None where there is none.
    """

    def __init__(self, model: str, scan: Scan, output: str, say: Say, ended: Ended) -> None:
        self._model, self._scan, self._output = model, scan, output
        self._errand = Errand(say, ended)
        self._task: Optional[Task] = None

    def start(self) -> None:
        """Begin, and come back at once.

        Raises:
            WetgateError: the curves cannot be written where they go.
        """
        self._errand.begin(self._output)
        made, failed = str(self._errand.scratch() / "curves.json"), self._errand.fail
        self._errand.say("Reading the model.")
        take = functools.partial(self._take, made)
        self._task = _engine.measure(
            self._scan.pattern, made, self._encoding, follow=self._follow, done=take, failed=failed
        )

    def cancel(self) -> None:
        """End it; nothing of it stays."""
        if self._task is not None:
            self._task.cancel()
        self._errand.end("Cancelled.")

    def _encoding(self) -> str:
        """In a thread: the server may have to be started."""
        with connect() as client:
            return client.describe(self._model).encoding or "display"

    # In Nuke's main thread

    def _follow(self, line: str) -> None:
        self._errand.say(f"Flicker: {' '.join(line.split())}.")

    def _take(self, made: str, said: str) -> None:
        try:
            os.replace(made, self._output)
        except OSError as error:
            self._errand.fail(sentence_for(error, self._output))
        else:
            self._errand.end(f"Measured: {said.strip().rpartition(': ')[2]}", self._output)


_engine = Engine(host.in_main_thread)
