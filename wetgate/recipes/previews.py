"""The picture that somebody watches while a model is trained (:meth:`wetgate.project.Run.choose_preview`).

It is drawn by the model file that was just published, so it is there before torch is loaded and shows what `apply`
would give of that picture at that size (a model of several frames sees it as a still). Pictures are reduced to
``MOST_PIXELS``: a third of a processor second for each drawing, whatever the scan's size.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from wetgate.errors import WetgateError
from wetgate.files import make_folder
from wetgate.images import open_source, read_image, to_display, write_image
from wetgate.inference.curves import STILL, Curve, Curves, load_curves, sidecar
from wetgate.project import Pair, Restoration, Run
from wetgate.project.schema import read_object

Array = NDArray[np.float32]

MOST_PIXELS = 640 * 360


@dataclass(frozen=True)
class _Chosen:
    """Small pictures as encoded, and what the event says of them."""

    scan: Array
    steady: Array
    reference: Array | None
    words: dict[str, Any]


class Preview:
    """Draws what was chosen.

    Args:
        restoration: whose pairs may be chosen.
        run: the training; its previews/ gets the pictures.
    """

    def __init__(self, restoration: Restoration, run: Run) -> None:
        self.restoration, self.run = restoration, run
        self._path = run.folder / "preview.json"
        self._drawn: tuple[int, int] | None = None
        self._kept: tuple[Any, _Chosen] | None = None

    def has_changed(self) -> bool:
        """Whether another picture was chosen since the last drawing."""
        return self._choice() != self._drawn

    def draw(self, stage: str, curve_of: Callable[[int], Curve] = lambda pair: STILL) -> None:
        """Draw with the run's model, where something is chosen and there is a model; never fails.

        Args:
            stage: of the model, for the event.
            curve_of: the exposure curve of a pair's scan, by the pair's number. A picture is taken as it is.

        Raises:
            WetgateError: the event cannot be written, because the disk is full.
        """
        self._drawn = self._choice()
        if self._drawn is None or not self.run.model.exists():
            return
        try:
            choice = read_object(self._path)
            if not choice:
                return
            words = self._draw(choice, curve_of)
        except (WetgateError, ImportError) as error:
            self.run.emit({"event": "no preview", "reason": str(error)})
            return
        self.run.emit({"event": "preview", "stage": stage, **words})

    def _choice(self) -> tuple[int, int] | None:
        try:
            found = os.stat(self._path)
        except OSError:
            return None
        return found.st_mtime_ns, found.st_ino

    def _draw(self, choice: dict[str, Any], curve_of: Callable[[int], Curve]) -> dict[str, Any]:
        from wetgate.inference.session import Session
        from wetgate.inference.tiles import Restorer

        chosen = self._pair(choice["pair"], curve_of) if "pair" in choice else self._picture(choice)
        session = Session(self.run.model, "cpu")
        restored, _, _ = Restorer(session).restore([chosen.steady] * (2 * session.card.radius + 1))
        folder = make_folder(self.run.previews)
        shown = {"reference": chosen.reference, "scan": chosen.scan, "restored": restored}
        for name, pixels in shown.items():
            if pixels is None:
                with contextlib.suppress(OSError):  # not there, or somebody is reading it
                    (folder / f"{name}.png").unlink()
                continue
            seen = np.clip(to_display(pixels, self.restoration.encoding), 0, 1)
            write_image(folder / f"{name}.png", seen, bit_depth="8")
        height, width = restored.shape[:2]
        return {**chosen.words, "width": width, "height": height}

    def _pair(self, number: int, curve_of: Callable[[int], Curve]) -> _Chosen:
        pair = next((one for one in self.restoration.pairs() if one.number == number), None)
        if pair is None:
            raise WetgateError(f"{self.restoration.folder} has no pair {number}: choose another one to look at.")
        curve = curve_of(pair.number)
        return self._keep((pair.number, pair.state, curve), lambda: self._of_pair(pair, curve))

    def _of_pair(self, pair: Pair, curve: Curve) -> _Chosen:
        scan = _small(read_image(pair.scan).pixels)
        steady = Curves(self.restoration.encoding, {pair.frame: curve}).steady(pair.frame, scan)
        towards = pair.prepared if pair.state in ("prepared", "accepted") else pair.reference
        reference = read_image(towards).pixels
        reference = cv2.resize(reference, (scan.shape[1], scan.shape[0]), interpolation=cv2.INTER_AREA)
        return _Chosen(scan, steady, reference, {"pair": pair.number, "frame": pair.frame})

    def _picture(self, choice: dict[str, Any]) -> _Chosen:
        picture, frame = choice.get("picture"), choice.get("frame")
        if not isinstance(picture, str) or not (frame is None or isinstance(frame, int)):
            raise WetgateError(f"{self._path} names neither a pair nor a picture: choose what to look at again.")
        return self._keep((picture, frame, self._drawn), lambda: self._of_picture(picture, frame))

    def _of_picture(self, picture: str, frame: int | None) -> _Chosen:
        with open_source(picture) as source:
            frame = source.frames[0] if frame is None else frame
            scan = _small(source.read(frame).pixels)
        values = sidecar(self.run.model)  # of the recipe steady, written before its model
        curves = load_curves(values) if values.exists() else None
        steady = scan if curves is None or frame not in curves.frames else curves.steady(frame, scan)
        return _Chosen(scan, steady, None, {"picture": picture, "frame": frame})

    def _keep(self, key: Any, read: Callable[[], _Chosen]) -> _Chosen:
        """What was read last time, as long as it is the same."""
        if self._kept is None or self._kept[0] != key:
            self._kept = key, read()
        return self._kept[1]


def _small(picture: Array) -> Array:
    picture = np.nan_to_num(picture, nan=0.0, posinf=1.0, neginf=0.0)
    height, width = picture.shape[:2]
    shrink = min(1.0, (MOST_PIXELS / (height * width)) ** 0.5)
    size = max(int(width * shrink), 1), max(int(height * shrink), 1)
    return picture if shrink == 1 else cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
