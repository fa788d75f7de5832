"""Which frames a window holds, and where window, result and coverage lie in the memory of a RENDER.

All are planar float32, rows from the top, without gaps: the window ``[frames * 3][height][width]``, oldest frame
first; the result ``[3][height][width]``; the coverage ``[height][width]``.
"""

from __future__ import annotations

from dataclasses import dataclass

from wetgate.service.messages import Render

ALIGNMENT = 64
_SAMPLE = 4


@dataclass(frozen=True)
class Layout:
    """Offsets in bytes, and how many bytes there must be; ``coverage`` is None where it is not wanted."""

    input: int
    output: int
    coverage: int | None
    bytes: int


def lay_out(frames: int, width: int, height: int, *, coverage: bool = False) -> Layout:
    """The parts one after the other."""
    plane = _SAMPLE * width * height
    output = _aligned(3 * frames * plane)
    after = _aligned(output + 3 * plane)
    return Layout(0, output, after if coverage else None, after + plane if coverage else output + 3 * plane)


def check_layout(render: Render, size: int) -> str | None:
    """What is wrong with the parts that a request names in a memory of that many bytes, as a sentence; or None."""
    plane = _SAMPLE * render.width * render.height
    parts = [(render.input, 3 * len(render.numbers) * plane), (render.output, 3 * plane)]
    if render.coverage is not None:
        parts.append((render.coverage, plane))
    if any(offset % ALIGNMENT for offset, _ in parts):
        return f"A part of the picture does not start at a multiple of {ALIGNMENT} bytes in the shared memory."
    if any(offset + length > size for offset, length in parts):
        return f"The shared memory of {size} bytes is too small for {render.width} x {render.height} pixels."
    end = 0
    for offset, length in sorted(parts):
        if offset < end:
            return "Parts of the picture overlap in the shared memory."
        end = offset + length
    return None


def window_of(frame: int, radius: int, present: frozenset[int]) -> tuple[int, ...]:
    """The 2r+1 frame numbers around ``frame``, oldest first.

    At an end of the sequence, and at a gap, the last frame before it is repeated.
    """

    def reach(step: int) -> list[int]:
        frames = [frame]
        for _ in range(radius):
            following = frames[-1] + step
            frames.append(following if following in present else frames[-1])
        return frames[1:]

    return (*reversed(reach(-1)), frame, *reach(1))


def _aligned(offset: int) -> int:
    return -(-offset // ALIGNMENT) * ALIGNMENT
