"""A .cube does what the model does in whatever program reads it; a model that is no colour transform has none."""

from __future__ import annotations

import re

import numpy as np
import OpenImageIO as oiio
import pytest
from onnx import helper

from wetgate.errors import WetgateError
from wetgate.exporting.cube import MOST_DIFFERENCE, export, interpolate
from wetgate.images import from_linear, to_linear
from wetgate.inference.session import Session
from wetgate.onnx_model import ModelCard


def through_opencolorio(path, colours):
    """Colours [N, 3] as OpenColorIO reads the table: an implementation that is not ours."""
    pixels = colours[None].copy()
    buffer = oiio.ImageBuf(oiio.ImageSpec(pixels.shape[1], 1, 3, "float"))
    buffer.set_pixels(oiio.ROI(), pixels)
    result = oiio.ImageBufAlgo.ociofiletransform(buffer, str(path))
    assert not result.has_error, result.geterror()
    return result.get_pixels(oiio.FLOAT)[0]


def some_colours(count=500):
    return np.random.default_rng(11).random((count, 3), dtype=np.float32)


def restored(path, colours):
    picture = colours.T.reshape(1, 3, 1, -1)
    return Session(path, "cpu").run(picture)[0][0, :, 0].T


@pytest.mark.parametrize("encoding", ["display", "log"])
@pytest.mark.parametrize("size", [33, 65])
def test_a_fit_that_protects_nothing_becomes_a_table(save_color_model, tmp_path, encoding, size):
    path, cube = save_color_model(encoding, "none", whole=False), tmp_path / "grade.cube"
    result = export(path, cube, size=size)
    assert (result["size"], result["coding"]) == (size, encoding)
    assert result["difference"] < 1e-5
    colours = some_colours()
    errors = np.abs(through_opencolorio(cube, colours) - restored(path, colours))
    assert errors.max() <= 1.5 * result["interpolation"]["largest"] + 1e-5
    assert errors.mean() == pytest.approx(result["interpolation"]["mean"], rel=0.2, abs=1e-6)


def test_a_scene_linear_model_becomes_a_table_of_log_values(save_color_model, tmp_path):
    path, cube = save_color_model("linear", "none", whole=False), tmp_path / "grade.cube"
    result = export(path, cube, size=65)
    assert result["coding"] == "log"
    assert "# In and out: Cineon log" in cube.read_text()
    colours = some_colours()
    wanted = from_linear(restored(path, to_linear(colours, "log")), "log")
    assert np.abs(through_opencolorio(cube, colours) - wanted).max() < 5e-3


def test_what_the_file_says(save_color_model, tmp_path):
    cube = tmp_path / "grade.cube"
    export(save_color_model(protect="none", whole=False), cube)
    lines = cube.read_text(encoding="ascii").splitlines()
    assert [line for line in lines if line[0].isalpha()][1:] == [
        "LUT_3D_SIZE 33",
        "DOMAIN_MIN 0.0 0.0 0.0",
        "DOMAIN_MAX 1.0 1.0 1.0",
    ]
    assert "# In and out: display values, gamma coded" in lines
    assert sum(re.fullmatch(r"(-?\d+\.\d{7} ?){3}", line) is not None for line in lines) == 33**3


@pytest.mark.parametrize(("protect", "whole"), [("grain", False), ("luma", False), ("none", True)])
def test_where_surroundings_matter_it_is_refused_with_what_was_measured(save_color_model, tmp_path, protect, whole):
    path, cube = save_color_model(protect=protect, whole=whole), tmp_path / "grade.cube"
    with pytest.raises(WetgateError, match="is no pure colour transform.* up to ([0-9.]+) different") as refusal:
        export(path, cube)
    assert float(re.search(r"up to ([0-9.]+)", str(refusal.value))[1]) > 0.01
    assert not cube.exists()


@pytest.mark.parametrize(("share", "passes"), [(0.5, True), (1.5, False)])
def test_the_allowed_difference_is_a_step_of_ten_bits(save_graph, tmp_path, share, passes):
    """The pixel to the left has a small say: as much as ``share`` of a step when it goes from black to white."""
    weights = np.zeros((3, 3, 1, 2), np.float32)
    for channel in range(3):
        weights[channel, channel, 0] = share * MOST_DIFFERENCE, 1
    conv = helper.make_node("Conv", ["frames", "w"], ["restored"], pads=[0, 1, 0, 0])
    path, cube = save_graph([conv], {"w": weights}), tmp_path / "grade.cube"
    if passes:
        assert export(path, cube)["difference"] == pytest.approx(share * MOST_DIFFERENCE, rel=0.05)
    else:
        with pytest.raises(WetgateError, match="no pure colour transform"):
            export(path, cube)


def test_a_table_of_what_is_linear_is_exact_in_every_order_of_channels(save_graph, tmp_path):
    weights = np.float32([[0.8, 0.1, -0.2], [0.3, 0.5, 0.1], [0, 0.4, 1.1]]).reshape(3, 3, 1, 1)
    path, cube = (
        save_graph([helper.make_node("Conv", ["frames", "w"], ["restored"])], {"w": weights}),
        tmp_path / "m.cube",
    )
    result = export(path, cube)
    assert result["coding"] == "" and result["interpolation"]["largest"] < 1e-6
    colours = some_colours()
    np.testing.assert_allclose(through_opencolorio(cube, colours), colours @ weights[:, :, 0, 0].T, atol=1e-5)
    table = np.loadtxt(cube, skiprows=6, dtype=np.float32)
    np.testing.assert_allclose(interpolate(table, colours), colours @ weights[:, :, 0, 0].T, atol=1e-5)


def test_neighbouring_frames_have_no_place_in_a_table(save_graph, tmp_path):
    conv = helper.make_node("Conv", ["frames", "w"], ["restored"])
    path = save_graph([conv], {"w": np.ones((3, 9, 1, 1), np.float32)}, card=ModelCard("damage", radius=1))
    with pytest.raises(WetgateError, match="looks at neighbouring frames"):
        export(path, tmp_path / "grade.cube")


@pytest.mark.parametrize("least", [0, 2])
def test_a_model_that_gives_no_number_for_black_or_for_anything_is_refused(save_graph, tmp_path, least):
    log = [helper.make_node("Sub", ["frames", "least"], ["a"]), helper.make_node("Log", ["a"], ["restored"])]
    path = save_graph(log, {"least": np.float32(least)})
    with pytest.raises(WetgateError, match="gives no number for some colours"):
        export(path, tmp_path / "grade.cube")


def test_a_number_that_lacks_between_the_tables_colours_is_found(save_graph, tmp_path):
    """Within 0.00005 of one value only, which neither the table nor its surroundings hold."""
    nodes = [
        helper.make_node("Sub", ["frames", "hole"], ["a"]),
        helper.make_node("Abs", ["a"], ["b"]),
        helper.make_node("Sub", ["b", "reach"], ["c"]),
        helper.make_node("Sqrt", ["c"], ["d"]),
        helper.make_node("Mul", ["d", "nothing"], ["e"]),
        helper.make_node("Add", ["frames", "e"], ["restored"]),
    ]
    numbers = {"hole": np.float32(0.3137), "reach": np.float32(5e-5), "nothing": np.float32(0)}
    with pytest.raises(WetgateError, match="gives no number for some colours"):
        export(save_graph(nodes, numbers), tmp_path / "grade.cube")
    assert not (tmp_path / "grade.cube").exists()
