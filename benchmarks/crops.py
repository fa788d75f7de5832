"""How well two aligned pairs of a shot restore a third: Wetgate against what users have.

A shot is a folder with ``scan.NNNN.png``, ``reference.NNNN.png`` and perhaps ``copycat.NNNN.png``, three or more crops
of one size. Every method is trained on all crops but one, with the scan's luma kept, and measured on that one inside
an inset of 4 pixels. Each result is a line of JSON as soon as it is there; what is there is not done again.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from benchmarks import product
from benchmarks.baselines import BASELINES, Budget, train
from wetgate.errors import WetgateError
from wetgate.evaluation import measure
from wetgate.evaluation.compare import Frame, Method, scan_method
from wetgate.images import Pixels, read_image

INSET = 4
PROTECT = "luma"
COPYCAT = "copycat"
"""Not a stand-in: the pictures that came with the shot, made by CopyCat after training on these very crops."""

METHODS = ("scan", *BASELINES, product.NAME)
Row = dict[str, Any]


@dataclass(frozen=True)
class Job:
    """One training: a method, the crops it learns from, the crops it is measured on."""

    folder: Path
    method: str
    trained: tuple[int, ...]
    tested: tuple[int, ...]

    def key(self, frame: int, seconds: float, seed: int) -> str:
        """What names a result, whichever clock the time was taken with."""
        return json.dumps([self.folder.name, self.method, list(self.trained), frame, seconds, seed])


def main(argv: Sequence[str] | None = None) -> int:
    arguments = _parse(argv)
    results = {} if arguments.json is None else _read(arguments.json)
    if arguments.cpu_seconds:
        torch.set_num_threads(1)
    try:
        jobs = list(_jobs(arguments))
        for job in jobs:
            keys = {frame: job.key(frame, arguments.seconds, arguments.seed) for frame in job.tested}
            if not set(keys.values()) <= set(results):
                for frame, row in _measured(job, arguments):
                    results[keys[frame]] = row
                    _tell(row, arguments.json)
    except WetgateError as error:
        print(f"crops: {error}", file=sys.stderr)
        return 1
    if not jobs:
        print(f"crops: no shot has a crop {arguments.test}.", file=sys.stderr)
        return 1
    wanted = [job.key(frame, arguments.seconds, arguments.seed) for job in jobs for frame in job.tested]
    rows = [results[key] for key in wanted]
    if arguments.csv:
        writer = csv.DictWriter(sys.stdout, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    else:
        print(summary(rows))
    return 0


def summary(rows: Sequence[Row]) -> str:
    """Tables of PSNR and dE with a line a crop, their means, and how Wetgate stands against the best of the others."""
    methods = list(dict.fromkeys(row["method"] for row in rows))
    crops = list(dict.fromkeys((row["shot"], row["frame"]) for row in rows))
    text = []
    for measure_name, title in (("psnr", "PSNR dB"), ("delta_e", "dE")):
        values = {(row["shot"], row["frame"], row["method"]): row[measure_name] for row in rows}
        lines = [[title, *methods]]
        for shot, frame in crops:
            lines.append([f"{shot} {frame}", *(f"{values[shot, frame, method]:.2f}" for method in methods)])
        means = {method: sum(values[*crop, method] for crop in crops) / len(crops) for method in methods}
        lines.append(["mean", *(f"{means[method]:.2f}" for method in methods)])
        text += [_aligned(lines), ""]
        if measure_name == "psnr":
            verdict = _verdict(values, means, crops, methods)
    return "\n".join([*text, *verdict]).rstrip()


def _verdict(
    values: Mapping[tuple[str, int, str], float],
    means: Mapping[str, float],
    crops: Sequence[tuple[str, int]],
    methods: Sequence[str],
) -> list[str]:
    rivals = [COPYCAT] if COPYCAT in methods else [method for method in methods if method in BASELINES]
    if product.NAME not in methods or not rivals:
        return []
    best = max(rivals, key=lambda method: means[method])
    lines = [f"{product.NAME} against {best}: {means[product.NAME] - means[best]:+.2f} dB on average"]
    for shot, frame in crops:
        there = max(rivals, key=lambda method: values[shot, frame, method])
        lead = values[shot, frame, product.NAME] - values[shot, frame, there]
        lines.append(f"  {shot} {frame}: {lead:+.2f} dB against {there}")
    return lines


def _aligned(lines: list[list[str]]) -> str:
    widths = [max(map(len, cells)) for cells in zip(*lines, strict=True)]
    text = []
    for name, *cells in lines:
        aligned = (cell.rjust(width) for cell, width in zip(cells, widths[1:], strict=True))
        text.append("  ".join([name.ljust(widths[0]), *aligned]))
    return "\n".join(text)


def _jobs(arguments: argparse.Namespace) -> Iterator[Job]:
    shots = [(folder, _frames(folder)) for folder in arguments.folders]
    if arguments.trained_on_all:
        for folder, frames in shots:
            has_copycat = all(_path(folder, "copycat", frame).exists() for frame in frames)
            for method in (*arguments.methods, *([COPYCAT] if has_copycat else [])):
                yield Job(folder, method, frames, frames)
        return
    every = sorted({frame for _, frames in shots for frame in frames}, reverse=True)
    for tested in every if arguments.test == "all" else [int(arguments.test)]:
        for folder, frames in shots:
            if tested in frames:
                rest = tuple(frame for frame in frames if frame != tested)
                for method in arguments.methods:
                    yield Job(folder, method, rest, (tested,))


def _measured(job: Job, arguments: argparse.Namespace) -> Iterator[tuple[int, Row]]:
    frames = [
        Frame(number, _pixels(job.folder, "reference", number), _pixels(job.folder, "scan", number))
        for number in job.tested
    ]
    method = _trained(job, arguments)
    for frame in frames:
        measures = measure(method.restore(frame), frame.truth, inset=INSET)
        row = {
            "shot": job.folder.name,
            "method": job.method,
            "trained": list(job.trained),
            "frame": frame.number,
            "seconds": arguments.seconds,
            "seed": arguments.seed,
            "clock": "processor" if arguments.cpu_seconds and job.method in BASELINES else "wall",
            "took": method.seconds,
            "parameters": method.parameters,
            **asdict(measures),
        }
        yield frame.number, row


def _trained(job: Job, arguments: argparse.Namespace) -> Method:
    def pair(frame: int) -> tuple[Pixels, Pixels]:
        return _pixels(job.folder, "scan", frame), _pixels(job.folder, "reference", frame)

    if job.method == "scan":
        return scan_method()
    if job.method == COPYCAT:
        return Method(COPYCAT, lambda frame: _pixels(job.folder, "copycat", frame.number))
    pairs = {frame: pair(frame) for frame in job.trained}
    if job.method == product.NAME:
        scans = {frame: _pixels(job.folder, "scan", frame) for frame in job.tested}
        return product.train_and_apply(
            pairs, scans, scans, seconds=arguments.seconds, protect=PROTECT, seed=arguments.seed
        )
    budget = Budget(arguments.seconds, cpu=arguments.cpu_seconds)
    return train(job.method, list(pairs.values()), budget, protect=PROTECT, seed=arguments.seed)


def _path(folder: Path, kind: str, frame: int) -> Path:
    return folder / f"{kind}.{frame:04d}.png"


def _pixels(folder: Path, kind: str, frame: int) -> Pixels:
    return read_image(_path(folder, kind, frame)).pixels


def _frames(folder: Path) -> tuple[int, ...]:
    frames = tuple(sorted(int(path.suffixes[0][1:]) for path in folder.glob("scan.[0-9]*.png")))
    if len(frames) < 2:
        raise WetgateError(f"{folder} holds fewer than two crops named scan.NNNN.png: nothing could be held out.")
    return frames


def _read(path: Path) -> dict[str, Row]:
    """Results by key; a last line that was cut off is left out."""
    results: dict[str, Row] = {}
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else []:
        try:
            row = json.loads(line)
        except ValueError:
            continue
        job = Job(Path(row["shot"]), row["method"], tuple(row["trained"]), (row["frame"],))
        results[job.key(row["frame"], row["seconds"], row["seed"])] = row
    return results


def _tell(row: Row, path: Path | None) -> None:
    took = "" if row["took"] is None else f", {row['took']:.0f} s"
    print(f"{row['shot']} {row['frame']} {row['method']}: {row['psnr']:.2f} dB{took}", file=sys.stderr, flush=True)
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(path, "ab+") as stream:
            torn = stream.tell() > 0 and stream.seek(-1, os.SEEK_END) >= 0 and stream.read(1) != b"\n"
            stream.write(b"\n" * torn + json.dumps(row).encode() + b"\n")


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.crops", description=__doc__.partition("\n")[0])
    parser.add_argument("folders", nargs="+", type=Path, metavar="FOLDER", help="one shot each")
    parser.add_argument("--seconds", type=float, default=60.0, help="that each training may take (default: 60)")
    parser.add_argument(
        "--cpu-seconds",
        action="store_true",
        help="count processor time of the baselines instead of wall time: SECONDS for each core of the machine, one "
        "thread; for machines with other work to do. Wetgate itself always counts wall time.",
    )
    parser.add_argument("--test", default="3", metavar="N|all", help="the crop that is held out (default: 3)")
    parser.add_argument(
        "--trained-on-all", action="store_true", help="train on all crops, measure on the same ones, hold out none"
    )
    parser.add_argument(
        "--methods", nargs="+", choices=METHODS, default=METHODS, metavar="METHOD", help=", ".join(METHODS)
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, metavar="FILE", help="where results are kept and found again, one a line")
    parser.add_argument("--csv", action="store_true", help="print all measures as CSV instead of the summary")
    arguments = parser.parse_args(argv)
    if arguments.test != "all" and not arguments.test.isdecimal():
        parser.error(f"--test {arguments.test}: a crop's number, or all")
    return arguments


if __name__ == "__main__":
    sys.exit(main())
