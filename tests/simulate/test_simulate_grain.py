import cv2
import numpy as np
import pytest

from wetgate.images import to_linear
from wetgate.simulate.fade import Fade, dyes_of
from wetgate.simulate.film import FilmDecay
from wetgate.simulate.grain import Grain, add_grain, grain_field


def test_granularity_is_what_a_48_micrometre_aperture_measures():
    pixel_um = 6.0
    field = grain_field(Grain(granularity=20, size_um=2), 600, 600, pixel_um, seed=1, frame=1)
    y, x = np.mgrid[-5:6, -5:6] * pixel_um
    aperture = (np.hypot(x, y) <= 24).astype(np.float32)
    seen = cv2.filter2D(field, -1, aperture / aperture.sum())[10:-10, 10:-10]
    assert seen.std() == pytest.approx(0.020, rel=0.1)


@pytest.mark.parametrize("pixel_um", [8.0, 16.0, 32.0])
def test_grain_keeps_its_power_at_any_resolution(pixel_um):
    field = grain_field(Grain(granularity=20, size_um=5), 400, 400, pixel_um, seed=1, frame=1)
    blocks = round(96 / pixel_um)
    side = 400 // blocks * blocks
    means = field[:side, :side].reshape(side // blocks, blocks, side // blocks, blocks, 3).mean(axis=(1, 3))
    assert means.std() * 96 == pytest.approx(0.020 * np.sqrt(np.pi) * 24, rel=0.12)


def test_grain_keeps_the_mean_density(grey):
    clean = dyes_of(to_linear(grey, "display"))
    field = grain_field(Grain(granularity=30), 240, 320, 16.0, seed=3, frame=9)
    change = add_grain(clean, field) - clean
    assert change.std() > 0.02
    assert np.abs(change.mean(axis=(0, 1))).max() < 4 * change.std() / np.sqrt(240 * 320)


def test_grain_grows_with_density_and_is_least_in_clear_film():
    field = grain_field(Grain(granularity=20), 200, 200, 16.0, seed=3, frame=9)
    spread = [(add_grain(np.full((200, 200, 3), d, np.float32), field) - d).std() for d in (0.0, 0.3, 1.0, 2.0)]
    assert spread == sorted(spread)
    assert 0 < spread[0] < 0.35 * spread[2]
    assert spread[2] == pytest.approx(field.std(), rel=1e-3)


def test_grain_is_correlated_in_space_and_between_layers():
    field = grain_field(Grain(granularity=20, size_um=10, shared=0.3), 300, 300, 8.0, seed=3, frame=9)
    beside = np.corrcoef(field[:, :-1, 0].ravel(), field[:, 1:, 0].ravel())[0, 1]
    far = np.corrcoef(field[:, :-20, 0].ravel(), field[:, 20:, 0].ravel())[0, 1]
    layers = np.corrcoef(field.reshape(-1, 3).T)
    assert beside > 0.6 and abs(far) < 0.05
    assert np.allclose(layers[np.triu_indices(3, 1)], 0.3, atol=0.05)


def test_grain_fades_with_its_dye(grey):
    film = FilmDecay(fade=Fade(remaining=(0.2, 0.9, 0.9)), grain=Grain(granularity=25, shared=0.0))
    dyes = dyes_of(to_linear(film.frame(grey, 1).scan, "display"))
    cyan, magenta, _ = dyes.std(axis=(0, 1))
    assert cyan < 0.35 * magenta
