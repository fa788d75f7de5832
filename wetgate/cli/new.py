"""`wetgate new`: start a restoration folder."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from typing import Any

from wetgate.cli.wanted import wanted_by
from wetgate.project import ENCODINGS, RECIPES, create_restoration

HELP = "Start a restoration folder: plain files that hold the pairs, the trainings and the models of one job."
EPILOG = "example:\n  wetgate new reel3_shot010.wetgate --recipe color --element '35 mm Eastmancolor print, reel 3'"


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("folder", metavar="FOLDER", help="a new folder, by custom NAME.wetgate")
    parser.add_argument("--recipe", required=True, choices=RECIPES, help="what is to be restored")
    parser.add_argument(
        "--encoding",
        choices=ENCODINGS,
        default="display",
        help="how the pictures are coded: display (0-1, gamma coded; the default), linear (scene-linear), "
        "log (Cineon code values)",
    )
    parser.add_argument("--element", default="", help="the film element that was scanned, for the record")
    parser.add_argument("--rights", default="", help="licence or authorisation to use it, for the record")


def run(arguments: Namespace) -> dict[str, Any]:
    restoration = create_restoration(arguments.folder, arguments.recipe, arguments.encoding)
    if arguments.element or arguments.rights:
        restoration.add_source(arguments.element, rights=arguments.rights)
    return {
        "folder": str(restoration.folder),
        "recipe": restoration.recipe,
        "encoding": restoration.encoding,
        "sources": restoration.sources,
    }


def describe(result: dict[str, Any]) -> str:
    return (
        f"Made {result['folder']} for the recipe {result['recipe']}, {result['encoding']} pictures.\n"
        f"Next: wetgate add {result['folder']} {wanted_by(result['recipe'])}"
    )
