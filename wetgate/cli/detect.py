"""`wetgate detect`: find damage, as masks to look at and to edit."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wetgate.cli.apply import model_of
from wetgate.cli.progress import Progress
from wetgate.errors import WetgateError
from wetgate.images import format_frames, open_source, parse_frames, require_outside_sequence, to_display
from wetgate.inference.finding import write_masks
from wetgate.inference.sequences import chosen
from wetgate.inference.session import DEVICES, Session
from wetgate.pairing.splices import find_splices, thumbnail

HELP = "Find dust, scratches, stains and splices: a mask for each frame, to look at and to edit."
EPILOG = """A PATTERN is a folder, a sequence such as shot.####.dpx or shot.%04d.dpx, one picture, or a video.
The masks are white where the model would repair. Paint out what is no damage and paint in what was missed, then let
`apply` repair exactly there. A mask that is there already is left as it is, for it may have been edited.

example:
  wetgate detect reel3.wetgate scans/shot.####.dpx masks/
  wetgate apply reel3.wetgate scans/shot.####.dpx repaired/ --damage masks/"""

_SHOWN = 5


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("model", metavar="MODEL", help="an ONNX file, or a restoration folder (its newest model)")
    parser.add_argument("scan", metavar="SCAN_PATTERN", help="the pictures to look through")
    parser.add_argument("masks", metavar="MASKS", help="the folder for the masks")
    parser.add_argument("--frames", metavar="FRAMES", help="which frames (default: all)")
    parser.add_argument("--overwrite", action="store_true", help="make masks anew that are there already")
    parser.add_argument("--device", choices=DEVICES, default="auto", help="where to compute (default: auto)")


def run(arguments: Namespace) -> dict[str, Any]:
    session = Session(model_of(Path(arguments.model)), arguments.device)
    folder = Path(arguments.masks)
    with open_source(arguments.scan) as source:
        frames = chosen(source, parse_frames(arguments.frames) if arguments.frames is not None else None)
        if not source.is_video and folder.resolve() == source.path(frames[0]).resolve().parent:
            raise WetgateError(
                f"{folder} is the scan's own folder, where nothing is written: choose another for the masks."
            )
        require_outside_sequence(folder, folder, source)
        encoding = session.card.encoding or "display"
        small = {}

        def look(frame: int, pixels: NDArray[np.float32]) -> None:
            small[frame] = thumbnail(np.clip(to_display(pixels, encoding), 0, 1))

        with Progress(len(frames), "frames", quiet=arguments.json) as progress:
            found = write_masks(
                session,
                source,
                folder,
                frames,
                overwrite=arguments.overwrite,
                look=look,
                progress=progress.update,
            )
    return {
        "masks": str(folder),
        "frames": format_frames(frames),
        "kept": format_frames([one.frame for one in found if one.kept]),
        "share": {str(one.frame): round(one.share, 6) for one in found},
        "splices": [{"frame": one.frame, "kind": one.kind} for one in find_splices(small)],
        "device": session.device,
    }


def describe(result: dict[str, Any]) -> str:
    share: dict[str, float] = result["share"]
    worst = sorted((frame for frame in share if share[frame]), key=lambda frame: -share[frame])[:_SHOWN]
    most = ", ".join(f"frame {frame} ({share[frame]:.2%})" for frame in worst)
    lines = [
        f"Masks of frames {result['frames']} are in {result['masks']}; on average "
        f"{np.mean(list(share.values())):.2%} of a frame is damaged.",
        f"Most damaged: {most}." if worst else "No damage was found on any of them.",
    ]
    if result["kept"]:
        lines.append(
            f"Frames {result['kept']} had masks already; they were left as they are (--overwrite makes them anew)."
        )
    if result["splices"]:
        told = ", ".join(f"{one['kind']} at {one['frame']}" for one in result["splices"])
        lines.append(f"Splices and cuts: {told}.")
    return "\n".join([*lines, "Next: look at the masks, edit them, and run `wetgate apply ... --damage` with them."])
