"""`wetgate nuke`: the plug-in in Nuke."""

from __future__ import annotations

import argparse
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from wetgate import nuke_setup
from wetgate.cli import doctor

HELP = "Have Nuke load the panel, the menu and the nodes; say what is missing."
EPILOG = """install adds one line to init.py in Nuke's folder and leaves all else in it alone; uninstall takes it out.
A studio that sets NUKE_PATH for everybody names the folder that install prints there instead.

examples:
  wetgate nuke install
  wetgate nuke doctor
  wetgate nuke install --folder /studio/nuke       # a folder that NUKE_PATH names already"""


def add_arguments(parser: ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    for name, help in (
        ("install", "have Nuke load the plug-in at its next start"),
        ("uninstall", "have Nuke forget it"),
        ("doctor", "check that Nuke finds the plug-in, the node and the engine"),
    ):
        action = actions.add_parser(name, help=help, description=help[0].upper() + help[1:] + ".")
        action.add_argument("--json", action="store_true", default=argparse.SUPPRESS, help="print one JSON object")
        action.add_argument(
            "--folder",
            metavar="DIR",
            default=str(nuke_setup.default_folder()),
            help="the artist's folder of Nuke's (default: %(default)s)",
        )


def run(arguments: Namespace) -> dict[str, Any]:
    folder = Path(arguments.folder).expanduser().absolute()
    if arguments.action == "doctor":
        checks: dict[str, Callable[[], Iterator[nuke_setup.Finding]]] = {
            "Start": partial(nuke_setup.check_line, folder),
            "Files": nuke_setup.check_files,
            "Engine": nuke_setup.check_command,
            "Node": doctor.check_node,
            "Search path": nuke_setup.check_search_path,
        }
        return {"action": "doctor", **doctor.page(checks)}
    if arguments.action == "install":
        path = nuke_setup.install(folder)
        return {"action": "install", "file": str(path), "plugin": str(nuke_setup.plugin_folder())}
    return {"action": "uninstall", "file": str(folder / "init.py"), "removed": nuke_setup.uninstall(folder)}


def describe(result: dict[str, Any]) -> str:
    if result["action"] == "doctor":
        return doctor.describe(result)
    if result["action"] == "install":
        return f"{result['file']} has Nuke load {result['plugin']}. Start Nuke anew, then look for its Wetgate menu."
    if result["removed"]:
        return f"{result['file']} does not mention Wetgate any more."
    return f"{result['file']} did not mention Wetgate."
