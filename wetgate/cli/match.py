"""`wetgate match`: which reference frame shows which scan frame."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import Any

from wetgate.cli.progress import Progress
from wetgate.errors import WetgateError
from wetgate.files import write_json
from wetgate.images import format_frames, open_source, parse_frames
from wetgate.pairing.match import Match, Matching, best_spread, match
from wetgate.project import open_restoration

HELP = "Find out which frame of the reference shows which frame of the scan."
EPILOG = """A PATTERN is a folder, a sequence such as shot.####.dpx or shot.%04d.dpx, or a video. Frame rates may
differ, frames and shots may be missing or repeated, and the reference may be cropped, mirrored, interlaced or black
and white. What cannot be told apart is listed as doubtful and never paired. The table goes to FOLDER/matches.json.

example:
  wetgate match reel3.wetgate --scan scans/shot.####.dpx --reference dvd.mpg --add 6"""

SCHEMA_VERSION = 1
"""Of matches.json."""


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("folder", metavar="FOLDER", help="the restoration folder")
    parser.add_argument("--scan", required=True, metavar="PATTERN", help="the pictures to restore")
    parser.add_argument("--reference", required=True, metavar="PATTERN", help="the same film as it should look")
    parser.add_argument("--frames", metavar="FRAMES", help="which frames of the scan (default: all)")
    parser.add_argument("--add", type=int, metavar="K", help="add the K best pairs, spread over the shots")


def run(arguments: Namespace) -> dict[str, Any]:
    restoration = open_restoration(arguments.folder)
    if arguments.add is not None and arguments.add < 1:
        raise WetgateError(f"--add {arguments.add} adds nothing: give the number of pairs to add, 1 or more.")
    frames = None if arguments.frames is None else parse_frames(arguments.frames)
    with (
        open_source(arguments.scan) as scan,
        open_source(arguments.reference) as reference,
        Progress(None, "frames read", quiet=arguments.json) as progress,
    ):
        found = match(scan, reference, frames, lambda done, total: progress.update(done, f"of {total}"))
    result = {
        "schema": SCHEMA_VERSION,
        "scan": str(Path(arguments.scan).absolute()),
        "reference": str(Path(arguments.reference).absolute()),
        **_as_json(found),
    }
    write_json(restoration.folder / "matches.json", result)
    result["folder"] = str(restoration.folder)
    result["added"], result["notes"] = [], []
    if arguments.add is not None:
        best = best_spread(found, arguments.add)
        if not best:
            raise WetgateError(
                "No frame was matched surely enough to add it: see matches.json, or name pairs yourself with "
                "`wetgate add --frames ... --reference-frames ...`."
            )
        added = _add(arguments, best)
        result["added"], result["notes"] = added["pairs"], added["notes"]
    return result


def describe(result: dict[str, Any]) -> str:
    matches = result["matches"]
    sure = [one for one in matches if one["reference_frame"] is not None]
    lines = [
        f"{one['scan_frame']:>8}  {'-' if one['reference_frame'] is None else one['reference_frame']:>8}"
        f"  {one['confidence']:4.0%}  {one['note']}".rstrip()
        for one in matches
    ]
    x0, y0, x1, y1 = result["crop"]
    shown = f"The reference shows {x0:.1%} to {x1:.1%} of the scan's width and {y0:.1%} to {y1:.1%} of its height"
    lines += ["", f"{shown}{', mirrored' if result['mirrored'] else ''}."]
    if result["interlaced"]:
        lines.append(result["interlaced"])
    doubtful = [one["scan_frame"] for one in matches if one["note"].startswith("doubtful")]
    lines.append(f"{len(sure)} of {len(matches)} frames matched in {len(result['shots'])} shots.")
    if doubtful:
        lines.append(f"Doubtful, not paired: {format_frames(doubtful)}.")
    lines += result["notes"]
    if result["added"]:
        lines.append(f"Added {len(result['added'])} pairs. Next: wetgate prepare {result['folder']}")
    return "\n".join(["    scan  reference", *lines])


def _as_json(found: Matching) -> dict[str, Any]:
    return {
        "crop": list(found.crop),
        "mirrored": found.mirrored,
        "interlaced": found.interlaced,
        "shots": [list(shot) for shot in found.shots],
        "matches": [
            {
                "scan_frame": one.scan_frame,
                "reference_frame": one.reference_frame,
                "confidence": one.confidence,
                "note": one.note,
            }
            for one in found.matches
        ],
    }


def _add(arguments: Namespace, best: list[Match]) -> dict[str, Any]:
    from wetgate.cli.main import invoke

    words = ["add", arguments.folder, "--scan", arguments.scan, "--reference", arguments.reference]
    words += ["--frames", format_frames([one.scan_frame for one in best])]
    words += ["--reference-frames", format_frames([one.reference_frame or 0 for one in best])]
    return invoke([*words, *(["--json"] if arguments.json else [])])
