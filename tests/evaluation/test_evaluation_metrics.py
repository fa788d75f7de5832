"""The measures against closed forms and published data."""

import dataclasses
import math

import cv2
import numpy as np
import pytest

from wetgate.errors import WetgateError
from wetgate.evaluation.metrics import (
    Comparison,
    Measures,
    Meter,
    ciede2000,
    flicker,
    measure,
    srgb_to_lab,
    summarise,
)

# Sharma, Wu, Dalal 2005, table 1: L, a, b of both colours and the CIEDE2000 difference.
PUBLISHED = np.array(
    [
        [50.0000, 2.6772, -79.7751, 50.0000, 0.0000, -82.7485, 2.0425],
        [50.0000, 3.1571, -77.2803, 50.0000, 0.0000, -82.7485, 2.8615],
        [50.0000, 2.8361, -74.0200, 50.0000, 0.0000, -82.7485, 3.4412],
        [50.0000, -1.3802, -84.2814, 50.0000, 0.0000, -82.7485, 1.0000],
        [50.0000, -1.1848, -84.8006, 50.0000, 0.0000, -82.7485, 1.0000],
        [50.0000, -0.9009, -85.5211, 50.0000, 0.0000, -82.7485, 1.0000],
        [50.0000, 0.0000, 0.0000, 50.0000, -1.0000, 2.0000, 2.3669],
        [50.0000, -1.0000, 2.0000, 50.0000, 0.0000, 0.0000, 2.3669],
        [50.0000, 2.4900, -0.0010, 50.0000, -2.4900, 0.0009, 7.1792],
        [50.0000, 2.4900, -0.0010, 50.0000, -2.4900, 0.0010, 7.1792],
        [50.0000, 2.4900, -0.0010, 50.0000, -2.4900, 0.0011, 7.2195],
        [50.0000, 2.4900, -0.0010, 50.0000, -2.4900, 0.0012, 7.2195],
        [50.0000, -0.0010, 2.4900, 50.0000, 0.0009, -2.4900, 4.8045],
        [50.0000, -0.0010, 2.4900, 50.0000, 0.0010, -2.4900, 4.8045],
        [50.0000, -0.0010, 2.4900, 50.0000, 0.0011, -2.4900, 4.7461],
        [50.0000, 2.5000, 0.0000, 50.0000, 0.0000, -2.5000, 4.3065],
        [50.0000, 2.5000, 0.0000, 73.0000, 25.0000, -18.0000, 27.1492],
        [50.0000, 2.5000, 0.0000, 61.0000, -5.0000, 29.0000, 22.8977],
        [50.0000, 2.5000, 0.0000, 56.0000, -27.0000, -3.0000, 31.9030],
        [50.0000, 2.5000, 0.0000, 58.0000, 24.0000, 15.0000, 19.4535],
        [50.0000, 2.5000, 0.0000, 50.0000, 3.1736, 0.5854, 1.0000],
        [50.0000, 2.5000, 0.0000, 50.0000, 3.2972, 0.0000, 1.0000],
        [50.0000, 2.5000, 0.0000, 50.0000, 1.8634, 0.5757, 1.0000],
        [50.0000, 2.5000, 0.0000, 50.0000, 3.2592, 0.3350, 1.0000],
        [60.2574, -34.0099, 36.2677, 60.4626, -34.1751, 39.4387, 1.2644],
        [63.0109, -31.0961, -5.8663, 62.8187, -29.7946, -4.0864, 1.2630],
        [61.2901, 3.7196, -5.3901, 61.4292, 2.2480, -4.9620, 1.8731],
        [35.0831, -44.1164, 3.7933, 35.0232, -40.0716, 1.5901, 1.8645],
        [22.7233, 20.0904, -46.6940, 23.0331, 14.9730, -42.5619, 2.0373],
        [36.4612, 47.8580, 18.3852, 36.2715, 50.5065, 21.2231, 1.4146],
        [90.8027, -2.0831, 1.4410, 91.1528, -1.6435, 0.0447, 1.4441],
        [90.9257, -0.5406, -0.9208, 88.6381, -0.8985, -0.7239, 1.5381],
        [6.7747, -0.2908, -2.4247, 5.8714, -0.0985, -2.2286, 0.6377],
        [2.0776, 0.0795, -1.1350, 0.9033, -0.0636, -0.5514, 0.9082],
    ]
)


def texture(height: int = 96, width: int = 128, seed: int = 1) -> np.ndarray:
    """A smooth coloured picture with grain, float32, 0.2-0.8."""
    random = np.random.default_rng(seed)
    smooth = cv2.GaussianBlur(random.random((height, width, 3)).astype(np.float32), (0, 0), 6)
    smooth = 0.3 + 0.4 * (smooth - smooth.min()) / (smooth.max() - smooth.min())
    return (smooth + 0.02 * random.standard_normal((height, width, 1))).astype(np.float32)


def flat(value: float, height: int = 40, width: int = 50) -> np.ndarray:
    return np.full((height, width, 3), value, np.float32)


def luma(pixels: np.ndarray) -> np.ndarray:
    return (pixels @ np.array([0.2126, 0.7152, 0.0722], np.float32))[..., None]


@pytest.mark.parametrize("order", [(slice(0, 3), slice(3, 6)), (slice(3, 6), slice(0, 3))])
def test_ciede2000_agrees_with_the_published_data(order: tuple[slice, slice]) -> None:
    differences = ciede2000(PUBLISHED[:, order[0]], PUBLISHED[:, order[1]])
    np.testing.assert_allclose(differences, PUBLISHED[:, 6], atol=5.1e-5)


def test_ciede2000_of_pictures_stays_in_single_precision() -> None:
    first, second = PUBLISHED[:, :3].astype(np.float32), PUBLISHED[:, 3:6].astype(np.float32)
    differences = ciede2000(first, second)
    assert differences.dtype == np.float32
    ambiguous_hue = slice(8, 15)
    np.testing.assert_allclose(
        np.delete(differences, ambiguous_hue), np.delete(PUBLISHED[:, 6], ambiguous_hue), atol=2e-3
    )


def test_lab_of_known_srgb_colours() -> None:
    colours = np.array([[1, 1, 1], [0, 0, 0], [1, 0, 0], [0, 0, 1], [0.5, 0.5, 0.5]], np.float64)
    expected = [[100, 0, 0], [0, 0, 0], [53.24, 80.09, 67.20], [32.30, 79.19, -107.86], [53.39, 0, 0]]
    np.testing.assert_allclose(srgb_to_lab(colours), expected, atol=0.02)


def test_lab_goes_on_beyond_the_nominal_range() -> None:
    greys = np.repeat(np.array([-0.05, -0.01, 0.0, 0.01, 0.9, 1.0, 1.2, 4.0])[:, None], 3, axis=1)
    lightness = srgb_to_lab(greys)[:, 0]
    assert np.all(np.diff(lightness) > 0) and lightness[0] < 0 and lightness[-1] > 100


def test_identical_pictures_are_perfect() -> None:
    picture = texture()
    measures = measure(picture, picture)
    assert measures.psnr == 100 and measures.delta_e == 0 and measures.delta_e_p95 == 0
    assert measures.ssim == pytest.approx(1, abs=1e-6)
    for gain in (measures.hf_gain, measures.hf_correlation, measures.fine_gain, measures.middle_gain):
        assert gain == pytest.approx(1, abs=1e-9)


def test_luma_is_measured_apart_from_colour() -> None:
    truth = flat(0.5)
    greener = truth + np.float32([0.1, -0.1 * 0.2126 / 0.7152, 0])
    measures = measure(greener, truth)
    assert measures.luma_psnr == 100 and measures.psnr < 25
    assert measure(flat(0.6), truth).luma_psnr == pytest.approx(20, abs=1e-4)


def test_psnr_of_a_constant_error() -> None:
    assert measure(flat(0.6), flat(0.5)).psnr == pytest.approx(20, abs=1e-4)


def test_delta_e_of_flat_colours_is_the_formula() -> None:
    first, second = flat(0.5), flat(0.5)
    first[..., 0], second[..., 2] = 0.8, 0.7
    expected = float(ciede2000(srgb_to_lab(first[0, 0].astype(float)), srgb_to_lab(second[0, 0].astype(float))))
    measures = measure(first, second)
    assert measures.delta_e == pytest.approx(expected, abs=1e-3)
    assert measures.delta_e_p95 == pytest.approx(expected, abs=1e-3)


def test_delta_e_of_a_large_frame_is_that_of_its_parts() -> None:
    truth = np.tile(texture(200, 128), (2, 1, 1))
    result = truth * np.float32(0.9)
    upper = measure(result[:200], truth[:200])
    assert measure(result, truth).delta_e == pytest.approx(upper.delta_e, rel=0.02)
    assert Comparison(result, truth).delta_e_map.shape == (400, 128)


def test_delta_e_ignores_grain_and_sees_a_cast() -> None:
    truth = texture()
    grain = 0.02 * np.random.default_rng(5).standard_normal(truth.shape).astype(np.float32)
    cast = np.array([0.02, 0, -0.02], np.float32)
    assert measure(truth + grain, truth).delta_e < 0.5 < measure(truth + cast, truth).delta_e


def test_delta_e_p95_is_the_bad_tail() -> None:
    truth, result = flat(0.5, 100, 100), flat(0.5, 100, 100)
    result[:, :20] += 0.2
    measures = measure(result, truth)
    whole = measure(truth + np.float32(0.2), truth)
    assert measures.delta_e_p95 == pytest.approx(whole.delta_e, rel=0.01)
    assert measures.delta_e == pytest.approx(0.2 * whole.delta_e, rel=0.05)


def test_ssim_of_flat_pictures_is_its_luminance_term() -> None:
    expected = (2 * 0.5 * 0.7 + 1e-4) / (0.5**2 + 0.7**2 + 1e-4)
    assert measure(flat(0.7), flat(0.5)).ssim == pytest.approx(expected, abs=1e-3)


def test_ssim_is_the_sum_over_windows_that_the_paper_writes() -> None:
    random = np.random.default_rng(8)
    truth = random.random((20, 24, 3)).astype(np.float32)
    result = (truth + 0.1 * random.standard_normal(truth.shape)).astype(np.float32)
    taps = np.exp(-0.5 * (np.arange(-5, 6) / 1.5) ** 2)
    window = np.outer(taps, taps) / taps.sum() ** 2
    x, y = (
        np.lib.stride_tricks.sliding_window_view(luma(picture)[..., 0].astype(np.float64), (11, 11))
        for picture in (result, truth)
    )
    mean_x, mean_y = (window * x).sum((2, 3)), (window * y).sum((2, 3))
    var_x, var_y = ((window * p**2).sum((2, 3)) - m**2 for p, m in ((x, mean_x), (y, mean_y)))
    covariance = (window * x * y).sum((2, 3)) - mean_x * mean_y
    expected = ((2 * mean_x * mean_y + 1e-4) * (2 * covariance + 9e-4)) / (
        (mean_x**2 + mean_y**2 + 1e-4) * (var_x + var_y + 9e-4)
    )
    assert measure(result, truth).ssim == pytest.approx(expected.mean(), abs=1e-4)


def test_ssim_of_an_inverted_texture_is_negative() -> None:
    noise = np.repeat(np.random.default_rng(2).standard_normal((64, 64, 1)), 3, axis=2).astype(np.float32) * 0.1
    assert measure(0.5 - noise, 0.5 + noise).ssim < -0.9


@pytest.mark.parametrize("scale", [0.5, 1.0, 1.5])
def test_hf_gain_of_scaled_grain_is_the_scale_squared(scale: float) -> None:
    noise = 0.05 * np.random.default_rng(3).standard_normal((128, 128, 1)).astype(np.float32)
    measures = measure(0.5 + scale * noise.repeat(3, axis=2), 0.5 + noise.repeat(3, axis=2))
    assert measures.hf_gain == pytest.approx(scale**2, rel=1e-4)
    assert measures.fine_gain == pytest.approx(scale**2, rel=1e-4)
    assert measures.middle_gain == pytest.approx(scale**2, rel=1e-4)
    assert measures.hf_correlation == pytest.approx(1, abs=1e-5)


def test_independent_grain_does_not_correlate() -> None:
    random = np.random.default_rng(4)
    first, second = (0.5 + 0.05 * random.standard_normal((2, 256, 256, 1))).astype(np.float32).repeat(3, axis=3)
    assert abs(measure(first, second).hf_correlation) < 0.02


def test_lost_grain_is_a_gain_near_zero_and_not_a_division_by_zero() -> None:
    truth = texture()
    soft = cv2.GaussianBlur(truth, (0, 0), 5)
    assert measure(soft, truth).hf_gain < 0.1
    lost = measure(flat(0.5), flat(0.5))
    assert lost.hf_gain == 1 and lost.hf_correlation == 1
    assert math.isfinite(measure(texture(40, 50), flat(0.5)).hf_gain)


def test_bands_tell_fine_from_middle() -> None:
    truth = texture()
    grainless = cv2.GaussianBlur(truth, (0, 0), 1.2)
    measures = measure(grainless, truth)
    assert measures.fine_gain < 0.1 < measures.middle_gain < 1


def test_flicker_of_a_known_flicker() -> None:
    """An error that swings by four code values between frames, under a changing truth."""
    meter, still = Meter(), Meter()
    for frame in range(1001, 1005):
        truth = texture(seed=frame)
        meter.add(frame, truth + np.float32((frame % 2) * 4 / 255), truth)
        still.add(frame, truth + np.float32(4 / 255), truth)
    assert meter.summary.flicker == pytest.approx(4, abs=1e-3)
    assert still.summary.flicker == pytest.approx(0, abs=1e-3)


def test_flicker_ignores_grain_that_dances() -> None:
    random = np.random.default_rng(6)
    truth = flat(0.5, 128, 128)
    errors = [
        Comparison(truth + (0.02 * random.standard_normal(truth.shape)).astype(np.float32), truth).low_passed_error
        for _ in range(3)
    ]
    unfiltered = 255 * 0.02 * 2 / math.sqrt(math.pi)
    assert flicker(errors) < 0.15 * unfiltered


def test_flicker_needs_neighbouring_frames() -> None:
    meter = Meter()
    for frame in (1, 3, 4, 9):
        meter.add(frame, texture(), texture())
    assert [measures.flicker is None for measures in meter.measures] == [True, True, False, True]
    with pytest.raises(WetgateError, match="two successive frames"):
        flicker([Comparison(texture(), texture()).low_passed_error])


def test_inset_leaves_the_edges_out_before_filtering() -> None:
    truth = texture()
    broken = truth.copy()
    broken[:4], broken[-4:], broken[:, :4], broken[:, -4:] = 1, 1, 0, 0
    assert measure(broken, truth).delta_e > 1
    assert measure(broken, truth, inset=4).delta_e == 0
    assert measure(broken, truth, inset=4).psnr == 100


def test_nothing_leaks_in_through_the_mask() -> None:
    truth = texture()
    mask = np.zeros(truth.shape[:2], np.float32)
    mask[20:70, 30:90] = 1
    damaged = truth + np.float32(0.05)
    junk = damaged.copy()
    junk[mask == 0] = np.nan
    clean, masked = measure(damaged, truth, mask=mask), measure(junk, truth, mask=mask)
    assert dataclasses.asdict(masked) == dataclasses.asdict(clean)
    assert masked.psnr == pytest.approx(-20 * math.log10(0.05), abs=1e-3)
    everywhere = measure(damaged, truth)
    assert masked.delta_e == pytest.approx(everywhere.delta_e, rel=0.05)
    assert measure(damaged, truth, mask=np.ones_like(mask)).delta_e == pytest.approx(everywhere.delta_e, rel=1e-5)


def test_flicker_counts_only_what_both_masks_show() -> None:
    meter, truth = Meter(), flat(0.5)
    mask = np.zeros(truth.shape[:2], np.bool_)
    mask[:, :20] = True
    meter.add(1, truth, truth, mask)
    result = truth.copy()
    result[:, :20] += 2 / 255
    assert meter.add(2, result, truth).flicker == pytest.approx(2, abs=0.35)


@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (9, 2), (11, 11)])
def test_tiny_pictures(shape: tuple[int, int]) -> None:
    truth = np.random.default_rng(7).random((*shape, 3)).astype(np.float32)
    measures = measure(truth + np.float32(0.1), truth)
    assert measures.psnr == pytest.approx(20, abs=1e-3)
    assert all(math.isfinite(value) for value in dataclasses.astuple(measures) if value is not None)


@pytest.mark.parametrize(("value", "name"), [(np.nan, "result"), (np.inf, "truth")])
def test_pixels_that_are_no_numbers_are_refused(value: float, name: str) -> None:
    pictures = {"result": texture(), "truth": texture()}
    pictures[name][5, 6, 1] = value
    with pytest.raises(WetgateError, match=f"The {name} holds NaN or infinity in 1 pixel:"):
        measure(pictures["result"], pictures["truth"])


def test_pictures_that_cannot_be_compared() -> None:
    with pytest.raises(WetgateError, match="result is 50x40 and the truth 20x30"):
        measure(flat(0.5), flat(0.5, 30, 20))
    with pytest.raises(WetgateError, match="inset of 20 pixels leaves nothing of a 50x40"):
        measure(flat(0.5), flat(0.5), inset=20)
    with pytest.raises(WetgateError, match="mask is 3x2 and the picture 50x40"):
        measure(flat(0.5), flat(0.5), mask=np.ones((2, 3), np.float32))
    with pytest.raises(WetgateError, match="leaves no pixel"):
        measure(flat(0.5), flat(0.5), mask=np.zeros((40, 50), np.float32))


def test_summary_is_the_mean_of_the_frames() -> None:
    first = Measures(20, 0.5, 2, 4, 1.0, 0.9, 1.0, 1.1)
    second = Measures(30, 0.7, 4, 8, 1.2, 0.7, 0.8, 0.9, flicker=3.0)
    summary = summarise([first, second])
    assert (summary.psnr, summary.delta_e, summary.delta_e_p95, summary.flicker) == (25, 3, 6, 3)
    assert summarise([first]).flicker is None
    with pytest.raises(WetgateError, match="no frame"):
        summarise([])
