"""Frame lists as people and render farms write them.

A list is parts joined by commas; a part is ``1001``, ``1001-1100``, ``1001-1100x10`` (Nuke's step) or
``1001-1100:10`` (Open Job Description's step). Frame numbers may be negative.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from wetgate.errors import WetgateError

MAX_FRAMES = 10_000_000

_PART = re.compile(r"^(-?\d{1,9})(?:-(-?\d{1,9})(?:[x:](\d{1,9}))?)?$")


def parse_frames(text: str) -> list[int]:
    """Return the frame numbers that ``text`` names, ascending, each once.

    Raises:
        WetgateError: ``text`` is empty, not in the grammar, runs backwards, has step 0, or names
            more than ``MAX_FRAMES`` frames.
    """
    frames: set[int] = set()
    for part in text.split(","):
        match = _PART.match(part.replace(" ", ""))
        if not match:
            raise WetgateError(
                f"'{text}' is not a list of frames: '{part.strip()}' should look like 1001, 1001-1100 or 1001-1100x10."
            )
        first, step = int(match[1]), int(match[3] or 1)
        last = int(match[2]) if match[2] else first
        if last < first:
            raise WetgateError(f"'{text}' is not a list of frames: {part.strip()} runs backwards.")
        if step == 0:
            raise WetgateError(f"'{text}' is not a list of frames: the step in {part.strip()} must be at least 1.")
        span = range(first, last + 1, step)
        if len(frames) + len(span) > MAX_FRAMES:
            raise WetgateError(f"'{text}' names more than {MAX_FRAMES} frames; write a shorter range.")
        frames.update(span)
    return sorted(frames)


def format_frames(frames: Iterable[int]) -> str:
    """Write ``frames`` in as few parts as reads well; :func:`parse_frames` gives the same frames back."""
    numbers = sorted(set(frames))
    parts: list[str] = []
    start = 0
    while start < len(numbers):
        end = start + 1
        step = numbers[end] - numbers[start] if end < len(numbers) else 1
        while end + 1 < len(numbers) and numbers[end + 1] - numbers[end] == step:
            end += 1
        if end >= len(numbers) or (end - start < 2 and step > 1):
            parts.append(str(numbers[start]))
            start += 1
            continue
        parts.append(f"{numbers[start]}-{numbers[end]}" + (f"x{step}" if step > 1 else ""))
        start = end + 1
    return ",".join(parts)
