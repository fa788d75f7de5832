from __future__ import annotations

import fcntl
import mmap
import os
import sys

import numpy as np
import pytest
from open_files import open_descriptors

from wetgate.errors import WetgateError
from wetgate.service import memory
from wetgate.service.layout import Layout, check_layout, lay_out
from wetgate.service.memory import MAX_BYTES, attach, create
from wetgate.service.protocol import Device, Render

linux = pytest.mark.skipif(sys.platform != "linux", reason="memfd is Linux'")
SEAL_SEAL, SEAL_SHRINK, SEAL_GROW, SEAL_WRITE = 1, 2, 4, 8


@pytest.fixture(params=["memfd", "file"])
def way(request, monkeypatch):
    """Memory as this system makes it, and as one without memfd does."""
    if request.param == "file":
        monkeypatch.delattr(os, "memfd_create", raising=False)
    return request.param


@pytest.fixture
def memfd():
    """Make a memfd with that size and those seals, which :func:`attach` takes over."""

    def make(size, seals=SEAL_SHRINK, flags=os.MFD_ALLOW_SEALING):
        descriptor = os.memfd_create("test", flags)
        os.ftruncate(descriptor, size)
        if seals:
            fcntl.fcntl(descriptor, 1033, seals)
        return descriptor

    return make


def refused(descriptor, size, why):
    before = open_descriptors()
    with pytest.raises(WetgateError, match=why):
        attach(size, descriptor=descriptor)
    assert before - open_descriptors() == {descriptor}


def test_both_sides_see_the_same_bytes(places, way):
    before = open_descriptors()
    made = create(100_000, places)
    assert bytes(made.map) == bytes(100_000) and not os.get_inheritable(made.descriptor)
    other = attach(100_000, descriptor=os.dup(made.descriptor))
    made.map[:5] = b"there"
    assert other.map[:5] == b"there"
    other.map[-4:] = b"back"
    assert made.map[-4:] == b"back"
    made.close()
    assert other.map[:5] == b"there"
    other.close()
    assert open_descriptors() == before
    assert not places.folder.exists() or list(places.folder.iterdir()) == []


def test_nobody_else_can_open_it_by_name(places, way):
    made = create(4096, places)
    found = os.fstat(made.descriptor)
    assert found.st_nlink == 0 and (way == "memfd" or found.st_mode & 0o777 == 0o600)
    made.close()


@linux
def test_its_size_is_sealed(places):
    made = create(4096, places)
    for size in (0, 4095, 4097):
        with pytest.raises(PermissionError):
            os.ftruncate(made.descriptor, size)
    with pytest.raises(PermissionError):
        fcntl.fcntl(made.descriptor, 1033, SEAL_WRITE)
    made.close()


def test_a_part_may_be_claimed(memfd):
    segment = attach(1000, descriptor=memfd(4096))
    assert segment.bytes == len(segment.map) == 1000
    segment.close()


@linux
@pytest.mark.parametrize("seals", [0, SEAL_GROW, SEAL_SEAL])
def test_a_memfd_that_could_shrink_is_refused(memfd, seals):
    refused(memfd(4096, seals), 4096, "not sealed against shrinking")


@linux
def test_a_memfd_that_knows_no_seals_is_refused(memfd):
    refused(memfd(4096, 0, 0), 4096, "not sealed against shrinking")


@linux
def test_a_memfd_that_cannot_be_written_is_refused(memfd):
    refused(memfd(4096, SEAL_SHRINK | SEAL_WRITE), 4096, "cannot be used")


@pytest.mark.parametrize("size", [0, 1, 4095])
def test_memory_that_is_smaller_than_claimed_is_refused(memfd, size):
    refused(memfd(size), 4096, f"holds {size} bytes instead of 4096")


@pytest.mark.parametrize("size", [0, -1, MAX_BYTES + 1, 2**63, 2**64 - 1])
def test_an_impossible_size_is_refused(memfd, places, size):
    refused(memfd(4096), size, "holds 1 byte to 8 GiB")
    with pytest.raises(WetgateError, match="holds 1 byte to 8 GiB"):
        create(size, places)


def test_a_short_file_is_refused(tmp_path):
    (tmp_path / "file").write_bytes(b"x" * 100)
    descriptor = os.open(tmp_path / "file", os.O_RDWR)
    os.unlink(tmp_path / "file")
    refused(descriptor, 101, "holds 100 bytes")


def test_a_file_with_a_name_is_refused(tmp_path):
    (tmp_path / "file").write_bytes(b"x" * 100)
    refused(os.open(tmp_path / "file", os.O_RDWR), 100, "a file with a name")
    assert (tmp_path / "file").read_bytes() == b"x" * 100


def test_a_file_that_is_only_readable_is_refused(tmp_path):
    (tmp_path / "file").write_bytes(b"x" * 100)
    descriptor = os.open(tmp_path / "file", os.O_RDONLY)
    os.unlink(tmp_path / "file")
    refused(descriptor, 100, "cannot be used")


def test_what_is_no_file_is_refused(tmp_path):
    reading, writing = os.pipe()
    refused(os.open(tmp_path, os.O_RDONLY), 4096, "no file")
    refused(os.open("/dev/zero", os.O_RDWR), 4096, "no file")
    refused(reading, 4096, "no file")
    os.close(writing)


def test_a_descriptor_that_is_none_is_refused():
    reading, writing = os.pipe()
    os.close(reading)
    os.close(writing)
    with pytest.raises(OSError):
        attach(4096, descriptor=reading)


@pytest.mark.parametrize("name", ["", "Local\\wetgate-", "Global\\wetgate-" + "0" * 32, "Local\\wetgate-" + "0" * 32])
def test_a_name_means_nothing_here(name):
    with pytest.raises(WetgateError, match="cannot be used"):
        attach(4096, name=name)


def test_no_room_is_a_sentence(places, monkeypatch):
    def full(*arguments):
        raise OSError(28, "No space left on device")

    before = open_descriptors()
    monkeypatch.setattr(os, "ftruncate", full)
    with pytest.raises(WetgateError, match="no room for 4 MiB"):
        create(4 << 20, places)
    monkeypatch.setattr(mmap, "mmap", full)
    monkeypatch.undo()
    assert open_descriptors() == before


def test_a_system_that_forbids_memfd_has_a_file_instead(places, monkeypatch):
    def forbidden(*arguments):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "memfd_create", forbidden)
    made = create(4096, places)
    attach(4096, descriptor=os.dup(made.descriptor)).close()
    made.close()
    assert list(places.folder.iterdir()) == []


def test_closing_is_safe_while_arrays_look_into_it(places):
    before = open_descriptors()
    segment = create(4096, places)
    array = np.frombuffer(segment.map, np.float32)
    array[:] = 0.5
    segment.close()
    segment.close()
    assert segment.map is None and segment.descriptor is None
    assert (array == 0.5).all()  # still mapped
    del array
    assert open_descriptors() == before


def test_the_descriptor_can_go_before_the_mapping(places):
    segment = create(4096, places)
    segment.close_descriptor()
    segment.map[:1] = b"x"
    segment.close()


# Where the parts lie


def render(layout, frames, width, height):
    where = (layout.input, layout.output, layout.coverage)
    return Render(1, width, height, Device.CPU, False, *where, "/m.onnx", "", tuple(range(frames)))


@pytest.mark.parametrize("coverage", [False, True])
@pytest.mark.parametrize("frames, width, height", [(1, 1, 1), (3, 5, 7), (1, 2048, 1556), (5, 4096, 3112)])
def test_parts_that_are_laid_out_fit_exactly(frames, width, height, coverage):
    layout = lay_out(frames, width, height, coverage=coverage)
    message = render(layout, frames, width, height)
    assert check_layout(message, layout.bytes) is None
    assert "too small" in check_layout(message, layout.bytes - 1)
    assert (layout.coverage is not None) is coverage
    needed = 4 * width * height * (3 * frames + 3 + coverage)
    assert needed <= layout.bytes < needed + 3 * 64


@pytest.mark.parametrize(
    "layout, problem",
    [
        (Layout(0, 63, None, 0), "multiple of 64"),
        (Layout(0, 2**64 - 64, None, 0), "too small"),
        (Layout(2**64 - 64, 0, None, 0), "too small"),
        (Layout(0, 0, None, 0), "overlap"),
        (Layout(0, 1152, None, 0), "overlap"),
        (Layout(1152, 0, None, 0), "overlap"),
        (Layout(0, 1216, 1216, 0), "overlap"),
        (Layout(0, 1216, 1600 - 64, 0), "overlap"),
        (Layout(0, 1216, 2**63, 0), "too small"),
    ],
)
def test_parts_that_do_not_fit_are_a_sentence(layout, problem):
    """Of 10 x 10 pixels, where window and result take 1200 bytes each."""
    assert problem in check_layout(render(layout, 1, 10, 10), 1 << 20)


def test_a_picture_larger_than_any_memory_is_too_small_a_memory():
    layout = Layout(0, 64, None, 0)
    assert "too small" in check_layout(render(layout, 1, 2**32 - 1, 2**32 - 1), MAX_BYTES)


def test_seals_are_those_of_the_system():
    assert (memory._ADD_SEALS, memory._GET_SEALS) == (fcntl.F_ADD_SEALS, fcntl.F_GET_SEALS)
    names = (fcntl.F_SEAL_SEAL, fcntl.F_SEAL_SHRINK, fcntl.F_SEAL_GROW)
    assert names == (memory._SEAL_SEAL, memory._SEAL_SHRINK, memory._SEAL_GROW)
