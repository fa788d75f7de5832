"""The WetgateRestore gizmo, read by real Tcl, with the real inference node inside; it opens without the node, too."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import inference_node
import numpy as np
import pytest
import standin_knobs
import standin_tcl
from standin_files import pixels_of, write_exr

ROOT = Path(__file__).resolve().parents[2]
GIZMO = ROOT / "gizmos" / "WetgateRestore.gizmo"
SCAN = pixels_of(1003)


def picture_of(node, frame=1003):
    """Rows from the top, RGB."""
    return node._picture(frame, "main", 1).whole()[::-1, :, :3]


@pytest.fixture
def gizmo():
    (loaded,) = standin_tcl.load(GIZMO)
    return loaded


# Pixels


@pytest.mark.parametrize(
    ("show", "expected"), [("restored", SCAN * np.float32(0.5)), ("change", SCAN * np.float32(-0.5)), ("scan", SCAN)]
)
def test_the_gizmo_shows_what_is_chosen(restore_node, save_model, show, expected):
    restore_node["model"].setValue(str(save_model(gain=0.5)))
    restore_node["show"].setValue(show)
    np.testing.assert_array_equal(picture_of(restore_node), expected)


def test_the_gizmo_looks_at_neighbours(restore_node, save_model):
    restore_node["model"].setValue(str(save_model(gain=0.5, radius=1)))
    expected = 0.5 * SCAN + 0.1 * (pixels_of(1002) + pixels_of(1004))
    np.testing.assert_allclose(picture_of(restore_node), expected, atol=1e-6)


def test_the_gizmo_mixes(restore_node, save_model):
    restore_node["model"].setValue(str(save_model(gain=0.5)))
    restore_node["mix"].setValue(0.0)
    np.testing.assert_array_equal(picture_of(restore_node), SCAN)


def test_the_gizmos_mask_is_its_alpha_and_outside_stays_the_scan_bit_for_bit(
    started, restore_node, save_model, tmp_path
):
    """As artists in Nuke expect it: a Roto below the scan holds the scan's colours and a matte in its alpha."""
    matte = np.dstack([SCAN, np.zeros((48, 64), np.float32)])
    matte[:, :20, 3] = 1
    write_exr(tmp_path / "mask.1003.exr", matte)
    restore_node.setInput(1, started.read(tmp_path / "mask.####.exr", 1003, 1003))
    restore_node["model"].setValue(str(save_model(gain=0.5)))
    made = picture_of(restore_node)
    np.testing.assert_array_equal(made[:, :20], SCAN[:, :20] * np.float32(0.5))
    np.testing.assert_array_equal(made[:, 20:], SCAN[:, 20:])


@pytest.mark.parametrize("at", [0.0, 0.25, 1.0])
def test_the_gizmos_wipe_has_the_scan_on_the_left(restore_node, save_model, at):
    restore_node["model"].setValue(str(save_model(gain=0.5)))
    restore_node["wipe"].setValue(True)
    restore_node["wipe_position"].setValue(at)
    made, line = picture_of(restore_node), round(64 * at)
    np.testing.assert_array_equal(made[:, :line], SCAN[:, :line])
    np.testing.assert_array_equal(made[:, line:], SCAN[:, line:] * np.float32(0.5))


# Without the inference node


@pytest.fixture
def bare_node(started, save_scan):
    return started.gizmo(GIZMO, started.read(save_scan([1003]), 1003, 1003))


def test_without_the_node_the_gizmo_opens_and_the_picture_passes(bare_node):
    bare_node["model"].setValue("/films/model.onnx")
    bare_node["mix"].setValue(0.5)
    np.testing.assert_array_equal(picture_of(bare_node), SCAN)
    assert bare_node["model"].value() == "/films/model.onnx" and bare_node["mix"].value() == 0.5
    assert "not installed" in bare_node["status"].value()


def test_without_the_node_the_gizmo_has_the_same_knobs(started, bare_node, ofx):
    inference_node.teach(started, ofx)
    real, fallback = started.node(inference_node.CLASS), bare_node.node("Restore")
    for name in ofx.contexts["General"].parameters:
        assert type(fallback[name]) is type(real[name]), name
        if name != "status":
            assert fallback[name].value() == real[name].value(), name
        if isinstance(real[name], standin_knobs.Enumeration_Knob):
            assert fallback[name].values() == real[name].values()


def test_the_gizmo_asks_for_the_class_that_the_binary_is(gizmo, ofx):
    said = ofx.plugin
    name = f"OFX{said.identifier.decode()}_v{said.major}"
    assert name == inference_node.CLASS
    assert [inner.kind for inner in gizmo.inside].count(name) == 1


# Knobs


def test_every_knob_of_the_gizmo_is_documented(gizmo):
    shown = [words for words in gizmo.user if words[0] != "20" and not (words[0] == "26" and "T" not in words)]
    assert len(shown) > 20
    for words in shown:
        assert "t" in words and len(words[words.index("t") + 1]) > 20, words[1]
    assert len(dict(gizmo.knobs)["help"]) > 100


def test_knobs_that_python_names_are_the_gizmos(gizmo):
    here = {words[1] for words in gizmo.user}
    named = set()
    for path in (ROOT / "nuke_plugin" / "applying.py", ROOT / "nuke_plugin" / "background.py"):
        for call in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute):
                if call.func.attr in ("knob", "path") and len(call.args) == 2:
                    named |= {getattr(call.args[1], "value", "model")}  # a name in a variable is looked at elsewhere
                elif call.func.attr == "set_quietly":
                    named |= {word.arg for word in call.keywords if word.arg}
    assert len(named) > 8 and named <= here


def test_buttons_of_the_gizmo_call_what_there_is(gizmo, applying):
    scripts = [words[words.index("T") + 1] for words in gizmo.user if words[0] == "22"]
    assert len(scripts) == 3
    for script in scripts:
        (name,) = re.findall(r"press\('(\w+)'\)", script)
        assert callable(getattr(applying, name))


def test_a_knob_of_a_saved_node_is_never_given_up(gizmo):
    """What scripts in the world set: a name may be added here and none may go."""
    assert {words[1] for words in gizmo.user} >= {
        *("model", "update", "status", "show", "wipe", "wipe_position", "mix", "follow", "restoration"),
        *("first", "last", "output", "device", "frameOffset", "curves", "revision", "wetgate_version"),
        *("protects", "card", "job", "render", "cancel", "measure"),
    }


def test_the_gizmo_opens_a_script_that_a_pipeline_wrote(started, ofx, places, open_script, applying):
    inference_node.teach(started, ofx)
    nodes = open_script(Path(__file__).with_name("restore_v0.nk"))
    said = {name: knob.value() for name, knob in nodes["Restore_reel3"].knobs().items()}
    assert said["model"] == "C:/films/reel3.wetgate/runs/002/model.onnx"
    assert said["output"] == "D:/out/reel3.####.exr"
    assert (said["show"], said["mix"], said["device"], said["frameOffset"]) == ("change", 0.75, "cpu", -3)
    assert (said["wipe"], said["wipe_position"], said["first"], said["last"]) == (True, 0.25, 1002, 1004)
    assert said["curves"] == "/films/curves-12.json"
    plain = {name: knob.value() for name, knob in nodes["Restore_plain"].knobs().items()}
    assert (plain["show"], plain["mix"], plain["wipe"]) == ("restored", 1.0, False)
    for each in (said, plain):
        assert each["wetgate_version"] == len(applying.UPGRADES) > 0


def test_a_script_of_a_newer_version_keeps_its_knobs(started, ofx, places, open_script, tmp_path, capsys):
    inference_node.teach(started, ofx)
    (tmp_path / "new.nk").write_text("WetgateRestore {\n model {a\\b.onnx}\n wetgate_version 99\n name R\n}\n")
    node = open_script(tmp_path / "new.nk")["R"]
    assert node["wetgate_version"].value() == 99 and node["model"].value() == "a\\b.onnx"
    assert "R was made with a newer Wetgate" in capsys.readouterr().out


def test_a_damaged_gizmo_is_no_gizmo(tmp_path):
    text = GIZMO.read_text(encoding="utf-8")
    for damaged in (text.replace("end_group", ""), text[: len(text) // 2], text.replace("\n}\n", "\n", 1)):
        (tmp_path / "Broken.gizmo").write_text(damaged, encoding="utf-8")
        with pytest.raises(standin_tcl.Damaged):
            standin_tcl.load(tmp_path / "Broken.gizmo")
