"""The panel, driven by clicks and keys; its engine is a real process that trains nothing but keeps to the rules."""

from __future__ import annotations

import pytest
from panel_stage import add_pair, add_run, draw_pair, exr_header, new_restoration

import nuke_plugin.panel.window
from nuke_plugin.panel.qt import Qt, QtCore, QtGui, QtWidgets
from wetgate.project import open_restoration

try:
    from PySide6.QtGui import QAction
    from PySide6.QtTest import QTest
except ImportError:
    from PySide2.QtTest import QTest
    from PySide2.QtWidgets import QAction

CLICK = Qt.MouseButton.LeftButton


def click(button):
    assert button.isEnabled() and button.isVisible(), f"{button.text()} cannot be clicked"
    QTest.mouseClick(button, CLICK)


@pytest.fixture
def reel(application, tmp_path):
    return new_restoration(tmp_path / "reel.wetgate", 3)


@pytest.fixture
def open_reel(make_panel, reel, until, desk):
    """A panel that shows the reel and has found its engine."""

    def make(**more):
        panel = make_panel(reel.folder, desk=desk, **more)
        until(lambda: panel.session.standing.recipe and panel.session.has_engine)
        panel.refresh()
        return panel

    return make


# Pairs


def test_the_pairs_are_listed_with_state_and_misalignment(open_reel):
    panel = open_reel()
    model = panel.list.model
    assert [model.index(row).data() for row in range(model.rowCount())] == [
        "Pair 1, frame 1001: Accepted, 0.08 px off. dust 0.2 %",
        "Pair 2, frame 1025: Accepted, 0.11 px off. dust 0.2 %",
        "Pair 3, frame 1049: Accepted, 0.14 px off. dust 0.2 %",
    ]
    assert panel.list.counts.text() == "3 accepted of 3"


def test_a_click_on_a_pair_lays_it_over_its_scan(open_reel, until):
    panel = open_reel()
    view = panel.list.view
    QTest.mouseClick(view.viewport(), CLICK, pos=view.visualRect(panel.list.model.index(1)).center())
    assert panel.session.chosen == 2 and panel.tabs.currentWidget() is panel.pair_page
    overlay = panel.pair_page.stage.overlay
    until(lambda: overlay.complete)
    assert panel.pair_page.stage.caption.text().startswith("Pair 2, frame 1025. Accepted, 0.11 px off.")
    left, right = drawn_colours(overlay)
    assert left.red() > left.blue() and right.blue() > right.red() + 50  # the faded sky, and the sky


def drawn_colours(overlay):
    """What is drawn at the left and at the right of the wipe, in the sky."""
    picture, target = overlay.grab().toImage(), overlay._target()
    ratio = picture.devicePixelRatio()
    y = (target.y() + 0.06 * target.height()) * ratio
    return [picture.pixelColor(int((target.x() + share * target.width()) * ratio), int(y)) for share in (0.1, 0.9)]


def test_keys_in_the_list_reject_accept_and_take_back(open_reel, until, reel):
    panel = open_reel()
    view = panel.list.view
    view.setFocus()
    QTest.keyClick(view, Qt.Key.Key_Down)
    assert panel.session.chosen == 2
    QTest.keyClick(view, Qt.Key.Key_R)
    until(lambda: panel.session.pair.state == "rejected")
    assert reel.pairs()[1].reason == "rejected by hand; found: dust 0.2 %"
    QTest.keyClick(view, Qt.Key.Key_A)
    until(lambda: panel.session.pair.state == "accepted")
    assert reel.pairs()[1].reason == "accepted by hand; found: dust 0.2 %"
    QTest.keyClick(view, Qt.Key.Key_U)
    until(lambda: reel.pairs()[1].state == "collected")


def test_a_pair_whose_sizes_differ_cannot_be_accepted_by_hand(open_reel, until, reel):
    pair = reel.pairs()[0]
    pair.scan.write_bytes(exr_header(640, 272))
    pair.reference.write_bytes(exr_header(320, 136))
    pair.update(state="rejected", reason="scan and reference do not show the same picture", prepared=None)
    panel = open_reel()
    panel.tabs.setCurrentWidget(panel.pair_page)
    click(panel.pair_page.accept)
    until(lambda: panel.session.notice)
    assert panel.notice.text().startswith("The reference of pair 1 is of another size than its scan")
    assert reel.pairs()[0].state == "rejected"


def test_a_rejection_keeps_the_artists_reason(open_reel, until, reel):
    panel = open_reel()
    panel.tabs.setCurrentWidget(panel.pair_page)
    QTest.keyClicks(panel.pair_page.why, "the DVD is another edit here")
    click(panel.pair_page.reject)
    until(lambda: reel.pairs()[0].state == "rejected")
    assert reel.pairs()[0].reason == "the DVD is another edit here" and panel.pair_page.why.text() == ""


def test_a_pair_from_the_viewer_appears_and_gets_its_pictures(open_reel, until, reel, desk):
    panel = open_reel()
    click(panel.list.add)
    assert desk.asked == [("from_viewer", str(reel.folder))] and panel.notice.text() == "Added frame 1001 as a pair."
    add_pair(reel, 1400, drawn=False, decided=False)  # as the host's desk does
    panel.session.look()
    until(lambda: len(panel.session.standing.pairs) == 4 and panel.session.standing.pairs[3].state == "accepted")
    until(lambda: panel.session.standing.pairs[3].drawn)
    assert panel.list.model.rowCount() == 4


def test_what_the_host_refuses_is_one_sentence(open_reel, desk):
    panel = open_reel()
    desk.refusal = "The Viewer shows nothing: connect the scan to its input 1."
    click(panel.list.add)
    assert panel.notice.text() == desk.refusal and panel.session.trouble


def test_without_a_host_what_needs_one_says_so(make_panel, reel, until):
    add_run(reel)
    panel = make_panel(reel.folder)
    until(lambda: panel.session.model is not None and panel.session.has_engine)
    for button in (panel.list.add, panel.node):
        assert not button.isEnabled() and button.toolTip() == "This needs Nuke: open the panel there."


# Training


def test_train_pause_resume_stop_go_on(open_reel, until, reel):
    panel = open_reel()
    bar = panel.bar
    assert not bar.stop.isEnabled() and not bar.pause.isEnabled() and not bar.go_on.isVisible()
    bar.protect.setCurrentIndex(bar.protect.findData("luma"))
    click(bar.train)
    assert not bar.train.isEnabled() and bar.doing.text() == "The trainer is starting."
    until(lambda: panel.session.state == "training" and panel.session.standing.latest.points)
    assert bar.doing.text() == "Training on all pairs." and bar.left.text().endswith(" left")
    assert bar.device.text() == "on CPU" and bar.state.text() == "Run 1: Training"
    assert reel.latest_run().settings["protect"] == "luma"

    click(bar.keep)
    until(lambda: any(event.get("event") == "checkpoint" for event in panel.session.standing.latest.events))
    click(bar.pause)
    until(lambda: panel.session.state == "paused")
    assert bar.pause.text() == "Resume" and bar.doing.text().startswith("Paused")
    click(bar.pause)
    until(lambda: panel.session.state == "training")
    click(bar.stop)
    until(lambda: panel.session.state == "stopped")
    assert bar.train.isEnabled() and not bar.stop.isEnabled()
    click(bar.go_on)
    until(lambda: panel.session.state == "training")
    assert len(reel.runs()) == 1


def test_a_pair_can_be_watched_while_it_trains(open_reel, until, reel):
    panel = open_reel()
    QTest.keyClick(panel, Qt.Key.Key_T, Qt.KeyboardModifier.ControlModifier)
    until(lambda: panel.session.state == "training" and panel.session.standing.latest.after)
    assert panel.session.standing.latest.preview_pair == 1
    page = panel.train_page
    page.frame.setCurrentIndex(2)
    page.frame.activated.emit(2)
    until(lambda: panel.session.standing.latest.preview_pair == 3)
    assert page.frame.currentText() == "frame 1049"


def test_a_panel_that_was_closed_attaches_again(open_reel, until, reel):
    first = open_reel()
    click(first.bar.train)
    until(lambda: first.session.state == "training")
    first.session.close()
    first.deleteLater()
    second = open_reel()
    until(lambda: second.session.state == "training" and len(second.session.standing.latest.points) > 3)
    assert second.bar.stop.isEnabled()
    click(second.bar.stop)
    until(lambda: second.session.state == "stopped")


def test_how_to_train_is_remembered_in_the_restoration(open_reel, until, reel):
    panel = open_reel()
    panel.bar.time.setCurrentIndex(panel.bar.time.findData(900.0))
    panel.bar.hold_out.setValue(2)
    until(lambda: open_restoration(reel.folder).settings.get("training", {}).get("hold_out") == 2)
    again = open_reel()
    assert again.bar.time.currentData() == 900.0 and again.bar.hold_out.value() == 2


def test_why_there_is_nothing_to_train_is_said(make_panel, tmp_path, until, application):
    new_restoration(tmp_path / "empty.wetgate")
    panel = make_panel(tmp_path / "empty.wetgate")
    until(lambda: panel.session.has_engine and panel.session.standing.recipe)
    panel.refresh()
    assert not panel.bar.train.isEnabled()
    assert panel.bar.doing.text() == panel.bar.train.toolTip()
    assert panel.bar.doing.text().startswith("Add a pair: a frame of the scan, and the same frame of the reference")


def test_a_restoration_whose_pairs_are_all_rejected_cannot_be_trained(open_reel, until, reel):
    for pair in reel.pairs():
        pair.update(state="rejected", reason="no")
    panel = open_reel()
    assert not panel.bar.train.isEnabled() and panel.bar.doing.text().startswith("All pairs are rejected")


def test_a_trainer_that_died_can_go_on(open_reel, reel):
    run = add_run(reel, "training")
    (run.folder / "lock").write_text('{"pid": 1, "started": "before the last boot", "host": "elsewhere"}')
    run.write_status({"state": "training", "seconds": 3, "time": 1})
    import os

    os.utime(run.folder / "status.json", (1, 1))
    panel = open_reel()
    assert panel.session.state == "interrupted" and panel.bar.go_on.isVisible()
    assert panel.bar.doing.text().startswith("The trainer was broken off; it can go on.")


# Runs


def test_a_note_is_kept_with_its_run(open_reel, until, reel):
    add_run(reel)
    panel = open_reel()
    QTest.keyClick(panel, Qt.Key.Key_3, Qt.KeyboardModifier.ControlModifier)
    assert panel.tabs.currentWidget() is panel.runs_page
    QTest.keyClicks(panel.runs_page.note, "client likes it")
    QTest.keyClick(panel.runs_page.note, Qt.Key.Key_Return)
    until(lambda: panel.session.standing.latest.note == "client likes it")
    again = open_reel()
    assert again.session.standing.latest.note == "client likes it"


def test_two_runs_are_compared_figure_by_figure(open_reel, reel):
    add_run(reel, delta_e=4.2)
    add_run(reel, delta_e=3.1, protect="luma")
    panel = open_reel()
    panel.tabs.setCurrentWidget(panel.runs_page)
    page = panel.runs_page
    assert not page.compared.isVisible()
    page.tree.setFocus()
    page.tree.selectAll()
    assert page.compared.isVisible()
    table = page.table
    rows = [table.topLevelItem(row) for row in range(table.topLevelItemCount())]
    lines = {row.text(0): (row.text(1), row.text(2)) for row in rows}
    assert lines["Protects"] == ("Grain and detail", "Brightness")
    assert lines["Colour, mean ΔE"] == ("4.20", "3.10")
    better = next(row for row in rows if row.text(0) == "Colour, mean ΔE")
    assert better.font(2).bold() and not better.font(1).bold()


def test_a_restore_node_gets_the_newest_model(open_reel, until, reel, desk):
    add_run(reel)
    panel = open_reel()
    click(panel.node)
    assert desk.asked == [("create_restore", str(reel.runs()[0].model), str(reel.folder))]
    assert panel.notice.text() == "Made WetgateRestore1 with the model of run 1."


def test_a_restore_node_of_an_older_run(open_reel, reel, desk):
    add_run(reel)
    add_run(reel)
    panel = open_reel()
    panel.tabs.setCurrentWidget(panel.runs_page)
    panel.runs_page.tree.setCurrentItem(panel.runs_page.tree.topLevelItem(1))
    click(panel.runs_page.node)
    assert desk.asked == [("create_restore", str(reel.runs()[0].model), str(reel.folder))]


def test_the_report_opens_in_the_browser(open_reel, reel, monkeypatch):
    add_run(reel)
    opened = []
    monkeypatch.setattr(nuke_plugin.panel.window, "open_file", opened.append)
    panel = open_reel()
    click(panel.report)
    assert opened == [reel.runs()[0].report]


# What to pair next


def test_frames_to_pair_next_are_listed(open_reel, until, desk):
    panel = open_reel()
    panel.tabs.setCurrentWidget(panel.suggestions)
    page = panel.suggestions
    assert page.scan.text() == "/reels/scan/reel3.####.dpx"  # from where the pairs came
    desk.scan = "/reels/other/scan.%04d.exr"
    panel.tabs.setCurrentIndex(0)
    panel.tabs.setCurrentWidget(page)
    assert page.scan.text() == desk.scan  # what the Viewer shows goes first
    click(page.ask)
    until(lambda: page.tree.topLevelItemCount() == 2)
    first = page.tree.topLevelItem(0)
    assert (first.text(0), first.text(1), first.text(2)) == ("1210", "64%", "+21%")
    assert "colours that no pair shows" in first.text(3)
    assert page.coverage.text() == "The pairs know 87% of the colours of this scan."


# First steps


def test_without_an_engine_the_panel_offers_to_install_it(make_panel, until, reel, monkeypatch, tmp_path):
    import nuke_plugin.engine

    bootstrap = tmp_path / "bootstrap.py"
    bootstrap.write_text("import sys; print('bootstrap: setting up', file=sys.stderr); print('Wetgate is installed.')")
    monkeypatch.setattr(nuke_plugin.engine, "find_bootstrap", lambda: bootstrap)
    panel = make_panel(reel.folder)
    engine, command = panel.session.engine, panel.session.engine._command
    engine._command = None
    monkeypatch.setattr(nuke_plugin.engine, "find_command", missing)
    panel.session.start()
    until(lambda: panel.pages.currentWidget() is panel.install_page)
    assert "was found neither" in panel.install_page.problem.text()
    monkeypatch.setattr(nuke_plugin.engine, "find_command", lambda: command)
    click(panel.install_page.install)
    until(lambda: panel.pages.currentWidget() is panel.work_page)
    assert panel.session.set_up == ("bootstrap: setting up", "Wetgate is installed.")
    assert panel.session.has_engine


def missing():
    from wetgate.errors import WetgateError

    raise WetgateError("The command `wetgate` was found neither here nor there.")


def test_a_new_restoration_is_made_and_opened(make_panel, until, tmp_path):
    panel = make_panel()
    until(lambda: panel.session.health is not None)
    panel.refresh()
    page = panel.open_page
    assert panel.pages.currentWidget() is page and not page.make.isEnabled()
    QTest.keyClicks(page.folder, str(tmp_path / "made.wetgate"))
    page.encoding.setCurrentIndex(page.encoding.findData("log"))
    click(page.make)
    until(lambda: panel.pages.currentWidget() is panel.work_page and panel.session.standing.recipe)
    assert open_restoration(tmp_path / "made.wetgate").encoding == "log"
    assert panel.about.text() == "Colour from a reference, log pictures"


def test_what_was_open_last_is_opened_again(make_panel, until, reel):
    first = make_panel(reel.folder)
    until(lambda: first.session.standing.recipe)
    until(lambda: first.session._memory.exists())
    second = make_panel()
    until(lambda: second.session.standing.folder == reel.folder and second.session.standing.recipe)
    assert second.restorations.currentText() == "reel.wetgate"


def test_a_folder_that_is_none_says_so(make_panel, until, tmp_path):
    panel = make_panel(tmp_path)
    until(lambda: panel.session.standing.problem)
    panel.refresh()
    assert panel.pages.currentWidget() is panel.open_page
    assert "is not a restoration" in panel.open_page.problem.text()


def test_a_panel_may_be_destroyed_at_any_moment(open_reel, application, reel, until):
    """As Nuke does with panels that are docked anew; its threads are reading and telling meanwhile."""
    run = add_run(reel, "training")
    with run.lock():
        for moment in range(12):
            panel = open_reel()
            panel.tabs.setCurrentIndex(moment % 4)
            panel.session.look()
            for _ in range(moment):
                application.processEvents()
            panel.deleteLater()
            application.sendPostedEvents(panel, 52)  # QEvent.DeferredDelete
            with pytest.raises(RuntimeError):
                panel.width()
            assert panel.session._listeners == []


# By keyboard, narrow, and for those who listen


def test_every_control_has_a_name_and_is_reached_by_the_keyboard(open_reel, reel):
    add_run(reel)
    panel = open_reel()
    for kind in (QtWidgets.QAbstractButton, QtWidgets.QComboBox, QtWidgets.QLineEdit, QtWidgets.QTreeWidget):
        for widget in panel.findChildren(kind):
            if widget.objectName().startswith("qt_") or isinstance(widget.parent(), QtWidgets.QAbstractSpinBox):
                continue
            assert widget.accessibleName() or getattr(widget, "text", str)(), widget
            assert widget.focusPolicy() & Qt.FocusPolicy.TabFocus, widget.accessibleName()


def test_keys_of_the_panel_are_not_the_hosts_as_long_as_it_has_the_focus(open_reel, until, reel, application):
    add_run(reel)
    panel = open_reel()
    host, pressed = QtWidgets.QMainWindow(), []
    field = QtWidgets.QLineEdit()
    both = QtWidgets.QWidget()
    layout = QtWidgets.QVBoxLayout(both)
    layout.addWidget(panel)
    layout.addWidget(field)
    host.setCentralWidget(both)
    for key in ("Ctrl+N", "Ctrl+3", "R", "Space", "Right"):
        action = QAction(key, host)
        action.setShortcut(QtGui.QKeySequence(key))
        action.triggered.connect(lambda _=False, key=key: pressed.append(key))
        host.addAction(action)
    host.show()
    host.activateWindow()
    until(lambda: application.activeWindow() is host)
    field.setFocus()
    QTest.keyClick(field, Qt.Key.Key_3, Qt.KeyboardModifier.ControlModifier)
    assert pressed == ["Ctrl+3"] and panel.tabs.currentWidget() is panel.train_page

    panel.list.view.setFocus()
    QTest.keyClick(panel.list.view, Qt.Key.Key_R)
    QTest.keyClick(panel.list.view, Qt.Key.Key_3, Qt.KeyboardModifier.ControlModifier)
    assert panel.tabs.currentWidget() is panel.runs_page
    panel.tabs.setCurrentWidget(panel.pair_page)
    overlay = panel.pair_page.stage.overlay
    overlay.setFocus()
    before = overlay.handle
    QTest.keyClick(overlay, Qt.Key.Key_Right)
    QTest.keyClick(overlay, Qt.Key.Key_Space)
    assert overlay.handle > before and overlay.mode == "first" and pressed == ["Ctrl+3"]
    until(lambda: panel.session.pair.state == "rejected")
    panel.setParent(None)
    host.deleteLater()


def test_tab_goes_round_and_comes_back(open_reel, application):
    panel = open_reel()
    panel.activateWindow()
    panel.list.view.setFocus()
    seen = []
    for _ in range(60):
        QTest.keyClick(application.focusWidget() or panel, Qt.Key.Key_Tab)
        seen.append(application.focusWidget())
        if seen[-1] is panel.list.view:
            break
    assert seen[-1] is panel.list.view
    assert {panel.bar.train, panel.bar.protect, panel.bar.time} <= set(seen)


def test_a_narrow_dock_stacks_what_a_wide_one_lays_side_by_side(open_reel):
    panel = open_reel()
    assert panel.splitter.orientation() == Qt.Orientation.Horizontal
    panel.resize(400, 900)
    QtCore.QCoreApplication.processEvents()
    assert panel.width() == 400 and panel.splitter.orientation() == Qt.Orientation.Vertical
    assert all(button.geometry().right() <= 400 for button in (panel.bar.train, panel.bar.stop))


def test_new_pictures_of_a_pair_replace_the_old_ones(open_reel, until, reel):
    panel = open_reel()
    panel.tabs.setCurrentWidget(panel.pair_page)
    overlay = panel.pair_page.stage.overlay
    until(lambda: overlay.complete)
    before = overlay._layers[0][1]
    pair = reel.pairs()[0]
    pair.update(frame=1090)
    draw_pair(reel, pair)
    panel.session.look()
    until(lambda: overlay._layers[0][1] != before)
    assert overlay.complete  # the old one stays until the new one is read
