"""Make what the recipe `damage` starts from: networks that have learnt on made-up scenes, no footage of anybody's.

    python -m benchmarks.damage_prior [--scenes 320] [--lessons 2000] [--steps 5000] [--seed 0]

Scenes (:mod:`wetgate.simulate.leaves`) become 16 mm film of many grains, scanned at several resolutions, and lessons
as a film gives them. It took 21 minutes on two cores and writes wetgate/training/damage_prior.npz.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.damage import FILM, WIDTH
from wetgate.simulate.grain import Grain
from wetgate.simulate.leaves import moving_scene
from wetgate.training import damage_prior
from wetgate.training.damage_model import LEAST, MOST, to_display_values
from wetgate.training.damage_task import DamageTask, Material
from wetgate.training.loop import State, settle, train, weights_of
from wetgate.training.operations import Numpy

Array = NDArray[np.float32]

SIDE, EDGE = 192, 8
SCALES, SHARES = (0.6, 1.0, 1.6, 2.6), (0.15, 0.45, 0.25, 0.15)
"""Pixels of the scan to one of a frame 640 wide, and how often."""
JUDGED = 12
"""Scenes of which no lesson is made."""
_NOTED = 250


def main(argv: Sequence[str] | None = None) -> int:
    arguments = _parse(argv)
    settle()
    begun = time.monotonic()
    with ThreadPoolExecutor(2) as pool:
        scenes = list(pool.map(lambda number: scene(arguments.seed, number), range(arguments.scenes)))
    material = [
        Material([window for windows, _ in part for window in windows], [scale for _, scale in part for _ in range(2)])
        for part in (scenes[JUDGED:], scenes[:JUDGED])
    ]
    print(f"{len(scenes)} scenes after {time.monotonic() - begun:.0f} s", flush=True)
    task = DamageTask(0, *material, damage_prior.RADIUS, arguments.lessons, arguments.seed, "cpu")

    def after_step(state: State, loss: float) -> None:
        if state.step % _NOTED == 0:
            found = {key: round(value, 4) for key, value in task.judged(state.weights).items()}
            print(f"{time.monotonic() - begun:.0f} s, step {state.step}: {found}", flush=True)
            damage_prior.write(weights_of(state))

    state = train(task, State(), lambda state: state.step / arguments.steps, after_step)
    damage_prior.write(weights_of(state))
    return 0


def scene(seed: int, number: int) -> tuple[list[Array], float]:
    """Two windows side by side [3, H, W, 3], display values, and the scale of their scan."""
    random = np.random.default_rng((seed, number))
    scale = float(random.choice(SCALES, p=SHARES))
    height, width = SIDE + 2 * EDGE, 2 * SIDE + 2 * EDGE
    small = moving_scene(random, round(height / max(scale, 1)), round(width / max(scale, 1)))
    grain = Grain(granularity=random.uniform(2, 10), size_um=random.uniform(5, 10))
    width_mm = FILM.picture_width_mm * width / (WIDTH * scale)
    decay = replace(FILM, grain=grain, picture_width_mm=width_mm, seed=number)
    frames = []
    for at, picture in enumerate(small):
        scanned = cv2.resize(picture, (width, height), interpolation=cv2.INTER_CUBIC).clip(0, 1)
        frames.append(to_display_values(Numpy(), decay.frame(scanned, at).scan, "display"))
    film = np.stack(frames).clip(LEAST, MOST).astype(np.float32)
    rows = slice(EDGE, EDGE + SIDE)
    return [film[:, rows, left : left + SIDE].copy() for left in (EDGE, EDGE + SIDE)], scale


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="benchmarks.damage_prior", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--scenes", type=int, default=320)
    parser.add_argument("--lessons", type=int, default=2000)
    parser.add_argument("--steps", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(main())
