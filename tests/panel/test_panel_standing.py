"""How a restoration stands, as read from disk while others write it."""

from __future__ import annotations

import os

import pytest
from panel_stage import add_pair, add_run, exr_header, new_restoration

from nuke_plugin import words
from nuke_plugin.standing import Reader, exr_size, write_note
from wetgate.project import Run


@pytest.fixture
def reel(application, tmp_path):
    return new_restoration(tmp_path / "reel.wetgate", 2)


def test_pairs_are_told_with_their_pictures(reel):
    first, second = Reader(reel.folder).read().pairs
    assert (first.number, first.frame, first.state, first.residual_px) == (1, 1001, "accepted", 0.08)
    assert first.drawn and second.thumbnail.path == reel.folder / "pairs" / "0002" / "thumbnail.png"
    assert first.difference.path.name == "0001-difference.png"


def test_what_has_not_changed_is_not_read_again(reel, monkeypatch):
    add_run(reel)
    reader = Reader(reel.folder)
    before = reader.read()
    monkeypatch.setattr(Run, "events", lambda *_: pytest.fail("read again"))
    after = reader.read()
    assert after == before and [id(pair) for pair in after.pairs] == [id(pair) for pair in before.pairs]
    assert after.runs[0] is before.runs[0]


def test_a_decision_and_a_new_picture_are_seen(reel):
    reader = Reader(reel.folder)
    reader.read()
    reel.pairs()[0].update(state="rejected", reason="another take")
    os.utime(reel.folder / "proofs" / "0002-scan.png", ns=(1, 1))
    first, second = reader.read().pairs
    assert (first.state, first.reason) == ("rejected", "another take")
    assert second.scan.stamp[0] == 1


def test_a_damaged_pair_costs_only_itself(reel):
    (reel.folder / "pairs" / "0001" / "scan.exr").unlink()
    (reel.folder / "pairs" / "0002" / "pair.json").write_text("{")
    standing = Reader(reel.folder).read()
    assert [pair.state for pair in standing.pairs] == ["damaged", "damaged"] and not standing.problem
    assert "scan.exr is missing" in standing.pairs[0].reason and "not valid JSON" in standing.pairs[1].reason


def test_a_folder_that_is_no_restoration_is_one_sentence(tmp_path):
    assert "is not a restoration" in Reader(tmp_path).read().problem
    assert "There is no folder" in Reader(tmp_path / "gone").read().problem


def test_a_run_is_followed_line_by_line(reel):
    run = reel.new_run({"time_s": 60.0})
    reader = Reader(reel.folder)
    assert reader.read().latest.state == "waiting"
    with run.lock():
        run.write_status({"state": "training", "seconds": 1.0})
        run.emit({"event": "job", "job": 0, "what": "training on all pairs"})
        run.emit({"event": "step", "job": 0, "loss": 0.5, "validation": 0.6, "seconds": 1.0})
        assert [point.loss for point in reader.read().latest.points] == [0.5]
        run.emit({"event": "step", "job": 0, "loss": float("nan"), "seconds": 2.0})
        latest = reader.read().latest
        assert [point.loss for point in latest.points] == [0.5, None]
        assert latest.state == "training" and latest.at_work and latest.jobs == {0: "training on all pairs"}
        run.send("pause")
        assert reader.read().latest.asked == ("pause",)
    assert reader.read().latest.state == "interrupted"


def test_a_trainer_that_never_came_up_is_broken_off_with_its_last_words(reel):
    run = reel.new_run({"time_s": 60.0})
    run.log.write_text("Traceback\nwetgate: The disk is full.\n")
    os.utime(run.folder / "settings.json", (1, 1))
    latest = Reader(reel.folder).read().latest
    assert (latest.state, latest.trouble) == ("interrupted", "The disk is full.")
    assert words.doing(latest) == "The trainer was broken off; it can go on. It last said: The disk is full."


def test_notes_and_measures_come_with_a_run(reel):
    run = add_run(reel, delta_e=2.5)
    write_note(run.folder, "skin is good")
    latest = Reader(reel.folder).read().latest
    assert latest.note == "skin is good" and latest.measures["restored"]["delta_e"] == 2.5
    assert words.verdict(latest) == "On pairs it had not seen, the colour difference went from 22.6 to 2.5."


def test_the_reference_of_a_former_preview_is_not_shown_with_another(reel):
    run = add_run(reel)
    assert Reader(reel.folder).read().latest.aim is not None
    (run.folder / "preview.json").write_text('{"picture": "/reels/scan.dpx", "frame": 7}')
    latest = Reader(reel.folder).read().latest
    assert latest.aim is None and latest.preview_pair is None and latest.after is not None


def test_the_region_of_a_pair_is_told(reel):
    add_pair(reel, 1300, region=(10, 20, 300, 200))
    pair = Reader(reel.folder).read().pairs[-1]
    assert words.pair_line(pair) == "Accepted, 0.14 px off, region 300×200 at 10, 20"


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0, "0 s"),
        (59.4, "59 s"),
        (60, "1 min"),
        (67, "1 min 7 s"),
        (900, "15 min"),
        (3600, "1 h"),
        (5400, "1 h 30 min"),
    ],
)
def test_times_are_said_as_people_do(seconds, said):
    assert words.duration(seconds) == said


def test_the_size_of_a_picture_is_read_from_its_header(tmp_path):
    path = tmp_path / "scan.exr"
    path.write_bytes(exr_header(2048, 1556, -10, 4))
    assert exr_size(path) == (2048, 1556)
    path.write_bytes(exr_header(2048, 1556)[:40])
    assert exr_size(path) is None
    path.write_bytes(b"no picture")
    assert exr_size(path) is None and exr_size(tmp_path / "gone.exr") is None
