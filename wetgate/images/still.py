"""Single pictures: EXR, TIFF, PNG and JPEG through OpenImageIO, DPX partly by ourselves."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import OpenImageIO as oiio
from numpy.typing import NDArray

from wetgate.errors import WetgateError
from wetgate.files import atomic_path
from wetgate.images import dpx
from wetgate.images.completeness import JPEG_END, is_complete
from wetgate.images.image import DEPTHS, Header, Image, Pixels, Window
from wetgate.images.metadata import carry_attributes, read_attributes, take_dpx_block
from wetgate.images.samples import codes_to_float, float_to_codes, float_to_half, single_channel

FORMATS = {
    ".exr": "exr",
    ".dpx": "dpx",
    ".tif": "tiff",
    ".tiff": "tiff",
    ".png": "png",
    ".jpg": "jpeg",
    ".jpeg": "jpeg",
}
"""Format by suffix."""

FORMAT_DEPTHS = {
    "exr": ("half", "float"),
    "dpx": ("8", "10", "12", "16"),
    "tiff": ("8", "16", "float"),
    "png": ("8", "16"),
    "jpeg": ("8",),
}
"""The depths that each format is written with."""

MAX_PIXELS = 1 << 29

_DEFAULT_DEPTH = {"exr": "half", "dpx": "10", "tiff": "16", "png": "16", "jpeg": "8"}
_OIIO_TYPES = {"8": "uint8", "10": "uint16", "12": "uint16", "16": "uint16", "half": "half", "float": "float"}

# A lossy second generation would alter the pixels that a restoration promises to leave alone.
_LOSSLESS = {
    "exr": ("none", "rle", "zips", "zip", "piz", "htj2k", "htj2k32", "htj2k256"),
    "tiff": ("none", "packbits", "lzw", "zip"),
}

_JPEG_SCAN = b"\xff\xda"


def read_header(path: str | os.PathLike[str]) -> Header:
    """Read what a file says, without its pixels.

    Raises:
        WetgateError: as :func:`read_image`, but a file cut off behind its header goes unnoticed.
    """
    source = Path(path)
    with _opened(source) as opened:
        return _header(source, opened)[0]


def read_image(path: str | os.PathLike[str]) -> Image:
    """Read a picture; :class:`Image` tells shapes and ranges, :class:`Header` tells of windows.

    Colour is taken from the channels R, G, B (without a layer name, or of the only layer that has them) or
    from a single channel, alpha from A of the same layer. Other channels, and the other
    parts of an EXR, are not read.

    Raises:
        WetgateError: the file is missing, empty, junk, cut off or of an unknown format, has no such
            channels, or claims more than ``MAX_PIXELS``.
    """
    source = Path(path)
    with _opened(source) as opened:
        header, indices = _header(source, opened)
        layout = dpx.parse(header.block) if header.format == "dpx" and header.block else None
        if layout is not None and layout.plain:
            codes = dpx.read_codes(source, layout)
            values = codes_to_float(codes[..., indices], layout.bits)
        else:
            values = _read_values(source, opened, header.depth)[..., indices]
    if header.data_window != header.window:
        whole = np.zeros((header.size[1], header.size[0], values.shape[2]), np.float32)
        whole[header.data_window.within(header.window)] = values
        values = whole
    colour = values[..., :1].repeat(3, axis=2) if header.mono else values[..., :3]
    alpha = np.ascontiguousarray(values[..., -1]) if header.channels[-1] == "A" else None
    return Image(np.ascontiguousarray(colour), alpha, header, source)


def write_image(
    path: str | os.PathLike[str],
    pixels: Pixels,
    *,
    like: Header | None = None,
    alpha: Pixels | None = None,
    bit_depth: str | None = None,
) -> None:
    """Write a picture, whole or not at all, in the format of the suffix.

    Codes that were read are written back exactly. Other values go to the nearest code, NaN to code 0; half
    floats overflow to +-65504 instead of infinity. The same pixels and headers give the same bytes: no time of
    writing is put in.

    Args:
        path: where to; the folder must exist.
        pixels: [H, W, 3], as in :class:`Image`.
        like: header to carry over: metadata, the single channel (luma, where the three differ), tiles,
            compression where it is lossless, windows where the size is the same, each byte of a DPX header.
        alpha: [H, W], stored as it is; without it, and in JPEG, no alpha is written.
        bit_depth: one of ``FORMAT_DEPTHS``; by default the smallest that holds what ``like`` holds (half
            holds 10 bits), without ``like`` half, 10, 16, 16, 8 for EXR, DPX, TIFF, PNG, JPEG.

    Raises:
        WetgateError: unknown suffix or depth, unwritable folder, full disk.
    """
    target = Path(path)
    form = _format(target)
    depth = bit_depth or _depth_for(form, like)
    if depth not in FORMAT_DEPTHS[form]:
        choice = ", ".join(FORMAT_DEPTHS[form])
        raise WetgateError(f"{target} cannot have bit depth '{depth}'; {form.upper()} files hold {choice}.")
    values, names = _arranged(pixels, alpha if form != "jpeg" else None, like)
    data = display = Window(0, 0, values.shape[1], values.shape[0])
    if form == "exr" and like is not None and like.size == (data.width, data.height):
        data, display = like.data_window, like.display_window
        values = values[data.within(like.window)]
    if depth in ("half", "float"):
        samples: NDArray[Any] = float_to_half(values) if depth == "half" else values
    else:
        samples = float_to_codes(values, int(depth))
    with atomic_path(target) as temporary:
        if form == "dpx":
            temporary.write_bytes(_encode_dpx(samples, int(depth), like))
        else:
            spec = oiio.ImageSpec(data.width, data.height, len(names), _OIIO_TYPES[depth])
            spec.channelnames = names
            spec.alpha_channel = len(names) - 1 if names[-1] == "A" else -1
            spec.x, spec.y = data.x, data.y
            spec.full_x, spec.full_y = display.x, display.y
            spec.full_width, spec.full_height = display.width, display.height
            _describe(spec, form, like)
            _write_samples(temporary, form, spec, np.ascontiguousarray(samples), target)


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[Any]:
    form = _format(path)
    try:
        size = path.stat().st_size
        if path.is_dir():
            raise WetgateError(f"{path} is a folder where a picture was expected.")
        with open(path, "rb"):
            pass
    except OSError as error:
        raise WetgateError(f"{path} cannot be read: {(error.strerror or str(error)).lower()}.") from error
    if size == 0:
        raise WetgateError(f"{path} is empty (0 bytes). Copy it again from its source.")
    if form == "jpeg":
        _check_jpeg_end(path)
    config = oiio.ImageSpec()
    config.attribute("oiio:UnassociatedAlpha", 1)
    opened = oiio.ImageInput.open(str(path), config)
    if opened is None:
        raise WetgateError(f"{path} cannot be read as {form.upper()}: {_reason(oiio, path)}.")
    try:
        yield opened
    finally:
        opened.close()


def _format(path: Path) -> str:
    try:
        return FORMATS[path.suffix.lower()]
    except KeyError:
        known = ", ".join(FORMATS)
        raise WetgateError(f"{path} is no picture that Wetgate knows; its name must end in {known}.") from None


def _check_jpeg_end(path: Path) -> None:
    """The JPEG library fills what is missing with grey and calls it a warning."""
    data = path.read_bytes()
    if data[:2] == b"\xff\xd8" and data.rfind(JPEG_END) < data.rfind(_JPEG_SCAN):
        raise WetgateError(f"{path} is cut off: its end-of-image marker is missing. Copy it again from its source.")


def _reason(complainer: Any, path: Path) -> str:
    """That a file is damaged, with OpenImageIO's complaint but for the path, which the sentence already has."""
    return f"it is damaged or cut off ({_complaint(complainer).replace(str(path), path.name)})"


def _complaint(complainer: Any) -> str:
    """The first line of the last error of OpenImageIO, of a reader or of a writer."""
    try:
        text = str(complainer.geterror())
    except UnicodeDecodeError as error:  # it quotes the junk that it found
        text = error.object.decode("latin-1")
    lines = (line.strip(" .\t") for line in text.splitlines())
    return next((line for line in lines if line.isprintable() and line), "no reason given")


def _header(path: Path, opened: Any) -> tuple[Header, list[int]]:
    """The header, and where in a stored pixel each of its channels lies."""
    spec = opened.spec()
    form = _format(path)
    if spec.deep:
        raise WetgateError(f"{path} is a deep image; flatten it first.")
    attributes, types = read_attributes(spec)
    data = display = Window(0, 0, spec.width, spec.height)
    names = list(spec.channelnames)
    depth, block = None, None
    if form == "exr":
        data = Window(spec.x, spec.y, spec.width, spec.height)
        display = Window(spec.full_x, spec.full_y, spec.full_width, spec.full_height)
        block = take_dpx_block(attributes)
    elif form == "dpx":
        block = dpx.read_block(path)
        layout = dpx.parse(block)
        if layout.elements != 1:
            raise WetgateError(f"{path} spreads its picture over {layout.elements} DPX elements; join them first.")
        if layout.plain:
            names = list(dpx.CHANNELS[layout.descriptor])
        if layout.bits in (10, 12):
            depth = str(layout.bits)
    window = data.union(display)
    if window.width * window.height > MAX_PIXELS:
        raise WetgateError(f"{path} claims {window.width} x {window.height} pixels, more than Wetgate reads.")
    channels, indices = _pick_channels(path, names)
    if depth is None:
        kinds = {str(spec.channelformat(index)) for index in indices}
        depth = {"uint8": "8", "uint16": "16", "half": "half"}.get(kinds.pop(), "float") if len(kinds) == 1 else "float"
    tile = (spec.tile_width, spec.tile_height) if form == "exr" and spec.tile_width else None
    return Header(form, depth, channels, data, display, attributes, types, tile, block), indices


def _pick_channels(path: Path, names: list[str]) -> tuple[tuple[str, ...], list[int]]:
    places = {name.upper(): index for index, name in reversed(list(enumerate(names)))}
    layers = sorted({name.upper().rpartition(".")[0] for name in names})
    prefixes = [f"{layer}." if layer else "" for layer in layers]
    complete = [prefix for prefix in prefixes if all(prefix + letter in places for letter in "RGB")]
    if "" in complete or len(complete) == 1:
        prefix = complete[0]
        letters = [letter for letter in "RGBA" if prefix + letter in places]
        return tuple(letters), [places[prefix + letter] for letter in letters]
    colours = [index for index, name in enumerate(names) if name.upper().rpartition(".")[2] != "A"]
    if len(colours) == 1:
        name = names[colours[0]]
        alpha = places.get(name.upper().rpartition(".")[0] + ".A" if "." in name else "A")
        return ((name,), colours) if alpha is None else ((name, "A"), [colours[0], alpha])
    raise WetgateError(
        f"{path} has the channels {', '.join(names[:12])}; Wetgate reads one layer of R, G, B, or a single channel."
    )


def _read_values(path: Path, opened: Any, depth: str) -> Pixels:
    """All stored channels [H, W, C] as floats, through OpenImageIO."""
    spec = opened.spec()
    stored = opened.read_image(0, 0, 0, spec.nchannels, "float" if depth == "half" else _OIIO_TYPES[depth])
    if stored is None:
        raise WetgateError(f"{path} cannot be read: {_reason(opened, path)}. Copy it again from its source.")
    stored = stored.reshape(spec.height, spec.width, spec.nchannels)
    if depth in ("half", "float"):
        return stored
    return codes_to_float(stored >> 16 - int(depth) if depth in ("10", "12") else stored, int(depth))


def _depth_for(form: str, like: Header | None) -> str:
    if like is None:
        return _DEFAULT_DEPTH[form]
    if form == "exr":
        return "half" if like.depth in ("8", "10", "half") else "float"
    if form == "dpx" and like.block is not None and str(dpx.parse(like.block).bits) in FORMAT_DEPTHS[form]:
        return str(dpx.parse(like.block).bits)
    needed = DEPTHS.index(like.depth)
    return next((depth for depth in FORMAT_DEPTHS[form] if DEPTHS.index(depth) >= needed), FORMAT_DEPTHS[form][-1])


def _arranged(pixels: Pixels, alpha: Pixels | None, like: Header | None) -> tuple[Pixels, tuple[str, ...]]:
    """Channels as they will be stored, and their names."""
    values = np.asarray(pixels, np.float32)
    names: tuple[str, ...] = ("R", "G", "B")
    if like is not None and like.mono:
        values = single_channel(values)[..., None]
        names = like.channels[:1]
    if alpha is None:
        return values, names
    return np.concatenate([values, np.asarray(alpha, np.float32)[..., None]], axis=2), (*names, "A")


def _describe(spec: Any, form: str, like: Header | None) -> None:
    spec.attribute("DateTime", "")  # or OpenImageIO puts in the time of writing
    if like is not None:
        carry_attributes(spec, form, like)
        if form == "exr" and like.tile:
            spec.tile_width, spec.tile_height = like.tile
    if form in _LOSSLESS:
        stated = str(like.attributes.get("compression", "zip")) if like is not None and like.format == form else "zip"
        spec.attribute("compression", stated if stated in _LOSSLESS[form] else "zip")
    elif form == "jpeg":
        spec.attribute("Compression", "jpeg:95")
        spec.attribute("jpeg:subsampling", "4:4:4")
    if form == "png" or like is None or like.format != form or like.attributes.get("oiio:UnassociatedAlpha"):
        spec.attribute("oiio:UnassociatedAlpha", 1)


def _write_samples(temporary: Path, form: str, spec: Any, samples: NDArray[Any], target: Path) -> None:
    if form in ("png", "jpeg"):
        _reserve(temporary, samples.nbytes * 9 // 8 + (1 << 17))
    output = oiio.ImageOutput.create(str(temporary))
    if output is None:
        raise WetgateError(f"{target} cannot be written: {_complaint(oiio)}.")
    written = output.open(str(temporary), spec) and output.write_image(samples)
    complaint = "" if written else _complaint(output)
    written = output.close() and written and is_complete(temporary, form)
    if not written:
        if shutil.disk_usage(target.parent).free < samples.nbytes:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        raise WetgateError(f"{target} could not be written: {complaint or _complaint(output)}.")


def _reserve(path: Path, size: int) -> None:
    """Raise OSError unless the disk has room: the JPEG library ends the process on a full disk, the PNG
    library goes on without a word.
    """
    with open(path, "wb") as stream:
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(stream.fileno(), 0, size)
        else:
            for start in range(0, size, 1 << 20):
                stream.write(bytes(min(1 << 20, size - start)))


def _encode_dpx(codes: NDArray[Any], bits: int, like: Header | None) -> bytes:
    block = like.block if like is not None else None
    if codes.shape[2] == 2:
        raise WetgateError("A DPX file cannot hold a single channel with alpha; write EXR, TIFF or PNG instead.")
    descriptor = {1: 6, 3: 50, 4: 51}[codes.shape[2]]
    if block is not None and codes.shape[2] == 4 and dpx.parse(block).descriptor == 52:
        descriptor, codes = 52, codes[..., ::-1]
    return dpx.encode(np.ascontiguousarray(codes), bits, descriptor, block)
