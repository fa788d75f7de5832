"""`wetgate serve`: the inference server of this user and machine."""

from __future__ import annotations

import logging
import os
import signal
import sys
from argparse import ArgumentParser, Namespace
from logging.handlers import RotatingFileHandler
from typing import Any

from wetgate.cli.durations import seconds
from wetgate.cli.progress import duration
from wetgate.errors import WetgateError
from wetgate.files import sentence_for
from wetgate.project.locks import is_locked
from wetgate.service.client import connect
from wetgate.service.places import Places, find_places

HELP = "Serve frames to the nodes in Nuke and other hosts; they start it by themselves."

EPILOG = """One server serves all nodes and hosts of a user on a machine: models are loaded once and share the GPU.
It listens to nobody else, ends after --idle without requests, and writes its log beside its socket.

examples:
  wetgate serve --status
  wetgate serve --stop"""

LOG_BYTES = 1 << 20


def add_arguments(parser: ArgumentParser) -> None:
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--status", action="store_true", help="say what the running server does")
    what.add_argument("--stop", action="store_true", help="end the running server")
    what.add_argument(
        "--idle", type=seconds, default=600.0, metavar="10m", help="end after so long without requests (default: 10m)"
    )


def run(arguments: Namespace) -> dict[str, Any]:
    places = find_places()
    if arguments.status or arguments.stop:
        return _ask(places, stop=arguments.stop)
    return _serve(places, arguments.idle)


def describe(result: dict[str, Any]) -> str:
    state = result["state"]
    if state != "running":
        return {
            "none": "No inference server is running.",
            "stopped": "The inference server has been told to end.",
            "served": "The inference server has ended.",
            "other": "An inference server is running already; this one is not needed.",
        }[state]
    lines = [
        f"Process {result['process']}, Wetgate {result['wetgate']}, for {duration(result['uptime_s'])}: "
        f"{result['frames']} frames, {'CUDA offered' if result['cuda_offered'] else 'no CUDA here'}.",
        f"Ends after {duration(result['ends_after_idle_s'])} without requests (now {duration(result['idle_s'])}).",
        f"Log: {result['log']}",
    ]
    for model in result["models"]:
        lines.append(f"  model   {model['path']}  on {model['device']}, {model['bits']} bit")
    for client in result["clients"]:
        size = client["memory_bytes"] / 2**20
        lines.append(
            f"  client  {client['client']}, process {client['process']}: "
            f"{client['requests']} requests, {size:.0f} MiB shared"
        )
    return "\n".join(lines)


def _ask(places: Places, *, stop: bool) -> dict[str, Any]:
    if not places.exists() or not is_locked(places.lock):
        return {"state": "none"}
    with connect(start=False, places=places) as client:
        if not stop:
            return {"state": "running", **client.status()}
        client.stop()
        return {"state": "stopped"}


def _serve(places: Places, idle_s: float) -> dict[str, Any]:
    from wetgate.inference.server import Server, bound_memory, raise_open_files

    places.make()
    os.chdir(places.folder)  # whoever started it may want to remove or unmount the folder that it stood in
    _write_log(places)
    bound_memory()
    raise_open_files()
    server = Server(places, idle_s)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: server.stopping.set())
    return {"state": "served" if server.run() else "other"}


def _write_log(places: Places) -> None:
    try:
        to_file = RotatingFileHandler(
            places.log, maxBytes=LOG_BYTES, backupCount=1, encoding="utf-8", errors="backslashreplace"
        )
    except OSError as error:
        raise WetgateError(sentence_for(error, places.log)) from error
    handlers: list[logging.Handler] = [to_file]
    if sys.stderr.isatty():
        handlers.append(logging.StreamHandler())
    logging.basicConfig(format="%(asctime)s %(message)s", level=logging.INFO, handlers=handlers)
