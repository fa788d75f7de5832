"""A model as a table of colours, where it is nothing else: an Iridas .cube, which every grading program reads.

That a model looks at single colours is measured, not assumed. The table runs from 0 to 1 in the model's own encoding;
for a scene-linear model it takes and gives Cineon log, since even steps of light are too coarse in the shadows.

Format: Adobe, Cube LUT Specification 1.0 (2013): red changes fastest.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wetgate import __version__
from wetgate.errors import WetgateError
from wetgate.files import write_bytes
from wetgate.images.encodings import from_linear, to_linear
from wetgate.inference.session import Session

Array = NDArray[np.float32]

SIZES = (33, 65)
MOST_DIFFERENCE = 1 / 1023
"""How far apart one colour may come out in two surroundings: a step of 10 bits, which no scan in 10 bits can show."""

_SIDE = 32
"""Colours along a side of the pictures that are compared: 1024 of them, random but for the cube's corners."""
_APART = 8
"""Pixels from one of these colours to the next, and the side of a patch of surroundings."""
_FLAT = 32
"""Side of a flat patch."""
_BATCH = 64
_BETWEEN = 20_000
"""Random colours that tell what interpolation costs."""


def export(model_path: Path, output: Path, *, size: int = SIZES[0]) -> dict[str, Any]:
    """Write the model at ``model_path`` to ``output`` as a table of ``size`` colours a side, atomically.

    Returns:
        A JSON-able dict: ``size``, ``coding`` of what the table takes and gives, ``difference`` (the largest between a
        colour on a flat patch and in other surroundings) and ``interpolation`` (``largest`` and ``mean`` error of
        trilinear interpolation between the table's colours); all in the table's values.

    Raises:
        WetgateError: the model cannot be read or is no pure colour transform, or the table cannot be written.
    """
    session = Session(model_path, "cpu")
    if session.card.radius:
        raise WetgateError(f"{model_path} looks at neighbouring frames, so it cannot become a .cube.")
    model = _Coded(session)
    difference = _largest_difference(model)
    table = model.colours(_lattice(size))
    between = np.random.default_rng(1).random((_BETWEEN, 3), dtype=np.float32)
    wanted = model.colours(between)
    if math.isnan(difference) or not (np.isfinite(table).all() and np.isfinite(wanted).all()):
        raise WetgateError(f"{model_path} gives no number for some colours between 0 and 1. No .cube was written.")
    if difference > MOST_DIFFERENCE:
        raise WetgateError(
            f"{model_path} is no pure colour transform: in other surroundings the same colour came out up to "
            f"{difference:.4f} different ({MOST_DIFFERENCE:.4f}, a step of 10 bits, is allowed). No .cube was written."
        )
    errors = np.abs(interpolate(table, between) - wanted)
    write_bytes(output, _text(session, model.coding, table).encode("ascii", "replace"))
    return {
        "size": size,
        "coding": model.coding,
        "difference": difference,
        "interpolation": {"largest": float(errors.max()), "mean": float(errors.mean())},
    }


def interpolate(table: Array, colours: Array) -> Array:
    """Colours [N, 3] of 0-1 as a program that reads the ``table`` [size**3, 3] makes them, trilinear."""
    size = round(len(table) ** (1 / 3))
    cube = table.reshape(size, size, size, 3)  # blue, green, red
    position = colours[:, ::-1] * np.float32(size - 1)
    low = np.minimum(position.astype(np.int64), size - 2)
    part = position - low
    result = np.zeros_like(colours)
    for corner in np.ndindex(2, 2, 2):
        weight = np.where(corner, part, 1 - part).prod(axis=1, keepdims=True)
        blue, green, red = (low + corner).T
        result += weight * cube[blue, green, red]
    return result


class _Coded:
    """A model in the coding of its table: pictures of 0-1 in, [N, 3, H, W]."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._linear = session.card.encoding == "linear"
        self.coding = "log" if self._linear else session.card.encoding

    def __call__(self, pictures: Array) -> Array:
        if not self._linear:
            return self._session.run(pictures)[0]
        return from_linear(self._session.run(to_linear(pictures, "log"))[0], "log")

    def colours(self, colours: Array) -> Array:
        """What becomes of colours [N, 3], side by side in one picture."""
        width = math.isqrt(len(colours) - 1) + 1
        picture = np.resize(colours, (width * width, 3)).reshape(1, width, width, 3)
        return self(picture.transpose(0, 3, 1, 2)).transpose(0, 2, 3, 1).reshape(-1, 3)[: len(colours)]


def _lattice(size: int) -> Array:
    """The colours of a table [size**3, 3] in its order."""
    steps = np.linspace(0, 1, size, dtype=np.float32)
    blue, green, red = np.meshgrid(steps, steps, steps, indexing="ij")
    return np.stack([red, green, blue], -1).reshape(-1, 3)


def _largest_difference(model: _Coded) -> float:
    """Between a colour on a flat patch and in other surroundings; NaN where the model gives no number."""
    generator = np.random.default_rng(0)
    colours = np.concatenate([_lattice(2), generator.random((_SIDE**2 - 8, 3), dtype=np.float32)])
    flat = np.concatenate([_on_flat_patches(model, part) for part in np.split(colours, len(colours) // _BATCH)])
    differences = []
    for picture in _surroundings(generator):
        rows, columns = (generator.integers(0, _APART, _SIDE**2) for _ in range(2))
        rows += np.repeat(np.arange(_SIDE), _SIDE) * _APART
        columns += np.tile(np.arange(_SIDE), _SIDE) * _APART
        picture[:, rows, columns] = colours.T
        differences.append(np.abs(model(picture[None])[0][:, rows, columns].T - flat).max())
    return float(np.max(differences))


def _on_flat_patches(model: _Coded, colours: Array) -> Array:
    patches = np.broadcast_to(colours[:, :, None, None], (len(colours), 3, _FLAT, _FLAT))
    return model(np.ascontiguousarray(patches))[:, :, _FLAT // 2, _FLAT // 2]


def _surroundings(generator: np.random.Generator) -> Iterator[Array]:
    """Pictures [3, H, W] to set colours into: noise, patches, and one colour all over: black, white, any."""
    side = _SIDE * _APART
    yield generator.random((3, side, side), dtype=np.float32)
    patches = generator.random((3, _SIDE, _SIDE), dtype=np.float32)
    yield patches.repeat(_APART, axis=1).repeat(_APART, axis=2)
    for colour in ([0, 0, 0], [1, 1, 1], *generator.random((2, 3))):
        yield np.full((side, side, 3), colour, np.float32).transpose(2, 0, 1).copy()


def _text(session: Session, coding: str, table: Array) -> str:
    card = session.card
    means = {
        "display": "display values, gamma coded",
        "log": "Cineon log code values / 1023",
        "": "values in the model's encoding, which it does not state",
    }[coding]
    lines = [
        f"# Wetgate {__version__}, from the model with SHA-256 {session.model_sha256}",
        f"# In and out: {means}" + (" (the model itself works on scene-linear values)" * (card.encoding == "linear")),
        f'TITLE "Wetgate {card.recipe or "model"} {session.model_sha256[:8]}"',
        f"LUT_3D_SIZE {round(len(table) ** (1 / 3))}",
        "DOMAIN_MIN 0.0 0.0 0.0",
        "DOMAIN_MAX 1.0 1.0 1.0",
        *(f"{red:.7f} {green:.7f} {blue:.7f}" for red, green, blue in table.tolist()),
    ]
    return "\n".join(lines) + "\n"
