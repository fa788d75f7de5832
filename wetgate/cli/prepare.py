"""`wetgate prepare`: check the pairs, accept or reject each with a reason."""

from __future__ import annotations

import itertools
from argparse import ArgumentParser, Namespace
from typing import Any

from wetgate.cli.progress import Progress
from wetgate.errors import WetgateError
from wetgate.pairing.gallery import write_proofs
from wetgate.pairing.prepare import prepare
from wetgate.project import MADE_REFERENCES, open_restoration
from wetgate.recipes.proposals import propose

HELP = "Lay each reference over its scan, and accept or reject each pair with a reason."
EPILOG = """The reference may be of another size, cropped, turned or a little warped. A pair that lies within a quarter
of a pixel stays as it was collected. `wetgate train` does this by itself for pairs that were only collected.

Of the recipe exemplar, references are made from paint, paintings and the scan's own fading: look at them, correct
them if need be (a picture called `corrected` beside prepared.exr), and take them with `wetgate accept`.

example:
  wetgate prepare reel3.wetgate"""


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("folder", metavar="FOLDER", help="the restoration folder")


def run(arguments: Namespace) -> dict[str, Any]:
    restoration = open_restoration(arguments.folder)
    refusal = None
    makes = restoration.recipe in MADE_REFERENCES  # of more frames than there are pairs, where paint is carried
    with Progress(None if makes else len(restoration.pairs()), "pairs", quiet=arguments.json) as progress:
        done = itertools.count(1)
        try:
            make = propose if makes else prepare
            make(restoration, lambda pair: progress.update(next(done), f"frame {pair.frame}: {pair.state}"))
        except WetgateError as error:
            if not restoration.pairs() or restoration.pairs({"collected", "accepted"}):
                raise
            refusal = error
    with Progress(len(restoration.pairs()), "proofs", quiet=arguments.json) as progress:
        drawn = itertools.count(1)
        sheet = write_proofs(restoration, lambda pair: progress.update(next(drawn), f"frame {pair.frame}"))
    if refusal is not None:
        raise WetgateError(f"{refusal} Look at {sheet}.") from refusal
    return {
        "folder": str(restoration.folder),
        "proofs": str(sheet),
        "pairs": [
            {
                "pair": pair.number,
                "frame": pair.frame,
                "state": pair.state,
                "reason": pair.reason,
                "residual_px": pair.residual_px,
                "transform": pair.transform,
            }
            for pair in restoration.pairs()
        ],
    }


def describe(result: dict[str, Any]) -> str:
    lines = []
    for pair in result["pairs"]:
        off = "" if pair["residual_px"] is None else f", {pair['residual_px']:.2f} px off"
        if pair["transform"] is not None:
            before = pair["transform"]["before_px"]
            was = "" if before is None else f", {before:.2f} before"
            off += f" after alignment ({pair['transform']['kind']}{was})"
        reason = f": {pair['reason']}" if pair["reason"] else ""
        lines.append(f"pair {pair['pair']:04d}, frame {pair['frame']}: {pair['state']}{off}{reason}")
    lines.append(f"Look at {result['proofs']} and the pictures beside it.")
    if any(pair["state"] == "prepared" for pair in result["pairs"]):
        lines.append(f"Next: wetgate accept {result['folder']}")
    return "\n".join(lines)
