"""Pictures that tell how well pairs lie on one another: one page per pair, a blink of it, one sheet of all pairs.

Scan and reference are compared in greys, the reference's brought to the scan's brightness and contrast place by
place, so that what still differs is where things lie.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from wetgate.pairing.blind import fade_blind
from wetgate.pairing.comparison import Picture
from wetgate.pairing.page import (
    DIM,
    GROUND,
    SEMIBOLD,
    STRONG,
    Colour,
    Page,
    line_height,
    text_width,
    wrapped,
    write_animation,
)
from wetgate.pairing.resampling import shrink

Array = NDArray[np.float32]
Size = tuple[int, int]
Place = tuple[int, int]

_WIDTH = 1600
_LAYER = 1280
_MARGIN, _GAP = 28, 12
_TITLE, _BODY, _LABEL = 22, 16, 15
_COLUMNS = 3
_CELL = (_WIDTH - 2 * _MARGIN - (_COLUMNS - 1) * _GAP) // _COLUMNS
_LEAST_CELL = 240
_CAPTION_LINES = 4

_WHEN = ("Before", "After")
_MAGNIFIED = 4
_SQUARES = 9
"""Of the checkerboard, along the longer side."""
_SURROUND = 0.04
"""Deviation of the surround that brightness and contrast are matched over, in parts of the longer side."""
_FLAT = 0.3
"""Share of the whole picture's contrast that is added to that around a pixel, or grain would be enlarged."""
_MOST_GAIN = 2.0
"""Of the contrast around a pixel, over that of the whole picture."""
_DARKER = 0.93
"""The checkerboard's squares of the reference, so that the eye finds their edges."""
_FRINGE = 1.8
"""How much stronger than they are differences are coloured."""
_GRAIN_PX = 1.0
"""Deviation of the blur that takes the grain out of differences."""
_STRUCTURE_PX = 6.0
"""Deviation of the blur that local contrast is measured over."""
_DIFFERENCE = 0.3
"""Grey per deviation of the fade-blind pictures, at full contrast."""
_JUDGED_SIDE = 256
"""Pixels of the longer side of what shows whether a picture is a negative."""
_SEARCHED_SIDE, _RIM = 704, 12
"""Pixels of the longer side, and of the edges where fade-blind pictures know too little of what is around."""
_HATCH_PX = 7
_HATCH = np.array([0.93, 0.66, 0.25], np.float32)
_BLINK_MS = 600

_STATES: dict[str, Colour] = {"accepted": (132, 176, 140), "rejected": (222, 122, 98)}
_TILE_PX = 400
_REASON_LINES = 3


def overlay(path: Path, scan: Array, before: Array, after: Array, weight: Array | None, caption: str) -> None:
    """Write how a reference lies on its scan as one PNG, at most 1600 pixels wide.

    Two rows, before and after alignment: a checkerboard of scan and reference; the scan in red over the reference
    in cyan, grey where they agree; the difference of the fade-blind pictures, grey where there is none. Below: the
    place at which alignment changed most, magnified, before and after, and the scan with what does not count hatched.

    Args:
        scan: [H, W, 3] float32, display-coded, 0-1 nominal; values that are no numbers are hatched.
        before: the reference [H, W, 3] resized to the scan, not aligned.
        after: the reference [H, W, 3] aligned.
        weight: [H, W] 0-1, how far pixels count; None where all do.
        caption: the first line is the title.

    Raises:
        WetgateError: the file cannot be written.
    """
    seen = _Seen.of(scan)
    laid = _positives(seen, before, after)
    counts = seen.counts(weight)
    size = _fitted(scan.shape, (_CELL, _CELL))
    cell = (max(size[0], _LEAST_CELL), max(size[1], _LEAST_CELL))
    magnified = max(_MAGNIFIED, size[0] / scan.shape[1])
    window = (min(scan.shape[1], round(cell[0] / magnified)), min(scan.shape[0], round(cell[1] / magnified)))
    place = _most_changed(seen, *laid, counts, window)
    frame = [round(length * size[0] / scan.shape[1]) for length in (*place, *window)]

    rows: list[list[tuple[str, Array]]] = []
    details: list[tuple[str, Array]] = []
    for name, reference in zip(_WHEN, laid, strict=True):
        small = (seen.resized(size), reference.resized(size))
        greys = _matched(*small)
        rows.append(
            [
                (f"{name}: squares of scan and reference", _checkerboard(*greys)),
                (f"{name}: scan red, reference cyan", _framed(_fringes(*greys), frame)),
                (f"{name}: fade-blind difference", _difference(*small)),
            ]
        )
        details.append((f"{name}: the framed part × {magnified:.3g}", _detail(seen, reference, place, window, cell)))
    hatched = _hatched(_resized(seen.pixels, size), _resized(counts, size))
    rows.append([*details, (_share(float(counts.mean())), hatched)])
    _page(rows, cell, caption).write(path)


def blink(path: Path, scan: Array, before: Array, after: Array, caption: str) -> None:
    """Write an animated PNG that changes between scan and reference, before alignment at left and after at right.

    What jumps is misaligned. Programs that know no animation show the scan. Arguments as for :func:`overlay`.

    Raises:
        WetgateError: the file cannot be written.
    """
    seen = _Seen.of(scan)
    side = (_WIDTH - 2 * _MARGIN - _GAP) // 2
    size = _fitted(scan.shape, (side, side))
    cell = (max(size[0], _LEAST_CELL), size[1])
    laid = _positives(seen, before, after)
    greys = [_matched(seen.resized(size), reference.resized(size)) for reference in laid]
    pages = [
        _page(
            [[(f"{when}: {name}", _grey(pair[k])) for when, pair in zip(_WHEN, greys, strict=True)]],
            cell,
            caption,
        )
        for k, name in enumerate(("scan", "reference"))
    ]
    write_animation(path, pages, _BLINK_MS)


def layers(scan: Array, after: Array) -> dict[str, Array]:
    """What a viewer lays over one another: the scan, the reference aligned, their fade-blind difference in greys.

    All [h, w, 3], 0-1, of one size, at most 1280 pixels a side. Arguments as for :func:`overlay`.
    """
    seen = _Seen.of(scan)
    _, reference = _positives(seen, after, after)
    size = _fitted(scan.shape, (min(_LAYER, scan.shape[1]), min(_LAYER, scan.shape[0])))
    small = seen.resized(size), reference.resized(size)
    return {"scan": small[0], "reference": small[1], "difference": _difference(*small)}


@dataclass(frozen=True)
class Tile:
    """One pair on a contact sheet.

    Attributes:
        caption: which pair it is, as "0007, frame 1001".
        state: "accepted", "rejected" or another.
        residual_px: misalignment that is left, in scan pixels; None where it is unknown.
        reason: why it is in this state; may be empty.
        scan: [H, W, 3] float32, display-coded, 0-1 nominal.
        reference: [h, w, 3], the same, of any size.
        weight: [H, W] 0-1, how far the scan's pixels count; None where all do.
    """

    caption: str
    state: str
    residual_px: float | None
    reason: str
    scan: Array
    reference: Array
    weight: Array | None

    def shrunk(self) -> Tile:
        """With pictures as small as a sheet shows them: what to keep of many pairs."""
        scan, reference = _Seen.of(self.scan), _Seen.of(self.reference)
        small = [shrink(pixels, _TILE_PX) for pixels in (scan.pixels, reference.pixels, scan.counts(self.weight))]
        return replace(self, scan=small[0], reference=small[1], weight=small[2])


def contact_sheet(path: Path, tiles: Sequence[Tile]) -> None:
    """Write all pairs as one PNG, 1600 pixels wide: scan and reference, state, residual and reason of each.

    Raises:
        WetgateError: the file cannot be written.
    """
    columns = 2 if len(tiles) <= 4 else 3 if len(tiles) <= 12 else 4
    width = (_WIDTH - 2 * _MARGIN - (columns - 1) * 2 * _GAP) // columns
    drawn = [_drawn(tile, width) for tile in tiles]
    rows = [drawn[start : start + columns] for start in range(0, len(drawn), columns)]
    heights = [max(page.pixels.shape[0] for page in row) for row in rows]
    top = _MARGIN + line_height(_TITLE) + line_height(_BODY) + _GAP
    sheet = Page(_WIDTH, top + sum(heights) + 2 * _GAP * max(0, len(rows) - 1) + _MARGIN)
    sheet.text(_MARGIN, _MARGIN, [_summary(tiles)], _TITLE, STRONG, SEMIBOLD)
    legend = "Left: scan. Right: reference. Hatched: does not count. Residual in pixels of the scan."
    sheet.text(_MARGIN, _MARGIN + line_height(_TITLE), [legend], _BODY, DIM)
    for row, height in zip(rows, heights, strict=True):
        for column, page in enumerate(row):
            left = _MARGIN + column * (width + 2 * _GAP)
            sheet.pixels[top : top + page.pixels.shape[0], left : left + width] = page.pixels
        top += height + 2 * _GAP
    sheet.write(path)


class _Seen(Picture):
    """A picture that is shown: clipped to 0-1 once it is small enough for that."""

    def counts(self, weight: Array | None) -> Array:
        """[H, W] 0-1, how far pixels count."""
        return self.known if weight is None else self.known * np.clip(np.nan_to_num(weight), 0, 1)

    def resized(self, size: Size) -> Array:
        return _resized(self.pixels, size)

    def cut(self, place: Place, window: Size) -> Array:
        return np.clip(self.pixels[place[1] : place[1] + window[1], place[0] : place[0] + window[0]], 0, 1)


def _positives(scan: _Seen, before: Array, after: Array) -> tuple[_Seen, _Seen]:
    """The reference before and after, inverted where it is a negative of the scan, which the aligned one shows."""
    laid = _Seen.of(before), _Seen.of(after)
    size = _fitted(scan.known.shape, (_JUDGED_SIDE, _JUDGED_SIDE))
    if float((fade_blind(scan.resized(size)) * fade_blind(laid[1].resized(size))).sum()) >= 0:
        return laid
    return _Seen(1 - laid[0].pixels, laid[0].known), _Seen(1 - laid[1].pixels, laid[1].known)


def _page(rows: list[list[tuple[str, Array]]], cell: Size, caption: str) -> Page:
    """Labelled pictures in rows under a caption, each at the top of a cell."""
    columns = max(len(row) for row in rows)
    width = columns * cell[0] + (columns - 1) * _GAP
    first, _, rest = caption.partition("\n")
    title, more = wrapped(first, _TITLE, width, 1, SEMIBOLD), wrapped(rest, _BODY, width, _CAPTION_LINES)
    top = _MARGIN + line_height(_TITLE) + len(more) * line_height(_BODY) + _GAP
    step = line_height(_LABEL) + cell[1] + _GAP
    page = Page(width + 2 * _MARGIN, top + len(rows) * step - _GAP + _MARGIN)
    page.text(_MARGIN, _MARGIN, title, _TITLE, STRONG, SEMIBOLD)
    page.text(_MARGIN, _MARGIN + line_height(_TITLE), more, _BODY)
    for number, row in enumerate(rows):
        for column, (label, pixels) in enumerate(row):
            x, y = _MARGIN + column * (cell[0] + _GAP), top + number * step
            page.text(x, y, wrapped(label, _LABEL, cell[0], 1), _LABEL, DIM)
            page.picture(x + (cell[0] - pixels.shape[1]) // 2, y + line_height(_LABEL), pixels)
    return page


def _drawn(tile: Tile, width: int) -> Page:
    colour = _STATES.get(tile.state, DIM)
    half = (width - 2) // 2
    sizes = [_fitted(pixels.shape, (half, half)) for pixels in (tile.scan, tile.reference)]
    height = max(size[1] for size in sizes)
    residual = _residual(tile.residual_px)
    residual_width = text_width(residual, _BODY, SEMIBOLD)
    reason = wrapped(tile.reason, _LABEL, width, _REASON_LINES)
    band, gap = 5, 8
    texts = [band + height + gap + number * line_height(_BODY) for number in range(3)]
    page = Page(width, texts[2] + len(reason) * line_height(_LABEL))
    page.box(0, 0, width, band, colour)
    seen = _Seen.of(tile.scan)
    pictures = [
        _hatched(seen.resized(sizes[0]), _resized(seen.counts(tile.weight), sizes[0])),
        _Seen.of(tile.reference).resized(sizes[1]),
    ]
    for number, picture in enumerate(pictures):
        dimmed = picture * np.float32(0.5) + np.float32(GROUND[0] / 510) if tile.state == "rejected" else picture
        across = picture.shape[1]
        page.picture(number * (width - half) + (half - across) // 2, band + (height - picture.shape[0]) // 2, dimmed)
    page.text(0, texts[0], wrapped(tile.caption, _BODY, width, 1, SEMIBOLD), _BODY, STRONG, SEMIBOLD)
    page.text(0, texts[1], wrapped(tile.state, _BODY, width - residual_width, 1, SEMIBOLD), _BODY, colour, SEMIBOLD)
    page.text(width - residual_width, texts[1], [residual], _BODY, weight=SEMIBOLD)
    page.text(0, texts[2], reason, _LABEL, DIM)
    return page


def _summary(tiles: Sequence[Tile]) -> str:
    states = ", ".join(f"{count} {state}" for state, count in sorted(Counter(tile.state for tile in tiles).items()))
    summary = f"{len(tiles)} pair{'' if len(tiles) == 1 else 's'}" + (f": {states}" if states else "")
    used = [tile.residual_px for tile in tiles if tile.state == "accepted" and tile.residual_px is not None]
    if not used:
        return summary
    middle, worst = _residual(float(np.median(used))), _residual(max(used))
    return f"{summary}. Residual of the accepted: median {middle}, worst {worst}"


def _residual(pixels: float | None) -> str:
    return "" if pixels is None else f"{pixels:.2f} px" if np.isfinite(pixels) else "unknown"


def _share(counts: float) -> str:
    if counts == 1:
        return "Scan: every pixel counts"
    percent = f"{counts:.0%}" if counts < 0.995 else "over 99%"
    return f"Scan: {percent} counts, the rest is hatched"


def _fitted(shape: tuple[int, ...], most: Size) -> Size:
    """Width and height of a picture of ``shape`` made as large as ``most`` allows."""
    scale = min(most[0] / shape[1], most[1] / shape[0])
    return max(1, round(shape[1] * scale)), max(1, round(shape[0] * scale))


def _resized(pixels: Array, size: Size) -> Array:
    smaller = size[0] < pixels.shape[1]
    resized = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA if smaller else cv2.INTER_CUBIC)
    return np.clip(np.nan_to_num(resized), 0, 1)


def _matched(scan: Array, reference: Array) -> tuple[Array, Array]:
    """Greys [H, W], 0-1, of pictures of one size, in the scan's brightness and contrast around each pixel."""
    greys = [pixels.mean(axis=2) for pixels in (scan, reference)]
    deviation = max(1.0, _SURROUND * max(scan.shape))
    means = [cv2.GaussianBlur(grey, (0, 0), deviation) for grey in greys]
    details = [grey - mean for grey, mean in zip(greys, means, strict=True)]
    spreads = [np.sqrt(cv2.GaussianBlur(detail * detail, (0, 0), deviation)) for detail in details]
    whole = [np.float32(_FLAT * np.sqrt(np.square(detail).mean()) + 1e-4) for detail in details]
    gain = np.minimum((spreads[0] + whole[0]) / (spreads[1] + whole[1]), _MOST_GAIN * whole[0] / whole[1])
    low, high = np.percentile(greys[0], (1, 99))
    stretch = np.float32(0.8 / max(float(high - low), 0.05))
    black = np.float32(low)
    shown = [np.float32(0.1) + (grey - black) * stretch for grey in (greys[0], means[0] + details[1] * gain)]
    return np.clip(shown[0], 0, 1), np.clip(shown[1], 0, 1)


def _checkerboard(scan: Array, reference: Array) -> Array:
    side = max(1, -(-max(scan.shape) // _SQUARES))
    y, x = (np.arange(length) // side for length in scan.shape)
    return _grey(np.where((y[:, None] + x) % 2 == 0, scan, reference * np.float32(_DARKER)))


def _fringes(scan: Array, reference: Array) -> Array:
    middle = (scan + reference) / 2
    apart = cv2.GaussianBlur(scan - reference, (0, 0), _GRAIN_PX) * np.float32(_FRINGE / 2)
    return np.dstack([middle + apart, middle - apart, middle - apart])


def _difference(scan: Array, reference: Array) -> Array:
    blind = [fade_blind(cv2.GaussianBlur(pixels, (0, 0), _GRAIN_PX)) for pixels in (scan, reference)]
    change = (blind[0] - blind[1]) * np.maximum(*(_contrast(pixels) for pixels in (scan, reference)))
    return _grey(np.float32(0.5) + np.float32(_DIFFERENCE) * change)


def _contrast(pixels: Array) -> Array:
    """[H, W] of a picture, 0-1: near 0 where there is little but grain, 1/2 where it is that of the whole."""
    grey = cv2.GaussianBlur(pixels.mean(axis=2), (0, 0), _GRAIN_PX)
    squares = np.square(grey - cv2.GaussianBlur(grey, (0, 0), _STRUCTURE_PX))
    spread = np.sqrt(cv2.GaussianBlur(squares, (0, 0), _STRUCTURE_PX))
    return np.asarray(spread / (spread + np.float32(np.sqrt(squares.mean()) + 1e-4)))


def _detail(scan: _Seen, reference: _Seen, place: Place, window: Size, cell: Size) -> Array:
    greys = _matched(scan.cut(place, window), reference.cut(place, window))
    return _resized(_fringes(*greys), _fitted(greys[0].shape, cell))


def _most_changed(scan: _Seen, before: _Seen, after: _Seen, counts: Array, window: Size) -> Place:
    """x and y of the window in which the reference came nearest to the scan: grain, which no alignment
    brings nearer, has no say.
    """
    size = _fitted(counts.shape, (min(_SEARCHED_SIDE, counts.shape[1]), min(_SEARCHED_SIDE, counts.shape[0])))
    blind = [fade_blind(picture.resized(size)) for picture in (scan, before, after)]
    errors = [np.square(blind[0] - other) for other in blind[1:]]
    gain = (errors[0] - errors[1]) * _resized(counts, size)
    width, height = size
    rim = _RIM if min(size) > 4 * _RIM else 0
    gain[:rim] = gain[height - rim :] = gain[:, :rim] = gain[:, width - rim :] = 0
    scale = scan.known.shape[1] / width
    across, down = (
        max(1, min(length, round(part / scale))) for length, part in zip((width, height), window, strict=True)
    )
    sums = cv2.integral(gain)
    inside = sums[down:, across:] - sums[:-down, across:] - sums[down:, :-across] + sums[:-down, :-across]
    top, left = np.unravel_index(int(np.argmax(inside)), inside.shape)
    x, y = (round(int(at) * scale) for at in (left, top))
    return min(x, scan.known.shape[1] - window[0]), min(y, scan.known.shape[0] - window[1])


def _hatched(pixels: Array, counts: Array) -> Array:
    """The picture, darker and hatched where it does not count."""
    y, x = (np.arange(length) for length in counts.shape)
    lines = ((y[:, None] + x) % _HATCH_PX < 2).astype(np.float32)
    lost = (1 - counts)[..., None]
    dark = pixels * (1 - np.float32(0.5) * lost)
    return dark + (_HATCH - dark) * lost * lines[..., None]


def _framed(pixels: Array, frame: list[int]) -> Array:
    """With the outline of a box (x, y, width, height)."""
    x, y, width, height = frame
    corner = (min(x + width, pixels.shape[1]) - 1, min(y + height, pixels.shape[0]) - 1)
    framed = cv2.rectangle(pixels.copy(), (x, y), corner, (0.0, 0.0, 0.0), 3)
    return np.asarray(cv2.rectangle(framed, (x, y), corner, (1.0, 1.0, 1.0), 1))


def _grey(values: Array) -> Array:
    return np.repeat(values[..., None], 3, axis=2)
