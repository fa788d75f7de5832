"""What is wrong with a pair, a frame or a disk is one sentence that names it; the exit code is 1."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from reels import pair, save_footage

from wetgate.cli.main import main
from wetgate.images import read_image, write_image
from wetgate.onnx_model import open_model
from wetgate.project import open_restoration


def fails(result: tuple[int, str, str], *words: object) -> None:
    code, out, err = result
    assert code == 1, err
    assert out == ""
    assert "Traceback" not in err
    last = err.strip().splitlines()[-1]
    assert last.startswith("wetgate: ")
    assert all(str(word) in last for word in words), last


@pytest.fixture
def new(wetgate, tmp_path):
    folder = tmp_path / "new.wetgate"
    assert wetgate("new", folder, "--recipe", "color")[0] == 0
    return folder


@pytest.fixture
def own(tmp_path):
    """Footage to spoil."""
    return save_footage(tmp_path / "own", range(1, 4))


def add(folder, footage, frames="1-3"):
    pictures = ["--scan", footage / "scan", "--reference", footage / "reference"]
    return ["add", folder, *pictures, "--frames", frames]


def test_no_pairs(wetgate, new):
    fails(wetgate("train", new, "--steps", "1"), new, "holds no pairs")
    fails(wetgate("prepare", new), new, "holds no pairs")
    assert open_restoration(new).runs() == []


@pytest.mark.parametrize(
    ("recipe", "wanted"), [("exemplar", "--paint"), ("damage", "--scan"), ("detail", "--reference")]
)
def test_what_is_to_be_added_is_what_the_recipe_learns_from(recipe, wanted, tmp_path, capsys):
    assert main(["new", str(tmp_path / "reel"), "--recipe", recipe]) == 0
    assert wanted in capsys.readouterr().out
    assert main(["train", str(tmp_path / "reel"), "--steps", "1"]) == 1
    said = capsys.readouterr().err
    assert wanted in said and ("--reference" in said) == (recipe == "detail")


def test_no_frames(wetgate, new, own, tmp_path):
    (tmp_path / "empty").mkdir()
    words = ["--reference", own / "reference", "--frames", "1"]
    fails(wetgate("add", new, "--scan", tmp_path / "empty", *words), "empty", "holds no pictures")
    fails(wetgate("apply", reel_model(own, tmp_path), tmp_path / "empty", tmp_path / "out"), "empty")


def reel_model(own, tmp_path) -> Path:
    """A model that was made without training."""
    from wetgate.onnx_model import ModelCard
    from wetgate.training.closed_form import first_model
    from wetgate.training.color_model import forward
    from wetgate.training.onnx_export import export
    from wetgate.training.samples import make_sample

    model = first_model([make_sample(*pair(1), "display", number=1, frame=1)], "display", "grain")
    path = tmp_path / "first.onnx"
    export(path, lambda ops, frames: forward(ops, frames, model), ModelCard("color"))
    return path


def test_a_missing_reference_of_a_pair(wetgate, reel):
    lost = reel / "pairs" / "0002" / "reference.exr"
    lost.unlink()
    fails(wetgate("train", reel, "--steps", "1"), lost, "missing")


def test_a_missing_reference_frame(wetgate, new, own):
    (own / "reference" / "shot.0002.exr").unlink()
    fails(wetgate(*add(new, own)), "2", "reference", "missing")
    assert open_restoration(new).pairs() == []


def test_a_reference_of_another_size_that_shows_something_else(wetgate, new, own):
    for frame in (1, 2, 3):
        noise = np.random.default_rng(frame).random((40, 64, 3), dtype=np.float32)
        write_image(own / "reference" / f"shot.{frame:04d}.exr", noise)
    assert wetgate(*add(new, own))[0] == 0
    fails(wetgate("train", new, "--steps", "1"), "pair 1", "do not show the same picture")
    assert open_restoration(new).latest_run().state == "failed"


def test_when_no_pair_can_be_used_there_are_proofs_to_look_at(wetgate, new, own):
    for frame in (1, 2, 3):
        noise = np.random.default_rng(frame).random((48, 64, 3), dtype=np.float32)
        write_image(own / "reference" / f"shot.{frame:04d}.exr", noise)
    assert wetgate(*add(new, own))[0] == 0
    sheet = Path(new) / "proofs" / "pairs.png"
    fails(wetgate("prepare", new), "No pair", sheet)
    assert sheet.stat().st_size > 1000


def test_a_reference_too_small_to_be_laid_over(wetgate, new, own):
    for frame in (1, 2, 3):
        write_image(own / "reference" / f"shot.{frame:04d}.exr", pair(frame, 12, 16)[1])
    assert wetgate(*add(new, own))[0] == 0
    fails(wetgate("train", new, "--steps", "1"), "pair 1", "16x12", "at least 32")


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_no_number(wetgate, new, own, tmp_path, value):
    path = own / "scan" / "shot.0002.exr"
    pixels = pair(2)[0]
    pixels[3, 4] = value
    write_image(path, pixels, bit_depth="float")
    fails(wetgate(*add(new, own)), path, "frame 2", "1 pixel of NaN or infinity")
    assert wetgate(*add(new, own, "1,3"))[0] == 0
    shutil.copy(path, new / "pairs" / "0001" / "scan.exr")
    shutil.copy(path, new / "pairs" / "0002" / "scan.exr")
    fails(wetgate("train", new, "--steps", "1"), "pair 1", "scan", "NaN or infinity")


def test_a_cut_off_picture(wetgate, new, own):
    path = own / "reference" / "shot.0003.exr"
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    fails(wetgate(*add(new, own)), path)
    path.write_bytes(whole)
    assert wetgate(*add(new, own, "3"))[0] == 0
    kept = new / "pairs" / "0001" / "reference.exr"
    kept.write_bytes(kept.read_bytes()[: len(whole) // 2])
    fails(wetgate("train", new, "--steps", "1"), kept)


def test_unrelated_pictures(wetgate, new, own, tmp_path):
    texture = np.random.default_rng(5).random((2, 200, 200, 3), dtype=np.float32)
    for name, pixels in zip(("scan", "reference"), texture, strict=True):
        shutil.rmtree(own / name)
        (own / name).mkdir()
        write_image(own / name / "shot.0001.exr", pixels)
    assert wetgate(*add(new, own, "1"))[0] == 0
    fails(wetgate("train", new, "--steps", "1"), "pair 1", "do not show the same picture")


def test_alpha_and_single_channels_train_and_keep_what_they_are(wetgate, new, tmp_path):
    """Alpha is carried through and changes nothing; a grey scan comes out grey where its file holds one channel."""
    for frame in (1, 2):
        scan, reference = pair(frame)
        for folder in ("scan", "reference"):
            (tmp_path / folder).mkdir(exist_ok=True)
        alpha = np.linspace(0, 1, 48 * 64, dtype=np.float32).reshape(48, 64)
        write_image(tmp_path / "scan" / f"a.{frame}.exr", scan, alpha=alpha)
        write_image(tmp_path / "reference" / f"a.{frame}.png", reference[..., 1:2].repeat(3, 2))
    words = ["--scan", tmp_path / "scan", "--reference", tmp_path / "reference", "--frames", "1-2"]
    assert wetgate("add", new, *words)[0] == 0
    assert wetgate("train", new, "--steps", "1")[0] == 0
    code, _, err = wetgate("apply", new, tmp_path / "scan", tmp_path / "out")
    assert code == 0, err
    result = read_image(tmp_path / "out" / "a.1.exr")
    np.testing.assert_allclose(result.alpha, read_image(tmp_path / "scan" / "a.1.exr").alpha)
    assert np.abs(result.pixels - result.pixels.mean(2, keepdims=True)).mean() < 0.05


def test_one_pair_of_one_pixel(wetgate, new, tmp_path):
    write_image(tmp_path / "scan.exr", np.full((1, 1, 3), 0.4, np.float32))
    write_image(tmp_path / "reference.exr", np.full((1, 1, 3), 0.6, np.float32))
    words = ["--scan", tmp_path / "scan.exr", "--reference", tmp_path / "reference.exr", "--frames", "1"]
    assert wetgate("add", new, *words)[0] == 0
    code, out, err = wetgate("train", new, "--steps", "2")
    assert code == 0, err
    assert "On pairs it had not seen" not in out
    assert wetgate("apply", new, tmp_path / "scan.exr", tmp_path / "out.exr")[0] == 0
    assert read_image(tmp_path / "out.exr").pixels == pytest.approx(0.6, abs=0.01)


def test_an_output_that_cannot_be_written(wetgate, own, tmp_path):
    (tmp_path / "file").write_text("a file, not a folder")
    fails(wetgate("new", tmp_path / "file" / "x.wetgate", "--recipe", "color"), "file stands where a folder is needed")
    model = reel_model(own, tmp_path)
    fails(wetgate("apply", model, own / "scan", tmp_path / "file" / "out"), "file stands where a folder is needed")
    words = ["restore", "--scan", own / "scan", "--reference", own / "reference", "--output", tmp_path / "file" / "out"]
    fails(wetgate(*words), "file stands where a folder is needed")


def test_a_run_folder_that_cannot_be_written(wetgate, reel):
    shutil.rmtree(reel / "runs")
    (reel / "runs").write_text("in the way")
    fails(wetgate("train", reel, "--steps", "1"), reel / "runs")


def test_an_output_inside_the_source(wetgate, own, tmp_path):
    model = reel_model(own, tmp_path)
    fails(wetgate("apply", model, own / "scan", own / "scan" / "out"), "lies in the source's folder")
    fails(wetgate("apply", model, own / "scan", own / "scan"), "source")


@pytest.fixture
def small_disk(tmp_path):
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=10m", "none", str(place)]
    if os.name == "nt" or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("a small file system cannot be mounted here")
    yield place
    subprocess.run(["umount", str(place)], check=True)


@pytest.mark.parametrize("room", [0, 30, 200, 600])
def test_a_full_disk(wetgate, reel, small_disk, room):
    """Room for nothing, for the first model, for later ones: a sentence each, whole files, and a way to go on."""
    place = shutil.copytree(reel, small_disk / "reel.wetgate")
    free = shutil.disk_usage(small_disk).free
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(free - (room << 10)))
    fails(wetgate("train", place, "--steps", "2"), place, "disk is full")
    runs = open_restoration(place).runs()
    assert [path for path in place.rglob(".*wetgate-*") if path.is_file()] == []
    if runs and runs[0].model.exists():
        open_model(runs[0].model)
    ballast.unlink()
    words = ["--resume"] if runs else ["--steps", "2"]
    code, _, err = wetgate("train", place, *words)
    assert code == 0, err
    assert open_model(open_restoration(place).latest_run().model).card.recipe == "color"
