"""The pictures of docs/exemplar.md: colours for one portrait from another, faded and black and white.

Both are in the public domain and come with packages that Wetgate does not need: Rear Admiral Grace Hopper (US Navy)
with matplotlib, astronaut Eileen Collins (NASA) with scikit-image. The packages are not imported. Prints CIEDE2000
(after the sigma-3 low-pass) against the portrait's own colours, which no method has seen.
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from wetgate.errors import WetgateError
from wetgate.evaluation.metrics import Comparison
from wetgate.images import LUMA, Pixels, read_image, write_image
from wetgate.pairing.exemplars import Exemplar, Exemplars
from wetgate.pairing.links import Link
from wetgate.pairing.unfading import unfade
from wetgate.simulate.presets import preset

SCAN = ("matplotlib", "mpl-data/sample_data/grace_hopper.jpg")
PICTURE = ("skimage", "data/astronaut.png")
LINKS = (
    ((190, 240, 60, 40), (205, 105, 50, 35)),  # skin
    ((50, 195, 50, 50), (8, 20, 25, 70)),  # the flag's blue
    ((75, 320, 60, 30), (30, 170, 40, 70)),  # the flag's stripes
    ((100, 420, 80, 50), (380, 420, 60, 40)),  # cloth, and the helmet
    ((245, 455, 30, 30), (395, 100, 12, 60)),  # linen, and the model's white
)
WALL = ((390, 60, 80, 120), (310, 150, 40, 60))
"""Linked where the film does not tell its colour: it was blue, and the picture's wall is not."""
HEIGHT = 230


def main(argv: Sequence[str] | None = None) -> int:
    arguments = _parse(argv)
    try:
        truth, picture = (np.clip(read_image(_shipped(*place)).pixels, 0, 1) for place in (SCAN, PICTURE))
    except WetgateError as error:
        print(f"paintings: {error}", file=sys.stderr)
        return 1
    film = replace(preset("faded_print", 1), weave=replace(preset("faded_print").weave, shift_um=(0, 0), rotation=0))
    faded = film.frame(truth, 1).scan
    unfaded = unfade([faded]).restore(faded)
    grey = np.repeat((truth @ LUMA)[..., None], 3, axis=2)
    for name, scan, prior, linked in (("faded", faded, unfaded, LINKS), ("grey", grey, None, (*LINKS, WALL))):
        shown = [scan] if prior is None else [scan, prior]
        print(f"{name}: " + ", ".join(f"{_error(one, truth):.1f}" for one in shown), end="")
        for links in ((), linked):
            drawn = tuple(Link(here, there, 1) for here, there in links)
            pictures = Exemplars([Exemplar(picture, "astronaut.png", links=drawn)], lambda frame, scan=scan: scan)
            made = pictures.construct(scan, prior)
            shown.append(made.reference)
            confidence = np.repeat(made.confidence[..., None], 3, axis=2)
            print(f", {len(links)} links {_error(made.reference, truth):.1f} ({made.notes[0]})", end="")
        print()
        pictures_of = [*shown, confidence, truth, picture]
        strip = np.clip(np.hstack([_fitted(one) for one in pictures_of]), 0, 1)
        write_image(Path(arguments.output) / f"exemplar_{name}.jpg", np.ascontiguousarray(strip), bit_depth="8")
    return 0


def _error(picture: Pixels, truth: Pixels) -> float:
    return Comparison(picture, truth).delta_e


def _fitted(picture: Pixels) -> Pixels:
    width = round(HEIGHT * picture.shape[1] / picture.shape[0])
    return cv2.resize(np.clip(picture, 0, 1), (width, HEIGHT), interpolation=cv2.INTER_AREA)


def _shipped(package: str, name: str) -> Path:
    spec = importlib.util.find_spec(package)
    for folder in (spec.submodule_search_locations or []) if spec else []:
        if (Path(folder) / name).is_file():
            return Path(folder) / name
    raise WetgateError(
        f"{name} was not found: it comes with {package}. Install scikit-image and matplotlib and run it again."
    )


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.paintings", description=__doc__.partition("\n")[0])
    parser.add_argument("--output", default="docs/pictures", metavar="DIR", help="where the pictures go")
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(main())
