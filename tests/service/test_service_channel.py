from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from open_files import open_descriptors

from wetgate.errors import WetgateError
from wetgate.service import channel as channels
from wetgate.service.channel import Channel, dial, listen
from wetgate.service.protocol import Code, Connection, Error, Hello

REPOSITORY = Path(__file__).resolve().parents[2]
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can be two users")


@pytest.fixture(params=[False, True], ids=["folder", "loopback"])
def loopback(request):
    return request.param


@pytest.fixture
def ends(places, loopback):
    """A client's and a server's end, connected as this system's or as Windows' are."""
    listener = listen(places, loopback=loopback)
    client = dial(places, loopback=loopback)
    server = listener.accept(30)
    yield client, server
    for end in (client, server, listener):
        end.close()


def receive_all(channel, size):
    data = b""
    while len(data) < size:
        received = channel.receive(30)
        assert received.data, "the stream ended early"
        data += received.data
    return data


def is_served(places, loopback):
    channel = dial(places, loopback=loopback)
    if channel is not None:
        channel.close()
    return channel is not None


@pytest.fixture
def pipe():
    ends = os.pipe()
    yield ends
    for end in ends:
        os.close(end)


def test_bytes_go_both_ways(ends):
    client, server = ends
    client.send(b"there")
    assert server.receive(30).data == b"there"
    server.send(b"back")
    assert client.receive(30).data == b"back"


def test_many_bytes_go_through_a_full_stream(ends):
    client, server = ends
    data = os.urandom(8 << 20)
    sender = threading.Thread(target=client.send, args=(data,))
    sender.start()
    assert receive_all(server, len(data)) == data
    sender.join()


def test_nothing_within_the_time(ends):
    _, server = ends
    assert server.receive(0) is None and server.receive(0.01) is None


def test_who_takes_nothing_is_given_up(ends):
    client, _ = ends
    with pytest.raises(TimeoutError):
        client.send(bytes(64 << 20), timeout_s=0.05)


def test_the_end_of_the_stream(ends):
    client, server = ends
    client.send(b"last words")
    client.close()
    assert server.receive(30).data == b"last words"
    assert server.receive(30).data == b"" and server.receive(30).data == b""


def test_sending_to_nobody_is_an_error_and_no_signal(ends):
    client, server = ends
    server.close()
    with pytest.raises(ConnectionError):
        for _ in range(100):
            client.send(bytes(1 << 16))


def test_a_waiting_thread_wakes_up_when_the_stream_is_shut_down(ends):
    _, server = ends
    found = []
    waiting = threading.Thread(target=lambda: found.append(server.receive()))
    waiting.start()
    server.shut_down()
    waiting.join(30)
    assert [received.data for received in found] == [b""]


def test_a_closed_channel_is_at_its_end(ends):
    client, _ = ends
    client.close()
    client.shut_down()
    assert client.fileno() == -1 and client.receive().data == b""
    with pytest.raises(OSError):
        client.send(b"x")


def test_only_the_right_token_is_known(places, loopback):
    listener = listen(places, loopback=loopback)
    client = dial(places, loopback=loopback)
    client.close()
    token = client.token
    assert len(token) == 32 and (token != bytes(32)) is loopback
    assert listener.knows(Hello(1, 1, 1, token, ""))
    assert not listener.knows(Hello(1, 1, 1, token[:-1] + bytes([token[-1] ^ 1]), ""))
    listener.close()


def test_the_loopback_listens_on_no_other_interface(places):
    listener = listen(places, loopback=True)
    assert listener._socket.getsockname()[0] == "127.0.0.1"
    listener.close()


def test_the_token_is_new_at_each_start(places):
    tokens = set()
    for _ in range(3):
        listener = listen(places, loopback=True)
        tokens.add(listener.token)
        listener.close()
    assert len(tokens) == 3


# Listening


def test_nobody_listens(places, loopback):
    assert not is_served(places, loopback)
    listen(places, loopback=loopback).close()
    assert not is_served(places, loopback)
    assert list(places.folder.iterdir()) == []


def test_what_a_killed_server_left_is_no_server_and_is_replaced(places, loopback):
    code = "import os, sys; sys.path.insert(0, sys.argv[1])\n"
    code += "from wetgate.service.channel import listen\nfrom wetgate.service.places import find_places\n"
    code += f"listener = listen(find_places(), loopback={loopback})\nos._exit(0)"
    subprocess.run([sys.executable, "-c", code, str(REPOSITORY)], check=True)
    assert len(list(places.folder.iterdir())) == 1
    assert not is_served(places, loopback)
    listener = listen(places, loopback=loopback)
    assert is_served(places, loopback)
    listener.close()


def test_closing_leaves_the_socket_of_a_later_server_alone(places, loopback):
    first = listen(places, loopback=loopback)
    second = listen(places, loopback=loopback)
    first.close()
    assert is_served(places, loopback)
    second.close()
    second.close()
    assert list(places.folder.iterdir()) == []


def test_the_socket_is_private(places):
    listener = listen(places)
    assert places.socket.stat().st_mode & 0o777 == 0o600
    listener.close()


def test_nobody_came(places, loopback):
    listener = listen(places, loopback=loopback)
    assert listener.accept(0) is None
    listener.close()
    assert listener.fileno() == -1 and listener.accept(0) is None


def test_who_went_away_again_does_no_harm(places, loopback):
    listener = listen(places, loopback=loopback)
    dial(places, loopback=loopback).close()
    channel = listener.accept(30)
    assert channel is None or channel.receive(30).data == b""
    listener.close()


def test_descriptors_are_not_inherited(ends):
    for end in ends:
        assert not os.get_inheritable(end.fileno())


# Who it is


def test_the_system_tells_whose_the_other_end_is():
    one, other = socket.socketpair(socket.AF_UNIX)
    assert channels.peer_user(one) == channels.peer_user(other) == os.geteuid()
    one.close()
    other.close()


def test_a_client_of_another_user_is_sent_away(places, monkeypatch):
    listener = listen(places)
    client = dial(places)
    monkeypatch.setattr(channels, "peer_user", lambda connected: os.geteuid() + 1)
    assert listener.accept(30) is None
    connection = Connection("client")
    connection.receive_data(client.receive(30).data)
    message = connection.next_event().message
    assert isinstance(message, Error) and message.code is Code.REFUSED
    assert client.receive(30).data == b""
    client.close()
    listener.close()


def test_a_client_that_nobody_knows_is_sent_away(places, monkeypatch):
    def unknown(connected):
        raise OSError("no such option")

    listener = listen(places)
    client = dial(places)
    monkeypatch.setattr(channels, "peer_user", unknown)
    assert listener.accept(30) is None
    client.close()
    listener.close()


def test_a_server_of_another_user_is_not_trusted(places, monkeypatch):
    listener = listen(places)
    monkeypatch.setattr(channels, "peer_user", lambda connected: os.geteuid() + 1)
    before = open_descriptors()
    with pytest.raises(WetgateError, match="another user"):
        dial(places)
    assert open_descriptors() == before
    listener.close()


@as_root
def test_the_check_sees_a_real_second_user(places, tmp_path):
    """As root: the folder lets root in, so only the peer's user id keeps one from the other's server."""
    code = """
import os, sys
sys.path.insert(0, sys.argv[1])
from wetgate.service.channel import listen
from wetgate.service.places import find_places
os.setuid(54321)
listener = listen(find_places())
print("listening", flush=True)
print(listener.accept(60), flush=True)
"""
    places.folder.parent.chmod(0o777)
    server = subprocess.Popen([sys.executable, "-c", code, str(REPOSITORY)], stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout.readline() == "listening\n"
        with pytest.raises(WetgateError, match="belongs to another user"):
            dial(places)
        connected = socket.socket(socket.AF_UNIX)
        connected.connect(str(places.socket))
        assert channels.peer_user(connected) == 54321
        assert b"belongs to another user" in connected.recv(4096) and connected.recv(4096) == b""
        assert server.stdout.readline() == "None\n"
        connected.close()
    finally:
        server.kill()
        server.communicate()


# Descriptors


@pytest.fixture
def local(places):
    listener = listen(places)
    client = dial(places)
    server = listener.accept(30)
    yield client, server
    for end in (client, server, listener):
        end.close()


def test_a_descriptor_goes_with_the_first_byte(local, pipe):
    client, server = local
    client.send(b"MEMORY", pipe[0])
    received = server.receive(30)
    (descriptor,) = received.descriptors
    assert received.data == b"MEMORY" and not os.get_inheritable(descriptor)
    assert os.fstat(descriptor).st_ino == os.fstat(pipe[0]).st_ino and descriptor != pipe[0]
    os.close(descriptor)


def test_a_descriptor_ends_a_read(local, pipe):
    """So that which message it came with can be told."""
    client, server = local
    for step in range(3):
        client.send(b"%d" % step, pipe[0])
        client.send(b"-")
    found = []
    while sum(len(received.data) for received in found) < 6:
        found.append(server.receive(30))
        assert len(found[-1].descriptors) <= 1
    for received in found:
        assert len(received.descriptors) == sum(received.data.count(b"%d" % step) for step in range(3))
        for descriptor in received.descriptors:
            os.close(descriptor)


@pytest.mark.parametrize("count", [2, 8, 9, 200])
def test_more_descriptors_than_a_message_may_bring_can_all_be_closed(local, pipe, count):
    client, server = local
    before = open_descriptors()
    socket.send_fds(client._socket, [b"MEMORY"], [pipe[0]] * count)
    received = server.receive(30)
    assert 2 <= len(received.descriptors) <= count
    for descriptor in received.descriptors:
        os.close(descriptor)
    assert open_descriptors() == before


def test_descriptors_nobody_reads_are_gone_with_the_stream(places, pipe):
    listener = listen(places)
    before = open_descriptors()
    client = dial(places)
    server = listener.accept(30)
    client.send(b"MEMORY", pipe[0])
    client.close()
    server.close()
    assert open_descriptors() == before
    listener.close()


def test_a_channel_that_carries_no_descriptors_drops_them(pipe):
    one, other = socket.socketpair(socket.AF_UNIX)
    before = open_descriptors()
    channel = Channel(one, carries_descriptors=False)
    socket.send_fds(other, [b"x"], [pipe[0]])
    assert channel.receive(30) == channels.Received(b"x")
    assert open_descriptors() == before
    channel.close()
    other.close()
