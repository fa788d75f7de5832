import itertools

import numpy as np
import pytest

from wetgate.images import to_linear
from wetgate.simulate.fade import ABSORPTION, FLARE, Fade, dyes_of, fade_dyes, light_of, local_age
from wetgate.simulate.film import FilmDecay


def density(pixels: np.ndarray) -> np.ndarray:
    return -np.log10(to_linear(pixels, "display") + FLARE)


def test_without_any_decay_the_scan_is_the_picture(picture):
    decayed = FilmDecay().frame(picture, 12)
    assert np.abs(decayed.scan - picture).max() < 1e-4
    assert np.array_equal(decayed.aligned_truth, picture)
    assert not decayed.damage_mask.any()


def test_dyes_give_back_the_light_they_came_from(picture):
    linear = to_linear(picture, "display")
    assert np.abs(light_of(dyes_of(linear)) - linear).max() < 2e-6


def test_equal_amounts_of_the_dyes_are_neutral_density():
    amounts = np.full((1, 5, 3), np.linspace(0.1, 2.0, 5).reshape(1, 5, 1), np.float32)
    light = light_of(amounts)
    assert np.ptp(light, axis=2).max() < 1e-6
    assert np.allclose(-np.log10((light + FLARE) / (1 + FLARE)), amounts, atol=1e-4)
    assert np.allclose(ABSORPTION.sum(axis=1), 1)


@pytest.mark.parametrize("dye", [0, 1, 2])
def test_the_more_of_a_dye_is_left_the_denser_every_band(picture, dye):
    dyes = dyes_of(to_linear(picture, "display"))
    lights = []
    for share in (0.0, 0.3, 0.6, 1.0):
        remaining = [1.0, 1.0, 1.0]
        remaining[dye] = share
        lights.append(light_of(fade_dyes(dyes, tuple(remaining))))
    for less, more in itertools.pairwise(lights):
        assert (more <= less + 1e-6).all()
        assert more[..., dye].mean() < less[..., dye].mean()


def test_density_stays_monotone_along_a_grey_wedge():
    wedge = np.repeat(np.linspace(0, 1, 256, dtype=np.float32).reshape(1, 256, 1), 3, axis=2)
    scan = FilmDecay(fade=Fade((0.3, 0.8, 0.5), (0.03, 0.05, 0.13))).frame(wedge, 1).scan
    assert (np.diff(density(scan), axis=1) < 0).all()


def test_lost_cyan_leaves_red_low_contrast_and_stain_dims_white(picture):
    scan = FilmDecay(fade=Fade((0.3, 0.85, 0.5), (0.03, 0.05, 0.13))).frame(picture, 1).scan
    black, white = scan[15, 20], scan[27, 20]
    assert black[0] > black[2] > black[1] > 0.05, "the deepest black turns magenta-red"
    assert (white < 1).all() and white[0] > white[1] > white[2], "the clear film turns yellow-brown"
    assert np.ptp(density(scan)[..., 0]) < 0.5 * np.ptp(density(picture)[..., 0])
    grey = FilmDecay(fade=Fade((0.3, 0.85, 0.5))).frame(np.full((4, 4, 3), 0.5, np.float32), 1).scan[0, 0]
    assert grey[0] > grey[2] > grey[1]


def test_side_absorption_lets_lost_cyan_brighten_green_and_blue_a_little():
    grey = np.full((2, 2, 3), 0.4, np.float32)
    faded = FilmDecay(fade=Fade(remaining=(0.2, 1, 1))).frame(grey, 1).scan
    loss = density(grey)[0, 0] - density(faded)[0, 0]
    assert np.allclose(loss / loss[0], ABSORPTION[:, 0] / ABSORPTION[0, 0], atol=0.01)


def test_uneven_fading_is_smooth_drifts_along_the_strip_and_is_one_on_average():
    fade = Fade(remaining=(0.3, 0.8, 0.5), unevenness=0.08)
    ages = np.stack([local_age(fade, 68, 160, 64.0, 5, frame) for frame in range(0, 3000, 30)])
    assert abs(ages.mean() - 1) < 0.02
    assert 0.05 < ages.std() < 0.11
    first, second = (local_age(fade, 68, 160, 64.0, 5, frame) for frame in (7, 8))
    assert np.abs(np.diff(first, axis=1)).max() < 0.02
    assert 0 < np.abs(second - first).max() < 0.15


def test_the_scanner_light_brightens_by_its_density():
    pixels = np.linspace(0, 0.7, 30, dtype=np.float32).reshape(1, 10, 3)
    brighter = FilmDecay(fade=Fade(scanner_light=(0.2, 0.2, 0.2))).frame(pixels, 1).scan
    assert np.allclose(density(pixels) - density(brighter), 0.2, atol=1e-3)
