"""A pair: the same picture as scanned and as it should look."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from wetgate.errors import WetgateError
from wetgate.files import sha256, write_json
from wetgate.project.locks import exclusive
from wetgate.project.schema import PAIR_FIELDS, check_pair, read_object

COLLECTED = ("scan.exr", "reference.exr", "mask.exr")
MOST_NEIGHBOURS = 4
"""To each side of a pair's frame."""


def neighbour_name(step: int) -> str:
    """The file of the scan's frame so many frames after a pair's own (before it, below 0), such as scan.-1.exr."""
    return f"scan.{step:+d}.exr"


class Pair:
    """One folder of pairs/, as read from its pair.json.

    ``scan``, ``reference`` and ``mask`` are as collected and are never altered. Make one with
    :meth:`Restoration.add_pair` or read them with :meth:`Restoration.pairs`.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._data = _read(folder)

    def __repr__(self) -> str:
        return f"Pair({str(self.folder)!r}, frame={self.frame}, state={self.state!r})"

    @property
    def number(self) -> int:
        """Its number in the restoration, from 1."""
        return int(self.folder.name)

    @property
    def scan(self) -> Path:
        """The scan's picture."""
        return self.folder / "scan.exr"

    @property
    def reference(self) -> Path:
        """The reference's picture, as collected."""
        return self.folder / "reference.exr"

    @property
    def mask(self) -> Path | None:
        """The artist's mask (0-1) as collected, or None; what it marks is the recipe's, for `color` what counts."""
        return self.folder / "mask.exr" if "mask.exr" in self.checksums else None

    @property
    def prepared(self) -> Path:
        """The picture to train towards: prepared.exr, or reference.exr when nothing had to change.

        Raises:
            WetgateError: the pair has not been prepared.
        """
        if self._data["prepared"] is None:
            raise WetgateError(f"Pair {self.folder} has not been prepared: run `wetgate prepare` on its restoration.")
        return self.folder / str(self._data["prepared"])

    @property
    def confidence(self) -> Path | None:
        """How far each pixel of the prepared pair can be trusted (0-1); None where all of it can."""
        path = self.folder / "confidence.exr"
        return path if path.exists() else None

    @property
    def neighbours(self) -> dict[int, Path]:
        """Frames of the scan around the pair's own that were collected with it, by steps from it: -1 is the one before.

        Where ``where_from["neighbours"]`` is there, so many to each side were looked for; one that is not here is
        beyond the end of the scan or a gap in it.
        """
        steps = range(-MOST_NEIGHBOURS, MOST_NEIGHBOURS + 1)
        return {step: self.folder / name for step in steps if (name := neighbour_name(step)) in self.checksums}

    @property
    def frame(self) -> int:
        """The scan's frame number."""
        return int(self._data["frame"])

    @property
    def region(self) -> tuple[int, int, int, int] | None:
        """The part of the scan's frame that was collected: x, y, width, height in pixels from the top left."""
        region = self._data["region"]
        return None if region is None else (region[0], region[1], region[2], region[3])

    @property
    def where_from(self) -> dict[str, Any]:
        """The files and frames that the pair was collected from."""
        return dict(self._data["where_from"])

    @property
    def elements(self) -> tuple[str, str]:
        """What scan and reference are of, "film" or "telecine"; it tells the steps of the recipe telecine apart."""
        said = self._data["where_from"]
        return str(said.get("scan_element", "film")), str(said.get("reference_element", "telecine"))

    @property
    def checksums(self) -> dict[str, str]:
        """SHA-256 of each collected file, by its name."""
        return dict(self._data["sha256"])

    @property
    def state(self) -> str:
        """collected, prepared, accepted or rejected."""
        return str(self._data["state"])

    @property
    def reason(self) -> str:
        """Why the pair is in its state; always given for a rejected one."""
        return str(self._data["reason"])

    @property
    def transform(self) -> dict[str, Any] | None:
        """How the reference was laid over the scan."""
        transform = self._data["transform"]
        return None if transform is None else dict(transform)

    @property
    def residual_px(self) -> float | None:
        """What is left of the misalignment, in pixels."""
        residual = self._data["residual_px"]
        return None if residual is None else float(residual)

    @property
    def resolution_px(self) -> float | None:
        """The reference's true resolution: sigma, in scan pixels, of the blur that it has against the scan."""
        resolution = self._data["resolution_px"]
        return None if resolution is None else float(resolution)

    def update(self, **changes: Any) -> None:
        """Change fields of pair.json: state, reason, prepared, transform, residual_px, resolution_px, frame, region,
        where_from.

        The file is read again under the restoration's lock, so that changes of other processes to
        other fields stay. ``prepared`` is ``"prepared.exr"``, or ``"reference.exr"`` when
        preparing changed nothing.

        Raises:
            WetgateError: a value breaks the schema; nothing is written then.
            TypeError: there is no such field, or it is fixed.
        """
        for name in changes:
            if name not in PAIR_FIELDS or name == "sha256":
                raise TypeError(f"a pair has no field {name!r} to change")
        path = self.folder / "pair.json"
        with exclusive(self.folder.parent.parent / ".lock"):
            data = _read(self.folder)
            data.update(_plain(changes))
            check_pair(data, path)
            write_json(path, data)
        self._data = data

    def check_files(self) -> None:
        """Raise a :class:`WetgateError` when a file that pair.json speaks of is not there."""
        names = [*self.checksums, *([self._data["prepared"]] if self._data["prepared"] else [])]
        for name in names:
            if not (self.folder / name).is_file():
                raise WetgateError(
                    f"{self.folder / name} is missing: put the file back, or remove the folder {self.folder}."
                )

    def check_unaltered(self) -> None:
        """Raise a :class:`WetgateError` when a collected file is no longer what was collected."""
        self.check_files()
        for name, expected in self.checksums.items():
            if sha256(self.folder / name) != expected:
                raise WetgateError(
                    f"{self.folder / name} is not the file that was collected (its SHA-256 differs): "
                    "put the original back, or add the pair again."
                )


class PairDraft:
    """A pair that is being added: write ``scan`` and ``reference`` (``mask``, and neighbours), set the fields.

    After the block of :meth:`Restoration.add_pair`, ``pair`` is the committed pair.
    """

    def __init__(self, folder: Path, frame: int, region: Sequence[int] | None, where_from: Mapping[str, Any]) -> None:
        self.folder = folder
        self.scan, self.reference, self.mask = (folder / name for name in COLLECTED)
        self.frame = frame
        self.region = region
        self.where_from = dict(where_from)
        self.pair: Pair | None = None

    def neighbour(self, step: int) -> Path:
        """Where the scan's frame so many frames after this one (before it, below 0) goes, if it is collected too."""
        return self.folder / neighbour_name(step)

    def write(self) -> None:
        """Write pair.json beside the pictures.

        Raises:
            WetgateError: the scan or the reference was not written, or a field breaks the schema.
        """
        for path in (self.scan, self.reference):
            if not path.is_file() or path.stat().st_size == 0:
                raise WetgateError(f"The pair of frame {self.frame} has no {path.name}: write both pictures.")
        steps = range(-MOST_NEIGHBOURS, MOST_NEIGHBOURS + 1)
        collected = [*COLLECTED, *(neighbour_name(step) for step in steps)]
        data = _plain(
            {
                "frame": self.frame,
                "region": self.region,
                "where_from": self.where_from,
                "sha256": {name: sha256(self.folder / name) for name in collected if (self.folder / name).exists()},
                "state": "collected",
                "reason": "",
                "prepared": None,
                "transform": None,
                "residual_px": None,
                "resolution_px": None,
            }
        )
        check_pair(data, self.folder / "pair.json")
        write_json(self.folder / "pair.json", data)


def _read(folder: Path) -> dict[str, Any]:
    path = folder / "pair.json"
    data = {"resolution_px": None, **read_object(path)}
    check_pair(data, path)
    return data


def _plain(changes: Mapping[str, Any]) -> dict[str, Any]:
    """As JSON would give it back: tuples become lists, paths texts."""
    return {name: _plain_value(value) for name, value in changes.items()}


def _plain_value(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain_value(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain_value(part) for part in value]
    return os.fspath(value) if isinstance(value, os.PathLike) else value
