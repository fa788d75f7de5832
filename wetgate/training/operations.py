"""The operations in which a model is written once, and the ways to run them.

A model's ``forward(ops, frames)`` uses only these methods. :class:`Torch` (in ``torch_operations``) computes with
gradients, :class:`Onnx` writes the graph of the model file, and :class:`Reach` finds how far a pixel is seen, which
gives the halo and the multiple for exact tiling. Pictures are ``[N, C, H, W]``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]


class Numpy:
    """The pointwise operations on arrays, for what is computed before torch is loaded."""

    def affine(self, x: Array, gain: Any, offset: Any) -> Array:
        return (x * np.float32(gain) + np.float32(offset)).astype(np.float32, copy=False)

    def add(self, a: Array, b: Array) -> Array:
        return a + b

    def log(self, x: Array) -> Array:
        return np.log(x)

    def exp(self, x: Array) -> Array:
        return np.exp(x)

    def at_least(self, x: Array, bound: float) -> Array:
        return np.maximum(x, np.float32(bound))

    def at_most(self, x: Array, bound: float) -> Array:
        return np.minimum(x, np.float32(bound))


class Onnx:
    """Writes nodes of an ONNX graph; a value is the name of a tensor."""

    OPSET = 18

    def __init__(self, network_type: Any = np.float32) -> None:
        self.nodes: list[Any] = []
        self.initializers: list[Any] = []
        self._constants: dict[bytes, str] = {}
        self._network_type = network_type
        self._type: Any = np.float32

    def constant(self, value: Any, dtype: Any = np.float32) -> str:
        from onnx import numpy_helper

        array = np.asarray(value, dtype)
        key = array.dtype.char.encode() + repr(array.shape).encode() + array.tobytes()
        if key not in self._constants:
            name = f"c{len(self._constants)}"
            self._constants[key] = name
            self.initializers.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
        return self._constants[key]

    def node(self, kind: str, *inputs: str, output: str = "", **attributes: Any) -> str:
        from onnx import helper

        name = output or f"t{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [name], **attributes))
        return name

    def enter_network(self, x: str) -> str:
        """From here to :meth:`leave_network` values are of the network's type (half, where that was asked for)."""
        self._type = self._network_type
        return self._cast(x)

    def leave_network(self, x: str) -> str:
        self._type = np.float32
        return self._cast(x)

    def _cast(self, x: str) -> str:
        from onnx import helper

        if self._network_type == np.float32:
            return x
        return self.node("Cast", x, to=helper.np_dtype_to_tensor_dtype(np.dtype(self._type)))

    def affine(self, x: str, gain: Any, offset: Any) -> str:
        if np.any(np.asarray(gain) != 1):
            x = self.node("Mul", x, self.constant(gain))
        return self.node("Add", x, self.constant(offset)) if np.any(np.asarray(offset) != 0) else x

    def add(self, a: str, b: str) -> str:
        return self.node("Add", a, b)

    def subtract(self, a: str, b: str) -> str:
        return self.node("Sub", a, b)

    def multiply(self, a: str, b: str) -> str:
        return self.node("Mul", a, b)

    def log(self, x: str) -> str:
        return self.node("Log", x)

    def exp(self, x: str) -> str:
        return self.node("Exp", x)

    def tanh(self, x: str) -> str:
        return self.node("Tanh", x)

    def leaky(self, x: str) -> str:
        return self.node("LeakyRelu", x, alpha=0.1)

    def at_least(self, x: str, bound: float) -> str:
        return self.node("Max", x, self.constant(bound))

    def at_most(self, x: str, bound: float) -> str:
        return self.node("Min", x, self.constant(bound))

    def concat(self, parts: list[str]) -> str:
        return self.node("Concat", *parts, axis=1)

    def channels(self, x: str, start: int, stop: int) -> str:
        bounds = [self.constant([value], np.int64) for value in (start, stop, 1)]
        return self.node("Slice", x, *bounds)

    def sum_channels(self, x: str) -> str:
        return self.node("ReduceSum", x, self.constant([1], np.int64), keepdims=1)

    def most_of_channels(self, x: str) -> str:
        return self.node("ReduceMax", x, self.constant([1], np.int64), keepdims=1)

    def convolve(self, x: str, weight: Array, bias: Array | None = None, *, groups: int = 1, pad: bool = True) -> str:
        """Stride 1; ``pad`` keeps the size with zeros around."""
        rows, columns = weight.shape[2:]
        pads = [rows // 2, columns // 2, rows // 2, columns // 2] if pad else [0, 0, 0, 0]
        inputs = [x, self.constant(weight, self._type)]
        if bias is not None:
            inputs.append(self.constant(bias, self._type))
        return self.node("Conv", *inputs, kernel_shape=[rows, columns], pads=pads, group=groups)

    def pad_edges(self, x: str, rows: int, columns: int) -> str:
        """Repeat the border ``rows`` times above and below, ``columns`` times left and right."""
        pads = self.constant([0, 0, rows, columns, 0, 0, rows, columns], np.int64)
        return self.node("Pad", x, pads, mode="edge")

    def shrink(self, x: str) -> str:
        return self.node("AveragePool", x, kernel_shape=[2, 2], strides=[2, 2])

    def enlarge(self, x: str) -> str:
        """Twice the size, bilinear, pixel centres aligned."""
        scales = self.constant([1, 1, 2, 2])
        return self.node("Resize", x, "", scales, mode="linear", coordinate_transformation_mode="half_pixel")

    def pad_to_multiple(self, x: str, multiple: int) -> str:
        size = self.node("Shape", x, start=2, end=4)
        short = self.node("Mod", self.node("Neg", size), self.constant([multiple] * 2, np.int64))
        pads = self.node("Concat", self.constant([0] * 6, np.int64), short, axis=0)
        return self.node("Pad", x, pads, mode="edge")

    def crop_like(self, x: str, original: str) -> str:
        size = self.node("Shape", original, start=2, end=4)
        return self.node("Slice", x, self.constant([0, 0], np.int64), size, self.constant([2, 3], np.int64))


@dataclass(frozen=True)
class _Seen:
    """What one value depends on: input pixels so far above or below, left or right, from every ``stride``-th pixel."""

    rows: float
    columns: float
    stride: int

    def wider(self, rows: float, columns: float, stride: int) -> _Seen:
        return _Seen(self.rows + rows, self.columns + columns, stride)


class Reach:
    """Follows how far input pixels are seen; ``multiple`` holds for the whole model."""

    def __init__(self) -> None:
        self.multiple = 1

    def _one(self, x: _Seen, *_: Any) -> _Seen:
        return x

    affine = log = exp = tanh = leaky = at_least = at_most = sum_channels = most_of_channels = _one
    enter_network = leave_network = channels = pad_edges = crop_like = _one

    def _two(self, a: _Seen, b: _Seen) -> _Seen:
        return self.concat([a, b])

    add = subtract = multiply = _two

    def concat(self, parts: list[_Seen]) -> _Seen:
        return _Seen(max(part.rows for part in parts), max(part.columns for part in parts), parts[0].stride)

    def convolve(self, x: _Seen, weight: Array, bias: Any = None, *, groups: int = 1, pad: bool = True) -> _Seen:
        rows, columns = (side // 2 * x.stride for side in weight.shape[2:])
        return x.wider(rows, columns, x.stride)

    def shrink(self, x: _Seen) -> _Seen:
        self.multiple = max(self.multiple, x.stride * 2)
        return x.wider(x.stride / 2, x.stride / 2, x.stride * 2)

    def enlarge(self, x: _Seen) -> _Seen:
        return x.wider(x.stride * 0.75, x.stride * 0.75, x.stride // 2)

    def pad_to_multiple(self, x: _Seen, multiple: int) -> _Seen:
        self.multiple = max(self.multiple, multiple)
        return x


def reach_of(forward: Any) -> tuple[int, int]:
    """Halo and multiple, in pixels, of ``forward(ops, frames)``, which may give a tuple."""
    ops = Reach()
    answer = forward(ops, _Seen(0, 0, 1))
    seen = ops.concat(list(answer)) if isinstance(answer, tuple) else answer
    return math.ceil(max(seen.rows, seen.columns)), ops.multiple
