from fractions import Fraction

import av
import numpy as np
import pytest

from wetgate.errors import WetgateError
from wetgate.images import guess_encoding, open_sink, open_source, write_image

WIDTH, HEIGHT, FRAMES = 256, 128, 9

SINKS = {
    "prores.mov": ("prores", 0.004),
    "dnx.mxf": ("dnxhd", 0.004),
    "ffv1.mkv": ("ffv1", 0.0005),
    "ffv1.avi": ("ffv1", 0.0005),
    "h264.mp4": ("h264", 0.008),
    "mpeg2.mpg": ("mpeg2video", 0.012),
    "mpeg2.m2v": ("mpeg2video", 0.012),
    "h264.ts": ("h264", 0.008),
}


def moving_picture(frame, width=WIDTH, height=HEIGHT):
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    red = 0.5 + 0.4 * np.sin(x / 30 + frame / 3)
    green = 0.5 + 0.4 * np.cos(y / 25 + frame / 5)
    blue = 0.5 + 0.3 * np.sin((x + y) / 40)
    return np.stack([red, green, blue], axis=2).astype(np.float32)


@pytest.fixture
def scans(tmp_path):
    folder = tmp_path / "scans"
    folder.mkdir()
    for frame in range(1, FRAMES + 1):
        write_image(folder / f"s.{frame:04d}.exr", moving_picture(frame))
    return open_source(folder)


def write_codes(path, encoder, pixel_format, frames, *, rate=24, width=WIDTH, height=HEIGHT, tag=None, **options):
    """Write code planes through PyAV, as another program would; ``frames`` yields a list of planes each."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(
            encoder, rate=rate, options={key.replace("_", "-"): v for key, v in options.items()}
        )
        stream.width, stream.height, stream.pix_fmt = width, height, pixel_format
        if tag:
            stream.codec_context.colorspace = tag[0]
            stream.codec_context.color_range = tag[1]
        for number, planes in enumerate(frames):
            frame = av.VideoFrame(width, height, pixel_format)
            for plane, codes in zip(frame.planes, planes, strict=True):
                data = np.zeros((plane.height, plane.line_size), np.uint8)
                row = np.ascontiguousarray(codes).view(np.uint8)
                data[:, : row.shape[1]] = row
                plane.update(data.tobytes())
            frame.pts = number
            if tag:
                frame.colorspace, frame.color_range = tag
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def numbered_planes(count, width=WIDTH, height=HEIGHT):
    """8-bit 4:2:0 planes whose brightness steps tell the frame."""
    chance = np.random.default_rng(0)
    for number in range(count):
        luma = np.full((height, width), 20 + number * 4, np.uint8)
        luma[:32, :32] = chance.integers(16, 235, (32, 32))
        yield [luma, *(np.full((height // 2, width // 2), 128, np.uint8),) * 2]


def brightness(image):
    """The luma code of a numbered frame's flat part."""
    return float(np.median(image.pixels[40:, 40:, 1])) * 219 + 16


@pytest.mark.parametrize("name", SINKS)
def test_what_is_written_is_read_with_its_colours_rate_and_numbers(tmp_path, scans, name):
    codec, tolerance = SINKS[name]
    with open_sink(tmp_path / "out" / name, scans) as sink:
        assert sink.path(3) == tmp_path / "out" / name
        for frame in scans.frames:
            sink.write(frame, scans.read(frame).pixels, scans.read(frame))
        assert not (tmp_path / "out" / name).exists()

    with open_source(tmp_path / "out" / name) as video:
        assert video.is_video
        assert video.codec == codec
        assert video.frames == list(range(1, FRAMES + 1))
        assert video.fps == 24
        assert video.size == (WIDTH, HEIGHT)
        for frame in (5, 1, 9, 4, 2, 3, 8):
            image = video.read(frame)
            error = image.pixels - moving_picture(frame)
            assert float(np.sqrt((error**2).mean())) < tolerance
            assert abs(error.mean(axis=(0, 1))).max() < 0.001
        assert guess_encoding(image.header) == "display"
    assert [path.name for path in (tmp_path / "out").iterdir()] == [name]


@pytest.mark.parametrize(
    ("name", "encoder", "pixel_format", "options"),
    [
        ("open.mkv", "libx264", "yuv420p", {"g": "8", "bf": "3", "x264_params": "open-gop=1:b-adapt=0:scenecut=0"}),
        ("closed.mp4", "libx264", "yuv420p", {"g": "8", "bf": "2"}),
        ("closed.ts", "libx264", "yuv420p", {"g": "8", "bf": "2"}),
        ("dvd.mpg", "mpeg2video", "yuv420p", {"g": "8", "bf": "2"}),
        ("dvd.vob", "mpeg2video", "yuv420p", {"g": "8", "bf": "2"}),
        ("raw.m2v", "mpeg2video", "yuv420p", {"g": "8", "bf": "2"}),
    ],
)
def test_any_order_of_reading_gives_the_frames_of_reading_in_order(tmp_path, name, encoder, pixel_format, options):
    path = write_codes(tmp_path / name, encoder, pixel_format, numbered_planes(45), b="4000000", **options)
    with open_source(path) as video:
        assert video.frames == list(range(1, 46))
        in_order = {frame: video.read(frame).pixels for frame in video.frames}
        for frame in video.frames:
            assert np.median(in_order[frame][40:, 40:, 1]) * 219 + 16 == pytest.approx(16 + frame * 4, abs=1.6)
    with open_source(path) as video:
        for frame in np.random.default_rng(1).permutation(np.repeat(video.frames, 2)):
            np.testing.assert_array_equal(video.read(int(frame)).pixels, in_order[int(frame)])


def test_threads_share_one_video(tmp_path):
    from concurrent.futures import ThreadPoolExecutor

    path = write_codes(tmp_path / "a.mp4", "libx264", "yuv420p", numbered_planes(30), g="8", bf="2", crf="4")
    with open_source(path) as video, ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda frame: brightness(video.read(frame)), video.frames))
    np.testing.assert_allclose(found, [16 + 4 * frame for frame in video.frames], atol=1.6)


@pytest.mark.parametrize(("encoder", "name"), [("v210", "a.mov"), ("ffv1", "a.mkv")])
def test_ten_bit_levels_are_exact_both_ways(tmp_path, encoder, name):
    ramp = np.arange(4, 1020, dtype=np.uint16)
    luma = np.zeros((HEIGHT, 1020), np.uint16) + np.resize(ramp, 1020)
    middle = np.full((HEIGHT, 510), 512, np.uint16)
    path = write_codes(tmp_path / name, encoder, "yuv422p10le", [[luma, middle, middle]], width=1020, tag=(1, 1))
    with open_source(path) as video:
        image = video.read(1)
        np.testing.assert_allclose(image.pixels[0, :, 0], (luma[0] - 64.0) / 876, atol=1e-6)
        assert image.header.depth == "10"
        with open_sink(tmp_path / "out" / name, video) as sink:
            sink.write(1, image.pixels, image)

    with av.open(str(tmp_path / "out" / name)) as container:
        frame = next(container.decode(video=0))
        assert frame.format.name == "yuv422p10le"
        rows = np.frombuffer(memoryview(frame.planes[0]), np.uint16).reshape(HEIGHT, -1)[:, :1020]
        np.testing.assert_array_equal(rows, luma)
        chroma = np.frombuffer(memoryview(frame.planes[1]), np.uint16).reshape(HEIGHT, -1)[:, :510]
        assert (chroma == 512).all()


@pytest.mark.parametrize(
    ("matrix", "code_range", "height", "codes"),
    [
        ("stated BT.709", (1, 1), 128, (63, 102, 240)),
        ("stated BT.601", (6, 1), 128, (81, 90, 240)),
        ("unstated and small", None, 128, (81, 90, 240)),
        ("unstated and HD", None, 720, (63, 102, 240)),
        ("full range", (6, 2), 128, (76, 85, 255)),
    ],
)
def test_matrix_and_range_are_those_stated_or_usual(tmp_path, matrix, code_range, height, codes):
    planes = [np.full((height, WIDTH), codes[0], np.uint8)]
    planes += [np.full((height, WIDTH), code, np.uint8) for code in codes[1:]]
    path = write_codes(tmp_path / "red.mkv", "ffv1", "yuv444p", [planes], height=height, tag=code_range)
    with open_source(path) as video:
        np.testing.assert_allclose(video.read(1).pixels[0, 0], [1, 0, 0], atol=0.01)


def test_colour_tags_rate_aspect_and_timecode_go_from_video_to_video(tmp_path):
    path = tmp_path / "in.mov"
    with av.open(str(path), "w") as container:
        container.metadata["timecode"] = "01:00:00:00"
        stream = container.add_stream("prores_ks", rate=Fraction(24000, 1001), options={"profile": "2"})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv422p10le"
        stream.codec_context.sample_aspect_ratio = Fraction(16, 11)
        frame = av.VideoFrame(WIDTH, HEIGHT, "yuv422p10le")
        for plane in frame.planes:
            plane.update(np.full(plane.buffer_size // 2, 512, np.uint16).tobytes())
        frame.colorspace = frame.color_primaries = frame.color_trc = 1
        frame.color_range, frame.pts = 1, 0
        stream.codec_context.colorspace = stream.codec_context.color_primaries = stream.codec_context.color_trc = 1
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))

    with open_source(path) as video, open_sink(tmp_path / "out.mov", video) as sink:
        assert video.colour.matrix == 1
        assert video.timecode == "01:00:00:00"
        image = video.read(1)
        assert image.header.attributes["FramesPerSecond"] == (24000, 1001)
        sink.write(1, image.pixels, image)

    with open_source(tmp_path / "out.mov") as twin:
        assert twin.colour == video.colour
        assert twin.fps == Fraction(24000, 1001)
        assert twin.pixel_aspect == Fraction(16, 11)
        assert twin.timecode == "01:00:00:00"
        assert twin.profile_tag == "apcn"


def test_alpha_of_a_video_is_carried(tmp_path):
    alpha = np.tile(np.linspace(0, 65535, WIDTH).astype(np.uint16), (HEIGHT, 1))
    planes = [np.full((HEIGHT, WIDTH), 30000, np.uint16) for _ in range(3)] + [alpha]
    path = write_codes(tmp_path / "a.mkv", "ffv1", "gbrap16le", [planes])
    with open_source(path) as video, open_sink(tmp_path / "b.mkv", video) as sink:
        image = video.read(1)
        np.testing.assert_allclose(image.alpha, alpha / 65535, atol=1e-6)
        sink.write(1, image.pixels, image)
    with open_source(tmp_path / "b.mkv") as twin:
        np.testing.assert_array_equal(twin.read(1).alpha, image.alpha)
        np.testing.assert_array_equal(twin.read(1).pixels, image.pixels)
    with open_source(path) as video, open_sink(tmp_path / "c.mov", video) as sink:
        sink.write(1, image.pixels, image)
    with open_source(tmp_path / "c.mov") as prores:
        np.testing.assert_allclose(prores.read(1).alpha, image.alpha, atol=0.002)


@pytest.mark.parametrize("pixel_format", ["bgr0", "rgb48le", "gray", "gray10le"])
def test_packed_rgb_and_grey_are_read_exactly(tmp_path, pixel_format):
    chance = np.random.default_rng(3)
    kind, largest = (np.uint8, 255) if pixel_format in ("bgr0", "gray") else (np.uint16, 65535)
    if pixel_format == "gray10le":
        largest = 1023
    count = {"bgr0": 4, "rgb48le": 3}.get(pixel_format, 1)
    codes = chance.integers(0, largest + 1, (HEIGHT, WIDTH, count)).astype(kind)
    path = write_codes(tmp_path / "a.mkv", "ffv1", pixel_format, [[codes.reshape(HEIGHT, -1)]])
    with open_source(path) as video:
        image = video.read(1)
    expected = codes[..., [2, 1, 0]] if count == 4 else codes.repeat(3, axis=2)[..., :3] if count == 1 else codes
    np.testing.assert_array_equal(np.rint(image.pixels.astype(np.float64) * largest), expected)
    assert image.mono == (count == 1)


def test_a_video_to_a_folder_of_pictures(tmp_path):
    path = write_codes(tmp_path / "clip.mp4", "libx264", "yuv420p", numbered_planes(3))
    with open_source(path) as video, open_sink(tmp_path / "out", video) as sink:
        for frame in video.frames:
            sink.write(frame, video.read(frame).pixels, video.read(frame))
    assert sorted(entry.name for entry in (tmp_path / "out").iterdir()) == [
        f"clip.{frame:06d}.exr" for frame in (1, 2, 3)
    ]
    with open_source(tmp_path / "out") as pictures:
        assert pictures.fps == 24
        assert guess_encoding(pictures.read(2).header) == "display"


@pytest.mark.parametrize("name", ["a.mov", "a.mkv", "a.mxf", "a.avi", "a.mp4"])
@pytest.mark.parametrize("share", [0.0, 0.02, 0.5, 0.9])
def test_a_cut_off_video_is_refused_by_name(tmp_path, scans, name, share):
    whole = tmp_path / "out" / name
    with open_sink(whole, scans) as sink:
        for frame in scans.frames:
            sink.write(frame, scans.read(frame).pixels, None)
    whole.write_bytes(whole.read_bytes()[: int(whole.stat().st_size * share)])
    with pytest.raises(WetgateError) as caught:
        open_source(whole)
    assert str(whole) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_film_cut_off_behind_its_index_is_refused(tmp_path, scans):
    whole = write_codes(
        tmp_path / "a.mov",
        "v210",
        "yuv422p10le",
        ([np.full((HEIGHT, width), 512, np.uint16) for width in (WIDTH, WIDTH // 2, WIDTH // 2)] for _ in range(4)),
    )
    data = whole.read_bytes()
    index = data.index(b"moov") - 4
    media = data.index(b"mdat") - 4
    assert media < index
    fast = tmp_path / "fast.mov"
    with av.open(str(whole)) as source, av.open(str(fast), "w", options={"movflags": "faststart"}) as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.size:
                packet.stream = stream
                target.mux(packet)
    assert open_source(fast).frames == [1, 2, 3, 4]
    fast.write_bytes(fast.read_bytes()[: int(fast.stat().st_size * 0.7)])
    with pytest.raises(WetgateError, match=r"fast\.mov.*cut off"):
        open_source(fast)


def test_no_video_and_no_such_frame(tmp_path):
    (tmp_path / "junk.mov").write_bytes(b"nothing of the kind " * 100)
    with pytest.raises(WetgateError, match=r"junk\.mov cannot be read"):
        open_source(tmp_path / "junk.mov")
    path = write_codes(tmp_path / "a.mp4", "libx264", "yuv420p", numbered_planes(3))
    with open_source(path) as video, pytest.raises(WetgateError, match=r"a\.mp4 has no frame 4; .*1 to 3"):
        video.read(4)


def test_a_sink_says_what_it_cannot_take(tmp_path, scans):
    odd = moving_picture(1, WIDTH - 1, HEIGHT - 1)
    with pytest.raises(WetgateError, match=r"a\.mp4.*255 x 127"), open_sink(tmp_path / "a.mp4", scans) as sink:
        sink.write(1, odd, None)
    with open_sink(tmp_path / "odd.mov", scans) as sink:
        sink.write(1, odd, None)
    with open_source(tmp_path / "odd.mov") as video:
        assert video.size == (255, 127)
    small = moving_picture(1, 32, 16)
    with pytest.raises(WetgateError, match=r"a\.mxf.*32 x 16"), open_sink(tmp_path / "a.mxf", scans) as sink:
        sink.write(1, small, None)
    with pytest.raises(WetgateError, match="ascend"), open_sink(tmp_path / "a.mkv", scans) as sink:
        sink.write(2, moving_picture(2), None)
        sink.write(1, moving_picture(1), None)
    with pytest.raises(WetgateError, match="one size"), open_sink(tmp_path / "a.mkv", scans) as sink:
        sink.write(1, moving_picture(1), None)
        sink.write(2, odd, None)
    with pytest.raises(WetgateError, match=r"a\.dv cannot be written"):
        open_sink(tmp_path / "a.dv", scans)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["odd.mov", "scans"]


def test_a_given_up_video_leaves_the_old_one(tmp_path, scans):
    (tmp_path / "a.mov").write_bytes(b"the old one")
    with pytest.raises(RuntimeError), open_sink(tmp_path / "a.mov", scans) as sink:
        sink.write(1, moving_picture(1), None)
        raise RuntimeError
    assert (tmp_path / "a.mov").read_bytes() == b"the old one"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.mov", "scans"]


def test_a_video_is_never_overwritten_by_its_restoration(tmp_path):
    path = write_codes(tmp_path / "a.mp4", "libx264", "yuv420p", numbered_planes(2))
    with open_source(path) as video:
        with pytest.raises(WetgateError, match="overwrite the source"):
            open_sink(path, video)
        open_sink(tmp_path / "b.mp4", video)
