"""What is collected for recipes whose models look at neighbours, and for those that need no reference."""

from __future__ import annotations

import importlib
import os
from pathlib import Path

import numpy as np
import pytest
from nuke_standin import ROOT
from standin_files import pixels_of, read_exr

from wetgate.errors import WetgateError
from wetgate.project import TRAINABLE, WITHOUT_REFERENCE, create_restoration, open_restoration

FRAMES = (1001, 1002, 1003, 1004, 1005, 1007)
"""1006 has no file."""


@pytest.fixture
def collecting(nuke_session, monkeypatch, tmp_path):
    (tmp_path / "scratch").mkdir()
    monkeypatch.setenv("NUKE_TEMP_DIR", str(tmp_path / "scratch"))
    return importlib.import_module("nuke_plugin.collecting")


@pytest.fixture
def nodes(nuke_session, save_frames):
    scan = nuke_session.read(save_frames(FRAMES), 1001, 1007)
    reference = nuke_session.read(save_frames(FRAMES, "dvd"), 1001, 1007)
    nuke_session.frame = 1002
    return scan, reference


@pytest.fixture
def folder(tmp_path):
    return str(tmp_path / "reel3.wetgate")


def neighbours_of(folder, at=0):
    """Steps, and whether each holds the frame that it should."""
    pair = open_restoration(folder).pairs()[at]
    pair.check_unaltered()
    for step, path in pair.neighbours.items():
        assert np.array_equal(read_exr(path), pixels_of(pair.frame + step))
    return sorted(pair.neighbours)


def test_the_scans_frames_around_a_pair_come_along(collecting, nuke_session, nodes, folder, tmp_path):
    collecting.add_pairs(folder, "Read1", "Read2", [1001, 1003, 1005], recipe="damage")
    restoration = open_restoration(folder)
    assert [pair.where_from["neighbours"] for pair in restoration.pairs()] == [2, 2, 2]
    assert [neighbours_of(folder, at) for at in range(3)] == [[1, 2], [-2, -1, 1, 2], [-2, -1]]
    for pair in restoration.pairs():
        assert np.array_equal(read_exr(pair.scan), pixels_of(pair.frame))
        assert np.array_equal(read_exr(pair.reference), pixels_of(pair.frame))
    assert os.listdir(tmp_path / "scratch") == []


def test_a_region_is_that_of_the_pair(collecting, nodes, folder):
    collecting.add_pair(folder, "Read1", "Read2", 1003, recipe="detail", region=(4, 2, 20, 10))
    (pair,) = open_restoration(folder).pairs()
    assert sorted(pair.neighbours) == [-1, 1]
    assert np.array_equal(read_exr(pair.neighbours[1]), pixels_of(1004)[2:12, 4:24])


def test_colour_takes_none(collecting, nodes, folder):
    collecting.add_pair(folder, "Read1", "Read2", 1003)
    assert neighbours_of(folder) == [] and "neighbours" not in open_restoration(folder).pairs()[0].where_from


def test_what_comes_from_no_file_is_rendered_and_a_still_has_no_neighbours(
    collecting, nuke_session, nodes, folder, save_frames
):
    graded = nuke_session.node("Expression", nodes[0])
    still = nuke_session.read(save_frames([1003], "still"), 1003, 1003)
    collecting.add_pair(folder, graded.fullName(), "Read2", 1003, recipe="detail")
    collecting.add_pair(folder, still.fullName(), "Read2", 1003)
    assert [neighbours_of(folder, at) for at in range(2)] == [[-1, 1], []]


def test_a_picture_that_is_shown_again_is_no_neighbour(collecting, nodes, folder, monkeypatch):
    """As behind a Retime to half the speed: frame 1002 shows the file of 1001, and 1003 the next."""
    file_of = collecting.host.frame_file
    monkeypatch.setattr(
        collecting.host, "frame_file", lambda node, frame, view="": file_of(node, 1001 + (frame - 1001) // 2, view)
    )
    collecting.add_pair(folder, "Read1", "Read2", 1002, recipe="detail")
    (pair,) = open_restoration(folder).pairs()
    assert sorted(pair.neighbours) == [1]


def test_pairs_for_telecine_say_what_they_are_of(collecting, nuke_session, nodes, folder):
    node = nuke_session.gizmo(ROOT / "gizmos" / "WetgatePairs.gizmo", *nodes)
    assert list(node["elements"].values()) == list(collecting.ELEMENTS)
    node["folder"].setValue(folder)
    node["recipe"].setValue("telecine")
    for elements in collecting.ELEMENTS:
        node["elements"].setValue(elements)
        node["add"].execute()
    assert [pair.elements for pair in open_restoration(folder).pairs()] == list(collecting.ELEMENTS.values())


def test_what_pairs_are_of_is_of_no_interest_to_other_recipes(collecting, nodes, folder):
    collecting.add_pair(folder, "Read1", "Read2", 1003, recipe="detail", elements="telecine to film")
    assert "scan_element" not in open_restoration(folder).pairs()[0].where_from


def test_painted_frames_are_the_engines_to_take(collecting, nuke_session, nodes, folder):
    create_restoration(folder, "exemplar", "linear")
    nuke_session.look(*nodes)
    with pytest.raises(WetgateError, match=r"run `wetgate add .*reel3\.wetgate --scan SCAN --paint PAINT"):
        collecting.add_from_viewer(folder)
    assert open_restoration(folder).pairs() == []


# Without a reference


def test_the_viewers_scan_alone_is_learnt_from(collecting, nuke_session, nodes, folder, tmp_path):
    create_restoration(folder, "damage", "linear")
    nuke_session.look(nodes[0])
    said = str(collecting.add_from_viewer(folder))
    assert said == "reel3.wetgate learns from shot.####.exr, frames 1001 to 1007."
    restoration = open_restoration(folder)
    pattern = str(tmp_path / "scan" / "shot.####.exr")
    assert restoration.footage == [{"scan": pattern, "frames": "1001-1007"}]
    assert [(source["element"], source["path"]) for source in restoration.sources] == [("scan", pattern)]
    assert restoration.pairs() == [] and nuke_session.said == []
    collecting.add_from_viewer(folder)
    assert len(open_restoration(folder).footage) == 1


def test_with_a_reference_in_the_viewer_it_is_a_pair_all_the_same(collecting, nuke_session, nodes, folder):
    create_restoration(folder, "damage", "linear")
    nuke_session.look(*nodes)
    assert collecting.add_from_viewer(folder).frames == (1002,)
    assert open_restoration(folder).footage == []


@pytest.mark.parametrize("recipe", WITHOUT_REFERENCE)
def test_the_node_takes_its_scan_where_no_reference_is_connected(collecting, nuke_session, nodes, folder, recipe):
    node = nuke_session.gizmo(ROOT / "gizmos" / "WetgatePairs.gizmo", nodes[0])
    node["folder"].setValue(folder)
    node["recipe"].setValue(recipe)
    node["add"].execute()
    assert node["status"].value().startswith("reel3.wetgate learns from shot.####.exr")
    assert open_restoration(folder).recipe == recipe and len(open_restoration(folder).footage) == 1
    node["recipe"].setValue("detail")
    node["add"].execute()
    assert "nothing at its input Reference" in nuke_session.said[-1]


def test_the_nodes_frames_say_what_is_learnt_from(collecting, nuke_session, nodes, folder):
    node = nuke_session.gizmo(ROOT / "gizmos" / "WetgatePairs.gizmo", nodes[0])
    node["folder"].setValue(folder)
    node["recipe"].setValue("damage")
    node["frames"].setValue("1002-1004,1007")
    node["add_frames"].execute()
    assert [one["frames"] for one in open_restoration(folder).footage] == ["1002,1003,1004,1007"]
    assert node["status"].value().endswith("frames 1002 to 1007.")
    node["frames"].setValue("1005-1007")
    node["add_frames"].execute()
    assert nuke_session.said[-1].startswith("Read1 has no file for frame 1006")
    node["frames"].setValue("1002-1010")
    node["add_frames"].execute()
    assert nuke_session.said[-1].startswith("Read1 has the frames 1001 to 1007, but not 1008")
    assert len(open_restoration(folder).footage) == 1


def test_a_scan_whose_pixels_are_not_those_of_its_files_is_a_sentence(collecting, nuke_session, nodes, folder):
    graded = nuke_session.node("Expression", nodes[0]).fullName()
    with pytest.raises(WetgateError, match="The recipe steady looks in the scan's files, but Expression1 changes"):
        collecting.add_scan(folder, graded, recipe="steady")
    with pytest.raises(WetgateError, match="recipe color, which learns from pairs"):
        collecting.add_scan(folder, "Read1")
    assert not Path(folder).exists()


def test_the_node_offers_every_recipe_that_can_be_trained_from_what_it_takes(nuke_session, nodes):
    offered = nuke_session.gizmo(ROOT / "gizmos" / "WetgatePairs.gizmo", *nodes)["recipe"].values()
    assert set(TRAINABLE) - {"exemplar"} <= set(offered)
