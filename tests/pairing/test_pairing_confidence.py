"""What a pair is not learnt from, and what it still is: the weights, the notes and the reference's true resolution."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from wetgate.images import open_source
from wetgate.pairing.confidence import burnt_in, judge
from wetgate.pairing.overlap import overlap
from wetgate.simulate.dust import Dust
from wetgate.simulate.footage import demo_footage
from wetgate.simulate.presets import FADED_PRINT
from wetgate.simulate.telecine import Telecine, reference_of

TELECINE = Telecine(width=352, quantiser=5, noise=0.004)
CLEAN = replace(FADED_PRINT, dust=Dust(), seed=3)


@pytest.fixture(scope="module")
def frames():
    """Frames of several shots of real footage, [272, 640, 3]."""
    with open_source(str(demo_footage())) as source:
        return {number: np.clip(source.read(number).pixels, 0, 1) for number in (20, 90, 150, 230)}


@pytest.fixture(scope="module")
def faded(frames):
    """Faded, grainy scan without dust, and what it was."""
    decayed = CLEAN.frame(frames[150], 150)
    return decayed.scan, decayed.aligned_truth


def lettered(picture, text, place, colour=(1, 1, 1), outlined=True, size=0.7):
    """The picture with text on it."""
    ink = np.zeros(picture.shape[:2], np.uint8)
    cv2.putText(ink, text, place, cv2.FONT_HERSHEY_SIMPLEX, size, 255, 2, cv2.LINE_AA)
    around = cv2.dilate(ink, np.ones((3, 3))) if outlined else np.zeros_like(ink)
    share = around[..., None] / np.float32(255)
    picture = picture * (1 - share)
    share = ink[..., None] / np.float32(255)
    return (picture * (1 - share) + np.float32(colour) * share).astype(np.float32)


def boxed(picture):
    picture = picture.copy()
    picture[215:250, 150:500] *= 0.4
    return lettered(picture, "- Who is it? - The doctor.", (160, 240), outlined=False)


def ringed(picture, opacity):
    share = np.zeros(picture.shape[:2], np.float32)
    cv2.circle(share, (590, 40), 17, 1.0, 6, cv2.LINE_AA)
    share = np.minimum(share, 1)[..., None] * np.float32(opacity)
    return picture * (1 - share) + share


OVERLAYS = {
    "white": lambda picture: lettered(picture, "Where are you going?", (180, 245)),
    "yellow": lambda picture: lettered(picture, "No.", (300, 40), (1, 1, 0.1)),
    "box": boxed,
    "logo": lambda picture: ringed(picture, 1.0),
    "translucent logo": lambda picture: ringed(picture, 0.45),
}


@pytest.mark.parametrize("kind", OVERLAYS)
def test_what_was_laid_over_the_reference_is_not_learnt(faded, kind):
    scan, truth = faded
    overlaid = OVERLAYS[kind](truth)
    laid_over = np.abs(overlaid - truth).max(2) > 0.04
    found = judge(scan, reference_of(overlaid, TELECINE))
    assert (found.weight[laid_over] < 0.2).mean() >= 0.98
    far = cv2.dilate(laid_over.astype(np.uint8), np.ones((41, 41))) == 0
    assert 1 - found.weight[far].mean() < 0.03
    assert any(
        "logo top right" in note if "logo" in kind else note.startswith(("subtitle", "overlay")) for note in found.notes
    )


@pytest.mark.parametrize("number", [20, 230])
def test_a_clean_pair_is_learnt_from(frames, number):
    decayed = CLEAN.frame(frames[number], number)
    found = judge(decayed.scan, reference_of(decayed.aligned_truth, TELECINE))
    assert 1 - found.weight.mean() < 0.03
    assert not found.notes


def test_a_coarsely_compressed_reference_is_still_learnt_from(frames):
    found = judge(frames[230], reference_of(frames[230], replace(TELECINE, quantiser=16)))
    assert 1 - found.weight.mean() < 0.03


def test_a_rare_colour_survives(frames):
    """A thing that the scan shows as grey as its surroundings were, and the reference red."""
    rng = np.random.default_rng(1)
    scan, reference = CLEAN.frame(frames[150], 150)[:2]
    flower = np.zeros(scan.shape[:2], np.float32)
    cv2.circle(flower, (330, 70), 14, 1.0, -1, cv2.LINE_AA)
    flower = cv2.GaussianBlur(flower, (0, 0), 0.8)[..., None]
    petals = 1 + 0.08 * cv2.GaussianBlur(rng.standard_normal(scan.shape[:2]).astype(np.float32), (0, 0), 2)[..., None]
    scan = scan * (1 - flower) + flower * petals * np.float32([0.55, 0.42, 0.42])
    reference = reference * (1 - flower) + flower * petals * np.float32([0.85, 0.05, 0.1])
    weight = judge(scan, reference_of(np.clip(reference, 0, 1), TELECINE)).weight
    assert weight[flower[..., 0] > 0.5].mean() > 0.8
    assert weight[flower[..., 0] > 0.95].min() > 0.8


def test_what_is_flat_is_learnt_from():
    """Painted areas without texture."""
    rng = np.random.default_rng(2)
    places = np.kron(rng.integers(0, 6, (5, 7)), np.ones((48, 48), int))
    painted = rng.uniform(0.15, 0.85, (6, 3))[places].astype(np.float32)
    decayed = CLEAN.frame(painted, 1)
    weight = judge(decayed.scan, reference_of(decayed.aligned_truth, TELECINE)).weight
    assert 1 - weight.mean() < 0.03


def test_black_borders_on_either_side(faded):
    scan, truth = (p.copy() for p in faded)
    scan[:, :9] = 0.02
    truth[:, 626:] = 0.0
    truth[:12] = 0.0
    found = judge(scan, reference_of(truth, TELECINE))
    assert (found.weight[:, :9] < 0.2).all()
    assert (found.weight[:, 626:] < 0.2).mean() > 0.98
    assert (found.weight[:12] < 0.2).mean() > 0.98
    assert found.weight[24:, 24:610].mean() > 0.97
    sides = {note.split(",")[0] for note in found.notes if "border" in note}
    assert sides == {"scan: black border left", "reference: black border right", "reference: black border top"}


def test_rounded_gate_corners(faded):
    scan, truth = faded
    gate = np.zeros(scan.shape[:2], np.float32)
    cv2.circle(gate, (30, 30), 30, 1.0, -1, cv2.LINE_AA)
    gate[:30, 30:] = 1
    gate[30:] = 1
    weight = judge(scan * gate[..., None], reference_of(truth, TELECINE)).weight
    assert (weight[gate < 0.5] < 0.2).mean() > 0.9
    assert weight[60:].mean() > 0.97


def test_dust_on_the_scan(frames):
    dusty = replace(FADED_PRINT, seed=5, dust=Dust(specks=25, sparkle=10, hairs=2, size_um=90))
    clean = replace(dusty, dust=Dust()).frame(frames[230], 230)
    scan = dusty.frame(frames[230], 230).scan
    seen = np.abs(scan - clean.scan).max(2) > 0.1
    found = judge(scan, reference_of(clean.aligned_truth, TELECINE))
    assert (found.weight[seen] < 0.2).mean() > 0.85
    assert 1 - found.weight[~cv2.dilate(seen.astype(np.uint8), np.ones((15, 15))).astype(bool)].mean() < 0.03
    assert any(note.startswith("dust") for note in found.notes)


def test_something_else_in_the_reference(frames, faded):
    """A part of another shot, as textured: nothing of it stands out, but nothing agrees."""
    scan, truth = faded[0], faded[1].copy()
    truth[60:200, 200:380] = frames[230][60:200, 200:380]
    weight = judge(scan, reference_of(truth, TELECINE)).weight
    assert weight[70:190, 210:370].mean() < 0.4
    assert weight[:, 420:].mean() > 0.97


def test_clipped_picture_counts_little(faded):
    scan, truth = faded
    limit = float(np.quantile(scan.min(2), 0.9))
    clipped = np.minimum(scan, np.float32(limit))
    found = judge(clipped, reference_of(truth, TELECINE))
    flat = cv2.erode((scan.min(2) > limit).astype(np.uint8), np.ones((5, 5))) > 0
    assert found.weight[flat].mean() < 0.35
    assert any(note.startswith("clipped") for note in found.notes)


def test_where_the_reference_holds_no_picture(faded):
    scan, truth = faded
    valid = np.ones(scan.shape[:2], np.float32)
    valid[:, 600:] = 0
    reference = reference_of(truth, TELECINE)
    reference[:5, :5] = np.nan
    weight = judge(scan, reference, valid).weight
    assert (weight[:, 600:] == 0).all()
    assert (weight[:5, :5] == 0).all()
    assert np.isfinite(weight).all()
    assert weight.dtype == np.float32
    assert weight[20:, :580].mean() > 0.97


@pytest.mark.parametrize("factor", [2, 3, 5])
def test_the_true_resolution_of_a_reduced_reference(frames, factor):
    """Against the Gaussian that comes nearest to what was done to it."""
    decayed = CLEAN.frame(frames[90], 90)
    truth = decayed.aligned_truth
    size = (truth.shape[1] // factor, truth.shape[0] // factor)
    small = cv2.resize(truth, size, interpolation=cv2.INTER_AREA)
    reference = cv2.resize(small, truth.shape[1::-1], interpolation=cv2.INTER_CUBIC)
    candidates = np.geomspace(0.3, 4, 40)
    errors = [np.square(cv2.GaussianBlur(truth, (0, 0), s) - reference).mean() for s in candidates]
    assert judge(decayed.scan, reference).resolution_px == pytest.approx(candidates[np.argmin(errors)], rel=0.25)


@pytest.mark.parametrize("sigma", [1, 4])
def test_the_true_resolution_of_a_blurred_reference(frames, sigma):
    decayed = CLEAN.frame(frames[230], 230)
    reference = cv2.GaussianBlur(decayed.aligned_truth, (0, 0), sigma)
    assert judge(decayed.scan, reference).resolution_px == pytest.approx(sigma, rel=0.25)


@pytest.mark.parametrize("opacity", [1.0, 0.45])
def test_a_logo_stands_still_while_the_picture_changes(frames, opacity):
    references = [reference_of(ringed(frame, opacity), TELECINE) for frame in frames.values()]
    found = burnt_in(references)
    logo = ringed(np.zeros_like(frames[20]), 1.0)[..., 0] > 0.3
    assert (found[logo] > 0.8).mean() > 0.95
    assert found[~cv2.dilate(logo.astype(np.uint8), np.ones((31, 31))).astype(bool)].mean() < 0.005


def test_a_picture_that_stands_still_is_not_burnt_in(frames):
    locked = [reference_of(frames[150], TELECINE, frame=number) for number in range(4)]
    assert burnt_in(locked).max() == 0
    assert burnt_in([ringed(frames[n], 1.0) for n in (20, 90)]).max() == 0


@pytest.mark.parametrize("value", [0.0, 0.5])
def test_blank_pictures_are_judged_without_a_crash(value):
    blank = np.full((90, 120, 3), value, np.float32)
    found = judge(blank, blank)
    assert np.isfinite(found.weight).all()
    assert found.weight.shape == (90, 120)


@pytest.mark.filterwarnings("error::RuntimeWarning")
@pytest.mark.parametrize("size", [(1, 1), (5, 7)])
def test_tiny_pictures_are_laid_over_without_a_murmur(size):
    picture = np.random.default_rng(1).random((*size, 3)).astype(np.float32)
    assert overlap(picture, picture[::-1]).weight.shape == size
