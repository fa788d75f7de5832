"""The model file computes what the model computes in torch."""

from __future__ import annotations

import itertools
import subprocess
import sys

import numpy as np
import onnx
import pytest
from color_pictures import smooth_picture, torch_answer

from wetgate.errors import WetgateError
from wetgate.images import to_display
from wetgate.inference.session import Session
from wetgate.onnx_model import ModelCard, local_paths_in, read_card
from wetgate.training.color_model import PROTECTED, forward
from wetgate.training.onnx_export import export

SIZES = [(1, 1), (1, 7), (37, 53), (101, 203)]
ENCODINGS = ("display", "linear", "log")


def answer(path, *pictures):
    restored, coverage = Session(path, "cpu").run(np.stack([picture.transpose(2, 0, 1) for picture in pictures]))
    assert coverage is None
    return restored.transpose(0, 2, 3, 1)


def noisy(height, width, seed=1):
    """Patches and grain."""
    grain = np.random.default_rng(seed).normal(0, 0.02, (height, width, 3))
    return (smooth_picture(seed, height, width) + grain).astype(np.float32)


@pytest.mark.parametrize(
    ("encoding", "protect", "parts"),
    [
        *itertools.product(ENCODINGS, PROTECTED, ("fit", "both")),
        *itertools.product(ENCODINGS, ("grain",), ("kernels", "context")),
    ],
)
def test_the_file_answers_as_torch_does_at_any_size(make_model, save_color_model, encoding, protect, parts):
    model = make_model(
        encoding, protect, with_kernels=parts in ("kernels", "both"), with_context=parts in ("context", "both")
    )
    path = save_color_model(model)
    session = Session(path, "cpu")
    for height, width in SIZES:
        scan = noisy(height, width)
        restored = session.run(scan.transpose(2, 0, 1)[None])[0][0].transpose(1, 2, 0)
        assert restored.shape == scan.shape
        np.testing.assert_allclose(restored, torch_answer(scan, model), atol=1e-4, rtol=0)


def test_pictures_of_a_batch_do_not_touch(make_model, save_color_model):
    path = save_color_model(make_model())
    first, second = noisy(24, 40, 1), noisy(24, 40, 2)
    together = answer(path, first, second)
    np.testing.assert_allclose(together[0], answer(path, first)[0], atol=1e-6)
    np.testing.assert_allclose(together[1], answer(path, second)[0], atol=1e-6)


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_in_half_precision_it_looks_the_same(make_model, save_color_model, encoding):
    model = make_model(encoding)
    whole, half = save_color_model(model), save_color_model(model, "half.onnx", half=True)
    scan = noisy(37, 53)
    shown = [to_display(answer(path, scan)[0], encoding) for path in (whole, half)]
    assert np.abs(shown[0] - shown[1]).max() < 5e-3
    types = {tensor.data_type for tensor in onnx.load(half).graph.initializer}
    assert onnx.TensorProto.FLOAT16 in types
    graph = onnx.load(half).graph
    assert [v.type.tensor_type.elem_type for v in (*graph.input, *graph.output)] == [onnx.TensorProto.FLOAT] * 2
    assert half.stat().st_size < whole.stat().st_size


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("protect", PROTECTED)
def test_nothing_is_clamped(make_model, save_color_model, encoding, protect):
    """Below black and above white the answer goes on, in the file as in torch."""
    model = make_model(encoding, protect, with_kernels=False, with_context=False)
    plain = np.zeros((10, 3), np.float32)
    plain[1:4] = np.eye(3)
    path = save_color_model(model.with_(coefficients=plain, detail=np.full(3, 1 / 3, np.float32)))
    for level in (-0.5, -0.02, 1.5, 40.0):
        scan = np.full((16, 16, 3), level, np.float32)
        np.testing.assert_allclose(answer(path, scan)[0], scan, rtol=2e-4, atol=2e-4)
    path = save_color_model(make_model(encoding, protect), "all.onnx")
    scan = noisy(32, 32) * 1.8 - 0.05
    restored = answer(path, scan)[0]
    wanted = torch_answer(scan, make_model(encoding, protect))
    assert np.isfinite(restored).all()
    np.testing.assert_allclose(restored, wanted, rtol=2e-4, atol=2e-4)


def test_the_same_model_gives_the_same_bytes(make_model, save_color_model):
    path = save_color_model(make_model())
    again = save_color_model(make_model(), "again.onnx")
    assert path.read_bytes() == again.read_bytes()


def test_the_file_is_valid_and_holds_no_path_of_this_machine(make_model, save_color_model):
    record = {"sources": [{"name": "shot.####.dpx"}], "seed": 3}
    path = save_color_model(make_model(), record=record, producer="wetgate test")
    onnx.checker.check_model(onnx.load(path), full_check=True)
    assert local_paths_in(path.read_bytes()) == []
    card = read_card(path)
    assert (card.recipe, card.encoding, card.protected, card.record) == ("color", "display", "grain", record)
    assert (card.radius, card.multiple) == (0, 8)
    assert card.halo > 0


def test_a_plain_fit_needs_a_small_halo_and_context_a_larger_one(make_model, save_color_model):
    halos = [
        read_card(save_color_model(make_model(with_kernels=False, with_context=wide))).halo for wide in (False, True)
    ]
    assert halos[0] < 10 < halos[1] < 200


def test_a_model_is_written_without_torch(make_model, tmp_path):
    code = """
import sys
sys.modules["torch"] = None
import numpy as np
from pathlib import Path
from wetgate.onnx_model import ModelCard
from wetgate.training.closed_form import first_model
from wetgate.training.color_model import forward
from wetgate.training.onnx_export import export
from wetgate.training.samples import make_sample
pixels = np.random.default_rng(0).random((24, 32, 3), dtype=np.float32)
model = first_model([make_sample(pixels, 1 - pixels, "display", number=1, frame=1)], "display", "grain")
export(Path(sys.argv[1]), lambda ops, frames: forward(ops, frames, model), ModelCard("color"))
"""
    path = tmp_path / "first.onnx"
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert answer(path, noisy(9, 11)).shape == (1, 9, 11, 3)


def test_a_failed_export_leaves_the_model_before(make_model, tmp_path):
    model = make_model()
    (tmp_path / "file").write_text("x")
    with pytest.raises(WetgateError, match="file stands where a folder is needed"):
        export(tmp_path / "file" / "m.onnx", lambda ops, frames: forward(ops, frames, model), ModelCard("color"))
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
