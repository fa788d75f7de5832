"""All that makes a scan stand steady, measured: exposure, weave, shrinkage, and what is done at the frame's edges."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from wetgate.errors import WetgateError
from wetgate.images import Source
from wetgate.inference.curves import STILL, Curves, identity
from wetgate.inference.transforms import Transform, Transforms
from wetgate.pairing import deflicker, weave
from wetgate.pairing.weave import Movement

FILLS = ("edge", "zoom")
MOST_SHRINKAGE = 0.03
"""Film that has lost more than this breaks."""

_LEAST_ZOOM = 0.5


@dataclass(frozen=True)
class Wanted:
    """What is to be made steady.

    Attributes:
        exposure: flicker.
        shrinkage: shares of its width and of its height that the film has lost, to be given back.
        fill: what stands where a frame is moved in from outside: "edge" the outermost pixels, "zoom" nothing, for all
            frames are enlarged by as much as that takes.
    """

    exposure: bool = True
    shrinkage: tuple[float, float] = (0.0, 0.0)
    fill: str = "edge"

    def to_json(self) -> dict[str, Any]:
        """A JSON-able dict that :meth:`from_json` reads."""
        return {**asdict(self), "shrinkage": list(self.shrinkage)}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Wanted:
        """What :meth:`to_json` gave.

        Raises:
            KeyError, TypeError, ValueError: it is something else.
        """
        across, down = (float(share) for share in value["shrinkage"])
        if value["fill"] not in FILLS:
            raise ValueError(f"no way to fill: {value['fill']}")
        return cls(bool(value["exposure"]), (across, down), str(value["fill"]))


def wanted_by(record: Mapping[str, Any]) -> Wanted:
    """What the record of a model of the recipe `steady` says it was made for.

    Raises:
        WetgateError: it does not say.
    """
    try:
        return Wanted.from_json(record["results"]["wanted"])
    except (KeyError, TypeError, ValueError) as error:
        raise WetgateError("The model does not say what it steadies: make it again with `wetgate train`.") from error


def measure(
    source: Source,
    encoding: str,
    wanted: Wanted,
    follow: Callable[[int, str], None] = lambda done, note: None,
) -> tuple[Curves, Movement]:
    """Measure a whole scan, in two passes.

    Args:
        source: the scan.
        encoding: of its pixels.
        wanted: what for.
        follow: called with the frames done so far, of twice as many as there are, and a note.

    Returns:
        What brings each frame to rest, and the movement behind it. Frames that cannot be read have neither.

    Raises:
        WetgateError: no frame can be read.
    """
    total, measured_of = len(source.frames), identity(source)
    curves = deflicker.measure(source, encoding, follow=lambda done, note: follow(done, f"{note}, exposure"))
    if not curves.frames:
        source.read(source.frames[0])  # says what is wrong with it
    movement = weave.measure(
        source, encoding, curves.shots, lambda done, note: follow(total + done, f"{note}, movement")
    )
    transforms = movement.transforms(sorted(curves.frames), wanted.shrinkage)
    if wanted.fill == "zoom":
        transforms = zoomed(transforms)
    if not wanted.exposure:
        curves = replace(curves, frames=dict.fromkeys(curves.frames, STILL))
    return replace(curves, transforms=transforms, scan=measured_of), movement


def zoomed(transforms: Transforms) -> Transforms:
    """All frames enlarged alike, by as little as keeps what lies outside any frame out of the picture."""
    half = (np.array(transforms.size) - 1) / 2
    least = 1.0
    for one in transforms.frames.values():
        turn = np.abs(np.radians(one.rotation))
        reach = np.array([[np.cos(turn), np.sin(turn)], [np.sin(turn), np.cos(turn)]])
        extent = reach @ (half * (one.width, one.height))
        room = half - np.abs((one.x, one.y))
        least = min(least, float((room / np.maximum(extent, 1e-9)).min()))
    if least <= _LEAST_ZOOM:
        raise WetgateError("Some frame lies so far off that nothing is left to enlarge: leave --fill at 'edge'.")
    frames = {
        frame: Transform(one.x, one.y, one.rotation, one.width * least, one.height * least).rounded()
        for frame, one in transforms.frames.items()
    }
    return Transforms(transforms.size, frames)
