"""Small colour models."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from wetgate.onnx_model import ModelCard
from wetgate.training import context, kernels
from wetgate.training.color_model import ColorModel, forward
from wetgate.training.onnx_export import export

torch.set_num_threads(1)  # small pictures: threads would only wait for each other

MakeModel = Callable[..., ColorModel]


@pytest.fixture(scope="session")
def make_model() -> MakeModel:
    """A model with plausible random numbers: fit, kernels where asked for, context where asked for."""

    @functools.cache
    def make(
        encoding: str = "display", protect: str = "grain", *, with_kernels: bool = True, with_context: bool = True
    ) -> ColorModel:
        generator = np.random.default_rng(7)
        coefficients = np.zeros((10, 3), np.float32)
        coefficients[1:4] = np.eye(3) * 1.2
        coefficients += generator.normal(0, 0.05, (10, 3)).astype(np.float32)
        model = ColorModel(
            encoding=encoding,
            protect=protect,
            coefficients=coefficients,
            detail=np.array([0.3, 0.6, 0.3], np.float32),
            mean=np.array([0.5, 0.4, 0.6], np.float32),
            scale=np.full(3, 0.3, np.float32),
        )
        if with_kernels:
            seen = generator.random((400, 6), dtype=np.float32)
            missing = generator.normal(0, 0.05, (400, 3)).astype(np.float32)
            model = model.with_(
                kernels=kernels.fit(
                    [seen], [missing], [np.ones(400, np.float32)], width=0.5, surround=0.5, ridge=0.1, seed=0
                ),
                kernel_share=0.75,
            )
        if with_context:
            weights = context.initial_weights(8, 3)
            for member in context.MEMBERS:
                last = weights[f"{member}.out.weight"]
                last[:] = generator.normal(0, 0.05, last.shape)
            model = model.with_(context=weights, context_share=0.6)
        return model

    return make


@pytest.fixture
def save_color_model(tmp_path: Path) -> Callable[..., Path]:
    """Export a model into tmp_path; return the file."""

    def save(model: ColorModel, name: str = "model.onnx", *, half: bool = False, **card: Any) -> Path:
        path = tmp_path / name
        card = {"recipe": "color", "encoding": model.encoding, "protected": model.protect, **card}
        export(path, lambda ops, frames: forward(ops, frames, model), ModelCard(**card), half=half)
        return path

    return save
