"""`wetgate curves`: what the node needs to know of a scan's flicker."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest

from wetgate.images import open_source, write_image
from wetgate.inference.curves import load_curves
from wetgate.pairing import deflicker


def curves_of(*words: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "wetgate", "curves", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


@pytest.fixture
def picture():
    """A ramp from dark to light with some grain."""
    ramp = np.linspace(0.1, 0.9, 96, dtype=np.float32)[None, :, None].repeat(72, axis=0).repeat(3, axis=2)
    return ramp + np.random.default_rng(1).normal(0, 0.01, ramp.shape).astype(np.float32)


@pytest.fixture
def scan(tmp_path, picture):
    """The same picture at exposures that flicker, the sixth darkest."""
    folder = tmp_path / "scan"
    folder.mkdir()
    generator = np.random.default_rng(2)
    for number in range(1, 25):
        exposed = picture * np.float32(0.85 if number == 6 else generator.uniform(0.96, 1.04))
        write_image(folder / f"shot.{number:04d}.exr", exposed, bit_depth="float")
    return folder


def test_they_are_those_that_apply_measures(scan, picture, tmp_path):
    kept = tmp_path / "new" / "shot.curves.json"
    done = curves_of(scan, kept, "--json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["frames"] == 24 and told["steadied"]["frames"] >= 1
    curves = load_curves(kept)
    with open_source(scan) as source:
        assert curves.frames == deflicker.measure(source, "display").frames
    dark = picture * np.float32(0.85)
    assert np.abs(curves.steady(6, dark) - picture).mean() < np.abs(dark - picture).mean()


def test_with_weave_they_also_say_where_frames_lie(tmp_path):
    folder = tmp_path / "woven"
    folder.mkdir()
    random = np.random.default_rng(3)
    wide = random.random((18, 22, 3), np.float32).repeat(10, axis=0).repeat(10, axis=1)
    shifts = random.integers(-1, 2, (10, 2))  # a hundredth of the width is the most that is taken for weave
    for number, (x, y) in enumerate(shifts, 1):
        write_image(folder / f"shot.{number:04d}.exr", wide[4 - y : 164 - y, 4 - x : 204 - x], bit_depth="float")
    done = curves_of(folder, tmp_path / "woven.json", "--weave", "--json")
    assert done.returncode == 0, done.stderr
    found = load_curves(tmp_path / "woven.json").transforms.frames
    places = np.array([found[number][:2] for number in range(1, 11)])
    assert np.abs((places - places.mean(axis=0)) - (shifts - shifts.mean(axis=0))).max() < 0.2
    assert json.loads(done.stdout)["steadied"]["moved"] >= 8


def test_a_picture_of_the_scan_is_never_replaced(scan):
    before = (scan / "shot.0001.exr").read_bytes()
    done = curves_of(scan, scan / "shot.0001.exr")
    assert done.returncode == 1 and "is a picture of the scan" in done.stderr
    assert (scan / "shot.0001.exr").read_bytes() == before


def test_frames_that_cannot_be_read_are_named_and_the_others_measured(scan, tmp_path):
    for number in (4, 5):
        (scan / f"shot.{number:04d}.exr").write_bytes(b"torn")
    done = curves_of(scan, tmp_path / "shot.curves.json")
    assert done.returncode == 0, done.stderr
    assert "of 22 frames" in done.stdout and "4-5 could not be read" in done.stdout
    assert set(load_curves(tmp_path / "shot.curves.json").frames) == set(range(1, 25)) - {4, 5}
