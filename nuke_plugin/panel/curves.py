"""The curves of a training: error over time, on a logarithmic scale."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Optional

from nuke_plugin import words
from nuke_plugin.panel import theme
from nuke_plugin.panel.qt import Qt, QtCore, QtGui, QtWidgets, em, place_of, scaled
from nuke_plugin.standing import Point, RunStanding

_MOST_POINTS = 600
"""Of a curve: more than a panel has pixels are thinned out."""


class Curves(QtWidgets.QWidget):
    """Loss as a line, held-out error as markers; each network of a run has a line of its own."""

    def __init__(self, parent: Optional[QtWidgets.QWidget] = None) -> None:
        super().__init__(parent)
        self._run: Optional[RunStanding] = None
        self._points: tuple[Point, ...] = ()
        self._pointed: Optional[float] = None
        self.setMouseTracking(True)
        self.setMinimumHeight(7 * em(self))
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.setAccessibleName("Curves")
        self.setAccessibleDescription(words.curves(None))

    def show_run(self, run: Optional[RunStanding]) -> None:
        if run is not self._run:
            self._run = run
            self._points = _thinned(run.points if run is not None else ())
            self.setAccessibleDescription(words.curves(run))
            self.update()

    # Drawing

    def paintEvent(self, event: QtGui.QPaintEvent) -> None:  # noqa: N802 - Qt's name
        painter = QtGui.QPainter(self)
        painter.setRenderHint(QtGui.QPainter.RenderHint.Antialiasing)
        painter.fillRect(self.rect(), self.palette().color(theme.Role.Base))
        painter.setFont(scaled(self.font(), 0.85))
        points = self._points
        values = [value for point in points for value in (point.loss, point.validation) if value]
        if not values:
            painter.setPen(theme.dim(self.palette()))
            room = self.rect().adjusted(em(self), 0, -em(self), 0)
            flags = int(Qt.AlignmentFlag.AlignCenter) | int(Qt.TextFlag.TextWordWrap)
            painter.drawText(room, flags, words.curves(self._run))
        else:
            axes = _Axes(self._plot(painter.fontMetrics()), points, values)
            self._draw_grid(painter, axes)
            self._draw_lines(painter, axes, points)
            self._draw_legend(painter, axes)
            self._draw_reading(painter, axes, points)
        painter.end()

    def _plot(self, metrics: QtGui.QFontMetrics) -> QtCore.QRectF:
        left, height = metrics.boundingRect("0.0000").width() + em(self), metrics.height()
        return QtCore.QRectF(self.rect()).adjusted(left, 1.5 * height, -0.8 * em(self), -1.6 * height)

    def _draw_grid(self, painter: QtGui.QPainter, axes: _Axes) -> None:
        text, rule = theme.dim(self.palette()), theme.line(self.palette())
        metrics, plot = painter.fontMetrics(), axes.plot
        for value in axes.levels():
            y = axes.y(value)
            painter.setPen(QtGui.QPen(rule, 1))
            painter.drawLine(QtCore.QPointF(plot.left(), y), QtCore.QPointF(plot.right(), y))
            painter.setPen(text)
            room = QtCore.QRectF(0, y - metrics.height() / 2, plot.left() - em(self) * 0.4, metrics.height())
            flags = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
            painter.drawText(room, int(flags), f"{value:.3g}")
        for seconds in axes.times():
            x = axes.x(seconds)
            painter.setPen(QtGui.QPen(rule, 1))
            painter.drawLine(QtCore.QPointF(x, plot.bottom()), QtCore.QPointF(x, plot.bottom() + em(self) * 0.2))
            painter.setPen(text)
            label = words.duration(seconds)
            width = metrics.boundingRect(label).width() + 4
            room = QtCore.QRectF(
                min(max(x - width / 2, 0.0), self.width() - width), plot.bottom() + 3, width, metrics.height() + 2
            )
            painter.drawText(room, int(Qt.AlignmentFlag.AlignCenter), label)

    def _draw_lines(self, painter: QtGui.QPainter, axes: _Axes, points: Sequence[Point]) -> None:
        jobs = sorted({point.job for point in points})
        for job in jobs:
            own = [point for point in points if point.job == job]
            fade = 1.0 if job == jobs[-1] else 0.45
            for colour, places in (
                (theme.LOSS, [(p.seconds, p.loss) for p in own if p.loss]),
                (theme.HELD_OUT, [(p.seconds, p.validation) for p in own if p.validation]),
            ):
                painter.setOpacity(fade)
                path = QtGui.QPolygonF([axes.place(*place) for place in places])
                painter.setBrush(Qt.BrushStyle.NoBrush)
                painter.setPen(QtGui.QPen(colour, 1.6 if colour is theme.LOSS else 1.2))
                painter.drawPolyline(path)
                if colour is theme.HELD_OUT:
                    self._draw_markers(painter, path)
        painter.setOpacity(1.0)

    def _draw_markers(self, painter: QtGui.QPainter, path: QtGui.QPolygonF) -> None:
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(theme.HELD_OUT)
        radius = em(self) * 0.17
        for index in range(path.count()):
            painter.drawEllipse(path.at(index), radius, radius)

    def _draw_legend(self, painter: QtGui.QPainter, axes: _Axes) -> None:
        x, y = axes.plot.left(), axes.plot.top() - painter.fontMetrics().height() * 0.75
        for colour, name, marked in (
            (theme.LOSS, "error on the pairs it trains on", False),
            (theme.HELD_OUT, "on held-out pairs", True),
        ):
            painter.setPen(QtGui.QPen(colour, 1.6))
            painter.drawLine(QtCore.QPointF(x, y), QtCore.QPointF(x + em(self), y))
            if marked:
                painter.setPen(Qt.PenStyle.NoPen)
                painter.setBrush(colour)
                painter.drawEllipse(QtCore.QPointF(x + em(self) / 2, y), em(self) * 0.17, em(self) * 0.17)
            painter.setPen(theme.dim(self.palette()))
            x += 1.4 * em(self)
            painter.drawText(QtCore.QPointF(x, y + painter.fontMetrics().ascent() * 0.4), name)
            x += painter.fontMetrics().boundingRect(name).width() + 1.5 * em(self)

    def _draw_reading(self, painter: QtGui.QPainter, axes: _Axes, points: Sequence[Point]) -> None:
        """What the curves say where the mouse is."""
        if self._pointed is None:
            return
        point = min(points, key=lambda one: abs(axes.x(one.seconds) - (self._pointed or 0.0)))
        x = axes.x(point.seconds)
        painter.setPen(QtGui.QPen(theme.dim(self.palette()), 1, Qt.PenStyle.DotLine))
        painter.drawLine(QtCore.QPointF(x, axes.plot.top()), QtCore.QPointF(x, axes.plot.bottom()))
        said = [f"after {words.duration(point.seconds)}"]
        said += [f"error {point.loss:.4f}"] if point.loss else []
        said += [f"held out {point.validation:.4f}"] if point.validation else []
        text = ", ".join(said)
        box = QtCore.QRectF(painter.fontMetrics().boundingRect(text)).adjusted(-6, -3, 6, 3)
        box.moveTopLeft(QtCore.QPointF(x + 6, axes.plot.top() + 4))
        if box.right() > axes.plot.right():
            box.moveRight(x - 6)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(self.palette().color(theme.Role.Window))
        painter.drawRoundedRect(box, 3, 3)
        painter.setPen(self.palette().color(theme.Role.WindowText))
        painter.drawText(box, int(Qt.AlignmentFlag.AlignCenter), text)

    def mouseMoveEvent(self, event: QtGui.QMouseEvent) -> None:  # noqa: N802
        self._pointed = place_of(event).x()
        self.update()

    def leaveEvent(self, event: QtCore.QEvent) -> None:  # noqa: N802
        self._pointed = None
        self.update()


class _Axes:
    """Seconds to the right, the logarithm of the error upwards."""

    def __init__(self, plot: QtCore.QRectF, points: Sequence[Point], values: Sequence[float]) -> None:
        self.plot = plot
        self._from = min(point.seconds for point in points)
        self._to = max(max(point.seconds for point in points), self._from + 1.0)
        low, high = math.log10(min(values)), math.log10(max(values))
        margin = max(0.06 * (high - low), 0.03)
        self._low, self._high = low - margin, high + margin

    def x(self, seconds: float) -> float:
        return self.plot.left() + (seconds - self._from) / (self._to - self._from) * self.plot.width()

    def y(self, value: float) -> float:
        share = (math.log10(value) - self._low) / (self._high - self._low)
        return self.plot.bottom() - share * self.plot.height()

    def place(self, seconds: float, value: float) -> QtCore.QPointF:
        return QtCore.QPointF(self.x(seconds), self.y(value))

    def levels(self) -> list[float]:
        """Round values, three to six of them: powers of ten, halves and fifths of those, or even steps."""
        low, high = 10**self._low, 10**self._high
        powers = range(math.floor(self._low) - 1, math.ceil(self._high) + 1)
        for steps in ((1,), (1, 3), (1, 2, 5), (1, 1.5, 2, 3, 4, 5, 7)):
            found = [step * 10.0**power for power in powers for step in steps if low < step * 10.0**power < high]
            if len(found) >= 3:
                return found[:: math.ceil(len(found) / 6)]
        return list(_even(low, high, 4))

    def times(self) -> list[float]:
        wanted = max(2, int(self.plot.width() / 90))
        return list(
            _even(self._from, self._to, wanted, (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200))
        )


def _even(low: float, high: float, wanted: int, steps: Sequence[float] = ()) -> Iterator[float]:
    rough = (high - low) / wanted
    power = 10.0 ** math.floor(math.log10(rough)) if rough > 0 else 1.0
    step = next((one for one in (steps or [power * factor for factor in (1, 2, 5, 10)]) if one >= rough), rough)
    value = math.ceil(low / step) * step
    while value <= high:
        yield value
        value += step


def _thinned(points: Sequence[Point]) -> tuple[Point, ...]:
    """At most so many of each curve as can be told apart, its last one with them."""
    kept: list[Point] = []
    for job in sorted({point.job for point in points}):
        own = [point for point in points if point.job == job]
        every = math.ceil(len(own) / _MOST_POINTS)
        kept += own if every <= 1 else [*own[::every], own[-1]]
    return tuple(kept)
