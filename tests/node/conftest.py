"""The built node, a place for a server of this test's own, models, and pictures."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper
from onnx_graphs import constant, model_of, value
from server_places import places_of_one_test

from wetgate.node.build import binary_in, current, own_platform
from wetgate.onnx_model import ModelCard
from wetgate.service.places import Places


@pytest.fixture(scope="session")
def library() -> str:
    """The node's binary for this machine, built from the sources as they are."""
    return str(binary_in(current(), own_platform()))


@pytest.fixture
def places(monkeypatch: pytest.MonkeyPatch) -> Iterator[Places]:
    """Where this test's server is, and the command that starts one; it is ended afterwards."""
    with places_of_one_test(monkeypatch, f'exec "{sys.executable}" -m wetgate') as own:
        yield own


SaveModel = Callable[..., str]


@pytest.fixture
def save_model(tmp_path: Path) -> SaveModel:
    """Write a model; return its path."""

    def save(proto: onnx.ModelProto, name: str = "model.onnx") -> str:
        (tmp_path / name).write_bytes(proto.SerializeToString())
        return str(tmp_path / name)

    return save


@pytest.fixture
def gain(save_model: SaveModel) -> SaveModel:
    """restored = frames * factor; a coverage of a quarter of red where it is asked for."""

    def build(factor: float = 0.5, *, coverage: bool = False, name: str = "gain.onnx") -> str:
        nodes = [helper.make_node("Mul", ["frames", "factor"], ["restored"])]
        values = [constant("factor", np.float32(factor))]
        outputs = [value("restored", 3)]
        if coverage:
            share = np.array([0.25, 0, 0], np.float32).reshape(1, 3, 1, 1)
            nodes.append(helper.make_node("Conv", ["frames", "share"], ["coverage"]))
            values.append(constant("share", share))
            outputs.append(value("coverage", 1))
        card = ModelCard(recipe="color", record={})
        return save_model(model_of(nodes, values, outputs=outputs, card=card), name)

    return build


@pytest.fixture
def mean_of_window(save_model: SaveModel) -> Callable[..., str]:
    """The middle frame plus a hundredth, two, three ... of each other one: shows which frames a window held."""

    def build(radius: int, name: str = "window.onnx") -> str:
        count = 2 * radius + 1
        weights = np.zeros((3, 3 * count, 1, 1), np.float32)
        for frame in range(count):
            for channel in range(3):
                weights[channel, 3 * frame + channel] = 1.0 if frame == radius else 0.01 * (frame + 1)
        node = helper.make_node("Conv", ["frames", "weights"], ["restored"])
        card = ModelCard(recipe="damage", radius=radius, record={})
        return save_model(
            model_of([node], [constant("weights", weights)], inputs=[value("frames", 3 * count)], card=card), name
        )

    return build


@pytest.fixture
def picture() -> Callable[..., np.ndarray]:
    """Random pixels [H, W, channels]: 0 to 1 or all codes, from a seed."""

    def make(seed: int, size: tuple[int, int] = (24, 16), channels: int = 4, dtype: type = np.float32) -> np.ndarray:
        generator = np.random.default_rng(seed)
        shape = (size[1], size[0], channels)
        if dtype is np.float32:
            return generator.integers(0, 1024, shape).astype(np.float32) / np.float32(1024)
        return generator.integers(0, np.iinfo(dtype).max, shape, dtype, endpoint=True)

    return make
