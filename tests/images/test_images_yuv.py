import numpy as np
import pytest

from wetgate.images.yuv import LUMA_WEIGHTS, Coding, planes_to_rgb, rgb_to_planes


def one(value):
    return np.array([[value]], np.uint16)


@pytest.mark.parametrize(
    ("matrix", "rgb", "codes"),
    [
        ("bt709", (1, 1, 1), (940, 512, 512)),
        ("bt709", (0, 0, 0), (64, 512, 512)),
        ("bt709", (1, 0, 0), (250, 409, 960)),
        ("bt709", (0, 1, 0), (691, 167, 105)),
        ("bt709", (0, 0, 1), (127, 960, 471)),
        ("bt601", (1, 0, 0), (326, 361, 960)),
        ("bt601", (0, 0, 1), (164, 960, 439)),
        ("bt2020", (1, 0, 0), (294, 387, 960)),
    ],
)
def test_primaries_have_the_codes_that_the_standards_print(matrix, rgb, codes):
    coding = Coding(10, matrix, False, (1, 1))
    planes = rgb_to_planes(np.float32([[rgb]]), coding)
    assert tuple(int(plane[0, 0]) for plane in planes) == codes
    back = planes_to_rgb(one(codes[0]), one(codes[1]), one(codes[2]), coding)
    np.testing.assert_allclose(back[0, 0], rgb, atol=0.002)


@pytest.mark.parametrize("full_range", [False, True])
@pytest.mark.parametrize("bits", [8, 10, 12, 16])
@pytest.mark.parametrize("matrix", LUMA_WEIGHTS)
def test_full_resolution_codes_survive_the_way_through_floats(matrix, bits, full_range):
    chance = np.random.default_rng(bits)
    lower, upper = (0, (1 << bits) - 1) if full_range else (16 << bits - 8, 235 << bits - 8)
    planes = [chance.integers(lower, upper, (16, 24)) for _ in range(3)]
    coding = Coding(bits, matrix, full_range, (1, 1))
    for before, after in zip(planes, rgb_to_planes(planes_to_rgb(*planes, coding), coding), strict=True):
        np.testing.assert_array_equal(after, before)


@pytest.mark.parametrize("size", [(8, 16), (9, 17), (1, 1)])
@pytest.mark.parametrize("centred", [False, True])
@pytest.mark.parametrize("step", [(2, 1), (2, 2), (4, 1)])
def test_flat_colour_survives_reduced_chroma_at_any_size(step, centred, size):
    coding = Coding(10, "bt709", False, step, centred)
    colour = np.broadcast_to(np.float32([0.2, 0.5, 0.7]), (*size, 3))
    luma, cb, cr = rgb_to_planes(colour, coding)
    assert cb.shape == cr.shape == (-(-size[0] // step[1]), -(-size[1] // step[0]))
    np.testing.assert_allclose(planes_to_rgb(luma, cb, cr, coding), colour, atol=0.002)


@pytest.mark.parametrize(("step", "centred"), [((2, 1), False), ((2, 2), False), ((2, 2), True), ((4, 1), False)])
def test_a_chroma_ramp_does_not_shift(step, centred):
    y, x = np.mgrid[0:32, 0:64].astype(np.float32)
    ramp = np.stack([x / 100, np.full_like(x, 0.4), y / 50], axis=2)
    coding = Coding(12, "bt709", False, step, centred)
    back = planes_to_rgb(*rgb_to_planes(ramp, coding), coding)
    np.testing.assert_allclose(back[8:-8, 8:-8], ramp[8:-8, 8:-8], atol=0.001)


def test_codes_beyond_black_and_white_are_kept():
    coding = Coding(10, "bt709", False, (1, 1))
    pixels = planes_to_rgb(one(1019), one(512), one(512), coding)
    assert pixels[0, 0, 0] == pytest.approx((1019 - 64) / 876, abs=1e-6)
    assert planes_to_rgb(one(4), one(512), one(512), coding)[0, 0, 1] < 0


def test_bad_pixels_become_codes():
    coding = Coding(8, "bt601", False, (2, 2))
    pixels = np.full((4, 4, 3), np.nan, np.float32)
    luma, cb, _ = rgb_to_planes(pixels, coding)
    assert (luma == 16).all()
    assert (cb == 128).all()
