"""Exposure curves: flicker goes; light that changes, motion, cuts and dust leave no trace."""

from __future__ import annotations

import functools
import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from wetgate.errors import WetgateError
from wetgate.evaluation.metrics import Comparison, flicker
from wetgate.images import ENCODINGS, Header, Image, Window, open_source, write_image
from wetgate.images.moving import Source
from wetgate.inference.curves import STILL, Curves, density_of, identity, kept, values_of
from wetgate.pairing.deflicker import measure, measure_near
from wetgate.simulate.dust import Dust
from wetgate.simulate.fade import Fade
from wetgate.simulate.film import FilmDecay
from wetgate.simulate.flicker import Flicker
from wetgate.simulate.grain import Grain
from wetgate.training.density import to_density
from wetgate.training.operations import Numpy

HEIGHT, WIDTH, FRAMES = 90, 120, 40
FADED = FilmDecay(fade=Fade(remaining=(0.32, 0.8, 0.5)), grain=Grain(granularity=12, size_um=40))
UNSTEADY = Flicker(exposure=0.015, cyan=0.07)
VISIBLE = 0.5 / 255


class Reel(Source):
    """Pictures in memory."""

    name, is_video, fps = "reel", False, None

    def __init__(self, pictures, first=1):
        self.pictures = dict(enumerate(pictures, first))
        self.frames = list(self.pictures)

    def path(self, frame):
        return Path(__file__)

    def read(self, frame):
        pixels = self.pictures[frame]
        window = Window(0, 0, pixels.shape[1], pixels.shape[0])
        return Image(pixels, None, Header("exr", "float", ("R", "G", "B"), window, window))

    @property
    def size(self):
        height, width = self.pictures[self.frames[0]].shape[:2]
        return width, height

    def close(self):
        pass


@functools.cache
def texture(seed, height=HEIGHT, width=WIDTH):
    random = np.random.default_rng(seed)
    picture = sum(
        cv2.resize(
            random.random((height // size + 2, width // size + 2, 3)), (width, height), interpolation=cv2.INTER_CUBIC
        )
        for size in (6, 15, 40)
    )
    return np.clip(0.45 + 0.35 * (picture - 1.5), 0.02, 0.98).astype(np.float32)


def still(number):
    return texture(1)


def pan(number):
    wide = texture(3, HEIGHT, WIDTH + 6 * FRAMES)
    return wide[:, 5 * number : 5 * number + WIDTH]


def two_shots(number):
    return texture(1) if number < 20 else 0.4 * texture(7) + 0.5


def crowd(number):
    """A third of the picture moves across the rest."""
    picture = texture(1).copy()
    mover = texture(9, 60, 60)
    left = (3 * number) % (WIDTH - 60)
    picture[20:80, left : left + 60] = mover
    return picture


@functools.cache
def scanned(scene, decay):
    return [decay.frame(np.ascontiguousarray(scene(number)), number).scan for number in range(1, FRAMES + 1)]


def steadied(pictures, **options):
    curves = measure(Reel(pictures), "display", **options)
    return [curves.steady(number, picture) for number, picture in enumerate(pictures, 1)]


def flicker_of(pictures, truth):
    return flicker(Comparison(one, other).low_passed_error for one, other in zip(pictures, truth, strict=True))


def largest_change(pictures, others):
    """Of the mean of any channel of any frame."""
    return max(float(np.abs((a - b).mean(axis=(0, 1))).max()) for a, b in zip(pictures, others, strict=True))


def lit(pictures, light):
    """Display pictures whose linear light is multiplied by light(number), a factor or [H,W,1]."""
    return [
        np.clip(picture * np.asarray(light(number)) ** (1 / 2.2), 0, 1).astype(np.float32)
        for number, picture in enumerate(pictures, 1)
    ]


# Flicker goes


@pytest.mark.parametrize("scene", [still, pan, two_shots, crowd], ids=["still", "pan", "cut", "crowd"])
def test_a_flickering_scan_comes_out_steady(scene):
    steady, unsteady = (scanned(scene, replace(FADED, flicker=flicker)) for flicker in (Flicker(), UNSTEADY))
    before, after = flicker_of(unsteady, steady), flicker_of(steadied(unsteady), steady)
    assert before > 1.5
    assert after < 0.3 * before


def test_dirt_that_comes_and_goes_is_no_flicker():
    dirty = replace(FADED, dust=Dust(specks=30, sparkle=20, hairs=1, scratches=2, size_um=250))
    steady, unsteady = (scanned(still, replace(dirty, flicker=flicker)) for flicker in (Flicker(), UNSTEADY))
    assert largest_change(steadied(steady), steady) < VISIBLE
    assert flicker_of(steadied(unsteady), steady) < 0.3 * flicker_of(unsteady, steady)


# What is not flicker stays


def switched(number):
    return 1.0 if number < 23 else 1.5


def warming_up(number):
    return float(np.interp(number, [22, 25], [1.0, 1.6]))


def faded_out(number):
    return float(np.interp(number, [10, 40], [1.0, 0.05]))


def faded_in(number):
    return float(np.interp(number, [1, 30], [0.02, 1.0]))


def lamp_in_a_corner(number):
    falloff = np.exp(-np.hypot(*np.mgrid[:HEIGHT, :WIDTH]) / 60)[..., None]
    return 1 + 1.5 * falloff * (number >= 23)


def door(number):
    return 1 + (np.arange(WIDTH)[:, None] < 4 * max(0, number - 15)) * 0.8


@pytest.mark.parametrize("light", [switched, warming_up, faded_out, faded_in, lamp_in_a_corner, door])
def test_light_that_changes_is_left_alone(light):
    pictures = lit(scanned(still, FADED), light)
    assert largest_change(steadied(pictures), pictures) < VISIBLE


@pytest.mark.parametrize("light", [switched, warming_up, lamp_in_a_corner, door])
def test_light_that_changes_under_flicker_keeps_its_course(light):
    steady, unsteady = (
        lit(scanned(still, replace(FADED, flicker=flicker)), light) for flicker in (Flicker(), UNSTEADY)
    )
    result = steadied(unsteady)

    def step(pictures):
        return np.mean([p.mean() for p in pictures[24:]]) - np.mean([p.mean() for p in pictures[:22]])

    assert step(result) == pytest.approx(step(unsteady), rel=0.05)
    assert flicker_of(result, steady) < 0.3 * flicker_of(unsteady, steady)


@pytest.mark.parametrize("scene", [still, pan, two_shots, crowd], ids=["still", "pan", "cut", "crowd"])
def test_a_steady_scan_is_left_as_it_is(scene):
    pictures = scanned(scene, FADED)
    result = steadied(pictures)
    assert max(Comparison(a, b).delta_e for a, b in zip(result, pictures, strict=True)) < 0.3


# Pictures that say little


def test_blank_tiny_and_broken_pictures_stay_as_they_are():
    black = [np.zeros((HEIGHT, WIDTH, 3), np.float32)] * 8
    dots = [np.full((1, 1, 3), 0.1 * number, np.float32) for number in range(8)]
    broken = [np.full((HEIGHT, WIDTH, 3), np.nan, np.float32)] * 8
    for pictures in (black, dots, broken):
        for before, after in zip(pictures, steadied(pictures), strict=True):
            np.testing.assert_allclose(after, before, atol=VISIBLE)


def test_two_frames_cannot_tell_flicker_from_change():
    pictures = scanned(still, replace(FADED, flicker=UNSTEADY))[:4]
    assert all(before is after for before, after in zip(pictures, steadied(pictures), strict=True))


def test_shots_that_are_known_are_taken():
    pictures = scanned(two_shots, FADED)[:24]
    assert measure(Reel(pictures), "display").shots == ((1, 19), (20, 24))
    assert measure(Reel(pictures), "display", [(1, 9), (10, 24)]).shots == ((1, 9), (10, 24))


def test_a_destroyed_frame_is_left_out_and_its_shot_goes_on():
    steady, unsteady = (scanned(still, replace(FADED, flicker=flicker))[:] for flicker in (Flicker(), UNSTEADY))
    steady[20] = unsteady[20] = texture(99)
    curves = measure(Reel(unsteady), "display")
    assert curves.shots == ((1, FRAMES),)
    assert curves.of(21) == STILL
    assert flicker_of(steadied(unsteady), steady) < 0.3 * flicker_of(unsteady, steady)


def test_a_frame_that_cannot_be_read_has_no_curve():
    class Torn(Reel):
        def read(self, frame):
            if frame == 7:
                raise WetgateError("Frame 7 is torn.")
            return super().read(frame)

    curves = measure(Torn(scanned(still, FADED)[:12]), "display")
    assert sorted(curves.frames) == [*range(1, 7), *range(8, 13)]
    with pytest.raises(WetgateError, match="know no frame 7"):
        curves.of(7)


# What was measured


CURVES = Curves("display", {1: ((0.01, -0.02), (0.0, 0.0), (-0.005, 0.03)), 2: STILL}, ((1, 2),), "a scan")


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_densities_are_those_of_training_and_are_undone(encoding):
    values = np.linspace(-0.5, 4, 301, dtype=np.float32)
    density = density_of(values, encoding)
    np.testing.assert_allclose(density, to_density(Numpy(), values, encoding), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(values_of(density, encoding), values, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_curve_is_a_line_in_density(encoding):
    pixels = texture(4)
    steady = replace(CURVES, encoding=encoding).steady(1, pixels)
    density, line = density_of(pixels, encoding), np.array(CURVES.of(1), np.float32)
    np.testing.assert_allclose(
        density_of(steady, encoding), density + line[:, 0] + line[:, 1] * density, rtol=1e-4, atol=1e-4
    )
    assert CURVES.steady(2, pixels) is pixels


def test_curves_come_back_from_json():
    assert Curves.from_json(json.loads(json.dumps(CURVES.to_json()))) == CURVES
    assert Curves.from_json(json.loads(CURVES.dumps())) == CURVES


@pytest.mark.parametrize(
    "damage",
    [{"schema": 99}, {"encoding": "pal"}, {"frames": {"1": [[0, 0]]}}, {"frames": {"1": [[0, "x"]] * 3}}, {"shots": 5}],
)
def test_damaged_curves_are_a_sentence(damage):
    with pytest.raises(WetgateError, match="damaged or of another version"):
        Curves.from_json(CURVES.to_json() | damage)
    with pytest.raises(WetgateError, match="damaged or of another version"):
        Curves.from_json([])


def test_curves_are_measured_once_for_a_scan(tmp_path):
    scan = tmp_path / "scan"
    scan.mkdir()
    for number in (1, 2):
        write_image(scan / f"shot.{number}.png", texture(number))
    with open_source(scan) as source:
        first = kept(tmp_path / "kept", source, "display", lambda: measure(source, "display"))
        again = kept(tmp_path / "kept", source, "display", measure=pytest.fail)
        assert again == first and again.scan == first.scan == identity(source)
    write_image(scan / "shot.2.png", texture(3))
    with open_source(scan) as source:
        assert kept(tmp_path / "kept", source, "display", measure=lambda: CURVES) is CURVES


def test_near_some_frames_it_finds_what_the_whole_scan_gives(tmp_path):
    """Frames far from all of them are not even read."""
    scan = tmp_path / "scan"
    scan.mkdir()
    still = texture(7)
    for number in range(1, 101):
        flicker = np.random.default_rng(number).normal(0, 0.05, 3)
        write_image(scan / f"shot.{number:03d}.exr", (still * 10.0**flicker).astype(np.float32), bit_depth="half")
    with open_source(scan) as source:
        whole = measure(source, "display")
        (scan / "shot.100.exr").unlink()
        near = measure_near(source, "display", [30, 60])
    assert sorted(near.frames) == [30, 60]
    for frame in (30, 60):
        np.testing.assert_allclose(near.of(frame), whole.of(frame), atol=0.012)
        assert np.abs(near.of(frame)).max() > 0.012
