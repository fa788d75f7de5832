"""The residual network in torch and in the model file."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from wetgate.inference.session import Session
from wetgate.onnx_model import ModelCard, read_card
from wetgate.training import residual_net
from wetgate.training.onnx_export import export
from wetgate.training.torch_operations import Torch


def drawn(seed=0, widths=(6, 8, 10)):
    weights = residual_net.initial_weights(3, 3, seed, widths)
    last = weights["out.weight"]
    last[:] = np.random.default_rng(seed).normal(0, 0.1, last.shape)
    return weights


def forward(ops, frames, weights):
    padded = ops.pad_to_multiple(frames, residual_net.multiple_of(weights))
    return ops.crop_like(ops.add(padded, residual_net.apply(ops, padded, weights)), frames)


def saved(path, weights):
    export(path, lambda ops, frames: forward(ops, frames, weights), ModelCard("detail"))
    return path


def noise(height, width, seed=1):
    return np.random.default_rng(seed).standard_normal((1, 3, height, width), np.float32)


def test_it_starts_as_adding_nothing():
    weights = residual_net.initial_weights(3, 3, 0)
    picture = torch.from_numpy(noise(16, 24))
    assert torch.equal(forward(Torch(), picture, weights), picture)


@pytest.mark.parametrize("widths", [(6,), (6, 8), (6, 8, 10)])
def test_the_file_answers_as_torch_does_at_any_size(tmp_path, widths):
    weights = drawn(widths=widths)
    session = Session(saved(tmp_path / "m.onnx", weights), "cpu")
    for size in ((1, 1), (1, 7), (37, 53)):
        picture = noise(*size)
        with torch.no_grad():
            wanted = forward(Torch(), torch.from_numpy(picture), weights).numpy()
        np.testing.assert_allclose(session.run(picture)[0], wanted, atol=1e-4, rtol=0)
        assert np.abs(wanted - picture).max() > 1e-2


def test_what_lies_beyond_the_halo_changes_nothing_and_what_lies_within_does(tmp_path):
    path = saved(tmp_path / "m.onnx", drawn())
    halo, session = read_card(path).halo, Session(path, "cpu")
    picture = noise(16, 240)
    answer = session.run(picture)[0]
    for distance, changes in ((halo + 1, False), (halo // 3, True)):
        other = picture.copy()
        other[..., 100 + distance :] += 1
        difference = np.abs(session.run(other)[0] - answer)[..., 100].max()
        assert (difference > 1e-6) == changes


def test_costs_are_counted_by_level():
    weights = residual_net.initial_weights(1, 1, 0, (4, 8))
    expected = 9 * 4 + 9 * 16 + (9 * 32 + 9 * 64 + 32) / 4 + 2 * 9 * 16 + 9 * 4
    assert residual_net.multiplications(weights) == expected
    assert residual_net.multiplications(residual_net.initial_weights(1, 1, 0)) == 42_480
