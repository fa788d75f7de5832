"""How near an alignment comes to the truth, what it says about itself, and the words in which it refuses."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from wetgate.errors import WetgateError
from wetgate.images import open_source
from wetgate.pairing.align import Alignment, align, measure_residual, warp
from wetgate.simulate.footage import demo_footage
from wetgate.simulate.presets import FADED_PRINT
from wetgate.simulate.telecine import Telecine, reference_of
from wetgate.simulate.weave import Weave

CROP = (0.05, 0.02, 0.01, 0.04)


@pytest.fixture(scope="module")
def frames():
    """Parts of two frames of real footage that show different things, [272, 384, 3]."""
    with open_source(str(demo_footage())) as source:
        return [np.clip(source.read(number).pixels[:, 160:544], 0, 1) for number in (150, 230)]


@pytest.fixture(scope="module")
def faded(frames):
    """A faded, grainy, dusty scan, turned by 0.7 degrees and shifted, and where its pixels come from in the frame."""
    height, width = frames[0].shape[:2]
    turn = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), 0.7, 1.01)
    turn[:, 2] += (3.4, -2.7)
    moved = cv2.warpAffine(frames[0], turn, (width, height), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    still = replace(FADED_PRINT, weave=Weave(), seed=4)
    return still.frame(np.clip(moved, 0, 1), 1).scan, np.linalg.inv(np.vstack([turn, [0, 0, 1]]))


@pytest.fixture(scope="module")
def telecine(frames):
    """211 pixels of MPEG-2 (as 352 are to 640), cropped and so scaled unevenly, and its places from the frame's."""
    reference = reference_of(frames[0], Telecine(width=211, crop=CROP, quantiser=6, noise=0.008))
    return reference, to_cropped(frames[0].shape)


@pytest.fixture(scope="module")
def laid(faded, telecine):
    return align(faded[0], telecine[0])


def to_cropped(shape):
    height, width = shape[:2]
    left, right = round(CROP[0] * width), width - round(CROP[2] * width)
    top, bottom = round(CROP[1] * height), height - round(CROP[3] * height)
    x, y = width / (right - left), height / (bottom - top)
    return np.array([[x, 0, (0.5 - left) * x - 0.5], [0, y, (0.5 - top) * y - 0.5], [0, 0, 1]])


def error_px(alignment: Alignment, truth: np.ndarray, shape) -> np.ndarray:
    """[n, n] distance in scan pixels between where scan pixels are said to lie and where they do."""
    x, y = np.meshgrid(np.linspace(0, shape[1] - 1, 21).round(), np.linspace(0, shape[0] - 1, 21).round())
    points = np.stack([x, y, np.ones_like(x)], axis=-1)
    found = points @ alignment.transform.T
    found = found[..., :2] / found[..., 2:]
    if alignment.flow is not None:
        found = found + alignment.flow[y.astype(int), x.astype(int)]
    right = points @ truth.T
    return np.linalg.norm((found - right[..., :2] / right[..., 2:]) @ np.linalg.inv(truth[:2, :2]).T, axis=-1)


def test_a_telecine_lies_on_its_faded_scan_to_a_tenth_of_a_pixel(faded, telecine, laid):
    error = error_px(laid, telecine[1] @ faded[1], faded[0].shape)
    assert error.mean() < 0.12
    assert error.max() < 0.35
    assert not laid.mirrored
    assert laid.kind == "affine"


def test_what_it_says_is_left_is_what_is_left(faded, telecine, laid):
    truth = telecine[1] @ faded[1]
    error = error_px(laid, truth, faded[0].shape)
    assert error.mean() / 3 < laid.residual_px < 3 * error.mean() + 0.05
    assert laid.worst_corner_px >= laid.residual_px
    for shift in (0.5, 1.5):
        off = truth @ np.array([[1, 0, shift], [0, 1.002, -shift], [0, 0, 1]])
        mean, worst = measure_residual(faded[0], telecine[0], off)
        left = error_px(replace(laid, transform=off, flow=None), truth, faded[0].shape)
        assert mean == pytest.approx(left.mean(), rel=0.3)
        assert worst == pytest.approx(left.max(), rel=0.4)


def test_warped_into_the_scans_frame_the_reference_is_the_frame_before_it_faded(frames, faded, telecine, laid):
    scan, to_frame = faded
    warped = warp(telecine[0], laid, scan.shape)
    assert warped.shape == scan.shape
    assert warped.dtype == np.float32
    x, y = np.meshgrid(np.arange(scan.shape[1], dtype=np.float32), np.arange(scan.shape[0], dtype=np.float32))
    places = (np.stack([x, y, np.ones_like(x)], axis=-1) @ to_frame.T)[..., :2].astype(np.float32)
    before = cv2.GaussianBlur(cv2.remap(frames[0], places, None, cv2.INTER_CUBIC), (0, 0), 1)
    error = np.abs(cv2.GaussianBlur(warped, (0, 0), 1) - before)[laid.valid > 0]
    assert error.mean() < 0.02


def test_the_same_pictures_are_always_laid_alike(faded, telecine, laid):
    again = align(faded[0], telecine[0])
    assert np.array_equal(again.transform, laid.transform)
    assert (again.residual_px, again.kind) == (laid.residual_px, laid.kind)


def test_valid_is_where_the_reference_holds_picture(faded, telecine, laid):
    height, width = faded[0].shape[:2]
    assert laid.valid.shape == (height, width)
    assert set(np.unique(laid.valid)) == {0.0, 1.0}
    assert laid.valid[:, :20].max() == 0  # cropped on the left
    assert laid.valid[height // 2, 50 : width - 20].min() == 1


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("half the size", lambda p: cv2.resize(p, (200, 125), interpolation=cv2.INTER_AREA)),
        ("larger", lambda p: cv2.resize(p, (700, 520), interpolation=cv2.INTER_CUBIC)),
        ("a negative", lambda p: 1 - p),
        ("black and white", lambda p: np.repeat(p.mean(axis=2, keepdims=True), 3, axis=2)),
    ],
)
def test_a_reference_may_be(name, change, faded, telecine):
    reference = np.ascontiguousarray(change(telecine[0]), np.float32)
    height, width = telecine[0].shape[:2]
    y, x = reference.shape[0] / height, reference.shape[1] / width
    resized = np.array([[x, 0, (x - 1) / 2], [0, y, (y - 1) / 2], [0, 0, 1]])
    found = align(faded[0], reference, dense=False)
    assert error_px(found, resized @ telecine[1] @ faded[1], faded[0].shape).mean() < 0.15
    assert not found.mirrored


def test_a_mirrored_reference_is_found_and_turned_back(faded, telecine, laid):
    mirrored = np.ascontiguousarray(telecine[0][:, ::-1])
    found = align(faded[0], mirrored, dense=False)
    assert found.mirrored
    plain = replace(laid, flow=None)
    difference = warp(mirrored, found, faded[0].shape) - warp(telecine[0], plain, faded[0].shape)
    assert np.abs(difference[found.valid * laid.valid > 0]).mean() < 0.003


def test_a_red_layer_alone_is_enough(faded, telecine):
    """Cyan and yellow have gone altogether: two channels hold nothing but the scanner's noise."""
    noise = np.random.default_rng(1).normal(0.9, 0.01, faded[0].shape).astype(np.float32)
    noise[..., 1] = faded[0][..., 1]
    found = align(noise, telecine[0])
    assert error_px(found, telecine[1] @ faded[1], faded[0].shape).mean() < 0.15


def test_a_logo_does_not_pull(faded, telecine):
    reference = telecine[0].copy()
    reference[10:60, 290:370] = np.random.default_rng(2).random((50, 80, 3), dtype=np.float32).round()
    error = error_px(align(faded[0], reference, dense=False), telecine[1] @ faded[1], faded[0].shape)
    assert error.mean() < 0.12
    assert error.max() < 0.4


def test_a_keystone_makes_a_homography(faded, telecine):
    height, width = telecine[0].shape[:2]
    keystone = np.array([[1, 0, 0], [0, 1, 0], [0.02 / width, 0.01 / height, 1]])
    reference = cv2.warpPerspective(
        telecine[0], keystone, (width, height), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
    )
    found = align(faded[0], reference, dense=False)
    assert found.kind == "homography"
    assert error_px(found, keystone @ telecine[1] @ faded[1], faded[0].shape).mean() < 0.15


def test_a_warp_is_followed_where_the_pictures_prove_it(faded, telecine):
    height, width = telecine[0].shape[:2]
    x, y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    bend = np.dstack([1.5 * np.sin(y / 40) * np.sin(x / 90), 1.5 * np.cos(x / 70)]).astype(np.float32)
    reference = cv2.remap(telecine[0], np.dstack([x, y]) + bend, None, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    found = align(faded[0], reference)
    stiff = align(faded[0], reference, dense=False)
    assert (found.kind, stiff.kind) == ("dense", "affine")
    assert stiff.flow is None
    assert found.flow.shape == (*faded[0].shape[:2], 2)
    assert found.residual_px < 0.6 * stiff.residual_px
    assert found.correlation > stiff.correlation
    straight = warp(telecine[0], align(faded[0], telecine[0], dense=False), faded[0].shape)
    left = [np.abs(warp(reference, a, faded[0].shape) - straight)[8:-8, 40:-8].mean() for a in (found, stiff)]
    assert left[0] < 0.6 * left[1]


def test_values_that_are_no_numbers_are_left_out(faded, telecine):
    scan, reference = faded[0].copy(), telecine[0].copy()
    scan[40:70, 100:260] = np.nan
    reference[150:180, 200:280, 1] = np.inf
    found = align(scan, reference)
    assert error_px(found, telecine[1] @ faded[1], scan.shape).mean() < 0.15
    assert np.isfinite(warp(reference, found, scan.shape)).all()
    hole = np.linalg.inv(telecine[1] @ faded[1]) @ [240, 165, 1]
    assert found.valid[round(hole[1]), round(hole[0])] == 0


def test_values_beyond_0_and_1_come_through(faded, telecine, laid):
    bright = warp(telecine[0] * 4 - 1, laid, faded[0].shape)
    assert bright.max() > 2
    assert bright.min() < -0.5


def blank(value):
    return np.full((120, 160, 3), value, np.float32)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda s, r, o: (s, o), "Scan and reference do not show the same picture"),
        (lambda s, r, o: (np.random.default_rng(0).random(s.shape, np.float32), r), "do not show the same picture"),
        (lambda s, r, o: (blank(0), r), "The scan is blank"),
        (lambda s, r, o: (s, blank(0.7)), "The reference is blank"),
        (lambda s, r, o: (s[:1, :1], r), "The scan is 1x1 pixels"),
        (lambda s, r, o: (s, r[:8, :8]), "The reference is 8x8 pixels"),
        (lambda s, r, o: (blank(np.nan), r), "Most of the scan holds values that are not numbers"),
        (lambda s, r, o: (s[..., 0], r), "The scan has the shape"),
    ],
)
def test_nothing_to_hold_on_to_ends_in_a_sentence(change, words, frames, faded, telecine):
    scan, reference = change(faded[0], telecine[0], frames[1])
    with pytest.raises(WetgateError, match=words) as refusal:
        align(np.ascontiguousarray(scan), np.ascontiguousarray(reference))
    assert str(refusal.value).endswith(".")
