"""How a print has faded, told from the film itself."""

from __future__ import annotations

import itertools
from dataclasses import replace

import cv2
import numpy as np
import pytest

from wetgate.errors import WetgateError
from wetgate.evaluation.metrics import Comparison, ciede2000, srgb_to_lab
from wetgate.pairing.dyes import STOCKS, UNKNOWN, absorption_of, display_of, dyes_of
from wetgate.pairing.known_colours import NAMES, Hint, look_at
from wetgate.pairing.unfading import CONFIDENCE, CONFIDENCE_WITH_HINTS, hints_of, unfade
from wetgate.project import create_restoration
from wetgate.simulate.fade import Fade
from wetgate.simulate.film import FilmDecay
from wetgate.simulate.footage import demo_frames

STAIN = (0.03, 0.05, 0.13)


@pytest.fixture(scope="module")
def film():
    """A frame each of four shots of the demo footage, 240 pixels wide, by its number."""
    wanted = {16, 54, 107, 163}
    frames = itertools.takewhile(lambda one: one[0] <= max(wanted), demo_frames())
    return {n: cv2.resize(p, (240, 102), interpolation=cv2.INTER_AREA) for n, p in frames if n in wanted}


def faded(film, remaining, **changes):
    decay = replace(FilmDecay(fade=Fade(remaining, STAIN)), **changes)
    return [decay.frame(picture, number).scan for number, picture in film.items()]


def errors(pictures, film):
    return [Comparison(picture, truth).delta_e for picture, truth in zip(pictures, film.values(), strict=True)]


@pytest.mark.parametrize("stock", [UNKNOWN, *STOCKS])
def test_equal_amounts_of_the_dyes_are_neutral_and_colours_come_back(stock):
    absorption = absorption_of(stock)
    grey = display_of(np.linspace(0.1, 2, 5)[:, None] * np.ones(3), absorption)
    assert np.ptp(grey, axis=1).max() < 0.01
    colours = np.random.default_rng(0).uniform(0, 1, (50, 3)).astype(np.float32)
    np.testing.assert_allclose(display_of(dyes_of(colours, absorption), absorption), colours, atol=1e-4)


@pytest.mark.parametrize(
    "remaining", [(0.32, 0.80, 0.50), (0.75, 0.35, 0.60), (0.70, 0.85, 0.30)], ids=["cyan", "magenta", "yellow"]
)
def test_whatever_dye_is_lost_the_picture_comes_much_nearer_to_the_truth(film, remaining):
    scans = faded(film, remaining)
    found = unfade(scans)
    before, after = errors(scans, film), errors([found.restore(scan) for scan in scans], film)
    assert np.mean(after) < 0.6 * np.mean(before)
    order = np.argsort(remaining)
    assert int(np.argmin(found.remaining)) == order[0], "it says which dye has gone most"


def test_what_is_known_is_kept_to(film):
    film = {16: film[16]}
    scans = faded(film, (0.32, 0.80, 0.50))
    truth = film[16][40:52, 130:142].reshape(-1, 3).mean(0)
    picked = "#" + "".join(f"{round(255 * value):02x}" for value in truth)
    hint = look_at(scans[0], (130, 40, 12, 12), picked, 16)

    def error(found):
        seen = srgb_to_lab(found.restore(np.array(hint.seen, np.float32)[None]).astype(np.float64))
        return float(ciede2000(seen, hint.lab[None])[0])

    blind, told = unfade(scans), unfade(scans, [hint])
    assert error(told) < 0.6 * error(blind)
    assert np.mean(errors([told.restore(s) for s in scans], film)) < np.mean(
        errors([blind.restore(s) for s in scans], film)
    )


def test_a_reference_is_believed_more_where_something_was_known(film):
    scan = faded(film, (0.32, 0.80, 0.50))[0]
    hint = look_at(scan, (130, 40, 12, 12), "white")
    blind, told = unfade([scan]).construct(scan), unfade([scan], [hint]).construct(scan)
    assert np.unique(blind.confidence) == np.float32(CONFIDENCE)
    assert np.unique(told.confidence) == np.float32(CONFIDENCE_WITH_HINTS)
    assert blind.kind == "unfading" and "cyan" in blind.notes[0]
    assert blind.reference.shape == scan.shape and blind.reference.dtype == np.float32


def test_a_scan_without_colour_stays_as_it_is(film):
    grey = np.repeat(film[163].mean(axis=2, keepdims=True), 3, axis=2)
    scan = (grey + np.random.default_rng(1).normal(0, 0.002, grey.shape)).astype(np.float32)
    made = unfade([scan]).construct(scan)
    np.testing.assert_array_equal(made.reference, scan)
    assert not made.confidence.any()


def test_a_grey_scene_that_has_faded_is_no_scan_without_colour(film):
    street = {16: film[16]}
    scans = faded(street, (0.32, 0.80, 0.50))
    found = unfade(scans)
    assert errors([found.restore(scans[0])], street)[0] < 0.6 * errors(scans, street)[0]


def test_frame_lines_are_no_black_of_the_picture(film):
    scans = faded(film, (0.32, 0.80, 0.50))
    framed = [cv2.copyMakeBorder(scan, 12, 12, 16, 16, cv2.BORDER_CONSTANT, value=(0, 0, 0)) for scan in scans]
    plain, with_lines = unfade(scans), unfade(framed)
    np.testing.assert_allclose(with_lines.remaining, plain.remaining, rtol=0.1)


def test_pictures_of_any_size_are_taken(film):
    scan = faded(film, (0.32, 0.80, 0.50))[0]
    for part in (scan[:1, :1], scan[:1], scan[:, :3]):
        assert np.isfinite(unfade([part]).construct(part).reference).all()


def test_known_colours_survive_in_a_restoration(tmp_path):
    restoration = create_restoration(tmp_path / "shot.wetgate", "exemplar")
    hints = [Hint(name, (0.5, 0.4, 0.3), 1001, (4, 5, 6, 7)) for name in (*NAMES, "#c29682")]
    restoration.update(settings={"hints": [hint.as_dict() for hint in hints]})
    assert hints_of(restoration) == hints
    restoration.update(settings={"hints": [{"known": "white"}]})
    with pytest.raises(WetgateError, match="hint that makes no sense"):
        hints_of(restoration)


def test_what_cannot_be_is_said(film):
    scan = film[16]
    with pytest.raises(WetgateError, match="no known colour: say white"):
        look_at(scan, (0, 0, 4, 4), "bluish")
    with pytest.raises(WetgateError, match="lies outside frame 7, which is 240 x 102"):
        look_at(scan, (238, 0, 4, 4), "white", 7)
    with pytest.raises(WetgateError, match="No frame was given"):
        unfade([])
    with pytest.raises(WetgateError, match="no stock agfa"):
        unfade([scan], stock="agfa")
