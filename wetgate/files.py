"""Files that are either whole or not there: a temporary name beside the target, fsync, rename.

Temporary names carry machine, process and a count, so that threads and machines that write the same file
on shared storage never meet, and what a killed process left can be told from what another is writing.

Standard library only, Python 3.9+, so that code inside a host application can use it too.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import itertools
import json
import os
import re
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from wetgate.errors import WetgateError

_WINDOWS = os.name == "nt"
_HOST = re.sub(r"[^A-Za-z0-9.]", "_", socket.gethostname())
_TEMPORARY = re.compile(rf"\..+\.wetgate-{re.escape(_HOST)}-(?P<pid>\d+)-\d+(\.[^.]*)?")
_count = itertools.count()


@contextlib.contextmanager
def atomic_path(target: str | os.PathLike[str], *, durable: bool = True) -> Iterator[Path]:
    """Yield a hidden temporary path beside ``target``; on success it replaces ``target`` at once.

    The temporary name keeps the suffix, since image libraries choose the format by it. When the
    block raises, the temporary file is removed and ``target`` stays as it was.

    Args:
        target: the file to write.
        durable: after a power cut the new file is there for certain; otherwise the old one may be back.
            Costs some milliseconds.

    Raises:
        WetgateError: the folder cannot be written, or the disk is full.
    """
    target = Path(target)
    temporary = target.with_name(f".{target.stem}.wetgate-{_HOST}-{os.getpid()}-{next(_count)}{target.suffix}")
    try:
        yield temporary
        with open(temporary, "rb+") as stream:
            os.fsync(stream.fileno())
        _replace(temporary, target)
        if durable:
            _sync_folder(target.parent)
    except OSError as error:
        raise WetgateError(sentence_for(error, target)) from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()


def _replace(source: Path, target: Path) -> None:
    """Rename; on Windows wait up to two seconds for those who have ``target`` open to read it."""
    give_up = time.monotonic() + 2.0
    while True:
        try:
            os.replace(source, target)
            return
        except PermissionError:
            if not _WINDOWS or time.monotonic() > give_up:
                raise
            time.sleep(0.02)


def _sync_folder(folder: Path) -> None:
    """Have the names in ``folder`` on the disk, where the system knows how."""
    if _WINDOWS:
        return
    with contextlib.suppress(OSError):  # some network disks do not
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def write_bytes(target: str | os.PathLike[str], data: bytes, *, durable: bool = True) -> None:
    """Write ``data`` atomically; ``durable`` as for :func:`atomic_path`."""
    with atomic_path(target, durable=durable) as temporary:
        temporary.write_bytes(data)


def write_json(target: str | os.PathLike[str], value: Any) -> None:
    """Write ``value`` atomically as readable UTF-8 JSON.

    Such files are small and written often (status, receipts), so after a power cut the one before may be back.
    """
    text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    write_bytes(target, text.encode("utf-8"), durable=False)


def make_folder(folder: str | os.PathLike[str]) -> Path:
    """Create ``folder`` with its parents; raise a :class:`WetgateError` where that is impossible."""
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise WetgateError(sentence_for(error, folder)) from error
    return folder


def sweep_temporaries(folder: str | os.PathLike[str]) -> list[Path]:
    """Remove the temporary files that killed processes of this machine left in ``folder``; return them.

    Files of processes that still run, and of other machines, are left alone.
    """
    removed: list[Path] = []
    folder = Path(folder)
    if not folder.is_dir():
        return removed
    for path in folder.iterdir():
        match = _TEMPORARY.fullmatch(path.name)
        if match and not process_is_alive(int(match.group("pid"))):
            with contextlib.suppress(OSError):
                path.unlink()
                removed.append(path)
    return removed


def sha256(path: str | os.PathLike[str]) -> str:
    """SHA-256 of a file's bytes, in hexadecimal."""
    digest = hashlib.sha256()
    with open(path, "rb") as stream:
        for block in iter(lambda: stream.read(1 << 20), b""):
            digest.update(block)
    return digest.hexdigest()


def process_is_alive(pid: int) -> bool:
    """Whether a process with this id runs on this machine (another user's counts)."""
    if _WINDOWS:
        import ctypes

        handle = ctypes.windll.kernel32.OpenProcess(0x1000, False, pid)  # type: ignore[attr-defined]
        if not handle:
            return False
        code = ctypes.c_ulong()
        ctypes.windll.kernel32.GetExitCodeProcess(handle, ctypes.byref(code))  # type: ignore[attr-defined]
        ctypes.windll.kernel32.CloseHandle(handle)  # type: ignore[attr-defined]
        return code.value == 259
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def sentence_for(error: OSError, path: str | os.PathLike[str]) -> str:
    """Say what an operating-system error means for the artist."""
    if error.errno == errno.ENOSPC:
        return f"The disk is full: {path} could not be written. Free some space and run the same command again."
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return f"{path} cannot be written (permission denied). Choose another folder or change its permissions."
    if error.errno in (errno.ENOTDIR, errno.EEXIST):
        return f"{path} cannot be written: a file stands where a folder is needed. Choose another place."
    return f"{path} cannot be written: {error.strerror or error}."
