"""Small ONNX models, made with the onnx package as a trainer or somebody else's exporter would."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from wetgate.onnx_model import ModelCard


def value(name: str, channels: int | None, element: int = TensorProto.FLOAT, size: Sequence[int | str] = ("h", "w")):
    return helper.make_tensor_value_info(name, element, ["n", channels, *size])


def constant(name: str, array: np.ndarray) -> onnx.TensorProto:
    return numpy_helper.from_array(np.asarray(array), name)


def model_of(nodes, initializers=(), *, inputs=None, outputs=None, card: ModelCard | None = None, domains=()):
    graph = helper.make_graph(
        nodes, "graph", inputs or [value("frames", 3)], outputs or [value("restored", 3)], list(initializers)
    )
    opsets = [helper.make_opsetid("", 20), *(helper.make_opsetid(domain, 1) for domain in domains)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=10, producer_name="test")
    if card is not None:
        helper.set_model_props(model, card.to_metadata())
    return model


def encoder_decoder(width: int = 8, halo: int = 16, multiple: int = 4) -> onnx.ModelProto:
    """Two levels down and up with 3x3 convolutions, pads to a multiple of 4 by its edge and crops inside."""
    generator = np.random.default_rng(5)
    nodes, values = [], []

    def conv(source: str, target: str, into: int, out: int, side: int = 3) -> None:
        kernel = generator.normal(0, (into * side * side) ** -0.5, (out, into, side, side)).astype(np.float32)
        values.append(constant(f"{target}.w", kernel))
        nodes.append(helper.make_node("Conv", [source, f"{target}.w"], [f"{target}.c"], pads=[side // 2] * 4))
        nodes.append(helper.make_node("Relu", [f"{target}.c"], [target]))

    values += [
        constant("four", np.array([4, 4], np.int64)),
        constant("zeros", np.zeros(2, np.int64)),
        constant("two", np.array([2], np.int64)),
        constant("end", np.array([4], np.int64)),
        constant("spatial", np.array([2, 3], np.int64)),
        constant("twice", np.array([1, 1, 2, 2], np.float32)),
    ]
    nodes += [
        helper.make_node("Shape", ["frames"], ["shape"]),
        helper.make_node("Slice", ["shape", "two", "end"], ["size"]),
        helper.make_node("Neg", ["size"], ["minus"]),
        helper.make_node("Mod", ["minus", "four"], ["pad"]),
        helper.make_node("Concat", ["zeros", "pad"], ["pads"], axis=0),
        helper.make_node("Pad", ["frames", "pads", "", "spatial"], ["padded"], mode="edge"),
    ]
    conv("padded", "a", 3, width)
    nodes.append(helper.make_node("MaxPool", ["a"], ["b"], kernel_shape=[2, 2], strides=[2, 2]))
    conv("b", "c", width, width)
    nodes.append(helper.make_node("AveragePool", ["c"], ["d"], kernel_shape=[2, 2], strides=[2, 2]))
    conv("d", "e", width, width)
    nodes.append(helper.make_node("Resize", ["e", "", "twice"], ["f"], mode="nearest"))
    nodes.append(helper.make_node("Add", ["f", "c"], ["g"]))
    conv("g", "h", width, width)
    nodes.append(helper.make_node("Resize", ["h", "", "twice"], ["i"], mode="nearest"))
    nodes.append(helper.make_node("Add", ["i", "a"], ["j"]))
    conv("j", "k", width, 3)
    nodes.append(helper.make_node("Add", ["k", "padded"], ["l"]))
    nodes.append(helper.make_node("Slice", ["l", "zeros", "size", "spatial"], ["restored"]))
    return model_of(nodes, values, card=ModelCard(recipe="color", halo=halo, multiple=multiple, record={}))
