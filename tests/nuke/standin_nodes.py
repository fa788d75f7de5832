"""The node graph of the stand-in: it computes real pictures, frame by frame, view by view, at the script's scale."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import standin_knobs as knobs
import standin_pictures as pictures
import standin_tcl
from standin_pictures import Picture

if TYPE_CHECKING:
    from nuke_standin import Session

Render = Callable[["Node", int, str, int], Picture]
"""Node, frame, view and scale (1, or 2 in proxy mode) to a picture at that scale."""


@dataclass(frozen=True)
class Kind:
    """A class of nodes: how many inputs it has, its knobs, and how it is computed."""

    inputs: int
    knobs: Callable[[], list[knobs.Knob]] = list
    render: Render | None = None


class FrameRange(knobs.Guarded):
    def __init__(self, first: int, last: int) -> None:
        self._first, self._last = first, last

    def first(self) -> int:
        return self._first

    def last(self) -> int:
        return self._last


class Format(knobs.Guarded):
    def __init__(self, size: tuple[int, int]) -> None:
        self._size = size

    def width(self) -> int:
        return self._size[0]

    def height(self) -> int:
        return self._size[1]


class Node(knobs.Guarded):
    def __init__(self, session: Session, kind: str, parent: Group | None, name: str) -> None:
        self._session, self._kind, self._parent, self._name = session, kind, parent, name
        self._inputs: list[Node | None] = [None] * session.kinds[kind].inputs
        self._knobs: dict[str, knobs.Knob] = {}
        self._selected = self._gone = False
        self._panel = False
        self._position = (0, 0)
        for knob in [knobs.String_Knob("name", value=name), knobs.String_Knob("label"), knobs.Boolean_Knob("disable")]:
            self._take(knob)
        for knob in session.kinds[kind].knobs():
            self._take(knob)

    def __repr__(self) -> str:
        return f"<{self._kind} {self._name}>"

    def _take(self, knob: knobs.Knob) -> None:
        knob._node = self
        self._knobs[knob._name] = knob

    def Class(self) -> str:
        return self._kind

    def clones(self) -> int:
        return sum(other._name == self._name for other in self._parent._children) - 1 if self._parent else 0

    def name(self) -> str:
        if self._gone:
            raise ValueError("A PythonObject is not attached to a node")
        return self._name

    def fullName(self) -> str:
        inside = self._parent is not None and self._parent._parent is not None
        return f"{self._parent.fullName()}.{self.name()}" if inside else self.name()

    def parent(self) -> Group | None:
        return self._parent

    def setName(self, name: str) -> None:
        self._name = name

    def knob(self, name: str) -> knobs.Knob | None:
        return self._knobs.get(name)

    def knobs(self) -> dict[str, knobs.Knob]:
        return dict(self._knobs)

    def __getitem__(self, name: str) -> knobs.Knob:
        knobs.check_thread("Node[...]")
        if name not in self._knobs:
            raise NameError(f"knob {name} does not exist")
        return self._knobs[name]

    def addKnob(self, knob: knobs.Knob) -> None:
        self._take(knob)

    def input(self, index: int) -> Node | None:
        return self._inputs[index] if 0 <= index < len(self._inputs) else None

    def inputs(self) -> int:
        """One more than the highest connected input."""
        return max((index + 1 for index, node in enumerate(self._inputs) if node is not None), default=0)

    def maxInputs(self) -> int:
        return len(self._inputs)

    def setInput(self, index: int, node: Node | None) -> bool:
        if not 0 <= index < len(self._inputs) or (node is not None and node._parent is not self._parent):
            return False
        before = self._inputs[index]
        self._inputs[index] = node
        self._session.did(f"{self._name} input {index}", lambda: self._inputs.__setitem__(index, before))
        return True

    def setSelected(self, selected: bool) -> None:
        self._session.select(self, bool(selected))

    def isSelected(self) -> bool:
        return self._selected

    def selectOnly(self) -> None:
        self._session.select_only(self)

    def setXYpos(self, x: int, y: int) -> None:
        self._position = (x, y)

    def xpos(self) -> int:
        return self._position[0]

    def ypos(self) -> int:
        return self._position[1]

    def showControlPanel(self, forceFloat: bool = False) -> None:
        self._panel = True

    def hideControlPanel(self) -> None:
        self._panel = False

    def shown(self) -> bool:
        return self._panel

    def width(self) -> int:
        return self.format().width()

    def height(self) -> int:
        return self.format().height()

    def format(self) -> Format:
        first, last = self._frames()
        frame = min(max(first, self._session.frame), last)
        return Format(self._picture(frame, self._session.views[0], self._session.scale()).size)

    def frameRange(self) -> FrameRange:
        return FrameRange(*self._frames())

    def firstFrame(self) -> int:
        return self._frames()[0]

    def lastFrame(self) -> int:
        return self._frames()[1]

    def channels(self) -> list[str]:
        """A picture from a file has those of the file, every other one all four."""
        reads = self._above_all("Read")
        if not reads:
            return [f"rgba.{name}" for name in ("red", "green", "blue", "alpha")]
        return pictures.channels(pictures.file_of(reads[0]._knobs["file"]._subst(), reads[0]._frames()[0], "main"))

    def metadata(self, key: str = "", time: float | None = None, view: str = "") -> Any:
        """Of the file that the picture comes from."""
        reads = self._above_all("Read")
        path, frame = "", self._session.frame if time is None else int(time)
        if reads:
            first, last = reads[0]._frames()
            held = min(max(first, frame), last)
            path = pictures.file_of(reads[0]._knobs["file"]._subst(), held, view or self._session.views[0])
        said = {"input/filename": path} if path and os.path.exists(path) else {}
        return said.get(key) if key else said

    def error(self) -> bool:
        return False

    def _above_all(self, kind: str) -> list[Node]:
        """The nearest nodes of a class that the picture comes from, by way of first inputs."""
        if self._kind == kind:
            return [self]
        inside = [child for child in getattr(self, "_children", []) if child._kind == "Output"]
        above = inside or self._above()[:1]
        if self._kind == "Input":
            above = self._above()[int(self._knobs["number"].value()) :][:1]
        return [found for node in above if node is not None for found in node._above_all(kind)]

    def _frames(self) -> tuple[int, int]:
        if self._kind == "Read":
            return int(self._knobs["first"]._value), int(self._knobs["last"]._value)
        inside = [child for child in getattr(self, "_children", []) if child._kind == "Output"]
        above = [node._frames() for node in [*self._above(), *inside] if node is not None]
        if not above:
            root = self._session.root_node
            return int(root._knobs["first_frame"]._value), int(root._knobs["last_frame"]._value)
        return min(first for first, _ in above), max(last for _, last in above)

    def _above(self) -> list[Node | None]:
        return list(self._parent._inputs if self._kind == "Input" else self._inputs)

    def _picture(self, frame: int, view: str, scale: int) -> Picture:
        render = self._session.kinds[self._kind].render
        if render is None:
            raise RuntimeError(f"{self.fullName()}: a {self._kind} has no picture here")
        if self._knobs["disable"].value() and self._inputs:
            return self._from(0, frame, view, scale)
        return render(self, frame, view, scale)

    def _from(self, index: int, frame: int, view: str, scale: int) -> Picture:
        above = self._inputs[index]
        if above is None:
            return pictures.plain(self._session.size, (0.0, 0.0, 0.0, 0.0)).at_scale(scale)
        return above._picture(frame, view, scale)


class Group(Node):
    """A group of nodes; a gizmo when its class is its file's name."""

    def __init__(self, session: Session, kind: str, parent: Group | None, name: str) -> None:
        self._children: list[Node] = []
        super().__init__(session, kind, parent, name)

    def nodes(self) -> list[Node]:
        return list(self._children)

    def node(self, name: str) -> Node | None:
        found: Node | None = self
        for part in name.split("."):
            children = found._children if isinstance(found, Group) else []
            found = next((child for child in children if child._name == part), None)
        return found

    def begin(self) -> Group:
        self._session.contexts.append(self)
        return self

    def end(self) -> None:
        self._session.contexts.pop()

    def __enter__(self) -> Group:
        knobs.check_thread("Group")
        return self.begin()

    def __exit__(self, *exception: object) -> None:
        self.end()

    def _picture(self, frame: int, view: str, scale: int) -> Picture:
        output = next((child for child in self._children if child._kind == "Output"), None)
        if output is None:
            raise RuntimeError(f"{self.fullName()}: a group without an Output has no picture")
        return (
            self._from(0, frame, view, scale) if self._knobs["disable"].value() else output._picture(frame, view, scale)
        )


class Gizmo(Group):
    def makeGroup(self) -> Group:
        raise NotImplementedError("the stand-in turns no gizmo into a group")


class Viewer(Node):
    """``roi`` is left, bottom, right, top as Nuke says it."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._roi: dict[str, float] | None = None
        self._roi_enabled = False

    def roi(self) -> dict[str, float] | None:
        return None if self._roi is None else dict(self._roi)

    def roiEnabled(self) -> bool:
        return self._roi_enabled

    def setRoi(self, box: dict[str, float]) -> None:
        self._roi, self._roi_enabled = dict(box), True


class Root(Group):
    pass


# How each class is computed


def _read(node: Node, frame: int, view: str, scale: int) -> Picture:
    first, last = node._frames()
    path = pictures.file_of(
        node._knobs["file"]._subst(), min(max(first, frame), last), view
    )  # "hold" is Nuke's default
    if not os.path.exists(path):
        raise RuntimeError(f"{node.fullName()}: {path}: No such file or directory")
    return pictures.read(path).at_scale(scale)


def _constant(node: Node, frame: int, view: str, scale: int) -> Picture:
    return pictures.plain(node._session.size, node._knobs["color"]._value).at_scale(scale)


def _crop(node: Node, frame: int, view: str, scale: int) -> Picture:
    switches = {name: node._knobs[name].value() for name in ("reformat", "intersect", "crop")}
    box = tuple(round(edge / scale) for edge in node._knobs["box"].value())
    return node._from(0, frame, view, scale).cropped(
        box, reformat=switches["reformat"], intersect=switches["intersect"], black_outside=switches["crop"]
    )


def _through(node: Node, frame: int, view: str, scale: int) -> Picture:
    return node._from(0, frame, view, scale)


def _input(node: Node, frame: int, view: str, scale: int) -> Picture:
    return node._parent._from(int(node._knobs["number"].value()), frame, view, scale)


def _switch(node: Node, frame: int, view: str, scale: int) -> Picture:
    return node._from(int(node._knobs["which"].value()), frame, view, scale)


def _expression(node: Node, frame: int, view: str, scale: int) -> Picture:
    above = node._from(0, frame, view, scale)
    pixels, (width, height) = above.whole(), above.size
    y, x = np.mgrid[0:height, 0:width].astype(np.float32) * scale
    names = dict(zip("rgba", np.moveaxis(pixels, 2, 0), strict=True))
    names.update(x=x, y=y, width=width * scale, height=height * scale)
    made = pixels.copy()
    for channel in range(4):
        text = node._knobs[f"expr{channel}"].value()
        if text:
            made[..., channel] = eval(knobs.as_python(text, node), {"__builtins__": {}}, names)
    return Picture(above.size, (0, 0, *above.size), made)


def _keymix(node: Node, frame: int, view: str, scale: int) -> Picture:
    below, over, mask = (node._from(index, frame, view, scale).whole() for index in range(3))
    mixed = below + (over - below) * mask[..., 3:]
    size = node._from(0, frame, view, scale).size
    return Picture(size, (0, 0, *size), mixed)


def write_file(node: Node, frame: int, view: str) -> None:
    """What a Write does with one frame of one view."""
    said = {name: knob.value() for name, knob in node._knobs.items()}
    if said["views"] != view:
        raise RuntimeError(f"{node.fullName()}: the stand-in writes one view into a file, not {said['views']!r}")
    if said["file_type"] != "exr":
        raise RuntimeError(f"{node.fullName()}: the stand-in writes exr, not {said['file_type']!r}")
    picture = node._from(0, frame, view, node._session.scale())
    if not said["raw"] and said["colorspace"] == "sRGB":
        lit = picture.pixels.clip(0, None)
        coded = np.where(lit <= 0.0031308, lit * 12.92, 1.055 * lit ** (1 / 2.4) - 0.055)
        coded[..., 3] = picture.pixels[..., 3]
        picture = Picture(picture.size, picture.box, coded.astype("float32"))
    if said["autocrop"]:
        picture = picture.autocropped()
    prefix = "" if view == node._session.views[0] else f"{view}."
    channels = [prefix + letter for letter in {"rgb": "RGB", "rgba": "RGBA"}[said["channels"]]]
    path = pictures.file_of(node._knobs["file"]._subst(), frame, view)
    if not Path(path).parent.is_dir() or not os.access(Path(path).parent, os.W_OK):
        raise RuntimeError(f"{node.fullName()}: {path}: cannot be opened for writing")
    pictures.write(path, picture, channels, half=said["datatype"] == "16 bit half")


def _write_knobs() -> list[knobs.Knob]:
    """With the defaults of a studio that makes life hard: what matters must be set."""
    return [
        knobs.File_Knob("file"),
        knobs.ChannelMask_Knob("channels", value="alpha"),
        FileType("file_type", None, [" ", "exr", "dpx", "png"]),
        knobs.Enumeration_Knob("colorspace", None, ["sRGB", "linear", "default"]),
        knobs.Boolean_Knob("raw"),
        knobs.MultiView_Knob("views", value="all"),
        knobs.Boolean_Knob("create_directories"),
    ]


class FileType(knobs.Enumeration_Knob):
    """A Write has the knobs of a format only once the format is chosen."""

    def _put(self, value: Any) -> None:
        super()._put(value)
        if value == "exr" and "datatype" not in self._node._knobs:
            for knob in (
                knobs.Enumeration_Knob("datatype", None, ["16 bit half", "32 bit float"]),
                knobs.Enumeration_Knob("compression", None, ["none", "Zip (1 scanline)", "DWAA"]),
                knobs.Boolean_Knob("autocrop", value=True),
            ):
                self._node._take(knob)


def _read_knobs() -> list[knobs.Knob]:
    return [
        knobs.File_Knob("file"),
        knobs.File_Knob("proxy"),
        *(knobs.Int_Knob(name, value=1) for name in ("first", "last", "origfirst", "origlast")),
        knobs.Enumeration_Knob("colorspace", None, ["default (linear)", "linear", "sRGB", "Cineon"]),
        knobs.Boolean_Knob("raw"),
    ]


def _crop_knobs() -> list[knobs.Knob]:
    return [
        knobs.BBox_Knob("box"),
        knobs.Boolean_Knob("reformat"),
        knobs.Boolean_Knob("intersect"),
        knobs.Boolean_Knob("crop", value=True),
    ]


def _root_knobs() -> list[knobs.Knob]:
    return [
        knobs.Boolean_Knob("proxy"),
        knobs.Int_Knob("first_frame", value=1),
        knobs.Int_Knob("last_frame", value=100),
        knobs.Enumeration_Knob("colorManagement", None, ["Nuke", "OCIO"]),
        knobs.Enumeration_Knob("workingSpaceLUT", None, ["linear", "scene_linear"]),
    ]


KINDS: dict[str, Kind] = {
    "Root": Kind(0, _root_knobs),
    "Read": Kind(0, _read_knobs, _read),
    "Write": Kind(1, _write_knobs, _through),
    "Constant": Kind(0, lambda: [knobs.Color_Knob("color")], _constant),
    "Crop": Kind(1, _crop_knobs, _crop),
    "NoOp": Kind(1, render=_through),
    "Dot": Kind(1, render=_through),
    "Switch": Kind(10, lambda: [knobs.Double_Knob("which")], _switch),
    "Expression": Kind(1, lambda: [knobs.String_Knob(f"expr{channel}") for channel in range(4)], _expression),
    "Keymix": Kind(3, render=_keymix),
    "Input": Kind(0, lambda: [knobs.Int_Knob("number")], _input),
    "Output": Kind(1, render=_through),
    "Group": Kind(10),
    "Viewer": Kind(10),
    "BackdropNode": Kind(0),
    "StickyNote": Kind(0),
}

CLASSES: dict[str, type[Node]] = {"Group": Group, "Viewer": Viewer, "Root": Root}


IGNORED = ("name", "inputs", "xpos", "ypos", "help", "tile_color", "gl_color", "icon", "selected", "postage_stamp")
"""Knobs that every node has, of which the stand-in makes nothing."""


def build(session: Session, text: standin_tcl.NodeText, parent: Group, gizmo: str = "") -> Node:
    """Make a node of a file, with all that is inside; ``gizmo`` is the class of a Gizmo."""
    kind = gizmo if text.kind == "Gizmo" and gizmo else text.kind
    if kind not in session.kinds:
        raise RuntimeError(f"{kind}: Unknown command")
    node = session.add_node(kind, parent, dict(text.knobs).get("name", ""))
    for words in text.user:
        knob = knobs.user_knob(words)
        if knob._name in node._knobs:
            raise RuntimeError(f"{node.name()} has two knobs {knob._name}")
        node._take(knob)
    for name, value in text.knobs:
        if name in (*IGNORED, "onCreate", "knobChanged", "note_font"):
            continue
        if name not in node._knobs:
            raise RuntimeError(f"{node.name()}: no such knob {name}")
        node._knobs[name].fromScript(value)
    made: dict[str, Node | None] = {"0": None}
    for inner in text.inside:
        made[inner.id] = build(session, inner, node)
        for index, above in enumerate(inner.above):
            made[inner.id]._inputs[index] = made[above]
    if isinstance(node, Group):
        inputs = [child for child in node._children if child._kind == "Input"]
        node._inputs = [None] * len(inputs)
        if sorted(int(child._knobs["number"].value()) for child in inputs) != list(range(len(inputs))):
            raise RuntimeError(f"{node.name()}: its Inputs are not numbered from 0")
    return node
