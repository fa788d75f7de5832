"""A first answer without any reference: a model that undoes a scan's fading, estimated from the scan itself.

Two steps, a second or two in all: estimate how the dyes have faded (:mod:`wetgate.pairing.unfading`), and solve the
colour model's closed form for that, so that grain stays grain and every host can run it. The record says that colour
was inferred.

Errors: a scan that holds no colour, no frame.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wetgate import __version__
from wetgate.errors import WetgateError
from wetgate.images import from_display, to_display
from wetgate.onnx_model import ModelCard
from wetgate.pairing.dyes import UNKNOWN
from wetgate.pairing.known_colours import Hint
from wetgate.pairing.unfading import Unfading, unfade
from wetgate.recipes.work import versions
from wetgate.records.shot_record import SourceRecord, shot_record
from wetgate.training import closed_form, quadratic
from wetgate.training.color_model import ColorModel, forward
from wetgate.training.density import to_density
from wetgate.training.onnx_export import export
from wetgate.training.operations import Numpy
from wetgate.training.samples import Sample, make_sample

Array = NDArray[np.float32]

_COLOURS, _ELSEWHERE = 9, 0.002
"""Display values along each axis that the model is held to besides the frames' own, and their share of all weight."""
_PIXELS = 200_000

LIMITS = (
    "Colour is inferred: from the fading of the scan itself; no reference shows this picture's own colours.",
    "What looks neither black, white nor grey in any frame may keep a cast.",
    "Flicker of the scan is not removed.",
)


@dataclass(frozen=True)
class Unfaded:
    """What was found for a scan, and the model that does it."""

    unfading: Unfading
    model: ColorModel


def unfaded(
    scans: Sequence[tuple[int, Array]],
    encoding: str,
    *,
    protect: str = "grain",
    hints: Sequence[Hint] = (),
    stock: str = UNKNOWN,
) -> Unfaded:
    """Estimate a scan's fading and solve a model that undoes it.

    Args:
        scans: frame numbers and pixels [H, W, 3] in ``encoding`` of some frames of a shot, or of a reel that has faded
            alike.
        encoding: "display", "linear" or "log".
        protect: "grain", "luma" or "none", as for the colour recipe.
        hints: colours that are known.
        stock: the print's, see :mod:`wetgate.pairing.dyes`.

    Raises:
        WetgateError: there is no frame, or no colour in them.
    """
    displayed = [np.clip(to_display(pixels, encoding), 0, 1) for _, pixels in scans]
    found = unfade(displayed, hints, stock)
    if found.colourless:
        raise WetgateError(
            "The scan is black and white: there is no faded colour to bring back. Paint over some frames or name "
            "paintings: see docs/exemplar.md."
        )
    samples = [
        make_sample(pixels, from_display(found.restore(display), encoding), encoding, number=index, frame=frame)
        for index, ((frame, pixels), display) in enumerate(zip(scans, displayed, strict=True))
    ]
    model = closed_form.first_model(samples, encoding, protect)
    return Unfaded(found, model.with_(coefficients=_coefficients(samples, found, encoding)))


def _coefficients(samples: Sequence[Sample], found: Unfading, encoding: str) -> Array:
    """The closed-form fit [10, 3] to the frames, and, with a little weight, to colours that are not in them.

    Left to itself, a quadratic goes anywhere there: a speck of dust would flare up.
    """
    axis = np.linspace(0, 1, _COLOURS, dtype=np.float32)
    elsewhere = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1).reshape(-1, 3)
    pairs = (elsewhere, np.clip(found.restore(elsewhere), 0, 1))
    there = [to_density(Numpy(), from_display(colours, encoding), encoding) for colours in pairs]
    step = max(1, sum(sample.weight.size for sample in samples) // _PIXELS)
    scan, target = (
        np.concatenate([getattr(sample, side).reshape(-1, 3)[::step] for sample in samples])
        for side in ("scan", "target")
    )
    weight = np.full(len(scan), (1 - _ELSEWHERE) / len(scan), np.float32)
    weight_there = np.full(len(elsewhere), _ELSEWHERE / len(elsewhere), np.float32)
    return quadratic.fit(
        [np.concatenate([scan, there[0]])],
        [np.concatenate([target, there[1]])],
        [np.concatenate([weight, weight_there])],
    )


def write(path: Path, answer: Unfaded, *, scan: str, frames: str, rights: str = "", operator: str = "") -> None:
    """Write the model file.

    Args:
        path: of the file.
        answer: see :func:`unfaded`.
        scan: name of the scan, for the record.
        frames: that were looked at, as 1001-1100x10.
        rights: to use the scan.
        operator: who is responsible.

    Raises:
        WetgateError: the file cannot be written.
    """
    model, found = answer.model, answer.unfading
    record = shot_record(
        recipe="exemplar",
        sources=[SourceRecord(role="scan", name=scan, rights=rights)],
        pairs=[],
        settings={
            "from": "unfading",
            "frames": frames,
            "stock": found.stock,
            "remaining": list(found.remaining),
            "stain": list(found.stain),
            "known": [hint.as_dict() for hint in found.hints],
        },
        seed=0,
        versions=versions(),
        protected=model.protect,
        same_picture=False,
        limitations=LIMITS,
        operator=operator,
    )
    card = ModelCard(
        recipe="exemplar",
        encoding=model.encoding,
        colour_space="as the scan",
        protected=model.protect,
        record=record,
        producer=f"wetgate {__version__}",
    )
    export(path, lambda ops, frames: forward(ops, frames, model), card)
