"""Unfading from the scan alone against grey worlds, matched histograms and stretched levels, where the truth is known.

Clips that a package ships fade by simulation, each in several ways and as several prints (seeds: other grain, dust,
unevenness, and dyes that are up to a seventh more or less gone). Every method sees the same frames and gives one
transformation for each shot, or for the whole clip with ``--reel``; the measure is CIEDE2000 after the sigma-3
low-pass, against the unfaded film. The estimator knows other stocks and other scanner bands than the simulation has.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from wetgate.evaluation import Comparison
from wetgate.images import LUMA, Pixels, from_linear, open_source, to_linear
from wetgate.pairing.known_colours import look_at
from wetgate.pairing.shots import find_shots
from wetgate.pairing.unfading import unfade
from wetgate.simulate import seeds
from wetgate.simulate.fade import Fade
from wetgate.simulate.film import FilmDecay
from wetgate.simulate.footage import demo_footage
from wetgate.simulate.presets import FADED_PRINT, LIGHTLY_FADED

CLIPS = {"bikes": "bikes.mp4", "bigbuckbunny": "bigbuckbunny.mp4", "carphone": "carphone_pristine.mp4"}
FADES = {
    "cyan": FADED_PRINT.fade,
    "magenta": replace(FADED_PRINT.fade, remaining=(0.75, 0.35, 0.60)),
    "yellow": replace(FADED_PRINT.fade, remaining=(0.70, 0.85, 0.30)),
    "all": replace(FADED_PRINT.fade, remaining=(0.35, 0.45, 0.40)),
    "slight": LIGHTLY_FADED.fade,
}
WIDTH = 640
FRAMES = 8
Spoken = tuple[str, int, tuple[int, int, int, int]]
"""Name of a colour, frame, and box."""

HINTS: dict[str, tuple[Spoken, ...]] = {
    "bikes": (
        ("white", 16, (330, 130, 40, 40)),  # the van's roof
        ("grey", 163, (20, 225, 40, 20)),  # the road
        ("black", 107, (400, 95, 20, 20)),  # the cyclist's shirt
    ),
    "bigbuckbunny": (
        ("grass", 61, (480, 270, 40, 30)),
        ("grey", 61, (210, 200, 30, 30)),  # the rabbit's belly
        ("black", 61, (148, 200, 8, 20)),  # the burrow
    ),
    "carphone": (
        ("white", 6, (148, 12, 12, 8)),  # the sky in the window
        ("skin", 6, (76, 66, 8, 6)),
        ("black", 6, (45, 118, 10, 10)),  # the suit
    ),
}
"""What an artist says by name, in the order in which it is said: the frame, and where. Placed by eye on the clips."""

Shot = list[Pixels]
Transformation = Callable[[Pixels], Pixels]


@dataclass(frozen=True)
class Clip:
    """Display pictures by frame number, shot by shot."""

    shots: list[dict[int, Pixels]]


def main(argv: Sequence[str] | None = None) -> int:
    arguments = _parse(argv)
    cv2.setNumThreads(1)
    clips = {name: _read(name) for name in CLIPS}
    rows = []
    for name in arguments.clips:
        others = [
            picture
            for other, clip in clips.items()
            if other != name
            for shot in clip.shots
            for picture in shot.values()
        ]
        prior = np.sort(np.concatenate([picture[::4, ::4].ravel() for picture in others]))
        for fade in arguments.fades:
            for seed in range(arguments.seeds):
                row = {"clip": name, "fade": fade, "seed": seed}
                row |= _measured(clips[name], HINTS[name], _film(fade, seed), prior, arguments.reel)
                rows.append(row)
                print(json.dumps(row), file=sys.stderr, flush=True)
    _print(rows, arguments.csv)
    return 0


def _measured(clip: Clip, hints: Sequence[Spoken], film: FilmDecay, prior: Pixels, reel: bool) -> dict[str, float]:
    decayed = [{number: film.frame(picture, number) for number, picture in shot.items()} for shot in clip.shots]
    known = [
        look_at(next(shot[number].scan for shot in decayed if number in shot), box, colour, number)
        for colour, number, box in hints
    ]
    judged = [{number: d for shot in decayed for number, d in shot.items()}] if reel else decayed
    found: dict[str, list[float]] = {}
    seconds = 0.0
    for shot in judged:
        scans = [d.scan for d in shot.values()]
        methods: dict[str, Transformation] = {
            "scan": lambda scan: scan,
            "grey world": _grey_world(scans, 1.0),
            "shades of grey": _grey_world(scans, 6.0),
            "equalised channels": _matched(scans, np.sort(_luma(scans))),
            "other pictures' histogram": _matched(scans, prior),
            "levels": _levels(scans),
        }
        started = time.process_time()
        methods["unfading"] = unfade(scans).restore
        seconds += time.process_time() - started
        for count in range(1, len(known) + 1):
            methods[f"unfading, {count} known"] = unfade(scans, known[:count]).restore
        for method, transform in methods.items():
            found.setdefault(method, []).extend(
                Comparison(transform(d.scan), d.aligned_truth).delta_e for d in shot.values()
            )
    return {method: float(np.mean(values)) for method, values in found.items()} | {"seconds": seconds / len(judged)}


def _film(fade: str, seed: int) -> FilmDecay:
    """A print of its own: its dyes are up to a seventh more or less gone than the fade's."""
    usual = FADES[fade]
    change = seeds.generator(seed, "another print").uniform(-0.15, 0.15, 6) * (seed > 0)
    remaining = tuple(float(min(share * (1 + by), 1.0)) for share, by in zip(usual.remaining, change, strict=False))
    stain = tuple(float(amount * (1 + by)) for amount, by in zip(usual.stain, change[3:], strict=True))
    return replace(FADED_PRINT, fade=Fade(remaining, stain, (0.0, 0.0, 0.0), usual.unevenness), seed=seed)  # type: ignore[arg-type]


def _grey_world(scans: Shot, power: float) -> Transformation:
    """Gains that bring the channels' means in linear light together (von Kries; Finlayson, Trezzi, CIC 2004)."""
    light = np.concatenate([np.maximum(to_linear(scan, "display"), 0).reshape(-1, 3) for scan in scans])
    means = np.mean(light.astype(np.float64) ** power, axis=0) ** (1 / power)
    gains = (means.mean() / means).astype(np.float32)
    return lambda scan: from_linear(to_linear(scan, "display") * gains, "display")


def _matched(scans: Shot, target: Pixels) -> Transformation:
    """Each channel gets the distribution of sorted values ``target``."""
    pixels = np.sort(np.concatenate([scan.reshape(-1, 3) for scan in scans]), axis=0)
    places = np.linspace(0, 1, 513)
    seen, wanted = np.quantile(pixels, places, axis=0), np.quantile(target, places)

    def transform(scan: Pixels) -> Pixels:
        channels = [np.interp(scan[..., k], seen[:, k], wanted) for k in range(3)]
        return np.stack(channels, axis=-1).astype(np.float32)

    return transform


def _levels(scans: Shot) -> Transformation:
    """Each channel stretched from its 0.5th to its 99.5th percentile."""
    low, high = np.percentile(np.concatenate([scan.reshape(-1, 3) for scan in scans]), [0.5, 99.5], axis=0)
    return lambda scan: ((scan - low) / np.maximum(high - low, 1e-3)).astype(np.float32)


def _luma(scans: Shot) -> Pixels:
    return np.concatenate([(scan @ LUMA).ravel() for scan in scans])


def _read(name: str) -> Clip:
    """Some frames of each shot, evenly spread, and those that hints speak of; at most ``WIDTH`` wide."""
    path: Path = demo_footage().parent / CLIPS[name]
    spoken = {number for _, number, _ in HINTS[name]}
    with open_source(path) as source:
        shots = [source.frames[begin:end] for begin, end in find_shots(source)]
        each = max(2, FRAMES // len(shots))
        clip = Clip([])
        for frames in shots:
            chosen = {frames[int((i + 0.5) * len(frames) / each)] for i in range(each)} | (spoken & set(frames))
            clip.shots.append({number: _small(source.read(number).pixels) for number in sorted(chosen)})
    return clip


def _small(pixels: Pixels) -> Pixels:
    height, width = pixels.shape[:2]
    if width > WIDTH:
        pixels = cv2.resize(pixels, (WIDTH, round(height * WIDTH / width)), interpolation=cv2.INTER_AREA)
    return np.clip(pixels, 0, 1)


def _print(rows: list[dict[str, Any]], as_csv: bool) -> None:
    if as_csv:
        writer = csv.DictWriter(sys.stdout, rows[0])
        writer.writeheader()
        writer.writerows(rows)
        return
    methods = [key for key in rows[0] if key not in ("clip", "fade", "seed", "seconds")]
    others = [method for method in methods if not method.startswith(("scan", "unfading"))]
    print("| clip | fade | " + " | ".join(methods) + " |\n|" + "---|" * (len(methods) + 2))
    for clip, fade in dict.fromkeys((row["clip"], row["fade"]) for row in rows):
        chosen = [row for row in rows if (row["clip"], row["fade"]) == (clip, fade)]
        means = [np.mean([row[method] for row in chosen]) for method in methods]
        print(f"| {clip} | {fade} | " + " | ".join(f"{mean:.1f}" for mean in means) + " |")
    below = [1 - np.mean([row[method] / row["scan"] for row in rows]) for method in methods]
    print("| all | below the scan | " + " | ".join(f"{share:.0%}" for share in below) + " |\n")
    worst = max(rows, key=lambda row: row["unfading"] / row["scan"])
    far = sum(row["unfading"] <= 0.6 * row["scan"] for row in rows)
    best = sum(row["unfading"] < min(row[method] for method in others) for row in rows)
    print(f"Worst print: {worst['clip']}, {worst['fade']}, {worst['scan']:.1f} to {worst['unfading']:.1f}.")
    print(f"At least 40% below the scan: {far} of {len(rows)} prints; below every other method: {best}.")
    print(f"Processor seconds for an estimate: {np.mean([row['seconds'] for row in rows]):.2f}.")


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.unfading", description=__doc__.partition("\n")[0])
    parser.add_argument("--clips", nargs="+", choices=CLIPS, default=list(CLIPS), metavar="CLIP", help=", ".join(CLIPS))
    parser.add_argument("--fades", nargs="+", choices=FADES, default=list(FADES), metavar="FADE", help=", ".join(FADES))
    parser.add_argument("--seeds", type=int, default=3, metavar="N", help="prints of each fade (3)")
    parser.add_argument("--reel", action="store_true", help="one estimate for all shots of a clip")
    parser.add_argument("--csv", action="store_true", help="every print, not the means")
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(main())
