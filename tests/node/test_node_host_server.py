"""The node and its server in bad times: none, killed, silent, lying; and hosts that give up or die."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from host import FAILED, OK, Clip, Host
from scripted_server import RESTORED, ScriptedServer

from wetgate.errors import WetgateError
from wetgate.project.locks import FileLock
from wetgate.service.client import connect
from wetgate.service.places import VARIABLE
from wetgate.service.protocol import Code, Error, Hello, Model, Render

PATIENCE_S = 60.0


@pytest.fixture
def host(library, places):
    loaded = Host(library)
    yield loaded
    loaded.unload()
    assert loaded.violations == []


@pytest.fixture
def server(places):
    places.folder.mkdir(mode=0o700)
    scripted = ScriptedServer(places)
    yield scripted
    scripted.close()


@pytest.fixture
def node(host, gain, picture):
    return host.node(model=gain(0.5), source=Clip({1: picture(1)}))


def until(condition):
    give_up = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < give_up
        time.sleep(0.005)


def server_process(places):
    with connect(start=False, places=places, patience_s=PATIENCE_S) as client:
        return client.status()["process"]


def command(tmp_path, monkeypatch, script):
    path = tmp_path / "command"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    monkeypatch.setenv("WETGATE_COMMAND", str(path))


# -- no server


def test_a_command_that_fails_is_a_sentence_with_the_logs_last_line(node, places, tmp_path, monkeypatch):
    places.folder.mkdir(mode=0o700)
    command(tmp_path, monkeypatch, f"echo 'starting\n\nNo module named numpy.' >'{places.log}'; exit 3")
    assert node.render(1).status == FAILED
    assert node.message == (
        "The inference server ended as soon as it was started. The last line of its log: No module named numpy."
    )


def test_what_a_command_prints_is_in_the_log(node, places, tmp_path, monkeypatch):
    """As a Python does that cannot even import what writes the log."""
    command(tmp_path, monkeypatch, "echo 'No module named wetgate.' >&2; exit 3")
    assert node.render(1).status == FAILED
    assert node.message == (
        "The inference server ended as soon as it was started. The last line of its log: No module named wetgate."
    )
    assert places.log.read_text() == "No module named wetgate.\n"
    assert places.folder.stat().st_mode & 0o777 == 0o700


def test_what_an_earlier_server_had_to_tell_is_not_told(node, places, tmp_path, monkeypatch):
    places.folder.mkdir(mode=0o700)
    places.log.write_text("Ended after 10 minutes without requests.\n")
    command(tmp_path, monkeypatch, "exit 3")
    assert node.render(1).status == FAILED
    assert node.message == "The inference server ended as soon as it was started."


def test_after_a_failed_start_the_next_frame_does_not_wait_and_update_tries_again(node, places, tmp_path, monkeypatch):
    working = os.environ["WETGATE_COMMAND"]
    tries = tmp_path / "tries"
    command(tmp_path, monkeypatch, f"echo >>'{tries}'; exit 3")
    assert node.render(1).status == FAILED
    assert node.render(1).status == FAILED
    assert len(tries.read_text()) == 1
    monkeypatch.setenv("WETGATE_COMMAND", working)
    node.changed("update")
    assert node.message is None
    assert node.values["revision"] == 1
    assert node.values["status"] == "Ready: color, display; 1 frame at a time."
    assert node.render(1).status == OK


def test_no_command_is_a_sentence(node, tmp_path, monkeypatch):
    monkeypatch.setenv("WETGATE_COMMAND", str(tmp_path / "nothing"))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    assert node.render(1).status == FAILED
    assert "run `wetgate node install` or set WETGATE_COMMAND" in node.message


def test_the_server_does_not_get_the_hosts_python(node, places, tmp_path, monkeypatch):
    told = tmp_path / "told"
    command(tmp_path, monkeypatch, f"env >'{told}.new'; mv '{told}.new' '{told}'; exit 3")
    for name in ("PYTHONHOME", "PYTHONPATH", "PYTHONEXECUTABLE", "PYTHONSTARTUP", "__PYVENV_LAUNCHER__"):
        monkeypatch.setenv(name, "/nowhere")
    monkeypatch.setenv("LD_LIBRARY_PATH", "/nowhere")
    monkeypatch.setenv("KEPT", "yes")
    node.render(1)
    lines = told.read_text().splitlines()
    assert "KEPT=yes" in lines
    assert not [line for line in lines if "nowhere" in line]


@pytest.mark.parametrize("place", ["bundle", "home", "path"])
def test_the_command_is_found_where_it_is_installed(library, places, gain, picture, tmp_path, monkeypatch, place):
    working, bundle, home = os.environ["WETGATE_COMMAND"], tmp_path / "Contents", tmp_path / "home"
    for folder in (bundle / "Linux-x86-64", bundle / "Resources", home / ".local" / "bin", tmp_path / "bin"):
        folder.mkdir(parents=True)
    shutil.copy(library, bundle / "Linux-x86-64" / "wetgate.ofx")
    monkeypatch.delenv("WETGATE_COMMAND")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("PATH", f"/nowhere:{tmp_path / 'bin'}")
    (bundle / "Resources" / "wetgate-command.txt").write_text(
        f"{working if place == 'bundle' else '/nowhere/wetgate'}\n"
    )
    if place != "bundle":
        found = home / ".local" / "bin" if place == "home" else tmp_path / "bin"
        (found / "wetgate").symlink_to(working)
    host = Host(str(bundle / "Linux-x86-64" / "wetgate.ofx"))
    node = host.node(model=gain(0.5), source=Clip({1: picture(1)}))
    assert (node.render(1).status, node.message) == (OK, None)
    host.unload()


as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")


@as_root
def test_a_folder_of_another_user_is_not_touched(node, places):
    places.folder.mkdir(mode=0o700)
    os.chown(places.folder, 65534, 65534)
    assert node.render(1).status == FAILED
    assert node.message.startswith(f"The inference server's folder {places.folder} is not a folder of yours alone")


@as_root
def test_a_server_of_another_user_is_not_spoken_to(node, places):
    places.folder.mkdir(mode=0o700)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(places.socket))
        os.seteuid(65534)  # the system remembers who listens
        try:
            listening.listen()
        finally:
            os.seteuid(0)
        assert node.render(1).status == FAILED
        assert node.message == f"The inference server in {places.folder} was started by another user."
        listening.setblocking(False)
        assert listening.accept()[0].recv(1) == b""


@pytest.mark.parametrize("problem", ["open", "link", "file"])
def test_a_folder_that_is_not_the_users_alone_is_not_touched(node, places, tmp_path, problem):
    if problem == "open":
        places.folder.mkdir()
        places.folder.chmod(0o755)
    elif problem == "link":
        (tmp_path / "elsewhere").mkdir(mode=0o700)
        places.folder.symlink_to(tmp_path / "elsewhere")
    else:
        places.folder.write_text("")
    assert node.render(1).status == FAILED
    assert node.message.startswith(f"The inference server's folder {places.folder} is not a folder of yours alone")


def test_a_folder_with_too_long_a_path_is_a_sentence(node, monkeypatch):
    monkeypatch.setenv(VARIABLE, "/" + 200 * "x")
    assert node.render(1).status == FAILED
    assert "too long" in node.message


def test_nodes_that_start_at_once_share_one_server(host, places, gain, picture, tmp_path, monkeypatch):
    tries = tmp_path / "tries"
    command(tmp_path, monkeypatch, f'echo >>\'{tries}\'; exec "{os.environ["WETGATE_COMMAND"]}" "$@"')
    nodes = [host.node(model=gain(0.5), source=Clip({1: picture(1)})) for _ in range(4)]
    with ThreadPoolExecutor(4) as threads:
        assert [result.status for result in threads.map(lambda node: node.render(1), nodes)] == [OK] * 4
    assert len(tries.read_text()) == 1


# -- models that do not do


@pytest.mark.parametrize(
    ("model", "sentence"),
    [
        ("model.onnx", "Give the model's whole path: model.onnx is a relative one."),
        ("/none.onnx", "There is no model /none.onnx."),
    ],
)
def test_a_model_that_is_not_there_is_a_sentence_without_any_server(node, places, model, sentence):
    node.set("model", model)
    assert node.values["status"] == sentence
    assert node.render(1).status == FAILED
    assert node.message == sentence
    assert not places.folder.exists()


def test_a_model_that_is_none_is_the_servers_sentence(node, tmp_path):
    junk = tmp_path / "junk.onnx"
    junk.write_bytes(b"junk" * 1000)
    node.set("model", str(junk))
    assert node.render(1).status == FAILED
    assert str(junk) in node.message
    assert node.values["status"] == node.message


def test_the_sentence_goes_with_the_next_frame_that_works(node, gain):
    good = node.values["model"]
    node.values["model"] = "/none.onnx"
    assert node.render(1).status == FAILED
    node.values["model"] = good
    assert node.render(1).status == OK
    assert node.message is None


def test_hosts_with_message_boxes_show_one_for_each_trouble(library, places, picture):
    host = Host(library, message_version=1)
    node = host.node(model="/none.onnx", source=Clip({1: picture(1)}))
    assert [node.render(1).status, node.render(1).status] == [FAILED, FAILED]
    assert node.messages == [("message", "There is no model /none.onnx.")]
    silent = Host(library, message_version=0).node(model="/none.onnx", source=Clip({1: picture(1)}))
    assert (silent.render(1).status, silent.messages) == (FAILED, [])


# -- a server that dies or lies


def test_a_server_killed_in_the_middle_of_a_frame_is_replaced(node, places):
    assert node.render(1).status == OK
    process = server_process(places)
    os.kill(process, signal.SIGSTOP)  # so that the frame is on its way when the server dies
    with ThreadPoolExecutor(1) as threads:
        polled = threading.Event()
        node.abort_after_s = PATIENCE_S
        original = node.asked_to_abort
        node.asked_to_abort = lambda: (polled.set(), original())[1]
        rendering = threads.submit(node.render, 1)
        assert polled.wait(PATIENCE_S)
        os.kill(process, signal.SIGKILL)
        assert rendering.result(PATIENCE_S).status == OK
    assert server_process(places) != process


def test_a_server_that_dies_at_every_frame_is_a_sentence_and_the_next_one_is_tried(node, server, places):
    server.render = lambda talk, request: talk.channel.shut_down()
    assert node.render(1).status == FAILED
    assert node.message == f"The inference server ended while it was at work; its log is {places.log}."
    assert server.asked.count(Render) == 2
    server.render = lambda talk, request: talk.say(RESTORED, request)
    assert node.render(1).status == OK
    assert node.message is None


def test_nodes_do_not_notice_that_a_server_is_stopped(host, places, gain, picture):
    model, source, ending = gain(0.5), Clip({1: picture(3)}), threading.Event()

    frames = [0] * 6

    def renders(index: int) -> set[tuple[int, str | None]]:
        node, results = host.node(model=model, source=source), set()
        while not ending.is_set():
            results.add((node.render(1).status, node.message))
            frames[index] += 1
        return results

    def all_go_on(since: list[int]) -> bool:
        return all(now > before for now, before in zip(frames, since, strict=True))

    with ThreadPoolExecutor(6) as pool:
        nodes = [pool.submit(renders, index) for index in range(6)]
        try:
            until(lambda: started_anew(places, 0))
            for _ in range(4):
                since = frames.copy()
                until(lambda since=since: all_go_on(since))  # one end for each frame
                process = server_process(places)
                with connect(start=False, places=places, patience_s=PATIENCE_S) as client:
                    client.stop()
                until(lambda old=process: started_anew(places, old))
        finally:
            ending.set()
        assert set.union(*(node.result() for node in nodes)) == {(OK, None)}


def test_while_a_server_ends_another_is_started_again_and_again(node, places, tmp_path, monkeypatch):
    """It may let a frame come to its end for some seconds; whoever is started meanwhile stands back."""
    tries = tmp_path / "tries"
    command(tmp_path, monkeypatch, f"echo >>'{tries}'; exec '{os.environ['WETGATE_COMMAND']}' \"$@\"")
    places.folder.mkdir(mode=0o700)
    ending = FileLock(places.lock)
    assert ending.try_acquire()
    with ThreadPoolExecutor(1) as pool:
        rendering = pool.submit(node.render, 1)
        try:
            until(lambda: tries.exists() and len(tries.read_text()) >= 2)
        finally:
            ending.release()
        assert rendering.result().status == OK, node.message


def started_anew(places, old: int) -> bool:
    with contextlib.suppress(WetgateError):
        return server_process(places) != old
    return False


def test_idle_connections_of_a_server_that_has_ended_are_replaced(host, server, gain, picture):
    together = threading.Barrier(3)

    def all_at_once(talk, request):
        together.wait(PATIENCE_S)
        talk.say(RESTORED, request)

    server.render = all_at_once
    node = host.node(model=gain(0.5), source=Clip({1: picture(1)}))
    with ThreadPoolExecutor(3) as threads:
        assert [result.status for result in threads.map(node.render, [1, 1, 1])] == [OK] * 3
    assert server.asked.count(Hello) == 3
    for talk in server.conversations:
        talk.channel.shut_down()
        assert server.ended.acquire(timeout=PATIENCE_S)
    server.render = lambda talk, request: talk.say(RESTORED, request)
    assert node.render(1).status == OK
    assert server.asked.count(Hello) == 4


@pytest.mark.parametrize(
    "answer",
    [
        lambda talk, request: talk.channel.send(b"x" * 64),
        lambda talk, request: talk.channel.send(b"WGP1" + bytes(8) + b"\xff\xff\xff\x7f"),
        lambda talk, request: talk.channel.send(
            b"WGP1" + bytes([105, 0, 0, 0]) + request.to_bytes(4, "little") + bytes(4)
        ),
        lambda talk, request: talk.channel.send(
            b"WGP1" + bytes([104, 0, 0, 0]) + (request + 9).to_bytes(4, "little") + bytes(4)
        ),
    ],
)
def test_an_answer_that_breaks_the_rules_is_a_sentence(node, server, answer):
    server.render = answer
    assert node.render(1).status == FAILED
    assert node.message.startswith("The inference server answered what this node does not understand")
    server.render = lambda talk, request: talk.say(RESTORED, request)
    assert node.render(1).status == OK


def test_a_window_that_the_server_wants_otherwise_is_asked_for_again(host, server, gain, picture):
    frames = {number: picture(number) for number in (1, 2, 3)}
    node = host.node(model=gain(0.5), source=Clip(frames))
    assert node.render(2).frames_needed == (2, 2)
    server.model = Model(1, False, 0, "cd" * 32, "damage", "display", "", "", "test", "One limit.\nAnother one.")
    windows = []

    def retrained(talk, request):
        windows.append(request)
        talk.say(RESTORED if len(windows) > 1 else Error(Code.WINDOW, "It looks at 3 frames now."), request)

    server.render = retrained
    assert node.render(2).status == FAILED
    assert node.message == "The model was retrained and looks at 3 frames now: render this one again."
    assert host.violations == ["OfxImageEffectActionRender: Source at 1.0 was not announced"]  # it could not know
    host.violations.clear()
    assert node.render(2).frames_needed == (1, 3)
    assert node.message is None
    node.changed("update")
    assert node.values["status"] == "Ready: damage, display; 3 frames at a time. One limit. Another one."


def test_a_window_of_too_many_frames_is_a_sentence(host, server, gain, picture):
    server.model = Model(65, False, 0, "cd" * 32, "damage", "display", "", "", "test", "")
    node = host.node(model=gain(0.5), source=Clip({1: picture(1)}))
    assert node.render(1).status == FAILED
    assert "131 frames" in node.message


def test_a_frame_that_needs_too_much_memory_is_a_sentence(host, server, gain, picture):
    server.model = Model(64, False, 0, "cd" * 32, "damage", "display", "", "", "test", "")
    node = host.node(model=gain(0.5), source=Clip({1: picture(1, (4096, 3112), 3, np.uint8)}))
    assert node.render(1).status == FAILED
    assert node.message.startswith("There is no memory for a frame of this size (18963 MiB")


# -- giving up


def test_abort_is_passed_on_and_the_connection_kept(node, server):
    server.render = lambda talk, request: None
    node.abort_after_s = 0.1
    assert node.render(1).status == OK
    assert node.message is None
    server.render = lambda talk, request: talk.say(RESTORED, request)
    node.abort_after_s = None
    assert node.render(1).status == OK
    assert server.asked.count(Hello) == 1


def test_abort_does_not_wait_for_a_server_that_computes_on(node, server):
    server.render = server.cancel = lambda talk, request: None
    node.abort_after_s = 0.1
    polls = node.render(1).aborted_polls
    assert polls[-1] >= 0.1
    assert server.ended.acquire(timeout=PATIENCE_S), "the connection was not closed"
    server.render = lambda talk, request: talk.say(RESTORED, request)
    node.abort_after_s = None
    assert node.render(1).status == OK
    assert server.asked.count(Hello) == 2


def test_abort_while_a_model_is_looked_at_leaves_no_answer_behind(node, server):
    describe, server.describe = server.describe, lambda talk, request: None
    node.abort_after_s = 0.1
    assert node._render(1, node.bounds(), (1, 1)).status == OK
    assert server.ended.acquire(timeout=PATIENCE_S), "the connection was not closed"
    server.describe = describe
    node.abort_after_s = None
    assert node.render(1).status == OK
    assert server.asked.count(Hello) == 2


def test_the_host_is_asked_all_the_while(node, server):
    def slowly(talk, request):
        time.sleep(0.5)
        talk.say(RESTORED, request)

    server.render = slowly
    assert len(node.render(1).aborted_polls) >= 10


def test_kills_and_aborts_at_any_moment_leave_a_node_that_works(host, places, gain, mean_of_window, picture):
    chance = random.Random(7)
    frames = {number: picture(number, (400, 300)) for number in (1, 2, 3)}
    done = threading.Event()

    def render(model, seed):
        node, own = host.node(model=model, source=Clip(frames)), random.Random(seed)
        statuses = set()
        for _ in range(15):
            node.abort_after_s = own.choice([None, 0.0, 0.01])
            statuses.add(node.render(own.choice([1, 2, 3])).status)
        node.destroy()
        return statuses

    def kill():
        while not done.wait(chance.uniform(0.1, 0.5)):
            with contextlib.suppress(WetgateError, ProcessLookupError):
                os.kill(server_process(places), signal.SIGKILL)

    with ThreadPoolExecutor(4) as threads:
        killing = threads.submit(kill)
        rendering = [
            threads.submit(render, model, n) for n, model in enumerate((gain(0.5), mean_of_window(1), gain(0.5)))
        ]
        try:
            assert all(future.result(PATIENCE_S * 3) <= {OK, FAILED} for future in rendering)
        finally:
            done.set()
        killing.result(PATIENCE_S)
    node = host.node(model=gain(0.5), source=Clip(frames))
    node.changed("update")  # a server that was killed while it started is not tried again for a while, unless one asks
    result = node.render(1)
    assert (result.status, node.message) == (OK, None)
    np.testing.assert_array_equal(result.pixels[..., :3], frames[1][..., :3] * np.float32(0.5))


# -- hosts that die, and unloading


HOST_SCRIPT = """
import sys, threading
import numpy as np
from host import Host, Clip
host = Host(sys.argv[1])
node = host.node(model=sys.argv[2], source=Clip({1: np.zeros((600, 800, 4), np.float32)}))
assert node.render(1).status == 0
print("ready", flush=True)
threading.Event().wait()
"""


def test_the_server_frees_the_memory_of_a_host_that_was_killed(library, places, gain):
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parent)}
    child = subprocess.Popen(
        [sys.executable, "-c", HOST_SCRIPT, library, gain(0.5)], env=environment, stdout=subprocess.PIPE, text=True
    )
    assert child.stdout.readline() == "ready\n"
    process = server_process(places)

    def memories():
        links = []
        for entry in os.scandir(f"/proc/{process}/fd"):
            try:
                links.append(os.readlink(entry.path))
            except FileNotFoundError:
                continue
        maps = Path(f"/proc/{process}/maps").read_text()
        return sum("memfd:wetgate" in link for link in links) + maps.count("memfd:wetgate")

    assert memories() > 0
    child.kill()
    child.wait()
    child.stdout.close()
    until(lambda: memories() == 0)
    assert server_process(places) == process


def test_unloading_closes_everything(library, places, gain, picture):
    def ours():
        return [
            os.readlink(f"/proc/self/fd/{name}")
            for name in os.listdir("/proc/self/fd")
            if os.path.lexists(f"/proc/self/fd/{name}")
        ]

    before = len(ours())
    host = Host(library)
    nodes = [host.node(model=gain(0.5), source=Clip({1: picture(1)})) for _ in range(3)]
    with ThreadPoolExecutor(3) as threads:
        list(threads.map(lambda node: node.render(1), nodes))
    assert len(ours()) > before
    for node in nodes:
        node.destroy()
    host.unload()
    assert len(ours()) == before
    assert host.act("OfxActionLoad") == OK
    assert host.node(model=gain(0.5), source=Clip({1: picture(1)})).render(1).status == OK
    host.unload()
    assert host.violations == []
