import struct

import numpy as np
import OpenImageIO as oiio
import pytest

from wetgate.errors import WetgateError
from wetgate.images import guess_encoding, open_source, read_header, read_image, write_image

LAYOUTS = [
    (8, ">", 0),
    (8, "<", 0),
    (10, ">", 1),
    (10, "<", 1),
    (10, ">", 2),
    (10, "<", 2),
    (12, ">", 1),
    (12, "<", 1),
    (12, ">", 2),
    (12, "<", 2),
    (16, ">", 0),
    (16, "<", 0),
]


def random_codes(bits, channels, width=9, height=5):
    codes = np.random.default_rng(bits * channels).integers(0, 1 << bits, (height, width, channels))
    codes[0, 0], codes[0, 1] = 0, (1 << bits) - 1
    return codes


@pytest.mark.parametrize("padded", [True, False], ids=["padded", "tight"])
@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize(("bits", "order", "packing"), LAYOUTS)
def test_every_layout_reads_its_codes_and_comes_back_byte_for_byte(make_dpx, bits, order, packing, channels, padded):
    codes = random_codes(bits, channels)
    scan = make_dpx(codes, bits, order=order, packing=packing, padded=padded)

    image = read_image(scan)

    largest = (1 << bits) - 1
    expected = (codes / largest).astype(np.float32)
    if channels == 1:
        np.testing.assert_array_equal(image.pixels, expected.repeat(3, axis=2))
    else:
        np.testing.assert_array_equal(image.pixels, expected[..., :3])
    assert image.mono == (channels == 1)
    assert (image.alpha is not None) == (channels == 4)
    if channels == 4:
        np.testing.assert_array_equal(image.alpha, expected[..., 3])
    assert image.header.depth == str(bits)

    twin = scan.with_name("twin.dpx")
    write_image(twin, image.pixels, like=image.header, alpha=image.alpha)
    assert twin.read_bytes() == scan.read_bytes()


def test_header_and_user_data_of_a_restored_frame_are_those_of_the_scan(make_dpx):
    scan = make_dpx(random_codes(10, 3), 10, offset=8192)
    image = read_image(scan)

    restored = scan.with_name("restored.dpx")
    write_image(restored, 1 - image.pixels, like=image.header)

    before, after = scan.read_bytes(), restored.read_bytes()
    assert after[:8192] == before[:8192]
    assert after[8192:] != before[8192:]
    np.testing.assert_array_equal(np.rint(read_image(restored).pixels * 1023), 1023 - random_codes(10, 3))


def test_another_depth_changes_only_the_header_fields_on_storage(make_dpx):
    scan = make_dpx(random_codes(10, 3), 10)
    image = read_image(scan)

    deeper = scan.with_name("deeper.dpx")
    write_image(deeper, image.pixels, like=image.header, bit_depth="16")

    before, after = scan.read_bytes()[:2048], deeper.read_bytes()[:2048]
    changed = {index for index in range(2048) if before[index] != after[index]}
    storage = {*range(16, 20), *range(768, 820)}
    assert changed and changed <= storage
    assert read_header(deeper).depth == "16"
    assert np.abs(read_image(deeper).pixels - image.pixels).max() < 1e-5


def test_another_size_is_stated_in_the_header(make_dpx):
    image = read_image(make_dpx(random_codes(10, 3), 10))

    larger = image.path.with_name("larger.dpx")
    write_image(larger, np.ones((7, 13, 3), np.float32), like=image.header)

    assert read_image(larger).size == (13, 7)
    assert struct.unpack_from(">I", larger.read_bytes(), 16)[0] == larger.stat().st_size


def test_openimageio_reads_what_is_written_without_a_header_to_copy(tmp_path):
    codes = random_codes(10, 3, width=12)
    path = tmp_path / "new.dpx"
    write_image(path, (codes / 1023).astype(np.float32), bit_depth="10")

    reader = oiio.ImageInput.open(str(path))
    assert reader.spec().get_int_attribute("oiio:BitsPerSample") == 10
    np.testing.assert_array_equal(reader.read_image(0, 0, 0, 3, "uint16") >> 6, codes)
    reader.close()


@pytest.mark.parametrize("bits", [8, 10, 12, 16])
def test_files_of_openimageio_are_read_exactly(tmp_path, bits):
    codes = random_codes(bits, 3, width=12).astype(np.uint16)
    spec = oiio.ImageSpec(12, 5, 3, "uint8" if bits == 8 else "uint16")
    spec.attribute("oiio:BitsPerSample", bits)
    path = tmp_path / "foreign.dpx"
    output = oiio.ImageOutput.create(str(path))
    shifted = codes if bits in (8, 16) else (codes << (16 - bits)) | (codes >> (2 * bits - 16))
    assert output.open(str(path), spec)
    assert output.write_image(shifted.astype(np.uint8 if bits == 8 else np.uint16))
    output.close()

    image = read_image(path)
    np.testing.assert_array_equal(np.rint(image.pixels * ((1 << bits) - 1)), codes)


@pytest.mark.parametrize("bits", [10, 12])
def test_bit_packed_files_are_read_exactly(make_dpx, bits):
    codes = random_codes(bits, 3, width=32, height=4)
    scan = make_dpx(codes, bits)
    header = bytearray(scan.read_bytes()[:2048])
    struct.pack_into(">H", header, 804, 0)
    body = b""
    for line in codes.reshape(4, -1):
        bitstream = sum(int(code) << (index * bits) for index, code in enumerate(line))
        little = bitstream.to_bytes(line.size * bits // 8, "little")
        body += np.frombuffer(little, "<u4").astype(">u4").tobytes()
    scan.write_bytes(bytes(header) + body)

    np.testing.assert_array_equal(np.rint(read_image(scan).pixels * ((1 << bits) - 1)), codes)


def test_dpx_to_exr_keeps_metadata_and_the_way_back_keeps_the_header(make_dpx):
    scan = make_dpx(random_codes(10, 3), 10, offset=4096)
    image = read_image(scan)

    exr = scan.with_name("restored.exr")
    write_image(exr, image.pixels, like=image.header)
    through = read_image(exr)

    assert through.header.depth == "half"
    assert through.header.attributes["dpx/Transfer"] == image.header.attributes["dpx:Transfer"]
    assert through.header.attributes["smpte:TimeCode"] == image.header.attributes["smpte:TimeCode"]
    np.testing.assert_array_equal(np.rint(through.pixels * 1023), random_codes(10, 3))

    back = scan.with_name("back.dpx")
    write_image(back, through.pixels, like=through.header)
    assert back.read_bytes() == scan.read_bytes()


@pytest.mark.parametrize(
    ("transfer", "encoding"),
    [(0, None), (1, "log"), (2, "linear"), (3, "log"), (6, "display"), (13, "log"), (99, None)],
)
def test_the_encoding_that_a_header_states(make_dpx, transfer, encoding):
    scan = make_dpx(random_codes(10, 3), 10, transfer=transfer)
    image = read_image(scan)
    assert guess_encoding(image.header) == encoding

    exr = scan.with_suffix(".exr")
    write_image(exr, image.pixels, like=image.header)
    assert guess_encoding(read_header(exr)) == encoding


def test_frame_rate_of_a_film_scan(make_dpx):
    with open_source(make_dpx(random_codes(10, 3), 10)) as source:
        assert source.fps == 24


@pytest.mark.parametrize("length", [1, 100, 2047, 2048, 2100, -4, -1])
def test_a_cut_off_file_is_one_sentence_naming_it(make_dpx, length):
    scan = make_dpx(random_codes(10, 3), 10)
    scan.write_bytes(scan.read_bytes()[:length])
    with pytest.raises(WetgateError, match=r"scan\.1001\.dpx.*(cut off|damaged)"):
        read_image(scan)


def test_header_that_claims_a_huge_picture_allocates_nothing(make_dpx):
    scan = make_dpx(random_codes(10, 3), 10)
    data = bytearray(scan.read_bytes())
    struct.pack_into(">II", data, 772, 20000, 20000)
    scan.write_bytes(bytes(data))
    with pytest.raises(WetgateError, match="cut off"):
        read_image(scan)


def test_a_single_channel_with_alpha_is_refused(make_dpx, tmp_path):
    image = read_image(make_dpx(random_codes(10, 1), 10))
    with pytest.raises(WetgateError, match=r"DPX.*alpha"):
        write_image(tmp_path / "out.dpx", image.pixels, like=image.header, alpha=image.pixels[..., 0])
    assert not (tmp_path / "out.dpx").exists()
