"""Places for a server of one test alone."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from wetgate.errors import WetgateError
from wetgate.service.client import connect
from wetgate.service.places import VARIABLE, Places
from wetgate.service.starting import COMMAND_VARIABLE


@contextmanager
def places_of_one_test(monkeypatch: pytest.MonkeyPatch, command: str = "") -> Iterator[Places]:
    """Places that the environment names, below a folder that is removed; a server there is ended before.

    Args:
        monkeypatch: sets the environment.
        command: a shell's line that is ``wetgate``; a program of that name is made of it, which the environment names.
    """
    folder = Path(tempfile.mkdtemp(prefix="wetgate-test-"))  # pytest's own folders are too long for a socket
    monkeypatch.setenv(VARIABLE, str(folder / "run"))
    if command:
        program = folder / "wetgate"
        program.write_text(f'#!/bin/sh\n{command} "$@"\n')
        program.chmod(0o755)
        monkeypatch.setenv(COMMAND_VARIABLE, str(program))
    places = Places(folder / "run")
    yield places
    try:
        with connect(start=False, places=places, patience_s=5.0) as client:
            client.stop()
    except WetgateError:
        pass  # none was started, or it has ended already
    shutil.rmtree(folder)
