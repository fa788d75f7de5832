"""What the files of a restoration may hold, and a sentence for everything else."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from wetgate.errors import WetgateError

SCHEMA_VERSION = 1
RECIPES = ("color", "exemplar", "detail", "telecine", "damage", "steady")
TRAINABLE = ("color", "exemplar", "detail", "telecine", "damage", "steady")
"""Recipes that `wetgate train` knows: each is a module of wetgate.recipes with a function ``train``."""
WITHOUT_REFERENCE = ("damage", "steady")
"""Recipes that can do with the scan alone: they learn from its own frames."""
MADE_REFERENCES = ("exemplar",)
"""Recipes whose references were made: they show what somebody believes."""
ELEMENTS = ("film", "telecine")
"""What a picture of a pair can be of."""
NEIGHBOURS = {"detail": 1, "telecine": 1, "damage": 2}
"""Recipes whose models may look at frames before and after: so many to each side are collected with a pair."""
ENCODINGS = ("display", "linear", "log")
STATES = ("collected", "prepared", "accepted", "rejected")
PREPARED_NAMES = ("prepared.exr", "reference.exr")


class Rule:
    """What one field may hold: a test, and the words that say what it wants."""

    def __init__(self, wants: str, holds: Callable[[Any], bool]) -> None:
        self.wants = wants
        self.holds = holds


def _one_of(*names: str) -> Rule:
    return Rule("one of " + ", ".join(names), lambda value: value in names)


def _or_null(rule: Rule) -> Rule:
    return Rule(f"{rule.wants}, or null", lambda value: value is None or rule.holds(value))


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _is_region(value: Any) -> bool:
    return (
        isinstance(value, list)
        and len(value) == 4
        and all(_is_whole(part) for part in value)
        and value[0] >= 0
        and value[1] >= 0
        and value[2] > 0
        and value[3] > 0
    )


def _are_sources(value: Any) -> bool:
    return isinstance(value, list) and all(
        isinstance(source, dict) and all(isinstance(source.get(name), str) for name in ("element", "path", "rights"))
        for source in value
    )


def _are_checksums(value: Any) -> bool:
    return isinstance(value, dict) and all(
        name in value and isinstance(value[name], str) for name in ("scan.exr", "reference.exr")
    )


_TEXT = Rule("a text", lambda value: isinstance(value, str))
_PIXELS = Rule("a finite number of pixels, 0 or more", lambda value: _is_number(value) and value >= 0)
_OBJECT = Rule("an object in braces", lambda value: isinstance(value, dict))

RESTORATION_FIELDS: dict[str, Rule] = {
    "schema": Rule(f"the number {SCHEMA_VERSION}", lambda value: _is_whole(value) and value == SCHEMA_VERSION),
    "created": _TEXT,
    "recipe": _one_of(*RECIPES),
    "encoding": _one_of(*ENCODINGS),
    "sources": Rule("a list of objects with the texts element, path and rights", _are_sources),
    "settings": _OBJECT,
}

PAIR_FIELDS: dict[str, Rule] = {
    "frame": Rule("a whole number", _is_whole),
    "region": _or_null(Rule("four whole numbers x, y, width, height in pixels", _is_region)),
    "where_from": _OBJECT,
    "sha256": Rule("an object with the checksums of scan.exr and reference.exr", _are_checksums),
    "state": _one_of(*STATES),
    "reason": _TEXT,
    "prepared": _or_null(_one_of(*PREPARED_NAMES)),
    "transform": _or_null(_OBJECT),
    "residual_px": _or_null(_PIXELS),
    "resolution_px": _or_null(_PIXELS),
}


def read_object(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read a JSON file that holds one object.

    Raises:
        WetgateError: the file is missing, unreadable, or holds something else.
    """
    try:
        value = json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise WetgateError(f"{path} is missing: put it back from a copy of the folder.") from error
    except OSError as error:
        raise WetgateError(f"{path} cannot be read: {error.strerror or error}.") from error
    except (ValueError, RecursionError) as error:
        raise WetgateError(
            f"{path} is damaged, it is not valid JSON ({error}): restore it from a copy of the folder."
        ) from error
    if not isinstance(value, dict):
        raise WetgateError(f"{path} is damaged, it does not hold an object: restore it from a copy of the folder.")
    return value


def check_fields(data: Mapping[str, Any], rules: Mapping[str, Rule], path: Path) -> None:
    """Raise a :class:`WetgateError` that names the file and the first field that breaks its rule.

    Fields without a rule are left alone, so that notes of other programs survive.
    """
    for name, rule in rules.items():
        if name not in data:
            raise WetgateError(f'{path}: the field "{name}" is missing; it must be {rule.wants}.')
        if not rule.holds(data[name]):
            shown = json.dumps(data[name], ensure_ascii=False, default=repr)
            shown = shown if len(shown) <= 60 else shown[:57] + "..."
            raise WetgateError(f'{path}: the field "{name}" is {shown}; it must be {rule.wants}.')


def check_restoration(data: Mapping[str, Any], path: Path) -> None:
    """Raise a :class:`WetgateError` unless ``data`` is the content of a restoration.json."""
    version: Any = data.get("schema")
    if _is_whole(version) and version > SCHEMA_VERSION:
        raise WetgateError(
            f'{path}: the field "schema" is {version}, from a newer Wetgate than this one, which knows '
            f"{SCHEMA_VERSION}: update Wetgate."
        )
    check_fields(data, RESTORATION_FIELDS, path)


def check_pair(data: Mapping[str, Any], path: Path) -> None:
    """Raise a :class:`WetgateError` unless ``data`` is the content of a pair.json."""
    check_fields(data, PAIR_FIELDS, path)
    if data["state"] == "rejected" and not data["reason"].strip():
        raise WetgateError(f'{path}: the field "reason" is empty; a rejected pair needs one.')
    if data["state"] in ("prepared", "accepted") and data["prepared"] is None:
        raise WetgateError(
            f'{path}: the field "prepared" is null; a pair that is {data["state"]} names '
            f"{' or '.join(PREPARED_NAMES)} there."
        )
