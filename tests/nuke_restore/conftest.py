"""Nuke's stand-in with the plug-in started, the real inference node and a real server in it."""

from __future__ import annotations

import importlib
import runpy
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import inference_node
import numpy as np
import pytest
import standin_knobs
import standin_tcl
from host import Host
from nuke_standin import Session, nuke_session  # noqa: F401
from onnx import TensorProto, helper, numpy_helper
from server_places import places_of_one_test
from standin_files import pixels_of, write_exr

from wetgate.node.build import binary_in, current, own_platform
from wetgate.onnx_model import ModelCard
from wetgate.service.places import Places

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_S = 120.0


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if standin_tcl.TCLSH is None:
        for item in items:
            if "gizmo" in item.name or "restore_node" in getattr(item, "fixturenames", ()):
                item.add_marker(pytest.mark.skip(reason="NO TCLSH: gizmos are not tested on this machine"))


@pytest.fixture(scope="session")
def ofx() -> Iterator[Host]:
    """The node's binary, loaded once as in a host that stays open."""
    loaded = Host(str(binary_in(current(), own_platform())))
    yield loaded
    loaded.unload()
    assert loaded.violations == []


@pytest.fixture
def places(monkeypatch: pytest.MonkeyPatch) -> Iterator[Places]:
    """Where this test's server is, and the command that starts it and everything else; it is ended afterwards."""
    with places_of_one_test(monkeypatch, f'PYTHONPATH="{ROOT}" exec "{sys.executable}" -m wetgate') as own:
        yield own
        for thread in threading.enumerate():
            if thread.name in ("wetgate-card", "wetgate-background", "wetgate-task"):
                thread.join(PATIENCE_S)  # it may be about to start a server


@pytest.fixture
def started(nuke_session: Session) -> Session:  # noqa: F811
    """Nuke after it has run our init.py and menu.py."""
    for name in ("init.py", "menu.py"):
        runpy.run_path(str(ROOT / name))
    return nuke_session


@pytest.fixture
def wait(started: Session) -> Callable[[Callable[[], object]], None]:
    """Let Nuke's main thread work until something is true."""

    def until(condition: Callable[[], object], patience_s: float = PATIENCE_S) -> None:
        give_up = time.monotonic() + patience_s
        while not condition():
            assert time.monotonic() < give_up, "it did not happen in time"
            started.run_main_thread()
            time.sleep(0.01)

    return until


@pytest.fixture
def save_scan(tmp_path: Path) -> Callable[..., str]:
    """Numbered EXR files of 32 bits in a folder; return their pattern."""

    def save(numbers, folder: str = "scan", size: tuple[int, int] = (64, 48)) -> str:
        (tmp_path / folder).mkdir(parents=True, exist_ok=True)
        for number in numbers:
            write_exr(tmp_path / folder / f"shot.{number:04d}.exr", pixels_of(number, size))
        return str(tmp_path / folder / "shot.####.exr")

    return save


@pytest.fixture
def save_model(tmp_path: Path) -> Callable[..., Path]:
    """A model that takes ``gain`` of the middle frame and a tenth of each neighbour; return its file."""

    def save(
        path: Path | str = "model.onnx",
        *,
        gain: float = 0.5,
        radius: int = 0,
        protected: str = "grain",
        steady: bool = False,
    ) -> Path:
        count = 2 * radius + 1
        weights = np.zeros((3, 3 * count, 1, 1), np.float32)
        for frame in range(count):
            for channel in range(3):
                weights[channel, 3 * frame + channel] = gain if frame == radius else 0.1
        ends = [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", channels, "h", "w"])
            for name, channels in (("frames", 3 * count), ("restored", 3))
        ]
        graph = helper.make_graph(
            [helper.make_node("Conv", ["frames", "weights"], ["restored"])],
            "graph",
            ends[:1],
            ends[1:],
            [numpy_helper.from_array(weights, "weights")],
        )
        proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
        said = {"settings": {"steady": steady}}
        card = ModelCard("color", radius=radius, halo=0, encoding="linear", protected=protected, record=said)
        helper.set_model_props(proto, card.to_metadata())
        target = tmp_path / path
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = target.with_suffix(".new")
        temporary.write_bytes(proto.SerializeToString())
        temporary.replace(target)
        return target

    return save


@pytest.fixture
def open_script(started: Session) -> Callable[[Path], dict[str, object]]:
    """Open a saved script as Nuke does: each node's class, then its knobs, then onCreate; return the nodes by name."""

    def load(path: Path) -> dict[str, object]:
        made: dict[str, object] = {}
        by_id: dict[str, object] = {"0": None}
        for text in standin_tcl.load(path):
            files = [Path(folder, f"{text.kind}.gizmo") for folder in started.plugin_paths]
            gizmo = next((file for file in files if file.is_file()), None)
            node = started._load_gizmo(gizmo, started.root_node) if gizmo else started.node(text.kind)
            for index, above in enumerate(text.above):
                node._inputs[index] = by_id[above]
            for name, value in text.knobs:
                if name == "name":
                    node.setName(value)
                elif name not in ("inputs", "xpos", "ypos", "selected"):
                    knob = node.knob(name)
                    assert knob is not None, f"{text.kind} has no knob {name}: Nuke reads no further"
                    (knob.getLinkedKnob() if isinstance(knob, standin_knobs.Link_Knob) else knob).fromScript(value)
            started._call_back("onCreate", node)
            by_id[text.id] = made[node.name()] = node
        return made

    return load


@pytest.fixture
def applying(started: Session):
    module = importlib.import_module("nuke_plugin.applying")
    yield module
    for name in module._follower.followed():
        module._follower.leave(name)


@pytest.fixture
def restore_node(started: Session, applying, ofx: Host, places: Places, save_scan: Callable[..., str]):
    """A WetgateRestore node below a Read of five frames, with the real inference node inside."""
    inference_node.teach(started, ofx)
    scan = started.read(save_scan(range(1001, 1006)), 1001, 1005)
    started.select_only(scan)
    return importlib.import_module("nuke").createNode("WetgateRestore")
