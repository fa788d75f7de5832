"""Where the inference server of this user is: a folder, and what lies in it.

The folder is private: whoever could write into it could answer in the server's place. So it is made with mode
0700, and one that is a link, belongs to somebody else or is open to others is refused, never mended.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path

from wetgate.errors import WetgateError
from wetgate.files import make_folder, sentence_for, write_bytes
from wetgate.service.messages import TOKEN_BYTES, VERSION

VARIABLE = "WETGATE_RUNTIME"
MAX_SOCKET_PATH = 103
"""Bytes in the path of a socket, without its final NUL, on the strictest system (macOS)."""

_FIRST_LINE = f"wetgate {VERSION}"


@dataclass(frozen=True)
class Address:
    """Where a server listens on the loopback interface, and the token that it knows its own clients by."""

    port: int
    token: bytes


@dataclass(frozen=True)
class Places:
    """The folder of a server and the files in it."""

    folder: Path

    @property
    def socket(self) -> Path:
        """POSIX: the socket that the server listens on."""
        return self.folder / "server.sock"

    @property
    def address(self) -> Path:
        """Windows: where the server listens; see :class:`Address`."""
        return self.folder / "server.address"

    @property
    def lock(self) -> Path:
        """Locked while a server lives."""
        return self.folder / "server.lock"

    @property
    def log(self) -> Path:
        """What the server has to tell."""
        return self.folder / "server.log"

    def make(self) -> None:
        """Have the folder there, private.

        Raises:
            WetgateError: it cannot be made, or see :meth:`exists`.
        """
        make_folder(self.folder.parent)
        try:
            os.mkdir(self.folder, 0o700)
        except FileExistsError:
            pass
        except OSError as error:
            raise WetgateError(sentence_for(error, self.folder)) from error
        self.exists()

    def exists(self) -> bool:
        """Whether the folder is there.

        Raises:
            WetgateError: it is there, but not private, or its path is too long for a socket.
        """
        try:
            found = os.lstat(self.folder)
        except FileNotFoundError:
            return False
        except OSError as error:
            raise WetgateError(f"{self.folder} cannot be looked at: {error.strerror or error}.") from error
        if not stat.S_ISDIR(found.st_mode):
            raise WetgateError(
                f"{self.folder} is a link or a file, where the inference server needs a folder of its own: remove it."
            )
        if os.name != "nt":
            self._require_private(found)
            self._require_short()
        return True

    def _require_private(self, found: os.stat_result) -> None:
        if found.st_uid != os.geteuid():
            raise WetgateError(
                f"{self.folder} belongs to another user (number {found.st_uid}), so the inference server cannot be "
                f"trusted there: have it removed, or set {VARIABLE} to a folder of your own."
            )
        if stat.S_IMODE(found.st_mode) & 0o077:
            raise WetgateError(
                f"{self.folder} is open to other users, so the inference server cannot be trusted there: "
                "end your Wetgate programs and remove it."
            )

    def _require_short(self) -> None:
        if len(os.fsencode(self.socket)) > MAX_SOCKET_PATH:
            raise WetgateError(
                f"The path {self.socket} is too long for a socket (at most {MAX_SOCKET_PATH} bytes): "
                f"set {VARIABLE} to a shorter one."
            )


def find_places() -> Places:
    """Where this user's server is or will be; nothing is made.

    Raises:
        WetgateError: the environment names no absolute path.
    """
    chosen = os.environ.get(VARIABLE)
    if chosen:
        folder = Path(chosen)
    elif os.name == "nt":
        folder = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local") / "Wetgate" / "run"
    else:
        folder = Path(f"/tmp/wetgate-{os.geteuid()}")
    if not folder.is_absolute():
        raise WetgateError(f"{VARIABLE} is '{folder}': it must be an absolute path.")
    return Places(folder)


def write_address(places: Places, address: Address) -> None:
    """Tell clients where to connect: three lines, replaced at once."""
    lines = (_FIRST_LINE, str(address.port), address.token.hex(), "")
    write_bytes(places.address, "\n".join(lines).encode("ascii"), durable=False)


def read_address(places: Places) -> Address | None:
    """Where the server said that it listens; None where no server of this version did."""
    try:
        first, port, token = places.address.read_text(encoding="ascii").splitlines()
        address = Address(int(port), bytes.fromhex(token))
    except (OSError, ValueError):
        return None
    right = first == _FIRST_LINE and 0 < address.port < 2**16 and len(address.token) == TOKEN_BYTES
    return address if right else None
