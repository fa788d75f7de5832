"""`wetgate exemplar`: pictures to take colours from, and colours that are known."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import Any

from wetgate.cli.places import parse_frame, parse_place
from wetgate.errors import WetgateError
from wetgate.images import read_image, to_display
from wetgate.pairing import exemplars
from wetgate.pairing.known_colours import NAMES, Hint, look_at
from wetgate.pairing.links import Link
from wetgate.pairing.unfading import hints_of
from wetgate.project import Restoration, open_restoration

HELP = "Name a painting or photograph whose colours a restoration may take, or colours that you know in the scan."
EPILOG = f"""The restoration is of the recipe exemplar; the frames that links and colours speak of were added before. A
link says "this has the colours of that": a box in the scan's frame, =, a box in the picture, in pixels from the top
left. Without @FRAME it is the first of the frames.
Known colours are one of {", ".join(NAMES)}, or #rrggbb; they steer how the scan is unfaded.
`wetgate prepare` then makes references to look at; nothing is learnt from before you accept it.

examples:
  wetgate exemplar shot.wetgate --picture virgin.jpg --rights 'public domain' --link 300,80,40,40=512,210,60,60@1041
  wetgate exemplar shot.wetgate --known white=310,125@1041"""


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("folder", metavar="FOLDER", help="the restoration folder")
    parser.add_argument("--picture", metavar="FILE", help="a picture of another scene; it is copied into FOLDER")
    parser.add_argument("--rights", default="", help="licence or authorisation to use the picture, for the record")
    parser.add_argument("--element", default="", help="what it is, in the archive's words, for the record")
    parser.add_argument("--weight", type=float, default=1.0, metavar="W", help="beside other pictures (default: 1)")
    parser.add_argument(
        "--link",
        action="append",
        default=[],
        metavar="X,Y,W,H=X,Y,W,H[@FRAME]",
        help="a place in the scan's frame, and the place in the picture whose colours it has",
    )
    parser.add_argument(
        "--strokes",
        action="append",
        default=[],
        metavar="SCAN_FILE=PICTURE_FILE[@FRAME]",
        help="instead of boxes: pictures of strokes over both; what has one colour belongs together",
    )
    parser.add_argument(
        "--known", action="append", default=[], metavar="COLOUR=X,Y[,W,H][@FRAME]", help="a colour that you know"
    )


def run(arguments: Namespace) -> dict[str, Any]:
    restoration = open_restoration(arguments.folder)
    if restoration.recipe != "exemplar":
        raise WetgateError(
            f"{restoration.folder} is for the recipe '{restoration.recipe}': pictures of other scenes serve the recipe "
            "exemplar alone."
        )
    if arguments.picture is None and (arguments.link or arguments.strokes or not arguments.known):
        raise WetgateError("Name a picture with --picture, or a colour that you know with --known.")
    if arguments.picture is not None and not arguments.rights.strip():
        raise WetgateError("Say with --rights by what right the picture is used, such as --rights 'public domain'.")
    frames = sorted({pair.frame for pair in restoration.pairs() if pair.region is None})
    links = [_link(text, frames) for text in arguments.link]
    strokes = [_strokes(text, frames) for text in arguments.strokes]
    hints = [_hint(restoration, text, frames) for text in arguments.known]
    number = None
    if arguments.picture is not None:
        number = exemplars.add(
            restoration,
            Path(arguments.picture),
            rights=arguments.rights,
            element=arguments.element,
            weight=arguments.weight,
            links=links,
            strokes=strokes,
        )
    if hints:
        known = [*hints_of(restoration), *hints]
        restoration.update(settings={"hints": [hint.as_dict() for hint in known]})
    return {
        "folder": str(restoration.folder),
        "exemplar": number,
        "links": len(links) + len(strokes),
        "known": [hint.as_dict() for hint in hints],
    }


def describe(result: dict[str, Any]) -> str:
    lines = []
    if result["exemplar"] is not None:
        links = f", linked to the scan {_times(result['links'])}" if result["links"] else ""
        lines.append(f"Added the picture as exemplars/{result['exemplar']:04d} to {result['folder']}{links}.")
    if result["known"]:
        lines.append(f"Noted {len(result['known'])} known colours.")
    return "\n".join([*lines, f"Next: wetgate prepare {result['folder']}"])


def _times(count: int) -> str:
    return {1: "once", 2: "twice"}.get(count, f"{count} times")


def _link(text: str, frames: list[int]) -> Link:
    whole = f"--link {text}"
    boxes, frame = parse_frame(text, _first(frames, whole), whole)
    scan, _, picture = boxes.partition("=")
    return Link(parse_place(scan, whole), parse_place(picture, whole), frame)


def _strokes(text: str, frames: list[int]) -> tuple[Path, Path, int]:
    whole = f"--strokes {text}"
    files, frame = parse_frame(text, _first(frames, whole), whole)
    here, equals, there = files.partition("=")
    if not (here and equals and there):
        raise WetgateError(f"{whole}: write the strokes over the scan, =, and those over the picture.")
    return Path(here), Path(there), frame


def _hint(restoration: Restoration, text: str, frames: list[int]) -> Hint:
    whole = f"--known {text}"
    colour, _, rest = text.partition("=")
    place, frame = parse_frame(rest, _first(frames, whole), whole)
    box = parse_place(place, whole)
    for pair in restoration.pairs():
        if pair.frame == frame and pair.region is None:
            return look_at(to_display(read_image(pair.scan).pixels, restoration.encoding), box, colour, frame)
    raise WetgateError(f"{whole}: frame {frame} is not in {restoration.folder}: add it first with `wetgate add`.")


def _first(frames: list[int], whole: str) -> int:
    if not frames:
        raise WetgateError(f"{whole}: the restoration holds no frame yet: add some first with `wetgate add`.")
    return frames[0]
