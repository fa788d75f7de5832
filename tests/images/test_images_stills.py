import pickle
import re

import numpy as np
import OpenImageIO as oiio
import pytest

from wetgate.errors import WetgateError
from wetgate.images import read_header, read_image, write_image


def write_foreign(path, samples, kind, *, channels=None, window=None, display=None, tile=0, types=None, **attributes):
    """Write through OpenImageIO, as another program would."""
    height, width, count = samples.shape
    spec = oiio.ImageSpec(width, height, count, kind)
    if channels:
        spec.channelnames = channels
    if window:
        spec.x, spec.y = window
        spec.full_x, spec.full_y, spec.full_width, spec.full_height = display
    if tile:
        spec.tile_width = spec.tile_height = tile
    for name, value in attributes.items():
        spec.attribute(name.replace("__", ":"), value)
    for name, (attribute_type, value) in (types or {}).items():
        spec.attribute(name, oiio.TypeDesc(attribute_type), value)
    output = oiio.ImageOutput.create(str(path))
    assert output.open(str(path), spec), output.geterror()
    assert output.write_image(samples), output.geterror()
    assert output.close()
    return path


def raw_exr(path):
    """What OpenImageIO reads, untouched by Wetgate: samples as stored and the spec."""
    reader = oiio.ImageInput.open(str(path))
    spec = reader.spec()
    samples = reader.read_image(0, 0, 0, spec.nchannels, spec.format)
    reader.close()
    return samples.reshape(spec.height, spec.width, spec.nchannels), spec


@pytest.mark.parametrize(
    ("suffix", "depth", "largest"),
    [(".png", "8", 255), (".png", "16", 65535), (".tif", "8", 255), (".tiff", "16", 65535)],
)
def test_integer_codes_survive_exactly(tmp_path, suffix, depth, largest):
    codes = np.random.default_rng(1).integers(0, largest + 1, (31, 47, 3))
    path = tmp_path / f"codes{suffix}"
    write_image(path, (codes / largest).astype(np.float32), bit_depth=depth)

    image = read_image(path)

    assert image.header.depth == depth
    np.testing.assert_array_equal(np.rint(image.pixels.astype(np.float64) * largest), codes)


@pytest.mark.parametrize("suffix", [".exr", ".tif"])
def test_floats_survive_exactly_with_everything_outside_the_range(tmp_path, picture, suffix):
    picture[0, 0] = -0.25, 70000.0, np.inf
    picture[1, 1] = np.nan
    path = tmp_path / f"floats{suffix}"
    write_image(path, picture, bit_depth="float")

    image = read_image(path)

    np.testing.assert_array_equal(image.pixels, picture)
    assert image.pixels.flags.c_contiguous
    assert image.has_bad_pixels()


def test_half_overflow_becomes_the_largest_half_and_bad_pixels_stay_bad(tmp_path, picture):
    picture[0, 0] = 1e6, -1e6, 65510.0
    picture[1, 1] = np.inf, -np.inf, np.nan
    path = tmp_path / "bright.exr"
    write_image(path, picture)

    pixels = read_image(path).pixels

    np.testing.assert_array_equal(pixels[0, 0], [65504.0, -65504.0, 65504.0])
    np.testing.assert_array_equal(pixels[1, 1], [np.inf, -np.inf, np.nan])
    np.testing.assert_array_equal(pixels[2:], picture[2:].astype(np.float16))


def test_bad_pixels_are_found_and_good_ones_are_not_suspected(tmp_path, picture):
    path = tmp_path / "good.exr"
    write_image(path, picture * 3e38, bit_depth="float")
    assert not read_image(path).has_bad_pixels()
    picture[3, 3, 1] = -np.inf
    write_image(path, picture)
    assert read_image(path).has_bad_pixels()


def test_integers_round_to_the_nearest_code_and_clip(tmp_path):
    path = tmp_path / "rounded.png"
    pixels = np.float32([[[0.4999, 0.5001, 254.6], [-3.0, 300.0, np.nan], [np.inf, -np.inf, 12.0]]]) / 255
    write_image(path, pixels, bit_depth="8")
    np.testing.assert_array_equal(np.rint(read_image(path).pixels * 255), [[[0, 1, 255], [0, 255, 0], [255, 0, 12]]])


@pytest.mark.parametrize("suffix", [".exr", ".tif", ".png"])
def test_alpha_is_carried_untouched_where_it_is_zero_too(tmp_path, picture, suffix):
    alpha = np.linspace(0, 1, 240, dtype=np.float32).reshape(12, 20)
    path = tmp_path / f"alpha{suffix}"
    write_image(path, picture, alpha=alpha)
    image = read_image(path)
    assert image.header.channels == ("R", "G", "B", "A")

    twin = tmp_path / f"twin{suffix}"
    write_image(twin, image.pixels, like=image.header, alpha=image.alpha)
    again = read_image(twin)

    np.testing.assert_array_equal(again.pixels, image.pixels)
    np.testing.assert_array_equal(again.alpha, image.alpha)
    np.testing.assert_allclose(image.pixels, np.clip(picture, 0, 1) if suffix != ".exr" else picture, atol=6e-4)
    np.testing.assert_allclose(image.alpha, alpha, atol=6e-4)


@pytest.mark.parametrize("unassociated", [0, 1])
def test_a_tiff_keeps_the_kind_of_its_alpha(tmp_path, unassociated):
    samples = np.random.default_rng(2).integers(0, 65536, (5, 6, 4)).astype(np.uint16)
    path = write_foreign(tmp_path / "a.tif", samples, "uint16", oiio__UnassociatedAlpha=unassociated)
    image = read_image(path)
    np.testing.assert_array_equal(np.rint(image.pixels * 65535), samples[..., :3])

    twin = tmp_path / "twin.tif"
    write_image(twin, image.pixels, like=image.header, alpha=image.alpha)

    _, before = raw_exr(path)
    _, after = raw_exr(twin)
    assert after.get_int_attribute("tiff:UnassociatedAlpha") == before.get_int_attribute("tiff:UnassociatedAlpha")
    np.testing.assert_array_equal(np.rint(read_image(twin).pixels * 65535), samples[..., :3])


@pytest.mark.parametrize("suffix", [".exr", ".tif", ".png", ".dpx", ".jpg"])
def test_a_single_channel_comes_as_three_and_goes_as_one(tmp_path, suffix):
    path = tmp_path / f"mono{suffix}"
    samples = np.linspace(0, 1, 64, dtype=np.float32).reshape(8, 8, 1)
    write_foreign(path, samples, "half" if suffix == ".exr" else "uint8", channels=("Y",))
    image = read_image(path)

    assert image.mono
    assert image.pixels.shape == (8, 8, 3)
    np.testing.assert_array_equal(image.pixels[..., 0], image.pixels[..., 2])

    twin = tmp_path / f"twin{suffix}"
    write_image(twin, image.pixels, like=image.header)

    assert raw_exr(twin)[1].nchannels == 1
    atol = 0.01 if suffix == ".jpg" else 0
    np.testing.assert_allclose(read_image(twin).pixels, image.pixels, atol=atol, rtol=0)


def test_one_channel_with_alpha_survives(tmp_path):
    samples = np.random.default_rng(3).random((4, 5, 2), dtype=np.float32).astype(np.float16)
    path = write_foreign(tmp_path / "ya.exr", samples, "half", channels=("Y", "A"))
    image = read_image(path)
    twin = tmp_path / "twin.exr"
    write_image(twin, image.pixels, like=image.header, alpha=image.alpha)
    stored, spec = raw_exr(twin)
    assert spec.channelnames == ("Y", "A")
    np.testing.assert_array_equal(stored, samples)


@pytest.mark.parametrize(
    ("origin", "size", "display"),
    [
        ((2, 1), (6, 4), (0, 0, 10, 8)),
        ((-3, -2), (20, 16), (0, 0, 12, 10)),
        ((-2, 3), (6, 4), (0, 0, 10, 8)),
        ((101, 50), (4, 3), (100, 50, 8, 6)),
    ],
    ids=["cropped", "overscan", "crossing", "offset"],
)
def test_windows_survive_and_the_array_covers_display_and_overscan(tmp_path, origin, size, display):
    samples = np.random.default_rng(4).random((size[1], size[0], 3), dtype=np.float32)
    path = write_foreign(tmp_path / "windowed.exr", samples, "float", window=origin, display=display)
    image = read_image(path)

    left, top = min(origin[0], display[0]), min(origin[1], display[1])
    right = max(origin[0] + size[0], display[0] + display[2])
    bottom = max(origin[1] + size[1], display[1] + display[3])
    assert image.size == (right - left, bottom - top) == read_header(path).size
    rows = slice(origin[1] - top, origin[1] - top + size[1])
    columns = slice(origin[0] - left, origin[0] - left + size[0])
    np.testing.assert_array_equal(image.pixels[rows, columns], samples)
    outside = image.pixels.copy()
    outside[rows, columns] = 0
    assert not outside.any()

    twin = tmp_path / "twin.exr"
    write_image(twin, image.pixels + 1, like=image.header)

    stored, spec = raw_exr(twin)
    assert (spec.x, spec.y, spec.width, spec.height) == (*origin, *size)
    assert (spec.full_x, spec.full_y, spec.full_width, spec.full_height) == display
    np.testing.assert_array_equal(stored, samples + 1)


def test_a_picture_of_another_size_gets_windows_of_its_own(tmp_path, picture):
    samples = np.zeros((4, 6, 3), np.float32)
    path = write_foreign(tmp_path / "a.exr", samples, "half", window=(2, 1), display=(0, 0, 10, 8))
    write_image(tmp_path / "b.exr", picture, like=read_header(path))
    _, spec = raw_exr(tmp_path / "b.exr")
    assert (spec.x, spec.y, spec.full_width, spec.full_height) == (0, 0, 20, 12)


def test_exr_attributes_of_every_type_survive(tmp_path, picture):
    types = {
        "smpte:TimeCode": ("timecode", (0x01020304, 5)),
        "smpte:KeyCode": ("keycode", (1, 2, 3, 4, 5, 4, 64)),
        "FramesPerSecond": ("rational2i", (24000, 1001)),
        "worldToCamera": ("matrix", tuple(float(index) for index in range(16))),
        "chromaticities": ("float[8]", (0.64, 0.33, 0.3, 0.6, 0.15, 0.06, 0.3127, 0.329)),
        "vector3f": ("vector", (1.0, 2.0, 3.0)),
        "vector3i": ("int[3]", (1, 2, 3)),
        "vector2f": ("float[2]", (1.0, 2.0)),
        "vector2i": ("int[2]", (1, 2)),
        "box": ("box2i", (1, 2, 3, 4)),
        "words": ("string[2]", ("one", "two")),
    }
    path = write_foreign(
        tmp_path / "a.exr",
        picture,
        "half",
        types=types,
        Software="A scanner",
        DateTime="2001:02:03 04:05:06",
        nuke__input="x",
        reel="Röhre 3",
        count=3,
        gain=0.5,
        compression="piz",
    )
    image = read_image(path)

    twin = tmp_path / "twin.exr"
    write_image(twin, image.pixels, like=image.header.with_attributes({"wetgate/model": "abc", "reel": None}))

    before, after = read_header(path).attributes, read_header(twin).attributes
    assert after.pop("wetgate/model") == "abc"
    assert before.pop("reel") == "Röhre 3"
    assert after == before
    assert {"smpte:TimeCode", "smpte:KeyCode", "worldToCamera", "words", "box"} <= set(after)
    np.testing.assert_array_equal(read_image(twin).pixels, image.pixels)


@pytest.mark.parametrize("suffix", [".exr", ".tif", ".png", ".jpg", ".dpx"])
def test_the_time_of_writing_is_in_no_file(tmp_path, picture, suffix):
    first, twin = tmp_path / f"a{suffix}", tmp_path / f"b{suffix}"
    write_image(first, picture)
    write_image(twin, picture, like=read_header(first))
    for path in (first, twin):
        assert not re.search(rb"\d{4}:\d\d:\d\d", path.read_bytes())
        assert not read_header(path).attributes.get("DateTime")


@pytest.mark.parametrize("suffix", [".exr", ".tif"])
def test_the_scans_own_date_is_kept(tmp_path, picture, suffix):
    write_image(tmp_path / "a.exr", picture)
    like = read_header(tmp_path / "a.exr").with_attributes({"DateTime": "2001:02:03 04:05:06"})
    write_image(tmp_path / f"b{suffix}", picture, like=like)
    assert read_header(tmp_path / f"b{suffix}").attributes["DateTime"] == "2001:02:03 04:05:06"


def test_tiles_survive_and_lossy_compression_does_not(tmp_path, picture):
    samples = np.random.default_rng(5).random((70, 90, 3), dtype=np.float32)
    path = write_foreign(tmp_path / "a.exr", samples, "half", tile=32, compression="dwaa:200")
    image = read_image(path)
    twin = tmp_path / "twin.exr"
    write_image(twin, image.pixels, like=image.header)
    _, spec = raw_exr(twin)
    assert (spec.tile_width, spec.tile_height) == (32, 32)
    assert spec.get_string_attribute("compression") == "zip"
    np.testing.assert_array_equal(read_image(twin).pixels, image.pixels)


def test_colour_is_found_among_other_channels_in_any_order(tmp_path):
    names = ("Z", "beauty.B", "beauty.G", "beauty.R", "beauty.A")
    samples = np.random.default_rng(6).random((3, 4, 5), dtype=np.float32)
    path = write_foreign(tmp_path / "layers.exr", samples, "float", channels=names)
    image = read_image(path)
    np.testing.assert_array_equal(image.pixels, samples[..., [3, 2, 1]])
    np.testing.assert_array_equal(image.alpha, samples[..., 4])


@pytest.mark.parametrize("names", [("a.R", "a.G", "a.B", "b.R", "b.G", "b.B"), ("Y", "RY", "BY"), ("U", "V")])
def test_channels_that_are_no_picture_are_named(tmp_path, names):
    samples = np.zeros((3, 4, len(names)), np.float32)
    path = write_foreign(tmp_path / "odd.exr", samples, "half", channels=names)
    with pytest.raises(WetgateError, match=r"odd\.exr has the channels .*" + names[0]):
        read_image(path)


@pytest.mark.parametrize(
    ("source", "target", "depth"),
    [
        ("8", ".exr", "half"),
        ("16", ".exr", "float"),
        ("float", ".exr", "float"),
        ("half", ".png", "16"),
        ("half", ".dpx", "16"),
        ("8", ".dpx", "8"),
        ("16", ".jpg", "8"),
        ("half", ".tif", "float"),
    ],
)
def test_the_depth_holds_what_the_source_holds(tmp_path, picture, source, target, depth):
    path = tmp_path / ("source.exr" if source in ("half", "float") else "source.png")
    write_image(path, picture, bit_depth=source)
    write_image(tmp_path / f"target{target}", picture, like=read_header(path))
    assert read_header(tmp_path / f"target{target}").depth == depth


def test_sixteen_bit_codes_survive_the_way_through_exr(tmp_path):
    codes = np.arange(65536).reshape(128, 512, 1).repeat(3, axis=2)
    write_image(tmp_path / "a.png", (codes / 65535).astype(np.float32), bit_depth="16")
    image = read_image(tmp_path / "a.png")
    write_image(tmp_path / "a.exr", image.pixels, like=image.header)
    np.testing.assert_array_equal(np.rint(read_image(tmp_path / "a.exr").pixels.astype(np.float64) * 65535), codes)


def test_one_pixel(tmp_path):
    for suffix in (".exr", ".dpx", ".tif", ".png", ".jpg"):
        write_image(tmp_path / f"one{suffix}", np.full((1, 1, 3), 0.5, np.float32))
        assert read_image(tmp_path / f"one{suffix}").pixels == pytest.approx(0.5, abs=0.01)


def test_a_header_can_be_sent_to_another_process(tmp_path, picture):
    write_image(tmp_path / "a.exr", picture)
    header = read_header(tmp_path / "a.exr")
    assert pickle.loads(pickle.dumps(header)) == header


def test_unknown_suffix_and_depth_are_refused(tmp_path, picture):
    with pytest.raises(WetgateError, match=r"a\.bmp.*\.exr"):
        write_image(tmp_path / "a.bmp", picture)
    with pytest.raises(WetgateError, match=r"a\.exr.*'10'.*half, float"):
        write_image(tmp_path / "a.exr", picture, bit_depth="10")
    assert list(tmp_path.iterdir()) == []
