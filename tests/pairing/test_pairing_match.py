"""Which reference frame shows which scan frame."""

from __future__ import annotations

import json

import numpy as np
import pytest
from telecines import CROP, Film, Pictures, as_mpeg2, film, pulled_down, woven

from wetgate.cli.main import main
from wetgate.errors import WetgateError
from wetgate.images import open_source, write_image
from wetgate.pairing.match import Matching, best_spread, match
from wetgate.project import create_restoration, open_restoration

FIRST = 141
"""Of the demo footage: a shot that comes to rest, and from frame 188 on (the 48th) one that moves."""
CUT = 47


@pytest.fixture(scope="module")
def reel() -> Film:
    return film(FIRST, FIRST + 69)


def errors(found: Matching, shown: list[int]) -> list[int]:
    """By how many film frames each match is off; ``shown`` is the film frame of every reference frame."""
    return [
        abs(shown[one.reference_frame - 1] - (one.scan_frame - 1))
        for one in found.matches
        if one.reference_frame is not None
    ]


def test_pulldown_missing_frames_trims_and_crop(reel, tmp_path):
    gone = {12, 20, 33, 51, 55, 58, 60, 63}
    order = [at for at in range(5, 68) if at not in gone]
    fields = pulled_down(order)
    pictures = dict(zip(order, reel.reference(order), strict=True))
    video = as_mpeg2(tmp_path / "dvd.mpg", woven(pictures, fields))
    with open_source(video) as reference:
        found = match(Pictures(reel.scan), reference)
    off = errors(found, [upper for upper, _ in fields])
    assert len(off) > 0.75 * len(order)
    assert np.mean(np.array(off) == 0) >= 0.98 and max(off) <= 1
    assert np.abs(np.subtract(found.crop, CROP)).max() < 0.01
    assert found.shots == [(1, CUT), (CUT + 1, 70)]
    assert "two fields" in found.interlaced and not found.mirrored
    sides = {one.scan_frame <= CUT: [] for one in found.matches}
    for one in found.matches:
        if one.reference_frame is not None:
            sides[one.scan_frame <= CUT].append(fields[one.reference_frame - 1][0] < CUT)
    assert all(sides[True]) and not any(sides[False]), "a pair across the cut"
    best = best_spread(found, 4)
    assert [one.scan_frame <= CUT for one in best] == [True, True, False, False]
    assert not any(len(set(fields[one.reference_frame - 1])) > 1 for one in best), "a combed frame"


def test_a_mirrored_reference_in_black_and_white_that_lacks_a_shot(reel):
    order = list(range(CUT, 70))
    found = match(Pictures(reel.scan), Pictures(reel.reference(order, mirror=True, grey=True)))
    assert found.mirrored and found.interlaced == ""
    assert all(one.reference_frame is None for one in found.matches if one.scan_frame <= CUT)
    off = errors(found, order)
    assert len(off) >= 20 and max(off) == 0


def test_only_the_wanted_frames_are_answered(reel):
    found = match(Pictures(reel.scan), Pictures(reel.reference(list(range(40, 70)))), [52, 56])
    assert [(one.scan_frame, one.reference_frame) for one in found.matches] == [(52, 12), (56, 16)]


def test_a_still_stretch_is_doubtful_and_not_guessed(reel):
    still = np.repeat(reel.scan[50:51], 12, axis=0).astype(np.int16)
    still += np.random.default_rng(1).integers(-6, 7, still.shape, dtype=np.int16)
    scan = np.concatenate([np.clip(still, 0, 255).astype(np.uint8), reel.scan[51:70]])
    found = match(Pictures(scan), Pictures(reel.reference([50] * 12 + list(range(51, 70)))))
    assert sum(one.doubtful for one in found.matches[:11]) >= 9
    assert not any(one.doubtful for one in found.matches[14:])


@pytest.mark.parametrize(
    ("scan", "reference", "words"),
    [
        (slice(0, 3), slice(0, 40), "The scan short has 3 frames, too few to be matched"),
        (slice(0, 40), slice(0, 3), "The reference other has 3 frames, too few"),
        (slice(0, 40), None, "The reference other is blank"),
        (None, slice(0, 40), "The scan short is blank"),
        (slice(0, 40), slice(48, 70), "do not show the same film"),
    ],
)
def test_hopeless_input_is_a_sentence(reel, scan, reference, words):
    ours = np.zeros((20, 136, 320, 3), np.uint8) if scan is None else reel.scan[scan]
    theirs = np.zeros((20, 240, 352, 3), np.uint8) if reference is None else reel.truth[reference]
    with pytest.raises(WetgateError, match=words):
        match(Pictures(ours, name="short"), Pictures(theirs, name="other"))


def test_frames_that_are_all_alike_are_a_sentence(reel):
    ours, theirs = (np.repeat(pictures[:1], 20, axis=0) for pictures in (reel.scan, reel.truth))
    with pytest.raises(WetgateError, match="nothing moves in it"):
        match(Pictures(ours, name="short"), Pictures(theirs, name="other"))


def test_the_verb_writes_the_table_and_adds_the_best(reel, tmp_path, capsys):
    folder = create_restoration(tmp_path / "reel.wetgate", "color", "log").folder
    for name, pictures, first in (("scan", reel.scan, 0), ("reference", reel.truth, 4)):
        (tmp_path / name).mkdir()
        for at in range(44 + first, 64):
            write_image(tmp_path / name / f"a.{1000 + at - first}.png", pictures[at].astype(np.float32) / 255)
    words = [str(folder), "--scan", str(tmp_path / "scan"), "--reference", str(tmp_path / "reference")]
    assert main(["match", *words, "--add", "3", "--json"]) == 0
    table = json.loads((folder / "matches.json").read_text())
    assert table["schema"] == 1
    sure = {one["scan_frame"]: one["reference_frame"] for one in table["matches"] if one["reference_frame"] is not None}
    assert len(sure) >= 14 and all(shown == frame - 4 for frame, shown in sure.items())
    pairs = open_restoration(folder).pairs()
    assert len(pairs) == 3
    assert [pair.where_from["reference_frame"] for pair in pairs] == [pair.frame - 4 for pair in pairs]
    notes = json.loads(capsys.readouterr().out)["notes"]
    assert [note.partition(" says")[2].partition(",")[0] for note in notes] == [" of itself that it is display"] * 2
    assert main(["match", *words, "--add", "0"]) == 1
    assert "--add 0 adds nothing" in capsys.readouterr().err
