"""Small things that fly, told from dirt: dirt is on one frame, what flies is on the frames around it too.

Block matching (:mod:`wetgate.training.motion`) loses what is much smaller than a block and moves unlike all around it:
a ball, a bird. It is looked for by itself: one step back in the frame before and the same step ahead in the frame
after, for all steps at half the resolution. What stays in place on the screen does not fly: it is dirt in the gate, or
a scratch. Nothing is learnt.
"""

from __future__ import annotations

from typing import Any

import numpy as np

REACH = 8
"""Rows and columns of half the resolution that a thing flies in a frame at most."""
FLIES = 0.4
"""A find flies if no more than this share of what stands out of it is missing from the frames before and after."""
VISIBLE = 0.05
"""Display values by which a pixel stands out from its neighbours in time, to be asked."""
AROUND = 2
"""Pixels of half the resolution around a place that fly together."""
LONG = 0.5
"""Share of a row or a column of 17 pixels of half the resolution that stands out where it is a line, no small thing."""
DOUBT = 1e-3
"""What speaks against flight where little stands out."""


def unexplained(ops: Any, before: Any, middle: Any, after: Any, stands_out: Any) -> Any:
    """How much of what stands out from a frame no flight explains [N, 1, H, W], 0-1: from :data:`FLIES` on it is dirt.

    Args:
        ops: where to compute (:mod:`wetgate.training.operations`).
        before, middle, after: luma [N, 1, H, W] of three frames as they lie on the screen, display values; H and W
            even.
        stands_out: [N, 1, H, W] by how much the middle one differs from both others, each laid over it.
    """
    before, middle, after, whole = map(ops.shrink, (before, middle, after, stands_out))
    nothing = ops.affine(whole, 0.0, 0.0)
    visible = ops.choose(whole, VISIBLE, ops.affine(nothing, 1.0, 1.0), nothing)
    whole = ops.multiply(whole, visible)
    steps = np.eye(2 * REACH + 1, dtype=np.float32)[:, None, None, :]
    found, still = None, whole
    for rows in range(-REACH, REACH + 1):
        there = ops.convolve(ops.pad_edges(ops.shift(before, -rows, 0), 0, REACH), steps[::-1].copy(), pad=False)
        ahead = ops.convolve(ops.pad_edges(ops.shift(after, rows, 0), 0, REACH), steps, pad=False)
        apart = ops.larger(*(ops.absolute(ops.subtract(one, middle)) for one in (there, ahead)))
        missing = ops.mean_around(ops.smaller(ops.mean_around(apart, 1, 1), whole), AROUND, AROUND)
        if rows == 0:
            still = ops.channels(missing, REACH, REACH + 1)
        most = ops.most_of_channels(ops.affine(missing, -1.0, 0.0))
        found = most if found is None else ops.larger(found, most)
    whole = ops.affine(ops.mean_around(whole, AROUND, AROUND), 1.0, DOUBT)
    flying, still = (ops.divide(ops.affine(one, sign, DOUBT), whole) for one, sign in ((found, -1.0), (still, 1.0)))
    length = ops.larger(ops.mean_around(visible, REACH, 0), ops.mean_around(visible, 0, REACH))
    dirt = ops.affine(nothing, 1.0, 1.0)
    return ops.enlarge(ops.choose(length, LONG, dirt, ops.choose(still, FLIES, flying, dirt)))
