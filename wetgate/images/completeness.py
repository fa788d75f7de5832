"""Whether a picture file that was just written is all there.

On a full disk image libraries lose the end of a file without a word. These checks follow the chain of
offsets and lengths that a file is built of and leave its pixels alone, so they cost next to nothing.
Sources: OpenEXR File Layout; TIFF 6.0 and BigTIFF; ISO/IEC 15948 (PNG); ITU-T T.81 (JPEG).
"""

from __future__ import annotations

import os
import struct
from itertools import pairwise
from pathlib import Path
from typing import Any, BinaryIO

JPEG_END = b"\xff\xd9"

_EXR_TILED = 0x200
_BIG_TIFF = 43
_TIFF_STRIP_OFFSETS, _TIFF_STRIP_SIZES, _TIFF_EXIF = 273, 279, 34665
_TIFF_WIDTHS = dict(enumerate("BBHIQBBHIQIQI", 1)) | {16: "Q", 17: "Q", 18: "Q"}


def is_complete(path: Path, form: str) -> bool:
    """Whether an EXR, TIFF, PNG or JPEG file, as ``write_image`` has OpenImageIO write it, has all its parts."""
    check = {"exr": _exr, "tiff": _tiff, "png": _png, "jpeg": _jpeg}[form]
    with open(path, "rb", buffering=64) as stream:  # fields lie far apart
        try:
            return check(stream, path.stat().st_size)
        except (struct.error, KeyError):  # a field lies behind the end, or is of no known type
            return False


def _exr(stream: BinaryIO, size: int) -> bool:
    """One part with increasing lines: its chunks, as the table has them, fill the file to the end."""
    (version,) = _unpack(stream, "<4xI")
    while _text(stream):
        _text(stream)
        (length,) = _unpack(stream, "<I")
        stream.seek(length, os.SEEK_CUR)
    table = stream.tell()
    (first,) = _unpack(stream, "<Q")
    if not table < first < size:
        return False
    offsets = _unpack(stream, f"<{(first - table) // 8 - 1}Q")
    chunk_head = "<16xI" if version & _EXR_TILED else "<4xI"
    for start, end in pairwise((first, *offsets, size)):
        stream.seek(start)
        (length,) = _unpack(stream, chunk_head)
        if stream.tell() + length != end:
            return False
    return True


def _text(stream: BinaryIO) -> bytes:
    """The bytes up to the next zero, or the end."""
    return b"".join(iter(lambda: stream.read(1).strip(b"\0"), b""))


def _tiff(stream: BinaryIO, size: int) -> bool:
    """One picture in strips: no strip is empty, and nothing that is pointed to lies outside the file."""
    _, version, place = _unpack(stream, "=2sHI")
    if version == _BIG_TIFF:
        (place,) = _unpack(stream, "=Q")
    tags = _tiff_directory(stream, place, version)
    if _TIFF_EXIF in tags:
        _tiff_directory(stream, tags[_TIFF_EXIF][0], version)
    strips = list(zip(tags[_TIFF_STRIP_OFFSETS], tags[_TIFF_STRIP_SIZES], strict=True))
    return all(length and start + length <= size for start, length in strips)


def _tiff_directory(stream: BinaryIO, place: int, version: int) -> dict[int, tuple[Any, ...]]:
    """The values of each tag, in this machine's byte order, fractions as single numbers."""
    count_form, entry_form, place_form = ("=Q", "=HHQ8s", "=Q") if version == _BIG_TIFF else ("=H", "=HHI4s", "=I")
    stream.seek(place)
    (count,) = _unpack(stream, count_form)
    tags = {}
    for tag, kind, length, field in [_unpack(stream, entry_form) for _ in range(count)]:
        form = f"={length}{_TIFF_WIDTHS[kind]}"
        if struct.calcsize(form) > len(field):
            stream.seek(*struct.unpack(place_form, field))
            tags[tag] = _unpack(stream, form)
        else:
            tags[tag] = struct.unpack_from(form, field)
    return tags


def _png(stream: BinaryIO, size: int) -> bool:
    """Chunk follows chunk up to the end mark."""
    place, kind = 8, b""
    while kind != b"IEND":
        stream.seek(place)
        length, kind = _unpack(stream, ">I4s")
        place += 12 + length
    return place == size


def _jpeg(stream: BinaryIO, size: int) -> bool:
    """The end mark alone: the JPEG library stops at its first failed write, so it writes no end behind a gap."""
    stream.seek(max(0, size - len(JPEG_END)))
    return stream.read() == JPEG_END


def _unpack(stream: BinaryIO, form: str) -> tuple[Any, ...]:
    return struct.unpack(form, stream.read(struct.calcsize(form)))
