"""What to pair next: how much of the scan the pairs know, and the frames that would add most."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Optional

from nuke_plugin.panel import theme
from nuke_plugin.panel.qt import Qt, QtCore, QtGui, QtWidgets, em, named, scaled
from nuke_plugin.session import Session, Suggestion

_COLUMNS = ("Frame", "Known", "Gain", "Why")
_HINT = (
    "Wetgate looks through the scan for colours that no pair shows, and names the frames that would add most, one of "
    "each shot first."
)
_NO_PAIRS = "This recipe learns from the scan itself: there is nothing to pair."


class SuggestionsPage(QtWidgets.QWidget):
    """Names the scan, asks the engine, lists its answer."""

    def __init__(self, session: Session, parent: Optional[QtWidgets.QWidget] = None) -> None:
        super().__init__(parent)
        self._session = session
        self._shown: Optional[tuple[Suggestion, ...]] = None
        self._filled = ""
        self.scan = QtWidgets.QLineEdit()
        self.scan.setPlaceholderText("The scan, for example scan/reel3.####.dpx, a folder or a video")
        named(self.scan, "Files of the scan")
        self.scan.returnPressed.connect(self._ask)
        self.scan.textChanged.connect(lambda _: self.refresh())
        self.ask = QtWidgets.QPushButton("Find frames to pair")
        named(self.ask, "Find frames to pair", "Look through the scan for what no pair shows; takes some seconds")
        theme.tooltips_on(self.ask)
        self.ask.clicked.connect(self._ask)
        self.coverage = QtWidgets.QLabel()
        self.coverage.setFont(scaled(self.font(), 1.0, bold=True))
        self.strip = CoverageStrip()
        self.tree = QtWidgets.QTreeWidget()
        self.tree.setColumnCount(len(_COLUMNS))
        self.tree.setHeaderLabels(list(_COLUMNS))
        self.tree.setRootIsDecorated(False)
        self.tree.setWordWrap(True)
        named(self.tree, "Frames to pair next")
        self.hint = theme.dimmed(QtWidgets.QLabel(_HINT))
        self.hint.setWordWrap(True)
        row = QtWidgets.QHBoxLayout()
        row.addWidget(self.scan, 1)
        row.addWidget(self.ask)
        layout = QtWidgets.QVBoxLayout(self)
        layout.addLayout(row)
        layout.addWidget(self.hint)
        layout.addWidget(self.coverage)
        layout.addWidget(self.strip)
        layout.addWidget(self.tree, 1)

    def refresh(self) -> None:
        session = self._session
        pattern = session.scan_pattern
        if pattern != self._filled and self.scan.text() in ("", self._filled):
            self._filled = pattern
            self.scan.setText(pattern)
        asking = "suggest" in session.busy
        self.ask.setText("Looking through the scan…" if asking else "Find frames to pair")
        wanted = session.needs_reference
        self.ask.setEnabled(wanted and session.has_engine and not asking and bool(self.scan.text().strip()))
        self.hint.setText(_HINT if wanted else _NO_PAIRS)
        known = session.coverage
        self.coverage.setVisible(known is not None)
        enough = "" if session.suggestions else " No frame would add anything worth a pair."
        said = f"The pairs know {known:.0%} of the colours of this scan.{enough}" if known is not None else ""
        self.coverage.setText(said)
        pairs = [pair.frame for pair in session.standing.pairs if pair.state == "accepted"]
        self.strip.show_coverage(session.known, pairs, [one.frame for one in session.suggestions])
        if session.suggestions != self._shown:
            self._fill(session.suggestions)

    def _fill(self, suggestions: tuple[Suggestion, ...]) -> None:
        self._shown = suggestions
        self.tree.clear()
        for one in suggestions:
            item = QtWidgets.QTreeWidgetItem(self.tree)
            known, gain = ("" if share is None else f"{share:.0%}" for share in (one.coverage, one.gain))
            for column, text in enumerate((str(one.frame), known, f"+{gain}" if gain else "", one.reason)):
                item.setText(column, text)
                item.setToolTip(column, text)
                if column < 3:
                    item.setTextAlignment(column, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignTop)
        for column in range(len(_COLUMNS) - 1):
            self.tree.resizeColumnToContents(column)
            self.tree.setColumnWidth(column, self.tree.columnWidth(column) + em(self))

    def _ask(self) -> None:
        if self.ask.isEnabled():
            self._session.suggest(self.scan.text().strip())


class CoverageStrip(QtWidgets.QWidget):
    """How much of each frame the pairs know, over the length of the scan; where pairs are, and where one is wanted."""

    def __init__(self, parent: Optional[QtWidgets.QWidget] = None) -> None:
        super().__init__(parent)
        self._known: Mapping[int, float] = {}
        self._pairs: Sequence[int] = ()
        self._wanted: Sequence[int] = ()
        self.setFixedHeight(5 * em(self))
        self.setVisible(False)
        self.setAccessibleName("How much of each frame the pairs know")

    def show_coverage(self, known: Mapping[int, float], pairs: Sequence[int], wanted: Sequence[int]) -> None:
        if (known, pairs, wanted) != (self._known, self._pairs, self._wanted):
            self._known, self._pairs, self._wanted = known, pairs, wanted
            self.setVisible(len(known) > 1)
            self.update()

    def paintEvent(self, event: QtGui.QPaintEvent) -> None:  # noqa: N802 - Qt's name
        painter = QtGui.QPainter(self)
        painter.setRenderHint(QtGui.QPainter.RenderHint.Antialiasing)
        painter.setFont(scaled(self.font(), 0.85))
        line = painter.fontMetrics().height()
        room = QtCore.QRectF(self.rect()).adjusted(0, line, 0, -line)
        painter.fillRect(room, self.palette().color(theme.Role.Base))
        first, last = min(self._known), max(self._known)
        curve = QtGui.QPolygonF([room.bottomLeft()])
        for number in sorted(self._known):
            curve.append(QtCore.QPointF(self._x(number, room), room.bottom() - self._known[number] * room.height()))
        curve.append(room.bottomRight())
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(theme.mix(self.palette().color(theme.Role.Base), theme.LOSS, 0.55))
        painter.drawPolygon(curve)
        for numbers, colour in ((self._pairs, theme.GOOD), (self._wanted, theme.HELD_OUT)):
            painter.setPen(QtGui.QPen(colour, 1.6))
            for number in numbers:
                if first <= number <= last:
                    x = self._x(number, room)
                    painter.drawLine(QtCore.QPointF(x, room.top()), QtCore.QPointF(x, room.bottom()))
        painter.setPen(theme.dim(self.palette()))
        foot = QtCore.QRectF(room.x(), room.bottom(), room.width(), line)
        painter.drawText(foot, int(Qt.AlignmentFlag.AlignLeft), f"frame {first}")
        painter.drawText(foot, int(Qt.AlignmentFlag.AlignRight), str(last))
        head = QtCore.QRectF(room.x(), 0, room.width(), line)
        painter.drawText(head, int(Qt.AlignmentFlag.AlignLeft), "known, frame by frame; green: pairs, amber: wanted")
        painter.end()

    def _x(self, number: int, room: QtCore.QRectF) -> float:
        first, last = min(self._known), max(self._known)
        return room.x() + (number - first) / max(last - first, 1) * room.width()
