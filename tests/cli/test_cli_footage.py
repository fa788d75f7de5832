"""Adding a scan without a reference: recipes that learn from the film itself."""

from __future__ import annotations

import numpy as np
import pytest

from wetgate.cli.main import invoke, main
from wetgate.images import write_image
from wetgate.project import open_restoration


@pytest.fixture
def scan(tmp_path):
    (tmp_path / "scan").mkdir()
    for number in range(1, 6):
        write_image(tmp_path / "scan" / f"reel.{number:04d}.tif", np.full((8, 12, 3), number / 10, np.float32))
    return tmp_path / "scan" / "reel.####.tif"


@pytest.mark.parametrize("recipe", ["damage", "steady"])
def test_a_scan_alone_is_enough_where_the_recipe_needs_no_reference(tmp_path, scan, recipe):
    folder = tmp_path / "reel.wetgate"
    invoke(["new", str(folder), "--recipe", recipe])
    invoke(["add", str(folder), "--scan", str(scan), "--frames", "2-4"])
    invoke(["add", str(folder), "--scan", str(scan)])
    restoration = open_restoration(folder)
    assert restoration.footage == [{"scan": str(scan), "frames": "2-4"}, {"scan": str(scan), "frames": "1-5"}]
    assert {"element": "scan", "path": str(scan), "rights": ""} in restoration.sources
    assert restoration.pairs() == []


def test_the_same_scan_is_noted_once(tmp_path, scan):
    folder = tmp_path / "reel.wetgate"
    invoke(["new", str(folder), "--recipe", "damage"])
    for _ in range(2):
        invoke(["add", str(folder), "--scan", str(scan)])
    assert len(open_restoration(folder).footage) == 1


def test_colour_asks_for_its_reference(tmp_path, scan, capsys):
    folder = tmp_path / "reel.wetgate"
    invoke(["new", str(folder), "--recipe", "color"])
    assert main(["add", str(folder), "--scan", str(scan), "--frames", "1"]) == 1
    assert "--reference" in capsys.readouterr().err
    assert open_restoration(folder).footage == []


def test_frames_that_are_not_there_are_named(tmp_path, scan, capsys):
    folder = tmp_path / "reel.wetgate"
    invoke(["new", str(folder), "--recipe", "damage"])
    assert main(["add", str(folder), "--scan", str(scan), "--frames", "4-9"]) == 1
    assert "no frame 6-9" in capsys.readouterr().err
    assert open_restoration(folder).footage == []


def test_what_belongs_to_pairs_is_refused_without_a_reference(tmp_path, scan, capsys):
    folder = tmp_path / "reel.wetgate"
    invoke(["new", str(folder), "--recipe", "damage"])
    assert main(["add", str(folder), "--scan", str(scan), "--region", "0,0,4,4"]) == 1
    assert "--region belongs to pairs" in capsys.readouterr().err
