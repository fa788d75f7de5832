"""Hand-made files: what a test writes here, no image library has had its hands on."""

import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest


def dpx_bytes(codes, bits, *, order=">", packing=1, offset=2048, transfer=3, padded=True) -> bytes:
    """A DPX file after SMPTE ST 268, its header full of recognisable bytes; codes are [H, W, 1 | 3 | 4]."""
    height, width, channels = codes.shape
    header = bytearray((7 * index + 3) % 251 for index in range(offset))
    struct.pack_into(order + "I", header, 0, 0x53445058)
    struct.pack_into(order + "I", header, 4, offset)
    header[8:16] = b"V2.0\0\0\0\0"
    struct.pack_into(order + "IIII", header, 20, 1, 1664, 384, offset - 2048)
    header[36:136] = b"reel3.1001.dpx".ljust(100, b"\0")
    header[160:260] = b"A scanner".ljust(100, b"\0")
    struct.pack_into(order + "HHII", header, 768, 0, 1, width, height)
    descriptor = {1: 6, 3: 50, 4: 51}[channels]
    element = (0, 0, 0.0, 1023, 2.046, descriptor, transfer, 1, bits, packing, 0, offset, 0, 0)
    struct.pack_into(order + "IIfIfBBBBHHIII", header, 780, *element)
    header[820:852] = b"picture".ljust(32, b"\0")
    struct.pack_into(order + "II", header, 1628, 1, 1)
    struct.pack_into(order + "f", header, 1724, 24.0)
    struct.pack_into(order + "I", header, 1920, 0x01020304)

    body = bytearray()
    for line in codes.reshape(height, -1) if padded else [codes.reshape(-1)]:
        body += _line_bytes([int(code) for code in line], bits, order, packing, channels)
        if padded:
            body += b"\0" * (-len(body) % 4)
    struct.pack_into(order + "I", header, 16, offset + len(body))
    return bytes(header + body)


def _line_bytes(codes, bits, order, packing, channels) -> bytes:
    if bits == 8:
        return bytes(codes)
    if bits == 16:
        return struct.pack(f"{order}{len(codes)}H", *codes)
    if bits == 12:
        return struct.pack(f"{order}{len(codes)}H", *(code << (4 if packing == 1 else 0) for code in codes))
    below = 2 if packing == 1 else 0
    shifts = (20, 10, 0) if channels > 1 else (0, 10, 20)
    words = []
    for start in range(0, len(codes), 3):
        three = zip(codes[start : start + 3], shifts, strict=False)
        words.append(sum(code << (shift + below) for code, shift in three))
    return struct.pack(f"{order}{len(words)}I", *words)


@pytest.fixture
def make_dpx(tmp_path: Path) -> Callable[..., Path]:
    """Write a hand-made DPX; arguments as :func:`dpx_bytes`, and the file's name."""

    def make(codes, bits, *, name="scan.1001.dpx", **layout) -> Path:
        path = tmp_path / name
        path.write_bytes(dpx_bytes(np.asarray(codes), bits, **layout))
        return path

    return make


@pytest.fixture
def picture() -> np.ndarray:
    """A smooth picture, 12 x 20, with values that no short float holds exactly."""
    y, x = np.mgrid[0:12, 0:20].astype(np.float32)
    return np.stack([x / 19.3, y / 11.7, (x + y) / 31.1], axis=2).astype(np.float32)
