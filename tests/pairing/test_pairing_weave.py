"""Gate weave: it goes; cameras, what moves by itself, and frames that show nothing stay as they are."""

from __future__ import annotations

import functools
from pathlib import Path

import cv2
import numpy as np
import pytest

from wetgate.errors import WetgateError
from wetgate.images import Header, Image, Window
from wetgate.images.moving import Source
from wetgate.inference.transforms import UNMOVED, Transform, Transforms, resampled
from wetgate.pairing import weave
from wetgate.pairing.steadying import Wanted, measure, zoomed
from wetgate.pairing.trajectories import camera_path
from wetgate.simulate.seeds import smooth_noise

HEIGHT, WIDTH, FRAMES = 120, 160, 24
STILL = np.zeros((FRAMES, 2))


class Reel(Source):
    """Pictures in memory; None cannot be read."""

    name, is_video, fps = "reel", False, None

    def __init__(self, pictures, first=1):
        self.pictures = dict(enumerate(pictures, first))
        self.frames = list(self.pictures)

    def path(self, frame):
        return Path(__file__)

    def read(self, frame):
        pixels = self.pictures[frame]
        if pixels is None:
            raise WetgateError("damaged")
        window = Window(0, 0, pixels.shape[1], pixels.shape[0])
        return Image(pixels, None, Header("exr", "float", ("R", "G", "B"), window, window))

    @property
    def size(self):
        height, width = next(p for p in self.pictures.values() if p is not None).shape[:2]
        return width, height

    def close(self):
        pass


@functools.cache
def texture(seed, height=2 * HEIGHT, width=3 * WIDTH):
    random = np.random.default_rng(seed)
    picture = sum(
        cv2.resize(
            random.random((height // size + 2, width // size + 2, 3)), (width, height), interpolation=cv2.INTER_CUBIC
        )
        for size in (5, 12, 40)
    )
    return np.clip(0.45 + 0.35 * (picture - 1.5), 0.02, 0.98).astype(np.float32)


@functools.cache
def weaving(seed=0, frames=FRAMES):
    """[n, 3] pixels and radians, as a tired gate does it."""
    found = np.array([smooth_noise(seed, "weave", frame, 3, longest=40, shortest=3) for frame in range(frames)])
    return found * (0.8, 1.0, 0.0025)


def seen(picture, camera, moved):
    """The window of ``picture`` that a camera at x, y sees, moved and turned about its middle."""
    middle = np.array([(WIDTH - 1) / 2, (HEIGHT - 1) / 2])
    cosine, sine = np.cos(moved[2]), np.sin(moved[2])
    back = np.array([[cosine, sine], [-sine, cosine]])
    offset = middle - back @ (middle + moved[:2]) + camera + (40, 30)
    matrix = np.column_stack([back, offset])
    return resampled(np.ascontiguousarray(picture), matrix)[:HEIGHT, :WIDTH]


def grain(number):
    return np.random.default_rng(number).normal(0, 0.02, (HEIGHT, WIDTH, 1)).astype(np.float32)


def scanned(camera=STILL, moved=None, picture=None, light=lambda number: 1.0):
    picture = texture(1) if picture is None else picture
    moved = weaving() if moved is None else moved
    return [
        (seen(picture, camera[n], moved[n]) * np.float32(light(n)) + grain(n)).astype(np.float32)
        for n in range(len(camera))
    ]


def measured(pictures, shots=None, encoding="display"):
    reel = Reel(pictures)
    return weave.measure(reel, encoding, shots or [(1, len(pictures))])


def left(shot, moved):
    """What of the movement stays, less its mean: deviations across, down, and of the turn."""
    rest = moved[np.array(shot.frames) - shot.frames[0]] - shot.weave
    return (rest - np.nanmean(rest, axis=0)).std(axis=0)


def test_a_still_camera_stands_still_though_the_film_weaves_and_flickers():
    (shot,) = measured(scanned(light=lambda n: 1 + 0.05 * np.sin(2.4 * n))).shots
    before = weaving().std(axis=0)
    assert (left(shot, weaving()) < np.array([0.06, 0.06, 0.15]) * before).all()
    assert np.ptp(shot.camera[:, :2], axis=0).max() < 0.05


def test_what_did_not_weave_is_not_touched():
    movement = measured(scanned(moved=np.zeros((FRAMES, 3))))
    assert set(movement.transforms(range(1, FRAMES + 1)).frames.values()) == {UNMOVED}
    assert movement.unknown() == []


def test_an_even_pan_stays_and_its_weave_goes():
    camera = np.stack([3.0 * np.arange(FRAMES), np.zeros(FRAMES)], axis=1)
    (shot,) = measured(scanned(camera)).shots
    assert np.abs(np.diff(shot.camera[:, 0]) + 3.0).max() < 0.25
    assert np.diff(weaving(), 2, axis=0)[:, :2].std() > 5 * np.diff(shot.camera, 2, axis=0)[:, :2].std()
    assert (left(shot, weaving())[:2] < 0.6 * weaving()[:, :2].std(axis=0)).all()


def test_what_moves_by_itself_has_no_say():
    mover = texture(9)[:90, :70]
    pictures = scanned()
    for number, picture in enumerate(pictures):
        start = 2 + 3 * number
        picture[20:110, start : start + 70] = mover
    (shot,) = measured(pictures).shots
    assert (left(shot, weaving())[:2] < 0.25 * weaving()[:, :2].std(axis=0)).all()


def test_black_borders_that_stand_still_do_not_hold_the_picture():
    pictures = scanned()
    for picture in pictures:
        picture[:14] = picture[-14:] = 0.0
        picture[:, :18] = picture[:, -18:] = 0.0
    (shot,) = measured(pictures).shots
    assert (left(shot, weaving())[:2] < 0.2 * weaving()[:, :2].std(axis=0)).all()


def test_shots_are_steadied_each_for_itself():
    pictures = scanned()[:12] + scanned(picture=texture(5))[12:]
    first, second = measured(pictures, [(1, 12), (13, 24)]).shots
    assert first.frames == list(range(1, 13)) and second.frames == list(range(13, 25))
    for shot, moved in ((first, weaving()[:12]), (second, weaving()[12:])):
        assert (left(shot, moved)[:2] < 0.3 * moved[:, :2].std(axis=0) + 0.05).all()


def test_a_frame_that_jumps_is_brought_back():
    moved = weaving().copy()
    moved[10, 1] += 3.0
    (shot,) = measured(scanned(moved=moved)).shots
    assert abs(shot.weave[10, 1] - shot.weave[9, 1] - (moved[10, 1] - moved[9, 1])) < 0.4


def test_frames_that_show_nothing_are_left_alone_and_named():
    pictures = scanned()
    pictures[7] = np.full((HEIGHT, WIDTH, 3), 0.02, np.float32) + grain(99) / 10
    pictures[15] = None
    movement = measured(pictures)
    assert movement.unknown() == [8]
    transforms = movement.transforms([n for n in range(1, FRAMES + 1) if n != 16])
    assert transforms.of(8) == UNMOVED and transforms.of(9) != UNMOVED
    with pytest.raises(WetgateError, match="no frame 16"):
        transforms.of(16)


def test_nan_and_infinity_in_a_frame_do_no_harm():
    pictures = scanned()
    pictures[3][40:60, 50:70] = np.nan
    pictures[4][:5, :5] = np.inf
    (shot,) = measured(pictures).shots
    assert (left(shot, weaving())[:2] < 0.2 * weaving()[:, :2].std(axis=0)).all()


@pytest.mark.parametrize("shape", [(1, 1), (1, 300), (30, 40), (HEIGHT, WIDTH)])
@pytest.mark.parametrize("frames", [1, 3])
def test_short_shots_and_tiny_pictures_stay_as_they_are(shape, frames):
    pictures = [np.random.default_rng(n).random((*shape, 3), np.float32) for n in range(frames)]
    curves, movement = measure(Reel(pictures), "display", Wanted())
    assert set(curves.transforms.frames.values()) == {UNMOVED}
    assert all(curves.steady(n, picture) is picture for n, picture in enumerate(pictures, 1))
    assert movement.unknown() == []


def test_linear_pictures_weave_like_others():
    pictures = [np.float32(np.clip(picture, 0, None) ** 2.2) for picture in scanned()]
    (shot,) = measured(pictures, encoding="linear").shots
    assert (left(shot, weaving())[:2] < 0.2 * weaving()[:, :2].std(axis=0)).all()


def test_both_are_measured_together_and_progress_is_told():
    told = []
    pictures = scanned(light=lambda n: 1 + 0.04 * np.sin(2.4 * n))
    curves, _ = measure(Reel(pictures), "display", Wanted(), lambda done, note: told.append((done, note)))
    steadied = [curves.steady(n, picture) for n, picture in enumerate(pictures, 1)]
    before, after = (
        np.std([cv2.GaussianBlur(p, (0, 0), 2)[16:-16, 16:-16] for p in some], axis=0).mean()
        for some in (pictures, steadied)
    )
    assert after < 0.2 * before
    assert [done for done, _ in told] == list(range(1, 2 * FRAMES + 1))
    assert told[0][1] == "frame 1, exposure" and told[-1][1] == f"frame {FRAMES}, movement"


def test_exposure_may_be_left_alone():
    pictures = [texture(1)[:60, :80] * np.float32(1 + 0.1 * (n % 2)) for n in range(8)]
    both, alone = (measure(Reel(pictures), "display", Wanted(exposure=on))[0] for on in (True, False))
    assert any(offset for curve in both.frames.values() for offset, _ in curve)
    assert all(offset == gain == 0 for curve in alone.frames.values() for offset, gain in curve)


def test_shrinkage_is_given_back_to_every_frame():
    shot = weave.Shot([1, 2], np.array([[0.5, -0.25, 0.001], [0.0, 0.0, 0.0]]), np.zeros((2, 3)), np.zeros((2, 3)))
    transforms = weave.Movement((WIDTH, HEIGHT), [shot]).transforms([1, 2, 3], (0.01, 0.02))
    assert transforms.of(1) == (0.5, -0.25, 0.057296, 0.99, 0.98)
    assert transforms.of(3) == (0.0, 0.0, 0.0, 0.99, 0.98)


def test_zoomed_frames_show_nothing_from_outside():
    moved = [Transform(x, y, np.degrees(turn)) for x, y, turn in weaving()]
    transforms = zoomed(Transforms((WIDTH, HEIGHT), dict(enumerate(moved, 1))))
    corners = np.array([[x, y, 1.0] for x in (0, WIDTH - 1) for y in (0, HEIGHT - 1)])
    places = np.array([transforms.matrix(one, (HEIGHT, WIDTH)) @ corners.T for one in transforms.frames.values()])
    assert places.min() > -0.01 and (places.max(axis=(0, 2)) < np.array([WIDTH, HEIGHT]) - 0.99).all()
    assert len({(one.width, one.height) for one in transforms.frames.values()}) == 1
    slack = min(places.min(), *(np.array([WIDTH, HEIGHT]) - 1 - places.max(axis=(0, 2))))
    assert slack < 0.05


def path_of(camera, seed=0, noise=0.0):
    trembling = 0.8 * weaving(seed, len(camera))[:, 0]
    return camera + trembling + np.random.default_rng(seed).normal(0, noise, len(camera))


def test_a_quiet_path_is_the_cameras_own():
    path = np.concatenate([np.zeros(30), np.linspace(0, 25, 40), np.full(30, 25.0)])
    assert np.array_equal(camera_path(path, 0.02, 10.0), path)
    slow = 2.0 * np.sin(np.arange(200) / 60)
    assert np.abs(camera_path(slow, 0.0, 10.0) - slow).max() < 0.15
    eased = 60 / (1 + np.exp((48 - np.arange(96)) / 6))
    noise = np.random.default_rng(1).normal(0, 0.02, 96)
    assert np.abs(camera_path(eased + noise, 0.02, 10.0) - eased).max() < 0.25


def test_a_trembling_path_becomes_constant_or_even():
    still = camera_path(path_of(np.zeros(120)), 0.0, 10.0)
    assert np.ptp(still) < 0.02
    even = camera_path(path_of(1.5 * np.arange(120)), 0.0, 10.0)
    assert np.abs(np.diff(even) - 1.5).max() < 0.1


def test_a_pan_between_two_rests_is_followed_within_the_tube():
    camera = 2.0 * np.clip(np.arange(150) - 50, 0, 60)
    found = camera_path(path_of(camera), 0.0, 4.0)
    assert np.abs(found - camera).max() < 5.0
    assert np.abs(np.diff(found, 2)).max() < 2.1
    assert np.ptp(found[:30]) < 1.0 and np.ptp(found[-30:]) < 1.0


@pytest.mark.parametrize("jump", [2.0, 5.0, 12.0])
def test_single_frames_that_jump_are_not_followed(jump):
    path = path_of(np.zeros(80))
    path[[30, 31, 60]] += jump
    found = camera_path(path, 0.0, 10.0)
    assert np.ptp(found) < 0.2


def test_unknown_places_are_crossed():
    path = path_of(np.zeros(60))
    path[20:24] = np.nan
    found = camera_path(path, 0.0, 10.0)
    assert np.isfinite(found).all() and np.ptp(found) < 0.05
