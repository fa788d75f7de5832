"""Which restorations the user had open, remembered across sessions and hosts, and which one is in use in this one."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from wetgate.files import make_folder, write_json

_in_use = ""


def use(folder: str) -> None:
    """The artist works on this restoration now: it was opened in the panel, or given a pair."""
    global _in_use
    _in_use = folder


def in_use() -> str:
    """What panel, menu and nodes share, so that none asks for what another knows; "" before the artist has chosen.

    What a panel opens by itself is not it: that may be the film of yesterday.
    """
    return _in_use


def memory_file() -> Path:
    """Where the user's own settings of the panel are kept."""
    home = Path.home()
    if os.name == "nt":
        return Path(os.environ.get("LOCALAPPDATA") or home / "AppData" / "Local") / "Wetgate" / "panel.json"
    if sys.platform == "darwin":
        return home / "Library" / "Application Support" / "Wetgate" / "panel.json"
    return Path(os.environ.get("XDG_CONFIG_HOME") or home / ".config") / "wetgate" / "panel.json"


def remembered(path: Path) -> list[Path]:
    """The restorations that were open last and are still there, newest first."""
    try:
        folders = json.loads(path.read_text(encoding="utf-8"))["restorations"]
        return [Path(folder) for folder in folders if Path(folder, "restoration.json").is_file()]
    except (OSError, ValueError, KeyError, TypeError):
        return []


def remember(path: Path, folders: tuple[Path, ...]) -> None:
    make_folder(path.parent)
    write_json(path, {"restorations": [str(folder) for folder in folders]})
