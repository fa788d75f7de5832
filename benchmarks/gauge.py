"""How much of a better gauge's detail comes back: the `detail` recipe, trained by the program as its users run it.

`crops`: a folder with ``scan.NNNN.png``, ``reference.NNNN.png`` and perhaps ``copycat.NNNN.png``, three crops or more;
trained on all but one by turns, or on all. `simulated`: a clip that a package ships is copied to 16 mm
(:mod:`wetgate.simulate.gauge`); a few frames are pairs, others are judged, against the scan and against unsharp masks
that were tuned on the same pairs, with a curve of contrast and without.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch

from benchmarks.product import run_verb, write_frame
from wetgate.errors import WetgateError
from wetgate.evaluation import Comparison, Measures, summarise
from wetgate.images import LUMA, Pixels, format_frames, open_source, read_image
from wetgate.simulate.footage import demo_footage
from wetgate.simulate.gauge import GaugeLoss, copy_of
from wetgate.training.gauge_shift import moved_to

INSET = 4
CLIPS = {"bikes": "bikes.mp4", "carphone": "carphone_pristine.mp4", "bigbuckbunny": "bigbuckbunny.mp4"}
SIGMAS = (0.7, 1.0, 1.5, 2.0, 3.0)
PIXEL_UM = 11.0
"""A clip counts as a part of a 16 mm frame that was scanned at this pitch, so that all lose the same by the pixel."""
RUN = 5
"""Frames in a row that are judged, for flicker."""


@dataclass(frozen=True)
class Row:
    """One picture of one method: decibels of luma; RMS of its bands of 0.3-1 and 1-4 pixels over the truth's."""

    name: str
    method: str
    psnr: float
    aligned: float
    bands: tuple[float, float]
    measures: Measures
    chroma: float

    def line(self) -> dict[str, object]:
        return {
            "picture": self.name,
            "method": self.method,
            "psnr": round(self.psnr, 2),
            "locally aligned": round(self.aligned, 2),
            "fine": round(self.bands[0], 3),
            "middle": round(self.bands[1], 3),
            "HF gain": round(self.measures.hf_gain or 0, 3),
            "flicker": None if self.measures.flicker is None else round(self.measures.flicker, 3),
            "chroma, 8-bit steps": self.chroma,
        }


def main(argv: Sequence[str] | None = None) -> int:
    arguments = _parse(argv)
    torch.set_num_threads(1)
    try:
        rows = crops(arguments) if arguments.what == "crops" else simulated(arguments)
    except WetgateError as error:
        print(f"gauge: {error}", file=sys.stderr)
        return 1
    print(as_table(rows))
    return 0


def crops(arguments: argparse.Namespace) -> list[Row]:
    """Of every crop: the scan, CopyCat's answer where there is one, and Wetgate's."""
    folder = arguments.folder
    frames = sorted(int(path.suffixes[0][1:]) for path in folder.glob("scan.[0-9]*.png"))
    pictures = {
        kind: {frame: _grey(folder / f"{kind}.{frame:04d}.png") for frame in frames}
        for kind in ("scan", "reference", "copycat")
        if kind != "copycat" or (folder / f"copycat.{frames[0]:04d}.png").exists()
    }
    rows = []
    jobs = [(frames, frames)] if arguments.trained_on_all else [([f for f in frames if f != t], [t]) for t in frames]
    if arguments.test:
        jobs = [job for job in jobs if job[1] == [arguments.test]]
    for learnt, tested in jobs:
        pairs = {frame: (pictures["scan"][frame], pictures["reference"][frame]) for frame in learnt}
        answers = train_and_apply(pairs, pictures["scan"], tested, arguments)
        for frame in tested:
            candidates = {kind: pictures[kind][frame] for kind in ("scan", "copycat") if kind in pictures}
            for method, picture in {**candidates, "wetgate": answers[frame]}.items():
                name = f"{'trained on' if frame in learnt else 'unseen'} {frame}"
                rows.append(_row(name, method, picture, pictures["reference"][frame], pictures["scan"][frame]))
                _tell(rows[-1], arguments.json)
    return rows


def simulated(arguments: argparse.Namespace) -> list[Row]:
    """Of runs of held-out frames: the scan, the tuned unsharp mask, and Wetgate."""
    path = demo_footage().with_name(CLIPS[arguments.clip])
    truths, scans = {}, {}
    with open_source(path) as source:
        for number in list(source.frames)[: arguments.frames]:
            truths[number] = np.clip(source.read(number).pixels, 0, 1)
            width_mm = truths[number].shape[1] * PIXEL_UM / 1000
            scans[number] = copy_of(truths[number], GaugeLoss(picture_width_mm=width_mm), arguments.seed, number)
    numbers = sorted(truths)
    paired = [numbers[int((i + 0.5) * len(numbers) / arguments.pairs)] for i in range(arguments.pairs)]
    starts = [numbers[int((i + 0.15) * len(numbers) / arguments.pairs)] for i in range(arguments.pairs)]
    runs = [[n for n in range(start, start + RUN) if n in truths and n not in paired] for start in starts]
    pairs = {number: (scans[number], truths[number]) for number in paired}
    wanted = [number for one in runs for number in one]
    answers = train_and_apply(pairs, scans, wanted, arguments)
    masks = {"unsharp": tuned(pairs, curve=False), "unsharp on a curve": tuned(pairs, curve=True)}
    rows = []
    for run in runs:
        before: dict[str, Pixels] = {}
        for number in run:
            for method, picture in {
                "scan": scans[number],
                **{name: mask(scans[number]) for name, mask in masks.items()},
                "wetgate": answers[number],
            }.items():
                row = _row(str(number), method, picture, truths[number], scans[number], before.get(method))
                before[method] = Comparison(picture, truths[number], inset=INSET).low_passed_error
                rows.append(row)
    for row in means(rows):
        _tell(row, arguments.json)
    return rows


def train_and_apply(
    pairs: Mapping[int, tuple[Pixels, Pixels]],
    scans: Mapping[int, Pixels],
    wanted: Sequence[int],
    arguments: argparse.Namespace,
) -> dict[int, Pixels]:
    """`wetgate new`, `add`, `train` and `apply` with the recipe detail."""
    with tempfile.TemporaryDirectory(prefix="wetgate-benchmark-") as temporary:
        folder = Path(temporary)
        scan, reference, restored = (str(folder / name / f"{name}.####.exr") for name in ("scan", "reference", "new"))
        for number, pixels in scans.items():
            write_frame(scan, number, pixels)
        for number, pair in pairs.items():
            write_frame(reference, number, pair[1])
        reel = str(folder / "reel.wetgate")
        words = ["--grain", arguments.grain, "--seed", str(arguments.seed)]
        if arguments.radius is not None:
            words += ["--radius", str(arguments.radius)]
        run_verb("new", reel, "--recipe", "detail", "--encoding", "display")
        how = ["--aligned"] if arguments.as_delivered else []
        run_verb("add", reel, "--scan", scan, "--reference", reference, "--frames", format_frames(sorted(pairs)), *how)
        begun = time.monotonic()
        how_long = (
            ["--time", f"{arguments.seconds:g}s"] if arguments.steps is None else ["--steps", str(arguments.steps)]
        )
        run_verb("train", reel, *how_long, *words)
        print(f"trained for {time.monotonic() - begun:.0f} s", file=sys.stderr, flush=True)
        run_verb("apply", reel, scan, restored, "--frames", format_frames(sorted(wanted)))
        with open_source(restored) as source:
            return {number: source.read(number).pixels for number in wanted}


@dataclass(frozen=True)
class Unsharp:
    """An unsharp mask of luma on top of a curve, here a cubic, or the straight line."""

    sigma: float
    amount: float
    curve: tuple[float, ...]

    def __call__(self, scan: Pixels) -> Pixels:
        luma = scan @ LUMA
        change = self.amount * (luma - cv2.GaussianBlur(luma, (0, 0), self.sigma))
        return scan + (change + np.polyval(self.curve, luma).astype(np.float32))[..., None]


def tuned(pairs: Mapping[int, tuple[Pixels, Pixels]], *, curve: bool) -> Unsharp:
    """The best on the pairs, by squared error; with a curve of contrast, or without."""
    best: tuple[float, Unsharp] | None = None
    luma = np.concatenate([(scan @ LUMA).ravel() for scan, _ in pairs.values()])
    lack = np.concatenate([((reference - scan) @ LUMA).ravel() for scan, reference in pairs.values()])
    powers = [luma**3, luma**2, luma, np.ones_like(luma)] if curve else []
    for sigma in SIGMAS:
        masks = [scan @ LUMA - cv2.GaussianBlur(scan @ LUMA, (0, 0), sigma) for scan, _ in pairs.values()]
        terms = np.stack([np.concatenate([mask.ravel() for mask in masks]), *powers], 1)
        solved = np.linalg.lstsq(terms, lack, rcond=None)[0]
        error = float(np.square(lack - terms @ solved).mean())
        if best is None or error < best[0]:
            best = error, Unsharp(sigma, float(solved[0]), tuple(map(float, solved[1:])) or (0.0,))
    assert best is not None
    return best[1]


def means(rows: Sequence[Row]) -> list[Row]:
    """A row for each method: means over all pictures."""
    found = []
    for method in dict.fromkeys(row.method for row in rows):
        own = [row for row in rows if row.method == method]
        found.append(
            Row(
                f"mean of {len(own)}",
                method,
                float(np.mean([row.psnr for row in own])),
                float(np.mean([row.aligned for row in own])),
                (float(np.mean([row.bands[0] for row in own])), float(np.mean([row.bands[1] for row in own]))),
                summarise([row.measures for row in own]),
                max(row.chroma for row in own),
            )
        )
    return found


def as_table(rows: Sequence[Row]) -> str:
    every = [row.line() for row in [*rows, *means(rows)]]
    lines = [" | ".join(every[0])] + [" | ".join("-" if v is None else str(v) for v in line.values()) for line in every]
    return "\n".join(lines)


def _row(name: str, method: str, picture: Pixels, truth: Pixels, scan: Pixels, before: Pixels | None = None) -> Row:
    lumas = [one @ LUMA for one in (picture, truth)]
    moved = moved_to(lumas[0], lumas[1], np.ones_like(lumas[0]), 0.5)
    differences = [one[..., [0, 2]] - one[..., [1]] for one in (np.clip(p, 0, 1) * 255 for p in (picture, scan))]
    return Row(
        name,
        method,
        _psnr(lumas[0], lumas[1]),
        _psnr(lumas[0], moved),
        _bands(lumas[0], lumas[1]),
        Comparison(picture, truth, inset=INSET).measures(before),
        round(float(np.abs(differences[0] - differences[1]).max()), 3),
    )


def _bands(luma: Pixels, truth: Pixels) -> tuple[float, float]:
    inside = np.s_[INSET:-INSET, INSET:-INSET]
    found = []
    for small, large in ((0.3, 1.0), (1.0, 4.0)):
        bands = [cv2.GaussianBlur(one, (0, 0), small) - cv2.GaussianBlur(one, (0, 0), large) for one in (luma, truth)]
        energies = [float(np.square(band[inside].astype(np.float64)).mean()) for band in bands]
        found.append((energies[0] / max(energies[1], 1e-12)) ** 0.5)
    return found[0], found[1]


def _psnr(first: Pixels, second: Pixels) -> float:
    inside = np.s_[INSET:-INSET, INSET:-INSET]
    error = float(np.square(first[inside].astype(np.float64) - second[inside]).mean())
    return float(10 * np.log10(1 / max(error, 1e-12)))


def _grey(path: Path) -> Pixels:
    """A picture with three channels, whatever the file has."""
    pixels = read_image(path).pixels
    return np.ascontiguousarray(
        np.broadcast_to(pixels[..., :1] if pixels.shape[2] < 3 else pixels, (*pixels.shape[:2], 3))
    )


def _tell(row: Row, path: Path | None) -> None:
    print(json.dumps(row.line()), file=sys.stderr, flush=True)
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(path, "a", encoding="utf-8") as stream:
            stream.write(json.dumps(row.line()) + "\n")


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gauge", description=__doc__.partition("\n")[0])
    verbs = parser.add_subparsers(dest="what", required=True)
    own = verbs.add_parser("crops", help="crops of a film, from two elements")
    own.add_argument("folder", type=Path)
    own.add_argument("--trained-on-all", action="store_true", help="train on all crops, measure on the same ones")
    own.add_argument("--test", type=int, metavar="N", help="hold out this crop only (default: each in turn)")
    own.add_argument("--as-delivered", action="store_true", help="leave the references as they lie (`add --aligned`)")
    clip = verbs.add_parser("simulated", help="a clip copied to 16 mm")
    clip.set_defaults(as_delivered=False)
    clip.add_argument("--clip", choices=CLIPS, default="bikes")
    clip.add_argument("--frames", type=int, default=40, help="of the clip (default: the first 40)")
    clip.add_argument("--pairs", type=int, default=3)
    for one in (own, clip):
        one.add_argument("--seconds", type=float, default=300.0, help="that training may take (default: 300)")
        one.add_argument(
            "--steps", type=int, help="of training, instead of seconds: for machines with other work to do"
        )
        one.add_argument("--grain", choices=("keep", "match", "none"), default="match")
        one.add_argument("--radius", type=int, choices=(0, 1), help="frames before and after (default: as the recipe)")
        one.add_argument("--seed", type=int, default=0)
        one.add_argument("--json", type=Path, metavar="FILE", help="where rows are added, one a line")
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(main())
