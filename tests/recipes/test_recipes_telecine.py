"""The telecine recipe through the command line, on small damaged pictures."""

from __future__ import annotations

import functools
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from wetgate.cli.main import main
from wetgate.images import open_source, read_image, write_image
from wetgate.inference.session import Session
from wetgate.inference.tiles import Restorer
from wetgate.onnx_model import read_card
from wetgate.pairing.prepare import prepare
from wetgate.project import create_restoration, open_restoration
from wetgate.recipes import telecine, work
from wetgate.recipes.options import Options
from wetgate.simulate.footage import demo_footage
from wetgate.training import telecine_task

HEIGHT, WIDTH = 136, 320
LEFT, TOP, RIGHT, BOTTOM = 24, 12, 288, 124
"""What the telecine shows of the frame."""
FRAMES = range(1, 5)
FADE = np.array([[0.7, 0.1, 0.1], [0.2, 0.7, 0.1], [0.1, 0.2, 0.8]], np.float32)


@pytest.fixture(autouse=True, scope="module")
def small_networks():
    """Learn the same with fewer numbers and smaller crops."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(telecine_task, "WIDTHS", {1: (12, 16, 24), 2: (12, 16, 24, 32), 4: (12, 16, 24, 32)})
        patched.setattr(telecine_task, "SIDES", {1: 48, 2: 64, 4: 128})
        yield


@functools.cache
def footage():
    with open_source(demo_footage()) as source:
        return {frame: source.read(60 * frame - 30).pixels for frame in FRAMES}


def truth(frame: int, *, grey: bool = False):
    picture = cv2.resize(footage()[frame], (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA)
    return picture.mean(2, keepdims=True).repeat(3, 2) if grey else picture


def lost(frame: int):
    """Rows and columns where the film has no picture any more."""
    return np.s_[40:64, 60 + 40 * frame : 84 + 40 * frame]


def scan_of(picture, frame: int):
    scan = 0.2 + 0.6 * picture @ FADE
    scan += np.random.default_rng(50 + frame).normal(0, 0.02, scan.shape)
    scan[lost(frame)] = 0.95
    return scan.astype(np.float32)


def video_of(picture):
    return cv2.GaussianBlur(picture, (0, 0), 2.0)


def save(folder: Path, *, grey: bool = False) -> Path:
    for frame in FRAMES:
        good = truth(frame, grey=grey)
        cropped = video_of(good)[TOP:BOTTOM, LEFT:RIGHT]
        for name, pixels in (("scan", scan_of(good, frame)), ("video", cropped), ("good", good)):
            (folder / name).mkdir(parents=True, exist_ok=True)
            write_image(folder / name / f"{name}.{frame:04d}.exr", np.ascontiguousarray(pixels), bit_depth="float")
    return folder


def words(*values: object) -> list[str]:
    return [str(value) for value in values]


def add(reel: Path, pictures: Path, scan: str, reference: str, frames: str, *how: str) -> int:
    patterns = [pictures / name / f"{name}.####.exr" for name in (scan, reference)]
    return main(words("add", reel, "--scan", patterns[0], "--reference", patterns[1], "--frames", frames, *how))


@pytest.fixture(scope="module")
def damaged(tmp_path_factory) -> Path:
    """Folders scan, video (cropped) and good, four frames each. Not to be altered."""
    return save(tmp_path_factory.mktemp("damaged"))


@pytest.fixture(scope="module")
def collected(damaged, tmp_path_factory) -> Path:
    """Four pairs with a telecine, two with good film. Not to be altered."""
    reel = tmp_path_factory.mktemp("telecine") / "reel.wetgate"
    create_restoration(reel, "telecine")
    assert add(reel, damaged, "scan", "video", "1-4") == 0
    assert add(reel, damaged, "scan", "good", "2-3", "--reference-element", "film") == 0
    prepare(open_restoration(reel))
    return reel


@pytest.fixture(scope="module")
def trained(collected, tmp_path_factory) -> Path:
    """The same, trained for a few steps. Not to be altered."""
    reel = Path(shutil.copytree(collected, tmp_path_factory.mktemp("trained") / "reel.wetgate"))
    assert main(words("train", reel, "--steps", 30, "--seed", 1, "--device", "cpu")) == 0
    return reel


@pytest.fixture(scope="module")
def restored(trained, damaged):
    """What it makes of each frame."""
    restorer = Restorer(Session(open_restoration(trained).latest_run().model, "cpu"))
    return {frame: restorer.restore([scan_of(truth(frame), frame)])[0] for frame in FRAMES}


def error(picture, reference) -> float:
    return float(np.sqrt(np.square(picture - reference).mean()))


def test_pairs_say_which_step_they_are_for(collected):
    pairs = open_restoration(collected).pairs()
    assert [pair.elements for pair in pairs] == [("film", "telecine")] * 4 + [("film", "film")] * 2
    assert {pair.state for pair in pairs} == {"accepted"}


def test_damage_is_learnt_from_and_what_the_telecine_lacks_is_not(collected):
    pair = open_restoration(collected).pairs()[0]
    weight = read_image(pair.confidence).pixels[..., 0]
    assert weight[lost(1)].min() == 1
    assert weight[:TOP].max() == 0
    assert weight[:, RIGHT + 1 :].max() == 0
    assert 0.4 < weight.mean() < (RIGHT - LEFT) * (BOTTOM - TOP) / (HEIGHT * WIDTH)


def test_two_steps_come_nearer_to_the_good_film(restored):
    for frame in FRAMES:
        good, scan, hole = truth(frame), scan_of(truth(frame), frame), lost(frame)
        assert error(restored[frame], good) < 0.75 * error(scan, good)
        assert error(restored[frame][hole], good[hole]) < 0.75 * error(scan[hole], good[hole])


def test_the_frame_beyond_the_telecine_is_restored_alike(restored):
    """No edge of the result's error where the telecine ends."""
    wrong = np.stack([(restored[frame] - truth(frame)).mean(2) for frame in FRAMES])
    across = np.abs(np.diff(wrong, axis=2)).mean((0, 1))
    elsewhere = np.delete(across, np.r_[: LEFT + 3, RIGHT - 3 : len(across)])
    for edge in (LEFT, RIGHT):
        assert across[edge - 3 : edge + 3].mean() < elsewhere.mean() + 2 * elsewhere.std()


def test_the_model_says_what_it_is_and_the_report_shows_both_steps(trained):
    run = open_restoration(trained).latest_run()
    card = read_card(run.model)
    assert (card.recipe, card.protected, card.radius, card.steady) == ("telecine", "none", 0, False)
    assert run.settings["steady"] is False
    assert read_card(run.folder / "model_fp16.onnx").half_of
    events = run.events()[0]
    stages = [event["stage"] for event in events if event["event"] == "model"]
    assert stages[0] == "tone and colour"
    assert [stage for stage in stages if "so far" not in stage][-2:] == [telecine.FIRST, telecine.SECOND]
    report = run.report.read_text(encoding="utf-8")
    assert f"Step 1, {telecine.FIRST}" in report
    assert "step 1" in report


def test_pairs_of_one_kind_make_one_step_and_frames_around_may_be_seen(damaged, tmp_path, capsys):
    reel = tmp_path / "one.wetgate"
    create_restoration(reel, "telecine")
    add(reel, damaged, "scan", "video", "2")
    assert main(words("train", reel, "--steps", 2, "--radius", 1, "--device", "cpu")) == 0
    assert "In one step, film to telecine: the restoration has no pairs for the other one." in capsys.readouterr().out
    run = open_restoration(reel).latest_run()
    add(reel, damaged, "scan", "good", "3", "--reference-element", "film")
    open_restoration(reel).pairs()[-1].update(state="rejected", reason="another frame")
    assert main(words("train", reel, "--steps", 1, "--device", "cpu")) == 0
    assert "no pair for the other one can be used (pair 2: another frame)." in capsys.readouterr().out
    assert [event["of"] for event in run.events()[0] if event["event"] == "steps"] == [[telecine.FIRST]]
    assert read_card(run.model).radius == 1


def test_a_telecine_can_be_the_scan_of_the_second_step(damaged, tmp_path):
    reel = tmp_path / "video.wetgate"
    create_restoration(reel, "telecine")
    add(reel, damaged, "scan", "video", "1")
    whole = tmp_path / "whole"
    whole.mkdir()
    write_image(whole / "whole.0003.exr", video_of(truth(3)), bit_depth="float")
    good = damaged / "good" / "good.####.exr"
    pictures = ["--scan", whole / "whole.####.exr", "--reference", good, "--frames", "3"]
    assert main(words("add", reel, *pictures, "--scan-element", "telecine")) == 0
    assert open_restoration(reel).pairs()[-1].elements == ("telecine", "film")
    assert main(words("train", reel, "--steps", 2, "--device", "cpu")) == 0
    events = open_restoration(reel).latest_run().events()[0]
    assert [event["of"] for event in events if event["event"] == "steps"] == [[telecine.FIRST, telecine.SECOND]]


def test_black_and_white_stays_so(tmp_path):
    reel = tmp_path / "grey.wetgate"
    create_restoration(reel, "telecine")
    pictures = save(tmp_path / "pictures", grey=True)
    add(reel, pictures, "scan", "video", "1")
    assert main(words("train", reel, "--steps", 2, "--device", "cpu")) == 0
    scan = read_image(pictures / "scan" / "scan.0003.exr").pixels
    answer = Restorer(Session(open_restoration(reel).latest_run().model, "cpu")).restore([scan])[0]
    assert float(np.ptp(answer, axis=2).max()) == 0


def test_pairs_that_were_aligned_by_hand_stay_as_they_lie(damaged, tmp_path):
    reel = tmp_path / "hand.wetgate"
    create_restoration(reel, "telecine")
    moved = tmp_path / "moved"
    moved.mkdir()
    picture = video_of(truth(1))
    write_image(moved / "moved.0001.exr", np.roll(picture, 5, axis=1), bit_depth="float")
    pictures = ["--scan", damaged / "scan" / "scan.####.exr", "--reference", moved / "moved.0001.exr", "--frames", "1"]
    for how in ([], ["--aligned"]):
        assert main(words("add", reel, *pictures, *how)) == 0
    prepare(open_restoration(reel))
    found, left = open_restoration(reel).pairs()
    assert found.transform is not None
    assert (left.state, left.transform, left.prepared.name) == ("accepted", None, "reference.exr")


@pytest.mark.parametrize(
    ("recipe", "how", "sentence"),
    [
        ("telecine", ["--scan-element", "telecine", "--reference-element", "telecine"], "both of a telecine"),
        ("color", ["--reference-element", "film"], "belongs to the recipe telecine"),
    ],
)
def test_what_makes_no_step_is_refused(damaged, tmp_path, capsys, recipe, how, sentence):
    reel = tmp_path / "wrong.wetgate"
    create_restoration(reel, recipe)
    assert add(reel, damaged, "scan", "good", "1", *how) == 1
    assert sentence in capsys.readouterr().err
    assert open_restoration(reel).pairs() == []


def test_luma_cannot_be_protected(collected, tmp_path, capsys):
    reel = Path(shutil.copytree(collected, tmp_path / "reel.wetgate"))
    assert main(words("train", reel, "--steps", 4, "--protect", "luma")) == 1
    assert "cannot keep the scan's luma" in capsys.readouterr().err


class Killed(Exception):
    pass


def test_a_run_that_was_cut_off_goes_on_to_the_same_model(collected, tmp_path, monkeypatch):
    monkeypatch.setattr(work, "CHECKPOINT_S", 0.0)
    models = []
    for name, kills in (("whole", []), ("cut", [3])):
        reel = Path(shutil.copytree(collected, tmp_path / f"{name}.wetgate"))
        restoration = open_restoration(reel)
        run = restoration.new_run({})
        options = Options(steps=4, seconds=None, device="cpu", seed=2)
        for limit in [*kills, None]:
            with monkeypatch.context() as patched:
                if limit is not None:
                    patched.setattr(telecine_task.TelecineTask, "gradients", _counted(limit))
                    with pytest.raises(Killed):
                        telecine.train(restoration, run, options, 0.0)
                else:
                    assert telecine.train(restoration, run, options, 0.0)["state"] == "finished"
        models.append(run.model.read_bytes())
        resumed = [event for event in run.events()[0] if event["event"] == "resumed"]
        assert len(resumed) == len(kills)
    assert models[0] == models[1]


def _counted(limit: int):
    """``gradients`` that ends the process, as it were, at a step."""
    plain, calls = telecine_task.TelecineTask.gradients, iter(range(limit))

    def gradients(self, weights, generator):
        if next(calls, None) is None:
            raise Killed
        return plain(self, weights, generator)

    return gradients
