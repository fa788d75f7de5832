"""One frame: from the window that was read to the picture that is written."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wetgate import __version__
from wetgate.errors import WetgateError
from wetgate.images import Image
from wetgate.inference.curves import Curve
from wetgate.inference.pixels import colourfulness, compose, fill_bad
from wetgate.inference.session import Stop
from wetgate.inference.tiles import Effort, Restorer
from wetgate.inference.transforms import UNMOVED, Transform
from wetgate.onnx_model import ModelCard
from wetgate.records.canonical import record_hash
from wetgate.records.shot_record import INFERRED

SOFTWARE = f"wetgate {__version__}"

Array = NDArray[np.float32]


@dataclass(frozen=True)
class Frame:
    """A frame ready for the model.

    Attributes:
        image: as read.
        clean: float32 [H, W, 3], bad pixels filled and exposure steadied; ``image.pixels`` itself where neither is due.
        bad: which pixels were bad [H, W], or None.
    """

    image: Image
    clean: Array
    bad: NDArray[np.bool_] | None

    @classmethod
    def of(cls, image: Image) -> Frame:
        """A picture as it was read, its bad pixels filled."""
        clean, bad = fill_bad(image.pixels) if image.has_bad_pixels() else (image.pixels, None)
        return cls(image, clean, bad)


@dataclass(frozen=True)
class Restored:
    """What the model made of a frame.

    Attributes:
        pixels: float32 [H, W, 3]: the restored picture; the scan's own bits where a mask, a bad pixel or the model
            left no other.
        coverage: float32 [H, W], or None where the model gives none.
        unusable: how many pixels the model gave no number for.
        colour: the most colour that a scan of one channel lost; see :func:`colourfulness`.
        effort: what it took.
    """

    pixels: Array
    coverage: Array | None
    unusable: int
    colour: float
    effort: Effort


def restore_frame(
    window: Sequence[Frame],
    weights: Array | None,
    restorer: Restorer,
    name: str,
    stop: Stop | None = None,
    damage: Array | None = None,
) -> Restored:
    """Restore the middle frame of ``window``.

    Args:
        window: 2r+1 frames, oldest first, of one size.
        weights: as :func:`wetgate.inference.pixels.matte` gives them, or None for the whole frame.
        restorer: runs the model.
        name: of the frame, for errors.
        stop: ends the computation from another thread.
        damage: float32 [H, W] as :func:`wetgate.inference.pixels.matte` gives it: what to repair, for a model that
            can be told; None: it finds that itself.

    Raises:
        Stopped: ``stop`` was requested.
        WetgateError: the model failed, or gave no number for any pixel.
    """
    middle = window[len(window) // 2]
    scan, mono = middle.image.pixels, middle.image.mono
    pixels, coverage, effort = restorer.restore([frame.clean for frame in window], stop, damage)
    colour = colourfulness(pixels) if mono else 0.0
    unusable = compose(scan, pixels, bad=middle.bad, weights=weights, mono=mono)
    if unusable * 3 == scan.size:
        raise WetgateError(f"The model gave no number for any pixel of {name}: it is broken, train it again.")
    return Restored(pixels, coverage, unusable, colour, effort)


def marks(
    card: ModelCard,
    model_sha256: str,
    source: Path,
    source_sha256: str,
    frame: int | None,
    curve: Curve | None,
    place: Transform = UNMOVED,
) -> dict[str, Any]:
    """What an EXR frame says about its making, as attributes of its header.

    Args:
        card, model_sha256: the model.
        source, source_sha256: the file of the scan.
        frame: its number, where it is known.
        curve: the exposure curve that steadied it, or None.
        place: the transform that brought it to rest.
    """
    return {
        "wetgate:software": SOFTWARE,
        "wetgate:model_sha256": model_sha256,
        "wetgate:recipe": card.recipe or None,
        "wetgate:encoding": card.encoding or None,
        "wetgate:record_sha256": record_hash(card.record) if card.record else None,
        "wetgate:digital_source_type": card.record.get("digital_source_type"),
        "wetgate:source_file": source.name,
        "wetgate:source_frame": frame,
        "wetgate:source_sha256": source_sha256,
        "wetgate:exposure_curve": None if curve is None else json.dumps(curve),
        "wetgate:transform": None if place == UNMOVED else json.dumps(place),
    }


def joined(marks_of_each: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """What a frame says that several models made one after another: theirs in their order, joined where they differ.

    What one of them inferred is inferred.
    """
    said: dict[str, Any] = {}
    for name in marks_of_each[0]:
        values = [marks[name] for marks in marks_of_each if marks[name] is not None]
        if name == "wetgate:digital_source_type":
            values = [value for value in values if value == INFERRED] or values
        if name != "wetgate:model_sha256":
            values = list(dict.fromkeys(values))
        said[name] = ", ".join(values) if len(values) > 1 else next(iter(values), None)
    return said
