"""The last half pixel: references lie near where they should, and the loss finds where.

Film is warped, and no transform of a whole picture takes that out. A network that is punished for being half a pixel
beside a misplaced target learns to blur. So in each step the target is moved to the network's own answer, by what the
two themselves say around each pixel.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

AROUND = 33
"""Pixels, across and down, that agree on one shift."""
MOST = 1.0
"""Largest shift, in pixels."""
MEASURED = 0.1
"""Pixels of a residual that are the measurement's own, not the picture's."""
_INDEPENDENT = 60
"""Of the pixels around, how many tell something new."""
_COARSE = 17


@torch.no_grad()
def moved_to(answer: Tensor, target: Tensor, weight: Tensor, expected: float | Tensor) -> Tensor:
    """The target, resampled where the answer sees it.

    One step of Lucas and Kanade's registration (IJCAI 1981) on windows around every pixel, drawn to no shift as a
    normal prior draws it: where the pictures say nothing, the target stays.

    Args:
        answer, target: [N, 1, H, W].
        weight: [N, 1, H, W] how much each pixel is trusted.
        expected: standard deviation of the shifts, in pixels, one for all or [N, 1, H, W]; 0 moves nothing.
    """
    seen, wanted = _mean(answer, 3), _mean(target, 3)
    down = F.pad((wanted[:, :, 2:] - wanted[:, :, :-2]) / 2, (0, 0, 1, 1))
    across = F.pad((wanted[..., 2:] - wanted[..., :-2]) / 2, (1, 1))
    error = seen - wanted
    error = error - _mean(error, _COARSE)
    xx, xy, yy, xe, ye = (
        _mean(weight * a * b, AROUND)
        for a, b in ((across, across), (across, down), (down, down), (across, error), (down, error))
    )
    noise = _mean(weight * error * error, AROUND).mean((1, 2, 3), keepdim=True)
    prior = noise / (expected**2 * _INDEPENDENT + 1e-9) + 1e-12
    xx, yy = xx + prior, yy + prior
    determinant = xx * yy - xy * xy
    right = ((yy * xe - xy * ye) / determinant).clamp(-MOST, MOST)
    lower = ((xx * ye - xy * xe) / determinant).clamp(-MOST, MOST)
    height, width = target.shape[2:]
    rows = torch.arange(height, dtype=target.dtype, device=target.device).view(1, -1, 1)
    columns = torch.arange(width, dtype=target.dtype, device=target.device).view(1, 1, -1)
    places = torch.stack([_unit(columns + right[:, 0], width), _unit(rows + lower[:, 0], height)], -1)
    return F.grid_sample(target, places, mode="bicubic", padding_mode="border", align_corners=True)


def expected_of(residual_px: float | None) -> float:
    """Shifts to expect where a reference was found to lie so far off; half a pixel where that is not known."""
    return 0.5 if residual_px is None else max(residual_px**2 - MEASURED**2, 0.0) ** 0.5


def _mean(picture: Tensor, side: int) -> Tensor:
    """Over a square around each pixel, as far as the picture reaches; rows first, for a square costs its area."""
    for axis in (2, 3):
        length = picture.shape[axis]
        size = min(side, length - 1 + length % 2)
        shape, half = ((size, 1), (size // 2, 0)) if axis == 2 else ((1, size), (0, size // 2))
        picture = F.avg_pool2d(picture, shape, 1, half, count_include_pad=False)
    return picture


def _unit(places: Tensor, length: int) -> Tensor:
    return places * (2 / max(length - 1, 1)) - 1
