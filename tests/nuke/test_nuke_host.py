"""host.py against the stand-in: what reaches the disk, and that nothing stays in the script."""

from __future__ import annotations

import importlib
import threading

import numpy as np
import OpenImageIO as oiio
import pytest
from nuke_standin import Session
from standin_files import pixels_of, read_exr, write_exr

from wetgate.errors import WetgateError
from wetgate.images import read_image


@pytest.fixture
def host(nuke_session):
    return importlib.import_module("nuke_plugin.host")


@pytest.fixture
def scan(nuke_session, save_frames):
    return nuke_session.read(save_frames([1001, 1002, 1003]), 1001, 1003)


def untouched(session):
    return session.names(), list(session.undo_list), session.modified, session.root_node["proxy"].value()


@pytest.fixture
def out(tmp_path):
    (tmp_path / "out").mkdir()
    return tmp_path / "out"


# Frames


@pytest.mark.parametrize("proxy", [False, True])
@pytest.mark.parametrize("frames", [[1001], [1003, 1001]])
def test_files_hold_the_graphs_pixels_bit_for_bit(host, nuke_session, scan, out, proxy, frames):
    nuke_session.root_node["proxy"]._value = proxy
    before = untouched(nuke_session)
    host.write_frames("Read1", frames, f"{out}/x.####.exr")
    assert sorted(path.name for path in out.iterdir()) == [f"x.{frame}.exr" for frame in sorted(frames)]
    for frame in frames:
        assert np.array_equal(read_exr(out / f"x.{frame}.exr"), pixels_of(frame))
    assert nuke_session.rendered == [(frame, "main", 1) for frame in frames]
    assert untouched(nuke_session) == before


def test_files_are_32_bit_float_rgb_without_loss(host, scan, out):
    host.write_frames("Read1", [1001], f"{out}/x.%04d.exr")
    spec = oiio.ImageInput.open(f"{out}/x.1001.exr").spec()
    assert (spec.format, spec.channelnames) == (oiio.TypeFloat, ("R", "G", "B"))
    assert spec["compression"] == "zips"


@pytest.mark.parametrize("region", [(0, 0, 10, 5), (54, 43, 10, 5), (3, 7, 20, 11)])
def test_a_region_is_counted_from_the_top_left(host, scan, out, region):
    x, y, width, height = region
    host.write_frames("Read1", [1002], f"{out}/x.####.exr", region=region)
    assert np.array_equal(read_exr(out / "x.1002.exr"), pixels_of(1002)[y : y + height, x : x + width])


@pytest.mark.parametrize("region", [(60, 0, 10, 5), (-1, 0, 10, 5), (0, 40, 5, 9)])
def test_a_region_outside_the_picture_is_a_sentence(host, nuke_session, scan, out, region):
    before = untouched(nuke_session)
    with pytest.raises(WetgateError, match="reaches outside Read1, which is 64 x 48 pixels"):
        host.write_frames("Read1", [1001], f"{out}/x.####.exr", region=region)
    assert untouched(nuke_session) == before and not list(out.iterdir())


@pytest.mark.parametrize("region", [(0, 0, 0, 5), (0, 48, 0, 0), (9, 9, 5, -1)])
def test_an_empty_region_is_called_empty(host, nuke_session, scan, out, region):
    with pytest.raises(WetgateError, match="is empty: draw one over Read1, or take the whole frame"):
        host.write_frames("Read1", [1001], f"{out}/x.####.exr", region=region)
    assert nuke_session.rendered == []


def test_a_bounding_box_of_another_size_changes_neither_size_nor_place(host, nuke_session, scan, out):
    switches = {"reformat": False, "intersect": False}
    nuke_session.node("Crop", scan, box=(4, 6, 20, 30), crop=True, **switches)  # leaves a smaller box, black outside
    nuke_session.node("Crop", scan, box=(-9, -9, 99, 99), crop=False, **switches)  # leaves a larger one
    expected = np.zeros((48, 64, 3), np.float32)
    expected[18:42, 4:20] = pixels_of(1001)[18:42, 4:20]
    host.write_frames("Crop1", [1001], f"{out}/small.####.exr")
    host.write_frames("Crop2", [1001], f"{out}/large.####.exr")
    assert np.array_equal(read_exr(out / "small.1001.exr"), expected)
    assert np.array_equal(read_exr(out / "large.1001.exr"), pixels_of(1001))


def test_inside_a_group(host, nuke_session, scan, out):
    group = nuke_session.node("Group", scan)
    inside = nuke_session.node("Input", parent=group)
    nuke_session.node("Output", nuke_session.node("Dot", inside, parent=group), parent=group)
    host.write_frames("Group1.Dot1", [1001], f"{out}/inside.####.exr")
    host.write_frames("Group1", [1002], f"{out}/group.####.exr")
    assert np.array_equal(read_exr(out / "inside.1001.exr"), pixels_of(1001))
    assert np.array_equal(read_exr(out / "group.1002.exr"), pixels_of(1002))
    assert nuke_session.names() == ["Read1", "Group1", "Group1.Input1", "Group1.Dot1", "Group1.Output1"]


@pytest.mark.parametrize("view", ["left", "right"])
def test_each_view_of_a_stereo_script(save_frames, tmp_path, out, view):
    left, right = save_frames([1], "left"), save_frames([1], "right")
    write_exr(tmp_path / "right" / "shot.0001.exr", pixels_of(77))
    with Session(views=("left", "right")).installed() as session:
        host = importlib.import_module("nuke_plugin.host")
        session.read(left.replace("/left/", "/%V/"), 1, 1)
        host.write_frames("Read1", [1], f"{out}/x.####.exr", view=view)
        with pytest.raises(WetgateError, match="has no view centre: choose one of left, right"):
            host.write_frames("Read1", [1], f"{out}/x.####.exr", view="centre")
    assert right.replace("right", "left") == left
    assert np.array_equal(read_image(out / "x.0001.exr").pixels, pixels_of(1 if view == "left" else 77))
    assert oiio.ImageInput.open(f"{out}/x.0001.exr").spec().nchannels == 3


def test_a_matte_is_alpha_as_a_picture(host, nuke_session, scan, out):
    nuke_session.node("Constant", color=(0.0, 0.0, 0.0, 0.5))
    before = untouched(nuke_session)
    with host.matte("Constant1") as matte:
        host.write_frames(matte, [1], f"{out}/x.####.exr")
    assert np.array_equal(read_exr(out / "x.0001.exr"), np.full((48, 64, 3), 0.5, np.float32))
    assert untouched(nuke_session) == before
    host.require_alpha("Constant1")
    with pytest.raises(WetgateError, match="The mask Read1 has no alpha: put a Shuffle below it"):
        host.require_alpha("Read1")


def test_follow_is_told_and_may_cancel(host, nuke_session, scan, out):
    before, told = untouched(nuke_session), []
    host.write_frames("Read1", [1001, 1002], f"{out}/x.####.exr", follow=lambda *words: told.append(words))
    assert told == [
        (0, 2, "Read1, frame 1001"),
        (1, 2, "Read1, frame 1002"),
        (2, 2, "Read1 is rendered"),
    ]
    with pytest.raises(host.Cancelled):
        host.write_frames("Read1", [1001, 1002], f"{out}/y.####.exr", follow=lambda done, total, text: done == 1)
    assert [path.name for path in out.glob("y*")] == ["y.1001.exr"]
    assert untouched(nuke_session) == before


def test_cancel_in_nukes_own_window(host, nuke_session, scan, out):
    nuke_session.root_node["proxy"]._value = True
    before = untouched(nuke_session)
    nuke_session.cancel_render_at = 1002
    with pytest.raises(host.Cancelled):
        host.write_frames("Read1", [1001, 1002], f"{out}/x.####.exr")
    assert untouched(nuke_session) == before


def test_a_frame_that_is_not_there_is_a_sentence(host, nuke_session, scan, out):
    before = untouched(nuke_session)
    (out.parent / "scan" / "shot.1002.exr").unlink()
    with pytest.raises(WetgateError, match=r"Frame 1002 of Read1 cannot be rendered \(Read1: .*No such file"):
        host.write_frames("Read1", [1001, 1002], f"{out}/x.####.exr")
    assert untouched(nuke_session) == before


def test_what_was_changed_before_stays_marked_as_changed(host, nuke_session, scan, out):
    nuke_session.modified = True
    host.write_frames("Read1", [1001], f"{out}/x.####.exr")
    assert nuke_session.modified


# What is looked at


def test_the_viewers_inputs_frame_view_and_region(host, nuke_session, scan, save_frames):
    reference = nuke_session.read(save_frames([1001], "reference"), 1001, 1001)
    nuke_session.frame = 1002
    assert host.viewer() is None
    nuke_session.look(scan, reference, roi=(4.4, 10, 20.6, 48))
    assert host.viewer() == host.Looked("Read1", "Read2", 1002, "main", (4, 0, 17, 38))
    nuke_session.root_node["proxy"]._value = True
    assert host.viewer().region == (4, 0, 17, 38)
    assert nuke_session.root_node["proxy"].value() is True


@pytest.mark.parametrize("roi", [None, (0, 0, 64, 48), (-5, -5, 99, 99)])
def test_no_region_is_the_whole_picture(host, nuke_session, scan, roi):
    nuke_session.look(scan, roi=roi)
    assert host.viewer() == host.Looked("Read1", None, 1, "main", None)


def test_a_region_that_is_switched_off_does_not_count(host, nuke_session, scan):
    nuke_session.look(scan, roi=(1, 1, 9, 9))._roi_enabled = False
    assert host.viewer().region is None


def test_a_region_of_interest_beside_the_picture_is_a_sentence(host, nuke_session, scan):
    nuke_session.look(scan, roi=(100, 0, 120, 40))
    with pytest.raises(WetgateError, match="lies outside the picture: move it, or switch it off"):
        host.viewer()


def test_sizes_and_ranges(host, nuke_session, scan):
    nuke_session.root_node["proxy"]._value = True
    before = untouched(nuke_session)
    assert host.picture_size("Read1") == (64, 48)
    assert host.frame_range("Read1") == (1001, 1003)
    assert untouched(nuke_session) == before


def test_source_files_are_those_of_the_nearest_read(host, nuke_session, scan):
    pattern = scan["file"].value()
    dot = nuke_session.node("Dot", nuke_session.node("Crop", scan))
    scan["colorspace"]._value = "Cineon"
    assert host.source_files(dot.fullName()) == host.source_files("Read1") == (pattern, "Cineon")
    scan["raw"]._value = True
    assert host.source_files("Dot1") == (pattern, "raw")
    group = nuke_session.node("Group")
    nuke_session.node("Output", nuke_session.node("Read", parent=group, file="a.exr"), parent=group)
    assert host.source_files("Group1") == ("a.exr", "default (linear)")
    nuke_session.node("Constant")
    assert host.source_files("Constant1") == ("", "")
    assert host.frame_file("Dot1", 1002) == pattern.replace("####", "1002")
    assert host.frame_file("Constant1", 1002) == ""


# Knobs and nodes


def test_knobs_by_the_full_name_also_from_inside_a_group(host, nuke_session):
    group = nuke_session.node("Group")
    nuke_session.node("Read", parent=group)
    with group:
        host.set_knob("Group1.Read1", "first", 7)
        assert host.knob("Group1.Read1", "first") == 7
    with pytest.raises(WetgateError, match="no node Read9"):
        host.knob("Read9", "first")
    with pytest.raises(WetgateError, match=r"Group1\.Read1 has no knob fist"):
        host.set_knob("Group1.Read1", "fist", 1)


def test_a_read_is_made_in_one_step_that_can_be_undone(host, nuke_session, save_frames):
    pattern = save_frames([3, 4])
    name = host.create_read(pattern.replace("/", "\\"), 3, 4, "raw")
    assert [host.knob(name, knob) for knob in ("file", "first", "last", "raw")] == [pattern, 3, 4, True]
    assert nuke_session.undo_list == ["Wetgate read"]
    nuke_session.undo()
    assert nuke_session.names() == []


def test_a_node_that_cannot_be_made_leaves_nothing(host, nuke_session):
    with pytest.raises(WetgateError, match="Nuke does not know WetgateRestore"):
        host.create_restore("model.onnx")
    with pytest.raises(ValueError, match="Log"):
        host.create_read("a.####.exr", 1, 2, "Log")
    assert (nuke_session.names(), nuke_session.undo_list) == ([], [])


def test_a_restore_node_has_its_model_and_stands_below(host, nuke_session, scan):
    file_knob = importlib.import_module("nuke").File_Knob
    nuke_session.add_node_class("WetgateRestore", knobs=lambda: [file_knob("model"), file_knob("restoration")])
    nuke_session.select_only(nuke_session.node("Constant"))
    made = host.create_restore("C:\\runs\\model.onnx", above="Read1", restoration="C:\\reel [2]")
    assert made == "WetgateRestore1"
    assert host.knob("WetgateRestore1", "model") == "C:/runs/model.onnx"
    assert host.knob("WetgateRestore1", "restoration") == "C:/reel \\[2]"
    assert host.input_of("WetgateRestore1", 0) == "Read1"
    assert nuke_session.undo_list == ["Wetgate restore"]
    nuke_session.undo()
    assert nuke_session.names() == ["Read1", "Constant1"]


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("/films/reel #3/model.onnx", "/films/reel #3/model.onnx"),
        ("/films/100%d/a b/M\u00fcller.onnx", "/films/100%d/a b/M\u00fcller.onnx"),
        ("/films/shot.####.exr", "/films/shot.####.exr"),
        ("/films/\\[4K] \\$5/shot.####.exr", "/films/[4K] $5/shot.%04d.exr"),
    ],
)
def test_a_path_is_evaluated_and_keeps_its_places_for_the_frame(host, nuke_session, text, path):
    nuke_session.frame = 1001
    nuke_session.node("Read", file=text)
    assert host.path("Read1", "file") == path


def test_tcl_that_cannot_be_evaluated_is_a_sentence(host, nuke_session):
    nuke_session.node("Read", file="/films/[gone]/x.exr")
    with pytest.raises(WetgateError, match=r"Read1: file cannot be evaluated \(.*\): write it anew"):
        host.path("Read1", "file")


# Where pictures come from


def test_all_folders_above_a_node_through_groups_and_out_of_them(host, nuke_session, scan, save_frames):
    inner = nuke_session.node("Group", scan)
    way_in = nuke_session.node("Input", parent=inner)
    dot = nuke_session.node("Dot", way_in, parent=inner)
    nuke_session.node("Output", dot, parent=inner)
    mixed = nuke_session.node("Keymix", inner, nuke_session.read(save_frames([1], "dvd"), 1, 1))
    folders = {name: scan["file"].value().replace("/scan/shot.####.exr", name) for name in ("/dvd", "/scan", "/x", "")}
    assert {name: host.comes_from(mixed.fullName(), folder) for name, folder in folders.items()} == {
        "/dvd": True,
        "/scan": True,
        "/x": False,
        "": False,
    }
    assert host.source_files(dot.fullName()) == (scan["file"].value(), "default (linear)")
    assert host.above(mixed.fullName(), "Group") == [inner.fullName()] and host.above(inner.fullName(), "Group") == []
    assert host.above(mixed.fullName(), "Dot") == [dot.fullName()]


@pytest.mark.parametrize(
    ("pattern", "folder", "inside"),
    [
        ("/films/%V/x.####.exr", "/films/left", True),
        ("/films/%V/x.####.exr", "/films/left/new", False),
        ("/films/f####/x.exr", "/films/f1001", True),
        ("/films/f%04d/x.exr", "/films/g1001", False),
        ("/films/a+b/x.%04d.exr", "/films/a+b/../a+b/", True),
        ("x.exr", "/films", False),
        ("", ".", False),
    ],
)
def test_folders_that_each_frame_or_view_has_of_its_own(host, nuke_session, pattern, folder, inside):
    nuke_session.node("Read", file=pattern)
    assert host.comes_from("Read1", folder) is inside


@pytest.mark.parametrize("pattern", ["/films/left/x.exr", "/films/%V/x.####.exr"])
def test_folders_below_the_files(host, nuke_session, pattern):
    nuke_session.node("Read", file=pattern)
    folders = ("/films", "/films/left", "/films/left/new/er", "/other/left/new")
    assert [host.comes_from("Read1", folder, or_above=True) for folder in folders] == [False, True, True, False]
    assert host.comes_from("Read1", "/films/lefty", or_above=True) is ("%V" in pattern)


def test_proxy_mode_names_the_same_files(host, nuke_session, scan):
    scan["proxy"]._value = "/proxies/shot.####.exr"
    nuke_session.root_node["proxy"]._value = True
    assert host.source_files("Read1")[0] == scan["file"].value()
    assert nuke_session.root_node["proxy"].value() is True and not nuke_session.modified


def test_a_read_that_is_switched_off_is_not_as_in_its_files(host, nuke_session, scan):
    assert host.is_as_in_files("Read1")
    scan["disable"]._value = True
    assert not host.is_as_in_files("Read1")


# Clones share their name, not their picture


def test_a_clone_is_a_sentence_and_not_the_picture_of_another(host, nuke_session, scan, save_frames):
    dvd = nuke_session.read(save_frames([1001], "dvd"), 1001, 1001)
    first, second = nuke_session.node("Dot", scan), nuke_session.node("Dot", dvd)
    second.setName(first.name())
    nuke_session.look(first, second)
    with pytest.raises(WetgateError, match="Dot1 is a clone, which shares its name with others: put a Dot below it"):
        host.viewer()
    below = nuke_session.node("NoOp", second)
    with pytest.raises(WetgateError, match="Dot1 is a clone"):
        host.input_of("NoOp1", 0)
    nuke_session.look(scan, below)
    assert host.viewer().reference == "NoOp1"
    assert host.comes_from("NoOp1", dvd["file"].value().rpartition("/")[0])
    assert not host.comes_from("NoOp1", scan["file"].value().rpartition("/")[0])
    nuke_session.answers = ["NoOp1"]
    assert host.choose_node("Which?") == "NoOp1"
    nuke_session.answers = ["Dot1"]
    with pytest.raises(ValueError, match="not in list"):  # it is not offered
        host.choose_node("Which?")


def test_the_viewers_scan_is_known_whatever_its_region(host, nuke_session, scan):
    assert host.viewed_scan() is None
    nuke_session.look(scan, roi=(900, 900, 950, 950))
    assert host.viewed_scan() == "Read1"


def test_a_script_that_was_closed_is_another_and_one_that_was_saved_is_not(host, nuke_session):
    number = host.opening()
    nuke_session.root_node["name"]._value = "/films/reel_v002.nk"
    assert host.opening() == number
    nuke_session.close_script()
    assert host.opening() != number


# Talk, threads, callbacks


def test_words_reach_the_artist_and_without_a_gui_the_terminal(host, nuke_session, capsys):
    nuke_session.answers = [True, "Read2", None]
    nuke_session.node("Read"), nuke_session.node("Read"), nuke_session.node("Viewer")
    host.tell("Done.")
    assert host.ask("Go on?") is True
    assert host.choose_node("Which one?") == "Read2"
    assert host.choose_node("Which one?") is None
    assert nuke_session.said == ["Done.", "Go on?", "Which one?", "Which one?"]
    nuke_session.answers = ["Viewer1"]
    with pytest.raises(ValueError, match="not in list"):  # a Viewer has no picture to offer
        host.choose_node("Which one?")
    with Session(gui=False).installed():
        headless = importlib.import_module("nuke_plugin.host")
        headless.tell("Done.")
        assert (headless.has_gui(), headless.ask("?"), headless.choose_node("?")) == (False, False, None)
        with headless.progress("x") as shown:
            assert shown.update(0.5, "y") is False
    assert capsys.readouterr().err == "Done.\n"


def test_progress_can_be_cancelled(host, nuke_session):
    nuke_session.cancel_progress_at = 2
    with host.progress("Wetgate") as shown:
        assert [shown.update(share, str(share)) for share in (-0.1, 1.2)] == [False, True]
    assert nuke_session.progress == [("Wetgate", ["-0.1", "1.2"])]


def test_only_in_main_thread_may_be_called_from_another(host, nuke_session):
    done, failed = [], []

    def work():
        host.in_main_thread(done.append, 1)
        try:
            host.current_frame()
        except RuntimeError as error:
            failed.append(str(error))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join(10)
    assert done == [] and failed == ["nuke.frame was used off the main thread"]
    nuke_session.run_main_thread()
    assert done == [1]


def test_callbacks_say_which_node_and_knob(host, nuke_session, scan):
    told = []
    host.on_knob_changed("Read", lambda node, knob: told.append((node, knob)))
    host.on_created("Read", told.append)
    host.set_knob("Read1", "first", 5)
    assert host.create_read("a.####.exr", 1, 1) == "Read2"
    nuke_session.show_panel(nuke_session.node("Constant"))
    assert told[:2] == [("Read1", "first"), "Read2"] and ("Read2", "file") in told
    assert {each[0] for each in told if isinstance(each, tuple)} == {"Read1", "Read2"}


def test_what_nuke_is(host, nuke_session, tmp_path):
    assert host.version() == (16, 0) and host.script() == "" and host.views() == ["main"]
    assert host.colour_management() == "Nuke, linear"
    host.add_plugin_path("C:\\gizmos")
    assert nuke_session.plugin_paths == ["C:/gizmos"]
