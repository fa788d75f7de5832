"""A real inference server for one test, scans to restore, and models."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper
from server_places import places_of_one_test

from wetgate.images import write_image
from wetgate.onnx_model import ModelCard
from wetgate.service.places import Places

ROOT = Path(__file__).resolve().parents[2]
SERVER = f"import sys; sys.path.insert(0, {str(ROOT)!r}); from wetgate.cli.main import main; sys.exit(main())"


@pytest.fixture
def places(monkeypatch: pytest.MonkeyPatch) -> Iterator[Places]:
    """Where this test's server is; it is ended afterwards."""
    with places_of_one_test(monkeypatch) as own:
        yield own


@pytest.fixture
def command() -> list[str]:
    """What starts this checkout's Wetgate from any folder."""
    return [sys.executable, "-c", SERVER]


@pytest.fixture
def save_model(tmp_path: Path) -> Callable[..., Path]:
    """A convolution of the window: the middle frame at half, and a hundredth of each neighbour; return the file."""

    def save(radius: int = 0, *, layers: int = 1, name: str = "model.onnx") -> Path:
        count = 2 * radius + 1
        first = np.zeros((3, 3 * count, 1, 1), np.float32)
        for frame in range(count):
            for channel in range(3):
                first[channel, 3 * frame + channel] = 0.5 if frame == radius else 0.01 * (frame + 1)
        blur = np.zeros((3, 3, 7, 7), np.float32)
        for channel in range(3):
            blur[channel, channel] = 1 / 49
        names = ["frames", *(f"x{index}" for index in range(layers - 1)), "restored"]
        nodes = [
            helper.make_node(
                "Conv",
                [names[index], "first" if index == 0 else "blur"],
                [names[index + 1]],
                pads=[3 * (index > 0)] * 4,
            )
            for index in range(layers)
        ]
        frames, restored = (
            helper.make_tensor_value_info(label, TensorProto.FLOAT, ["n", channels, "h", "w"])
            for label, channels in (("frames", 3 * count), ("restored", 3))
        )
        weights = [numpy_helper.from_array(array, label) for label, array in (("first", first), ("blur", blur))]
        proto = helper.make_model(
            helper.make_graph(nodes, "graph", [frames], [restored], weights),
            opset_imports=[helper.make_opsetid("", 18)],
            ir_version=9,
        )
        helper.set_model_props(proto, ModelCard("damage", radius=radius, halo=3 * layers).to_metadata())
        path = tmp_path / name
        path.write_bytes(proto.SerializeToString())
        return path

    return save


@pytest.fixture
def save_scan(tmp_path: Path) -> Callable[..., dict[int, Path]]:
    """Numbered pictures ``scan/shot.1001.exr``; return them by number."""

    def save(numbers, *, suffix: str = ".exr", depth: str | None = None, folder: str = "scan", size=(48, 40)):
        scan = {}
        (tmp_path / folder).mkdir(exist_ok=True)
        for number in numbers:
            scan[number] = tmp_path / folder / f"shot.{number:04d}{suffix}"
            pixels = np.random.default_rng(number).integers(0, 1024, (size[1], size[0], 3)) / np.float32(1023)
            write_image(scan[number], pixels.astype(np.float32), bit_depth=depth)
        return scan

    return save
