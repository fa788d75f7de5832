"""Which frame of the reference shows which frame of the scan.

Every frame is decoded once and kept as a small sketch. Coarse orientation descriptors of all frames say where the
reference lies on the scan and roughly when; frames that belong together solve its crop exactly; then every scan frame
is compared with the reference frames around its place, finely enough to tell neighbours apart, and a hidden
Markov model weighs all of that together. What it cannot tell apart is said to be doubtful.

For N scan frames and M reference frames and a band of B reference frames around each place: time N * B plus
(N + M) / s squared for the coarse step, which takes every s-th frame so that it never looks at more than 1500 of
either; memory N * B and 12 MB; B is all of M for short clips, some hundred for a reel.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wetgate.errors import WetgateError
from wetgate.images import Source, format_frames
from wetgate.pairing.descriptors import mirrored, orientation_fields, resampled
from wetgate.pairing.geometry import Geometry, first_guess, refined
from wetgate.pairing.likeness import neighbours, unlikeness
from wetgate.pairing.monotone import REPEAT, REPEAT_OF_COPY, Row, best_path, probabilities
from wetgate.pairing.shots import find_shots
from wetgate.pairing.sketches import Sketches, sketch

Values = NDArray[np.float64]

SURE = 0.95
"""Probability from which a match is one; below it is doubtful."""
STILL = 3.0
"""Least evidence, in negative log odds, that a frame's neighbours must promise; below it the picture stands still."""
LEAST_FRAMES = 8
RELATED = 0.75
"""Unlikeness up to which two frames can show the same picture."""
MARGIN = 12
"""Scan frames before and after the wanted ones that are looked at too."""
_EVIDENCE = 200.0
_COARSE = (20, 15)
_COARSE_MOST = 1500
_WHOLE_BAND = 1_000_000
_BAND_FRAMES = 32
_TWINS = 0.5
_COPY = 0.5


@dataclass(frozen=True)
class Match:
    """What is known of one scan frame.

    Attributes:
        scan_frame: its number.
        reference_frame: the reference's frame that shows the same; None where none does or where it is doubtful.
        confidence: probability of that answer, 0-1.
        note: empty, or what to know of it: ``doubtful: ...``; ``not in the reference``; ``blank``, nothing to see;
            ``combed``, the reference shows it in its upper field only; ``repeated``, the scan shows the same again.
    """

    scan_frame: int
    reference_frame: int | None
    confidence: float
    note: str = ""

    @property
    def doubtful(self) -> bool:
        """Whether it could not be told."""
        return self.note.startswith("doubtful")


@dataclass(frozen=True)
class Matching:
    """What is known of a scan and a reference.

    Attributes:
        matches: one per scan frame, in order.
        crop: the part of the scan that the reference shows, as shares of it (x0, y0, x1, y1) from the top left;
            below 0 or above 1 where the reference shows more.
        mirrored: whether left and right are exchanged.
        interlaced: empty, or a sentence on the reference's fields.
        shots: first and last scan frame of every shot.
    """

    matches: list[Match]
    crop: tuple[float, float, float, float]
    mirrored: bool
    interlaced: str
    shots: list[tuple[int, int]]


def match(
    scan: Source,
    reference: Source,
    frames: Sequence[int] | None = None,
    follow: Callable[[int, int], None] = lambda done, total: None,
) -> Matching:
    """Find the reference frames that show ``frames`` of the scan (default: all of them).

    Args:
        follow: hears how many of all frames have been read.

    Raises:
        WetgateError: a frame cannot be read, either is shorter than eight frames or all blank, or they do not show
            the same film.
    """
    ours, theirs = _read(scan, reference, frames, follow)
    for name, part in ((f"The scan {scan.name}", ours), (f"The reference {reference.name}", theirs)):
        if np.count_nonzero(~part.blank) < LEAST_FRAMES:
            raise WetgateError(f"{name} is blank: nothing can be seen in its frames, so none of them can be matched.")
    interlaced = np.mean(theirs.combed) > 0.02
    if interlaced:
        theirs = theirs.of_upper_fields()
    shots = find_shots(ours)
    found = _Search(ours, theirs, shots).run()
    wanted = set(ours.frames if frames is None else frames)
    matches = [one for one in found.matches if one.scan_frame in wanted]
    if not any(one.reference_frame is not None for one in matches):
        raise WetgateError(
            f"No frame of the scan {scan.name} was found in the reference {reference.name}: "
            "they do not show the same film, or not the same part of it, or nothing moves in it by which frames could "
            "be told apart."
        )
    x0, y0, x1, y1 = (round(side, 4) for side in found.geometry.window)
    numbers = [(ours.frames[first], ours.frames[end - 1]) for first, end in shots]
    return Matching(
        matches, (x0, y0, x1, y1), found.geometry.mirrored, _on_fields(theirs) if interlaced else "", numbers
    )


def _read(
    scan: Source, reference: Source, frames: Sequence[int] | None, follow: Callable[[int, int], None]
) -> tuple[Sketches, Sketches]:
    chosen = list(scan.frames)
    if frames is not None:
        missing = sorted(set(frames) - set(chosen))
        if missing or not frames:
            raise WetgateError(f"{scan.name} has no frame {format_frames(missing)}: choose among its own frames.")
        first, last = chosen.index(min(frames)), chosen.index(max(frames))
        chosen = chosen[max(0, first - MARGIN) : last + MARGIN + 1]
    for name, count in (
        (f"The scan {scan.name}", len(chosen)),
        (f"The reference {reference.name}", len(reference.frames)),
    ):
        if count < LEAST_FRAMES:
            raise WetgateError(
                f"{name} has {count} frames, too few to be matched in order: give {LEAST_FRAMES} and more, "
                "or name the pairs yourself with `wetgate add --frames ... --reference-frames ...`."
            )
    done, total = 0, len(chosen) + len(reference.frames)

    def count_one(_: int) -> None:
        nonlocal done
        done += 1
        follow(done, total)

    ours = sketch(scan, chosen, follow=count_one)
    return ours, sketch(reference, with_fields=True, follow=count_one)


def _on_fields(reference: Sketches) -> str:
    share = float(np.mean(reference.combed))
    return (
        f"{share:.0%} of the reference's frames hold two fields of different moments (interlaced video); "
        "frames were compared by their upper fields, and matches prefer frames that are whole."
    )


@dataclass(frozen=True)
class _Found:
    matches: list[Match]
    geometry: Geometry


class _Search:
    """One search, its steps in order."""

    def __init__(self, scan: Sketches, reference: Sketches, shots: list[tuple[int, int]]) -> None:
        self.scan = scan
        self.reference = reference
        self.shots = shots
        self.novelty = neighbours(reference)

    def run(self) -> _Found:
        geometry = first_guess(self.scan, self.reference)
        coarse = self._coarse_path(geometry)
        if coarse:  # where all frames are alike, none is more like another than chance
            geometry = refined(geometry, self.scan, self.reference, _spread_pairs(coarse, 24))
            coarse = self._coarse_path(geometry)
        band = _band(coarse, len(self.scan), len(self.reference))
        geometries = [geometry] * len(self.scan)
        for _ in range(2):
            rows = self._rows(geometries, band)
            path = best_path(self._weighed(rows))
            if sum(at is not None for at in path) < LEAST_FRAMES:
                break
            geometry, geometries = self._solved(path, geometry)
        rows = self._rows(geometries, band)
        return _Found(self._judged(rows), geometry)

    def _coarse_path(self, geometry: Geometry) -> list[tuple[int, int]]:
        """Pairs of indexes whose descriptors are alike, in order, of at most 1500 frames of either."""
        ours, theirs = (
            np.arange(0, len(part), max(1, -(-len(part) // _COARSE_MOST))) for part in (self.scan, self.reference)
        )
        window = geometry.window
        source = _descriptors(self.scan, ours, window, False)
        target = _descriptors(self.reference, theirs, (0, 0, 1, 1), geometry.mirrored)
        alike = (source @ target.T).astype(np.float64)
        chance = np.maximum(np.median(alike, axis=1)[:, None], np.median(alike, axis=0)[None, :])
        gains = alike - np.maximum(chance, alike.max(axis=1, keepdims=True) - 0.2) - 0.02
        path = best_path([Row(0, row) for row in gains])
        return [(int(ours[index]), int(theirs[at])) for index, at in enumerate(path) if at is not None]

    def _rows(self, geometries: list[Geometry], band: list[tuple[int, int]]) -> list[Row]:
        return list(unlikeness(self.scan, self.reference, geometries, band))

    def _weighed(self, rows: list[Row]) -> list[Row]:
        """Probabilities from unlikeness."""
        costs, evidence = self._costs(rows)
        return probabilities(costs, self._passing(evidence), self._repeating(), self._advancing())

    def _costs(self, rows: list[Row]) -> tuple[list[Row], float]:
        """Negative log likelihoods, and the factor by which differences in unlikeness were weighed.

        A frame's best unlikeness stands for grain, compression and damage; what another reference frame leaves
        beyond it, in units of that noise, is evidence against it. A best that is far worse than is usual nearby is
        evidence that the reference lacks the frame.
        """
        best = np.array([row.values.min(initial=1.0) for row in rows])
        costs = []
        usual, spread = _usual(best, self.shots)
        for index, row in enumerate(rows):
            excess = max(0.0, (best[index] - usual[index]) / spread[index])
            absent = min(excess**2 / 2, 8.0) + 200 * max(0.0, best[index] - RELATED)
            weight = _EVIDENCE / (2 * max(best[index], usual[index], 0.01))
            costs.append(Row(row.first, weight * (row.values - best[index]) + absent))
        return costs, _EVIDENCE / (2 * max(0.01, float(np.median(usual))))

    def _passing(self, evidence: float) -> Values:
        """What passing over each reference frame costs: as much as it differs from its nearer neighbour, up to 5."""
        padded = np.concatenate([[np.inf], self.novelty, [np.inf]])
        return np.minimum(evidence * np.minimum(padded[:-1], padded[1:]), 5.0)

    def _repeating(self) -> Values:
        """What showing the same as the frame before costs: little where a frame is far more like it than is usual."""
        change = np.concatenate([[np.inf], neighbours(self.scan)])
        around = np.minimum(np.roll(change, 1), np.append(change[1:], np.inf))
        return np.where(change < _COPY * around, REPEAT_OF_COPY, REPEAT)

    def _advancing(self) -> Values:
        """What it costs to go on to a reference frame that is a copy of the one before: as much as to repeat that."""
        change = np.concatenate([[np.inf], self.novelty])
        around = np.minimum(np.roll(change, 1), np.append(change[1:], np.inf))
        return np.where(change < _TWINS * around, REPEAT, 0.0)

    def _solved(self, path: list[int | None], geometry: Geometry) -> tuple[Geometry, list[Geometry]]:
        """The geometry over all frames, and of each frame's shot where that has enough pairs of its own."""
        pairs = [(index, at) for index, at in enumerate(path) if at is not None]
        whole = refined(geometry, self.scan, self.reference, _spread_pairs(pairs, 40), rounds=3)
        geometries: list[Geometry] = []
        for first, end in self.shots:
            inside = [pair for pair in pairs if first <= pair[0] < end]
            own = whole
            if len(inside) >= LEAST_FRAMES:
                own = refined(whole, self.scan, self.reference, _spread_pairs(inside, 24), rounds=3)
            geometries += [own] * (end - first)
        return whole, geometries

    def _judged(self, rows: list[Row]) -> list[Match]:
        chances = self._weighed(rows)
        evidence = self._costs(rows)[1]
        path = best_path(chances)
        matches = []
        for index, (row, at) in enumerate(zip(chances, path, strict=True)):
            number = self.scan.frames[index]
            absent = float(max(0.0, 1 - row.values.sum()))
            if self.scan.blank[index]:
                matches.append(Match(number, None, absent, "blank"))
                continue
            twins = self._twins(at) if at is not None else range(0)
            chance = sum(float(row.values[twin - row.first]) for twin in twins if row.first <= twin < row.end)
            if at is not None and chance >= SURE and self._tells(twins, evidence) < STILL:
                matches.append(
                    Match(number, None, round(chance, 4), "doubtful: a still stretch, its frames look alike")
                )
            elif at is not None and chance >= SURE:
                whole = [twin for twin in twins if not self.reference.combed[twin]]
                chosen = at if not whole or at in whole else whole[0]
                frame = self.reference.frames[chosen]
                note = "combed" if self.reference.combed[chosen] else ""
                if matches and matches[-1].reference_frame == frame:
                    note = "repeated"
                matches.append(Match(number, frame, round(min(1.0, chance), 4), note))
            elif absent >= SURE:
                matches.append(Match(number, None, round(absent, 4), "not in the reference"))
            else:
                matches.append(Match(number, None, round(max(chance, absent), 4), self._doubt(row, absent)))
        return matches

    def _twins(self, at: int) -> range:
        """Reference frames beside ``at`` that a conversion of frame rates repeated: two or three all but equal ones."""
        padded = np.concatenate([[np.inf], self.novelty, [np.inf]])
        for first, end in ((at, at + 2), (at - 1, at + 1), (at - 1, at + 2), (at, at + 3), (at - 2, at + 1)):
            if first < 0 or end > len(self.reference):
                continue
            inside, outside = padded[first + 1 : end].max(), min(padded[first], padded[end])
            if inside < _TWINS * outside:
                return range(first, end)
        return range(at, at + 1)

    def _tells(self, twins: range, evidence: float) -> float:
        """How much evidence can be expected between some reference frames and the nearer one of those around them."""
        padded = np.concatenate([[np.inf], self.novelty, [np.inf]])
        return float(evidence * min(padded[twins.start], padded[twins.stop]))

    def _doubt(self, row: Row, absent: float) -> str:
        likely = np.flatnonzero(row.values > 0.02) + row.first
        if not len(likely):
            return "doubtful: probably not in the reference"
        between = format_frames([self.reference.frames[int(at)] for at in (likely[0], likely[-1])])
        if likely[0] == likely[-1]:
            return f"doubtful: {between}, or none"
        return (
            f"doubtful: one of {self.reference.frames[int(likely[0])]} to {self.reference.frames[int(likely[-1])]}"
            + (", or none" if absent > 0.05 else "")
        )


def _descriptors(
    sketches: Sketches, indexes: NDArray[np.int64], window: tuple[float, float, float, float], mirror: bool
) -> NDArray[np.float32]:
    parts = []
    for start in range(0, len(indexes), 256):
        fields = orientation_fields(sketches.local_contrast([int(index) for index in indexes[start : start + 256]]))
        parts.append(resampled(mirrored(fields) if mirror else fields, window, _COARSE))
    return np.concatenate(parts)


def _usual(best: Values, shots: list[tuple[int, int]]) -> tuple[Values, Values]:
    """Per frame, the best unlikeness that is usual around it within its shot, and how far frames scatter about it.

    The lower part of the scatter tells both, since frames that the reference lacks may be many.
    """
    usual, spread = np.empty_like(best), np.empty_like(best)
    for first, end in shots:
        for index in range(first, end):
            near = best[max(first, index - 32) : min(end, index + 33)]
            least, usual[index] = np.quantile(near, (0.1, 0.4))
            spread[index] = 1.5 * (usual[index] - least) + 0.15 * usual[index] + 1e-3
    return usual, spread


def _spread_pairs(pairs: Sequence[tuple[int, int]], most: int) -> list[tuple[int, int]]:
    if not pairs:
        return []
    return [pairs[int(place)] for place in np.unique(np.linspace(0, len(pairs) - 1, most).astype(int))]


def _band(coarse: list[tuple[int, int]], scan: int, reference: int) -> list[tuple[int, int]]:
    """First and end of the reference frames that come into question for every scan frame."""
    if scan * reference <= _WHOLE_BAND or not coarse:
        return [(0, reference)] * scan
    step = max(1, -(-scan // _COARSE_MOST), -(-reference // _COARSE_MOST))
    margin = _BAND_FRAMES + 4 * step
    places, targets = np.array(coarse).T
    indexes = np.arange(scan)
    before = np.searchsorted(places, indexes - margin, side="right") - 1
    after = np.searchsorted(places, indexes + margin, side="left")
    low = np.where(before >= 0, targets[np.maximum(before, 0)], 0) - margin
    high = np.where(after < len(places), targets[np.minimum(after, len(places) - 1)], reference) + margin
    return [
        (int(first), int(end))
        for first, end in zip(np.clip(low, 0, reference - 1), np.clip(high, 1, reference), strict=True)
    ]


def best_spread(matching: Matching, count: int) -> list[Match]:
    """The ``count`` surest matches to pair, spread over the shots, in order; fewer where there are not so many.

    Shots take turns, the longest first; in a shot the next one is as far as can be from those it gave already.
    Repeated frames are left out, and combed ones where a shot has others.
    """
    shots = sorted(matching.shots, key=lambda shot: shot[0] - shot[1])
    sure = [one for one in matching.matches if one.reference_frame is not None and one.note in ("", "combed")]
    inside = [[one for one in sure if first <= one.scan_frame <= last] for first, last in shots]
    pools = [[one for one in shot if not one.note] or shot for shot in inside]
    chosen: list[Match] = []
    used: set[int | None] = set()
    while len(chosen) < count and any(pools):
        for (first, last), pool in zip(shots, pools, strict=True):
            if not pool or len(chosen) == count:
                continue
            taken = [one.scan_frame for one in chosen if first <= one.scan_frame <= last]
            middle = (first + last) / 2
            best = max(
                pool,
                key=lambda one: (
                    round(one.confidence, 2),
                    min(abs(one.scan_frame - other) for other in taken) if taken else -abs(one.scan_frame - middle),
                ),
            )
            used.add(best.reference_frame)
            chosen.append(best)
            pool[:] = [one for one in pool if one.reference_frame not in used]
    return sorted(chosen, key=lambda one: one.scan_frame)
