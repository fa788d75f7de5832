"""The whole way through the command line: real processes, real files."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from reels import pair, save_footage

from wetgate.images import read_image
from wetgate.onnx_model import open_model
from wetgate.project import open_restoration

PATIENCE_S = 120.0


def process(*words: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "wetgate", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S)


def wait_until(condition) -> None:
    give_up = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < give_up, "it does not come"
        time.sleep(0.01)


def test_from_frames_to_restored_frames(footage, tmp_path):
    """new, add, train, apply as four processes, as people type them."""
    reel, restored = tmp_path / "reel.wetgate", tmp_path / "restored"
    assert process("new", reel, "--recipe", "color").returncode == 0
    pictures = ["--scan", footage / "scan", "--reference", footage / "reference"]
    assert process("add", reel, *pictures, "--frames", "1-3").returncode == 0
    trained = process("train", reel, "--steps", "8", "--seed", "3", "--hold-out", "1", "--device", "cpu")
    assert trained.returncode == 0, trained.stderr
    assert "Trained on 2 pairs" in trained.stdout
    assert "On pairs it had not seen: colour difference" in trained.stdout
    assert "reading the pairs" in trained.stderr
    run = open_restoration(reel).latest_run()
    assert f"Report: {run.report}" in trained.stdout
    assert run.settings["held_out"] == [2]
    assert json.loads(run.record.read_text())["seed"] == 3
    assert {event["event"] for event in run.events()[0]} >= {"pairs", "model", "step", "checkpoint"}
    applied = process("apply", reel, footage / "scan", restored)
    assert applied.returncode == 0, applied.stderr
    for frame in range(1, 5):
        result = read_image(restored / f"shot.{frame:04d}.exr").pixels
        scan, reference = pair(frame)
        assert np.abs(result - reference).mean() < 0.3 * np.abs(scan - reference).mean()


def test_the_first_model_needs_no_torch(reel):
    """Where torch cannot be loaded there is a model all the same, and a sentence."""
    code = "import sys; sys.modules['torch'] = None; from wetgate.cli.main import main; sys.exit(main(sys.argv[1:]))"
    command = [sys.executable, "-c", code, "train", str(reel), "--steps", "4"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "A package that this needs cannot be loaded" in done.stderr
    assert "torch" in done.stderr
    run = open_restoration(reel).latest_run()
    assert open_model(run.model).card.recipe == "color"
    assert run.state == "failed"
    assert "torch" in run.status()["message"]
    assert [event["stage"] for event in run.events()[0] if event["event"] == "model"] == [
        "first look",
        "closed-form fit",
    ]


def test_in_the_background_stopped_and_gone_on_with(reel, wetgate):
    code, out, _ = wetgate("train", reel, "--steps", "1000000", "--detach", "--json")
    assert (code, json.loads(out)["state"]) == (0, "started")
    run = open_restoration(reel).latest_run()

    def standing():
        return json.loads(wetgate("status", reel, "--json")[1])["run"]

    try:
        wait_until(lambda: standing()["state"] == "training" and (standing()["status"].get("step") or 0) > 1)
        assert standing()["process"]["pid"] == json.loads(out)["pid"]
        code, _, err = wetgate("train", reel, "--resume")
        assert code == 1
        assert "already being worked on by process" in err
    finally:
        code, told, _ = wetgate("stop", reel)
    assert (code, "Asked run 001 to stop" in told) == (0, True)
    wait_until(lambda: not run.is_alive())
    assert run.state == "stopped", run.log.read_text()
    assert open_model(run.model).card.recipe == "color"
    kept = [event for event in run.events()[0] if event["event"] == "checkpoint"][-1]
    assert wetgate("stop", reel)[0] == 1
    words = ["train", reel, "--resume", "--detach"]
    assert wetgate(*words)[0] == 0
    try:
        wait_until(lambda: any(event["event"] == "resumed" for event in run.events()[0]))
    finally:
        wetgate("stop", reel)
    wait_until(lambda: not run.is_alive())
    resumed = next(event for event in run.events()[0] if event["event"] == "resumed")
    assert (resumed["job"], resumed["step"]) == (kept["job"], kept["step"])
    assert run.state == "stopped"
    wait_until(lambda: run.log.read_text().count('"state": "stopped"') == 2)


def test_a_finished_run_is_not_resumed_and_a_new_one_is_numbered(reel, wetgate):
    assert wetgate("train", reel, "--resume") == (
        1,
        "",
        f"wetgate: {reel} has no run to go on with: leave --resume out.\n",
    )
    code, out, err = wetgate("train", reel, "--steps", "1", "--json")
    assert (code, json.loads(out)["run"], err) == (0, 1, "")
    assert "Run 001 of" in wetgate("train", reel, "--resume")[2]
    assert json.loads(wetgate("train", reel, "--steps", "1", "--json")[1])["run"] == 2
    code, out, _ = wetgate("status", reel)
    assert (code, "run 002 finished" in out, "4 accepted" in out) == (0, True, True)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--steps", "0"], "'0' is no number of steps"),
        (["--steps", "many"], "'many' is no number of steps"),
        (["--time", "0s"], "'0s' is no length of time"),
        (["--time", "5 parsecs"], "is no length of time"),
        (["--time", "5m", "--steps", "3"], "not allowed with"),
        (["--protect", "faces"], "faces"),
    ],
)
def test_wrong_arguments_are_two(reel, wetgate, words, sentence):
    code, _, err = wetgate("train", reel, *words)
    assert (code, sentence in err) == (2, True), err


def test_the_whole_way_in_one_line(footage, tmp_path, wetgate):
    output = tmp_path / "restored"
    words = ["--scan", footage / "scan", "--reference", footage / "reference", "--time", "1s", "--device", "cpu"]
    code, out, err = wetgate("restore", *words, "--output", output)
    assert code == 0, err
    assert f"Restored 4 frames into {output}." in out
    assert err.count("$ wetgate ") == 4
    assert sorted(path.name for path in output.glob("*.exr")) == [f"shot.{frame:04d}.exr" for frame in range(1, 5)]
    assert len(open_restoration(tmp_path / "restored.wetgate").pairs()) == 4

    (output / "shot.0003.exr").unlink()
    code, out, err = wetgate("restore", *words, "--output", output)
    assert (code, err.count("$ wetgate "), "$ wetgate apply" in err) == (0, 1, True), err
    assert (output / "shot.0003.exr").exists() and f"Restored 1 frames (3 were done already) into {output}." in out


def test_one_line_refuses_the_scans_own_folder_before_it_does_anything(tmp_path, wetgate):
    footage = save_footage(tmp_path, range(1, 3))
    before = sorted(str(path) for path in tmp_path.rglob("*"))
    words = ["restore", "--scan", footage / "scan", "--reference", footage / "reference", "--output"]
    for output in (footage / "scan", footage / "scan" / "restored"):
        code, _, err = wetgate(*words, output)
        assert (code, "scan" in err, "Traceback" in err) == (1, True, False), err
    assert sorted(str(path) for path in tmp_path.rglob("*")) == before


def test_one_line_where_nothing_can_be_matched_is_a_sentence(tmp_path, wetgate):
    first, second = save_footage(tmp_path / "a", range(1, 3)), save_footage(tmp_path / "b", range(7, 9))
    output = tmp_path / "out"
    code, _, err = wetgate("restore", "--scan", first / "scan", "--reference", second / "reference", "--output", output)
    assert (code, "Traceback" in err, "2 frames" in err) == (1, False, True), err
    assert open_restoration(tmp_path / "out.wetgate").pairs() == []


def test_prepare_says_of_each_pair_what_it_is(reel, wetgate):
    path = Path(reel) / "pairs" / "0003" / "scan.exr"
    path.write_bytes(path.read_bytes()[:3000])
    code, out, err = wetgate("prepare", reel)
    assert code == 0
    lines = out.splitlines()
    assert "pair 0001, frame 1: accepted, " in lines[0]
    assert "pair 0003, frame 3: rejected: " in lines[2]
    assert str(path) in lines[2]
    assert "4/4 pairs" in err
