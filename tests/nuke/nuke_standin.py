"""A small, strict stand-in for Nuke: `import nuke` finds it while a :class:`Session` is installed.

It computes real pictures and writes real files. What it does not know raises AttributeError, what is done off the main
thread raises RuntimeError, a question without an answer in :attr:`Session.answers` raises AssertionError. That each
name of its public face is Nuke's own, in Nuke 14 to 17, is what test_nuke_audit.py proves; how it behaves is from
Nuke's documentation, and where that is silent it takes the harder case (see ``_write_knobs``).
"""

from __future__ import annotations

import contextlib
import sys
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import standin_knobs as knobs
import standin_tcl
from standin_nodes import (
    CLASSES,
    KINDS,
    Format,
    FrameRange,
    Gizmo,
    Group,
    Kind,
    Node,
    Render,
    Root,
    Viewer,
    build,
    write_file,
)

import __main__

ROOT = Path(__file__).resolve().parents[2]


class CancelledError(Exception):
    pass


class Session:
    """One running Nuke with one script.

    Attributes:
        said: what was shown to the artist, in order.
        proposed: which file or folder was proposed to the artist last.
        answers: what the artist will answer, taken from the front: to ask a bool, to choice an index or None.
        undo_list: the steps on the undo list, by name.
        progress: each progress window: its title and what it showed.
        percents: how far progress windows said it was.
        cancel_progress_at: a progress window is cancelled once it has shown so many messages.
        cancel_render_at: the artist presses Cancel in Nuke's own window while this frame is rendered.
        rendered: the frames that were rendered, as (frame, view, scale).
        panels: what was registered as a panel, by id: what makes it, and its name.
        shown_panels: which panels were opened, and in which pane.
    """

    def __init__(self, *, gui: bool = True, version: tuple[int, int] = (16, 0), views: tuple[str, ...] = ("main",)):
        self.gui, self.version, self.views, self.size = gui, version, list(views), (64, 48)
        self.kinds: dict[str, Kind] = dict(KINDS)
        self.frame = 1
        self.proposed = ""
        self.modified = False
        self.said: list[str] = []
        self.answers: list[Any] = []
        self.undo_list: list[str] = []
        self.progress: list[tuple[str, list[str]]] = []
        self.percents: list[int] = []
        self.cancel_progress_at: int | None = None
        self.cancel_render_at: int | None = None
        self.rendered: list[tuple[int, str, int]] = []
        self.panels: dict[str, tuple[str, str]] = {}
        self.shown_panels: list[tuple[str, str]] = []
        self.plugin_paths: list[str] = []
        self.menus: dict[str, Menu] = {}
        self.contexts: list[Group] = []
        self.viewer_window: ViewerWindow | None = None
        self._callbacks: dict[str, list[tuple[Callable[..., object], str, Node | None]]] = {}
        self._selection: list[Node] = []
        self._waiting: list[tuple[Callable[..., object], tuple[Any, ...], dict[str, Any]]] = []
        self._undo_off = 0
        self._steps: list[tuple[str, list[Callable[[], object]]]] = []
        self._redo: list[Callable[[], object]] = []
        self._this: list[tuple[Node, knobs.Knob | None]] = []
        self.root_node = Root(self, "Root", None, "root")
        self.root_node._knobs["name"]._value = ""
        self.contexts.append(self.root_node)
        self.undo_list.clear()

    # For tests

    def add_node_class(
        self, name: str, *, inputs: int = 1, knobs: Callable[[], list[Any]] = list, render: Render | None = None
    ) -> None:
        """Let Nuke know another class of nodes, such as a plug-in's."""
        self.kinds[name] = Kind(inputs, knobs, render)

    def read(self, pattern: str | Path, first: int, last: int, **values: Any) -> Node:
        """A Read in the script; what tests make is not on the undo list and no change of the script."""
        node = self.add_node("Read", self.root_node)
        for name, value in {"file": str(pattern), "first": first, "last": last, **values}.items():
            node._knobs[name]._value = value
        return node

    def node(self, kind: str, *inputs: Node | None, parent: Group | None = None, **values: Any) -> Node:
        node = self.add_node(kind, parent or self.root_node)
        for index, above in enumerate(inputs):
            node._inputs[index] = above
        for name, value in values.items():
            node._knobs[name]._value = value
        return node

    def gizmo(self, path: Path, *inputs: Node | None) -> Node:
        """A gizmo from its file; its class is the file's name."""
        made = self._load_gizmo(path, self.root_node)
        for index, above in enumerate(inputs):
            made._inputs[index] = above
        return made

    def look(self, a: Node | None, b: Node | None = None, *, view: str = "", roi: Any = None) -> Viewer:
        """A Viewer that shows nodes; ``roi`` is left, bottom, right, top."""
        viewer = self.node("Viewer", a, b)
        if roi is not None:
            viewer._roi, viewer._roi_enabled = dict(zip("xyrt", roi, strict=True)), True
        window = ViewerWindow(viewer, view or self.views[0], (None if a is None else 0, None if b is None else 1))
        self.viewer_window = window
        return viewer

    def names(self) -> list[str]:
        """All nodes of the script, those in groups too."""

        def inside(group: Group) -> list[str]:
            return [
                name
                for node in group._children
                for name in [node.fullName(), *(inside(node) if isinstance(node, Group) else [])]
            ]

        return inside(self.root_node)

    def run_main_thread(self) -> None:
        """Do what other threads left to be done, as Nuke does when it is idle."""
        while self._waiting:
            call, arguments, words = self._waiting.pop(0)
            call(*arguments, **words)

    def undo(self) -> None:
        """The artist presses Ctrl-Z."""
        _, reversals = self._steps.pop()
        self.undo_list.pop()
        self._revert(reversals)

    def press(self, node: Node, button: knobs.Knob) -> None:
        """Run a button's code as Nuke does: inside the node's group, with thisNode and thisKnob."""
        if isinstance(node, Group):
            self.contexts.append(node)
        self._this.append((node, button))
        try:
            exec(compile(button._value, f"<{node.fullName()}.{button.name()}>", "exec"), vars(__main__))
        finally:
            self._this.pop()
            if isinstance(node, Group):
                self.contexts.pop()

    # The graph

    def scale(self) -> int:
        return 2 if self.root_node._knobs["proxy"].value() else 1

    def add_node(self, kind: str, parent: Group, name: str = "") -> Node:
        if kind not in self.kinds:
            raise RuntimeError(f"{kind}: Unknown command")
        taken = {child._name for child in parent._children}
        number = 1
        while not name or name in taken:
            name, number = f"{kind.rstrip('0123456789')}{number}", number + 1
        node = CLASSES.get(kind, Node)(self, kind, parent, name)
        parent._children.append(node)
        return node

    def remove_node(self, node: Node) -> None:
        cut = [
            (other, index)
            for other in (node._parent._children if node._parent else [])
            for index, above in enumerate(other._inputs)
            if above is node
        ]
        for other, index in cut:
            other._inputs[index] = None
        node._parent._children.remove(node)
        node._gone = True

        def back() -> None:
            node._gone = False
            node._parent._children.append(node)
            for other, index in cut:
                other._inputs[index] = node

        self.did(f"delete {node._name}", back)

    def select(self, node: Node, selected: bool) -> None:
        if node in self._selection:
            self._selection.remove(node)
        if selected:
            self._selection.insert(0, node)
        node._selected = selected

    def select_only(self, node: Node) -> None:
        for other in list(self._selection):
            self.select(other, False)
        self.select(node, True)

    def _load_gizmo(self, path: Path, parent: Group) -> Node:
        loaded = standin_tcl.load(path, [*self.kinds, "Gizmo"])
        if len(loaded) != 1 or loaded[0].kind not in ("Gizmo", "Group"):
            raise standin_tcl.Damaged(f"{path} holds no gizmo")
        kind = "Group"
        if loaded[0].kind == "Gizmo":
            kind = path.stem
            self.kinds[kind], CLASSES[kind] = Kind(10), Gizmo
        return build(self, loaded[0], parent, kind)

    # Undo

    def did(self, name: str, back: Callable[[], object]) -> None:
        """A change of the script, and how to take it back."""
        self.modified = True
        if self._undo_off:
            return
        if self._open:
            self._open[-1][1].append(back)
        else:
            self.undo_list.append(name)
            self._steps.append((name, [back]))

    @property
    def _open(self) -> list[tuple[str, list[Callable[[], object]]]]:
        return self.__dict__.setdefault("_open_steps", [])

    def _revert(self, reversals: list[Callable[[], object]]) -> None:
        self._undo_off += 1
        for back in reversed(reversals):
            back()
        self._undo_off -= 1

    # Callbacks

    def add_callback(self, what: str, call: Any, args: Any, kwargs: Any, kind: str, node: Node | None = None) -> None:
        arguments = args if isinstance(args, tuple) else (args,)
        self._callbacks.setdefault(what, []).append((lambda: call(*arguments, **(kwargs or {})), kind, node))

    def _call_back(self, what: str, node: Node, knob: knobs.Knob | None = None) -> None:
        self._this.append((node, knob))
        try:
            for call, kind, only in self._callbacks.get(what, []):
                if kind in ("*", node._kind) and only in (None, node):
                    call()
        finally:
            self._this.pop()

    def knob_changed(self, node: Node, knob: knobs.Knob) -> None:
        self._call_back("knobChanged", node, knob)

    def close_script(self, name: str = "") -> None:
        """The artist closes the script and opens another, empty one."""
        self._call_back("onScriptClose", self.root_node)
        self.root_node._knobs["name"]._value = name
        for node in self.root_node._children:
            node._gone = True
        self.root_node._children.clear()
        self._selection.clear()

    def show_panel(self, node: Node) -> None:
        """The artist opens a node's panel: Nuke tells of it as of a knob."""
        node._panel = True
        self._call_back("knobChanged", node, knobs.Knob("showPanel"))

    def answer(self, question: str) -> Any:
        if not self.gui:
            raise RuntimeError("there is no GUI to ask in")
        self.said.append(question)
        assert self.answers, f"nobody answers: {question}"
        return self.answers.pop(0)

    # Installation

    @contextlib.contextmanager
    def installed(self) -> Iterator[Session]:
        """`import nuke` finds this session, and the plug-in is imported anew."""
        before, main_had = _take_modules(), vars(__main__).pop("nuke", None)
        modules = make_modules(self)
        sys.modules.update(modules)
        vars(__main__)["nuke"] = modules["nuke"]
        try:
            yield self
        finally:
            _take_modules()
            sys.modules.update(before)
            vars(__main__)["nuke"] = main_had
            if main_had is None:
                del vars(__main__)["nuke"]


def _take_modules() -> dict[str, types.ModuleType]:
    """Nuke's modules and the plug-in's, out of what is imported."""
    ours = ("nuke", "nukescripts", "nuke_plugin")
    return {name: sys.modules.pop(name) for name in list(sys.modules) if name.partition(".")[0] in ours}


class ViewerWindow(knobs.Guarded):
    def __init__(self, node: Viewer, view: str, active: tuple[int | None, int | None]) -> None:
        self._node, self._view, self._active = node, view, list(active)

    def node(self) -> Viewer:
        return self._node

    def view(self) -> str:
        return self._view

    def activeInput(self, secondary: bool = False) -> int | None:
        return self._active[int(secondary)]

    def activateInput(self, index: int, secondary: bool = False) -> None:
        self._active[int(secondary)] = index


class MenuItem(knobs.Guarded):
    def __init__(self, name: str, command: Any, details: dict[str, Any]) -> None:
        self._name, self._command, self._details = name, command, details

    def name(self) -> str:
        return self._name

    def script(self) -> str:
        return self._command if isinstance(self._command, str) else ""

    def invoke(self) -> None:
        if callable(self._command):
            self._command()
        else:
            exec(self._command, vars(__main__))

    def setEnabled(self, enabled: bool) -> None:
        self._details["enabled"] = enabled


class Menu(MenuItem):
    def __init__(self, name: str, details: dict[str, Any]) -> None:
        super().__init__(name, None, details)
        self._items: list[MenuItem] = []

    def addMenu(self, name: str, icon: str = "", tooltip: str = "", index: int = -1) -> Menu:
        return self._add(name, Menu(name.rpartition("/")[2], {"icon": icon, "tooltip": tooltip}), index)

    def addCommand(
        self,
        name: str,
        command: Any = None,
        shortcut: str = "",
        icon: str = "",
        tooltip: str = "",
        index: int = -1,
        readonly: bool = False,
        shortcutContext: int = 0,
    ) -> MenuItem:
        details = {"shortcut": shortcut, "icon": icon, "tooltip": tooltip, "shortcutContext": shortcutContext}
        return self._add(name, MenuItem(name.rpartition("/")[2], command, details), index)

    def addSeparator(self, index: int = -1) -> MenuItem:
        return self._add("-", MenuItem("-", None, {}), index)

    def findItem(self, name: str) -> MenuItem | None:
        first, _, rest = name.partition("/")
        found = next((item for item in self._items if item._name == first), None)
        return found.findItem(rest) if rest and isinstance(found, Menu) else found

    def _add(self, path: str, item: Any, index: int) -> Any:
        first, _, rest = path.partition("/")
        if rest:
            below = self.findItem(first) or self.addMenu(first)
            return below._add(rest, item, index)
        self._items = [old for old in self._items if old._name != item._name or item._name == "-"]
        self._items.insert(len(self._items) if index < 0 else index, item)
        return item


def make_modules(session: Session) -> dict[str, types.ModuleType]:
    """The modules `nuke` and `nukescripts` of a session."""
    nuke = types.ModuleType("nuke", __doc__)
    nukescripts = types.ModuleType("nukescripts")
    panels = types.ModuleType("nukescripts.panels")

    def face(module: types.ModuleType, *, threads: bool = False) -> Callable[[Any], Any]:
        def add(function: Any) -> Any:
            def guarded(*arguments: Any, **words: Any) -> Any:
                if not threads:
                    knobs.check_thread(f"{module.__name__}.{function.__name__}")
                return function(*arguments, **words)

            setattr(module, function.__name__, guarded)
            return function

        return add

    # What Nuke is
    for kind in (Node, Group, Gizmo, Viewer, Menu, MenuItem, ViewerWindow, FrameRange, Format):
        setattr(nuke, kind.__name__, kind)
    for name, kind in vars(knobs).items():
        if isinstance(kind, type) and issubclass(kind, knobs.Knob):
            setattr(nuke, name, kind)
    nuke.CancelledError = CancelledError
    nuke.GUI = session.gui
    nuke.NUKE_VERSION_MAJOR, nuke.NUKE_VERSION_MINOR = session.version

    @face(nuke)
    def root() -> Root:
        return session.root_node

    @face(nuke)
    def views() -> list[str]:
        return list(session.views)

    @face(nuke)
    def frame(number: int | None = None) -> int:
        if number is not None:
            session.frame = int(number)
        return session.frame

    @face(nuke)
    def modified(state: bool | None = None) -> bool:
        if state is not None:
            session.modified = state
        return session.modified

    # Nodes
    def context(group: Group | None = None) -> Group:
        return group or session.contexts[-1]

    class Nodes(knobs.Guarded):
        def __getattr__(self, kind: str) -> Callable[..., Node]:
            def make(**values: Any) -> Node:
                return new_node(kind, values)

            return make

    def new_node(kind: str, values: dict[str, Any]) -> Node:
        node = find_class(kind, context())
        session.did(f"create {node._name}", lambda: session.remove_node(node))
        for name, value in values.items():
            node[name].setValue(value)
        session._call_back("onCreate", node)
        return node

    def find_class(kind: str, parent: Group) -> Node:
        files = [Path(folder) / f"{kind}.gizmo" for folder in session.plugin_paths]
        found = next((path for path in files if path.is_file()), None)
        return session._load_gizmo(found, parent) if found else session.add_node(kind, parent)

    nuke.nodes = Nodes()
    nuke.Nodes = Nodes

    @face(nuke)
    def createNode(kind: str, knobs: str = "", inpanel: bool = True) -> Node:
        above = [node for node in session._selection if node._parent is context()]
        node = new_node(kind, {})
        for index, selected in enumerate(above[: len(node._inputs)]):
            node.setInput(index, selected)
        session.select_only(node)
        node._panel = inpanel
        session._call_back("onUserCreate", node)
        return node

    @face(nuke)
    def toNode(name: str) -> Node | None:
        return context().node(name)

    @face(nuke)
    def exists(name: str) -> bool:
        return context().node(name) is not None

    @face(nuke)
    def delete(node: Node) -> None:
        session.select(node, False)
        session.remove_node(node)

    @face(nuke)
    def cloneSelected(action: str = "") -> bool:
        """A clone has the knobs of the other, its name among them, and inputs of its own."""
        (node,) = session._selection
        clone = session.add_node(node._kind, node._parent)
        clone._name, clone._knobs = node._name, node._knobs
        session.select_only(clone)
        return True

    @face(nuke)
    def allNodes(filter: str = "", group: Group | None = None) -> list[Node]:
        return [node for node in context(group)._children if filter in ("", node._kind)]

    @face(nuke)
    def selectedNodes(filter: str = "") -> list[Node]:
        return [node for node in session._selection if node._parent is context() and filter in ("", node._kind)]

    @face(nuke)
    def selectedNode() -> Node:
        if not session._selection:
            raise ValueError("No node selected")
        return session._selection[0]

    @face(nuke)
    def thisNode() -> Node:
        return session._this[-1][0] if session._this else context()

    @face(nuke)
    def thisKnob() -> knobs.Knob | None:
        return session._this[-1][1] if session._this else None

    @face(nuke)
    def thisGroup() -> Group:
        return context()

    @face(nuke)
    def activeViewer() -> ViewerWindow | None:
        return session.viewer_window

    @face(nuke)
    def filename(node: Node, what: int = 0) -> str | None:
        file = node.knob("file")
        if file is None:
            return None
        proxy = node.knob("proxy")  # in proxy mode a Read works with those, where it has any
        return (proxy and session.scale() > 1 and proxy._subst()) or file._subst() or None

    @face(nuke)
    def execute(
        node: Any, start: int, end: int, step: int = 1, views: Any = None, continueOnError: bool = False
    ) -> None:
        write = node if isinstance(node, Node) else context().node(node)
        if write._kind != "Write":
            raise RuntimeError(f"{write.fullName()} is not executable")
        try:
            session._call_back("beforeRender", write)
        except Exception as error:
            raise RuntimeError(str(error)) from error
        for number in range(start, end + 1, step):
            for view in views or session.views:
                if number == session.cancel_render_at:
                    raise RuntimeError("Cancelled")
                write_file(write, number, view)
                session.rendered.append((number, view, session.scale()))

    # Undo
    class Undo(knobs.Guarded):
        @staticmethod
        def begin(name: str = "") -> None:
            knobs.check_thread("Undo.begin")
            session._open.append((name, []))

        @staticmethod
        def name(name: str) -> None:
            session._open[-1] = (name, session._open[-1][1])

        @staticmethod
        def end() -> None:
            name, reversals = session._open.pop()
            if reversals:
                session.undo_list.append(name)
                session._steps.append((name, reversals))

        @staticmethod
        def cancel() -> None:
            session._revert(session._open.pop()[1])

        @staticmethod
        def disable() -> None:
            knobs.check_thread("Undo.disable")
            session._undo_off += 1

        @staticmethod
        def enable() -> None:
            assert session._undo_off, "Undo.enable without Undo.disable"
            session._undo_off -= 1

        @staticmethod
        def disabled() -> bool:
            return session._undo_off > 0

    nuke.Undo = Undo

    # Talk with the artist
    @face(nuke)
    def message(text: str) -> None:
        if not session.gui:
            raise RuntimeError("there is no GUI to show a message in")
        session.said.append(text)

    @face(nuke)
    def ask(text: str) -> bool:
        return bool(session.answer(text))

    @face(nuke)
    def choice(title: str, prompt: str, options: list[str], default: int = 0) -> int | None:
        answer = session.answer(prompt)
        return options.index(answer) if isinstance(answer, str) else answer

    @face(nuke)
    def getInput(prompt: str, default: str = "") -> str | None:
        return session.answer(prompt)

    @face(nuke)
    def getFilename(message: str, pattern: str = "", default: str = "", **words: Any) -> str | None:
        session.proposed = default
        return session.answer(message)

    @face(nuke, threads=True)
    def tprint(*words: Any, **options: Any) -> None:
        print(*words, **options)

    class ProgressTask(knobs.Guarded):
        def __init__(self, name: str) -> None:
            knobs.check_thread("ProgressTask")
            if not session.gui:
                raise RuntimeError("there is no GUI to show progress in")
            self._shown: list[str] = []
            session.progress.append((name, self._shown))

        def setMessage(self, text: str) -> None:
            self._shown.append(text)

        def setProgress(self, percent: int) -> None:
            if type(percent) is not int or not 0 <= percent <= 100:
                raise TypeError(f"{percent!r} is no whole percentage")
            session.percents.append(percent)

        def isCancelled(self) -> bool:
            return session.cancel_progress_at is not None and len(self._shown) >= session.cancel_progress_at

    nuke.ProgressTask = ProgressTask

    # Callbacks and threads
    def adder(name: str, what: str) -> None:
        def add(call: Any, args: Any = (), kwargs: Any = None, nodeClass: str = "*", node: Node | None = None) -> None:
            session.add_callback(what, call, args, kwargs, nodeClass, node)

        add.__name__ = name
        face(nuke)(add)

    for name in (
        "addKnobChanged",
        "addOnCreate",
        "addOnUserCreate",
        "addOnDestroy",
        "addOnScriptClose",
        "addBeforeRender",
    ):
        adder(name, name[3].lower() + name[4:])

    @face(nuke, threads=True)
    def executeInMainThread(call: Any, args: Any = (), kwargs: Any = None) -> None:
        session._waiting.append((call, args if isinstance(args, tuple) else (args,), kwargs or {}))

    @face(nuke)
    def pluginAddPath(path: str, addToSysPath: bool = True) -> None:
        session.plugin_paths.insert(0, path)

    @face(nuke)
    def pluginPath() -> list[str]:
        return list(session.plugin_paths)

    # Menus and panels
    @face(nuke)
    def menu(name: str) -> Menu:
        if not session.gui:
            raise RuntimeError("not in GUI mode")
        if name not in ("Nuke", "Pane", "Nodes", "Properties", "Animation", "Viewer", "Node Graph", "Axis"):
            raise ValueError(f"there is no menu {name}")
        return session.menus.setdefault(name, Menu(name, {}))

    class PythonPanel(knobs.Guarded):
        def __init__(self, id: str) -> None:
            self._id = id

        def addToPane(self, pane: str) -> None:
            session.shown_panels.append((self._id, pane))

    panels.PythonPanel = PythonPanel

    @face(panels)
    def registerWidgetAsPanel(widget: str, name: str, id: str, create: bool = False) -> PythonPanel | None:
        if not isinstance(widget, str):
            raise TypeError("the widget is named in a text that Nuke evaluates")
        session.panels[id] = (widget, name)
        return PythonPanel(id) if create else None

    @face(nuke)
    def getPaneFor(name: str) -> str:
        return name

    nukescripts.panels = panels
    return {"nuke": nuke, "nukescripts": nukescripts, "nukescripts.panels": panels}


@pytest.fixture
def nuke_session() -> Iterator[Session]:
    """A running Nuke 16 with a GUI and an empty script."""
    with Session().installed() as session:
        yield session
