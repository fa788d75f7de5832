import errno
import os
import re
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from wetgate.errors import WetgateError
from wetgate.images import open_sink, open_source, read_header, read_image, write_image


def flat(value):
    return np.full((4, 6, 3), value, np.float32)


def write_frames(folder, names):
    folder.mkdir(parents=True, exist_ok=True)
    for index, name in enumerate(names):
        write_image(folder / name, flat(index / 16), bit_depth="16" if name.endswith("png") else None)


@pytest.mark.parametrize("pattern", ["", "shot.####.exr", "shot.%04d.exr", "shot.#.exr", "shot.%d.exr"])
def test_a_sequence_is_found_by_folder_or_pattern(tmp_path, pattern):
    write_frames(tmp_path, ["shot.1001.exr", "shot.1002.exr", "shot.1004.exr"])
    with open_source(tmp_path / pattern) as source:
        assert source.frames == [1001, 1002, 1004]
        assert source.size == (6, 4)
        assert not source.is_video
        assert source.fps is None
        assert source.path(1002) == tmp_path / "shot.1002.exr"
        assert source.read(1004).pixels[0, 0, 0] == pytest.approx(2 / 16)
        with pytest.raises(WetgateError, match=r"Frame 1003 of shot\.#+\.exr is missing .*1001 to 1004"):
            source.read(1003)


def test_padding_grows_with_the_number_and_other_names_are_left_alone(tmp_path):
    write_frames(tmp_path, ["a.0998.png", "a.9999.png", "a.10000.png"])
    write_frames(tmp_path, ["a.00001.png", "a.999.png", "ab.0001.png", "a.0001.tif", "a.x.png"])
    with open_source(tmp_path / "a.####.png") as source:
        assert source.frames == [998, 9999, 10000]


def test_numbers_within_the_name_are_not_frames(tmp_path):
    write_frames(tmp_path, ["r3_v02.0001.png", "r3_v02.0002.png"])
    (tmp_path / "notes.txt").write_text("x")
    (tmp_path / ".hidden.0003.png").write_bytes(b"")
    with open_source(tmp_path) as source:
        assert source.frames == [1, 2]
        assert source.name == "r3_v02.####.png"


def test_one_picture_is_a_source_of_one_frame(tmp_path):
    write_frames(tmp_path, ["still.0007.png", "painting.png"])
    assert open_source(tmp_path / "still.0007.png").frames == [7]
    assert open_source(tmp_path / "painting.png").frames == [1]


def test_what_cannot_be_opened_is_named(tmp_path):
    write_frames(tmp_path / "two", ["a.1.png", "a.2.png", "b.1.png"])
    (tmp_path / "none").mkdir()
    with pytest.raises(WetgateError, match=r"two holds 2 sequences \(a\.####\.png, b\.####\.png\)"):
        open_source(tmp_path / "two")
    with pytest.raises(WetgateError, match="none holds no pictures"):
        open_source(tmp_path / "none")
    with pytest.raises(WetgateError, match=r"holds no file named like c\.####\.png"):
        open_source(tmp_path / "two" / "c.####.png")
    with pytest.raises(WetgateError, match="gone does not exist"):
        open_source(tmp_path / "gone" / "c.####.png")
    with pytest.raises(WetgateError, match="gone does not exist"):
        open_source(tmp_path / "gone")
    with pytest.raises(WetgateError, match="two places"):
        open_source(tmp_path / "two" / "c.##.##.png")
    write_frames(tmp_path / "twice", ["a.1.png", "a.01.png"])
    with pytest.raises(WetgateError, match="twice"):
        open_source(tmp_path / "twice")


def test_frame_rate_of_an_exr_sequence(tmp_path):
    write_frames(tmp_path, ["a.1.exr"])
    image = read_image(tmp_path / "a.1.exr")
    header = image.header.with_attributes({"FramesPerSecond": 23.976})
    write_image(tmp_path / "a.1.exr", image.pixels, like=header)
    assert open_source(tmp_path).fps == Fraction(24000, 1001)


def test_threads_read_different_frames_at_once(tmp_path):
    write_frames(tmp_path, [f"a.{frame:04d}.png" for frame in range(16)])
    with open_source(tmp_path) as source, ThreadPoolExecutor(8) as pool:
        values = list(pool.map(lambda frame: source.read(frame).pixels[0, 0, 0], source.frames))
    np.testing.assert_allclose(values, np.arange(16) / 16, atol=1e-4)


def test_a_folder_takes_the_names_the_format_and_the_alpha_of_the_source(tmp_path, make_dpx):
    codes = np.random.default_rng(0).integers(0, 1024, (4, 6, 4))
    scan = make_dpx(codes, 10, name="in/reel.0012.dpx") if (tmp_path / "in").mkdir() is None else None
    with open_source(tmp_path / "in") as source, open_sink(tmp_path / "out", source) as sink:
        image = source.read(12)
        assert sink.path(12) == tmp_path / "out" / "reel.0012.dpx"
        sink.write(12, image.pixels, image)
    assert (tmp_path / "out" / "reel.0012.dpx").read_bytes() == scan.read_bytes()


def test_a_pattern_names_its_own_files(tmp_path):
    write_frames(tmp_path / "in", ["a.1.png", "a.2.png"])
    with open_source(tmp_path / "in") as source:
        with open_sink(tmp_path / "out" / "new" / "b.%05d.exr", source) as sink:
            sink.write(2, source.read(2).pixels, source.read(2))
        assert [path.name for path in (tmp_path / "out" / "new").iterdir()] == ["b.00002.exr"]
        assert read_header(tmp_path / "out" / "new" / "b.00002.exr").depth == "float"
        with pytest.raises(WetgateError, match=r"b\.exr is one picture, but a\.####\.png has 2 frames"):
            open_sink(tmp_path / "out" / "b.exr", source)
        with pytest.raises(WetgateError, match=r"b\.####\.psd cannot be written"):
            open_sink(tmp_path / "out" / "b.####.psd", source)


def test_one_picture_to_one_picture(tmp_path):
    write_frames(tmp_path, ["painting.png"])
    source = open_source(tmp_path / "painting.png")
    with open_sink(tmp_path / "restored.tif", source) as sink:
        sink.write(1, source.read(1).pixels, source.read(1))
    assert read_header(tmp_path / "restored.tif").depth == "16"
    with pytest.raises(WetgateError, match="overwrite the source"):
        open_sink(tmp_path / "painting.png", source)
    with pytest.raises(WetgateError, match="overwrite the source"):
        open_sink(tmp_path, source)


@pytest.mark.parametrize("output", [".", "restored", "deep/er", "b.####.exr", "new/b.####.exr", "../link/x", "x.mov"])
def test_nothing_is_written_into_the_source_folder(tmp_path, output):
    folder = tmp_path / "in"
    write_frames(folder, ["a.1.png", "a.2.png"])
    os.symlink(folder, tmp_path / "link")
    before = sorted(folder.rglob("*"))
    with pytest.raises(WetgateError, match=r"source's folder|overwrite the source"):
        open_sink(folder / output, open_source(folder))
    assert sorted(folder.rglob("*")) == before


def test_a_folder_with_one_frame_is_protected_too(tmp_path):
    write_frames(tmp_path / "in", ["a.1.png"])
    with pytest.raises(WetgateError, match="source's folder"):
        open_sink(tmp_path / "in" / "out", open_source(tmp_path / "in"))


def test_frames_that_are_links_protect_the_folder_they_point_to(tmp_path):
    write_frames(tmp_path / "vault", ["a.1.png", "a.2.png"])
    (tmp_path / "in").mkdir()
    for name in ("a.1.png", "a.2.png"):
        os.symlink(tmp_path / "vault" / name, tmp_path / "in" / name)
    with pytest.raises(WetgateError, match="source's folder"):
        open_sink(tmp_path / "vault" / "out", open_source(tmp_path / "in"))


def test_a_folder_beside_the_source_is_fine(tmp_path):
    write_frames(tmp_path / "in", ["a.1.png", "a.2.png"])
    source = open_source(tmp_path / "in")
    open_sink(tmp_path / "in_restored", source)
    open_sink(tmp_path, source)
    assert (tmp_path / "in_restored").is_dir()


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root writes everywhere")
def test_a_folder_without_permission_is_named(tmp_path):
    write_frames(tmp_path / "in", ["a.1.png", "a.2.png"])
    (tmp_path / "locked").mkdir(mode=0o500)
    with pytest.raises(WetgateError, match=r"locked.*permission"):
        open_sink(tmp_path / "locked" / "out", open_source(tmp_path / "in"))


def test_a_file_in_the_way_is_named(tmp_path):
    write_frames(tmp_path / "in", ["a.1.png", "a.2.png"])
    (tmp_path / "file").write_text("x")
    with pytest.raises(WetgateError, match="file"):
        open_sink(tmp_path / "file" / "out", open_source(tmp_path / "in"))


@pytest.mark.parametrize("name", ["", "shot.####.exr"])
def test_a_folder_that_may_not_be_read_is_named(tmp_path, monkeypatch, name):
    def refused(folder):
        raise PermissionError(errno.EACCES, "Permission denied", str(folder))

    monkeypatch.setattr(Path, "iterdir", refused)
    with pytest.raises(WetgateError, match=rf"{re.escape(str(tmp_path))} cannot be read \(Permission denied\)"):
        open_source(tmp_path / name)
