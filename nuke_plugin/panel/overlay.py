"""Two pictures of the same frame over one another: wiped, blinking, side by side, or one of them alone.

+-----------------|-----------------+
|  Scan           |      Restored   |   left and right arrow move the handle, with Shift further;
|                 O                 |   space changes sides while it is held in mind: A alone, B alone, wipe;
|                 |                 |   wheel or + and - enlarge, dragging moves, F fits it in, 1 shows pixels 1:1
+-----------------|-----------------+
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Optional

from nuke_plugin.panel import theme
from nuke_plugin.panel.delivery import Pictures
from nuke_plugin.panel.qt import Qt, QtCore, QtGui, QtWidgets, Signal, em, keeps, place_of, scaled
from nuke_plugin.standing import Picture

MODES = ("wipe", "blink", "beside", "first", "second")
_BLINK_MS = 600
_MOST_SCALE = 16.0
_STEP, _FAR_STEP = 0.02, 0.1
_KEYS = (
    Qt.Key.Key_Left,
    Qt.Key.Key_Right,
    Qt.Key.Key_Space,
    Qt.Key.Key_F,
    Qt.Key.Key_1,
    Qt.Key.Key_Plus,
    Qt.Key.Key_Equal,
    Qt.Key.Key_Minus,
)

Layer = tuple[str, Optional[Picture]]
"""What a picture is called, and the picture."""


class Overlay(QtWidgets.QWidget):
    """Shows two layers; where one is missing it shows the other, and where both are, a sentence."""

    mode_changed = Signal(str)

    def __init__(self, pictures: Pictures, parent: Optional[QtWidgets.QWidget] = None) -> None:
        super().__init__(parent)
        self._pictures = pictures
        self._layers: tuple[Layer, Layer] = (("", None), ("", None))
        self._images: list[Optional[QtGui.QImage]] = [None, None]
        self._placeholder = ""
        self._mode = "wipe"
        self._handle = 0.5
        self._shown_second = False
        self._scale = 0.0  # 0: fitted in
        self._centre = QtCore.QPointF(0.5, 0.5)
        self._dragged: Optional[Callable[[QtCore.QPointF], None]] = None
        self._timer = QtCore.QTimer(self)
        self._timer.setInterval(_BLINK_MS)
        self._timer.timeout.connect(self._blink)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setMouseTracking(True)
        self.setMinimumSize(8 * em(self), 6 * em(self))
        self.setSizePolicy(QtWidgets.QSizePolicy.Policy.Expanding, QtWidgets.QSizePolicy.Policy.Expanding)

    # What is shown

    @property
    def mode(self) -> str:
        return self._mode

    @property
    def complete(self) -> bool:
        """Whether both pictures are read. (PySide2 cannot compare a picture with None: `in` would.)"""
        return all(image is not None for image in self._images)

    @property
    def handle(self) -> float:
        """Where the wipe is, 0-1 of the picture's width."""
        return self._handle

    def show_layers(self, first: Layer, second: Layer, placeholder: str) -> None:
        """Show these; what was there stays until they are read, so that nothing flashes while a training goes on."""
        names = (first[0], second[0]) != (self._layers[0][0], self._layers[1][0])
        paths = [layer[1].path if layer[1] else None for layer in (first, second)]
        if names or paths != [layer[1].path if layer[1] else None for layer in self._layers]:
            self._images = [None, None]
        self._layers, self._placeholder = (first, second), placeholder
        shown = [layer[0] for layer in (first, second) if layer[1] is not None]
        self.setAccessibleName(f"Comparison of {' and '.join(shown)}" if shown else "Comparison")
        self.setAccessibleDescription(placeholder if not shown else "Arrow keys move the wipe, space changes sides.")
        self._fetch()

    def set_mode(self, mode: str) -> None:
        if mode in MODES and mode != self._mode:
            self._mode = mode
            self._shown_second = False
            self.mode_changed.emit(mode)
        self._timer.start() if self._mode == "blink" else self._timer.stop()
        self.update()

    def move_handle(self, place: float) -> None:
        """Put the wipe to 0-1 of the picture's width."""
        self._handle = min(max(place, 0.0), 1.0)
        self.set_mode("wipe")

    def fit(self) -> None:
        self._scale, self._centre = 0.0, QtCore.QPointF(0.5, 0.5)
        self.update()

    def enlarge(self, factor: float, around: Optional[QtCore.QPointF] = None) -> None:
        """Scale about a place of the widget, its middle by default."""
        whole = self._target()
        if whole.isEmpty():
            return
        place = around if around is not None else QtCore.QPointF(self.rect().center())
        inside = QtCore.QPointF((place.x() - whole.x()) / whole.width(), (place.y() - whole.y()) / whole.height())
        scale = min(max(self._now() * factor, self._fitted()), _MOST_SCALE)
        if scale <= self._fitted():
            self.fit()
            return
        self._scale = scale
        size = self._size()
        middle = QtCore.QPointF(self._area().center())
        self._centre = QtCore.QPointF(
            inside.x() - (place.x() - middle.x()) / (size.width() * scale),
            inside.y() - (place.y() - middle.y()) / (size.height() * scale),
        )
        self.update()

    def _fetch(self) -> None:
        for index, (_, picture) in enumerate(self._layers):
            image = self._pictures.image(picture, self._fetch)
            if picture is None:
                self._images[index] = None
            elif image is not None:
                self._images[index] = None if image.isNull() else image
        self.update()

    def _blink(self) -> None:
        self._shown_second = not self._shown_second
        self.update()

    # Where things are

    def _size(self) -> QtCore.QSizeF:
        """Of the picture, in its pixels."""
        return next((QtCore.QSizeF(image.size()) for image in self._images if image is not None), QtCore.QSizeF(0, 0))

    def _area(self) -> QtCore.QRectF:
        whole = QtCore.QRectF(self.rect())
        if self._mode == "beside":
            whole.setWidth((whole.width() - em(self) / 2) / 2)
        return whole

    def _fitted(self) -> float:
        size, area = self._size(), self._area()
        if size.isEmpty():
            return 1.0
        return min(area.width() / size.width(), area.height() / size.height())

    def _now(self) -> float:
        return self._scale if self._scale > 0 else self._fitted()

    def _target(self) -> QtCore.QRectF:
        """Where the whole picture lies in the widget."""
        size, scale, middle = self._size(), self._now(), QtCore.QPointF(self._area().center())
        width, height = size.width() * scale, size.height() * scale
        return QtCore.QRectF(
            middle.x() - self._centre.x() * width, middle.y() - self._centre.y() * height, width, height
        )

    # Drawing

    def paintEvent(self, event: QtGui.QPaintEvent) -> None:  # noqa: N802 - Qt's name
        painter = QtGui.QPainter(self)
        painter.fillRect(self.rect(), theme.BACKDROP)
        painter.setRenderHint(QtGui.QPainter.RenderHint.SmoothPixmapTransform, self._now() < 2.0)
        if self._size().isEmpty():
            self._draw_placeholder(painter)
        elif not self.complete:
            index = 1 if self._images[0] is None else 0
            self._draw_one(painter, index, self._target())
        elif self._mode == "beside":
            self._draw_beside(painter)
        elif self._mode == "wipe":
            self._draw_wipe(painter)
        else:
            self._draw_one(painter, int(self._mode == "second" or self._shown_second), self._target())
        if self.hasFocus():
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.setPen(self.palette().color(theme.Role.Highlight))
            painter.drawRect(self.rect().adjusted(0, 0, -1, -1))
        painter.end()

    def _draw_placeholder(self, painter: QtGui.QPainter) -> None:
        painter.setPen(theme.Colour(150, 150, 150))
        room = self.rect().adjusted(em(self), em(self), -em(self), -em(self))
        painter.drawText(room, int(Qt.AlignmentFlag.AlignCenter) | int(Qt.TextFlag.TextWordWrap), self._placeholder)

    def _draw_one(self, painter: QtGui.QPainter, index: int, target: QtCore.QRectF) -> None:
        image = self._images[index]
        if image is not None:
            painter.drawImage(target, image, QtCore.QRectF(image.rect()))
        self._label(painter, self._layers[index][0], QtCore.QRectF(self.rect()), right=False)

    def _draw_beside(self, painter: QtGui.QPainter) -> None:
        area, target = self._area(), self._target()
        for index, image in enumerate(self._images):
            place = area.translated(index * (self.width() - area.width()), 0)
            painter.save()
            painter.setClipRect(place)
            if image is not None:
                painter.drawImage(target.translated(place.x(), 0), image, QtCore.QRectF(image.rect()))
            self._label(painter, self._layers[index][0], place, right=False)
            painter.restore()

    def _draw_wipe(self, painter: QtGui.QPainter) -> None:
        target = self._target()
        x = target.x() + self._handle * target.width()
        whole = QtCore.QRectF(self.rect())
        sides = QtCore.QRectF(0, 0, x, whole.height()), QtCore.QRectF(x, 0, whole.width() - x, whole.height())
        for index, side in enumerate(sides):
            image = self._images[index]
            painter.save()
            painter.setClipRect(side)
            if image is not None:
                painter.drawImage(target, image, QtCore.QRectF(image.rect()))
            painter.restore()
            if side.width() > 5 * em(self):
                self._label(painter, self._layers[index][0], side, right=index == 1)
        painter.setRenderHint(QtGui.QPainter.RenderHint.Antialiasing)
        painter.setPen(QtGui.QPen(theme.Colour(0, 0, 0, 120), 3))
        painter.drawLine(QtCore.QPointF(x, 0), QtCore.QPointF(x, whole.height()))
        painter.setPen(QtGui.QPen(theme.Colour(240, 240, 240), 1))
        painter.drawLine(QtCore.QPointF(x, 0), QtCore.QPointF(x, whole.height()))
        radius = em(self) * 0.45
        middle = QtCore.QPointF(x, whole.height() / 2)
        painter.setBrush(theme.Colour(30, 30, 30, 220))
        painter.drawEllipse(middle, radius, radius)
        for sign in (-1, 1):
            tip = middle + QtCore.QPointF(sign * radius * 0.62, 0)
            back = QtCore.QPointF(sign * radius * 0.34, 0)
            painter.drawLine(tip, tip - back + QtCore.QPointF(0, radius * 0.34))
            painter.drawLine(tip, tip - back - QtCore.QPointF(0, radius * 0.34))

    def _label(self, painter: QtGui.QPainter, text: str, room: QtCore.QRectF, *, right: bool) -> None:
        """The layer's name in a lower corner."""
        if not text:
            return
        painter.setFont(scaled(self.font(), 0.9))
        gap = em(self) * 0.4
        size = painter.fontMetrics().boundingRect(text).size()
        box = QtCore.QRectF(0, 0, size.width() + 3 * gap, size.height() + gap)
        box.moveBottom(room.bottom() - gap)
        if right:
            box.moveRight(room.right() - gap)
        else:
            box.moveLeft(room.left() + gap)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(theme.Colour(0, 0, 0, 150))
        painter.drawRoundedRect(box, 3, 3)
        painter.setPen(theme.Colour(235, 235, 235))
        painter.drawText(box, int(Qt.AlignmentFlag.AlignCenter), text)

    # Mouse and keys

    def mousePressEvent(self, event: QtGui.QMouseEvent) -> None:  # noqa: N802
        place = place_of(event)
        if event.button() == Qt.MouseButton.LeftButton and self._is_on_handle(place):
            self._dragged = self._drag_handle
        elif event.button() in (Qt.MouseButton.LeftButton, Qt.MouseButton.MiddleButton) and self._scale > 0:
            self._dragged = self._panning(place)
        elif event.button() == Qt.MouseButton.LeftButton and self._mode == "wipe":
            self._dragged = self._drag_handle
            self._drag_handle(place)

    def mouseMoveEvent(self, event: QtGui.QMouseEvent) -> None:  # noqa: N802
        place = place_of(event)
        if self._dragged is not None:
            self._dragged(place)
        elif self._is_on_handle(place):
            self.setCursor(Qt.CursorShape.SplitHCursor)
        else:
            self.unsetCursor()

    def mouseReleaseEvent(self, event: QtGui.QMouseEvent) -> None:  # noqa: N802
        self._dragged = None

    def mouseDoubleClickEvent(self, event: QtGui.QMouseEvent) -> None:  # noqa: N802
        self.fit()

    def wheelEvent(self, event: QtGui.QWheelEvent) -> None:  # noqa: N802
        self.enlarge(1.2 ** (event.angleDelta().y() / 120), QtCore.QPointF(event.position()))
        event.accept()

    def event(self, event: QtCore.QEvent) -> bool:
        return keeps(event, _KEYS) or super().event(event)

    def keyPressEvent(self, event: QtGui.QKeyEvent) -> None:  # noqa: N802
        step = _FAR_STEP if event.modifiers() & Qt.KeyboardModifier.ShiftModifier else _STEP
        key = event.key()
        if key == Qt.Key.Key_Left:
            self.move_handle(self._handle - step)
        elif key == Qt.Key.Key_Right:
            self.move_handle(self._handle + step)
        elif key == Qt.Key.Key_Space:
            self.set_mode({"first": "second", "second": "wipe"}.get(self._mode, "first"))
        elif key == Qt.Key.Key_F:
            self.fit()
        elif key == Qt.Key.Key_1:
            self.enlarge(1.0 / self._now())
        elif key in (Qt.Key.Key_Plus, Qt.Key.Key_Equal):
            self.enlarge(1.25)
        elif key == Qt.Key.Key_Minus:
            self.enlarge(0.8)
        else:
            super().keyPressEvent(event)

    def _is_on_handle(self, place: QtCore.QPointF) -> bool:
        target = self._target()
        at = target.x() + self._handle * target.width()
        return self._mode == "wipe" and self.complete and abs(place.x() - at) < 0.6 * em(self)

    def _drag_handle(self, place: QtCore.QPointF) -> None:
        target = self._target()
        if target.width() > 0:
            self.move_handle((place.x() - target.x()) / target.width())

    def _panning(self, start: QtCore.QPointF) -> Callable[[QtCore.QPointF], None]:
        centre, target = QtCore.QPointF(self._centre), self._target()

        def pan(place: QtCore.QPointF) -> None:
            moved = place - start
            self._centre = QtCore.QPointF(
                centre.x() - moved.x() / target.width(), centre.y() - moved.y() / target.height()
            )
            self.update()

        return pan


class OverlayBar(QtWidgets.QWidget):
    """An overlay with buttons for its modes and a caption."""

    _NAMES = (
        ("wipe", "Wipe", "Draw the line over the picture"),
        ("blink", "Blink", "Change between the two: what jumps does not lie well"),
        ("beside", "Side by side", "Both, beside one another"),
    )

    def __init__(self, pictures: Pictures, parent: Optional[QtWidgets.QWidget] = None) -> None:
        super().__init__(parent)
        self.overlay = Overlay(pictures)
        self.caption = QtWidgets.QLabel()
        self.caption.setWordWrap(True)
        theme.dimmed(self.caption)
        self.bar = QtWidgets.QHBoxLayout()
        self.bar.setSpacing(em(self) // 4)
        self._buttons: dict[str, QtWidgets.QToolButton] = {}
        for mode, name, what in self._NAMES:
            button = QtWidgets.QToolButton()
            button.setText(name)
            button.setCheckable(True)
            button.setToolTip(what)
            button.setAccessibleName(name)
            button.clicked.connect(lambda _=False, mode=mode: self.overlay.set_mode(mode))
            self._buttons[mode] = button
            self.bar.addWidget(button)
        self.bar.addStretch(1)
        layout = QtWidgets.QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(em(self) // 3)
        layout.addLayout(self.bar)
        layout.addWidget(self.overlay, 1)
        layout.addWidget(self.caption)
        self.overlay.mode_changed.connect(self._show_mode)
        self._show_mode(self.overlay.mode)

    def _show_mode(self, mode: str) -> None:
        for name, button in self._buttons.items():
            button.setChecked(name == mode)
