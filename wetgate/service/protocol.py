"""The rules of a connection between a client and the inference server, without any I/O.

Bytes go in by :meth:`Connection.receive_data` and come out as events by :meth:`Connection.next_event`;
:meth:`Connection.send` checks a message and gives the bytes to be sent. Who may say what, and when, stands in
the tables below. What this side must not say is a :class:`LocalProtocolError` and changes nothing; what the
other side must not say is a :class:`RemoteProtocolError`, after which nothing it says is understood.

File descriptors arrive with bytes: the transport hands both over, and a MEMORY's event carries its own.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final

from wetgate.service.messages import (
    HEADER,
    MAGIC,
    MAX_PAYLOAD,
    NO_COVERAGE,
    TOKEN_BYTES,
    VERSION,
    Cancel,
    Code,
    Describe,
    Device,
    Done,
    Error,
    Forget,
    Hello,
    Memory,
    Message,
    Model,
    Render,
    RenderFile,
    Restored,
    Status,
    StatusIs,
    Stop,
    Welcome,
    common_version,
    decode,
    speakable,
)
from wetgate.service.messages import encode as encode_message

__all__ = [
    "CLOSED",
    "MAX_MEMORIES",
    "MAX_MESSAGE",
    "MAX_PAYLOAD",
    "MAX_REQUESTS",
    "NEED_DATA",
    "NO_COVERAGE",
    "TOKEN_BYTES",
    "VERSION",
    "WANTS_CURVES",
    "Cancel",
    "Code",
    "Connection",
    "Describe",
    "Device",
    "Done",
    "Error",
    "Event",
    "Forget",
    "Hello",
    "LocalProtocolError",
    "Memory",
    "Message",
    "Model",
    "ProtocolError",
    "RemoteProtocolError",
    "Render",
    "RenderFile",
    "Restored",
    "State",
    "Status",
    "StatusIs",
    "Stop",
    "Welcome",
    "common_version",
    "encode",
    "speakable",
]

MAX_REQUESTS = 64
MAX_MEMORIES = 64
MAX_MESSAGE = HEADER.size + MAX_PAYLOAD
MAX_BUFFERED = 4 * MAX_MESSAGE
"""Bytes that :meth:`Connection.receive_data` takes before their events are asked for."""
WANTS_CURVES: Final = (
    "It was trained on a steadied scan: name the scan's exposure curves, which `wetgate curves` measures, or the "
    "colours follow the flicker."
)
"""The line of a model's limits that a host may say in words of its own."""


class ProtocolError(Exception):
    """Somebody broke the rules of the protocol."""


class LocalProtocolError(ProtocolError):
    """This side was about to: a mistake in this program. Nothing has changed."""


class RemoteProtocolError(ProtocolError):
    """The other side did: nothing more of it is understood."""


class State(Enum):
    """How far a connection has come; the same on both sides once all bytes have arrived."""

    START = "nothing was said yet"
    GREETED = "HELLO was said, WELCOME was not"
    OPEN = "requests and answers"
    BROKEN = "the other side broke the rules"
    ENDED = "it was ended by an ERROR"


class Pause(Enum):
    """Why there is no event."""

    NEED_DATA = "more bytes must arrive"
    CLOSED = "nothing more will arrive"


NEED_DATA: Final = Pause.NEED_DATA
CLOSED: Final = Pause.CLOSED


@dataclass(frozen=True)
class Event:
    """A message that arrived.

    Attributes:
        message: what was said.
        request: the request that it is, belongs to or answers; 0 for none.
        descriptor: the descriptor that came with a MEMORY; whoever takes the event closes it.
        excess: the request is one too many and must be answered by ERROR ``BUSY`` at once.
    """

    message: Message
    request: int
    descriptor: int | None = None
    excess: bool = False


Table = Mapping[State, Mapping[type, State]]
CLIENT_SAYS: Table = {
    State.START: {Hello: State.GREETED},
    State.OPEN: dict.fromkeys((Describe, Memory, Forget, Render, RenderFile, Cancel, Status, Stop), State.OPEN),
}
SERVER_SAYS: Table = {
    State.START: {Error: State.ENDED},
    State.GREETED: {Welcome: State.OPEN, Error: State.ENDED},
    State.OPEN: dict.fromkeys((Model, Done, Restored, StatusIs, Error), State.OPEN),
    State.BROKEN: {Error: State.ENDED},
}
ANSWERS: Mapping[type, type] = {
    Describe: Model,
    Memory: Done,
    Forget: Done,
    Render: Restored,
    RenderFile: Restored,
    Status: StatusIs,
    Stop: Done,
}
"""What answers a request, if not an ERROR."""


def encode(message: Message, request: int = 0) -> bytes:
    """The bytes of a message, whatever the connection's state.

    Raises:
        LocalProtocolError: a field does not fit, or the contract forbids what it says.
    """
    try:
        return encode_message(message, request)
    except ValueError as error:
        raise LocalProtocolError(f"{_name(message)} {error}") from error


class Connection:
    """One side's view of a connection. Not for several threads at once.

    Args:
        role: "client" or "server".
        descriptors: whether memory is passed as descriptors (POSIX) rather than by name.

    Attributes:
        state: how far the conversation has come.
        open_requests: what was asked and not answered yet, by request.
        memories: the numbers of the memories that both sides map.
    """

    def __init__(self, role: str, *, descriptors: bool = True) -> None:
        if role not in ("client", "server"):
            raise ValueError(f"'{role}' is neither client nor server")
        self.state = State.START
        self.open_requests: dict[int, Message] = {}
        self.memories: set[int] = set()
        self._is_client = role == "client"
        self._descriptors = descriptors
        self._hello: Hello | None = None
        self._excess = 0
        self._problem = ""
        self._buffer = bytearray()
        self._at_end = False
        self._received = self._consumed = 0  # bytes since the start
        self._arrived: deque[tuple[int, int, int]] = deque()  # a descriptor and the bytes that it came with

    @property
    def in_message(self) -> bool:
        """Whether a part of a message has arrived, and the rest of it has not."""
        return bool(self._buffer)

    def send(self, message: Message, request: int = 0) -> bytes:
        """The bytes of a message that may be said now; they must be sent, whole and in this order.

        Raises:
            LocalProtocolError: it must not be said now, or cannot be; nothing has changed.
        """
        data = encode(message, request)
        try:
            after = self._check(message, request, says_client=self._is_client)
            if self._is_client and self._is_excess(message):
                raise ValueError("is one too many: the server must answer first, or forget a memory")
        except ValueError as error:
            raise LocalProtocolError(f"{_name(message)} {error}") from error
        self._apply(message, request, after)
        return data

    def receive_data(self, data: bytes, descriptors: Sequence[int] = ()) -> None:
        """Take what arrived; no bytes mean that the other side has closed.

        Args:
            data: the bytes of one read.
            descriptors: what came with them. They are this connection's now: see :meth:`take_descriptors`.

        Raises:
            LocalProtocolError: the events of what arrived before were not asked for; nothing was taken.
        """
        if len(self._buffer) + len(data) > MAX_BUFFERED:
            raise LocalProtocolError("more bytes were read than events were asked for")
        before = self._received
        self._received += len(data)
        self._arrived.extend((before, self._received, descriptor) for descriptor in descriptors)
        self._at_end = self._at_end or not data
        if self.state not in (State.BROKEN, State.ENDED):
            self._buffer += data

    def next_event(self) -> Event | Pause:
        """The next message, NEED_DATA, or CLOSED when nothing more will come.

        Raises:
            RemoteProtocolError: the other side broke the rules; so does every call from now on.
            LocalProtocolError: an event in excess was not answered.
        """
        if self.state is State.ENDED:
            return CLOSED
        if self.state is State.BROKEN:
            raise RemoteProtocolError(self._problem)
        if self._excess:
            raise LocalProtocolError("a request in excess must be answered before the next event")
        try:
            return self._parse()
        except ValueError as error:
            self.state = State.BROKEN
            self._buffer.clear()
            self._problem = str(error)
            raise RemoteProtocolError(self._problem) from error

    def take_descriptors(self) -> list[int]:
        """The descriptors that no event carried, to be closed when the connection is over."""
        left = [descriptor for _, _, descriptor in self._arrived]
        self._arrived.clear()
        return left

    def _parse(self) -> Event | Pause:
        if self._has_stray():
            raise ValueError("a descriptor came with something else than MEMORY")
        if len(self._buffer) < HEADER.size:
            return self._pause()
        magic, kind, zero, request, length = HEADER.unpack_from(self._buffer)
        if magic != MAGIC or zero != 0 or length > MAX_PAYLOAD:
            raise ValueError("what arrived is no message")
        end = HEADER.size + length
        if len(self._buffer) < end:
            return self._pause()
        try:
            message = decode(kind, request, bytes(self._buffer[HEADER.size : end]))
        except ValueError as error:
            raise ValueError(f"a message of kind {kind} {error}") from error
        event = self._event(message, request)
        del self._buffer[:end]
        self._consumed += end
        return event

    def _has_stray(self) -> bool:
        """Whether a descriptor has arrived that cannot have come with the first byte of a MEMORY of its own."""
        if not self._arrived:
            return False
        reads = [start for start, _, _ in self._arrived]
        # Of two reads, the first may hold a part of a MEMORY, and the second the rest of it and the next one.
        return self._arrived[0][1] <= self._consumed or len(reads) > 2 or len(set(reads)) < len(reads)

    def _pause(self) -> Pause:
        if not self._at_end:
            return NEED_DATA
        if self._buffer:
            raise ValueError("the connection ended in the middle of a message")
        return CLOSED

    def _event(self, message: Message, request: int) -> Event:
        brings_descriptor = isinstance(message, Memory) and self._descriptors
        try:
            if brings_descriptor and not (self._arrived and self._arrived[0][0] <= self._consumed):
                raise ValueError("came without its descriptor")
            after = self._check(message, request, says_client=not self._is_client)
        except ValueError as error:
            raise ValueError(f"{_name(message)} {error}") from error
        excess = not self._is_client and self._is_excess(message)
        self._apply(message, request, after)
        self._excess = request if excess else 0
        return Event(message, request, self._arrived.popleft()[2] if brings_descriptor else None, excess)

    def _check(self, message: Message, request: int, *, says_client: bool) -> State:
        """The state after a message, whoever says it; ValueError where it must not be said now."""
        after = (CLIENT_SAYS if says_client else SERVER_SAYS).get(self.state, {}).get(type(message))
        if after is None:
            raise ValueError(f"must not be said now ({self.state.value})")
        if type(message) in ANSWERS and request in self.open_requests:
            raise ValueError(f"has the number of a request that is open, {request}")
        if isinstance(message, Error):
            return self._check_error(message, request, after)
        if isinstance(message, Welcome):
            if self._hello is None or not self._hello.lowest <= message.version <= self._hello.highest:
                raise ValueError(f"speaks version {message.version}, which HELLO did not offer")
        elif not says_client:
            asked = self.open_requests.get(request)
            if asked is None or ANSWERS[type(asked)] is not type(message) or request == self._excess:
                raise ValueError(f"is no answer to request {request}")
        return after

    def _check_error(self, error: Error, request: int, after: State) -> State:
        if request != 0 and request not in self.open_requests:
            raise ValueError(f"is no answer to request {request}")
        if error.code.ends_connection:
            return State.ENDED
        if self.state is State.BROKEN:
            raise ValueError("must end a connection whose rules were broken")
        return after

    def _is_excess(self, message: Message) -> bool:
        """Whether there are as many open requests, or memories, as there may be without this one."""
        if type(message) not in ANSWERS:
            return False
        if isinstance(message, Memory):
            asked = sum(isinstance(other, Memory) for other in self.open_requests.values())
            if len(self.memories) + asked >= MAX_MEMORIES:
                return True
        return len(self.open_requests) >= MAX_REQUESTS

    def _apply(self, message: Message, request: int, after: State) -> None:
        self.state = after
        if isinstance(message, Hello):
            self._hello = message
        elif type(message) in ANSWERS:
            self.open_requests[request] = message
        elif request in self.open_requests and not isinstance(message, Cancel):
            asked = self.open_requests.pop(request)
            if request == self._excess:
                self._excess = 0
            if isinstance(asked, Memory) and isinstance(message, Done):
                self.memories.add(asked.memory)
            elif isinstance(asked, Forget) and isinstance(message, Done):
                self.memories.discard(asked.memory)


def _name(message: Message) -> str:
    """RENDER_FILE for a RenderFile."""
    name = type(message).__name__
    return "".join("_" + letter if letter.isupper() else letter.upper() for letter in name).lstrip("_")
