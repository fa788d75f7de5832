"""A temporal model as recipes write them: the file, its tiles, the server and whole sequences all give the same."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from real_server import restore

from wetgate.images import open_sink, open_source, read_image
from wetgate.inference.sequences import apply
from wetgate.inference.session import Session
from wetgate.inference.tiles import Restorer
from wetgate.onnx_model import ModelCard, read_card
from wetgate.service.layout import window_of
from wetgate.training import residual_net
from wetgate.training.onnx_export import export
from wetgate.training.torch_operations import Torch

torch.set_num_threads(1)

RADII = (1, 2)


def weights_of(radius: int):
    """Of a small residual network that sees the whole window and gives three channels."""
    weights = residual_net.initial_weights(3 * (2 * radius + 1), 3, seed=radius, widths=(4, 6, 8))
    last = weights["out.weight"]
    last[:] = np.random.default_rng(9).normal(0, 0.05, last.shape)
    return weights


def forward(ops, frames, weights, radius: int):
    """What is drawn from all frames is added to the middle one."""
    padded = ops.pad_to_multiple(frames, residual_net.multiple_of(weights))
    added = residual_net.apply(ops, ops.affine(padded, 2.0, -1.0), weights)
    return ops.crop_like(ops.add(ops.channels(padded, 3 * radius, 3 * radius + 3), added), frames)


@pytest.fixture
def model(tmp_path):
    def build(radius: int) -> Path:
        path, weights = tmp_path / f"window{radius}.onnx", weights_of(radius)
        card = ModelCard("detail", radius=radius, record={"seed": radius})
        export(path, lambda ops, frames: forward(ops, frames, weights, radius), card)
        return path

    return build


def frames_of(radius: int, height: int, width: int):
    return np.random.default_rng(3).random((2 * radius + 1, height, width, 3), dtype=np.float32)


@pytest.mark.parametrize("radius", RADII)
@pytest.mark.parametrize("size", [(1, 1), (5, 2), (37, 50)])
def test_the_file_computes_what_was_trained(model, radius, size):
    frames = frames_of(radius, *size).transpose(0, 3, 1, 2).reshape(1, -1, *size)
    weights = {name: torch.from_numpy(array) for name, array in weights_of(radius).items()}
    wanted = forward(Torch(), torch.from_numpy(frames), weights, radius).numpy()
    restored, _ = Session(model(radius), "cpu").run(frames)
    assert restored.shape == (1, 3, *size)
    np.testing.assert_allclose(restored, wanted, atol=1e-4)
    middle = frames[:, 3 * radius : 3 * radius + 3]
    assert np.abs(restored - middle).max() > 1e-3


@pytest.mark.parametrize("radius", RADII)
def test_tiles_equal_the_whole_frame_bit_for_bit(model, radius):
    path = model(radius)
    window = list(frames_of(radius, 101, 134))
    whole, *_ = Restorer(Session(path, "cpu")).restore(window)
    assert 0 < read_card(path).halo < 40 and read_card(path).multiple == 4
    for tile in (8, 24):
        tiled, _, effort = Restorer(Session(path, "cpu"), tile).restore(window)
        assert effort.tiles > 4
        assert np.array_equal(tiled, whole)


@pytest.mark.parametrize("radius", RADII)
def test_each_frame_of_the_window_counts_in_its_place(model, radius):
    session = Session(model(radius), "cpu")
    window = frames_of(radius, 12, 12)
    answers = [session.run(window.transpose(0, 3, 1, 2).reshape(1, -1, 12, 12))[0]]
    for index in range(2 * radius + 1):
        other = window.copy()
        other[index] += 0.25
        answers.append(session.run(other.transpose(0, 3, 1, 2).reshape(1, -1, 12, 12))[0])
    assert len({answer.tobytes() for answer in answers}) == 2 * radius + 2


@pytest.mark.parametrize("radius", RADII)
def test_sequences_servers_and_bare_sessions_agree(model, serving, save_sequence, tmp_path, radius):
    path, numbers = model(radius), [1, 2, 3, 5]
    scan = save_sequence(numbers, depth="float")
    with open_source(scan) as source:
        apply(Session(path, "cpu"), source, open_sink(tmp_path / "applied", source))
    scanned = {number: read_image(scan / f"shot.{number:04d}.exr").pixels for number in numbers}
    with serving.client() as client:
        for number in numbers:
            window = window_of(number, radius, frozenset(numbers))
            applied = read_image(tmp_path / "applied" / f"shot.{number:04d}.exr").pixels
            bare, *_ = Restorer(Session(path, "cpu")).restore([scanned[one] for one in window])
            served, *_ = restore(client, path, [scanned[one] for one in window], numbers=window)
            files = [scan / f"shot.{one:04d}.exr" for one in window]
            client.render_file(files, tmp_path / "filed" / f"{number}.exr", path, numbers=window)
            filed = read_image(tmp_path / "filed" / f"{number}.exr").pixels
            assert np.array_equal(applied, bare)
            assert np.array_equal(applied, served)
            assert np.array_equal(applied, filed)
