"""Memory that a client and the server both map: no name, no file, gone with its last user.

POSIX: an anonymous file whose descriptor is passed, on Linux a memfd that is sealed, so that nobody can shrink it
under the other's feet (a mapping beyond the end of a file kills the process that touches it).
Windows: a mapping of the paging file with a random name.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import mmap
import os
import re
import secrets
import stat

from wetgate.errors import WetgateError
from wetgate.files import sentence_for
from wetgate.service.places import Places

MAX_BYTES = 8 << 30

_NAME = re.compile(r"Local\\wetgate-[0-9a-f]{32}")
_GET_SEALS, _ADD_SEALS = 1034, 1033  # fcntl(2), Linux
_SEAL_SEAL, _SEAL_SHRINK, _SEAL_GROW = 1, 2, 4
_FILE_MAP_ALL = 0x0002 | 0x0004


class Segment:
    """Mapped memory.

    Attributes:
        bytes: its size.
        map: what numpy's ``frombuffer`` takes; None once closed.
        name: of a mapping on Windows, "" elsewhere.
        descriptor: what is passed to the other side, until :meth:`close_descriptor`; None on Windows.
        number: what a connection calls it.
    """

    def __init__(self, mapped: mmap.mmap, size: int, *, name: str = "", descriptor: int | None = None) -> None:
        self.bytes = size
        self.map: mmap.mmap | None = mapped
        self.name = name
        self.descriptor = descriptor
        self.number = 0

    def close_descriptor(self) -> None:
        """The mapping stays."""
        if self.descriptor is not None:
            os.close(self.descriptor)
            self.descriptor = None

    def close(self) -> None:
        """Unmap it; where arrays still look into it, with the last of them."""
        self.close_descriptor()
        mapped, self.map = self.map, None
        if mapped is not None:
            with contextlib.suppress(BufferError):
                mapped.close()


def create(size: int, places: Places) -> Segment:
    """New memory of so many bytes, all 0. Its descriptor is not inherited by children.

    Args:
        size: bytes.
        places: where a system without memfd puts the file that it forgets at once.

    Raises:
        WetgateError: there is no room for it.
    """
    _require_size(size)
    try:
        return _create_named(size) if os.name == "nt" else _create_anonymous(size, places)
    except (OSError, OverflowError, ValueError) as error:
        raise WetgateError(f"There is no room for {size / 2**20:.0f} MiB of shared memory ({error}).") from error


def attach(size: int, *, descriptor: int | None = None, name: str = "") -> Segment:
    """Map memory that the other side has made.

    Args:
        size: bytes that it claims to have.
        descriptor: of an anonymous file; it is closed in any case.
        name: of a mapping, where there is no descriptor.

    Raises:
        WetgateError: it is not what it should be, or smaller than claimed.
    """
    try:
        _require_size(size)
        if descriptor is None:
            return Segment(_open_named(size, name), size, name=name)
        _require_anonymous(descriptor, size)
        return Segment(mmap.mmap(descriptor, size), size)
    except (OSError, OverflowError, ValueError) as error:
        raise WetgateError(f"The shared memory cannot be used ({error}).") from error
    finally:
        if descriptor is not None:
            os.close(descriptor)


def _require_size(size: int) -> None:
    if not 0 < size <= MAX_BYTES:
        raise WetgateError(f"Shared memory holds 1 byte to {MAX_BYTES >> 30} GiB, not {size} bytes.")


# POSIX


def _create_anonymous(size: int, places: Places) -> Segment:
    descriptor = _sealed_memory(size)
    if descriptor is None:
        descriptor = _forgotten_file(size, places)
    try:
        return Segment(mmap.mmap(descriptor, size), size, descriptor=descriptor)
    except BaseException:
        os.close(descriptor)
        raise


def _sealed_memory(size: int) -> int | None:
    """The descriptor of a memfd that keeps its size; None where the system has none."""
    if not hasattr(os, "memfd_create"):
        return None
    try:
        descriptor = os.memfd_create("wetgate", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    except OSError as error:
        if error.errno in (errno.ENOSYS, errno.EACCES, errno.EPERM, errno.EINVAL):
            return None
        raise
    try:
        import fcntl

        os.ftruncate(descriptor, size)
        fcntl.fcntl(descriptor, _ADD_SEALS, _SEAL_SHRINK | _SEAL_GROW | _SEAL_SEAL)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _forgotten_file(size: int, places: Places) -> int:
    """The descriptor of a file without a name, whose room on the disk is taken."""
    places.make()
    path = places.folder / f"memory-{secrets.token_hex(16)}"
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise WetgateError(sentence_for(error, path)) from error
    try:
        os.unlink(path)
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(descriptor, 0, size)
        else:
            os.ftruncate(descriptor, size)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _require_anonymous(descriptor: int, size: int) -> None:
    found = os.fstat(descriptor)
    if not stat.S_ISREG(found.st_mode):
        raise ValueError("it is no file")
    if found.st_nlink != 0:
        raise ValueError("it is a file with a name")
    if found.st_size < size:
        raise ValueError(f"it holds {found.st_size} bytes instead of {size}")
    if _is_memfd(descriptor):
        import fcntl

        if not fcntl.fcntl(descriptor, _GET_SEALS) & _SEAL_SHRINK:
            raise ValueError("it is not sealed against shrinking")


def _is_memfd(descriptor: int) -> bool:
    try:
        return os.readlink(f"/proc/self/fd/{descriptor}").startswith("/memfd:")
    except OSError:  # no Linux
        return False


# Windows


def _create_named(size: int) -> Segment:
    name = f"Local\\wetgate-{secrets.token_hex(16)}"
    return Segment(mmap.mmap(-1, size, tagname=name), size, name=name)  # type: ignore[call-arg]


def _open_named(size: int, name: str) -> mmap.mmap:
    """Map what has that name; opened first, since mapping a name that is not there would make it."""
    if os.name != "nt" or not _NAME.fullmatch(name):
        raise ValueError("it has no name that a client gives")
    kernel = ctypes.WinDLL("kernel32", use_last_error=True)  # type: ignore[attr-defined]
    kernel.OpenFileMappingW.restype = ctypes.c_void_p
    kernel.OpenFileMappingW.argtypes = (ctypes.c_uint32, ctypes.c_int, ctypes.c_wchar_p)
    kernel.CloseHandle.argtypes = (ctypes.c_void_p,)
    handle = kernel.OpenFileMappingW(_FILE_MAP_ALL, 0, name)
    if not handle:
        raise ValueError("it is not there")
    try:
        return mmap.mmap(-1, size, tagname=name)  # type: ignore[call-arg]
    finally:
        kernel.CloseHandle(handle)
