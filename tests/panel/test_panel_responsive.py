"""A real training, followed by the panel: nothing that takes long is done in Qt's thread."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from nuke_plugin.panel.qt import Qt, QtCore
from wetgate.project import open_restoration

try:
    from PySide6.QtTest import QTest
except ImportError:
    from PySide2.QtTest import QTest

VARIABLE = "WETGATE_TEST_ENGINE"
"""A Python that has the engine, where the one that runs the tests has not."""
COLLECT = """
import sys
import numpy as np
from wetgate.images import write_image
from wetgate.project import create_restoration
restoration = create_restoration(sys.argv[1], "color", "display")
chance = np.random.default_rng(0)
y, x = np.mgrid[0:180, 0:320].astype(np.float32)
for number in range(3):
    waves = [np.sin(x / (17 + 5 * c + number)) * np.cos(y / (13 + 3 * c)) for c in range(3)]
    picture = (0.5 + 0.35 * np.stack(waves, -1)).astype(np.float32)
    with restoration.add_pair(1001 + number) as draft:
        faded = picture * [0.5, 0.35, 0.3] + [0.4, 0.25, 0.25] + chance.normal(0, 0.01, picture.shape)
        write_image(draft.scan, faded.astype(np.float32))
        write_image(draft.reference, picture)
"""


@pytest.fixture
def engine_python():
    if VARIABLE in os.environ:
        return os.environ[VARIABLE]
    if importlib.util.find_spec("torch") is None:
        pytest.skip(f"THE PANEL WAS NOT TRIED WITH A REAL TRAINING: no engine here, and {VARIABLE} is not set")
    return sys.executable


@pytest.fixture
def watch(application):
    """Note how long Qt's thread was busy at a time, in seconds of its own processor time and by the clock."""

    class Watch(QtCore.QObject):
        def __init__(self):
            super().__init__()
            self.busy, self.gaps, self._cpu, self._clock = [], [], time.thread_time(), time.monotonic()
            self._timer = QtCore.QTimer(self)
            self._timer.timeout.connect(self._note)
            self._timer.start(5)

        def _note(self):
            cpu, clock = time.thread_time(), time.monotonic()
            self.busy.append(cpu - self._cpu)
            self.gaps.append(clock - self._clock)
            self._cpu, self._clock = cpu, clock

    made = Watch()
    yield made
    made.deleteLater()


@pytest.fixture
def no_waiting(monkeypatch):
    """Fail what would hold Qt's thread up: processes, and reading big files."""
    main, start, read = threading.current_thread(), subprocess.Popen.__init__, Path.read_bytes
    wrong = []

    def popen(self, words, *more, **how):
        if threading.current_thread() is main:
            wrong.append(words)
        start(self, words, *more, **how)

    def read_bytes(path):
        if threading.current_thread() is main and path.stat().st_size > 1 << 20:
            wrong.append(path)
        return read(path)

    monkeypatch.setattr(subprocess.Popen, "__init__", popen)
    monkeypatch.setattr(Path, "read_bytes", read_bytes)
    return wrong


def test_the_panel_follows_a_real_training_and_never_waits(
    engine_python, make_panel, until, watch, no_waiting, tmp_path
):
    folder = tmp_path / "reel.wetgate"
    root = str(Path(__file__).resolve().parents[2])
    collected = subprocess.Popen([engine_python, "-c", COLLECT, str(folder)], cwd=root)
    assert collected.wait(timeout=120) == 0
    no_waiting.clear()
    started = f"import sys; sys.path.insert(0, {root!r}); from wetgate.cli.main import main; sys.exit(main())"
    panel = make_panel(folder, command=[engine_python, "-c", started])
    session = panel.session
    until(lambda: session.has_engine and len(session.standing.pairs) == 3)
    until(lambda: "prepare" not in session.busy and all(pair.drawn for pair in session.standing.pairs))
    session.choose_options(seconds=20.0)
    until(lambda: panel.bar.train.isEnabled())
    watch.busy.clear()
    watch.gaps.clear()

    QTest.mouseClick(panel.bar.train, Qt.MouseButton.LeftButton)
    until(lambda: session.state in ("preparing", "training"))
    until(lambda: session.standing.latest.model and session.standing.latest.after, patience_s=120)
    for tab in (1, 2, 3, 0):
        panel.tabs.setCurrentIndex(tab)
        until(lambda: True)
    until(lambda: session.standing.latest.points, patience_s=120)
    QTest.mouseClick(panel.bar.stop, Qt.MouseButton.LeftButton)
    until(lambda: session.state in ("stopped", "finished"), patience_s=120)

    busy, gaps = sorted(watch.busy), sorted(watch.gaps)
    print(
        f"Qt's thread at a time: busy {1000 * busy[-1]:.0f} ms at most, {1000 * busy[len(busy) * 99 // 100]:.0f} ms "
        f"in 99 of 100; longest gap {1000 * gaps[-1]:.0f} ms"
    )
    assert not no_waiting
    assert len(busy) > 50
    assert open_restoration(folder).latest_run().model.exists()
    assert panel.bar.device.text() == "" and session.standing.latest.preview_pair == 1
