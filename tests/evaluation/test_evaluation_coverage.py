"""Coverage of a scan by pairs, and what to pair next."""

from __future__ import annotations

import inspect

import cv2
import numpy as np
import pytest

from wetgate.evaluation import coverage
from wetgate.evaluation.coverage import colours_of, steadied, support
from wetgate.images import from_display
from wetgate.training import closed_form, color_model

SHOTS = [(1, 10), (11, 20), (21, 30)]
WARM, COLD, GREEN = (0.7, 0.4, 0.3), (0.2, 0.3, 0.7), (0.1, 0.6, 0.15)


def picture(tint, seed, height=96, width=160):
    """Soft patches around a tint, with grain."""
    generator = np.random.default_rng(seed)
    patches = generator.normal(1, 0.15, (5, 8, 1)) + generator.normal(0, 0.05, (5, 8, 3))
    soft = cv2.resize(patches.astype(np.float32), (width, height), interpolation=cv2.INTER_CUBIC)
    grain = generator.normal(0, 0.01, (height, width, 1))
    return np.clip(soft * np.array(tint, np.float32) + grain, 0.02, 0.98).astype(np.float32)


@pytest.fixture(scope="module")
def reel():
    """Three shots of ten frames: warm, cold, and warm again, but for a green thing in its last three frames."""
    frames = {}
    for number in range(1, 31):
        scan = picture(COLD if 11 <= number <= 20 else WARM, number)
        if number >= 28:
            scan[20:60, 30:90] = picture(GREEN, number, 40, 60)
        frames[number] = colours_of(scan, "display")
    return frames


def test_it_counts_as_the_recipe_does():
    assert coverage.KERNEL_WIDTH == closed_form.KERNEL_WIDTH
    assert coverage.KERNEL_SURROUND == closed_form.KERNEL_SURROUND
    assert coverage.LOW_PASS == color_model.LOW_PASS
    assert (coverage.UNLIKE, coverage.LIKE) == (color_model.UNLIKE, color_model.LIKE)
    assert "torch" not in inspect.getsource(coverage)


def test_it_sees_what_the_kernels_see():
    """Density and surround, the same but for sampling and for what is done at the edges."""
    from wetgate.training.samples import make_sample
    from wetgate.training.torch_operations import Torch, tensor

    scan = cv2.GaussianBlur(picture(WARM, 1, 96, 160), (0, 0), 2)
    half = make_sample(scan, scan, "display", number=1, frame=1).scan
    wanted = color_model.features(Torch(), tensor(half))[0].permute(1, 2, 0).numpy()
    found = colours_of(scan, "display", points=half[..., 0].size).reshape(wanted.shape)
    inner = np.s_[8:-8, 8:-8]
    assert np.abs(found[inner] - wanted[inner]).max() < 0.01


def test_a_frame_that_is_a_pair_is_covered(reel):
    found = support(reel, [reel[4]], SHOTS, 1)
    assert found.coverage[4] == 1
    assert found.coverage[5] > 0.9
    assert all(found.coverage[number] < 0.2 for number in range(11, 21))


def test_a_pair_looked_at_more_closely_covers_its_frame_too():
    scan = picture(WARM, 3)
    found = support({1: colours_of(scan, "display")}, [colours_of(scan, "display", 8000)], [(1, 1)], 1)
    assert found.coverage[1] > 0.99


def test_a_colour_of_few_frames_is_found_and_named(reel):
    found = support(reel, [reel[4], reel[15]], SHOTS, 3)
    first = found.suggestions[0]
    assert first.frame >= 28
    assert first.shot == 3
    assert 0.7 < first.coverage < 0.9  # the thing covers a sixth of the picture
    assert any("green" in word for word in first.colours)
    assert first.helps == 3
    assert min(found.coverage, key=found.coverage.__getitem__) >= 28


def test_one_suggestion_takes_from_the_gain_of_the_others(reel):
    two = support(reel, [reel[4]], SHOTS, 2).suggestions
    assert [one.shot for one in two] == [2, 3]
    assert two[0].gain > 0.25
    alone = support(reel, [reel[4], reel[two[0].frame]], SHOTS, 5).suggestions
    assert alone[0].frame == two[1].frame
    assert all(one.shot != 2 or one.gain < 0.1 * two[0].gain for one in alone)


def test_each_shot_has_its_turn_before_any_has_a_second():
    """Shot 1 alone holds four new colours; the others one, of little worth."""
    tints = [WARM, COLD, GREEN, (0.7, 0.7, 0.1)]
    frames = {number: colours_of(picture(tints[number % 4], number), "display") for number in range(1, 13)}
    frames |= {number: colours_of(picture((0.6, 0.1, 0.6), number), "display") for number in range(13, 15)}
    found = support(frames, [], [(1, 12), (13, 14)], 4).suggestions
    assert [one.shot for one in found][:3] == [1, 2, 1]


def test_without_pairs_it_says_where_to_begin(reel):
    found = support(reel, [], SHOTS, 5)
    assert set(found.coverage.values()) == {0}
    assert found.suggestions[0].shot in (1, 3)
    assert found.suggestions[0].gain > 0.5
    assert found.suggestions[1].shot == 2


def test_nothing_is_suggested_where_all_is_shown(reel):
    assert (
        support(reel, [reel[number] for number in (2, 5, 8, 12, 15, 18, 22, 25, 28, 29, 30)], SHOTS, 5).suggestions
        == []
    )


def test_it_is_the_same_every_time(reel):
    assert support(reel, [reel[4]], SHOTS, 5) == support(dict(reel), [reel[4].copy()], SHOTS, 5)


def test_gains_and_coverage_are_of_the_same_kind(reel):
    """What the suggestions were said to add is what they add once they are pairs."""
    pairs = [reel[4]]
    before = support(reel, pairs, SHOTS, 2)
    after = support(reel, [*pairs, *(reel[one.frame] for one in before.suggestions)], SHOTS, 1)
    gained = np.mean(list(after.coverage.values())) - np.mean(list(before.coverage.values()))
    # The pairs' own spread sets the scale, and has grown.
    assert gained == pytest.approx(sum(one.gain for one in before.suggestions), rel=0.15)


def test_a_mask_takes_colours_away():
    scan = picture(WARM, 1)
    scan[:, 80:] = picture(COLD, 2)[:, 80:]
    weight = np.zeros(scan.shape[:2], np.float32)
    weight[:, :80] = 1
    masked, whole = colours_of(scan, "display", weight=weight), colours_of(scan, "display")
    assert 0.4 < len(masked) / len(whole) < 0.6
    cold = {1: colours_of(picture(COLD, 3), "display")}
    assert support(cold, [whole], [(1, 1)], 1).coverage[1] > 0.5
    assert support(cold, [masked], [(1, 1)], 1).coverage[1] < 0.1


def test_what_flickers_is_known_again_once_it_is_steady():
    scan = colours_of(picture(WARM, 1), "display")
    curve = ((0.05, 0.1), (0.02, 0.0), (-0.1, 0.05))
    flickering = scan.copy()
    for channel, (offset, gain) in enumerate(curve):
        for column in (channel, channel + 3):
            flickering[:, column] = (scan[:, column] - offset) / (1 + gain)
    unsteady = support({1: flickering}, [scan], [(1, 1)], 1).coverage[1]
    steady = support({1: steadied(flickering, curve)}, [scan], [(1, 1)], 1).coverage[1]
    assert unsteady < 0.8
    assert steady > 0.999


@pytest.mark.parametrize("encoding", ["linear", "log"])
def test_every_encoding_tells_much_the_same(encoding):
    frames = {number: picture(WARM if number < 6 else COLD, number) for number in range(1, 11)}
    found = support(
        {number: colours_of(from_display(one, encoding), encoding) for number, one in frames.items()},
        [colours_of(from_display(frames[2], encoding), encoding)],
        [(1, 5), (6, 10)],
        1,
    )
    assert np.mean([found.coverage[number] for number in range(1, 6)]) > 0.85
    assert np.mean([found.coverage[number] for number in range(6, 11)]) < 0.2
    assert found.suggestions[0].shot == 2


@pytest.mark.parametrize("size", [(1, 1), (3, 200), (200, 3)])
def test_pictures_of_any_size_and_with_bad_values(size):
    bad = np.full((*size, 3), 0.4, np.float32)
    bad[0, 0] = (np.nan, np.inf, -np.inf)
    seen = colours_of(bad, "linear")
    assert len(seen) > 0
    assert np.isfinite(seen).all()
    assert support({7: seen}, [seen], [(7, 7)], 3).coverage == {7: 1.0}


def test_many_different_colours_are_put_together_until_they_are_few():
    generator = np.random.default_rng(0)
    frames = {number: generator.normal(0, 1, (2000, 6)).astype(np.float32) for number in range(40)}
    cells, shares, _ = coverage._in_cells(list(frames.values()))
    assert 1000 < len(cells) <= coverage.MOST_CELLS
    assert np.allclose(shares.sum(1), 1)
