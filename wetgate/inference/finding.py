"""The masks of a damage model: where it would repair, as pictures that an artist can look at and edit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wetgate.errors import WetgateError
from wetgate.files import make_folder
from wetgate.images import Source, write_image
from wetgate.inference.frames import Frame, restore_frame
from wetgate.inference.session import Session
from wetgate.inference.tiles import Restorer
from wetgate.service.layout import window_of

Array = NDArray[np.float32]


@dataclass(frozen=True)
class Found:
    """What was found on one frame.

    Attributes:
        frame: its number.
        share: of its pixels that would be repaired.
        path: the mask.
        kept: whether a mask was there already, and was left as it is.
    """

    frame: int
    share: float
    path: Path
    kept: bool


def mask_path(folder: Path, source: Source, frame: int) -> Path:
    """The file of a frame's mask: the scan's name for it, as PNG; ``NAME.FRAME.png`` for a video."""
    name = f"{source.path(frame).stem}.{frame:04d}" if source.is_video else source.path(frame).stem
    return folder / f"{name}.png"


def write_masks(
    session: Session,
    source: Source,
    folder: Path,
    frames: Sequence[int],
    *,
    overwrite: bool = False,
    tile: int | None = None,
    look: Callable[[int, Array], None] = lambda frame, pixels: None,
    progress: Callable[[int, str], None] = lambda done, note: None,
) -> list[Found]:
    """Write a mask for each of ``frames``: 8-bit grey, white where the model would repair, black elsewhere.

    Args:
        session: a model that takes damage.
        source: the scan.
        folder: where the masks go.
        frames: ascending.
        overwrite: also replace masks that are there already; they may have been edited.
        tile: pixels kept on a side of a tile; by default as many as the memory budget allows.
        look: called with each frame's number and pixels [H, W, 3], as encoded.
        progress: called with the frames done so far and a note.

    Raises:
        WetgateError: the model finds no damage, a frame cannot be read, or a mask cannot be written.
    """
    if not session.takes_damage:
        raise WetgateError(
            f"A model of the recipe '{session.card.recipe or 'unknown'}' finds no damage: name one of the recipe "
            "damage."
        )
    make_folder(folder)
    restorer = Restorer(session, tile)
    present = frozenset(source.frames)
    window: dict[int, Frame] = {}
    found = []
    for frame in frames:
        numbers = window_of(frame, session.card.radius, present)
        window = {number: window.get(number) or Frame.of(source.read(number)) for number in dict.fromkeys(numbers)}
        middle = window[frame]
        look(frame, middle.clean)
        path = mask_path(folder, source, frame)
        kept = path.exists() and not overwrite
        if kept:
            mask = _read(path)
        else:
            restored = restore_frame([window[number] for number in numbers], None, restorer, f"frame {frame}")
            mask = (restored.pixels != middle.image.pixels).any(axis=2)
            if middle.bad is not None:
                mask &= ~middle.bad
            write_image(path, np.repeat(mask[..., None], 3, axis=2).astype(np.float32), bit_depth="8")
        found.append(Found(frame, float(mask.mean()), path, kept))
        progress(len(found), f"frame {frame}")
    return found


def _read(path: Path) -> NDArray[np.bool_]:
    from wetgate.images import read_image

    return np.asarray(read_image(path).pixels.max(axis=2) > 0.5)
