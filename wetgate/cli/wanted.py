"""What a recipe learns from, as words of `wetgate add`."""

from __future__ import annotations

from wetgate.project import MADE_REFERENCES, WITHOUT_REFERENCE


def wanted_by(recipe: str) -> str:
    """What `wetgate add` is to be given for a recipe."""
    if recipe in WITHOUT_REFERENCE:
        return "--scan PATTERN"
    beside = "--paint" if recipe in MADE_REFERENCES else "--reference"
    return f"--scan PATTERN {beside} PATTERN --frames FRAMES"
