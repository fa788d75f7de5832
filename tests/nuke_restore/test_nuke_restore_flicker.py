"""Measure flicker: what the node then renders of a flickering scan is what `wetgate apply` makes of it."""

from __future__ import annotations

import importlib
import os
import threading
from pathlib import Path

import numpy as np
import pytest
from standin_files import read_exr, write_exr

from wetgate.cli.main import main
from wetgate.inference.curves import load_curves

FRAMES = range(1001, 1025)


@pytest.fixture
def film(tmp_path: Path) -> Path:
    """A folder `flicker`: one picture at exposures that flicker, scene-linear, the sixth darkest."""
    generator = np.random.default_rng(2)
    ramp = np.linspace(0.05, 0.9, 96, dtype=np.float32)[None, :, None].repeat(72, axis=0).repeat(3, axis=2)
    picture = ramp + generator.normal(0, 0.01, ramp.shape).astype(np.float32)
    (tmp_path / "flicker").mkdir()
    for number in FRAMES:
        exposure = np.float32(0.8 if number == 1006 else generator.uniform(0.94, 1.06))
        write_exr(tmp_path / "flicker" / f"shot.{number}.exr", picture * exposure)
    return tmp_path


@pytest.fixture
def node(started, restore_node, save_model, film):
    """Below a Read of the flickering scan, with a model that was trained on a steadied one."""
    restore_node.setInput(0, started.read(film / "flicker" / "shot.%04d.exr", FRAMES[0], FRAMES[-1]))
    restore_node["model"].setValue(str(save_model("reel.wetgate/runs/001/model.onnx", radius=1, steady=True)))
    restore_node["device"].setValue("cpu")
    return restore_node


@pytest.fixture
def measure(node, wait, applying):
    """Press the button, and wait for the end; return what the node says then."""

    def press() -> str:
        node["measure"].execute()
        wait(lambda: not applying._jobs)
        return node["job"].value()

    return press


@pytest.fixture
def wanted(node, film):
    """What `wetgate apply`, which steadies the scan for such a model by itself, makes of a frame."""
    words = ["apply", node["model"].value(), str(film / "flicker"), str(film / "wanted"), "--device", "cpu"]
    assert main([*words, "--json"]) == 0
    return lambda number: read_exr(film / "wanted" / f"shot.{number}.exr")


def picture_of(node, frame):
    return node._picture(frame, "main", 1).whole()[::-1, :, :3]


def test_the_same_pixels_as_apply(started, node, measure, wanted, film):
    flickering = picture_of(node, 1006)
    assert np.abs(flickering - wanted(1006)).max() > 0.01
    assert measure().startswith("Measured: ") and "of 24 frames are steadied" in node["job"].value()
    assert node["frameOffset"].value() == 0 and node["revision"].value() == 1
    for number in FRAMES:
        np.testing.assert_allclose(picture_of(node, number), wanted(number), atol=1e-5)
    assert started.said == [] and started.undo_list[-1] == "Wetgate flicker"
    (curves,) = (film / "reel.wetgate" / "curves").iterdir()
    assert node["curves"].value() == str(curves) and curves.name.startswith("shot-")
    assert sorted(os.listdir(film / "flicker")) == [f"shot.{number}.exr" for number in FRAMES]


def test_frames_that_are_rendered_in_the_background_are_steadied_too(node, measure, wanted, wait, applying, film):
    measure()
    node["first"].setValue(1005)
    node["last"].setValue(1007)
    node["render"].execute()
    wait(lambda: not applying._jobs)
    assert node["job"].value().startswith("Done"), node["job"].value()
    for number in (1005, 1006, 1007):
        made = read_exr(film / "reel.wetgate" / "restored" / f"WetgateRestore1.{number}.exr")
        np.testing.assert_allclose(made, wanted(number), atol=1e-5)


def test_measured_again_it_is_the_same_file_rendered_anew(node, measure, film):
    measure()
    curves, before = Path(node["curves"].value()), picture_of(node, 1010)
    for number in FRAMES[9:]:
        write_exr(film / "flicker" / f"shot.{number}.exr", read_exr(film / "flicker" / f"shot.{number}.exr") * 0.9)
    measure()
    assert Path(node["curves"].value()) == curves and list(curves.parent.iterdir()) == [curves]
    assert node["revision"].value() == 2
    assert np.abs(picture_of(node, 1010) - before).max() > 0.01


def test_scans_of_one_name_have_curves_of_their_own(started, node, measure, film):
    measure()
    other = film / "other"
    (film / "flicker").rename(other)
    node.setInput(0, started.read(other / "shot.####.exr", FRAMES[0], FRAMES[-1]))
    first = node["curves"].value()
    measure()
    assert node["curves"].value() != first and len(list((film / "reel.wetgate" / "curves").iterdir())) == 2


def test_beside_a_model_from_elsewhere(node, measure, save_model, film):
    host = importlib.import_module("nuke_plugin.host")
    node["model"].setValue(host.as_text(str(save_model("[4K] $models/model.onnx", steady=True))))
    measure()
    assert len(list((film / "[4K] $models" / "curves").iterdir())) == 1
    assert picture_of(node, 1006).shape == (72, 96, 3)


def test_a_read_that_shifts_its_frames_sets_the_offset(node, measure, film, monkeypatch):
    """As a Read's frame knob does it: frame 1 of the graph is 1001 in the files."""
    host = importlib.import_module("nuke_plugin.host")
    node.input(0)["first"]._value, node.input(0)["last"]._value = 1, 24
    monkeypatch.setattr(host, "frame_file", lambda _, frame, view: str(film / "flicker" / f"shot.{frame + 1000}.exr"))
    assert measure().startswith("Measured: ")
    assert node["frameOffset"].value() == 1000


def test_the_files_of_the_view_that_is_looked_at(started, node, measure, film):
    started.views[:] = ["left", "right"]
    (film / "flicker").rename(film / "right")
    read = started.read(film / "%V" / "shot.####.exr", FRAMES[0], FRAMES[-1])
    node.setInput(0, read)
    started.look(read, view="right")
    assert measure().startswith("Measured: ")
    assert "of 24 frames" in node["job"].value()


@pytest.mark.parametrize("when", ["at once", "while it measures"])
def test_cancelled_it_leaves_nothing(started, node, wait, applying, film, when, monkeypatch):
    before, lines = list(started.undo_list), []

    def follow(self, line):
        lines.append(line)
        node["cancel"].execute()

    monkeypatch.setattr(importlib.import_module("nuke_plugin.measuring").Measurement, "_follow", follow)
    node["measure"].execute()
    assert len(list((film / "reel.wetgate" / "curves").iterdir())) == 1
    if when == "at once":
        node["cancel"].execute()
    wait(lambda: not [thread for thread in threading.enumerate() if thread.name == "wetgate-task"])
    assert applying._jobs == {} and node["job"].value() == "Cancelled."
    assert [line.split()[1] for line in lines] == (["frames"] if when == "while it measures" else [])
    assert os.listdir(film / "reel.wetgate") == ["runs"]
    assert (node["curves"].value(), started.said, started.undo_list) == ("", [], before)


def test_one_at_a_time(started, node, wait, applying):
    node["measure"].execute()
    for button in ("measure", "render"):
        node[button].execute()
        assert "is at work already" in started.said[-1]
    wait(lambda: not applying._jobs)
    assert node["job"].value().startswith("Measured: ")


def test_a_node_that_is_deleted_meanwhile_does_no_harm(started, node, wait, applying, film):
    node["measure"].execute()
    importlib.import_module("nuke").delete(node)
    wait(lambda: not applying._jobs)
    assert len(list((film / "reel.wetgate" / "curves").iterdir())) == 1 and started.said == []


# What is wrong


def test_without_an_engine_it_is_said(started, node, measure, film, monkeypatch):
    monkeypatch.setenv("WETGATE_COMMAND", "")
    monkeypatch.setenv("PATH", "")
    monkeypatch.setenv("HOME", str(film))
    assert "install Wetgate" in measure()
    assert started.said == [node["job"].value()] and node["curves"].value() == ""
    assert os.listdir(film / "reel.wetgate") == ["runs"]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda node: node["model"].setValue(""), "WetgateRestore1 has no model"),
        (lambda node: node.setInput(0, None), "WetgateRestore1 has no scan"),
        (lambda node: node.input(0)["colorspace"].setValue("sRGB"), "Read2 changes what is in them: write its frames"),
        (lambda node: node.input(0)["last"].setValue(1030), "Read2 has no file for its first or last frame"),
        (
            lambda node: node.input(0)["file"].setValue(
                str(Path(node.input(0)["file"].value()).with_name("still.exr"))
            ),
            "one for each frame, unlike Read2's: write its frames",
        ),
    ],
)
def test_a_scan_that_cannot_be_measured_is_said_before_anything_begins(started, node, applying, film, change, sentence):
    write_exr(film / "flicker" / "still.exr", np.zeros((4, 4, 3), np.float32))
    change(node)
    node["measure"].execute()
    assert sentence in started.said[-1] and not applying._jobs
    assert os.listdir(film / "reel.wetgate") == ["runs"]


def test_a_grade_above_is_no_scan(started, node, applying):
    node.setInput(0, started.node("Crop", node.input(0)))
    node["measure"].execute()
    assert "Crop1 changes what is in them" in started.said[-1] and not applying._jobs


def test_a_frame_that_cannot_be_read_is_said_and_the_others_have_curves(node, measure, film):
    (film / "flicker" / "shot.1010.exr").write_bytes(b"no picture")
    assert "1010 could not be read" in measure()
    assert set(load_curves(Path(node["curves"].value())).frames) == set(FRAMES) - {1010}


# The card


def test_the_card_hints_at_it_until_there_are_curves(node, wait, measure):
    hint = "It was trained on a steadied scan: press Measure flicker"
    wait(lambda: hint in node["card"].value())
    measure()
    wait(lambda: hint not in node["card"].value())
    assert "wetgate curves" not in node["card"].value()
    node["curves"].setValue("")
    wait(lambda: hint in node["card"].value())
