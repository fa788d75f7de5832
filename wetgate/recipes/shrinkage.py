"""How much film has shrunk: as the artist says, or as pairs with a reference show.

The film alone cannot tell: a picture of a shrunken frame is a picture of something a little smaller.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from wetgate.errors import WetgateError
from wetgate.pairing.steadying import MOST_SHRINKAGE
from wetgate.project import Pair

REFERENCE = "reference"
"""The word for: as the pairs show."""


def parse(text: str) -> tuple[float, float]:
    """Shares of width and height that were lost, of "0.8%" or "0.8%,0.6%" (along the film, then across it).

    Raises:
        WetgateError: the text says something else, or more than film can shrink.
    """
    parts = text.replace(" ", "").split(",")
    try:
        shares = [float(part.removesuffix("%")) / 100 for part in parts]
        if len(shares) not in (1, 2) or not all(part.endswith("%") for part in parts):
            raise ValueError
    except ValueError:
        raise WetgateError(
            f"'{text}' is no shrinkage: write 0.8%, or 0.8%,0.6% along the film and across it, or '{REFERENCE}'."
        ) from None
    if not all(abs(share) <= MOST_SHRINKAGE for share in shares):
        raise WetgateError(f"Film shrinks by {MOST_SHRINKAGE:.0%} at the most, not by {text}: check the number.")
    return shares[-1], shares[0]


def of_pairs(pairs: Sequence[Pair], sizes: Sequence[tuple[tuple[int, int], tuple[int, int]]]) -> tuple[float, float]:
    """Shares of width and height that the scan has lost against its references, the median of the accepted pairs.

    Args:
        pairs: accepted ones.
        sizes: width and height of each pair's scan, and of its reference.

    Raises:
        WetgateError: there are none, the references are of another size and so were scanned otherwise, or they differ
            by more than film can shrink.
    """
    if not pairs:
        raise WetgateError("No accepted pair shows how much the film has shrunk: add some, or say how much.")
    found = []
    for pair, (scan, reference) in zip(pairs, sizes, strict=True):
        if scan != reference:
            raise WetgateError(
                f"The reference of pair {pair.number} is {reference[0]} x {reference[1]} pixels and its scan "
                f"{scan[0]} x {scan[1]}: only a reference that was scanned alike shows shrinkage; say how much instead."
            )
        matrix = np.array((pair.transform or {}).get("scan_to_reference", np.eye(3)), np.float64)
        found.append(1 - 1 / np.hypot(*matrix[:2, :2]))
    across, down = (float(share) for share in np.median(found, axis=0))
    if max(abs(across), abs(down)) > MOST_SHRINKAGE:
        raise WetgateError(
            f"The references differ from the scan by {100 * across:.1f} % across and {100 * down:.1f} % along the "
            "film: that is no shrinkage but another frame; say how much instead."
        )
    return round(across, 5), round(down, 5)
