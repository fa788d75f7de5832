"""The node in a real OpenFX host: MLT renders what `wetgate apply` writes.

Needs a network on its first run, for MLT's Debian packages; without them these tests are skipped with a warning.
"""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import mlt
import numpy as np
import pytest
from onnx import helper
from onnx_graphs import constant, encoder_decoder, model_of, value

from wetgate.cli.main import invoke
from wetgate.images import read_image, write_image
from wetgate.node.install import install
from wetgate.onnx_model import ModelCard
from wetgate.service import places

NODE = "org.wetgate.restore"
WHITE = np.float32(65535)


@pytest.fixture(scope="module")
def host() -> mlt.Mlt:
    try:
        return mlt.fetched(Path(__file__).parents[2] / "build" / "mlt")
    except mlt.Unavailable as why:
        warnings.warn(f"THE NODE IS NOT TESTED IN A REAL HOST: {why}", stacklevel=1)
        pytest.skip(f"no MLT: {why}")


@dataclass(frozen=True)
class Studio:
    """MLT with the node installed, and a server of its own that the node starts."""

    host: mlt.Mlt
    plugins: Path

    def render(self, frames: Sequence[np.ndarray], parameters: dict[str, object], **options) -> mlt.Rendered:
        return self.host.render(self.plugins, NODE, frames, {"device": "cpu"} | parameters, **options)


@pytest.fixture(scope="module")
def studio(host, tmp_path_factory) -> Iterator[Studio]:
    plugins = tmp_path_factory.mktemp("ofx")
    install(plugins)
    with (
        tempfile.TemporaryDirectory(prefix="wetgate-", ignore_cleanup_errors=True) as folder,
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setenv(places.VARIABLE, str(Path(folder, "run")))  # pytest's folders are too long for a socket
        patch.delenv("WETGATE_COMMAND", raising=False)
        yield Studio(host, plugins)
        invoke(["serve", "--stop"])


@pytest.fixture(scope="module")
def models(tmp_path_factory) -> dict[int, Path]:
    """A model by its temporal radius; the one that looks at neighbours weighs them differently."""
    weights = np.zeros((3, 9, 1, 1), np.float32)
    for channel in range(3):
        weights[channel, channel::3, 0, 0] = 0.2, 0.7, -0.1
    window = model_of(
        [helper.make_node("Conv", ["frames", "weights"], ["restored"])],
        [constant("weights", weights)],
        inputs=[value("frames", 9)],
        card=ModelCard(recipe="damage", radius=1, record={}),
    )
    folder = tmp_path_factory.mktemp("models")
    paths = {}
    for radius, model in ((0, encoder_decoder()), (1, window)):
        paths[radius] = folder / f"radius{radius}.onnx"
        paths[radius].write_bytes(model.SerializeToString())
    return paths


def picture(height: int, width: int, seed: int = 0) -> np.ndarray:
    """Random uint16 RGBA, the alpha too: MLT does not premultiply."""
    return np.random.default_rng(seed).integers(0, 65536, (height, width, 4), np.uint16)


def applied(model: Path, frames: Sequence[np.ndarray], folder: Path) -> list[np.ndarray]:
    """What `wetgate apply` makes of each frame, as if it were a scan of one 16-bit picture: uint16 [H, W, 3]."""
    results = []
    for number, frame in enumerate(frames):
        name = f"scan{number}.tif"
        write_image(folder / name, frame[..., :3] / WHITE, bit_depth="16")
        invoke(["apply", str(model), str(folder / name), str(folder / "restored" / name), "--device", "cpu", "--json"])
        results.append(np.rint(read_image(folder / "restored" / name).pixels * WHITE).astype(np.uint16))
    return results


def steps(one: np.ndarray, other: np.ndarray) -> int:
    """The largest difference in steps of 16 bits."""
    return int(np.abs(one.astype(int) - other.astype(int)).max())


@pytest.mark.parametrize("radius", [0, 1])
@pytest.mark.parametrize("size", [(1, 1), (2, 3), (272, 640), (1080, 1998)], ids=str)
def test_the_same_pixels_as_apply(studio, models, tmp_path, size, radius):
    frame = picture(*size)
    rendered = studio.render([frame], {"model": models[radius]})
    assert rendered.messages == []
    assert steps(rendered.frames[0][..., :3], applied(models[radius], [frame], tmp_path)[0]) <= 1
    assert np.array_equal(rendered.frames[0][..., 3], frame[..., 3])
    assert steps(rendered.frames[0][..., :3], frame[..., :3]) > 100  # something was restored at all


def test_four_renders_at_once(studio, models, tmp_path):
    frames = [picture(272, 640, seed) for seed in range(8)]
    rendered = studio.render(frames, {"model": models[0]}, threads=4)
    assert rendered.messages == []
    for made, wanted in zip(rendered.frames, applied(models[0], frames, tmp_path), strict=True):
        assert steps(made[..., :3], wanted) <= 1


def test_a_preview_smaller_than_the_project(studio, models, tmp_path):
    frame = picture(136, 320)
    rendered = studio.render([frame], {"model": models[0]}, preview=2)
    assert steps(rendered.frames[0][..., :3], applied(models[0], [frame], tmp_path)[0]) <= 1


def test_without_a_model_the_scan_stays(studio):
    frame = picture(20, 30)
    rendered = studio.render([frame], {})
    assert np.array_equal(rendered.frames[0], frame)


def test_a_missing_model_is_said_and_the_scan_stays(studio, tmp_path):
    frame = picture(20, 30)
    rendered = studio.render([frame], {"model": tmp_path / "nothing.onnx"})
    assert any("nothing.onnx" in message for message in rendered.messages)
    assert np.array_equal(rendered.frames[0], frame)


def test_half_mixed(studio, models, tmp_path):
    frame = picture(40, 50)
    rendered = studio.render([frame], {"model": models[0], "mix": 0.5})
    whole = applied(models[0], [frame], tmp_path)[0]
    unclipped = (whole > 0) & (whole < 65535)
    halves = (frame[..., :3].astype(int) + whole) // 2
    assert unclipped.any()
    assert steps(rendered.frames[0][..., :3][unclipped], halves[unclipped]) <= 1


APT_LIST = """
# deb http://disabled.example/debian bookworm main
deb [arch=amd64 signed-by=/keys/debian.gpg] http://mirror.example/debian bookworm main contrib
deb-src http://mirror.example/debian bookworm main
deb http://mirror.example/security bookworm-security main
"""
APT_SOURCES = """
Types: deb
# a remark
URIs: http://mirror.example/debian
Suites: bookworm bookworm-updates
Components: main
Signed-By: /keys/debian.gpg

Enabled: no
Types: deb
URIs: http://disabled.example/debian
Suites: bookworm

Types: deb
URIs: http://other.example/node
Suites: nodistro
"""


@pytest.mark.parametrize(("name", "text"), [("debian.list", APT_LIST), ("debian.sources", APT_SOURCES)])
def test_the_machines_own_mirror_is_asked(tmp_path, name, text):
    (tmp_path / name).write_text(text)
    found = mlt.source_of_debian([tmp_path / name], "bookworm")
    assert found == {"Types": "deb", "URIs": "http://mirror.example/debian", "Signed-By": "/keys/debian.gpg"}
