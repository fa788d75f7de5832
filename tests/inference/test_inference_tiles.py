"""Sessions and tiles: tiled is whole, bit for bit, and memory stays within its budget."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import onnxruntime
import pytest
from onnx import TensorProto, helper
from onnx_graphs import constant, encoder_decoder, model_of, value

from wetgate.errors import WetgateError
from wetgate.inference import session as session_module
from wetgate.inference.session import OutOfMemory, Session
from wetgate.inference.tiles import Restorer, spans
from wetgate.onnx_model import ModelCard


def frame_of(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random((height, width, 3), dtype=np.float32)


@pytest.mark.parametrize("multiple", [1, 4, 16])
@pytest.mark.parametrize("halo", [0, 1, 7, 40])
def test_spans_keep_each_pixel_once_with_its_halo(halo, multiple):
    for length in (1, 3, 16, 97, 333):
        for side in (1, 5, 32, 100):
            kept = []
            for span in spans(length, side, halo, multiple):
                assert span.read.start % multiple == 0
                assert span.read.start == 0 or span.keep.start - span.read.start >= halo
                assert span.read.stop == length or span.read.stop - span.keep.stop >= halo
                kept += range(span.keep.start, span.keep.stop)
            assert kept == list(range(length))


@pytest.mark.parametrize(("height", "width"), [(123, 157), (64, 200), (40, 37), (201, 96), (1, 300)])
@pytest.mark.parametrize("tile", [8, 20, 33, 64])
def test_tiles_equal_the_whole_frame_bit_for_bit(deep, height, width, tile):
    session = Session(deep, "cpu")
    frame = frame_of(height, width)
    whole, _ = session.run(np.ascontiguousarray(frame.transpose(2, 0, 1))[None])
    tiled, *_ = Restorer(session, tile).restore([frame])
    assert np.array_equal(tiled, whole[0].transpose(1, 2, 0))


def test_too_small_a_halo_would_show(save_model):
    session = Session(save_model(encoder_decoder(halo=0)), "cpu")
    frame = frame_of(96, 96)
    whole, *_ = Restorer(session).restore([frame])
    tiled, *_ = Restorer(session, 32).restore([frame])
    assert not np.array_equal(tiled, whole)


@pytest.mark.parametrize("size", [(1, 1), (1, 2), (3, 1), (5, 7)])
def test_tiny_frames(deep, size):
    restored, coverage, _ = Restorer(Session(deep, "cpu")).restore([frame_of(*size)])
    assert restored.shape == (*size, 3)
    assert coverage is None


def test_coverage_comes_as_one_plane(gain):
    _restored, coverage, _ = Restorer(Session(gain(coverage=True), "cpu"), 16).restore([frame_of(30, 50)])
    assert coverage is not None and coverage.shape == (30, 50)
    assert (coverage == 0.75).all()


def test_memory_that_does_not_suffice_makes_smaller_tiles(save_model, tmp_path):
    """In a process of its own, since the budget is the process's."""
    path = save_model(encoder_decoder(width=32), "wide.onnx")
    script = f"""
import numpy as np
from wetgate.inference import session
session.CPU_BUDGET = 24 << 20
from wetgate.inference.session import OutOfMemory, Session
from wetgate.inference.tiles import Restorer
model = Session({str(path)!r}, "cpu")
frame = np.random.default_rng(0).random((500, 700, 3), dtype=np.float32)
restorer = Restorer(model)
restored, *_ = restorer.restore([frame])
assert 32 <= restorer._side < 700, restorer._side
np.save({str(tmp_path / "tiled.npy")!r}, restored)
try:
    Restorer(model, 690).restore([frame])
except OutOfMemory as error:
    print(error)
again, *_ = Restorer(model, 64).restore([frame])
assert np.array_equal(again, restored)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "needs more memory than there is for a picture of 700x500 pixels" in done.stdout
    whole = Session(path, "cpu")
    frame = np.random.default_rng(0).random((500, 700, 3), dtype=np.float32)
    assert np.array_equal(np.load(tmp_path / "tiled.npy"), Restorer(whole).restore([frame])[0])


def test_a_model_that_needs_whole_frames_is_not_tiled(save_model):
    model = model_of([helper.make_node("Identity", ["frames"], ["restored"])], card=ModelCard("exemplar", halo=None))
    session = Session(save_model(model), "cpu")
    with pytest.raises(WetgateError, match="cannot be tiled"):
        Restorer(session, 64)
    frame = frame_of(20, 30)
    assert np.array_equal(Restorer(session).restore([frame])[0], frame)


def test_half_precision_inside_float32_outside(save_model):
    nodes = [
        helper.make_node("Cast", ["frames"], ["half"], to=TensorProto.FLOAT16),
        helper.make_node("Mul", ["half", "two"], ["double"]),
        helper.make_node("Cast", ["double"], ["restored"], to=TensorProto.FLOAT),
    ]
    model = model_of(nodes, [constant("two", np.float16(2))], card=ModelCard("color"))
    frames = np.full((2, 3, 4, 5), 0.3, np.float32)
    restored, _ = Session(save_model(model), "cpu").run(frames)
    assert restored.dtype == np.float32
    np.testing.assert_allclose(restored, 0.6, rtol=1e-3)


def test_values_outside_0_to_1_go_through(gain):
    frames = np.array([-3.0, 0.0, 1.5, 65504.0, 1e30], np.float32).reshape(1, 1, 1, 5).repeat(3, axis=1)
    restored, _ = Session(gain(0.5), "cpu").run(frames)
    assert np.array_equal(restored, frames * np.float32(0.5))


def test_a_foreign_model_runs_with_its_limits_stated(save_model):
    node = helper.make_node("Neg", ["pixels"], ["sharp"])
    foreign = model_of([node], inputs=[value("pixels", 3)], outputs=[value("sharp", 3)])
    session = Session(save_model(foreign), "cpu")
    assert session.card.foreign
    assert session.card.halo is None and session.card.encoding == ""
    assert any("tiled" in limit for limit in session.card.limits)
    frame = frame_of(9, 11)
    assert np.array_equal(Restorer(session).restore([frame])[0], -frame)


def test_a_foreign_model_that_scales_is_refused_when_it_runs(save_model):
    node = helper.make_node("Resize", ["pixels", "", "twice"], ["big"])
    twice = constant("twice", np.array([1, 1, 2, 2], np.float32))
    model = model_of([node], [twice], inputs=[value("pixels", 3)], outputs=[value("big", 3, size=("a", "b"))])
    with pytest.raises(WetgateError, match="keep the picture's size"):
        Session(save_model(model), "cpu").run(np.zeros((1, 3, 4, 4), np.float32))


def test_a_model_that_fails_on_a_size_says_which(save_model):
    nodes = [helper.make_node("Reshape", ["frames", "shape"], ["restored"])]
    model = model_of(nodes, [constant("shape", np.array([1, 3, 4, 4], np.int64))], card=ModelCard("color"))
    with pytest.raises(WetgateError, match="failed on a picture of 5x7 pixels"):
        Session(save_model(model), "cpu").run(np.zeros((1, 3, 7, 5), np.float32))


def test_cuda_where_there_is_none_is_a_sentence(gain):
    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("this onnxruntime may have CUDA")
    with pytest.raises(WetgateError, match="CUDA was asked for"):
        Session(gain(), "cuda")
    assert Session(gain(), "auto").device == "cpu"


@pytest.mark.filterwarnings("ignore:Specified provider 'CUDAExecutionProvider'")
def test_cuda_is_believed_only_when_the_session_has_it(gain, monkeypatch):
    """onnxruntime-gpu without a GPU lists CUDA and falls back to the CPU."""
    monkeypatch.setattr(session_module, "_offered", lambda: ["CUDAExecutionProvider", "CPUExecutionProvider"])
    with pytest.raises(WetgateError, match="CUDA was asked for"):
        Session(gain(), "cuda")
    assert Session(gain(), "auto").device == "cpu"


def test_what_is_no_window_is_a_programming_error(gain):
    session = Session(gain(), "cpu")
    for frames in (np.zeros((3, 4, 4), np.float32), np.zeros((1, 3, 4, 4)), np.zeros((1, 9, 4, 4), np.float32)):
        with pytest.raises(ValueError, match="float32"):
            session.run(frames)


def test_a_model_that_asks_for_terabytes_is_stopped(save_model):
    nodes = [
        helper.make_node("ConstantOfShape", ["shape"], ["vast"]),
        helper.make_node("ReduceSum", ["vast"], ["sum"], keepdims=1),
        helper.make_node("Add", ["frames", "sum"], ["restored"]),
    ]
    shape = constant("shape", np.array([1, 3, 1, 2**40], np.int64))
    session = Session(save_model(model_of(nodes, [shape], card=ModelCard("color"))), "cpu")
    with pytest.raises(OutOfMemory, match="needs more memory"):
        session.run(np.zeros((1, 3, 4, 4), np.float32))
