"""new, add, status and stop, as typed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from wetgate.cli.main import main
from wetgate.images import read_image, write_image
from wetgate.project import create_restoration, open_restoration

REPOSITORY = Path(__file__).resolve().parents[2]
SIZE = (6, 8)


@pytest.fixture
def folder(tmp_path):
    return create_restoration(tmp_path / "reel.wetgate", "color").folder


@pytest.fixture
def write(tmp_path):
    """Write one frame of a sequence of random pictures; give back its pixels."""

    def write_frame(name, *, size=SIZE, seed=0, **options):
        pixels = np.random.default_rng(seed).random((*size, 3), dtype=np.float32)
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        write_image(path, options.pop("pixels", pixels), **options)
        return read_image(path).pixels

    return write_frame


@pytest.fixture
def sequences(write):
    """Frames 1001 to 1004 of a 10-bit scan and of a 16-bit reference."""
    scan = {frame: write(f"scan/a.{frame}.dpx", seed=frame, bit_depth="10") for frame in range(1001, 1005)}
    reference = {frame: write(f"ref/b.{frame}.tif", seed=-frame % 97, bit_depth="16") for frame in range(1001, 1005)}
    return scan, reference


@pytest.fixture
def wetgate(tmp_path, capsys):
    """Run a verb; words that start with ``=`` are paths below tmp_path. Give exit code, stdout, stderr."""

    def run(*words):
        code = main([str(tmp_path / word[1:]) if word.startswith("=") else word for word in words])
        return (code, *capsys.readouterr())

    return run


def fails(told, *parts):
    code, out, err = told
    assert code == 1 and out == ""
    assert "Traceback" not in err
    for part in parts:
        assert part in err


# new


def test_new_makes_a_restoration(wetgate, tmp_path):
    code, out, _ = wetgate("new", "=a.wetgate", "--recipe", "detail", "--encoding", "log", "--element", "dupe neg")
    made = open_restoration(tmp_path / "a.wetgate")
    assert code == 0 and "wetgate add" in out
    assert (made.recipe, made.encoding) == ("detail", "log")
    assert made.sources == [{"element": "dupe neg", "path": "", "rights": ""}]


def test_new_refuses_what_it_cannot_do(wetgate, folder):
    fails(wetgate("new", str(folder), "--recipe", "color"), "already holds a restoration")
    assert wetgate("new", "=b", "--recipe", "colour")[0] == 2
    assert wetgate("new", "=b")[0] == 2


# add


def test_added_pairs_hold_the_pictures(wetgate, folder, sequences):
    scan, reference = sequences
    code, out, err = wetgate(
        "add", str(folder), "--scan", "=scan/a.####.dpx", "--reference", "=ref", "--frames", "1001-1004x2", "--json"
    )
    assert code == 0 and err == ""
    assert json.loads(out)["pairs"] == [1, 2] and json.loads(out)["frames"] == "1001,1003"
    restoration = open_restoration(folder)
    pairs = restoration.pairs()
    assert [pair.frame for pair in pairs] == [1001, 1003]
    for pair in pairs:
        taken = read_image(pair.scan)
        assert taken.header.depth == "half"
        assert np.array_equal(np.rint(taken.pixels * 1023), np.rint(scan[pair.frame] * 1023))
        laid_over = read_image(pair.reference)
        assert laid_over.header.depth == "float"
        assert np.array_equal(laid_over.pixels, reference[pair.frame])
        assert pair.mask is None and pair.region is None
        assert pair.where_from["scan"].endswith(f"scan/a.{pair.frame}.dpx")
    assert [source["element"] for source in restoration.sources] == ["scan", "reference"]


def test_the_reference_may_count_differently_and_only_a_region_be_taken(wetgate, folder, sequences, tmp_path):
    scan, reference = sequences
    words = ["--scan", "=scan", "--reference", "=ref", "--frames", "1001,1002", "--reference-frames", "1003-1004"]
    code, _, _ = wetgate("add", str(folder), *words, "--region", "2,1,5,4")
    assert code == 0
    pairs = open_restoration(folder).pairs()
    for pair in pairs:
        assert pair.region == (2, 1, 5, 4)
        assert pair.where_from["reference_frame"] == pair.frame + 2
        assert np.array_equal(read_image(pair.reference).pixels, reference[pair.frame + 2][1:5, 2:7])
        assert np.allclose(read_image(pair.scan).pixels, scan[pair.frame][1:5, 2:7], atol=1e-3)


def test_alpha_is_dropped_and_a_single_channel_expanded(wetgate, folder, write, tmp_path):
    grey = np.repeat(np.linspace(0, 1, 48, dtype=np.float32).reshape(*SIZE, 1), 3, axis=2)
    write("scan.tif", alpha=np.full(SIZE, 0.5, np.float32), bit_depth="8")
    write("rgb.exr", pixels=grey, bit_depth="float")
    _as_single_channel(tmp_path / "rgb.exr", tmp_path / "ref.exr")
    assert wetgate("add", str(folder), "--scan", "=scan.tif", "--reference", "=ref.exr", "--frames", "1")[0] == 0
    (pair,) = open_restoration(folder).pairs()
    scan, reference = read_image(pair.scan), read_image(pair.reference)
    assert scan.alpha is None and not reference.mono
    assert np.array_equal(reference.pixels, grey)


def _as_single_channel(rgb, target):
    from dataclasses import replace

    image = read_image(rgb)
    write_image(target, image.pixels, like=replace(image.header, channels=("Y",)))
    assert read_image(target).mono


@pytest.mark.parametrize("drawn_in", ["colour", "alpha"])
def test_one_mask_serves_all_frames(wetgate, folder, sequences, write, drawn_in):
    matte = (np.arange(48).reshape(SIZE) % 3 == 0).astype(np.float32)
    as_colour = np.repeat(matte[..., None], 3, axis=2)
    if drawn_in == "colour":
        write("mask.png", pixels=as_colour, alpha=np.ones(SIZE, np.float32))
    else:
        write("mask.png", pixels=np.zeros_like(as_colour), alpha=matte)
    words = ["--scan", "=scan", "--reference", "=ref", "--frames", "1001-1002", "--mask", "=mask.png"]
    assert wetgate("add", str(folder), *words)[0] == 0
    pairs = open_restoration(folder).pairs()
    assert len(pairs) == 2
    assert all(np.array_equal(read_image(pair.mask).pixels, as_colour) for pair in pairs)


def test_a_picture_of_one_pixel_is_a_pair(wetgate, folder, write):
    write("scan.exr", size=(1, 1)), write("ref.exr", size=(1, 1))
    assert wetgate("add", str(folder), "--scan", "=scan.exr", "--reference", "=ref.exr", "--frames", "1")[0] == 0


def test_a_frame_that_has_a_pair_already_is_said(wetgate, folder, sequences):
    words = ["add", str(folder), "--scan", "=scan", "--reference", "=ref", "--frames"]
    assert "from before" not in wetgate(*words, "1001-1002")[1]
    assert "frames 1002 have pairs from before" in wetgate(*words, "1002-1003")[1]
    assert "from before" not in wetgate(*words, "1001", "--region", "0,0,4,4")[1]


def test_what_does_not_fit_is_refused_and_nothing_is_added(wetgate, folder, sequences, write, tmp_path):
    write("wide/b.1001.exr", size=(6, 9))
    (tmp_path / "empty").mkdir()
    base = ["add", str(folder), "--scan", "=scan", "--frames", "1001-1002"]
    fails(wetgate(*base, "--reference", "=ref", "--mask", "=wide"), "mask", "9 x 6", "8 x 6")
    fails(wetgate(*base, "--reference", "=nowhere"), "nowhere does not exist")
    fails(wetgate(*base, "--reference", "=empty"), "empty holds no pictures")
    fails(wetgate(*base, "--reference", "=ref", "--reference-frames", "1001"), "names 2 frames", "names 1")
    fails(wetgate(*base, "--reference", "=ref", "--reference-frames", "1004-1005"), "1005", "missing")
    fails(wetgate(*base, "--reference", "=ref", "--region", "4,0,5,6"), "reaches outside", "8 x 6")
    fails(wetgate(*base, "--reference", "=ref", "--region", "4,0,5"), "--region 4,0,5 is not")
    fails(wetgate(*base, "--reference", "=ref", "--region", "0,0,0,5"), "--region 0,0,0,5")
    fails(wetgate("add", str(folder), "--scan", "=scan", "--reference", "=ref", "--frames", ""), "not a list of frames")
    fails(wetgate("add", "=nothing", "--scan", "=scan", "--reference", "=ref", "--frames", "1001"), "wetgate new")
    assert open_restoration(folder).pairs() == []
    assert list((folder / "pairs").iterdir()) == []


def test_a_bad_frame_is_named_and_no_pair_of_the_command_stays(wetgate, folder, sequences, write, tmp_path):
    bad = np.full((*SIZE, 3), 0.5, np.float32)
    bad[0, 0] = np.nan
    bad[2, 3, 1] = np.inf
    for frame in (1001, 1002, 1003):
        write(f"float/c.{frame}.exr", bit_depth="float")
    write("float/c.1002.exr", pixels=bad, bit_depth="float")
    words = ["--scan", "=scan", "--reference", "=float", "--frames"]
    fails(wetgate("add", str(folder), *words, "1001-1003"), "c.1002.exr", "2 pixels of NaN or infinity")
    assert list((folder / "pairs").iterdir()) == []
    whole = (tmp_path / "float" / "c.1003.exr").read_bytes()
    (tmp_path / "float" / "c.1003.exr").write_bytes(whole[: len(whole) // 2])
    fails(wetgate("add", str(folder), *words, "1001,1003"), "c.1003.exr")
    assert list((folder / "pairs").iterdir()) == []
    assert wetgate("add", str(folder), *words, "1002", "--region", "0,3,8,3")[0] == 0


def test_a_file_that_states_another_encoding_is_shown(wetgate, folder, sequences, tmp_path):
    write_image(tmp_path / "ref8.png", np.zeros((*SIZE, 3), np.float32))
    wetgate("new", "=log.wetgate", "--recipe", "color", "--encoding", "log")
    words = ["--scan", "=scan", "--reference", "=ref8.png", "--frames", "1001"]
    code, out, _ = wetgate("add", "=log.wetgate", *words)
    assert code == 0
    assert "Note: ref8.png says of itself that it is display, but this restoration's encoding is log." in out


# status and stop

TRAINER = """
import sys, time
from wetgate.project import Run
run = Run(sys.argv[1])
with run.lock():
    run.write_status({"state": "training", "step": 40, "steps": 100, "loss": 0.0125, "eta_s": 75})
    print("training", flush=True)
    taken = []
    while "stop" not in taken:
        new = run.take_commands()
        taken += new
        for command in new:
            print(command, flush=True)
        time.sleep(0.002)
    run.write_status({"state": "stopped", "step": 41})
"""


@pytest.fixture
def trainer(folder):
    run = open_restoration(folder).new_run({"steps": 100})
    process = subprocess.Popen(
        [sys.executable, "-c", TRAINER, run.folder],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
    )
    assert process.stdout.readline() == "training\n"
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def test_status_before_any_training(wetgate, folder):
    code, out, _ = wetgate("status", str(folder))
    assert code == 0 and "pairs: none" in out and "training: none yet" in out
    fails(wetgate("status", str(folder), "--follow"), "no training yet")
    fails(wetgate("stop", str(folder)), "No training runs")
    fails(wetgate("status", "=nowhere"), "nowhere")


def test_status_counts_pairs_by_their_state(wetgate, folder, sequences):
    wetgate("add", str(folder), "--scan", "=scan", "--reference", "=ref", "--frames", "1001-1003")
    open_restoration(folder).pairs()[0].update(state="rejected", reason="out of focus")
    assert "pairs: 2 collected, 1 rejected" in wetgate("status", str(folder))[1]


def test_a_training_is_shown_paused_resumed_and_stopped(wetgate, folder, trainer):
    _, out, _ = wetgate("status", str(folder))
    assert "run 001 training, step 40 of 100, loss 0.0125, 1:15 left" in out
    told = json.loads(wetgate("status", str(folder), "--json")[1])["run"]
    assert (told["state"], told["process"]["pid"], told["model"]) == ("training", trainer.pid, None)
    for words, command in ((["--pause"], "pause"), (["--resume"], "resume"), ([], "stop")):
        code, out, _ = wetgate("stop", str(folder), *words)
        assert code == 0 and f"Asked run 001 to {command}" in out
        assert trainer.stdout.readline() == f"{command}\n"
    assert trainer.wait(timeout=60) == 0
    assert "run 001 stopped, step 41" in wetgate("status", str(folder))[1]
    fails(wetgate("stop", str(folder)), "No training runs")
    assert wetgate("stop", str(folder), "--pause", "--resume")[0] == 2


def test_a_killed_training_is_shown_as_interrupted(wetgate, folder, trainer):
    os.kill(trainer.pid, signal.SIGKILL)
    os.waitid(os.P_PID, trainer.pid, os.WEXITED | os.WNOWAIT)
    _, out, _ = wetgate("status", str(folder))
    assert "run 001 interrupted" in out and "--resume" in out
    fails(wetgate("stop", str(folder)), "No training runs")


def test_follow_stays_until_the_training_ends(folder, trainer):
    following = subprocess.Popen(
        [sys.executable, "-m", "wetgate", "status", folder, "--follow"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
    )
    assert following.stderr.readline().startswith("40/100 steps   40%  training, loss 0.0125")
    open_restoration(folder).latest_run().send("stop")
    out, _ = following.communicate(timeout=60)
    assert following.returncode == 0 and "run 001 stopped, step 41" in out


def test_a_run_that_has_not_started_yet_can_be_stopped(wetgate, folder):
    run = open_restoration(folder).new_run({})
    assert wetgate("stop", str(folder))[0] == 0
    assert run.take_commands() == ["stop"]
