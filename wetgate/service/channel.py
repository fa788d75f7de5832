"""A connected stream between this user's programs, which carries descriptors where the system can.

POSIX: a stream socket in the file system; both ends look at the other's user id. Windows: the loopback
interface; the client proves itself by a token that only this user can read.
"""

from __future__ import annotations

import array
import contextlib
import ctypes
import errno
import hmac
import math
import os
import secrets
import select
import socket
import stat
import struct
import sys
import time
from dataclasses import dataclass

from wetgate.errors import WetgateError
from wetgate.service.messages import TOKEN_BYTES, Code, Error, Hello, encode
from wetgate.service.places import Address, Places, read_address, write_address

MAX_READ = 65_536
LOOPBACK = os.name == "nt"
"""Whether this system listens on the loopback interface rather than in the file system."""

_LOOPBACK_HOST = "127.0.0.1"
_MOST_DESCRIPTORS = 8  # more than any message may bring: the connection must see that there were too many
_MACOS = sys.platform == "darwin"
_SO_NOSIGPIPE = 0x1022  # macOS: writing to nobody is an error, not a signal that ends the host
_NO_SIGNAL = getattr(socket, "MSG_NOSIGNAL", 0)  # the same on Linux
_CLOSE_ON_EXEC = getattr(socket, "MSG_CMSG_CLOEXEC", 0)
_PAUSE_S = 0.1
_NO_TOKEN = bytes(TOKEN_BYTES)


@dataclass(frozen=True)
class Received:
    """What one read brought: no bytes at the end of the stream; whoever takes it closes the descriptors."""

    data: bytes
    descriptors: tuple[int, ...] = ()


class Channel:
    """One end of a stream. One thread may send while another receives.

    Attributes:
        carries_descriptors: whether memory is passed as descriptors.
        token: what HELLO must carry.
    """

    def __init__(self, connected: socket.socket, *, carries_descriptors: bool, token: bytes = _NO_TOKEN) -> None:
        connected.setblocking(False)
        self.carries_descriptors = carries_descriptors
        self.token = token
        self._socket = connected
        if _MACOS:
            connected.setsockopt(socket.SOL_SOCKET, _SO_NOSIGPIPE, 1)

    def fileno(self) -> int:
        """For selectors; -1 once closed."""
        return self._socket.fileno()

    def send(self, data: bytes, descriptor: int | None = None, timeout_s: float | None = 30.0) -> None:
        """Send all of it; the descriptor goes with the first byte and stays open here.

        Raises:
            ConnectionError: the other end is gone.
            TimeoutError: it took nothing for ``timeout_s``; a part may have been sent.
        """
        rest = memoryview(data)
        while rest:
            try:
                sent = self._send_some(rest, descriptor)
            except BlockingIOError:
                if not _wait(self._socket, for_reading=False, timeout_s=timeout_s):
                    raise TimeoutError("the other end takes nothing") from None
                continue
            rest = rest[sent:]
            descriptor = None

    def receive(self, timeout_s: float | None = None) -> Received | None:
        """What has arrived, as soon as anything has; None when nothing has within ``timeout_s``.

        An end that is gone, however it went, is the end of the stream.
        """
        while True:
            try:
                return self._receive_some()
            except BlockingIOError:
                if not _wait(self._socket, for_reading=True, timeout_s=timeout_s):
                    return None
            except OSError:
                return Received(b"")

    def shut_down(self) -> None:
        """End the stream in both directions: a thread that waits in :meth:`receive` wakes up."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Give the socket back."""
        self._socket.close()

    def _send_some(self, data: memoryview, descriptor: int | None) -> int:
        if descriptor is None:
            return self._socket.send(data, _NO_SIGNAL)
        rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [descriptor]))
        return self._socket.sendmsg([data], [rights], _NO_SIGNAL)

    def _receive_some(self) -> Received:
        if not self.carries_descriptors:
            return Received(self._socket.recv(MAX_READ))
        room = socket.CMSG_SPACE(_MOST_DESCRIPTORS * array.array("i").itemsize)
        data, ancillary, _, _ = self._socket.recvmsg(MAX_READ, room, _CLOSE_ON_EXEC)
        descriptors = array.array("i")
        for level, kind, content in ancillary:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                descriptors.frombytes(content[: len(content) - len(content) % descriptors.itemsize])
        for descriptor in descriptors:
            os.set_inheritable(descriptor, False)
        return Received(data, tuple(descriptors))


class Listener:
    """Where a server waits for clients. Made by :func:`listen`.

    Attributes:
        token: what a client's HELLO must carry.
    """

    def __init__(self, listening: socket.socket, places: Places, token: bytes) -> None:
        listening.setblocking(False)
        self.token = token
        self._socket = listening
        self._path = places.socket if token == _NO_TOKEN else places.address
        self._made = _identity(self._path)

    def fileno(self) -> int:
        """For selectors; -1 once closed."""
        return self._socket.fileno()

    def accept(self, timeout_s: float | None = None) -> Channel | None:
        """The next client; None when nobody came within ``timeout_s``, or somebody else did and was sent away."""
        try:
            if not _wait(self._socket, for_reading=True, timeout_s=timeout_s):
                return None
            connected, _ = self._socket.accept()
        except OSError as error:
            if error.errno in (errno.EMFILE, errno.ENFILE):  # the client still waits: do not ask again at once
                time.sleep(_PAUSE_S)
            return None
        channel = _channel(connected, self.token)
        if self.token != _NO_TOKEN or _is_own(connected):
            return channel
        with contextlib.suppress(OSError):
            channel.send(encode(Error(Code.REFUSED, "This inference server belongs to another user.")), timeout_s=0)
        channel.close()
        return None

    def knows(self, hello: Hello) -> bool:
        """Whether the token is right; on POSIX :meth:`accept` has looked at the user already."""
        return hmac.compare_digest(hello.token, self.token)

    def can_be_found(self) -> bool:
        """Whether the socket, or the address, is still where clients look for it."""
        return _identity(self._path) == self._made

    def close(self) -> None:
        """Listen no longer and remove the socket or the address, unless another server has put its own there."""
        if self._made is not None and self.can_be_found():
            with contextlib.suppress(OSError):
                self._path.unlink()
        self._made = None
        self._socket.close()


def listen(places: Places, *, loopback: bool = LOOPBACK) -> Listener:
    """Listen at these places, whose lock the caller holds: what a killed server left there is replaced.

    Raises:
        WetgateError: the folder is not private, or the system does not let us listen.
    """
    places.make()
    try:
        return _listen_on_loopback(places) if loopback else _listen_in_folder(places)
    except OSError as error:
        reason = error.strerror or error
        raise WetgateError(f"The inference server cannot listen in {places.folder}: {reason}.") from error


def dial(places: Places, *, loopback: bool = LOOPBACK) -> Channel | None:
    """Connect to the server at these places; None where nobody listens.

    Raises:
        WetgateError: the folder is not private, or another user's program answers.
    """
    if not places.exists():
        return None
    return _dial_loopback(places) if loopback else _dial_in_folder(places)


def peer_user(connected: socket.socket) -> int:
    """The user id of the process at the other end of a socket in the file system, as the system knows it.

    Raises:
        OSError: it does not know.
    """
    if hasattr(socket, "SO_PEERCRED"):  # Linux
        credentials = struct.Struct("iII")  # ucred: process, user, group
        option = connected.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, credentials.size)
        return int(credentials.unpack(option)[1])
    user, group = ctypes.c_uint32(), ctypes.c_uint32()
    if ctypes.CDLL(None, use_errno=True).getpeereid(connected.fileno(), ctypes.byref(user), ctypes.byref(group)) != 0:
        raise OSError(ctypes.get_errno(), "getpeereid")
    return user.value


def _is_own(connected: socket.socket) -> bool:
    try:
        return peer_user(connected) == os.geteuid()
    except OSError:
        return False


def _listen_in_folder(places: Places) -> Listener:
    with contextlib.suppress(FileNotFoundError):
        places.socket.unlink()
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        listening.bind(os.fspath(places.socket))
        os.chmod(places.socket, stat.S_IRUSR | stat.S_IWUSR)
        listening.listen()
        return Listener(listening, places, _NO_TOKEN)
    except BaseException:
        listening.close()
        raise


def _listen_on_loopback(places: Places) -> Listener:
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        if hasattr(socket, "SO_EXCLUSIVEADDRUSE"):
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)
        listening.bind((_LOOPBACK_HOST, 0))
        listening.listen()
        token = secrets.token_bytes(TOKEN_BYTES)
        write_address(places, Address(listening.getsockname()[1], token))
        return Listener(listening, places, token)
    except BaseException:
        listening.close()
        raise


def _dial_in_folder(places: Places) -> Channel | None:
    connecting = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connecting.setblocking(False)
        connecting.connect(os.fspath(places.socket))
        user = peer_user(connecting)
    except (FileNotFoundError, ConnectionError, BlockingIOError):  # nobody, or a server with too long a queue
        connecting.close()
        return None
    except OSError as error:
        connecting.close()
        raise WetgateError(f"{places.socket} cannot be reached: {error.strerror or error}.") from error
    if user != os.geteuid():
        connecting.close()
        raise WetgateError(f"A program of another user (number {user}) answers at {places.socket}: it is not trusted.")
    return _channel(connecting, _NO_TOKEN)


def _dial_loopback(places: Places) -> Channel | None:
    address = read_address(places)
    if address is None:
        return None
    try:
        connecting = socket.create_connection((_LOOPBACK_HOST, address.port), timeout=2.0)
    except OSError:
        return None
    return _channel(connecting, address.token)


def _channel(connected: socket.socket, token: bytes) -> Channel:
    if token == _NO_TOKEN:
        return Channel(connected, carries_descriptors=True)
    connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return Channel(connected, carries_descriptors=False, token=token)


def _identity(path: os.PathLike[str]) -> tuple[int, int] | None:
    try:
        found = os.lstat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _wait(waiting: socket.socket, *, for_reading: bool, timeout_s: float | None) -> bool:
    """Whether the socket can be read from (written to) within that time.

    Raises:
        OSError: the socket was closed.
    """
    if waiting.fileno() < 0:
        raise OSError("the socket is closed")
    if not hasattr(select, "poll"):  # Windows; elsewhere select() breaks where a host has many files open
        readers, writers = ([waiting], []) if for_reading else ([], [waiting])
        return any(select.select(readers, writers, [], timeout_s))
    poll = select.poll()
    poll.register(waiting, select.POLLIN if for_reading else select.POLLOUT)
    return bool(poll.poll(None if timeout_s is None else max(0, math.ceil(1000 * timeout_s))))
