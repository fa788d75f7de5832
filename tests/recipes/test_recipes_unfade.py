"""`wetgate unfade`, and pictures and known colours of a restoration, as users run them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from wetgate.evaluation.metrics import Comparison
from wetgate.images import open_source, read_image, write_image
from wetgate.onnx_model import read_card
from wetgate.project import create_restoration, open_restoration
from wetgate.recipes.proposals import propose
from wetgate.records.shot_record import INFERRED
from wetgate.simulate.footage import demo_frames
from wetgate.simulate.presets import FADED_PRINT

FRAMES = (16, 54, 107)


@pytest.fixture(scope="module")
def faded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ``scan`` and ``truth``, three small frames each. Not to be altered."""
    folder = tmp_path_factory.mktemp("faded")
    film = replace(FADED_PRINT, seed=3)
    for side in ("scan", "truth"):
        (folder / side).mkdir()
    for number, picture in demo_frames():
        if number in FRAMES:
            decayed = film.frame(cv2.resize(picture, (240, 102), interpolation=cv2.INTER_AREA), number)
            for side, pixels in (("scan", decayed.scan), ("truth", decayed.aligned_truth)):
                write_image(folder / side / f"shot.{number:04d}.exr", pixels, bit_depth="half")
        if number == FRAMES[-1]:
            break
    return folder


def errors(pictures: Path, truth: Path) -> list[float]:
    with open_source(pictures) as restored, open_source(truth) as wanted:
        return [Comparison(restored.read(n).pixels, wanted.read(n).pixels).delta_e for n in wanted.frames]


def test_a_model_from_the_scan_alone_brings_its_colours_much_nearer(wetgate, faded, tmp_path):
    model = tmp_path / "made" / "shot.onnx"
    code, said, _ = wetgate(
        "unfade",
        faded / "scan",
        model,
        "--known",
        "white=125,50,15,15@16",
        "--preview",
        tmp_path / "look.png",
        "--json",
    )
    result = json.loads(said)
    assert code == 0 and result["frames"] == "16,54,107"
    assert min(result["remaining"], key=result["remaining"].get) == "cyan"
    assert wetgate("apply", model, faded / "scan", tmp_path / "out")[0] == 0
    before, after = errors(faded / "scan", faded / "truth"), errors(tmp_path / "out", faded / "truth")
    assert np.mean(after) < 0.6 * np.mean(before)
    look = read_image(tmp_path / "look.png").pixels
    restored = read_image(next((tmp_path / "out").glob("*54.exr"))).pixels
    assert look.shape == (102, 480, 3)
    np.testing.assert_allclose(look[:, 240:], np.clip(restored, 0, 1), atol=3 / 255)


def test_colours_that_no_frame_shows_are_not_thrown_about(wetgate, faded, tmp_path):
    axis = np.linspace(0, 1, 7, dtype=np.float32)
    cube = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1).reshape(7, 49, 3)
    flat = np.kron(cube, np.ones((4, 4, 1), np.float32))
    write_image(tmp_path / "cube.exr", flat, bit_depth="float")
    wetgate("unfade", faded / "scan", tmp_path / "m.onnx", "--protect", "none")
    assert wetgate("apply", tmp_path / "m.onnx", tmp_path / "cube.exr", tmp_path / "out.exr")[0] == 0
    shown = read_image(tmp_path / "out.exr").pixels
    assert shown.min() > -0.2 and shown.max() < 8


def test_its_card_says_that_colour_was_inferred_and_from_what(wetgate, faded, tmp_path):
    wetgate("unfade", faded / "scan", tmp_path / "a.onnx", "--rights", "own holdings", "--stock", "eastman-5381")
    wetgate("unfade", faded / "scan", tmp_path / "b.onnx", "--rights", "own holdings", "--stock", "eastman-5381")
    card = read_card(tmp_path / "a.onnx")
    assert (tmp_path / "a.onnx").read_bytes() == (tmp_path / "b.onnx").read_bytes()
    assert card.recipe == "exemplar" and card.protected == "grain" and card.encoding == "display"
    assert card.record["digital_source_type"] == INFERRED
    assert card.record["sources"][0] == {"role": "scan", "name": "scan", "element": "", "rights": "own holdings"}
    assert card.record["settings"]["stock"] == "eastman-5381"
    assert any("inferred" in sentence for sentence in card.record["limitations"])


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--known", "white=10"], "10 is no place; write x,y"),
        (["--known", "bluish=10,10"], "'bluish' is no known colour"),
        (["--known", "white=10,10@99"], "the scan has no frame 99"),
        (["--known", "white=10,10@a"], "a is no frame number"),
        (["--known", "white=239,10,9,9"], "lies outside frame 16"),
        (["--frames", "1-3"], "has no frame 1-3"),
    ],
)
def test_what_makes_no_sense_is_said_and_nothing_is_written(wetgate, faded, tmp_path, words, said):
    code, _, complaint = wetgate("unfade", faded / "scan", tmp_path / "m.onnx", *words)
    assert code == 1 and said in complaint
    assert not (tmp_path / "m.onnx").exists()


@pytest.mark.parametrize(("name", "said"), [("scan/shot.0054.exr", "source's folder"), ("look.tga", "end it in .exr")])
def test_a_preview_that_cannot_be_written_is_said_before_the_model_is(wetgate, faded, tmp_path, name, said):
    before = (faded / "scan" / "shot.0054.exr").read_bytes()
    code, _, complaint = wetgate("unfade", faded / "scan", tmp_path / "m.onnx", "--preview", faded / name)
    assert code == 1 and said in complaint
    assert not (tmp_path / "m.onnx").exists()
    assert (faded / "scan" / "shot.0054.exr").read_bytes() == before


def test_a_preview_is_never_the_picture_itself(wetgate, faded, tmp_path):
    scan = tmp_path / "one.exr"
    scan.write_bytes((faded / "scan" / "shot.0054.exr").read_bytes())
    code, _, complaint = wetgate("unfade", scan, tmp_path / "m.onnx", "--preview", scan)
    assert code == 1 and "would overwrite the scan" in complaint
    look = tmp_path / "look.exr"
    assert wetgate("unfade", scan, tmp_path / "m.onnx", "--preview", look)[0] == 0
    assert read_image(look).pixels.shape == (102, 480, 3)


def test_a_black_and_white_scan_is_refused(wetgate, tmp_path):
    grey = np.repeat(np.random.default_rng(0).uniform(0, 1, (40, 60, 1)), 3, axis=2).astype(np.float32)
    write_image(tmp_path / "grey.0001.exr", grey, bit_depth="half")
    code, _, complaint = wetgate("unfade", tmp_path / "grey.####.exr", tmp_path / "m.onnx")
    assert code == 1 and "black and white" in complaint
    assert wetgate("unfade", tmp_path / "grey.####.exr", tmp_path / "m.txt")[2].endswith("end it in .onnx.\n")


@pytest.fixture
def shot(wetgate, faded: Path, tmp_path: Path) -> Path:
    restoration = create_restoration(tmp_path / "shot.wetgate", "exemplar")
    assert wetgate("add", restoration.folder, "--scan", faded / "scan", "--frames", "16,54")[0] == 0
    return restoration.folder


def test_a_picture_of_another_scene_colours_what_it_is_linked_to(wetgate, shot, tmp_path):
    green = np.random.default_rng(0).uniform(0.2, 1, (60, 60, 1)) * np.array([0.5, 0.9, 0.5])
    write_image(tmp_path / "meadow.png", green.astype(np.float32), bit_depth="8")
    words = ["--picture", tmp_path / "meadow.png", "--link", "10,20,50,60=5,5,50,50@16"]
    code, said, _ = wetgate("exemplar", shot, *words, "--rights", "CC0", "--element", "a meadow")
    assert code == 0 and "exemplars/0001" in said and "linked to the scan once" in said
    (pair, _) = propose(open_restoration(shot))
    assert pair.where_from["constructed"]["kind"] == "paintings"
    assert pair.where_from["constructed"]["origins"][0]["rights"] == "CC0"
    red, green, blue = read_image(pair.prepared).pixels[20:80, 10:60].reshape(-1, 3).mean(0)
    assert green > 1.15 * red and green > 1.15 * blue


def test_known_colours_steer_how_a_shot_is_unfaded(wetgate, shot):
    propose(open_restoration(shot))
    before = read_image(open_restoration(shot).pairs()[0].prepared).pixels[50:65, 125:140].mean((0, 1))
    code, said, _ = wetgate("exemplar", shot, "--known", "#2040c0=125,50,15,15@16")
    assert code == 0 and "1 known colours" in said
    propose(open_restoration(shot))
    after = read_image(open_restoration(shot).pairs()[0].prepared).pixels[50:65, 125:140].mean((0, 1))
    assert after[2] - after[0] > before[2] - before[0] + 0.1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "Name a picture with --picture"),
        (["--picture", "x.png"], "by what right"),
        (["--known", "white=10,10@7"], "frame 7 is not in"),
        (["--picture", "x.png", "--rights", "mine", "--strokes", "a.png"], "write the strokes over the scan, ="),
        (["--link", "1,1,9,9=1,1,9,9"], "Name a picture with --picture"),
        (["--picture", "x.png", "--rights", "mine", "--link", "1,1,9,9"], "nothing is no place"),
    ],
)
def test_half_an_exemplar_is_none(wetgate, shot, words, said):
    code, _, complaint = wetgate("exemplar", shot, *words)
    assert code == 1 and said in complaint
    assert not (shot / "exemplars").exists()


def test_only_the_exemplar_recipe_takes_pictures(wetgate, tmp_path):
    create_restoration(tmp_path / "own.wetgate", "color")
    code, _, complaint = wetgate("exemplar", tmp_path / "own.wetgate", "--known", "white=10,10")
    assert code == 1 and "recipe 'color'" in complaint
