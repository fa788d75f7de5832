"""What takes long to make and is only looked at: once for a run of tests, however many processes share it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from wetgate.project.locks import exclusive


def made_once(places: pytest.TempPathFactory, name: str, make: Callable[[Path], object]) -> Path:
    """A folder that the first process to ask has filled; the others wait for it. Nobody alters it.

    Args:
        places: the fixture ``tmp_path_factory``.
        name: of the folder; one for each thing that is made.
        make: fills the empty folder that it gets.
    """
    base = places.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        base = base.parent  # each process has a folder of its own in it
    folder, unfinished = base / name, base / f"{name}.unfinished"
    with exclusive(base / f"{name}.lock", patience_s=600):
        if not folder.exists():
            shutil.rmtree(unfinished, ignore_errors=True)
            unfinished.mkdir()
            make(unfinished)
            unfinished.rename(folder)
    return folder
