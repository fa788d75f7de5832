from __future__ import annotations

import os
import stat
import subprocess
import sys

import pytest

from wetgate.errors import WetgateError
from wetgate.service.channel import dial, listen
from wetgate.service.places import Address, Places, find_places, read_address, write_address

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can be two users")
STRANGER = 54321


def test_the_places_of_the_contract(monkeypatch):
    monkeypatch.delenv("WETGATE_RUNTIME", raising=False)
    places = find_places()
    assert places == Places(places.folder) and str(places.folder) == f"/tmp/wetgate-{os.geteuid()}"
    names = [place.name for place in (places.socket, places.address, places.lock, places.log)]
    assert names == ["server.sock", "server.address", "server.lock", "server.log"]
    assert {place.parent for place in (places.socket, places.address, places.lock, places.log)} == {places.folder}


def test_the_environment_chooses_another_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("WETGATE_RUNTIME", str(tmp_path / "mine"))
    assert find_places().folder == tmp_path / "mine"
    monkeypatch.setenv("WETGATE_RUNTIME", "mine")
    with pytest.raises(WetgateError, match="absolute path"):
        find_places()


@pytest.mark.parametrize("umask", [0, 0o022, 0o077])
def test_the_folder_is_private_from_the_start(places, umask):
    before = os.umask(umask)
    try:
        assert not places.exists()
        places.make()
    finally:
        os.umask(before)
    assert stat.S_IMODE(places.folder.stat().st_mode) == 0o700
    places.make()
    assert places.exists()


@pytest.mark.parametrize("mode", [0o755, 0o750, 0o701, 0o770, 0o777, 0o1777])
def test_a_folder_that_is_open_to_others_is_refused_and_not_mended(places, mode):
    places.make()
    places.folder.chmod(mode)
    for use in (places.make, places.exists, lambda: listen(places), lambda: dial(places)):
        with pytest.raises(WetgateError, match="is open to other users"):
            use()
    assert stat.S_IMODE(places.folder.stat().st_mode) == mode and list(places.folder.iterdir()) == []


@pytest.mark.parametrize("target", ["a private folder", "nothing"])
def test_a_link_is_refused(places, target):
    other = places.folder.with_name("other")
    if target == "a private folder":
        other.mkdir(mode=0o700)
    places.folder.symlink_to(other)
    for use in (places.make, places.exists, lambda: listen(places), lambda: dial(places)):
        with pytest.raises(WetgateError, match="is a link or a file"):
            use()
    assert not other.exists() or list(other.iterdir()) == []


def test_a_file_is_refused(places):
    places.folder.write_text("")
    with pytest.raises(WetgateError, match="is a link or a file"):
        places.make()


@as_root
def test_a_folder_of_somebody_else_is_refused(places):
    places.make()
    os.chown(places.folder, STRANGER, STRANGER)
    for use in (places.make, places.exists, lambda: listen(places), lambda: dial(places)):
        with pytest.raises(WetgateError, match=f"belongs to another user .number {STRANGER}."):
            use()
    assert list(places.folder.iterdir()) == []


@as_root
def test_a_folder_that_cannot_be_made_is_a_sentence(places):
    code = """
import os, sys
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from wetgate.errors import WetgateError
from wetgate.service.places import Places
os.setuid(54321)
try:
    Places(Path(sys.argv[2])).make()
except WetgateError as error:
    print(error)
"""
    repository = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    done = subprocess.run(
        [sys.executable, "-c", code, repository, places.folder], capture_output=True, text=True, check=False
    )
    assert "permission denied" in done.stdout, done.stderr


def test_a_path_that_is_too_long_for_a_socket_is_a_sentence(places):
    room = 103 - len(f"{places.folder.parent}/") - len("/server.sock")
    longest, longer = (Places(places.folder.with_name("x" * length)) for length in (room, room + 1))
    assert len(str(longest.socket)) == 103
    listen(longest).close()
    with pytest.raises(WetgateError, match="too long for a socket"):
        listen(longer)


def test_an_address_comes_back(places):
    places.make()
    address = Address(54_321, bytes(range(32)))
    write_address(places, address)
    assert read_address(places) == address
    assert places.address.read_bytes() == b"wetgate 1\n54321\n" + bytes(range(32)).hex().encode() + b"\n"
    assert [path.name for path in places.folder.iterdir()] == ["server.address"]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"wetgate 1\n54321\n",
        b"wetgate 2\n54321\n" + b"00" * 32 + b"\n",
        b"wetgate 1\n0\n" + b"00" * 32 + b"\n",
        b"wetgate 1\n65536\n" + b"00" * 32 + b"\n",
        b"wetgate 1\nport\n" + b"00" * 32 + b"\n",
        b"wetgate 1\n54321\n" + b"00" * 31 + b"\n",
        b"wetgate 1\n54321\n" + b"zz" * 32 + b"\n",
        b"\xff" * 90,
    ],
)
def test_an_address_that_is_none_is_nobody_listening(places, content):
    places.make()
    places.address.write_bytes(content)
    assert read_address(places) is None
    assert dial(places, loopback=True) is None


def test_no_address_is_nobody_listening(places):
    places.make()
    assert read_address(places) is None
