"""Which Python the environment is made with, and what is said where there is none."""

from __future__ import annotations

import glob
import os
import subprocess
import sys

import pytest


def test_the_python_that_runs_it_comes_first(bootstrap, fake_python, only_these_pythons):
    fake_python("python3.11", "3.11")
    current = fake_python("python3", "3.13")
    only_these_pythons(current)
    assert bootstrap.find_python() == str(current)


def test_an_old_python_finds_a_newer_one_on_the_path(bootstrap, fake_python, only_these_pythons):
    only_these_pythons(fake_python("python3", "3.8"))
    newer = fake_python("python3.12", "3.12")
    assert bootstrap.find_python() == str(newer)


def test_the_version_tested_most_is_preferred(bootstrap, fake_python, only_these_pythons):
    only_these_pythons(fake_python("python3", "3.8"))
    fake_python("python3.13", "3.13")
    tested_most = fake_python("python3.11", "3.11")
    assert bootstrap.find_python() == str(tested_most)


def test_pythons_in_the_usual_folders_are_found(bootstrap, fake_python, only_these_pythons, monkeypatch, tmp_path):
    only_these_pythons(fake_python("python3", "3.8"))
    versions = tmp_path / "pyenv" / "versions"
    hidden = fake_python("python", "3.12", folder=versions / "3.12.4" / "bin")
    monkeypatch.setattr(bootstrap, "usual_places", lambda version: [f"{versions}/{version}.*/bin/python"])
    assert bootstrap.find_python() == str(hidden)


def test_shims_that_start_nothing_are_passed_over(bootstrap, fake_python, only_these_pythons):
    only_these_pythons(fake_python("python3", "3.8"))
    shim = fake_python("python3.11", "3.11")
    shim.write_text("#!/bin/sh\necho 'python3.11: command not found' >&2\nexit 127\n")
    real = fake_python("python3.13", "3.13")
    assert bootstrap.find_python() == str(real)


def test_the_refusal_says_what_was_found_and_what_to_do(bootstrap, fake_python, only_these_pythons):
    old = fake_python("python3", "3.8")
    only_these_pythons(old)
    small = fake_python("python3.11", "3.11", bits=32)
    bare = fake_python("python3.12", "3.12", venv=False)
    with pytest.raises(bootstrap.Refusal) as refused:
        bootstrap.find_python()
    sentence = str(refused.value)
    assert "Wetgate needs a 64-bit Python 3.11 to 3.14" in sentence
    assert f"{old} is Python 3.8" in sentence
    assert f"{small} is a 32-bit Python" in sentence
    assert f"{bare} lacks venv" in sentence
    assert "python.org" in sentence


def test_a_real_interpreter_passes_the_probe(bootstrap):
    candidate = bootstrap.probe([sys.executable])
    assert (candidate.version, candidate.problem) == (f"{sys.version_info.major}.{sys.version_info.minor}", "")


@pytest.mark.parametrize("version", ["3.6", "3.7", "3.8", "3.9"])
def test_old_pythons_can_read_the_file(version, bootstrap):
    pyenv = os.environ.get("PYENV_ROOT", os.path.expanduser("~/.pyenv"))
    commands = [f"python{version}", *glob.glob(f"{pyenv}/versions/{version}.*/bin/python")]
    command = next((command for command in commands if bootstrap.version_of(command) == version), None)
    if command is None:
        pytest.skip(f"no Python {version} here")
    result = subprocess.run([command, "bootstrap.py", "--help"], cwd=bootstrap.ROOT, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert "python3 bootstrap.py demo" in result.stdout
