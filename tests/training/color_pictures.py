"""Synthetic graded pictures, and what a model makes of them in torch."""

from __future__ import annotations

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from wetgate.training.color_model import ColorModel, forward
from wetgate.training.torch_operations import Torch, tensor

Array = NDArray[np.float32]

FADE = np.array([[0.5, 0.1, 0.0], [0.1, 0.8, 0.1], [0.0, 0.1, 0.9]], np.float32)
"""Densities of the original to densities of the faded scan, with a shift of 0.1."""
FLARE = 1 / 64


def smooth_picture(seed: int, height: int = 96, width: int = 128) -> Array:
    """A picture [H, W, 3] of soft patches of colour, display values 0.05-0.95."""
    patches = np.random.default_rng(seed).random((6, 8, 3), dtype=np.float32)
    return np.clip(cv2.resize(patches, (width, height), interpolation=cv2.INTER_CUBIC), 0.05, 0.95)


def faded(original: Array) -> Array:
    """The picture after its dyes have faded; display values."""
    return (10.0 ** -(-np.log10(original + FLARE) @ FADE + 0.1) - FLARE).astype(np.float32)


def torch_answer(pixels: Array, model: ColorModel) -> Array:
    with torch.no_grad():
        return forward(Torch(), tensor(pixels), model)[0].permute(1, 2, 0).numpy()
