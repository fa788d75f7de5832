"""The plug-in in the real Nuke: what works there, step by step, as a table.

    nuke -t tests/in_nuke.py [MODEL]

Nothing is installed and no script is changed; frames go to a temporary folder. With a model's file, frames are restored
by files and, where the inference node is installed, by the node too. Ends with exit code 1 when a step has failed.
"""

from __future__ import annotations

import ast
import contextlib
import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import nuke

ROOT = Path(__file__).resolve().parents[1]
OK, SKIPPED, FAILED = "ok", "skipped", "FAILED"
FRAMES = [1, 2]


class Skip(Exception):
    """A step that cannot be tried here, and why."""


def what_this_is() -> str:
    return f"Nuke {nuke.NUKE_VERSION_MAJOR}.{nuke.NUKE_VERSION_MINOR}, Python {platform.python_version()}"


def the_plug_in_starts() -> str:
    if str(ROOT) not in sys.path:
        sys.path.insert(0, str(ROOT))
    from nuke_plugin import starting

    starting.everywhere(str(ROOT))
    return os.path.dirname(starting.__file__)


def names_are_there() -> str:
    """Every `nuke.x` and `nuke.x.y` in host.py."""
    tree = ast.parse((ROOT / "nuke_plugin" / "host.py").read_text(encoding="utf-8"))
    first, second = set(), set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "nuke":
            first.add(node.attr)
        inner = node.value if isinstance(node, ast.Attribute) else None
        if isinstance(inner, ast.Attribute) and isinstance(inner.value, ast.Name) and inner.value.id == "nuke":
            second.add((inner.attr, node.attr))
    windows = {"menu", "toolbar", "message", "ask", "choice", "getPaneFor"}
    missing = [name for name in sorted(first - windows) if not hasattr(nuke, name)]
    classes = [(one, two) for one, two in sorted(second) if one not in ("nodes", *windows, *missing)]
    missing += [f"{one}.{two}" for one, two in classes if not hasattr(getattr(nuke, one), two)]
    assert not missing, f"this Nuke has no {', '.join(missing)}"
    return f"{len(first)} names"


def the_engine_is_found() -> str:
    from wetgate.errors import WetgateError
    from wetgate.service.starting import find_command

    try:
        return find_command()[0]
    except WetgateError as error:
        raise Skip(str(error)) from error


def the_inference_node_is_there() -> str:
    from nuke_plugin.starting import INFERENCE_NODE

    try:
        node = nuke.createNode(INFERENCE_NODE, inpanel=False)
    except RuntimeError as error:
        raise Skip(f"{str(error).strip()}: run `wetgate node install`") from error
    inputs = node.maxInputs()
    nuke.delete(node)
    assert inputs == 2, f"{INFERENCE_NODE} has {inputs} inputs, not Source and Mask"
    return f"{INFERENCE_NODE}, Source and Mask"


def the_gizmo(kind: str, *knobs: str) -> str:
    for other in nuke.selectedNodes():
        other.setSelected(False)
    node = nuke.createNode(kind, inpanel=False)
    try:
        assert node.Class() == kind, f"its class is {node.Class()}"
        values = {name: node[name].value() for name in knobs}
        return ", ".join(f"{name} {value!r}" for name, value in values.items())
    finally:
        nuke.delete(node)


def the_restore_gizmo() -> str:
    return the_gizmo("WetgateRestore", "show", "mix", "device", "follow", "wetgate_version")


def the_pairs_gizmo() -> str:
    return the_gizmo("WetgatePairs", "folder", "recipe", "encoding", "frames")


class Bench:
    """Two nodes to take frames from, and a folder to put them in."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="wetgate-in-nuke-"))
        self.scan = nuke.nodes.CheckerBoard2()
        self.reference = nuke.nodes.CheckerBoard2()
        self.model = next((word for word in sys.argv[1:] if word.endswith(".onnx")), "")

    def close(self) -> None:
        for node in (self.scan, self.reference):
            with contextlib.suppress(ValueError):  # gone already
                nuke.delete(node)
        shutil.rmtree(self.folder, ignore_errors=True)

    # Steps

    def frames_are_written(self) -> str:
        from nuke_plugin import host

        before = [node.fullName() for node in nuke.allNodes()], nuke.modified()
        (self.folder / "scan").mkdir()
        pattern = str(self.folder / "scan" / "scan.####.exr")
        host.write_frames(self.scan.fullName(), FRAMES, pattern)
        assert ([node.fullName() for node in nuke.allNodes()], nuke.modified()) == before, "the script was changed"
        for frame in FRAMES:
            head = (self.folder / "scan" / f"scan.{frame:04d}.exr").read_bytes()[:4]
            assert head == b"\x76\x2f\x31\x01", f"frame {frame} is no EXR file"
        read = nuke.toNode(host.create_read(pattern, FRAMES[0], FRAMES[-1], "raw"))
        try:
            size = host.picture_size(self.scan.fullName())
            assert host.picture_size(read.fullName()) == size, "its size is another"
            return f"{size[0]} x {size[1]}, {self._same_pixels(read, size)}"
        finally:
            nuke.delete(read)

    def _same_pixels(self, read: nuke.Node, size: tuple) -> str:
        if not hasattr(read, "sample"):
            return "pixels not looked at"
        places = [(size[0] * x // 7 + 0.5, size[1] * y // 5 + 0.5) for x in range(1, 7) for y in range(1, 5)]
        for channel in ("red", "green", "blue"):
            for x, y in places:
                one, other = (node.sample(channel, x, y) for node in (self.scan, read))
                assert one == other, f"{channel} at {x}, {y} is {other}, not {one}"
        return f"{len(places)} pixels the same"

    def a_pair_is_added(self) -> str:
        from nuke_plugin import collecting
        from wetgate.project import open_restoration

        folder = str(self.folder / "test.wetgate")
        added = collecting.add_pair(folder, self.scan.fullName(), self.reference.fullName(), FRAMES[0])
        (pair,) = open_restoration(folder).pairs()
        pair.check_unaltered()
        return str(added)

    def paths_are_read_as_written(self) -> str:
        from nuke_plugin import host

        read = nuke.nodes.Read()
        try:
            for text, wanted in (
                ("/reel #3/shot.####.exr", ("/reel #3/shot.####.exr",)),
                (host.as_text("/[4K] $5/shot.####.exr"), ("/[4K] $5/shot.####.exr", "/[4K] $5/shot.%04d.exr")),
            ):
                read["file"].setValue(text)
                found = host.path(read.fullName(), "file")
                assert found in wanted, f"{text} became {found}"
        finally:
            nuke.delete(read)
        return "places for the frame stay, and what is Tcl"

    def clones_are_known(self) -> str:
        assert not self.scan.clones(), f"a node that is none has {self.scan.clones()}"
        self.scan.selectOnly()
        nuke.cloneSelected()
        clones = [node for node in nuke.allNodes(self.scan.Class()) if node.clones()]
        try:
            assert len(clones) == 2, f"{len(clones)} nodes are clones, not 2"
        finally:
            nuke.delete(nuke.selectedNode())
        return "2 of one name"

    def frames_are_restored_by_files(self) -> str:
        from nuke_plugin.restoring import render_files

        self._require_model()
        scan = {frame: self.folder / "scan" / f"scan.{frame:04d}.exr" for frame in FRAMES}
        outcome = render_files(self.model, scan, str(self.folder / "restored" / "made.####.exr"))
        assert list(outcome.made) == FRAMES, f"only {outcome.made}"
        return f"{len(FRAMES)} frames, on {outcome.device}"

    def frames_are_restored_by_the_node(self) -> str:
        from nuke_plugin import host

        self._require_model()
        the_inference_node_is_there()
        self.scan.selectOnly()
        node = host.create_restore(self.model)
        try:
            host.write_frames(node, FRAMES, str(self.folder / "node.####.exr"))
        finally:
            nuke.delete(nuke.toNode(node))
        return f"{len(FRAMES)} frames"

    def _require_model(self) -> None:
        if not self.model:
            raise Skip("name a model: nuke -t tests/in_nuke.py MODEL")
        the_engine_is_found()


def tried(name: str, step: Callable[[], str]) -> tuple:
    try:
        return OK, name, step()
    except Skip as reason:
        return SKIPPED, name, str(reason)
    except Exception as error:  # the table must come, whatever this Nuke does
        return FAILED, name, f"{type(error).__name__}: {error}"


def main() -> int:
    rows = [
        tried("this is", what_this_is),
        tried("the plug-in starts", the_plug_in_starts),
        tried("Nuke has what the plug-in calls", names_are_there),
        tried("the engine is found", the_engine_is_found),
        tried("the inference node is there", the_inference_node_is_there),
        tried("WetgateRestore opens", the_restore_gizmo),
        tried("WetgatePairs opens", the_pairs_gizmo),
    ]
    bench = Bench()
    try:
        rows += [
            tried("frames are written", bench.frames_are_written),
            tried("a pair is added", bench.a_pair_is_added),
            tried("paths are read as they are written", bench.paths_are_read_as_written),
            tried("clones are known", bench.clones_are_known),
            tried("frames are restored by files", bench.frames_are_restored_by_files),
            tried("frames are restored by the node", bench.frames_are_restored_by_the_node),
        ]
    finally:
        bench.close()
    width = max(len(name) for _, name, _ in rows)
    for state, name, detail in rows:
        print(f"  {state:<7}  {name:<{width}}  {detail}")
    failed = sum(state == FAILED for state, _, _ in rows)
    print(f"\n{failed} of {len(rows)} steps failed." if failed else "\nNo step failed.")
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main())
