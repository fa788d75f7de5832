"""What the recipe `steady` leaves of weave and flicker that are known, and what it does to a pan and to grain.

    python -m benchmarks.steady [--frames 96] [--seed 7] [--scenes still crowd pan film] [--json FILE]

Package footage decays by simulation (weave of a worn 16 mm print, flicker, grain, dust), is measured and steadied, and
is compared with what the simulation says. Nothing is read from or written to disk but the footage.
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from wetgate.errors import WetgateError
from wetgate.evaluation.metrics import Comparison, flicker
from wetgate.images import Header, Image, Window, open_source
from wetgate.images.moving import Source
from wetgate.inference.curves import Curves
from wetgate.inference.transforms import resampled
from wetgate.pairing import weave
from wetgate.pairing.steadying import Wanted, measure
from wetgate.pairing.weave import Movement
from wetgate.simulate.dust import Dust
from wetgate.simulate.film import FilmDecay
from wetgate.simulate.flicker import Flicker
from wetgate.simulate.footage import demo_footage
from wetgate.simulate.grain import Grain
from wetgate.simulate.weave import Weave, weave_transform

Array = NDArray[np.float32]
Floats = NDArray[np.float64]

WEAVE = Weave(shift_um=(25, 30), rotation=0.06)
DECAY = FilmDecay(
    grain=Grain(granularity=12, size_um=8, shared=0.3),
    dust=Dust(specks=5, sparkle=2, hairs=0.4, scratches=0.7, size_um=40),
    flicker=Flicker(exposure=0.015, cyan=0.07),
)
"""Weave as in the preset worn_print, flicker and dust as in faded_print, grain as in lightly_faded."""
INSET = 24
EVERY = 6
"""Of the frames, so many are looked at for flicker in runs of three, and for grain."""


class Reel(Source):
    """Pictures in memory."""

    name, is_video, fps = "reel", False, None

    def __init__(self, pictures: Sequence[Array]) -> None:
        self.pictures = dict(enumerate(pictures, 1))
        self.frames = list(self.pictures)

    def path(self, frame: int) -> Path:
        return Path(f"frame.{frame}")

    def read(self, frame: int) -> Image:
        pixels = self.pictures[frame]
        window = Window(0, 0, pixels.shape[1], pixels.shape[0])
        return Image(pixels, None, Header("exr", "float", ("R", "G", "B"), window, window))

    @property
    def size(self) -> tuple[int, int]:
        height, width = self.pictures[1].shape[:2]
        return width, height

    def close(self) -> None:
        pass


def clip(name: str, first: int, count: int) -> list[Array]:
    """Frames of a clip that ships with the demo footage, clipped to 0-1.

    Raises:
        WetgateError: the package is not installed.
    """
    with open_source(demo_footage().with_name(name)) as source:
        some = source.frames[first - 1 : first - 1 + count]
        return [np.clip(source.read(number).pixels, 0, 1) for number in some]


def still(frames: int) -> tuple[list[Array], Floats]:
    """One picture; the camera's path [n, 2] in pixels."""
    return clip("bikes.mp4", 60, 1) * frames, np.zeros((frames, 2))


def crowd(frames: int) -> tuple[list[Array], Floats]:
    """A still picture, and in front of up to four tenths of it a real face that crosses the frame."""
    back = clip("bigbuckbunny.mp4", 100, 1)[0][120:600, 320:960]
    faces = [
        cv2.resize(face, (396, 324), interpolation=cv2.INTER_CUBIC) for face in clip("carphone_pristine.mp4", 1, frames)
    ]
    found = []
    for number, face in enumerate(itertools.islice(itertools.cycle(faces), frames)):
        picture = back.copy()
        left = int(-100 + number * 340 / frames)
        shown = slice(max(left, 0), min(left + 396, 640))
        picture[156:, shown] = face[:, shown.start - left : shown.stop - left]
        found.append(np.clip(picture, 0, 1))
    return found, np.zeros((frames, 2))


def pan(frames: int) -> tuple[list[Array], Floats]:
    """A window of a larger picture that stands, moves evenly, and stands again."""
    whole = clip("bigbuckbunny.mp4", 100, 1)[0]
    third = frames // 3
    across = 240 * np.clip((np.arange(frames) - third) / third, 0, 1)
    windows = []
    for x in across:
        place = np.array([[1, 0, 200 + x], [0, 1, 100.0]])
        moved = cv2.warpAffine(whole, place, (640, 480), flags=cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP)
        windows.append(np.clip(moved, 0, 1))
    return windows, np.stack([-across, np.zeros(frames)], axis=1)


def film(frames: int) -> tuple[list[Array], None]:
    """A real clip with cuts and its own camera, whose path nobody knows."""
    return clip("bikes.mp4", 1, frames), None


SCENES: dict[str, Callable[[int], tuple[list[Array], Floats | None]]] = {
    "still": still,
    "crowd": crowd,
    "pan": pan,
    "film": film,
}


def judged(scene: str, frames: int, seed: int) -> dict[str, Any]:
    """What one scene comes to; see :data:`COLUMNS`."""
    pictures, camera = SCENES[scene](frames)
    decay = replace(DECAY, seed=seed)
    scans = [decay.frame(_woven(picture, decay, number), number).scan for number, picture in enumerate(pictures, 1)]
    reel = Reel(scans)
    started = time.process_time()
    curves, movement = measure(reel, "display", Wanted())
    seconds = (time.process_time() - started) / len(scans)
    height, width = scans[0].shape[:2]
    true = _true_weave(decay, len(scans), height, width)
    known = camera is not None
    camera = _own_path(pictures, curves) if camera is None else camera
    row = {"scene": scene, "frames": len(scans), "shots": len(movement.shots)}
    row |= _movement(movement, true, camera, known)
    return row | _pictures(pictures, scans, curves, decay) | {"cpu_s": seconds}


def _woven(picture: Array, decay: FilmDecay, number: int) -> Array:
    """The picture where the gate held it; OpenCV's cubic kernel, which the simulation uses, is off by 0.05 pixels."""
    height, width = picture.shape[:2]
    um = decay.picture_width_mm * 1000 / width
    matrix = weave_transform(WEAVE, height, width, um, decay.seed, number)
    back = np.linalg.inv(np.vstack([matrix, [0, 0, 1]]))[:2]
    return np.clip(resampled(np.ascontiguousarray(picture), back), 0, 1)


def _true_weave(decay: FilmDecay, frames: int, height: int, width: int) -> Floats:
    """[n, 3] shift of the middle and turn, in pixels at the corners."""
    middle = np.array([(width - 1) / 2, (height - 1) / 2])
    found = []
    for number in range(1, frames + 1):
        um = decay.picture_width_mm * 1000 / width
        matrix = weave_transform(WEAVE, height, width, um, decay.seed, number)
        shift = matrix[:, :2] @ middle + matrix[:, 2] - middle
        found.append([*shift, np.arctan2(matrix[1, 0], matrix[0, 0]) * np.hypot(width, height) / 2])
    return np.array(found)


def _own_path(pictures: list[Array], curves: Curves) -> Floats:
    """[n, 2] how a clip moves by itself, as measured before it decays; NaN where that cannot be told."""
    path = np.full((len(pictures), 2), np.nan)
    for shot in weave.measure(Reel(pictures), "display", curves.shots).shots:
        path[np.array(shot.frames) - 1] = shot.path[:, :2]
    return path


def _movement(movement: Movement, true: Floats, camera: Floats, known: bool) -> dict[str, float]:
    half = np.hypot(*movement.size) / 2
    was, left = [], []
    jitters: dict[str, list[Floats]] = {"scene": [], "before": [], "after": []}
    unknown = 0
    for shot in movement.shots:
        rows = np.array(shot.frames) - 1
        rest = true[rows] - np.nan_to_num(shot.weave) * (1, 1, half)
        unknown += int((~np.isfinite(shot.weave).all(axis=1)).sum())
        was.append(true[rows] - true[rows].mean(axis=0))
        left.append(rest - rest.mean(axis=0))
        own = camera[rows]
        for name, path in (("scene", own), ("before", own + true[rows, :2]), ("after", own + rest[:, :2])):
            jitters[name].append(np.diff(path, 2, axis=0))
    found = {f"jitter_{name}": _rms(np.concatenate(some)) for name, some in jitters.items()}
    found |= {"weave_before": _rms(np.concatenate(was)[:, :2]), "turn_before": _rms(np.concatenate(was)[:, 2:])}
    found["unknown"] = unknown
    if known:
        found |= {"weave_after": _rms(np.concatenate(left)[:, :2]), "turn_after": _rms(np.concatenate(left)[:, 2:])}
        found["path_off"] = float(np.hypot(*np.concatenate(left)[:, :2].T).max())
    return found


def _rms(rows: Floats) -> float:
    return float(np.sqrt(np.nanmean(np.square(rows).sum(axis=1))))


def _pictures(pictures: list[Array], scans: list[Array], curves: Curves, decay: FilmDecay) -> dict[str, float]:
    """Flicker against the same print without any, which weaves alike; and the grain that is kept at rest."""
    calm = replace(decay, flicker=Flicker())
    exposed = replace(curves, transforms=None)
    kept = []
    flickers: dict[str, list[float]] = {"before": [], "after": []}
    for first in range(1, len(scans) - 2, 3 * EVERY):
        errors: dict[str, list[Array]] = {"before": [], "after": []}
        for number in range(first, first + 3):
            scan = scans[number - 1]
            level = exposed.steady(number, scan)
            truth = calm.frame(_woven(pictures[number - 1], decay, number), number).scan
            for name, picture in (("before", scan), ("after", level)):
                errors[name].append(Comparison(picture, truth, inset=INSET).low_passed_error)
            kept.append(Comparison(curves.steady(number, scan), level, inset=INSET).hf_gain)
        for name, some in errors.items():
            flickers[name].append(flicker(some))
    return {
        "flicker_before": float(np.mean(flickers["before"])),
        "flicker_after": float(np.mean(flickers["after"])),
        "hf_gain": float(np.mean(kept)),
    }


COLUMNS = {
    "scene": "",
    "frames": "",
    "shots": "that were told apart",
    "weave_before": "deviation of the shift from its mean in the shot, pixels",
    "weave_after": "the same of what is left, slow parts and all",
    "turn_before": "of the turn, pixels at the corners",
    "turn_after": "",
    "path_off": "the most that the camera's path differs from the true one, pixels",
    "jitter_scene": "second difference of the picture's place, pixels: of the clip before it decayed",
    "jitter_before": "of the scan",
    "jitter_after": "of the result",
    "flicker_before": "against the same print without flicker, 8-bit codes",
    "flicker_after": "",
    "hf_gain": "fine energy of the result over that of the scan at the same exposure",
    "unknown": "frames of which nothing could be told",
    "cpu_s": "processor seconds to measure a frame",
}


def table(rows: Sequence[dict[str, Any]]) -> str:
    """As Markdown."""
    lines = ["| " + " | ".join(COLUMNS) + " |", "|" + "---|" * len(COLUMNS)]
    for row in rows:
        cells = [row.get(name, "-") for name in COLUMNS]
        lines.append("| " + " | ".join(f"{c:.3f}" if isinstance(c, float) else str(c) for c in cells) + " |")
    return "\n".join(lines)


def main(words: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.steady", description=__doc__.splitlines()[0])
    parser.add_argument("--frames", type=int, default=96)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--scenes", nargs="+", choices=SCENES, default=list(SCENES))
    parser.add_argument("--json", metavar="FILE")
    arguments = parser.parse_args(words)
    cv2.setNumThreads(1)
    rows = []
    try:
        for scene in arguments.scenes:
            rows.append(judged(scene, arguments.frames, arguments.seed))
            print(f"{scene}: done", file=sys.stderr)
    except WetgateError as error:
        print(error, file=sys.stderr)
        return 1
    if arguments.json:
        Path(arguments.json).write_text(json.dumps(rows, indent=1))
    print(table(rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
