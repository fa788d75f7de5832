"""The damage recipe on a small film: from footage alone, from pairs, stopped and gone on with, and its masks."""

from __future__ import annotations

import json
import shutil

import cv2
import numpy as np
import pytest
import torch

from wetgate.cli.main import main
from wetgate.images import read_image, write_image
from wetgate.onnx_model import local_paths_in, open_model
from wetgate.project import create_restoration, open_restoration
from wetgate.recipes import damage, work
from wetgate.records.shot_record import INFERRED

torch.set_num_threads(1)

STEPS = 24


def frame(number, height=96, width=120):
    """One frame of a drifting scene with grain, 16-bit values."""
    random = np.random.default_rng(1)
    scene = cv2.GaussianBlur(random.random((height + 40, width + 40, 3)).astype(np.float32), (0, 0), 4)
    scene = 0.15 + 0.7 * (scene - scene.min()) / (scene.max() - scene.min())
    part = scene[number : number + height, 2 * number : 2 * number + width]
    return part + np.random.default_rng(number).normal(0, 0.004, part.shape).astype(np.float32)


@pytest.fixture(scope="session")
def film(tmp_path_factory):
    """Six frames as TIFF; the third has a speck. Not to be altered."""
    folder = tmp_path_factory.mktemp("film")
    for number in range(1, 7):
        pixels = frame(number)
        if number == 3:
            pixels[40:46, 60:67] = 0.02
        write_image(folder / f"film.{number:04d}.tif", pixels, bit_depth="16")
    return folder / "film.####.tif"


@pytest.fixture(autouse=True)
def few_windows(monkeypatch):
    monkeypatch.setattr(damage, "FRAMES", 6)


def start(folder, film, *, frames="1-6"):
    restoration = create_restoration(folder, "damage")
    restoration.add_source("scan", str(film))
    restoration.add_footage(str(film), frames)
    return restoration


@pytest.fixture(scope="session")
def trained(film, tmp_path_factory):
    """A restoration with a model after a few steps, and what the training told. Not to be altered."""
    folder = tmp_path_factory.mktemp("trained") / "film.wetgate"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(damage, "FRAMES", 6)
        restoration = start(folder, film)
        run = restoration.new_run({"recipe": "damage", "steady": True})
        with run.lock():
            told = damage.train(restoration, run, damage.Options(steps=STEPS, seconds=None), 0.0)
    return folder, told


def test_a_film_is_enough_to_learn_from(trained):
    folder, told = trained
    assert told["state"] == "finished" and told["steps"] == STEPS and told["windows"] == 6 * damage.PARTS
    assert "pixels that no damage is near taken for damage" in told["summary"]
    run = open_restoration(folder).latest_run()
    model = open_model(run.model)
    assert model.takes_damage
    assert (model.card.recipe, model.card.radius, model.card.encoding) == ("damage", 1, "display")
    assert model.card.halo is not None and not model.card.steady
    assert run.settings["steady"] is False
    assert local_paths_in(model.data) == []
    report = run.report.read_text(encoding="utf-8")
    assert "Held-out windows (" in report and "Held-out pairs (" not in report
    assert "frame 3, held out" in report
    record = json.loads(run.record.read_text(encoding="utf-8"))
    assert (record["recipe"], record["digital_source_type"]) == ("damage", INFERRED)
    assert open_model(run.folder / "model_fp16.onnx").card.half_of == model.sha256


def test_the_first_model_is_there_before_any_lesson(trained):
    run = open_restoration(trained[0]).latest_run()
    events = [json.loads(line) for line in (run.folder / "events.jsonl").read_text(encoding="utf-8").splitlines()]
    kinds = [(event["event"], event.get("stage")) for event in events]
    assert kinds.index(("model", "before training")) < kinds.index(("job", None))
    stages = [stage for kind, stage in kinds if kind == "model"]
    assert stages[0] == "before training" and stages[-1] == "trained"


def test_masks_are_found_edited_and_repaired_by_exactly(trained, film, tmp_path, wetgate):
    folder, _ = trained
    masks, out = tmp_path / "masks", tmp_path / "out"
    code, said, _ = wetgate("detect", folder, film, masks, "--frames", "2-4", "--json")
    assert code == 0
    assert sorted(path.name for path in masks.glob("*.png")) == [f"film.000{n}.png" for n in (2, 3, 4)]
    told = json.loads(said)
    found = read_image(masks / "film.0003.png").pixels[..., 0]
    assert set(np.unique(found)) <= {0.0, 1.0}
    assert found.mean() == pytest.approx(told["share"]["3"], abs=1e-6)
    assert found[42:44, 62:65].all()  # the classical detector, from which training starts, sees that speck

    edited = np.zeros((96, 120, 3), np.float32)
    edited[10:20, 30:50] = 1
    write_image(masks / "film.0003.png", edited, bit_depth="8")
    code, said, _ = wetgate("detect", folder, film, masks, "--frames", "2-4", "--json")
    assert json.loads(said)["kept"] == "2-4"
    assert np.array_equal(read_image(masks / "film.0003.png").pixels, edited)

    code, _, error = wetgate("apply", folder, film, out, "--frames", "3", "--damage", masks)
    assert code == 0, error
    scan, restored = (read_image(place / "film.0003.tif").pixels for place in (film.parent, out))
    changed = (scan != restored).any(axis=2)
    assert changed[10:20, 30:50].mean() > 0.9
    changed[10:20, 30:50] = False
    assert not changed.any()

    wetgate("detect", folder, film, masks, "--frames", "3", "--overwrite")
    assert np.array_equal(read_image(masks / "film.0003.png").pixels[..., 0], found)


@pytest.mark.parametrize("frames", [2, 3, 5, 12])
def test_no_frame_is_learnt_from_and_judged_by(frames):
    origins = [("scan", number) for number in range(frames) for _ in range(3)] + [("other", 1)]
    judging, learning = damage.held_out(origins)
    assert judging and learning
    assert sorted([*judging, *learning]) == list(range(len(origins)))
    assert not {origins[at] for at in judging} & {origins[at] for at in learning}


def test_of_one_frame_alone_that_is_said(film, tmp_path):
    restoration = start(tmp_path / "film.wetgate", film, frames="3")
    run = restoration.new_run({"recipe": "damage"})
    with run.lock():
        told = damage.train(restoration, run, damage.Options(steps=1, seconds=None), 0.0)
    assert "of the only frame there is" in told["summary"]


def test_pairs_that_cannot_be_used_do_not_matter_where_there_is_footage(film, tmp_path):
    restoration = start(tmp_path / "film.wetgate", film)
    with restoration.add_pair(2) as draft:
        write_image(draft.scan, frame(2))
        write_image(draft.reference, np.random.default_rng(3).random((96, 120, 3)).astype(np.float32))
    run = restoration.new_run({"recipe": "damage"})
    with run.lock():
        told = damage.train(restoration, run, damage.Options(steps=1, seconds=None), 0.0)
    assert told["state"] == "finished" and told["pairs"] == 0


def test_masks_go_nowhere_near_the_scan(trained, film, wetgate):
    folder, _ = trained
    code, _, error = wetgate("detect", folder, film, film.parent)
    assert code == 1 and "the scan's own folder" in error


def test_a_model_of_another_recipe_finds_no_damage(reel, film, tmp_path, wetgate):
    wetgate("train", reel, "--steps", 1)
    code, _, error = wetgate("detect", reel, film, tmp_path / "masks")
    assert code == 1 and "finds no damage" in error


def test_a_stopped_training_goes_on_to_the_same_model(trained, film, tmp_path, monkeypatch):
    folder, _ = trained
    monkeypatch.setattr(work, "STATUS_S", 0.0)
    restoration = start(tmp_path / "film.wetgate", film)
    run = restoration.new_run({"recipe": "damage"})
    options = damage.Options(steps=STEPS, seconds=None)

    asked = []

    def follow(status):
        if status.get("step") == 2 and not asked:
            asked.append(run.send("stop"))

    with run.lock():
        assert damage.train(restoration, run, options, 0.0, follow)["state"] == "stopped"
    assert open_model(run.model).card.recipe == "damage"
    again = open_restoration(restoration.folder)
    with again.latest_run().lock():
        told = damage.train(again, again.latest_run(), options, 0.0)
    assert told["state"] == "finished"
    one, two = (open_restoration(place).latest_run().model.read_bytes() for place in (folder, restoration.folder))
    assert one == two


def test_pairs_show_damage_too(film, tmp_path):
    restoration = create_restoration(tmp_path / "pairs.wetgate", "damage")
    for number in (2, 3, 4, 5):
        with restoration.add_pair(number) as draft:
            shutil.copy(film.parent / f"film.{number:04d}.tif", tmp_path / "scan.tif")
            write_image(draft.scan, read_image(tmp_path / "scan.tif").pixels)
            write_image(draft.reference, frame(number))
            for step in (-1, 1):
                write_image(draft.neighbour(step), read_image(film.parent / f"film.{number + step:04d}.tif").pixels)
            draft.where_from["neighbours"] = 1
    run = restoration.new_run({"recipe": "damage"})
    with run.lock():
        told = damage.train(restoration, run, damage.Options(steps=2, seconds=None), 0.0)
    assert told["state"] == "finished"
    assert told["pairs"] >= 2
    assert open_model(run.model).takes_damage


@pytest.mark.parametrize(
    ("size", "words", "sentence"),
    [
        ((96, 120), ["--radius", "0"], "--radius 1 or 2"),
        ((60, 120), [], "80 x 80 and more"),
    ],
    ids=["single frames", "small frames"],
)
def test_what_cannot_be_learnt_from_is_said(tmp_path, wetgate, size, words, sentence):
    (tmp_path / "film").mkdir()
    for number in (1, 2, 3):
        write_image(tmp_path / "film" / f"f.{number:04d}.tif", frame(number, *size))
    folder = tmp_path / "film.wetgate"
    assert main(["new", str(folder), "--recipe", "damage"]) == 0
    assert main(["add", str(folder), "--scan", str(tmp_path / "film")]) == 0
    code, _, error = wetgate("train", folder, "--steps", "1", *words)
    assert code == 1 and sentence in error


def test_an_empty_restoration_is_told_what_to_add(tmp_path, wetgate):
    wetgate("new", tmp_path / "film.wetgate", "--recipe", "damage")
    code, _, error = wetgate("train", tmp_path / "film.wetgate")
    assert code == 1 and "wetgate add" in error
