"""The inference server and what others do to it: its folder cleaned away, clients that lie or never listen, no room."""

from __future__ import annotations

import contextlib
import os
import resource
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from real_server import RealServer, restore, until

from wetgate.errors import WetgateError
from wetgate.inference.models import Models
from wetgate.service.channel import Channel, dial
from wetgate.service.messages import TOKEN_BYTES
from wetgate.service.places import Places
from wetgate.service.protocol import Hello, Status, encode

pytestmark = pytest.mark.skipif(os.name == "nt", reason="sockets in the file system")

PICTURE = np.full((4, 4, 3), 0.5, np.float32)


def greeted(places: Places, name: str) -> Channel:
    """A connection that has said HELLO and was welcomed."""
    channel = dial(places)
    assert channel is not None
    channel.send(encode(Hello(1, 1, 7, bytes(TOKEN_BYTES), name)))
    assert channel.receive(60) is not None
    return channel


@pytest.mark.parametrize("gone", ["folder", "socket", "lock"])
def test_a_server_that_clients_cannot_find_any_more_makes_room_for_another(serving, gain, gone):
    process = serving.start()
    if gone == "folder":
        shutil.rmtree(serving.places.folder)
    else:
        getattr(serving.places, gone).unlink()
    assert process.wait(60) == 0
    with serving.client() as client:
        assert restore(client, gain(0.5), [PICTURE])[0].max() == 0.25


def test_names_of_any_length_leave_a_status_that_can_be_told(serving):
    with serving.client() as client:
        channels = [greeted(serving.places, name) for name in ("n" * 60_000, "\n\t" * 9, "é")]
        names = [one["client"] for one in client.status()["clients"]]
        assert {"n" * 80, "?" * 18, "?"} < set(names)
        for channel in channels:
            channel.close()


def test_a_client_that_never_listens_does_not_hold_up_what_others_want_to_know(serving):
    with serving.client() as client:
        mute = greeted(serving.places, "mute")
        with contextlib.suppress(TimeoutError):
            for request in range(1, 100_000):
                mute.send(encode(Status(), request), timeout_s=0.5)
        client.status()
        assert "mute" in [one["client"] for one in client.status()["clients"]]  # it is not waited for until it goes
        mute.close()


def test_a_hello_that_trickles_in_is_not_waited_for(places):
    serving = RealServer(places, "from wetgate.inference import server\nserver.HELLO_S = 0.3")
    with serving.client():
        slow = dial(places)
        assert slow is not None
        with pytest.raises(ConnectionError):
            for byte in encode(Hello(1, 1, 7, bytes(TOKEN_BYTES), "x" * 1000)):
                slow.send(bytes([byte]))
                slow.receive(0.02)
        slow.close()
    serving.end()


def test_a_thread_too_many_is_one_client_less_and_no_end(places, gain):
    before = """
import threading
from wetgate.inference import server
start, tries = threading.Thread.start, []
def failing(self):
    if self.name == "wetgate-client":
        tries.append(1)
        if len(tries) == 2:
            raise RuntimeError("can't start new thread")
    start(self)
threading.Thread.start = failing
"""
    serving = RealServer(places, before)
    with serving.client() as first:
        unlucky = dial(places)
        assert unlucky is not None and unlucky.receive(60).data == b""
        unlucky.close()
        with serving.client() as third:
            assert restore(third, gain(), [PICTURE])[2].bits == 32
        assert first.status()["process"] == third.server.process_id
        assert "sent away: can't start new thread" in places.log.read_text()
        until(lambda: len(first.status()["clients"]) == 1)
    serving.end()


def test_a_model_that_could_not_be_opened_is_tried_again(gain):
    models, path = Models(), gain()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
    try:
        with pytest.raises(WetgateError, match="cannot be read: Too many open files"):
            models.describe(path)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert models.describe(path).card.recipe == "color"


def test_a_server_has_as_many_files_as_it_may(places):
    serving = RealServer(places)
    serving.command.write_text(serving.command.read_text().replace("\nexec ", "\nulimit -S -n 40\nexec ", 1))
    with serving.client() as client:
        limits = Path(f"/proc/{client.server.process_id}/limits")
        if limits.exists():
            assert "Max open files            40 " not in limits.read_text()
        memories = [client.memory(64) for _ in range(60)]
        assert client.status()["clients"][0]["memory_bytes"] == 64 * len(memories)
    serving.end()


def test_a_log_that_cannot_be_written_is_a_sentence(places):
    places.folder.mkdir(mode=0o700)
    places.log.mkdir()
    assert refused(places) == f"wetgate: {places.log} cannot be written: Is a directory.\n"


def test_a_file_in_the_folders_place_is_a_sentence_for_who_asks(places):
    places.folder.write_text("")
    assert "is a link or a file" in refused(places, "--status")


def refused(places: Places, *words: str) -> str:
    done = subprocess.run([RealServer(places).command, "serve", *words], capture_output=True, text=True)
    assert done.returncode == 1
    return done.stderr
