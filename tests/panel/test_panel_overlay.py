"""Pictures over one another, and curves: what is drawn, and what keys and the mouse do."""

from __future__ import annotations

import pytest

from nuke_plugin.engine import Calls
from nuke_plugin.panel import theme
from nuke_plugin.panel.curves import Curves, _Axes, _thinned
from nuke_plugin.panel.delivery import Pictures, Pump
from nuke_plugin.panel.overlay import Overlay
from nuke_plugin.panel.qt import Qt, QtCore, QtGui
from nuke_plugin.standing import Picture, Point, RunStanding, stamp_of

try:
    from PySide6.QtTest import QTest
except ImportError:
    from PySide2.QtTest import QTest

RED, BLUE = QtGui.QColor(200, 0, 0), QtGui.QColor(0, 0, 200)


@pytest.fixture
def layers(application, tmp_path):
    """A red and a blue picture, 200 by 100."""
    found = []
    for name, colour in (("red", RED), ("blue", BLUE)):
        image = QtGui.QImage(200, 100, QtGui.QImage.Format.Format_RGB32)
        image.fill(colour)
        path = tmp_path / f"{name}.png"
        image.save(str(path))
        found.append((name, Picture(path, stamp_of(path))))
    return found


@pytest.fixture
def overlay(application, layers, until):
    calls = Calls()
    pictures = Pictures(calls)
    widget = Overlay(pictures)
    Pump(calls, widget)
    widget.resize(400, 300)
    widget.show()
    widget.show_layers(*layers, "nothing")
    until(lambda: widget.complete)
    yield widget
    pictures.close()
    widget.deleteLater()


def colours(widget, *places):
    image = widget.grab().toImage()
    ratio = image.devicePixelRatio()
    return [image.pixelColor(int(x * ratio), int(y * ratio)) for x, y in places]


def test_a_wipe_shows_one_left_and_the_other_right(overlay):
    assert colours(overlay, (50, 100), (350, 100)) == [RED, BLUE]
    assert colours(overlay, (100, 20)) == [theme.BACKDROP]


def move_mouse(widget, x, y):
    """With the left button held down."""
    place, button = QtCore.QPointF(x, y), Qt.MouseButton.LeftButton
    kind, keys = QtCore.QEvent.Type.MouseMove, Qt.KeyboardModifier.NoModifier
    QtCore.QCoreApplication.sendEvent(widget, QtGui.QMouseEvent(kind, place, place, button, button, keys))


def test_the_handle_follows_mouse_and_keys(overlay):
    QTest.mousePress(overlay, Qt.MouseButton.LeftButton, pos=QtCore.QPoint(200, 150))
    move_mouse(overlay, 300, 150)
    QTest.mouseRelease(overlay, Qt.MouseButton.LeftButton, pos=QtCore.QPoint(300, 150))
    move_mouse(overlay, 40, 150)
    assert overlay.handle == pytest.approx(0.75, abs=0.01)
    assert colours(overlay, (250, 100), (350, 100)) == [RED, BLUE]
    QTest.keyClick(overlay, Qt.Key.Key_Left, Qt.KeyboardModifier.ShiftModifier)
    QTest.keyClick(overlay, Qt.Key.Key_Right)
    assert overlay.handle == pytest.approx(0.67, abs=0.01)
    overlay.move_handle(7)
    assert overlay.handle == 1.0


def test_space_shows_one_then_the_other_then_both(overlay):
    seen = []
    for _ in range(3):
        QTest.keyClick(overlay, Qt.Key.Key_Space)
        seen.append(colours(overlay, (50, 100), (350, 100)))
    assert seen == [[RED, RED], [BLUE, BLUE], [RED, BLUE]]


def test_side_by_side_shows_both_whole(overlay):
    overlay.set_mode("beside")
    assert colours(overlay, (100, 150), (300, 150)) == [RED, BLUE]


def test_a_blink_changes_by_itself(overlay, until):
    overlay.set_mode("blink")
    first = colours(overlay, (200, 150))
    until(lambda: colours(overlay, (200, 150)) != first)
    overlay.set_mode("wipe")
    assert not overlay._timer.isActive()


def test_enlarging_keeps_the_place_and_f_fits_again(overlay):
    whole = overlay._target()
    overlay.enlarge(2.0, QtCore.QPointF(100, 150))
    target = overlay._target()
    assert target.width() == pytest.approx(2 * whole.width())
    assert (100 - target.x()) / target.width() == pytest.approx((100 - whole.x()) / whole.width())
    QTest.keyClick(overlay, Qt.Key.Key_1)
    assert overlay._now() == 2.0  # not below what fits: the picture is 200 wide in a room of 400
    QTest.keyClick(overlay, Qt.Key.Key_F)
    assert overlay._target() == whole


def test_a_missing_layer_leaves_the_other(overlay, layers, until):
    overlay.show_layers(layers[0], ("blue", None), "nothing")
    until(lambda: overlay._images[0] is not None)
    assert colours(overlay, (50, 100), (350, 100)) == [RED, RED]


def test_a_file_that_is_no_picture_is_no_picture(overlay, tmp_path, until):
    path = tmp_path / "torn.png"
    path.write_bytes(b"not a picture")
    torn = Picture(path, stamp_of(path))
    overlay.show_layers(("torn", torn), ("", None), "It is being drawn.")
    until(lambda: torn in overlay._pictures._kept)
    assert colours(overlay, (5, 5)) == [theme.BACKDROP]


def test_many_pictures_are_not_all_kept(application, tmp_path, until, monkeypatch):
    monkeypatch.setattr("nuke_plugin.panel.delivery._KEPT_BYTES", 100_000)
    calls = Calls()
    pictures = Pictures(calls)
    pump = Pump(calls, application)
    ready = []
    for number in range(6):
        image = QtGui.QImage(100, 100, QtGui.QImage.Format.Format_RGB32)
        image.fill(RED)
        path = tmp_path / f"{number}.png"
        image.save(str(path))
        pictures.image(Picture(path, (number, 0)), lambda number=number: ready.append(number))
    until(lambda: len(ready) == 6)
    assert len(pictures._kept) == 2  # 40 kB each
    pictures.close()
    pump.deleteLater()


# Curves


def run_with(points):
    from pathlib import Path

    return RunStanding(1, Path("runs/001"), "training", points=tuple(points))


def test_curves_without_points_say_when_they_come(application):
    curves = Curves()
    curves.show_run(None)
    assert curves.accessibleDescription() == "The error is drawn here as soon as a training takes its first steps."
    curves.resize(300, 150)
    assert not curves.grab().isNull()


def test_curves_draw_loss_and_held_out_error(application):
    curves = Curves()
    curves.resize(500, 240)
    curves.show_run(run_with(Point(float(s), 0.5 / (s + 1), 0.9 / (s + 1), 0) for s in range(40)))
    image = curves.grab().toImage()
    seen = {image.pixelColor(x, y).name() for x in range(image.width()) for y in range(image.height())}
    assert theme.HELD_OUT.name() in seen and theme.LOSS.name() in seen


def test_lower_error_is_lower_and_later_is_further_right(application):
    points = [Point(0.0, 1.0, None, 0), Point(100.0, 0.01, None, 0)]
    axes = _Axes(QtCore.QRectF(0, 0, 400, 200), points, [1.0, 0.01])
    assert axes.x(0.0) == 0 and axes.x(100.0) == 400
    assert axes.y(1.0) < axes.y(0.1) < axes.y(0.01)
    assert axes.y(0.1) == pytest.approx((axes.y(1.0) + axes.y(0.01)) / 2)  # a logarithmic scale
    assert {1.0, 0.1} <= {round(level, 6) for level in axes.levels()}


def test_points_without_a_loss_do_not_break_the_curves(application):
    curves = Curves()
    curves.resize(300, 150)
    curves.show_run(run_with([Point(0.0, None, None, 0), Point(1.0, 0.0, None, 0), Point(2.0, 0.1, None, 1)]))
    assert not curves.grab().isNull()


def test_long_curves_are_thinned_but_end_where_they_end():
    points = [Point(float(second), 1.0, None, second // 10_000) for second in range(20_000)]
    thin = _thinned(points)
    assert len(thin) <= 1204 and thin[-1] == points[-1] and points[9_999] in thin
