"""`wetgate apply`: run a model over a sequence or a video."""

from __future__ import annotations

import contextlib
from argparse import ArgumentParser, ArgumentTypeError, BooleanOptionalAction, Namespace
from pathlib import Path
from typing import Any

from wetgate.cli.progress import Progress
from wetgate.errors import WetgateError
from wetgate.images import Source, open_sink, open_source, parse_frames
from wetgate.inference.curves import Curves, kept
from wetgate.inference.sequences import apply, chosen
from wetgate.inference.session import DEVICES, Session
from wetgate.project import open_restoration
from wetgate.records import receipts

HELP = "Run a model over a sequence or a video. Interrupted or killed, the same command goes on where it was."
EPILOG = """A PATTERN is a folder, a sequence such as shot.####.dpx or shot.%04d.dpx, one picture, or a video.
OUTPUT is a folder (names and format as the scan's), a pattern, or a video, which is made in one go.
Pixels outside the mask are the scan's own, bit for bit. Each frame gets a receipt in OUTPUT/.wetgate.

example:
  wetgate apply reel3.wetgate scans/shot.####.dpx restored/ --frames 1001-1100 --change-map changes/"""


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("model", metavar="MODEL", help="an ONNX file, or a restoration folder (its newest model)")
    parser.add_argument("scan", metavar="SCAN_PATTERN", help="the pictures to restore")
    parser.add_argument("output", metavar="OUTPUT", help="where the restored pictures go")
    parser.add_argument("--frames", metavar="FRAMES", help="which frames (default: all)")
    parser.add_argument("--mask", metavar="PATTERN", help="restore only where these pictures, or this one, are white")
    parser.add_argument(
        "--steady",
        action=BooleanOptionalAction,
        help="take flicker out first: the exposure of the whole scan is measured once, then each frame is steadied "
        "before the model sees it; real changes of light stay (default: as the model was trained)",
    )
    parser.add_argument("--change-map", metavar="DIR", help="also write what was changed: pictures and figures")
    parser.add_argument("--device", choices=DEVICES, default="auto", help="where to compute (default: auto)")
    parser.add_argument(
        "--tile",
        metavar="auto|N",
        type=_tile,
        default=None,
        help="pixels on a side of the tiles that large frames are cut into; the result is the same "
        "(default: auto, as many as a fixed memory budget holds)",
    )


def run(arguments: Namespace) -> dict[str, Any]:
    model = _model(Path(arguments.model))
    session = Session(model, arguments.device)
    with contextlib.ExitStack() as opened:
        source = opened.enter_context(open_source(arguments.scan))
        mask = opened.enter_context(open_source(arguments.mask)) if arguments.mask is not None else None
        frames = chosen(source, parse_frames(arguments.frames) if arguments.frames is not None else None)
        sink = open_sink(arguments.output, source)
        steady = session.card.steady if arguments.steady is None else arguments.steady
        curves = _curves(source, session.card.encoding, sink.path(frames[0]), arguments) if steady else None
        progress = opened.enter_context(Progress(len(frames), "frames", quiet=arguments.json))
        result = apply(
            session,
            source,
            sink,
            frames=frames,
            mask=mask,
            curves=curves,
            change_map=Path(arguments.change_map) if arguments.change_map is not None else None,
            tile=arguments.tile,
            progress=progress.update,
        )
    return {"model": str(model), "model_sha256": session.model_sha256, "recipe": session.card.recipe, **result}


def describe(result: dict[str, Any]) -> str:
    made = f"Restored {result['restored']} frames"
    if result["kept"]:
        made += f" ({result['kept']} were done already)"
    lines = [f"{made} into {result['output']}, on {result['device']}."]
    if result["steadied"]:
        steadied = result["steadied"]
        lines.append(f"Steadied before: {steadied['frames']} frames, by at most {steadied['largest']:.3f} density.")
    changes = result["changes"]
    lines.append(
        f"Changed: {changes['share']:.1%} of the pixels, by {changes['mean']:.4f} on average, "
        f"at most {changes['largest']:.4f} (frame {changes['largest_in_frame']})."
    )
    coverage = result["coverage"]
    if coverage:
        least = min(coverage, key=coverage.__getitem__)
        lines.append(f"Least like the training pairs: frame {least} (coverage {coverage[least]:.0%}).")
    return "\n".join([*lines, *result["notes"]])


def _curves(source: Source, encoding: str, output: Path, arguments: Namespace) -> Curves:
    """The scan's exposure curves, kept beside the receipts so that a resumed run gives the same bits."""

    def measure() -> Curves:
        from wetgate.pairing import deflicker

        with Progress(len(source.frames), "frames measured", quiet=arguments.json) as progress:
            return deflicker.measure(source, encoding or "display", follow=progress.update)

    return kept(output.parent / receipts.FOLDER, source, encoding or "display", measure)


def _tile(text: str) -> int | None:
    if text == "auto":
        return None
    if not text.isdecimal() or int(text) < 1:
        raise ArgumentTypeError(f"'{text}' is neither 'auto' nor a number of pixels")
    return int(text)


def _model(path: Path) -> Path:
    """The model to run: ``path`` itself, or the newest model of the restoration there."""
    if not path.is_dir():
        return path
    models = [run.model for run in open_restoration(path).runs() if run.model.exists()]
    if not models:
        raise WetgateError(f"{path} has no model yet: run `wetgate train {path}` first.")
    return models[-1]
