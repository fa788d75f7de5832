"""The recipe `steady`, as a restorer runs it: a scan in, its values beside a model, frames at rest out."""

from __future__ import annotations

import json
import os
import time

import cv2
import numpy as np
import pytest

from wetgate.cli.apply import _steadied
from wetgate.errors import WetgateError
from wetgate.files import write_json
from wetgate.images import open_source, read_image, write_image
from wetgate.inference.curves import identity, load_curves
from wetgate.inference.session import Session
from wetgate.inference.transforms import UNMOVED, Transform, Transforms, resampled
from wetgate.onnx_model import ModelCard
from wetgate.pairing.steadying import Wanted, wanted_by
from wetgate.project import create_restoration, open_restoration
from wetgate.recipes import shrinkage
from wetgate.recipes.options import Options
from wetgate.recipes.steady import footage_of
from wetgate.recipes.steady import train as run_recipe
from wetgate.simulate.seeds import smooth_noise

HEIGHT, WIDTH, FRAMES = 96, 128, 16


def still():
    random = np.random.default_rng(4)
    picture = sum(
        cv2.resize(random.random((HEIGHT // size, WIDTH // size, 3)), (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)
        for size in (5, 12, 32)
    )
    return np.clip(0.45 + 0.35 * (picture - 1.5), 0.05, 0.95).astype(np.float32)


def moved(frame):
    x, y = smooth_noise(7, "weave", frame, 2, longest=30, shortest=3)
    return Transform(-0.8 * x, -0.8 * y)


def light(frame):
    return 1 + 0.08 * np.random.default_rng(frame).normal()


def save_scan(folder, frames=range(1, FRAMES + 1)):
    folder.mkdir()
    place = Transforms((WIDTH, HEIGHT), {})
    for frame in frames:
        picture = resampled(still() * np.float32(light(frame)), place.matrix(moved(frame), (HEIGHT, WIDTH)))
        write_image(folder / f"shot.{frame:04d}.exr", picture, bit_depth="float")
    return folder


@pytest.fixture(scope="module")
def scan(tmp_path_factory):
    """A folder of frames that weave and flicker. Not to be altered."""
    return save_scan(tmp_path_factory.mktemp("steady") / "scan")


@pytest.fixture
def train(wetgate, scan, tmp_path):
    """Measure the scan; what `train --json` says, and the run."""

    def go(*words, name="own.wetgate"):
        folder = tmp_path / name
        for command in (
            ["new", folder, "--recipe", "steady"],
            ["add", folder, "--scan", scan],
            ["train", folder, "--json", *words],
        ):
            code, out, err = wetgate(*command)
            assert code == 0, err
        return json.loads(out), open_restoration(folder).latest_run()

    return go


def pictures_of(folder):
    return [read_image(path).pixels for path in sorted(folder.glob("*.exr"))]


def unrest(pictures):
    """Deviation over time inside the frame, and of the frames' means."""
    return np.std([p[10:-10, 10:-10] for p in pictures], axis=0).mean(), np.std([p.mean() for p in pictures])


def test_a_scan_comes_to_rest_and_apply_does_exactly_what_lies_beside_the_model(wetgate, scan, train, tmp_path):
    told, run = train()
    assert told["state"] == "finished" and "16 of 16 frames are moved" in told["summary"]
    assert told["held_out"]["restored"]["weave_px"] < 0.2 * told["held_out"]["scan"]["weave_px"]
    assert told["held_out"]["restored"]["flicker"] < 0.2 * told["held_out"]["scan"]["flicker"]
    curves = load_curves(run.folder / "steady.json")
    code, out, err = wetgate("apply", run.folder.parents[1], scan, tmp_path / "out", "--json")
    assert code == 0, err
    assert json.loads(out)["steadied"] == told["steadied"]
    before, after = pictures_of(scan), pictures_of(tmp_path / "out")
    for frame, (ours, theirs) in enumerate(zip(before, after, strict=True), 1):
        assert np.array_equal(theirs, curves.steady(frame, ours))
    assert all(b < 0.4 * a for a, b in zip(unrest(before), unrest(after), strict=True))
    code, out, err = wetgate("apply", run.folder.parents[1], scan, tmp_path / "out", "--json")
    assert json.loads(out)["kept"] == FRAMES


def test_the_run_holds_a_model_a_report_a_record_and_a_preview(train):
    told, run = train("--no-steady", "--fill", "zoom", "--shrinkage", "0.8%,0.6%")
    session = Session(run.model, "cpu")
    assert session.card.recipe == "steady" and session.card.halo == 0 and not session.card.steady
    picture = np.random.default_rng(1).random((1, 3, 5, 7), dtype=np.float32) * 3 - 1
    assert np.array_equal(session.run(picture)[0], picture)
    assert wanted_by(session.card.record) == Wanted(False, (0.006, 0.008), "zoom")
    assert json.loads(run.record.read_text()) == session.card.record
    page = run.report.read_text()
    for words in ("Movement across", "Weave that is taken out", "Exposure, green", "0.80 % along the film"):
        assert words in page
    assert read_image(run.previews / "latest.png").size == (2 * WIDTH, HEIGHT)
    curves = load_curves(run.folder / "steady.json")
    assert all(offset == gain == 0 for curve in curves.frames.values() for offset, gain in curve)
    sizes = {(one.width, one.height) for one in curves.transforms.frames.values()}
    ((across, down),) = sizes
    assert across < 0.994 and down < 0.992 and across / down == pytest.approx(0.994 / 0.992, rel=1e-5)
    assert told["steadied"]["frames"] == 0


def test_other_programs_are_given_nothing_that_does_nothing(wetgate, train):
    _, run = train()
    code, _, err = wetgate("export", run.model, "--cube")
    assert code == 1 and "does nothing by itself" in err
    assert not run.model.with_suffix(".cube").exists()


def test_what_somebody_looks_at_is_shown_at_rest(scan, tmp_path):
    restoration = create_restoration(tmp_path / "own.wetgate", "steady")
    restoration.add_footage(str(scan), "1-16")
    run = restoration.new_run({})
    write_json(run.folder / "preview.json", {"picture": str(scan), "frame": 5})
    with run.lock():
        run_recipe(restoration, run, Options(), time.monotonic())
    curves = load_curves(run.folder / "steady.json")
    shown, before = (read_image(run.previews / f"{name}.png").pixels for name in ("restored", "scan"))
    after = curves.steady(5, read_image(scan / "shot.0005.exr").pixels)
    assert np.abs(shown - after)[4:-4, 4:-4].max() < 0.01 < np.abs(shown - before).max()


def test_another_scan_is_measured_anew_and_a_file_of_curves_may_be_named(wetgate, scan, train, tmp_path):
    _, run = train()
    other = save_scan(tmp_path / "other", range(1, 13))
    code, out, err = wetgate("apply", run.model, other, tmp_path / "out", "--json")
    assert code == 0, err
    assert "frames measured" in err or (tmp_path / "out" / ".wetgate").exists()
    assert any("was measured on another scan" in note for note in json.loads(out)["notes"])
    kept = list((tmp_path / "out" / ".wetgate").glob("steady-*.json"))
    assert len(kept) == 1 and len(load_curves(kept[0]).frames) == 12
    code, _, err = wetgate("apply", run.model, other, tmp_path / "named", "--curves", run.folder / "steady.json")
    assert code == 0, err
    curves = load_curves(run.folder / "steady.json")
    for frame, (ours, theirs) in enumerate(zip(pictures_of(other), pictures_of(tmp_path / "named"), strict=True), 1):
        assert np.array_equal(theirs, curves.steady(frame, ours))


def test_only_the_frames_that_were_added_are_measured(wetgate, scan, tmp_path):
    folder = tmp_path / "part.wetgate"
    for words in (
        ["new", folder, "--recipe", "steady"],
        ["add", folder, "--scan", scan, "--frames", "3-12"],
        ["train", folder],
    ):
        code, _, err = wetgate(*words)
        assert code == 0, err
    curves = load_curves(open_restoration(folder).latest_run().folder / "steady.json")
    assert sorted(curves.frames) == sorted(curves.transforms.frames) == list(range(3, 13))
    code, _, err = wetgate("apply", folder, scan, tmp_path / "out", "--frames", "5-6")
    assert code == 0, err
    code, _, err = wetgate("apply", folder, scan, tmp_path / "all")
    assert code == 1 and "know no frame" in err


def test_frames_of_which_nothing_is_known_are_named(wetgate, tmp_path):
    short, torn = save_scan(tmp_path / "short", (1, 2)), save_scan(tmp_path / "torn", range(1, 9))
    for frame in (4, 5):
        (torn / f"shot.{frame:04d}.exr").write_bytes(b"torn")
    said = {}
    for scan in (short, torn):
        folder = scan.with_suffix(".wetgate")
        for words in (["new", folder, "--recipe", "steady"], ["add", folder, "--scan", scan], ["train", folder]):
            code, out, err = wetgate(*words)
            assert code == 0, err
        assert "/60 s" not in err
        said[scan] = out, open_restoration(folder).latest_run().report.read_text()
    assert "2 stay where they are" in said[short][0] and "Frames 1-2 are left where they lie" in said[short][1]
    assert "4-5 could not be read" in said[torn][0] and "Frames 4-5 could not be read" in said[torn][1]


def test_a_scan_that_changes_while_it_is_measured_is_another_scan(tmp_path):
    scan = save_scan(tmp_path / "scan", range(1, 9))
    restoration = create_restoration(tmp_path / "own.wetgate", "steady")
    restoration.add_footage(str(scan), "1-8")
    run, changed = restoration.new_run({}), []

    def follow(status):
        if "movement" in status.get("message", "") and not changed:
            changed.append(os.utime(scan / "shot.0001.exr", ns=(1, 1)))

    with run.lock():
        run_recipe(restoration, run, Options(), time.monotonic(), follow)
    with open_source(scan) as source:
        assert changed and load_curves(run.folder / "steady.json").scan != identity(source)


def test_one_scan_is_wanted(tmp_path):
    restoration = create_restoration(tmp_path / "own.wetgate", "steady")
    with pytest.raises(WetgateError, match="knows no scan"):
        footage_of(restoration)
    restoration.add_footage("a.####.dpx", "1-10")
    restoration.add_footage("a.####.dpx", "15")
    assert footage_of(restoration) == ("a.####.dpx", [*range(1, 11), 15])
    restoration.add_footage("b.####.dpx", "1-10")
    with pytest.raises(WetgateError, match="speaks of 2 scans"):
        footage_of(restoration)


@pytest.mark.parametrize(
    ("text", "across", "along"), [("0.8%", 0.008, 0.008), ("0.8%,0.6%", 0.006, 0.008), (" 1 %, -0.5% ", -0.005, 0.01)]
)
def test_shrinkage_as_it_is_said(text, across, along):
    assert shrinkage.parse(text) == pytest.approx((across, along))


@pytest.mark.parametrize("text", ["0.8", "much", "1%,2%,3%", "12%", ""])
def test_other_words_for_shrinkage_are_refused(text):
    with pytest.raises(WetgateError):
        shrinkage.parse(text)


class _Pair:
    def __init__(self, across, down):
        self.number = 1
        matrix = [[1 / (1 - across), 0.001, 4.0], [-0.001, 1 / (1 - down), -3.0], [0, 0, 1]]
        self.transform = {"scan_to_reference": matrix}


def test_shrinkage_as_pairs_show_it():
    pairs = [_Pair(0.006, 0.008), _Pair(0.0061, 0.0079), _Pair(0.02, 0.001)]
    sizes = [((640, 480), (640, 480))] * 3
    assert shrinkage.of_pairs(pairs, sizes) == pytest.approx((0.0061, 0.0079), abs=1e-5)
    with pytest.raises(WetgateError, match="scanned alike"):
        shrinkage.of_pairs(pairs, [((640, 480), (720, 480))] * 3)
    with pytest.raises(WetgateError, match="another frame"):
        shrinkage.of_pairs([_Pair(0.1, 0.1)], sizes[:1])
    with pytest.raises(WetgateError, match="No accepted pair"):
        shrinkage.of_pairs([], [])


def card(recipe, steady):
    return ModelCard(recipe, record={"settings": {"steady": steady}})


def test_flicker_is_taken_out_once_in_a_chain():
    steady, moves, color, damage = (
        card("steady", True),
        card("steady", False),
        card("color", True),
        card("damage", False),
    )
    assert _steadied([steady, color], None) == [0]
    assert _steadied([damage, steady, color], None) == [1]
    assert _steadied([moves, color], None) == [0, 1]
    assert _steadied([color, damage], None) == [0]
    assert _steadied([damage, color], True) == [0]
    assert _steadied([color], False) == []
    with pytest.raises(WetgateError, match="steady first"):
        _steadied([color, steady], None)
    with pytest.raises(WetgateError, match="leave --steady"):
        _steadied([steady], False)
    with pytest.raises(WetgateError, match="Only one model"):
        _steadied([steady, damage, moves], None)


def test_a_file_of_curves_is_applied_once_and_never_left_out_silently():
    moves, color, damage = card("steady", False), card("color", True), card("damage", False)
    assert _steadied([damage], None, named=True) == [0]
    assert _steadied([damage, color], None, named=True) == [1]
    assert _steadied([damage, color], True, named=True) == [0]
    assert _steadied([moves, color], None, named=True) == [0]
    with pytest.raises(WetgateError, match="leave one out"):
        _steadied([color], False, named=True)


def test_a_stop_leaves_no_model(scan, tmp_path):
    restoration = create_restoration(tmp_path / "own.wetgate", "steady")
    restoration.add_footage(str(scan), "1-16")
    run = restoration.new_run({})
    with run.lock():
        run.send("stop")
        told = run_recipe(restoration, run, Options(), time.monotonic())
    assert told["state"] == "stopped" and told["model"] is None


def test_a_scan_that_rests_is_given_back_bit_for_bit(wetgate, tmp_path):
    folder, rest = tmp_path / "own.wetgate", tmp_path / "rest"
    rest.mkdir()
    for frame in range(1, 9):
        write_image(rest / f"shot.{frame:04d}.exr", still(), bit_depth="half")
    for words in (
        ["new", folder, "--recipe", "steady"],
        ["add", folder, "--scan", rest],
        ["train", folder],
        ["apply", folder, rest, tmp_path / "out"],
    ):
        code, _, err = wetgate(*words)
        assert code == 0, err
    curves = load_curves(open_restoration(folder).latest_run().folder / "steady.json")
    assert set(curves.transforms.frames.values()) == {UNMOVED}
    for ours, theirs in zip(pictures_of(rest), pictures_of(tmp_path / "out"), strict=True):
        assert ours.tobytes() == theirs.tobytes()


def test_a_reference_that_was_scanned_alike_shows_how_much_film_has_shrunk(wetgate, tmp_path):
    size = (320, 240)
    random = np.random.default_rng(8)
    whole = sum(
        cv2.resize(random.random((240 // n, 320 // n, 3)), size, interpolation=cv2.INTER_CUBIC) for n in (5, 12, 32)
    )
    whole = np.clip(0.45 + 0.35 * (whole - 1.5), 0.05, 0.95).astype(np.float32)
    back = Transforms(size, {}).matrix(Transform(0, 0, 0, 1 / 0.985, 1 / 0.99), whole.shape)
    for name, picture in (("reference", whole), ("scan", resampled(whole, back))):
        (tmp_path / name).mkdir()
        for frame in (1, 2):
            write_image(tmp_path / name / f"shot.{frame:04d}.exr", picture, bit_depth="half")
    folder = tmp_path / "own.wetgate"
    for words in (
        ["new", folder, "--recipe", "steady"],
        ["add", folder, "--scan", tmp_path / "scan", "--reference", tmp_path / "reference", "--frames", "1-2"],
        ["train", folder, "--shrinkage", "reference"],
    ):
        code, _, err = wetgate(*words)
        assert code == 0, err
    run = open_restoration(folder).latest_run()
    found = wanted_by(Session(run.model, "cpu").card.record).shrinkage
    assert found == pytest.approx((0.015, 0.01), abs=5e-4)
    curves = load_curves(run.folder / "steady.json")
    steadied = curves.steady(1, read_image(tmp_path / "scan" / "shot.0001.exr").pixels)
    assert np.abs(steadied - whole)[12:-12, 12:-12].mean() < 0.01
