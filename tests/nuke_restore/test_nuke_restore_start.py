"""Nuke starts, whatever is missing: one line says what, and the rest of the plug-in works."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import json
import runpy
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from nuke_standin import Session
from old_python import old_python

import wetgate

ROOT = Path(__file__).resolve().parents[2]
OLD_PYTHONS = ("2.7", "3.6", "3.7", "3.8")
ENTRIES = ["Pairs", "Restore", "Add pair from Viewer", "Open panel", "Help"]


def start(session: Session, names=("init.py", "menu.py")) -> None:
    for name in names:
        runpy.run_path(str(ROOT / name))


@pytest.fixture
def engine(tmp_path, monkeypatch):
    """Makes what the plug-in takes for the engine."""

    def make(script: str) -> None:
        path = tmp_path / "wetgate"
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
        monkeypatch.setenv("WETGATE_COMMAND", str(path))

    make(f"echo wetgate {wetgate.__version__}")
    return make


@pytest.fixture
def lines(nuke_session, wait_for, capsys):
    """What a start prints, once the engine has been looked at."""

    def told() -> list[str]:
        wait_for(nuke_session)
        return capsys.readouterr().out.splitlines()

    return told


@pytest.fixture
def wait_for():
    """Let the thread that looks at the engine end, then the main thread take what it said."""

    def wait(session: Session) -> None:
        for thread in threading.enumerate():
            if thread.name == "wetgate-start":
                thread.join(60)
        session.run_main_thread()

    return wait


def entries(session, bar):
    menu = session.menus[bar].findItem("Wetgate")
    return [item._name for item in menu._items]


def test_a_good_start_says_nothing(nuke_session, engine, lines):
    start(nuke_session)
    assert lines() == [] and nuke_session.said == []
    assert entries(nuke_session, "Nodes") == entries(nuke_session, "Nuke") == ENTRIES
    assert list(nuke_session.panels) == ["org.wetgate.panel"]
    assert {Path(path) for path in nuke_session.plugin_paths} == {ROOT / "gizmos", ROOT / "nuke_plugin" / "icons"}


def test_every_entry_has_an_icon_that_is_there_a_hint_and_one_key_in_all(nuke_session, engine):
    start(nuke_session)
    menus = [nuke_session.menus[bar].findItem("Wetgate") for bar in ("Nodes", "Nuke")]
    details = [item._details for menu in menus for item in menu._items]
    for each in details:
        assert (ROOT / "nuke_plugin" / "icons" / each["icon"]).is_file() and len(each["tooltip"]) > 20
    assert sorted(each["shortcut"] for each in details if each["shortcut"]) == ["Ctrl+Alt+W"]
    assert {menu._details["icon"] for menu in menus} == {"wetgate.svg"}
    assert (ROOT / "nuke_plugin" / "icons" / "wetgate.svg").is_file()


def test_entries_make_nodes(nuke_session, engine, lines):
    start(nuke_session)
    menu = nuke_session.menus["Nodes"]
    menu.findItem("Wetgate/Restore").invoke()
    menu.findItem("Wetgate/Pairs").invoke()
    menu.findItem("Wetgate/Help").invoke()
    assert {"WetgateRestore1", "WetgatePairs1"} <= set(nuke_session.names())
    assert "Ctrl+Alt+W" in nuke_session.said[-1] and len(nuke_session.said) == 1
    importlib.import_module("nuke_plugin.applying")._follower.leave("WetgateRestore1")


def test_what_an_entry_runs_into_is_a_sentence(nuke_session, engine):
    start(nuke_session)
    nuke_session.plugin_paths.clear()
    nuke_session.menus["Nuke"].findItem("Wetgate/Restore").invoke()
    assert "Wetgate: Nuke does not know WetgateRestore" in nuke_session.said[-1]


def test_in_renders_there_are_gizmos_and_no_menus(engine, capsys):
    with Session(gui=False).installed() as session:
        start(session, ["init.py"])
        assert session.menus == {} and len(session.plugin_paths) == 2
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("change", "is_stopped"),
    [({}, True), ({"disable": True}, False), ({"model": ""}, False)],
    ids=["as it is", "disabled", "without a model"],
)
@pytest.mark.parametrize("gui", [False, True])
def test_a_render_without_the_inference_node_is_stopped(engine, wait_for, tmp_path, gui, change, is_stopped):
    with Session(gui=gui).installed() as session:
        start(session, ["init.py"])
        nuke = importlib.import_module("nuke")
        node = session.gizmo(ROOT / "gizmos" / "WetgateRestore.gizmo", session.node("Constant"))
        node.node("Restore")["model"]._value = "/films/model.onnx"
        for name, value in change.items():
            (node.node("Restore") if name == "model" else node)[name]._value = value
        write = session.node("Write", session.node("Dot", node), file=f"{tmp_path}/out.####.exr", views="main")
        for name, value in {"file_type": "exr", "channels": "rgb", "raw": True}.items():
            write[name].setValue(value)
        if is_stopped and not gui:
            with pytest.raises(RuntimeError, match="Write1 would render unrestored frames, for WetgateRestore1 has no"):
                nuke.execute(write, 1, 1)
        else:
            nuke.execute(write, 1, 1)
        assert (tmp_path / "out.0001.exr").exists() == (gui or not is_stopped)


def test_twice_on_nukes_path_is_once(nuke_session, engine, lines):
    start(nuke_session)
    callbacks = {what: len(calls) for what, calls in nuke_session._callbacks.items()}
    start(nuke_session)
    assert {what: len(calls) for what, calls in nuke_session._callbacks.items()} == callbacks
    assert lines() == []


# What may be missing


def one_line(lines, *words):
    said = lines()
    assert len(said) == 1 and said[0].startswith("Wetgate"), said
    assert all(word in said[0] for word in words), said


def test_no_engine(nuke_session, tmp_path, monkeypatch, lines):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    monkeypatch.delenv("WETGATE_COMMAND", raising=False)
    start(nuke_session)
    one_line(lines, "The command `wetgate` was found neither", "install Wetgate")
    assert entries(nuke_session, "Nuke") == ENTRIES


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("echo 'No module named numpy' >&2; exit 1", ["the engine is broken", "No module named numpy", "install it"]),
        ("exit 9", ["the engine is broken", "it ends at once"]),
        ("echo wetgate 0.0.1", ["the engine is 'wetgate 0.0.1'", wetgate.__version__]),
        ("kill -9 $$", ["the engine is broken"]),
    ],
)
def test_a_broken_engine(nuke_session, engine, lines, script, words):
    engine(script)
    start(nuke_session)
    one_line(lines, *words)


def test_an_engine_that_cannot_be_run(nuke_session, engine, lines, tmp_path):
    (tmp_path / "wetgate").write_bytes(b"\x00\x01")
    start(nuke_session)
    one_line(lines, "wetgate")


@pytest.mark.parametrize("name", ["nuke_plugin", "wetgate"])
@pytest.mark.parametrize("file", ["{}/__init__.py", "{}.py", "{}/no_init"])
def test_another_package_of_that_name(nuke_session, engine, lines, tmp_path, monkeypatch, name, file):
    ours = ("", str(ROOT)) if file == "{}/no_init" else ()
    monkeypatch.setattr(sys, "path", [str(tmp_path / "studio"), *(path for path in sys.path if path not in ours)])
    for known in [known for known in sys.modules if known.partition(".")[0] == name]:
        monkeypatch.delitem(sys.modules, known)
    path = tmp_path / "studio" / file.format(name)
    path.parent.mkdir(parents=True)
    path.touch()
    importlib.invalidate_caches()
    start(nuke_session)
    if file == "{}/no_init":  # a folder is no rival of a package, wherever it stands
        assert lines() == [] and nuke_session.menus
    else:
        one_line(lines, str(tmp_path / "studio" / name), "take it off NUKE_PATH and PYTHONPATH")
        assert nuke_session.menus == {} and nuke_session.plugin_paths == []


def test_what_nuke_calls_by_itself_tells_its_trouble_once_and_in_no_window(nuke_session, engine, lines, monkeypatch):
    start(nuke_session)
    monkeypatch.setitem(sys.modules, "nuke_plugin.applying", None)
    for _ in range(3):
        importlib.import_module("nuke").createNode("WetgateRestore")
    one_line(lines, "nuke_plugin.applying")
    assert nuke_session.said == []


def test_a_home_that_cannot_be_written(nuke_session, engine, lines, monkeypatch):
    monkeypatch.setenv("HOME", "/dev/null/home")
    start(nuke_session)
    assert lines() == [] and entries(nuke_session, "Nuke") == ENTRIES


def test_no_qt(nuke_session, engine, lines, monkeypatch):
    found = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *rest: None if name.startswith("PySide") else found(name, *rest)
    )
    start(nuke_session)
    one_line(lines, "it has no panel", "neither PySide6 nor PySide2")
    assert entries(nuke_session, "Nuke") == ENTRIES and nuke_session.panels == {}


@pytest.mark.parametrize("name", ["menu", "addKnobChanged"])
def test_one_thing_that_fails_leaves_the_others(nuke_session, engine, lines, monkeypatch, name):
    def fail(*_, **__):
        raise RuntimeError("broken in this Nuke")

    monkeypatch.setattr(sys.modules["nuke"], name, fail)
    start(nuke_session)
    one_line(lines, "broken in this Nuke")
    assert nuke_session.panels


def test_no_nuke(monkeypatch, capsys):
    for name in [name for name in sys.modules if name.partition(".")[0] == "nuke_plugin"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "nuke", None)
    start(Session())
    said = capsys.readouterr().out.splitlines()
    assert len(said) == 1 and said[0].startswith("Wetgate is not loaded: ")


@pytest.mark.parametrize("version", OLD_PYTHONS)
def test_a_python_that_is_too_old(version):
    python = old_python(version)
    if python is None:
        pytest.skip(f"NO PYTHON {version}: what an old Nuke is told is not tested with it on this machine")
    told = ""
    for name in ("init.py", "menu.py"):
        done = subprocess.run([python, "-S", ROOT / name], capture_output=True, text=True, timeout=60, check=True)
        assert done.stderr == ""
        told += done.stdout
    assert told == f"Wetgate is not loaded: it needs Nuke 14 or newer; this one has Python {version}.\n"


def test_they_are_a_few_lines_that_any_python_can_read():
    for name in ("init.py", "menu.py"):
        text = (ROOT / name).read_text(encoding="utf-8")
        assert len(text.splitlines()) < 25
        ast.parse(text, feature_version=(3, 4))


WHAT_IS_LOADED = """
import json, runpy, sys, threading, time, types
class Any:
    def __getattr__(self, name): return Any() if name[0] != "_" else object.__getattribute__(self, name)
    def __call__(self, *_, **__): return Any()
nuke, scripts, panels = (types.ModuleType(name) for name in ("nuke", "nukescripts", "nukescripts.panels"))
nuke.GUI = False
calls = "menu", "addBeforeRender", "addOnCreate", "addKnobChanged", "pluginAddPath"
for name in (*calls, "Node", "Knob", "ProgressTask"):
    setattr(nuke, name, Any())
panels.registerWidgetAsPanel = Any()
scripts.panels = panels
sys.modules.update({"nuke": nuke, "nukescripts": scripts, "nukescripts.panels": panels})
import __future__, collections, contextlib, dataclasses, typing, subprocess, importlib.util  # Nuke's own start has them
threading.Thread.start = lambda self: None  # what it does, it does beside the start
before, began = set(sys.modules), time.perf_counter()
for name in ("init.py", "menu.py"):
    runpy.run_path(sys.argv[1] + "/" + name)
took = time.perf_counter() - began
print(json.dumps([sorted(set(sys.modules) - before), round(took * 1000, 1)]))
"""


def test_a_start_loads_next_to_nothing(record_property):
    words = [sys.executable, "-I", "-c", WHAT_IS_LOADED, str(ROOT)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.count("\n") == 1, done.stdout
    loaded, milliseconds = json.loads(done.stdout)
    record_property("milliseconds", milliseconds)
    print(f"a start takes {milliseconds} ms: {loaded}")
    ours = {name for name in loaded if name.startswith(("nuke_plugin", "wetgate", "PySide"))}
    assert ours == {"nuke_plugin", "nuke_plugin.host", "nuke_plugin.starting", "wetgate", "wetgate.errors"}
    assert len(loaded) < 12
