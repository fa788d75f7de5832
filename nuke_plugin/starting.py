"""What happens when Nuke starts: paths, callbacks, menus, the panel. Whatever fails, Nuke starts, and a line says why.

Nothing of Qt, of the panel or of the engine's client is loaded by then: that waits until an artist asks for it.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import os
import subprocess
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from nuke_plugin import host
from wetgate import __version__

root = ""
"""The folder with init.py, gizmos/ and this package; "" before :func:`everywhere`."""

HOTKEY = "Ctrl+Alt+W"
"""Adds a pair: beside Alt+W, which draws the Viewer's region of interest, and in none of Nuke's own menus."""

PANEL = ("__import__('nuke_plugin.starting').starting.make_panel", "Wetgate", "org.wetgate.panel")
"""What makes it, its name, and what saved workspaces know it by."""

INFERENCE_NODE = "OFXorg.wetgate.restore_v1"
"""The class of the OpenFX node in Nuke: its identifier and its major version, which stays as scripts depend on it."""

HELP = f"""<b>Wetgate</b> restores a film from a few pairs: a frame of the scan, and the same frame as it should look.
<br><br>
1. Look at the scan as the Viewer's A and at the reference as its B. {HOTKEY} adds the frame as a pair.<br>
2. Open the panel: look at the pairs, then Train. The first model is there after seconds.<br>
3. Create restore node puts the model below your scan; with Follow training the Viewer sharpens while it trains.
<br><br>
If something is missing: <tt>wetgate nuke doctor</tt> in a terminal says what, and what to do."""

_LONGEST_LOOK_S = 60.0
_has_windows = False
_said: set[str] = set()


def everywhere(folder: str) -> None:
    """What renders need as well: where the gizmos are, and what brings old nodes up to date.

    Without a window a Write that would deliver unrestored frames is stopped, too.
    """
    global root
    if root:
        return  # the folder is on NUKE_PATH twice
    root = folder
    with _safely("its gizmos are not found"):
        for path in ("gizmos", "nuke_plugin/icons"):
            host.add_plugin_path(os.path.join(root, *path.split("/")))
    with _safely("nodes of older versions stay as they are"):
        host.on_created("WetgateRestore", later("applying", "created", tell=_say_once))
    with _safely("a render without its inference node is not stopped"):
        if not host.has_gui():
            host.before_render(lambda write: importlib.import_module("nuke_plugin.restores").refuse(write))


def with_windows() -> None:
    """What an artist sees."""
    global _has_windows
    if _has_windows:
        return
    _has_windows = True
    with _safely("its nodes do not follow their knobs"):
        host.on_knob_changed("WetgateRestore", later("applying", "changed", tell=_say_once))
        host.on_knob_changed(INFERENCE_NODE, later("applying", "changed_inside", tell=_say_once))
    with _safely("it has no menu"):
        for bar in ("Nodes", "Nuke"):
            host.add_menu(bar, "Wetgate", "wetgate.svg")
            for entry in ENTRIES:
                entry.add(bar)
    with _safely("it has no panel"):
        if not any(importlib.util.find_spec(name) for name in ("PySide6", "PySide2")):
            raise ImportError("this Nuke brings neither PySide6 nor PySide2")
        host.register_panel(*PANEL)
    with _safely("its engine was not looked for"):
        threading.Thread(target=_look_at_the_engine, name="wetgate-start", daemon=True).start()


def later(module: str, name: str, *, tell: Callable[[str], None] = lambda said: host.tell(said)) -> Callable[..., Any]:
    """A call into a module of the plug-in that is loaded when it is first called; what goes wrong is told."""

    def call(*arguments: object) -> object:
        try:
            return getattr(importlib.import_module(f"nuke_plugin.{module}"), name)(*arguments)
        except host.Cancelled:
            return None
        except Exception as error:  # an artist's click must not end in a traceback
            tell(f"Wetgate: {error}")
            return None

    return call


def _say_once(line: str) -> None:
    """For what Nuke calls by itself, as often as a script has nodes: a window for each would lock the artist out."""
    if line not in _said:
        _said.add(line)
        print(line)  # noqa: T201 - as below


@dataclass(frozen=True)
class Entry:
    """One entry of the menu."""

    name: str
    call: Callable[..., object]
    icon: str
    hint: str
    hotkey: str = ""

    def add(self, bar: str) -> None:
        # One window must not have two owners of a key: it is the menu bar's.
        hotkey = self.hotkey if bar == "Nuke" else ""
        host.add_command(bar, f"Wetgate/{self.name}", self.call, icon=self.icon, shortcut=hotkey, hint=self.hint)


ENTRIES = (
    Entry(
        "Pairs",
        later("host", "create_pairs"),
        "wetgate_pairs.svg",
        "A node that collects pairs of scan and reference out of the graph.",
    ),
    Entry(
        "Restore",
        lambda: later("host", "create_restore")(""),
        "wetgate_restore.svg",
        "A node that restores the scan with a trained model.",
    ),
    Entry(
        "Add pair from Viewer",
        later("collecting", "from_viewer"),
        "wetgate_add.svg",
        "Take the Viewer's A as the scan and its B as the reference, at this frame and in its region of interest.",
        HOTKEY,
    ),
    Entry(
        "Open panel",
        later("starting", "open_panel"),
        "wetgate_panel.svg",
        "Pairs, training and its runs in one panel.",
    ),
    Entry("Help", lambda: host.tell(HELP), "wetgate_help.svg", "How a film is restored, in three steps."),
)


def make_panel() -> object:
    """The panel's widget, for one of Nuke's panes."""
    window, desk = (importlib.import_module(f"nuke_plugin.{name}") for name in ("panel.window", "desk"))
    return window.Panel(desk.NukeDesk())


def open_panel() -> None:
    """Show the panel."""
    host.open_panel(*PANEL)


@contextlib.contextmanager
def _safely(consequence: str) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # Nuke must start
        _say(f"{consequence}: {error}.")


def _say(sentence: str) -> None:
    print(f"Wetgate: {sentence}")  # noqa: T201 - Nuke's script editor and terminal


def _look_at_the_engine() -> None:
    """Say so where the engine is missing, broken or of another version; in a thread, since it starts a process."""
    from wetgate.project.processes import clean_environment
    from wetgate.service.starting import find_command

    try:
        asked = subprocess.run(
            [*find_command(), "--version"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            env=clean_environment(),
            timeout=_LONGEST_LOOK_S,
            check=False,
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
        )
        said = (asked.stdout.strip() or asked.stderr.strip()).splitlines()
        if asked.returncode:
            told = said[-1] if said else "it ends at once"
            trouble = f"the engine is broken ({told}): install it again from the panel."
        elif said != [f"wetgate {__version__}"]:
            trouble = f"the engine is '{''.join(said[:1])}', this plug-in is {__version__}: install both anew."
        else:
            return
    except Exception as error:  # not found, not executable, too slow
        trouble = str(error)
    host.in_main_thread(_say, trouble)
