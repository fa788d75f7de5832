"""Pairs out of Nuke's graph: what the Viewer shows, or what a WetgatePairs node is given, into a restoration; and scans
without a reference, for recipes that learn from these alone.

Frames leave the graph as they are in it, in the script's working space; how that is coded the artist states, and it is
noted, with nodes, files and view, in each pair. A call adds all of its pairs or none.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional, Union

from nuke_plugin import host, memory
from nuke_plugin.measuring import scan_of
from nuke_plugin.restores import is_on, restores_of
from nuke_plugin.scratch import make_scratch
from wetgate.errors import WetgateError
from wetgate.files import sentence_for
from wetgate.project import (
    ENCODINGS,
    NEIGHBOURS,
    RECIPES,
    WITHOUT_REFERENCE,
    Pair,
    PairDraft,
    Restoration,
    create_restoration,
    open_restoration,
)
from wetgate.service.layout import window_of

RECIPE, ENCODING = "color", "linear"
"""Of a new restoration where the artist has not said otherwise: Nuke's own pictures are scene-linear."""
ELEMENTS = {
    "film to telecine": ("film", "telecine"),
    "film to film": ("film", "film"),
    "telecine to film": ("telecine", "film"),
}
"""What scan and reference of a pair are of, in the words of the WetgatePairs node; for the recipe telecine."""
MOST_FRAMES = 1000
"""At a time; a handful is what a restoration wants."""

_FRAMES = re.compile(r"(-?\d+)(?:-(-?\d+)(?:x(\d+))?)?")


@dataclass(frozen=True)
class Added:
    """What was added.

    Attributes:
        folder: the restoration.
        pairs: the numbers of the new pairs.
        frames: their frames.
        notes: what the artist should know, in sentences.
    """

    folder: Path
    pairs: tuple[int, ...]
    frames: tuple[int, ...]
    notes: tuple[str, ...]

    def __str__(self) -> str:
        if len(self.pairs) == 1:
            first = f"Frame {self.frames[0]} is pair {self.pairs[0]} of {self.folder.name}."
        else:
            first = f"{len(self.pairs)} frames are pairs {self.pairs[0]} to {self.pairs[-1]} of {self.folder.name}."
        return " ".join([first, *self.notes])


def add_pair(folder: str, scan: str, reference: str, frame: int, **choices: Any) -> Added:
    """One pair; the choices are those of :func:`add_pairs`."""
    return add_pairs(folder, scan, reference, [frame], **choices)


def add_pairs(
    folder: str,
    scan: str,
    reference: str,
    frames: Sequence[int],
    *,
    region: Optional[host.Region] = None,
    mask: Optional[str] = None,
    view: str = "",
    recipe: str = "",
    encoding: str = "",
    elements: str = "",
) -> Added:
    """Render frames of two nodes and put them into a restoration, which is made where there is none.

    Where the recipe's models may look at frames before and after, those of the scan are rendered and kept, too.

    Args:
        folder: the restoration.
        scan: the node of the pictures to restore.
        reference: the node of the same pictures as they should look; of any size.
        frames: which frames of the script.
        region: only this part of the scan, and of a reference of the same size: x, y, width, height from the top left.
        mask: a node whose alpha is white where a pair counts.
        view: which view of the script; the first by default.
        recipe: of a new restoration; one that is there must have the same, where it is given.
        encoding: how the graph's pixels are coded, likewise.
        elements: for the recipe telecine, one of :data:`ELEMENTS`.

    Raises:
        Cancelled: by the artist; nothing is left then.
        WetgateError: something is missing or does not fit, or cannot be rendered or written.
    """
    there, view = _open(folder, recipe, encoding), view or host.views()[0]
    encoding = there.encoding if there else encoding or ENCODING
    recipe = there.recipe if there else recipe or RECIPE
    if recipe == "exemplar":  # what is painted must be told from what is not, which the engine does
        raise WetgateError(
            f"{folder} learns from painted frames: write them with a Write, with alpha if paint is its own layer, "
            f"then run `wetgate add {folder} --scan SCAN --paint PAINT --frames FRAMES` in a terminal."
        )
    before = there.pairs() if there else []
    nodes = {"scan": scan, "reference": reference, **({"mask": mask} if mask else {})}
    with host.full_resolution(), _scratch() as scratch:
        regions = _check(folder, nodes, frames, region, view)
        notes = [note for role in ("scan", "reference") for note in _coding_note(nodes[role], encoding)]
        windows = _windows(scan, frames, NEIGHBOURS.get(recipe, 0), view)
        around = sorted({number for window in windows.values() for number in window})
        _render(nodes, {role: around if role == "scan" else frames for role in nodes}, regions, view, scratch)
        restoration = there or create_restoration(folder, recipe, encoding)
        origins = {frame: _where_from(nodes, frame, view, encoding) for frame in frames}
        for origin in origins.values():
            origin.update({"neighbours": NEIGHBOURS[recipe]} if recipe in NEIGHBOURS else {})
            if recipe == "telecine" and elements:
                origin["scan_element"], origin["reference_element"] = ELEMENTS[elements]
        numbers = _move_in(restoration, nodes, windows, region, origins, scratch)
        _note_sources(restoration, nodes)
    memory.use(folder)
    again = {pair.frame for pair in before if pair.region == region and _view_of(pair, view) == view} & set(frames)
    if again:
        notes.append(f"Frame {min(again)} has a pair from before; it now counts twice.")
    return Added(restoration.folder, numbers, tuple(sorted(frames)), tuple(notes))


@dataclass(frozen=True)
class AddedScan:
    """A scan that a restoration learns from, without a reference.

    Attributes:
        folder: the restoration.
        pattern: the scan's files.
        frames: the numbers of the first and the last of them.
        notes: what the artist should know, in sentences.
    """

    folder: Path
    pattern: str
    frames: tuple[int, int]
    notes: tuple[str, ...]

    def __str__(self) -> str:
        first, last = self.frames
        name = os.path.basename(self.pattern)
        return " ".join([f"{self.folder.name} learns from {name}, frames {first} to {last}.", *self.notes])


def add_scan(
    folder: str, scan: str, frames: Sequence[int] = (), *, view: str = "", recipe: str = "", encoding: str = ""
) -> AddedScan:
    """Note a node's files as what a restoration learns from, which is made where there is none.

    Args:
        folder: the restoration; of a recipe that needs no reference.
        scan: the node of the pictures to restore: a Read that converts nothing.
        frames: which of its frames, rising; all by default.
        view, recipe, encoding: as for :func:`add_pairs`.

    Raises:
        WetgateError: the node's pixels are not those of its files, or something is missing or does not fit.
    """
    there, view = _open(folder, recipe, encoding), view or host.views()[0]
    encoding = there.encoding if there else encoding or ENCODING
    recipe = there.recipe if there else recipe or RECIPE
    if recipe not in WITHOUT_REFERENCE:
        raise WetgateError(f"{folder} is for the recipe {recipe}, which learns from pairs: give it a reference.")
    files = scan_of(scan, view, f"The recipe {recipe} looks")
    _require_frames(scan, frames, view)
    numbers = [frame + files.offset for frame in frames or host.frame_range(scan)]
    first, last = numbers[0], numbers[-1]
    restoration = there or create_restoration(folder, recipe, encoding)
    restoration.add_source("scan", files.pattern)
    whole = f"{first}-{last}" if last > first else str(first)
    restoration.add_footage(files.pattern, ",".join(map(str, numbers)) if frames else whole)
    memory.use(folder)
    return AddedScan(restoration.folder, files.pattern, (first, last), tuple(_coding_note(scan, encoding)))


def frames_of(text: str) -> list[int]:
    """The frames of ``1001``, ``1001-1100``, ``1001-1100x10`` and several of them with commas or spaces, rising.

    Raises:
        WetgateError: the text says something else, or names too many.
    """
    frames: set[int] = set()
    for part in re.split(r"[,\s]+", text.strip()):
        match = _FRAMES.fullmatch(part)
        first, last, step = (int(word) if word else None for word in match.groups()) if match else (None,) * 3
        if first is None or step == 0 or (last is not None and last < first):
            raise WetgateError(f"'{text}' is not a list of frames: write 1001, 1001-1100 or 1001-1100x10.")
        found = range(first, (first if last is None else last) + 1, step or 1)
        if len(frames) + len(found) > MOST_FRAMES:
            raise WetgateError(f"'{text}' names more than {MOST_FRAMES} frames: a handful of pairs is enough to begin.")
        frames.update(found)
    return sorted(frames)


# The Viewer


def from_viewer() -> None:
    """The menu's command: the Viewer's A and B become a pair of the restoration in use, and a line says which."""
    node = _pairs_node()
    recipe, encoding = (str(host.knob(node, name)) for name in ("recipe", "encoding")) if node else ("", "")
    folder = (_folder_of(node) if node else memory.in_use()) or _ask_for_folder()
    added = add_from_viewer(folder, recipe=recipe, encoding=encoding)
    if node:
        host.set_quietly(node, status=str(added))
    (host.tell if added.notes else host.say)(str(added))


def add_from_viewer(folder: str, *, recipe: str = "", encoding: str = "") -> Union[Added, AddedScan]:
    """Take the Viewer's A as the scan and its B as the reference; where one is missing, the artist is asked for it.

    Where the restoration's recipe needs no reference and the Viewer shows none, its A alone is what is learnt from.

    Raises:
        Cancelled: the artist did not choose, or cancelled.
        WetgateError: there is no Viewer, or see :func:`add_pairs`.
    """
    looked = host.viewer()
    if looked is None:
        raise WetgateError("There is no Viewer: look at the scan as its A, and at the reference as its B.")
    scan, reference = looked.scan, looked.reference
    if scan is not None and reference in (None, scan) and _needs_no_reference(folder, recipe):
        return add_scan(folder, scan, view=looked.view, recipe=recipe, encoding=encoding)
    if scan is None:
        scan = host.choose_node(f"Which node is the scan that {reference or 'a reference'} belongs to?")
    if scan is not None and reference in (None, scan):
        reference = host.choose_node(f"Which node is the reference: {scan} as it should look?")
    if scan is None or reference is None:
        raise host.Cancelled
    return add_pair(
        folder,
        scan,
        reference,
        looked.frame,
        region=looked.region,
        view=looked.view,
        recipe=recipe,
        encoding=encoding,
    )


# The WetgatePairs node


def press(button: str) -> None:
    """The artist pressed a button of a WetgatePairs node: add, add_frames, region or panel."""
    node = host.this_node()
    try:
        if button == "add":
            _add(node)
        elif button == "add_frames":
            _add(node, _frames_of(node))
        elif button == "region":
            _take_region(node)
        else:
            from nuke_plugin import starting

            starting.open_panel()
    except host.Cancelled:
        host.set_quietly(node, status="Cancelled; nothing was added.")
    except Exception as error:  # an artist's click must not end in a traceback
        host.tell_error(error)


def _add(node: str, frames: Sequence[int] = ()) -> None:
    """Pairs of these frames, or of the current one; without a reference they, or all, are what is learnt from."""
    scan, reference, mask = (host.input_of(node, index) for index in range(3))
    alone = reference is None and str(host.knob(node, "recipe")) in WITHOUT_REFERENCE
    if scan is None or (reference is None and not alone):
        missing = "Scan" if scan is None else "Reference"
        raise WetgateError(f"{node} has nothing at its input {missing}: connect the node of these pictures.")
    folder = _folder_of(node)
    if not folder:
        folder = _ask_for_folder()
        host.set_knob(node, "folder", host.as_text(folder))
    how = {
        "view": str(host.knob(node, "view") or "") or host.current_view(),
        "recipe": str(host.knob(node, "recipe")),
        "encoding": str(host.knob(node, "encoding")),
    }
    if reference is None:
        host.set_quietly(node, status=str(add_scan(folder, scan, frames, **how)))
        return
    elements = str(host.knob(node, "elements"))
    frames = frames or [host.current_frame()]
    added = add_pairs(
        folder, scan, reference, frames, region=_region_of(node, scan), mask=mask, elements=elements, **how
    )
    host.set_quietly(node, status=str(added))


def _frames_of(node: str) -> list[int]:
    text = host.path(node, "frames").strip()  # Tcl may stand in it as in a path
    if not text:
        raise WetgateError(f"{node} names no frames: write them beside the button, as in 1001-1061x10.")
    return frames_of(text)


def _folder_of(node: str) -> str:
    return host.path(node, "folder").strip()


def _ask_for_folder() -> str:
    chosen = host.choose_folder("Where is the restoration, or where shall it be?", memory.in_use())
    if not chosen:
        raise host.Cancelled
    return chosen


def _take_region(node: str) -> None:
    """The Viewer's region of interest becomes the node's."""
    looked = host.viewer()
    scan = host.input_of(node, 0)
    if looked is None or looked.region is None or scan is None:
        raise WetgateError(
            "The Viewer has no region of interest over the scan: connect the scan, press Alt+W, draw one."
        )
    x, y, width, height = looked.region
    bottom = host.picture_size(scan)[1] - y - height
    host.set_knobs(node, "Wetgate region", region=(x, bottom, x + width, bottom + height), use_region=True)


def _region_of(node: str, scan: str) -> Optional[host.Region]:
    """The node's box, which Nuke counts from the bottom left; None where it is switched off."""
    if not host.knob(node, "use_region"):
        return None
    box: Any = host.knob(node, "region")
    left, bottom, right, top = (round(edge) for edge in box)
    return left, host.picture_size(scan)[1] - top, right - left, top - bottom


def _pairs_node() -> str:
    """The WetgatePairs node that is meant: the selected one, else the first that has a folder; "" without one."""
    nodes = [node for node in host.nodes_of("WetgatePairs") if _folder_of(node)]
    return next((node for node in host.selected() if node in nodes), nodes[0] if nodes else "")


# Before it is rendered


def _open(folder: str, recipe: str, encoding: str) -> Optional[Restoration]:
    """The restoration in the folder; None where one can be made."""
    path = Path(folder)
    if not folder or not path.is_absolute():
        raise WetgateError(f"'{folder}' is not a folder's whole path: choose where the restoration is, or shall be.")
    if not (path / "restoration.json").exists():
        for name, wanted, known in (("encoding", encoding, ENCODINGS), ("recipe", recipe, RECIPES)):
            if wanted and wanted not in known:
                raise WetgateError(f"There is no {name} {wanted}: choose one of {', '.join(known)}.")
        _require_place(path)
        return None
    restoration = open_restoration(folder)
    _require_writable(path, path / "pairs")
    if recipe and recipe != restoration.recipe:
        raise WetgateError(f"{folder} has the recipe {restoration.recipe}, not {recipe}: choose another folder.")
    if encoding and encoding != restoration.encoding:
        has = restoration.encoding
        raise WetgateError(
            f"{folder} has {has} pictures, not {encoding} ones: set the node to {has}, or choose another folder."
        )
    return restoration


def _needs_no_reference(folder: str, recipe: str) -> bool:
    path = Path(folder)
    there = path.is_absolute() and (path / "restoration.json").exists()
    return (open_restoration(folder).recipe if there else recipe or RECIPE) in WITHOUT_REFERENCE


def _require_place(path: Path) -> None:
    """Fail now, not after the frames are rendered."""
    if path.is_dir() and any(entry.name != ".lock" for entry in path.iterdir()):
        raise WetgateError(f"{path} is neither a restoration nor empty: choose another folder.")
    above = next(each for each in (path, *path.parents) if each.exists())
    if not above.is_dir() or not os.access(above, os.W_OK):
        raise WetgateError(f"{path} cannot be made, for {above} cannot be written to: choose another folder.")


def _require_writable(*folders: Path) -> None:
    """Likewise, for a restoration that is there."""
    for folder in folders:
        if folder.exists() and not os.access(folder, os.W_OK):
            raise WetgateError(f"{folder} cannot be written to: have its permissions changed, or choose another.")


def _check(
    folder: str, nodes: dict[str, str], frames: Sequence[int], region: Optional[host.Region], view: str
) -> dict[str, Any]:
    """Which region each node is rendered in."""
    if nodes["scan"] == nodes["reference"]:
        raise WetgateError(f"{nodes['scan']} is both the scan and the reference: a pair needs two nodes.")
    restores = [name for name in restores_of(nodes["scan"], folder) if is_on(name)]
    if restores:
        raise WetgateError(
            f"{nodes['scan']} shows what {restores[-1]} has restored with a model of this restoration: connect the "
            "scan above it."
        )
    if not frames:
        raise WetgateError("No frame was named that could become a pair.")
    for name in nodes.values():
        _require_frames(name, frames, view)
    size = host.picture_size(nodes["scan"])
    if "mask" in nodes:
        width, height = host.picture_size(nodes["mask"])
        if (width, height) != size:
            raise WetgateError(
                f"The mask {nodes['mask']} is {width} x {height} pixels but the scan {nodes['scan']} is "
                f"{size[0]} x {size[1]}: give it the scan's format."
            )
        host.require_alpha(nodes["mask"])
    same = host.picture_size(nodes["reference"]) == size
    return {"scan": region, "mask": region, "reference": region if same else None}


def _require_frames(node: str, frames: Sequence[int], view: str) -> None:
    """A Read gives its first and last beside its frames, and maybe black for a missing file, without a word."""
    first, last = host.frame_range(node)
    if first == last or not host.source_files(node)[0]:
        return  # a still, and what has no file, is for all frames
    outside = [frame for frame in frames if not first <= frame <= last]
    if outside:
        raise WetgateError(
            f"{node} has the frames {first} to {last}, but not {outside[0]}: choose others, or move it in time."
        )
    if not host.frame_file(node, first, view):
        return  # a node between does not hand on what files these are
    missing = [frame for frame in frames if not os.path.exists(host.frame_file(node, frame, view))]
    if missing:
        raise WetgateError(f"{node} has no file for frame {missing[0]}: choose other frames.")


def _windows(scan: str, frames: Sequence[int], radius: int, view: str) -> dict[int, tuple[int, ...]]:
    """By frame, the frames of the scan that are rendered for its pair: those that there are, itself included."""
    first, last = host.frame_range(scan)
    wanted = {number for frame in frames for number in range(frame - radius, frame + radius + 1)}
    present = {number for number in wanted if first <= number <= last and first != last}
    files: dict[int, str] = {}
    if host.source_files(scan)[0]:
        files = {number: host.frame_file(scan, number, view) for number in present}
        present = {number for number in present if os.path.isfile(files[number])}
    held = {number: files[number] for number in present if host.is_still(files.get(number, ""))}

    def around(frame: int) -> frozenset[int]:
        """Without what shows the frame again, as behind a FrameHold or a Retime."""
        own = held.get(frame)
        return frozenset(number for number in present if number == frame or own is None or held.get(number) != own)

    return {frame: window_of(frame, radius, around(frame)) for frame in frames}


def _coding_note(node: str, encoding: str) -> Iterator[str]:
    """Where what the Read above says and what the artist says do not go together."""
    files, space = host.source_files(node)
    if not files:
        return
    if encoding == "linear" and space == "raw":
        yield f"Note: {node} comes from a Read with raw data on, but its pixels are noted as linear."
    if encoding != "linear" and space != "raw":
        yield f"Note: {node} comes from a Read that makes its files linear ({space}), but is noted as {encoding}."


# Rendering and keeping


@contextlib.contextmanager
def _scratch() -> Iterator[Path]:
    """A folder for rendered frames, gone after the block."""
    wished = os.environ.get("NUKE_TEMP_DIR", "")
    folder = make_scratch(wished if os.path.isdir(wished) else tempfile.gettempdir())
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _render(
    nodes: dict[str, str], frames: Mapping[str, Sequence[int]], regions: dict[str, Any], view: str, scratch: Path
) -> None:
    """Write the frames of each node, as ``scan.1001.exr``, under one progress window."""
    with host.progress("Wetgate: adding pairs") as window:
        for before, (role, node) in enumerate(nodes.items()):

            def follow(done: int, total: int, text: str, before: int = before) -> bool:
                return window.update((before + done / total) / len(nodes), text)

            with host.matte(node) if role == "mask" else contextlib.nullcontext(node) as source:
                pattern = f"{scratch}/{role}.####.exr"
                host.write_frames(source, frames[role], pattern, view=view, region=regions[role], follow=follow)


def _where_from(nodes: dict[str, str], frame: int, view: str, encoding: str) -> dict[str, Any]:
    """What a pair remembers: how it went through Nuke and, as `wetgate add` does, files whose pixels are the pair's."""
    known: dict[str, Any] = {"reference_frame": frame}
    nuke = {
        "script": host.script(),
        "view": view,
        "colour_management": host.colour_management(),
        "encoding": encoding,
    }
    for role, node in nodes.items():
        file = host.frame_file(node, frame, view)
        path = str(Path(file).absolute()) if file else ""
        nuke[f"{role}_node"] = node
        nuke[f"{role}_file"] = path
        nuke[f"{role}_colourspace"] = host.source_files(node)[1]
        if path and host.is_as_in_files(node):
            known[role] = path
    known["nuke"] = {name: value for name, value in nuke.items() if value}
    return known


def _view_of(pair: Pair, otherwise: str) -> str:
    nuke = pair.where_from.get("nuke")
    return str(nuke.get("view", otherwise)) if isinstance(nuke, dict) else otherwise


def _note_sources(restoration: Restoration, nodes: dict[str, str]) -> None:
    """Where the pictures are from; the engine measures flicker in a `scan`, whose pixels must be the pairs'."""
    for role in ("scan", "reference"):
        node = nodes[role]
        files = host.source_files(node)[0]
        straight = bool(files) and host.is_as_in_files(node)
        restoration.add_source(
            role if straight else f"{role}, through Nuke", files or f"{host.script()} {node}".strip()
        )


def _move_in(
    restoration: Restoration,
    nodes: dict[str, str],
    windows: Mapping[int, Sequence[int]],
    region: Optional[host.Region],
    origins: dict[int, dict[str, Any]],
    scratch: Path,
) -> tuple[int, ...]:
    """Make the pairs of the rendered frames, all or none; their numbers, in the order of the frames.

    ``windows`` holds, by a pair's frame, the frames of the scan that go into its folder.
    """
    drafts: list[PairDraft] = []
    try:
        with contextlib.ExitStack() as together:
            for frame in sorted(windows, reverse=True):  # left in the opposite order, and numbered then
                draft = together.enter_context(restoration.add_pair(frame, region, origins[frame]))
                drafts.append(draft)
                around = set(windows[frame]) - {frame}
                targets = {f"scan.{number:04d}.exr": draft.neighbour(number - frame) for number in around}
                targets |= {f"{role}.{frame:04d}.exr": getattr(draft, role) for role in nodes}
                for name, target in targets.items():
                    try:
                        # A frame may lie in several pairs' windows.
                        (shutil.copyfile if around and name.startswith("scan.") else shutil.move)(
                            scratch / name, target
                        )
                    except OSError as error:
                        raise WetgateError(sentence_for(error, target)) from error
    except BaseException:
        for draft in drafts:
            if draft.pair:  # the disk was full for another one
                shutil.rmtree(draft.pair.folder, ignore_errors=True)
        raise
    return tuple(sorted(draft.pair.number for draft in drafts if draft.pair))
