"""A model file as TorchScript, for programs that run libtorch: Nuke's own Inference node, from Nuke 14 on.

The graph is rebuilt as a torch module whose constants are buffers, and traced; heights and widths stay free. It is
traced and not scripted, for libtorch 1.12 cannot read what a newer torch scripts; and not frozen, for frozen weights
stay behind when a program moves the model to its GPU. What is written was read back and answers as the ONNX file does.
"""

from __future__ import annotations

import io
import math
import warnings
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from onnx import helper, numpy_helper
from torch import Tensor

from wetgate.errors import WetgateError
from wetgate.exporting.operators import OPERATORS, Node, Sizes, Value, compute
from wetgate.files import write_bytes
from wetgate.inference.session import Session
from wetgate.onnx_model import ModelFile, open_model
from wetgate.records.canonical import canonical_json

CARD = "wetgate.json"
"""The extra file that holds the model's card and the hash of the ONNX file."""

MOST_ERROR = 1e-4
"""Largest difference to the ONNX file that is written: a tenth of a step of 10 bits. Beyond 1, of the value itself."""

SIZES = ((1, 1), (1, 7), (9, 1), (37, 53), (64, 64), (101, 67))
"""Heights and widths at which the two are compared: odd ones too, for nothing may be fixed to the traced size."""
FOREIGN_SIZES = ((64, 64), (64, 96), (160, 128))
"""For models made elsewhere, which need not take every size."""

_TRACED_AT = (32, 48)
_OLDEST_OPSET, _NEWEST_OPSET = 13, 21

OF_TORCH_1_12 = frozenset(
    [
        "Int.Tensor",
        "_convolution",
        "abs",
        "add.Scalar",
        "add.Tensor",
        "amax",
        "amin",
        "avg_pool2d",
        "batch_norm",
        "cat",
        "chunk",
        "div.Tensor",
        "elu",
        "erf",
        "exp",
        "floor_divide",
        "instance_norm",
        "leaky_relu",
        "log",
        "matmul",
        "max_pool2d",
        "maximum",
        "mean.dim",
        "minimum",
        "mul.Scalar",
        "mul.Tensor",
        "neg",
        "pad",
        "permute",
        "pixel_shuffle",
        "pow.Tensor_Scalar",
        "pow.Tensor_Tensor",
        "reciprocal",
        "relu",
        "remainder.Scalar",
        "remainder.Tensor",
        "reshape",
        "rsub.Scalar",
        "sigmoid",
        "size.int",
        "slice.Tensor",
        "softmax.int",
        "softplus",
        "split_with_sizes",
        "sqrt",
        "sub.Scalar",
        "sub.Tensor",
        "sum.dim_IntList",
        "tanh",
        "upsample_bilinear2d.vec",
        "upsample_nearest2d.vec",
    ]
)
"""What a trace may call: the aten operators, with their overloads, that libtorch 1.12.1 has as well."""


def export(model_path: Path, output: Path) -> dict[str, Any]:
    """Write the model at ``model_path`` to ``output``, atomically.

    Returns:
        A JSON-able dict: ``largest_error`` (see ``MOST_ERROR``), ``sizes`` (height and width of the pictures that were
        compared), ``channels`` of the input, ``operators`` (of aten, sorted).

    Raises:
        WetgateError: the model cannot be read, uses what has no translation, or came out different.
    """
    model = open_model(model_path)
    try:
        traced = _trace(Graph(model), _channels(model))
        operators = aten_operators(traced)
        if not operators <= OF_TORCH_1_12:
            raise WetgateError(f"libtorch 1.12 lacks what it calls: {', '.join(sorted(operators - OF_TORCH_1_12))}.")
    except WetgateError as error:
        raise WetgateError(f"{model_path} cannot become TorchScript. {error}") from error
    except Exception as error:  # torch's and Python's own share no other base
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise WetgateError(
            f"{model_path} cannot become TorchScript. It uses an operator in a way that has no translation: {reason}"
        ) from error
    data = _saved(traced, model)
    sizes = FOREIGN_SIZES if model.card.foreign else SIZES
    worst = largest_error(data, model, sizes)
    if not worst <= MOST_ERROR:  # nor where it is NaN
        raise WetgateError(
            f"{model_path} cannot become TorchScript: it came out different, by {worst:.2g} where at most "
            f"{MOST_ERROR:g} is allowed, so nothing was written. Please report this model."
        )
    write_bytes(output, data)
    return {
        "largest_error": worst,
        "sizes": [list(size) for size in sizes],
        "channels": _channels(model),
        "operators": sorted(operators),
    }


class Graph(torch.nn.Module):
    """The graph of a model file, node by node; it gives the restored picture.

    Raises:
        WetgateError: an opset or a constant that has no translation.
    """

    def __init__(self, model: ModelFile) -> None:
        super().__init__()
        proto = onnx.load_from_string(model.data)
        opset = max((entry.version for entry in proto.opset_import if entry.domain in ("", "ai.onnx")), default=0)
        if not _OLDEST_OPSET <= opset <= _NEWEST_OPSET:
            raise WetgateError(f"It is of ONNX opset {opset}; {_OLDEST_OPSET} to {_NEWEST_OPSET} can be translated.")
        constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in proto.graph.initializer}
        self._nodes: list[Node] = []
        for node in map(_node, proto.graph.node):
            if node.kind == "Constant":
                constants[node.outputs[0]] = _value_of(node)
            else:
                self._nodes.append(_with_scales(node, constants))
        self._input, self._output = model.input, model.outputs[0]
        self._sizes: dict[str, Sizes] = {}
        self._buffer_of: dict[str, str] = {}
        used = {name for node in self._nodes for name in node.inputs}
        for name, array in constants.items():
            if name in used:
                self._keep(name, array)

    def _keep(self, name: str, array: np.ndarray[Any, Any]) -> None:
        if array.dtype == np.float32:
            self._buffer_of[name] = f"c{len(self._buffer_of)}"
            self.register_buffer(self._buffer_of[name], torch.from_numpy(array.copy()))
        elif array.dtype in (np.int64, np.int32) and array.ndim <= 1:
            self._sizes[name] = Sizes(array.reshape(-1).tolist())
        elif array.dtype == np.float16:
            raise WetgateError("It computes in 16 bit: export the 32-bit model beside it.")
        else:
            raise WetgateError(f"It holds a constant of {array.dtype} {list(array.shape)}, which has no translation.")

    def forward(self, frames: Tensor) -> Tensor:
        values: dict[str, Value | None] = {"": None, self._input: frames, **self._sizes}
        values |= {name: getattr(self, buffer) for name, buffer in self._buffer_of.items()}
        for node in self._nodes:
            results = compute(node, [values[name] for name in node.inputs])
            values |= dict(zip(node.outputs, results, strict=False))
        restored = values[self._output]
        assert isinstance(restored, Tensor)
        return restored


def _node(proto: Any) -> Node:
    kind = proto.op_type if proto.domain in ("", "ai.onnx") else f"{proto.domain}.{proto.op_type}"
    if kind not in OPERATORS and kind != "Constant":
        raise WetgateError(f"It uses the operator {kind}, which has no translation.")
    attributes = {attribute.name: _plain(helper.get_attribute_value(attribute)) for attribute in proto.attribute}
    return Node(kind, tuple(proto.input), tuple(proto.output), attributes)


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.decode()
    return list(value) if hasattr(value, "__iter__") and not isinstance(value, str) else value


def _value_of(node: Node) -> np.ndarray[Any, Any]:
    (kind, value), *_ = node.attributes.items()
    if kind == "value":
        array: np.ndarray[Any, Any] = numpy_helper.to_array(value)
        return array
    types = {"value_float": np.float32, "value_floats": np.float32, "value_int": np.int64, "value_ints": np.int64}
    if kind not in types:
        raise node.refused(f"with {kind}")
    return np.asarray(value, types[kind])


def _with_scales(node: Node, constants: dict[str, np.ndarray[Any, Any]]) -> Node:
    """The node with the scales of a Resize as an attribute: torch takes them as numbers and not as a tensor."""
    if node.kind != "Resize" or len(node.inputs) < 3 or node.inputs[2] not in constants:
        return node
    scales = constants[node.inputs[2]].tolist()
    inputs = (node.inputs[0], "", "", *node.inputs[3:])
    return Node(node.kind, inputs, node.outputs, node.attributes | ({"scales": scales} if scales else {}))


def _channels(model: ModelFile) -> int:
    return 3 * (2 * model.card.radius + 1)


def _trace(graph: Graph, channels: int) -> torch.jit.ScriptModule:
    example = torch.zeros(1, channels, *_TRACED_AT)
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that a number was fixed while tracing: other sizes are tried below
        traced = torch.jit.trace(graph.eval(), example, check_trace=False)  # type: ignore[no-untyped-call]
    assert isinstance(traced, torch.jit.ScriptModule)
    return traced


def aten_operators(traced: torch.jit.ScriptModule) -> set[str]:
    """The aten operators that a trace calls, with their overloads: "add.Tensor"."""

    def nodes(block: Any) -> Iterator[Any]:
        for node in block.nodes():
            yield node
            for inner in node.blocks():
                yield from nodes(inner)

    schemas = (node.schema() for node in nodes(traced.inlined_graph) if node.kind().startswith("aten::"))
    return {schema.partition("(")[0].removeprefix("aten::") for schema in schemas}


def _saved(traced: torch.jit.ScriptModule, model: ModelFile) -> bytes:
    """The file's bytes: without the source lines that torch adds, since they name files of this machine."""
    card = canonical_json({**model.card.to_metadata(), "wetgate.model_sha256": model.sha256})
    stream = io.BytesIO()
    torch.jit.save(traced, stream, _extra_files={CARD: card})
    clean = io.BytesIO()
    with zipfile.ZipFile(stream) as before, zipfile.ZipFile(clean, "w", zipfile.ZIP_STORED) as after:
        for entry in before.infolist():
            if not entry.filename.endswith(".debug_pkl"):
                after.writestr(zipfile.ZipInfo(entry.filename), before.read(entry))
    return clean.getvalue()


def _difference(restored: np.ndarray[Any, Any], wanted: np.ndarray[Any, Any]) -> float:
    """The largest between two pictures; infinite where only one of them has no number."""
    alike = (restored == wanted) | (np.isnan(restored) & np.isnan(wanted))
    with np.errstate(invalid="ignore"):
        apart = np.where(alike, 0, np.abs(restored - wanted) / np.maximum(np.abs(wanted), 1))
    largest = float(apart.max())
    return math.inf if math.isnan(largest) else largest


def largest_error(data: bytes, model: ModelFile, sizes: tuple[tuple[int, int], ...]) -> float:
    """How far the TorchScript file ``data`` is from the ONNX file on random pictures of ``sizes``, on the CPU.

    Differences of values beyond 1 are divided by the value. Pictures reach from a little below black to above white.

    Raises:
        WetgateError: one of the two cannot be run.
    """
    session = Session(model.path, "cpu")
    generator = np.random.default_rng(0)
    worst = 0.0
    try:
        script = torch.jit.load(io.BytesIO(data), map_location="cpu")  # type: ignore[no-untyped-call]
        for height, width in sizes:
            frames = generator.uniform(-0.02, 1.2, (1, _channels(model), height, width)).astype(np.float32)
            wanted = session.run(frames)[0]
            with torch.no_grad():
                restored = script(torch.from_numpy(frames)).numpy()
            if restored.shape != wanted.shape:
                return float("inf")
            worst = max(worst, _difference(restored, wanted))
    except RuntimeError as error:
        line = str(error).strip().splitlines()[-1]
        raise WetgateError(
            f"{model.path} cannot become TorchScript: what it became does not run ({line}). Nothing was written."
        ) from error
    return worst
