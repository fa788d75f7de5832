"""Two checkpoints, the newest and the one before, each with its SHA-256 in its name.

The name says what the bytes must be, so a checkpoint and its checksum appear in one rename, and a
torn file is recognised without a second file that could be torn as well.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Callable
from pathlib import Path

from wetgate.errors import WetgateError
from wetgate.files import atomic_path, sentence_for, sha256

_NAME = re.compile(r"checkpoint-(\d{6,})-([0-9a-f]{64})")


def save(folder: Path, content: bytes | Callable[[Path], None]) -> Path:
    """Write the next checkpoint and drop those older than the one before it.

    Raises:
        WetgateError: the disk is full or the folder cannot be written; what was there stays.
    """
    unnamed = folder / "checkpoint.new"
    with atomic_path(unnamed) as temporary:
        if callable(content):
            content(temporary)
        else:
            temporary.write_bytes(content)
    present = paths(folder)
    number = _number(present[0]) + 1 if present else 1
    target = folder / f"checkpoint-{number:06d}-{sha256(unnamed)}"
    try:
        os.replace(unnamed, target)
    except OSError as error:
        raise WetgateError(sentence_for(error, target)) from error
    for old in present[1:]:
        with contextlib.suppress(OSError):
            old.unlink()
    return target


def paths(folder: Path) -> list[Path]:
    """The checkpoints in ``folder``, newest first, whether whole or torn."""
    return sorted((path for path in folder.iterdir() if _NAME.fullmatch(path.name)), key=_number, reverse=True)


def newest(folder: Path) -> Path | None:
    """The newest checkpoint whose bytes match its name; torn ones are removed."""
    for path in paths(folder):
        with contextlib.suppress(OSError):
            if sha256(path) == path.name.rpartition("-")[2]:
                return path
            path.unlink()
    return None


def _number(path: Path) -> int:
    return int(path.name.split("-")[1])
