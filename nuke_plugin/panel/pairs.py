"""The pairs: a list with thumbnails, state and misalignment, and what an artist decides about them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Optional, Union

from nuke_plugin import words
from nuke_plugin.panel import theme
from nuke_plugin.panel.delivery import Pictures
from nuke_plugin.panel.overlay import OverlayBar
from nuke_plugin.panel.qt import Qt, QtCore, QtGui, QtWidgets, Signal, em, keeps, named, scaled, shrinkable, turned
from nuke_plugin.session import Session
from nuke_plugin.standing import PairStanding

Index = Union[QtCore.QModelIndex, QtCore.QPersistentModelIndex]
_PAIR = Qt.ItemDataRole.UserRole
_ADDS = {
    "pair": "Take the Viewer's two inputs at this frame as a pair",
    "scan": "Learn from the scan that the Viewer shows; with a reference as its input B, take both as a pair",
}


class PairModel(QtCore.QAbstractListModel):
    """The pairs of a standing."""

    def __init__(self, parent: Optional[QtCore.QObject] = None) -> None:
        super().__init__(parent)
        self._pairs: tuple[PairStanding, ...] = ()

    def show_pairs(self, pairs: tuple[PairStanding, ...]) -> None:
        """Take the new ones; a list of the same pairs keeps its selection and its place."""
        before, self._pairs = self._pairs, pairs
        if [pair.number for pair in before] != [pair.number for pair in pairs]:
            self.beginResetModel()
            self.endResetModel()
            return
        for row, pair in enumerate(pairs):
            if pair != before[row]:
                self.dataChanged.emit(self.index(row), self.index(row))

    def rowCount(self, parent: Any = None) -> int:  # noqa: N802 - Qt's name
        return 0 if parent is not None and parent.isValid() else len(self._pairs)

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        if not index.isValid() or index.row() >= len(self._pairs):
            return None
        pair = self._pairs[index.row()]
        if role == _PAIR:
            return pair
        if role == Qt.ItemDataRole.ToolTipRole:
            return pair.reason or words.pair_line(pair)
        if role in (Qt.ItemDataRole.DisplayRole, Qt.ItemDataRole.AccessibleTextRole):
            return f"Pair {pair.number}, frame {pair.frame}: {words.pair_line(pair)}. {pair.reason}".strip()
        return None

    def row_of(self, number: Optional[int]) -> int:
        return next((row for row, pair in enumerate(self._pairs) if pair.number == number), -1)


class PairDelegate(QtWidgets.QStyledItemDelegate):
    """Draws a pair: thumbnail, frame, state and misalignment, reason."""

    def __init__(self, pictures: Pictures, view: QtWidgets.QListView) -> None:
        super().__init__(view)
        self._pictures = pictures
        self._view = view

    def sizeHint(self, option: Any, index: Index) -> QtCore.QSize:  # noqa: N802
        return QtCore.QSize(14 * em(self._view), round(3.9 * em(self._view)))

    def paint(self, painter: QtGui.QPainter, option: Any, index: Index) -> None:
        pair: PairStanding = index.data(_PAIR)
        palette, line = option.palette, em(self._view)
        chosen = bool(option.state & QtWidgets.QStyle.StateFlag.State_Selected)
        room = QtCore.QRectF(option.rect)
        painter.save()
        painter.setRenderHint(QtGui.QPainter.RenderHint.Antialiasing)
        painter.setRenderHint(QtGui.QPainter.RenderHint.SmoothPixmapTransform)
        if chosen:
            painter.fillRect(room, theme.mix(palette.color(theme.Role.Base), palette.color(theme.Role.Highlight), 0.22))
            painter.fillRect(QtCore.QRectF(room.x(), room.y(), 3, room.height()), palette.color(theme.Role.Highlight))
        room = room.adjusted(line * 0.55, line * 0.35, -line * 0.4, -line * 0.35)
        picture = QtCore.QRectF(room.x(), room.y(), min(room.height() * 2.7, room.width() * 0.42), room.height())
        self._draw_thumbnail(painter, pair, picture)
        text = room.adjusted(picture.width() + line * 0.6, 0, 0, 0)
        self._draw_text(painter, pair, text, palette)
        painter.setPen(theme.line(palette))
        painter.drawLine(option.rect.bottomLeft(), option.rect.bottomRight())
        painter.restore()

    def _draw_thumbnail(self, painter: QtGui.QPainter, pair: PairStanding, room: QtCore.QRectF) -> None:
        painter.fillRect(room, theme.BACKDROP)
        image = self._pictures.image(pair.thumbnail, self._view.viewport().update)
        if image is None or image.isNull():
            painter.setPen(theme.Colour(120, 120, 120))
            painter.setFont(scaled(self._view.font(), 0.85))
            said = "damaged" if pair.state == "damaged" else "being drawn"
            painter.drawText(room, int(Qt.AlignmentFlag.AlignCenter), said)
            return
        size = QtCore.QSizeF(image.size())
        size.scale(room.size(), Qt.AspectRatioMode.KeepAspectRatio)
        target = QtCore.QRectF(QtCore.QPointF(0, 0), size)
        target.moveCenter(room.center())
        painter.setOpacity(0.45 if pair.state == "rejected" else 1.0)
        painter.drawImage(target, image, QtCore.QRectF(image.rect()))
        painter.setOpacity(1.0)

    def _draw_text(
        self, painter: QtGui.QPainter, pair: PairStanding, room: QtCore.QRectF, palette: QtGui.QPalette
    ) -> None:
        height = room.height() / 3
        rows = [QtCore.QRectF(room.x(), room.y() + row * height, room.width(), height) for row in range(3)]
        flags = int(Qt.AlignmentFlag.AlignVCenter) | int(Qt.AlignmentFlag.AlignLeft)
        painter.setPen(palette.color(theme.Role.Text))
        painter.setFont(scaled(self._view.font(), 1.0, bold=True))
        painter.drawText(rows[0], flags, f"Frame {pair.frame}" if pair.state != "damaged" else f"Pair {pair.number}")
        painter.setFont(self._view.font())
        if pair.residual_px is not None and room.width() > 10 * em(self._view):
            right = int(Qt.AlignmentFlag.AlignVCenter) | int(Qt.AlignmentFlag.AlignRight)
            painter.setPen(theme.dim(palette))
            painter.drawText(rows[0], right, f"{pair.residual_px:.2f} px")
        radius = em(self._view) * 0.22
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(theme.STATE_COLOURS.get(pair.state, theme.NEW))
        painter.drawEllipse(QtCore.QPointF(rows[1].x() + radius, rows[1].center().y()), radius, radius)
        painter.setPen(palette.color(theme.Role.Text))
        metrics = painter.fontMetrics()
        room = rows[1].adjusted(3.2 * radius, 0, 0, 0)
        elide = Qt.TextElideMode.ElideRight
        painter.drawText(room, flags, metrics.elidedText(words.pair_state(pair), elide, int(room.width())))
        painter.setPen(theme.dim(palette))
        painter.setFont(scaled(self._view.font(), 0.88))
        metrics = painter.fontMetrics()
        painter.drawText(rows[2], flags, metrics.elidedText(pair.reason, elide, int(rows[2].width())))


class PairView(QtWidgets.QListView):
    """A list with keys of its own."""

    _keys: Mapping[Any, Callable[[], None]] = MappingProxyType({})  # Qt sends events before there are any

    def __init__(self, keys: Mapping[Any, Callable[[], None]]) -> None:
        super().__init__()
        self._keys = keys

    def event(self, event: QtCore.QEvent) -> bool:
        return keeps(event, self._keys) or super().event(event)

    def keyPressEvent(self, event: QtGui.QKeyEvent) -> None:  # noqa: N802
        if event.key() in self._keys and event.modifiers() == Qt.KeyboardModifier.NoModifier:
            self._keys[event.key()]()
        else:
            super().keyPressEvent(event)


class PairList(QtWidgets.QWidget):
    """The list, and the buttons that add pairs."""

    opened = Signal()

    def __init__(self, session: Session, pictures: Pictures, parent: Optional[QtWidgets.QWidget] = None) -> None:
        super().__init__(parent)
        self._session = session
        self.title = QtWidgets.QLabel("Pairs")
        self.title.setFont(scaled(self.font(), 1.0, bold=True))
        self.counts = theme.dimmed(QtWidgets.QLabel())
        self.model = PairModel(self)
        self.view = PairView({Qt.Key.Key_A: self.accept, Qt.Key.Key_R: self.reject, Qt.Key.Key_U: self.look_again})
        self.view.setModel(self.model)
        self.view.setItemDelegate(PairDelegate(pictures, self.view))
        self.view.setUniformItemSizes(True)
        self.view.setVerticalScrollMode(QtWidgets.QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.view.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        named(self.view, "Pairs", "A accepts, R rejects, Enter shows the chosen pair")
        self.view.setToolTip("")
        self.view.selectionModel().currentChanged.connect(self._choose)
        self.view.clicked.connect(lambda _: self.opened.emit())
        self.view.activated.connect(lambda _: self.opened.emit())
        self.add = QtWidgets.QPushButton("Add pair from Viewer")
        named(self.add, "Add pair from Viewer", _ADDS["pair"])
        theme.tooltips_on(self.add)
        self.add.clicked.connect(session.add_from_viewer)
        self.prepare = QtWidgets.QPushButton("Prepare")
        named(self.prepare, "Prepare", "Align and judge new pairs now; training does it by itself")
        self.prepare.clicked.connect(session.prepare)
        head = QtWidgets.QHBoxLayout()
        head.addWidget(self.title)
        head.addWidget(self.counts, 1)
        buttons = QtWidgets.QHBoxLayout()
        buttons.addWidget(self.add, 1)
        buttons.addWidget(self.prepare)
        layout = QtWidgets.QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(head)
        layout.addWidget(self.view, 1)
        layout.addLayout(buttons)

    def refresh(self) -> None:
        session = self._session
        pairs = session.standing.pairs
        self.model.show_pairs(pairs)
        row = self.model.row_of(session.chosen)
        if row >= 0 and self.view.currentIndex().row() != row:
            self.view.setCurrentIndex(self.model.index(row))
        used = sum(pair.state == "accepted" for pair in pairs)
        new = sum(pair.state == "collected" for pair in pairs)
        footage = len(session.standing.footage)
        said = [f"{used} accepted of {len(pairs)}"] if pairs or not footage else []
        said = ["none yet"] if not pairs and not footage else said
        said += [f"{footage} {'scan' if footage == 1 else 'scans'} without reference"] if footage else []
        said += [f"{new} new"] if new else []
        said += ["being prepared"] if "prepare" in session.busy else []
        self.counts.setText(", ".join(said))
        self.prepare.setEnabled(bool(pairs) and "prepare" not in session.busy and session.has_engine)
        what = "pair" if session.needs_reference else "scan"
        self.add.setText(f"Add {what} from Viewer")
        self.add.setAccessibleName(self.add.text())
        self.add.setToolTip(_ADDS[what])
        self.add.setEnabled(not session.desk.why_not)
        if session.desk.why_not:
            self.add.setToolTip(session.desk.why_not)

    def accept(self) -> None:
        if self._session.chosen is not None:
            self._session.accept(self._session.chosen)

    def reject(self) -> None:
        if self._session.chosen is not None:
            self._session.reject(self._session.chosen)

    def look_again(self) -> None:
        if self._session.chosen is not None:
            self._session.look_again(self._session.chosen)

    def _choose(self, index: QtCore.QModelIndex, before: QtCore.QModelIndex) -> None:
        pair = index.data(_PAIR)
        if pair is not None and pair.number != self._session.chosen:
            self._session.choose(pair.number)


class PairPage(QtWidgets.QWidget):
    """The chosen pair: scan and aligned reference over one another, and the decision."""

    _SECONDS = (("reference", "Reference"), ("difference", "Difference"))

    def __init__(self, session: Session, pictures: Pictures, parent: Optional[QtWidgets.QWidget] = None) -> None:
        super().__init__(parent)
        self._session = session
        self.stage = OverlayBar(pictures)
        self.against = shrinkable(QtWidgets.QComboBox())
        for key, name in self._SECONDS:
            self.against.addItem(f"against the {name.lower()}", key)
        named(self.against, "Compared with", "What the scan is compared with")
        self.against.currentIndexChanged.connect(lambda _: self.refresh())
        self.stage.bar.addWidget(self.against)
        self.why = QtWidgets.QLineEdit()
        self.why.setPlaceholderText("Why (for the record; may be empty)")
        named(self.why, "Why it is rejected")
        self.accept = QtWidgets.QPushButton("Accept")
        named(self.accept, "Accept", "Train on this pair, whatever was found about it", "A in the list")
        self.accept.clicked.connect(self._accept)
        self.reject = QtWidgets.QPushButton("Reject")
        named(self.reject, "Reject", "Never train on this pair; its files stay", "R in the list")
        self.reject.clicked.connect(self._reject)
        self.again = QtWidgets.QPushButton("Look again")
        named(self.again, "Look again", "Take the decision back: the engine looks at it anew", "U in the list")
        self.again.clicked.connect(self._again)
        self.show_in_training = QtWidgets.QPushButton("Watch in training")
        named(self.show_in_training, "Watch in training", "Show this frame before and after while it trains")
        self.show_in_training.clicked.connect(self._watch)
        decide = QtWidgets.QHBoxLayout()
        decide.addWidget(self.accept)
        decide.addWidget(self.reject)
        decide.addWidget(self.why, 1)
        more = QtWidgets.QHBoxLayout()
        more.addWidget(self.again)
        more.addWidget(self.show_in_training)
        self._rows = QtWidgets.QHBoxLayout()
        self._rows.addLayout(decide, 1)
        self._rows.addLayout(more)
        layout = QtWidgets.QVBoxLayout(self)
        layout.addWidget(self.stage, 1)
        layout.addLayout(self._rows)

    def set_narrow(self, narrow: bool) -> None:
        turned(self._rows, narrow)

    def refresh(self) -> None:
        pair, session = self._session.pair, self._session
        latest = session.standing.latest
        self.show_in_training.setEnabled(pair is not None and latest is not None and latest.at_work)
        for button in (self.accept, self.reject, self.again, self.why, self.against):
            button.setEnabled(pair is not None and pair.state != "damaged")
        if pair is None:
            self.stage.caption.setText("")
            self.stage.overlay.show_layers(("", None), ("", None), "Choose a pair on the left.")
            return
        self.accept.setEnabled(pair.decidable and pair.state != "accepted")
        self.reject.setEnabled(pair.state not in ("rejected", "damaged"))
        self.again.setEnabled(pair.decidable)
        second = self.against.currentData()
        name = dict(self._SECONDS).get(second, "Reference")
        self.stage.overlay.show_layers(
            ("Scan", pair.scan),
            (name, pair.difference if second == "difference" else pair.reference),
            pair.reason if pair.state == "damaged" else "The engine draws this pair when it prepares it.",
        )
        reason = f" {pair.reason[:1].upper()}{pair.reason[1:]}." if pair.reason else ""
        self.stage.caption.setText(f"Pair {pair.number}, frame {pair.frame}. {words.pair_line(pair)}.{reason}")

    def _accept(self) -> None:
        if self._session.chosen is not None:
            self._session.accept(self._session.chosen)

    def _reject(self) -> None:
        if self._session.chosen is not None:
            self._session.reject(self._session.chosen, self.why.text())
            self.why.clear()

    def _again(self) -> None:
        if self._session.chosen is not None:
            self._session.look_again(self._session.chosen)

    def _watch(self) -> None:
        if self._session.chosen is not None:
            self._session.preview(self._session.chosen)
