import numpy as np
import OpenImageIO as oiio
import pytest

from wetgate.errors import WetgateError
from wetgate.images import ENCODINGS, encodings, from_display, from_linear, to_display, to_linear

RAMP = np.linspace(-1.5, 3.0, 3001, dtype=np.float32)[:, None].repeat(3, axis=1)


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_ways_there_and_back_agree_far_outside_the_usual_range(encoding):
    linear = to_linear(RAMP, encoding)
    assert linear.dtype == np.float32
    np.testing.assert_allclose(from_linear(linear, encoding), RAMP, atol=2e-6)
    np.testing.assert_allclose(from_display(to_display(RAMP, encoding), encoding), RAMP, atol=2e-5, rtol=2e-5)
    assert (np.diff(linear[:, 0]) > 0).all()


def test_srgb_at_known_points():
    linear = to_linear(np.float32([[0.0, 0.5, 1.0]]), "display")
    np.testing.assert_allclose(linear, [[0.0, 0.21404114, 1.0]], atol=1e-7)


def test_cineon_at_the_codes_that_define_it():
    codes = np.float32([[95, 685, 470]]) / 1023
    linear = to_linear(codes, "log")
    assert linear[0, 0] == pytest.approx(0, abs=1e-6)
    assert linear[0, 1] == pytest.approx(1, abs=1e-6)
    assert linear[0, 2] == pytest.approx(0.18, abs=0.005)


def test_negative_display_values_mirror_positive_ones():
    np.testing.assert_array_equal(to_linear(-RAMP, "display"), -to_linear(RAMP, "display"))


def test_an_unknown_encoding_is_refused_by_name():
    with pytest.raises(WetgateError, match=r"'rec709'.*display, linear, log"):
        to_linear(RAMP, "rec709")


@pytest.mark.parametrize(("bits", "black", "scale"), [(10, 95, 500), (16, 1520, 8000)])
def test_adx_densities_are_those_of_the_standard(bits, black, scale):
    largest = (1 << bits) - 1
    codes = np.float32([[black, black + scale, black + scale // 2]]) / largest
    np.testing.assert_allclose(encodings.adx_to_density(codes, bits), [[0.0, 1.0, 0.5]], atol=1e-5)


@pytest.mark.parametrize(("bits", "name", "top"), [(10, "ADX10", 1.0), (16, "ADX16", 0.25)])
def test_adx_to_aces_is_the_academy_s_transform(bits, name, top):
    ramp = np.linspace(0, top, 500, dtype=np.float32)[:, None] * np.float32([1.0, 0.9, 0.8])
    buffer = oiio.ImageBuf(np.ascontiguousarray(ramp[None]))
    converted = oiio.ImageBufAlgo.colorconvert(
        buffer, name, "ACES2065-1", colorconfig="ocio://cg-config-v2.1.0_aces-v1.3_ocio-v2.3"
    )
    if converted.has_error:
        converted = oiio.ImageBufAlgo.colorconvert(
            buffer, name, "ACES2065-1", colorconfig="ocio://studio-config-latest"
        )
    expected = converted.get_pixels(oiio.FLOAT)[0]

    aces = encodings.adx_to_aces(ramp, bits)

    np.testing.assert_allclose(aces, expected, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(encodings.aces_to_adx(aces, bits), ramp, atol=1e-6)


def test_adx16_becomes_the_log_of_the_same_density():
    density = np.float32([[0.1, 0.7, 1.6]])
    log = encodings.adx_to_log(encodings.density_to_adx(density, 16), 16)
    np.testing.assert_allclose(log, encodings.density_to_adx(density, 10), atol=1e-6)
    np.testing.assert_allclose(encodings.log_to_adx(log, 16), encodings.density_to_adx(density, 16), atol=1e-6)
