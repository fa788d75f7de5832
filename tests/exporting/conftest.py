"""Model files to export: Wetgate's own, and small graphs as somebody else's exporter writes them."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from wetgate.onnx_model import ModelCard
from wetgate.training import closed_form, context
from wetgate.training.color_model import ColorModel, forward
from wetgate.training.onnx_export import export
from wetgate.training.samples import make_sample

torch.set_num_threads(1)  # small pictures: threads would only wait for each other


@functools.cache
def color_model(encoding: str, protect: str, whole: bool) -> ColorModel:
    """The fit alone, or the whole: with kernels, and a context network that was never trained but has its say."""
    patches = np.random.default_rng(5).uniform(0.05, 0.9, (8, 8, 3)).astype(np.float32)
    scan = patches.repeat(8, axis=0).repeat(8, axis=1)
    samples = [make_sample(scan, scan**1.2 * np.float32([0.9, 0.8, 1.0]), encoding, number=1, frame=1)]
    model = closed_form.first_model(samples, encoding, protect)
    if not whole:
        return model
    weights = context.initial_weights(4, 3)
    for member in context.MEMBERS:
        last = weights[f"{member}.out.weight"]
        last[:] = np.random.default_rng(7).normal(0, 0.05, last.shape)
    return closed_form.with_kernels(model, samples, 0).with_(context=weights, context_share=0.5)


@pytest.fixture
def save_color_model(tmp_path: Path) -> Callable[..., Path]:
    """Write a colour model into tmp_path; return the file."""

    def save(encoding: str = "display", protect: str = "grain", *, whole: bool = True, half: bool = False) -> Path:
        model = color_model(encoding, protect, whole)
        card = ModelCard("color", encoding=encoding, protected=protect, record={"seed": 3}, producer="wetgate test")
        path = tmp_path / f"{encoding}_{protect}.onnx"
        export(path, lambda ops, frames: forward(ops, frames, model), card, half=half)
        return path

    return save


@pytest.fixture
def save_graph(tmp_path: Path) -> Callable[..., Path]:
    """Write a graph from ``frames`` to ``restored`` into tmp_path; constants are arrays by name; return the file."""

    def save(
        nodes: Sequence[onnx.NodeProto],
        constants: dict[str, Any] | None = None,
        *,
        card: ModelCard | None = None,
        opset: int = 20,
        name: str = "graph.onnx",
    ) -> Path:
        channels = 3 if card is None else 3 * (2 * card.radius + 1)
        frames, restored = (
            helper.make_tensor_value_info(label, TensorProto.FLOAT, ["n", count, "h", "w"])
            for label, count in (("frames", channels), ("restored", 3))
        )
        values = [numpy_helper.from_array(np.asarray(array), label) for label, array in (constants or {}).items()]
        graph = helper.make_graph(list(nodes), "graph", [frames], [restored], values)
        domains = {node.domain for node in nodes} - {""}
        opsets = [helper.make_opsetid("", opset), *(helper.make_opsetid(domain, 1) for domain in domains)]
        proto = helper.make_model(graph, opset_imports=opsets, ir_version=10)
        if card is not None:
            helper.set_model_props(proto, card.to_metadata())
        path = tmp_path / name
        path.write_bytes(proto.SerializeToString())
        return path

    return save
