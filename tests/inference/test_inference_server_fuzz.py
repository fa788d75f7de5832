"""10,000 random and mutated messages to the real server: it answers others as before, and keeps nothing."""

from __future__ import annotations

import contextlib
import fcntl
import os
import random
import shutil
import socket
import struct
import sys
import tempfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from real_server import RealServer, restore, shared_maps, until

from wetgate.service import lay_out
from wetgate.service.channel import dial
from wetgate.service.messages import HEADER, decode
from wetgate.service.places import Places
from wetgate.service.protocol import (
    Cancel,
    Code,
    Describe,
    Device,
    Error,
    Forget,
    Hello,
    Memory,
    Render,
    RenderFile,
    Restored,
    Status,
    Stop,
    encode,
)

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")

MESSAGES = 10_000
MOST_ON_A_CONNECTION = 50
ANSWER_S = 0.002
"""How long a client waits before it goes on talking, so that most of what it says is still listened to."""
HELLO = Hello(1, 1, 4711, bytes(32), "fuzz")
SIZE = 1 << 16
KEPT = {"server.lock", "server.log", "server.sock"}


@pytest.fixture
def serving():
    folder = Path(tempfile.mkdtemp(prefix="wetgate-test-"))  # pytest's own folders are too long for a socket
    server = RealServer(Places(folder / "run"))
    yield server
    server.end()
    shutil.rmtree(folder)


@pytest.fixture
def descriptors(tmp_path):
    """Descriptors of every kind: memory as it should be first."""
    made = []
    for seals in (2, 0):
        made.append(os.memfd_create("wetgate-fuzz", os.MFD_ALLOW_SEALING))
        os.ftruncate(made[-1], SIZE)
        if seals:
            fcntl.fcntl(made[-1], fcntl.F_ADD_SEALS, seals)
    made += os.pipe()
    made.append(os.open(tmp_path, os.O_RDONLY))
    made.append(os.open("/dev/null", os.O_RDWR))
    yield made
    for descriptor in made:
        os.close(descriptor)


def open_files(process):
    """What the descriptors of a process are; sockets and pipes without their numbers."""
    found = []
    for entry in os.scandir(f"/proc/{process}/fd"):
        with contextlib.suppress(FileNotFoundError):  # closed meanwhile
            found.append(os.readlink(entry.path).partition(":[")[0])
    return sorted(found)


def is_alone(process):
    """Whether every connection is over: there is one socket, on which the server listens."""
    return open_files(process).count("socket") == 1


def restores(serving, model):
    """Whether the server halves a frame, as the model does."""
    frame = np.linspace(0, 1, 5 * 7 * 3, dtype=np.float32).reshape(5, 7, 3)
    with serving.client() as client:
        restored, _, _ = restore(client, model, [frame], device="cpu")
    return np.array_equal(restored, frame * np.float32(0.5))


class Noise:
    """What a client sends that does everything wrong now and then."""

    def __init__(self, chance, model, descriptors):
        self._chance = chance
        self._model = model
        self._descriptors = descriptors
        self._requests = 0
        self.memory = descriptors[0]

    def memories(self):
        """Those that a client has to begin with."""
        return range(self._chance.choice([0, 3]))

    def message(self):
        """Bytes and the descriptors that go with them."""
        chance = self._chance
        message = self._right()
        data = bytearray(encode(message, self._request()))
        passed = [self.memory] if isinstance(message, Memory) else []
        kind = chance.random()
        if kind < 0.06:
            for _ in range(chance.choice([1, 2, 8])):
                data[chance.randrange(len(data))] = chance.randrange(256)
        elif kind < 0.07:
            data = bytearray(chance.randbytes(chance.randrange(1, 200)))
        elif kind < 0.08:
            data = data[: chance.randrange(1, len(data))]
        elif kind < 0.083:
            data = bytearray(encode(HELLO))
        elif kind < 0.10:
            passed = chance.choices(self._descriptors, k=chance.choice([0, 1, 1, 1, 2, 9]))
        if len(data) >= 6 and struct.unpack_from("<H", data, 4)[0] == Stop.KIND:
            data[4] = Status.KIND
        return bytes(data), passed

    def _request(self):
        self._requests += 1
        return self._chance.choice([self._requests] * 30 + [1])

    def _right(self):
        chance = self._chance
        memory = chance.randrange(4)
        kind = chance.randrange(9)
        if kind == 0:
            return Describe(chance.choice([self._model, "/no/model.onnx", "", "model.onnx"]))
        if kind in (1, 2):
            return Memory(memory, chance.choice([SIZE, SIZE, SIZE, 0, SIZE + 1, 2**63]))
        if kind == 3:
            return Forget(memory)
        if kind == 4:
            frames = chance.choice([1, 3])
            model = chance.choice([self._model, "/no/model.onnx"])
            scans = ("/no/scan.1.exr",) * frames
            return RenderFile(Device.CPU, model, "/no/out.exr", "", "", tuple(range(frames)), scans)
        if kind == 5:
            return Cancel(chance.choice([1, self._requests, self._requests + 1]))
        if kind == 6:
            return Status()
        return self._render(memory)

    def _render(self, memory):
        chance = self._chance
        width, height = chance.choice([(8, 8)] * 4 + [(64, 16), (1, 1), (2**32 - 1, 2**32 - 1), (4096, 4096)])
        where = lay_out(1, 8, 8, coverage=chance.random() < 0.5)
        offset = chance.choice([where.output] * 6 + [0, 1, 64, 2**64 - 64, SIZE])
        numbers = (7,) * chance.choice([1] * 8 + [3])
        curves = chance.choice(["", "", "", "/no/curves.json"])
        model = chance.choice([self._model] * 8 + ["/no/model.onnx"])
        device = chance.choice([Device.CPU] * 4 + [Device.AUTO])
        return Render(memory, width, height, device, True, where.input, offset, where.coverage, model, curves, numbers)


class Heard:
    """What a server said on one connection: every byte of it must be messages."""

    def __init__(self):
        self.count = Counter()
        self._rest = b""

    def take(self, data):
        self._rest += data
        while len(self._rest) >= HEADER.size:
            magic, kind, zero, request, length = HEADER.unpack_from(self._rest)
            assert (magic, zero) == (0x31504757, 0)
            if len(self._rest) < HEADER.size + length:
                return
            message = decode(kind, request, self._rest[HEADER.size : HEADER.size + length])
            self._rest = self._rest[HEADER.size + length :]
            self.count[message.code if isinstance(message, Error) else type(message)] += 1


def talk(places, chance, noise):
    """One connection; how many messages were sent, and what was heard."""
    channel, heard, sent = dial(places), Heard(), 0
    assert channel is not None
    try:
        if chance.random() < 0.95:
            channel.send(encode(HELLO))
            for number in noise.memories():
                channel.send(encode(Memory(number, SIZE), 2**32 - 1 - number), noise.memory)
        while sent < MOST_ON_A_CONNECTION:
            data, passed = noise.message()
            socket.send_fds(channel._socket, [data], passed)
            sent += 1
            received = channel.receive(ANSWER_S)
            while received is not None and received.data:
                heard.take(received.data)
                received = channel.receive(0)
            if received is not None:
                break
        if chance.random() < 0.5:
            channel._socket.shutdown(socket.SHUT_WR)
            while (received := channel.receive(60)).data:
                heard.take(received.data)
    except (ConnectionError, BlockingIOError):
        pass  # the server has ended it; or it is busy, and its client goes
    finally:
        with contextlib.suppress(OSError):
            channel.close()
    return sent, heard.count


def test_10000_random_and_mutated_messages(serving, gain, descriptors):
    model = gain(coverage=True)
    assert restores(serving, model)
    process = serving.process()
    until(lambda: is_alone(process))
    shared_before, files_before = os.listdir("/dev/shm"), open_files(process)
    chance = random.Random(2026)
    noise = Noise(chance, str(model), descriptors)
    heard, sent = Counter(), 0
    while sent < MESSAGES:
        sent_now, heard_now = talk(serving.places, chance, noise)
        sent, heard = sent + sent_now, heard + heard_now
    assert restores(serving, model) and serving.process() == process
    until(lambda: is_alone(process))
    assert open_files(process) == files_before
    assert shared_maps(process) == 0
    assert os.listdir("/dev/shm") == shared_before
    assert {path.name for path in serving.places.folder.iterdir()} == KEPT
    assert "Traceback" not in serving.places.log.read_text()
    assert heard[Restored] > 50
    assert all(heard[code] > 10 for code in (Code.PROTOCOL, Code.MODEL, Code.WINDOW, Code.MEMORY, Code.FILE))
