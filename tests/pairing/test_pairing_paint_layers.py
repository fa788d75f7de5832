"""Paint is found in layers and in painted frames, whatever program wrote them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import OpenImageIO as oiio
import pytest

from wetgate.errors import WetgateError
from wetgate.images import from_display, read_image, write_image
from wetgate.pairing.painting import paint_of

HEIGHT, WIDTH = 40, 60
COLOUR = np.array([0.8, 0.3, 0.1], np.float32)


@pytest.fixture
def scan():
    return np.random.default_rng(0).uniform(0.2, 0.7, (HEIGHT, WIDTH, 3)).astype(np.float32)


@pytest.fixture
def amount():
    """A stroke with a soft border."""
    distance = np.abs(np.arange(HEIGHT)[:, None] - 20 + np.zeros(WIDTH))
    return np.clip((9 - distance) / 5, 0, 1).astype(np.float32)


def layer(amount, multiplied):
    straight = np.where(amount[..., None] > 0, COLOUR, 0).astype(np.float32)
    return straight * amount[..., None] if multiplied else straight


def check(paint, scan, amount, tolerance=0.01):
    clear, covered = amount == 0, amount > 0.3
    assert np.abs(paint.amount - amount).max() < 0.005
    assert np.array_equal(paint.colours[clear], scan[clear])
    assert np.abs(paint.colours[covered] - COLOUR).max() < tolerance


@pytest.mark.parametrize("multiplied", [True, False])
def test_an_exr_layer_may_be_multiplied_by_alpha_or_not(tmp_path: Path, scan, amount, multiplied):
    path = tmp_path / "paint.exr"
    write_image(path, layer(amount, multiplied), alpha=amount, bit_depth="half")
    check(paint_of(read_image(path), scan, "display"), scan, amount)


def test_a_png_layer_is_straight(tmp_path: Path, scan, amount):
    path = tmp_path / "paint.png"
    write_image(path, layer(amount, False), alpha=amount, bit_depth="8")
    check(paint_of(read_image(path), scan, "display"), scan, amount)


def test_a_tiff_says_whether_it_is_multiplied(tmp_path: Path, scan, amount):
    for multiplied in (True, False):
        path = tmp_path / f"{multiplied}.tif"
        pixels = np.dstack([layer(amount, multiplied) * 0.4, amount]).astype(np.float32)  # dark: values do not tell
        spec = oiio.ImageSpec(WIDTH, HEIGHT, 4, "float")
        spec.attribute("oiio:UnassociatedAlpha", int(not multiplied))
        output = oiio.ImageOutput.create(str(path))
        assert output.open(str(path), spec) and output.write_image(pixels) and output.close()
        found = paint_of(read_image(path), scan, "display")
        assert np.abs(found.colours[amount > 0.3] - COLOUR * 0.4).max() < 0.01


def test_png_paint_over_a_linear_scan_is_brought_to_it(tmp_path: Path, scan, amount):
    path = tmp_path / "paint.png"
    write_image(path, layer(amount, False), alpha=amount, bit_depth="16")
    found = paint_of(read_image(path), scan, "linear")
    assert np.abs(found.colours[amount > 0.3] - from_display(COLOUR, "linear")).max() < 1e-3
    assert np.array_equal(found.colours[amount == 0], scan[amount == 0])


def test_a_frame_that_was_painted_over_tells_where(tmp_path: Path, scan, amount):
    stroke = amount == 1
    path = tmp_path / "painted.png"
    write_image(path, np.where(stroke[..., None], COLOUR, scan), bit_depth="8")
    found = paint_of(read_image(path), scan, "display")
    assert (found.amount[stroke] == 1).mean() > 0.95
    assert found.amount[~stroke].max() == 0


def test_a_frame_that_was_painted_as_a_whole_counts_as_a_whole(tmp_path: Path, scan):
    painted = scan * [1.0, 0.7, 0.4]
    painted[:4] = scan[:4]  # what paint left as it was
    path = tmp_path / "painted.exr"
    write_image(path, painted.astype(np.float32), bit_depth="float")
    assert paint_of(read_image(path), scan, "display").amount.min() == 1


def test_what_cannot_be_paint_is_told_to_the_artist(tmp_path: Path, scan, amount):
    small, empty, broken = (tmp_path / f"{name}.exr" for name in ("small", "empty", "broken"))
    write_image(small, scan[::2, ::2], bit_depth="half")
    with pytest.raises(WetgateError, match=r"small\.exr is 30 x 20 .* 60 x 40"):
        paint_of(read_image(small), scan, "display")
    write_image(empty, scan, alpha=np.zeros((HEIGHT, WIDTH), np.float32), bit_depth="half")
    with pytest.raises(WetgateError, match=r"empty\.exr holds no paint"):
        paint_of(read_image(empty), scan, "display")
    damaged = layer(amount, True)
    damaged[20, 30] = np.nan
    write_image(broken, damaged, alpha=amount, bit_depth="half")
    with pytest.raises(WetgateError, match=r"broken\.exr holds NaN"):
        paint_of(read_image(broken), scan, "display")
