"""A model learns from scans as steady as they will be given to it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from wetgate.errors import WetgateError
from wetgate.images import Source, open_source
from wetgate.inference.curves import STILL, Curve
from wetgate.pairing.deflicker import LEAST_FRAMES, measure_near
from wetgate.project import Pair, Restoration


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
    found: dict[int, Curve] = {}
    for pattern in dict.fromkeys(s["path"] for s in restoration.sources if s["element"] == "scan"):
        try:
            source = open_source(pattern)
        except WetgateError:
            continue
        with source:
            own = {pair.number: pair.frame for pair in pairs if _is_of(pair, source)}
            if not own or len(source.frames) < LEAST_FRAMES:
                continue
            curves = measure_near(source, restoration.encoding, list(own.values()), lambda done, note: go_on())
            found |= {number: curves.frames[frame] for number, frame in own.items() if frame in curves.frames}
    return {number: curve for number, curve in found.items() if curve != STILL}


def _is_of(pair: Pair, source: Source) -> bool:
    return pair.frame in source.frames and pair.where_from.get("scan") == str(source.path(pair.frame).absolute())
