"""Which restorations the user had open, remembered across sessions and hosts."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from wetgate.files import make_folder, write_json


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
