"""What a run over a sequence comes to, for people and machines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from wetgate.images import Source, format_frames
from wetgate.onnx_model import ModelCard
from wetgate.records import change_maps

FrameResult = dict[str, Any]
"""Figures of one frame, as its receipt keeps them: ``change`` (see :func:`change_maps.figures`), ``device``,
``bad_pixels``, ``unusable_pixels``, ``stated_encoding`` (what the scan's header or format suggests, or None);
where it applies ``coverage`` (mean), ``colour_dropped`` (largest), ``change_map`` (SHA-256). Of several models in a row
``device`` names each that worked, ``unusable_pixels`` is their sum, ``coverage`` the least."""

_COUNTS = {
    "bad_pixels": "held NaN or infinity in the scan and stand as they were",
    "unusable_pixels": "got no number from the model and stand as in the scan",
}


def summarise(results: Mapping[int, FrameResult]) -> dict[str, Any]:
    """Figures over all frames, and by frame (in text, as JSON wants its keys) where they differ from none."""
    return {
        "changes": change_maps.over_all({frame: result["change"] for frame, result in results.items()}),
        "coverage": {str(frame): result["coverage"] for frame, result in results.items() if "coverage" in result},
        **{key: {str(frame): result[key] for frame, result in results.items() if result[key]} for key in _COUNTS},
    }


def notes(cards: Sequence[ModelCard], results: Mapping[int, FrameResult]) -> list[str]:
    """Sentences on what the user should know about a run of these models, one after another."""
    found = list(dict.fromkeys(limit for card in cards for limit in card.limits))
    found += _encoding_note(next((card.encoding for card in cards if card.encoding), ""), results)
    for key, what in _COUNTS.items():
        frames = [frame for frame, result in results.items() if result[key]]
        if frames:
            count = sum(results[frame][key] for frame in frames)
            found.append(f"{_plural(count, 'pixel')} in {_frames(frames)} {what}.")
    grey = [frame for frame, result in results.items() if "colour_dropped" in result]
    if grey:
        found.append(
            f"The scan has one channel, so the result of {_frames(grey)} was written as its luma; "
            "convert the scan to RGB to keep the model's colour."
        )
    return found


def handles_note(radius: int, source: Source, frames: Sequence[int]) -> list[str]:
    """What to know where frames before or after those of ``frames``, up to ``radius`` away, are not in the scan."""
    wanted = {frame + step for frame in frames for step in range(-radius, radius + 1)}
    missing = sorted(wanted - set(source.frames))
    if not missing:
        return []
    return [
        f"Each frame is made from up to {_plural(radius, 'frame')} before and after it, but {source.name} has no "
        f"{format_frames(missing)}: the last frame there is was repeated. At the ends of a shot this is as it should "
        f"be; for a part of a longer one, give {_plural(radius, 'frame')} more at either end, and name the part with "
        "--frames."
    ]


def _encoding_note(encoding: str, results: Mapping[int, FrameResult]) -> list[str]:
    stated = {result["stated_encoding"] for result in results.values()} - {None, encoding}
    if not stated or not encoding:
        return []
    return [
        f"The model was trained on {encoding} pictures, but the scan looks {' and '.join(sorted(stated))} by its "
        "format or header: make sure that it is what the model was trained on."
    ]


def _frames(frames: Sequence[int]) -> str:
    return f"{'frame' if len(frames) == 1 else 'frames'} {format_frames(frames)}"


def _plural(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
