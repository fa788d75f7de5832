"""Colours that an artist knows something to have had: by a name, or as a colour that was picked."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wetgate.errors import WetgateError
from wetgate.evaluation.metrics import srgb_to_lab

_TABLE: dict[str, tuple[tuple[int, int, int], float, float]] = {
    "white": ((243, 243, 242), 6, 3),
    "grey": ((122, 122, 121), 25, 3),
    "black": ((52, 52, 52), 12, 3),
    "skin": ((194, 150, 130), 15, 6),
    "dark-skin": ((115, 82, 68), 15, 6),
    "grass": ((87, 108, 67), 15, 10),
    "sky": ((98, 122, 157), 18, 10),
}
"""sRGB of the ColorChecker patches that bear these names (X-Rite; McCamy, Marcus, Davidson, J. Appl. Photogr. Eng. 2,
1976), and how far, in CIELAB lightness and chroma, the real thing may lie from them (standard deviations)."""

NAMES = tuple(_TABLE)
_PICKED = (5.0, 3.0)
"""How sure an artist is of a colour that was picked."""


@dataclass(frozen=True)
class Hint:
    """Something in a scan whose true colour is known.

    Attributes:
        known: one of :data:`NAMES`, or "#rrggbb".
        seen: display red, green and blue of the scan there.
        frame: of the scan.
        box: x, y, width, height in the scan's pixels from the top left.
    """

    known: str
    seen: tuple[float, float, float]
    frame: int = 0
    box: tuple[int, int, int, int] = (0, 0, 1, 1)

    def __post_init__(self) -> None:
        self._entry()

    @property
    def lab(self) -> NDArray[np.float64]:
        """[3] CIELAB that it had."""
        return np.asarray(srgb_to_lab(np.array(self._entry()[0], np.float64) / 255), np.float64)

    @property
    def spread(self) -> tuple[float, float]:
        """Standard deviations of its lightness and of its a* and b*."""
        return self._entry()[1:]

    def as_dict(self) -> dict[str, Any]:
        """JSON-able; :meth:`of_dict` undoes it."""
        return {"known": self.known, "seen": list(self.seen), "frame": self.frame, "box": list(self.box)}

    @classmethod
    def of_dict(cls, data: dict[str, Any]) -> Hint:
        """Read what :meth:`as_dict` wrote.

        Raises:
            WetgateError: it is no hint.
        """
        try:
            red, green, blue = (float(value) for value in data["seen"])
            x, y, width, height = (int(value) for value in data["box"])
            return cls(str(data["known"]), (red, green, blue), int(data["frame"]), (x, y, width, height))
        except (KeyError, TypeError, ValueError) as error:
            raise WetgateError(
                f"restoration.json holds a hint that makes no sense ({data}): remove it, and give it again."
            ) from error

    def _entry(self) -> tuple[tuple[int, int, int], float, float]:
        if self.known in _TABLE:
            return _TABLE[self.known]
        if not re.fullmatch(r"#[0-9a-fA-F]{6}", self.known):
            raise WetgateError(
                f"'{self.known}' is no known colour: say {', '.join(NAMES)}, or a colour as #rrggbb, such as #c29682."
            )
        red, green, blue = (int(self.known[start : start + 2], 16) for start in (1, 3, 5))
        return (red, green, blue), *_PICKED


def look_at(picture: NDArray[np.float32], box: tuple[int, int, int, int], known: str, frame: int = 0) -> Hint:
    """A hint for what lies in ``box`` of a scan's display values [H, W, 3]: its median colour.

    Raises:
        WetgateError: the box lies outside the picture, or ``known`` is no colour.
    """
    x, y, width, height = box
    inside = picture[y : y + height, x : x + width]
    if min(x, y) < 0 or inside.shape[:2] != (height, width) or not inside.size:
        raise WetgateError(
            f"The place {x},{y},{width},{height} lies outside frame {frame}, which is "
            f"{picture.shape[1]} x {picture.shape[0]}."
        )
    red, green, blue = (float(value) for value in np.median(inside.reshape(-1, 3), axis=0))
    return Hint(known, (red, green, blue), frame, box)
