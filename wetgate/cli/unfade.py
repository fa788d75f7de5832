"""`wetgate unfade`: a first answer from a faded scan alone, in seconds."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import Any

import numpy as np

from wetgate.cli.places import parse_frame, parse_place
from wetgate.errors import WetgateError
from wetgate.files import make_folder
from wetgate.images import (
    ENCODINGS,
    Source,
    format_frames,
    open_source,
    parse_frames,
    require_outside_sequence,
    to_display,
    write_image,
)
from wetgate.images.still import FORMATS
from wetgate.pairing.dyes import STOCKS, UNKNOWN
from wetgate.pairing.known_colours import NAMES, Hint, look_at
from wetgate.recipes.unfade import Unfaded, unfaded, write

HELP = "Undo the fading of a colour print as far as the scan itself tells it: a model in seconds, without a reference."
EPILOG = f"""One estimate holds for all frames that are looked at, so colour is steady: name the frames of one shot, or
leave --frames out for a reel that has faded alike. Say what you know: --known white=310,125 looks at the pixels there,
in the first frame or in the one behind @; the colour is one of {", ".join(NAMES)}, or #rrggbb.
The model is a first answer, and colour that is inferred: pairs with a reference, or paint (recipe exemplar), know more.

examples:
  wetgate unfade scans/shot.####.dpx shot.onnx --encoding log --preview look.png
  wetgate unfade scan.mov shot.onnx --frames 1-240 --known white=310,125@12 --known skin=80,70,12,8@96"""

_LOOKED_AT = 24


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("scan", metavar="SCAN_PATTERN", help="the faded pictures")
    parser.add_argument("model", metavar="MODEL", help="where the model goes, an .onnx file")
    parser.add_argument("--frames", metavar="FRAMES", help="the frames to judge by (default: all; 24 of them at most)")
    parser.add_argument(
        "--known", action="append", default=[], metavar="COLOUR=X,Y[,W,H][@FRAME]", help="a colour that you know"
    )
    parser.add_argument(
        "--encoding", choices=ENCODINGS, default="display", help="how the scan is coded (default: display)"
    )
    parser.add_argument(
        "--protect",
        choices=("grain", "luma", "none"),
        default="grain",
        help="what of the scan is kept: its grain and detail (default), its whole luma, or nothing",
    )
    parser.add_argument(
        "--stock", choices=(UNKNOWN, *STOCKS), default=UNKNOWN, help="the print's, where it is known (default: any)"
    )
    parser.add_argument("--preview", metavar="FILE", help="write scan and answer of one frame side by side")
    parser.add_argument("--rights", default="", help="licence or authorisation to use the scan, for the record")
    parser.add_argument("--operator", default="", help="who is responsible, for the record")


def run(arguments: Namespace) -> dict[str, Any]:
    model = Path(arguments.model)
    if model.suffix.lower() != ".onnx":
        raise WetgateError(f"{model} is no name for a model: end it in .onnx.")
    with open_source(arguments.scan) as source:
        if arguments.preview:
            _check_preview(Path(arguments.preview), source)
        frames = source.frames if arguments.frames is None else parse_frames(arguments.frames)
        missing = sorted(set(frames) - set(source.frames))
        if missing:
            raise WetgateError(f"{arguments.scan} has no frame {format_frames(missing)}: choose among its own frames.")
        count = min(len(frames), _LOOKED_AT)
        chosen = [frames[int((index + 0.5) * len(frames) / count)] for index in range(count)]
        hints = [_hint(source, text, frames[0], arguments.encoding) for text in arguments.known]
        scans = [(frame, _read(source, frame)) for frame in chosen]
    answer = unfaded(scans, arguments.encoding, protect=arguments.protect, hints=hints, stock=arguments.stock)
    make_folder(model.absolute().parent)
    looked_at = format_frames(chosen)
    rights, operator = arguments.rights, arguments.operator
    write(model, answer, scan=arguments.scan, frames=looked_at, rights=rights, operator=operator)
    if arguments.preview:
        _preview(Path(arguments.preview), answer, scans[len(scans) // 2][1], arguments.encoding)
    found = answer.unfading
    return {
        "model": str(model),
        "scan": arguments.scan,
        "frames": looked_at,
        "remaining": dict(zip(("cyan", "magenta", "yellow"), found.remaining, strict=True)),
        "stain": dict(zip(("cyan", "magenta", "yellow"), found.stain, strict=True)),
        "known": [hint.as_dict() for hint in hints],
        "preview": arguments.preview,
        "summary": found.described(),
    }


def describe(result: dict[str, Any]) -> str:
    lines = [f"{result['summary']} (frames {result['frames']}).", f"Wrote {result['model']}; its colour is inferred."]
    if result["preview"]:
        lines.append(f"To look at: {result['preview']}")
    return "\n".join([*lines, f"Next: wetgate apply {result['model']} {result['scan']} OUTPUT"])


def _hint(source: Source, text: str, usual: int, encoding: str) -> Hint:
    whole = f"--known {text}"
    colour, _, rest = text.partition("=")
    place, frame = parse_frame(rest, usual, whole)
    box = parse_place(place, whole)
    if frame not in source.frames:
        raise WetgateError(f"{whole}: the scan has no frame {frame}.")
    return look_at(to_display(_read(source, frame), encoding), box, colour, frame)


def _read(source: Source, frame: int) -> Any:
    image = source.read(frame)
    if image.has_bad_pixels():
        raise WetgateError(f"{image.path}, frame {frame}, holds NaN or infinity: repair it, or leave it out.")
    return image.pixels


def _check_preview(path: Path, source: Source) -> None:
    if path.suffix.lower() not in FORMATS:
        raise WetgateError(f"{path} is no name for a picture: end it in {', '.join(FORMATS)}.")
    scan = source.path(source.frames[0])
    if path.resolve() == scan.resolve():
        raise WetgateError(f"{path} would overwrite the scan: choose another name for the preview.")
    require_outside_sequence(path, path.resolve().parent, source)


def _preview(path: Path, answer: Unfaded, scan: Any, encoding: str) -> None:
    from wetgate.recipes.looking import restore

    pictures = [to_display(pixels, encoding) for pixels in (scan, restore(scan, answer.model))]
    make_folder(path.absolute().parent)
    depth = None if path.suffix.lower() == ".exr" else "8"
    write_image(path, np.ascontiguousarray(np.clip(np.hstack(pictures), 0, 1)), bit_depth=depth)
