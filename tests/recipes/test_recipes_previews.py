"""The picture that somebody chose to watch: drawn with each model, changed at any time, never in the way."""

from __future__ import annotations

import shutil
import threading
import time

import numpy as np
import pytest
from reels import pair

from wetgate.images import read_image, to_display, write_image
from wetgate.inference.session import Session
from wetgate.project import open_restoration
from wetgate.recipes import work
from wetgate.recipes.color import train
from wetgate.recipes.options import Options
from wetgate.recipes.previews import MOST_PIXELS, Preview

STEPS = 6


def start(folder, prepare_run=lambda run: None, follow=lambda run, status: None):
    restoration = open_restoration(folder)
    run = restoration.new_run({})
    prepare_run(run)
    options = Options(seconds=None, steps=STEPS, device="cpu", steady=False)
    with run.lock():
        return train(restoration, run, options, time.monotonic(), lambda status: follow(run, status)), run


@pytest.fixture(scope="module")
def trained(reel_of_all, tmp_path_factory):
    """A restoration with a finished run. Not to be altered."""
    folder = shutil.copytree(reel_of_all, tmp_path_factory.mktemp("trained") / "reel.wetgate")
    start(folder)
    return folder


@pytest.fixture
def attentive(monkeypatch):
    """At every step it is told how far it is, and looked for commands and another choice."""
    monkeypatch.setattr(work, "STATUS_S", 0.0)


@pytest.fixture
def run(trained, tmp_path):
    """The run of a copy of it."""
    return open_restoration(shutil.copytree(trained, tmp_path / "trained.wetgate")).latest_run()


def draw(run):
    preview = Preview(open_restoration(run.folder.parent.parent), run)
    assert preview.has_changed()
    preview.draw("so far")
    assert not preview.has_changed()


def named(run, *names):
    return [event for event in run.events()[0] if event["event"] in names]


def answer(run, scan, encoding="display"):
    restored = Session(run.model, "cpu").run(np.ascontiguousarray(scan.transpose(2, 0, 1)[None]))[0][0]
    return np.clip(to_display(restored.transpose(1, 2, 0), encoding), 0, 1)


def drawn(run, name):
    return read_image(run.previews / f"{name}.png").pixels


def test_a_pair_is_drawn_with_every_model(reel):
    _, run = start(reel, lambda run: run.choose_preview(pair=2))
    stages = [event["stage"] for event in named(run, "model")]
    assert [event["stage"] for event in named(run, "preview")] == stages
    assert stages[0] == "first look"
    assert {event["pair"] for event in named(run, "preview")} == {2}
    scan, reference = pair(2)
    height, width = scan.shape[:2]
    assert (named(run, "preview")[-1]["width"], named(run, "preview")[-1]["height"]) == (width, height)
    assert np.abs(drawn(run, "scan") - np.clip(scan, 0, 1)).max() < 0.01
    assert np.abs(drawn(run, "reference") - reference).max() < 0.01
    assert np.abs(drawn(run, "restored") - answer(run, scan)).max() < 0.01
    assert np.abs(drawn(run, "restored") - reference).mean() < 0.3 * np.abs(scan - reference).mean()
    assert (run.previews / "latest.png").exists()


@pytest.mark.parametrize("encoding", ["linear", "log"])
def test_any_picture_of_the_scan_is_drawn_as_it_is_shown(make_reel, tmp_path, encoding):
    from wetgate.images import from_display

    coded = [[from_display(side, encoding) for side in pair(number)] for number in (1, 2)]
    unseen = from_display(pair(9, 60, 90)[0], encoding)
    write_image(tmp_path / "unseen.0009.exr", unseen, bit_depth="float")
    restoration = make_reel(*coded, encoding=encoding)
    _, run = start(restoration.folder, lambda run: run.choose_preview(picture=str(tmp_path / "unseen.####.exr")))
    assert named(run, "preview")[-1]["frame"] == 9
    assert np.abs(drawn(run, "scan") - np.clip(pair(9, 60, 90)[0], 0, 1)).max() < 0.01
    assert np.abs(drawn(run, "restored") - answer(run, unseen, encoding)).max() < 0.01
    assert not (run.previews / "reference.png").exists()


def test_nothing_is_drawn_where_nothing_is_chosen(trained):
    run = open_restoration(trained).latest_run()
    assert not named(run, "preview", "no preview")
    assert [path.name for path in run.previews.iterdir()] == ["latest.png"]


def test_another_choice_is_drawn_at_once_without_a_new_model(reel, attentive):
    choices = iter([2, 3])

    def follow(run, status):
        if status["state"] == "training" and status.get("step"):
            for number in choices:
                run.choose_preview(pair=number)
                break

    _, run = start(reel, lambda run: run.choose_preview(pair=1), follow)
    models_before, seen = 0, []
    for event in named(run, "model", "preview"):
        models_before += event["event"] == "model"
        if event["event"] == "preview":
            seen.append((event["pair"], models_before))
    first_of_2 = next(models for number, models in seen if number == 2)
    assert any(number == 1 and models == first_of_2 for number, models in seen)  # the model of pair 1's drawing
    assert 3 in {number for number, _ in seen}


def test_another_choice_is_drawn_while_it_is_paused(reel, attentive):
    watcher = []

    def until(condition):
        give_up = time.monotonic() + 60
        while not condition() and time.monotonic() < give_up:
            time.sleep(0.01)
        return condition()

    def watch(run):
        try:
            assert until(lambda: run.status().get("state") == "paused")
            run.choose_preview(pair=3)
            drawn_in_pause.append(until(lambda: named(run, "preview")) and run.status()["state"] == "paused")
        finally:
            run.send("resume")

    def follow(run, status):
        if status.get("step") and not watcher:
            run.send("pause")
            watcher.append(threading.Thread(target=watch, args=[run]))
            watcher[0].start()

    drawn_in_pause = []
    result, run = start(reel, follow=follow)
    watcher[0].join()
    assert drawn_in_pause == [True]
    assert named(run, "preview")[0]["pair"] == 3
    assert result["state"] == "finished"


def test_a_choice_can_be_taken_back(reel):
    def follow(run, status):
        if "model" in status:  # told at times only: it may be any of the first
            run.choose_preview()

    _, run = start(reel, lambda run: run.choose_preview(pair=1), follow)
    drawn = [event["stage"] for event in named(run, "preview")]
    made = [event["stage"] for event in named(run, "model")]
    assert drawn and drawn == made[: len(drawn)] and len(drawn) < len(made)


def test_the_reference_of_another_choice_does_not_stay(run, footage):
    run.choose_preview(pair=1)
    draw(run)
    assert (run.previews / "reference.png").exists()
    run.choose_preview(picture=str(footage / "scan" / "shot.0003.exr"))
    draw(run)
    assert not (run.previews / "reference.png").exists()
    assert np.abs(drawn(run, "scan") - np.clip(pair(3)[0], 0, 1)).max() < 0.01


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ('{"pair": 99}', "has no pair 99"),
        ('{"pair": 1', "not valid JSON"),
        ('{"picture": 7}', "names neither a pair nor a picture"),
        ('{"picture": "nowhere.exr"}', "does not exist"),
    ],
)
def test_what_cannot_be_drawn_is_said(run, content, words):
    (run.folder / "preview.json").write_text(content)
    draw(run)
    assert not named(run, "preview")
    assert [words in event["reason"] for event in named(run, "no preview")] == [True]


def test_training_goes_on_without_it(reel):
    result, run = start(reel, lambda run: run.choose_preview(pair=99))
    assert result["state"] == "finished"
    assert len(named(run, "no preview")) == len(named(run, "model"))


def test_a_large_picture_is_drawn_small(run, tmp_path):
    write_image(tmp_path / "large.exr", pair(5, 700, 900)[0])
    run.choose_preview(picture=str(tmp_path / "large.exr"))
    draw(run)
    rows, columns, _ = drawn(run, "restored").shape
    assert drawn(run, "scan").shape == (rows, columns, 3)
    assert 0.98 * MOST_PIXELS < rows * columns <= MOST_PIXELS
    assert abs(columns / rows - 9 / 7) < 0.01


def test_watching_changes_no_bit_of_the_model(reel, trained):
    plain = open_restoration(trained).latest_run()
    _, watched = start(reel, lambda run: run.choose_preview(pair=1))
    scan = pair(4)[0]
    assert np.array_equal(answer(plain, scan), answer(watched, scan))


def test_the_status_says_what_it_does_and_where(reel):
    seen = []
    _, run = start(reel, follow=lambda run, status: seen.append(dict(status)))
    messages = list(dict.fromkeys(status["message"] for status in seen))
    assert messages[0] == "reading the pairs"
    assert "laying references over their scans, 4 pairs done" in messages
    assert messages[-2:] == ["writing the report", ""]
    assert run.status()["device"] == "CPU"
    assert run.status()["model"] == "memory"
    jobs = named(run, "job")
    assert [job["job"] for job in jobs] == [0, 1, 2, 3]
    assert [job["held_out"] for job in jobs] == [[1, 4], [2], [3], []]
    assert {event["job"] for event in named(run, "step")} == {0, 1, 2, 3}
