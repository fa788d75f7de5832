"""Numbered folders that appear whole or not at all: pairs/0007, runs/001."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path

from wetgate.errors import WetgateError
from wetgate.files import make_folder, process_is_alive, sentence_for
from wetgate.project.locks import exclusive


def host_name() -> str:
    """This machine's name."""
    return socket.gethostname()


class Staging:
    """A hidden folder to fill; ``folder`` becomes the numbered one when the block ends well."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder


def numbered_folders(parent: Path) -> list[Path]:
    """The numbered folders in ``parent``, in order."""
    if not parent.is_dir():
        return []
    found = [path for path in parent.iterdir() if path.name.isascii() and path.name.isdigit() and path.is_dir()]
    return sorted(found, key=lambda path: int(path.name))


@contextlib.contextmanager
def new_numbered(parent: Path, digits: int, lock: Path) -> Iterator[Staging]:
    """Yield a hidden folder; when the block ends well, it gets the next free number in ``parent``.

    When the block raises, nothing remains. What killed processes of this machine left is removed.

    Raises:
        WetgateError: ``parent`` cannot be written.
    """
    make_folder(parent)
    _sweep(parent)
    staging = Staging(parent / f".adding-{_safe_host()}-{os.getpid()}-{os.urandom(4).hex()}")
    hidden = staging.folder
    make_folder(hidden)
    try:
        yield staging
        with exclusive(lock):
            present = numbered_folders(parent)
            number = int(present[-1].name) + 1 if present else 1
            target = parent / f"{number:0{digits}d}"
            try:
                os.rename(hidden, target)
            except OSError as error:
                raise WetgateError(sentence_for(error, target)) from error
            staging.folder = target
    finally:
        shutil.rmtree(hidden, ignore_errors=True)


def _sweep(parent: Path) -> None:
    pattern = re.compile(rf"\.adding-{re.escape(_safe_host())}-(\d+)-[0-9a-f]+")
    for path in parent.iterdir():
        match = pattern.fullmatch(path.name)
        if match and not process_is_alive(int(match.group(1))):
            shutil.rmtree(path, ignore_errors=True)


def _safe_host() -> str:
    return re.sub(r"[^A-Za-z0-9.]", "_", host_name())
