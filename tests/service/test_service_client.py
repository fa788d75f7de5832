from __future__ import annotations

import json
import os
import sys
import threading

import pytest
from fake_server import FakeServer
from open_files import open_descriptors

from wetgate.errors import WetgateError
from wetgate.service import ServerError, ServerGone, connect, file_request, lay_out
from wetgate.service.places import Places
from wetgate.service.protocol import (
    MAX_REQUESTS,
    Cancel,
    Code,
    Describe,
    Device,
    Done,
    Error,
    Forget,
    Hello,
    Memory,
    Model,
    Render,
    RenderFile,
    Restored,
    Status,
    StatusIs,
    Stop,
    Welcome,
)

CARD = Model(1, True, 8, "ab" * 32, "color", "log", "", "grain", "wetgate", "")


@pytest.fixture
def client(server):
    with connect(start=False) as connected:
        yield connected


def asked(server, kind):
    return [event.message for event in server.events if isinstance(event.message, kind)]


def test_both_sides_say_who_they_are(server, client):
    assert client.server == Welcome(1, os.getpid(), "fake")
    (hello,) = asked(server, Hello)
    assert hello.process_id == os.getpid() and hello.client.startswith("wetgate ") and hello.token == bytes(32)


def test_every_request_has_its_answer(server, client, restored, tmp_path):
    server.answers |= {Describe: CARD, RenderFile: restored, Status: StatusIs(json.dumps({"pid": 7}))}
    assert client.describe("/m.onnx") == CARD
    assert client.status() == {"pid": 7}
    assert client.render_file(["/a.dpx"], "/b.dpx", "/m.onnx", device="cuda") == restored
    assert asked(server, RenderFile) == [RenderFile(Device.CUDA, "/m.onnx", "/b.dpx", "", "", (0,), ("/a.dpx",))]


def test_paths_are_made_absolute(server, client, restored, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    server.answers |= {RenderFile: restored}
    client.render_file(["a.dpx"], "b.dpx", "m.onnx", mask="mask.png")
    (message,) = asked(server, RenderFile)
    here = str(tmp_path)
    assert {os.path.dirname(path) for path in (message.model, message.output, message.mask, *message.scans)} == {here}


def test_pixels_go_through_memory_that_both_sides_map(server, client, restored):
    layout = lay_out(3, 5, 7, coverage=True)

    def render(fake, event):
        message, segment = event.message, fake.segments[event.message.memory]
        window = segment.map[message.input : message.input + 12]
        segment.map[message.output : message.output + 12] = window[::-1]
        fake.say(restored, event.request)

    server.answers |= {Render: render}
    segment = client.memory(layout.bytes)
    segment.map[:12] = b"of the scan!"
    assert client.render(segment, 5, 7, [1, 2, 3], "/m.onnx", layout=layout, curves="/c.json") == restored
    assert segment.map[layout.output : layout.output + 12] == b"!nacs eht fo"
    (message,) = asked(server, Render)
    assert (message.width, message.height, message.numbers) == (5, 7, (1, 2, 3))
    assert (message.coverage, message.curves, message.device) == (layout.coverage, "/c.json", Device.AUTO)
    client.forget(segment)
    assert asked(server, Forget) == [Forget(segment.number)] and segment.map is None


def test_a_number_of_forgotten_memory_is_used_again(server, client):
    first, second = client.memory(64), client.memory(64)
    client.forget(first)
    assert [first.number, second.number, client.memory(64).number] == [1, 2, 1]


def test_refused_memory_is_given_back(server, client):
    server.answers |= {Memory: Error(Code.MEMORY, "No.")}
    before = open_descriptors()
    with pytest.raises(ServerError, match=r"No\.") as caught:
        client.memory(64)
    assert caught.value.code is Code.MEMORY
    for event in server.events:
        if event.descriptor is not None:
            os.close(event.descriptor)
    assert open_descriptors() == before


def test_an_error_is_its_sentence_and_its_code(server, client, failed):
    server.answers |= {Describe: failed}
    with pytest.raises(ServerError, match=r"^The model gave up\.$") as caught:
        client.describe("/m.onnx")
    assert caught.value.code is Code.FAILED and isinstance(caught.value, WetgateError)
    server.answers |= {Describe: CARD}
    assert client.describe("/m.onnx") == CARD


def test_answers_come_in_any_order(server, client):
    def later(fake, event):
        waiting.append(event)
        if len(waiting) == 3:
            for number, other in enumerate(reversed(waiting)):
                fake.say(Restored(1, 32, False, number, 0, 0, ""), other.request)

    waiting = []
    server.answers |= {RenderFile: later}
    requests = [client.ask(file_request([f"/{number}.dpx"], "/o.dpx", "/m.onnx")) for number in range(3)]
    assert [client.answer(request, timeout_s=None).tiles for request in requests] == [2, 1, 0]
    with pytest.raises(ValueError, match="was not asked"):
        client.answer(requests[0])


def test_giving_up_sends_cancel_once_and_waits_for_the_answer(server, client):
    def give_up(fake, event):
        (render,) = [other for other in fake.events if isinstance(other.message, RenderFile)]
        assert event.message.target == render.request
        fake.say(Error(Code.CANCELLED, "Given up."), render.request)

    server.answers |= {RenderFile: None, Cancel: give_up}
    looks = iter([False, False, True])
    with pytest.raises(ServerError) as caught:
        client.render_file(["/a.dpx"], "/b.dpx", "/m.onnx", cancelled=lambda: next(looks))
    assert caught.value.code is Code.CANCELLED
    assert len(asked(server, Cancel)) == 1


def test_what_was_given_up_too_late_is_there(server, client, restored):
    def too_late(fake, event):
        fake.say(restored, event.message.target)

    server.answers |= {RenderFile: None, Cancel: too_late}
    assert client.render_file(["/a.dpx"], "/b.dpx", "/m.onnx", cancelled=lambda: True) == restored


def test_a_server_that_does_not_answer_in_time_is_left(server, client):
    server.answers |= {RenderFile: None}
    with pytest.raises(ServerGone, match="did not answer in time"):
        client.render_file(["/a.dpx"], "/b.dpx", "/m.onnx", timeout_s=0.05)
    with pytest.raises(ServerGone):
        client.status()


def test_a_server_that_ends_is_noticed_and_another_can_be_had(server, client):
    server.answers |= {Describe: lambda fake, event: "hang up"}
    with pytest.raises(ServerGone, match="has ended"):
        client.describe("/m.onnx")
    with pytest.raises(ServerGone, match="has ended"):
        client.describe("/m.onnx")
    server.answers |= {Describe: CARD}
    with connect(start=False) as again:
        assert again.describe("/m.onnx") == CARD


@pytest.mark.parametrize("code", [Code.PROTOCOL, Code.REFUSED])
def test_an_error_that_ends_the_connection_ends_the_client(server, client, code):
    server.answers |= {Status: lambda fake, event: fake.say(Error(code, "Out."), 0)}
    with pytest.raises(ServerError, match="Out") as caught:
        client.status()
    assert caught.value.code is code
    with pytest.raises(ServerGone):
        client.status()


def test_a_server_that_talks_nonsense_is_left(server, client):
    server.answers |= {Status: lambda fake, event: fake.channel.send(b"HTTP/1.1 200 OK\r\n\r\n")}
    with pytest.raises(ServerGone, match="cannot be understood"):
        client.status()


@pytest.mark.parametrize("text", ["{", "[1]"])
def test_a_status_that_is_none_is_a_sentence(server, client, text):
    server.answers |= {Status: StatusIs(text)}
    with pytest.raises(ServerGone, match="cannot be read"):
        client.status()


def test_what_cannot_be_asked_is_a_sentence_and_changes_nothing(server, client):
    server.answers |= {Status: StatusIs("{}"), RenderFile: None}
    with pytest.raises(WetgateError, match="'npu' is no device"):
        client.render_file(["/a.dpx"], "/b.dpx", "/m.onnx", device="npu")
    with pytest.raises(WetgateError, match="cannot be asked this: DESCRIBE"):
        client.describe("/" + "m" * 70_000)
    with pytest.raises(WetgateError, match="is not UTF-8"):
        client.describe("/m\udcff.onnx")
    requests = [client.ask(Status()) for _ in range(MAX_REQUESTS)]
    with pytest.raises(WetgateError, match="one too many"):
        client.ask(Status())
    assert {client.answer(request) for request in requests} == {StatusIs("{}")}


def test_nothing_stays_open(places):
    before = open_descriptors()
    server = FakeServer(places)
    for _ in range(5):
        with connect(start=False) as client:
            client.memory(4096)
            server.segments.popitem()[1].close()
    server.close()
    assert open_descriptors() == before
    assert list(places.folder.iterdir()) == []


def test_stopping_ends_the_connection(server, client):
    client.stop()
    assert asked(server, Stop) == [Stop()]
    with pytest.raises(ServerGone):
        client.status()


# Connecting


def test_no_server_is_a_sentence(places):
    with pytest.raises(WetgateError, match="No inference server is running"):
        connect(start=False)
    assert not places.folder.exists()


def test_a_server_that_refuses_is_asked_once(server):
    server.answers |= {Hello: Error(Code.REFUSED, "Another version.")}
    with pytest.raises(ServerError, match="Another version"):
        connect(start=False)
    assert len(asked(server, Hello)) == 1


def test_a_server_that_is_about_to_end_is_asked_again(server):
    server.answers |= {Hello: Error(Code.CLOSING, "Ending.")}

    def soon():
        server.answers |= {Hello: Welcome(1, 1, "the next")}

    threading.Timer(0.05, soon).start()
    with connect(start=False) as client:
        assert client.server.server == "the next"


SERVER = """
import os
import sys
import time
sys.path[:0] = [{repository!r}, {tests!r}]
assert sys.argv[1:] == ["serve"]
from fake_server import FakeServer
from wetgate.project.locks import FileLock
from wetgate.service.places import find_places
places = find_places()
places.make()
lock = FileLock(places.lock)
if not lock.try_acquire():
    sys.exit(0)
FakeServer(places)
parent = os.getppid()
while os.getppid() == parent:  # one that started too late to be known to its test ends with the tests
    time.sleep(0.2)
"""
REPOSITORY = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


@pytest.fixture
def command(tmp_path):
    """A command that serves; every server that it starts ends with the test."""
    program = tmp_path / "wetgate.py"
    program.write_text(SERVER.format(repository=REPOSITORY, tests=os.path.dirname(__file__)))
    return [sys.executable, str(program)]


@pytest.fixture
def ending(places):
    """Servers that were started, to be ended."""
    clients = []
    yield clients
    for client in clients:
        os.kill(client.server.process_id, 9)
        client.close()


def test_a_server_that_a_client_starts_survives_it(command, ending):
    with connect(command=command, patience_s=60) as first:
        assert first.server.process_id != os.getpid()
    ending.append(connect(start=False))
    assert ending[0].server.process_id == first.server.process_id


def test_of_clients_that_start_at_once_all_are_served_by_one(command, ending):
    def one():
        with connect(command=command, patience_s=60) as client:
            found.append(client.server.process_id)

    found = []
    threads = [threading.Thread(target=one) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    ending.append(connect(start=False))
    assert found == [ending[0].server.process_id] * 3


def test_a_killed_server_is_replaced(command, ending):
    first = connect(command=command, patience_s=60)
    os.kill(first.server.process_id, 9)
    with pytest.raises(ServerGone):
        first.status()
    ending.append(connect(command=command, patience_s=60))
    assert ending[0].server.process_id != first.server.process_id


def test_a_command_that_fails_tells_why(places):
    failing = [sys.executable, "-c", "print('one'); raise SystemExit('There is no GPU here.')"]
    with pytest.raises(WetgateError, match=r"ended as soon as it was started: There is no GPU here\. Its log is"):
        connect(command=failing, patience_s=60)


def test_only_this_start_is_told_about(places):
    places.make()
    places.log.write_text("a tale of yesterday\n")
    with pytest.raises(WetgateError, match=r"as soon as it was started\. Its log is"):
        connect(command=[sys.executable, "-c", "raise SystemExit(3)"], patience_s=60)


def test_a_command_that_never_listens_is_given_up(places):
    with pytest.raises(WetgateError, match=r"did not answer within 0 s"):
        connect(command=[sys.executable, "-c", "import time; time.sleep(5)"], patience_s=0.1)


def test_a_command_that_is_not_there_is_a_sentence(places, tmp_path, monkeypatch):
    with pytest.raises(WetgateError, match="nowhere cannot be started"):
        connect(command=[str(tmp_path / "nowhere")])
    for name in ("WETGATE_COMMAND", "PATH"):
        monkeypatch.setenv(name, str(tmp_path / "nowhere"))
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(WetgateError, match="install Wetgate"):
        connect()


@pytest.mark.parametrize("place", ["WETGATE_COMMAND", "home", "PATH"])
def test_the_command_is_found_where_the_contract_says(places, tmp_path, monkeypatch, place):
    from wetgate.service.starting import find_command

    home, path = tmp_path / "home", tmp_path / "path"
    commands = {"WETGATE_COMMAND": tmp_path / "mine", "home": home / ".local/bin/wetgate", "PATH": path / "wetgate"}
    for name in list(commands)[list(commands).index(place) :]:
        commands[name].parent.mkdir(parents=True, exist_ok=True)
        commands[name].write_text("#!/bin/sh\n")
        commands[name].chmod(0o755)
    monkeypatch.setenv("WETGATE_COMMAND", str(commands["WETGATE_COMMAND"]))
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("PATH", str(path))
    assert find_command() == [str(commands[place])]


def test_a_folder_of_another_kind_is_refused_before_anything_is_started(tmp_path):
    (tmp_path / "run").symlink_to(tmp_path)
    with pytest.raises(WetgateError, match="is a link"):
        connect(command=["/never"], places=Places(tmp_path / "run"))
    assert os.listdir(tmp_path) == ["run"]


def test_done_is_the_answer_to_more_than_one_kind(server, client):
    assert client.answer(client.ask(Forget(9))) == Done()
