"""A real inference server in a process of its own, at places of its own, and pictures for it."""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from wetgate.errors import WetgateError
from wetgate.project.locks import is_locked
from wetgate.service.client import Client, connect
from wetgate.service.layout import lay_out
from wetgate.service.places import Places

PATIENCE_S = 60.0


def until(true: Callable[[], bool]) -> None:
    """Wait for something that will come; a test that waits in vain fails."""
    give_up = time.monotonic() + PATIENCE_S
    while not true():
        assert time.monotonic() < give_up, "what the test waits for did not come"
        time.sleep(0.005)


class RealServer:
    """Starts servers at ``places`` and talks to them.

    Attributes:
        command: a program like the installed ``wetgate``, which knows the places.
    """

    def __init__(self, places: Places, before: str = "") -> None:
        """``before`` is code that the server's process runs first."""
        self.places = places
        places.folder.parent.mkdir(parents=True, exist_ok=True)
        self.command = places.folder.parent / "wetgate"
        code = f"import sys\n{before}\nfrom wetgate.cli.main import main\nsys.exit(main())"
        self.command.write_text(
            f"#!/bin/sh\nexport WETGATE_RUNTIME={shlex.quote(str(places.folder))}\n"
            f'exec {shlex.quote(sys.executable)} -c {shlex.quote(code)} "$@"\n'
        )
        self.command.chmod(0o755)

    def start(self, *words: str) -> subprocess.Popen[bytes]:
        """A server as somebody would start it by hand; it listens when this returns."""
        process = subprocess.Popen([self.command, "serve", *words])
        until(lambda: self.places.socket.exists() or process.poll() is not None)
        return process

    def client(self) -> Client:
        """A client; the first one starts a server."""
        return connect(command=[str(self.command)], places=self.places, patience_s=PATIENCE_S)

    def process(self) -> int:
        """The id of the server's process."""
        with self.client() as client:
            return client.status()["process"]

    def requests(self) -> int:
        """How many requests are open, besides that which asks."""
        with self.client() as client:
            return sum(one["requests"] for one in client.status()["clients"])

    def kill(self) -> None:
        """As a machine that runs out of memory would."""
        os.kill(self.process(), signal.SIGKILL)
        until(lambda: not is_locked(self.places.lock))

    def end(self) -> None:
        """Stop whatever runs, and what another client had started that comes up only when the first one has ended."""

        def has_ended() -> bool:
            if is_locked(self.places.lock):
                with contextlib.suppress(WetgateError), connect(start=False, places=self.places) as client:
                    client.stop()
            return not is_locked(self.places.lock)

        until(has_ended)


def restore(client: Client, model: Path, window: list[np.ndarray], *, coverage: bool = False, **options):
    """Restored picture [H, W, 3], coverage [H, W] or None, and the server's answer, for frames [H, W, 3]."""
    height, width, _ = window[0].shape
    layout = lay_out(len(window), width, height, coverage=coverage)
    segment = client.memory(layout.bytes)
    planes = np.concatenate([frame.transpose(2, 0, 1) for frame in window])
    array(segment, layout.input, planes.shape)[...] = planes
    numbers = options.pop("numbers", range(len(window)))
    answer = client.render(segment, width, height, numbers, model, layout=layout, **options)
    restored = array(segment, layout.output, (3, height, width)).transpose(1, 2, 0).copy()
    covered = array(segment, layout.coverage, (height, width)).copy() if coverage else None
    client.forget(segment)
    return restored, covered, answer


def array(segment, offset: int, shape: tuple[int, ...]) -> np.ndarray:
    return np.frombuffer(segment.map, np.float32, int(np.prod(shape)), offset).reshape(shape)


def shared_maps(process: int) -> int:
    """How many pieces of shared memory a process maps."""
    return Path(f"/proc/{process}/maps").read_text().count("memfd:wetgate")


def open_descriptors(process: int) -> int:
    return len(list(Path(f"/proc/{process}/fd").iterdir()))
