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
import warnings
from collections.abc import Iterator
from pathlib import Path

from wetgate.errors import WetgateError
from wetgate.files import atomic_path, make_folder, sentence_for
from wetgate.node import install as node

OK, NOTE, BAD = "ok", "note", "bad"
Finding = tuple[str, str] | tuple[str, str, str]

MARK = "# added by: wetgate nuke install"
_LINE = re.compile(
    rb"(?m)(?P<indent>(?:^|(?<=\r))[ \t]*)import nuke; nuke\.pluginAddPath\((?P<path>.*)\)  " + MARK.encode()
)
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
        WetgateError: the file cannot be read or written, or is no Python, or this installation came without the
            plug-in.
    """
    wanted = line(plugin_folder())
    path = make_folder(nuke_folder) / "init.py"
    before = _content(path)
    if _LINE.search(before):
        after = _LINE.sub(lambda found: found["indent"] + wanted, before)
    else:
        newline = b"\r\n" if b"\r\n" in before else b"\n"
        whole = not before or before.endswith((b"\n", b"\r"))
        # A file without a newline at its end gets one before the line and none after it, so that it can be undone.
        after = before + wanted + newline if whole else before + newline + wanted
    _require_python(path, after)
    _replace(path, before, after)
    return path


def uninstall(nuke_folder: Path) -> bool:
    """Take the line out again; a file that held nothing else goes. Return whether there was one.

    Raises:
        WetgateError: the file cannot be read or written, or the line stands in a block of somebody's code.
    """
    path = nuke_folder / "init.py"
    before = _content(path)
    found = list(_LINE.finditer(before))
    if any(each["indent"] for each in found):
        raise WetgateError(f"{path} has the line inside a block of code: take it out there by hand.")
    after = before
    for each in reversed(found):
        behind = re.compile(rb"\r?\n|\r").match(after, each.end())
        start = each.start()
        if behind is None:  # the last line, before which its newline was added
            start = next(start - len(end) for end in (b"\r\n", b"\n", b"") if after[:start].endswith(end))
        after = after[:start] + after[behind.end() if behind else each.end() :]
    if after or path.is_symlink():
        _replace(path, before, after)
    elif found:
        _require_writable(path)
        try:
            path.unlink()
        except OSError as error:
            raise WetgateError(sentence_for(error, path)) from error
    return bool(found)


# What `wetgate nuke doctor` looks at


def check_line(nuke_folder: Path) -> Iterator[Finding]:
    """Whether Nuke is told of this installation's plug-in."""
    named, here = noted_folder(nuke_folder), plugin_folder().as_posix()
    on_path = [Path(part).resolve().as_posix() for part in os.environ.get("NUKE_PATH", "").split(os.pathsep) if part]
    init = nuke_folder / "init.py"
    if named and Path(named).resolve().as_posix() != here:
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
        raise WetgateError(f"{path} cannot be read ({error.strerror}): have a look at what it is.") from error


def _require_python(path: Path, content: bytes) -> None:
    """A file that Python does not read to its end would never come to our line."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            compile(content, str(path), "exec")
    except (SyntaxError, ValueError) as error:
        where = f" in line {error.lineno}" if isinstance(error, SyntaxError) and error.lineno else ""
        raise WetgateError(f"Nuke cannot run {path}, it is no Python{where}: mend it, then install again.") from error


def _require_writable(path: Path) -> None:
    """Replacing a file needs no permission of its own: who has locked it has meant it."""
    if path.exists() and not os.access(path, os.W_OK):
        raise WetgateError(
            f"{path} is write-protected: change its permissions, or have NUKE_PATH name {plugin_folder()} instead."
        )


def _replace(path: Path, before: bytes, after: bytes) -> None:
    """Write the whole file or nothing; a link stays one, and permissions stay."""
    if after == before:
        return
    _require_writable(path)
    target = Path(os.path.realpath(path))
    try:
        with atomic_path(target) as temporary:
            temporary.write_bytes(after)
            if target.exists():
                shutil.copymode(target, temporary)
    except OSError as error:
        raise WetgateError(sentence_for(error, path)) from error
