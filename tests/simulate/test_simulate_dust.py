import itertools

import numpy as np
import pytest

from wetgate.simulate.dust import Dust, damage_at
from wetgate.simulate.fade import Fade
from wetgate.simulate.film import FilmDecay
from wetgate.simulate.grain import Grain

KINDS = {
    "specks": Dust(specks=15),
    "sparkle": Dust(sparkle=15),
    "hairs": Dust(hairs=4),
    "scratches": Dust(scratches=4),
    "all": Dust(specks=15, sparkle=8, hairs=3, scratches=3),
}


@pytest.mark.parametrize("kind", KINDS)
def test_the_mask_covers_exactly_what_changed(grey, kind):
    film = FilmDecay(fade=Fade((0.5, 0.9, 0.7)), grain=Grain(granularity=10), seed=4)
    dirty = FilmDecay(fade=film.fade, grain=film.grain, dust=KINDS[kind], seed=4)
    touched = 0
    for number in range(1, 5):
        clean, damaged = film.frame(grey, number), dirty.frame(grey, number)
        changed = (clean.scan != damaged.scan).any(axis=2)
        assert not (changed & (damaged.damage_mask == 0)).any()
        assert changed[damaged.damage_mask > 0.05].all()
        assert np.array_equal(clean.aligned_truth, damaged.aligned_truth)
        touched += int(changed.sum())
    assert touched > 0


def test_edges_are_soft_and_coverage_stays_within_0_and_1(grey):
    mask = np.stack([damage_at(KINDS["all"], 240, 320, 32.0, 1, n).mask for n in range(8)])
    assert mask.min() == 0 and 0.5 < mask.max() <= 1
    soft = ((mask > 0) & (mask < 0.5)).sum()
    assert soft > 0.3 * (mask > 0).sum()


def test_dust_on_the_print_is_dark_and_dust_on_the_negative_is_white(grey):
    dark = FilmDecay(dust=KINDS["specks"]).frame(grey, 2)
    white = FilmDecay(dust=KINDS["sparkle"]).frame(grey, 2)
    assert (dark.scan <= grey + 1e-4).all() and dark.scan.min() < 0.5 * grey.min()
    assert (white.scan >= grey - 1e-4).all() and white.scan.max() > 1.5 * grey.max()


def test_a_scratch_through_the_magenta_layer_is_green(grey):
    decayed = FilmDecay(dust=KINDS["scratches"]).frame(grey, 40)
    scratched = decayed.scan[decayed.damage_mask > 0.3]
    assert len(scratched) > 0
    assert (scratched[:, 1] >= scratched[:, 0] - 1e-5).all() and (scratched[:, 1] > scratched[:, 2]).all()


def test_scratches_run_on_through_the_frames_and_specks_do_not():
    def profiles(dust: Dust) -> np.ndarray:
        return np.stack([damage_at(dust, 120, 400, 25.0, 3, n).mask.mean(axis=0) for n in range(60, 80)])

    def likeness(rows: np.ndarray) -> float:
        return float(np.mean([np.corrcoef(a, b)[0, 1] for a, b in itertools.pairwise(rows)]))

    assert likeness(profiles(KINDS["scratches"])) > 0.4
    assert likeness(profiles(KINDS["specks"])) < 0.2


def test_the_number_of_specks_is_a_mean_per_frame_at_any_resolution():
    for height, width, pixel_um in ((120, 160, 64.0), (480, 640, 16.0)):
        covered = np.mean([damage_at(KINDS["specks"], height, width, pixel_um, 0, n).mask.mean() for n in range(12)])
        assert 0.0003 < covered < 0.006
