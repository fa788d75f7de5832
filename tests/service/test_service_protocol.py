from __future__ import annotations

import dataclasses
import itertools
import random
import struct

import pytest

from wetgate.service import messages
from wetgate.service.protocol import (
    ANSWERS,
    CLIENT_SAYS,
    CLOSED,
    MAX_BUFFERED,
    MAX_MEMORIES,
    MAX_PAYLOAD,
    MAX_REQUESTS,
    NEED_DATA,
    SERVER_SAYS,
    Cancel,
    Code,
    Connection,
    Describe,
    Device,
    Done,
    Error,
    Event,
    Forget,
    Hello,
    LocalProtocolError,
    Memory,
    Model,
    RemoteProtocolError,
    Render,
    RenderFile,
    Restored,
    State,
    Status,
    StatusIs,
    Stop,
    Welcome,
    common_version,
    encode,
    speakable,
)

HELLO = Hello(1, 1, 4711, bytes(32), "node 0.1")
WELCOME = Welcome(1, 815, "wetgate 0.1")
RENDER = Render(7, 640, 272, Device.AUTO, True, 0, 4096, None, "/m.onnx", "/c.json", (-1, 0, 2**40))
RENDER_FILE = RenderFile(Device.CUDA, "/m.onnx", "/out.exr", "", "/c.json", (-1, 7), ("/a.dpx", "/ä.dpx"))
MODEL = Model(1, True, None, "ab" * 32, "color", "log", "", "grain", "wetgate 0.1", "One.\nTwo.")
RESTORED = Restored(Device.CUDA, 16, False, 12, 20_000, 2**40, "cd" * 32)
REQUESTS = [Describe("/m.onnx"), Memory(7, 2**33, ""), Forget(7), RENDER, RENDER_FILE, Status(), Stop()]
FROM_CLIENT = [HELLO, *REQUESTS, Cancel(5)]
FROM_SERVER = [WELCOME, MODEL, Done(), RESTORED, StatusIs('{"pid": 1}'), Error(Code.FAILED, "It did not work.")]
EVERY_MESSAGE = [*FROM_CLIENT, *FROM_SERVER]
ANSWER = {Describe: MODEL, Render: RESTORED, RenderFile: RESTORED, Status: StatusIs("{}")}


def named(message):
    return type(message).__name__


def request_of(message):
    return 5 if message.HAS_REQUEST else 0


def answer_to(message):
    return ANSWER.get(type(message), Done())


def receive(connection, data, descriptors=()):
    connection.receive_data(data, descriptors)
    return connection.next_event()


@pytest.fixture
def pair():
    """A client and a server that have greeted each other, and pass memory by name."""
    client, server = Connection("client", descriptors=False), Connection("server", descriptors=False)
    assert receive(server, client.send(HELLO)) == Event(HELLO, 0)
    assert receive(client, server.send(WELCOME)) == Event(WELCOME, 0)
    return client, server


def look(connection):
    """All that a connection knows."""
    return {name: repr(value) for name, value in vars(connection).items()}


# Bytes


@pytest.mark.parametrize("message", EVERY_MESSAGE, ids=named)
def test_every_message_comes_back_from_its_bytes(message):
    data = encode(message, request_of(message))
    magic, kind, zero, request, length = struct.unpack_from("<IHHII", data)
    assert (magic, kind, zero, request) == (0x31504757, message.KIND, 0, request_of(message))
    assert data[:4] == b"WGP1" and length == len(data) - 16
    assert messages.decode(kind, request, data[16:]) == message


def test_the_kinds_are_those_of_the_contract():
    assert {named(message): message.KIND for message in EVERY_MESSAGE} == {
        "Hello": 1,
        "Describe": 2,
        "Memory": 3,
        "Forget": 4,
        "Render": 5,
        "RenderFile": 6,
        "Cancel": 7,
        "Status": 8,
        "Stop": 9,
        "Welcome": 101,
        "Model": 102,
        "Done": 103,
        "Restored": 104,
        "StatusIs": 105,
        "Error": 199,
    }
    assert set(messages.BY_KIND.values()) == {type(message) for message in EVERY_MESSAGE}


def test_the_bytes_are_those_of_the_contract():
    """Written down by hand from the tables, so that C and Python can not drift together."""
    assert encode(RENDER, 9) == bytes.fromhex(
        "57475031 0500 0000 09000000 52000000"  # WGP1, RENDER, 0, request 9, 82 bytes
        "07000000 80020000 10010000 00 01 0300"  # memory, width, height, device, flags, frames
        "0000000000000000 0010000000000000 ffffffffffffffff"  # input, output, no coverage
        "0700 2f6d2e6f6e6e78 0700 2f632e6a736f6e"  # /m.onnx /c.json
        "ffffffffffffffff 0000000000000000 0000000000010000"
    )
    assert encode(HELLO) == bytes.fromhex(
        "57475031 0100 0000 00000000 32000000 0100 0100 67120000" + "00" * 32 + "0800 6e6f646520302e31"
    )
    assert encode(MODEL, 1)[16:24] == bytes.fromhex("0100 01 00 ffffffff")
    assert encode(RESTORED, 1)[16:40] == bytes.fromhex("02 10 00 00 0c000000 204e000000000000 0000000000010000")
    assert encode(RENDER_FILE, 1)[16:19] == bytes.fromhex("02 0200")
    assert encode(Memory(7, 2**33), 1)[16:] == bytes.fromhex("07000000 0000000002000000 0000")
    assert encode(Cancel(9), 1)[16:] == bytes.fromhex("09000000")
    assert encode(Error(Code.BUSY, "no"), 0)[16:] == bytes.fromhex("0a00 0200 6e6f")


UNFIT = [
    dataclasses.replace(HELLO, lowest=2),
    dataclasses.replace(HELLO, lowest=0, highest=0),
    dataclasses.replace(HELLO, process_id=2**32),
    dataclasses.replace(HELLO, token=bytes(31)),
    Describe("/m\0.onnx"),
    Describe("/m\udcff.onnx"),
    Describe("m" * 65_536),
    Memory(-1, 64),
    Memory(1, 2**64),
    dataclasses.replace(RENDER, numbers=()),
    dataclasses.replace(RENDER, width=0),
    dataclasses.replace(RENDER, height=0),
    dataclasses.replace(RENDER, device=3),
    dataclasses.replace(RENDER, coverage=2**64 - 1),
    dataclasses.replace(RENDER, numbers=(2**63,)),
    dataclasses.replace(RENDER, numbers=(0,) * 8192),
    dataclasses.replace(RENDER_FILE, scans=()),
    dataclasses.replace(RENDER_FILE, scans=("/" + "a" * 40_000, "/" + "b" * 40_000)),
    dataclasses.replace(MODEL, halo=-1),
    dataclasses.replace(MODEL, radius=65_536),
    dataclasses.replace(RESTORED, device=Device.AUTO),
    dataclasses.replace(RESTORED, bits=8),
]


@pytest.mark.parametrize("message", UNFIT, ids=named)
def test_what_the_contract_forbids_is_not_sent(message):
    with pytest.raises(LocalProtocolError):
        encode(message, request_of(message))


def test_requests_are_numbered_where_the_contract_says():
    for message in EVERY_MESSAGE:
        allowed = [True, False] if not message.HAS_REQUEST else [isinstance(message, Error), True]
        for request, is_allowed in zip([0, 5], allowed, strict=True):
            if is_allowed:
                encode(message, request)
            else:
                with pytest.raises(LocalProtocolError, match="request"):
                    encode(message, request)


def changed(message, offset, byte):
    payload = bytearray(encode(message, request_of(message))[16:])
    payload[offset] = byte
    return message.KIND, bytes(payload)


FORBIDDEN = {
    "no such kind": (10, b""),
    "versions the wrong way round": changed(HELLO, 0, 2),
    "a text with NUL": changed(Describe("/m.onnx"), 4, 0),
    "no UTF-8": changed(Describe("/m.onnx"), 4, 0xFF),
    "a text that goes on after the end": changed(Describe("/m.onnx"), 0, 8),
    "bytes after a text": changed(Describe("/m.onnx"), 0, 6),
    "bytes after the end": (8, b"\0"),
    "half a number": (4, b"\7\0"),
    "an unknown device": changed(RENDER, 12, 3),
    "an unknown flag": changed(RENDER, 13, 2),
    "fewer frames than it says": changed(RENDER, 14, 4),
    "more frames than it says": changed(RENDER, 14, 2),
    "no frame": changed(RENDER, 14, 0),
    "no width": (5, encode(dataclasses.replace(RENDER, width=1), 1)[16:].replace(b"\1\0\0\0", bytes(4), 1)),
    "a file too few": changed(RENDER_FILE, 1, 3),
    "a file too many": changed(RENDER_FILE, 1, 1),
    "a model's unknown flag": changed(MODEL, 2, 2),
    "a model's byte that is 0": changed(MODEL, 3, 1),
    "an impossible halo": changed(MODEL, 4, 0xFE),
    "a frame that was restored nowhere": changed(RESTORED, 0, 0),
    "24 bits": changed(RESTORED, 1, 24),
    "an unknown code": changed(Error(Code.FAILED, ""), 0, 12),
}


@pytest.mark.parametrize("kind, payload", FORBIDDEN.values(), ids=FORBIDDEN)
def test_what_the_contract_forbids_is_not_understood(kind, payload):
    with pytest.raises(ValueError):
        messages.decode(kind, 0 if kind in (1, 101) else 5, payload)


@pytest.mark.parametrize("message", EVERY_MESSAGE, ids=named)
def test_a_message_that_is_cut_anywhere_is_not_understood(message):
    payload = encode(message, request_of(message))[16:]
    for end in range(len(payload)):
        with pytest.raises(ValueError):
            messages.decode(message.KIND, request_of(message), payload[:end])


def test_the_longest_message_passes():
    longest = StatusIs("x" * 65_534)
    assert len(encode(longest, 1)) == 16 + MAX_PAYLOAD
    assert messages.decode(105, 1, encode(longest, 1)[16:]) == longest


def test_any_text_of_an_exception_can_be_made_speakable():
    for text in ["", "No.", "a\0b\udcffc", "\U0001f39e" * 100_000]:
        encode(Error(Code.FAILED, speakable(text)))
    assert speakable("Frame 7 of ä.dpx") == "Frame 7 of ä.dpx"
    assert speakable("a\0b\udcffc") == "a?b?c"


def test_the_version_that_both_speak():
    assert common_version(HELLO) == 1
    assert common_version(dataclasses.replace(HELLO, highest=7)) == 1
    assert common_version(dataclasses.replace(HELLO, lowest=2, highest=7)) is None


# The conversation


@pytest.mark.parametrize("message", REQUESTS, ids=named)
def test_a_request_is_open_until_it_is_answered(pair, message):
    client, server = pair
    assert receive(server, client.send(message, 9)) == Event(message, 9)
    assert client.open_requests == server.open_requests == {9: message}
    answer = answer_to(message)
    assert receive(client, server.send(answer, 9)) == Event(answer, 9)
    assert client.open_requests == server.open_requests == {}
    assert server.next_event() is NEED_DATA
    assert receive(server, client.send(message, 9)) == Event(message, 9)


@pytest.mark.parametrize("message", REQUESTS, ids=named)
def test_any_request_may_fail(pair, message):
    client, server = pair
    receive(server, client.send(message, 9))
    error = Error(Code.FAILED, "No.")
    assert receive(client, server.send(error, 9)) == Event(error, 9)
    assert client.open_requests == server.open_requests == {}
    assert client.memories == server.memories == set()


def test_both_sides_know_the_memories(pair):
    client, server = pair
    for step, (message, known) in enumerate([(Memory(7, 64), {7}), (Memory(8, 64), {7, 8}), (Forget(7), {8})], 1):
        receive(server, client.send(message, step))
        assert client.memories == server.memories == known ^ {message.memory}
        receive(client, server.send(Done(), step))
        assert client.memories == server.memories == known


def test_cancel_needs_no_answer_and_no_open_request(pair):
    client, server = pair
    receive(server, client.send(RENDER, 9))
    for target in (9, 10):
        assert receive(server, client.send(Cancel(target), 9)) == Event(Cancel(target), 9)
        assert list(client.open_requests) == list(server.open_requests) == [9]


@pytest.mark.parametrize("step", [1, 2, 3, 7, 16, 1000])
def test_bytes_may_come_in_any_pieces(step):
    client, server = Connection("client", descriptors=False), Connection("server", descriptors=False)
    receive(server, client.send(HELLO))
    receive(client, server.send(WELCOME))
    stream = b"".join(client.send(message, number) for number, message in enumerate(REQUESTS * 4, 1))
    events = []
    for start in range(0, len(stream), step):
        server.receive_data(stream[start : start + step])
        while (event := server.next_event()) is not NEED_DATA:
            assert not server.in_message or start + step < len(stream) or step > 100
            events.append(event)
    assert events == [Event(message, number) for number, message in enumerate(REQUESTS * 4, 1)]
    assert not server.in_message


def test_half_a_message_is_known_as_such(pair):
    client, server = pair
    data = client.send(RENDER, 9)
    assert not server.in_message
    assert receive(server, data[:40]) is NEED_DATA and server.in_message
    assert receive(server, data[40:]) == Event(RENDER, 9) and not server.in_message


def test_the_end_of_the_stream(pair):
    client, server = pair
    server.receive_data(client.send(RENDER, 9))
    server.receive_data(b"")
    assert server.next_event() == Event(RENDER, 9)
    assert server.next_event() is CLOSED and server.next_event() is CLOSED


def test_the_end_of_the_stream_in_a_message_breaks_the_rules(pair):
    client, server = pair
    server.receive_data(client.send(RENDER, 9)[:-1])
    server.receive_data(b"")
    with pytest.raises(RemoteProtocolError, match="in the middle of a message"):
        server.next_event()


# Who may say what, and when


WAY_TO = {
    State.START: [],
    State.GREETED: [HELLO],
    State.OPEN: [HELLO, WELCOME],
    State.BROKEN: [HELLO, WELCOME],
    State.ENDED: [Error(Code.REFUSED, "No.")],
}


def reach(state, role):
    """A connection of that role in that state, with no request open."""
    connection = Connection(role, descriptors=False)
    for message in WAY_TO[state]:
        if isinstance(message, Hello) is (role == "client"):
            connection.send(message)
        else:
            receive(connection, encode(message))
    if state is State.BROKEN:
        with pytest.raises(RemoteProtocolError):
            receive(connection, bytes(16))
    assert connection.state is state
    return connection


EVERY_STEP = list(itertools.product(State, EVERY_MESSAGE))
STEP_IDS = [f"{state.name}-{named(message)}" for state, message in EVERY_STEP]


@pytest.mark.parametrize("role, says", [("client", CLIENT_SAYS), ("server", SERVER_SAYS)])
@pytest.mark.parametrize("state, message", EVERY_STEP, ids=STEP_IDS)
def test_what_must_not_be_said_now_changes_nothing(role, says, state, message):
    connection = reach(state, role)
    before = look(connection)
    allowed = type(message) in says.get(state, {})
    answers_nothing = type(message) in {*ANSWERS.values()} or isinstance(message, Error)
    if allowed and not answers_nothing:
        connection.send(message, request_of(message))
        return
    with pytest.raises(LocalProtocolError):
        connection.send(message, request_of(message))
    assert look(connection) == before


@pytest.mark.parametrize("role, other_says", [("client", SERVER_SAYS), ("server", CLIENT_SAYS)])
@pytest.mark.parametrize("state, message", EVERY_STEP, ids=STEP_IDS)
def test_what_the_other_side_must_not_say_now_is_its_last_word(role, other_says, state, message):
    connection = reach(state, role)
    allowed = state is not State.BROKEN and type(message) in other_says.get(state, {})
    answers_nothing = type(message) in {*ANSWERS.values()} or isinstance(message, Error)
    data = encode(message, request_of(message))
    if state is State.ENDED:
        assert receive(connection, data) is CLOSED
    elif allowed and not answers_nothing:
        assert receive(connection, data) == Event(message, request_of(message))
    else:
        for _ in range(2):
            with pytest.raises(RemoteProtocolError):
                receive(connection, data)
        assert connection.state is State.BROKEN and connection.open_requests == {}


@pytest.mark.parametrize("question, answer", list(itertools.product(REQUESTS, FROM_SERVER)), ids=named)
def test_only_its_own_answer_or_an_error_suits_a_request(question, answer):
    client, server = (reach(State.OPEN, role) for role in ("client", "server"))
    receive(server, client.send(question, 5))
    suits = isinstance(answer, Error) or ANSWERS[type(question)] is type(answer)
    data = encode(answer, request_of(answer))
    if suits:
        assert server.send(answer, 5) == data
        assert receive(client, data) == Event(answer, 5)
        return
    before = look(server)
    with pytest.raises(LocalProtocolError):
        server.send(answer, request_of(answer))
    assert look(server) == before
    with pytest.raises(RemoteProtocolError):
        receive(client, data)


def test_an_error_may_belong_to_no_request(pair):
    client, server = pair
    error = Error(Code.CLOSING, "The server ends.")
    assert receive(client, server.send(error)) == Event(error, 0)
    assert client.state is server.state is State.OPEN


@pytest.mark.parametrize("code", Code)
def test_after_an_error_of_protocol_or_identity_nothing_is_said(pair, code):
    client, server = pair
    receive(server, client.send(RENDER, 9))
    receive(client, server.send(Error(code, "No."), 9))
    ends = code in (Code.PROTOCOL, Code.REFUSED)
    assert code.ends_connection is ends
    assert client.state is server.state is (State.ENDED if ends else State.OPEN)
    assert client.next_event() is server.next_event() is (CLOSED if ends else NEED_DATA)


def test_to_broken_rules_the_server_has_one_answer():
    server = reach(State.BROKEN, "server")
    with pytest.raises(LocalProtocolError):
        server.send(Error(Code.FAILED, "No."))
    last = Error(Code.PROTOCOL, "No.")
    client = reach(State.OPEN, "client")
    assert receive(client, server.send(last)) == Event(last, 0)
    assert server.next_event() is CLOSED
    with pytest.raises(LocalProtocolError):
        server.send(last)


def test_any_error_answers_hello():
    client, server = Connection("client"), Connection("server")
    receive(server, client.send(HELLO))
    error = Error(Code.CLOSING, "The server ends.")
    assert receive(client, server.send(error)) == Event(error, 0)
    assert client.state is server.state is State.ENDED


def test_welcome_speaks_a_version_that_hello_offered():
    client, server = Connection("client"), Connection("server")
    receive(server, client.send(HELLO))
    strange = dataclasses.replace(WELCOME, version=2)
    with pytest.raises(LocalProtocolError, match="version 2"):
        server.send(strange)
    with pytest.raises(RemoteProtocolError, match="version 2"):
        receive(client, encode(strange))


def test_the_number_of_an_open_request_is_not_used_again(pair):
    client, server = pair
    receive(server, client.send(RENDER, 9))
    before = look(client)
    with pytest.raises(LocalProtocolError, match="open, 9"):
        client.send(Status(), 9)
    assert look(client) == before
    with pytest.raises(RemoteProtocolError, match="open, 9"):
        receive(server, encode(Status(), 9))


# Limits


def test_one_request_too_many_is_answered_busy(pair):
    client, server = pair
    for number in range(1, MAX_REQUESTS + 1):
        assert not receive(server, client.send(RENDER, number)).excess
    before = look(client)
    with pytest.raises(LocalProtocolError, match="one too many"):
        client.send(RENDER, 100)
    assert look(client) == before
    assert receive(server, encode(RENDER, 100)) == Event(RENDER, 100, excess=True)
    with pytest.raises(LocalProtocolError, match="must be answered"):
        server.next_event()
    with pytest.raises(LocalProtocolError):
        server.send(RESTORED, 100)
    server.send(Error(Code.BUSY, "Too much."), 100)
    assert server.next_event() is NEED_DATA and len(server.open_requests) == MAX_REQUESTS
    receive(client, server.send(RESTORED, 1))
    assert receive(server, client.send(RENDER, 100)) == Event(RENDER, 100)


def test_one_memory_too_many_is_answered_busy(pair):
    client, server = pair
    for number in range(1, MAX_MEMORIES + 1):
        assert not receive(server, client.send(Memory(number, 64), number)).excess
        if number % 2:
            receive(client, server.send(Done(), number))
    with pytest.raises(LocalProtocolError, match="one too many"):
        client.send(Memory(100, 64), 100)
    assert receive(server, encode(Memory(100, 64), 100)).excess
    with pytest.raises(LocalProtocolError):
        server.send(Done(), 100)
    server.send(Error(Code.BUSY, "Too much."), 100)
    receive(client, server.send(Error(Code.MEMORY, "No."), 2))
    assert not receive(server, client.send(Memory(100, 64), 100)).excess


def test_what_is_kept_is_bounded(pair):
    _, server = pair
    server.receive_data(bytes(MAX_BUFFERED))
    before = look(server)
    with pytest.raises(LocalProtocolError, match="more bytes"):
        server.receive_data(b"x", [77])
    assert look(server) == before


HEADERS = {
    "of another protocol": b"HTTP/1.1 200 OK\r",
    "zeros": bytes(16),
    "with a reserved bit": struct.pack("<4sHHII", b"WGP1", 8, 1, 1, 0),
    "of a long message": struct.pack("<4sHHII", b"WGP1", 8, 0, 1, 65_537),
}


@pytest.mark.parametrize("header", HEADERS.values(), ids=HEADERS)
def test_a_header_that_is_none_is_refused_before_its_payload(pair, header):
    _, server = pair
    with pytest.raises(RemoteProtocolError, match="no message"):
        receive(server, header)


# Descriptors


@pytest.fixture
def passing():
    """A client and a server that pass descriptors."""
    client, server = Connection("client"), Connection("server")
    receive(server, client.send(HELLO))
    receive(client, server.send(WELCOME))
    return client, server


def test_a_memory_comes_with_its_descriptor(passing):
    client, server = passing
    stream = client.send(Status(), 1) + client.send(Memory(7, 64), 2)
    server.receive_data(stream, [40])  # a read may bring what stood before, too
    assert server.next_event() == Event(Status(), 1)
    assert server.next_event() == Event(Memory(7, 64), 2, descriptor=40)
    assert server.next_event() is NEED_DATA and server.take_descriptors() == []


def test_a_memory_in_pieces_keeps_its_descriptor(passing):
    client, server = passing
    data = client.send(Memory(7, 64), 2) + client.send(Memory(8, 64), 3)
    assert receive(server, data[:3], [40]) is NEED_DATA
    assert receive(server, data[3:20]) is NEED_DATA
    server.receive_data(data[20:], [41])
    assert [server.next_event().descriptor for _ in range(2)] == [40, 41]


def test_memories_without_a_descriptor_of_their_own_break_the_rules(passing):
    client, server = passing
    data = client.send(Memory(7, 64), 2) + client.send(Memory(8, 64), 3)
    server.receive_data(data, [40])
    assert server.next_event().descriptor == 40
    with pytest.raises(RemoteProtocolError, match="MEMORY came without its descriptor"):
        server.next_event()


@pytest.mark.parametrize("message", [message for message in REQUESTS if not isinstance(message, Memory)], ids=named)
def test_a_descriptor_with_another_message_breaks_the_rules(passing, message):
    client, server = passing
    assert receive(server, client.send(message, 2), [40]) == Event(message, 2)
    with pytest.raises(RemoteProtocolError, match="something else than MEMORY"):
        server.next_event()
    assert server.take_descriptors() == [40]


def test_a_descriptor_before_hello_breaks_the_rules():
    server = Connection("server")
    receive(server, encode(HELLO), [40])
    server.send(WELCOME)
    with pytest.raises(RemoteProtocolError):
        server.next_event()
    assert server.take_descriptors() == [40]


def test_two_descriptors_at_once_break_the_rules(passing):
    client, server = passing
    with pytest.raises(RemoteProtocolError):
        receive(server, client.send(Memory(7, 64), 2), [40, 41])
    assert server.take_descriptors() == [40, 41]


def test_descriptors_in_the_middle_of_a_message_do_not_pile_up(passing):
    client, server = passing
    data = client.send(Memory(7, 64), 2)
    with pytest.raises(RemoteProtocolError):
        for number, byte in enumerate(data):
            receive(server, bytes([byte]), [number])
    assert len(server.take_descriptors()) <= 3
    server.receive_data(b"more", [99])
    assert server.take_descriptors() == [99]


def test_a_client_gets_no_descriptors(passing):
    client, server = passing
    with pytest.raises(RemoteProtocolError):
        receive(client, server.send(Error(Code.FAILED, "No.")), [40])
        client.next_event()
    assert client.take_descriptors() == [40]


def test_memory_by_name_comes_without_a_descriptor(pair):
    client, server = pair
    assert receive(server, client.send(Memory(7, 64, "Local\\wetgate-0"), 2), [40]).descriptor is None
    with pytest.raises(RemoteProtocolError):
        server.next_event()


# Noise


def noisy_messages(chance, count):
    """Right messages, some of them mutated, cut, doubled or replaced by random bytes, and some descriptors."""
    for number in range(1, count + 1):
        message = chance.choice(EVERY_MESSAGE if chance.random() < 0.02 else REQUESTS)
        data = bytearray(encode(message, (number if message.HAS_REQUEST else 0)))
        for _ in range(chance.choice([0] * 60 + [1, 2, 8])):
            data[chance.randrange(len(data))] = chance.randrange(256)
        kind = chance.random()
        if kind < 0.01:
            data = data[: chance.randrange(len(data))]
        elif kind < 0.02:
            data = bytearray(chance.randbytes(chance.randrange(200)))
        elif kind < 0.03:
            data[8:16] = struct.pack("<II", chance.choice([0, 1, 2**32 - 1]), chance.choice([0, 65_536, 65_537, 2**31]))
        has_descriptor = isinstance(message, Memory) ^ (chance.random() < 0.005)
        yield bytes(data), [number] if has_descriptor else []


def converse(chance, messages):
    """A server that answers at random, with a new connection after each broken one; what came of each message."""
    server, given, back, breaks, events, excess = None, [], [], 0, 0, 0
    for data, descriptors in messages:
        if server is None:
            server = Connection("server")
            receive(server, encode(HELLO))
            server.send(WELCOME)
            patience = chance.choice([0.01, 0.9])
        given += descriptors
        if not data:
            back += descriptors
            continue
        server.receive_data(data, descriptors)
        try:
            while (event := server.next_event()) is not NEED_DATA:
                events += 1
                excess += event.excess
                back += [] if event.descriptor is None else [event.descriptor]
                if event.excess:
                    server.send(Error(Code.BUSY, "No."), event.request)
                elif event.request in server.open_requests and chance.random() < patience:
                    answer = answer_to(server.open_requests[event.request])
                    server.send(chance.choice([answer, Error(Code.FAILED, "No.")]), event.request)
                assert len(server.open_requests) <= MAX_REQUESTS and len(server.memories) <= MAX_MEMORIES
        except RemoteProtocolError:
            breaks += 1
            server.send(Error(Code.PROTOCOL, "No."))
            assert server.next_event() is CLOSED
            back += server.take_descriptors()
            server = None
    back += server.take_descriptors() if server else []
    assert sorted(back) == sorted(given)
    return events, breaks, excess


def test_10000_random_and_mutated_messages():
    """Of each connection: only events, or one RemoteProtocolError; every descriptor comes back exactly once."""
    chance = random.Random(2026)
    events, breaks, excess = converse(chance, noisy_messages(chance, 10_000))
    assert events > 8000 and breaks > 500 and excess > 10


@pytest.mark.parametrize("role", ["client", "server"])
def test_random_bytes_end_in_an_error_of_protocol(role):
    chance = random.Random(7)
    for _ in range(1000):
        connection = reach(chance.choice([State.START, State.GREETED, State.OPEN]), role)
        with pytest.raises(RemoteProtocolError):
            receive(connection, chance.randbytes(chance.randrange(16, 300)))


def test_random_payloads_are_read_or_refused():
    chance = random.Random(8)
    for _ in range(5000):
        kind = chance.choice([*messages.BY_KIND, chance.randrange(65_536)])
        payload = bytearray(chance.randbytes(chance.randrange(120)))
        for _ in range(chance.randrange(40)):
            if payload:
                payload[chance.randrange(len(payload))] = chance.choice([0, 0, 1, 2])
        request = 0 if kind in (1, 101) else 5
        try:
            message = messages.decode(kind, request, bytes(payload))
        except ValueError:
            continue
        assert encode(message, request)[16:] == bytes(payload)
