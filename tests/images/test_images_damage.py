import os
import shutil
import subprocess
import sys
import textwrap

import numpy as np
import pytest

from wetgate.errors import WetgateError
from wetgate.images import open_source, read_image, write_image

SUFFIXES = [".exr", ".png", ".tif", ".jpg", ".dpx"]


@pytest.fixture
def noise():
    return np.random.default_rng(0).random((48, 64, 3), dtype=np.float32)


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("share", [0.0, 0.001, 0.01, 0.3, 0.7, 0.97])
def test_a_cut_off_file_is_never_taken_for_a_picture(tmp_path, noise, suffix, share):
    path = tmp_path / f"scan.1001{suffix}"
    write_image(path, noise)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    with pytest.raises(WetgateError) as caught:
        read_image(path)
    message = str(caught.value)
    assert str(path) in message
    assert message.endswith(".")
    assert "\n" not in message


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_junk_is_refused_by_name(tmp_path, suffix):
    path = tmp_path / f"junk{suffix}"
    path.write_bytes(b"this is no picture at all " * 400)
    with pytest.raises(WetgateError, match="junk"):
        read_image(path)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_flipped_bytes_give_a_picture_or_a_sentence_never_another_error(tmp_path, noise, suffix):
    path = tmp_path / f"flipped{suffix}"
    write_image(path, noise)
    whole = path.read_bytes()
    chance = np.random.default_rng(7)
    for _ in range(40):
        data = bytearray(whole)
        for index in chance.integers(0, min(len(data), 2200), 6):
            data[index] = chance.integers(256)
        path.write_bytes(bytes(data))
        try:
            read_image(path)
        except WetgateError as error:
            assert "flipped" in str(error)


def test_missing_file_folder_and_unknown_suffix(tmp_path):
    with pytest.raises(WetgateError, match=r"nothing\.exr cannot be read: no such file"):
        read_image(tmp_path / "nothing.exr")
    (tmp_path / "folder.exr").mkdir()
    with pytest.raises(WetgateError, match=r"folder\.exr is a folder"):
        read_image(tmp_path / "folder.exr")
    (tmp_path / "a.psd").write_bytes(b"8BPS")
    with pytest.raises(WetgateError, match=r"a\.psd is no picture"):
        read_image(tmp_path / "a.psd")


def test_a_frame_of_another_size_is_named_with_both_sizes(tmp_path, noise):
    write_image(tmp_path / "s.0001.png", noise)
    write_image(tmp_path / "s.0002.png", noise[:, :-2])
    with open_source(tmp_path) as source, pytest.raises(WetgateError, match=r"s\.0002\.png is 62 x 48.*64 x 48"):
        source.read(2)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_failed_write_leaves_the_old_file_and_no_other(tmp_path, noise, suffix):
    path = tmp_path / f"kept{suffix}"
    write_image(path, noise)
    before = path.read_bytes()
    with pytest.raises(WetgateError):
        write_image(path, noise, bit_depth="3")
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_folder_that_is_not_there_is_named(tmp_path, noise, suffix):
    with pytest.raises(WetgateError, match="gone"):
        write_image(tmp_path / "gone" / f"a{suffix}", noise)


@pytest.fixture
def on_a_small_disk(tmp_path):
    """Run a script with a disk of 100 kB, its folder the first argument, and return the lines that it prints."""
    if not (sys.platform == "linux" and shutil.which("unshare")):
        pytest.skip("needs a user namespace to mount a small disk in")

    def run(script, *words):
        disk = tmp_path / "disk"
        disk.mkdir()
        mount = 'mount -t tmpfs -o size=100k tmpfs "$1" && shift && exec "$@"'
        command = ["unshare", "-rm", "sh", "-c", mount, "sh", str(disk)]
        command += [sys.executable, "-c", textwrap.dedent(script), str(disk), *map(str, words)]
        done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": os.getcwd()})
        if "mount:" in done.stderr or "unshare:" in done.stderr:
            pytest.skip("mounting is not allowed here")
        assert done.returncode == 0, done.stderr
        return done.stdout.splitlines()

    return run


@pytest.mark.parametrize("suffix", [*SUFFIXES, ".mkv", ".mov"])
def test_a_full_disk_is_a_sentence_and_leaves_nothing_behind(tmp_path, on_a_small_disk, suffix):
    script = """
        import os, sys
        import numpy as np
        from wetgate.errors import WetgateError
        from wetgate.images import open_sink, open_source, write_image
        disk, suffix, scans = sys.argv[1:]
        noise = np.random.default_rng(0).random((256, 512, 3), dtype=np.float32)
        try:
            if suffix in (".mkv", ".mov"):
                write_image(scans + "/s.1.png", noise)
                with open_source(scans) as source, open_sink(disk + "/a" + suffix, source) as sink:
                    for frame in range(1, 20):
                        sink.write(frame, np.roll(noise, frame, 0), None)
            else:
                write_image(disk + "/a" + suffix, noise)
        except WetgateError as error:
            print(error)
        print(os.listdir(disk))
        """
    scans = tmp_path / "scans"
    scans.mkdir()
    disk = tmp_path / "disk"
    assert on_a_small_disk(script, suffix, scans) == [
        f"The disk is full: {disk}/a{suffix} could not be written. Free some space and run the same command again.",
        "[]",
    ]


@pytest.mark.parametrize("suffix", [".exr", ".tif", ".dpx"])
def test_wherever_the_disk_ends_a_picture_is_whole_or_refused(on_a_small_disk, suffix):
    script = """
        import os, sys
        import numpy as np
        from wetgate.errors import WetgateError
        from wetgate.images import write_image
        disk, suffix = sys.argv[1:]
        path = disk + "/a" + suffix
        noise = np.random.default_rng(0).random((64, 128, 3), dtype=np.float32)
        write_image(path, noise)
        whole = open(path, "rb").read()
        os.unlink(path)
        outcomes = []
        with open(disk + "/others", "wb") as others:
            for pages in range(1, len(whole) // 4096 + 3):
                os.truncate(others.fileno(), 0)
                os.posix_fallocate(others.fileno(), 0, os.statvfs(disk).f_bavail * 4096 - pages * 4096)
                try:
                    write_image(path, noise)
                except WetgateError:
                    outcomes.append("refused")
                    assert os.listdir(disk) == ["others"]
                else:
                    outcomes.append("whole")
                    assert open(path, "rb").read() == whole, f"{os.path.getsize(path)} of {len(whole)} bytes"
                    os.unlink(path)
        print(*sorted(set(outcomes)))
        """
    assert on_a_small_disk(script, suffix) == ["refused whole"]
