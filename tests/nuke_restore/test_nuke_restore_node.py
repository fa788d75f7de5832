"""What the restore node says of its model, and how it follows a training."""

from __future__ import annotations

import importlib
import threading

import numpy as np
import pytest
import standin_knobs
from standin_files import pixels_of

from wetgate.errors import WetgateError
from wetgate.service.protocol import Model as Card

RUN = "reel.wetgate/runs/{:03d}/model.onnx"


def words_of(node):
    return node["protects"].value(), node["card"].value()


def test_values_of_links_are_those_of_the_inference_node(started, restore_node, applying, monkeypatch):
    for name in ("value", "setValue"):
        monkeypatch.setattr(standin_knobs.Link_Knob, name, property())  # raises when it is looked at
    host = applying.host
    host.set_quietly(restore_node.name(), revision=3, mix=0.5)
    assert (host.knob(restore_node.name(), "revision"), host.knob(restore_node.name(), "mix")) == (3, 0.5)
    monkeypatch.setattr(standin_knobs.Link_Knob, "getLinkedKnob", lambda link: None)
    with pytest.raises(WetgateError, match="WetgateRestore1: its knob mix is a link to nothing, make a new node"):
        host.knob(restore_node.name(), "mix")


# The card


def test_the_card_is_shown_as_soon_as_the_server_has_read_it(started, wait, restore_node, save_model):
    restore_node["model"].setValue(str(save_model(protected="luma", radius=2)))
    wait(lambda: "brightness" in restore_node["protects"].value())
    about = "Colour from a reference. It takes scene-linear pictures, as Nuke works. "
    assert restore_node["card"].value().startswith(about)
    assert "2 frames on each side" in restore_node["card"].value()


def test_no_model_and_a_missing_one_are_said(started, wait, restore_node, tmp_path):
    assert words_of(restore_node)[0] == "no model is chosen"
    restore_node["model"].setValue(str(tmp_path / "gone.onnx"))
    wait(lambda: restore_node["protects"].value() == "not known")
    assert "gone.onnx does not exist" in restore_node["card"].value()


def test_without_an_engine_the_card_says_so(started, wait, restore_node, tmp_path, monkeypatch):
    monkeypatch.setenv("WETGATE_COMMAND", "")
    monkeypatch.setenv("PATH", "")
    monkeypatch.setenv("HOME", str(tmp_path))
    restore_node["model"].setValue(str(tmp_path / "model.onnx"))
    wait(lambda: restore_node["protects"].value() == "not known")
    assert "install Wetgate" in restore_node["card"].value()


def test_words_are_neither_on_the_undo_list_nor_a_change_of_the_script(started, wait, restore_node, save_model):
    restore_node["model"].setValue(str(save_model()))
    started.modified, before = False, list(started.undo_list)
    wait(lambda: "grain" in restore_node["protects"].value())
    assert started.undo_list == before and not started.modified


def test_an_answer_that_comes_too_late_is_not_shown(started, restore_node, save_model, applying, tmp_path):
    restore_node["model"].setValue(str(tmp_path / "other.onnx"))
    applying._show_card("WetgateRestore1", (str(save_model()), "", ()), ("the wrong one", ""))
    applying._show_card("Gone1", ("", "", ()), ("no node", ""))
    assert restore_node["protects"].value() != "the wrong one"


@pytest.mark.parametrize(
    ("card", "protects", "about"),
    [
        ({"recipe": "", "limits": "It has no card."}, "not known", "something else has made. It has no card."),
        ({"recipe": "color", "encoding": "display", "protected": "none"}, "nothing: grain", "Read with raw data on"),
        ({"recipe": "of tomorrow", "encoding": "x", "protected": "y"}, "y", "of tomorrow. It takes x."),
    ],
)
def test_words_of_a_card(applying, card, protects, about):
    blank = dict.fromkeys(("sha256", "recipe", "encoding", "colour_space", "protected", "producer", "limits"), "")
    said = applying.card_words(Card(**{**blank, "radius": 0, "gives_coverage": False, "halo": 0, **card}))
    assert said[0].startswith(protects) and about in said[1]


def test_opening_a_script_starts_no_server_and_opening_a_panel_reads_the_card(
    started, wait, restore_node, save_model, applying, places
):
    restore_node.node("Restore")._knobs["model"]._value = str(save_model())
    applying.created("WetgateRestore1")
    assert not [thread for thread in threading.enumerate() if thread.name == "wetgate-card"]
    assert not places.folder.exists()
    started.show_panel(restore_node)
    wait(lambda: "grain" in restore_node["protects"].value())


# Following


@pytest.fixture
def followed(started, restore_node, save_model):
    """A node that follows a restoration whose first run has a model."""
    restore_node["model"].setValue(str(save_model(RUN.format(1), gain=0.5)))
    restore_node["follow"].setValue(True)
    return restore_node


def picture_of(node):
    return node._picture(1003, "main", 1).whole()[::-1, :, :3]


def test_a_newer_model_is_rendered(followed, wait, save_model):
    wait(lambda: followed["revision"].value() == 1)
    np.testing.assert_array_equal(picture_of(followed), pixels_of(1003) * np.float32(0.5))
    save_model(RUN.format(1), gain=0.25)
    wait(lambda: followed["revision"].value() == 2)
    np.testing.assert_array_equal(picture_of(followed), pixels_of(1003) * np.float32(0.25))


def test_the_next_run_takes_over_once_it_has_a_model(followed, wait, save_model, tmp_path):
    wait(lambda: followed["revision"].value() == 1)
    (tmp_path / "reel.wetgate" / "runs" / "010").mkdir()
    expected = save_model(RUN.format(9))
    wait(lambda: followed["model"].value() == str(expected))
    expected = save_model(RUN.format(10))
    wait(lambda: followed["model"].value() == str(expected))


def test_a_folder_with_what_tcl_would_evaluate_is_followed(followed, wait, save_model, tmp_path):
    save_model("[4K] $reel.wetgate/runs/001/model.onnx", gain=0.25)
    followed["restoration"].setValue(str(tmp_path / "\\[4K] \\$reel.wetgate"))
    wait(lambda: "4K" in followed["model"].value())
    np.testing.assert_array_equal(picture_of(followed), pixels_of(1003) * np.float32(0.25))


def test_what_is_followed_may_be_another_restoration(followed, wait, save_model, tmp_path):
    expected = save_model("other.wetgate/runs/001/model.onnx")
    followed["restoration"].setValue(str(tmp_path / "other.wetgate"))
    wait(lambda: followed["model"].value() == str(expected))


def test_nothing_is_on_the_undo_list(started, followed, wait, save_model):
    wait(lambda: followed["revision"].value() == 1)
    before = list(started.undo_list)
    save_model(RUN.format(2))
    wait(lambda: followed["revision"].value() == 2)
    assert started.undo_list == before


@pytest.mark.parametrize("end", ["switched off", "deleted", "another of its name"])
def test_following_ends(started, followed, wait, save_model, applying, end):
    wait(lambda: followed["revision"].value() == 1)
    if end == "switched off":
        followed["follow"].setValue(False)
    else:
        importlib.import_module("nuke").delete(followed)
    if end == "another of its name":
        started.select_only(started.root_node._children[0])
        importlib.import_module("nuke").createNode("WetgateRestore").setName("WetgateRestore1")
    save_model(RUN.format(1), gain=0.125)
    wait(lambda: applying._follower.followed() == {})
    wait(lambda: applying._follower._thread is None)


def test_a_node_with_a_new_name_goes_on(followed, wait, save_model, applying):
    followed.setName("Hero")
    applying.changed("Hero", "name")
    wait(lambda: followed["revision"].value() >= 1)
    before = followed["revision"].value()
    save_model(RUN.format(2))
    wait(lambda: followed["revision"].value() > before and applying._follower.followed().keys() == {"Hero"})


def test_what_was_chosen_while_the_panel_was_closed_counts_once_it_opens(started, followed, wait, applying):
    applying._follower.leave("WetgateRestore1")
    started.show_panel(followed)
    wait(lambda: followed["revision"].value() >= 1)


def test_a_saved_script_goes_on_following(followed, wait, applying):
    applying._follower.leave("WetgateRestore1")
    applying.created("WetgateRestore1")
    wait(lambda: followed["revision"].value() >= 1)


def test_renders_follow_nothing(nuke_session, followed, applying, monkeypatch):
    applying._follower.leave("WetgateRestore1")
    monkeypatch.setattr(applying.host, "has_gui", lambda: False)
    applying.created("WetgateRestore1")
    assert applying._follower.followed() == {}


@pytest.mark.parametrize(
    ("model", "restoration"),
    [
        ("/films/reel.wetgate/runs/003/model.onnx", "/films/reel.wetgate"),
        ("/films/runs/model.onnx", ""),
        ("/films/runs/best/model.onnx", ""),
        ("model.onnx", ""),
        ("", ""),
    ],
)
def test_the_restoration_that_a_model_lies_in(started, model, restoration):
    assert importlib.import_module("nuke_plugin.following").restoration_of(model) == restoration


def test_a_folder_that_is_no_restoration_has_no_newest_model(started, tmp_path):
    newest_model = importlib.import_module("nuke_plugin.following").newest_model
    (tmp_path / "empty" / "runs" / "001").mkdir(parents=True)
    assert [newest_model(str(tmp_path / name)) for name in ("empty", "gone", "")] == [None, None, None]
