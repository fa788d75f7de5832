"""The session by itself: no Qt, no Nuke, and sentences for everything that goes wrong."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from panel_desk import PATIENCE_S, STANDIN, RecordingDesk
from panel_stage import add_run, exr_header, fill_run, new_restoration

from nuke_plugin.engine import Calls, Engine, Health
from nuke_plugin.session import ACTIONS, NoDesk, Session, pattern_of
from nuke_plugin.words import RUN_STATES

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def make_session(application, tmp_path):
    """Sessions whose calls are made by hand."""
    made = []

    def make(folder=None, *, desk=None, command=STANDIN, memory=None):
        calls = Calls()
        session = Session(
            calls, desk=desk, engine=Engine(calls, command), memory=memory or tmp_path / "config" / "panel.json"
        )
        session.start(folder)
        made.append(session)
        return session

    yield make
    for session in made:
        session.close()


def wait(session, condition):
    give_up = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < give_up
        session.calls.make(0.05)
        time.sleep(0.005)


@pytest.fixture
def reel(application, tmp_path):
    return new_restoration(tmp_path / "reel.wetgate", 2)


def test_session_and_engine_import_neither_qt_nor_nuke():
    code = "import sys, nuke_plugin.session; print(*[n for n in sys.modules if n.startswith(('PySide', 'nuke'))])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert {name.partition(".")[0] for name in done.stdout.split()} == {"nuke_plugin"}, done.stderr


def test_every_state_of_a_run_has_its_actions():
    assert set(ACTIONS) == {"none", *RUN_STATES}


@pytest.mark.parametrize("state", ["finished", "stopped", "failed"])
def test_what_can_be_done_follows_the_state(make_session, reel, state):
    add_run(reel, state)
    session = make_session(reel.folder)
    wait(session, lambda: session.has_engine and session.standing.latest)
    assert session.actions == ACTIONS[state]


def test_a_command_that_waits_is_not_offered_again(make_session, reel):
    run = add_run(reel, "training")
    with run.lock():
        session = make_session(reel.folder)
        wait(session, lambda: session.standing.latest)
        session.send("pause")
        wait(session, lambda: session.standing.latest.asked == ("pause",))
        assert session.actions == {"checkpoint", "stop"}
        session.send("pause")  # does nothing
        assert run.take_commands() == ["pause"]


def test_an_engine_that_refuses_to_train_says_why(make_session, reel):
    refusing = [sys.executable, "-c", 'print(\'{"error": "The disk is full."}\')']
    session = make_session(reel.folder, command=refusing)
    wait(session, lambda: session.has_engine and session.standing.pairs)
    session.train()
    wait(session, lambda: session.notice)
    assert session.notice == "The disk is full." and session.trouble and session.actions == {"train"}


def test_a_host_may_raise_anything(make_session, reel):
    class Moody(RecordingDesk):
        def from_viewer(self, folder):
            raise RuntimeError("Nothing is connected to the pipe")

    session = make_session(reel.folder, desk=Moody())
    session.add_from_viewer()
    assert session.notice == "The host refused: Nothing is connected to the pipe" and session.trouble


def test_without_a_model_there_is_no_restore_node(make_session, reel):
    session = make_session(reel.folder, desk=RecordingDesk())
    session.create_restore()
    assert session.notice == "There is no model yet: train first." and not session.desk.asked


@pytest.mark.parametrize(
    ("recipe", "steady", "said"), [("color", True, True), ("damage", False, False), ("steady", True, False)]
)
def test_a_model_that_wants_a_steadied_scan_is_said_with_its_node(make_session, reel, recipe, steady, said):
    fill_run(reel.new_run({"recipe": recipe, "protect": "grain", "time_s": 300.0, "steady": steady}), "finished")
    session = make_session(reel.folder, desk=RecordingDesk())
    wait(session, lambda: session.model)
    session.create_restore()
    hint = " It was trained on a steadied scan: press Measure flicker on it."
    assert session.notice.endswith("the model of run 1." + (hint if said else ""))


def test_a_correction_is_not_passed_over_by_accepting(make_session, reel):
    """The command merges it into the proposal first, which takes the engine's own reading of pictures."""
    pair = reel.pairs()[1]
    for name in ("scan.exr", "prepared.exr"):
        (pair.folder / name).write_bytes(exr_header(64, 48))
    pair.update(state="prepared", prepared="prepared.exr")
    (pair.folder / "corrected.png").write_bytes(b"painted over")
    session = make_session(reel.folder)
    wait(session, lambda: session.standing.pair(2))
    session.accept(2)
    wait(session, lambda: session.notice)
    assert session.notice.startswith("Pair 2 has a correction, corrected.png,") and session.trouble
    assert f"`wetgate accept {reel.folder} --pairs 2`" in session.notice
    assert reel.pairs()[1].state == "prepared"
    (pair.folder / "corrected.png").unlink()
    session.accept(2)
    wait(session, lambda: reel.pairs()[1].state == "accepted")


def test_no_desk_refuses_in_a_sentence(make_session, reel):
    add_run(reel)
    session = make_session(reel.folder)
    wait(session, lambda: session.model)
    session.create_restore()
    assert session.notice == NoDesk.why_not


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="nothing is read-only for an administrator")
def test_a_read_only_home_is_no_trouble(make_session, reel, tmp_path):
    locked = tmp_path / "home"
    locked.mkdir(mode=0o500)
    session = make_session(reel.folder, memory=locked / "wetgate" / "panel.json")
    wait(session, lambda: session.standing.recipe)
    assert not session.trouble


def test_a_home_that_cannot_be_written_is_no_trouble(make_session, reel, tmp_path):
    (tmp_path / "file").write_text("where a folder is needed")
    session = make_session(reel.folder, memory=tmp_path / "file" / "panel.json")
    wait(session, lambda: session.standing.recipe and session.has_engine)
    assert not session.trouble


def test_a_damaged_memory_is_an_empty_one(make_session, tmp_path):
    memory = tmp_path / "panel.json"
    memory.write_text('{"restorations": 7}')
    session = make_session(memory=memory)
    wait(session, lambda: session.health == Health("ready"))
    assert session.recent == () and session.standing.folder is None


def test_strange_settings_leave_the_usual_ones(make_session, reel):
    reel.update(settings={"training": {"protect": "the sky", "time_s": "long", "hold_out": -1}})
    session = make_session(reel.folder)
    wait(session, lambda: session.standing.recipe)
    assert (session.options.protect, session.options.seconds, session.options.hold_out) == ("grain", 60.0, 0)


def test_pictures_are_drawn_once_for_the_same_pairs(make_session, tmp_path):
    reel = new_restoration(tmp_path / "bare.wetgate", 2, drawn=False)
    counted = tmp_path / "counted"
    failing = [sys.executable, "-c", f"open({str(counted)!r}, 'a').write('x'); print('{{\"error\": \"No.\"}}')"]
    session = make_session(reel.folder, command=failing)
    wait(session, lambda: session.notice)
    for _ in range(3):
        reel.update(settings={"changed": time.time()})
        before = session.standing
        session.look()
        wait(session, lambda before=before: session.standing is not before)
    assert counted.read_text() == "x" and "prepare" not in session.busy


@pytest.mark.parametrize(
    ("path", "frame", "pattern"),
    [
        ("/reels/bikes.0021.dpx", 21, "/reels/bikes.####.dpx"),
        ("/reels/v2/shot_2.2.exr", 2, "/reels/v2/shot_2.#.exr"),
        ("/reels/dvd.mov", 21, "/reels/dvd.mov"),
        ("", 1, ""),
    ],
)
def test_the_scan_is_known_from_a_pair(path, frame, pattern):
    assert pattern_of(path, frame).replace(os.sep, "/") == pattern
