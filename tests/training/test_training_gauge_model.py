"""The gauge model in torch and in the model file, and what it promises of chroma."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from color_pictures import smooth_picture

from wetgate.inference.session import Session
from wetgate.onnx_model import ModelCard, read_card
from wetgate.training import gauge_contrast, memory, residual_net
from wetgate.training.gauge_bands import Curve, Grain
from wetgate.training.gauge_contrast import Contrast
from wetgate.training.gauge_model import GaugeModel, forward
from wetgate.training.onnx_export import export
from wetgate.training.torch_operations import Torch

ENCODINGS = ("display", "linear", "log")


def gauge_model(encoding="display", radius=0, *, gated=True):
    """Strong enough to change every pixel."""
    generator = np.random.default_rng(3)
    weights = residual_net.initial_weights(2 * radius + 1, 1, 5, (6, 8, 10))
    weights["out.weight"][:] = generator.normal(0, 0.05, weights["out.weight"].shape)
    places = generator.normal([0.5, 0.5, 0.5, -4, -4, -3, -3], 0.3, (700, 7)).astype(np.float32)
    shown = [places], [generator.normal(0, 0.05, (700, 1)).astype(np.float32)], [np.ones(700)]
    if gated:
        contrast = gauge_contrast.remembered(*shown, 0)
    else:
        contrast = Contrast(gauge_contrast.wide(*shown, 0), Curve((0.0,), (0.0,)))
    strength = Curve((0.2, 0.5, 0.7), (0.3, 1.5, 0.8))
    grain = Grain((1.1, 1.2, 1.0), (0.9, 1.0, 0.8), (strength, strength, strength), (0.05, 0.04, 0.03))
    share = 0.7 if gated else 1.0
    return GaugeModel(encoding, radius, 0.45, 0.2, contrast, network=weights, share=share, grain=grain)


def scan(height, width, radius=0, seed=1):
    """Patches and grain; another grain on each frame. [1, 3 * (2r + 1), H, W]"""
    generator = np.random.default_rng(seed)
    frames = [
        smooth_picture(seed, height, width) + generator.normal(0, 0.02, (height, width, 3))
        for _ in range(2 * radius + 1)
    ]
    return np.concatenate(frames, 2).transpose(2, 0, 1)[None].astype(np.float32)


def by_torch(picture, model):
    with torch.no_grad():
        return forward(Torch(), torch.from_numpy(picture), model).numpy()


def saved(path, model):
    card = ModelCard("detail", radius=model.radius, encoding=model.encoding)
    export(path, lambda ops, frames: forward(ops, frames, model), card)
    return path


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize(("radius", "gated"), [(0, True), (1, False)])
def test_the_file_answers_as_torch_does_at_any_size(tmp_path, encoding, radius, gated):
    model = gauge_model(encoding, radius, gated=gated)
    session = Session(saved(tmp_path / "m.onnx", model), "cpu")
    for size in ((1, 1), (1, 7), (37, 53), (101, 203)):
        picture = scan(*size, radius)
        wanted = by_torch(picture, model)
        np.testing.assert_allclose(session.run(picture)[0], wanted, atol=1e-4, rtol=0)
    assert np.abs(wanted - picture[:, 3 * radius : 3 * radius + 3]).mean() > 1e-3


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_as_it_is_made_it_gives_the_scan_back_bit_for_bit(tmp_path, encoding):
    picture = scan(40, 56) * 1.6 - 0.2
    session = Session(saved(tmp_path / "m.onnx", GaugeModel(encoding)), "cpu")
    np.testing.assert_array_equal(session.run(picture)[0], picture)


def test_chroma_is_the_scans_to_a_step_of_8_bits_where_channels_would_clip_too(tmp_path):
    model = gauge_model()
    session = Session(saved(tmp_path / "m.onnx", model), "cpu")
    picture = np.clip(scan(96, 128) * 2.4 - 0.7, 0, 1)
    assert (picture == 0).mean() > 0.05 < (picture == 1).mean()
    scanned = np.round(picture * 255)
    restored = np.round(np.clip(session.run((scanned / 255).astype(np.float32))[0], 0, 1) * 255)
    assert np.abs(restored - scanned).max() > 8
    for first, second in ((0, 1), (2, 1)):
        differences = [one[:, first] - one[:, second] for one in (restored, scanned)]
        assert np.abs(differences[0] - differences[1]).max() <= 1


def test_scene_linear_chroma_is_kept_as_an_eye_weighs_it(tmp_path):
    model = gauge_model("linear")
    picture = np.maximum(scan(64, 64), 0) ** 2.2
    restored = by_torch(picture, model)
    seen = [(np.maximum(one, 0) + 1 / 1024) ** (1 / 2.2) for one in (picture, restored)]
    change = seen[1] - seen[0]
    assert np.ptp(change, axis=1).max() < 1e-3 < np.abs(change).max()


def test_values_beyond_white_and_below_black_are_not_pushed_further(tmp_path):
    model = gauge_model()
    picture = scan(48, 48) * 3 - 1
    restored = by_torch(picture, model)
    above, below = (picture > 1).any(1, keepdims=True), (picture < 0).any(1, keepdims=True)
    change = restored - picture
    assert np.isfinite(restored).all()
    assert change.max(1, keepdims=True)[above].max() <= 1e-6
    assert change.min(1, keepdims=True)[below].min() >= -1e-6


def memory_of(places):
    """Changes nothing, and knows these places."""
    return gauge_contrast.remembered([places], [np.zeros((len(places), 1), np.float32)], [np.ones(len(places))], 0)


def places_of(luma):
    with torch.no_grad():
        return gauge_contrast.features(Torch(), luma)[0].flatten(1).T.numpy()


def test_detail_and_grain_are_taken_whole_where_a_place_is_known_and_by_their_share_elsewhere():
    luma = torch.from_numpy(np.asarray(0.3 + scan(64, 96) * 0.4))[:, :1]
    places = places_of(luma)
    known, unlike = memory_of(places), memory_of(places + 9)
    picture = luma.repeat(1, 3, 1, 1).numpy()
    whole = by_torch(picture, gauge_model().with_(share=1.0, contrast=known)) - picture
    assert np.abs(whole).mean() > 3e-3
    for contrast, share, wanted in ((known, 0.0, whole), (unlike, 0.0, 0 * whole), (unlike, 0.5, whole / 2)):
        change = by_torch(picture, gauge_model().with_(contrast=contrast, share=share)) - picture
        np.testing.assert_allclose(change, wanted, atol=0.1 * np.abs(whole).max() if contrast is known else 1e-5)


def test_a_place_that_looks_like_the_pairs_is_not_known_where_nothing_around_it_does():
    """Another shot has such places by chance."""
    alone, most = torch.zeros(1, 1, 64, 64), torch.zeros(1, 1, 64, 64)
    alone[..., 26:38, 26:38] = most[..., 8:56, 8:56] = 1.0
    for near, expected in ((alone, 0.0), (most, 1.0)):
        assert float(memory.known(Torch(), near, 16)[0, 0, 32, 32]) == pytest.approx(expected, abs=0.01)


def test_what_lies_beyond_the_halo_changes_nothing(tmp_path):
    path = saved(tmp_path / "m.onnx", gauge_model())
    card, session = read_card(path), Session(path, "cpu")
    assert card.multiple == 16
    assert card.halo <= 400
    picture = scan(16, 1200)
    other = picture.copy()
    other[..., 560 + card.halo + 1 :] *= 0.5
    answers = [session.run(one)[0] for one in (picture, other)]
    assert np.abs(answers[0] - answers[1])[..., :560].max() < 1e-6
    assert np.abs(answers[0] - answers[1])[..., 560:].max() > 1e-2


def test_a_curve_runs_through_its_points_and_is_level_outside():
    curve = Curve((0.2, 0.4, 0.8), (1.0, 3.0, 2.0))
    x = torch.tensor([-1.0, 0.2, 0.3, 0.4, 0.6, 0.8, 5.0])
    np.testing.assert_allclose(curve.apply(Torch(), x).numpy(), [1, 1, 2, 3, 2.5, 2, 2], atol=1e-6)
    np.testing.assert_allclose(Curve((0.3,), (0.7,)).apply(Torch(), x).numpy(), 0.7)
