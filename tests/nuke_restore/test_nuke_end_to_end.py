"""From the Viewer to restored frames: real files, processes, server, node, panel; only Nuke itself is the stand-in."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

import inference_node
import numpy as np
import pytest
from standin_files import read_exr, write_exr

from wetgate.cli.main import main
from wetgate.onnx_model import read_card
from wetgate.project import Run, create_restoration, open_restoration

ROOT = Path(__file__).resolve().parents[2]
QtWidgets = pytest.importorskip("PySide6.QtWidgets", reason="NO PYSIDE6: the panel's whole way is not tested here")
FRAMES = (1001, 1003, 1004, 1006)
PATIENCE_S = 240.0
posix = pytest.mark.skipif(os.name == "nt", reason="process groups of POSIX")


def footage(number: int) -> tuple[np.ndarray, np.ndarray]:
    """A scan and how it should look [72, 96, 3], scene-linear: patches of colour whose dyes have faded, and grain."""
    generator = np.random.default_rng(number)
    patches = generator.uniform(0.02, 0.9, (6, 8, 3))
    reference = patches.repeat(12, axis=0).repeat(12, axis=1)
    for axis in (0, 1):
        reference = sum(np.roll(reference, shift, axis) for shift in range(-4, 5)) / 9
    density = -np.log10(reference + 1 / 64) @ np.array([[0.5, 0.1, 0.0], [0.1, 0.8, 0.1], [0.0, 0.1, 0.9]]) + 0.1
    scan = 10.0**-density - 1 / 64 + generator.normal(0, 0.005, (72, 96, 1))
    return scan.astype(np.float32), reference.astype(np.float32)


@pytest.fixture
def film(tmp_path: Path) -> Path:
    """A folder with `scan` and `reference`, six frames each."""
    for number in range(1001, 1007):
        for name, pixels in zip(("scan", "reference"), footage(number), strict=True):
            (tmp_path / name).mkdir(exist_ok=True)
            write_exr(tmp_path / name / f"shot.{number}.exr", pixels)
    return tmp_path


@pytest.fixture
def restoration(film: Path) -> Iterator[Path]:
    """Where the restoration is to be; whatever still trains in it is stopped in the end."""
    folder = film / "reel.wetgate"
    yield folder
    for path in folder.glob("runs/*/settings.json"):
        run, give_up = Run(path.parent), time.monotonic() + PATIENCE_S
        while run.is_alive() and time.monotonic() < give_up:
            run.send("stop")
            time.sleep(0.1)
        assert not run.is_alive()


@pytest.fixture
def application(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))  # the panel remembers there what was open
    return QtWidgets.QApplication.instance() or QtWidgets.QApplication([])


@pytest.fixture
def until(started, application) -> Callable[[Callable[[], object], str], None]:
    """Let Nuke's main thread and Qt work until something is true."""

    def wait(condition: Callable[[], object], what: str) -> None:
        give_up = time.monotonic() + PATIENCE_S
        while not condition():
            assert time.monotonic() < give_up, f"not in time: {what}"
            application.processEvents()
            started.run_main_thread()
            time.sleep(0.01)

    return wait


@pytest.fixture
def open_panel(started, application):
    """What Nuke does with a registered panel: the text is evaluated, and what it is is called."""
    opened = []

    def make():
        expression, _ = started.panels["org.wetgate.panel"]
        opened.append(eval(expression, {})())
        opened[-1].show()
        return opened[-1]

    yield make
    for panel in opened:
        close(panel, application)


def close(panel, application) -> None:
    try:
        panel.deleteLater()
    except RuntimeError:
        return  # it is gone already
    application.sendPostedEvents(None, 52)  # QEvent.DeferredDelete
    application.processEvents()


def test_from_the_viewer_to_restored_frames(
    started, places, ofx, film, restoration, application, until, open_panel, applying
):
    inference_node.teach(started, ofx)
    scan, reference = (started.read(film / name / "shot.####.exr", 1001, 1006) for name in ("scan", "reference"))
    started.look(scan, reference)
    add = started.menus["Nuke"].findItem("Wetgate/Add pair from Viewer")
    started.answers = [str(restoration)]
    for frame in FRAMES:
        started.frame = frame
        add.invoke()
    pairs = open_restoration(restoration).pairs()
    assert [pair.frame for pair in pairs] == list(FRAMES), started.said
    for pair in pairs:
        for path, pixels in zip((pair.scan, pair.reference), footage(pair.frame), strict=True):
            np.testing.assert_array_equal(read_exr(path), pixels)

    panel = open_panel()
    panel.session.open(restoration)
    until(lambda: len(panel.session.standing.pairs) == 4 and panel.session.actions, "the panel shows the pairs")
    panel.session.choose_options(seconds=180)
    panel.session.train()
    until(lambda: panel.session.model is not None, "the panel has seen a first model")
    run = open_restoration(restoration).latest_run()
    assert run.is_alive() and panel.session.standing.latest.at_work

    started.select_only(scan)
    panel.session.create_restore()
    (node,) = [each for each in started.root_node._children if each.Class() == "WetgateRestore"]
    assert node["model"].value() == str(run.model) and node["restoration"].value() == str(restoration)
    assert node.input(0) is scan
    node["device"].setValue("cpu")
    node["follow"].setValue(True)
    until(lambda: node["revision"].value() >= 1, "the node follows")
    first = picture_of(node, 1002)
    before = node["revision"].value()
    until(lambda: node["revision"].value() > before, "the node has taken a further trained model")

    close(panel, application)
    again = open_panel()
    until(lambda: again.session.standing.latest is not None, "the panel is attached again")
    assert again.session.standing.folder == restoration
    assert again.session.standing.latest.number == run.number and run.is_alive()
    until(lambda: "stop" in again.session.actions, "it can be stopped")
    again.session.send("stop")
    until(lambda: again.session.state == "stopped", "the training has stopped")
    until(lambda: not run.is_alive(), "the trainer has ended")
    newest = node["revision"].value()
    node["follow"].setValue(False)
    node["revision"].setValue(newest + 1)  # the last word of the trainer may be younger than the last look

    assert read_card(run.model).encoding == "linear"
    words = ["apply", str(run.model), str(film / "scan"), str(film / "wanted"), "--no-steady", "--device", "cpu"]
    assert main([*words, "--json"]) == 0
    for frame in range(1001, 1007):
        wanted = read_exr(film / "wanted" / f"shot.{frame}.exr")
        np.testing.assert_array_equal(picture_of(node, frame), wanted)
        assert np.abs(wanted - footage(frame)[1]).mean() < 0.7 * np.abs(footage(frame)[0] - footage(frame)[1]).mean()
    assert np.abs(picture_of(node, 1002) - first).max() > 0

    node["render"].execute()
    until(lambda: not applying._jobs, "the frames are rendered in the background")
    assert node["job"].value().startswith("Done"), node["job"].value()
    for frame in range(1001, 1007):
        made = read_exr(restoration / "restored" / f"{node.name()}.{frame}.exr")
        np.testing.assert_array_equal(made, picture_of(node, frame))


def picture_of(node, frame: int) -> np.ndarray:
    return node._picture(frame, "main", 1).whole()[::-1, :, :3]


# Killed, as real processes


@pytest.fixture
def pairs(film, restoration):
    """A restoration with four pairs."""
    made = create_restoration(restoration, "color", "linear")
    for frame in FRAMES:
        with made.add_pair(frame) as draft:
            for path, pixels in zip((draft.scan, draft.reference), footage(frame), strict=True):
                write_exr(path, pixels)
    return restoration


def run_until_killed(code: str, *words: object) -> str:
    """A process in a group of its own that ends by killing all of it; return what it said."""
    killed = subprocess.run(
        [sys.executable, "-c", code, str(ROOT), *map(str, words)],
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        start_new_session=True,
    )
    assert killed.returncode == -signal.SIGKILL, killed
    return killed.stdout


NUKE = """
import os, queue, signal, sys
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from nuke_plugin.engine import Engine, Options
calls, told = queue.Queue(), []
engine = Engine(calls.put)
engine.start_training(Path(sys.argv[2]), Options(seconds=6), told.append, told.append)
while not told:
    calls.get(timeout=120)()
print(told[0], flush=True)
os.killpg(0, signal.SIGKILL)
"""
PANEL = """
import os, signal, sys, time
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from nuke_plugin.panel.qt import QtWidgets
from nuke_plugin.panel.window import Panel
application = QtWidgets.QApplication([])
panel = Panel(folder=Path(sys.argv[2]))
panel.show()
session = panel.session

def until(condition):
    give_up = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < give_up, (session.state, session.notice)
        application.processEvents()
        time.sleep(0.01)

if sys.argv[3] == "train":
    until(lambda: "train" in session.actions)
    session.choose_options(seconds=120)
    session.train()
    until(lambda: session.state == "training")
until(lambda: session.standing.latest is not None)
print(session.standing.latest.number, session.state, flush=True)
if sys.argv[3] == "stop":
    until(lambda: "stop" in session.actions)
    session.send("stop")
    until(lambda: session.state == "stopped")
    print(session.state, session.model is not None, flush=True)
os.killpg(0, signal.SIGKILL)
"""


@posix
def test_a_nuke_that_is_killed_leaves_a_training_that_ends_well(places, pairs):
    assert "'state': 'started'" in run_until_killed(NUKE, pairs)
    run = open_restoration(pairs).latest_run()
    give_up = time.monotonic() + PATIENCE_S
    while run.state not in ("finished", "stopped", "failed", "interrupted"):
        assert time.monotonic() < give_up
        time.sleep(0.1)
    assert run.state == "finished", run.status()
    assert read_card(run.model).recipe == "color" and run.record.exists() and run.report.exists()


@posix
def test_a_panel_that_is_killed_is_opened_again_in_the_middle_of_the_training(places, pairs, application):
    assert run_until_killed(PANEL, pairs, "train") == "1 training\n"
    run = open_restoration(pairs).latest_run()
    assert run.is_alive()
    first, last = run_until_killed(PANEL, pairs, "stop").splitlines()
    assert first == "1 training" and last == "stopped True"
    assert [each.number for each in open_restoration(pairs).runs()] == [1]
