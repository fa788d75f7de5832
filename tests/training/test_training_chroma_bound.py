"""No colour leaves the hues and saturations that references show."""

from pathlib import Path

import numpy as np
import pytest
import torch

from wetgate.images import LUMA
from wetgate.onnx_model import ModelCard
from wetgate.training import chroma_bound
from wetgate.training.color_model import ColorModel, forward
from wetgate.training.onnx_export import export
from wetgate.training.torch_operations import Torch, tensor

RED, GREEN, BLUE = np.eye(3, dtype=np.float32)


def of_hue(colour, saturation, count=4000, seed=0):
    """Pixels [n, 3] from grey towards a colour, of different lightness."""
    generator = np.random.default_rng(seed)
    light = generator.uniform(0.1, 0.6, (count, 1)).astype(np.float32)
    share = generator.uniform(0, saturation, (count, 1)).astype(np.float32)
    return light * ((1 - share) + share * colour)


def bounded(values, bound):
    density = -np.log10(np.maximum(values, 1e-4))[None]
    answer = chroma_bound.apply(Torch(), tensor(density.astype(np.float32)), bound)
    return 10.0 ** -answer[0].permute(1, 2, 0).numpy()[0]


@pytest.fixture
def reds():
    values = of_hue(RED, 0.5)
    return values, chroma_bound.fit([values], [np.ones(len(values))])


def test_what_the_references_show_stays_as_it_is(reds):
    values, bound = reds
    inside = values[np.linalg.norm(chroma_bound.saturations(values), axis=1) < 0.4]
    assert len(inside) > 1000
    assert np.abs(bounded(inside, bound) - inside).max() < 2e-4


def test_a_colour_more_saturated_is_drawn_back_to_what_they_show(reds):
    values, bound = reds
    wild = of_hue(RED, 0.95, seed=1)
    most = np.linalg.norm(chroma_bound.saturations(values), axis=1).max()
    before = np.linalg.norm(chroma_bound.saturations(wild), axis=1)
    after = np.linalg.norm(chroma_bound.saturations(bounded(wild, bound)), axis=1)
    assert before.max() > 1.5 * most
    assert after.max() <= most * chroma_bound.MARGIN + 1e-3


def test_a_hue_that_they_do_not_show_turns_grey(reds):
    _, bound = reds
    for colour in (GREEN, BLUE):
        after = bounded(of_hue(colour, 0.9, seed=2), bound)
        assert np.linalg.norm(chroma_bound.saturations(after), axis=1).max() < 0.02


def test_luma_and_hue_stay(reds):
    _, bound = reds
    wild = of_hue(RED, 0.95, seed=3)
    after = bounded(wild, bound)
    assert np.abs(after @ LUMA - wild @ LUMA).max() < 2e-3
    ways = [chroma_bound.saturations(one) for one in (wild, after)]
    lengths = [np.linalg.norm(one, axis=1) for one in ways]
    seen = np.minimum(*lengths) > 0.05
    cosine = (ways[0] * ways[1]).sum(1)[seen] / (lengths[0] * lengths[1])[seen]
    assert seen.sum() > 1000
    assert cosine.min() > 0.999


def test_a_few_stray_pixels_do_not_widen_it():
    values = np.concatenate([of_hue(RED, 0.5, 20000), of_hue(BLUE, 0.9, 3)])
    bound = chroma_bound.fit([values], [np.ones(len(values))])
    after = bounded(of_hue(BLUE, 0.9, seed=4), bound)
    assert np.linalg.norm(chroma_bound.saturations(after), axis=1).max() < 0.02


@pytest.mark.parametrize("density", [0.0, 0.3, 1.806, 5.0, -1.0])
def test_grey_stays_grey(reds, density):
    """It has no hue at all."""
    grey = torch.full((1, 3, 2, 2), density)
    np.testing.assert_allclose(chroma_bound.apply(Torch(), grey, reds[1]), grey.clamp(max=3.0), atol=1e-4)


@pytest.mark.parametrize("value", [-0.5, -0.1, 3.0, 1e4])
@pytest.mark.parametrize("encoding", ["display", "linear", "log"])
def test_what_no_picture_holds_gives_numbers(reds, value, encoding):
    coefficients = np.zeros((10, 3), np.float32)
    coefficients[1:4] = [[1.5, -0.2, 0.1], [0.3, 0.9, 0.1], [-0.5, 0.2, 1.2]]
    coefficients[4:] = -0.3
    for bound in (None, reds[1]):
        model = ColorModel(encoding, "grain", coefficients, LUMA, bound=bound)
        for channels in ([0, 1, 2], [0], [2]):
            scan = torch.full((1, 3, 16, 16), 0.4)
            scan[:, channels, 4:8, 4:8] = value
            assert forward(Torch(), scan, model).isfinite().all(), (bound is None, channels)


@pytest.mark.parametrize("protect", ["grain", "luma", "none"])
def test_a_bounded_model_gives_no_other_colours_whatever_it_is_shown(reds, protect):
    """The fit turns everything into saturated blues and greens; only reds were ever shown to it."""
    _, bound = reds
    coefficients = np.zeros((10, 3), np.float32)
    coefficients[1:4] = [[2.5, -0.2, 0.1], [0.3, 0.2, 0.4], [-0.5, 1.7, 0.2]]
    model = ColorModel("display", protect, coefficients, LUMA, bound=bound)
    patches = np.random.default_rng(5).uniform(0.05, 0.9, (4, 5, 3)).astype(np.float32)
    scan = patches.repeat(8, axis=0).repeat(8, axis=1)
    restored = forward(Torch(), tensor(scan), model)[0].permute(1, 2, 0).numpy()
    loose = forward(Torch(), tensor(scan), model.with_(bound=None))[0].permute(1, 2, 0).numpy()
    found, without = (np.linalg.norm(chroma_bound.saturations(one + 1 / 64), axis=2).max() for one in (restored, loose))
    allowed = float(bound.reach.max()) + 0.02
    assert without > 1.5 * allowed
    assert found <= allowed
    if protect == "luma":
        assert np.abs((restored - scan) @ LUMA).max() < 1e-5


def test_onnx_gives_what_torch_gives(reds, tmp_path: Path):
    onnxruntime = pytest.importorskip("onnxruntime")
    _, bound = reds
    coefficients = np.zeros((10, 3), np.float32)
    coefficients[1:4] = np.eye(3) * 1.4
    scan = np.random.default_rng(6).uniform(0, 1, (24, 32, 3)).astype(np.float32)
    for protect in ("grain", "luma"):
        model = ColorModel("display", protect, coefficients, LUMA, bound=bound)
        path = tmp_path / f"{protect}.onnx"
        card = ModelCard(
            recipe="exemplar",
            encoding="display",
            colour_space="as the scan",
            protected=protect,
            record={},
            producer="test",
        )
        export(path, lambda ops, frames, model=model: forward(ops, frames, model), card)
        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        answer = session.run(["restored"], {"frames": scan.transpose(2, 0, 1)[None]})[0]
        assert np.abs(answer - forward(Torch(), tensor(scan), model).numpy()).max() < 1e-4
