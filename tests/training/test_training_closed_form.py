"""What is solved: the fit, the kernels, the strength of detail, the weights of rare colours."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch
from color_pictures import FADE, faded, smooth_picture, torch_answer

from wetgate.training import closed_form, detail, kernels, quadratic
from wetgate.training.closed_form import first_model, with_kernels
from wetgate.training.samples import make_sample, rarity
from wetgate.training.torch_operations import Torch


def rows(count, seed=0):
    return np.random.default_rng(seed).random((count, 3)).astype(np.float32) * 1.5


def curve(density):
    """A known transform of the ten-term kind."""
    matrix = np.linalg.inv(FADE)
    return (density - 0.1) @ matrix + 0.08 * density**2 - 0.05 * density[:, :1] * density[:, 1:2]


def test_the_fit_recovers_a_known_transform():
    scan = rows(5000)
    coefficients = quadratic.fit([scan], [curve(scan)], [np.ones(5000, np.float32)])
    picture = torch.from_numpy(rows(400, 1).T.reshape(1, 3, 20, 20).copy())
    answer = quadratic.apply(Torch(), picture, coefficients)[0].reshape(3, -1).T.numpy()
    wanted = curve(picture[0].reshape(3, -1).T.numpy())
    assert np.abs(answer - wanted).max() < 0.03
    assert np.abs(answer - wanted).mean() < 0.005


def test_a_little_below_black_is_a_little_darker_than_black():
    """Curves that bend back would make an overshoot of black, as files of floats hold it, lighter than anything."""
    coefficients = np.zeros((quadratic.TERMS, 3), np.float32)
    coefficients[1:4], coefficients[4:7] = 1.9 * np.eye(3), -0.5 * np.eye(3)
    below = torch.tensor([1.8, 2.4, 3.0, 30.0])[None, None, None].repeat(1, 3, 1, 1)
    answer = quadratic.apply(Torch(), below, coefficients)[0, 0, 0]
    assert (answer.diff() > 0).all()
    np.testing.assert_allclose(
        closed_form._fitted(below[0].permute(1, 2, 0).numpy(), coefficients)[0, :, 0], answer, atol=1e-4
    )


def test_every_pair_counts_the_same_whatever_its_size():
    small, large = rows(50), rows(50).repeat(100, 0)
    ones = [np.ones(len(pair), np.float32) for pair in (small, large)]
    coefficients = quadratic.fit([small, large], [small + 0.2, large - 0.2], ones)
    picture = torch.from_numpy(small.T.reshape(1, 3, 5, 10).copy())
    np.testing.assert_allclose(quadratic.apply(Torch(), picture, coefficients), picture, atol=1e-4)


def test_pixels_of_no_weight_do_not_count():
    scan = rows(3000)
    target, weight = scan + 0.3, np.ones(3000, np.float32)
    target[::3], weight[::3] = 9.0, 0.0
    untouched = quadratic.fit([scan], [scan + 0.3], [weight])
    np.testing.assert_allclose(quadratic.fit([scan], [target], [weight]), untouched, atol=1e-5)


@pytest.mark.parametrize("scan", [np.full((200, 3), 0.7), np.repeat(np.linspace(0, 1, 200)[:, None], 3, 1)])
def test_one_colour_or_greys_only_give_a_tame_fit(scan):
    """Colours that no pair shows are moved by the shift, not thrown about."""
    scan = scan.astype(np.float32)
    coefficients = quadratic.fit([scan], [scan + 0.2], [np.ones(200, np.float32)])
    picture = torch.from_numpy(rows(400, 1).T.reshape(1, 3, 20, 20).copy())
    moved = quadratic.apply(Torch(), picture, coefficients) - picture
    assert (moved - 0.2).abs().max() < 0.05


def test_the_first_model_undoes_a_fade():
    reference = smooth_picture(1)
    sample = make_sample(faded(reference), reference, "display", number=1, frame=1)
    model = first_model([sample], "display", "grain")
    unseen = smooth_picture(9)
    before = np.abs(faded(unseen) - unseen).mean()
    after = np.abs(torch_answer(faded(unseen), model) - unseen).mean()
    assert after < 0.1 * before


def test_a_mask_keeps_a_logo_out_of_the_model():
    reference = smooth_picture(1)
    with_logo, weight = reference.copy(), np.ones(reference.shape[:2], np.float32)
    with_logo[20:60, 20:60], weight[12:68, 12:68] = 1.0, 0.0
    scan = faded(reference)
    clean, marked = (
        first_model([make_sample(scan, target, "display", number=1, frame=1, weight=weight)], "display", "grain")
        for target in (reference, with_logo)
    )
    np.testing.assert_allclose(marked.coefficients, clean.coefficients, atol=1e-3)


def applied(solved, points):
    features = torch.from_numpy(points.T.reshape(1, 6, 1, -1).copy())
    return kernels.told(Torch(), features, solved)[0, :, 0].T.numpy()


def test_kernels_learn_what_is_missing_and_fade_far_from_any_sample():
    generator = np.random.default_rng(3)
    colours = generator.normal(0.6, 0.2, (3000, 1)) + generator.normal(0, 0.03, (3000, 3))
    seen = np.concatenate([colours, colours + generator.normal(0, 0.03, (3000, 3))], 1).astype(np.float32)
    missing = np.stack([np.sin(4 * seen[:, 0]), seen[:, 3] - 0.6, np.full(3000, 0.1)], 1).astype(np.float32) * 0.2
    solved = kernels.fit([seen], [missing], [np.ones(3000, np.float32)], width=0.5, surround=0.5, ridge=0.1, seed=0)
    there = applied(solved, seen[:500])
    assert np.abs(there - missing[:500]).mean() < 0.25 * np.abs(missing[:500]).mean()
    nearest = [np.abs(applied(solved, np.full((1, 6), level, np.float32))).max() for level in (0.6, 2.0, 3.0, -2.0)]
    assert nearest[0] > 0.02
    assert max(nearest[1:]) < 1e-3


def test_kernels_do_not_depend_on_other_random_numbers():
    seen, missing = rows(2000).repeat(2, 1), rows(2000, 1) * 0.1
    fits = []
    for _ in range(2):
        np.random.random()
        fits.append(kernels.fit([seen], [missing], [np.ones(2000)], width=0.5, surround=0.5, ridge=0.1, seed=4))
    assert all(np.array_equal(a, b) for a, b in zip(vars(fits[0]).values(), vars(fits[1]).values(), strict=True))


def test_kernels_improve_on_the_fit_where_the_fit_cannot_follow():
    """One hue was graded by itself: no ten terms describe that."""
    reference = smooth_picture(1)
    reds = np.clip((reference[..., 0] - reference[..., 1]) * 4, 0, 1)[..., None]
    reference = reference * (1 - 0.3 * reds * np.array([0, 0, 1], np.float32))
    scan = faded(smooth_picture(1))
    sample = make_sample(scan, reference, "display", number=1, frame=1)
    fit = first_model([sample], "display", "grain")
    errors = [np.abs(torch_answer(scan, m) - reference).mean() for m in (fit, with_kernels(fit, [sample], 0))]
    assert errors[1] < 0.8 * errors[0]


@pytest.mark.parametrize("contrast", [1.0, 2.0])
def test_the_strength_of_detail_follows_the_contrast(contrast):
    """Densities times ``contrast``: detail comes back by that much."""
    texture = np.random.default_rng(1).normal(0, 0.1, (96, 128, 1))
    density = 0.5 + cv2.GaussianBlur(texture, (0, 0), 2.0)[..., None] * np.ones(3)
    scan, reference = (np.float32(10.0**-d - 1 / 64) for d in (density, density * contrast))
    model = first_model([make_sample(scan, reference, "display", number=1, frame=1)], "display", "grain")
    assert model.detail.sum() == pytest.approx(contrast, rel=0.1)


def test_detail_of_nothing_is_no_detail_thrown_about():
    mixture = detail.fit([np.zeros((50, 3), np.float32)], [np.zeros(50, np.float32)])
    assert mixture.sum() == pytest.approx(1.0)


def test_rare_colours_weigh_more_within_bounds():
    picture = np.full((64, 64, 3), 0.5, np.float32)
    picture[:8, :8] = (0.9, 0.1, 0.1)
    weight = np.ones((64, 64), np.float32)
    weight[-16:] = 0
    sample = make_sample(picture, picture, "display", number=1, frame=1, weight=weight)
    (importance,) = rarity([sample])
    common, rare = float(importance[16, 16]), float(importance[1, 1])
    assert common == pytest.approx(1.0)
    assert common < rare <= 3.0
    assert importance[-4:].max() == 0
    assert importance[:20].min() >= 1 / 3


def test_a_pair_of_one_pixel_gives_a_model():
    scan, reference = np.full((1, 1, 3), 0.4, np.float32), np.full((1, 1, 3), 0.6, np.float32)
    sample = make_sample(scan, reference, "display", number=1, frame=1)
    model = with_kernels(first_model([sample], "display", "grain"), [sample], 0)
    np.testing.assert_allclose(torch_answer(scan, model), reference, atol=1e-3)


def test_a_soft_reference_does_not_teach_that_contrast_fades():
    """Scan and reference differ in nothing but softness: the fit must not make anything of it."""
    sharp = smooth_picture(3)
    texture = np.random.default_rng(3).normal(0, 0.15, (*sharp.shape[:2], 1)).astype(np.float32)
    sharp = np.clip(sharp + cv2.GaussianBlur(texture, (0, 0), 1.5)[..., None] * 3, 0.02, 0.98)
    soft = cv2.GaussianBlur(sharp, (0, 0), 4.0, borderType=cv2.BORDER_REPLICATE)
    known, unknown = (
        first_model(
            [make_sample(sharp, soft, "display", number=1, frame=1, resolution_px=resolution)], "display", "none"
        )
        for resolution in (4.0, 0.0)
    )
    kept, lost = (torch_answer(sharp, model).std() / sharp.std() for model in (known, unknown))
    assert abs(1 - kept) < 0.6 * abs(1 - lost), (kept, lost)
