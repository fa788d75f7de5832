"""Single pictures: EXR, DPX, TIFF, PNG and JPEG through OpenImageIO.

Integer code values round-trip exactly at every depth. Written floats are rounded to the nearest
code; NaN becomes code 0. Finite values beyond half's range become +-65504 instead of infinity.
"""

from __future__ import annotations

import base64
import contextlib
import errno
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import OpenImageIO as oiio
from numpy.typing import NDArray

from wetgate.errors import WetgateError
from wetgate.files import atomic_path, sentence_for
from wetgate.images import dpx
from wetgate.images.image import DEPTHS, Header, Image, Pixels, Window

FORMATS = {
    ".exr": "exr",
    ".dpx": "dpx",
    ".tif": "tiff",
    ".tiff": "tiff",
    ".png": "png",
    ".jpg": "jpeg",
    ".jpeg": "jpeg",
}

FORMAT_DEPTHS = {
    "exr": ("half", "float"),
    "dpx": ("8", "10", "12", "16"),
    "tiff": ("8", "16", "float"),
    "png": ("8", "16"),
    "jpeg": ("8",),
}
"""The depths that each format stores."""

_FALLBACK_DEPTH = {"exr": "half", "dpx": "10", "tiff": "16", "png": "16", "jpeg": "8"}
_HALF_HOLDS = ("8", "10", "half")
_OIIO_TYPES = {"8": "uint8", "10": "uint16", "12": "uint16", "16": "uint16", "half": "half", "float": "float"}

# A lossy second generation would alter pixels that a restoration promises to leave alone.
_EXR_LOSSLESS = ("none", "rle", "zip", "zips", "piz", "htj2k", "htj2k32", "htj2k256")
_TIFF_LOSSLESS = ("none", "lzw", "zip", "packbits")

MAX_PIXELS = 1 << 29
HALF_MAX = 65504.0

_DPX_PREFIX, _DPX_KEPT, _DPX_BLOCK = "dpx:", "dpx/", "dpx/header"
_REBUILT = ("oiio:", "openexr:levelmode", "openexr:roundingmode", "compression", "Compression", "tiff:Compression")
_TYPE_ALIASES = {"vectori": "int[3]", "vector2i": "int[2]", "vector2i[2]": "box2i"}

oiio.attribute("limits:imagesize_MB", MAX_PIXELS * 16 >> 20)


def read_header(path: str | os.PathLike[str]) -> Header:
    """Read what a file says without its pixels.

    Raises:
        WetgateError: as :func:`read_image`, except for files cut off behind their header.
    """
    source = Path(path)
    with _opened(source) as opened:
        return _header(source, opened)[0]


def read_image(path: str | os.PathLike[str]) -> Image:
    """Read a picture; see :class:`Image` for shapes and ranges and :class:`Header` for windows.

    Colour is taken from the channels R, G, B (of the top layer, or of the only layer that has them)
    or from a single channel; alpha from A. Other channels are not read.

    Raises:
        WetgateError: the file is missing, empty, junk, cut off, of an unknown format, or has
            channels that are no picture.
    """
    source = Path(path)
    with _opened(source) as opened:
        header, indices = _header(source, opened)
        spec = opened.spec()
        stored = opened.read_image(0, 0, min(indices), max(indices) + 1, _OIIO_TYPES[header.depth])
        if stored is None:
            raise WetgateError(
                f"{source} is damaged or cut off ({_reason(opened.geterror())}). Copy it again from its source."
            )
    picked = stored.reshape(spec.height, spec.width, -1)[..., [index - min(indices) for index in indices]]
    values = _to_float(picked, header.depth)
    window = header.window
    if header.data_window != window:
        whole = np.zeros((window.height, window.width, values.shape[2]), np.float32)
        whole[header.data_window.within(window)] = values
        values = whole
    colour = values[..., :1].repeat(3, axis=2) if header.mono else values[..., :3]
    alpha = np.ascontiguousarray(values[..., -1]) if "A" in header.channels else None
    return Image(np.ascontiguousarray(colour), alpha, header, source)


def write_image(
    path: str | os.PathLike[str],
    pixels: Pixels,
    *,
    like: Header | None = None,
    alpha: Pixels | None = None,
    bit_depth: str | None = None,
) -> None:
    """Write a picture atomically, in the format of the suffix.

    Args:
        pixels: [H, W, 3], as in :class:`Image`.
        like: header to carry over: metadata, single channel, compression where it is lossless, tiles,
            data and display window (where the size is the same), and for DPX every header byte.
        alpha: [H, W] to store as it is; without it no alpha is written.
        bit_depth: one of ``FORMAT_DEPTHS`` for the format; by default that of ``like``, or the smallest
            that holds its code values (half for EXR up to 10 bits), or half, 10, 16, 16, 8 for
            EXR, DPX, TIFF, PNG, JPEG.

    Raises:
        WetgateError: unknown suffix or depth, unwritable folder, full disk.
    """
    target = Path(path)
    form = _format(target)
    depth = bit_depth or _default_depth(form, like)
    if depth not in FORMAT_DEPTHS[form]:
        raise WetgateError(
            f"{target} cannot be written with bit depth '{depth}': {form.upper()} holds {', '.join(FORMAT_DEPTHS[form])}."
        )
    values = _arrange(pixels, alpha, like)
    window = Window(0, 0, values.shape[1], values.shape[0])
    data_window = display_window = window
    if like is not None and form == "exr" and like.size == (window.width, window.height):
        data_window, display_window = like.data_window, like.display_window
        values = values[data_window.within(like.window)]
    stored = _from_float(values, depth)
    try:
        with atomic_path(target) as temporary:
            if form == "dpx":
                temporary.write_bytes(_encode_dpx(stored, depth, like))
            else:
                spec = _spec(form, depth, stored, data_window, display_window, like)
                _write_oiio(temporary, spec, stored, target)
    except OSError as error:
        raise WetgateError(sentence_for(error, target)) from error


@contextlib.contextmanager
def _opened(path: Path) -> Any:
    try:
        size = path.stat().st_size
    except OSError as error:
        raise WetgateError(f"{path} cannot be read: {error.strerror or error}.") from error
    form = _format(path)
    if path.is_dir():
        raise WetgateError(f"{path} is a folder where an image file was expected.")
    if size == 0:
        raise WetgateError(f"{path} is empty (0 bytes). Copy it again from its source.")
    config = oiio.ImageSpec()
    config.attribute("oiio:UnassociatedAlpha", 1)
    opened = oiio.ImageInput.open(str(path), config)
    if opened is None:
        reason = _reason(oiio.geterror())
        raise WetgateError(f"{path} cannot be read as {form.upper()} ({reason}). It may be damaged or cut off.")
    try:
        yield opened
    finally:
        opened.close()


def _format(path: Path) -> str:
    try:
        return FORMATS[path.suffix.lower()]
    except KeyError:
        known = ", ".join(FORMATS)
        raise WetgateError(f"{path} is not an image that Wetgate knows by its suffix; it reads and writes {known}.") from None


def _reason(text: str) -> str:
    lines = [line.strip().rstrip(".") for line in text.splitlines() if line.strip()]
    return lines[0] if lines else "no reason given"


def _header(path: Path, opened: Any) -> tuple[Header, list[int]]:
    """The header, and the index in the file of each of its channels."""
    spec = opened.spec()
    form = _format(path)
    if spec.deep:
        raise WetgateError(f"{path} is a deep image; flatten it first.")
    attributes = {item.name: item.value for item in spec.extra_attribs}
    types = {item.name: _TYPE_ALIASES.get(str(item.type), str(item.type)) for item in spec.extra_attribs}
    channels, indices = _pick_channels(path, list(spec.channelnames))
    display = data = Window(0, 0, spec.width, spec.height)
    block = None
    if form == "exr":
        data = Window(spec.x, spec.y, spec.width, spec.height)
        display = Window(spec.full_x, spec.full_y, spec.full_width, spec.full_height)
        if _DPX_BLOCK in attributes:
            block = base64.b64decode(attributes.pop(_DPX_BLOCK))
    elif form == "dpx":
        block = dpx.read_block(path)
        layout = dpx.parse(block, path)
        if layout.elements != 1:
            raise WetgateError(f"{path} spreads its picture over {layout.elements} DPX elements; convert it to one first.")
    window = data.union(display)
    if window.width * window.height > MAX_PIXELS:
        raise WetgateError(f"{path} claims to be {window.width} x {window.height} pixels, more than Wetgate reads.")
    tile = (spec.tile_width, spec.tile_height) if spec.tile_width and form == "exr" else None
    depth = _stored_depth(form, spec)
    return Header(form, depth, channels, data, display, attributes, types, tile, block), indices


def _pick_channels(path: Path, names: list[str]) -> tuple[tuple[str, ...], list[int]]:
    def layer(name: str) -> str:
        return name.rpartition(".")[0]

    def find(prefix: str, letter: str) -> int | None:
        wanted = f"{prefix}.{letter}" if prefix else letter
        return next((index for index, name in enumerate(names) if name.upper() == wanted.upper()), None)

    layers = sorted({layer(name) for name in names})
    complete = [prefix for prefix in layers if all(find(prefix, letter) is not None for letter in "RGB")]
    if "" in complete:
        complete = [""]
    if len(complete) == 1:
        found = [find(complete[0], letter) for letter in "RGBA"]
        indices = [index for index in found if index is not None]
        return tuple("RGBA"[: len(indices)]), indices
    colours = [index for index, name in enumerate(names) if name.rpartition(".")[2].upper() != "A"]
    if len(colours) == 1:
        index = find(layer(names[colours[0]]), "A")
        mono = names[colours[0]]
        return ((mono,), colours) if index is None else ((mono, "A"), [colours[0], index])
    raise WetgateError(f"{path} has the channels {', '.join(names[:12])}; Wetgate needs one layer of R, G, B, or one channel.")


def _stored_depth(form: str, spec: Any) -> str:
    kind = str(spec.format)
    bits = spec.get_int_attribute("oiio:BitsPerSample", 0)
    if form == "dpx" and bits in (10, 12):
        return str(bits)
    if kind == "uint8":
        return "8"
    if kind == "uint16":
        return "16"
    return "half" if kind == "half" else "float"


def _default_depth(form: str, like: Header | None) -> str:
    if like is None:
        return _FALLBACK_DEPTH[form]
    if form == "exr":
        return "half" if like.depth in _HALF_HOLDS else "float"
    holding = [depth for depth in FORMAT_DEPTHS[form] if DEPTHS.index(depth) >= DEPTHS.index(like.depth)]
    return holding[0] if holding else FORMAT_DEPTHS[form][-1]


def _to_float(stored: NDArray[Any], depth: str) -> Pixels:
    if depth in ("half", "float"):
        return stored.astype(np.float32, copy=False)
    bits = int(depth)
    codes = stored >> (16 - bits) if bits in (10, 12) else stored
    return codes.astype(np.float32) / np.float32((1 << bits) - 1)


def _from_float(values: Pixels, depth: str) -> NDArray[Any]:
    if depth == "float":
        return np.ascontiguousarray(values, dtype=np.float32)
    if depth == "half":
        finite = np.isfinite(values)
        clamped = np.where(finite, np.clip(values, -HALF_MAX, HALF_MAX), values)
        return clamped.astype(np.float16)
    largest = (1 << int(depth)) - 1
    codes = np.clip(np.nan_to_num(values, nan=0.0, posinf=1.0, neginf=0.0), 0.0, 1.0) * np.float32(largest)
    return np.rint(codes).astype(np.uint8 if depth == "8" else np.uint16)


def _arrange(pixels: Pixels, alpha: Pixels | None, like: Header | None) -> Pixels:
    """Channels as they will be stored: one or three, and alpha."""
    colour = np.asarray(pixels, dtype=np.float32)
    if like is not None and like.mono:
        first = colour[..., :1]
        equal = np.array_equal(first, colour[..., 1:2], equal_nan=True) and np.array_equal(
            first, colour[..., 2:], equal_nan=True
        )
        colour = first if equal else colour @ np.float32([[0.2126], [0.7152], [0.0722]])
    if alpha is None:
        return colour
    return np.concatenate([colour, np.asarray(alpha, dtype=np.float32)[..., None]], axis=2)


def _spec(
    form: str, depth: str, stored: NDArray[Any], data: Window, display: Window, like: Header | None
) -> Any:
    spec = oiio.ImageSpec(stored.shape[1], stored.shape[0], stored.shape[2], _OIIO_TYPES[depth])
    spec.x, spec.y = data.x, data.y
    spec.full_x, spec.full_y, spec.full_width, spec.full_height = display.x, display.y, display.width, display.height
    names = ("Y", "A") if stored.shape[2] < 3 else ("R", "G", "B", "A")
    if like is not None and like.mono and form == "exr" and like.format == "exr":
        names = (like.channels[0], "A")
    spec.channelnames = names[: stored.shape[2]]
    spec.alpha_channel = stored.shape[2] - 1 if stored.shape[2] in (2, 4) else -1
    if like is not None:
        _carry_attributes(spec, form, like)
    if form == "exr":
        wanted = str(like.attributes.get("compression", "zip")) if like is not None and like.format == "exr" else "zip"
        spec.attribute("compression", wanted if wanted in _EXR_LOSSLESS else "zip")
        if like is not None and like.tile and like.format == "exr":
            spec.tile_width, spec.tile_height = like.tile
    elif form == "tiff":
        wanted = str(like.attributes.get("compression", "zip")) if like is not None and like.format == "tiff" else "zip"
        spec.attribute("compression", wanted if wanted in _TIFF_LOSSLESS else "zip")
    elif form == "jpeg":
        spec.attribute("Compression", "jpeg:95")
        spec.attribute("jpeg:subsampling", "4:4:4")
    spec.attribute("oiio:UnassociatedAlpha", 1)
    return spec


def _carry_attributes(spec: Any, form: str, like: Header) -> None:
    for name, value in like.attributes.items():
        if name.startswith(_REBUILT) and name != "oiio:ColorSpace":
            continue
        if form != "dpx" and name.startswith(_DPX_PREFIX):
            name_there = _DPX_KEPT + name[len(_DPX_PREFIX) :]
        else:
            name_there = name
        if name in like.types:
            spec.attribute(name_there, oiio.TypeDesc(like.types[name]), value)
        elif isinstance(value, (str, int, float)):
            spec.attribute(name_there, value)
        else:
            spec.attribute(name_there, str(value))
    if form == "exr" and like.block is not None:
        spec.attribute(_DPX_BLOCK, base64.b64encode(like.block).decode("ascii"))


def _write_oiio(temporary: Path, spec: Any, stored: NDArray[Any], target: Path) -> None:
    output = oiio.ImageOutput.create(str(temporary))
    if output is None:
        raise WetgateError(f"{target} cannot be written ({_reason(oiio.geterror())}).")
    written = output.open(str(temporary), spec) and output.write_image(stored)
    reason = output.geterror()
    closed = output.close()
    if not (written and closed):
        reason = _reason(reason or output.geterror())
        if shutil.disk_usage(target.parent).free < stored.nbytes:
            raise OSError(errno.ENOSPC, "No space left on device")
        raise WetgateError(f"{target} could not be written ({reason}).")


def _encode_dpx(stored: NDArray[Any], depth: str, like: Header | None) -> bytes:
    block = like.block if like is not None else None
    channels = stored.shape[2]
    if channels == 2:
        stored, channels = stored[..., :1], 1
    descriptor = {1: 6, 3: 50, 4: 51}[channels]
    if block is not None and channels == 4 and dpx.parse(block, Path("header")).descriptor == 52:
        descriptor, stored = 52, stored[..., ::-1]
    return dpx.encode(stored, int(depth), descriptor, block)
