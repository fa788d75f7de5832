"""Qt, from whichever binding the host has: PySide6 (Nuke 16 and later) or else PySide2 (Nuke 14 and 15).

Enumerations are written out (``Qt.AlignmentFlag.AlignLeft``), which both know.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from PySide6 import QtCore, QtGui, QtWidgets
else:
    try:
        from PySide6 import QtCore, QtGui, QtWidgets
    except ImportError:
        from PySide2 import QtCore, QtGui, QtWidgets

Qt = QtCore.Qt
Signal = QtCore.Signal

__all__ = [
    "Qt",
    "QtCore",
    "QtGui",
    "QtWidgets",
    "Signal",
    "em",
    "keeps",
    "named",
    "open_file",
    "place_of",
    "scaled",
    "shrinkable",
    "turned",
]


def keeps(event: QtCore.QEvent, keys: Collection[Any], *, control: bool = False) -> bool:
    """Whether a key that is about to be the host's shortcut is one of ``keys``; then it stays with the widget.

    Qt asks the widget that has the focus, then those around it, by a ShortcutOverride event; who accepts that gets the
    key. Two shortcuts on one key, the host's and ours, would cancel each other out.
    """
    if event.type() != QtCore.QEvent.Type.ShortcutOverride or not isinstance(event, QtGui.QKeyEvent):
        return False
    wanted = Qt.KeyboardModifier.ControlModifier if control else Qt.KeyboardModifier.NoModifier
    ignored = Qt.KeyboardModifier.ShiftModifier | Qt.KeyboardModifier.KeypadModifier
    if event.key() not in keys or event.modifiers() & ~ignored != wanted:
        return False
    event.accept()
    return True


def open_file(path: Path) -> None:
    """Show a file in the program that the system has for it."""
    QtGui.QDesktopServices.openUrl(QtCore.QUrl.fromLocalFile(str(path)))


def place_of(event: Any) -> QtCore.QPointF:
    """Where the mouse is, in the widget."""
    return QtCore.QPointF(event.position() if hasattr(event, "position") else event.localPos())


def em(widget: QtWidgets.QWidget) -> int:
    """The height of a line of text: what all sizes are made of, so that they follow the user's font."""
    return widget.fontMetrics().height()


def scaled(font: QtGui.QFont, factor: float, *, bold: bool = False) -> QtGui.QFont:
    """A font larger or smaller; hosts set theirs in points or in pixels."""
    made = QtGui.QFont(font)
    if font.pointSizeF() > 0:
        made.setPointSizeF(font.pointSizeF() * factor)
    else:
        made.setPixelSize(max(1, round(font.pixelSize() * factor)))
    if bold:
        made.setBold(True)
    return made


def named(widget: QtWidgets.QWidget, name: str, what: str = "", shortcut: str = "") -> None:
    """Give a control the name that screen readers say, its help and its key."""
    widget.setAccessibleName(name)
    if what or shortcut:
        widget.setToolTip(f"{what} ({shortcut})" if what and shortcut else what or shortcut)
    if what:
        widget.setAccessibleDescription(what)


def shrinkable(box: QtWidgets.QComboBox) -> QtWidgets.QComboBox:
    """Let a box be narrower than its longest entry, for a narrow dock."""
    box.setSizeAdjustPolicy(QtWidgets.QComboBox.SizeAdjustPolicy.AdjustToContents)
    box.setMinimumContentsLength(6)
    box.setMinimumWidth(7 * em(box))
    return box


def turned(layout: QtWidgets.QBoxLayout, narrow: bool) -> None:
    """Lay its parts side by side, or below one another where it is narrow."""
    direction = QtWidgets.QBoxLayout.Direction
    layout.setDirection(direction.TopToBottom if narrow else direction.LeftToRight)
