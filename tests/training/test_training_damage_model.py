"""The damage model: in the file as in torch, in tiles as whole, and the scan's own outside the damage, bit for bit."""

from __future__ import annotations

import cv2
import numpy as np
import onnx
import pytest
import torch

from wetgate.inference.session import Session
from wetgate.inference.tiles import Restorer
from wetgate.onnx_model import ENCODINGS, ModelCard
from wetgate.training.damage_model import DamageModel, forward, initial_weights
from wetgate.training.onnx_export import export
from wetgate.training.torch_operations import Torch


@pytest.fixture(scope="module")
def make_model():
    """A model with random numbers in all layers, that takes about a third of a noisy picture for damage."""

    def make(encoding: str = "display", radius: int = 1) -> DamageModel:
        random = np.random.default_rng(6)
        finding, filling = initial_weights(radius, 0)
        for weights in (finding, filling):
            weights["out.weight"] = random.normal(0, 0.05, weights["out.weight"].shape).astype(np.float32)
        return DamageModel(encoding, radius, finding, filling, 0.0)

    return make


@pytest.fixture
def save(tmp_path):
    def save(model: DamageModel, name: str = "damage.onnx", **options) -> Session:
        card = ModelCard("damage", radius=model.radius, encoding=model.encoding)
        export(tmp_path / name, lambda ops, frames: forward(ops, frames, model), card, **options)
        return Session(tmp_path / name, "cpu")

    return save


def moving(height, width, radius=1, seed=3):
    """Frames [2r+1, H, W, 3] of a drifting picture with grain."""
    random = np.random.default_rng(seed)
    scene = cv2.GaussianBlur(random.random((height + 60, width + 60, 3)), (0, 0), 3)
    scene = (scene - scene.min()) / (scene.max() - scene.min())
    frames = [scene[20 + 2 * k :, 20 + 3 * k :][:height, :width] for k in range(-radius, radius + 1)]
    return np.stack([frame + random.normal(0, 0.02, frame.shape) for frame in frames]).astype(np.float32)


def planes(frames):
    return np.ascontiguousarray(frames.transpose(0, 3, 1, 2).reshape(1, -1, *frames.shape[1:3]))


def in_torch(model, stacked, **told):
    with torch.no_grad():
        ops = Torch({name: torch.from_numpy(value) for name, value in told.items()})
        return forward(ops, torch.from_numpy(stacked), model).numpy()


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize(("radius", "size"), [(1, (61, 83)), (2, (48, 40))])
def test_the_file_gives_what_torch_gives(make_model, save, encoding, radius, size):
    model = make_model(encoding, radius)
    stacked = planes(moving(*size, radius))
    restored, _ = save(model).run(stacked)
    middle = stacked[:, 3 * radius : 3 * radius + 3]
    repaired = (restored != middle).any(axis=1)
    assert 0.01 < repaired.mean() < 0.98
    wanted = in_torch(model, stacked)
    same = repaired == (wanted != middle).any(axis=1)
    assert same.mean() > 0.999  # a logit on the very threshold may fall either way
    np.testing.assert_allclose(restored[:, :, same[0]], wanted[:, :, same[0]], atol=1e-4)


def test_outside_the_damage_every_bit_is_the_scans(make_model, save):
    session = save(make_model())
    stacked = planes(moving(70, 90))
    mask = np.zeros((1, 1, 70, 90), np.float32)
    mask[..., 20:40, 30:70] = 1
    mask[..., 3, :] = 1
    restored, _ = session.run(stacked, damage=mask)
    inside = np.broadcast_to(mask > 0.5, restored.shape)
    assert np.array_equal(restored[~inside], stacked[:, 3:6][~inside])
    assert (restored[inside] != stacked[:, 3:6][inside]).mean() > 0.99
    nothing, _ = session.run(stacked, damage=np.zeros_like(mask))
    assert np.array_equal(nothing, stacked[:, 3:6])


def test_what_is_told_is_repaired_in_the_file_as_in_torch(make_model, save):
    model = make_model("log")
    stacked = planes(moving(50, 66))
    mask = (np.random.default_rng(8).random((1, 1, 50, 66)) > 0.8).astype(np.float32)
    restored, _ = save(model).run(stacked, damage=mask)
    np.testing.assert_allclose(restored, in_torch(model, stacked, damage=mask), atol=1e-4)


def test_tiles_give_the_same_bits(make_model, save):
    session = save(make_model())
    halo = session.card.halo
    assert halo is not None and halo < 600
    frames = [np.ascontiguousarray(frame) for frame in moving(64, 2 * halo + 160)]
    whole, _, one = Restorer(session, tile=4096).restore(frames)
    parts, _, several = Restorer(session, tile=64).restore(frames)
    assert (one.tiles, several.tiles > 1) == (1, True)
    assert np.array_equal(whole, parts)


@pytest.mark.parametrize("size", [(1, 1), (3, 20), (17, 9)])
def test_any_size_and_any_number_of_windows(make_model, save, size):
    session = save(make_model())
    stacked = np.concatenate([planes(moving(*size, seed=seed)) for seed in (1, 2)])
    together, _ = session.run(stacked)
    assert together.shape == (2, 3, *size) and np.isfinite(together).all()
    alone, _ = session.run(stacked[1:])
    np.testing.assert_allclose(together[1:], alone, atol=1e-6)


@pytest.mark.parametrize("encoding", ["display", "linear"])
def test_values_outside_are_not_clamped(make_model, save, encoding):
    session = save(make_model(encoding))
    stacked = planes(moving(32, 32) * 30 - 5)
    mask = np.zeros((1, 1, 32, 32), np.float32)
    mask[..., 10:14, 10:14] = 1
    restored, _ = session.run(stacked, damage=mask)
    outside = np.broadcast_to(mask < 0.5, restored.shape)
    assert np.array_equal(restored[outside], stacked[:, 3:6][outside])
    assert np.isfinite(restored).all()


def test_in_half_precision_damage_is_filled_alike(make_model, save):
    model = make_model()
    stacked = planes(moving(48, 64))
    mask = np.ones((1, 1, 48, 64), np.float32)
    whole, half = (
        save(model, name, half=half).run(stacked, damage=mask)[0] for name, half in (("a", False), ("b", True))
    )
    assert np.abs(whole - half).max() < 0.02
    assert not np.array_equal(whole, half)


def test_the_file_is_valid(make_model, save, tmp_path):
    session = save(make_model(radius=2))
    onnx.checker.check_model(onnx.load(tmp_path / "damage.onnx"), full_check=True)
    assert session.takes_damage and session.card.radius == 2
