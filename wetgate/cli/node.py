"""`wetgate node`: build and install the OpenFX node."""

from __future__ import annotations

import argparse
from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import Any

from wetgate.node import build, install

HELP = "Put the node that restores frames inside Nuke, Resolve, Natron and other OpenFX hosts where they find it."
EPILOG = """The node talks to `wetgate serve`, which it starts by itself.

examples:
  wetgate node install                             # for yourself
  eval "$(wetgate node path)"; Nuke15.1            # start a host that finds it
  sudo wetgate node install --folder /usr/OFX/Plugins   # for everybody: hosts look there by themselves
  wetgate node build --output dist --platform windows"""


def add_arguments(parser: ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)

    def add(name: str, help: str) -> ArgumentParser:
        action = actions.add_parser(name, help=help, description=help[0].upper() + help[1:] + ".")
        action.add_argument("--json", action="store_true", default=argparse.SUPPRESS, help="print one JSON object")
        return action

    building = add("build", "compile the bundle from its sources, for any platform on any machine (needs ziglang)")
    building.add_argument("--output", metavar="DIR", default=".", help="where the bundle goes (default: here)")
    building.add_argument(
        "--platform",
        action="append",
        choices=list(build.PLATFORMS),
        help="only for this one; may be given several times (default: all)",
    )
    for name, help in (
        ("install", "put the bundle into a folder and note in it how to start the inference server"),
        ("path", "print the line that tells hosts where the node is"),
    ):
        add(name, help).add_argument(
            "--folder", metavar="DIR", default=str(install.default_folder()), help="default: %(default)s"
        )


def run(arguments: Namespace) -> dict[str, Any]:
    if arguments.action == "build":
        platforms = list(dict.fromkeys(arguments.platform or build.PLATFORMS))
        bundle = build.build(Path(arguments.output), platforms)
        return {"action": "build", "bundle": str(bundle), "platforms": platforms}
    folder = Path(arguments.folder).expanduser().absolute()
    bundle = install.install(folder) if arguments.action == "install" else install.bundle_in(folder)
    return {
        "action": arguments.action,
        "bundle": str(bundle),
        "command": install.noted_command(bundle),
        "path": install.search_path_line(folder),
        "found_by_itself": folder == install.standard_folder(),
    }


def describe(result: dict[str, Any]) -> str:
    if result["action"] == "build":
        return f"Built {result['bundle']} for {', '.join(result['platforms'])}."
    if result["action"] == "path":
        return str(result["path"])
    lines = [f"The node is in {result['bundle']}; it starts the server by {result['command']}."]
    if result["found_by_itself"]:
        lines.append("OpenFX hosts look there by themselves.")
    else:
        lines += ["Have OpenFX hosts look there:", "", f"  {result['path']}", ""]
    return "\n".join([*lines, "Then start the host anew."])
