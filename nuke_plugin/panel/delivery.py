"""Calls from threads, made in Qt's main thread; and pictures, read in a thread."""

from __future__ import annotations

import contextlib
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, Optional

from nuke_plugin.engine import Worker
from nuke_plugin.panel.qt import Qt, QtCore, QtGui, Signal
from nuke_plugin.standing import Picture

_KEPT_BYTES = 128 << 20


class Delivery(QtCore.QObject):
    """What :mod:`nuke_plugin.engine` calls ``deliver``: has calls made in the thread that this object was made in."""

    _called = Signal(object)

    def __init__(self, parent: Optional[QtCore.QObject] = None) -> None:
        super().__init__(parent)
        self._called.connect(self._make, Qt.ConnectionType.QueuedConnection)

    def __call__(self, call: Callable[[], None]) -> None:
        with contextlib.suppress(RuntimeError):  # the window went; its threads come later
            self._called.emit(call)

    def _make(self, call: Any) -> None:
        call()


class Pictures:
    """Reads PNGs off the main thread and keeps those that were looked at last."""

    def __init__(self, deliver: Callable[[Callable[[], None]], None]) -> None:
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
