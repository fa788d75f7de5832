"""The demo's own job for everybody: six pairs of simulated faded film, and the same judged frames as `wetgate demo`.

The footage decays as in the demo; the pairs are aligned; the six are spread evenly over it, the judged frames are runs
of five, so that flicker can be measured, without the paired ones. Nothing is protected: the truth is the unfaded film.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from benchmarks import product
from benchmarks.baselines import BASELINES, Budget, train
from wetgate.errors import WetgateError
from wetgate.evaluation import Table, as_text
from wetgate.evaluation.compare import Frame, Method, Sample, compare, scan_method
from wetgate.images import Pixels
from wetgate.simulate.footage import demo_frames
from wetgate.simulate.presets import preset
from wetgate.simulate.telecine import reference_of

PAIRS = 6
RUN, EVERY = 5, 25
"""Judged: the first RUN of every EVERY frames, from frame 3 on."""


@dataclass(frozen=True)
class Footage:
    """The scan, pairs (scan, reference) and judged frames (scan, truth) by frame number; display values."""

    scan: dict[int, Pixels]
    pairs: dict[int, tuple[Pixels, Pixels]]
    judged: dict[int, tuple[Pixels, Pixels]]


def main(argv: Sequence[str] | None = None) -> int:
    arguments = _parse(argv)
    if arguments.cpu_seconds:
        torch.set_num_threads(1)
    try:
        footage = decayed(arguments.frames, arguments.seed)
        methods = [scan_method()]
        for name in arguments.methods:
            methods.append(_trained(name, footage, arguments))
            print(f"{name}: trained", file=sys.stderr, flush=True)
        samples = [_sample(number, *pictures) for number, pictures in footage.judged.items()]
        rows = compare(samples, methods, encoding="display", pictures=0).rows
    except WetgateError as error:
        print(f"demo_baselines: {error}", file=sys.stderr)
        return 1
    pairs = ", ".join(map(str, footage.pairs))
    clock = "processor seconds a core" if arguments.cpu_seconds else "seconds"
    title = (
        f"{len(footage.judged)} held-out frames; pairs {pairs}; {arguments.seconds:g} {clock}; seed {arguments.seed}"
    )
    print(as_text(Table(title, rows)))
    return 0


def decayed(count: int, seed: int) -> Footage:
    """The first ``count`` frames of the demo's footage as a print that is ``seed``."""
    film = preset("faded_print", seed)
    paired = {int((i + 0.5) * count / PAIRS) + 1 for i in range(PAIRS)}
    judged = {start + i for start in range(3, count, EVERY) for i in range(RUN)} - paired
    footage = Footage({}, {}, {})
    for number, pixels in demo_frames():
        if number > count:
            break
        scan, truth, _ = film.frame(pixels, number)
        footage.scan[number] = scan
        if number in paired:
            footage.pairs[number] = scan, reference_of(truth, seed=seed, frame=number)
        elif number in judged:
            footage.judged[number] = scan, truth
    return footage


def _trained(name: str, footage: Footage, arguments: argparse.Namespace) -> Method:
    if name in (product.NAME, product.UNSTEADIED):
        return product.train_and_apply(
            footage.pairs,
            footage.scan,
            footage.judged,
            seconds=arguments.seconds,
            protect="grain",
            seed=arguments.seed,
            steady=name == product.NAME,
        )
    budget = Budget(arguments.seconds, cpu=arguments.cpu_seconds)
    return train(name, list(footage.pairs.values()), budget, seed=arguments.seed)


def _sample(number: int, scan: Pixels, truth: Pixels) -> Sample:
    return Sample(f"frame {number}", lambda: Frame(number, truth, scan))


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    names = (*BASELINES, product.UNSTEADIED, product.NAME)
    parser = argparse.ArgumentParser(prog="python -m benchmarks.demo_baselines", description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=60.0, help="that each training may take (default: 60)")
    parser.add_argument("--cpu-seconds", action="store_true", help="as in benchmarks.crops")
    parser.add_argument("--methods", nargs="+", choices=names, default=names, metavar="METHOD", help=", ".join(names))
    parser.add_argument("--frames", type=int, default=250, metavar="N", help="of the footage, from its start (250)")
    parser.add_argument("--seed", type=int, default=0, help="of the decay and of the trainings")
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(main())
