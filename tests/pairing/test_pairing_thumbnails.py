"""Thumbnails of pairs: what they show, when they are there, and what goes without."""

from __future__ import annotations

import numpy as np
import pytest

from wetgate.cli.main import main
from wetgate.images import from_display, read_image, write_image
from wetgate.pairing.prepare import prepare
from wetgate.pairing.thumbnails import NAME, draw_missing, side_by_side
from wetgate.project import create_restoration, open_restoration


def picture(height=60, width=90, seed=0):
    values = np.random.default_rng(seed).random((height // 10, width // 10, 3), np.float32)
    return np.kron(values, np.ones((10, 10, 1), np.float32)).astype(np.float32)


@pytest.fixture
def reel(tmp_path):
    """A restoration with one pair that a program put in without the engine."""
    restoration = create_restoration(tmp_path / "reel.wetgate", "color")
    with restoration.add_pair(7) as draft:
        write_image(draft.scan, picture() * 0.7 + 0.1)
        write_image(draft.reference, picture())
    return restoration


@pytest.mark.parametrize("encoding", ["display", "linear", "log"])
def test_every_encoding_looks_the_same(encoding):
    scan, reference = picture(seed=1), picture(seed=2)
    as_shown = side_by_side(scan, reference, "display")
    coded = side_by_side(from_display(scan, encoding), from_display(reference, encoding), encoding)
    assert np.quantile(np.abs(coded - as_shown), 0.9) < 0.01  # but for cells' edges, which are averaged


def test_the_scan_is_on_the_left_and_the_reference_on_the_right():
    dark, light = np.full((50, 80, 3), 0.1, np.float32), np.full((50, 80, 3), 0.9, np.float32)
    drawn = side_by_side(dark, light, "display")
    assert drawn.shape[1] == 320
    assert np.allclose(drawn[:, :158], 0.1)
    assert np.allclose(drawn[:, 162:], 0.9)


@pytest.mark.parametrize("sizes", [((1, 1), (1, 1)), ((300, 2), (300, 2)), ((2, 4000), (60, 90)), ((60, 90), (43, 33))])
def test_pictures_of_any_shape_can_be_drawn(sizes):
    drawn = side_by_side(*(np.full((*size, 3), 0.5, np.float32) for size in sizes), "display")
    assert 1 <= drawn.shape[0] <= 240
    assert 3 <= drawn.shape[1] <= 640


def test_what_is_no_number_is_drawn_all_the_same():
    bad = picture()
    bad[:20] = np.nan
    bad[20:40] = np.inf
    drawn = side_by_side(bad, picture(), "linear")
    assert np.isfinite(drawn).all()
    assert drawn.min() >= 0
    assert drawn.max() <= 1


def test_prepare_draws_what_is_missing_and_leaves_what_is_there(reel):
    path = reel.pairs()[0].folder / NAME
    prepare(reel)
    first = path.read_bytes()
    assert read_image(path).size == (320, read_image(path).size[1])
    path.write_bytes(b"the artist's own")
    prepare(reel)
    assert path.read_bytes() == b"the artist's own"
    path.unlink()
    prepare(reel)
    assert path.read_bytes() == first
    reel.pairs()[0].check_unaltered()


def test_a_rejected_pair_has_one_too(reel):
    reel.pairs()[0].update(state="rejected", reason="the artist does not want it")
    with pytest.raises(Exception, match="can be used"):
        prepare(reel)
    assert (reel.pairs()[0].folder / NAME).exists()


def test_a_pair_that_cannot_be_read_goes_without(reel):
    pair = reel.pairs()[0]
    pair.reference.write_bytes(b"junk")
    assert draw_missing([pair], "display") == []
    assert not (pair.folder / NAME).exists()


def test_add_draws_them_at_once(tmp_path, capfd):
    for side in ("scan", "reference"):
        (tmp_path / side).mkdir()
        for frame in (1, 2):
            write_image(tmp_path / side / f"shot.{frame:04d}.png", picture(seed=frame))
    reel = tmp_path / "reel.wetgate"
    sides = ["--scan", str(tmp_path / "scan"), "--reference", str(tmp_path / "reference")]
    assert main(["new", str(reel), "--recipe", "color"]) == 0
    assert main(["add", str(reel), *sides, "--frames", "1-2"]) == 0
    assert all((pair.folder / NAME).is_file() for pair in open_restoration(reel).pairs())
