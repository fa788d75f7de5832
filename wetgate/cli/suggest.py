"""`wetgate suggest`: which frames of a scan are worth pairing next, and why."""

from __future__ import annotations

from argparse import ArgumentParser, BooleanOptionalAction, Namespace
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wetgate.cli.progress import Progress
from wetgate.cli.wanted import wanted_by
from wetgate.errors import WetgateError
from wetgate.evaluation.coverage import (
    MOST_FRAMES,
    POINTS_OF_PAIR,
    Suggestion,
    Support,
    colours_of,
    steadied,
    support,
)
from wetgate.images import Source, open_source, read_image
from wetgate.inference.curves import STILL, Curve, as_curve
from wetgate.pairing import deflicker
from wetgate.pairing.shots import find_shots
from wetgate.pairing.sketches import sketch
from wetgate.project import WITHOUT_REFERENCE, Pair, Restoration, open_restoration

Array = NDArray[np.float32]

HELP = "Say how well the pairs show what a scan holds, and which frames to pair next."
EPILOG = """A frame is covered where its colours, with what surrounds them, lie near colours of the pairs. Each
suggestion is where one more pair adds most to the whole reel, one from each shot before a second from any. Without
any pairs it says where to begin. It reads the scan alone: whether the reference shows a frame, `wetgate match` knows.

example:
  wetgate suggest reel3.wetgate --scan scans/shot.####.dpx --count 3"""


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("folder", metavar="FOLDER", help="the restoration folder")
    parser.add_argument("--scan", required=True, metavar="PATTERN", help="the pictures to restore")
    parser.add_argument("--count", type=int, default=5, metavar="N", help="how many frames (default: 5)")
    parser.add_argument(
        "--steady",
        action=BooleanOptionalAction,
        help="take the scan's flicker out before colours are compared (default: as the newest training did)",
    )


def run(arguments: Namespace) -> dict[str, Any]:
    restoration = open_restoration(arguments.folder)
    if arguments.count < 1:
        raise WetgateError(f"--count {arguments.count} asks for nothing: give the number of frames, 1 or more.")
    pairs = [pair for pair in restoration.pairs() if pair.state != "rejected"]
    if not pairs and restoration.recipe in WITHOUT_REFERENCE:
        raise WetgateError(
            f"{restoration.folder} is of the recipe {restoration.recipe}, which learns from the scan itself and "
            "wants no pairs."
        )
    steady = _trained_steady(restoration) if arguments.steady is None else arguments.steady
    with open_source(arguments.scan) as scan:
        shots, every = _shots(scan, arguments), -(-len(scan.frames) // MOST_FRAMES)
        curves = _curves(scan, restoration.encoding, arguments) if steady else {}
        numbers = scan.frames[every // 2 :: every]
        frames = {}
        with Progress(len(numbers), "frames", quiet=arguments.json) as progress, ThreadPoolExecutor(2) as readers:
            seen = readers.map(lambda number: colours_of(scan.read(number).pixels, restoration.encoding), numbers)
            for done, (number, colours) in enumerate(zip(numbers, seen, strict=True), 1):
                frames[number] = steadied(colours, curves.get(number, STILL))
                progress.update(done, "colours")
        shown = [_colours_of_pair(pair, restoration, scan, curves if steady else None) for pair in pairs]
    found = support(frames, shown, shots, arguments.count, every)
    return {
        "folder": str(restoration.folder),
        "scan": scan.name,
        "pairs": len(pairs),
        "coverage": _rounded(np.mean(list(found.coverage.values()))),
        "frames": {str(number): _rounded(value) for number, value in found.coverage.items()},
        "shots": [_shot(first, last, found) for first, last in shots],
        "suggestions": [_as_json(one, shots, pairs=len(pairs)) for one in found.suggestions],
        "steadied": steady,
        "add": f"wetgate add FOLDER {wanted_by(restoration.recipe)}",
    }


def describe(result: dict[str, Any]) -> str:
    frames = result["frames"]
    least = min(frames, key=frames.__getitem__)
    count = result["pairs"]
    lines = []
    if count:
        lines = [
            f"{count} {'pair covers' if count == 1 else 'pairs cover'} {result['coverage']:.1%} of {result['scan']}; "
            f"least of all frame {least}: {frames[least]:.1%}."
        ]
    suggestions = result["suggestions"]
    if not suggestions:
        return "\n".join([*lines, "No frame would add anything worth a pair."])
    lines += ["Pair next:", *(f"{one['frame']:>8}  {one['reason']}" for one in suggestions)]
    return "\n".join([*lines, f"Add one with `{result['add']}`."])


def _shots(scan: Source, arguments: Namespace) -> list[tuple[int, int]]:
    """First and last frame of each."""
    with Progress(len(scan.frames), "frames", quiet=arguments.json) as progress:
        done = iter(range(1, len(scan.frames) + 1))
        sketches = sketch(scan, follow=lambda _: progress.update(next(done), "shots"))
    return [(scan.frames[first], scan.frames[end - 1]) for first, end in find_shots(sketches)]


def _curves(scan: Source, encoding: str, arguments: Namespace) -> Mapping[int, Curve]:
    if len(scan.frames) < deflicker.LEAST_FRAMES:
        return {}
    with Progress(len(scan.frames), "frames", quiet=arguments.json) as progress:
        return deflicker.measure(scan, encoding, follow=lambda done, _: progress.update(done, "flicker")).frames


def _trained_steady(restoration: Restoration) -> bool:
    newest = restoration.latest_run()
    return True if newest is None else bool(newest.settings.get("steady", True))


def _colours_of_pair(pair: Pair, restoration: Restoration, scan: Source, curves: Mapping[int, Curve] | None) -> Array:
    """Of the places that count for training, steadied with the scan's curve or that of a training."""
    pixels, weight = read_image(pair.scan).pixels, None
    for path in (pair.mask, pair.confidence):
        if path is not None:
            matte = read_image(path).pixels[..., 0]
            weight = matte if weight is None else weight * matte
    found = colours_of(pixels, restoration.encoding, POINTS_OF_PAIR, weight)
    if curves is None:
        return found
    of_this_scan = pair.frame in scan.frames and pair.where_from.get("scan") == str(scan.path(pair.frame).absolute())
    if of_this_scan:
        return steadied(found, curves.get(pair.frame, STILL))
    newest = restoration.latest_run()
    exposure = {} if newest is None else newest.settings.get("exposure") or {}
    return steadied(found, as_curve(exposure[str(pair.number)]) if str(pair.number) in exposure else STILL)


def _shot(first: int, last: int, found: Support) -> dict[str, Any]:
    inside = [value for number, value in found.coverage.items() if first <= number <= last]
    return {"first": first, "last": last, "coverage": _rounded(np.mean(inside)) if inside else None}


def _as_json(one: Suggestion, shots: list[tuple[int, int]], *, pairs: int) -> dict[str, Any]:
    return {
        "frame": one.frame,
        "shot": one.shot,
        "coverage": _rounded(one.coverage),
        "gain": _rounded(one.gain),
        "helps": one.helps,
        "colours": list(one.colours),
        "reason": _reason(one, len(shots), any_pairs=pairs > 0),
    }


def _reason(one: Suggestion, shots: int, *, any_pairs: bool) -> str:
    """Why, in the artist's words."""
    where = f"shot {one.shot} of {shots}, helps {one.helps} {'frame' if one.helps == 1 else 'frames'}"
    if not any_pairs:
        return f"stands for {_percent(one.gain)} of the reel; {where}"
    mostly = f", mostly {' and '.join(one.colours)}" if one.colours else ""
    return f"{_percent(1 - one.coverage)} of the picture has colours that no pair shows{mostly}; {where}"


def _percent(share: float) -> str:
    return f"{share * 100:.0f} %" if share >= 0.01 else "less than 1 %"


def _rounded(value: Any) -> float:
    return round(float(value), 4)
