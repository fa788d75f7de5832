"""Frames restored from files into files by the user's inference server, which is started where none runs.

This is what the gizmo does where the OpenFX node is not installed: Nuke writes the scan's frames, the server restores
them, and Nuke reads the results. No pixel passes through Nuke's Python, and a model that crashes takes the server with
it, not Nuke. To be called from a thread of its own: it blocks, and touches nothing of Nuke's.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Optional, Union

from wetgate.errors import WetgateError
from wetgate.files import sweep_temporaries
from wetgate.service.client import Client, ServerError, ServerGone, connect, file_request
from wetgate.service.layout import window_of
from wetgate.service.protocol import Code, RenderFile, Restored

IN_FLIGHT = 2
"""Frames asked for at a time: one is read and written while another is computed."""

Name = Union[str, "os.PathLike[str]"]
Masks = Union[Name, Mapping[int, Name], None]
Follow = Callable[[int, int, int], None]
"""Told after each frame: how many are done, of how many, and which one it was."""

_NUMBER = re.compile(r"#+|%0?(\d*)d")
_MOST_SETBACKS = 2
"""So many servers lost in a row, without a frame made, are too many: the frame or the model kills them."""


@dataclass(frozen=True)
class Outcome:
    """What became of a call.

    Attributes:
        made: the frames whose files are written; all that were asked for, unless it was cancelled.
        cancelled: whether it was given up before the end.
        device: "cpu" or "cuda", where the last frame was computed; "" where none was.
        limits: what the model says it cannot promise, in sentences.
    """

    made: tuple[int, ...]
    cancelled: bool
    device: str
    limits: tuple[str, ...]


def render_files(
    model: Name,
    scan: Mapping[int, Name],
    output: str,
    *,
    frames: Optional[Sequence[int]] = None,
    mask: Masks = None,
    curves: Name = "",
    offset: int = 0,
    device: str = "auto",
    follow: Follow = lambda done, total, frame: None,
    cancelled: Callable[[], bool] = lambda: False,
    command: Optional[Sequence[str]] = None,
) -> Outcome:
    """Restore frames of ``scan``; each file is written whole or not at all, and with the scan's headers.

    A model that looks at neighbours sees those that ``scan`` has; at an end and at a gap the last frame before it is
    repeated. A frame that cannot be read is left out, the others are made, and the error names it.

    Args:
        model: the ONNX file.
        scan: every frame that there is, by number; they may be more than are restored.
        output: the files to write, as ``folder/shot.####.exr`` or ``shot.%04d.exr``; not in a folder of the scan.
        frames: which frames to restore; all by default.
        mask: restore only where these pictures are white: one for all frames, or one for each.
        curves: a file of the scan's exposure curves, which a model that was trained steady wants.
        offset: added to a frame's number here to get the number that the curves know it by.
        device: "auto", "cpu" or "cuda".
        follow: called in this thread.
        cancelled: looked at every 20 ms while the server works; true ends it after what is being written.
        command: how to start ``wetgate``, where it is not installed in one of the usual places.

    Raises:
        WetgateError: something is missing, no server can be started, or a frame or the model fails; in a sentence.
    """
    return _Job(model, scan, output, frames, mask, curves, offset, device, follow, cancelled).run(command)


def frame_name(pattern: str, number: int) -> str:
    """The file of a frame: ``shot.####.exr`` and ``shot.%04d.exr`` are ``shot.1001.exr``.

    Raises:
        WetgateError: the pattern holds no place, or more than one, for the number.
    """
    folder, name = os.path.split(pattern)
    places = list(_NUMBER.finditer(name))
    if len(places) != 1:
        raise WetgateError(f"{pattern} needs one place for the frame's number, as in shot.####.exr or shot.%04d.exr.")
    place = places[0]
    width = len(place.group()) if place.group(1) is None else int(place.group(1) or 0)
    return os.path.join(folder, f"{name[: place.start()]}{number:0{width}d}{name[place.end() :]}")


def number_of(pattern: str, file: str) -> Optional[int]:
    """The frame whose file has this name, whatever folder it lies in; None where there is none."""
    pattern, name = os.path.basename(pattern), os.path.basename(file)
    with contextlib.suppress(ValueError, WetgateError):  # no number, or no place for one
        before, *_, after = _NUMBER.split(pattern)
        number = int(name[len(before) : len(name) - len(after)])
        return number if frame_name(pattern, number) == name else None
    return None


class _Job:
    """One call of :func:`render_files`."""

    def __init__(
        self,
        model: Name,
        scan: Mapping[int, Name],
        output: str,
        frames: Optional[Sequence[int]],
        mask: Masks,
        curves: Name,
        offset: int,
        device: str,
        follow: Follow,
        cancelled: Callable[[], bool],
    ) -> None:
        self._model, self._scan, self._output, self._mask = model, scan, output, mask
        self._curves, self._offset, self._device = curves, offset, device
        self._follow, self._cancelled = follow, cancelled
        numbers = sorted(set(scan if frames is None else frames))
        if not numbers:
            raise WetgateError("No frame was named that could be restored.")
        _require_all(numbers, scan, "The scan")
        if isinstance(mask, Mapping):
            _require_all(numbers, mask, "The mask")
        self._files = {number: frame_name(output, number) for number in numbers}
        self._todo = deque(numbers)
        self._made: list[int] = []
        self._failed: dict[int, str] = {}
        self._stopped = False
        self._setbacks = 0
        self._ran_on = self._limits = ""

    def run(self, command: Optional[Sequence[str]]) -> Outcome:
        while self._todo and not self._stop():
            try:
                with connect(command=command) as client:
                    self._restore_with(client)
            except (ServerGone, ServerError) as error:
                self._setbacks += 1
                lost = isinstance(error, ServerGone) or error.code in (Code.CLOSING, Code.WINDOW)
                if not lost or self._setbacks == _MOST_SETBACKS:
                    raise
            finally:
                sweep_temporaries(Path(self._output).parent)  # those of a server that was killed
        if self._failed:
            raise WetgateError(self._what_failed())
        return Outcome(tuple(self._made), bool(self._todo), self._ran_on, tuple(self._limits.splitlines()))

    def _stop(self) -> bool:
        self._stopped = self._stopped or self._cancelled()
        return self._stopped

    def _restore_with(self, client: Client) -> None:
        """Ask for frames until none are left, or it is cancelled; those without an answer stay to be done."""
        model = client.describe(self._model)
        self._limits = model.limits
        asked: deque[tuple[int, int]] = deque()
        try:
            while self._todo or asked:
                while self._todo and len(asked) < IN_FLIGHT and not self._stop():
                    request = client.ask(self._request(self._todo[0], model.radius))
                    asked.append((self._todo.popleft(), request))
                if not asked:
                    return
                self._take(client, *asked[0])
                asked.popleft()
        finally:
            self._todo.extendleft(number for number, _ in reversed(asked))

    def _request(self, number: int, radius: int) -> RenderFile:
        numbers = window_of(number, radius, frozenset(self._scan))
        window = [self._scan[at] for at in numbers]
        mask = self._mask[number] if isinstance(self._mask, Mapping) else self._mask
        return file_request(
            window,
            self._files[number],
            self._model,
            mask=mask or "",
            curves=self._curves,
            numbers=[at + self._offset for at in numbers],
            device=self._device,
        )

    def _take(self, client: Client, number: int, request: int) -> None:
        """Wait for an answer, or give the request up; a frame without a picture is still to be done."""
        try:
            answer = client.answer(request, cancelled=self._stop, timeout_s=None)
        except ServerError as error:
            if error.code is Code.CANCELLED and self._stopped:
                self._todo.append(number)
                return
            if error.code is not Code.FILE:
                raise
            self._failed[number] = str(error)
        else:
            assert isinstance(answer, Restored)
            self._made.append(number)
            self._ran_on = answer.device.name.lower()
            self._setbacks = 0
        self._follow(len(self._made) + len(self._failed), len(self._files), number)

    def _what_failed(self) -> str:
        numbers = ", ".join(map(str, list(self._failed)[:10])) + (", ..." if len(self._failed) > 10 else "")
        sentences = list(dict.fromkeys(self._failed.values()))[:3]
        sentences += ["All others are done."] if self._made and not self._todo else []
        return (
            f"{len(self._failed)} of {len(self._files)} frames could not be restored ({numbers}): {' '.join(sentences)}"
        )


def _require_all(numbers: Sequence[int], present: Mapping[int, Name], name: str) -> None:
    missing = [number for number in numbers if number not in present]
    if missing:
        raise WetgateError(f"{name} has no file for frame {missing[0]}; every frame that is restored needs one.")
