"""The words on the command line, and where `install` puts things."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest


def run(bootstrap, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "bootstrap.py", *words], cwd=bootstrap.ROOT, capture_output=True, text=True)


@pytest.mark.parametrize(
    ("words", "said"),
    [(["--help"], "python3 bootstrap.py test"), (["install", "--help"], "--inference-only")],
    ids=["bootstrap", "install"],
)
def test_help(bootstrap, words, said):
    result = run(bootstrap, *words)
    assert (result.returncode, result.stderr) == (0, "")
    assert said in result.stdout


@pytest.mark.parametrize(
    "words", [[], ["restore"], ["install", "--everything"], ["install", "--cpu", "--cuda"]], ids=str
)
def test_wrong_words_end_with_2_and_usage(bootstrap, words):
    result = run(bootstrap, *words)
    assert result.returncode == 2
    assert result.stderr.startswith("usage:")


@pytest.mark.parametrize("words", [["tests/images", "-k", "dpx and not log", "-x"], ["-h"], []], ids=str)
def test_other_words_are_passed_on_in_order(bootstrap, words):
    options, passed_on = bootstrap.parse(["test", "--cpu", *words])
    assert passed_on == words
    assert options.device == "cpu"


def test_refusals_are_one_sentence_and_exit_code_1(bootstrap, monkeypatch, capsys):
    def refuse(options, passed_on):
        raise bootstrap.Refusal("No.")

    monkeypatch.setattr(bootstrap, "run_wetgate", refuse)
    assert bootstrap.main(["demo"]) == 1
    assert capsys.readouterr().err == "bootstrap: No.\n"


def test_prefix_holds_everything(bootstrap, tmp_path):
    assert bootstrap.install_places(tmp_path) == (tmp_path / "engine", tmp_path / "bin")


@pytest.mark.skipif(sys.platform != "linux", reason="folders of Linux")
def test_default_places_follow_the_platform(bootstrap, monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    assert bootstrap.install_places(None) == (tmp_path / ".local/share/wetgate/engine", tmp_path / ".local/bin")


@pytest.mark.skipif(sys.platform == "win32", reason="the launcher is a shell script elsewhere")
def test_the_launcher_runs_wetgate_from_anywhere(bootstrap, tmp_path, monkeypatch):
    """Also from a folder that holds something called wetgate, and with spaces and quotes in its own path."""
    python = tmp_path / "a user's engine" / "python"
    python.parent.mkdir()
    python.write_text('#!/bin/sh\nprintf "%s|" "$@"\n')
    python.chmod(0o755)
    launcher = bootstrap.write_launcher(str(python), tmp_path / "bin")
    result = subprocess.run([str(launcher), "apply", "two words"], stdout=subprocess.PIPE, text=True, check=True)
    assert result.stdout == "-P|-m|wetgate|apply|two words|"


def test_the_launcher_of_windows_finds_python_from_where_it_lies(bootstrap, tmp_path, monkeypatch):
    """A batch file is read in the console's code page, which may not have the letters of a user's name."""
    monkeypatch.setattr(bootstrap, "WINDOWS", True)
    home = tmp_path / "Zoë"
    launcher = bootstrap.write_launcher(str(home / "engine" / "Scripts" / "python.exe"), home / "bin")
    text = launcher.read_bytes().decode("ascii")
    assert text.replace("\\", "/") == '@"%~dp0../engine/Scripts/python.exe" -P -m wetgate %*\r\n'


def test_the_source_digest_sees_every_change(bootstrap, tmp_path, monkeypatch):
    (tmp_path / "wetgate" / "__pycache__").mkdir(parents=True)
    names = ["pyproject.toml", "README.md", "hatch_build.py", "init.py", "menu.py", "gizmos/a.gizmo"]
    names += ["nuke_plugin/a.py", "nuke_plugin/panel/a.py", "ofx/a.c", "wetgate/a.py", "wetgate/py.typed"]
    for name in names:
        Path(tmp_path, name).parent.mkdir(parents=True, exist_ok=True)
        Path(tmp_path, name).write_text(name)
    monkeypatch.setattr(bootstrap, "ROOT", tmp_path)
    seen = {bootstrap.source_digest()}
    (tmp_path / "wetgate" / "__pycache__" / "a.pyc").touch()
    assert bootstrap.source_digest() in seen
    for name in names:
        Path(tmp_path, name).write_text("changed")
        seen.add(bootstrap.source_digest())
    assert len(seen) == 1 + len(names)


@pytest.mark.parametrize("words", [[], ["-k", "help", "-n", "0"]], ids=["all", "some"])
def test_tests_run_side_by_side_unless_further_words_say_otherwise(bootstrap, monkeypatch, words):
    called = []
    monkeypatch.chdir(bootstrap.ROOT)
    monkeypatch.setattr(bootstrap, "clone_python", lambda device: sys.executable)
    monkeypatch.setattr(bootstrap, "test_in_old_host", lambda *asked: 0)
    monkeypatch.setattr(bootstrap.subprocess, "call", lambda command, **how: called.append(command) or 0)
    assert bootstrap.main(["test", *words]) == 0
    assert called[-1] == [sys.executable, "-m", "pytest", *bootstrap.SIDE_BY_SIDE, *words]
    asked = subprocess.run(
        [*called[-1], "--collect-only", "-q", Path(__file__)], cwd=bootstrap.ROOT, capture_output=True, text=True
    )
    assert asked.returncode == 0, asked.stdout + asked.stderr
