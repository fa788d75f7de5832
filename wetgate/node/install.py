"""Putting the node where OpenFX hosts find it, with a note of how to start the inference server."""

from __future__ import annotations

import ctypes
import json
import os
import shlex
import shutil
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path

from wetgate.errors import WetgateError
from wetgate.files import make_folder, write_bytes
from wetgate.node.build import BUNDLE, FACTS_FILE, binary_in, current, own_platform, staging

COMMAND_FILE = Path("Contents", "Resources", "wetgate-command.txt")
"""In the bundle: one line, the absolute path of the program that `serve` is given to (docs/inference-server.md)."""

WINDOWS = os.name == "nt"


@dataclass(frozen=True)
class Plugin:
    """What a binary says of itself."""

    identifier: str
    major: int
    minor: int


def default_folder() -> Path:
    """A folder of the user's own; hosts look there when ``OFX_PLUGIN_PATH`` names it."""
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", Path.home() / "AppData" / "Local")) / "Wetgate" / "ofx"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / "Wetgate" / "ofx"
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / "wetgate" / "ofx"


def standard_folder() -> Path:
    """Where every OpenFX host looks by itself; writing there takes an administrator."""
    if sys.platform == "win32":
        return Path(os.environ.get("COMMONPROGRAMFILES", r"C:\Program Files\Common Files")) / "OFX" / "Plugins"
    return Path("/Library/OFX/Plugins" if sys.platform == "darwin" else "/usr/OFX/Plugins")


def search_path() -> list[Path]:
    """Where bundles of ours may be: what ``OFX_PLUGIN_PATH`` names, the standard's folder, and our own."""
    named = [Path(name) for name in os.environ.get("OFX_PLUGIN_PATH", "").split(os.pathsep) if name]
    return list(dict.fromkeys([*named, standard_folder(), default_folder()]))


def install(folder: Path) -> Path:
    """Put the bundle into ``folder``, in place of an older one; return its path.

    The one of the wheel is taken, with the binaries of all platforms; a clone builds one for this machine.

    Raises:
        WetgateError: the folder cannot be written, or there is no bundle and none can be built.
    """
    source = current()
    target = make_folder(folder) / BUNDLE
    with staging(target) as bundle:
        shutil.copytree(source, bundle)
        command = installed_command() or target / _write_launcher(bundle)
        write_bytes(bundle / COMMAND_FILE, f"{command}\n".encode())
    return target


def installed_command() -> Path | None:
    """The `wetgate` program that pip put beside this Python; None where Wetgate runs from a clone."""
    command = Path(sysconfig.get_path("scripts"), "wetgate.exe" if WINDOWS else "wetgate")
    return command.absolute() if command.is_file() else None


def search_path_line(folder: Path) -> str:
    """What to type so that hosts started from the same shell look in ``folder`` first."""
    if WINDOWS:
        return f'set "OFX_PLUGIN_PATH={folder};%OFX_PLUGIN_PATH%"'
    return f'export OFX_PLUGIN_PATH={shlex.quote(str(folder))}"${{OFX_PLUGIN_PATH:+:$OFX_PLUGIN_PATH}}"'


def bundle_in(folder: Path) -> Path:
    """The bundle that :func:`install` put into ``folder``.

    Raises:
        WetgateError: none is there.
    """
    bundle = folder / BUNDLE
    if not bundle.is_dir():
        raise WetgateError(f"There is no node in {folder}: run `wetgate node install` first.")
    return bundle


def noted_command(bundle: Path) -> str:
    """The program that an installed bundle starts the server by; empty where none is noted."""
    try:
        return (bundle / COMMAND_FILE).read_text(encoding="utf-8").strip()
    except OSError:
        return ""


def built_version(bundle: Path) -> str:
    """The version of Wetgate that a bundle was built from; empty where it does not say."""
    try:
        facts = json.loads((bundle / FACTS_FILE).read_text(encoding="utf-8"))
        return str(facts["version"])
    except (OSError, ValueError, TypeError, KeyError):
        return ""


def identify(bundle: Path) -> Plugin:
    """Load the bundle's binary for this machine as a host does and ask which plug-in it holds.

    Raises:
        WetgateError: it is not there, does not load, or holds something else than one plug-in.
    """
    binary = binary_in(bundle, own_platform())
    try:
        library = ctypes.CDLL(str(binary))
        library.OfxGetPlugin.restype = ctypes.POINTER(_OfxPlugin)
        count = library.OfxGetNumberOfPlugins()
        found = library.OfxGetPlugin(0).contents
    except (OSError, AttributeError, ValueError) as error:
        raise WetgateError(f"The node {binary} cannot be loaded: {error}. Run `wetgate node install` again.") from error
    if count != 1 or found.api != b"OfxImageEffectPluginAPI":
        raise WetgateError(f"{binary} is not Wetgate's node. Run `wetgate node install` again.")
    return Plugin(found.identifier.decode(), found.major, found.minor)


class _OfxPlugin(ctypes.Structure):
    """The start of the standard's OfxPlugin; two function pointers follow."""

    _fields_ = (
        ("api", ctypes.c_char_p),
        ("api_version", ctypes.c_int),
        ("identifier", ctypes.c_char_p),
        ("major", ctypes.c_uint),
        ("minor", ctypes.c_uint),
    )


def _write_launcher(bundle: Path) -> Path:
    """Write a program that starts Wetgate from this clone; return its path inside the bundle."""
    root = Path(__file__).parents[2]
    if WINDOWS:
        name, text = "wetgate.cmd", f'@set "PYTHONPATH={root}"\r\n@"{sys.executable}" -P -m wetgate %*\r\n'
    else:
        name = "wetgate"
        text = (
            f"#!/bin/sh\nPYTHONPATH={shlex.quote(str(root))}\nexport PYTHONPATH\n"
            f'exec {shlex.quote(sys.executable)} -P -m wetgate "$@"\n'
        )
    launcher = COMMAND_FILE.with_name(name)
    write_bytes(bundle / launcher, text.encode())
    (bundle / launcher).chmod(0o755)
    return launcher
