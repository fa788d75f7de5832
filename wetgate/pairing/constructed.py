"""A reference that was made, not found: what the `exemplar` recipe lets an artist see, correct and accept."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]

KINDS = ("paint", "motion", "shades", "paintings", "unfading")
"""What the colours came from: the artist's paint in this frame; paint in other frames, carried along by motion; what
paint elsewhere gives to like shades; pictures of other scenes; nothing but the scan itself."""


@dataclass(frozen=True)
class Origin:
    """Something that colours were taken from, for the record.

    Attributes:
        role: "exemplar" or "paint".
        name: of the file; folders in front of it are dropped.
        element: what it is, in the archive's words.
        rights: licence or authorisation under which it is used.
    """

    role: str
    name: str
    element: str = ""
    rights: str = ""


@dataclass(frozen=True)
class Constructed:
    """A reference for one scan frame.

    Attributes:
        reference: float32 [H, W, 3], display values, of the scan's size.
        confidence: float32 [H, W], 0-1: 1 is the artist's own paint, 0 is not to be learnt from.
        kind: one of ``KINDS``.
        notes: what the artist should know, in sentences without a full stop.
        origins: what the colours were taken from.
    """

    reference: Array
    confidence: Array
    kind: str
    notes: tuple[str, ...] = ()
    origins: tuple[Origin, ...] = field(default=())

    def described(self) -> dict[str, Any]:
        """What pair.json keeps of it, under ``where_from["constructed"]``."""
        return {"kind": self.kind, "notes": list(self.notes), "origins": [asdict(origin) for origin in self.origins]}
