"""`wetgate status`: what a restoration holds and how its training stands."""

from __future__ import annotations

import time
from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import Any

from wetgate.cli.progress import Progress, duration
from wetgate.errors import WetgateError
from wetgate.project import STATES, Restoration, Run, open_restoration

HELP = "Show what a restoration holds and how its latest training stands."

LOOK_AGAIN_S = 0.5
START_PATIENCE_S = 60.0


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("folder", metavar="FOLDER", help="the restoration folder")
    parser.add_argument("--follow", action="store_true", help="stay and show the training until it ends")


def run(arguments: Namespace) -> dict[str, Any]:
    restoration = open_restoration(arguments.folder)
    if arguments.follow:
        latest = restoration.latest_run()
        if latest is None:
            raise WetgateError(f"{restoration.folder} has no training yet: start one with `wetgate train`.")
        _follow(latest, quiet=arguments.json)
    return _standing(restoration)


def describe(result: dict[str, Any]) -> str:
    held = ", ".join(f"{count} {state}" for state, count in result["pairs"].items() if count) or "none"
    lines = [
        f"{result['folder']}: recipe {result['recipe']}, {result['encoding']} pictures",
        f"pairs: {held}",
    ]
    training = result["run"]
    if training is None:
        lines.append("training: none yet")
    else:
        lines.append(f"training: run {training['number']:03d} {training['state']}{_numbers(training['status'])}")
        if training["state"] == "interrupted":
            lines.append(f"          go on with `wetgate train {result['folder']} --resume`")
        if training["model"]:
            lines.append(f"model: {training['model']}")
    return "\n".join(lines)


def _standing(restoration: Restoration) -> dict[str, Any]:
    states = [pair.state for pair in restoration.pairs()]
    latest = restoration.latest_run()
    return {
        "folder": str(restoration.folder),
        "recipe": restoration.recipe,
        "encoding": restoration.encoding,
        "sources": restoration.sources,
        "pairs": {state: states.count(state) for state in STATES},
        "run": None if latest is None else _run_standing(latest),
    }


def _run_standing(latest: Run) -> dict[str, Any]:
    return {
        "number": latest.number,
        "folder": str(latest.folder),
        "state": latest.state,
        "process": latest.owner() if latest.is_alive() else None,
        "status": latest.status(),
        "model": _if_there(latest.model),
        "report": _if_there(latest.report),
    }


def _if_there(path: Path) -> str | None:
    return str(path) if path.exists() else None


def _follow(latest: Run, quiet: bool) -> None:
    give_up = time.monotonic() + START_PATIENCE_S
    while latest.state == "waiting" and time.monotonic() < give_up:
        time.sleep(LOOK_AGAIN_S)
    with Progress(latest.status().get("steps"), "steps", quiet=quiet) as progress:
        while latest.is_alive():
            status = latest.status()
            progress.update(status.get("step") or 0, latest.state + _numbers({**status, "step": None}))
            time.sleep(LOOK_AGAIN_S)


def _numbers(status: dict[str, Any]) -> str:
    words = []
    if status.get("step") is not None:
        words.append(f"step {status['step']}" + (f" of {status['steps']}" if status.get("steps") else ""))
    words += [f"{name} {status[name]:.4g}" for name in ("loss", "validation") if status.get(name) is not None]
    if status.get("eta_s") is not None:
        words.append(f"{duration(status['eta_s'])} left")
    if status.get("message"):
        words.append(str(status["message"]))
    return "".join(f", {word}" for word in words)
