"""Another user of the machine: cannot connect, read frames, take the socket's place or prepare the folder."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
from real_server import RealServer, shared_maps, until

from wetgate.errors import WetgateError
from wetgate.service import connect
from wetgate.service.channel import dial
from wetgate.service.messages import HEADER, decode
from wetgate.service.places import Places
from wetgate.service.protocol import Code, Error, Hello, encode

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or os.geteuid() != 0, reason="only root can be a second user, and /proc is looked into"
)
STRANGER = 54321

AS_STRANGER = """
import json, os, socket, sys
os.setgroups([])
os.setgid({stranger})
os.setuid({stranger})
arguments = sys.argv[1:]

def tried(action):
    try:
        return repr(action())
    except OSError as error:
        return type(error).__name__
"""


def as_stranger(code, *arguments):
    """What ``code``, run by another user, prints as JSON."""
    program = AS_STRANGER.format(stranger=STRANGER) + code
    done = subprocess.run(
        [sys.executable, "-c", program, *map(str, arguments)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture
def serving():
    """Its folder is to be made below one that is open to all, as /tmp is."""
    folder = Path(tempfile.mkdtemp(prefix="wetgate-test-"))
    folder.chmod(0o1777)
    server = RealServer(Places(folder / "run"))
    yield server
    if server.places.lock.exists():
        server.places.folder.chmod(0o700)
        server.end()
    shutil.rmtree(folder)


def test_the_stranger_is_one():
    assert as_stranger("print(json.dumps([os.getuid(), os.geteuid(), os.getgroups()]))") == [STRANGER, STRANGER, []]


def test_another_user_cannot_connect_nor_look_nor_take_the_sockets_place(serving):
    process = serving.process()
    code = """
folder = arguments[0]
there = [os.path.join(folder, name) for name in ("server.sock", "server.lock", "server.log")]
connecting, listening = socket.socket(socket.AF_UNIX), socket.socket(socket.AF_UNIX)
print(json.dumps({
    "connect": tried(lambda: connecting.connect(there[0])),
    "bind": tried(lambda: listening.bind(os.path.join(folder, "other.sock"))),
    "list": tried(lambda: os.listdir(folder)),
    "open": tried(lambda: [open(path) for path in there]),
    "lock": tried(lambda: os.open(there[1], os.O_RDONLY)),
    "remove": tried(lambda: os.unlink(there[0])),
    "replace": tried(lambda: os.rename(there[0], there[0] + ".old")),
    "add": tried(lambda: os.open(os.path.join(folder, "new"), os.O_CREAT | os.O_WRONLY)),
    "move the folder": tried(lambda: os.rename(folder, folder + ".old")),
    "remove the folder": tried(lambda: os.rmdir(folder)),
    "open the folder": tried(lambda: os.chmod(folder, 0o777)),
}))
"""
    before = sorted(serving.places.folder.iterdir())
    assert set(as_stranger(code, serving.places.folder).values()) == {"PermissionError"}
    assert sorted(serving.places.folder.iterdir()) == before
    with serving.client() as client:
        assert client.status()["process"] == process


def test_another_user_cannot_read_frames(serving):
    """Frames are in memory without a name: only through the processes that map it could they be found."""
    process = serving.process()
    secret = np.random.default_rng(7).bytes(4096)
    with serving.client() as client:
        segment = client.memory(4096)
        segment.map[:] = secret
        assert shared_maps(process) == 1
        code = """
found = {}
for pid in arguments:
    found["descriptors", pid] = tried(lambda: os.listdir(f"/proc/{pid}/fd"))
    found["mappings", pid] = tried(lambda: os.listdir(f"/proc/{pid}/map_files"))
    found["memory", pid] = tried(lambda: open(f"/proc/{pid}/mem", "rb"))
    for descriptor in range(64):
        found[descriptor, pid] = tried(lambda: open(f"/proc/{pid}/fd/{descriptor}", "rb"))
print(json.dumps(sorted(set(found.values()))))
"""
        assert as_stranger(code, process, os.getpid()) == ["PermissionError"]
        assert not any(secret[:64] in path.read_bytes() for path in Path("/dev/shm").iterdir() if path.is_file())


def test_in_an_opened_folder_the_server_still_sends_another_user_away(serving):
    """The second line of defence: what the user opens to the world after the start is no way in."""
    serving.process()
    serving.places.folder.chmod(0o777)
    serving.places.socket.chmod(0o777)
    code = """
connecting = socket.socket(socket.AF_UNIX)
connecting.connect(arguments[0])
connecting.settimeout(60)
heard = b""
tried(lambda: connecting.send(bytes.fromhex(arguments[1])))
try:
    while data := connecting.recv(4096):
        heard += data
except ConnectionError:
    pass
print(json.dumps(heard.hex()))
"""
    hello = encode(Hello(1, 1, 1, bytes(32), "stranger"))
    heard = bytes.fromhex(as_stranger(code, serving.places.socket, hello.hex()))
    _, kind, _, request, length = HEADER.unpack_from(heard)
    message = decode(kind, request, heard[HEADER.size :])
    assert isinstance(message, Error) and message.code is Code.REFUSED and length == len(heard) - HEADER.size
    with pytest.raises(WetgateError, match="is open to other users"):
        serving.client()
    serving.places.folder.chmod(0o700)
    with serving.client() as client:
        assert len(client.status()["clients"]) == 1


PLANTED = {
    "a folder": "os.mkdir(folder, 0o777)",
    "a private folder": "os.mkdir(folder, 0o700)",
    "a link to a folder": "os.mkdir(folder + '.theirs'); os.symlink(folder + '.theirs', folder)",
    "a link to the user's folder": "os.symlink(arguments[1], folder)",
    "a file": "open(folder, 'w').close()",
}


@pytest.mark.parametrize("plant", PLANTED.values(), ids=PLANTED)
def test_what_another_user_put_in_the_folders_place_is_used_by_nobody(serving, tmp_path, plant):
    own = tmp_path / "own"
    own.mkdir(mode=0o700)
    folder = serving.places.folder
    as_stranger(f"folder = arguments[0]\n{plant}\nprint('true')", folder, own)
    for use in (lambda: dial(serving.places), lambda: connect(places=serving.places, command=["/never"])):
        with pytest.raises(WetgateError, match="belongs to another user|is a link or a file"):
            use()
    done = subprocess.run([serving.command, "serve"], capture_output=True, text=True, check=False)
    assert done.returncode == 1 and str(folder) in done.stderr, done.stderr
    assert list(own.iterdir()) == [] and os.lstat(folder).st_uid == STRANGER
    assert not folder.is_dir() or list(folder.iterdir()) == []


def test_a_server_of_another_user_is_not_believed(serving):
    """In a folder that root may enter: a real server process of another user listens there."""
    code = """
folder = arguments[0]
os.mkdir(folder, 0o700)
listening = socket.socket(socket.AF_UNIX)
listening.bind(os.path.join(folder, "server.sock"))
listening.listen()
print("listening", flush=True)
listening.accept()
"""
    program = AS_STRANGER.format(stranger=STRANGER) + code
    folder = serving.places.folder
    with subprocess.Popen([sys.executable, "-c", program, str(folder)], stdout=subprocess.PIPE, text=True) as other:
        try:
            assert other.stdout.readline() == "listening\n"
            os.chown(folder, 0, 0)  # as if the look at the folder had been outwitted
            until(serving.places.socket.exists)
            with pytest.raises(WetgateError, match=f"another user .number {STRANGER}. answers"):
                dial(serving.places)
        finally:
            other.kill()
