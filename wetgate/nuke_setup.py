"""The plug-in's way into Nuke: one marked line in the artist's init.py, and what must be there for it to work.

Nuke runs every ``init.py`` on its plug-in path; the line adds the folder with ours, its gizmos and its Python. In a
clone that folder is the clone; a wheel brings one, with the few modules of the engine that the plug-in shares, since
the wheel's own folder holds packages for another Python than Nuke's.
"""

from __future__ import annotations

import ast
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

from wetgate.errors import WetgateError
from wetgate.files import atomic_path, make_folder, sentence_for
from wetgate.node import install as node

OK, NOTE, BAD = "ok", "note", "bad"
Finding = tuple[str, str] | tuple[str, str, str]

MARK = "# added by: wetgate nuke install"
_LINE = re.compile(rb"import nuke; nuke\.pluginAddPath\((?P<path>.*)\)  " + MARK.encode())
_NEEDED = (
    "init.py",
    "menu.py",
    "nuke_plugin/starting.py",
    "nuke_plugin/host.py",
    "gizmos/WetgatePairs.gizmo",
    "gizmos/WetgateRestore.gizmo",
    "wetgate/project/__init__.py",
    "wetgate/service/client.py",
)


def default_folder() -> Path:
    """The artist's own folder of Nuke's."""
    return Path.home() / ".nuke"


def plugin_folder() -> Path:
    """The folder that Nuke is to know: of the wheel, or the clone.

    Raises:
        WetgateError: this installation came without it.
    """
    here = Path(__file__).resolve().parent
    for folder in (here / "nuke", here.parent):
        if all((folder / name).is_file() for name in ("init.py", "menu.py", "nuke_plugin/__init__.py")):
            return folder
    raise WetgateError(f"{here} came without the plug-in for Nuke: install Wetgate again from its wheel or its clone.")


def line(folder: Path) -> bytes:
    """What Nuke's init.py is to hold for ``folder``; ASCII, since that file may be coded in any way."""
    return f"import nuke; nuke.pluginAddPath({folder.as_posix()!a})  {MARK}".encode("ascii")


def noted_folder(nuke_folder: Path) -> str:
    """The folder that the marked line names; "" where there is no such line."""
    found = _LINE.search(_content(nuke_folder / "init.py"))
    try:
        return str(ast.literal_eval(found["path"].decode("ascii"))) if found else ""
    except (ValueError, SyntaxError):
        return ""  # somebody has written into the line


def install(nuke_folder: Path) -> Path:
    """Have the line in ``nuke_folder``'s init.py, once, as the last one or where an older one stood; return the file.

    Everything else in the file stays, byte for byte.

    Raises:
        WetgateError: the file cannot be read or written, or this installation came without the plug-in.
    """
    wanted = line(plugin_folder())
    path = make_folder(nuke_folder) / "init.py"
    before = _content(path)
    if _LINE.search(before):
        after = _LINE.sub(lambda _: wanted, before)
    else:
        newline = b"\r\n" if b"\r\n" in before else b"\n"
        whole = not before or before.endswith(b"\n")
        # A file without a newline at its end gets one before the line and none after it, so that it can be undone.
        after = before + wanted + newline if whole else before + newline + wanted
    _replace(path, before, after)
    return path


def uninstall(nuke_folder: Path) -> bool:
    """Take the line out again; a file that held nothing else goes. Return whether there was one.

    Raises:
        WetgateError: the file cannot be read or written.
    """
    path = nuke_folder / "init.py"
    before = _content(path)
    alone = rb"(?:(?<=\n)|\A)" + _LINE.pattern + rb"\r?\n"
    at_end = rb"\r?\n" + _LINE.pattern + rb"\Z"
    after = re.sub(alone, b"", before) if re.search(alone, before) else re.sub(at_end, b"", before)
    if after == before:
        return False
    if after:
        _replace(path, before, after)
    else:
        path.unlink()
    return True


# What `wetgate nuke doctor` looks at


def check_line(nuke_folder: Path) -> Iterator[Finding]:
    """Whether Nuke is told of this installation's plug-in."""
    named, here = noted_folder(nuke_folder), plugin_folder().as_posix()
    on_path = [Path(part).as_posix() for part in os.environ.get("NUKE_PATH", "").split(os.pathsep) if part]
    init = nuke_folder / "init.py"
    if named and named != here:
        yield BAD, f"{init} names {named}, this is {here}", "Run `wetgate nuke install`."
    elif named:
        yield OK, f"{init} names {here}"
    elif here in on_path:
        yield OK, f"NUKE_PATH names {here}"
    else:
        yield BAD, f"{init} does not name {here}", "Run `wetgate nuke install`."


def check_files() -> Iterator[Finding]:
    """Whether the plug-in is whole."""
    folder = plugin_folder()
    missing = [name for name in _NEEDED if not (folder / name).is_file()]
    if missing:
        yield BAD, f"{folder} lacks {', '.join(missing)}", "Install Wetgate again."
    else:
        yield OK, f"gizmos, menu and panel in {folder}"


def check_command() -> Iterator[Finding]:
    """Whether the plug-in finds the engine as it looks for it inside Nuke."""
    from wetgate.service.starting import find_command

    try:
        yield OK, f"the plug-in starts {find_command()[0]}"
    except WetgateError as error:
        yield BAD, str(error)


def check_search_path() -> Iterator[Finding]:
    """Whether OpenFX hosts look where the node is."""
    from wetgate.node.build import BUNDLE

    named = [Path(part) for part in os.environ.get("OFX_PLUGIN_PATH", "").split(os.pathsep) if part]
    found = [folder for folder in [*named, node.standard_folder()] if (folder / BUNDLE).is_dir()]
    if found:
        yield OK, f"Nuke finds the node in {found[0]}"
    elif (node.default_folder() / BUNDLE).is_dir():
        yield NOTE, "OFX_PLUGIN_PATH does not name the node's folder", node.search_path_line(node.default_folder())
    else:
        yield NOTE, "without the node, frames are restored by files in the background", "Run `wetgate node install`."


# The file


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""
    except OSError as error:
        raise WetgateError(f"{path} cannot be read ({error.strerror}): change its permissions.") from error


def _replace(path: Path, before: bytes, after: bytes) -> None:
    """Write the whole file or nothing; a link stays one, and permissions stay."""
    if after == before:
        return
    target = Path(os.path.realpath(path))
    try:
        with atomic_path(target) as temporary:
            temporary.write_bytes(after)
            if target.exists():
                shutil.copymode(target, temporary)
    except OSError as error:
        raise WetgateError(sentence_for(error, path)) from error
