"""`wetgate stop`: stop, pause or resume a training run."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from typing import Any

from wetgate.errors import WetgateError
from wetgate.project import Run, open_restoration

HELP = "Stop the training that runs in a restoration; it keeps its model and can go on with `wetgate train --resume`."


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("folder", metavar="FOLDER", help="the restoration folder")
    instead = parser.add_mutually_exclusive_group()
    instead.add_argument("--pause", action="store_true", help="pause instead: the process waits and computes nothing")
    instead.add_argument("--resume", action="store_true", help="let a paused training go on")


def run(arguments: Namespace) -> dict[str, Any]:
    target = _in_progress(arguments.folder)
    command = "pause" if arguments.pause else "resume" if arguments.resume else "stop"
    target.send(command)
    return {"run": target.number, "folder": str(target.folder), "command": command}


def describe(result: dict[str, Any]) -> str:
    return f"Asked run {result['run']:03d} to {result['command']}; it does so after its current step."


def _in_progress(folder: str) -> Run:
    runs = open_restoration(folder).runs()
    for candidate in reversed(runs):
        if candidate.is_alive():
            return candidate
    if runs and runs[-1].state == "waiting":
        return runs[-1]
    raise WetgateError(f"No training runs in {folder}: see `wetgate status {folder}`.")
