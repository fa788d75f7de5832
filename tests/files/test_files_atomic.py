"""Files whole or not there, whoever else writes, reads, is killed or pulls the plug."""

from __future__ import annotations

import itertools
import os
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from wetgate import files
from wetgate.errors import WetgateError
from wetgate.files import atomic_path, sweep_temporaries, write_bytes, write_json

ROOT = Path(__file__).parents[2]

WORKER = """
import os, socket, sys
target, host, end = sys.argv[1:]
if host:
    socket.gethostname = lambda: host
    os.getpid = lambda: 4194303  # as many machines, no process of this one
from wetgate.files import atomic_path
with atomic_path(target) as temporary:
    temporary.write_bytes(b"half")
    print(temporary.name, flush=True)
    sys.stdin.readline()
    if end == "killed":
        os._exit(1)
"""


@pytest.fixture
def worker():
    """Start a process that has begun to write ``target``; its ``temporary`` is the hidden file's name."""
    started = []

    def start(target: Path, host: str = "", end: str = "killed") -> subprocess.Popen[str]:
        words = [sys.executable, "-c", WORKER, str(target), host, end]
        process = subprocess.Popen(words, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        started.append(process)
        process.temporary = process.stdout.readline().strip()
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_the_target_appears_at_the_end_and_the_suffix_is_known_before(tmp_path):
    target = tmp_path / "shot.0001.exr"
    with atomic_path(target) as temporary:
        temporary.write_bytes(b"new")
        assert temporary.suffix == ".exr" and temporary.name.startswith(".") and not target.exists()
    assert target.read_bytes() == b"new"
    assert names(tmp_path) == ["shot.0001.exr"]


def test_a_failure_leaves_the_old_file_and_no_other(tmp_path):
    target = tmp_path / "model.onnx"
    write_bytes(target, b"old")
    with pytest.raises(ZeroDivisionError), atomic_path(target) as temporary:
        temporary.write_bytes(b"new")
        raise ZeroDivisionError
    assert target.read_bytes() == b"old"
    assert names(tmp_path) == ["model.onnx"]


def test_a_folder_that_is_not_there_is_named(tmp_path):
    with pytest.raises(WetgateError, match="gone"):
        write_json(tmp_path / "gone" / "a.json", {})


def test_threads_that_write_one_file_do_not_meet(tmp_path):
    target, together = tmp_path / "a.bin", threading.Barrier(8)
    contents = [bytes([index]) * 10000 for index in range(8)]

    def write(content: bytes) -> None:
        with atomic_path(target) as temporary:
            together.wait(30)
            temporary.write_bytes(content)
            together.wait(30)
            assert temporary.read_bytes() == content
            done.append(content)

    done: list[bytes] = []
    threads = [threading.Thread(target=write, args=(content,)) for content in contents]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(done) == contents
    assert target.read_bytes() in contents
    assert names(tmp_path) == ["a.bin"]


def test_machines_that_write_one_file_do_not_meet_even_with_equal_process_numbers(tmp_path, worker):
    target = tmp_path / "a.exr"
    first, second = worker(target, "farm-07", "well"), worker(target, "farm-08", "well")
    assert names(tmp_path) == sorted({first.temporary, second.temporary})
    for process in (first, second):
        process.communicate("\n")
        assert process.returncode == 0
    assert names(tmp_path) == ["a.exr"]


@pytest.mark.parametrize("name", ["shot.0001.exr", "checkpoint", ".hidden.json", "odd.", "röhre 3.tif"])
def test_what_a_killed_process_left_is_swept_once_it_is_gone(tmp_path, worker, name):
    process = worker(tmp_path / name)
    assert sweep_temporaries(tmp_path) == []
    process.communicate("\n")
    assert names(tmp_path) == [process.temporary]
    assert sweep_temporaries(tmp_path) == [tmp_path / process.temporary]
    assert names(tmp_path) == []


def test_what_another_machine_writes_is_left_alone(tmp_path, worker):
    worker(tmp_path / "a.exr", "another.machine").communicate("\n")
    left = names(tmp_path)
    assert len(left) == 1
    assert sweep_temporaries(tmp_path) == []
    assert names(tmp_path) == left


def test_only_temporaries_are_swept(tmp_path, worker):
    process = worker(tmp_path / "a.exr")
    process.communicate("\n")
    for name in ("a.exr", ".a.exr", ".a.wetgate-1.exr", process.temporary[1:], process.temporary + ".bak.1"):
        (tmp_path / name).touch()
    kept = [name for name in names(tmp_path) if name != process.temporary]
    sweep_temporaries(tmp_path)
    assert names(tmp_path) == kept
    assert sweep_temporaries(tmp_path / "gone") == []


@pytest.fixture
def synced(monkeypatch):
    """Whether each thing that is synced is a folder."""
    real, seen = os.fsync, []

    def fsync(descriptor: int) -> None:
        seen.append(stat.S_ISDIR(os.fstat(descriptor).st_mode))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    return seen


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such call for folders")
def test_a_file_is_on_the_disk_before_its_name_and_the_name_before_the_end(tmp_path, synced):
    write_bytes(tmp_path / "model.onnx", b"weights")
    assert synced == [False, True]


def test_small_files_that_are_written_often_do_not_wait_for_the_folder(tmp_path, synced):
    write_json(tmp_path / "status.json", {"step": 1})
    assert synced == [False]


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such call for folders")
def test_a_disk_that_cannot_sync_folders_is_written_all_the_same(tmp_path, monkeypatch):
    real = os.fsync

    def fsync(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(22, "Invalid argument")
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    write_bytes(tmp_path / "a", b"a")
    assert names(tmp_path) == ["a"]


@pytest.fixture
def windows_with_reader(monkeypatch):
    """Windows, where a file that someone reads cannot be replaced; ``left`` says how often that is so yet."""
    real, state = os.replace, {"left": 0}

    def replace(source, target) -> None:
        if state["left"]:
            state["left"] -= 1
            raise PermissionError(13, "Access is denied")
        real(source, target)

    monkeypatch.setattr(files, "_WINDOWS", True)
    monkeypatch.setattr(os, "replace", replace)
    monkeypatch.setattr(files.time, "sleep", lambda seconds: None)
    return state


def test_on_windows_a_reader_is_waited_for(tmp_path, windows_with_reader):
    windows_with_reader["left"] = 3
    write_bytes(tmp_path / "a", b"new")
    assert (tmp_path / "a").read_bytes() == b"new"


def test_on_windows_a_reader_that_stays_is_a_sentence_and_the_old_file_too(tmp_path, windows_with_reader, monkeypatch):
    write_bytes(tmp_path / "a", b"old")
    windows_with_reader["left"] = 1 << 30
    seconds = itertools.count()
    monkeypatch.setattr(files.time, "monotonic", lambda: next(seconds))
    with pytest.raises(WetgateError, match=r"a cannot be written \(permission denied\)"):
        write_bytes(tmp_path / "a", b"new")
    assert (tmp_path / "a").read_bytes() == b"old"
    assert names(tmp_path) == ["a"]
