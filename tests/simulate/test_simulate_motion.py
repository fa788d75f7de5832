import numpy as np

from wetgate.simulate.film import FilmDecay
from wetgate.simulate.flicker import Flicker, flicker_at
from wetgate.simulate.weave import Weave, weave_transform

WEAVE = Weave(shift_um=(16, 16), rotation=0.05)


def paths(seed: int, frames: int = 4000) -> np.ndarray:
    """[frames,3] shift of the frame's centre in pixels, and rotation in degrees."""
    matrices = np.stack([weave_transform(WEAVE, 100, 200, 16.0, seed, n) for n in range(frames)])
    centre = np.array([99.5, 49.5, 1.0])
    shifts = matrices @ centre - centre[:2]
    return np.column_stack([shifts, np.degrees(np.arctan2(matrices[:, 1, 0], matrices[:, 0, 0]))])


def test_weave_has_the_stated_spread_around_rest():
    for seed in range(3):
        path = paths(seed)
        assert np.abs(path[:, :2].mean(axis=0)).max() < 0.08
        assert np.allclose(path[:, :2].std(axis=0), 1.0, atol=0.15)
        assert abs(path[:, 2].mean()) < 0.005
        assert np.isclose(path[:, 2].std(), 0.05, atol=0.008)


def test_weave_is_smooth_in_time_and_different_for_another_seed():
    path = paths(1)
    step = np.diff(path, axis=0).std(axis=0) / path.std(axis=0)
    assert (step < 0.8).all(), "independent frames would give 1.41"
    assert np.abs(np.corrcoef(path[:, 0], paths(2)[:, 0])[0, 1]) < 0.2


def test_truth_moves_with_the_scan(picture):
    decayed = FilmDecay(weave=Weave(shift_um=(200, 200), rotation=0.3)).frame(picture, 3)
    assert np.abs(decayed.scan - decayed.aligned_truth).max() < 1e-4
    assert np.abs(decayed.aligned_truth - picture).mean() > 0.01


def test_the_transform_says_where_a_point_of_the_picture_went():
    picture = np.zeros((101, 201, 3), np.float32)
    picture[30, 150] = 1
    film = FilmDecay(weave=Weave(shift_um=(150, 150), rotation=0.8), seed=3)
    truth = film.frame(picture, 5).aligned_truth[..., 1]
    matrix = weave_transform(film.weave, 101, 201, film.picture_width_mm * 1000 / 201, 3, 5)
    y, x = np.mgrid[0:101, 0:201]
    found = np.array([(x * truth).sum(), (y * truth).sum()]) / truth.sum()
    assert np.abs(found - matrix @ [150, 30, 1]).max() < 0.2


def test_flicker_has_the_stated_spread_and_is_mostly_red(grey):
    flicker = Flicker(exposure=0.02, cyan=0.06)
    values = [flicker_at(flicker, 5, n) for n in range(3000)]
    exposure, dyes = np.array([v[0] for v in values]), np.array([v[1] for v in values])
    assert abs(exposure.mean()) < 0.002 and np.isclose(exposure.std(), 0.02, rtol=0.15)
    assert np.isclose(dyes[:, 0].std(), 0.06, rtol=0.15) and (dyes[:, 1:] == 1).all()
    film = FilmDecay(flicker=flicker)
    means = np.array([film.frame(grey[:8, :8], n).scan.mean(axis=(0, 1)) for n in range(200)])
    assert means[:, 0].std() > 1.3 * means[:, 1].std() > 0
