"""The engine's processes: asked without waiting, told in the caller's thread, ended with their children."""

from __future__ import annotations

import os
import queue
import sys
import threading
import time

import pytest
from panel_desk import PATIENCE_S, STANDIN
from panel_stage import new_restoration

import nuke_plugin.engine
from nuke_plugin.engine import Engine, Options, Worker
from wetgate.errors import WetgateError
from wetgate.files import process_is_alive


@pytest.fixture
def calls():
    """What is delivered, to be made by the test's own thread."""
    return queue.Queue()


@pytest.fixture
def told(calls):
    """Make the calls that come until something was told; return it."""

    def wait(heard):
        give_up = time.monotonic() + PATIENCE_S
        while not heard:
            calls.get(timeout=max(0.01, give_up - time.monotonic()))()
        return heard[0]

    return wait


def python(code):
    return [sys.executable, "-c", code]


def test_a_verb_answers_in_the_callers_thread(calls, told, tmp_path):
    restoration = new_restoration(tmp_path / "reel.wetgate", 1, drawn=False, decided=False)
    heard = []
    Engine(calls.put, STANDIN).prepare(
        restoration.folder, lambda answer: heard.append((answer, threading.current_thread()))
    )
    answer, thread = told(heard)
    assert answer["folder"] == str(restoration.folder) and thread is threading.current_thread()
    assert restoration.pairs()[0].state == "accepted"


def test_a_refusal_is_the_engines_own_sentence(calls, told, tmp_path):
    heard = []
    Engine(calls.put, STANDIN).prepare(tmp_path / "nothing", failed=heard.append)
    assert told(heard) == f"There is no folder {tmp_path / 'nothing'}: make a restoration with `wetgate new`."


@pytest.mark.parametrize(
    ("command", "sentence"),
    [
        (["/no/such/wetgate"], "/no/such/wetgate cannot be started: No such file or directory."),
        (python("import sys; sys.exit('wetgate: the moon is full')"), "the moon is full."),
        (python(""), "The engine ended without an answer; run `wetgate doctor` in a terminal to see why."),
        (python("import nothing_like_it"), "ModuleNotFoundError: No module named 'nothing_like_it'."),
    ],
)
def test_an_engine_that_fails_is_one_sentence(calls, told, tmp_path, command, sentence):
    if command[0] == "/no/such/wetgate" and os.name == "nt":
        pytest.skip("Windows words it differently")
    heard = []
    Engine(calls.put, command).suggest(tmp_path, "scan", failed=heard.append)
    assert told(heard) == sentence


def test_no_engine_is_told_as_missing(calls, told, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path))
    monkeypatch.delenv("WETGATE_COMMAND", raising=False)
    heard = []
    Engine(calls.put).examine(heard.append)
    health = told(heard)
    assert health.state == "missing" and "was found neither" in health.sentence


def test_an_engine_that_works_says_where_it_trains(calls, told):
    heard = []
    Engine(calls.put, STANDIN).examine(heard.append)
    assert told(heard).device == "on the processor, 2 threads" and heard[0].state == "ready"


def test_a_broken_package_is_told_with_advice(calls, told):
    checks = [
        {"topic": "Packages", "state": "bad", "detail": "torch cannot be imported", "advice": "Install it again."},
        {"topic": "Node", "state": "bad", "detail": "not ours to say", "advice": ""},
    ]
    heard = []
    Engine(calls.put, python(f"import json; print(json.dumps({{'checks': {checks!r}}}))")).examine(heard.append)
    assert told(heard).state == "broken"
    assert heard[0].sentence == "The engine is damaged (Packages: torch cannot be imported). Install it again."


@pytest.mark.skipif(os.name == "nt", reason="signals and process groups are POSIX's")
def test_cancelling_ends_the_process_and_its_children(calls, tmp_path):
    children = tmp_path / "child"
    code = (
        "import subprocess, sys, time, pathlib\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(300)'])\n"
        f"pathlib.Path({str(children)!r}).write_text(str(child.pid))\n"
        "time.sleep(300)"
    )
    heard = []
    task = Engine(calls.put, python(code)).prepare(tmp_path, heard.append, heard.append)
    wait_for(lambda: children.exists() and children.read_text())
    task.cancel()
    wait_for(lambda: not is_running(int(children.read_text())))
    while not calls.empty():
        calls.get()()
    assert heard == []


def is_running(pid):
    """A zombie, that a container without an init keeps, has ended."""
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return process_is_alive(pid)


def wait_for(condition):
    give_up = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < give_up
        time.sleep(0.01)


def test_installing_tells_its_lines_as_they_come(calls, told, monkeypatch, tmp_path):
    bootstrap = tmp_path / "bootstrap.py"
    bootstrap.write_text(
        "import os, sys\n"
        "print('bootstrap: setting up', file=sys.stderr)\n"
        "print('Collecting torch', os.environ['WETGATE_PROGRESS'], file=sys.stderr)\n"
        "print('Wetgate is installed in', *sys.argv[1:])\n"
    )
    monkeypatch.setattr(nuke_plugin.engine, "find_bootstrap", lambda: bootstrap)
    lines, heard = [], []
    Engine(calls.put).install(lines.append, heard.append)
    assert told(heard) == "Wetgate is installed in install\n"
    assert lines == ["bootstrap: setting up", "Collecting torch 1"]


def test_an_installation_that_fails_says_why(calls, told, monkeypatch, tmp_path):
    bootstrap = tmp_path / "bootstrap.py"
    bootstrap.write_text("import sys; sys.exit('bootstrap: pip could not install what Wetgate needs.')")
    monkeypatch.setattr(nuke_plugin.engine, "find_bootstrap", lambda: bootstrap)
    heard = []
    Engine(calls.put).install(lambda line: None, failed=heard.append)
    assert told(heard) == "pip could not install what Wetgate needs."


def test_an_installation_goes_on_when_the_panel_closes(calls, monkeypatch, tmp_path):
    """As Nuke makes the panel anew when it is docked elsewhere."""
    bootstrap = tmp_path / "bootstrap.py"
    bootstrap.write_text(
        "import pathlib, sys, time\nprint('begun', file=sys.stderr)\ntime.sleep(1)\n"
        "pathlib.Path(__file__).with_name('done').touch()"
    )
    monkeypatch.setattr(nuke_plugin.engine, "find_bootstrap", lambda: bootstrap)
    engine, lines, heard = Engine(calls.put), [], []
    engine.install(lines.append, heard.append, heard.append)
    calls.get(timeout=PATIENCE_S)()
    assert lines == ["begun"]
    engine.close()
    calls.get(timeout=PATIENCE_S)()
    assert (tmp_path / "done").exists() and heard == []


def test_the_plug_in_came_with_its_set_up():
    assert nuke_plugin.engine.find_bootstrap().is_file()


def test_a_host_without_a_python_of_its_own_finds_one(monkeypatch):
    monkeypatch.setattr(nuke_plugin.engine.sys, "executable", "/opt/Nuke15.1v3/Nuke15.1")
    monkeypatch.setattr(nuke_plugin.engine.shutil, "which", lambda name: None if "Nuke" in name else f"/found/{name}")
    assert "Nuke" not in " ".join(nuke_plugin.engine.find_python())


def test_the_options_are_the_words_of_train():
    assert Options(300, "luma", 2, "cpu", "A. Artist").words() == [
        *("--time", "300s", "--protect", "luma", "--device", "cpu", "--hold-out", "2", "--operator", "A. Artist")
    ]
    with pytest.raises(WetgateError, match="the sky cannot be protected"):
        Options(protect="the sky").words()


def test_a_worker_outlives_what_goes_wrong(calls, told):
    worker, failed, done = Worker(calls.put), [], []
    worker.run(lambda: 1 / 0, done.append, failed.append)
    worker.run(lambda: "next", done.append, failed.append)
    assert told(done) == "next" and failed == ["ZeroDivisionError('division by zero')"]


def test_a_closed_worker_tells_nothing(calls):
    worker, heard, ran = Worker(calls.put), [], threading.Event()
    worker.run(ran.set, heard.append)
    assert ran.wait(PATIENCE_S)
    worker.close()
    call = calls.get(timeout=PATIENCE_S)
    call()
    assert heard == []
