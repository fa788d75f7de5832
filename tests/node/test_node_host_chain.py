"""Nodes one after another: what the host passes from one to the next is what `wetgate apply --then` passes on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import pytest
from host import OK, Clip, Host
from onnx_graphs import encoder_decoder

from wetgate.images import open_sink, open_source, read_image, write_image
from wetgate.inference.chains import Stage
from wetgate.inference.sequences import apply
from wetgate.inference.session import Session

FRAMES = (11, 12, 13, 14, 15)


@pytest.fixture
def host(library, places):
    loaded = Host(library)
    yield loaded
    loaded.unload()
    assert loaded.violations == []


class Rendered(Mapping):
    """The frames of a node, rendered when the next node asks for them, and kept as hosts do."""

    def __init__(self, node) -> None:
        self.node, self.asked, self.kept = node, [], {}

    def __getitem__(self, frame: int):
        if frame not in FRAMES:
            raise KeyError(frame)
        if frame not in self.kept:
            self.asked.append(frame)
            result = self.node.render(frame)
            assert result.status == OK
            self.kept[frame] = result.pixels
        return self.kept[frame]

    def __iter__(self) -> Iterator[int]:
        return iter(FRAMES)

    def __len__(self) -> int:
        return len(FRAMES)


def test_a_temporal_node_behind_a_temporal_node_is_as_apply_has_it(host, mean_of_window, save_model, picture, tmp_path):
    models = [
        mean_of_window(1, "first.onnx"),
        mean_of_window(2, "second.onnx"),
        save_model(encoder_decoder(), "third.onnx"),
    ]
    scans = {number: picture(number, (33, 18), 3) for number in FRAMES}
    (tmp_path / "scan").mkdir()
    for number, pixels in scans.items():
        write_image(tmp_path / "scan" / f"{number:04d}.exr", pixels, bit_depth="float")
    with open_source(tmp_path / "scan") as source:
        first, *then = (Stage(Session(model)) for model in models)
        apply(first.session, source, open_sink(tmp_path / "out", source), then=then)

    nodes, asked = [], []
    frames: Mapping = scans
    for model in models:
        nodes.append(host.node(model=model, source=Clip(frames, range=(float(FRAMES[0]), float(FRAMES[-1])))))
        frames = Rendered(nodes[-1])
        asked.append(frames)
    for number in FRAMES:
        result = nodes[-1].render(number)
        assert result.status == OK and nodes[-1].message is None
        applied = read_image(tmp_path / "out" / f"{number:04d}.exr").pixels
        np.testing.assert_allclose(result.pixels, applied, rtol=0, atol=1e-5)
    assert sorted(asked[0].asked) == sorted(asked[1].asked) == list(FRAMES)
