"""Restorations with real files, and a model that multiplies and adds."""

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

import cv2
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from wetgate.images import write_image
from wetgate.onnx_model import ModelCard
from wetgate.project import Restoration, create_restoration


@pytest.fixture
def film() -> Callable[..., np.ndarray]:
    """Frame ``number`` of a film with grain: float32 [H, W, 3], 0.3-0.7 with 0.02 of grain."""

    def frame(number: int, height: int = 48, width: int = 64) -> np.ndarray:
        random = np.random.default_rng(number)
        smooth = cv2.GaussianBlur(random.random((height, width, 3)).astype(np.float32), (0, 0), 5)
        smooth = 0.3 + 0.4 * (smooth - smooth.min()) / (smooth.max() - smooth.min())
        return (smooth + 0.02 * random.standard_normal((height, width, 1))).astype(np.float32)

    return frame


@dataclasses.dataclass(frozen=True)
class Faded:
    """A restoration whose scans are half as bright as their references, and the model that doubles them."""

    restoration: Restoration
    film: Callable[..., np.ndarray]

    def add_pair(
        self,
        frame: int,
        state: str = "accepted",
        reason: str = "",
        around: Mapping[int, np.ndarray] = MappingProxyType({}),
        **draft_fields: object,
    ) -> None:
        truth = self.film(frame)
        with self.restoration.add_pair(frame) as draft:
            write_image(draft.scan, truth / 2, bit_depth="float")
            write_image(draft.reference, truth, bit_depth="float")
            for step, pixels in around.items():
                write_image(draft.neighbour(step), pixels, bit_depth="float")
                draft.where_from["neighbours"] = 1
            mask = draft_fields.get("mask")
            if mask is not None:
                write_image(draft.mask, np.repeat(np.float32(mask)[..., None], 3, axis=2), bit_depth="half")
        assert draft.pair is not None
        draft.pair.update(state=state, reason=reason, prepared="reference.exr")

    def train(self, gain: float = 2.0, encoding: str = "display", **settings: object) -> Path:
        run = self.restoration.new_run({"seed": 7, **settings})
        for second in range(5):
            run.emit({"seconds": second, "loss": 0.5**second, "validation": 4.0 - second})
        run.model.write_bytes(multiplying_model(gain, encoding))
        return run.folder


@pytest.fixture
def faded(tmp_path: Path, film: Callable[..., np.ndarray]) -> Faded:
    return Faded(create_restoration(tmp_path / "reel3.wetgate", "color"), film)


def multiplying_model(gain: float, encoding: str) -> bytes:
    shape = ["N", 3, "H", "W"]
    graph = helper.make_graph(
        [helper.make_node("Mul", ["frames", "gain"], ["restored"])],
        "gain",
        [helper.make_tensor_value_info("frames", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("restored", TensorProto.FLOAT, shape)],
        [numpy_helper.from_array(np.float32(gain), "gain")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    card = ModelCard(recipe="color", encoding=encoding, protected="grain", producer="test")
    helper.set_model_props(model, card.to_metadata())
    onnx.checker.check_model(model)
    return model.SerializeToString()
