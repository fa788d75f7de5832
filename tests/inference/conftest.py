"""Model files."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper
from onnx_graphs import constant, encoder_decoder, model_of, value
from real_server import RealServer
from server_places import places_of_one_test

from wetgate.images import write_image
from wetgate.onnx_model import ModelCard
from wetgate.service.places import Places

SaveModel = Callable[..., Path]


@pytest.fixture
def save_model(tmp_path: Path) -> SaveModel:
    """Write a model (a ModelProto or bytes) into tmp_path; return the path."""

    def save(model: onnx.ModelProto | bytes, name: str = "model.onnx") -> Path:
        path = tmp_path / name
        path.write_bytes(model if isinstance(model, bytes) else model.SerializeToString())
        return path

    return save


@pytest.fixture
def gain(save_model: SaveModel) -> Callable[..., Path]:
    """restored = frames * factor + offset, with a coverage of 0.75 where asked for."""

    def build(factor: float = 0.5, offset: float = 0.0, *, coverage: bool = False, name: str = "gain.onnx") -> Path:
        nodes = [helper.make_node("Mul", ["frames", "factor"], ["scaled"])]
        nodes += [helper.make_node("Add", ["scaled", "offset"], ["restored"])]
        values = [constant("factor", np.float32(factor)), constant("offset", np.float32(offset))]
        outputs = [value("restored", 3)]
        if coverage:
            values += [constant("none", np.float32(0)), constant("share", np.float32(0.75))]
            nodes += [helper.make_node("ReduceMax", ["frames", "axes"], ["peak"], keepdims=1)]
            values += [constant("axes", np.array([1], np.int64))]
            nodes += [helper.make_node("Mul", ["peak", "none"], ["nothing"])]
            nodes += [helper.make_node("Add", ["nothing", "share"], ["coverage"])]
            outputs += [value("coverage", 1)]
        card = ModelCard(recipe="color", record={"seed": 1}, producer="test 1")
        return save_model(model_of(nodes, values, outputs=outputs, card=card), name)

    return build


@pytest.fixture
def mean_of_window(save_model: SaveModel) -> Callable[[int], Path]:
    """The middle frame plus a hundredth of each neighbour: shows which frames a window held."""

    def build(radius: int) -> Path:
        count = 2 * radius + 1
        weights = np.zeros((3, 3 * count, 1, 1), np.float32)
        for frame in range(count):
            for channel in range(3):
                weights[channel, 3 * frame + channel] = 1.0 if frame == radius else 0.01 * (frame + 1)
        card = ModelCard(recipe="damage", radius=radius, record={})
        node = helper.make_node("Conv", ["frames", "weights"], ["restored"])
        model = model_of([node], [constant("weights", weights)], inputs=[value("frames", 3 * count)], card=card)
        return save_model(model, f"window{radius}.onnx")

    return build


@pytest.fixture
def deep(save_model: SaveModel) -> Path:
    """The encoder-decoder with its true halo and multiple."""
    return save_model(encoder_decoder(), "deep.onnx")


SaveSequence = Callable[..., Path]


@pytest.fixture
def save_sequence(tmp_path: Path) -> SaveSequence:
    """Write numbered pictures of random pixels (0-1, exact in half) as ``scan/shot.1001.exr``; return the folder."""

    def save(numbers, *, suffix=".exr", size=(24, 16), folder="scan", depth=None, alpha=False, like=None) -> Path:
        place = tmp_path / folder
        place.mkdir(exist_ok=True)
        for number in numbers:
            generator = np.random.default_rng(number)
            pixels = generator.integers(0, 1024, (size[1], size[0], 3)).astype(np.float32) / 1024
            plane = pixels[..., 0].copy() if alpha else None
            write_image(place / f"shot.{number:04d}{suffix}", pixels, bit_depth=depth, alpha=plane, like=like)
        return place

    return save


@pytest.fixture
def places(monkeypatch: pytest.MonkeyPatch) -> Iterator[Places]:
    """Places of this test alone, which the environment names."""
    with places_of_one_test(monkeypatch) as own:
        yield own


@pytest.fixture
def serving(places: Places) -> Iterator[RealServer]:
    """A server that the first client starts."""
    server = RealServer(places)
    yield server
    server.end()
