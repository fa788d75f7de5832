"""Colour from the film itself: how much of each dye a print has lost, told from what all pictures have in common.

A print's dyes fade each by itself, by a share of what there was, and its base turns yellowish; so six numbers undo it:
a gain and an offset for the amount of each dye (:mod:`wetgate.pairing.dyes` tells the dyes apart). They are the most
probable ones (maximum a posteriori) under what is known beforehand:

- the brightest and the darkest parts of a shot are about as light and as dark in all layers: neutral whites and blacks,
  with tails (Student's t) that let pictures without them be;
- colours scatter around grey, much from blue to orange and little from green to magenta (Student's t, so that strong
  colours do not pull: a grey world of the pale ones alone);
- old prints have lost cyan above all, then yellow, then magenta, and their stain is slight;
- whatever the artist knows the colour of.

Quantities are compared as display-like values, ``10 ** (-amount / 2.2)``, where differences look alike in light and
shadow. The constants were set on 13 photographs of other packages, faded by simulation with the dyes of six stocks; no
frame of the clips that the documents measure was among them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from wetgate.errors import WetgateError
from wetgate.evaluation.metrics import srgb_to_lab
from wetgate.pairing.borders import find_borders
from wetgate.pairing.constructed import Constructed
from wetgate.pairing.dyes import UNKNOWN, absorption_of, display_of, dyes_of
from wetgate.pairing.known_colours import Hint
from wetgate.project import Restoration

Array = NDArray[np.float32]
Vector = NDArray[np.float64]

CONFIDENCE, CONFIDENCE_WITH_HINTS = 0.2, 0.3
_K = np.log(10) / 2.2

_EXTREME = 0.2
"""Percent of a shot's pixels that are its brightest, or its darkest, in a layer."""
_WHITE, _BLACK = 0.95, 0.05
_WHITE_APART, _BLACK_APART = 0.08, 0.025
"""By how much pictures differ in their brightest and darkest (standard deviations)."""
_WHITE_CAST, _BLACK_CAST = 0.03, 0.012
"""By how much layers differ there."""
_ENDS = 0.5
"""How much these ends count against what is known of fading."""
_SCATTER = (0.3, 0.03)
"""Of colours, from blue to orange and from green to magenta."""
_GREYS = 2.0
"""As how many independent pixels a shot's colours count."""
_MIDDLE, _MIDDLE_APART = 0.42, 0.28
_LEFT, _LEFT_APART = np.log([0.55, 0.75, 0.60]), np.array([0.5, 0.35, 0.45])
"""What is left of cyan, magenta and yellow, and the spread of its logarithm."""
_STAIN, _STAIN_APART = np.array([0.02, 0.03, 0.06]), np.array([0.056, 0.056, 0.084])

_WIDTH = 480
_PIXELS = 6000
_SMALLEST = 32
"""Sides in pixels from which on borders are looked for."""
_GREY = 0.02
"""Largest difference between the channels of a pixel without colour, display values."""


@dataclass(frozen=True)
class Unfading:
    """How one shot, or one reel, has faded.

    Attributes:
        remaining: what is left of the cyan, magenta and yellow dye, about 0-1.
        stain: amount of each dye that base, stain and scanner light seem to add.
        stock: whose dyes, see :mod:`wetgate.pairing.dyes`.
        colourless: whether the scan holds no colour at all: then nothing is done to it.
        hints: what the artist knew.
    """

    remaining: tuple[float, float, float]
    stain: tuple[float, float, float]
    stock: str = UNKNOWN
    colourless: bool = False
    hints: tuple[Hint, ...] = field(default=())

    def restore(self, scan: Array) -> Array:
        """Display values [..., 3] of scan display values of the same shape, as they were before the dyes faded."""
        if self.colourless:
            return scan
        absorption = absorption_of(self.stock)
        dyes = (dyes_of(scan, absorption) - np.asarray(self.stain)) / np.asarray(self.remaining)
        return display_of(dyes, absorption)

    def construct(self, scan: Array) -> Constructed:
        """The restored picture as a reference for ``scan``, display values [H, W, 3], to look at and to learn from.

        Of a scan without colour the reference is the scan, with no confidence at all.
        """
        confidence = CONFIDENCE_WITH_HINTS if self.hints else CONFIDENCE
        return Constructed(
            reference=np.asarray(self.restore(scan), np.float32),
            confidence=np.full(scan.shape[:2], 0 if self.colourless else confidence, np.float32),
            kind="unfading",
            notes=(self.described(),),
        )

    def described(self) -> str:
        """What was found, as a sentence without a full stop."""
        if self.colourless:
            return "The scan holds no colour that could be brought back"
        left = ", ".join(
            f"{share:.0%} of {dye}" for share, dye in zip(self.remaining, ("cyan", "magenta", "yellow"), strict=True)
        )
        known = f", from {len(self.hints)} known colours and" if self.hints else ", from"
        return f"Estimated dye that is left: {left}{known} the film itself"


def unfade(frames: Sequence[Array], hints: Sequence[Hint] = (), stock: str = UNKNOWN) -> Unfading:
    """Estimate how a shot has faded; the same for all its frames, so that colour is steady.

    Args:
        frames: some of the shot (or of a whole reel that faded alike), display values [H, W, 3] of any size. Whatever
            is no picture (frame lines, perforations) is to be left out.
        hints: what the artist knows.
        stock: the print's, where it is known.

    Raises:
        WetgateError: there is no frame, or the stock is unknown.
    """
    if not frames:
        raise WetgateError("No frame was given to tell the fading from: name some of the shot.")
    absorption = absorption_of(stock)
    pixels = np.concatenate([_sampled(frame, _PIXELS // len(frames)) for frame in frames])
    if _without_colour(pixels):
        return Unfading((1.0, 1.0, 1.0), (0.0, 0.0, 0.0), stock, colourless=True)
    dyes = dyes_of(pixels, absorption).astype(np.float64)
    ends = np.percentile(dyes, [_EXTREME, 100 - _EXTREME], axis=0)
    known = [(dyes_of(np.array(hint.seen), absorption), hint) for hint in hints]

    def doubt(answer: Vector) -> float:
        gain, offset = np.exp(np.clip(answer[:3], -1, 3)), answer[3:]
        return (
            _doubt_of_fading(answer)
            + _doubt_of_colours((dyes - offset) * gain, answer[:3])
            + _doubt_of_ends((ends - offset) * gain)
            + sum(_doubt_of_hint((seen - offset) * gain, hint, absorption) for seen, hint in known)
        )

    answer = _least(doubt, np.concatenate([-_LEFT, 0.7 * ends[0]]))
    cyan, magenta, yellow = np.exp(-np.clip(answer[:3], -1, 3)).tolist()
    red, green, blue = answer[3:].tolist()
    return Unfading((cyan, magenta, yellow), (red, green, blue), stock, hints=tuple(hints))


def hints_of(restoration: Restoration) -> list[Hint]:
    """What the artist has said of known colours, from restoration.json's settings.

    Raises:
        WetgateError: a hint there makes no sense.
    """
    return [Hint.of_dict(data) for data in restoration.settings.get("hints", [])]


def _doubt_of_fading(answer: Vector) -> float:
    left = (-answer[:3] - _LEFT) / _LEFT_APART
    stain = (answer[3:] - _STAIN) / _STAIN_APART
    return float(left @ left + stain @ stain) / 2


def _doubt_of_colours(dyes: Vector, log_gain: Vector) -> float:
    """Minus the mean log likelihood of restored pixels, as a density of the scan's own dye amounts."""
    values = _display_like(dyes)
    across = values[:, 0] - values[:, 2]
    beside = values[:, 1] - (values[:, 0] + values[:, 2]) / 2
    tails = 1.5 * np.log1p((across / _SCATTER[0]) ** 2 / 2) + 1.5 * np.log1p((beside / _SCATTER[1]) ** 2 / 2)
    middle = ((values.mean(axis=1) - _MIDDLE) / _MIDDLE_APART) ** 2 / 2
    stretched = _K * dyes.sum(axis=1).mean() - log_gain.sum()
    return _GREYS * float((tails + middle).mean() + stretched)


def _doubt_of_ends(ends: Vector) -> float:
    total = 0.0
    rules = ((_WHITE, _WHITE_APART, _WHITE_CAST), (_BLACK, _BLACK_APART, _BLACK_CAST))
    for values, (usual, apart, cast) in zip(_display_like(ends), rules, strict=True):
        mean = values.mean()
        total += ((mean - usual) / apart) ** 2 / 2 + 2 * float(np.log1p(((values - mean) / cast) ** 2 / 4).sum())
    return _ENDS * total


def _doubt_of_hint(dyes: Vector, hint: Hint, absorption: Vector) -> float:
    lab = srgb_to_lab(np.asarray(display_of(np.clip(dyes, -2, 8), absorption), np.float64))
    lightness, chroma = hint.spread
    apart = (lab - hint.lab) / np.array([lightness, chroma, chroma])
    return float(apart @ apart) / 2


def _display_like(dyes: Vector) -> Vector:
    return np.exp(-_K * np.clip(dyes, -2, 8))


def _sampled(frame: Array, count: int) -> Array:
    """At most ``count`` pixels [n, 3] of a frame without its finest grain and dust, evenly spread."""
    small = _picture(np.ascontiguousarray(frame, np.float32))
    height, width = small.shape[:2]
    if width > _WIDTH:
        small = cv2.resize(small, (_WIDTH, max(1, round(height * _WIDTH / width))), interpolation=cv2.INTER_AREA)
    pixels = cv2.medianBlur(small, 5).reshape(-1, 3)
    return pixels[:: max(1, len(pixels) // max(count, 1))]


def _picture(frame: Array) -> Array:
    """The frame without black borders, which are darker than any black of the picture."""
    height, width = frame.shape[:2]
    if min(height, width) < _SMALLEST:
        return frame
    lost = find_borders(frame, frame).widths
    left, right, top, bottom = (lost.get(side, 0) for side in ("left", "right", "top", "bottom"))
    return np.ascontiguousarray(frame[top : height - bottom, left : width - right])


def _without_colour(pixels: Array) -> bool:
    """Whether nearly all pixels are grey. A tinted film is not: nothing tells it from a faded one of grey things."""
    return float(np.quantile(np.ptp(pixels, axis=1), 0.98)) <= _GREY


def _least(cost: Callable[[Vector], float], start: Vector, steps: int = 80) -> Vector:
    """Where ``cost`` is least, by BFGS with differences for slopes (Nocedal, Wright, Numerical Optimization, 2006)."""
    eye = np.eye(len(start))

    def slope_at(place: Vector) -> Vector:
        return np.array([(cost(place + 1e-4 * axis) - cost(place - 1e-4 * axis)) / 2e-4 for axis in eye])

    inverse = 0.02 * eye
    place, value, slope = start, cost(start), slope_at(start)
    for _ in range(steps):
        direction = -inverse @ slope
        length = 1.0
        while (lower := cost(place + length * direction)) > value + 1e-4 * length * (direction @ slope):
            length /= 2
            if length < 1e-6:
                return place
        step = length * direction
        new_slope = slope_at(place + step)
        turn = new_slope - slope
        if (product := step @ turn) > 1e-12:
            shear = eye - np.outer(step, turn) / product
            inverse = shear @ inverse @ shear.T + np.outer(step, step) / product
        settled = value - lower < 1e-7 * abs(value)
        place, value, slope = place + step, lower, new_slope
        if settled:
            break
    return place
