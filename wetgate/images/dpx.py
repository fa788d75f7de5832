"""DPX headers, kept to the byte, and the packing of code values into 32-bit words.

Reading pixels is OpenImageIO's work; it cannot write a header back as it was, so writing is done here.
Source: SMPTE ST 268-1:2014, "File Format for Digital Moving-Picture Exchange (DPX)".
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wetgate.errors import WetgateError

MAX_BLOCK = 64 << 20
FIXED_BLOCK = 2048

DESCRIPTORS = {6: ("Y",), 50: ("R", "G", "B"), 51: ("R", "G", "B", "A"), 52: ("A", "B", "G", "R")}

_UNDEFINED = 0xFFFFFFFF
_ELEMENT = 780
_ELEMENT_FORMAT = "IIfIfBBBBHHIII"


@dataclass(frozen=True)
class Layout:
    """Where and how a DPX file stores its pixels.

    Attributes:
        order: struct's byte-order character.
        offset: bytes before the pixels.
        descriptor: code of the components (table 1 of the standard).
        bits: bits of a component.
        packing: 0 packed, 1 filled method A (padding below), 2 filled method B (padding above).
        elements: image elements in the file; Wetgate reads the first.
    """

    order: str
    width: int
    height: int
    offset: int
    descriptor: int
    bits: int
    packing: int
    encoding: int
    elements: int
    line_padding: int
    transfer: int

    @property
    def plain(self) -> bool:
        """Whether :func:`encode` can write this layout."""
        return (
            self.elements == 1
            and self.encoding == 0
            and self.descriptor in DESCRIPTORS
            and self.bits in (8, 10, 12, 16)
            and self.packing in (0, 1, 2)
            and not (self.packing == 0 and self.bits in (10, 12))
            and self.line_padding in (0, _UNDEFINED)
        )


def read_block(path: Path) -> bytes:
    """The bytes of a DPX file up to its pixels.

    Raises:
        WetgateError: the file is not DPX, or ends before its pixels begin.
    """
    with open(path, "rb") as stream:
        start = stream.read(FIXED_BLOCK)
        if len(start) < FIXED_BLOCK or start[:4] not in (b"SDPX", b"XPDS"):
            raise WetgateError(f"{path} is not a whole DPX file: its header is missing or cut off.")
        offset = parse(start, path).offset
        block = start + stream.read(offset - FIXED_BLOCK) if offset > FIXED_BLOCK else start[:offset]
    if len(block) != offset:
        raise WetgateError(f"{path} is cut off: it ends inside its header. Copy it again from its source.")
    return block


def parse(block: bytes, path: Path) -> Layout:
    """Read the fields of a header block that say how pixels are stored."""
    order = ">" if block[:4] == b"SDPX" else "<"
    offset = struct.unpack_from(order + "I", block, 4)[0]
    _, elements, width, height = struct.unpack_from(order + "HHII", block, 768)
    fields = struct.unpack_from(order + _ELEMENT_FORMAT, block, _ELEMENT)
    descriptor, transfer, _, bits, packing, encoding, element_offset, line_padding = fields[5:13]
    if element_offset not in (0, _UNDEFINED):
        offset = element_offset
    if not FIXED_BLOCK * 3 // 4 < offset <= MAX_BLOCK:
        raise WetgateError(f"{path} has a damaged DPX header: it says that pixels start at byte {offset}.")
    return Layout(
        order, width, height, offset, descriptor, bits, packing, encoding, elements, line_padding, transfer
    )


def encode(codes: NDArray[np.uint16], bits: int, descriptor: int, block: bytes | None) -> bytes:
    """A whole DPX file with these code values [H, W, C], channels in the order of ``descriptor``.

    With a ``block`` (a header read before) every byte of it is kept, but for the fields that would
    otherwise lie about size, bits or packing; the picture of a twin differs in pixels only.
    """
    height, width, _ = codes.shape
    header = bytearray(block if block is not None else _fresh_block())
    layout = parse(bytes(header), Path("the DPX header to copy"))
    stored = (layout.width, layout.height, layout.bits, layout.descriptor)
    twin = layout.plain and stored == (width, height, bits, descriptor)
    packing = layout.packing if twin else int(bits in (10, 12))
    body = _pack(codes, bits, packing, layout.order)
    if not twin:
        struct.pack_into(layout.order + "I", header, 16, len(header) + len(body))
        struct.pack_into(layout.order + "HII", header, 770, 1, width, height)
        element = list(struct.unpack_from(layout.order + _ELEMENT_FORMAT, header, _ELEMENT))
        element[1], element[3] = 0, (1 << bits) - 1
        element[5], element[8:14] = descriptor, [bits, packing, 0, len(header), 0, 0]
        struct.pack_into(layout.order + _ELEMENT_FORMAT, header, _ELEMENT, *element)
    return bytes(header) + body


def _pack(codes: NDArray[np.uint16], bits: int, packing: int, order: str) -> bytes:
    height, width, channels = codes.shape
    lines = codes.reshape(height, width * channels)
    if bits == 10:
        lines = _pad_to(lines, 3).reshape(height, -1, 3).astype(np.uint32)
        shift = 2 if packing == 1 else 0
        # Three components fill a word from the top; single-channel files fill it from the bottom.
        first, last = (20, 0) if channels > 1 else (0, 20)
        words = (lines[..., 0] << (first + shift)) | (lines[..., 1] << (10 + shift)) | (lines[..., 2] << (last + shift))
        return words.astype(order + "u4").tobytes()
    if bits == 8:
        return _pad_to(lines, 4).astype(np.uint8).tobytes()
    shifted = lines << 4 if bits == 12 and packing == 1 else lines
    return _pad_to(shifted, 2).astype(order + "u2").tobytes()


def _pad_to(lines: NDArray[np.uint16], multiple: int) -> NDArray[np.uint16]:
    missing = -lines.shape[1] % multiple
    return np.pad(lines, ((0, 0), (0, missing))) if missing else lines


def _fresh_block() -> bytes:
    """A header that states what is known and leaves every other field undefined (all bits set)."""
    header = bytearray(b"\xff" * FIXED_BLOCK)
    struct.pack_into(">4sI8sIIIII", header, 0, b"SDPX", FIXED_BLOCK, b"V2.0", 0, 1, 1664, 384, 0)
    struct.pack_into("100s24s100s200s200s", header, 36, b"", b"", b"", b"", b"")
    struct.pack_into("24s100s", header, 136, datetime.now().strftime("%Y:%m:%d:%H:%M:%S").encode(), b"Wetgate")
    struct.pack_into(">HHII", header, 768, 0, 1, 1, 1)
    struct.pack_into(">" + _ELEMENT_FORMAT, header, _ELEMENT, 0, 0, 0.0, 0, 0.0, 50, 0, 0, 10, 1, 0, FIXED_BLOCK, 0, 0)
    return bytes(header)
