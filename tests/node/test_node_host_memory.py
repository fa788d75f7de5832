"""The node's C code under the eyes of sanitizers and valgrind, and against the Python side of the protocol."""

from __future__ import annotations

import ctypes
import random
import shutil
import struct
import subprocess
from pathlib import Path

import pytest

from wetgate.service.protocol import (
    Cancel,
    Code,
    Describe,
    Device,
    Error,
    Forget,
    Hello,
    Memory,
    Model,
    Render,
    Restored,
    StatusIs,
    Welcome,
    encode,
)

HERE = Path(__file__).resolve().parent
SOURCES = HERE.parents[1] / "ofx"
WORDS = ["-std=c11", "-g", "-O1", "-Wall", "-Wextra", "-Werror", f"-I{SOURCES}", '-DWETGATE_VERSION="0.0.0"']
SANITIZERS = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-fno-omit-frame-pointer"]


def compiled(target: Path, *sources: Path, words: list[str]) -> Path:
    """A program by the machine's own compiler; skips where there is none with these abilities."""
    compiler = shutil.which("gcc")
    if compiler is None:
        pytest.skip("no gcc here")
    probe = subprocess.run([compiler, *words, "-x", "c", "-", "-o", target], input=b"int main(void){return 0;}")
    if probe.returncode:
        pytest.skip("gcc has no sanitizers here")
    subprocess.run([compiler, *WORDS, *words, *sources, "-o", target, "-lpthread", "-ldl"], check=True)
    return target


def run(*words: str | Path, **options) -> subprocess.CompletedProcess[bytes]:
    done = subprocess.run(words, capture_output=True, timeout=200, **options)
    assert done.returncode == 0, done.stderr.decode(errors="replace")[-4000:]
    return done


def test_the_whole_node_under_sanitizers(places, gain, tmp_path):
    program = compiled(tmp_path / "drive", HERE / "drive.c", *sorted(SOURCES.glob("*.c")), words=SANITIZERS)
    run(program, gain(0.5))


def test_the_whole_node_under_valgrind(places, gain, tmp_path):
    valgrind = shutil.which("valgrind")
    if valgrind is None:
        pytest.skip("no valgrind here")
    program = compiled(tmp_path / "drive", HERE / "drive.c", *sorted(SOURCES.glob("*.c")), words=[])
    checks = ["--error-exitcode=9", "--leak-check=full", "--errors-for-leak-kinds=all", "--track-fds=yes", "-q"]
    run(valgrind, *checks, program, gain(0.5))


MESSAGES = [
    Welcome(1, 77, "wetgate 1"),
    Model(3, True, None, "ab" * 32, "color", "display", "ä" * 300, "grain", "test", "x" * 2000),
    Restored(2, 16, True, 5, 2**40, 2**50, "cd" * 32),
    Error(Code.FAILED, "€" * 2000),
    StatusIs("{}"),
]


def test_ten_thousand_messages_and_pictures_under_sanitizers(tmp_path):
    program = compiled(
        tmp_path / "fuzz",
        HERE / "fuzz.c",
        *(SOURCES / f"{n}.c" for n in ("pixels", "protocol", "sentence")),
        words=SANITIZERS,
    )
    chance = random.Random(1)
    written = [encode(message, 5) if not isinstance(message, Welcome) else encode(message, 0) for message in MESSAGES]
    stream = []
    for number in range(10_000):
        data = bytearray(written[number % len(written)])
        if number >= len(written):
            for _ in range(chance.randrange(1, 6)):
                place = (
                    chance.randrange(len(data)) if chance.random() < 0.5 else chance.randrange(16, min(60, len(data)))
                )
                data[place] = chance.randrange(256)
            data = data[: chance.randrange(len(data) + 1)] if chance.random() < 0.3 else data
        stream.append(struct.pack("<I", len(data)) + data)
    done = run(program, input=b"".join(stream))
    assert 4 <= int(done.stdout) < 10_000  # the four that are meant for clients, and mutations that are as good


# -- the same bytes as the Python side


class CRender(ctypes.Structure):
    _fields_ = (
        ("memory", ctypes.c_uint32),
        ("width", ctypes.c_uint32),
        ("height", ctypes.c_uint32),
        ("device", ctypes.c_uint8),
        ("may_hold_nan", ctypes.c_bool),
        ("frames", ctypes.c_uint16),
        ("input", ctypes.c_uint64),
        ("output", ctypes.c_uint64),
        ("coverage", ctypes.c_uint64),
        ("model", ctypes.c_char_p),
        ("curves", ctypes.c_char_p),
        ("numbers", ctypes.POINTER(ctypes.c_int64)),
    )


@pytest.fixture(scope="module")
def protocol(tmp_path_factory):
    target = tmp_path_factory.mktemp("protocol") / "protocol.so"
    library = compiled(target, SOURCES / "protocol.c", SOURCES / "sentence.c", words=["-shared", "-fPIC"])
    loaded = ctypes.CDLL(str(library))
    for name in ("hello", "describe", "memory", "forget", "render", "cancel"):
        getattr(loaded, f"wg_encode_{name}").restype = ctypes.c_size_t
    return loaded


def test_both_sides_write_the_same_bytes(protocol):
    room = ctypes.create_string_buffer(16 + 65536)

    def written(name, *arguments):
        length = getattr(protocol, f"wg_encode_{name}")(room, *arguments)
        return room.raw[:length]

    token = bytes(range(32))
    path = "/shots/ä/model.onnx"
    numbers = (-3, 2**40, 7)
    render = CRender(9, 640, 272, 2, True, 3, 0, 4096, 2**64 - 1, path.encode(), b"", (ctypes.c_int64 * 3)(*numbers))
    assert written("hello", 77, token, b"me") == encode(Hello(1, 1, 77, token, "me"), 0)
    assert written("describe", 5, path.encode()) == encode(Describe(path), 5)
    assert written("memory", 6, 9, ctypes.c_uint64(2**33), b"") == encode(Memory(9, 2**33, ""), 6)
    assert written("forget", 7, 9) == encode(Forget(9), 7)
    assert written("cancel", 8, 3) == encode(Cancel(3), 8)
    assert written("render", 2**32 - 1, ctypes.byref(render)) == encode(
        Render(9, 640, 272, Device.CUDA, True, 0, 4096, None, path, "", numbers), 2**32 - 1
    )


def test_a_text_that_is_too_long_is_not_written(protocol):
    room = ctypes.create_string_buffer(16 + 65536)
    assert protocol.wg_encode_describe(room, 1, b"x" * 65_534) > 0
    assert protocol.wg_encode_describe(room, 1, b"x" * 65_535) == 0
    assert protocol.wg_encode_describe(room, 1, b"x" * 65_536) == 0
