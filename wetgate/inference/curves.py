"""What makes a scan stand steady: exposure curves, added to the density of each frame, and perhaps transforms.

They are measured by :mod:`wetgate.pairing.deflicker` and :mod:`wetgate.pairing.weave` and applied here, before a model
sees the frame, with numpy alone.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wetgate.errors import WetgateError
from wetgate.files import make_folder, write_bytes
from wetgate.images import ENCODINGS, Source
from wetgate.inference.transforms import UNMOVED, Transform, Transforms, resampled, shifted, whole_shift

Array = NDArray[np.float32]
Curve = tuple[tuple[float, float], tuple[float, float], tuple[float, float]]
"""For red, green and blue: ``(offset, gain)``; density D becomes ``D + offset + gain * D``."""

SCHEMA, SCHEMA_MOVED = 1, 2
"""Of files without transforms, and of those with them."""
STEADY = "steady"
"""The recipe whose models do nothing by themselves: what lies beside them steadies the scan."""
SIDECAR = "steady.json"
"""Beside such a model: what it does to the frames of the scan that it was made from."""
STILL: Curve = ((0.0, 0.0), (0.0, 0.0), (0.0, 0.0))

_MOST = 1e3
"""In density, far beyond any film: more is no curve but a damaged file."""
_FLARE = {"display": 1 / 64, "linear": 1 / 1024}
_SCALE = {"display": 1.0, "linear": 1 / 2.2, "log": 2.046 / 0.6 / 2.2}
_ROWS = 128


def density_of(values: Array, encoding: str) -> Array:
    """Density float32 of encoded values, any shape: the scale of :mod:`wetgate.training.density`."""
    scale = np.float32(_SCALE[encoding])
    if encoding == "log":
        return scale - scale * values
    flare = np.float32(_FLARE[encoding])
    density = np.log10(np.maximum(values, 0) + flare) * -scale
    density += np.minimum(values, 0) * (-scale / (flare * np.float32(math.log(10))))
    return density


def values_of(density: Array, encoding: str) -> Array:
    """The inverse of :func:`density_of`."""
    scale = np.float32(_SCALE[encoding])
    if encoding == "log":
        return 1 - density / scale
    flare = np.float32(_FLARE[encoding])
    black = -scale * np.log10(flare)
    values = np.exp(np.minimum(density, black) * (np.float32(-math.log(10)) / scale)) - flare
    values -= np.maximum(density - black, 0) * (flare * np.float32(math.log(10)) / scale)
    return values


@dataclass(frozen=True)
class Curves:
    """The curves of one scan, and where its frames lie.

    Attributes:
        encoding: of the scan.
        frames: the :data:`Curve` of each frame, by number.
        shots: first and last frame of each shot, ascending; frames of different shots were never compared.
        scan: what tells the scan that was measured from others (see :func:`identity`).
        transforms: that bring its frames to rest, of the same frames; None where they are left where they lie.
    """

    encoding: str
    frames: Mapping[int, Curve]
    shots: tuple[tuple[int, int], ...] = ()
    scan: str = field(default="", compare=False)
    transforms: Transforms | None = None

    def of(self, frame: int) -> Curve:
        """The curve of ``frame``.

        Raises:
            WetgateError: ``frame`` was not measured.
        """
        try:
            return self.frames[frame]
        except KeyError:
            raise WetgateError(f"The exposure curves know no frame {frame}: measure them for the whole scan.") from None

    def place_of(self, frame: int) -> Transform:
        """The transform of ``frame``.

        Raises:
            WetgateError: transforms were measured, but not for ``frame``.
        """
        return UNMOVED if self.transforms is None else self.transforms.of(frame)

    def steady(self, frame: int, pixels: Array) -> Array:
        """``frame`` at the exposure of its neighbours, and where they lie: float32 [H, W, 3].

        The scan's own array where nothing is due. Shifts by whole pixels move values and change none; other
        transforms resample once, in the scan's encoding, of linear light in density.

        Args:
            frame: its number.
            pixels: [H, W, 3], finite.

        Raises:
            WetgateError: ``frame`` was not measured, or the transforms are of pictures of another shape.
        """
        exposed = self._exposed(frame, pixels)
        transform = self.place_of(frame)
        if self.transforms is None or transform == UNMOVED:
            return exposed
        matrix = self.transforms.matrix(transform, pixels.shape)
        shift = whole_shift(matrix)
        if shift is not None:
            return shifted(exposed, shift)
        if self.encoding == "linear":
            return values_of(resampled(density_of(exposed, self.encoding), matrix), self.encoding)
        return resampled(exposed, matrix)

    def _exposed(self, frame: int, pixels: Array) -> Array:
        curve = self.of(frame)
        if curve == STILL:
            return pixels
        offset, gain = (np.array(column, np.float32) for column in zip(*curve, strict=True))
        steadied = np.empty_like(pixels)
        for top in range(0, len(pixels), _ROWS):
            density = density_of(pixels[top : top + _ROWS], self.encoding)
            density *= 1 + gain
            density += offset
            steadied[top : top + _ROWS] = values_of(density, self.encoding)
        return steadied

    def extent(self, frames: Sequence[int]) -> dict[str, Any]:
        """``frames``: how many of ``frames`` are changed at all; ``largest``: the largest change, in density, of a
        middle tone (density 0.3, half of a display white) in any channel. With transforms, see also
        :meth:`Transforms.extent`.
        """
        changes = [max(abs(o + 0.3 * g) for o, g in self.of(frame)) for frame in frames]
        steadied = {"frames": sum(self.of(frame) != STILL for frame in frames), "largest": round(max(changes), 4)}
        return steadied if self.transforms is None else steadied | self.transforms.extent(frames)

    def to_json(self) -> dict[str, Any]:
        """A JSON-able dict that :meth:`from_json` reads."""
        whole = {
            "schema": SCHEMA if self.transforms is None else SCHEMA_MOVED,
            "scan": self.scan,
            "encoding": self.encoding,
            "shots": [list(shot) for shot in self.shots],
            "frames": {str(frame): as_lists(curve) for frame, curve in self.frames.items()},
        }
        return whole if self.transforms is None else whole | {"transforms": self.transforms.to_json()}

    @classmethod
    def from_json(cls, value: Any) -> Curves:
        """The curves in what :meth:`to_json` gave.

        Raises:
            WetgateError: it is of another schema, or damaged.
        """
        try:
            if value["schema"] not in (SCHEMA, SCHEMA_MOVED) or value["encoding"] not in ENCODINGS:
                raise ValueError("another schema")
            frames = {int(frame): as_curve(channels) for frame, channels in value["frames"].items()}
            shots = tuple((int(first), int(last)) for first, last in value["shots"])
            moved = Transforms.from_json(value["transforms"]) if value["schema"] == SCHEMA_MOVED else None
            return cls(value["encoding"], frames, shots, str(value["scan"]), moved)
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            raise WetgateError("The exposure curves are damaged or of another version: measure them again.") from error

    def dumps(self) -> str:
        """As a text of JSON, a line per frame."""
        whole = self.to_json()
        text = f', "frames": {_by_lines(whole.pop("frames"))}}}\n'
        if self.transforms is not None:
            moved = whole.pop("transforms")
            size = json.dumps(moved["size"])
            text = f', "transforms": {{"size": {size}, "frames": {_by_lines(moved["frames"])}}}' + text
        return json.dumps(whole)[:-1] + text


def _by_lines(frames: Mapping[str, Any]) -> str:
    return "{\n" + ",\n".join(f'  "{frame}": {json.dumps(one)}' for frame, one in frames.items()) + "\n}"


def identity(source: Source) -> str:
    """Tells a scan from others without reading its pictures: names, sizes and times of its files, hashed."""
    digest = hashlib.sha256()
    for path in dict.fromkeys(source.path(frame) for frame in source.frames):
        state = path.stat() if path.exists() else None
        digest.update(f"{path.name}\0{state and (state.st_size, state.st_mtime_ns)}\n".encode())
    return digest.hexdigest()


def kept(folder: Path, source: Source, encoding: str, measure: Callable[[], Curves], *, kind: str = "curves") -> Curves:
    """The curves of ``source`` that an earlier call kept in ``folder``, or what ``measure`` gives, kept there.

    Args:
        folder: where.
        source: what is measured.
        encoding: of its pixels.
        measure: measures it.
        kind: tells curves apart that are measured in other ways.

    Raises:
        WetgateError: ``folder`` cannot be written, or ``measure`` fails.
    """
    path = folder / f"{kind}-{encoding}-{identity(source)}.json"
    with contextlib.suppress(WetgateError):
        return load_curves(path)
    curves = measure()
    make_folder(folder)
    write_bytes(path, curves.dumps().encode())
    return curves


def sidecar(model: Path) -> Path:
    """Where the values of a model of the recipe `steady` lie."""
    return model.with_name(SIDECAR)


def load_curves(path: Path) -> Curves:
    """The curves that :func:`kept` left in a file.

    Raises:
        WetgateError: it is missing, damaged or of another schema.
    """
    try:
        value = json.loads(path.read_text("utf-8"))
    except FileNotFoundError as error:
        raise WetgateError(f"The exposure curves {path} do not exist. Check the path.") from error
    except (OSError, ValueError, RecursionError) as error:
        raise WetgateError(f"{path} holds no exposure curves that can be read: measure them again.") from error
    try:
        return Curves.from_json(value)
    except WetgateError as error:
        raise WetgateError(
            f"The exposure curves in {path} are damaged or of another version: measure them again."
        ) from error


def as_lists(curve: Curve) -> list[list[float]]:
    """A curve as JSON reads it."""
    return [list(channel) for channel in curve]


def as_curve(channels: Any) -> Curve:
    """The curve that :func:`as_lists` gave.

    Raises:
        ValueError, TypeError: it is none.
    """
    red, green, blue = ((float(offset), float(gain)) for offset, gain in channels)
    if not all(abs(number) <= _MOST for channel in (red, green, blue) for number in channel):
        raise ValueError("not a number, or none of film")
    return red, green, blue
