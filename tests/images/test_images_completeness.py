"""A file that lacks anything is told from a whole one without decoding it."""

from __future__ import annotations

import os
import struct

import numpy as np
import OpenImageIO as oiio
import pytest

from wetgate.images import Header, Window, write_image
from wetgate.images.completeness import is_complete
from wetgate.images.still import FORMATS

WINDOW = Window(0, 0, 45, 70)
PIXELS = np.random.default_rng(0).random((70, 45, 3), dtype=np.float32)

EXR_KINDS = [(packing, tile) for packing in ("none", "rle", "zips", "zip", "piz", "htj2k") for tile in (None, (16, 16))]
TIFF_KINDS = [(packing, depth) for packing in ("none", "packbits", "lzw", "zip") for depth in ("8", "float")]


def assert_only_whole_is_complete(path):
    """Cut off byte by byte at the end and in the head, here and there between."""
    form, length = FORMATS[path.suffix], path.stat().st_size
    assert is_complete(path, form)
    for cut in sorted({*range(0, 600, 3), *range(600, length, 331), *range(length - 40, length)}, reverse=True):
        os.truncate(path, cut)
        assert not is_complete(path, form), f"{cut} of {length} bytes"


@pytest.mark.parametrize(("compression", "tile"), EXR_KINDS)
def test_exr(tmp_path, compression, tile):
    like = Header("exr", "half", ("R", "G", "B"), WINDOW, WINDOW, {"compression": compression}, tile=tile)
    write_image(tmp_path / "a.exr", PIXELS, like=like, alpha=PIXELS[..., 0])
    assert_only_whole_is_complete(tmp_path / "a.exr")


@pytest.mark.parametrize(("compression", "depth"), TIFF_KINDS)
def test_tiff(tmp_path, compression, depth):
    attributes = {"compression": compression, "Exif:FNumber": 2.8}
    like = Header("tiff", depth, ("R", "G", "B"), WINDOW, WINDOW, attributes)
    write_image(tmp_path / "a.tif", PIXELS, like=like, alpha=PIXELS[..., 0])
    assert_only_whole_is_complete(tmp_path / "a.tif")


def test_a_tiff_beyond_four_gigabytes_has_another_layout(tmp_path):
    spec = oiio.ImageSpec(45, 70, 3, "float")
    spec.attribute("tiff:bigtiff", 1)
    spec.attribute("Exif:FNumber", 2.8)
    path = tmp_path / "a.tif"
    output = oiio.ImageOutput.create(str(path))
    assert output.open(str(path), spec) and output.write_image(PIXELS) and output.close()
    assert path.read_bytes()[2] == 43
    assert_only_whole_is_complete(path)


@pytest.mark.parametrize("name", ["a.png", "a.jpg"])
def test_png_and_jpeg(tmp_path, name):
    write_image(tmp_path / name, PIXELS)
    assert_only_whole_is_complete(tmp_path / name)


def test_an_exr_whose_table_was_never_written_is_not_complete(tmp_path):
    path = tmp_path / "a.exr"
    write_image(path, PIXELS)
    data = path.read_bytes()
    first = next(
        place for place in range(200, 2000) if data[place : place + 8] == (place + 5 * 8).to_bytes(8, "little")
    )
    for entry in range(5):
        damaged = bytearray(data)
        damaged[first + 8 * entry : first + 8 * entry + 8] = bytes(8)
        path.write_bytes(damaged)
        assert not is_complete(path, "exr")


def test_a_png_with_a_gap_before_its_end_is_not_complete(tmp_path):
    path = tmp_path / "a.png"
    write_image(path, PIXELS)
    data = path.read_bytes()
    path.write_bytes(data[:10000] + data[14096:])
    assert not is_complete(path, "png")


def test_a_tiff_with_a_strip_that_was_never_written_is_not_complete(tmp_path):
    path = tmp_path / "a.tif"
    write_image(path, PIXELS)
    data = bytearray(path.read_bytes())
    entry = next(data.find(struct.pack("=HH", 279, kind)) for kind in (3, 4) if struct.pack("=HH", 279, kind) in data)
    kind, count, place = struct.unpack_from("=HII", data, entry + 2)
    width = {3: 2, 4: 4}[kind]
    assert count > 1
    data[place + width : place + 2 * width] = bytes(width)
    path.write_bytes(data)
    assert not is_complete(path, "tiff")
