"""Does the benchmark of painted frames measure what it says?"""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks import exemplar


@pytest.fixture(scope="module")
def film():
    """A bright square that moves one pixel a frame over a grey ground."""
    truths = {}
    for number in range(1, 8):
        picture = np.full((48, 64, 3), 0.3, np.float32)
        picture[16:32, 10 + number : 30 + number] = (0.8, 0.6, 0.4)
        truths[number] = picture
    scans = {number: np.repeat((one @ exemplar.LUMA)[..., None], 3, axis=2) for number, one in truths.items()}
    return exemplar.Film(scans, truths, [(0, 7)])


def test_the_truth_itself_has_no_error_and_moves_as_it_moves(film):
    found = exemplar.measured(film, {number: film.truths[number] for number in (3, 4, 5)}, [1])
    assert found.restored == 0 and found.flicker == 0 and found.bleed == 1
    assert found.motion == pytest.approx(1)
    assert found.scan > 2


def test_flicker_that_is_not_in_the_truth_shows(film):
    answers = {number: film.truths[number] + 0.05 * (number % 2) for number in (3, 4, 5)}
    found = exemplar.measured(film, answers, [1])
    assert found.motion > 1.5
    assert found.flicker == pytest.approx(0.05 * 255, rel=0.01)


def test_bleeding_shows(film):
    """A rim of the square's colour on the ground beside it, against the same error far from edges."""
    rim, plain = {}, {}
    for number in (3, 4, 5):
        truth = film.truths[number]
        rim[number], plain[number] = truth.copy(), truth.copy()
        rim[number][16:32, 7 + number : 10 + number] = (0.8, 0.6, 0.4)
        plain[number][40:, :6] = (0.8, 0.6, 0.4)
    assert exemplar.measured(film, rim, [1]).bleed > 1.3
    assert exemplar.measured(film, plain, [1]).bleed < 0.7


def test_strokes_cover_a_tenth_and_painted_frames_are_not_measured():
    for seed in range(3):
        assert 0.1 <= exemplar.strokes(270, 480, seed).mean() < 0.115
    grey = np.zeros((2, 2, 3), np.float32)
    film = exemplar.Film(dict.fromkeys(range(1, 101), grey), dict.fromkeys(range(1, 101), grey), [(0, 40), (40, 100)])
    for case in exemplar.CASES:
        painted = exemplar.painted_frames(case, film)
        assert len(painted) == {"strokes": 3, "shots": 2, "grey": 4, "grey-strokes": 4}[case]
        assert len(exemplar.measured_frames(film, painted)) >= 9
        assert not set(exemplar.measured_frames(film, painted)) & set(painted)
