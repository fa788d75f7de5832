"""Read what checks need from an ONNX file: plain protobuf, nothing loaded, nothing run.

Standard library only. Field numbers are those of ``onnx.proto`` (ONNX 1.2 to 1.20, IR 3 to 13).
A field that appears several times is visited each time, as protobuf merges such fields.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import BinaryIO

STANDARD_DOMAINS = frozenset({"", "ai.onnx", "ai.onnx.ml"})
_MAX_DEPTH = 30
_EXTERNAL = 1
_MAX_OUTER_FIELDS = 100_000
_LONGEST_HEAD = 20
"""Bytes of two numbers, before a field's content."""


class MalformedFile(ValueError):
    """The bytes are not a whole ONNX model."""


@dataclass(frozen=True)
class Tensor:
    """An input or output: its name, ONNX element type (1 is float32, 10 float16), and its shape.

    A dimension is a number where the file fixes it, otherwise ``None``; no shape at all is ``None``.
    """

    name: str
    element_type: int
    shape: tuple[int | None, ...] | None


@dataclass
class Description:
    """What a file says about itself. ``defaulted`` are inputs that may be left out: the file has a value for them."""

    inputs: list[Tensor] = field(default_factory=list)
    defaulted: list[Tensor] = field(default_factory=list)
    outputs: list[Tensor] = field(default_factory=list)
    metadata: dict[str, str] = field(default_factory=dict)
    producer: str = ""
    node_count: int = 0
    external_files: list[str] = field(default_factory=list)
    foreign_operators: list[str] = field(default_factory=list)


def describe(data: bytes) -> Description:
    """Describe the model in ``data``.

    Raises:
        MalformedFile: the bytes are junk, truncated, empty, or nested deeper than any real model.
    """
    reader = _Reader()
    try:
        return reader.model(memoryview(data))
    except UnicodeDecodeError as error:
        raise MalformedFile("a text field is not UTF-8") from error


def skim(stream: BinaryIO, size: int) -> None:
    """Follow the outermost fields through a file of ``size`` bytes, without reading what they hold.

    Raises:
        MalformedFile: they do not fill it exactly, or are more than any model has.
    """
    position = 0
    for _ in range(_MAX_OUTER_FIELDS):
        if position >= size:
            return
        stream.seek(position)
        head = memoryview(stream.read(_LONGEST_HEAD))
        position += _field(head, 0, size - position)[3]
    raise MalformedFile("it has too many parts")


def _fields(data: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """Yield (field number, value) of one protobuf message: an int or the bytes of the field."""
    position, end = 0, len(data)
    while position < end:
        number, value, start, position = _field(data, position, end)
        yield number, data[start:position] if value is None else value


def _field(data: memoryview, position: int, end: int) -> tuple[int, int | None, int, int]:
    """The field at ``position`` of a message of ``end`` bytes: its number, its value where that is a number, and where
    its content starts and ends. Only its head must be in ``data``.
    """
    key, position = _varint(data, position)
    number, wire = key >> 3, key & 7
    if number == 0:
        raise MalformedFile("a field has number 0")
    if wire == 0:
        value, stop = _varint(data, position)
        return number, value, position, stop
    if wire == 2:
        size, position = _varint(data, position)
    elif wire in (1, 5):
        size = 8 if wire == 1 else 4
    else:
        raise MalformedFile(f"wire type {wire} is not used by ONNX")
    if position + size > end:
        raise MalformedFile("the file ends in the middle of a field")
    return number, None, position, position + size


def _varint(data: memoryview, position: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if position >= len(data):
            raise MalformedFile("the file ends in the middle of a number")
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
    raise MalformedFile("a number is longer than 64 bits")


def _message(value: int | memoryview) -> memoryview:
    if isinstance(value, int):
        raise MalformedFile("a message was expected where a number stands")
    return value


def _number(value: int | memoryview) -> int:
    if not isinstance(value, int):
        raise MalformedFile("a number was expected where a message stands")
    return value


def _text(value: int | memoryview) -> str:
    return bytes(_message(value)).decode("utf-8")


class _Reader:
    def __init__(self) -> None:
        self.found = Description()
        self.functions: set[tuple[str, str]] = set()
        self.used: set[tuple[str, str]] = set()
        self.initialised: set[str] = set()

    def model(self, data: memoryview) -> Description:
        found = self.found
        graphs = 0
        for number, value in _fields(data):
            if number in (2, 3):
                found.producer = f"{found.producer} {_text(value)}".strip()
            elif number == 7:
                graphs += 1
                self.graph(_message(value), depth=0)
            elif number == 14:
                key, text = self.pair(_message(value))
                found.metadata[key] = text
            elif number == 20:
                self.training(_message(value))
            elif number == 25:
                self.function(_message(value))
        if not graphs or not found.node_count or not found.outputs:
            raise MalformedFile("it holds no graph")
        found.defaulted = [tensor for tensor in found.inputs if tensor.name in self.initialised]
        found.inputs = [tensor for tensor in found.inputs if tensor.name not in self.initialised]
        found.foreign_operators = sorted(
            f"{domain}.{name}" for domain, name in self.used - self.functions if domain not in STANDARD_DOMAINS
        )
        return found

    def graph(self, data: memoryview, depth: int) -> None:
        if depth > _MAX_DEPTH:
            raise MalformedFile("its graphs are nested too deeply")
        for number, value in _fields(data):
            if number == 1:
                self.node(_message(value), depth)
            elif number == 5:
                name = self.tensor(_message(value))
                if depth == 0:
                    self.initialised.add(name)
            elif number == 15:
                self.sparse(_message(value))
            elif depth == 0 and number == 11:
                self.found.inputs.append(self.value_info(_message(value)))
            elif depth == 0 and number == 12:
                self.found.outputs.append(self.value_info(_message(value)))

    def node(self, data: memoryview, depth: int) -> None:
        self.found.node_count += 1
        name = domain = ""
        for number, value in _fields(data):
            if number == 4:
                name = _text(value)
            elif number == 7:
                domain = _text(value)
            elif number == 5:
                self.attribute(_message(value), depth)
        self.used.add((domain, name))

    def attribute(self, data: memoryview, depth: int) -> None:
        for number, value in _fields(data):
            if number in (5, 10):
                self.tensor(_message(value))
            elif number in (6, 11):
                self.graph(_message(value), depth + 1)
            elif number in (22, 23):
                self.sparse(_message(value))

    def function(self, data: memoryview) -> None:
        name = domain = ""
        for number, value in _fields(data):
            if number == 1:
                name = _text(value)
            elif number == 10:
                domain = _text(value)
            elif number == 7:
                self.node(_message(value), depth=1)
            elif number == 11:
                self.attribute(_message(value), depth=1)
        self.functions.add((domain, name))

    def training(self, data: memoryview) -> None:
        for number, value in _fields(data):
            if number in (1, 2):
                self.graph(_message(value), depth=1)

    def tensor(self, data: memoryview) -> str:
        name, location, external = "", "", False
        for number, value in _fields(data):
            if number == 8:
                name = _text(value)
            elif number == 13:
                external = True
                key, text = self.pair(_message(value))
                location = text if key == "location" else location
            elif number == 14:
                external = external or _number(value) == _EXTERNAL
        if external:
            self.found.external_files.append(location or name)
        return name

    def sparse(self, data: memoryview) -> None:
        for number, value in _fields(data):
            if number in (1, 2):
                self.tensor(_message(value))

    @staticmethod
    def pair(data: memoryview) -> tuple[str, str]:
        parts = {1: "", 2: ""}
        for number, value in _fields(data):
            if number in parts:
                parts[number] = _text(value)
        return parts[1], parts[2]

    @staticmethod
    def value_info(data: memoryview) -> Tensor:
        name, element_type = "", 0
        shape: tuple[int | None, ...] | None = None
        for number, value in _fields(data):
            if number == 1:
                name = _text(value)
            elif number == 2:
                for kind, tensor_type in _fields(_message(value)):
                    if kind != 1:
                        continue
                    for part, content in _fields(_message(tensor_type)):
                        if part == 1:
                            element_type = _number(content)
                        elif part == 2:
                            shape = tuple(
                                _dimension(_message(dim)) for tag, dim in _fields(_message(content)) if tag == 1
                            )
        return Tensor(name, element_type, shape)


def _dimension(data: memoryview) -> int | None:
    for number, value in _fields(data):
        if number == 1:
            return _number(value)
    return None
