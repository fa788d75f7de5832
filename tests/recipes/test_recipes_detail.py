"""The detail recipe through the command line, on small copies of real footage."""

from __future__ import annotations

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
from wetgate.project import open_restoration
from wetgate.recipes import detail, work
from wetgate.recipes.options import Options
from wetgate.simulate.footage import demo_footage
from wetgate.simulate.gauge import GaugeLoss, copy_of
from wetgate.training import gauge_task

HEIGHT, WIDTH = 96, 224
FRAMES = range(20, 41)
PAIRED, UNSEEN = "22,29,36", 33
LOSS = GaugeLoss(blur_um=55, contrast=0.8)
LUMA = np.array([0.2126, 0.7152, 0.0722], np.float32)


def save(folder: Path) -> Path:
    with open_source(demo_footage()) as source:
        for frame in FRAMES:
            good = np.clip(source.read(frame).pixels, 0, 1)
            good = cv2.resize(good, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA)
            for name, pixels in (("good", good), ("scan", copy_of(good, LOSS, 0, frame))):
                (folder / name).mkdir(parents=True, exist_ok=True)
                write_image(folder / name / f"{name}.{frame:04d}.exr", pixels, bit_depth="half")
    return folder


def collect(folder: Path, scan: Path, reference: Path, frames: str = PAIRED) -> Path:
    reel = folder / "reel.wetgate"
    words = ["--scan", f"{scan}", "--reference", f"{reference}", "--frames", frames]
    assert main(["new", str(reel), "--recipe", "detail"]) == 0
    assert main(["add", str(reel), *words]) == 0
    return reel


@pytest.fixture(scope="session")
def pictures(tmp_path_factory) -> Path:
    """Folders good and scan. Not to be altered."""
    return save(tmp_path_factory.mktemp("gauge"))


@pytest.fixture(scope="session")
def collected(pictures, tmp_path_factory) -> Path:
    """A restoration with three collected pairs. Not to be altered."""
    return collect(tmp_path_factory.mktemp("detail"), pictures / "scan", pictures / "good")


@pytest.fixture(scope="session")
def trained(collected, tmp_path_factory) -> Path:
    """The same, trained for some steps. Not to be altered."""
    reel = Path(shutil.copytree(collected, tmp_path_factory.mktemp("trained") / "reel.wetgate"))
    assert main(["train", str(reel), "--steps", "10", "--grain", "match"]) == 0
    return reel


def test_an_option_that_says_nothing_here_is_named(collected, tmp_path, capsys):
    reel = Path(shutil.copytree(collected, tmp_path / "reel.wetgate"))
    assert main(["train", str(reel), "--steps", "1", "--grain", "none", "--protect", "luma", "--accept"]) == 0
    assert "--protect and --accept said nothing to this recipe." in capsys.readouterr().out
    assert run_of(reel).settings["steady"] is True  # which --protect luma turns off where it says something


def run_of(reel: Path):
    return open_restoration(reel).latest_run()


def window_of(pictures: Path, frame: int, radius: int):
    frames = [
        read_image(pictures / "scan" / f"scan.{f:04d}.exr").pixels for f in range(frame - radius, frame + radius + 1)
    ]
    return np.concatenate(frames, 2).transpose(2, 0, 1)[None]


def restored_by(model: Path, pictures: Path, frame: int = UNSEEN):
    return Session(model, "cpu").run(window_of(pictures, frame, read_card(model).radius))[0][0].transpose(1, 2, 0)


def psnr(result, truth) -> float:
    error = ((result - truth) @ LUMA)[4:-4, 4:-4].astype(np.float64)
    return float(-10 * np.log10(np.mean(error**2)))


def test_a_frame_that_no_pair_shows_comes_nearer_to_the_good_film(trained, pictures):
    truth = read_image(pictures / "good" / f"good.{UNSEEN:04d}.exr").pixels
    scan = read_image(pictures / "scan" / f"scan.{UNSEEN:04d}.exr").pixels
    assert psnr(restored_by(run_of(trained).model, pictures), truth) > psnr(scan, truth) + 4


def test_chroma_is_the_scans(trained, pictures):
    scan = read_image(pictures / "scan" / f"scan.{UNSEEN:04d}.exr").pixels
    change = restored_by(run_of(trained).model, pictures) - scan
    assert np.ptp(change, axis=2).max() < 1e-5 < 0.02 < np.abs(change).max()


def test_the_model_says_what_it_is(trained):
    run = run_of(trained)
    card = read_card(run.model)
    assert (card.recipe, card.protected, card.radius, card.multiple) == ("detail", "chroma", 1, 16)
    assert card.record["settings"]["grain"] == "match"
    stages = [event["stage"] for event in run.events()[0] if event["event"] == "model"]
    assert stages[0] == "first look" and "closed form" in stages and stages[-1] == "detail"
    assert read_card(run.folder / "model_fp16.onnx").half_of
    report = run.report.read_text(encoding="utf-8")
    assert "On pairs it had not seen: luma" in report and "closed form" in report


def test_tiles_change_nothing(trained, pictures):
    model = run_of(trained).model
    radius = read_card(model).radius
    frames = [read_image(pictures / "scan" / f"scan.{UNSEEN + i:04d}.exr").pixels for i in range(-radius, radius + 1)]
    whole, tiled = (Restorer(Session(model, "cpu"), tile=tile).restore(frames)[0] for tile in (None, 64))
    np.testing.assert_allclose(tiled, whole, atol=2e-5)


def test_apply_reads_the_neighbours_and_keeps_8_bit_chroma(trained, pictures, tmp_path):
    scans = tmp_path / "scan"
    scans.mkdir()
    for frame in range(UNSEEN - 1, UNSEEN + 2):
        pixels = read_image(pictures / "scan" / f"scan.{frame:04d}.exr").pixels
        write_image(scans / f"scan.{frame:04d}.png", np.clip(pixels * 1.6 - 0.3, 0, 1))
    words = [str(run_of(trained).model), str(scans), str(tmp_path / "out" / "new.####.png"), "--frames", str(UNSEEN)]
    assert main(["apply", *words]) == 0
    before, after = (
        np.round(read_image(path).pixels * 255)
        for path in (scans / f"scan.{UNSEEN:04d}.png", tmp_path / "out" / f"new.{UNSEEN:04d}.png")
    )
    assert (before == 0).any() and np.abs(after - before).max() > 3
    for first, second in ((0, 1), (2, 1)):
        assert np.abs((after[..., first] - after[..., second]) - (before[..., first] - before[..., second])).max() <= 1


def test_where_nothing_pays_the_scan_is_kept_bit_for_bit_and_the_report_says_so(tmp_path, pictures):
    """References whose detail has nothing to do with the scan's, and which are not graded."""
    for number, frame in enumerate((22, 29, 36)):
        scan = read_image(pictures / "scan" / f"scan.{frame:04d}.exr").pixels
        generator = np.random.default_rng(frame)
        cells = generator.normal(0, 1, (HEIGHT // 8, WIDTH // 8)).astype(np.float32)
        blotches = cv2.resize(cells, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)
        light = 0.05 * blotches + (0.1, -0.1, 0.06)[number]
        for name, pixels in (("scan", scan), ("good", scan + light[..., None])):
            (tmp_path / name).mkdir(exist_ok=True)
            write_image(tmp_path / name / f"{name}.{frame:04d}.exr", pixels.astype(np.float32), bit_depth="float")
    reel = collect(tmp_path, tmp_path / "scan", tmp_path / "good")
    assert main(["train", str(reel), "--steps", "6", "--grain", "none"]) == 0
    run = run_of(reel)
    scan = window_of(pictures, UNSEEN, read_card(run.model).radius)
    middle = scan.shape[1] // 2
    np.testing.assert_array_equal(Session(run.model, "cpu").run(scan)[0], scan[:, middle - 1 : middle + 2])
    assert "gives the scan back as it is" in run.report.read_text(encoding="utf-8")


def test_a_single_pair_is_enough_to_train(pictures, tmp_path, capsys):
    reel = collect(tmp_path, pictures / "scan", pictures / "good", "29")
    assert main(["train", str(reel), "--steps", "6", "--radius", "0"]) == 0
    assert read_card(run_of(reel).model).radius == 0
    assert "nothing is known about other frames" in capsys.readouterr().out


class Killed(Exception):
    """As if the process had ended."""


def test_a_run_that_was_cut_off_goes_on_to_the_same_model(collected, tmp_path, monkeypatch):
    monkeypatch.setattr(work, "CHECKPOINT_S", 0.0)
    models = []
    for name, kills in (("whole", ()), ("cut", (4,))):
        restoration = open_restoration(shutil.copytree(collected, tmp_path / f"{name}.wetgate"))
        options = Options(steps=3, seconds=None, grain="keep", radius=0)
        run = restoration.new_run({})
        for limit in kills:
            with monkeypatch.context() as patched:
                patched.setattr(gauge_task.GaugeTask, "gradients", _counted(limit))
                with pytest.raises(Killed):
                    detail.train(restoration, run, options, 0.0)
        assert detail.train(restoration, run, options, 0.0)["state"] == "finished"
        models.append(run.model.read_bytes())
        assert len([event for event in run.events()[0] if event["event"] == "resumed"]) == len(kills)
    assert models[0] == models[1]


def _counted(limit: int):
    """``gradients`` that ends the process, as it were, at a step."""
    plain, calls = gauge_task.GaugeTask.gradients, iter(range(limit))

    def gradients(self, weights, generator):
        if next(calls, None) is None:
            raise Killed
        return plain(self, weights, generator)

    return gradients
