"""Pairs out of the graph: the pixels on disk, what is noted with them, and that a call adds all or nothing."""

from __future__ import annotations

import importlib
import os
from pathlib import Path

import numpy as np
import pytest
from nuke_standin import ROOT
from standin_files import pixels_of, read_exr

from wetgate.errors import WetgateError
from wetgate.project import create_restoration, open_restoration


@pytest.fixture
def collecting(nuke_session, monkeypatch, tmp_path):
    (tmp_path / "scratch").mkdir()
    monkeypatch.setenv("NUKE_TEMP_DIR", str(tmp_path / "scratch"))
    return importlib.import_module("nuke_plugin.collecting")


@pytest.fixture
def nodes(nuke_session, save_frames):
    """A scan of three frames and a reference of the same size."""
    scan = nuke_session.read(save_frames([1001, 1002, 1003]), 1001, 1003)
    reference = nuke_session.read(save_frames([1001, 1002, 1003], "dvd"), 1001, 1003)
    nuke_session.frame = 1002
    return scan, reference


@pytest.fixture
def folder(tmp_path):
    return str(tmp_path / "reel3.wetgate")


def left_in(session, tmp_path):
    """What a call must not leave: nodes, undo steps, the changed mark, rendered files."""
    return session.names(), list(session.undo_list), session.modified, os.listdir(tmp_path / "scratch")


def test_pairs_hold_the_graphs_pixels_and_where_they_are_from(collecting, nuke_session, nodes, folder, tmp_path):
    nuke_session.root_node["proxy"]._value = True
    before = left_in(nuke_session, tmp_path)
    added = collecting.add_pairs(folder, "Read1", "Read2", [1003, 1001])
    assert str(added) == "2 frames are pairs 1 to 2 of reel3.wetgate."
    restoration = open_restoration(folder)
    assert (restoration.recipe, restoration.encoding) == ("color", "linear")
    assert [(pair.number, pair.frame, pair.state, pair.region) for pair in restoration.pairs()] == [
        (1, 1001, "collected", None),
        (2, 1003, "collected", None),
    ]
    for pair in restoration.pairs():
        pair.check_unaltered()
        assert np.array_equal(read_exr(pair.scan), pixels_of(pair.frame))
        assert np.array_equal(read_exr(pair.reference), pixels_of(pair.frame))
        assert pair.mask is None
    scan, dvd = (str(tmp_path / name / "shot.####.exr") for name in ("scan", "dvd"))
    assert restoration.pairs()[1].where_from == {
        "scan": scan.replace("####", "1003"),
        "reference": dvd.replace("####", "1003"),
        "reference_frame": 1003,
        "nuke": {
            "view": "main",
            "colour_management": "Nuke, linear",
            "encoding": "linear",
            "scan_node": "Read1",
            "scan_file": scan.replace("####", "1003"),
            "reference_node": "Read2",
            "reference_file": dvd.replace("####", "1003"),
            "scan_colourspace": "default (linear)",
            "reference_colourspace": "default (linear)",
        },
    }
    assert [(source["element"], source["path"]) for source in restoration.sources] == [
        ("scan", scan),
        ("reference", dvd),
    ]
    assert left_in(nuke_session, tmp_path) == before


@pytest.mark.parametrize("way", ["raw", "log", "graded", "ocio"])
def test_files_whose_pixels_are_not_the_pairs_are_noted_apart(collecting, nuke_session, nodes, folder, tmp_path, way):
    """The engine measures flicker in the files that a pair names as its scan."""
    scan = nodes[0]
    dot = nuke_session.node("Dot", scan)
    if way == "raw":
        scan["raw"]._value, scan["colorspace"]._value = True, "Cineon"
    elif way == "log":
        scan["colorspace"]._value = "Cineon"
    elif way == "graded":
        dot = nuke_session.node("Expression", dot)
    else:
        nuke_session.root_node["colorManagement"]._value = "OCIO"
        nuke_session.root_node["workingSpaceLUT"]._value = "scene_linear"
    nuke_session.root_node["name"]._value = "/films/reel3.nk"
    collecting.add_pair(folder, dot.fullName(), "Read2", 1001)
    restoration = open_restoration(folder)
    origin, file = restoration.pairs()[0].where_from, str(tmp_path / "scan" / "shot.1001.exr")
    assert origin["nuke"]["scan_file"] == file and origin["nuke"]["script"] == "/films/reel3.nk"
    assert origin.get("scan") == (file if way == "raw" else None)
    assert restoration.sources[0]["element"] == ("scan" if way == "raw" else "scan, through Nuke")
    assert restoration.sources[0]["path"] == str(tmp_path / "scan" / "shot.####.exr")


def test_a_region_is_of_the_scan_and_of_a_reference_of_its_size(collecting, nuke_session, nodes, folder, save_frames):
    nuke_session.read(save_frames([1002], "small", size=(32, 24)), 1002, 1002)
    nuke_session.node("Constant", color=(0.0, 0.0, 0.0, 0.25))
    collecting.add_pair(folder, "Read1", "Read2", 1002, region=(4, 6, 20, 10), mask="Constant1")
    collecting.add_pair(folder, "Read1", "Read3", 1002, region=(4, 6, 20, 10), mask="Constant1")
    same, other = open_restoration(folder).pairs()
    part = pixels_of(1002)[6:16, 4:24]
    assert np.array_equal(read_exr(same.scan), part) and np.array_equal(read_exr(same.reference), part)
    assert np.array_equal(read_exr(same.mask), np.full((10, 20, 3), 0.25, np.float32))
    assert np.array_equal(read_exr(other.reference), pixels_of(1002, (32, 24)))
    assert same.region == other.region == (4, 6, 20, 10)
    assert same.where_from["nuke"]["mask_node"] == "Constant1"


def test_the_second_call_adds_to_the_first_and_says_what_counts_twice(collecting, nodes, folder):
    first = collecting.add_pair(folder, "Read1", "Read2", 1001, encoding="linear", recipe="color")
    hashes = open_restoration(folder).pairs()[0].checksums
    second = collecting.add_pairs(folder, "Read1", "Read2", [1001, 1002])
    assert (first.pairs, second.pairs) == ((1,), (2, 3))
    assert second.notes == ("Frame 1001 has a pair from before; it now counts twice.",)
    assert open_restoration(folder).pairs()[0].checksums == hashes
    assert len(open_restoration(folder).sources) == 2
    assert collecting.add_pair(folder, "Read1", "Read2", 1001, region=(0, 0, 9, 9)).notes == ()


def test_one_progress_window_for_all_that_is_rendered(collecting, nuke_session, nodes, folder):
    collecting.add_pairs(folder, "Read1", "Read2", [1001, 1002])
    assert nuke_session.percents == [0, 25, 50, 50, 75, 100]
    assert nuke_session.progress == [
        (
            "Wetgate: adding pairs",
            [
                "Read1, frame 1001",
                "Read1, frame 1002",
                "Read1 is rendered",
                "Read2, frame 1001",
                "Read2, frame 1002",
                "Read2 is rendered",
            ],
        )
    ]


@pytest.mark.parametrize(
    "stop",
    [*({"cancel_progress_at": step} for step in range(1, 7)), *({"cancel_render_at": at} for at in (1001, 1002))],
)
@pytest.mark.parametrize("there", [False, True])
def test_cancelling_leaves_nothing(collecting, nuke_session, nodes, folder, tmp_path, stop, there):
    if there:
        create_restoration(folder, "color", "linear")
    before = left_in(nuke_session, tmp_path)
    for name, value in stop.items():
        setattr(nuke_session, name, value)
    with pytest.raises(importlib.import_module("nuke_plugin.host").Cancelled):
        collecting.add_pairs(folder, "Read1", "Read2", [1001, 1002])
    assert left_in(nuke_session, tmp_path) == before
    assert Path(folder).exists() == there and not (there and open_restoration(folder).pairs())


def test_a_restoration_with_another_encoding_or_recipe_is_a_sentence_before_anything_is_rendered(
    collecting, nuke_session, nodes, folder
):
    create_restoration(folder, "damage", "log")
    with pytest.raises(WetgateError, match="has log pictures, not linear ones: set the node to log, or choose another"):
        collecting.add_pair(folder, "Read1", "Read2", 1001, encoding="linear")
    with pytest.raises(WetgateError, match="has the recipe damage, not color: choose another"):
        collecting.add_pair(folder, "Read1", "Read2", 1001, recipe="color")
    assert nuke_session.rendered == []


def test_places_that_no_restoration_can_have_are_sentences_before_anything_is_rendered(
    collecting, nuke_session, nodes, tmp_path, monkeypatch
):
    (tmp_path / "file").write_text("x")
    with pytest.raises(WetgateError, match="neither a restoration nor empty"):
        collecting.add_pair(str(tmp_path), "Read1", "Read2", 1001)
    with pytest.raises(WetgateError, match=r"cannot be made, for .*file cannot be written to: choose another folder"):
        collecting.add_pair(str(tmp_path / "file" / "x"), "Read1", "Read2", 1001)
    for name in ("", "reel3.wetgate"):
        with pytest.raises(WetgateError, match="is not a folder's whole path"):
            collecting.add_pair(name, "Read1", "Read2", 1001)
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(WetgateError, match="cannot be written to"):
        collecting.add_pair(str(tmp_path / "new"), "Read1", "Read2", 1001)
    assert nuke_session.rendered == [] and not (tmp_path / "new").exists()


def test_what_does_not_fit_is_a_sentence(collecting, nuke_session, nodes, folder, save_frames):
    nuke_session.read(save_frames([1001], "small", size=(32, 24)), 1001, 1001)
    for arguments, sentence in (
        (("Read1", "Read1", 1001, {}), "Read1 is both the scan and the reference"),
        (("Read1", "Read2", 900, {}), "Read1 has the frames 1001 to 1003, but not 900"),
        (("Read1", "Read9", 1001, {}), "There is no node Read9 in the script any more"),
        (("Read1", "Read2", 1001, {"mask": "Read3"}), "The mask Read3 is 32 x 24 pixels but the scan Read1 is 64 x 48"),
        (("Read1", "Read2", 1001, {"region": (60, 0, 10, 10)}), "reaches outside Read1, which is 64 x 48"),
        (("Read1", "Read2", 1001, {"view": "left"}), "The script has no view left"),
        (
            ("Read1", "Read2", 1001, {"encoding": "srgb"}),
            "There is no encoding srgb: choose one of display, linear, log",
        ),
        (("Read1", "Read2", 1001, {"recipe": "colour"}), "There is no recipe colour: choose one of color"),
    ):
        scan, reference, frame, choices = arguments
        with pytest.raises(WetgateError, match=sentence):
            collecting.add_pair(folder, scan, reference, frame, **choices)
    assert nuke_session.rendered == [] and not Path(folder).exists()


def test_a_mask_without_alpha_is_a_sentence(collecting, nuke_session, nodes, folder):
    """In the restore node it would select nothing, as in all of Nuke's."""
    with pytest.raises(WetgateError, match="The mask Read2 has no alpha: put a Shuffle below it"):
        collecting.add_pair(folder, "Read1", "Read2", 1001, mask="Read2")
    assert nuke_session.rendered == [] and not Path(folder).exists()


@pytest.mark.parametrize("locked", ["", "pairs"])
def test_a_restoration_that_cannot_be_written_is_a_sentence_before_anything_is_rendered(
    collecting, nuke_session, nodes, folder, monkeypatch, locked
):
    create_restoration(folder, "color", "linear")
    target = Path(folder, locked)
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != target)
    with pytest.raises(WetgateError, match=f"{target} cannot be written to: have its permissions changed"):
        collecting.add_pair(folder, "Read1", "Read2", 1001)
    assert nuke_session.rendered == []


def test_temporary_files_that_cannot_be_written_are_a_sentence(collecting, nuke_session, nodes, folder, monkeypatch):
    def full(**_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(importlib.import_module("nuke_plugin.scratch").tempfile, "mkdtemp", full)
    with pytest.raises(WetgateError, match="The disk is full"):
        collecting.add_pair(folder, "Read1", "Read2", 1001)


def test_a_disk_that_fills_up_between_two_pairs_leaves_none(
    collecting, nuke_session, nodes, folder, tmp_path, monkeypatch
):
    collecting.add_pair(folder, "Read1", "Read2", 1003)
    before, write, calls = left_in(nuke_session, tmp_path), collecting.PairDraft.write, []

    def fills_up(draft):
        calls.append(draft)
        if len(calls) == 2:
            raise WetgateError("The disk is full.")
        write(draft)

    monkeypatch.setattr(collecting.PairDraft, "write", fills_up)
    with pytest.raises(WetgateError, match="The disk is full"):
        collecting.add_pairs(folder, "Read1", "Read2", [1001, 1002, 1003])
    assert sorted(os.listdir(Path(folder, "pairs"))) == ["0001"]
    assert left_in(nuke_session, tmp_path) == before


def test_frames_below_zero(collecting, nuke_session, folder, save_frames):
    for _ in range(2):
        nuke_session.node("Expression", nuke_session.read(save_frames([1]).replace("####", "0001"), -2, 0))
    collecting.add_pairs(folder, "Expression1", "Expression2", collecting.frames_of("-2-0"))
    assert [pair.frame for pair in open_restoration(folder).pairs()] == [-2, -1, 0]


def test_a_damaged_restoration_is_a_sentence_before_anything_is_rendered(collecting, nuke_session, nodes, folder):
    collecting.add_pair(folder, "Read1", "Read2", 1001)
    open_restoration(folder).pairs()[0].scan.unlink()
    nuke_session.rendered.clear()
    with pytest.raises(WetgateError, match=r"scan\.exr is missing"):
        collecting.add_pair(folder, "Read1", "Read2", 1002)
    assert nuke_session.rendered == []


def test_a_still_and_what_comes_from_no_file_go_with_any_frame(collecting, nuke_session, nodes, folder, save_frames):
    nuke_session.node("Constant", color=(0.5, 0.25, 0.125, 1.0))
    collecting.add_pair(folder, "Read1", "Constant1", 1002)
    assert (read_exr(open_restoration(folder).pairs()[0].reference) == (0.5, 0.25, 0.125)).all()
    nuke_session.read(save_frames([1], "still").replace("####", "0001"), 1, 1)
    collecting.add_pair(folder, "Read1", "Read3", 1002)
    assert np.array_equal(read_exr(open_restoration(folder).pairs()[1].reference), pixels_of(1))


def test_what_a_read_does_to_its_files_and_the_stated_encoding_are_compared(collecting, nodes, folder, tmp_path):
    scan, reference = nodes
    scan["raw"]._value, reference["colorspace"]._value = True, "sRGB"
    added = collecting.add_pair(folder, "Read1", "Read2", 1001)
    assert added.notes == ("Note: Read1 comes from a Read with raw data on, but its pixels are noted as linear.",)
    added = collecting.add_pair(str(tmp_path / "display"), "Read1", "Read2", 1001, encoding="display")
    assert added.notes == (
        "Note: Read2 comes from a Read that makes its files linear (sRGB), but is noted as display.",
    )


@pytest.mark.parametrize(
    "text, frames",
    [
        ("1001", [1001]),
        (" 1001-1003, 990 1001", [990, 1001, 1002, 1003]),
        ("1-10x4", [1, 5, 9]),
        ("-2--1", [-2, -1]),
    ],
)
def test_frames_in_words(collecting, text, frames):
    assert collecting.frames_of(text) == frames


@pytest.mark.parametrize("text", ["", "a", "5-1", "1-5x0", "1-", "1..5", "1-9999999"])
def test_words_that_are_no_frames(collecting, text):
    with pytest.raises(WetgateError, match="is not a list of frames|names more than"):
        collecting.frames_of(text)


# Behind a restore node


@pytest.fixture
def restored(nuke_session, nodes, folder):
    """A restore node of the restoration below the scan, without the inference node inside."""
    node = nuke_session.gizmo(ROOT / "gizmos" / "WetgateRestore.gizmo", nodes[0])
    node.node("Restore")["model"]._value = folder + "/runs/001/model.onnx"
    return node


@pytest.mark.parametrize("below", [False, True])
@pytest.mark.parametrize("known_by", ["model", "restoration"])
def test_what_the_restoration_has_restored_is_no_scan_of_it(
    collecting, nuke_session, nodes, restored, folder, below, known_by
):
    if known_by == "restoration":
        restored.node("Restore")["model"]._value, restored["restoration"]._value = "/films/model.onnx", folder
    nuke_session.look(nuke_session.node("Expression", restored) if below else restored, nodes[1])
    scan = "Expression1" if below else "WetgateRestore1"
    sentence = (
        f"{scan} shows what WetgateRestore1 has restored with a model of this restoration: connect the scan above"
    )
    with pytest.raises(WetgateError, match=sentence):
        collecting.add_from_viewer(folder)
    assert nuke_session.rendered == [] and not Path(folder).exists()


@pytest.mark.parametrize("way", ["another restoration", "disabled"])
def test_what_another_restoration_has_restored_is_a_scan(collecting, nodes, restored, folder, way):
    if way == "disabled":
        restored["disable"]._value = True
    else:
        restored.node("Restore")["model"]._value = "/films/other.wetgate/runs/001/model.onnx"
    assert collecting.add_pair(folder, "WetgateRestore1", "Read2", 1002).pairs == (1,)


@pytest.mark.parametrize("way", ["viewed", "below", "selected"])
def test_a_second_restore_node_of_a_restoration_is_below_the_same_scan(
    collecting, nuke_session, nodes, restored, folder, way
):
    desk = importlib.import_module("nuke_plugin.desk").NukeDesk()
    nuke_session.plugin_paths.append(str(ROOT / "gizmos"))
    if way == "selected":
        nuke_session.select_only(restored)
    else:
        nuke_session.look(restored if way == "viewed" else nuke_session.node("Dot", restored))
    name = desk.create_restore(folder + "/runs/002/model.onnx", folder)
    assert name == "WetgateRestore2" and nuke_session.undo_list[-1] == "Wetgate restore"
    assert collecting.host.input_of(name, 0) == collecting.host.input_of("WetgateRestore1", 0) == "Read1"
    restored._inputs[0] = None
    nuke_session.look(restored)
    with pytest.raises(WetgateError, match="WetgateRestore1 has no scan: connect it"):
        desk.create_restore(folder + "/runs/002/model.onnx", folder)


# The Viewer


def test_the_viewer_becomes_a_pair(collecting, nuke_session, nodes, folder):
    scan, reference = nodes
    nuke_session.look(scan, reference, roi=(10, 20, 30, 44))
    nuke_session.answers = [folder + "/"]
    collecting.from_viewer()
    collecting.from_viewer()  # the folder is known now
    pairs = open_restoration(folder).pairs()
    assert [(pair.frame, pair.region) for pair in pairs] == [(1002, (10, 4, 20, 24))] * 2
    assert np.array_equal(read_exr(pairs[0].reference), pixels_of(1002)[4:28, 10:30])
    assert nuke_session.said[1:] == [
        "Frame 1002 is pair 2 of reel3.wetgate. Frame 1002 has a pair from before; it now counts twice."
    ]


def test_one_input_only_asks_for_the_other(collecting, nuke_session, nodes, folder):
    scan, reference = nodes
    nuke_session.look(scan)
    nuke_session.answers = ["Read2"]
    assert collecting.add_from_viewer(folder).frames == (1002,)
    nuke_session.look(None, reference)
    nuke_session.answers = ["Read1"]
    collecting.add_from_viewer(folder)
    nuke_session.look(scan, scan)
    nuke_session.answers = [None]
    with pytest.raises(collecting.host.Cancelled):
        collecting.add_from_viewer(folder)
    assert nuke_session.said == [
        "Which node is the reference: Read1 as it should look?",
        "Which node is the scan that Read2 belongs to?",
        "Which node is the reference: Read1 as it should look?",
    ]
    assert [pair.where_from["nuke"]["reference_node"] for pair in open_restoration(folder).pairs()] == ["Read2"] * 2


def test_no_viewer_is_a_sentence(collecting, folder):
    with pytest.raises(WetgateError, match="There is no Viewer: look at the scan as its A"):
        collecting.add_from_viewer(folder)


def test_panel_menu_and_node_share_the_restoration_in_use(collecting, nuke_session, nodes, folder, tmp_path):
    memory, session = (importlib.import_module(f"nuke_plugin.{name}") for name in ("memory", "session"))
    create_restoration(folder, "color", "linear")
    yesterday = create_restoration(tmp_path / "yesterday.wetgate", "color", "linear").folder
    memory.remember(tmp_path / "panel.json", (yesterday,))
    calls = session.Calls()
    panel = session.Session(calls, engine=session.Engine(calls, ["false"]), memory=tmp_path / "panel.json")
    panel.start()
    while panel.standing.folder != yesterday:
        calls.make(0.1)
    assert memory.in_use() == ""  # the panel has opened that by itself
    panel.open(Path(folder))
    panel.close()
    nuke_session.look(*nodes)
    collecting.from_viewer()
    assert len(open_restoration(folder).pairs()) == 1 and nuke_session.said == []
    node = nuke_session.gizmo(ROOT / "gizmos" / "WetgatePairs.gizmo", *nodes)
    nuke_session.answers = [str(tmp_path / "other.wetgate") + "/"]
    node["add"].execute()
    assert nuke_session.proposed == folder + "/" and memory.in_use() == str(tmp_path / "other.wetgate")


def test_another_view_of_a_frame_counts_as_another_picture(collecting, nuke_session, nodes, folder):
    nuke_session.views[:] = ["left", "right"]
    for view in nuke_session.views:
        assert collecting.add_pair(folder, "Read1", "Read2", 1001, view=view).notes == ()
    assert "counts twice" in collecting.add_pair(folder, "Read1", "Read2", 1001).notes[0]


def test_proxy_mode_is_switched_once_for_all_frames(collecting, nuke_session, nodes, folder):
    nuke_session.root_node["proxy"]._value, switched = True, []
    importlib.import_module("nuke").addKnobChanged(lambda: switched.append(1), nodeClass="Root")
    collecting.add_pairs(folder, "Read1", "Read2", [1001, 1002, 1003])
    assert len(switched) == 2 and nuke_session.root_node["proxy"].value() is True


def test_what_a_killed_nuke_left_of_its_frames_is_swept(collecting, nodes, folder, tmp_path):
    start = importlib.import_module("nuke_plugin.scratch")._START
    mine, dead = (tmp_path / "scratch" / f"{start}{process}-x" for process in (os.getpid(), 2**22 + 1))
    for left in (mine, dead):
        left.mkdir()
        (left / "scan.1001.exr").touch()
    collecting.add_pair(folder, "Read1", "Read2", 1001)
    assert os.listdir(tmp_path / "scratch") == [mine.name]


def test_without_an_answer_no_folder_is_made(collecting, nuke_session, nodes):
    nuke_session.look(*nodes)
    nuke_session.answers = [None]
    with pytest.raises(collecting.host.Cancelled):
        collecting.from_viewer()
    assert nuke_session.rendered == []


# The WetgatePairs node


@pytest.fixture
def pairs_node(nuke_session, collecting, nodes, folder):
    node = nuke_session.gizmo(ROOT / "gizmos" / "WetgatePairs.gizmo", *nodes)
    node["folder"]._value = folder
    return node


def test_add_this_frame(collecting, nuke_session, pairs_node, folder, tmp_path):
    before = left_in(nuke_session, tmp_path)
    pairs_node["add"].execute()
    assert [pair.frame for pair in open_restoration(folder).pairs()] == [1002]
    assert pairs_node["status"].value() == "Frame 1002 is pair 1 of reel3.wetgate."
    assert left_in(nuke_session, tmp_path) == before


def test_add_frames_in_a_region_that_the_viewer_gave(collecting, nuke_session, pairs_node, folder):
    nuke_session.look(pairs_node, pairs_node.input(1), roi=(10, 20, 30, 44))
    pairs_node["from_viewer"].execute()
    assert pairs_node["region"].value() == (10.0, 20.0, 30.0, 44.0) and pairs_node["use_region"].value() is True
    assert nuke_session.undo_list[-1] == "Wetgate region"
    nuke_session.undo()
    assert pairs_node["use_region"].value() is False and pairs_node["region"].value() == (0.0, 0.0, 0.0, 0.0)
    pairs_node["from_viewer"].execute()
    pairs_node["frames"].setValue("1001-1003x2")
    pairs_node["add_frames"].execute()
    restoration = open_restoration(folder)
    assert [(pair.frame, pair.region) for pair in restoration.pairs()] == [
        (1001, (10, 4, 20, 24)),
        (1003, (10, 4, 20, 24)),
    ]
    assert np.array_equal(read_exr(restoration.pairs()[1].scan), pixels_of(1003)[4:28, 10:30])
    pairs_node["use_region"].setValue(False)
    pairs_node["add"].execute()
    assert restoration.pairs()[2].region is None


def test_the_nodes_choices_reach_the_restoration(collecting, nuke_session, pairs_node, folder):
    for read in pairs_node._inputs[:2]:
        read["raw"]._value = True
    pairs_node["encoding"].setValue("log")
    mask = nuke_session.node("Constant", color=(0.0, 0.0, 0.0, 1.0))
    pairs_node.setInput(2, mask)
    nuke_session.look(*pairs_node._inputs[:2])
    collecting.from_viewer()
    pairs_node["add"].execute()
    restoration = open_restoration(folder)
    assert restoration.encoding == "log"
    assert [pair.mask is not None for pair in restoration.pairs()] == [False, True]
    assert nuke_session.said == []


@pytest.mark.parametrize(
    "button, change, sentence",
    [
        ("add_frames", {}, "WetgatePairs1 names no frames"),
        ("add_frames", {"frames": "all"}, "'all' is not a list of frames"),
        ("from_viewer", {}, "The Viewer has no region of interest"),
        ("add", {"view": "left"}, "The script has no view left"),
        ("add", {"use_region": True}, "The region 0,48,0,0 is empty: draw one over Read1"),
        ("add", {"folder": "/films/[gone]"}, "WetgatePairs1: folder cannot be evaluated"),
        ("add", {"region": (0, 0, 900, 9), "use_region": True}, "The region 0,39,900,9 reaches outside Read1"),
    ],
)
def test_what_goes_wrong_is_told(collecting, nuke_session, pairs_node, folder, button, change, sentence):
    for name, value in change.items():
        pairs_node[name]._value = value
    pairs_node[button].execute()
    assert len(nuke_session.said) == 1 and nuke_session.said[0].startswith(sentence)
    assert not Path(folder).exists()


def test_an_error_that_nobody_expected_is_told(collecting, nuke_session, pairs_node, monkeypatch):
    def fail(*_, **__):
        raise RuntimeError("broken in this Nuke")

    monkeypatch.setattr(collecting, "add_pairs", fail)
    pairs_node["add"].execute()
    assert nuke_session.said == ["Wetgate: broken in this Nuke"]


def test_a_region_of_interest_that_is_not_asked_for_does_not_matter(collecting, nuke_session, pairs_node, folder):
    nuke_session.look(pairs_node, roi=(900, 900, 950, 950))
    pairs_node["add"].execute()
    assert len(open_restoration(folder).pairs()) == 1 and nuke_session.said == []


def test_an_input_without_a_node_is_told(collecting, nuke_session, pairs_node):
    pairs_node.setInput(1, None)
    pairs_node["add"].execute()
    assert nuke_session.said == [
        "WetgatePairs1 has nothing at its input Reference: connect the node of these pictures."
    ]


def test_a_node_without_a_folder_asks_for_one_and_keeps_it(collecting, nuke_session, pairs_node, folder):
    pairs_node["folder"]._value = ""
    folder = f"{folder}[v2] $5"  # which is Tcl to Nuke
    nuke_session.answers = [None, folder + "/"]
    pairs_node["add"].execute()
    assert pairs_node["status"].value() == "Cancelled; nothing was added." and not Path(folder).exists()
    for _ in range(2):  # asked once only
        pairs_node["add"].execute()
    assert pairs_node["folder"].evaluate() == folder and len(open_restoration(folder).pairs()) == 2


def test_the_scan_passes_through(collecting, nuke_session, pairs_node):
    assert np.array_equal(pairs_node._picture(1002, "main", 1).whole()[::-1, :, :3], pixels_of(1002))


# The panel's desk


def test_the_desk_takes_pairs_makes_restore_nodes_and_knows_the_scan(collecting, nuke_session, nodes, folder):
    desk = importlib.import_module("nuke_plugin.desk").NukeDesk()
    assert (desk.why_not, desk.scan_pattern()) == ("", "")
    nuke_session.look(*nodes)
    assert desk.from_viewer(folder) == "Frame 1002 is pair 1 of reel3.wetgate."
    assert desk.scan_pattern() == nodes[0]["file"].value()
    nodes[0]["colorspace"]._value = "Cineon"
    assert desk.scan_pattern() == ""
    nodes[0]["colorspace"]._value = "linear"
    assert desk.scan_pattern() == nodes[0]["file"].value()
    nodes[1].setName("Read1")  # a clone
    assert desk.scan_pattern() == ""
    nodes[1].setName("Read2")
    nuke_session.plugin_paths.append(str(ROOT / "gizmos"))
    name = desk.create_restore(folder + "/runs/001/model.onnx", folder)
    assert nuke_session.undo_list == ["Wetgate restore"]
    host = collecting.host
    assert (host.knob(name, "model"), host.knob(name, "restoration")) == (folder + "/runs/001/model.onnx", folder)
    assert host.input_of(name, 0) == "Read1"
    nuke_session.cancel_progress_at = 1
    with pytest.raises(WetgateError, match="Cancelled; nothing was added"):
        desk.from_viewer(folder)
