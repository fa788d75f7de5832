from __future__ import annotations

import fcntl
import json
import os
import signal
import time

import pytest

from wetgate.errors import WetgateError
from wetgate.project import Run


@pytest.fixture
def run(restoration):
    return restoration.new_run({"steps": 100, "recipe": "color"})


def test_runs_are_numbered_and_keep_their_settings(restoration, run):
    second = restoration.new_run({"seed": 7})
    assert [found.number for found in restoration.runs()] == [1, 2]
    assert restoration.latest_run().folder == second.folder == restoration.folder / "runs" / "002"
    assert restoration.latest_run().settings == {"seed": 7}
    assert run.previews.is_dir() and not run.model.exists()


def test_processes_that_start_runs_at_once_get_different_ones(restoration, start):
    code = """
        import sys
        from wetgate.project import open_restoration
        restoration = open_restoration(sys.argv[1])
        print("ready", flush=True); sys.stdin.readline()
        for index in range(10):
            restoration.new_run({"by": sys.argv[2]})
    """
    children = [start(code, restoration.folder, name) for name in "ab"]
    for child in children:
        child.read_line()
    for child in children:
        child.go_on()
    for child in children:
        child.finish()
    runs = restoration.runs()
    assert [run.number for run in runs] == list(range(1, 21))
    assert sorted(run.settings["by"] for run in runs) == ["a"] * 10 + ["b"] * 10


def test_a_folder_that_is_no_run_says_so(restoration):
    with pytest.raises(WetgateError, match=r"settings\.json is missing"):
        Run(restoration.folder)


# Events


def test_events_come_back_in_order_with_their_time(run):
    assert run.events() == ([], 0)
    run.emit({"kind": "step", "step": 1, "loss": 0.5})
    first, offset = run.events()
    run.emit({"kind": "note", "text": "Öl auf Film\nzweite Zeile"})
    run.emit({"kind": "step", "loss": float("nan"), "worst": [float("inf"), 1.0]})
    later, end = run.events(offset)
    assert [event["kind"] for event in first] == ["step"] and first[0]["time"] > 1e9
    assert later[0]["text"] == "Öl auf Film\nzweite Zeile"
    assert later[1]["loss"] is None and later[1]["worst"] == [None, 1.0]
    assert end == (run.folder / "events.jsonl").stat().st_size
    assert run.events(end) == ([], end)


def test_numbers_of_other_libraries_are_written_as_numbers(run):
    np = pytest.importorskip("numpy")
    run.emit({"loss": np.float32(0.5)})
    assert run.events()[0][0]["loss"] == 0.5


def test_a_line_that_is_still_being_written_is_left_for_next_time(run):
    run.emit({"step": 1})
    path = run.folder / "events.jsonl"
    with path.open("ab") as stream:
        stream.write(b'{"step": 2, "lo')
        stream.flush()
        events, offset = run.events()
        assert [event["step"] for event in events] == [1]
        stream.write(b'ss": 0.5}\n')
    assert run.events(offset)[0] == [{"step": 2, "loss": 0.5}]


def test_a_torn_line_costs_only_itself(run):
    run.emit({"step": 1})
    run.emit({"step": 2})
    path = run.folder / "events.jsonl"
    os.truncate(path, path.stat().st_size - 5)
    successor = Run(run.folder)
    successor.emit({"step": 3})
    successor.emit({"step": 4})
    assert [event["step"] for event in run.events()[0]] == [1, 3, 4]


def test_no_event_is_lost_or_torn_by_sigkill(run, start):
    code = """
        import sys
        from wetgate.project import Run
        run = Run(sys.argv[1])
        number = int(sys.argv[2])
        while True:
            run.emit({"number": number, "padding": "x" * (number % 3000)})
            run.write_status({"state": "training", "number": number})
            number += 1
            if number % 5 == 0:
                print(number, flush=True)
    """
    expected = 0
    for _ in range(5):
        child = start(code, run.folder, expected)
        told = int(child.read_line())
        child.kill()
        numbers = [event["number"] for event in run.events()[0]]
        assert numbers == list(range(len(numbers)))
        assert len(numbers) >= told
        assert run.status()["number"] <= numbers[-1]
        expected = len(numbers)


def test_status_is_never_seen_torn(run, start):
    assert run.status() == {}
    code = """
        import sys
        from wetgate.project import Run
        run = Run(sys.argv[1])
        for number in range(150):
            run.write_status({"number": number, "padding": "x" * (number * 37 % 5000), "loss": float("nan")})
            if number == 0:
                print("ready", flush=True)
    """
    child = start(code, run.folder)
    child.read_line()
    seen = []
    while child.process.poll() is None:
        status = run.status()
        assert status["loss"] is None and len(status["padding"]) == status["number"] * 37 % 5000
        seen.append(status["number"])
    assert seen == sorted(seen) and run.status()["number"] == 149


def test_a_damaged_status_is_no_reason_to_fail(run):
    (run.folder / "status.json").write_bytes(b'{"sta')
    assert run.status() == {}


# The lock

WORK = """
    import os, sys, time
    from wetgate.project import Run
    run = Run(sys.argv[1])
    with run.lock():
        if "status" in sys.argv:
            run.write_status({"state": "training", "step": 3})
        if "fork" in sys.argv:
            ready, tell = os.pipe()
            if os.fork() == 0:
                os.write(tell, b"1")
                time.sleep(600)
            os.read(ready, 1)
        print("working", flush=True)
        if "end" in sys.argv:
            sys.stdin.readline()
            run.write_status({"state": "finished"})
        else:
            time.sleep(600)
"""


def test_one_process_works_on_a_run(run, start):
    assert not run.is_alive()
    worker = start(WORK, run.folder, "end")
    worker.read_line()
    assert run.is_alive()
    assert run.owner()["pid"] == worker.pid
    with pytest.raises(WetgateError, match=rf"001 is already being worked on by process {worker.pid}"), run.lock():
        pass
    worker.go_on()
    worker.finish()
    assert not run.is_alive() and run.owner() == {}
    with run.lock():
        assert run.is_alive()
        with pytest.raises(WetgateError, match=f"process {os.getpid()}"), Run(run.folder).lock():
            pass
    assert not run.is_alive()


@pytest.mark.parametrize("reap", [True, False], ids=["reaped", "zombie"])
@pytest.mark.parametrize("words", [[], ["fork"]], ids=["alone", "with a worker that lives on"])
def test_a_killed_worker_is_dead_at_once_and_blocks_nobody(run, start, reap, words):
    worker = start(WORK, run.folder, "status", *words)
    worker.read_line()
    assert run.is_alive() and run.state == "training"
    children = _children_of(worker.pid)
    try:
        worker.kill(reap=reap)
        assert not run.is_alive()
        assert run.state == "interrupted"
        assert run.owner()["pid"] == worker.pid
        with run.lock():
            assert run.is_alive()
    finally:
        for child in children:
            os.kill(child, signal.SIGKILL)


def _children_of(pid):
    path = f"/proc/{pid}/task/{pid}/children"
    if not os.path.exists(path):
        return []
    with open(path) as stream:
        return [int(word) for word in stream.read().split()]


def test_a_worker_waits_for_an_onlooker_to_look_away(run, monkeypatch):
    looking = os.open(run.folder / "lock", os.O_RDONLY | os.O_CREAT)
    fcntl.flock(looking, fcntl.LOCK_SH)
    monkeypatch.setattr(time, "sleep", lambda _: fcntl.flock(looking, fcntl.LOCK_UN))
    with run.lock():
        assert run.is_alive()
    os.close(looking)


def test_onlookers_never_keep_a_worker_out(run, start):
    code = """
        import sys
        from wetgate.project import Run
        run = Run(sys.argv[1])
        print("looking", flush=True)
        while True:
            run.is_alive()
    """
    for onlooker in [start(code, run.folder) for _ in range(2)]:
        onlooker.read_line()
    for _ in range(100):
        with run.lock():
            pass


def test_the_state_in_one_word(run):
    assert run.state == "waiting"
    with run.lock():
        assert run.state == "preparing"
        run.write_status({"state": "training"})
        assert run.state == "training"
    assert run.state == "interrupted"
    run.write_status({"state": "finished"})
    assert run.state == "finished"


def test_a_run_on_another_machine_lives_by_its_status(run):
    (run.folder / "lock").write_text(json.dumps({"pid": 1, "started": "x", "host": "another"}))
    run.write_status({"state": "training"})
    assert run.is_alive()
    with pytest.raises(WetgateError, match="process 1 on another"), run.lock():
        pass
    old = time.time() - 3600
    os.utime(run.folder / "status.json", (old, old))
    assert not run.is_alive()
    with run.lock():
        assert run.owner()["pid"] == os.getpid()


@pytest.mark.parametrize("content", [b"", b'{"pid": 12', b"[]", b"\xff"])
def test_a_torn_lock_file_blocks_nobody(run, content):
    (run.folder / "lock").write_bytes(content)
    assert not run.is_alive()
    with run.lock():
        assert run.is_alive()


def test_temporary_files_of_a_killed_worker_are_swept(run, start):
    begin = """
        import sys
        from wetgate.files import atomic_path
        with atomic_path(sys.argv[1]) as temporary:
            temporary.write_bytes(b"x")
            print("begun", flush=True)
            sys.stdin.readline()
    """
    dead, live = start(begin, run.folder / "model.onnx"), start(begin, run.folder / "report.html")
    dead.read_line()
    live.read_line()
    dead.kill()
    with run.lock():
        assert [path.suffix for path in run.folder.glob(".*.wetgate-*")] == [".html"]


# Commands


def test_commands_are_taken_once_and_in_order(run):
    for command in ("pause", "resume", "checkpoint", "pause", "pause"):
        run.send(command)
    assert run.take_commands() == ["resume", "checkpoint", "pause"]
    assert run.take_commands() == []


def test_a_touched_file_is_a_command_and_others_are_not(run):
    (run.folder / "commands" / "stop").touch()
    (run.folder / "commands" / ".DS_Store").touch()
    assert run.take_commands() == ["stop"]


def test_unknown_commands_are_refused(run):
    with pytest.raises(WetgateError, match=r"no command 'halt'.*stop"):
        run.send("halt")


def test_a_command_for_a_killed_predecessor_is_dropped_but_a_fresh_one_is_kept(run):
    run.send("stop")
    run.send("pause")
    long_ago = time.time() - 86400
    os.utime(run.folder / "commands" / "stop", (long_ago, long_ago))
    with run.lock():
        assert run.take_commands() == ["pause"]


def test_commands_reach_another_process(run, start):
    code = """
        import sys
        from wetgate.project import Run
        run, taken = Run(sys.argv[1]), []
        print("working", flush=True)
        while "stop" not in taken:
            taken += run.take_commands()
        print(" ".join(taken), flush=True)
    """
    child = start(code, run.folder)
    child.read_line()
    run.send("checkpoint")
    run.send("stop")
    assert child.read_line().split()[-1] == "stop"
    child.finish()
