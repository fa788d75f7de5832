"""The proof pictures of a restoration's pairs, in its folder proofs/."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from wetgate.errors import WetgateError
from wetgate.files import make_folder
from wetgate.images import read_image, to_display, write_image
from wetgate.pairing.proofs import Tile, blink, contact_sheet, layers, overlay
from wetgate.project import Pair, Restoration

Array = NDArray[np.float32]


def write_proofs(restoration: Restoration, follow: Callable[[Pair], None] = lambda pair: None) -> Path:
    """Write NNNN.png and NNNN-blink.png of each pair, and pairs.png of all; return the last.

    NNNN-scan.png, NNNN-reference.png and NNNN-difference.png are for a viewer that lays them over one another.

    A pair whose pictures cannot be read has no page of its own and an empty tile.

    Raises:
        WetgateError: the folder cannot be written.
    """
    folder = make_folder(restoration.folder / "proofs")
    tiles = []
    for pair in restoration.pairs():
        follow(pair)
        caption = f"{pair.number:04d}, frame {pair.frame}"
        try:
            scan, before, after, weight = _pictures(pair, restoration.encoding)
        except WetgateError as error:
            nothing = np.zeros((9, 16, 3), np.float32)
            tiles.append(Tile(caption, pair.state, pair.residual_px, pair.reason or str(error), nothing, nothing, None))
            continue
        lines = f"Pair {caption}: {pair.state}\n{_residuals(pair)}\n{pair.reason}".rstrip()
        overlay(folder / f"{pair.number:04d}.png", scan, before, after, weight, lines)
        blink(folder / f"{pair.number:04d}-blink.png", scan, before, after, lines)
        for name, layer in layers(scan, after).items():
            write_image(folder / f"{pair.number:04d}-{name}.png", layer, bit_depth="8")
        tiles.append(Tile(caption, pair.state, pair.residual_px, pair.reason, scan, after, weight).shrunk())
    sheet = folder / "pairs.png"
    contact_sheet(sheet, tiles)
    return sheet


def _pictures(pair: Pair, encoding: str) -> tuple[Array, Array, Array, Array | None]:
    """Scan, reference as collected and as prepared, all at the scan's size, and what counts."""
    scan = to_display(read_image(pair.scan).pixels, encoding)
    before = to_display(read_image(pair.reference).pixels, encoding)
    if before.shape != scan.shape:
        before = cv2.resize(before, scan.shape[1::-1], interpolation=cv2.INTER_AREA)
    prepared = pair.state in ("prepared", "accepted") and pair.prepared != pair.reference
    after = to_display(read_image(pair.prepared).pixels, encoding) if prepared else before
    weight = None
    if pair.confidence is not None:
        weight = read_image(pair.confidence).pixels[..., 0]
    return scan, before, after, weight


def _residuals(pair: Pair) -> str:
    if pair.residual_px is None:
        return ""
    before = (pair.transform or {}).get("before_px")
    if pair.transform is None:
        return f"{pair.residual_px:.2f} px off, left as it was collected"
    was = "" if before is None else f"{before:.2f} px off before, "
    return f"{was}{pair.residual_px:.2f} px after {pair.transform['kind']} alignment"
