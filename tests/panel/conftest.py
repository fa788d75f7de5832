"""A Qt application without a screen, and panels whose engine is a real process: the stand-in's, or the real one."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from pathlib import Path

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import pytest
from panel_desk import PATIENCE_S, STANDIN, RecordingDesk

from nuke_plugin.engine import Calls, Engine
from nuke_plugin.panel import theme
from nuke_plugin.panel.qt import QtCore, QtWidgets
from nuke_plugin.panel.window import Panel
from nuke_plugin.session import NoDesk, Session
from wetgate.project import Run

DEFERRED_DELETE = 52
"""QEvent.DeferredDelete as the number that both bindings take here."""


def end_trainers(folder: Path) -> None:
    """Stop what a test left training, and wait for its end."""
    for path in folder.rglob("runs/*/settings.json"):
        run, give_up = Run(path.parent), time.monotonic() + PATIENCE_S
        while run.is_alive() and time.monotonic() < give_up:
            run.send("stop")
            time.sleep(0.05)
        assert not run.is_alive(), f"{run} goes on"


@pytest.fixture(scope="session")
def application():
    application = QtWidgets.QApplication.instance() or QtWidgets.QApplication([])
    theme.use_without_host(application)
    return application


@pytest.fixture
def until(application):
    """Handle events until a condition holds; fail after a minute, by custom."""

    def wait(condition, what: str = "", *, patience_s: float = PATIENCE_S) -> None:
        give_up = time.monotonic() + patience_s
        while not condition():
            application.processEvents(QtCore.QEventLoop.ProcessEventsFlag.AllEvents, 50)
            assert time.monotonic() < give_up, what or f"it did not happen within {patience_s:.0f} s"
            time.sleep(0.002)

    return wait


@pytest.fixture
def desk():
    return RecordingDesk()


@pytest.fixture
def make_panel(application, tmp_path):
    """Open a panel on a folder; all that were opened are closed afterwards."""
    opened = []

    def make(folder=None, *, command=STANDIN, desk=None, size=(1100, 720)) -> Panel:
        calls = Calls()
        session = Session(
            calls,
            desk=NoDesk() if desk is None else desk,
            engine=Engine(calls, command),
            memory=tmp_path / "config" / "panel.json",
        )
        panel = Panel(session=session, folder=folder)
        panel.resize(*size)
        panel.show()
        opened.append(panel)
        return panel

    yield make
    for panel in opened:
        panel.session.close()
        panel.pictures.close()
        with contextlib.suppress(RuntimeError):  # the test has destroyed it
            panel.deleteLater()
    application.sendPostedEvents(None, DEFERRED_DELETE)
    end_trainers(tmp_path)
