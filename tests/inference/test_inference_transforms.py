"""Transforms: frames brought to rest with one resampling, alike in a sequence, on the server and in proxies."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from onnx import helper
from onnx_graphs import model_of

from wetgate.errors import WetgateError
from wetgate.evaluation.metrics import Comparison
from wetgate.images import open_sink, open_source, read_image, write_image
from wetgate.inference.curves import STILL, Curves, density_of, load_curves, sidecar, values_of
from wetgate.inference.sequences import apply
from wetgate.inference.session import Session
from wetgate.inference.transforms import UNMOVED, Transform, Transforms
from wetgate.onnx_model import ModelCard
from wetgate.service.client import ServerError

TILTED = Transform(2.3, -1.7, 0.4, 0.99, 0.985)


def noise(height=40, width=60, seed=0):
    return np.random.default_rng(seed).random((height, width, 3), dtype=np.float32)


def moving(*transforms, size=(60, 40), encoding="display", curve=STILL):
    """Curves of frames from 1 on."""
    frames = dict(enumerate(transforms, 1))
    return Curves(encoding, dict.fromkeys(frames, curve), transforms=Transforms(size, frames))


def waves(x, y):
    return 0.5 + 0.3 * np.sin(0.31 * x + 0.17 * y) + 0.2 * np.cos(0.9 * y - 0.4 * x)


def test_a_frame_at_rest_is_the_scans_own_array():
    picture = noise()
    assert moving(UNMOVED).steady(1, picture) is picture


@pytest.mark.parametrize("encoding", ["display", "linear", "log"])
def test_whole_pixels_change_no_bit(encoding):
    picture = 6 * noise() - 2
    picture[3, 4] = -0.0
    moved = moving(Transform(3, -2), encoding=encoding).steady(1, picture)
    assert moved[2:, :-3].tobytes() == picture[:-2, 3:].tobytes()
    assert np.array_equal(moved[:2, :-3], picture[[0, 0], 3:])
    assert np.array_equal(moved[2:, -3:], picture[:-2, [-1, -1, -1]])


def test_the_picture_is_seen_where_the_scan_shows_it():
    height, width = 160, 220
    y, x = np.mgrid[:height, :width].astype(float)
    scan = np.repeat(waves(x, y)[..., None], 3, axis=2).astype(np.float32)
    moved = moving(TILTED, size=(width, height)).steady(1, scan)
    turn = np.radians(TILTED.rotation)
    across, down = (x - (width - 1) / 2) * TILTED.width, (y - (height - 1) / 2) * TILTED.height
    there = (
        (width - 1) / 2 + TILTED.x + np.cos(turn) * across - np.sin(turn) * down,
        (height - 1) / 2 + TILTED.y + np.sin(turn) * across + np.cos(turn) * down,
    )
    inner = np.s_[16:-16, 16:-16]
    assert np.abs(moved[inner][..., 1] - waves(*there)[inner]).max() < 1e-3


@pytest.mark.parametrize("shape", [(1, 1), (1, 50), (37, 1), (2, 3)])
def test_tiny_pictures_can_be_moved(shape):
    picture = noise(*shape)
    moved = moving(TILTED, size=shape[::-1]).steady(1, picture)
    assert moved.shape == picture.shape and np.isfinite(moved).all()
    if shape == (1, 1):
        np.testing.assert_allclose(moved, picture, rtol=1e-6)


def test_even_areas_stay_exactly_even_up_to_rounding():
    grey = np.full((50, 70, 3), 0.18, np.float32)
    np.testing.assert_allclose(moving(TILTED, size=(70, 50)).steady(1, grey), grey, rtol=1e-6)


def test_grain_of_a_pixels_size_keeps_its_energy():
    grain = 0.5 + 0.1 * np.random.default_rng(1).normal(size=(256, 256, 1)).astype(np.float32).repeat(3, axis=2)
    shifts = np.random.default_rng(2).uniform(-3, 3, (6, 2))
    gains = [
        Comparison(moving(Transform(x, y), size=(256, 256)).steady(1, grain), grain, inset=16).hf_gain
        for x, y in shifts
    ]
    assert 0.88 < np.mean(gains) < 1.0


def test_bright_light_in_linear_pictures_leaves_no_dark_rings():
    picture = np.full((40, 60, 3), 0.02, np.float32)
    picture[18:22, 28:32] = 12.0
    moved = moving(Transform(0.5, 0.5), encoding="linear").steady(1, picture)
    assert moved.min() > 0


def test_exposure_and_place_come_together():
    curve = ((0.05, 0.02), (0.0, 0.01), (-0.03, 0.0))
    picture = noise()
    both = moving(Transform(1, 0), curve=curve).steady(1, picture)
    gain, offset = (np.array([c[k] for c in curve], np.float32) for k in (1, 0))
    exposed = values_of(density_of(picture, "display") * (1 + gain) + offset, "display")
    np.testing.assert_allclose(both[:, :-1], exposed[:, 1:], rtol=1e-6)


def test_a_proxy_moves_by_as_much_less():
    y, x = np.mgrid[:240, :320].astype(float)
    full = np.repeat(waves(x / 4, y / 4)[..., None], 3, axis=2).astype(np.float32)
    half = np.repeat(waves((2 * x + 0.5) / 4, (2 * y + 0.5) / 4)[..., None], 3, axis=2)[:120, :160].astype(np.float32)
    curves = moving(TILTED, size=(320, 240))
    large, small = curves.steady(1, full), curves.steady(1, half)
    halved = large.reshape(120, 2, 160, 2, 3).mean(axis=(1, 3))
    assert np.abs(halved - small)[10:-10, 10:-10].max() < 0.01


def test_pictures_of_another_shape_are_refused():
    with pytest.raises(WetgateError, match="60 x 40 pixels, this one is 40 x 60"):
        moving(TILTED).steady(1, noise(60, 40))


def test_frames_that_were_not_measured_are_named():
    curves = Curves("display", {1: STILL, 2: STILL}, transforms=Transforms((60, 40), {1: TILTED}))
    with pytest.raises(WetgateError, match="know no frame 2"):
        curves.steady(2, noise())


def test_files_come_back_and_older_ones_are_read(tmp_path):
    curves = moving(TILTED, UNMOVED, curve=((0.05, 0.02), (0.0, 0.01), (-0.03, 0.0)))
    (tmp_path / "new.json").write_text(curves.dumps())
    assert load_curves(tmp_path / "new.json") == curves
    assert json.loads(curves.dumps())["schema"] == 2
    plain = Curves("log", {4: STILL}, ((4, 4),), "scan")
    assert json.loads(plain.dumps()) == {
        "schema": 1,
        "scan": "scan",
        "encoding": "log",
        "shots": [[4, 4]],
        "frames": {"4": [[0.0, 0.0]] * 3},
    }
    (tmp_path / "old.json").write_text(plain.dumps())
    assert load_curves(tmp_path / "old.json") == plain


@pytest.mark.parametrize(
    "damage",
    [
        {"size": [0, 40], "frames": {}},
        {"size": [60, 40], "frames": {"1": [0, 0, 0, 1]}},
        {"size": [60, 40], "frames": {"1": [0, 0, float("nan"), 1, 1]}},
        {"size": [60, 40], "frames": {"1": [0, 0, 0, 0, 1]}},
        {"size": [60, 40], "frames": {"1": [0, 0, 90, 1, 1]}},
        {"size": [60, 40], "frames": {"1": [1e30, 0, 0, 1, 1]}},
        {"size": [60, 40], "frames": {"1": [10**400, 0, 0, 1, 1]}},
        {"size": [float("inf"), 40], "frames": {}},
        {"frames": {}},
        None,
    ],
)
def test_damaged_transforms_are_refused(damage):
    whole = moving(TILTED).to_json() | {"transforms": damage}
    with pytest.raises(WetgateError, match="damaged"):
        Curves.from_json(whole)


@pytest.mark.parametrize(
    "damage",
    [
        {"frames": {"1": [[10**400, 0]] * 3}},
        {"frames": {"1": [[1e300, 0]] * 3}},
        {"frames": {"1": [[float("nan"), 0]] * 3}},
        {"shots": [[1, float("inf")]]},
        {"schema": 3},
    ],
)
def test_damaged_curves_are_refused_by_the_name_of_their_file(damage, tmp_path):
    path = tmp_path / "steady.json"
    path.write_text(json.dumps(moving(TILTED).to_json() | damage))
    with pytest.raises(WetgateError, match=r"steady\.json are damaged"):
        load_curves(path)


def run(model, scan, output, curves, **options):
    with open_source(scan) as source:
        return apply(Session(model, "cpu"), source, open_sink(output, source), curves=curves, **options)


def test_a_sequence_is_brought_to_rest_and_says_so(gain, save_sequence, tmp_path):
    scan, output = save_sequence([1, 2, 3], depth="float"), tmp_path / "out"
    curves = moving(TILTED, UNMOVED, Transform(2, 1), size=(24, 16))
    result = run(gain(1.0), scan, output, curves)
    for number in (1, 2, 3):
        before, after = (read_image(folder / f"shot.{number:04d}.exr") for folder in (scan, output))
        assert np.array_equal(after.pixels, curves.steady(number, before.pixels))
        assert ("wetgate:transform" in after.header.attributes) is (number != 2)
    assert (result["steadied"]["moved"], result["steadied"]["furthest_px"]) == (2, 2.86)

    assert run(gain(1.0), scan, output, curves)["kept"] == 3
    other = moving(TILTED, UNMOVED, Transform(2, 0), size=(24, 16))
    assert run(gain(1.0), scan, output, other)["kept"] == 2
    measured_twice_as_large = moving(TILTED, UNMOVED, Transform(2, 0), size=(48, 32))
    assert run(gain(1.0), scan, output, measured_twice_as_large)["kept"] == 0


def test_curves_of_another_encoding_are_refused(gain, serving, save_sequence, tmp_path):
    scan, model, curves = save_sequence([1], depth="float"), gain(1.0), moving(UNMOVED, size=(24, 16), encoding="log")
    with pytest.raises(WetgateError, match=r"measured on log pictures, but the model \(color\) was trained on display"):
        run(model, scan, tmp_path / "out", curves)
    (tmp_path / "log.json").write_text(curves.dumps())
    with serving.client() as client, pytest.raises(ServerError, match="measured on log pictures"):
        client.render_file(
            [scan / "shot.0001.exr"], tmp_path / "a.exr", model, numbers=[1], curves=tmp_path / "log.json"
        )


def test_a_foreign_models_receipts_say_for_which_encoding_the_curves_were(save_model, save_sequence, tmp_path):
    foreign = save_model(model_of([helper.make_node("Identity", ["frames"], ["restored"])]), "foreign.onnx")
    scan, output, curve = save_sequence([1], depth="float"), tmp_path / "out", ((0.1, 0.2),) * 3
    for encoding in ("display", "linear"):
        assert run(foreign, scan, output, Curves(encoding, {1: curve}))["kept"] == 0
        assert run(foreign, scan, output, Curves(encoding, {1: curve}))["kept"] == 1


def test_what_is_masked_or_no_number_stays_where_the_scan_has_it(gain, tmp_path):
    scan, output, mask = tmp_path / "scan.0001.exr", tmp_path / "out" / "scan.0001.exr", tmp_path / "mask.png"
    picture = noise()
    picture[10, 50] = np.nan
    write_image(scan, picture, bit_depth="float")
    white = np.zeros((40, 60, 3), np.float32)
    white[:, 30:] = 1
    write_image(mask, white)
    with open_source(mask) as masks:
        result = run(gain(1.0), scan, output, moving(TILTED), mask=masks)
    found = read_image(output).pixels
    assert found[:, :30].tobytes() == picture[:, :30].tobytes()
    assert np.isnan(found[10, 50]).all() and np.isfinite(np.delete(found[10], 50, axis=0)).all()
    assert np.abs(found[:, 31:] - picture[:, 31:])[np.isfinite(picture[:, 31:])].max() > 0.1
    assert result["bad_pixels"] == {"1": 1}


@pytest.fixture
def steady_model(save_model):
    """A model of the recipe `steady`, without what lies beside it."""
    card = ModelCard(recipe="steady", record={"settings": {"steady": True}})
    return save_model(model_of([helper.make_node("Identity", ["frames"], ["restored"])], card=card), "steady.onnx")


def test_the_server_moves_frames_as_a_sequence_does(serving, steady_model, tmp_path):
    curves = moving(TILTED, Transform(1, 1))
    sidecar(steady_model).write_text(curves.dumps())
    picture = noise()
    scan, served = tmp_path / "scan" / "shot.0001.exr", tmp_path / "served" / "shot.0001.exr"
    scan.parent.mkdir()
    write_image(scan, picture, bit_depth="float")
    named = tmp_path / "named.json"
    named.write_text(moving(Transform(5, 0)).dumps())
    with serving.client() as client:
        assert "exposure curves" not in client.describe(steady_model).limits
        client.render_file([scan], served, steady_model, numbers=[1])
        assert np.array_equal(read_image(served).pixels, curves.steady(1, picture))
        client.render_file([scan], served, steady_model, numbers=[1], curves=named)
        assert np.array_equal(read_image(served).pixels[:, :-5], picture[:, 5:])
        with pytest.raises(ServerError, match="no frame 7"):
            client.render_file([scan], served, steady_model, numbers=[7])
        sidecar(steady_model).unlink()
        assert "exposure curves" in client.describe(steady_model).limits
        with pytest.raises(ServerError, match=r"steady\.json is missing"):
            client.render_file([scan], served, steady_model, numbers=[1])


def test_a_sidecar_lies_beside_its_model():
    assert sidecar(Path("runs") / "001" / "model.onnx") == Path("runs") / "001" / "steady.json"
