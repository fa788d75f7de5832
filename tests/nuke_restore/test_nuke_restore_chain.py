"""Restore nodes one after another: their pixels, what their cards say, and where flicker is measured."""

from __future__ import annotations

import importlib
from pathlib import Path

import numpy as np
import pytest
from standin_files import read_exr

from wetgate.cli.main import main
from wetgate.errors import WetgateError


def picture_of(node, frame):
    """Rows from the top, RGB."""
    return node._picture(frame, "main", 1).whole()[::-1, :, :3]


@pytest.fixture
def chain(started, restore_node, save_model):
    """Two temporal nodes, the second below the first; and their models."""
    models = [
        str(save_model("first.onnx", gain=0.5, radius=1)),
        str(save_model("second.onnx", gain=0.8, radius=1, steady=True)),
    ]
    started.select_only(restore_node)
    second = importlib.import_module("nuke").createNode("WetgateRestore")
    for node, model in zip((restore_node, second), models, strict=True):
        node["model"].setValue(model)
        node["device"].setValue("cpu")
    return restore_node, second, models


def test_the_pixels_of_apply_with_several_models(chain, tmp_path):
    first, second, models = chain
    words = ["apply", models[0], str(tmp_path / "scan"), str(tmp_path / "out"), "--then", models[1], "--no-steady"]
    assert main([*words, "--device", "cpu", "--json"]) == 0
    for frame in (1001, 1003, 1005):
        applied = read_exr(tmp_path / "out" / f"shot.{frame}.exr")
        np.testing.assert_allclose(picture_of(second, frame), applied, rtol=0, atol=1e-5)
        assert not np.allclose(picture_of(first, frame), applied, atol=1e-3)


def test_frames_rendered_in_the_background_come_through_both(chain, wait, applying, tmp_path):
    _, second, _ = chain
    second["output"].setValue(str(tmp_path / "files" / "shot.####.exr"))
    second["first"].setValue(1002)
    second["last"].setValue(1003)
    second["render"].execute()
    wait(lambda: not applying._jobs)
    for frame in (1002, 1003):
        written = read_exr(tmp_path / "files" / f"shot.{frame}.exr")
        np.testing.assert_allclose(written, picture_of(second, frame), atol=1e-5)


def test_a_node_before_that_cannot_restore_is_said(started, chain, wait, applying):
    first, second, models = chain
    bare = started.gizmo(Path(__file__).resolve().parents[2] / "gizmos" / "WetgateRestore.gizmo", first.input(0))
    bare.node("Restore")._kind = "Switch"
    second.setInput(0, bare)
    bare["model"].setValue(models[0])
    second["render"].execute()
    sentence = "WetgateRestore3 passes the scan of WetgateRestore2 unrestored, for the inference node is not installed"
    assert sentence in started.said[-1] and not applying._jobs
    bare["disable"].setValue(True)
    started.said.clear()
    second["render"].execute()
    assert started.said == []
    wait(lambda: not applying._jobs)


def test_the_card_of_a_later_node_knows_that_flicker_is_taken_out_before(chain, wait, applying, tmp_path):
    first, second, _ = chain
    wait(lambda: "press Measure flicker" in second["card"].value())
    first["curves"].setValue(str(tmp_path / "curves.json"))
    applying.changed(second.fullName(), "showPanel")
    wait(lambda: "is taken out by WetgateRestore1" in second["card"].value())
    assert "press Measure flicker" not in second["card"].value()
    second["curves"].setValue(str(tmp_path / "curves.json"))
    wait(lambda: "twice, here and by WetgateRestore1" in second["card"].value())


def test_a_steady_model_before_takes_flicker_out_without_curves_on_its_node(
    chain, wait, applying, save_model, tmp_path
):
    first, second, _ = chain
    first["model"].setValue(str(save_model("steady.wetgate/runs/001/model.onnx")))
    (tmp_path / "steady.wetgate" / "runs" / "001" / applying.SIDECAR).write_text("{}")
    applying.changed(second.fullName(), "showPanel")
    wait(lambda: "is taken out by WetgateRestore1" in second["card"].value())


def test_flicker_is_measured_on_the_node_that_has_the_scan(chain, applying):
    first, second, _ = chain
    with pytest.raises(WetgateError, match="WetgateRestore2 is behind WetgateRestore1: press Measure flicker there"):
        applying.measure(second.fullName())
    assert applying._jobs == {}
    assert Path(str(first["model"].value())).name == "first.onnx"
