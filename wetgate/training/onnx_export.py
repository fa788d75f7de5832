"""A model as an ONNX file that keeps the contract of :mod:`wetgate.onnx_model`.

The graph is written node by node from the same ``forward`` that training runs, so it takes milliseconds, its bytes
depend on nothing but the weights, and no path of this machine can slip into it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from wetgate.files import write_bytes
from wetgate.onnx_model import COVERAGE, INPUT, OUTPUT, ModelCard
from wetgate.training.operations import Onnx, reach_of

_IR_VERSION = 9


def export(path: Path, forward: Callable[[Any, Any], Any], card: ModelCard, *, half: bool = False) -> None:
    """Write ``forward(ops, frames)`` to ``path``, atomically.

    Args:
        path: the model file.
        forward: the model, from frames [N, 3*(2r+1), H, W], r being ``card.radius``, to restored frames [N, 3, H, W],
            or to a tuple of these and perhaps coverage [N, 1, H, W].
        card: what the file says about itself; halo and multiple are filled in here.
        half: whether the network's convolutions compute in 16 bit; frames stay float32.

    Raises:
        WetgateError: the file cannot be written.
    """
    halo, multiple = reach_of(forward)
    data = model_bytes(forward, replace(card, halo=halo, multiple=multiple), half=half)
    write_bytes(path, data)


def model_bytes(forward: Callable[[Any, Any], Any], card: ModelCard, *, half: bool = False) -> bytes:
    """The file's bytes; see :func:`export`."""
    from onnx import TensorProto, helper

    ops = Onnx(network_type=np.float16 if half else np.float32)
    answer = forward(ops, INPUT)
    outputs = []
    named = zip((OUTPUT, COVERAGE), (3, 1), answer if isinstance(answer, tuple) else (answer,), strict=False)
    for name, channels, value in named:
        ops.node("Identity", value, output=name)
        outputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", channels, "H", "W"]))
    graph = helper.make_graph(
        ops.nodes,
        "wetgate",
        [
            helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, ["N", 3 * (2 * card.radius + 1), "H", "W"]),
            *ops.optional_inputs,
        ],
        outputs,
        ops.initializers,
    )
    model = helper.make_model(
        graph,
        opset_imports=[helper.make_opsetid("", Onnx.OPSET)],
        producer_name="wetgate",
        ir_version=_IR_VERSION,
    )
    helper.set_model_props(model, card.to_metadata())
    data: bytes = model.SerializeToString(deterministic=True)
    return data
