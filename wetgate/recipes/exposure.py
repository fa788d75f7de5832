"""A model learns from scans as steady as they will be given to it."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence

from wetgate.errors import WetgateError
from wetgate.images import Source, open_source
from wetgate.inference.curves import STILL, Curve, Curves, as_curve
from wetgate.pairing.deflicker import LEAST_FRAMES, measure_near
from wetgate.project import Pair, Restoration, Run
from wetgate.service.layout import window_of


class TooSlow(Exception):
    """There is no time to measure the scan."""


def curves_of_pairs(restoration: Restoration, pairs: Sequence[Pair], go_on: Callable[[], None]) -> dict[int, Curve]:
    """The exposure curve of each pair's scan, by the pair's number; empty where nothing flickers.

    A pair whose scan is a single picture, or is no longer where it was collected from, has none.

    Args:
        restoration: whose sources are looked into.
        pairs: the accepted ones.
        go_on: called at each frame; may raise, for example :class:`TooSlow`.
    """
    frames = {pair.number: pair.frame for pair in pairs}
    windows = curves_of_windows(restoration, pairs, 0, go_on)
    return {number: curves.of(frames[number]) for number, curves in windows.items()}


def curves_of_windows(
    restoration: Restoration, pairs: Sequence[Pair], radius: int, go_on: Callable[[], None]
) -> dict[int, Curves]:
    """The exposure curves of each pair's scan and its neighbours, by the pair's number; no pair where nothing flickers.

    A pair whose scan is a single picture, or is no longer where it was collected from, has none.

    Args:
        restoration: whose sources are looked into.
        pairs: the accepted ones.
        radius: of the model.
        go_on: called at each frame; may raise, for example :class:`TooSlow`.
    """
    found: dict[int, Curves] = {}
    for source in scans_of(restoration):
        own = {pair.number: pair.frame for pair in pairs if is_of(pair, source)}
        if not own or len(source.frames) < LEAST_FRAMES:
            continue
        present = frozenset(source.frames)
        windows = {number: window_of(frame, radius, present) for number, frame in own.items()}
        wanted = sorted({number for numbers in windows.values() for number in numbers})
        curves = measure_near(source, restoration.encoding, wanted, lambda done, note: go_on()).frames
        for pair_number, numbers in windows.items():
            of_window = {number: curves.get(number, STILL) for number in numbers}
            if any(curve != STILL for curve in of_window.values()):
                found[pair_number] = Curves(restoration.encoding, of_window)
    return found


def curves_of_run(run: Run, restoration: Restoration) -> dict[int, Curves]:
    """The exposure curves that a run keeps of each pair's scan, and of the neighbours it saw, by the pair's number."""
    frames = {str(pair.number): str(pair.frame) for pair in restoration.pairs()}
    alone = run.settings.get("exposure", {})
    kept = {number: {frames[number]: curve} for number, curve in alone.items() if number in frames}
    kept |= run.settings.get("exposures", {})
    return {
        int(number): Curves(restoration.encoding, {int(frame): as_curve(one) for frame, one in curves.items()})
        for number, curves in kept.items()
    }


def scans_of(restoration: Restoration) -> Generator[Source, None, None]:
    """The restoration's scans that can be opened, each open until the next is asked for or the generator is closed."""
    for pattern in dict.fromkeys(s["path"] for s in restoration.sources if s["element"] == "scan"):
        try:
            source = open_source(pattern)
        except WetgateError:
            continue
        with source:
            yield source


def is_of(pair: Pair, source: Source) -> bool:
    """Whether a pair's scan is a frame of ``source``, by what was noted when it was collected."""
    return pair.frame in source.frames and pair.where_from.get("scan") == str(source.path(pair.frame).absolute())
