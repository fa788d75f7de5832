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

_INT32 = 6
"""As ONNX numbers its types."""


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
        self.optional_inputs: list[Any] = []
        self._constants: dict[bytes, str] = {}
        self._places: dict[str, str] = {}
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

    def optional_input(self, name: str, default: float, like: str) -> str:
        """An input [N, 1, H, W] that may be left out: it is ``default`` everywhere then."""
        from onnx import TensorProto, helper, numpy_helper

        shape = [None, 1, None, None]
        self.optional_inputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, shape))
        value = np.full((1, 1, 1, 1), default, np.float32)
        self.initializers.append(numpy_helper.from_array(value, name))
        return name

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

    def divide(self, a: str, b: str) -> str:
        return self.node("Div", a, b)

    def smaller(self, a: str, b: str) -> str:
        return self.node("Min", a, b)

    def larger(self, a: str, b: str) -> str:
        return self.node("Max", a, b)

    def absolute(self, x: str) -> str:
        return self.node("Abs", x)

    def floor(self, x: str) -> str:
        return self.node("Floor", x)

    def choose(self, level: str, bound: float, above: str, below: str) -> str:
        """``above`` where ``level`` is above ``bound``, ``below`` elsewhere, bit for bit."""
        return self.node("Where", self.node("Greater", level, self.constant(bound)), above, below)

    def softmax(self, x: str) -> str:
        """Over the channels."""
        return self.node("Softmax", x, axis=1)

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

    def of_least(self, costs: str, table: Array) -> str:
        """[N, 2, H, W]: the row of ``table`` [K, 2] that belongs to the least of K channels, the first of equals."""
        index = self.node("ArgMin", costs, axis=1, keepdims=0)
        return self.node("Transpose", self.node("Gather", self.constant(table), index, axis=0), perm=[0, 3, 1, 2])

    def displace(self, x: str, shift: str, bound: int) -> str:
        """``x`` at (y + shift[0], x + shift[1]); whole numbers up to ``bound``; the picture's edge goes on outside."""
        if shift not in self._places:
            self._places[shift] = self._places_of(shift)
        shape = self.node("Shape", x)
        source = self.node("Reshape", x, self.constant([0, 0, -1], np.int64))
        index = self.node("Expand", self._places[shift], self.node("Shape", source))
        return self.node("Reshape", self.node("GatherElements", source, index, axis=2), shape)

    def _places_of(self, shift: str) -> str:
        """Which pixel of a flattened picture each place asks for, [N, 1, H*W], int32."""
        shape = self.node("Cast", self.node("Shape", shift), to=_INT32)
        height, width = (self.node("Gather", shape, self.constant(axis, np.int64)) for axis in (2, 3))
        zero, one = self.constant(0, np.int32), self.constant(1, np.int32)
        places = []
        for channel, (length, sides) in enumerate(((height, [-1, 1]), (width, [1, -1]))):
            line = self.node("Reshape", self.node("Range", zero, length, one), self.constant(sides, np.int64))
            moved = self.node("Cast", self.channels(shift, channel, channel + 1), to=_INT32)
            last = self.node("Sub", length, one)
            places.append(self.node("Min", self.node("Max", self.node("Add", moved, line), zero), last))
        index = self.node("Add", self.node("Mul", places[0], width), places[1])
        return self.node("Reshape", index, self.constant([0, 0, -1], np.int64))

    def shift(self, x: str, rows: int, columns: int) -> str:
        """``x`` at (y + rows, x + columns); the picture's edge goes on outside."""
        above, left = max(-rows, 0), max(-columns, 0)
        pads = self.constant([0, 0, above, left, 0, 0, max(rows, 0), max(columns, 0)], np.int64)
        size = self.node("Shape", x, start=2, end=4)
        start = self.constant([max(rows, 0), max(columns, 0)], np.int64)
        padded = self.node("Pad", x, pads, mode="edge")
        return self.node("Slice", padded, start, self.node("Add", start, size), self.constant([2, 3], np.int64))

    def mean_around(self, x: str, rows: int, columns: int) -> str:
        """The mean over ``rows`` above and below and ``columns`` left and right; edges repeated."""
        for up, aside in ((rows, 0), (0, columns)):
            if up or aside:
                kernel = [2 * up + 1, 2 * aside + 1]
                x = self.node("AveragePool", self.pad_edges(x, up, aside), kernel_shape=kernel, strides=[1, 1])
        return x

    def convolve(self, x: str, weight: Array, bias: Array | None = None, *, groups: int = 1, pad: bool = True) -> str:
        """Stride 1; ``pad`` keeps the size with zeros around."""
        rows, columns = weight.shape[2:]
        pads = [rows // 2, columns // 2, rows // 2, columns // 2] if pad else [0, 0, 0, 0]
        inputs = [x, self.constant(weight, self._type)]
        if bias is not None:
            inputs.append(self.constant(bias, self._type))
        return self.node("Conv", *inputs, kernel_shape=[rows, columns], pads=pads, group=groups)

    def flat(self, x: str) -> str:
        """[N, C, H * W]: for :meth:`weigh`, and what is done to each number or over channels."""
        return self.node("Reshape", x, self.constant([0, 0, -1], np.int64))

    def weigh(self, matrix: Array, flat: str) -> str:
        """[N, K, H * W]: sums over the channels of a flat picture, weighed by ``matrix`` [K, C].

        A convolution of one pixel says the same, but onnxruntime lays it out for its neighbours' sake, and then many of
        them take many times the memory.
        """
        return self.node("MatMul", self.constant(matrix), flat)

    def as_picture(self, flat: str, original: str) -> str:
        """[N, K, H, W] of a flat picture, H and W those of ``original``."""
        size = self.node("Shape", original, start=2, end=4)
        return self.node("Reshape", flat, self.node("Concat", self.constant([0, -1], np.int64), size, axis=0))

    def pad_edges(self, x: str, rows: int, columns: int) -> str:
        """Repeat the border ``rows`` times above and below, ``columns`` times left and right."""
        pads = self.constant([0, 0, rows, columns, 0, 0, rows, columns], np.int64)
        return self.node("Pad", x, pads, mode="edge")

    def unshuffle(self, x: str, size: int) -> str:
        """[N, size * size * C, H / size, W / size]: the pixels of each square become channels; sides are multiples."""
        return self.node("SpaceToDepth", x, blocksize=size)

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
    absolute = floor = softmax = of_least = flat = as_picture = _one

    def weigh(self, matrix: Array, flat: _Seen) -> _Seen:
        return flat

    def optional_input(self, name: str, default: float, like: _Seen) -> _Seen:
        return _Seen(0, 0, 1)

    def _two(self, a: _Seen, b: _Seen) -> _Seen:
        return self.concat([a, b])

    add = subtract = multiply = divide = smaller = larger = _two

    def choose(self, level: _Seen, bound: float, above: _Seen, below: _Seen) -> _Seen:
        return self.concat([level, above, below])

    def displace(self, x: _Seen, shift: _Seen, bound: int) -> _Seen:
        return self.concat([x.wider(bound * x.stride, bound * x.stride, x.stride), shift])

    def shift(self, x: _Seen, rows: int, columns: int) -> _Seen:
        return x.wider(abs(rows) * x.stride, abs(columns) * x.stride, x.stride)

    mean_around = shift

    def concat(self, parts: list[_Seen]) -> _Seen:
        return _Seen(max(part.rows for part in parts), max(part.columns for part in parts), parts[0].stride)

    def convolve(self, x: _Seen, weight: Array, bias: Any = None, *, groups: int = 1, pad: bool = True) -> _Seen:
        rows, columns = (side // 2 * x.stride for side in weight.shape[2:])
        return x.wider(rows, columns, x.stride)

    def unshuffle(self, x: _Seen, size: int) -> _Seen:
        self.multiple = max(self.multiple, x.stride * size)
        return x.wider(x.stride * (size - 1) / 2, x.stride * (size - 1) / 2, x.stride * size)

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
