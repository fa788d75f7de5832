from __future__ import annotations

import json
import os
import subprocess
import sys
import time

import pytest

from wetgate.errors import WetgateError
from wetgate.project import process_start, start_detached


def until(condition):
    """Wait for another process to come somewhere; the test's own timeout ends it otherwise."""
    while not condition():
        time.sleep(0.005)


def content_of(path):
    return path.read_text() if path.exists() else ""


REPORT = """
import json, os, sys
sys.stderr.write("a warning\\n"); sys.stderr.flush()
told = {"pid": os.getpid(), "session": os.getsid(0), "input": sys.stdin.read(), "environment": dict(os.environ)}
print(json.dumps(told))
"""


def test_a_detached_process_is_on_its_own(tmp_path, monkeypatch):
    for name in ("PYTHONHOME", "PYTHONPATH", "PYTHONEXECUTABLE", "PYTHONSTARTUP", "LD_LIBRARY_PATH"):
        monkeypatch.setenv(name, "/of/the/host")
    monkeypatch.setenv("WETGATE_KEPT", "yes")
    log = tmp_path / "new" / "log.txt"
    pid = start_detached([sys.executable, "-c", REPORT], log)
    until(lambda: content_of(log).endswith("}\n"))
    warning, report = log.read_text().splitlines()
    told = json.loads(report)
    assert warning == "a warning"
    assert told["pid"] == told["session"] == pid
    assert told["input"] == ""
    assert told["environment"]["WETGATE_KEPT"] == "yes"
    assert "/of/the/host" not in told["environment"].values()


def test_the_log_is_appended_to(tmp_path):
    log = tmp_path / "log.txt"
    log.write_text("before\n")
    start_detached([sys.executable, "-c", "print('after')"], log)
    until(lambda: "after" in content_of(log))
    assert log.read_text() == "before\nafter\n"


def test_it_is_reaped_when_it_ends(tmp_path):
    pid = start_detached([sys.executable, "-c", "pass"], tmp_path / "log.txt")

    def is_gone():
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        return False

    until(is_gone)
    assert process_start(pid) is None


def test_it_outlives_the_process_that_started_it(tmp_path, start):
    code = """
        import sys, time
        from wetgate.project import start_detached
        work = "import sys, time; print('working', flush=True); time.sleep(600)"
        print(start_detached([sys.executable, "-c", work], sys.argv[1]), flush=True)
        time.sleep(600)
    """
    log = tmp_path / "log.txt"
    starter = start(code, log)
    pid = int(starter.read_line())
    try:
        until(lambda: "working" in content_of(log))
        before = process_start(pid)
        starter.kill()
        assert before is not None and process_start(pid) == before
    finally:
        os.kill(pid, 9)


def test_a_zombie_counts_as_gone():
    process = subprocess.Popen([sys.executable, "-c", "pass"])
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    os.kill(process.pid, 0)
    assert process_start(process.pid) is None
    process.wait()


def test_a_process_is_known_by_its_start(tmp_path):
    program = tmp_path / "we) ird S ("
    program.symlink_to(sys.executable)
    processes = [subprocess.Popen([program, "-c", "input()"], stdin=subprocess.PIPE) for _ in range(2)]
    starts = [process_start(process.pid) for process in processes]
    assert None not in starts
    assert starts == [process_start(process.pid) for process in processes]
    assert process_start(os.getpid()) not in starts
    for process in processes:
        process.communicate(b"\n")


def test_a_program_or_log_that_cannot_be_opened_gives_a_sentence(tmp_path):
    with pytest.raises(WetgateError, match="no-such-program cannot be started"):
        start_detached([str(tmp_path / "no-such-program")], tmp_path / "log.txt")
    with pytest.raises(WetgateError, match="cannot be written"):
        start_detached([sys.executable], tmp_path)
