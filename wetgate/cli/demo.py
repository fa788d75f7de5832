"""`wetgate demo`: the whole way on real footage."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import Any

from wetgate.cli.main import invoke
from wetgate.errors import WetgateError
from wetgate.images import format_frames, open_source
from wetgate.project import open_restoration
from wetgate.simulate.footage import demo_footage

HELP = "The whole way on real footage: it decays, six pairs are collected, a model is trained, every frame restored."
EPILOG = """The footage comes with a Python package and decays by simulation: dye fade, grain, dust, weave, flicker.
Each step is a verb of its own and is printed as it runs. A second demo in the same folder trains anew.

example:
  wetgate demo --folder demo --time 60s"""

_PAIRS = 6
_RUN, _EVERY = 5, 25


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--folder", default="demo", metavar="DIR", help="where everything goes (default: demo)")
    parser.add_argument("--time", default="60s", metavar="60s", help="how long the training may take (default: 60s)")
    parser.add_argument("--frames", type=int, default=250, metavar="N", help="of the footage, from its start (250)")
    parser.add_argument("--seed", type=int, default=0, help="of the decay: another number is another print")


def run(arguments: Namespace) -> dict[str, Any]:
    if arguments.frames < _PAIRS:
        raise WetgateError(f"The demo needs {_PAIRS} frames at least: raise --frames.")
    folder = Path(arguments.folder)
    scan, truth, reference = (f"{folder / name}/bikes.####.{suffix}" for name, suffix in _PLACES)
    restored, reel = folder / "restored", folder / "bikes.wetgate"
    machine = ["--json"] if arguments.json else []
    if not _is_there(scan, arguments.frames):
        decayed = ["--truth", truth, "--reference", reference, "--seed", str(arguments.seed)]
        invoke(["simulate", str(demo_footage()), scan, "--frames", f"1-{arguments.frames}", *decayed, *machine])
    if not (reel / "restoration.json").exists():
        invoke(["new", str(reel), "--recipe", "color", "--encoding", "display", *machine])
    if not open_restoration(reel).pairs():
        pairs = format_frames([int((i + 0.5) * arguments.frames / _PAIRS) + 1 for i in range(_PAIRS)])
        invoke(["add", str(reel), "--scan", scan, "--reference", reference, "--frames", pairs, *machine])
    trained = invoke(["train", str(reel), "--time", arguments.time, *machine])
    invoke(["apply", str(reel), scan, str(restored), *machine])
    pictures = ["--result", str(restored), "--truth", truth, "--scan", scan]
    page = ["--frames", format_frames(_judged(arguments.frames)), "--report", str(folder / "report.html")]
    evaluated = invoke(["evaluate", str(reel), *pictures, *page, *machine])
    return {"folder": str(folder), "trained": trained, "evaluated": evaluated, "restored": str(restored)}


def describe(result: dict[str, Any]) -> str:
    from wetgate.cli.evaluate import describe as tables

    return "\n".join(
        [
            tables(result["evaluated"]).rpartition("\n\n")[0],
            "",
            "Where to look:",
            f"  {result['evaluated']['report']}   scan, restored and truth side by side, with a wipe",
            f"  {result['trained']['report']}   how the training went, judged on pairs it had not seen",
            f"  {result['restored']}   the restored frames",
            f"  {result['trained']['model']}   the model: `wetgate apply` runs it on other frames",
        ]
    )


_PLACES = (("scan", "dpx"), ("truth", "dpx"), ("reference", "dpx"))


def _is_there(pattern: str, frames: int) -> bool:
    try:
        with open_source(pattern) as source:
            return source.frames == list(range(1, frames + 1))
    except WetgateError:
        return False


def _judged(frames: int) -> list[int]:
    """Runs of five frames, so that flicker can be measured, without the frames that were paired."""
    paired = {int((i + 0.5) * frames / _PAIRS) + 1 for i in range(_PAIRS)}
    runs = [start + offset for start in range(3, frames, _EVERY) for offset in range(_RUN)]
    return [frame for frame in runs if frame <= frames and frame not in paired]
