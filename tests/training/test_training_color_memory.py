"""What a colour model remembers of places that the pairs show."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
from color_pictures import faded, smooth_picture, torch_answer

from wetgate.inference.session import Session
from wetgate.inference.tiles import Restorer
from wetgate.onnx_model import ModelCard, read_card
from wetgate.training import closed_form
from wetgate.training.color_model import forward
from wetgate.training.onnx_export import export
from wetgate.training.samples import make_sample

HEIGHT, WIDTH = 256, 320
ENCODINGS = ("display", "linear", "log")


def painted(seed, grain=0):
    """A grainy scan, and its picture with a tint here and there that no colour of the scan tells."""
    original = smooth_picture(seed, HEIGHT, WIDTH)
    tint = np.random.default_rng(seed + 90).normal(0, 1, (5, 6, 3)).astype(np.float32)
    tint = cv2.resize(tint, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)
    noise = np.random.default_rng((seed, grain)).normal(0, 0.01, original.shape).astype(np.float32)
    return faded(original) + noise, np.clip(original * np.exp(0.2 * tint), 0.02, 1.0)


def pairs(seeds, encoding):
    return [make_sample(*painted(seed), encoding, number=seed, frame=seed) for seed in seeds]


@pytest.fixture(scope="module")
def solved():
    """A model of two pairs, without a memory and with one."""
    samples = pairs((1, 2), "display")
    model = closed_form.with_kernels(closed_form.first_model(samples, "display", "grain"), samples, 0)
    return model, closed_form.with_memory(model, samples, 0, lambda: None)


def error(picture, truth):
    return float(np.sqrt(np.square(picture - truth)[16:-16, 16:-16].mean()))


def saved(path, model):
    card = ModelCard("color", encoding=model.encoding)
    export(path, lambda ops, frames: forward(ops, frames, model), card)
    return path


@pytest.mark.parametrize("seed", [1, 2])
def test_a_pairs_own_places_come_back_as_the_pair_shows_them(solved, seed):
    plain, remembering = solved
    scan, truth = painted(seed)
    assert error(torch_answer(scan, remembering), truth) < 0.5 * error(torch_answer(scan, plain), truth)


def test_a_frame_beside_a_pair_gains_too(solved):
    """Moved by two pixels, a little lighter, with grain of its own."""
    plain, remembering = solved
    scan, truth = (np.roll(picture, (2, 1), (0, 1)) for picture in painted(1, grain=1))
    scan = scan * np.float32(1.01)
    assert error(torch_answer(scan, remembering), truth) < 0.7 * error(torch_answer(scan, plain), truth)


def test_a_memory_goes_over_several_frames_while_the_light_changes(solved):
    plain, remembering = solved
    scan, _ = painted(1)
    frames = [scan * np.float32(1 + 0.0025 * step) for step in range(24)]
    added = [np.abs(torch_answer(one, remembering) - torch_answer(one, plain)).mean() for one in frames]
    assert added[0] > 0.02 > 1e-3 > added[-1]
    assert np.abs(np.diff(added)).max() < 0.3 * added[0]


def test_a_picture_unlike_the_pairs_is_not_changed(solved):
    plain, remembering = solved
    scan = faded(smooth_picture(7, HEIGHT, WIDTH))[..., ::-1] * np.float32(0.5)
    np.testing.assert_allclose(torch_answer(scan, remembering), torch_answer(scan, plain), atol=1e-4)


def test_nothing_is_added_where_kernels_are_not_trusted(solved):
    plain, remembering = (model.with_(kernel_share=0.0) for model in solved)
    scan, _ = painted(1)
    assert remembering.multiple == plain.multiple
    np.testing.assert_array_equal(torch_answer(scan, remembering), torch_answer(scan, plain))


@pytest.mark.parametrize("garbage", [0.0, 1.0])
def test_what_lies_under_a_mask_is_not_remembered(garbage):
    """Neither there nor around it."""
    scan, truth = painted(1)
    weight, hidden = np.ones((HEIGHT, WIDTH), np.float32), truth.copy()
    inside = np.s_[83:148, 101:203]
    hidden[inside], weight[79:152, 97:207] = garbage, 0.0
    masked = [make_sample(scan, hidden, "display", number=1, frame=1, weight=weight)]
    plain = closed_form.with_kernels(closed_form.first_model(masked, "display", "grain"), masked, 0)
    remembering = closed_form.with_memory(plain, masked, 0, lambda: None)
    around = np.s_[67:164, 85:219]
    before, after = (np.abs(torch_answer(scan, model) - truth) for model in (plain, remembering))
    for part in (inside, around):
        assert after[part].mean() < 1.05 * before[part].mean()
    assert after.mean() < 0.8 * before.mean()


def test_pairs_without_a_trusted_place_are_not_remembered(solved):
    samples = [replace(one, weight=0.5 * one.weight) for one in pairs((1, 2), "display")]
    assert closed_form.with_memory(solved[0], samples, 0, lambda: None).memory is None


def test_of_large_pairs_a_part_is_looked_at(solved, monkeypatch):
    monkeypatch.setattr(closed_form, "MEMORY_PIXELS", HEIGHT * WIDTH // 8)
    samples = pairs((1, 2), "display")
    stops = []
    places = closed_form.with_memory(solved[0], samples, 0, lambda: stops.append(1)).memory.places
    assert len(stops) == len(samples)
    assert 0.3 * HEIGHT * WIDTH / 64 < len(places) < 1.3 * HEIGHT * WIDTH / 64 <= 1.3 * len(solved[1].memory.places)


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_the_file_answers_as_torch_does_at_any_size(solved, tmp_path, encoding):
    model = solved[1].with_(encoding=encoding)
    session = Session(saved(tmp_path / "m.onnx", model), "cpu")
    for size in ((1, 1), (1, 7), (37, 53), (HEIGHT, WIDTH)):
        scan = cv2.resize(painted(1)[0], size[::-1]).reshape(*size, 3)
        restored = session.run(np.ascontiguousarray(scan.transpose(2, 0, 1)[None]))[0][0].transpose(1, 2, 0)
        np.testing.assert_allclose(restored, torch_answer(scan, model), atol=1e-4, rtol=0)


def test_tiles_give_the_bits_of_the_whole_frame(solved, tmp_path):
    path = saved(tmp_path / "m.onnx", solved[1])
    card = read_card(path)
    assert card.multiple == 32
    assert card.halo < 200
    scan = np.ascontiguousarray(np.tile(painted(1)[0], (3, 3, 1))[:700, :900])
    whole = Session(path, "cpu").run(np.ascontiguousarray(scan.transpose(2, 0, 1)[None]))[0][0].transpose(1, 2, 0)
    assert error(whole, torch_answer(scan, solved[0])) > 1e-3
    np.testing.assert_array_equal(Restorer(Session(path, "cpu"), tile=256).restore([scan])[0], whole)
