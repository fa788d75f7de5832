"""Halo and multiple of a colour model: enough, and no more than needed by much."""

from __future__ import annotations

import numpy as np
import pytest
from color_pictures import smooth_picture

from wetgate.inference.session import Session
from wetgate.inference.tiles import Restorer
from wetgate.onnx_model import read_card
from wetgate.training.operations import reach_of


def noisy(height, width):
    grain = np.random.default_rng(5).normal(0, 0.02, (height, width, 3))
    return (smooth_picture(3, height, width) + grain).astype(np.float32)


@pytest.mark.parametrize("parts", ["fit", "kernels", "both"])
def test_tiles_equal_the_whole_frame_bit_for_bit(make_model, save_color_model, parts):
    model = make_model(with_kernels=parts != "fit", with_context=parts == "both")
    session = Session(save_color_model(model), "cpu")
    scan = noisy(157, 203)
    whole = session.run(scan.transpose(2, 0, 1)[None])[0][0].transpose(1, 2, 0)
    for tile in (16, 72):
        tiled, *_ = Restorer(session, tile).restore([scan])
        assert np.array_equal(tiled, whole), np.abs(tiled - whole).max()


@pytest.mark.parametrize("parts", ["fit", "kernels", "both"])
def test_no_pixel_outside_the_halo_is_seen(make_model, save_color_model, parts):
    model = make_model(with_kernels=parts != "fit", with_context=parts == "both")
    path = save_color_model(model)
    halo, session = read_card(path).halo, Session(path, "cpu")
    side = 2 * halo + 40
    scan = noisy(side, side)
    changed_at = side // 2
    for offset in range(8):
        row = changed_at + offset
        other = scan.copy()
        other[row, changed_at] += 0.5
        before, after = (session.run(p.transpose(2, 0, 1)[None])[0][0] for p in (scan, other))
        seen = np.argwhere((before != after).any(0))
        reach = np.abs(seen - [row, changed_at]).max()
        assert 0 < reach <= halo
    inner = session.run(scan[8:, 8:].transpose(2, 0, 1)[None].copy())[0][0]
    assert np.array_equal(inner[:, halo:, halo:], before[:, 8 + halo :, 8 + halo :])


@pytest.mark.parametrize(("parts", "least"), [("fit", 1.0), ("kernels", 0.7), ("both", 0.7)])
def test_the_halo_is_not_much_larger_than_what_is_seen(make_model, save_color_model, parts, least):
    """By the gradient, which finds what is too faint for a difference of float32 answers."""
    import torch

    from wetgate.training.color_model import forward
    from wetgate.training.torch_operations import Torch

    model = make_model(with_kernels=parts != "fit", with_context=parts == "both")
    halo, multiple = reach_of(lambda ops, frames: forward(ops, frames, model))
    assert multiple == 8
    side = (2 * halo + 24) // 8 * 8
    frames = torch.from_numpy(noisy(side, side).transpose(2, 0, 1)[None].copy()).double().requires_grad_()
    farthest = 0
    for offset in range(8):
        at = side // 2 + offset
        restored = forward(Torch(), frames, model)
        (gradient,) = torch.autograd.grad(restored[0, :, at, at].sum(), frames)
        seen = (gradient[0] != 0).any(0).nonzero()
        farthest = max(farthest, int((seen - at).abs().max()))
    assert least * halo <= farthest <= halo
