"""What a restoration changed: signed differences as pictures, and figures per frame.

A change map is a half-float EXR of restored minus scan: 0 is unchanged, and scan + map gives the
restored frame back to half precision. ``changes.json`` beside the maps holds the figures.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wetgate.files import make_folder, sha256, sweep_temporaries, write_json
from wetgate.images import Header, Image, Source, require_outside_sequence, write_image
from wetgate.records.receipts import file_hash

SUMMARY = "changes.json"
_ROWS = 256

Array = NDArray[np.float32]


def difference(scan: Array, restored: Array) -> Array:
    """Restored minus scan, float32 [H, W, 3]; 0 where both hold the same bits, NaN included."""
    same = scan.view(np.int32) == restored.view(np.int32)
    with np.errstate(invalid="ignore", over="ignore"):
        result = restored - scan
    result[same] = 0
    return result


def figures(scan: Array, restored: Array) -> dict[str, float]:
    """How much of a frame changed.

    Both frames are float32 [H, W, 3], compared before the output format rounds them.

    Returns:
        ``share``: pixels of which any channel differs, 0-1; ``largest``: the largest absolute
        difference of any channel; ``mean``: the mean absolute difference over all pixels and channels.
    """
    changed, largest, total = 0, 0.0, 0.0
    for top in range(0, len(scan), _ROWS):
        part = np.abs(difference(scan[top : top + _ROWS], restored[top : top + _ROWS]))
        changed += int(np.count_nonzero(part.any(axis=2)))
        largest = max(largest, float(part.max()))
        total += float(part.sum(dtype=np.float64))
    return {"share": changed / (scan.size // 3), "largest": largest, "mean": total / scan.size}


def prepare(folder: Path, source: Source) -> None:
    """Make the folder of the maps and sweep what killed processes left in it.

    Raises:
        WetgateError: it lies in the folder of a source sequence, or cannot be written.
    """
    require_outside_sequence(folder, folder, source)
    make_folder(folder)
    sweep_temporaries(folder)


def map_path(folder: Path, frame: int) -> Path:
    """Where the change map of ``frame`` lies."""
    return folder / f"change.{frame:04d}.exr"


def write_map(folder: Path, frame: int, scan: Image, restored: Array) -> str:
    """Write the change map of one frame atomically, in the scan's windows; return its SHA-256.

    Raises:
        WetgateError: the file cannot be written.
    """
    path = map_path(folder, frame)
    window = scan.header
    like = Header("exr", "half", ("R", "G", "B"), window.data_window, window.display_window)
    write_image(path, difference(scan.pixels, restored), like=like)
    return file_hash(path)


def is_intact(folder: Path, frame: int, digest: str) -> bool:
    """Whether the map of ``frame`` is there and has this SHA-256."""
    try:
        return sha256(map_path(folder, frame)) == digest
    except OSError:
        return False


def add_to_summary(folder: Path, changes: Mapping[int, dict[str, float]]) -> None:
    """Put the :func:`figures` of these frames into ``changes.json``, beside those of earlier runs.

    The file holds ``frames`` (figures by frame) and ``all`` (see :func:`over_all`).
    """
    path = folder / SUMMARY
    known: dict[int, dict[str, float]] = {}
    with contextlib.suppress(OSError, ValueError, KeyError):
        known = {int(frame): figure for frame, figure in json.loads(path.read_text("utf-8"))["frames"].items()}
    known.update(changes)
    write_json(path, {"frames": {str(frame): known[frame] for frame in sorted(known)}, "all": over_all(known)})


def over_all(changes: Mapping[int, dict[str, float]]) -> dict[str, Any]:
    """Mean share and mean, the largest difference and the frame it is in; empty for no frames."""
    if not changes:
        return {}
    frame = max(changes, key=lambda number: changes[number]["largest"])
    return {
        "share": float(np.mean([figure["share"] for figure in changes.values()])),
        "mean": float(np.mean([figure["mean"] for figure in changes.values()])),
        "largest": changes[frame]["largest"],
        "largest_in_frame": frame,
    }
