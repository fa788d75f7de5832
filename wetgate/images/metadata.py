"""Which attributes survive from one file to another, and under which name.

OpenImageIO writes an attribute where the format has a place for it and drops the rest without a word. Two
kinds need help: names it reserves for a format (``dpx:Transfer``) are lost in other formats, so they are
written as ``dpx/Transfer``; and the bytes of a DPX header travel through EXR in ``dpx/header``, so that a
DPX written from that EXR has its header back.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
from typing import Any

import OpenImageIO as oiio

from wetgate.images.image import Header

_DPX_BLOCK = "dpx/header"
_DESCRIBES_STORAGE = ("oiio:", "openexr:", "compression", "Compression", "tiff:", "jpeg:", "png:")
_KEPT_ANYWAY = ("oiio:ColorSpace",)
_TYPE_ALIASES = {"vectori": "int[3]", "vector2i": "int[2]", "vector2i[2]": "box2i"}


def read_attributes(spec: Any) -> tuple[dict[str, Any], dict[str, str]]:
    """Attributes of an OpenImageIO ImageSpec, and their types as OpenImageIO parses them back."""
    attributes = {_readable(item.name): _readable(item.value) for item in spec.extra_attribs}
    types = {_readable(item.name): _TYPE_ALIASES.get(str(item.type), str(item.type)) for item in spec.extra_attribs}
    return attributes, types


def take_dpx_block(attributes: dict[str, Any]) -> bytes | None:
    """Remove a DPX header from an EXR's attributes and return it."""
    text = attributes.pop(_DPX_BLOCK, None)
    try:
        block = base64.b64decode(text, validate=True) if isinstance(text, str) else b""
    except binascii.Error:
        return None
    return block if len(block) >= 2048 and block[:4] in (b"SDPX", b"XPDS") else None


def _readable(value: Any) -> Any:
    """Text that is not UTF-8 read as Latin-1: scanners wrote names in it, and no writer takes surrogates."""
    if isinstance(value, tuple):
        return tuple(_readable(item) for item in value)
    if isinstance(value, str) and not value.isascii():
        data = value.encode("utf-8", "surrogateescape")
        with contextlib.suppress(UnicodeDecodeError):
            return data.decode("utf-8")
        return data.decode("latin-1")
    return value


def carry_attributes(spec: Any, form: str, like: Header) -> None:
    """Put the attributes of ``like`` into the spec of a file of format ``form``."""
    for name, value in like.attributes.items():
        if name.startswith(_DESCRIBES_STORAGE) and name not in _KEPT_ANYWAY:
            continue
        written = name.replace("dpx:", "dpx/", 1) if name.startswith("dpx:") else name
        if name in like.types:
            spec.attribute(written, oiio.TypeDesc(like.types[name]), value)
        else:
            spec.attribute(written, value if isinstance(value, (str, int, float)) else str(value))
    if form == "exr" and like.block is not None:
        spec.attribute(_DPX_BLOCK, base64.b64encode(like.block).decode("ascii"))
