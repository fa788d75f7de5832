"""A TorchScript file answers as the ONNX file that it was made from, at every size, or is not written."""

from __future__ import annotations

import itertools
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from onnx import helper

from wetgate.errors import WetgateError
from wetgate.exporting import operators, torchscript
from wetgate.exporting.torchscript import CARD, OF_TORCH_1_12, export
from wetgate.inference.session import Session
from wetgate.onnx_model import ModelCard, local_paths_in, open_model
from wetgate.training.color_model import PROTECTED


def node(kind: str, inputs: str, output: str = "restored", **attributes):
    """``inputs`` and ``output`` name tensors, with blanks between; "-" leaves one out."""
    names = ["" if name == "-" else name for name in inputs.split()]
    return helper.make_node(kind, names, output.split(), **attributes)


def whole(*numbers: int) -> np.ndarray:
    return np.array(numbers, np.int64)


def random(*shape: int) -> np.ndarray:
    return np.random.default_rng(3).normal(0, 0.3, shape).astype(np.float32)


def assert_answers_alike(path: Path, script: Path, *sizes: tuple[int, int], batch: int = 1) -> None:
    session, loaded = Session(path, "cpu"), torch.jit.load(script)
    for height, width in sizes:
        shape = (batch, 3 * (2 * session.card.radius + 1), height, width)
        frames = np.random.default_rng(height).random(shape, dtype=np.float32)
        with torch.no_grad():
            restored = loaded(torch.from_numpy(frames)).numpy()
        np.testing.assert_allclose(restored, session.run(frames)[0], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(("encoding", "protect"), list(itertools.product(("display", "linear", "log"), PROTECTED)))
def test_a_color_model_answers_alike_at_sizes_it_was_not_traced_at(save_color_model, tmp_path, encoding, protect):
    path = save_color_model(encoding, protect)
    result = export(path, tmp_path / "model.pt")
    assert result["largest_error"] < 1e-5
    assert [1, 1] in result["sizes"] and result["channels"] == 3
    assert_answers_alike(path, tmp_path / "model.pt", (1, 1), (3, 5), (67, 43), (1, 200))
    assert_answers_alike(path, tmp_path / "model.pt", (19, 22), batch=2)


def test_a_window_of_three_frames_goes_in_as_nine_channels(save_graph, tmp_path):
    card = ModelCard("damage", radius=1)
    path = save_graph([node("Conv", "frames w", kernel_shape=[1, 1])], {"w": random(3, 9, 1, 1)}, card=card)
    assert export(path, tmp_path / "model.pt")["channels"] == 9
    assert_answers_alike(path, tmp_path / "model.pt", (5, 7))


def test_the_file_holds_the_card_and_no_path_of_this_machine(save_color_model, tmp_path):
    path, script = save_color_model(), tmp_path / "model.pt"
    export(path, script)
    with zipfile.ZipFile(script) as archive:
        assert not [name for name in archive.namelist() if name.endswith(".debug_pkl")]
        assert [path for name in archive.namelist() for path in local_paths_in(archive.read(name))] == []
    extra = {CARD: ""}
    torch.jit.load(script, _extra_files=extra)
    card = json.loads(extra[CARD])
    assert ModelCard.from_metadata(card) == open_model(path).card
    assert card["wetgate.model_sha256"] == open_model(path).sha256


def test_weights_go_along_when_a_program_moves_the_model(save_color_model, tmp_path):
    export(save_color_model(), tmp_path / "model.pt")
    frames = torch.rand(1, 3, 9, 13)
    with torch.no_grad():
        single = torch.jit.load(tmp_path / "model.pt")(frames)
        double = torch.jit.load(tmp_path / "model.pt").to(torch.float64)(frames.double())
    assert double.dtype == torch.float64  # a constant that stayed behind would have made it fail
    torch.testing.assert_close(single, double.float(), atol=1e-5, rtol=1e-5)


def test_own_models_call_only_what_libtorch_1_12_has(save_color_model, tmp_path):
    called = set(export(save_color_model(), tmp_path / "model.pt")["operators"])
    assert {"_convolution", "upsample_bilinear2d.vec", "size.int"} <= called <= OF_TORCH_1_12


UNARY = ["Abs", "Erf", "Exp", "Identity", "Neg", "Relu", "Sigmoid", "Softplus", "Tanh"]
CASES = {
    **{kind: ([node(kind, "frames")], {}) for kind in UNARY},
    "Add Sub Mul Div": (
        [node("Add", "frames a", "b"), node("Sub", "b frames", "c"), node("Mul", "c b", "d"), node("Div", "d a")],
        {"a": np.float32([1.5, 2, 3]).reshape(3, 1, 1)},
    ),
    "Sqrt Log Reciprocal": (
        [
            node("Exp", "frames", "a"),
            node("Sqrt", "a", "b"),
            node("Log", "b", "c"),
            node("Exp", "c", "d"),
            node("Reciprocal", "d"),
        ],
        {},
    ),
    "Pow": ([node("Pow", "frames two", "a"), node("Pow", "a three")], {"two": np.float32(2), "three": whole(3)[0]}),
    "Max Min Sum": (
        [node("Max", "frames a", "b"), node("Min", "b frames c", "d"), node("Sum", "d frames a")],
        {"a": np.float32(0.3), "c": np.float32(0.7)},
    ),
    "Clip": (
        [node("Clip", "frames low", "a"), node("Clip", "a - high")],
        {"low": np.float32(0.2), "high": np.float32(0.8)},
    ),
    "LeakyRelu Elu PRelu": (
        [
            node("Sub", "frames half", "a"),
            node("LeakyRelu", "a", "b", alpha=0.3),
            node("Elu", "b", "c", alpha=0.7),
            node("PRelu", "c slope"),
        ],
        {"half": np.float32(0.5), "slope": random(3, 1, 1)},
    ),
    "Gelu": ([node("Gelu", "frames", "a"), node("Gelu", "a", approximate="tanh")], {}),
    "Softmax": ([node("Softmax", "frames", axis=1)], {}),
    "Constant Cast": (
        [node("Constant", "", "a", value_float=0.25), node("Cast", "frames", "b", to=1), node("Mul", "a b")],
        {},
    ),
    "Reduce": (
        [node(f"Reduce{kind}", "frames axes", kind, keepdims=1) for kind in ("Sum", "Max", "Min", "Mean")]
        + [node("Concat", "Sum Max Min Mean", "all", axis=1), node("Conv", "all w")],
        {"axes": whole(1), "w": random(3, 4, 1, 1)},
    ),
    "GlobalAveragePool": ([node("GlobalAveragePool", "frames", "a"), node("Mul", "frames a")], {}),
    "Conv": (
        [
            node("Conv", "frames w b", "x", pads=[0, 1, 1, 2], dilations=[1, 2], kernel_shape=[2, 2]),
            node("Conv", "x k", pads=[0, 0, 0, 0], group=3),
        ],
        {"w": random(3, 3, 2, 2), "b": random(3), "k": random(3, 1, 1, 2)},
    ),
    "ConvTranspose": (
        [
            node("Conv", "frames w", "a", strides=[2, 2], pads=[1, 1, 1, 1], kernel_shape=[3, 3]),
            node("ConvTranspose", "a v b", strides=[2, 2], kernel_shape=[2, 2]),
        ],
        {"w": random(4, 3, 3, 3), "v": random(4, 3, 2, 2), "b": random(3)},
    ),
    "MaxPool AveragePool Resize nearest": (
        [
            node("MaxPool", "frames", "a", kernel_shape=[2, 2], strides=[2, 2]),
            node("AveragePool", "a", "b", kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
            node("Resize", "b - twice", mode="nearest"),
        ],
        {"twice": np.float32([1, 1, 2, 2])},
    ),
    "Resize to a size": (
        [
            node("AveragePool", "frames", "a", kernel_shape=[2, 2], strides=[2, 2]),
            node("Shape", "frames", "size"),
            node("Resize", "a - - size", mode="linear", coordinate_transformation_mode="align_corners"),
        ],
        {},
    ),
    "Norms": (
        [node("BatchNormalization", "frames s b m v", "a"), node("InstanceNormalization", "a s b")],
        {"s": random(3), "b": random(3), "m": random(3), "v": np.abs(random(3)) + 1},
    ),
    "DepthToSpace CRD": (
        [node("Conv", "frames w", "a", strides=[2, 2]), node("DepthToSpace", "a", blocksize=2, mode="CRD")],
        {"w": random(12, 3, 2, 2)},
    ),
    "DepthToSpace DCR": (
        [node("Conv", "frames w", "a", strides=[2, 2]), node("DepthToSpace", "a", blocksize=2)],
        {"w": random(12, 3, 2, 2)},
    ),
    "SpaceToDepth": (
        [
            node("SpaceToDepth", "frames", "a", blocksize=2),
            node("Conv", "a w", "b"),
            node("DepthToSpace", "b", blocksize=2),
        ],
        {"w": random(12, 12, 1, 1)},
    ),
    "Split": (
        [node("Split", "frames parts", "a b", axis=1), node("Concat", "b a", axis=1)],
        {"parts": whole(1, 2)},
    ),
    "Split evenly": (
        [node("Split", "frames", "a b c", axis=1, num_outputs=3), node("Concat", "c a b", axis=1)],
        {},
    ),
    "Transpose Reshape": (
        [
            node("Transpose", "frames", "a", perm=[0, 1, 3, 2]),
            node("Reshape", "a flat", "b"),
            node("Tanh", "b", "c"),
            node("ReduceMax", "c axes", "d"),
            node("Reshape", "d one", "e"),
            node("Mul", "frames e"),
        ],
        {"flat": whole(0, 3, -1), "axes": whole(2), "one": whole(0, 0, 1, 1)},
    ),
    "MatMul": (
        [
            node("Reshape", "frames flat", "a"),
            node("MatMul", "m a", "b"),
            node("Shape", "frames", "size", start=2, end=4),
            node("Concat", "all size", "whole", axis=0),
            node("Reshape", "b whole"),
        ],
        {"flat": whole(0, 0, -1), "m": random(3, 3), "all": whole(0, -1)},
    ),
    "Pad and crop by sizes": (
        [
            node("Shape", "frames", "size"),
            node("Gather", "size two", "h"),
            node("Gather", "size three", "w"),
            node("Unsqueeze", "h zero", "h1"),
            node("Reshape", "w minus_one", "w1"),
            node("Concat", "h1 w1", "hw", axis=0),
            node("Div", "hw eight", "a"),
            node("Mul", "a eight", "b"),
            node("Sub", "hw b", "rest"),
            node("Sub", "eight rest", "short"),
            node("Mod", "short eight", "more"),
            node("Cast", "more", "m", to=7),
            node("Concat", "zeros m", "pads", axis=0),
            node("Pad", "frames pads - axes", "padded", mode="edge"),
            node("AveragePool", "padded", "small", kernel_shape=[8, 8], strides=[8, 8]),
            node("Resize", "small - eightfold", "big", mode="linear"),
            node("Slice", "big zeros hw axes"),
        ],
        {
            "two": whole(2)[0],
            "three": whole(3)[0],
            "zero": whole(0),
            "minus_one": whole(-1),
            "zeros": whole(0, 0),
            "eight": whole(8),
            "axes": whole(2, 3),
            "eightfold": np.float32([1, 1, 8, 8]),
        },
    ),
    "Pad reflect": (
        [node("Pad", "frames pads", "a", mode="reflect"), node("Pad", "a back", "b"), node("Slice", "b from to axes")],
        {"pads": whole(0, 0, 2, 1, 0, 0, 0, 3), "back": whole(0, 0, 1, 0, 0, 0, 0, 0)}
        | {"from": whole(2, 1), "to": whole(-1, -3), "axes": whole(2, 3)},
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_an_operator_of_foreign_models_answers_alike(save_graph, tmp_path, case):
    path = save_graph(*CASES[case])
    result = export(path, tmp_path / "model.pt")
    assert result["largest_error"] < 1e-5
    assert_answers_alike(path, tmp_path / "model.pt", (72, 88))


def test_every_operator_has_a_case(save_color_model):
    seen = {proto.op_type for nodes, _ in CASES.values() for proto in nodes}
    assert set(operators.OPERATORS) - seen == {"Squeeze"}  # the same as Unsqueeze


@pytest.mark.parametrize(
    ("nodes", "constants", "sentence"),
    [
        ([node("Selu", "frames")], {}, "uses the operator Selu, which has no translation"),
        ([node("Mod", "frames one", fmod=1)], {"one": np.float32(1)}, "operator Mod with fmod 1"),
        ([node("Resize", "frames - twice", mode="cubic")], {"twice": np.float32([1, 1, 1, 1])}, "Resize in mode cubic"),
        ([node("Resize", "frames - all")], {"all": np.float32([1, 2, 1, 1])}, "Resize with scales"),
        (
            [node("Pad", "frames pads", "a"), node("Slice", "a zero end one")],
            {"pads": whole(0, 1, 0, 0, 0, 0, 0, 0)} | {"zero": whole(1), "end": whole(4), "one": whole(1)},
            "Pad along other axes",
        ),
        (
            [node("Slice", "frames last end axes back")],
            {"last": whole(-1), "end": whole(-99), "axes": whole(2)} | {"back": whole(-1)},
            "Slice backwards",
        ),
        ([node("Cast", "frames", "a", to=10), node("Cast", "a", to=1)], {}, "Cast to ONNX type 10"),
        (
            [
                node("Shape", "frames", "s"),
                node("Cast", "s", "f", to=1),
                node("Slice", "f z o", "g"),
                node("Mul", "frames g"),
            ],
            {"z": whole(0), "o": whole(1)},
            "Cast from whole numbers to float32",
        ),
        ([node("Conv", "frames w", auto_pad="SAME_UPPER")], {"w": random(3, 3, 3, 3)}, "Conv with auto_pad SAME_UPPER"),
        (
            [node("Mul", "frames t", "a"), node("Where", "b a frames")],
            {"t": np.float32(2), "b": np.bool_(True)},
            "uses the operator Where",
        ),
        ([node("Gather", "frames order", axis=1)], {"order": whole(2, 1, 0)}, "Gather on pictures"),
    ],
)
def test_what_has_no_translation_is_named(save_graph, tmp_path, nodes, constants, sentence):
    path = save_graph(nodes, constants)
    with pytest.raises(WetgateError, match=f"graph.onnx cannot become TorchScript.*{sentence}"):
        export(path, tmp_path / "model.pt")
    assert [file.name for file in tmp_path.iterdir()] == ["graph.onnx"]


def test_a_use_that_torch_refuses_is_a_sentence_too(save_graph, tmp_path):
    nodes = [node("Reshape", "frames flat", "a"), node("GlobalAveragePool", "a", "b"), node("Reshape", "b back", "c")]
    path = save_graph([*nodes, node("Mul", "frames c")], {"flat": whole(0, 3, -1), "back": whole(0, 3, 1, 1)})
    with pytest.raises(WetgateError, match="uses an operator in a way that has no translation: Dimension out of range"):
        export(path, tmp_path / "model.pt")


def test_sixteen_bits_point_to_the_other_file(save_color_model, tmp_path):
    with pytest.raises(WetgateError, match="export the 32-bit model beside it"):
        export(save_color_model(half=True), tmp_path / "model.pt")


def test_an_old_opset_is_refused(save_graph, tmp_path):
    path = save_graph([node("Relu", "frames")], opset=12)
    with pytest.raises(WetgateError, match="of ONNX opset 12; 13 to 21 can be translated"):
        export(path, tmp_path / "model.pt")


def test_a_translation_that_errs_is_found_and_nothing_is_written(save_color_model, tmp_path, monkeypatch):
    monkeypatch.setitem(operators.OPERATORS, "Exp", lambda node, x: torch.exp(x) * 1.001)
    script = tmp_path / "model.pt"
    script.write_bytes(b"the one before")
    with pytest.raises(WetgateError, match="came out different, by 0.0.* where at most 0.0001 is allowed"):
        export(save_color_model(), script)
    assert script.read_bytes() == b"the one before"


def test_a_translation_that_gives_no_number_is_found(save_color_model, tmp_path, monkeypatch):
    monkeypatch.setitem(operators.OPERATORS, "Exp", lambda node, x: torch.exp(x) * float("nan"))
    with pytest.raises(WetgateError, match="came out different, by inf"):
        export(save_color_model(), tmp_path / "model.pt")
    assert not (tmp_path / "model.pt").exists()


def test_a_size_that_was_fixed_while_tracing_is_found(save_color_model, tmp_path, monkeypatch):
    def fixed(node, x):
        return operators.Sizes(int(x.shape[axis]) for axis in range(4)[node.get("start") : node.get("end")])

    monkeypatch.setitem(operators.OPERATORS, "Shape", fixed)
    with pytest.raises(WetgateError, match="came out different|does not run"):
        export(save_color_model(), tmp_path / "model.pt")
    assert not (tmp_path / "model.pt").exists()


def test_what_libtorch_1_12_lacks_is_refused(save_color_model, tmp_path, monkeypatch):
    monkeypatch.setattr(torchscript, "OF_TORCH_1_12", OF_TORCH_1_12 - {"leaky_relu"})
    with pytest.raises(WetgateError, match="libtorch 1.12 lacks what it calls: leaky_relu"):
        export(save_color_model(), tmp_path / "model.pt")
