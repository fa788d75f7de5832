import cv2
import numpy as np
import pytest

from wetgate.errors import WetgateError
from wetgate.simulate.telecine import Telecine, reference_of


def energy(pixels: np.ndarray) -> float:
    return float(np.square(np.diff(pixels, axis=1)).mean())


def textured(height: int = 144, width: int = 256) -> np.ndarray:
    random = np.random.default_rng(1)
    y, x = np.mgrid[0:height, 0:width] / 40
    base = np.stack([0.5 + 0.3 * np.sin(x + k) * np.cos(y * (k + 1)) for k in range(3)], axis=2)
    return np.clip(base + random.normal(0, 0.04, base.shape), 0, 1).astype(np.float32)


def test_a_reference_is_softer_in_the_same_place_and_of_the_same_colour():
    truth = textured()
    reference = reference_of(truth, Telecine(width=128))
    assert reference.shape == truth.shape and reference.dtype == np.float32
    assert energy(reference) < 0.3 * energy(truth)
    assert np.abs(reference.mean(axis=(0, 1)) - truth.mean(axis=(0, 1))).max() < 0.01
    soft = cv2.GaussianBlur(truth, (0, 0), 3)[10:-10, 10:-10]
    errors = {
        (y, x): float(np.square(np.roll(reference, (y, x), (0, 1))[10:-10, 10:-10] - soft).mean())
        for y in (-1, 0, 1)
        for x in (-1, 0, 1)
    }
    assert min(errors, key=lambda shift: errors[shift]) == (0, 0)


def test_fewer_pixels_and_coarser_quantisation_lose_more():
    truth = textured()
    errors = [
        np.square(reference_of(truth, Telecine(width=width, quantiser=quantiser)) - truth).mean()
        for width, quantiser in ((256, 0), (256, 8), (128, 8), (128, 40))
    ]
    assert errors == sorted(errors) and errors[0] < errors[-1]


def test_an_even_picture_survives_to_one_code_value():
    grey = np.full((50, 70, 3), (0.2, 0.5, 0.7), np.float32)
    assert np.abs(reference_of(grey, Telecine(width=70, quantiser=4)) - grey).max() < 0.012


def test_colour_is_kept_at_half_the_resolution_of_luma():
    truth = np.full((64, 128, 3), 0.5, np.float32)
    truth[:, ::2] += np.array([0.2, -0.1, 0.0], np.float32)
    reference = reference_of(truth, Telecine(width=128, quantiser=0))
    assert np.abs(np.diff(reference[..., 0] - reference[..., 1], axis=1)).max() < 0.05


def test_a_cropped_reference_fills_the_frame_with_what_is_left():
    truth = textured()
    reference = reference_of(truth, Telecine(width=256, crop=(0.25, 0.25, 0.25, 0.25), quantiser=0))
    assert reference.shape == truth.shape
    assert np.abs(reference[72, 128] - truth[71:74, 127:130].mean(axis=(0, 1))).max() < 0.08
    assert np.abs(reference[:8, :8].mean(axis=(0, 1)) - truth[36:40, 64:68].mean(axis=(0, 1))).max() < 0.05


def test_noise_follows_seed_and_frame():
    truth = textured()
    noisy = Telecine(width=128, noise=0.02)
    assert np.array_equal(reference_of(truth, noisy, 1, 5), reference_of(truth, noisy, 1, 5))
    assert not np.array_equal(reference_of(truth, noisy, 1, 5), reference_of(truth, noisy, 1, 6))
    assert not np.array_equal(reference_of(truth, noisy, 1, 5), reference_of(truth, noisy, 2, 5))


@pytest.mark.parametrize("telecine", [Telecine(width=0), Telecine(crop=(0.5, 0, 0.5, 0))])
def test_a_reference_without_picture_is_refused(telecine):
    with pytest.raises(WetgateError, match="no picture"):
        reference_of(textured(), telecine)


def test_the_smallest_frames_work():
    for shape in ((1, 1, 3), (1, 9, 3), (7, 1, 3)):
        assert reference_of(np.full(shape, 0.4, np.float32)).shape == shape
