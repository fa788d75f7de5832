"""`wetgate node`: where the bundle goes, how the server is started from it, what the shell is told."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import wetgate
from wetgate.cli import doctor
from wetgate.cli.main import main
from wetgate.errors import WetgateError
from wetgate.node import install
from wetgate.node.build import BUNDLE, FACTS_FILE, binary_in, own_platform

posix = pytest.mark.skipif(sys.platform == "win32", reason="a shell of POSIX")


@pytest.fixture
def folder(tmp_path) -> Path:
    return tmp_path / "an artist's plug-ins"


@pytest.fixture
def nowhere_else(monkeypatch, tmp_path) -> None:
    """Hide what is installed on this machine."""
    monkeypatch.setattr(install, "standard_folder", lambda: tmp_path / "standard")
    monkeypatch.setattr(install, "default_folder", lambda: tmp_path / "own")
    monkeypatch.delenv("OFX_PLUGIN_PATH", raising=False)


def test_the_noted_command_starts_this_wetgate_from_anywhere(folder):
    """As a host would: another folder, none of the variables of this shell."""
    bundle = install.install(folder)
    lines = (bundle / "Contents" / "Resources" / "wetgate-command.txt").read_text(encoding="utf-8").splitlines()
    assert len(lines) == 1
    assert Path(lines[0]).is_absolute()
    result = subprocess.run([lines[0], "--version"], cwd="/", env={}, capture_output=True, text=True, timeout=60)
    assert result.stdout == f"wetgate {wetgate.__version__}\n", result.stderr


def test_pips_own_command_is_taken_where_there_is_one(folder, monkeypatch, tmp_path):
    command = tmp_path / "scripts" / ("wetgate.exe" if sys.platform == "win32" else "wetgate")
    command.parent.mkdir()
    command.touch()
    monkeypatch.setattr(install.sysconfig, "get_path", lambda name: str(tmp_path / name))
    bundle = install.install(folder)
    assert install.noted_command(bundle) == str(command)
    assert not (bundle / "Contents" / "Resources" / "wetgate").exists()


def test_an_older_bundle_is_replaced_whole(folder):
    (folder / BUNDLE / "Contents" / "Win32").mkdir(parents=True)
    bundle = install.install(folder)
    assert binary_in(bundle, own_platform()).exists()
    assert not (bundle / "Contents" / "Win32").exists()
    assert os.listdir(folder) == [BUNDLE]


def test_a_full_disk_leaves_the_older_bundle(folder, monkeypatch):
    def fail(*_):
        raise OSError(28, "No space left on device")

    (folder / BUNDLE / "Contents" / "Win32").mkdir(parents=True)
    monkeypatch.setattr(shutil, "copytree", fail)
    with pytest.raises(WetgateError, match="The disk is full"):
        install.install(folder)
    assert os.listdir(folder) == [BUNDLE]
    assert (folder / BUNDLE / "Contents" / "Win32").exists()


def test_a_folder_that_cannot_be_is_a_sentence(tmp_path, capsys):
    (tmp_path / "file").touch()
    assert main(["node", "install", "--folder", str(tmp_path / "file")]) == 1
    assert "a file stands where a folder is needed" in capsys.readouterr().err


@posix
@pytest.mark.parametrize("before", [None, "", "/studio/plugins"], ids=str)
def test_the_shell_takes_the_line_of_path(folder, capsys, before):
    (folder / BUNDLE).mkdir(parents=True)
    assert main(["node", "path", "--folder", str(folder)]) == 0
    line = capsys.readouterr().out
    environment = {} if before is None else {"OFX_PLUGIN_PATH": before}
    shown = subprocess.run(
        ["sh", "-c", 'eval "$0"; printf %s "$OFX_PLUGIN_PATH"', line], env=environment, capture_output=True, text=True
    ).stdout
    assert shown == (f"{folder}:{before}" if before else str(folder))


def test_the_line_for_windows(monkeypatch):
    monkeypatch.setattr(install, "WINDOWS", True)
    line = install.search_path_line(Path("plugins"))
    assert line == 'set "OFX_PLUGIN_PATH=plugins;%OFX_PLUGIN_PATH%"'


def test_path_without_a_node_says_what_to_do(folder, capsys):
    assert main(["node", "path", "--folder", str(folder)]) == 1
    assert "run `wetgate node install` first" in capsys.readouterr().err


@pytest.mark.parametrize("words", [["node", "--json", "install"], ["node", "install", "--json"]], ids="-".join)
def test_json(folder, capsys, words):
    assert main([*words, "--folder", str(folder)]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["bundle"] == str(folder / BUNDLE)
    assert Path(result["command"]).exists()
    assert result["path"] == install.search_path_line(folder)


@pytest.mark.parametrize("words", [["node"], ["node", "build", "--platform", "amiga"], ["node", "remove"]], ids=str)
def test_wrong_words_end_with_2(words, capsys):
    assert main(words) == 2


def test_doctor_without_a_node(nowhere_else):
    assert [finding[0] for finding in doctor.check_node()] == [doctor.NOTE]


def test_doctor_loads_what_is_installed(nowhere_else, folder, monkeypatch):
    install.install(folder)
    monkeypatch.setenv("OFX_PLUGIN_PATH", os.pathsep.join(["", str(folder)]))
    ((state, detail, *_),) = doctor.check_node()
    assert (state, detail.split()[0]) == (doctor.OK, "org.wetgate.restore_v1")


def test_doctor_sees_a_binary_that_does_not_load(nowhere_else, tmp_path):
    bundle = install.install(tmp_path / "own")
    binary_in(bundle, own_platform()).write_bytes(b"\x7fELF and nothing more")
    ((state, detail, *_),) = doctor.check_node()
    assert (state, "cannot be loaded" in detail) == (doctor.BAD, True)


def test_doctor_sees_a_command_that_is_gone(nowhere_else, tmp_path):
    bundle = install.install(tmp_path / "standard")
    (bundle / install.COMMAND_FILE).write_text("/gone/wetgate\n")
    ((state, detail, *_),) = doctor.check_node()
    assert (state, "/gone/wetgate" in detail) == (doctor.NOTE, True)


def test_doctor_sees_a_bundle_of_another_version(nowhere_else, tmp_path):
    bundle = install.install(tmp_path / "standard")
    (bundle / FACTS_FILE).write_text('{"version": "0.0.9"}')
    ((state, detail, *_),) = doctor.check_node()
    assert (state, "is of Wetgate 0.0.9" in detail) == (doctor.NOTE, True)
