"""Paint spreads along the picture's structure, is carried by motion, and knows how far it can be believed."""

from __future__ import annotations

import numpy as np
import pytest

from wetgate.evaluation.metrics import ciede2000, srgb_to_lab
from wetgate.pairing.propagation import carry
from wetgate.pairing.spreading import _links, _solve, spread, with_luma_of

LUMA = np.array([0.2126, 0.7152, 0.0722], np.float32)
RED, BLUE = np.array([1.5, 0.8, 0.7], np.float32), np.array([0.7, 0.95, 1.6], np.float32)


def two_halves(height=96, width=128, edge=64):
    """A shaded scan of two grey objects, and its true colours: a red one and a blue one."""
    generator = np.random.default_rng(0)
    shade = 0.1 * np.sin(np.linspace(0, 5, width))[None, :] + 0.05 * np.cos(np.linspace(0, 9, height))[:, None]
    left = np.arange(width)[None, :] < edge
    grey = (np.where(left, 0.35, 0.6) + shade + generator.normal(0, 0.01, (height, width))).astype(np.float32)
    truth = grey[..., None] * np.where(left[..., None], RED / (RED @ LUMA), BLUE / (BLUE @ LUMA))
    return np.repeat(grey[..., None], 3, axis=2), truth.astype(np.float32)


def difference(first, second):
    return ciede2000(srgb_to_lab(first), srgb_to_lab(second))


def test_two_strokes_colour_two_objects_up_to_their_edge():
    scan, truth = two_halves()
    amount = np.zeros(scan.shape[:2], np.float32)
    amount[40:50, 10:30] = amount[40:50, 95:115] = 1
    found, confidence = spread(scan, truth, amount, scan, 0.0)
    error = difference(found, truth)
    near_edge = np.abs(np.arange(scan.shape[1]) - 63.5) < 4.5
    assert difference(scan, truth).mean() > 10
    assert error.mean() < 1.5
    assert error[:, near_edge].mean() < 5
    assert error[amount == 1].max() < 0.1
    assert confidence[amount == 1].min() == 1


def test_paint_is_believed_less_behind_an_edge_and_not_at_all_of_the_prior():
    scan, truth = two_halves()
    amount = np.zeros(scan.shape[:2], np.float32)
    amount[40:50, 35:50] = 1
    found, confidence = spread(scan, truth, amount, scan, 0.0)
    as_far_on_its_side, behind = confidence[20:70, 15:22].mean(), confidence[20:70, 68:75].mean()
    assert as_far_on_its_side > 0.25
    assert behind < 0.2 * as_far_on_its_side
    assert difference(found, truth)[:, :60].mean() < 2


def test_where_nothing_is_known_the_prior_stays_as_far_as_it_is_believed():
    scan, truth = two_halves()
    prior = truth * np.array([0.9, 1.0, 1.1], np.float32)
    found, confidence = spread(scan, scan, np.zeros(scan.shape[:2], np.float32), prior, 0.2)
    assert np.abs(found - prior).max() < 1e-3
    assert np.allclose(confidence, 0.2)


def test_shading_of_the_scan_stays_under_flat_paint():
    """Rough strokes of one flat colour, as over a black-and-white scan."""
    scan, truth = two_halves()
    amount = np.zeros(scan.shape[:2], np.float32)
    amount[:, 5:25] = 1
    flat = np.where(amount[..., None] > 0, truth[:, 5:25].mean((0, 1)), scan).astype(np.float32)
    found, _ = spread(scan, with_luma_of(scan, flat), amount, scan, 0.0)
    assert np.abs(found @ LUMA - scan @ LUMA)[:, :55].max() < 0.01
    assert difference(found, truth)[:, :55].mean() < 1.5


def test_the_equations_are_solved():
    """Against a dense solution, on a picture large enough for coarser levels."""
    generator = np.random.default_rng(1)
    height, width = 20, 60
    guide = generator.normal(0, 0.1, (height, width, 3)).astype(np.float32)
    across, down = _links(guide)
    own = (generator.random((height, width)) < 0.1).astype(np.float32) * 8 + 0.003
    towards = generator.normal(0, 1, (height, width, 2)).astype(np.float32) * (own > 1)[..., None]
    matrix = np.zeros((height * width, height * width))
    index = np.arange(height * width).reshape(height, width)
    for link, one, other in ((across, index[:, :-1], index[:, 1:]), (down, index[:-1], index[1:])):
        for weight, i, j in zip(link.ravel(), one.ravel(), other.ravel(), strict=True):
            matrix[i, i] += weight
            matrix[j, j] += weight
            matrix[i, j] -= weight
            matrix[j, i] -= weight
    matrix += np.diag(own.ravel())
    exact = np.linalg.solve(matrix, towards.reshape(-1, 2)).reshape(height, width, 2)
    assert np.abs(_solve(own, (across, down), towards) - exact).max() < 0.01 * np.abs(exact).max()


@pytest.mark.parametrize("shape", [(1, 1), (1, 50), (37, 2), (5, 5)])
def test_pictures_of_any_size_are_spread_over(shape):
    scan = np.full((*shape, 3), 0.4, np.float32)
    amount = np.zeros(shape, np.float32)
    amount[0, 0] = 1
    found, confidence = spread(scan, np.full_like(scan, 0.5), amount, scan, 0.0)
    assert found.shape == scan.shape and confidence.shape == shape
    assert np.isfinite(found).all() and abs(float(found[0, 0, 0]) - 0.5) < 1e-3


def square_at(x, height=72, width=128):
    """A textured square on a textured ground; the square's place, and the picture."""
    generator = np.random.default_rng(2)
    ground = np.kron(generator.uniform(0.2, 0.4, (height // 4, width // 4)), np.ones((4, 4)))
    square = np.kron(generator.uniform(0.6, 0.9, (6, 6)), np.ones((4, 4)))
    picture = ground.copy()
    picture[24:48, x : x + 24] = square
    place = np.zeros((height, width), np.float32)
    place[24:48, x : x + 24] = 1
    return np.repeat(picture[..., None], 3, axis=2).astype(np.float32), place


def test_paint_follows_what_it_lies_on():
    frames = {number: square_at(20 + 3 * number) for number in range(9)}
    found = list(carry(lambda number: frames[number][0], 0, range(1, 9)))
    assert [one.frame for one in found] == list(range(1, 9))
    last = found[-1]
    assert last.painted == 0
    place = last.bring(frames[0][1])
    inner = frames[8][1] > 0
    inner[:27], inner[45:] = False, False
    assert place[inner][last.belief[inner] > 0.5].mean() > 0.9
    assert last.belief[inner].mean() > 0.6
    assert place[frames[8][1] == 0][last.belief[frames[8][1] == 0] > 0.5].mean() < 0.05


def test_what_was_hidden_is_not_believed():
    frames = {number: square_at(20 + 3 * number) for number in range(9)}
    *_, last = carry(lambda number: frames[number][0], 0, range(1, 9))
    uncovered = (frames[0][1] == 1) & (frames[8][1] == 0)
    assert last.belief[uncovered].mean() < 0.5 * last.belief[frames[8][1] == 1].mean()


def test_it_ends_at_a_cut():
    generator = np.random.default_rng(3)
    other = np.kron(generator.uniform(0, 1, (18, 32, 3)), np.ones((4, 4, 1))).astype(np.float32)
    frames = {number: square_at(20 + number)[0] for number in range(4)} | dict.fromkeys(range(4, 8), other)
    assert [one.frame for one in carry(frames.__getitem__, 0, range(1, 8))] == [1, 2, 3]
