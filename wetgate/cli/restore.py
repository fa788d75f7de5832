"""`wetgate restore`: the whole way in one line."""

from __future__ import annotations

import os
from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import Any

from wetgate.cli.durations import seconds
from wetgate.cli.main import invoke
from wetgate.cli.train import is_steadied, unheard
from wetgate.errors import WetgateError
from wetgate.images import ENCODINGS, format_frames, open_sink, open_source
from wetgate.project import TRAINABLE, Restoration, Run, open_restoration

HELP = "The whole way in one line: pairs from scan and reference, training, restored frames."
EPILOG = """The reference may be of another size, rate or cut: frames are matched (unless it is a sequence whose frame
numbers are the scan's, or --frames says which) and laid over one another. Up to nine pairs are taken, spread over the
shots. The restoration is kept in --folder, so that each step can be gone over again. Interrupted or killed, the same
command goes on where it was; with other options for the training it trains anew, from the pairs that are there.

examples:
  wetgate restore --scan scans/shot.####.dpx --reference dvd.mpg --output restored/ --time 60s
  wetgate restore --scan 16mm/shot.####.dpx --reference 35mm/shot.####.dpx --recipe detail --output restored/"""

_RECIPES = ("color", "detail", "telecine")
"""Those that learn from pairs of a scan and a reference alone."""
_MOST_PAIRS = 9


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--scan", required=True, metavar="PATTERN", help="the pictures to restore")
    parser.add_argument("--reference", required=True, metavar="PATTERN", help="the same pictures as they should look")
    parser.add_argument("--output", required=True, metavar="DIR", help="where the restored pictures go")
    parser.add_argument("--folder", metavar="FOLDER", help="the restoration folder (default: OUTPUT.wetgate)")
    parser.add_argument(
        "--recipe",
        choices=_RECIPES,
        default="color",
        help="what the reference shows better than the scan: its colour (default), its detail, or, as video, what the "
        "film has lost",
    )
    parser.add_argument(
        "--frames",
        metavar="FRAMES",
        help="frames to pair, by numbers that both share (default: up to nine)",
    )
    parser.add_argument("--encoding", choices=ENCODINGS, default="display", help="of the pictures (default: display)")
    parser.add_argument(
        "--time", type=seconds, default=60.0, metavar="60s", help="how long the training may take (default: 60s)"
    )
    parser.add_argument(
        "--protect",
        choices=("grain", "luma", "none"),
        default="grain",
        help="what of the scan is kept (default: grain)",
    )
    parser.add_argument(
        "--grain",
        choices=("keep", "match", "none"),
        default="keep",
        help="what becomes of the scan's grain where detail is learnt (default: keep)",
    )
    parser.add_argument(
        "--radius",
        type=int,
        choices=(0, 1, 2),
        help="frames before and after that the model looks at (default: as the recipe finds best)",
    )
    parser.add_argument("--no-steady", action="store_true", help="leave the scan's flicker as it is")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")


def run(arguments: Namespace) -> dict[str, Any]:
    if arguments.recipe not in TRAINABLE:
        raise WetgateError(f"The recipe '{arguments.recipe}' cannot be trained yet: only {', '.join(TRAINABLE)} can.")
    output = Path(arguments.output)
    folder = Path(arguments.folder or f"{os.path.abspath(output)}.wetgate")
    with open_source(arguments.scan) as scan:
        open_sink(output, scan).abort()
    frames = arguments.frames or _spread(arguments.scan, arguments.reference)
    there = _there(folder, arguments)
    work = there.latest_run() if there else None
    machine = ["--json"] if arguments.json else []
    notes: list[str] = []
    if there is None:
        invoke(["new", str(folder), "--recipe", arguments.recipe, "--encoding", arguments.encoding, *machine])
    pictures = ["--scan", arguments.scan, "--reference", arguments.reference]
    if there is not None and there.pairs():
        notes.append(f"Went on with the pairs that {folder} holds.")
    elif frames is None:
        notes += invoke(["match", str(folder), *pictures, "--add", str(_MOST_PAIRS), *machine])["notes"]
    else:
        notes += invoke(["add", str(folder), *pictures, "--frames", frames, *machine])["notes"]
    if work is None or not _is_as_asked(work, arguments):
        trained = invoke(["train", str(folder), *_training(arguments), *machine])
    elif work.state != "finished":
        trained = invoke(["train", str(folder), "--resume", *machine])
    else:
        trained = {"state": "finished", "model": str(work.model), "report": str(work.report)}
    if trained["state"] != "finished":
        raise WetgateError("The training was stopped: run the same command to go on with it.")
    notes += [trained["note"]] if "note" in trained else []
    if trained.get("unheeded"):
        notes.append(unheard(trained["unheeded"]))
    pictures = [arguments.scan, str(output)]
    applied = invoke(["apply", str(folder), *pictures, "--device", arguments.device, *machine])
    return {
        "folder": str(folder),
        "trained": trained,
        "applied": applied,
        "notes": [*notes, *applied["notes"]],
        "exit_code": applied.get("exit_code", 0),
    }


def describe(result: dict[str, Any]) -> str:
    trained, applied = result["trained"], result["applied"]
    before = f" ({applied['kept']} were done already)" if applied["kept"] else ""
    return "\n".join(
        [
            f"Restored {applied['restored']} frames{before} into {applied['output']}.",
            *result["notes"],
            f"Report: {trained['report']}",
            f"Model:  {trained['model']}",
        ]
    )


def _there(folder: Path, arguments: Namespace) -> Restoration | None:
    """The restoration that an earlier call has begun.

    Raises:
        WetgateError: it is another one.
    """
    if not (folder / "restoration.json").exists():
        return None
    there = open_restoration(folder)
    if (there.recipe, there.encoding) != (arguments.recipe, arguments.encoding):
        raise WetgateError(
            f"{folder} already holds a restoration of the recipe {there.recipe}, {there.encoding} pictures: choose "
            "another folder with --folder."
        )
    pairs = there.pairs()
    ours = {"scan": _files(arguments.scan), "reference": _files(arguments.reference)}
    if pairs and not any(all(pair.where_from.get(side) in ours[side] for side in ours) for pair in pairs):
        raise WetgateError(
            f"{folder} holds pairs of other pictures than {arguments.scan} and {arguments.reference}: choose another "
            "folder with --folder."
        )
    return there


def _files(pattern: str) -> set[str]:
    with open_source(pattern) as source:
        return {str(source.path(frame).absolute()) for frame in source.frames}


def _training(arguments: Namespace) -> list[str]:
    how = ["--time", f"{arguments.time:.12g}s", "--protect", arguments.protect, "--device", arguments.device]
    how += ["--grain", arguments.grain]
    how += ["--radius", str(arguments.radius)] if arguments.radius is not None else []
    return how + (["--no-steady"] if arguments.no_steady else [])


def _is_as_asked(work: Run, arguments: Namespace) -> bool:
    """Whether a run is what these options would train; a finished one without its model is not."""
    asked = {name: getattr(arguments, name) for name in ("protect", "grain", "radius", "device")}
    asked["time_s"] = arguments.time
    asked["steady"] = is_steadied(arguments.recipe, arguments.protect, False if arguments.no_steady else None)
    whole = work.state != "finished" or work.model.exists()
    return whole and all(work.settings.get(name) == value for name, value in asked.items())


def _spread(scan: str, reference: str) -> str | None:
    """Frames to pair where both count alike; None where it must be found out which frame shows which."""
    with open_source(scan) as first, open_source(reference) as second:
        if second.is_video or not set(second.frames) <= set(first.frames):
            return None
        common = second.frames
    count = min(len(common), _MOST_PAIRS)
    return format_frames([common[int((index + 0.5) * len(common) / count)] for index in range(count)])
