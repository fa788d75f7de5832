"""Locks between processes, kept by the operating system.

The kernel drops such a lock when its process ends, however it ends, so a killed process never blocks
anyone. The lock file itself is never deleted: a file that comes and goes cannot be locked safely.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path

from wetgate.errors import WetgateError
from wetgate.files import sentence_for

if os.name == "nt":
    import msvcrt

    _LOCKED_BYTE = 1 << 30  # Windows locks are mandatory: lock far behind the text, which stays readable

    def _try_lock(descriptor: int, exclusive: bool) -> None:
        os.lseek(descriptor, _LOCKED_BYTE, os.SEEK_SET)
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
        except PermissionError as error:
            raise BlockingIOError from error

    def _unlock(descriptor: int) -> None:
        os.lseek(descriptor, _LOCKED_BYTE, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_UNLCK, 1)  # type: ignore[attr-defined]

else:
    import fcntl

    def _try_lock(descriptor: int, exclusive: bool) -> None:
        fcntl.flock(descriptor, (fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH) | fcntl.LOCK_NB)

    def _unlock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_UN)


_held: set[int] = set()


def _forget_in_child() -> None:
    """A forked worker must not keep its parent's locks alive after the parent is killed."""
    for descriptor in _held:
        with contextlib.suppress(OSError):
            os.close(descriptor)
    _held.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_in_child)


class FileLock:
    """An exclusive lock on ``path``, held from :meth:`try_acquire` to :meth:`release`.

    It excludes other processes and other :class:`FileLock` objects of this process alike.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self.descriptor = -1

    def try_acquire(self) -> bool:
        """Take the lock if it is free; say whether that worked.

        Raises:
            WetgateError: the lock file cannot be made, or its disk knows no locks.
        """
        try:
            descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o666)
        except OSError as error:
            raise WetgateError(sentence_for(error, self.path)) from error
        try:
            if _taken(descriptor, self.path, exclusive=True):
                _held.add(descriptor)
                self.descriptor = descriptor
        finally:
            if self.descriptor != descriptor:
                os.close(descriptor)
        return self.descriptor == descriptor

    def can_be_found(self) -> bool:
        """Whether the file that is locked is still the one at ``path``, where others look for the lock."""
        try:
            return os.path.samestat(os.fstat(self.descriptor), os.stat(self.path))
        except OSError:
            return False

    def release(self) -> None:
        """Give the lock back; nothing happens in a forked child, which never owned it."""
        if self.descriptor in _held:
            _held.discard(self.descriptor)
            _unlock(self.descriptor)
            os.close(self.descriptor)
        self.descriptor = -1


def is_locked(path: str | os.PathLike[str]) -> bool:
    """Whether any living process holds the lock at ``path``."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return False
    except OSError as error:
        raise WetgateError(f"{path} cannot be read: {error.strerror}. Change its permissions.") from error
    try:
        if not _taken(descriptor, Path(path), exclusive=False):
            return True
        _unlock(descriptor)
        return False
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def exclusive(path: str | os.PathLike[str], patience_s: float = 30.0) -> Iterator[None]:
    """Hold the lock at ``path`` during the block, waiting up to ``patience_s`` seconds for it.

    Raises:
        WetgateError: another process kept the lock all that time.
    """
    lock = FileLock(path)
    give_up = time.monotonic() + patience_s
    pause_s = 0.001
    while not lock.try_acquire():
        if time.monotonic() > give_up:
            raise WetgateError(
                f"{path} has been locked by another process for {patience_s:.0f} seconds: "
                "look for a Wetgate process that hangs, end it, and try again."
            )
        time.sleep(pause_s)
        pause_s = min(2 * pause_s, 0.05)
    try:
        yield
    finally:
        lock.release()


def _taken(descriptor: int, path: Path, exclusive: bool) -> bool:
    try:
        _try_lock(descriptor, exclusive)
    except BlockingIOError:
        return False
    except OSError as error:
        raise WetgateError(
            f"The disk of {path} does not support file locks ({error.strerror}): move the restoration to another disk."
        ) from error
    return True
