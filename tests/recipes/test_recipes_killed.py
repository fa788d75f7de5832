"""`wetgate train` killed by SIGKILL at random moments comes to the file of an undisturbed run."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time

import pytest

from wetgate.onnx_model import open_model
from wetgate.project import open_restoration

pytestmark = pytest.mark.skipif(os.name == "nt", reason="SIGKILL and fork are not known there")

KILLS = 10
STEPS = 150

NURSERY = """
import json, os, sys
import cv2, numpy, onnx, torch, OpenImageIO  # what takes seconds to load; nothing of ours
for line in sys.stdin:
    child = os.fork()
    if child == 0:
        from wetgate.recipes import work
        work.CHECKPOINT_S, work.STATUS_S = 0.1, 0.05
        from wetgate.cli.main import main
        os._exit(main(json.loads(line)))
    print(child, flush=True)
    print(os.waitpid(child, 0)[1], flush=True)
"""


class Nursery:
    """Forks trainers from a process in which torch is loaded already; they save themselves ten times a second."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", NURSERY],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def start(self, *words: object) -> int:
        self.process.stdin.write(json.dumps([*map(str, words), "--json"]) + "\n")
        self.process.stdin.flush()
        return self._number()

    def ended(self) -> int:
        """Wait for the trainer; its exit code, negative for a signal."""
        return os.waitstatus_to_exitcode(self._number())

    def _number(self) -> int:
        while True:
            line = self.process.stdout.readline()
            assert line, "the nursery died"
            if not line.startswith("{"):
                return int(line)

    def close(self) -> None:
        self.process.stdin.close()
        self.process.wait(60)


@pytest.fixture
def nursery():
    nursery = Nursery()
    yield nursery
    nursery.close()


def is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


def events_so_far(reel) -> int:
    return sum(path.read_bytes().count(b"\n") for path in reel.glob("runs/*/events.jsonl"))


def wait_for_events(process, reel, count) -> None:
    give_up = time.monotonic() + 60
    while is_running(process) and events_so_far(reel) < count and time.monotonic() < give_up:
        time.sleep(0.002)


def check_no_step_was_lost(events) -> None:
    """Each start that trains goes on from the last checkpoint that was noted, or a later one."""
    last, must_resume = (0, 0), False
    for event in events:
        if event["event"] == "pairs":
            must_resume = last > (0, 0)
        elif event["event"] in ("resumed", "checkpoint", "step"):
            assert event["event"] == "resumed" or not must_resume
            must_resume = False
            here = (event["job"], event["step"])
            assert here >= last
            if event["event"] == "checkpoint":
                last = here


def test_ten_kills_and_the_same_file(reel, tmp_path, nursery):
    undisturbed = shutil.copytree(reel, tmp_path / "undisturbed.wetgate")
    nursery.start("train", undisturbed, "--steps", STEPS, "--seed", "4", "--device", "cpu")
    assert nursery.ended() == 0
    moments = random.Random(1)
    kills, words = 0, ["train", reel, "--steps", STEPS, "--seed", "4", "--device", "cpu"]
    while kills < KILLS:
        before = events_so_far(reel)
        process = nursery.start(*words)
        wait_for_events(process, reel, before + moments.randint(0, 8))
        for _ in range(moments.randint(0, 2000)):
            os.sched_yield()
        os.kill(process, signal.SIGKILL)
        assert nursery.ended() == -signal.SIGKILL, "it was done before it was killed: more steps"
        kills += 1
        runs = open_restoration(reel).runs()
        if runs:
            words = ["train", reel, "--resume"]
            assert runs[0].state in ("waiting", "interrupted")
            if runs[0].model.exists():
                assert open_model(runs[0].model).card.recipe == "color"
    nursery.start(*words)
    assert nursery.ended() == 0
    run, whole = (open_restoration(folder).latest_run() for folder in (reel, undisturbed))
    assert run.number == 1
    assert run.state == "finished"
    events = run.events()[0]
    assert events_so_far(reel) >= len(events)
    assert any(event["event"] == "resumed" for event in events)
    check_no_step_was_lost(events)
    for name in ("model.onnx", "model_fp16.onnx"):
        assert (run.folder / name).read_bytes() == (whole.folder / name).read_bytes()
    present, expected = (
        {path.name.partition("-")[0] for path in r.folder.rglob("*") if path.is_file()} for r in (run, whole)
    )
    assert present == expected
    assert [path for path in reel.rglob("*wetgate-*") if path.is_file()] == []
    assert len(list(run.folder.glob("checkpoint-*"))) == 2
