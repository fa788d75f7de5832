"""`wetgate apply` as people and farms run it: a process that may be stopped or killed at any moment."""

from __future__ import annotations

import itertools
import json
import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from wetgate.images import open_source, read_image, write_image
from wetgate.onnx_model import ModelCard
from wetgate.project import create_restoration

FRAMES = 24
CONVOLUTIONS = 150


def save(nodes, initializers, card: ModelCard, path: Path) -> Path:
    frames, restored = (
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 3, "h", "w"]) for name in ("frames", "restored")
    )
    graph = helper.make_graph(nodes, "graph", [frames], [restored], initializers)
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    helper.set_model_props(proto, card.to_metadata())
    path.write_bytes(proto.SerializeToString())
    return path


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A blur with a visible effect, slow enough to be interrupted."""
    kernel = np.zeros((3, 3, 3, 3), np.float32)
    for channel in range(3):
        kernel[channel, channel] = 1 / 9
    names = ["frames", *(f"x{index}" for index in range(CONVOLUTIONS - 1)), "restored"]
    nodes = [
        helper.make_node("Conv", [before, "kernel"], [after], pads=[1, 1, 1, 1])
        for before, after in itertools.pairwise(names)
    ]
    return save(
        nodes,
        [numpy_helper.from_array(kernel, "kernel")],
        ModelCard("color", halo=CONVOLUTIONS),
        tmp_path / "blur.onnx",
    )


@pytest.fixture
def scan(tmp_path: Path) -> Path:
    folder = tmp_path / "scan"
    folder.mkdir()
    for number in range(1001, 1001 + FRAMES):
        pixels = np.random.default_rng(number).random((72, 96, 3), dtype=np.float32)
        write_image(folder / f"shot.{number}.exr", pixels)
    return folder


def command(*words: object) -> list[str]:
    return [sys.executable, "-m", "wetgate", "apply", *map(str, words)]


def apply(*words: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(*words), capture_output=True, text=True, timeout=120)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def frames_in(folder: Path) -> int:
    return len(list(folder.glob("shot.*.exr"))) if folder.is_dir() else 0


def wait_for_frames(process: subprocess.Popen[str], folder: Path, count: int) -> None:
    while process.poll() is None and frames_in(folder) < count:
        os.sched_yield()


def test_a_run_in_words_and_in_json(model, scan, tmp_path):
    output, changes = tmp_path / "restored", tmp_path / "changes"
    done = apply(model, scan, output, "--frames", "1001-1005x2", "--change-map", changes, "--tile", "48")
    assert done.returncode == 0, done.stderr
    assert f"Restored 3 frames into {output}, on cpu." in done.stdout
    assert "3/3 frames" in done.stderr
    assert sorted(path.name for path in output.glob("*.exr")) == ["shot.1001.exr", "shot.1003.exr", "shot.1005.exr"]
    assert json.loads((changes / "changes.json").read_text())["all"]["share"] == 1.0
    again = apply(model, scan, output, "--frames", "1001-1005x2", "--json")
    assert again.stderr == ""
    result = json.loads(again.stdout)
    assert (result["restored"], result["kept"], result["frames"]) == (0, 3, "1001-1005x2")


def test_steady_measures_the_whole_scan_once(model, scan, tmp_path):
    output = tmp_path / "restored"
    done = apply(model, scan, output, "--frames", "1001-1002", "--steady")
    assert done.returncode == 0, done.stderr
    assert f"{FRAMES}/{FRAMES} frames measured" in done.stderr
    assert "Steadied before: " in done.stdout
    (kept,) = (output / ".wetgate").glob("curves-display-*.json")
    assert len(json.loads(kept.read_text())["frames"]) == FRAMES
    before = contents(output)
    again = apply(model, scan, output, "--frames", "1001-1002", "--steady")
    assert "measured" not in again.stderr
    assert "2 were done already" in again.stdout
    assert contents(output) == before
    assert json.loads(apply(model, scan, output, "--frames", "1001-1002", "--json").stdout)["steadied"] is None


def test_a_restoration_gives_its_newest_model(model, scan, tmp_path):
    restoration = create_restoration(tmp_path / "reel.wetgate", "color")
    done = apply(restoration.folder, scan, tmp_path / "restored")
    assert done.returncode == 1
    assert "has no model yet" in done.stderr
    restoration.new_run({}).model.write_bytes(model.read_bytes())
    restoration.new_run({})
    done = apply(restoration.folder, scan, tmp_path / "restored", "--frames", "1001", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["model"].endswith(os.path.join("001", "model.onnx"))


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (["{model}", "{tmp}/nowhere", "{tmp}/out"], 1, "nowhere"),
        (["{tmp}/no.onnx", "{scan}", "{tmp}/out"], 1, "no.onnx does not exist"),
        (["{scan}/shot.1001.exr", "{scan}", "{tmp}/out"], 1, "not a whole ONNX model"),
        (["{scan}", "{scan}", "{tmp}/out"], 1, "is not a restoration"),
        (["{model}", "{scan}", "{scan}/out"], 1, "source"),
        (["{model}", "{scan}", "{tmp}/out", "--frames", "2000"], 1, "has no frame 2000"),
        (["{model}", "{scan}", "{tmp}/out", "--frames", "9-1"], 1, "runs backwards"),
        (["{model}", "{scan}", "{tmp}/out", "--tile", "0"], 2, "neither 'auto' nor a number"),
        (["{model}", "{scan}", "{tmp}/out", "--tile", "some"], 2, "neither 'auto' nor a number"),
        (["{model}", "{scan}", "{tmp}/out", "--device", "tpu"], 2, "tpu"),
        (["{model}", "{scan}"], 2, "OUTPUT"),
    ],
)
def test_mistakes_are_sentences(model, scan, tmp_path, words, code, sentence):
    done = apply(*(word.format(model=model, scan=scan, tmp=tmp_path) for word in words))
    assert done.returncode == code
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr
    assert frames_in(tmp_path / "out") == 0


def test_killed_at_random_moments_it_comes_to_the_same(model, scan, tmp_path):
    """Ten SIGKILLs, some before the first frame and some between pixels and receipt, then one quiet run."""
    output = tmp_path / "restored"
    words = (model, scan, output, "--change-map", tmp_path / "changes")
    moments = random.Random(2)
    kills = 0
    while kills < 10:
        process = subprocess.Popen(command(*words), stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL, text=True)
        wait_for_frames(process, output, frames_in(output) + moments.randint(0, 2))
        for _ in range(moments.randint(0, 2000)):
            os.sched_yield()
        process.send_signal(signal.SIGKILL)
        process.wait()
        kills += process.returncode == -signal.SIGKILL
        frames = list(output.glob("[!.]*.exr"))
        for path in frames:
            read_image(path)
        if len(frames) > FRAMES // 2:  # keep work for the next to be killed at
            for path in frames:
                path.unlink()
    done = apply(*words, "--json")
    assert done.returncode == 0, done.stderr
    assert not list(tmp_path.rglob(".*.wetgate-*"))
    fresh = apply(model, scan, tmp_path / "fresh", "--change-map", tmp_path / "fresh changes")
    assert fresh.returncode == 0, fresh.stderr
    assert contents(output) == contents(tmp_path / "fresh")
    assert contents(tmp_path / "changes") == contents(tmp_path / "fresh changes")


def test_interrupted_it_stops_cleanly_and_goes_on(model, scan, tmp_path):
    output = tmp_path / "restored"
    process = subprocess.Popen(
        command(model, scan, output),
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),  # a background shell ignores it
    )
    wait_for_frames(process, output, 3)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in said
    assert not list(output.rglob(".*.wetgate-*"))
    finished = frames_in(output)
    assert 3 <= finished < FRAMES
    result = json.loads(apply(model, scan, output, "--json").stdout)
    assert result["kept"] == finished


def test_two_machines_share_one_output(model, scan, tmp_path):
    """As a farm does: different frames of one sequence, one folder, at once."""
    output = tmp_path / "restored"
    halves = ["1001-1012", "1013-1024"]
    runs = [subprocess.Popen(command(model, scan, output, "--frames", half, "--json"), stdout=-1) for half in halves]
    for process in runs:
        process.communicate(timeout=120)
        assert process.returncode == 0
    assert json.loads(apply(model, scan, output, "--json").stdout)["kept"] == FRAMES


@pytest.mark.skipif(sys.platform != "linux", reason="reads the peak memory of a process as Linux counts it")
def test_a_4k_frame_is_restored_in_less_than_2_gb(tmp_path):
    pixels = np.zeros((3112, 4096, 3), np.float32)
    pixels[::7, ::5] = 0.5
    write_image(tmp_path / "frame.dpx", pixels)
    wide = numpy_helper.from_array(np.full((64, 3, 3, 3), 0.01, np.float32), "wide")
    narrow = numpy_helper.from_array(np.full((3, 64, 1, 1), 0.01, np.float32), "narrow")
    nodes = [
        helper.make_node("Conv", ["frames", "wide"], ["x"], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["x"], ["y"]),
        helper.make_node("Conv", ["y", "narrow"], ["restored"]),
    ]
    save(nodes, [wide, narrow], ModelCard(recipe="color", halo=1), tmp_path / "wide.onnx")
    words = command(tmp_path / "wide.onnx", tmp_path / "frame.dpx", tmp_path / "restored.dpx", "--device", "cpu")
    script = (
        "import resource, subprocess, sys\n"
        f"assert subprocess.run({words!r}).returncode == 0\n"
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout.split()[-1]) << 10 < 2 << 30
    assert read_image(tmp_path / "restored.dpx").size == (4096, 3112)


def test_into_a_video_and_out_of_one(model, scan, tmp_path):
    video = tmp_path / "restored.mkv"
    done = apply(model, scan, video, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["output"] == str(video)
    with open_source(video) as source:
        assert source.frames == list(range(1, FRAMES + 1))
        assert source.size == (96, 72)
    before = contents(tmp_path)
    assert json.loads(apply(model, scan, video, "--json").stdout)["kept"] == FRAMES
    assert contents(tmp_path) == before
    frames = tmp_path / "frames"
    done = apply(model, video, frames, "--frames", "2-4")
    assert done.returncode == 0, done.stderr
    assert len(list(frames.glob("*.exr"))) == 3


def test_a_video_cannot_have_a_gap(model, scan, tmp_path):
    (scan / "shot.1010.exr").write_bytes(b"")
    done = apply(model, scan, tmp_path / "restored.mkv")
    assert done.returncode == 1
    assert "shot.1010.exr" in done.stderr
    assert sorted(path.name for path in tmp_path.glob("*restored*")) == []
