"""References made for scans that have none, for an artist to look at, correct and accept.

What is known of a frame's colours, the surest first: paint in it; paint in other frames of its shot, carried along by
motion, where the scan is black and white (faded colours say more than motion does); what paint elsewhere makes of the
scan's own colours; pictures of other scenes; the fading that the scan itself gives away.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from wetgate.errors import WetgateError
from wetgate.files import sweep_temporaries
from wetgate.images import Source, from_display, read_image, to_display, write_image
from wetgate.pairing import exemplars, unfading
from wetgate.pairing.constructed import Constructed, Origin
from wetgate.pairing.painting import Paint, paint_of
from wetgate.pairing.propagation import Carried, carry
from wetgate.pairing.spreading import spread, with_luma_of
from wetgate.pairing.thumbnails import draw_missing
from wetgate.project import Pair, Restoration
from wetgate.recipes.exposure import is_of, scans_of
from wetgate.recipes.painted import collect_painted, paint_in
from wetgate.training import closed_form
from wetgate.training.samples import make_sample

Array = NDArray[np.float32]
Base = Callable[[Array, int], Constructed]
"""What to think of a scan (display values) and its frame's number where no paint says it."""

WHOLE = 0.98
"""Share of a frame from which on paint needs no proposal: the artist has painted it."""
MONOCHROME = 0.02
"""Largest difference of a black-and-white scan's channels, display values, at nearly all of its pixels."""
MOST_CARRIED, LEAST_APART = 24, 4
"""How many frames get their paint from others, and how many frames they lie apart at least."""
FARTHEST = 120
"""Frames that paint is carried at most."""
FITTED_BELIEF, MONOCHROME_BELIEF = 0.2, 0.05
"""How far the colours are believed that paint elsewhere makes of a colour, and of a mere shade of grey."""
_UNPAINTED_WEIGHT = 0.02
_LOOKED_AT = 12
"""Frames from which fading is estimated, at most."""
CORRECTED = "corrected"
_SUFFIXES = (".exr", ".tif", ".tiff", ".png", ".dpx", ".jpg", ".jpeg")


@dataclass(frozen=True)
class _Evidence:
    """Colours that were carried to a frame, display values [H, W, 3], and how far they are believed [H, W]."""

    colours: Array
    belief: Array


def propose(restoration: Restoration, follow: Callable[[Pair], None] = lambda pair: None) -> list[Pair]:
    """Make a reference for each pair that was collected or whose proposal waits, and pairs of frames around paint.

    prepared.exr and confidence.exr are written beside the pair's pictures. A frame that was painted as a whole is
    accepted; the others wait, in the state "prepared".

    Args:
        restoration: of the recipe `exemplar`.
        follow: gets each pair that is done; may raise.

    Returns:
        The pairs that wait.

    Raises:
        WetgateError: there are no pairs, none holds or gets any colour, or a picture cannot be read.
    """
    pairs = restoration.pairs()
    if not pairs:
        raise WetgateError(
            f"{restoration.folder} holds no frames: add some with `wetgate add {restoration.folder} --scan ... "
            "--paint ... --frames ...`."
        )
    for pair in pairs:
        sweep_temporaries(pair.folder)
    draw_missing(pairs, restoration.encoding)
    usable = [pair for pair in pairs if pair.state != "rejected"]
    monochrome = is_monochrome(restoration)
    base = _base(restoration, usable, monochrome)
    waiting = [pair for pair in usable if pair.state != "accepted"]
    done = set()

    def settle(pair: Pair, evidence: Sequence[_Evidence] = ()) -> None:
        _settle(restoration, pair, base, evidence, monochrome)
        done.add(pair.number)
        follow(pair)

    for pair in waiting:
        if paint_in(pair, restoration.encoding).amount.any():
            settle(pair)
    if monochrome:
        for pair, evidence in _carried(restoration, usable):
            settle(pair, evidence)
    for pair in waiting:
        if pair.number not in done:
            settle(pair)
    if not restoration.pairs({"prepared", "accepted"}):
        raise WetgateError(
            f"Nothing in {restoration.folder} says anything about colour: paint over some frames and add them with "
            f"--paint, or name paintings with `wetgate exemplar {restoration.folder}`."
        )
    return restoration.pairs({"prepared"})


def accept(restoration: Restoration, numbers: Sequence[int] | None = None) -> list[Pair]:
    """Take proposals as they are, or as the artist corrected them.

    A picture called ``corrected`` (EXR, TIFF, PNG, DPX or JPEG) beside prepared.exr is a correction: where it differs
    from the proposal, or where it has alpha, it is paint.

    Args:
        restoration: whose pairs.
        numbers: of the pairs; all that wait by default.

    Raises:
        WetgateError: a pair is not there or has no proposal, or a correction does not fit.
    """
    waiting = {pair.number: pair for pair in restoration.pairs({"prepared"})}
    if numbers is None:
        numbers = list(waiting)
    for number in numbers:
        if number not in waiting:
            states = {pair.number: pair.state for pair in restoration.pairs()}
            said = f"is {states[number]}" if number in states else "is not there"
            raise WetgateError(f"Pair {number} of {restoration.folder} {said}: only a proposal that waits is accepted.")
    accepted = []
    for number in numbers:
        pair = waiting[number]
        reason = _correct(pair, restoration.encoding)
        pair.update(state="accepted", reason=", ".join(part for part in (pair.reason, reason) if part))
        accepted.append(pair)
    return accepted


def is_monochrome(restoration: Restoration) -> bool:
    """Whether the scans are black and white: colour can then not come from colour."""
    return all(
        float(np.quantile(np.ptp(to_display(read_image(pair.scan).pixels, restoration.encoding), axis=2), 0.98))
        <= MONOCHROME
        for pair in [pair for pair in restoration.pairs() if pair.state != "rejected"][:_LOOKED_AT]
    )


def _base(restoration: Restoration, pairs: Sequence[Pair], monochrome: bool) -> Base:
    """What to think where no paint says it: the surest of what there is."""
    encoding = restoration.encoding
    paintings = exemplars.read(restoration)
    grey = _Grey()
    unfaded = grey if monochrome else _unfading(restoration, pairs)
    if paintings is not None:
        return lambda scan, frame: paintings.construct(scan, unfaded(scan, frame).reference)
    samples = []
    for pair in pairs:
        paint = paint_in(pair, encoding)
        scan = to_display(read_image(pair.scan).pixels, encoding)
        if not paint.amount.any() or paint.colours.shape != scan.shape:
            continue
        inner = np.asarray(cv2.erode(paint.amount, np.ones((5, 5), np.uint8)))
        sure = inner if inner.any() else paint.amount
        before = unfaded(scan, pair.frame).reference
        towards = paint.amount[..., None] * paint.colours + (1 - paint.amount[..., None]) * before
        weight = sure + (0 if monochrome else _UNPAINTED_WEIGHT) * (paint.amount == 0)
        samples.append(make_sample(scan, towards, "display", number=pair.number, frame=pair.frame, weight=weight))
    if not samples:
        return unfaded
    fit = closed_form.first_model(samples, "display", "grain")
    belief = MONOCHROME_BELIEF if monochrome else FITTED_BELIEF

    def fitted(scan: Array, frame: int) -> Constructed:
        reference = closed_form.fitted(scan, "display", fit.coefficients)
        if monochrome:
            reference = with_luma_of(scan, reference)
        note = "what paint elsewhere gives to like shades"
        return Constructed(reference, np.full(scan.shape[:2], belief, np.float32), "shades", (note,))

    return fitted


class _Grey:
    """Of a black-and-white scan nothing is known but itself."""

    def __call__(self, scan: Array, frame: int) -> Constructed:
        return Constructed(scan, np.zeros(scan.shape[:2], np.float32), "unfading")


def _unfading(restoration: Restoration, pairs: Sequence[Pair]) -> Base:
    step = math.ceil(len(pairs) / _LOOKED_AT)
    scans = [to_display(read_image(pair.scan).pixels, restoration.encoding) for pair in pairs[::step]]
    found = unfading.unfade(scans, unfading.hints_of(restoration))
    return lambda scan, frame: found.construct(scan)


def _settle(restoration: Restoration, pair: Pair, base: Base, evidence: Sequence[_Evidence], monochrome: bool) -> None:
    """Make a pair's reference, write it, and note its state."""
    encoding = restoration.encoding
    scan = to_display(read_image(pair.scan).pixels, encoding)
    paint = paint_in(pair, encoding)
    if paint.colours.shape != scan.shape:
        pair.update(state="rejected", reason="its painted frame is of another size than the scan's")
        return
    if monochrome:
        paint = replace(paint, colours=with_luma_of(scan, paint.colours))
        evidence = [replace(one, colours=with_luma_of(scan, one.colours)) for one in evidence]
    made = _construct(scan, paint, base(scan, pair.frame), evidence, scan if monochrome else None)
    if made.kind == "paint":
        origin = Origin("paint", str(pair.where_from.get("paint", "")), "paint over the scan's frame")
        made = replace(made, origins=(*made.origins, origin))
    whole = made.kind == "paint" and float(made.confidence.mean()) >= WHOLE
    if made.confidence.max() <= 0:
        pair.update(state="collected", prepared=None, reason="nothing tells its colours yet")
        return
    _write(pair, made, encoding)
    pair.update(
        state="accepted" if whole else "prepared",
        prepared="prepared.exr",
        reason=", ".join(made.notes),
        where_from={**pair.where_from, "constructed": made.described()},
    )


def _construct(
    scan: Array, paint: Paint, base: Constructed, evidence: Sequence[_Evidence], start: Array | None
) -> Constructed:
    painted = bool(paint.amount.any())
    if not painted and not evidence:
        return base
    known, amount = paint.colours, paint.amount
    if painted and float(amount.mean()) >= WHOLE:
        return Constructed(known, amount, "paint", ("painted as a whole",))
    if not painted:
        total = np.maximum(np.sum([one.belief for one in evidence], axis=0), 1e-6)
        known = np.sum([one.colours * one.belief[..., None] for one in evidence], axis=0) / total[..., None]
        amount = np.max([one.belief for one in evidence], axis=0)
    reference, confidence = spread(scan, known, amount, base.reference, base.confidence, start=start)
    share = f"{float((amount > 0.5).mean()):.0%}"
    what = f"paint on {share} of the frame" if painted else f"paint of other frames, carried to {share} of this one"
    kind = "paint" if painted else "motion"
    return Constructed(reference, confidence, kind, (what, *base.notes), base.origins)


def _write(pair: Pair, made: Constructed, encoding: str) -> None:
    depth = read_image(pair.reference).header.depth
    write_image(pair.folder / "prepared.exr", from_display(made.reference, encoding), bit_depth=depth)
    write_image(pair.folder / "confidence.exr", np.repeat(made.confidence[..., None], 3, axis=2), bit_depth="half")


def _carried(restoration: Restoration, pairs: Sequence[Pair]) -> Iterator[tuple[Pair, list[_Evidence]]]:
    """Pairs of frames around painted ones, made where there are none, and what paint tells of them."""
    for source in scans_of(restoration):
        own = [pair for pair in pairs if pair.state != "rejected" and is_of(pair, source)]
        for region in sorted({pair.region for pair in own}, key=str):
            here = [pair for pair in own if pair.region == region]
            painted = {pair.frame: pair for pair in here if paint_in(pair, restoration.encoding).amount.any()}
            if painted:
                yield from _carried_in(restoration, source, here, painted)


def _carried_in(
    restoration: Restoration, source: Source, pairs: Sequence[Pair], painted: dict[int, Pair]
) -> Iterator[tuple[Pair, list[_Evidence]]]:
    region = pairs[0].region
    open_pairs = {pair.frame: pair for pair in pairs if pair.state != "accepted" and pair.frame not in painted}
    settled = {pair.frame for pair in restoration.pairs() if pair.region == region} - set(open_pairs)

    @functools.lru_cache(maxsize=4)
    def read(frame: int) -> Array:
        pixels = to_display(source.read(frame).pixels, restoration.encoding)
        if region is not None:
            x, y, width, height = region
            pixels = pixels[y : y + height, x : x + width]
        return np.ascontiguousarray(pixels, np.float32)

    spans = _spans(list(source.frames), sorted(painted))
    apart = max(LEAST_APART, math.ceil(sum(len(between) for _, between, _ in spans) / MOST_CARRIED))
    for before, between, after in spans:
        wanted = {frame for frame in between[apart // 2 :: apart] if frame not in settled} | (
            set(between) & set(open_pairs)
        )
        found: dict[int, list[Carried]] = {}
        for start, way in ((before, between), (after, between[::-1])):
            if start is not None and wanted:
                for carried in carry(read, start, way[:FARTHEST]):
                    if carried.frame in wanted:
                        found.setdefault(carried.frame, []).append(carried)
        sides = {start: _made(painted[start], restoration.encoding) for start in (before, after) if start is not None}
        for frame, ways in sorted(found.items()):
            pair = open_pairs.get(frame) or _unpainted(restoration, source, frame, region, sorted(painted))
            yield pair, [_brought(one, sides[one.painted]) for one in ways]


def _made(pair: Pair, encoding: str) -> _Evidence:
    """A painted frame's own reference, and how far it is believed."""
    reference = to_display(read_image(pair.prepared).pixels, encoding)
    path = pair.confidence
    trust = np.ones(reference.shape[:2], np.float32) if path is None else read_image(path).pixels[..., 0]
    return _Evidence(reference, trust)


def _brought(carried: Carried, made: _Evidence) -> _Evidence:
    return _Evidence(carried.bring(made.colours), carried.belief * carried.bring(made.belief))


def _spans(frames: list[int], painted: list[int]) -> list[tuple[int | None, list[int], int | None]]:
    """Frames between painted ones and near to them, with the painted frame before and after, where there is one."""
    spans = []
    for before, after in itertools.pairwise([None, *painted, None]):
        start = frames[0] if before is None else before + 1
        end = frames[-1] if after is None else after - 1
        between = [
            frame
            for frame in frames
            if start <= frame <= end
            and any(near is not None and abs(frame - near) <= FARTHEST for near in (before, after))
        ]
        if between:
            spans.append((before, between, after))
    return spans


def _unpainted(restoration: Restoration, source: Source, frame: int, region: object, painted: list[int]) -> Pair:
    """A new pair of a frame that nobody painted."""
    with restoration.add_pair(frame, region) as draft:  # type: ignore[arg-type]
        collect_painted(draft, source, None, restoration.encoding)
        draft.where_from["carried_from"] = painted
    assert draft.pair is not None
    return draft.pair


def _correct(pair: Pair, encoding: str) -> str:
    """Put an artist's correction into the proposal; what to say of it."""
    there = [pair.folder / f"{CORRECTED}{suffix}" for suffix in _SUFFIXES]
    there = [path for path in there if path.exists()]
    if not there:
        return ""
    if len(there) > 1:
        raise WetgateError(
            f"{pair.folder} holds {' and '.join(path.name for path in there)}: leave the right one there."
        )
    proposal = read_image(pair.prepared)
    paint = paint_of(read_image(there[0]), proposal.pixels, encoding)
    kept = paint.amount[..., None]
    corrected = (1 - kept) * proposal.pixels + kept * paint.colours
    confidence = np.ones_like(paint.amount)
    if pair.confidence is not None:
        confidence = np.maximum(read_image(pair.confidence).pixels[..., 0], paint.amount)
    write_image(pair.prepared, corrected, bit_depth=proposal.header.depth)
    write_image(pair.folder / "confidence.exr", np.repeat(confidence[..., None], 3, axis=2), bit_depth="half")
    return f"corrected by hand on {float((paint.amount > 0).mean()):.0%} of the frame"
