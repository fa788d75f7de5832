"""`wetgate train`: train a model from the accepted pairs."""

from __future__ import annotations

import contextlib
import signal
import sys
import time
from argparse import ArgumentParser, ArgumentTypeError, BooleanOptionalAction, Namespace
from collections.abc import Sequence
from typing import Any

from wetgate.cli.durations import seconds
from wetgate.cli.progress import Progress
from wetgate.cli.wanted import wanted_by
from wetgate.errors import WetgateError
from wetgate.project import Restoration, Run, open_restoration, start_detached
from wetgate.recipes.catalogue import trainer
from wetgate.recipes.options import Options

HELP = "Train a model from the pairs; the first model.onnx is there after seconds and gets better."
EPILOG = """Pairs that were only collected are prepared first. --time counts from the start, export and report included.
A run that was stopped, killed or switched off goes on with --resume.

examples:
  wetgate train reel3.wetgate --time 60s
  wetgate train reel3.wetgate --time 5m --protect luma --detach
  wetgate train reel3.wetgate --resume"""


_HEEDED_BY = {
    "protect": ("color", "exemplar", "telecine"),
    "grain": ("detail",),
    "radius": ("detail", "telecine", "damage"),
    "hold_out": ("color", "exemplar", "detail", "telecine"),
    "shrinkage": ("steady",),
    "fill": ("steady",),
    "accept": ("exemplar",),
    "steady": ("color", "exemplar", "detail", "steady"),
}
"""Which recipes an option says something to."""


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("folder", metavar="FOLDER", help="the restoration folder")
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--time", type=seconds, metavar="60s", help="how long it may take, in all (default: 60s)")
    length.add_argument(
        "--steps", type=_count, metavar="N", help="train the model N steps instead: the same result every time"
    )
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--hold-out", type=int, default=0, metavar="K", help="never train on K of the pairs")
    parser.add_argument(
        "--protect",
        choices=("grain", "luma", "none"),
        default="grain",
        help="what of the scan is kept: its grain and detail (default), its whole luma, or nothing",
    )
    parser.add_argument(
        "--grain",
        choices=("keep", "match", "none"),
        default="keep",
        help="where detail is learnt: keep the scan's grain (default), match the reference's, or take grain out",
    )
    parser.add_argument(
        "--radius",
        type=int,
        choices=(0, 1, 2),
        default=None,
        metavar="R",
        help="frames before and after that the model looks at, 0 to 2 (default: as the recipe finds best)",
    )
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="of all random numbers (default: 0)")
    parser.add_argument(
        "--steady",
        action=BooleanOptionalAction,
        help="take the scan's flicker out, here and in apply (default: yes, unless its luma is protected)",
    )
    parser.add_argument(
        "--shrinkage",
        default="",
        metavar="PERCENT",
        help="recipe steady: what the film has shrunk by, to be given back: 0.8%%, or 0.8%%,0.6%% along the film and "
        "across it, or 'reference' where pairs show it (default: nothing)",
    )
    parser.add_argument(
        "--fill",
        choices=("edge", "zoom"),
        default="edge",
        help="recipe steady: where a frame is moved in from outside its outermost pixels go on (edge, the default), or "
        "all frames are enlarged until nothing of that shows (zoom)",
    )
    parser.add_argument(
        "--accept", action="store_true", help="take made references without a look at them (recipe exemplar)"
    )
    parser.add_argument("--operator", default="", metavar="NAME", help="who is responsible, for the record")
    parser.add_argument("--resume", action="store_true", help="go on with the newest run, with its own settings")
    parser.add_argument("--detach", action="store_true", help="train in the background and return at once")


def run(arguments: Namespace) -> dict[str, Any]:
    started = time.monotonic()
    restoration = open_restoration(arguments.folder)
    trainer(restoration)
    if arguments.resume:
        work = restoration.latest_run()
        if work is None:
            raise WetgateError(f"{restoration.folder} has no run to go on with: leave --resume out.")
        if work.state == "finished":
            raise WetgateError(f"Run {work.number:03d} of {restoration.folder} is finished: train without --resume.")
    else:
        if not restoration.pairs() and not restoration.footage:
            wanted = wanted_by(restoration.recipe)
            raise WetgateError(
                f"{restoration.folder} holds {'no pairs' if '--reference' in wanted else 'no frames'}: add some with "
                f"`wetgate add {arguments.folder} {wanted}`."
            )
        work = restoration.new_run(_settings(arguments, restoration))
    if arguments.detach:
        words = [sys.executable, "-m", "wetgate", "train", str(restoration.folder), "--resume", "--json"]
        pid = start_detached(words, work.log)
        return {"state": "started", "run": work.number, "folder": str(work.folder), "pid": pid}
    result = _train(restoration, work, started, quiet=arguments.json)
    return result | {"unheeded": [] if arguments.resume else _unheeded(arguments, restoration.recipe)}


def _unheeded(arguments: Namespace, recipe: str) -> list[str]:
    """Options that were given and say nothing to the recipe."""
    parser = ArgumentParser()
    add_arguments(parser)
    return [
        f"--{name.replace('_', '-')}"
        for name, recipes in _HEEDED_BY.items()
        if recipe not in recipes and getattr(arguments, name) != parser.get_default(name)
    ]


def _train(restoration: Restoration, work: Run, started: float, *, quiet: bool) -> dict[str, Any]:
    """Train ``work`` in this process; Ctrl-C and SIGTERM keep what there is."""
    train = trainer(restoration)
    settings = work.settings
    options = Options(
        protect=settings["protect"],
        grain=settings.get("grain", "keep"),
        radius=settings.get("radius"),
        seconds=settings["time_s"],
        steps=settings["steps"],
        device=settings["device"],
        hold_out=settings["hold_out"],
        seed=settings["seed"],
        steady=settings.get("steady", False),
        shrinkage=settings.get("shrinkage", ""),
        fill=settings.get("fill", "edge"),
        accept=settings.get("accept", False),
        operator=settings["operator"],
    )
    total = 0.0 if restoration.recipe == "steady" else options.seconds or 0.0  # steady takes what it takes
    with work.lock(), Progress(total or None, "s", quiet=quiet) as progress:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: _ask_to_stop(work))

        def follow(status: dict[str, Any]) -> None:
            progress.update(round(min(time.monotonic() - started, total or 1e9), 1), _note(status))

        try:
            return {"folder": str(work.folder), **train(restoration, work, options, started, follow)}
        except (WetgateError, ImportError) as error:
            with contextlib.suppress(WetgateError):
                work.write_status({"state": "failed", "message": str(error)})
            raise
        finally:
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, signal.SIG_DFL if number == signal.SIGTERM else signal.default_int_handler)


def describe(result: dict[str, Any]) -> str:
    if result["state"] == "started":
        return (
            f"Run {result['run']:03d} trains in the background (process {result['pid']}).\n"
            "Follow it with `wetgate status FOLDER --follow`, end it with `wetgate stop FOLDER`."
        )
    if result["state"] == "stopped":
        return f"Stopped. The model so far: {result['model'] or 'none yet'}\nGo on with --resume."
    if "summary" in result:
        lines = [result["summary"]]
    else:
        lines = [f"Trained on {result['pairs']} pairs, {result['steps']} steps, in {result['seconds']:.0f} s."]
    held_out = result.get("held_out")
    if held_out and "delta_e" in held_out.get("restored", {}) and "summary" not in result:
        before, after = held_out["scan"], held_out["restored"]
        lines.append(
            f"On pairs it had not seen: colour difference {before['delta_e']:.1f} before, {after['delta_e']:.1f} after."
        )
    if "note" in result:
        lines.append(result["note"])
    if result.get("unheeded"):
        lines.append(unheard(result["unheeded"]))
    return "\n".join([*lines, f"Model:  {result['model']}", f"Report: {result['report']}"])


def _settings(arguments: Namespace, restoration: Restoration) -> dict[str, Any]:
    seconds = None if arguments.steps is not None else (arguments.time or 60.0)
    return {
        "recipe": restoration.recipe,
        "encoding": restoration.encoding,
        "protect": arguments.protect,
        "grain": arguments.grain,
        "radius": arguments.radius,
        "time_s": seconds,
        "steps": arguments.steps,
        "device": arguments.device,
        "hold_out": arguments.hold_out,
        "seed": arguments.seed,
        "shrinkage": arguments.shrinkage,
        "fill": arguments.fill,
        "accept": arguments.accept,
        "steady": is_steadied(restoration.recipe, arguments.protect, arguments.steady),
        "operator": arguments.operator,
    }


def is_steadied(recipe: str, protect: str, wanted: bool | None) -> bool:
    """Whether flicker is taken out first: as ``wanted``, or else unless the recipe keeps the scan's luma."""
    if recipe not in _HEEDED_BY["steady"]:
        return False
    return not (protect == "luma" and recipe in _HEEDED_BY["protect"]) if wanted is None else wanted


def unheard(options: Sequence[str]) -> str:
    """The sentence about options that say nothing to a recipe."""
    return f"{' and '.join(options)} said nothing to this recipe."


def _ask_to_stop(work: Run) -> None:
    work.send("stop")


def _note(status: dict[str, Any]) -> str:
    parts = [str(status.get("message") or status.get("state", ""))]
    if status.get("step"):
        parts.append(f"step {status['step']}")
    if status.get("validation") is not None:
        parts.append(f"held-out error {status['validation']:.4f}")
    return ", ".join(parts)


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise ArgumentTypeError(f"'{text}' is no number of steps")
    return int(text)
