"""What users have today, trained from the same pairs for the same time: the methods that Wetgate must beat.

Plain PyTorch and nothing clever, but no handicap either: settings were chosen for the best held-out results that we
could get within a minute or two on a processor. Pixels are display-referred float32 [H, W, 3], 0-1 nominal. With
``protect="luma"`` every method keeps the scan's luma, while it learns and when it answers.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from wetgate.evaluation.compare import Frame, Method
from wetgate.images import LUMA, Pixels
from wetgate.training import density, quadratic
from wetgate.training.operations import Numpy
from wetgate.training.torch_operations import Torch

LOW_PASS = 1.5
"""Sigma in pixels under which methods that see single pixels do not look: a soft reference holds no less, and grain
there is noise to them."""

Pairs = Sequence[tuple[Pixels, Pixels]]
"""Scan and reference of each pair; sizes may differ from pair to pair."""

Network = Callable[[Tensor], Tensor]
"""Scan [N, 3, H, W] to restored [N, 3, H, W]."""


@dataclass
class Budget:
    """The time that one training may take, from now on.

    Attributes:
        seconds: of wall time on a machine of its own.
        cpu: count the processor time of this process instead, ``seconds`` for each of its cores, so that a machine
            with other work to do gives the same result only later.
    """

    seconds: float
    cpu: bool = False
    begun: float = field(init=False)
    begun_wall: float = field(init=False)

    def __post_init__(self) -> None:
        self.begun, self.begun_wall = self._now(), time.monotonic()

    def _now(self) -> float:
        return time.process_time() / cores() if self.cpu else time.monotonic()

    @property
    def share(self) -> float:
        """How much is used up: 0 at first, 1 when it is over."""
        return min(1.0, (self._now() - self.begun) / self.seconds)


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def train(name: str, pairs: Pairs, budget: Budget, *, protect: str = "none", seed: int = 0) -> Method:
    """Train one of :data:`BASELINES` until the budget is used up.

    Args:
        protect: "luma" keeps the scan's BT.709 luma of coded values, "none" leaves everything to the method.
        seed: of initial weights and of the order of samples.
    """
    torch.manual_seed(seed)
    network, parameters = BASELINES[name](pairs, budget, protect)
    seconds = time.monotonic() - budget.begun_wall

    @torch.inference_mode()
    def restore(frame: Frame) -> Pixels:
        assert frame.scan is not None
        restored = _protected(network(_tensor(frame.scan)), _tensor(frame.scan), protect)
        return np.ascontiguousarray(restored[0].permute(1, 2, 0).numpy())

    return Method(name, restore, parameters, seconds)


def _closed_form(pairs: Pairs, budget: Budget, protect: str) -> tuple[Network, int]:
    """Quadratic in dye density by least squares, errors weighted by what they are worth on screen."""

    def densities(pixels: Pixels) -> Pixels:
        return density.to_density(Numpy(), _low_passed(pixels), "display").reshape(-1, 3)

    scan, reference = [densities(scan) for scan, _ in pairs], [densities(reference) for _, reference in pairs]
    coefficients = quadratic.fit(scan, reference, [(10.0 ** (-2 * d)).mean(1) for d in reference])

    def network(scan: Tensor) -> Tensor:
        restored = quadratic.apply(Torch(), density.to_density(Torch(), scan, "display"), coefficients)
        return density.from_density(Torch(), restored, "display")

    return network, coefficients.size


class ColourCube(nn.Module):
    """A 3-D lookup table with trilinear interpolation, at first the identity; values outside 0-1 keep their excess."""

    def __init__(self, size: int = 17) -> None:
        super().__init__()
        axis = torch.linspace(0, 1, size)
        self.table = nn.Parameter(torch.stack(torch.meshgrid(axis, axis, axis, indexing="ij")))

    def forward(self, scan: Tensor) -> Tensor:
        inside = scan.clamp(0, 1)
        places = inside.permute(0, 2, 3, 1).flip(3)[None].flatten(1, 2)[:, None] * 2 - 1
        found = F.grid_sample(self.table[None], places, align_corners=True, padding_mode="border")
        return found.reshape(3, scan.shape[0], *scan.shape[2:]).transpose(0, 1) + scan - inside

    def roughness(self) -> Tensor:
        """Mean square of the second differences along the three axes."""
        steps = [self.table.diff(n=2, dim=axis).square().mean() for axis in (1, 2, 3)]
        return torch.stack(steps).mean()


def _colour_cube(
    pairs: Pairs, budget: Budget, protect: str, *, smoothness: float = 10.0, peak: float = 0.02, batch: int = 8192
) -> tuple[Network, int]:
    """Mean square error on random pixels, Adam, the table kept smooth."""
    cube = ColourCube()
    scans, references = (
        torch.from_numpy(np.concatenate([_low_passed(pair[side]).reshape(-1, 3) for pair in pairs])) for side in (0, 1)
    )
    optimizer = torch.optim.Adam(cube.parameters(), betas=(0.9, 0.99))
    while (share := budget.share) < 1:
        chosen = torch.randint(len(scans), (batch,))
        scan, reference = (pixels[chosen].T[None, :, None] for pixels in (scans, references))
        error = _protected(cube(scan), scan, protect) - reference
        _step(optimizer, error.square().mean() + smoothness * cube.roughness(), peak, share)
    return cube, cube.table.numel()


def _low_passed(pixels: Pixels) -> Pixels:
    return cv2.GaussianBlur(pixels, (0, 0), LOW_PASS, borderType=cv2.BORDER_REPLICATE)


class EncoderDecoder(nn.Module):
    """Convolutions at falling and again rising resolution, with skip connections between equal ones.

    Args:
        residual: whether the answer is added to the scan (the network starts as the identity) or to plain grey.
        mean, deviation: [3] of the scans that it will be trained on.
    """

    def __init__(self, channels: int, levels: int, residual: bool, mean: Tensor, deviation: Tensor) -> None:
        super().__init__()
        widths = [channels * 2**level for level in range(levels)]
        self.residual, self.mean, self.deviation = residual, mean[:, None, None], deviation[:, None, None]
        self.down = nn.ModuleList(
            _block(before, width) for before, width in zip([3, *widths[:-1]], widths, strict=True)
        )
        self.up = nn.ModuleList(
            _block(wide + narrow, narrow) for narrow, wide in zip(widths[-2::-1], widths[:0:-1], strict=True)
        )
        self.out = nn.Conv2d(channels, 3, 1)
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight, 0.1)
        for parameter in self.out.parameters():
            nn.init.zeros_(parameter)

    def forward(self, scan: Tensor) -> Tensor:
        height, width = scan.shape[2:]
        multiple = 2 ** (len(self.down) - 1)
        x = F.pad((scan - self.mean) / self.deviation, (0, -width % multiple, 0, -height % multiple), mode="replicate")
        x = x.contiguous(memory_format=torch.channels_last)
        skipped = []
        for level, block in enumerate(self.down):
            x = block(F.avg_pool2d(x, 2) if level else x)
            skipped.append(x)
        skipped.pop()
        for block in self.up:
            x = block(torch.cat([F.interpolate(x, scale_factor=2.0), skipped.pop()], 1))
        answer = self.out(x).float()[:, :, :height, :width]
        return answer + (scan if self.residual else 0.5)


def _block(before: int, after: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(before, after, 3, padding=1),
        nn.LeakyReLU(0.1, inplace=True),
        nn.Conv2d(after, after, 3, padding=1),
        nn.LeakyReLU(0.1, inplace=True),
    )


def _copycat_style(pairs: Pairs, budget: Budget, protect: str) -> tuple[Network, int]:
    """Large crops, few at a time; the picture is drawn anew, not added to the scan."""
    network = EncoderDecoder(16, 4, False, *_statistics(pairs))
    return _trained(network, pairs, budget, protect, crop=128, batch=3)


def _residual_unet(pairs: Pairs, budget: Budget, protect: str) -> tuple[Network, int]:
    """Small crops, many at a time, each at an exposure a little off, the more so the fewer pairs there are."""
    mean, deviation = _statistics(pairs)
    network = EncoderDecoder(16, 3, True, mean, deviation)
    return _trained(network, pairs, budget, protect, crop=64, batch=8, jitter=0.2 / len(pairs) * deviation)


def _trained(
    network: nn.Module,
    pairs: Pairs,
    budget: Budget,
    protect: str,
    *,
    crop: int,
    batch: int,
    jitter: Tensor | None = None,
) -> tuple[Network, int]:
    """Mean absolute error on random crops, AdamW. jitter: [3] standard deviation of what is added to whole crops."""
    optimizer = torch.optim.AdamW(network.parameters(), weight_decay=1e-2, betas=(0.9, 0.99))
    stacks = [torch.cat([_tensor(scan), _tensor(reference)]) for scan, reference in pairs]
    while (share := budget.share) < 1:
        scan, reference = _crops(stacks, crop, batch)
        shown = scan if jitter is None else scan + jitter[:, None, None] * torch.randn(batch, 3, 1, 1)
        with torch.autocast("cpu", torch.bfloat16):
            restored = network(shown)
        _step(optimizer, (_protected(restored, scan, protect) - reference).abs().mean(), 1e-3, share)
    return network.eval(), sum(parameter.numel() for parameter in network.parameters())


def _statistics(pairs: Pairs) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation [3] of the scans."""
    pixels = torch.cat([_tensor(scan)[0].flatten(1) for scan, _ in pairs], 1)
    return pixels.mean(1), pixels.std(1) + 1e-3


def _crops(stacks: list[Tensor], size: int, batch: int) -> tuple[Tensor, Tensor]:
    """Scan and reference [batch, 3, size, size] at random places of pairs [2, 3, H, W], half mirrored."""
    size = min(size, *(side for stack in stacks for side in stack.shape[2:]))
    crops = []
    for chosen in torch.randint(len(stacks), (batch,)).tolist():
        y, x = (int(torch.randint(side - size + 1, ())) for side in stacks[chosen].shape[2:])
        crop = stacks[chosen][:, :, y : y + size, x : x + size]
        crops.append(crop.flip(3) if torch.rand(()) < 0.5 else crop)
    scan, reference = torch.stack(crops, 1)
    return scan, reference


def _step(optimizer: torch.optim.Optimizer, loss: Tensor, peak: float, share: float) -> None:
    """One step at the learning rate of a short warm-up and a cosine's fall from ``peak`` to 0."""
    for group in optimizer.param_groups:
        group["lr"] = peak * min(1.0, 0.02 + share / 0.02) * 0.5 * (1 + math.cos(math.pi * share))
    optimizer.zero_grad(set_to_none=True)
    torch.autograd.backward(loss)
    optimizer.step()


def _protected(restored: Tensor, scan: Tensor, protect: str) -> Tensor:
    if protect != "luma":
        return restored
    weights = torch.tensor(LUMA)[:, None, None]
    return restored + ((scan - restored) * weights).sum(1, keepdim=True)


def _tensor(pixels: Pixels) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1)))[None]


BASELINES = {
    "closed-form": _closed_form,
    "3d-lut": _colour_cube,
    "copycat-style": _copycat_style,
    "u-net": _residual_unet,
}
