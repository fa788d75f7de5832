"""The restoration folder: what is restored, from which sources, with which pairs and runs."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from wetgate.errors import WetgateError
from wetgate.files import make_folder, write_json
from wetgate.project.locks import exclusive
from wetgate.project.numbered import new_numbered, numbered_folders
from wetgate.project.pairs import Pair, PairDraft
from wetgate.project.runs import Run
from wetgate.project.schema import RESTORATION_FIELDS, SCHEMA_VERSION, STATES, check_restoration, read_object


class Restoration:
    """An open restoration folder. Reading takes no lock; every change is read-change-write under one.

    Make one with :func:`create_restoration`, open one with :func:`open_restoration`.
    """

    def __init__(self, folder: Path, data: dict[str, Any]) -> None:
        self.folder = folder
        self._data = data

    def __repr__(self) -> str:
        return f"Restoration({str(self.folder)!r}, recipe={self.recipe!r}, encoding={self.encoding!r})"

    @property
    def recipe(self) -> str:
        """One of RECIPES."""
        return str(self._data["recipe"])

    @property
    def encoding(self) -> str:
        """One of ENCODINGS: how the pictures of all pairs are coded."""
        return str(self._data["encoding"])

    @property
    def sources(self) -> list[dict[str, str]]:
        """What the pictures come from: element, path and rights of each."""
        return [dict(source) for source in self._data["sources"]]

    @property
    def settings(self) -> dict[str, Any]:
        """What the artist has set for this restoration."""
        return dict(self._data["settings"])

    @property
    def created(self) -> str:
        """When the folder was made, ISO 8601 in UTC."""
        return str(self._data["created"])

    def update(
        self, *, recipe: str | None = None, encoding: str | None = None, settings: Mapping[str, Any] | None = None
    ) -> None:
        """Change restoration.json; ``settings`` are merged into those that are there, key by key.

        Raises:
            WetgateError: a value breaks the schema; nothing is written then.
        """
        with self._changing() as data:
            if recipe is not None:
                data["recipe"] = recipe
            if encoding is not None:
                data["encoding"] = encoding
            data["settings"].update(settings or {})

    def add_source(self, element: str, path: str = "", rights: str = "") -> None:
        """Note where pictures come from: the film element, its path, and the rights to use it."""
        source = {"element": element, "path": path, "rights": rights}
        with self._changing() as data:
            if source not in data["sources"]:
                data["sources"].append(source)

    @property
    def footage(self) -> list[dict[str, str]]:
        """Scans without a reference that a recipe learns from by itself: "scan", a pattern, and "frames" of each."""
        return [dict(one) for one in self._data["settings"].get("footage", [])]

    def add_footage(self, scan: str, frames: str) -> None:
        """Note frames of a scan, which are read from where they lie: ``scan`` a pattern, ``frames`` as 1001-1100."""
        one = {"scan": scan, "frames": frames}
        with self._changing() as data:
            footage = data["settings"].setdefault("footage", [])
            if one not in footage:
                footage.append(one)

    @contextlib.contextmanager
    def add_pair(
        self, frame: int, region: Sequence[int] | None = None, where_from: Mapping[str, Any] | None = None
    ) -> Iterator[PairDraft]:
        """Yield a draft whose ``scan`` and ``reference`` (and ``mask``) are to be written.

        When the block ends well, the pair gets the next number and is there for everyone at once;
        when it raises, nothing remains.

        Raises:
            WetgateError: the scan or the reference was not written, or the folder is not writable.
        """
        with new_numbered(self.folder / "pairs", 4, self.folder / ".lock") as staging:
            draft = PairDraft(staging.folder, frame, region, where_from or {})
            yield draft
            draft.write()
        draft.pair = Pair(staging.folder)

    def pairs(self, states: Collection[str] | None = None) -> list[Pair]:
        """The pairs in order of their numbers: all, or those in one of ``states``.

        Raises:
            WetgateError: a pair.json breaks the schema, or a file that it speaks of is missing.
        """
        if states is not None and not set(states) <= set(STATES):
            raise ValueError(f"states are {STATES}, not {states}")
        found = [Pair(folder) for folder in numbered_folders(self.folder / "pairs")]
        found = [pair for pair in found if states is None or pair.state in states]
        for pair in found:
            pair.check_files()
        return found

    def new_run(self, settings: Mapping[str, Any]) -> Run:
        """Make the next run folder with ``settings`` (JSON values) in its settings.json."""
        with new_numbered(self.folder / "runs", 3, self.folder / ".lock") as staging:
            write_json(staging.folder / "settings.json", dict(settings))
            for name in ("commands", "previews"):
                make_folder(staging.folder / name)
        return Run(staging.folder)

    def runs(self) -> list[Run]:
        """The runs in order of their numbers."""
        return [Run(folder) for folder in numbered_folders(self.folder / "runs")]

    def latest_run(self) -> Run | None:
        """The run with the highest number; None before the first."""
        runs = self.runs()
        return runs[-1] if runs else None

    @contextlib.contextmanager
    def _changing(self) -> Iterator[dict[str, Any]]:
        path = self.folder / "restoration.json"
        with exclusive(self.folder / ".lock"):
            data = _read(path)
            yield data
            check_restoration(data, path)
            write_json(path, data)
        self._data = data


def create_restoration(folder: str | os.PathLike[str], recipe: str, encoding: str = "display") -> Restoration:
    """Make a restoration in ``folder``, which must be empty or not there yet.

    Raises:
        WetgateError: the folder holds something, cannot be written, or a value is not known.
    """
    folder = Path(os.path.abspath(folder))
    path = folder / "restoration.json"
    data = {
        "schema": SCHEMA_VERSION,
        "created": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "recipe": recipe,
        "encoding": encoding,
        "sources": [],
        "settings": {},
    }
    for name, value in (("recipe", recipe), ("encoding", encoding)):
        if not RESTORATION_FIELDS[name].holds(value):
            raise WetgateError(f"There is no {name} {value!r}: choose {RESTORATION_FIELDS[name].wants}.")
    make_folder(folder)
    if not path.exists() and any(entry.name != ".lock" for entry in folder.iterdir()):
        raise WetgateError(f"{folder} is not empty: choose a new folder for the restoration.")
    with exclusive(folder / ".lock"):
        if path.exists():
            raise WetgateError(f"{folder} already holds a restoration: open it, or choose another folder.")
        for name in ("pairs", "runs"):
            make_folder(folder / name)
        write_json(path, data)
    return Restoration(folder, data)


def open_restoration(folder: str | os.PathLike[str]) -> Restoration:
    """Open the restoration in ``folder``.

    Raises:
        WetgateError: there is none, or its restoration.json breaks the schema.
    """
    folder = Path(os.path.abspath(folder))
    path = folder / "restoration.json"
    if not folder.is_dir():
        raise WetgateError(f"There is no folder {folder}: make a restoration with `wetgate new`.")
    if not path.exists():
        raise WetgateError(f"{folder} is not a restoration, it has no restoration.json: make one with `wetgate new`.")
    return Restoration(folder, _read(path))


def _read(path: Path) -> dict[str, Any]:
    data = read_object(path)
    check_restoration(data, path)
    return data
