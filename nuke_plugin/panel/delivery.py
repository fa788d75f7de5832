"""Calls from threads, made in Qt's main thread; and pictures, read in a thread."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Optional

from nuke_plugin.engine import Calls, Deliver, Worker
from nuke_plugin.panel.qt import QtCore, QtGui
from nuke_plugin.standing import Picture

_KEPT_BYTES = 128 << 20
_EVERY_MS = 15
_AT_ONCE_S = 0.01


class Clock(QtCore.QObject):
    """Has something done again and again, as long as its parent lives."""

    def __init__(self, interval_ms: int, act: Callable[[], None], parent: QtCore.QObject) -> None:
        super().__init__(parent)
        timer = QtCore.QTimer(self)
        timer.setInterval(interval_ms)
        timer.timeout.connect(act)
        timer.start()


class Pump(QtCore.QObject):
    """Has the calls of threads made in Qt's main thread, as long as its parent lives.

    No thread knows this object, nor any other of Qt's: one that Qt destroys while a thread uses it, or that a thread
    is the last to let go, takes the host down.
    """

    def __init__(self, calls: Calls, parent: QtCore.QObject) -> None:
        super().__init__(parent)
        self._calls = calls
        Clock(_EVERY_MS, self._make, self)

    def _make(self) -> None:
        """Make what has come; where that takes long, the rest comes after Qt has done its own work."""
        self._calls.make(_AT_ONCE_S)


class Pictures:
    """Reads PNGs off the main thread and keeps those that were looked at last."""

    def __init__(self, deliver: Deliver) -> None:
        self._worker = Worker(deliver)
        self._kept: OrderedDict[Picture, QtGui.QImage] = OrderedDict()
        self._wanted: dict[Picture, list[Callable[[], None]]] = {}

    def close(self) -> None:
        self._wanted.clear()
        self._worker.close()

    def image(self, picture: Optional[Picture], ready: Callable[[], None]) -> Optional[QtGui.QImage]:
        """The picture if it is at hand; None otherwise, and ``ready`` is called when it can be asked for again.

        A file that is no picture gives a null image.
        """
        if picture is None:
            return None
        if picture in self._kept:
            self._kept.move_to_end(picture)
            return self._kept[picture]
        if picture not in self._wanted:
            self._wanted[picture] = []
            self._worker.run(lambda: QtGui.QImage(str(picture.path)), lambda image: self._take(picture, image))
        self._wanted[picture].append(ready)
        return None

    def _take(self, picture: Picture, image: QtGui.QImage) -> None:
        self._kept[picture] = image
        size = sum(kept.bytesPerLine() * kept.height() for kept in self._kept.values())
        while size > _KEPT_BYTES and len(self._kept) > 1:
            _, old = self._kept.popitem(last=False)
            size -= old.bytesPerLine() * old.height()
        for ready in self._wanted.pop(picture, []):
            ready()
