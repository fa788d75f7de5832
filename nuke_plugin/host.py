"""Nuke, as the rest of the plug-in sees it: names, numbers and texts in and out. No other module imports `nuke`.

Nodes are spoken of by their full names ("Group1.Read2"), regions are x, y, width, height in pixels from the TOP left
of the full-resolution picture, although Nuke counts from the bottom. To be called from Nuke's main thread, except for
:func:`in_main_thread`.
"""

from __future__ import annotations

import contextlib
import os
import re
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Optional

import nuke

from wetgate.errors import WetgateError

Region = tuple[int, int, int, int]
Follow = Callable[[int, int, str], bool]
"""Told before each frame and at the end: how many are done, of how many, and what is being done; true cancels."""

STILLS = (".exr", ".dpx", ".tif", ".tiff", ".png", ".jpg", ".jpeg")
"""Suffixes of the files that the server reads."""

_NO_PICTURE = ("BackdropNode", "StickyNote", "Viewer", "Input", "Output", "Write")
_READS = ("Read",)
_PLACES = re.compile(r"#+|%\d*d|%[vV]")
_closed: Optional[int] = None
"""How many scripts were closed; None before anybody asked."""


class Cancelled(Exception):
    """The artist cancelled; nothing is left behind."""


@dataclass(frozen=True)
class Looked:
    """What the active Viewer shows.

    Attributes:
        scan: the node of its A input; None where there is none.
        reference: the node of its B input.
        frame: the current frame.
        view: the view that is looked at, "main" in most scripts.
        region: the region of interest; None for the whole frame.
    """

    scan: Optional[str]
    reference: Optional[str]
    frame: int
    view: str
    region: Optional[Region]


# What Nuke is


def has_gui() -> bool:
    """Whether there is an artist in front of it; false for `nuke -t` and renders."""
    return bool(nuke.GUI)


def version() -> tuple[int, int]:
    """Major and minor version of Nuke."""
    return int(nuke.NUKE_VERSION_MAJOR), int(nuke.NUKE_VERSION_MINOR)


def script() -> str:
    """The file of the script; "" before it is saved."""
    return str(_value(nuke.root(), "name") or "")


def opening() -> int:
    """A number for the script that is open: another one once it was closed, the same when it is saved elsewhere."""
    global _closed
    if _closed is None:
        _closed = 0
        nuke.addOnScriptClose(_count_closed)
    return _closed


def _count_closed() -> None:
    global _closed
    _closed = (_closed or 0) + 1


def colour_management() -> str:
    """What the script says of its colours, as "OCIO, scene_linear"."""
    root = nuke.root()
    said = [_value(root, name) for name in ("colorManagement", "workingSpaceLUT")]
    return ", ".join(str(value) for value in said if value)


def current_frame() -> int:
    return int(nuke.frame())


def views() -> list[str]:
    """The script's views, the first of them what artists call the hero view."""
    return [str(view) for view in nuke.views()]


# What is looked at


def viewer() -> Optional[Looked]:
    """What the active Viewer shows; None where there is no Viewer.

    Raises:
        WetgateError: the region of interest lies outside the picture, or a node is a clone.
    """
    window = nuke.activeViewer()
    if not window:
        return None
    node = window.node()
    scan, reference = _viewed(window, secondary=False), _viewed(window, secondary=True)
    shown = scan or reference
    roi = node.roi() if shown and node.roiEnabled() else None
    region = _from_top(roi, picture_size(shown)) if shown and roi else None
    return Looked(scan, reference, current_frame(), str(window.view()), region)


def viewed_scan() -> Optional[str]:
    """The node of the Viewer's A input, whatever its region of interest is; None where there is none."""
    window = nuke.activeViewer()
    return _viewed(window, secondary=False) if window else None


def _viewed(window: nuke.ViewerWindow, *, secondary: bool) -> Optional[str]:
    index = window.activeInput(secondary=secondary)
    return None if index is None else _own_name(window.node().input(index))


def current_view() -> str:
    """The view that the Viewer shows; without a Viewer the first one."""
    window = nuke.activeViewer()
    return str(window.view()) if window else views()[0]


def selected() -> list[str]:
    """The selected nodes, in the order in which Nuke tells them: the last selected first."""
    return [_name(node) for node in nuke.selectedNodes()]


def nodes_of(node_class: str) -> list[str]:
    """All nodes of a class outside of groups."""
    return sorted(_name(node) for node in nuke.allNodes(node_class, nuke.root()))


def input_of(node: str, index: int) -> Optional[str]:
    """The node that is connected to an input; None where there is none.

    Raises:
        WetgateError: it is a clone.
    """
    return _own_name(_node(node).input(index))


def class_of(node: str) -> str:
    return str(_node(node).Class())


def picture_size(node: str) -> tuple[int, int]:
    """Width and height of a node's picture at full resolution, in pixels."""
    source = _node(node)
    with full_resolution():
        return int(source.width()), int(source.height())


def frame_range(node: str) -> tuple[int, int]:
    """The first and the last frame that a node has."""
    frames = _node(node).frameRange()
    return int(frames.first()), int(frames.last())


def source_files(node: str) -> tuple[str, str]:
    """The file pattern and the colour space of the nearest Read above a node, the node included; "" without one."""
    for read in _reads_above(_node(node)):
        space = "raw" if _value(read, "raw") else _value(read, "colorspace")
        return _pattern_of(read), str(space or "")
    return "", ""


def comes_from(node: str, folder: str, *, or_above: bool = False) -> bool:
    """Whether files that a node's picture comes from lie in a folder, of whatever frame and view they are.

    Args:
        node: its full name.
        folder: there or not.
        or_above: files count that lie in a folder above it, too.
    """
    below = r"([/\\].*)?" if or_above else ""
    folder = os.path.normcase(os.path.realpath(folder))
    for pattern in map(_pattern_of, _reads_above(_node(node))):
        parts = _PLACES.split(os.path.normcase(os.path.realpath(os.path.dirname(pattern))))
        if pattern and re.fullmatch(r"[^/\\]+".join(map(re.escape, parts)) + below, folder):
            return True
    return False


def _pattern_of(read: nuke.Node) -> str:
    with full_resolution():  # in proxy mode it may name other files
        return str(nuke.filename(read) or "")


def above(node: str, node_class: str) -> list[str]:
    """The nodes of a class that a node's picture comes through, the nearest first; without the node itself."""
    itself = _node(node)
    return [_name(found) for found in _above(itself) if found is not itself and found.Class() == node_class]


def _reads_above(node: nuke.Node) -> Iterator[nuke.Node]:
    """The Reads above a node, itself included, the nearest first."""
    return (found for found in _above(node) if found.Class() in _READS)


def _above(node: nuke.Node) -> Iterator[nuke.Node]:
    """The nodes above a node, itself included, the nearest first, up to Reads; into groups and out of them."""
    waiting, seen = deque([node]), set()
    while waiting:
        found = waiting.popleft()
        above = [found.input(index) for index in range(found.inputs())]
        if found.Class() == "Input":
            above.append(found.parent().input(int(_value(found, "number") or 0)))
        itself = (_name(found), *map(_name_or_none, above))  # a clone has the name of others, but inputs of its own
        if itself in seen:
            continue
        seen.add(itself)
        yield found
        if found.Class() in _READS:
            continue
        waiting.extend(each for each in above if each is not None)
        inside = found.nodes() if isinstance(found, nuke.Group) else []
        waiting.extend(each for each in inside if each.Class() == "Output")


def frame_file(node: str, frame: int, view: str = "") -> str:
    """The file that a node's picture of a frame comes from, as the picture's metadata say it; "" where they do not."""
    source = _node(node)
    with full_resolution():
        return str(source.metadata("input/filename", frame, view or views()[0]) or "")


def is_as_in_files(node: str) -> bool:
    """Whether a node's pixels are those of its files: a Read that converts nothing, with nothing but Dots below it."""
    found: Optional[nuke.Node] = _node(node)
    while found is not None and found.Class() in ("Dot", "NoOp"):
        found = found.input(0)
    if found is None or found.Class() not in _READS or _value(found, "disable"):
        return False
    root = nuke.root()
    working = _value(root, "workingSpaceLUT") if _value(root, "colorManagement") == "OCIO" else "linear"
    return bool(_value(found, "raw")) or _value(found, "colorspace") in (working, f"default ({working})")


def require_alpha(mask: str) -> None:
    """A mask is an alpha here, as at the mask inputs of Nuke's own nodes; one without would select nothing.

    Raises:
        WetgateError: the node has no alpha.
    """
    if "rgba.alpha" not in _node(mask).channels():
        raise WetgateError(f"The mask {mask} has no alpha: put a Shuffle below it that makes its matte the alpha.")


# Frames out of the graph


@contextlib.contextmanager
def full_resolution() -> Iterator[None]:
    """Proxy mode is off during the block, as nobody will notice; around many pictures it is switched only once."""
    proxy = nuke.root().knob("proxy")
    with _untouched():
        if proxy is None or not proxy.value():
            yield
            return
        proxy.setValue(False)
        try:
            yield
        finally:
            proxy.setValue(True)


def write_frames(
    node: str,
    frames: Sequence[int],
    pattern: str,
    *,
    view: str = "",
    region: Optional[Region] = None,
    follow: Follow = lambda done, total, text: False,
) -> None:
    """Render frames of a node into EXR files: 32-bit float, as they are in the graph, always at full resolution.

    The files hold exactly the picture, or the region of it, however large its bounding box is; channels of a view other
    than the first may have its name in front, as in right.R. Nothing is left in the script, on its undo list or on its
    title bar; files of a call that fails are the caller's to remove.

    Args:
        node: what is rendered.
        frames: their numbers, in the order in which they are rendered.
        pattern: the files, as ``folder/scan.####.exr``; the folder exists.
        view: which view; the first one by default.
        region: the part of the picture to write.
        follow: told before each frame and at the end; true cancels.

    Raises:
        Cancelled: by ``follow``, or in Nuke's own progress window.
        WetgateError: a frame cannot be rendered, or the region lies outside the picture.
    """
    source = _node(node)
    view = view or views()[0]
    if view not in views():
        raise WetgateError(f"The script has no view {view}: choose one of {', '.join(views())}.")
    box = _from_bottom(region, picture_size(node), node)
    with full_resolution(), contextlib.ExitStack() as temporary:
        with source.parent():
            crop = nuke.nodes.Crop()
            temporary.callback(nuke.delete, crop)
            write = nuke.nodes.Write()
            temporary.callback(nuke.delete, write)
        crop.setInput(0, source)
        # The bounding box becomes the picture's; "crop" would draw a black line around it.
        _set(crop, box=box, reformat=True, intersect=False, crop=False)
        write.setInput(0, crop)
        _set(write, file=as_text(pattern), file_type="exr")  # the format's own knobs appear by this
        _set(write, channels="rgb", datatype="32 bit float", compression="Zip (1 scanline)", raw=True, autocrop=False)
        _set(write, views=view)  # an EXR takes all views that its Write has
        for done, frame in enumerate(frames):
            if follow(done, len(frames), f"{source.name()}, frame {frame}"):
                raise Cancelled
            _execute(write, frame, view, node)
        if follow(len(frames), len(frames), f"{source.name()} is rendered"):
            raise Cancelled


def _execute(write: nuke.Node, frame: int, view: str, name: str) -> None:
    try:
        nuke.execute(write, frame, frame, 1, [view])
    except (RuntimeError, nuke.CancelledError) as error:
        if isinstance(error, nuke.CancelledError) or str(error).startswith("Cancelled"):
            raise Cancelled from error
        raise WetgateError(
            f"Frame {frame} of {name} cannot be rendered ({str(error).strip()}): look at it in the Viewer first."
        ) from error


# Knobs and nodes


def has_node(node: str) -> bool:
    with nuke.root():
        return nuke.toNode(node) is not None


def name_from_now_on(node: str) -> Callable[[], Optional[str]]:
    """What tells the name of this very node, whatever it is called by then; None once it or its script is gone."""
    found = _node(node)

    def name() -> Optional[str]:
        try:
            return _name(found)
        except ValueError:  # it is attached to no node any more
            return None

    return name


def knob(node: str, name: str) -> object:
    """The value of a knob.

    Raises:
        WetgateError: there is no such node or knob.
    """
    return _knob(_node(node), name).value()


def is_animated(node: str, name: str) -> bool:
    """Whether a knob's value changes from frame to frame.

    Raises:
        WetgateError: there is no such node or knob.
    """
    return bool(_knob(_node(node), name).isAnimated())


def set_knob(node: str, name: str, value: object) -> None:
    """Set a knob.

    Raises:
        WetgateError: there is no such node or knob.
    """
    _knob(_node(node), name).setValue(value)


def set_knobs(node: str, step: str, **values: object) -> None:
    """Set several knobs in one step of the undo list, which is called ``step``."""
    with _undo_step(step):
        _set(_node(node), **values)


def create_pairs() -> str:
    """Make a WetgatePairs node below the selection; return its name."""
    with _undo_step("Wetgate pairs"):
        return _name(_create("WetgatePairs", shown=True))


def create_restore(
    model: str, *, above: Optional[str] = None, beside: Optional[str] = None, restoration: str = ""
) -> str:
    """Make a WetgateRestore node with its model set; return its name.

    Args:
        model: its file.
        above: the scan; the selection by default.
        beside: a node below ``above``, to which the new one is another branch: Nuke would put it between them.
        restoration: its folder.
    """
    with _undo_step("Wetgate restore"):
        node = _create("WetgateRestore", above, shown=True, branch=beside is not None)
        if beside is not None:
            node.setXYpos(int(_node(beside).xpos()) + 110, int(_node(beside).ypos()))
        _set(node, model=as_text(model), restoration=as_text(restoration))
        return _name(node)


def create_read(pattern: str, first: int, last: int, colourspace: str = "", *, beside: Optional[str] = None) -> str:
    """Make a Read of a sequence; return its name.

    Args:
        pattern: the files, as ``folder/shot.####.exr``.
        first: the first frame.
        last: the last frame.
        colourspace: as the Read names it, or "raw"; what Nuke chooses by default.
        beside: a node in whose group it is made, whatever group the artist looks into.
    """
    with contextlib.ExitStack() as place:
        if beside is not None:
            place.enter_context(_node(beside).parent())
        place.enter_context(_undo_step("Wetgate read"))
        for node in nuke.selectedNodes():
            node.setSelected(False)
        read = _create("Read")
        _set(read, file=as_text(pattern), first=first, last=last, origfirst=first, origlast=last)
        if colourspace:
            _set(read, **({"raw": True} if colourspace == "raw" else {"colorspace": colourspace}))
        return _name(read)


def _create(kind: str, above: Optional[str] = None, *, shown: bool = False, branch: bool = False) -> nuke.Node:
    with contextlib.ExitStack() as place:
        if above is not None:
            place.enter_context(_node(above).parent())
            _node(above).selectOnly()
            if branch:
                _node(above).setSelected(False)
        try:
            made = nuke.createNode(kind, inpanel=shown and has_gui())
        except RuntimeError as error:
            raise WetgateError(
                f"Nuke does not know {kind} ({str(error).strip()}): run `wetgate nuke doctor` in a terminal."
            ) from error
        if branch and above is not None:
            made.setInput(0, _node(above))
        return made


# Talk with the artist


def tell(sentence: str) -> None:
    """Say something: in a window, or where there is none on the terminal."""
    if has_gui():
        nuke.message(sentence)
    else:
        print(sentence, file=sys.stderr)  # noqa: T201


def tell_error(error: Exception) -> None:
    """Say what went wrong; what nobody expected, too."""
    expected = isinstance(error, WetgateError)
    tell(str(error) if expected else f"Wetgate: {str(error) or type(error).__name__}")


def say(sentence: str) -> None:
    """Say something that needs no answer: in the script editor and on the terminal."""
    nuke.tprint(f"Wetgate: {sentence}")


def ask(sentence: str) -> bool:
    """Whether the artist says yes; no where there is nobody to ask."""
    return has_gui() and bool(nuke.ask(sentence))


def choose_node(sentence: str) -> Optional[str]:
    """Let the artist choose one of the nodes that have a picture, the selected ones first; None when cancelled."""
    names = [_name(node) for node in nuke.allNodes() if node.Class() not in _NO_PICTURE and not node.clones()]
    first = set(selected())
    names.sort(key=lambda name: (name not in first, name.lower()))
    if not names or not has_gui():
        return None
    chosen = nuke.choice("Wetgate", sentence, names)
    return None if chosen is None or not 0 <= int(chosen) < len(names) else names[int(chosen)]


def choose_folder(sentence: str, proposed: str = "") -> Optional[str]:
    """Let the artist choose a folder, which need not be there yet; None when cancelled."""
    chosen = nuke.getFilename(sentence, "*/", f"{proposed}/" if proposed else "") if has_gui() else None
    return str(chosen).rstrip("/") or None if chosen else None


class Progress:
    """A progress window; see :func:`progress`."""

    def __init__(self, task: Optional[nuke.ProgressTask]) -> None:
        self._task = task

    def update(self, share: float, text: str) -> bool:
        """Show how far it is (0-1) and what is being done; true when the artist cancelled."""
        if self._task is None:
            return False
        self._task.setMessage(text)
        self._task.setProgress(max(0, min(100, int(share * 100))))
        return bool(self._task.isCancelled())

    def close(self) -> None:
        self._task = None  # Nuke takes the window away with its object


@contextlib.contextmanager
def progress(title: str) -> Iterator[Progress]:
    """Show a progress window that can be cancelled during the block; without a GUI there is none."""
    shown = Progress(nuke.ProgressTask(title) if has_gui() else None)
    try:
        yield shown
    finally:
        shown.close()


# What Nuke calls


def in_main_thread(call: Callable[..., object], *args: object) -> None:
    """Have ``call`` called in Nuke's main thread, soon; from any thread, and returns at once."""
    nuke.executeInMainThread(call, args)


def on_knob_changed(node_class: str, call: Callable[[str, str], None]) -> None:
    """Call ``call(node name, knob name)`` whenever a knob of such a node changes."""
    nuke.addKnobChanged(lambda: call(_name(nuke.thisNode()), str(nuke.thisKnob().name())), nodeClass=node_class)


def on_created(node_class: str, call: Callable[[str], None]) -> None:
    """Call ``call(node name)`` whenever such a node is made, pasted or loaded."""
    nuke.addOnCreate(lambda: call(_name(nuke.thisNode())), nodeClass=node_class)


def before_render(call: Callable[[str], None]) -> None:
    """Call ``call(node name)`` whenever a Write is about to be rendered; what it raises ends the render."""
    nuke.addBeforeRender(lambda: call(_name(nuke.thisNode())), nodeClass="Write")


def add_plugin_path(path: str) -> None:
    """Have Nuke look for gizmos and icons in a folder."""
    nuke.pluginAddPath(path.replace("\\", "/"))


# Menus and panels, at the start


def add_menu(bar: str, name: str, icon: str) -> None:
    """Make a menu in the "Nodes" toolbar, which the node search looks through, or in the "Nuke" menu bar."""
    nuke.menu(bar).addMenu(name, icon=icon)


def add_command(
    bar: str, path: str, call: Callable[[], object], *, icon: str = "", shortcut: str = "", hint: str = ""
) -> None:
    """Make a menu entry, as "Wetgate/Restore", that calls ``call``."""
    nuke.menu(bar).addCommand(path, call, shortcut, icon=icon, tooltip=hint)


def register_panel(widget: str, name: str, identifier: str) -> None:
    """Put a panel into Nuke's list of panes.

    Args:
        widget: a Python expression for what makes the widget; Nuke evaluates it in its own namespace.
        name: what artists see.
        identifier: what saved workspaces know it by.
    """
    from nukescripts import panels

    panels.registerWidgetAsPanel(widget, name, identifier)


def open_panel(widget: str, name: str, identifier: str) -> None:
    """Show a panel beside the properties; the arguments are those of :func:`register_panel`."""
    from nukescripts import panels

    panels.registerWidgetAsPanel(widget, name, identifier, create=True).addToPane(nuke.getPaneFor("Properties.1"))


# For the restore node


def this_node() -> str:
    """The node whose button was pressed."""
    return _name(nuke.thisNode())


def path(node: str, name: str) -> str:
    """A file or a folder as Nuke reads it from a knob: Tcl in it is evaluated, a link is followed; "" where none is.

    A place for the frame's number stays one.

    Raises:
        WetgateError: there is no such node or knob, or Tcl cannot evaluate what is in it.
    """
    found = _knob(_node(node), name)
    text = str(found.value() or "")
    if not isinstance(found, nuke.EvalString_Knob) or not re.search(r"[\[$\\]", text):
        return text  # as it is: evaluated, # in a folder's name would become the frame's number
    try:
        # evaluate() would put the current frame in the place of its number.
        return str((found.getEvaluatedValue() if isinstance(found, nuke.File_Knob) else found.evaluate()) or "")
    except RuntimeError as error:
        raise WetgateError(f"{node}: {name} cannot be evaluated ({str(error).strip()}): write it anew.") from error


def is_for_one_frame(path: str) -> bool:
    """Whether Nuke takes nothing in a path for a place of the frame's number or of the view's name."""
    return not _PLACES.search(path)


def as_text(path: str) -> str:
    """A path as a knob holds it: with forward slashes, and nothing in it for Tcl, which knows ``[`` and ``$``."""
    return re.sub(r"([\[$])", r"\\\1", path.replace("\\", "/"))


def set_quietly(node: str, **values: object) -> None:
    """Set knobs that tell the artist something: not on the undo list, and the script is as saved as before."""
    with _untouched():
        _set(_node(node), **values)


def is_still(file: str) -> bool:
    """Whether a file is of one picture that the server reads."""
    return os.path.splitext(file)[1].lower() in STILLS


def files_of(node: str, frames: Iterable[int], view: str = "") -> dict[int, str]:
    """The files whose pixels are a node's own, by frame; empty unless each has its own that the server reads."""
    files = {frame: frame_file(node, frame, view) for frame in frames} if is_as_in_files(node) else {}
    if not all(map(is_still, files.values())) or len(set(files.values())) < len(files):
        return {}
    return files if all(os.path.isfile(file) for file in files.values()) else {}


@contextlib.contextmanager
def matte(node: str) -> Iterator[str]:
    """The alpha of a node as a picture, in a node that is there during the block."""
    source = _node(node)
    with _untouched():
        with source.parent():
            made = nuke.nodes.Expression(expr0="a", expr1="a", expr2="a")
        made.setInput(0, source)
        try:
            yield _name(made)
        finally:
            nuke.delete(made)


# Inside


@contextlib.contextmanager
def _untouched() -> Iterator[None]:
    """What is done to the script during the block, and undone, is not on its undo list and does not mark it changed."""
    modified = nuke.modified()
    nuke.Undo.disable()
    try:
        yield
    finally:
        nuke.Undo.enable()
        nuke.modified(modified)


@contextlib.contextmanager
def _undo_step(name: str) -> Iterator[None]:
    """What is done during the block is one step on the undo list; all of it is undone when it fails."""
    nuke.Undo.begin()
    nuke.Undo.name(name)
    try:
        yield
    except BaseException:
        nuke.Undo.cancel()
        raise
    nuke.Undo.end()


def _node(name: str) -> nuke.Node:
    with nuke.root():  # a button's code runs inside its group
        node = nuke.toNode(name)
    if node is None:
        raise WetgateError(f"There is no node {name} in the script any more: choose another one.")
    return node


def _name(node: nuke.Node) -> str:
    return str(node.fullName())


def _name_or_none(node: Optional[nuke.Node]) -> Optional[str]:
    return None if node is None else _name(node)


def _own_name(node: Optional[nuke.Node]) -> Optional[str]:
    """A name that means this node only, None for no node; clones share one, though each has another picture.

    Raises:
        WetgateError: it is a clone.
    """
    if node is not None and node.clones():
        raise WetgateError(
            f"{_name(node)} is a clone, which shares its name with others: put a Dot below it, and use the Dot instead."
        )
    return _name_or_none(node)


def _knob(node: nuke.Node, name: str) -> nuke.Knob:
    found = node.knob(name)
    if found is None:
        raise WetgateError(f"{_name(node)} has no knob {name}: it was made with another version, make a new node.")
    if not isinstance(found, nuke.Link_Knob):
        return found
    linked = found.getLinkedKnob()  # a link by itself has texts for values, whatever it shows
    if linked is None:
        raise WetgateError(f"{_name(node)}: its knob {name} is a link to nothing, make a new node.")
    return linked


def _value(node: nuke.Node, name: str) -> Any:
    found = node.knob(name)
    return None if found is None else found.value()


def _set(node: nuke.Node, **values: object) -> None:
    for name, value in values.items():
        _knob(node, name).setValue(value)


def _from_top(roi: dict[str, float], size: tuple[int, int]) -> Optional[Region]:
    """Nuke's box, from the bottom left, as a region of whole pixels inside the picture; None when it is all of it."""
    width, height = size
    left, right = max(0, round(roi["x"])), min(width, round(roi["r"]))
    bottom, top = max(0, round(roi["y"])), min(height, round(roi["t"]))
    if left >= right or bottom >= top:
        raise WetgateError("The Viewer's region of interest lies outside the picture: move it, or switch it off.")
    region = (left, height - top, right - left, top - bottom)
    return None if region == (0, 0, width, height) else region


def _from_bottom(region: Optional[Region], size: tuple[int, int], node: str) -> tuple[int, int, int, int]:
    """A region as Nuke's box: left, bottom, right, top."""
    x, y, width, height = region or (0, 0, *size)
    if width < 1 or height < 1:
        raise WetgateError(
            f"The region {x},{y},{width},{height} is empty: draw one over {node}, or take the whole frame."
        )
    if x < 0 or y < 0 or x + width > size[0] or y + height > size[1]:
        raise WetgateError(
            f"The region {x},{y},{width},{height} reaches outside {node}, which is {size[0]} x {size[1]} pixels: "
            "choose a smaller one."
        )
    return x, size[1] - y - height, x + width, size[1] - y
