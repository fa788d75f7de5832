"""`wetgate accept`: take the references that were made, as they are or corrected."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from typing import Any

from wetgate.errors import WetgateError
from wetgate.images import parse_frames
from wetgate.project import open_restoration
from wetgate.recipes.proposals import accept

HELP = "Take the references that `wetgate prepare` made for the recipe exemplar, so that they are trained on."
EPILOG = """Look at prepared.exr in the folder of each pair first, or at all of them on the page proofs/pairs.png. To
correct one, paint over it in any program and put the result beside it as corrected.exr, .tif, .png, .dpx or .jpg: a
layer with alpha, or the whole picture. What was painted there counts as the artist's own paint.

examples:
  wetgate accept reel5.wetgate                 all that wait
  wetgate accept reel5.wetgate --pairs 1,4-9   these"""


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("folder", metavar="FOLDER", help="the restoration folder")
    parser.add_argument("--pairs", metavar="NUMBERS", help="which pairs, such as 1,4-9 (default: all that wait)")


def run(arguments: Namespace) -> dict[str, Any]:
    restoration = open_restoration(arguments.folder)
    if restoration.recipe != "exemplar":
        raise WetgateError(
            f"{restoration.folder} is for the recipe '{restoration.recipe}', whose references are not made: "
            "`wetgate prepare` accepts or rejects its pairs."
        )
    numbers = None if arguments.pairs is None else parse_frames(arguments.pairs)
    taken = accept(restoration, numbers)
    return {
        "folder": str(restoration.folder),
        "accepted": [{"pair": pair.number, "frame": pair.frame, "reason": pair.reason} for pair in taken],
        "waiting": [pair.number for pair in restoration.pairs({"prepared"})],
    }


def describe(result: dict[str, Any]) -> str:
    lines = [f"pair {one['pair']:04d}, frame {one['frame']}: accepted, {one['reason']}" for one in result["accepted"]]
    if not lines:
        lines = [f"No reference waits in {result['folder']}."]
    if result["waiting"]:
        return "\n".join([*lines, f"{len(result['waiting'])} still wait."])
    return "\n".join([*lines, f"Next: wetgate train {result['folder']}"])
