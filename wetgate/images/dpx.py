"""DPX: headers kept to the byte, code values packed and unpacked.

OpenImageIO reads DPX metadata and the rarer layouts (run-length, Y'CbCr, packed bits, 32 bits), but writes
headers anew and misreads padded lines; so plain layouts are read and written here.
Source: SMPTE ST 268-1:2014, "File Format for Digital Moving-Picture Exchange (DPX)".
"""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wetgate.errors import WetgateError

Codes = NDArray[np.uint16]

MAX_BLOCK = 64 << 20

CHANNELS = {6: ("Y",), 50: ("R", "G", "B"), 51: ("R", "G", "B", "A"), 52: ("A", "B", "G", "R")}
"""Channels in file order, by the standard's descriptor code."""

_FIXED_BLOCK = 2048
_UNDEFINED = 0xFFFFFFFF
_ELEMENT = 780
_ELEMENT_FORMAT = "IIfIfBBBBHHIII"
_COMPONENTS_A_WORD = {8: 4, 10: 3, 12: 2, 16: 2}


@dataclass(frozen=True)
class Layout:
    """How a DPX file stores its pixels.

    Attributes:
        order: byte order, as :mod:`struct` writes it.
        offset: bytes before the pixels.
        file_size: of the whole file, as the header has it.
        elements: image elements in the file.
        descriptor: which components a pixel has; see ``CHANNELS``.
        packing: 0 packed, 1 filled method A (padding bits below), 2 filled method B (padding bits above).
        encoding: 0 plain, 1 run-length.
    """

    order: str
    offset: int
    file_size: int
    elements: int
    width: int
    height: int
    descriptor: int
    bits: int
    packing: int
    encoding: int
    line_padding: int

    @property
    def plain(self) -> bool:
        """Whether :func:`read_codes` and :func:`encode` know this layout."""
        return (
            self.elements == 1
            and self.encoding == 0
            and self.descriptor in CHANNELS
            and self.packing in ((1, 2) if self.bits in (10, 12) else (0, 1, 2))
            and self.bits in _COMPONENTS_A_WORD
            and self.line_padding in (0, _UNDEFINED)
        )

    @property
    def line(self) -> int:
        """Components in a line."""
        return self.width * len(CHANNELS[self.descriptor])

    @property
    def padded_bytes(self) -> int:
        """Bytes of the pixels where each line starts on a 32-bit word, as the standard wants."""
        return self.height * -(-self.line // _COMPONENTS_A_WORD[self.bits]) * 4

    @property
    def tight_bytes(self) -> int:
        """Bytes of the pixels where lines follow each other without padding, as many programs write."""
        components = self.line * self.height
        return -(-components // 3) * 4 if self.bits == 10 else components * (1 if self.bits == 8 else 2)


def read_block(path: Path) -> bytes:
    """The bytes of a DPX file up to its pixels.

    Raises:
        WetgateError: the file is no DPX, or ends before its pixels begin.
    """
    with open(path, "rb") as stream:
        block = stream.read(_FIXED_BLOCK)
        if len(block) < _FIXED_BLOCK or block[:4] not in (b"SDPX", b"XPDS"):
            raise WetgateError(f"{path} is no DPX file, or is cut off inside its header.")
        offset = parse(block).offset
        if not 1664 <= offset <= MAX_BLOCK:
            raise WetgateError(f"{path} has a damaged DPX header: it says that pixels start at byte {offset}.")
        block = block[:offset] + stream.read(max(0, offset - _FIXED_BLOCK))
    if len(block) != offset:
        raise WetgateError(f"{path} is cut off inside its header. Copy it again from its source.")
    return block


def parse(block: bytes) -> Layout:
    """Read from a header block how pixels are stored."""
    order = ">" if block[:4] == b"SDPX" else "<"
    offset, _, file_size = struct.unpack_from(order + "I8sI", block, 4)
    elements, width, height = struct.unpack_from(order + "HII", block, 770)
    element = struct.unpack_from(order + _ELEMENT_FORMAT, block, _ELEMENT)
    descriptor, _, _, bits, packing, encoding, element_offset, line_padding = element[5:13]
    if element_offset not in (0, _UNDEFINED):
        offset = element_offset
    return Layout(order, offset, file_size, elements, width, height, descriptor, bits, packing, encoding, line_padding)


def transfer(block: bytes) -> int:
    """The code of the transfer characteristic."""
    return block[_ELEMENT + 21]


def read_codes(path: Path, layout: Layout) -> Codes:
    """Code values [H, W, C] of a plain layout, channels in file order.

    Raises:
        WetgateError: the file ends before its last pixel.
    """
    available = os.path.getsize(path) - layout.offset
    tight = available < layout.padded_bytes
    if available < layout.tight_bytes:
        raise WetgateError(
            f"{path} is cut off: {layout.width} x {layout.height} pixels need {layout.tight_bytes} bytes, "
            f"{max(available, 0)} are there. Copy it again from its source."
        )
    kind = {8: "u1", 10: layout.order + "u4"}.get(layout.bits, layout.order + "u2")
    count = (layout.tight_bytes if tight else layout.padded_bytes) // np.dtype(kind).itemsize
    stored = np.fromfile(path, kind, count, offset=layout.offset)
    if layout.bits == 10:
        stored = _unpack_words(stored.astype(np.uint32, copy=False), layout)
    elif layout.bits == 12:
        stored = (stored >> 4) if layout.packing == 1 else (stored & 0xFFF)
    lines = stored[: layout.line * layout.height] if tight else stored.reshape(layout.height, -1)[:, : layout.line]
    return lines.reshape(layout.height, layout.width, -1).astype(np.uint16, copy=False)


def encode(codes: Codes, bits: int, descriptor: int, block: bytes | None) -> bytes:
    """A whole DPX file with code values [H, W, C], channels in the order of ``descriptor``.

    With a ``block`` read from another file, each of its bytes is kept, except the fields on size, bits and
    packing where they would no longer be true.
    """
    header = bytearray(block if block is not None else _new_block())
    layout = parse(bytes(header))
    height, width = codes.shape[:2]
    stated = (layout.width, layout.height, layout.bits, layout.descriptor)
    if not layout.plain or stated != (width, height, bits, descriptor):
        _describe(header, layout.order, width, height, bits, descriptor)
        layout = parse(bytes(header))
    return bytes(header) + _pack(codes, layout)


def _describe(header: bytearray, order: str, width: int, height: int, bits: int, descriptor: int) -> None:
    """State the layout of a single plain element, everything else left as it is."""
    struct.pack_into(order + "HII", header, 770, 1, width, height)
    element = list(struct.unpack_from(order + _ELEMENT_FORMAT, header, _ELEMENT))
    element[1], element[3] = 0, (1 << bits) - 1
    element[5], element[8:14] = descriptor, [bits, int(bits in (10, 12)), 0, len(header), 0, 0]
    struct.pack_into(order + _ELEMENT_FORMAT, header, _ELEMENT, *element)
    struct.pack_into(order + "I", header, 16, len(header) + parse(bytes(header)).padded_bytes)


def _pack(codes: Codes, layout: Layout) -> bytes:
    pixel_bytes = layout.file_size - layout.offset
    tight = layout.tight_bytes <= pixel_bytes < layout.padded_bytes
    lines = codes.reshape(1, -1) if tight else codes.reshape(layout.height, -1)
    if layout.bits == 10:
        return _pack_words(_filled_up(lines, 3), layout).astype(layout.order + "u4").tobytes()
    if layout.bits == 8:
        return (lines if tight else _filled_up(lines, 4)).astype(np.uint8).tobytes()
    if layout.bits == 12 and layout.packing == 1:
        lines = np.left_shift(lines, 4, dtype=np.uint16)
    return (lines if tight else _filled_up(lines, 2)).astype(layout.order + "u2").tobytes()


def _filled_up(lines: Codes, multiple: int) -> Codes:
    missing = -lines.shape[1] % multiple
    return np.pad(lines, ((0, 0), (0, missing))) if missing else lines


def _shifts(layout: Layout) -> tuple[int, int, int]:
    """Where the three components of a word lie: colour fills it from the top, a single channel from the bottom."""
    below = 2 if layout.packing == 1 else 0
    return (20 + below, 10 + below, below) if layout.descriptor != 6 else (below, 10 + below, 20 + below)


def _unpack_words(words: NDArray[np.uint32], layout: Layout) -> Codes:
    codes = np.empty((words.size, 3), np.uint16)
    for index, shift in enumerate(_shifts(layout)):
        np.bitwise_and(words >> shift, 0x3FF, out=codes[:, index], casting="unsafe")
    return codes.reshape(-1)


def _pack_words(lines: Codes, layout: Layout) -> NDArray[np.uint32]:
    words = np.zeros(lines.size // 3, np.uint32)
    for index, shift in enumerate(_shifts(layout)):
        words |= lines.reshape(-1, 3)[:, index].astype(np.uint32) << shift
    return words


def _new_block() -> bytes:
    """A header that states what is known; its other numbers are undefined (all bits set), its texts empty."""
    header = bytearray(b"\xff" * _FIXED_BLOCK)
    struct.pack_into(">4sI8sIIIII", header, 0, b"SDPX", _FIXED_BLOCK, b"V2.0", 0, 1, 1664, 384, 0)
    struct.pack_into("100s24s100s200s200s", header, 36, b"", b"", b"Wetgate", b"", b"")
    struct.pack_into(">HHII", header, 768, 0, 1, 0, 0)
    struct.pack_into(">" + _ELEMENT_FORMAT, header, _ELEMENT, 0, 0, 0.0, 0, 0.0, 50, 0, 0, 10, 1, 0, 0, 0, 0)
    struct.pack_into("32s", header, 780 + 40, b"")
    struct.pack_into("100s24s32s32s", header, 1432, b"", b"", b"", b"")
    struct.pack_into("2s2s2s6s4s32s", header, 1664, b"", b"", b"", b"", b"", b"")
    struct.pack_into("32s100s", header, 1732, b"", b"")
    return bytes(header)
