"""Colour from paintings and photographs that show something else: a reference is made of a scan and their palettes.

The artist links regions, "this skin to that skin" (:mod:`wetgate.pairing.links`): what looks like the one, in any
frame, gets the palette of the other, tone for tone. Everything else finds its counterparts by tone, texture and, where
the scan still has some, colour (:mod:`wetgate.pairing.correspondence`). Lightness is the scan's; hues and saturations
stay within what the pictures hold (:class:`wetgate.pairing.palettes.Support`).

In a restoration each picture lies in a folder of its own, exemplars/0001/, with exemplar.json beside it.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from wetgate.errors import WetgateError
from wetgate.files import write_json
from wetgate.images import read_image, to_display
from wetgate.pairing.constructed import Constructed, Origin
from wetgate.pairing.correspondence import Described, correspond, describe, likeness
from wetgate.pairing.links import Box, Link, Mask, Strokes, strokes_in
from wetgate.pairing.palettes import Palette, Support, display_of_lab, lab_of, recoloured
from wetgate.project import Restoration
from wetgate.project.numbered import new_numbered, numbered_folders
from wetgate.project.schema import read_object

Array = NDArray[np.float32]
FOLDER = "exemplars"
LINKED, ALIKE = 0.6, 0.35
"""Most confidence in what the artist linked, and in what only looks alike."""
_OUTSIDE = 0.35
"""Likeness to a linked region below which a place rather counts as something else."""
_CONTEST = 4
"""Power of likeness by which links share a place that looks like several."""
_COLOURLESS = 2.0
"""Mean chroma up to which a scan's own colours say nothing."""
_SIDE = 640
"""Largest side of a picture that palettes are taken from."""
_COVERED = 0.5
"""Share of a cell that a linked place covers."""


@dataclass(frozen=True)
class Exemplar:
    """A picture to take colours from.

    Attributes:
        pixels: float32 [H, W, 3], display values.
        name: of its file.
        element: what it is, in the archive's words.
        rights: licence or authorisation under which it is used.
        weight: how much it counts beside others, above 0.
        links: regions that belong together.
    """

    pixels: Array
    name: str
    element: str = ""
    rights: str = ""
    weight: float = 1.0
    links: tuple[Link | Strokes, ...] = ()

    @cached_property
    def lab(self) -> Array:
        """[h, w, 3] CIELAB, at most ``_SIDE`` pixels a side."""
        return lab_of(_smaller(self.pixels))

    @cached_property
    def described(self) -> Described:
        """Its cells."""
        return describe(self.lab)


@dataclass(frozen=True)
class _Region:
    """What was learnt of a link's two sides: the scan's cells and CIELAB pixels [n, 3], the picture's palette."""

    samples: Array
    seen: Array
    wanted: Palette


class Exemplars:
    """All pictures of a restoration, or of whoever makes one.

    Args:
        pictures: at least one.
        scan_at: display values [H, W, 3] of the scan frame that a link speaks of.
    """

    def __init__(self, pictures: Sequence[Exemplar], scan_at: Callable[[int], Array]) -> None:
        self.pictures = list(pictures)
        self._scan_at = scan_at

    @cached_property
    def support(self) -> Support:
        """The hues and saturations that the pictures hold."""
        return Support.of([picture.lab.reshape(-1, 3) for picture in self.pictures])

    def construct(self, scan: Array, prior: Array | None = None) -> Constructed:
        """A reference for a scan frame.

        Args:
            scan: display values [H, W, 3].
            prior: what is known of its colours without the pictures, display values of the same shape, such as an
                unfaded frame; its lightness is the reference's. None: the scan.

        Returns:
            Of the kind "paintings"; confidence up to ``LINKED`` in what looks like a linked region and up to ``ALIKE``
            elsewhere, by how like the counterparts are and how far they agree.

        Raises:
            WetgateError: a link lies outside its picture or its scan frame.
        """
        seen = lab_of(np.clip(scan, 0, 1))
        lab = seen if prior is None else lab_of(np.clip(prior, 0, 1))
        coloured = float(np.hypot(lab[..., 1], lab[..., 2]).mean()) > _COLOURLESS
        colour, confidence = self._alike(lab, coloured)
        if self._regions:
            shares = _shares(self._regions, seen, lab, coloured)
            rest = 1 - shares.sum(axis=2)
            colour, confidence = colour * rest[..., None], confidence * rest + LINKED * (1 - rest)
            known = _from_scan_to_prior(seen, lab)
            for index, region in enumerate(self._regions):
                linked = recoloured(lab, Palette.of(known(region.seen)), region.wanted)
                colour += shares[..., index, None] * linked
        inferred = np.concatenate([lab[..., :1], colour], axis=-1).astype(np.float32)
        return Constructed(
            reference=display_of_lab(self.support.bounded(inferred, lab)),
            confidence=np.clip(confidence, 0, 1).astype(np.float32),
            kind="paintings",
            notes=(self._described(confidence),),
            origins=tuple(Origin("exemplar", p.name, p.element, p.rights) for p in self.pictures),
        )

    def _alike(self, lab: Array, coloured: bool) -> tuple[Array, Array]:
        """a* and b* [H, W, 2] moved towards what looks alike in the pictures, and confidence [H, W]."""
        described = describe(lab)
        shape = described.features.shape[:2]
        others = [(p.described.flat, p.described.colour.reshape(-1, 2), p.weight) for p in self.pictures]
        found = correspond(described.flat, others, with_colour=coloured)
        trust = (found.likeness * found.agreement).reshape(*shape, 1)
        shift = trust * (found.colour.reshape(*shape, 2) - described.colour)
        spread = _upsampled(np.dstack([shift, trust]), lab[..., 0])
        return lab[..., 1:] + spread[..., :2], ALIKE * np.clip(spread[..., 2], 0, 1)

    @cached_property
    def _regions(self) -> list[_Region]:
        regions = []
        for picture in self.pictures:
            for link in picture.links:
                scan = self._scan_at(link.frame)
                lab = lab_of(np.clip(scan, 0, 1))
                here, there = link.places(scan, picture.pixels, picture.name)
                samples = _cells_in(describe(lab), here)
                regions.append(_Region(samples, lab[here], Palette.of(lab_of(picture.pixels[there]))))
        return regions

    def _described(self, confidence: Array) -> str:
        names = ", ".join(picture.name for picture in self.pictures)
        alien = float((confidence < 0.25 * ALIKE).mean())
        unlike = f"; {alien:.0%} of the frame looks like nothing in them" if alien >= 0.01 else ""
        return f"Colours inferred from {names}{unlike}"


def read(restoration: Restoration) -> Exemplars | None:
    """The pictures that a restoration takes colours from; None where it has none.

    Raises:
        WetgateError: a picture or its exemplar.json is missing or damaged.
    """
    pictures = [_read(folder) for folder in numbered_folders(restoration.folder / FOLDER)]
    return Exemplars(pictures, lambda frame: _scan_of(restoration, frame)) if pictures else None


def add(
    restoration: Restoration,
    picture: Path,
    *,
    rights: str,
    element: str = "",
    weight: float = 1.0,
    links: Sequence[Link] = (),
    strokes: Sequence[tuple[Path, Path, int]] = (),
) -> int:
    """Copy a picture into a restoration, with what is to be known of it; returns its number.

    Args:
        restoration: of the recipe `exemplar`.
        picture: its file.
        rights, element: for the record.
        weight: beside other pictures, above 0.
        links: boxes that belong together.
        strokes: drawings over a scan frame and over the picture, at their sizes, and the frame's number; see
            :func:`wetgate.pairing.links.strokes_in`.

    Raises:
        WetgateError: something cannot be read, the weight is not above 0, a link lies outside the picture, outside its
            scan frame, or speaks of a frame that is no pair.
    """
    if not 0 < weight < float("inf"):
        raise WetgateError(f"A picture's weight must be above 0, not {weight:g}.")
    image = read_image(picture)
    if image.has_bad_pixels():
        raise WetgateError(f"{picture} holds NaN or infinity: repair it, or choose another picture.")
    drawn = [one for here, there, frame in strokes for one in strokes_in(here, there, frame)]
    linked: list[Link | Strokes] = [*links, *drawn]
    for link in linked:
        link.places(_scan_of(restoration, link.frame), image.pixels, str(picture))
    data: dict[str, Any] = {
        "name": picture.name,
        "element": element,
        "rights": rights,
        "weight": weight,
        "links": [asdict(link) for link in links],
        "strokes": [],
    }
    with new_numbered(restoration.folder / FOLDER, 4, restoration.folder / ".lock") as staging:
        shutil.copyfile(picture, staging.folder / f"picture{picture.suffix.lower()}")
        for index, (here, there, frame) in enumerate(strokes, 1):
            names = {"scan": f"strokes{index}.scan{here.suffix}", "picture": f"strokes{index}.picture{there.suffix}"}
            for path, name in ((here, names["scan"]), (there, names["picture"])):
                shutil.copyfile(path, staging.folder / name)
            data["strokes"].append({**names, "frame": frame})
        write_json(staging.folder / "exemplar.json", data)
    restoration.add_source("exemplar", str(picture.absolute()), rights)
    return int(staging.folder.name)


def _read(folder: Path) -> Exemplar:
    path = folder / "exemplar.json"
    data = read_object(path)
    pictures = sorted(folder.glob("picture.*"))
    if not pictures:
        raise WetgateError(f"{folder} has no picture any more: put it back, or remove the folder.")
    image = read_image(pictures[0])
    try:
        links = tuple(
            Link(_box(link["scan"]), _box(link["picture"]), int(link["frame"])) for link in data.get("links", [])
        )
        drawings = [
            (folder / str(d["scan"]), folder / str(d["picture"]), int(d["frame"])) for d in data.get("strokes", [])
        ]
        return Exemplar(
            _displayed(image.pixels, image.header.format),
            str(data["name"]),
            str(data.get("element", "")),
            str(data["rights"]),
            float(data.get("weight", 1.0)),
            (*links, *(one for drawing in drawings for one in strokes_in(*drawing))),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise WetgateError(f"{path} makes no sense ({error}): remove {folder}, and add the picture again.") from error


def _displayed(pixels: Array, format: str) -> Array:
    """EXR holds linear light, everything else display values."""
    return np.clip(to_display(pixels, "linear" if format == "exr" else "display"), 0, 1)


def _scan_of(restoration: Restoration, frame: int) -> Array:
    for pair in restoration.pairs():
        if pair.frame == frame and pair.region is None:
            return to_display(read_image(pair.scan).pixels, restoration.encoding)
    raise WetgateError(
        f"Frame {frame}, which a link speaks of, is not in {restoration.folder}: add it first with `wetgate add`."
    )


def _box(values: Any) -> Box:
    x, y, width, height = (int(value) for value in values)
    return x, y, width, height


def _shares(regions: Sequence[_Region], scan: Array, prior: Array, coloured: bool) -> Array:
    """[H, W, n] how far each pixel belongs to each region; together at most 1."""
    described = describe(scan)
    like = np.stack([likeness(described.flat, region.samples, with_colour=coloured) for region in regions], axis=1)
    share = like**2 / (like**2 + _OUTSIDE**2)
    share = share * like**_CONTEST / np.maximum((like**_CONTEST).sum(axis=1, keepdims=True), 1e-12)
    grid = share.reshape(*described.features.shape[:2], -1)
    shares = np.clip(_upsampled(grid, prior[..., 0]), 0, 1)
    return np.asarray(shares / np.maximum(shares.sum(axis=2, keepdims=True), 1), np.float32)


def _cells_in(described: Described, mask: Mask) -> Array:
    """Descriptions [n, f] of the cells that a mask [H, W] covers, at least of the one that it covers most."""
    rows, columns = described.features.shape[:2]
    share = cv2.resize(mask.astype(np.float32), (columns, rows), interpolation=cv2.INTER_AREA)
    return described.features[share >= min(_COVERED, float(share.max()))]


def _from_scan_to_prior(scan: Array, prior: Array) -> Callable[[Array], Array]:
    """What makes prior colours of a scan's, pixel by pixel, as CIELAB: a polynomial of the second degree."""
    step = max(1, round((scan.shape[0] * scan.shape[1] / 20_000) ** 0.5))
    seen, wanted = (picture[::step, ::step].reshape(-1, 3).astype(np.float64) for picture in (scan, prior))
    solved = np.linalg.lstsq(_terms(seen), wanted, rcond=1e-6)[0]
    return lambda lab: np.asarray(_terms(lab.astype(np.float64)) @ solved, np.float32)


def _terms(lab: NDArray[np.float64]) -> NDArray[np.float64]:
    scaled = lab / 50
    products = [scaled[:, i] * scaled[:, j] for i, j in ((0, 0), (1, 1), (2, 2), (0, 1), (1, 2), (0, 2))]
    return np.column_stack([np.ones(len(lab)), scaled, *products])


def _smaller(pixels: Array) -> Array:
    scale = _SIDE / max(pixels.shape[:2])
    if scale >= 1:
        return pixels
    size = (max(1, round(pixels.shape[1] * scale)), max(1, round(pixels.shape[0] * scale)))
    return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.float32)


def _upsampled(grid: Array, lightness: Array) -> Array:
    """A grid [rows, columns, n] at the size [H, W] of a picture, its steps laid on edges of the lightness (0-100).

    Guided filter (He, Sun, Tang, PAMI 35(6), 2013).
    """
    guide = np.asarray(lightness / 100, np.float32)
    height, width = guide.shape
    large = np.atleast_3d(cv2.resize(np.ascontiguousarray(grid, np.float32), (width, height)))
    side = 2 * max(2, round(1.5 * width / grid.shape[1])) + 1

    def mean(picture: Array) -> Array:
        return np.asarray(cv2.boxFilter(picture, -1, (side, side), borderType=cv2.BORDER_REFLECT_101), np.float32)

    centre = mean(guide)
    variance = mean(np.square(guide)) - np.square(centre)
    answer = np.empty_like(large)
    for channel in range(large.shape[2]):
        values = np.ascontiguousarray(large[..., channel])
        slope = (mean(guide * values) - centre * mean(values)) / (variance + 1e-3)
        answer[..., channel] = mean(slope) * guide + mean(mean(values) - slope * centre)
    return answer
