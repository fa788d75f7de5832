"""The messages between the inference server and its clients, and their bytes: protocol version 1.

Every payload has three parts: numbers of fixed sizes, then texts, then in RENDER and RENDER_FILE an entry
for each frame. A class says what its parts are; :func:`encode` and :func:`decode` do the rest.

What the bytes could say but the contract forbids (a text with NUL, an unknown device, bits that must be 0)
is refused in both directions. Whether a path, a memory or an offset is right is for the server to judge.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass, fields
from enum import IntEnum
from typing import Any, ClassVar

VERSION = 1
MAGIC = 0x31504757
HEADER = struct.Struct("<IHHII")
"""Magic, kind, 0, request, bytes of payload."""
MAX_PAYLOAD = 65_536
TOKEN_BYTES = 32
NO_COVERAGE = 2**64 - 1
"""RENDER's offset of a coverage that is not wanted; None in :class:`Render`."""

_COUNT = struct.Struct("<H")
_LONGEST_SENTENCE = 4_000


class Device(IntEnum):
    """Where to run a model, and where it ran."""

    AUTO = 0
    CPU = 1
    CUDA = 2


class Code(IntEnum):
    """What kind of ERROR it is."""

    PROTOCOL = 1
    REFUSED = 2
    MODEL = 3
    WINDOW = 4
    MEMORY = 5
    FAILED = 6
    CANCELLED = 7
    OUT_OF_MEMORY = 8
    FILE = 9
    BUSY = 10
    CLOSING = 11

    @property
    def ends_connection(self) -> bool:
        """Whether the server closes after it."""
        return self in (Code.PROTOCOL, Code.REFUSED)


@dataclass(frozen=True)
class Message:
    """What all messages share: numbers first, then texts, in the order of the fields."""

    KIND: ClassVar[int]
    NUMBERS: ClassVar[struct.Struct] = struct.Struct("<")
    TEXTS: ClassVar[int] = 0
    HAS_REQUEST: ClassVar[bool] = True

    def to_parts(self) -> tuple[Sequence[Any], Sequence[str], bytes]:
        """The numbers, the texts and the bytes after them.

        Raises:
            ValueError: the contract forbids what a field says.
        """
        values = [getattr(self, field.name) for field in fields(self)]
        split = len(values) - self.TEXTS
        return values[:split], values[split:], b""

    @classmethod
    def from_parts(cls, numbers: Sequence[Any], texts: Sequence[str], rest: bytes) -> Message:
        """The message with these parts.

        Raises:
            ValueError: the contract forbids it.
        """
        _require(not rest, "has bytes after its end")
        message = cls(*numbers, *texts)
        message.to_parts()
        return message


@dataclass(frozen=True)
class Hello(Message):
    """Who is there; ``token`` is zeros where the system tells who the peer is."""

    KIND = 1
    NUMBERS = struct.Struct(f"<HHI{TOKEN_BYTES}s")
    TEXTS = 1
    HAS_REQUEST = False

    lowest: int
    highest: int
    process_id: int
    token: bytes
    client: str

    def to_parts(self) -> tuple[Sequence[Any], Sequence[str], bytes]:
        _require(1 <= self.lowest <= self.highest, "speaks no version")
        _require(len(self.token) == TOKEN_BYTES, "has a token of another length")
        return super().to_parts()


@dataclass(frozen=True)
class Describe(Message):
    """What a model file is and needs."""

    KIND = 2
    TEXTS = 1

    model: str


@dataclass(frozen=True)
class Memory(Message):
    """Memory that both sides map from now on under the number ``memory``; a descriptor comes with it on POSIX."""

    KIND = 3
    NUMBERS = struct.Struct("<IQ")
    TEXTS = 1

    memory: int
    bytes: int
    name: str = ""


@dataclass(frozen=True)
class Forget(Message):
    """Unmap that memory."""

    KIND = 4
    NUMBERS = struct.Struct("<I")

    memory: int


@dataclass(frozen=True)
class Render(Message):
    """Restore a frame from the window in a memory, into the same memory; offsets are in bytes.

    ``numbers`` are the scan's frame numbers, oldest first; ``coverage`` is None where it is not wanted.
    """

    KIND = 5
    NUMBERS = struct.Struct("<IIIBBHQQQ")
    TEXTS = 2

    memory: int
    width: int
    height: int
    device: Device
    may_hold_nan: bool
    input: int
    output: int
    coverage: int | None
    model: str
    curves: str
    numbers: tuple[int, ...]

    def to_parts(self) -> tuple[Sequence[Any], Sequence[str], bytes]:
        frames = len(self.numbers)
        _require(frames > 0 and self.width > 0 and self.height > 0, "is about no picture")
        _require(self.coverage != NO_COVERAGE, "has an impossible offset")
        head = (self.memory, self.width, self.height, Device(self.device), bool(self.may_hold_nan), frames)
        offsets = (self.input, self.output, NO_COVERAGE if self.coverage is None else self.coverage)
        return (*head, *offsets), (self.model, self.curves), struct.pack(f"<{frames}q", *self.numbers)

    @classmethod
    def from_parts(cls, numbers: Sequence[Any], texts: Sequence[str], rest: bytes) -> Render:
        memory, width, height, device, flags, frames, offset, output, coverage = numbers
        _require(flags <= 1, "has unknown flags")
        _require(frames > 0 and width > 0 and height > 0, "is about no picture")
        _require(len(rest) == 8 * frames, "has another number of frames than it says")
        wanted = None if coverage == NO_COVERAGE else coverage
        model, curves = texts
        window = struct.unpack(f"<{frames}q", rest)
        return cls(memory, width, height, Device(device), bool(flags), offset, output, wanted, model, curves, window)


@dataclass(frozen=True)
class RenderFile(Message):
    """Restore a frame from the files of its window, ``scans``, oldest first, into the file ``output``.

    ``numbers`` are the scan's frame numbers of those files.
    """

    KIND = 6
    NUMBERS = struct.Struct("<BH")
    TEXTS = 4

    device: Device
    model: str
    output: str
    mask: str
    curves: str
    numbers: tuple[int, ...]
    scans: tuple[str, ...]

    def to_parts(self) -> tuple[Sequence[Any], Sequence[str], bytes]:
        frames = len(self.scans)
        _require(frames > 0, "is about no picture")
        _require(len(self.numbers) == frames, "has another number of files than of frames")
        window = (struct.pack(f"<{frames}q", *self.numbers), *map(_text_bytes, self.scans))
        return (Device(self.device), frames), (self.model, self.output, self.mask, self.curves), b"".join(window)

    @classmethod
    def from_parts(cls, numbers: Sequence[Any], texts: Sequence[str], rest: bytes) -> RenderFile:
        device, frames = numbers
        _require(frames > 0, "is about no picture")
        _require(len(rest) >= 8 * frames, "ends too early")
        window = struct.unpack_from(f"<{frames}q", rest)
        scans, end = _texts_at(rest, 8 * frames, frames)
        _require(end == len(rest), "has bytes after its end")
        model, output, mask, curves = texts
        return cls(Device(device), model, output, mask, curves, window, tuple(scans))


@dataclass(frozen=True)
class Cancel(Message):
    """Give up the request ``target``; it has no answer of its own."""

    KIND = 7
    NUMBERS = struct.Struct("<I")

    target: int


@dataclass(frozen=True)
class Status(Message):
    """What the server does."""

    KIND = 8


@dataclass(frozen=True)
class Stop(Message):
    """End the server."""

    KIND = 9


@dataclass(frozen=True)
class Welcome(Message):
    """Who answers, in which version of the protocol."""

    KIND = 101
    NUMBERS = struct.Struct("<HI")
    TEXTS = 1
    HAS_REQUEST = False

    version: int
    process_id: int
    server: str


@dataclass(frozen=True)
class Model(Message):
    """A model's card. ``halo`` is None where it takes whole frames only; ``limits`` holds a sentence a line."""

    KIND = 102
    NUMBERS = struct.Struct("<HBBi")
    TEXTS = 7

    radius: int
    gives_coverage: bool
    halo: int | None
    sha256: str
    recipe: str
    encoding: str
    colour_space: str
    protected: str
    producer: str
    limits: str

    def to_parts(self) -> tuple[Sequence[Any], Sequence[str], bytes]:
        _require(self.halo is None or self.halo >= 0, "has an impossible halo")
        texts = (self.sha256, self.recipe, self.encoding, self.colour_space, self.protected, self.producer, self.limits)
        halo = -1 if self.halo is None else self.halo
        return (self.radius, bool(self.gives_coverage), 0, halo), texts, b""

    @classmethod
    def from_parts(cls, numbers: Sequence[Any], texts: Sequence[str], rest: bytes) -> Model:
        radius, gives_coverage, zero, halo = numbers
        _require(not rest, "has bytes after its end")
        _require(gives_coverage <= 1 and zero == 0, "has unknown flags")
        _require(halo >= -1, "has an impossible halo")
        return cls(radius, bool(gives_coverage), None if halo == -1 else halo, *texts)


@dataclass(frozen=True)
class Done(Message):
    """Yes."""

    KIND = 103


@dataclass(frozen=True)
class Restored(Message):
    """The frame is there. Times are in microseconds: inside the model, and from its turn to this answer."""

    KIND = 104
    NUMBERS = struct.Struct("<BBBBIQQ")
    TEXTS = 1

    device: Device
    bits: int
    coverage: bool
    tiles: int
    model_us: int
    total_us: int
    sha256: str

    def to_parts(self) -> tuple[Sequence[Any], Sequence[str], bytes]:
        _require(self.device in (Device.CPU, Device.CUDA), "ran nowhere")
        _require(self.bits in (16, 32), "has another arithmetic than 16 or 32 bits")
        flags = (self.device, self.bits, bool(self.coverage), 0)
        return (*flags, self.tiles, self.model_us, self.total_us), (self.sha256,), b""

    @classmethod
    def from_parts(cls, numbers: Sequence[Any], texts: Sequence[str], rest: bytes) -> Restored:
        device, bits, coverage, zero, *measured = numbers
        _require(not rest, "has bytes after its end")
        _require(coverage <= 1 and zero == 0, "has unknown flags")
        restored = cls(Device(device), bits, bool(coverage), *measured, *texts)
        restored.to_parts()
        return restored


@dataclass(frozen=True)
class StatusIs(Message):
    """What the server does, as JSON."""

    KIND = 105
    TEXTS = 1

    json: str


@dataclass(frozen=True)
class Error(Message):
    """Why not: a kind for programs and a sentence for the artist. It may belong to no request (0)."""

    KIND = 199
    NUMBERS = struct.Struct("<H")
    TEXTS = 1

    code: Code
    sentence: str

    @classmethod
    def from_parts(cls, numbers: Sequence[Any], texts: Sequence[str], rest: bytes) -> Error:
        _require(not rest, "has bytes after its end")
        return cls(Code(numbers[0]), *texts)


FROM_CLIENT = (Hello, Describe, Memory, Forget, Render, RenderFile, Cancel, Status, Stop)
FROM_SERVER = (Welcome, Model, Done, Restored, StatusIs, Error)
BY_KIND: dict[int, type[Message]] = {message.KIND: message for message in (*FROM_CLIENT, *FROM_SERVER)}


def encode(message: Message, request: int = 0) -> bytes:
    """Header and payload.

    Raises:
        ValueError: a field does not fit, or the contract forbids what it says.
    """
    _require_request(type(message), request)
    try:
        numbers, texts, rest = message.to_parts()
        payload = b"".join((message.NUMBERS.pack(*numbers), *map(_text_bytes, texts), rest))
        header = HEADER.pack(MAGIC, message.KIND, 0, request, len(payload))
    except struct.error as error:
        raise ValueError(f"holds a number that does not fit: {error}") from error
    _require(len(payload) <= MAX_PAYLOAD, "is longer than a message may be")
    return header + payload


def decode(kind: int, request: int, payload: bytes) -> Message:
    """The message of that kind with that payload, which must be used up exactly.

    Raises:
        ValueError: it breaks the rules; the text says which.
    """
    message = BY_KIND.get(kind)
    if message is None:
        raise ValueError(f"is of the unknown kind {kind}")
    _require_request(message, request)
    _require(len(payload) >= message.NUMBERS.size, "ends too early")
    texts, end = _texts_at(payload, message.NUMBERS.size, message.TEXTS)
    return message.from_parts(message.NUMBERS.unpack_from(payload), texts, payload[end:])


def speakable(sentence: str) -> str:
    """The sentence as an ERROR can carry it: no NUL, nothing that UTF-8 lacks, at most 4,000 characters."""
    return sentence[:_LONGEST_SENTENCE].replace("\0", "?").encode("utf-8", "replace").decode("utf-8")


def common_version(hello: Hello) -> int | None:
    """The version to speak with that client, or None."""
    return VERSION if hello.lowest <= VERSION <= hello.highest else None


def _text_bytes(text: str) -> bytes:
    data = text.encode("utf-8")
    _require(len(data) < 2**16, "holds a text that is too long")
    _require(b"\0" not in data, "holds a text with NUL")
    return _COUNT.pack(len(data)) + data


def _texts_at(payload: bytes, offset: int, count: int) -> tuple[list[str], int]:
    """That many texts from ``offset``, and the offset after them."""
    texts = []
    for _ in range(count):
        start = offset + _COUNT.size
        _require(start <= len(payload), "ends too early")
        offset = start + _COUNT.unpack_from(payload, offset)[0]
        _require(offset <= len(payload), "ends too early")
        data = payload[start:offset]
        _require(b"\0" not in data, "holds a text with NUL")
        texts.append(data.decode("utf-8"))
    return texts, offset


def _require_request(message: type[Message], request: int) -> None:
    if not message.HAS_REQUEST:
        _require(request == 0, "belongs to no request")
    elif message is not Error:
        _require(request != 0, "needs a request")


def _require(condition: bool, problem: str) -> None:
    if not condition:
        raise ValueError(problem)
