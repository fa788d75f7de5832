"""The color recipe from pairs to model, steered, resumed, and with pairs of every kind."""

from __future__ import annotations

import json
import math
import shutil
import time
from pathlib import Path

import numpy as np
import pytest
from reels import HEIGHT, WIDTH, pair

from wetgate.errors import WetgateError
from wetgate.files import sha256
from wetgate.images import read_image
from wetgate.inference.session import Session
from wetgate.onnx_model import local_paths_in, open_model, read_card
from wetgate.project import open_restoration
from wetgate.recipes import work
from wetgate.recipes.color import train
from wetgate.recipes.options import Options
from wetgate.training.budget import LEAST_STEPS
from wetgate.training.context_task import ContextTask

STEPS = 10


class Killed(BaseException):
    """What a SIGKILL would do at this line."""


def start(folder, follow=lambda status: None, run=None, **options):
    restoration = open_restoration(folder)
    chosen = Options(seconds=None, **{"steps": STEPS, "device": "cpu", **options})
    run = run or restoration.new_run({})
    with run.lock():
        return train(restoration, run, chosen, time.monotonic(), follow), run


def named(run, name):
    return [event for event in run.events()[0] if event["event"] == name]


def answer(model: Path, scan):
    return Session(model, "cpu").run(scan.transpose(2, 0, 1)[None].copy())[0][0].transpose(1, 2, 0)


@pytest.fixture(scope="module")
def trained(reel_of_all, tmp_path_factory):
    """One undisturbed training, looked at by several tests."""
    folder = shutil.copytree(reel_of_all, tmp_path_factory.mktemp("trained") / "reel.wetgate")
    seen = []
    result, run = start(folder, lambda status: seen.append(dict(status)))
    return result, run, seen


def test_models_come_one_after_the_other_the_fit_first(trained):
    result, run, seen = trained
    assert [event["stage"] for event in named(run, "model")] == [
        "first look",
        "closed-form fit",
        "kernels",
        "context",
        "memory",
    ]
    assert [status["state"] for status in seen[:1] + seen[-1:]] == ["preparing", "finished"]
    assert run.state == run.status()["state"] == "finished"
    assert result["model"] == str(run.model)


def test_the_model_restores_what_it_has_not_seen(trained):
    _, run, _ = trained
    scan, reference = pair(77, 61, 83)
    restored = answer(run.model, scan)
    assert np.abs(restored - reference).mean() < 0.25 * np.abs(scan - reference).mean()
    half = answer(run.folder / "model_fp16.onnx", scan)
    assert np.abs(half - restored).max() < 5e-3


def test_the_record_tells_what_was_made_from_what_and_no_folder(trained, footage):
    result, run, _ = trained
    record = json.loads(run.record.read_text())
    assert [(p["frame"], p["accepted"]) for p in record["pairs"]] == [(frame, True) for frame in range(1, 5)]
    assert record["pairs"][0]["scan_sha256"] == sha256(footage / "scan" / "shot.0001.exr")
    assert record["results"]["restored"]["delta_e"] == result["held_out"]["restored"]["delta_e"]
    assert record["sources"] == [{"role": "scan", "name": "scan", "element": "scan", "rights": ""}]
    for name in ("model.onnx", "model_fp16.onnx", "record.json"):
        assert local_paths_in((run.folder / name).read_bytes()) == []
    card = read_card(run.model)
    assert (card.protected, card.encoding, card.multiple) == ("grain", "display", 32)


def test_held_out_pairs_judge_and_the_report_shows_them(trained):
    result, run, _ = trained
    found = result["held_out"]
    assert found["restored"]["delta_e"] < 0.5 * found["scan"]["delta_e"]
    page = run.report.read_text(encoding="utf-8")
    for words in ("held out", "closed-form fit", "fit and kernels", "colour difference"):
        assert words in page
    assert all(0 <= result[name] <= 1 for name in ("kernel_share", "context_share"))


def test_nothing_temporary_is_left(trained):
    _, run, _ = trained
    assert [p.name for p in run.folder.parent.parent.rglob("*wetgate-*")] == []
    strip = read_image(run.previews / "latest.png")
    assert (strip.pixels.shape, strip.header.depth) == ((HEIGHT, 3 * WIDTH, 3), "8")


def test_the_same_seed_gives_the_same_file(trained, reel):
    _, run, _ = trained
    assert start(reel)[1].model.read_bytes() == run.model.read_bytes()


@pytest.mark.parametrize("protect", ["luma", "none"])
@pytest.mark.parametrize("encoding", ["linear", "log"])
def test_every_encoding_and_protection_trains(make_reel, encoding, protect):
    def encoded(picture):
        return np.clip(picture, 0, 1) ** 2.2 if encoding == "linear" else 0.1 + 0.6 * picture

    pairs = [[encoded(picture) for picture in pair(number, 48, 64)] for number in (1, 2)]
    reel = make_reel(*pairs, encoding=encoding)
    _, run = start(reel.folder, steps=2, protect=protect)
    card = read_card(run.model)
    assert (card.encoding, card.protected) == (encoding, protect)
    scan, reference = (encoded(picture).astype(np.float32) for picture in pair(9, 48, 64))
    restored = answer(run.model, scan)
    if protect == "luma":
        luma = np.array([0.2126, 0.7152, 0.0722])
        np.testing.assert_allclose(restored @ luma, scan @ luma, atol=1e-5)
        scan, restored, reference = (p - (p @ luma)[..., None] for p in (scan, restored, reference))
    assert np.abs(restored - reference).mean() < 0.8 * np.abs(scan - reference).mean()


def test_held_out_pairs_are_never_trained_on(reel):
    _, run = start(reel, hold_out=2, steps=2)
    assert run.settings["held_out"] == [2, 4]
    record = json.loads(run.record.read_text())
    assert [p["accepted"] for p in record["pairs"]] == [True, False, True, False]
    with pytest.raises(WetgateError, match="4 of 4 pairs cannot be held out"):
        start(reel, hold_out=4)


def test_what_is_left_out_of_training_changes_nothing(reel, make_reel):
    """Another held-out pair: the same model, but for what its record says."""
    first = start(reel, hold_out=1, steps=2)[1]
    other = [list(pair(number)) for number in range(1, 5)]
    other[2][1] = other[2][1][:, :, ::-1].copy()
    second = start(make_reel(*other, depth="half").folder, hold_out=1, steps=2)[1]
    assert first.settings["held_out"] == second.settings["held_out"] == [3]
    scan = pair(50)[0]
    assert np.array_equal(answer(first.model, scan), answer(second.model, scan))


def test_one_pair_works_and_the_report_says_what_is_not_known(make_reel):
    result, run = start(make_reel(pair(1)).folder)
    assert result["held_out"] == {}
    page = run.report.read_text(encoding="utf-8")
    assert "No pair could be held out, so nothing is known about other frames." in page
    assert "frame 1, trained on" in page
    assert "frame 1, held out" not in page


def test_one_pixel_trains_and_applies(make_reel):
    grey = np.full((1, 1, 3), 0.4, np.float32)
    _, run = start(make_reel((grey, grey + 0.2), (grey + 0.1, grey + 0.3)).folder)
    assert answer(run.model, grey) == pytest.approx(0.6, abs=0.02)


def test_a_grey_scan_of_a_colour_reference_trains(make_reel):
    pairs = [(scan.mean(2, keepdims=True).repeat(3, 2), reference) for scan, reference in (pair(1), pair(2))]
    _, run = start(make_reel(*pairs).folder, steps=2)
    restored = answer(run.model, pairs[0][0].astype(np.float32))
    assert np.isfinite(restored).all()
    assert np.abs(restored).max() < 3


def test_a_pair_that_cannot_be_used_is_left_out_and_said(reel):
    broken = reel / "pairs" / "0002" / "reference.exr"
    broken.write_bytes(broken.read_bytes()[:4000])
    result, run = start(reel, steps=2)
    assert result["pairs"] == 3
    (event,) = named(run, "rejected")
    assert (event["pair"], str(broken) in event["reason"]) == (2, True)
    assert str(broken.name) in run.report.read_text(encoding="utf-8")


# Steering


def once(run, command, when):
    """Send ``command`` the first time that ``when(status)`` holds."""
    sent = []

    def follow(status):
        if not sent and when(status):
            sent.append(run.send(command))

    return follow


def at_step_3(status):
    return status.get("step") == 3


@pytest.fixture
def often(monkeypatch):
    """Commands are looked for, and states saved, at every step."""
    monkeypatch.setattr(work, "STATUS_S", 0.0)
    monkeypatch.setattr(work, "CHECKPOINT_S", 0.0)


def test_a_stop_while_the_pairs_are_prepared_leaves_the_first_look(reel):
    restoration = open_restoration(reel)
    run = restoration.new_run({})
    result, _ = start(reel, once(run, "stop", lambda status: status["state"] == "preparing"), run)
    assert result["state"] == run.state == "stopped"
    assert result["model"] == str(run.model)
    assert [event["stage"] for event in named(run, "model")] == ["first look"]
    assert start(reel, run=open_restoration(reel).latest_run())[0]["state"] == "finished"


def test_stopped_and_resumed_it_comes_to_the_same(trained, prepared, often):
    _, whole, _ = trained
    run = open_restoration(prepared).new_run({})
    result, _ = start(prepared, once(run, "stop", at_step_3), run)
    assert result["state"] == run.state == "stopped"
    kept = open_model(run.model)
    assert kept.card.recipe == "color"
    last = named(run, "checkpoint")[-1]
    resumed, again = start(prepared, run=open_restoration(prepared).latest_run())
    assert resumed["state"] == "finished"
    assert {**named(again, "resumed")[0], "event": 0, "time": 0} == {**last, "event": 0, "time": 0}
    assert again.model.read_bytes() == whole.model.read_bytes()


@pytest.mark.parametrize("at", ["preparing", "training"])
def test_a_pause_waits_saves_and_goes_on_to_the_same(trained, prepared, often, at):
    run = open_restoration(prepared).new_run({})
    states = []

    def follow(status):
        states.append(status["state"])
        if status["state"] == at and "paused" not in states:
            run.send("pause")
        if status["state"] == "paused":
            run.send("resume")

    start(prepared, follow, run)
    assert states[states.index("paused") + 1] == at
    assert run.model.read_bytes() == trained[1].model.read_bytes()


def test_pairs_added_meanwhile_wait_for_the_next_run(trained, prepared, often):
    _, whole, _ = trained
    run = open_restoration(prepared).new_run({})
    start(prepared, once(run, "stop", at_step_3), run)
    restoration = open_restoration(prepared)
    with restoration.add_pair(9) as draft:
        draft.scan.write_bytes((prepared / "pairs/0001/scan.exr").read_bytes())
        draft.reference.write_bytes((prepared / "pairs/0001/reference.exr").read_bytes())
    result, again = start(prepared, run=restoration.latest_run())
    assert result["pairs"] == 4
    scan = pair(50)[0]
    assert np.array_equal(answer(again.model, scan), answer(whole.model, scan))
    assert start(prepared, steps=2)[0]["pairs"] == 5


def test_a_pair_that_went_missing_cannot_be_resumed(prepared, often):
    run = open_restoration(prepared).new_run({})
    start(prepared, once(run, "stop", at_step_3), run)
    open_restoration(prepared).pairs()[1].update(state="rejected", reason="not by hand")
    with pytest.raises(WetgateError, match="Run 001 was started with pair 2, which can no longer be used"):
        start(prepared, run=open_restoration(prepared).latest_run())


def test_a_step_that_is_not_a_number_is_said_and_does_not_stay(prepared, monkeypatch):
    honest, calls = ContextTask.gradients, []

    def poisoned(*arguments):
        loss, gradients = honest(*arguments)
        calls.append(1)
        poison = math.nan if len(calls) == 4 else 1.0
        return loss, {name: gradient * poison for name, gradient in gradients.items()}

    monkeypatch.setattr(ContextTask, "gradients", poisoned)
    messages = []
    result, run = start(prepared, lambda status: messages.append(status.get("message", "")))
    assert result["state"] == "finished"
    assert len(named(run, "went back")) == 1
    assert any("back to the last good weights" in message for message in messages)
    assert np.isfinite(answer(run.model, pair(1)[0])).all()


@pytest.mark.parametrize("moment", ["save_checkpoint", "emit"])
def test_cut_off_around_a_checkpoint_it_comes_to_the_same(trained, prepared, often, monkeypatch, moment):
    """Before a checkpoint is written, and after it, before that is noted."""
    _, whole, _ = trained
    run = open_restoration(prepared).new_run({})
    honest, count = getattr(run, moment), []

    def dying(content):
        count.append(content)
        if moment == "save_checkpoint" and len(count) == 5:
            raise Killed
        if moment == "emit" and content["event"] == "checkpoint" and content["step"] == 2:
            raise Killed
        return honest(content)

    monkeypatch.setattr(run, moment, dying)
    with pytest.raises(Killed):
        start(prepared, run=run)
    assert open_restoration(prepared).latest_run().state == "interrupted"
    again = start(prepared, run=open_restoration(prepared).latest_run())[1]
    assert again.model.read_bytes() == whole.model.read_bytes()


def test_a_torn_checkpoint_is_passed_over_for_the_one_before(trained, prepared, often):
    _, whole, _ = trained
    run = open_restoration(prepared).new_run({})
    start(prepared, once(run, "stop", at_step_3), run)
    before = named(run, "checkpoint")[-2]
    newest = run.newest_checkpoint()
    newest.write_bytes(newest.read_bytes()[:-100])
    again = start(prepared, run=open_restoration(prepared).latest_run())[1]
    assert [named(again, "resumed")[0][name] for name in ("job", "step")] == [before["job"], before["step"]]
    assert again.model.read_bytes() == whole.model.read_bytes()


def test_where_there_is_no_time_there_is_a_model(reel):
    restoration = open_restoration(reel)
    run = restoration.new_run({})
    with run.lock():
        result = train(restoration, run, Options(seconds=0.5, device="cpu"), time.monotonic())
    assert (result["state"], result["steps"]) == ("finished", LEAST_STEPS)
    assert result["note"] == run.status()["message"] == work.HURRIED
    scan, reference = pair(77)
    assert np.abs(answer(run.model, scan) - reference).mean() < 0.25 * np.abs(scan - reference).mean()
