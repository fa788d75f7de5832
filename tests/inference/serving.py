"""The real inference server as a process of its own, and what it holds."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from wetgate.service import Client, Places, connect

REPOSITORY = Path(__file__).resolve().parents[2]


def until(condition, what, patience_s=60.0):
    """Wait for another process to come somewhere."""
    give_up = time.monotonic() + patience_s
    while not condition():
        assert time.monotonic() < give_up, f"never came: {what}"
        time.sleep(0.01)


class ServerProcess:
    """`wetgate serve` in places of its own, below a folder that is open to all, as /tmp is."""

    def __init__(self) -> None:
        self.parent = Path(tempfile.mkdtemp(prefix="wetgate-test-"))  # pytest's are too long for a socket
        self.parent.chmod(0o1777)
        self.places = Places(self.parent / "run")
        self.process = None

    def start(self) -> None:
        """Come back when it answers."""
        environment = {**os.environ, "WETGATE_RUNTIME": str(self.places.folder), "PYTHONPATH": str(REPOSITORY)}
        self.process = subprocess.Popen([sys.executable, "-m", "wetgate", "serve"], env=environment)
        until(lambda: self.places.socket.exists(), "a server that listens")
        self.connect().close()

    def connect(self) -> Client:
        return connect(start=False, places=self.places, patience_s=60)

    def close(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
        shutil.rmtree(self.parent)

    def open_files(self) -> list[str]:
        """What its descriptors are; sockets and pipes without their numbers, and without what onnxruntime notes."""
        found = []
        for entry in os.scandir(f"/proc/{self.process.pid}/fd"):
            try:
                found.append(os.readlink(entry.path).partition(":[")[0])
            except FileNotFoundError:
                continue  # closed meanwhile
        return sorted(name for name in found if "/.onnxruntime/" not in name)

    def is_alone(self) -> bool:
        """Whether every connection is over: it has one socket, on which it listens."""
        return self.open_files().count("socket") == 1

    def mapped_memories(self) -> int:
        """How much shared memory it maps, in pieces."""
        return Path(f"/proc/{self.process.pid}/maps").read_text().count("/memfd:")

    def log(self) -> str:
        return self.places.log.read_text()
