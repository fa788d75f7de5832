"""What the operators of an ONNX graph are in torch: opsets 13 to 21, pictures ``[N, C, H, W]`` in float32.

Everything that Wetgate's own models use is here (:mod:`wetgate.training.operations`), and what plain convolution
networks made elsewhere need besides. Called while torch traces, they give a graph whose heights and widths stay free:
whole numbers that follow from a picture's size are :class:`Sizes`, and the trace follows them.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor

from wetgate.errors import WetgateError


class Sizes(tuple[Any, ...]):
    """A vector of whole numbers, or one alone: ints, and scalar tensors where a trace follows a picture's size."""


Value: TypeAlias = Tensor | Sizes


@dataclass(frozen=True)
class Node:
    """One node of the graph: names of its inputs ("" where one is left out) and outputs, and its attributes."""

    kind: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: dict[str, Any]

    def get(self, name: str, default: Any = None) -> Any:
        """An attribute."""
        return self.attributes.get(name, default)

    def demand(self, name: str, *allowed: Any) -> None:
        """Refuse the node where an attribute that it has is none of ``allowed``."""
        if name in self.attributes and self.attributes[name] not in allowed:
            raise self.refused(f"with {name} {self.attributes[name]}")

    def refused(self, what: str) -> WetgateError:
        """The error to raise where the node is one that has no translation."""
        return WetgateError(f"It uses the operator {self.kind} {what}, which has no translation.")


def compute(node: Node, inputs: Sequence[Value | None]) -> Sequence[Value]:
    """The outputs of ``node``.

    Raises:
        WetgateError: the operator, or this use of it, has no translation; the sentence names it.
    """
    if node.kind not in OPERATORS:
        raise WetgateError(f"It uses the operator {node.kind}, which has no translation.")
    result = OPERATORS[node.kind](node, *inputs)
    return result if isinstance(result, list) else [result]


def _unary(of: Callable[[Tensor], Tensor]) -> Callable[..., Value]:
    return lambda node, x: of(x)


def _arithmetic(of: Callable[[Any, Any], Any]) -> Callable[..., Value]:
    """``of`` for pictures, and number by number for sizes; one number goes with each of the others."""

    def run(node: Node, a: Value, b: Value) -> Value:
        if isinstance(a, Sizes) and isinstance(b, Sizes):
            length = max(len(a), len(b))
            pairs = zip(a * (length // len(a)), b * (length // len(b)), strict=True)
            return Sizes(of(*pair) for pair in pairs)
        if isinstance(a, Sizes) or isinstance(b, Sizes):
            raise node.refused("between a picture and whole numbers")
        return of(a, b)

    return run


def _all_of(of: Callable[[Tensor, Tensor], Tensor]) -> Callable[..., Value]:
    return lambda node, *inputs: functools.reduce(of, inputs)


def _divide(node: Node, a: Value, b: Value) -> Value:
    return _arithmetic(lambda x, y: x // y if isinstance(a, Sizes) else x / y)(node, a, b)


def _modulo(node: Node, a: Value, b: Value) -> Value:
    node.demand("fmod", 0)
    return _arithmetic(lambda x, y: x % y)(node, a, b)


def _power(node: Node, x: Tensor, exponent: Value) -> Tensor:
    return x.pow(exponent[0] if isinstance(exponent, Sizes) else exponent)


def _identity(node: Node, x: Value) -> Value:
    return x


def _negative(node: Node, x: Value) -> Value:
    return Sizes(-number for number in x) if isinstance(x, Sizes) else -x


def _cast(node: Node, x: Value) -> Value:
    names = {1: "float32", 6: "int32", 7: "int64"}
    to = names.get(node.get("to"), f"ONNX type {node.get('to')}")
    if to != "float32" if isinstance(x, Tensor) else not to.startswith("int"):
        raise node.refused(f"to {to}" if isinstance(x, Tensor) else f"from whole numbers to {to}")
    return x


def _clip(node: Node, x: Tensor, least: Tensor | None = None, most: Tensor | None = None) -> Tensor:
    x = x if least is None else torch.maximum(x, least)
    return x if most is None else torch.minimum(x, most)


def _leaky(node: Node, x: Tensor) -> Tensor:
    return F.leaky_relu(x, node.get("alpha", 0.01))


def _elu(node: Node, x: Tensor) -> Tensor:
    return F.elu(x, node.get("alpha", 1.0))


def _gelu(node: Node, x: Tensor) -> Tensor:
    """Hendrycks & Gimpel, Gaussian Error Linear Units, 2016."""
    if node.get("approximate", "none") == "tanh":
        return 0.5 * x * (1 + torch.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x * x * x)))
    return 0.5 * x * (1 + torch.erf(x * math.sqrt(0.5)))


def _prelu(node: Node, x: Tensor, slope: Tensor) -> Tensor:
    return torch.relu(x) - slope * torch.relu(-x)


def _softmax(node: Node, x: Tensor) -> Tensor:
    return torch.softmax(x, node.get("axis", -1))


def _shape(node: Node, x: Tensor) -> Sizes:
    return Sizes(x.shape[axis] for axis in range(x.dim())[slice(node.get("start"), node.get("end"))])


def _gather(node: Node, x: Value, indices: Value) -> Sizes:
    if not isinstance(x, Sizes) or not isinstance(indices, Sizes):
        raise node.refused("on pictures")
    return Sizes(x[index] for index in indices)


def _squeeze(node: Node, x: Value, axes: Sizes | None = None) -> Value:
    """Also Unsqueeze: one whole number alone and in a vector are the same to us."""
    if not isinstance(x, Sizes):
        raise node.refused("on pictures")
    return x


def _concat(node: Node, *parts: Value) -> Value:
    sizes = [part for part in parts if isinstance(part, Sizes)]
    if len(sizes) == len(parts):
        return Sizes(number for part in sizes for number in part)
    if sizes:
        raise node.refused("of pictures and whole numbers")
    return torch.cat(list(parts), node.get("axis"))  # type: ignore[arg-type]


def _slice(
    node: Node, x: Value, starts: Sizes, ends: Sizes, axes: Sizes | None = None, steps: Sizes | None = None
) -> Value:
    steps = steps or Sizes([1] * len(starts))
    if any(isinstance(step, int) and step < 1 for step in steps):
        raise node.refused("backwards")
    parts = [slice(start, end, step) for start, end, step in zip(starts, ends, steps, strict=True)]
    if isinstance(x, Sizes):
        return Sizes(x[parts[0]])
    whole: list[slice] = [slice(None)] * x.dim()
    for axis, part in zip(range(len(parts)) if axes is None else axes, parts, strict=True):
        whole[axis] = part
    return x[tuple(whole)]


def _split(node: Node, x: Tensor, sizes: Sizes | None = None) -> list[Tensor]:
    axis, count = node.get("axis", 0), len(node.outputs)
    return list(x.chunk(count, axis) if sizes is None else torch.split(x, list(sizes), axis))


def _transpose(node: Node, x: Tensor) -> Tensor:
    return x.permute(node.get("perm", list(reversed(range(x.dim())))))


def _reshape(node: Node, x: Value, shape: Sizes) -> Value:
    node.demand("allowzero", 0)
    if isinstance(x, Sizes):
        return _squeeze(node, x)
    return x.reshape([x.shape[i] if isinstance(n, int) and n == 0 else n for i, n in enumerate(shape)])


def _depth_to_space(node: Node, x: Tensor) -> Tensor:
    block = node.get("blocksize")
    if node.get("mode", "DCR") == "CRD":
        return F.pixel_shuffle(x, block)
    batch, _, height, width = x.shape
    apart = x.reshape(batch, block, block, -1, height, width).permute(0, 3, 4, 1, 5, 2)
    return apart.reshape(batch, -1, height * block, width * block)


def _space_to_depth(node: Node, x: Tensor) -> Tensor:
    block = node.get("blocksize")
    batch, _, height, width = x.shape
    apart = x.reshape(batch, -1, height // block, block, width // block, block).permute(0, 3, 5, 1, 2, 4)
    return apart.reshape(batch, -1, height // block, width // block)


def _reduce(of: Callable[[Tensor, list[int], bool], Tensor]) -> Callable[..., Value]:
    def run(node: Node, x: Tensor, axes: Sizes | None = None) -> Tensor:
        node.demand("noop_with_empty_axes", 0)
        chosen = axes if axes is not None else node.get("axes", range(x.dim()))
        return of(x, list(chosen), bool(node.get("keepdims", 1)))

    return run


def _borders(node: Node, x: Tensor) -> tuple[Tensor, tuple[int, int]]:
    """The picture and the padding that a convolution or a pool leaves to torch; what is not even is padded before."""
    node.demand("auto_pad", "NOTSET", "VALID")
    top, left, bottom, right = node.get("pads", [0, 0, 0, 0])
    if (top, left) == (bottom, right):
        return x, (top, left)
    if node.kind != "Conv":
        raise node.refused("with uneven pads")
    return F.pad(x, (left, right, top, bottom)), (0, 0)


def _convolve(node: Node, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    x, padding = _borders(node, x)
    stride, dilation = node.get("strides", [1, 1]), node.get("dilations", [1, 1])
    return F.conv2d(x, weight, bias, stride, padding, dilation, node.get("group", 1))


def _convolve_back(node: Node, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    x, padding = _borders(node, x)
    if "output_shape" in node.attributes:
        raise node.refused("with an output_shape")
    more, group = node.get("output_padding", [0, 0]), node.get("group", 1)
    stride, dilation = node.get("strides", [1, 1]), node.get("dilations", [1, 1])
    return F.conv_transpose2d(x, weight, bias, stride, padding, more, group, dilation)


def _average_pool(node: Node, x: Tensor) -> Tensor:
    node.demand("dilations", [1, 1])
    x, padding = _borders(node, x)
    kernel, counted = node.get("kernel_shape"), bool(node.get("count_include_pad", 0))
    return F.avg_pool2d(x, kernel, node.get("strides", [1, 1]), padding, bool(node.get("ceil_mode", 0)), counted)


def _max_pool(node: Node, x: Tensor) -> Tensor:
    x, padding = _borders(node, x)
    stride, dilation = node.get("strides", [1, 1]), node.get("dilations", [1, 1])
    return F.max_pool2d(x, node.get("kernel_shape"), stride, padding, dilation, bool(node.get("ceil_mode", 0)))


def _global_average(node: Node, x: Tensor) -> Tensor:
    return x.mean([2, 3], keepdim=True)


def _batch_norm(node: Node, x: Tensor, scale: Tensor, bias: Tensor, mean: Tensor, variance: Tensor) -> Tensor:
    node.demand("training_mode", 0)
    return F.batch_norm(x, mean, variance, scale, bias, False, 0.0, node.get("epsilon", 1e-5))


def _instance_norm(node: Node, x: Tensor, scale: Tensor, bias: Tensor) -> Tensor:
    return F.instance_norm(x, weight=scale, bias=bias, eps=node.get("epsilon", 1e-5))


def _pad(node: Node, x: Tensor, pads: Sizes, value: Tensor | None = None, axes: Sizes | None = None) -> Tensor:
    modes = {"constant": "constant", "edge": "replicate", "reflect": "reflect"}
    mode = modes.get(node.get("mode", "constant"))
    if mode is None or value is not None:
        raise node.refused(f"in mode {node.get('mode')}" if mode is None else "with a value of its own")
    around: list[Any] = [0] * (2 * x.dim())
    for index, axis in enumerate(range(x.dim()) if axes is None else axes):
        at = x.dim() - 1 - axis % x.dim()
        around[2 * at : 2 * at + 2] = pads[index], pads[index + len(pads) // 2]
    if any(not isinstance(number, int) or number for number in around[4:]):
        raise node.refused("along other axes than height and width")
    return F.pad(x, around[:4], mode)


def _resize(node: Node, x: Tensor, *sizes: Value | None) -> Tensor:
    """To ``scales``, which a graph states as a constant and the attributes hold here, or to computed sizes."""
    mode, place = node.get("mode", "nearest"), node.get("coordinate_transformation_mode", "half_pixel")
    scales, size = node.get("scales"), sizes[-1] if sizes else None
    node.demand("antialias", 0)
    node.demand("axes")
    how: dict[str, Any] = {"mode": "nearest"}
    if mode == "linear" and place in ("half_pixel", "pytorch_half_pixel", "align_corners"):
        how = {"mode": "bilinear", "align_corners": place == "align_corners"}
    elif mode != "nearest" or not _takes_the_pixel_before(node, place, scales):
        raise node.refused(f"in mode {mode}, {place}")
    if isinstance(size, Sizes):
        return F.interpolate(x, size=list(size[2:]), **how)
    if scales is None or len(scales) != 4 or scales[:2] != [1, 1]:
        raise node.refused("with scales that are computed, or of other axes than height and width")
    return F.interpolate(x, scale_factor=scales[2:], **how)


def _takes_the_pixel_before(node: Node, place: str, scales: list[float] | None) -> bool:
    """Whether the nearest pixel is torch's: that of the coordinate rounded down, or any for a whole enlargement."""
    if place == "asymmetric" and node.get("nearest_mode", "round_prefer_floor") == "floor":
        return True
    return place in ("half_pixel", "pytorch_half_pixel") and scales is not None and all(s % 1 == 0 for s in scales)


OPERATORS: dict[str, Callable[..., Value | list[Any]]] = {
    "Abs": _unary(torch.abs),
    "Add": _arithmetic(lambda a, b: a + b),
    "AveragePool": _average_pool,
    "BatchNormalization": _batch_norm,
    "Cast": _cast,
    "Clip": _clip,
    "Concat": _concat,
    "Conv": _convolve,
    "ConvTranspose": _convolve_back,
    "DepthToSpace": _depth_to_space,
    "Div": _divide,
    "Elu": _elu,
    "Erf": _unary(torch.erf),
    "Exp": _unary(torch.exp),
    "Gather": _gather,
    "Gelu": _gelu,
    "GlobalAveragePool": _global_average,
    "Identity": _identity,
    "InstanceNormalization": _instance_norm,
    "LeakyRelu": _leaky,
    "Log": _unary(torch.log),
    "MatMul": lambda node, a, b: torch.matmul(a, b),
    "Max": _all_of(torch.maximum),
    "MaxPool": _max_pool,
    "Min": _all_of(torch.minimum),
    "Mod": _modulo,
    "Mul": _arithmetic(lambda a, b: a * b),
    "Neg": _negative,
    "PRelu": _prelu,
    "Pad": _pad,
    "Pow": _power,
    "Reciprocal": _unary(torch.reciprocal),
    "ReduceMax": _reduce(torch.amax),
    "ReduceMean": _reduce(torch.mean),
    "ReduceMin": _reduce(torch.amin),
    "ReduceSum": _reduce(torch.sum),
    "Relu": _unary(torch.relu),
    "Reshape": _reshape,
    "Resize": _resize,
    "Shape": _shape,
    "Sigmoid": _unary(torch.sigmoid),
    "Slice": _slice,
    "Softmax": _softmax,
    "Softplus": _unary(F.softplus),
    "SpaceToDepth": _space_to_depth,
    "Split": _split,
    "Sqrt": _unary(torch.sqrt),
    "Squeeze": _squeeze,
    "Sub": _arithmetic(lambda a, b: a - b),
    "Sum": _all_of(torch.add),
    "Tanh": _unary(torch.tanh),
    "Transpose": _transpose,
    "Unsqueeze": _squeeze,
}
"""By ONNX name."""
