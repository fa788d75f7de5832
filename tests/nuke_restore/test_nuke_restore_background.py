"""A node's frames restored in the background, by a real server: the same as `wetgate apply` makes of its files."""

from __future__ import annotations

import importlib
import os

import numpy as np
import pytest
from standin_files import pixels_of, read_exr, write_exr

from wetgate.cli.main import main
from wetgate.images.still import FORMATS


@pytest.fixture
def node(restore_node, save_model):
    """Below a Read that converts its files, so that frames must leave the graph."""
    restore_node.input(0)["colorspace"]._value = "sRGB"
    restore_node["model"].setValue(str(save_model(gain=0.5, radius=1)))
    restore_node["device"].setValue("cpu")
    return restore_node


@pytest.fixture
def render(node, wait, applying):
    """Press the button, and wait for the end; return what the node says then."""

    def press() -> str:
        node["render"].execute()
        wait(lambda: not applying._jobs)
        return node["job"].value()

    return press


def hidden(folder):
    return [path.name for path in folder.iterdir() if path.name.startswith(".wetgate-frames")]


def test_the_same_pixels_as_apply(started, render, node, tmp_path):
    node["output"].setValue(str(tmp_path / "made" / "shot.####.exr"))
    assert render() == "Done; it is in Read2."
    words = ["apply", node["model"].value(), str(tmp_path / "scan"), str(tmp_path / "wanted"), "--device", "cpu"]
    assert main([*words, "--no-steady", "--json"]) == 0
    for number in range(1001, 1006):
        made, expected = (read_exr(tmp_path / folder / f"shot.{number}.exr") for folder in ("made", "wanted"))
        np.testing.assert_array_equal(made, expected)
    assert hidden(tmp_path / "made") == []


def test_the_result_is_a_read_of_raw_frames_with_the_nodes_pixels(started, render, node, tmp_path):
    node["first"].setValue(1002)
    node["last"].setValue(1004)
    before = list(started.undo_list)
    render()
    (read,) = [each for each in started.root_node._children if each.Class() == "Read" and each.name() != "Read1"]
    assert (read["first"].value(), read["last"].value(), read["raw"].value()) == (1002, 1004, True)
    assert read["file"].value() == str(tmp_path / "restored" / "WetgateRestore1.####.exr")
    for frame in (1002, 1004):  # their neighbours lie outside the range
        np.testing.assert_array_equal(read._picture(frame, "main", 1).pixels[..., :3], picture_of(node, frame))
    assert started.undo_list == [*before, "Wetgate read"]


@pytest.mark.parametrize("with_mask", [False, True])
def test_a_scan_that_is_as_in_its_files_is_not_written_again(started, render, node, tmp_path, with_mask):
    node.input(0)["colorspace"]._value = "linear"
    node["first"].setValue(1003)
    node["last"].setValue(1004)
    if with_mask:
        node.setInput(1, started.node("Constant", color=(0, 0, 0, 1)))
    assert render() == "Done; it is in Read2."
    assert started.rendered == ([(1003, "main", 1), (1004, "main", 1)] if with_mask else [])
    assert bool(started.progress) == with_mask
    made = read_exr(tmp_path / "restored" / "WetgateRestore1.1003.exr")
    np.testing.assert_array_equal(made, picture_of(node, 1003)[::-1])


def picture_of(node, frame):
    return node._picture(frame, "main", 1).whole()[..., :3]


def test_the_mask_is_its_alpha_as_in_the_node(started, render, node, tmp_path):
    for frame in range(1001, 1006):
        matte = np.dstack([pixels_of(frame), np.zeros((48, 64), np.float32)])
        matte[:, : frame - 990, 3] = 1
        write_exr(tmp_path / f"mask.{frame}.exr", matte)
    node.setInput(1, started.read(tmp_path / "mask.####.exr", 1001, 1005))
    names = started.names()
    render()
    for frame in (1001, 1005):
        made = read_exr(tmp_path / "restored" / f"WetgateRestore1.{frame}.exr")
        np.testing.assert_array_equal(made, picture_of(node, frame)[::-1])
        np.testing.assert_array_equal(made[:, frame - 990 :], pixels_of(frame)[:, frame - 990 :])
    assert set(started.names()) - set(names) == {"Read3"}


def test_results_that_are_there_are_not_touched_unless_named(render, tmp_path):
    (tmp_path / "restored").mkdir()
    render()
    render()
    assert sorted(os.listdir(tmp_path / "restored-3")) == [f"WetgateRestore1.{n}.exr" for n in range(1001, 1006)]
    assert os.listdir(tmp_path / "restored") == []


def test_beside_the_runs_of_a_restoration(render, node, save_model, tmp_path):
    node["model"].setValue(str(save_model("reel.wetgate/runs/001/model.onnx")))
    render()
    assert len(os.listdir(tmp_path / "reel.wetgate" / "restored")) == 5


def test_frames_are_written_at_full_resolution_in_the_viewers_view(started, render, node, tmp_path):
    started.views[:] = ["left", "right"]
    for seed, view in enumerate(started.views):
        write_exr(tmp_path / "scan" / f"both.{view}.1001.exr", pixels_of(seed))
    both = started.read(tmp_path / "scan" / "both.%V.####.exr", 1001, 1001, colorspace="sRGB")
    node.setInput(0, both)
    started.look(both, view="right")
    started.root_node["proxy"]._value = True
    render()
    assert started.rendered == [(1001, "right", 1)]
    made = read_exr(tmp_path / "restored" / "WetgateRestore1.1001.exr")
    np.testing.assert_allclose(made, 0.7 * pixels_of(1), atol=1e-6)  # its neighbours are itself


def test_a_script_that_is_saved_as_the_next_version_meanwhile_gets_its_read(started, node, wait, applying):
    node["render"].execute()
    wait(lambda: "restoring" in node["job"].value())
    started.root_node["name"]._value = "/films/reel_v002.nk"
    wait(lambda: not applying._jobs)
    assert node["job"].value() == "Done; it is in Read2."


def test_a_script_that_was_closed_meanwhile_gets_no_read(started, node, wait, applying, tmp_path):
    node["render"].execute()
    wait(lambda: "restoring" in node["job"].value())
    started.close_script("/films/another.nk")
    other = importlib.import_module("nuke").createNode("WetgateRestore")  # of the same name
    wait(lambda: not applying._jobs)
    assert started.root_node._children == [other] and other["job"].value() == " "
    assert str(tmp_path / "restored" / "WetgateRestore1.####.exr") in started.said[-1]


def test_another_script_is_not_rendered_for_the_one_that_was_closed(started, node, wait, applying, tmp_path):
    node["render"].execute()
    started.close_script("/films/another.nk")
    other = started.read(tmp_path / "scan" / "shot.####.exr", 1001, 1005, colorspace="sRGB")
    assert other.name() == "Read1"
    wait(lambda: not applying._jobs)
    assert started.rendered == [] and started.root_node._children == [other]
    assert not (tmp_path / "restored").exists()


def test_folders_with_what_tcl_would_evaluate(started, save_scan, render, node, save_model, applying, tmp_path):
    folder, models = "[4K] $reel", "[4K] $models"
    host = importlib.import_module("nuke_plugin.host")
    scan = started.node("Read", file=host.as_text(save_scan(range(1, 3), folder=folder)), first=1, last=2)
    node.setInput(0, scan)
    node["model"].setValue(host.as_text(str(save_model(f"{models}/model.onnx"))))
    assert render() == "Done; it is in Read3."
    made = read_exr(tmp_path / models / "restored" / "WetgateRestore1.0002.exr")
    np.testing.assert_array_equal(made, picture_of(node, 2)[::-1])
    np.testing.assert_array_equal(started.root_node.node("Read3")._picture(2, "main", 1).pixels[::-1, :, :3], made)


def test_a_node_in_a_group_gets_its_read_there(started, save_scan, node, wait, applying, save_model):
    group = started.node("Group")
    scan = started.add_node("Read", group, "Scan")
    for name, value in {"file": save_scan([1, 2], folder="inside"), "first": 1, "last": 2}.items():
        scan[name]._value = value
    started.select_only(scan)
    with group:
        inside = importlib.import_module("nuke").createNode("WetgateRestore")
    inside["model"].setValue(str(save_model()))
    inside["render"].execute()
    wait(lambda: not applying._jobs)
    assert inside["job"].value() == "Done; it is in Group1.Read1."


@pytest.mark.parametrize("way", ["a suffix that the server does not read", "one file for all frames"])
def test_files_that_the_server_does_not_take_go_through_the_graph(started, render, node, tmp_path, way):
    scan = node.input(0)
    scan["colorspace"]._value = "linear"
    if way == "one file for all frames":
        scan["file"]._value = str(tmp_path / "scan" / "shot.1003.exr")
    else:
        for path in (tmp_path / "scan").iterdir():
            path.rename(path.with_suffix(".tga"))  # the stand-in looks into a file, not at its name
        scan["file"]._value = str(tmp_path / "scan" / "shot.####.tga")
    assert render() == "Done; it is in Read2."
    assert started.rendered == [(frame, "main", 1) for frame in range(1001, 1006)]


def test_the_files_that_the_server_is_given_are_those_that_it_reads(started):
    assert set(importlib.import_module("nuke_plugin.host").STILLS) == set(FORMATS)


def test_neither_a_region_of_interest_nor_a_copied_sentence_matters(started, render, node, applying):
    node["job"]._value = "3 of 5 frames are restored."
    applying.created("WetgateRestore1")  # pasted, or loaded from a file
    assert node["job"].value() == " "
    started.look(node.input(0), roi=(900, 900, 950, 950))
    assert render() == "Done; it is in Read2."


# Giving up


def test_cancelled_while_frames_are_written(started, render, node, tmp_path):
    names, before = started.names(), list(started.undo_list)
    started.cancel_progress_at = 2
    assert render() == "Cancelled."
    assert started.names() == names and started.undo_list == before
    assert not (tmp_path / "restored").exists()


def test_cancelled_while_the_server_works(started, node, wait, applying, tmp_path):
    node["render"].execute()
    wait(lambda: "restoring" in node["job"].value())
    node["cancel"].execute()
    wait(lambda: not applying._jobs)
    made = sorted(path.name for path in tmp_path.glob("restored/*"))
    said = node["job"].value()
    assert said == "Cancelled." if not made else said.startswith(("Cancelled; what was done is in", "Done"))
    assert hidden(tmp_path / "restored") == [] if made else not (tmp_path / "restored").exists()


def test_a_node_with_a_new_name_keeps_its_rendering(started, node, wait, applying):
    node["render"].execute()
    node.setName("Hero")
    other = importlib.import_module("nuke").createNode("WetgateRestore", inpanel=False)
    assert other.name() == "WetgateRestore1"
    wait(lambda: "restoring" in node["job"].value())
    node["render"].execute()
    assert "already: wait, or press Cancel" in started.said[-1]
    node["cancel"].execute()
    wait(lambda: not applying._jobs)
    assert node["job"].value().startswith(("Cancelled", "Done")) and other["job"].value() == " "


def test_a_node_that_is_deleted_meanwhile_does_no_harm(started, node, wait, applying, tmp_path):
    node["render"].execute()
    wait(lambda: "restoring" in node["job"].value())
    importlib.import_module("nuke").delete(node)
    wait(lambda: not applying._jobs)
    assert len([path for path in (tmp_path / "restored").iterdir() if path.suffix == ".exr"]) == 5


# What is wrong


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda node: node["model"].setValue(""), "WetgateRestore1 has no model"),
        (lambda node: node.setInput(0, None), "WetgateRestore1 has no scan"),
        (lambda node: node["mix"].setValue(0.5), "WetgateRestore1 mixes its result with the scan, but frames are"),
        (lambda node: setattr(node.node("Restore")["mix"], "_animated", True), "WetgateRestore1 mixes its result"),
        (lambda node: node["first"].setValue(9), "The last frame comes before the first"),
        (lambda node: node["output"].setValue("/films/shot.exr"), "needs one place for the frame's number"),
        (lambda node: node["output"].setValue("/dev/null/shot.####.exr"), "cannot be written"),
        (lambda node: node["output"].setValue("shot.####.exr"), "shot.####.exr is not a whole path"),
        (
            lambda node: node["output"].setValue("/films/reel #3/shot.####.exr"),
            "Nuke takes the # or % in /films/reel #3",
        ),
        (lambda node: node.setInput(1, node.input(0)), "The mask Read1 has no alpha"),
    ],
)
def test_what_is_missing_is_said_before_anything_begins(started, node, applying, change, sentence):
    change(node)
    node["render"].execute()
    assert sentence in started.said[-1] and not applying._jobs and started.rendered == []


@pytest.mark.parametrize("space", ["linear", "sRGB"])
@pytest.mark.parametrize("way", ["as it is", "through a link", "below a group", "a folder below"])
def test_the_scans_own_folder_is_never_written_to(started, node, applying, tmp_path, space, way):
    node.input(0)["colorspace"]._value = space
    folder = tmp_path / "scan"
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    if way == "through a link":
        (tmp_path / "link").symlink_to(folder)
    if way == "below a group":
        group = started.node("Group", node.input(0))
        started.node("Output", started.node("Input", parent=group), parent=group)
        node.setInput(0, group)
    place = {"through a link": "link", "a folder below": "scan/restored"}.get(way, "scan")
    node["output"].setValue(str(tmp_path / place / "shot.####.exr"))
    node["render"].execute()
    assert "comes from, where nothing is written: choose another." in started.said[-1] and not applying._jobs
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_a_model_that_is_gone_is_said(started, render, node, tmp_path):
    node["model"].setValue(str(tmp_path / "gone.onnx"))
    assert "gone.onnx does not exist" in render()
    assert started.said == [node["job"].value()] and started.rendered == []


def test_a_frame_that_cannot_be_rendered_is_said_and_nothing_stays(started, render, node, tmp_path):
    (tmp_path / "scan" / "shot.1003.exr").unlink()
    assert "Frame 1003 of Read1 cannot be rendered" in render()
    assert not (tmp_path / "restored").exists()


def test_an_error_that_nobody_expected_is_told_and_the_node_is_free_again(started, node, applying, monkeypatch):
    def fail(*_):
        raise RuntimeError("broken in this Nuke")

    monkeypatch.setattr(importlib.import_module("nuke_plugin.background"), "frame_name", fail)
    for _ in range(2):
        node["render"].execute()
        assert started.said[-1] == "Wetgate: broken in this Nuke" and not applying._jobs


def test_one_at_a_time(started, node, wait, applying):
    node["render"].execute()
    node["render"].execute()
    assert "is at work already" in started.said[-1]
    wait(lambda: not applying._jobs)


def test_what_a_killed_nuke_left_is_swept(render, node, tmp_path):
    start = importlib.import_module("nuke_plugin.scratch")._START
    (tmp_path / "restored").mkdir()
    mine, dead = (tmp_path / "restored" / f"{start}{process}-x" for process in (os.getpid(), 2**22 + 1))
    other = tmp_path / "restored" / ".wetgate-frames-another-machine-12-x"
    for folder in (mine, dead, other):
        folder.mkdir()
        (folder / "scan.1001.exr").touch()
    node["output"].setValue(str(tmp_path / "restored" / "shot.####.exr"))
    render()
    assert mine.exists() and other.exists() and not dead.exists()
