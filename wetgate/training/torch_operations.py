"""The operations of :mod:`wetgate.training.operations`, computed by torch with gradients."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor


class Torch:
    """Computes on tensors ``[N, C, H, W]``; arrays given as weights become constants.

    Args:
        told: optional inputs by name; those that are left out have their default.
    """

    def __init__(self, told: Mapping[str, Tensor] = MappingProxyType({})) -> None:
        self._told = told

    def optional_input(self, name: str, default: float, like: Tensor) -> Tensor:
        return self._told[name] if name in self._told else like.new_full((1, 1, 1, 1), default)

    def _tensor(self, value: Any, like: Tensor) -> Tensor:
        if isinstance(value, Tensor):
            return value
        return torch.tensor(value, dtype=like.dtype, device=like.device)

    def enter_network(self, x: Tensor) -> Tensor:
        return x

    def leave_network(self, x: Tensor) -> Tensor:
        return x.float()

    def affine(self, x: Tensor, gain: Any, offset: Any) -> Tensor:
        return x * self._tensor(gain, x) + self._tensor(offset, x)

    def add(self, a: Tensor, b: Tensor) -> Tensor:
        return a + b

    def subtract(self, a: Tensor, b: Tensor) -> Tensor:
        return a - b

    def multiply(self, a: Tensor, b: Tensor) -> Tensor:
        return a * b

    def divide(self, a: Tensor, b: Tensor) -> Tensor:
        return a / b

    def smaller(self, a: Tensor, b: Tensor) -> Tensor:
        return torch.minimum(a, b)

    def larger(self, a: Tensor, b: Tensor) -> Tensor:
        return torch.maximum(a, b)

    def absolute(self, x: Tensor) -> Tensor:
        return x.abs()

    def floor(self, x: Tensor) -> Tensor:
        return x.floor()

    def choose(self, level: Tensor, bound: float, above: Tensor, below: Tensor) -> Tensor:
        return torch.where(level > bound, above, below)

    def softmax(self, x: Tensor) -> Tensor:
        return torch.softmax(x, 1)

    def of_least(self, costs: Tensor, table: Any) -> Tensor:
        return self._tensor(table, costs)[costs.argmin(1)].permute(0, 3, 1, 2)

    def displace(self, x: Tensor, shift: Tensor, bound: int) -> Tensor:
        height, width = x.shape[2:]
        moved = shift.long()
        rows = torch.arange(height, device=x.device).view(-1, 1) + moved[:, :1]
        columns = torch.arange(width, device=x.device) + moved[:, 1:]
        index = rows.clamp(0, height - 1) * width + columns.clamp(0, width - 1)
        flat = index.flatten(2).expand(-1, x.shape[1], -1)
        return x.flatten(2).gather(2, flat).view(x.shape)

    def shift(self, x: Tensor, rows: int, columns: int) -> Tensor:
        height, width = x.shape[2:]
        padded = F.pad(x, (max(-columns, 0), max(columns, 0), max(-rows, 0), max(rows, 0)), mode="replicate")
        top, left = max(rows, 0), max(columns, 0)
        return padded[:, :, top : top + height, left : left + width]

    def mean_around(self, x: Tensor, rows: int, columns: int) -> Tensor:
        for axis, up, aside in ((2, rows, 0), (3, 0, columns)):
            if up or aside:
                count = 2 * (up + aside) + 1
                x = _sums(self.pad_edges(x, up, aside), count, axis) / count
        return x

    def log(self, x: Tensor) -> Tensor:
        return torch.log(x)

    def exp(self, x: Tensor) -> Tensor:
        return torch.exp(x)

    def tanh(self, x: Tensor) -> Tensor:
        return torch.tanh(x)

    def leaky(self, x: Tensor) -> Tensor:
        return F.leaky_relu(x, 0.1)

    def at_least(self, x: Tensor, bound: float) -> Tensor:
        return x.clamp_min(bound)

    def at_most(self, x: Tensor, bound: float) -> Tensor:
        return x.clamp_max(bound)

    def concat(self, parts: list[Tensor]) -> Tensor:
        return torch.cat(parts, 1)

    def channels(self, x: Tensor, start: int, stop: int) -> Tensor:
        return x[:, start:stop]

    def sum_channels(self, x: Tensor) -> Tensor:
        return x.sum(1, keepdim=True)

    def most_of_channels(self, x: Tensor) -> Tensor:
        return x.amax(1, keepdim=True)

    def flat(self, x: Tensor) -> Tensor:
        return x.flatten(2)

    def weigh(self, matrix: Any, flat: Tensor) -> Tensor:
        return self._tensor(matrix, flat) @ flat

    def as_picture(self, flat: Tensor, original: Tensor) -> Tensor:
        return flat.reshape(*flat.shape[:2], *original.shape[2:])

    def convolve(self, x: Tensor, weight: Any, bias: Any = None, *, groups: int = 1, pad: bool = True) -> Tensor:
        weight = self._tensor(weight, x)
        padding = (weight.shape[2] // 2, weight.shape[3] // 2) if pad else 0
        return F.conv2d(x, weight, None if bias is None else self._tensor(bias, x), padding=padding, groups=groups)

    def pad_edges(self, x: Tensor, rows: int, columns: int) -> Tensor:
        return F.pad(x, (columns, columns, rows, rows), mode="replicate")

    def unshuffle(self, x: Tensor, size: int) -> Tensor:
        count, channels, height, width = x.shape
        squares = x.reshape(count, channels, height // size, size, width // size, size)
        return squares.permute(0, 3, 5, 1, 2, 4).reshape(count, -1, height // size, width // size)

    def shrink(self, x: Tensor) -> Tensor:
        return F.avg_pool2d(x, 2)

    def enlarge(self, x: Tensor) -> Tensor:
        return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)

    def pad_to_multiple(self, x: Tensor, multiple: int) -> Tensor:
        height, width = x.shape[2:]
        return F.pad(x, (0, -width % multiple, 0, -height % multiple), mode="replicate")

    def crop_like(self, x: Tensor, original: Tensor) -> Tensor:
        return x[:, :, : original.shape[2], : original.shape[3]]


def _sums(x: Tensor, count: int, axis: int) -> Tensor:
    """Of each ``count`` neighbours, an odd number, by doubling: torch's pooling takes longer the more they are."""
    left = x.shape[axis] - count + 1
    total, size = x.narrow(axis, 0, left), 1
    while 2 * size <= count:
        length = x.shape[axis] - size
        x, size = x.narrow(axis, 0, length) + x.narrow(axis, size, length), 2 * size
        if count & size:
            total = total + x.narrow(axis, count % size, left)
    return total


def tensor(picture: Any) -> Tensor:
    """A picture array [H, W, C] as a tensor [1, C, H, W]."""
    return torch.from_numpy(picture.transpose(2, 0, 1)[None].copy())
