"""`wetgate evaluate`: how good a restoration is."""

from __future__ import annotations

import contextlib
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from wetgate.cli.progress import Progress
from wetgate.errors import WetgateError
from wetgate.evaluation import Measures, Report, Row, Table, as_text, write_report
from wetgate.evaluation.restorations import (
    common_frames,
    evaluate_pairs,
    evaluate_sequence,
    newest_model,
    split_pairs,
)
from wetgate.images import Pixels, open_source, parse_frames
from wetgate.inference.curves import Curves
from wetgate.inference.session import DEVICES
from wetgate.project import Pair, Restoration, open_restoration
from wetgate.recipes.exposure import curves_of_run
from wetgate.recipes.neighbours import possible_radius, window

HELP = "Measure the newest model on its pairs, or a result against a truth, and write a report to look at."
EPILOG = """Without --result, the newest model is run on the accepted pairs; those that its training held out
are listed apart, for only they say how well other frames will do. The page goes to the run's report.html.

With --result and --truth, frames of the same number are compared (both in the restoration's encoding). The
page goes to truth.html in FOLDER, or where --report says.

examples:
  wetgate evaluate reel3.wetgate
  wetgate evaluate reel3.wetgate --result restored/ --truth graded/shot.####.exr --scan scans/ --frames 1001-1100x10"""


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("folder", metavar="FOLDER", help="the restoration folder")
    parser.add_argument("--result", metavar="PATTERN", help="restored pictures to measure instead of the model")
    parser.add_argument("--truth", metavar="PATTERN", help="how they should look")
    parser.add_argument("--scan", metavar="PATTERN", help="the pictures that were restored, measured for comparison")
    parser.add_argument("--frames", metavar="FRAMES", help="which frames (default: all that the sequences share)")
    parser.add_argument("--inset", metavar="N", type=int, default=0, help="leave N pixels out along each edge")
    parser.add_argument("--device", choices=DEVICES, default="auto", help="where the model runs (default: auto)")
    parser.add_argument("--report", metavar="PATH", help="where the page goes (HTML)")


def run(arguments: Namespace) -> dict[str, Any]:
    restoration = open_restoration(arguments.folder)
    if arguments.result is None and arguments.truth is None:
        if arguments.scan or arguments.frames:
            raise WetgateError("--scan and --frames choose frames to compare: give --result and --truth with them.")
        report, path = _on_pairs(restoration, arguments)
    elif arguments.result is None or arguments.truth is None:
        raise WetgateError("--result and --truth belong together: give both, or neither to measure the pairs.")
    else:
        report, path = _on_sequence(restoration, arguments)
    write_report(path, report)
    return {
        "folder": str(restoration.folder),
        "tables": [asdict(table) for table in report.tables],
        "limits": list(report.limits),
        "report": str(path),
    }


def describe(result: dict[str, Any]) -> str:
    parts = [as_text(table) for table in (_table(plain) for plain in result["tables"]) if table.ranked]
    return "\n\n".join([*parts, f"Look at {result['report']}"])


def _on_pairs(restoration: Restoration, arguments: Namespace) -> tuple[Report, Path]:
    latest = newest_model(restoration)
    count = sum(map(len, split_pairs(restoration, latest)))
    curves = curves_of_run(latest, restoration)
    with Progress(count, "pairs", quiet=arguments.json) as progress:
        report = evaluate_pairs(
            restoration,
            latest,
            inset=arguments.inset,
            device=arguments.device,
            windows=lambda pair, radius: _window(restoration, pair, radius, curves.get(pair.number)),
            follow=progress.update,
        )
    return report, Path(arguments.report or latest.report)


def _window(restoration: Restoration, pair: Pair, radius: int, curves: Curves | None) -> Sequence[Pixels]:
    """The frames around a pair, steadied by ``curves`` if there are any; none where they are not to be had."""
    if not radius and curves is None:
        return ()
    try:
        possible, _ = possible_radius(restoration, [pair], radius)
        return window(restoration, pair, radius, curves) if possible == radius else ()
    except WetgateError:
        return ()


def _on_sequence(restoration: Restoration, arguments: Namespace) -> tuple[Report, Path]:
    wanted = None if arguments.frames is None else parse_frames(arguments.frames)
    with contextlib.ExitStack() as opened:
        result = opened.enter_context(open_source(arguments.result))
        truth = opened.enter_context(open_source(arguments.truth))
        scan = None if arguments.scan is None else opened.enter_context(open_source(arguments.scan))
        frames = common_frames(result, truth, scan, wanted)
        progress = opened.enter_context(Progress(len(frames), "frames", quiet=arguments.json))
        report = evaluate_sequence(
            restoration, result, truth, scan, frames=frames, inset=arguments.inset, follow=progress.update
        )
    return report, Path(arguments.report or restoration.folder / "truth.html")


def _table(plain: dict[str, Any]) -> Table:
    rows = [Row(**{**row, "measures": Measures(**row["measures"])}) for row in plain["rows"]]
    return Table(**{**plain, "rows": rows})
