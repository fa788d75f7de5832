"""`wetgate add`: collect pairs of scan and reference frames."""

from __future__ import annotations

import contextlib
from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import Any

import numpy as np

from wetgate.cli.progress import Progress
from wetgate.errors import WetgateError
from wetgate.images import (
    Image,
    Source,
    format_frames,
    guess_encoding,
    open_source,
    parse_frames,
    read_header,
    write_image,
)
from wetgate.pairing.thumbnails import draw_missing
from wetgate.project import (
    ELEMENTS,
    NEIGHBOURS,
    WITHOUT_REFERENCE,
    PairDraft,
    Restoration,
    open_restoration,
)
from wetgate.recipes.painted import collect_painted
from wetgate.service.layout import window_of

HELP = "Add pairs: the same frames as scanned and as they should look."
EPILOG = """A PATTERN is a folder, a sequence such as shot.####.dpx or shot.%04d.dpx, one picture, or a video.
FRAMES is 1001, 1001-1100, 1001-1100x10, or several of them with commas. The pictures are copied into the
restoration; either all of the pairs are added or none. A reference of another size or crop is laid over its scan
later, by prepare or train. The recipes damage and steady need no reference: they learn from the scan's own frames,
which are read from where they lie. The recipe exemplar takes frames with --paint: layers with alpha (strokes on
nothing) or the frames painted over; without it, frames whose colours come from elsewhere.

examples:
  wetgate add reel3.wetgate --scan scans/shot.####.dpx --reference dvd.mov --frames 1001-1061x10 \\
      --reference-frames 25-85x10
  wetgate add reel5.wetgate --scan scans/shot.####.dpx --paint paint/shot.####.exr --frames 1001,1040,1080
  wetgate add reel6.wetgate --scan scans/shot.####.dpx --reference print/p.####.dpx --frames 1001,1040 \\
      --reference-element film"""

_HALF_HOLDS = ("8", "10", "half")


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("folder", metavar="FOLDER", help="the restoration folder")
    parser.add_argument("--scan", required=True, metavar="PATTERN", help="the pictures to restore")
    parser.add_argument(
        "--reference",
        metavar="PATTERN",
        help="the same pictures as they should look (the recipes damage and steady can do without)",
    )
    parser.add_argument(
        "--paint", metavar="PATTERN", help="paint over the scan's frames, at their size and numbers (recipe exemplar)"
    )
    parser.add_argument(
        "--rights", default="", metavar="TEXT", help="to use the reference or the paint, for the record"
    )
    parser.add_argument(
        "--frames", metavar="FRAMES", help="which frames of the scan (default: all, where there is no reference)"
    )
    parser.add_argument(
        "--reference-frames",
        metavar="FRAMES",
        help="the frames of the reference that show the same, one for one in rising order (default: same numbers)",
    )
    parser.add_argument("--mask", metavar="PATTERN", help="masks of the scan's frames, or one picture for all of them")
    parser.add_argument(
        "--region",
        metavar="X,Y,W,H",
        help="only this part, in pixels of the scan",
    )
    parser.add_argument(
        "--aligned",
        action="store_true",
        help="the references lie on their scans already: leave them as they lie",
    )
    for side, usual in (("scan", "film"), ("reference", "telecine")):
        parser.add_argument(
            f"--{side}-element",
            choices=ELEMENTS,
            help=f"what the {side} is of, for the recipe telecine (default: {usual})",
        )


def run(arguments: Namespace) -> dict[str, Any]:
    restoration = open_restoration(arguments.folder)
    if restoration.recipe == "exemplar":
        return _add_painted(restoration, arguments)
    if arguments.paint is not None:
        raise WetgateError(
            f"--paint belongs to the recipe exemplar, but {restoration.folder} is for '{restoration.recipe}': leave it "
            "out, or start another restoration with `wetgate new FOLDER --recipe exemplar`."
        )
    if arguments.reference is None and restoration.recipe in WITHOUT_REFERENCE:
        return _note_footage(restoration, arguments)
    for option in ("reference", "frames"):
        if getattr(arguments, option) is None:
            raise WetgateError(
                f"{restoration.folder} is for the recipe '{restoration.recipe}', which learns from pairs: name the "
                f"{option} with --{option}."
            )
    region = None if arguments.region is None else _parse_region(arguments.region)
    said = _said(arguments, restoration)
    with contextlib.ExitStack() as opened:
        scan = opened.enter_context(open_source(arguments.scan))
        reference = opened.enter_context(open_source(arguments.reference))
        mask = None if arguments.mask is None else opened.enter_context(open_source(arguments.mask))
        _check_sizes(scan, mask, region)
        frames = parse_frames(arguments.frames)
        reference_frames = _reference_frames(arguments.reference_frames, reference, frames)
        progress = opened.enter_context(Progress(len(frames), "pairs", quiet=arguments.json))
        drafts: list[PairDraft] = []
        with contextlib.ExitStack() as together:
            # Left in the opposite order, so the pairs are numbered in the order of their frames.
            for scan_frame, reference_frame in reversed(list(zip(frames, reference_frames, strict=True))):
                draft = together.enter_context(restoration.add_pair(scan_frame, region))
                _collect(draft, scan, reference, reference_frame, mask)
                draft.where_from |= said
                _collect_neighbours(draft, scan, NEIGHBOURS.get(restoration.recipe, 0))
                drafts.insert(0, draft)
                progress.update(len(drafts), f"frame {scan_frame}")
        added = [draft.pair for draft in drafts if draft.pair]
        draw_missing(added, restoration.encoding)
        new = {pair.number for pair in added}
        before = (
            pair
            for pair in restoration.pairs()
            if pair.number not in new and pair.region == region and pair.elements == added[0].elements
        )
        there = sorted({pair.frame for pair in before} & set(frames))
        first_frames = ((scan, frames[0]), (reference, reference_frames[0]))
        notes = [note for first in first_frames if (note := _encoding_note(*first, restoration.encoding))]
        if there:
            notes.append(f"Note: frames {format_frames(there)} have pairs from before; they now count twice.")
    for role, pattern in (("scan", arguments.scan), ("reference", arguments.reference)):
        rights = arguments.rights if role == "reference" else ""
        restoration.add_source(role, str(Path(pattern).absolute()), rights)
    return {
        "folder": str(restoration.folder),
        "pairs": [pair.number for pair in added],
        "frames": format_frames(frames),
        "reference_frames": format_frames(reference_frames),
        "notes": notes,
    }


def _said(arguments: Namespace, restoration: Restoration) -> dict[str, Any]:
    """What the artist says of the pairs, for their pair.json."""
    named = {f"{side}_element": getattr(arguments, f"{side}_element") for side in ("scan", "reference")}
    named = {name: element for name, element in named.items() if element is not None}
    if named and restoration.recipe != "telecine":
        raise WetgateError(
            f"--{next(iter(named)).replace('_', '-')} belongs to the recipe telecine, but {restoration.folder} is for "
            f"'{restoration.recipe}': leave it out."
        )
    if arguments.reference_element == arguments.scan_element == "telecine":
        raise WetgateError(
            "Scan and reference are both of a telecine: one step learns telecine from damaged film, the other good "
            "film from telecine. Name what each side is of."
        )
    if arguments.scan_element == "telecine" and arguments.reference_element is None:
        named["reference_element"] = "film"
    return named | ({"aligned": True} if arguments.aligned else {})


def _add_painted(restoration: Restoration, arguments: Namespace) -> dict[str, Any]:
    """Frames of a scan, with paint over them or without."""
    for option in ("reference", "reference_frames", "reference_element", "scan_element"):
        if getattr(arguments, option) is not None:
            raise WetgateError(
                f"{restoration.folder} is for the recipe 'exemplar', which has no reference: name painted frames with "
                f"--paint, and leave --{option.replace('_', '-')} out."
            )
    if arguments.frames is None:
        raise WetgateError("Name the painted frames, or those that are to be given colour, with --frames.")
    region = None if arguments.region is None else _parse_region(arguments.region)
    with contextlib.ExitStack() as opened:
        scan = opened.enter_context(open_source(arguments.scan))
        paint = None if arguments.paint is None else opened.enter_context(open_source(arguments.paint))
        mask = None if arguments.mask is None else opened.enter_context(open_source(arguments.mask))
        _check_sizes(scan, mask, region)
        frames = parse_frames(arguments.frames)
        progress = opened.enter_context(Progress(len(frames), "frames", quiet=arguments.json))
        drafts: list[PairDraft] = []
        with contextlib.ExitStack() as together:
            for frame in reversed(frames):
                draft = together.enter_context(restoration.add_pair(frame, region))
                collect_painted(draft, scan, paint, restoration.encoding)
                if mask is not None:
                    mask_frame = mask.frames[0] if len(mask.frames) == 1 else frame
                    draft.where_from["mask"] = str(mask.path(mask_frame).absolute())
                    _copy(_matte(mask.read(mask_frame)), mask_frame, region, draft.mask)
                drafts.insert(0, draft)
                progress.update(len(drafts), f"frame {frame}")
        added = [draft.pair for draft in drafts if draft.pair]
        draw_missing(added, restoration.encoding)
        note = _encoding_note(scan, frames[0], restoration.encoding)
    restoration.add_source("scan", str(Path(arguments.scan).absolute()))
    if arguments.paint is not None:
        restoration.add_source("paint", str(Path(arguments.paint).absolute()), arguments.rights)
    return {
        "folder": str(restoration.folder),
        "pairs": [pair.number for pair in added],
        "frames": format_frames(frames),
        "reference_frames": "",
        "notes": [note] if note else [],
        "next": "prepare",
    }


def _note_footage(restoration: Restoration, arguments: Namespace) -> dict[str, Any]:
    """Frames to learn from that stay where they are."""
    for option in ("reference_frames", "mask", "region"):
        if getattr(arguments, option) is not None:
            raise WetgateError(f"--{option.replace('_', '-')} belongs to pairs: name their --reference as well.")
    with open_source(arguments.scan) as scan:
        frames = list(scan.frames) if arguments.frames is None else parse_frames(arguments.frames)
        missing = sorted(set(frames) - set(scan.frames))
        if missing:
            raise WetgateError(
                f"{scan.name} has no frame {format_frames(missing)}, but {format_frames(scan.frames)}. Change --frames."
            )
        note = _encoding_note(scan, frames[0], restoration.encoding)
    pattern = str(Path(arguments.scan).absolute())
    restoration.add_source("scan", pattern)
    restoration.add_footage(pattern, format_frames(frames))
    return {
        "folder": str(restoration.folder),
        "pairs": [],
        "frames": format_frames(frames),
        "reference_frames": "",
        "notes": [note] if note else [],
    }


def describe(result: dict[str, Any]) -> str:
    if not result["pairs"]:
        return "\n".join(
            [
                f"{result['folder']} learns from the scan itself (frames {result['frames']}).",
                *result["notes"],
                f"Next: wetgate train {result['folder']}",
            ]
        )
    count = len(result["pairs"])
    lines = [f"Added {count} {'pair' if count == 1 else 'pairs'} (frames {result['frames']}) to {result['folder']}."]
    return "\n".join([*lines, *result["notes"], f"Next: wetgate {result.get('next', 'train')} {result['folder']}"])


def _collect(draft: PairDraft, scan: Source, reference: Source, reference_frame: int, mask: Source | None) -> None:
    region = draft.region
    draft.where_from = {
        "scan": str(scan.path(draft.frame).absolute()),
        "reference": str(reference.path(reference_frame).absolute()),
        "reference_frame": reference_frame,
    }
    _copy(scan.read(draft.frame), draft.frame, region, draft.scan)
    same_frame = reference.size == scan.size
    _copy(reference.read(reference_frame), reference_frame, region if same_frame else None, draft.reference)
    if mask is not None:
        mask_frame = mask.frames[0] if len(mask.frames) == 1 else draft.frame
        draft.where_from["mask"] = str(mask.path(mask_frame).absolute())
        _copy(_matte(mask.read(mask_frame)), mask_frame, region, draft.mask)


def _collect_neighbours(draft: PairDraft, scan: Source, radius: int) -> None:
    """Frames before and after, for models that look at them: so the restoration stays whole when it is moved."""
    if not radius:
        return
    draft.where_from["neighbours"] = radius
    for number in set(window_of(draft.frame, radius, frozenset(scan.frames))) - {draft.frame}:
        _write(scan.read(number), draft.region, draft.neighbour(number - draft.frame))


def _copy(image: Image, frame: int, region: Any, target: Path) -> None:
    bad = int((~np.isfinite(_cut(image, region))).any(axis=2).sum())
    if bad:
        raise WetgateError(
            f"{image.path}, frame {frame}, has {bad} {'pixel' if bad == 1 else 'pixels'} of NaN or infinity: "
            "repair the picture, leave the frame out, or choose a --region without them."
        )
    _write(image, region, target)


def _write(image: Image, region: Any, target: Path) -> None:
    depth = "half" if image.header.depth in _HALF_HOLDS else "float"
    write_image(target, np.ascontiguousarray(_cut(image, region)), bit_depth=depth)


def _cut(image: Image, region: Any) -> Any:
    if region is None:
        return image.pixels
    x, y, width, height = region
    return image.pixels[y : y + height, x : x + width]


def _matte(image: Image) -> Image:
    """A mask drawn into alpha over black is as good as one in grey."""
    if image.alpha is None or image.pixels.any():
        return image
    matte = np.repeat(image.alpha[..., None], 3, axis=2)
    return Image(matte, None, image.header, image.path)


def _reference_frames(text: str | None, reference: Source, frames: list[int]) -> list[int]:
    if text is None:
        only_one = len(frames) == len(reference.frames) == 1
        return list(reference.frames) if only_one else frames
    chosen = parse_frames(text)
    if len(chosen) != len(frames):
        raise WetgateError(
            f"--frames names {len(frames)} frames of the scan but --reference-frames names {len(chosen)}: "
            "each scan frame needs its reference frame."
        )
    return chosen


def _parse_region(text: str) -> tuple[int, int, int, int]:
    try:
        x, y, width, height = (int(part) for part in text.split(","))
    except ValueError:
        raise WetgateError(f"--region {text} is not x,y,width,height in pixels, such as 100,50,640,480.") from None
    if x < 0 or y < 0 or width < 1 or height < 1:
        raise WetgateError(f"--region {text} is not inside a picture: x and y start at 0, width and height at 1.")
    return x, y, width, height


def _check_sizes(scan: Source, mask: Source | None, region: Any) -> None:
    width, height = scan.size
    if mask is not None and mask.size != scan.size:
        raise WetgateError(
            f"The mask {mask.name} is {mask.size[0]} x {mask.size[1]} but the scan {scan.name} is "
            f"{width} x {height}: draw it at the scan's size."
        )
    if region is not None and (region[0] + region[2] > width or region[1] + region[3] > height):
        raise WetgateError(
            f"--region {','.join(map(str, region))} reaches outside the scan {scan.name}, which is {width} x {height}."
        )


def _encoding_note(source: Source, frame: int, encoding: str) -> str | None:
    """What the file states, where that is not what the artist stated; an EXR may hold anything."""
    header = source.read(frame).header if source.is_video else read_header(source.path(frame))
    stated = None if header.format == "exr" else guess_encoding(header)
    if stated in (None, encoding):
        return None
    return f"Note: {source.name} says of itself that it is {stated}, but this restoration's encoding is {encoding}."
