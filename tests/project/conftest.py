from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from wetgate.project import create_restoration

REPOSITORY = Path(__file__).resolve().parents[2]


class Child:
    """A Python process that runs ``code``; it prints lines when it has come somewhere."""

    def __init__(self, code: str, *arguments: object) -> None:
        environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
        self.process = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(code), *map(str, arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )
        self.pid = self.process.pid

    def read_line(self) -> str:
        line = self.process.stdout.readline()
        assert line, "the child ended early"
        return line.strip()

    def go_on(self) -> None:
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def kill(self, *, reap: bool = True) -> None:
        """SIGKILL, and come back when it is dead; without ``reap`` it stays as a zombie."""
        os.kill(self.pid, signal.SIGKILL)
        os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT)
        if reap:
            self.process.wait()

    def finish(self) -> None:
        assert self.process.wait(timeout=120) == 0


@pytest.fixture
def start():
    """Start :class:`Child` processes that end with the test."""
    children = []

    def start_child(code: str, *arguments: object) -> Child:
        children.append(Child(code, *arguments))
        return children[-1]

    yield start_child
    for child in children:
        child.process.kill()
        child.process.wait()
        child.process.stdin.close()
        child.process.stdout.close()


@pytest.fixture
def restoration(tmp_path):
    return create_restoration(tmp_path / "reel.wetgate", "color")


@pytest.fixture
def add_pair(restoration):
    """Add a pair whose pictures hold just any bytes: the folder never looks inside."""

    def add(frame=1001, **fields):
        with restoration.add_pair(frame, **fields) as draft:
            draft.scan.write_bytes(b"scan of %d" % frame)
            draft.reference.write_bytes(b"reference of %d" % frame)
        return draft.pair

    return add
