"""What of the gauge model is solved, judged and matched."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch

from wetgate.training import gauge_contrast, gauge_grain
from wetgate.training.gauge_bands import Curve, split, with_grain
from wetgate.training.gauge_contrast import Contrast
from wetgate.training.gauge_fit import first_model
from wetgate.training.gauge_grain import Look
from wetgate.training.gauge_judging import judge, look_at
from wetgate.training.gauge_model import GaugeModel
from wetgate.training.gauge_samples import make_sample
from wetgate.training.gauge_shift import expected_of, moved_to
from wetgate.training.memory import Memory
from wetgate.training.torch_operations import Torch

SIZE = 160


def picture(seed, size=SIZE):
    """Luma [H, W] with edges and texture at several scales, 0.15-0.85."""
    generator = np.random.default_rng(seed)
    total = np.zeros((size, size), np.float32)
    for cells, amount in ((4, 0.25), (12, 0.12), (40, 0.06)):
        blobs = generator.random((cells, cells), np.float32) > 0.5
        total += amount * cv2.resize(blobs.astype(np.float32), (size, size), interpolation=cv2.INTER_LINEAR)
    return np.asarray(0.2 + total, np.float32)


def grain(seed, amount, size=SIZE):
    return (np.random.default_rng(seed).normal(0, amount, (size, size))).astype(np.float32)


def in_colour(luma):
    return np.repeat(luma[..., None], 3, 2)


def sample(scan, reference, number=1):
    return make_sample([in_colour(scan)], in_colour(reference), "display", number=number, frame=number)


def copied(luma, seed, *, contrast=0.8, blur=1.2, noise=0.01):
    flat = 0.5 + contrast * (cv2.GaussianBlur(luma, (0, 0), blur) - 0.5)
    return np.asarray(flat + grain(seed, noise, len(luma)), np.float32)


def error(a, b):
    return float(np.square(a - b).mean())


def answer_of(one, model, share=1.0):
    return look_at(one, model).restored(share)[0, 0].numpy()


def test_one_grading_is_foretold_and_given_back_to_a_picture_that_was_not_seen():
    pictures = [picture(seed) for seed in range(4)]
    samples = [sample(copied(luma, seed), luma, seed) for seed, luma in enumerate(pictures)]
    model = first_model(samples[:3], "display", 0)
    assert isinstance(model.contrast, Contrast)
    scan = samples[3].scan[0]
    assert error(answer_of(samples[3], model), samples[3].target) < 0.3 * error(scan, samples[3].target)


def test_gradings_that_contradict_one_another_change_known_places_alone():
    gradings = (0.7, 1.3, 0.6)
    pictures = [picture(seed) for seed in range(4)]
    samples = [
        sample(copied(luma, seed, contrast=c, noise=0.002), luma, seed)
        for seed, (luma, c) in enumerate(zip(pictures, (*gradings, 1.0), strict=True))
    ]
    model = first_model(samples[:3], "display", 0)
    assert isinstance(model.contrast, Memory)
    for one in samples[:3]:
        assert error(answer_of(one, model), one.target) < 0.7 * error(one.scan[0], one.target)
        assert float(look_at(one, model).known.mean()) > 0.95
    strange = sample(1.1 - samples[3].scan[0], 1.1 - samples[3].target)
    seen = look_at(strange, model)
    assert float(seen.known.mean()) < 0.2
    assert np.abs(seen.start[0, 0].numpy() - strange.scan[0]).mean() < 5e-3


def test_the_dark_edge_of_a_scan_says_nothing():
    """A film's frame goes on there; what lightens it is no better for the picture."""
    luma = picture(1)
    scan = copied(luma, 2, contrast=1.0)
    harmful = GaugeModel("display", contrast=_shift(0.01))
    dark = scan.copy()
    dark[:, :3] *= 0.1
    for one in (scan, dark):
        assert judge("none", [look_at(sample(one, luma), harmful)]).keeps_scan


def test_one_pair_alone_foretells_nothing():
    model = first_model([sample(copied(picture(1), 1), picture(1))], "display", 0)
    assert isinstance(model.contrast, Memory)


def test_a_share_that_makes_a_pair_worse_is_refused_and_the_scan_kept():
    luma = picture(1)
    scan = copied(luma, 2, contrast=1.0)
    good = sample(scan, luma)
    harmful = GaugeModel("display", sharpening=(6.0, 6.0, 6.0))
    verdict = judge("none", [look_at(good, harmful)])
    assert verdict.share == 0 and verdict.gains_db == (0.0,)
    shifted = GaugeModel("display", contrast=_shift(0.1))
    verdict = judge("none", [look_at(good, shifted)])
    assert verdict.keeps_scan
    helpful = GaugeModel("display", sharpening=(-0.3, 0.3, 0.4))
    assert judge("none", [look_at(good, helpful)]).share == 1.0


def test_of_shots_that_do_not_foretell_one_another_few_say_little_about_another():
    luma = picture(1)
    good = sample(copied(luma, 2, contrast=1.0), luma)
    model = first_model([good], "display", 0).with_(sharpening=(-0.3, 0.3, 0.4))
    shares = [judge("none", [look_at(good, model)] * pairs, remembered=True).share for pairs in (0, 1, 3, 12)]
    assert shares == pytest.approx([1 / 7, 1 / 7, 3 / 9, 12 / 18])
    assert judge("none", []).share == 1.0


def _shift(by):
    places = np.random.default_rng(0).normal(0, 1, (600, 7)).astype(np.float32)
    wide = gauge_contrast.wide([places], [np.full((600, 1), by, np.float32)], [np.ones(600)], 0)
    alike = replace(wide, centres=wide.centres * 0, weights=wide.weights * 0 + by / 512, scale=wide.scale * 0.01)
    return Contrast(alike, Curve((0.0,), (0.0,)))


def energies(luma):
    with torch.no_grad():
        bands, _ = split(Torch(), torch.from_numpy(luma)[None, None])
    return [float((band[..., 8:-8, 8:-8] ** 2).mean()) for band in bands]


def looks(noise_of_reference):
    luma = picture(5, 256)
    clean = np.asarray(0.98 * luma + 0.02 * luma.mean(), np.float32)
    scan = np.asarray(clean + cv2.GaussianBlur(grain(1, 0.03, 256), (0, 0), 0.8), np.float32)
    reference = np.asarray(luma + cv2.GaussianBlur(grain(2, noise_of_reference, 256), (0, 0), 0.8), np.float32)
    return clean, Look(clean, scan, np.ones_like(scan), reference)


def put_back(kind, look):
    found = gauge_grain.fit(kind, [look])
    with torch.no_grad():
        tensors = [torch.from_numpy(plane)[None, None] for plane in (look.restored, look.scan)]
        return with_grain(Torch(), *tensors, found)[0, 0].numpy()


@pytest.mark.parametrize("amount", [0.01, 0.02, 0.04])
def test_matched_grain_has_the_energy_of_the_references_in_every_band(amount):
    _, look = looks(amount)
    for got, wanted in zip(energies(put_back("match", look)), energies(look.untouched), strict=True):
        assert 0.8 < got / wanted < 1.25


def test_kept_grain_is_the_scans_own():
    clean, look = looks(0.01)
    answer, own = put_back("keep", look) - clean, look.scan - clean
    assert np.corrcoef(answer.ravel(), own.ravel())[0, 1] > 0.95
    assert 0.85 < answer.std() / own.std() < 1.15


def test_no_grain_is_none():
    assert gauge_grain.fit("none", [looks(0.01)[1]]) is None


def test_dust_does_not_come_back_with_the_grain():
    clean, look = looks(0.03)
    dusty = look.scan.copy()
    dusty[100:104, 100:104] = 1.0
    answer = put_back("keep", Look(clean, dusty, look.weight, look.untouched))
    assert dusty[101, 101] - clean[101, 101] > 0.3 > 2 * (answer[101, 101] - clean[101, 101])


@pytest.mark.parametrize("shift", [(0.5, 0.0), (-0.4, 0.6)])
def test_a_target_half_a_pixel_off_is_moved_to_the_answer(shift):
    luma = cv2.GaussianBlur(picture(3), (0, 0), 1.0)
    matrix = np.array([[1, 0, shift[0]], [0, 1, shift[1]]], np.float64)
    off = cv2.warpAffine(luma, matrix, (SIZE, SIZE), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    moved = moved_to(luma, off, np.ones_like(luma), 0.5)
    inside = np.s_[12:-12, 12:-12]
    assert error(moved[inside], luma[inside]) < 0.25 * error(off[inside], luma[inside])


def test_where_no_shift_is_expected_none_is_made():
    luma = cv2.GaussianBlur(picture(3), (0, 0), 1.0)
    off = np.roll(luma, 1, 1)
    np.testing.assert_array_equal(moved_to(luma, off, np.ones_like(luma), 0.0), off)
    assert expected_of(0.05) == 0 and expected_of(None) == 0.5 and 0.45 < expected_of(0.5) < 0.5


def test_grain_alone_moves_no_target():
    """Two noises have nothing to agree on."""
    first, second = (np.float32(0.5) + grain(seed, 0.05) for seed in (1, 2))
    moved = moved_to(first, second, np.ones_like(first), 0.5)
    assert float(np.abs(moved - second).mean()) < 0.3 * 0.05


def test_a_reference_is_laid_over_a_copy_with_less_contrast_and_grain_of_its_own():
    sharp = picture(3)
    matrix = np.array([[1, 0, 0.6], [0, 1, -0.4]], np.float64)
    off = cv2.warpAffine(sharp, matrix, (SIZE, SIZE), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    scan = copied(sharp, 5, contrast=0.6)
    inside = np.s_[12:-12, 12:-12]
    targets = [
        make_sample([in_colour(scan)], in_colour(one), "display", number=1, frame=1, off_px=0.5).target
        for one in (off, sharp)
    ]
    assert error(targets[0][inside], sharp[inside]) < 0.25 * error(off[inside], sharp[inside])
    assert error(targets[1][inside], sharp[inside]) < 0.1 * error(off[inside], sharp[inside])
