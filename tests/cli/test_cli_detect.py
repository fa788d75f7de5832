"""Where `wetgate detect` writes no masks."""

from __future__ import annotations

import numpy as np
import pytest

from wetgate.cli import detect
from wetgate.cli.main import main
from wetgate.images import write_image


@pytest.mark.parametrize("masks", ["masks", "below/masks"])
def test_masks_inside_the_scans_folder_are_refused(tmp_path, monkeypatch, capsys, masks):
    scan = tmp_path / "scan"
    scan.mkdir()
    for frame in (1, 2):
        write_image(scan / f"shot.{frame:04d}.exr", np.zeros((4, 6, 3), np.float32))
    monkeypatch.setattr(detect, "Session", lambda *_: None)
    assert main(["detect", "damage.onnx", str(scan), str(scan / masks)]) == 1
    assert "lies in the source's folder" in capsys.readouterr().err
    assert not (scan / masks).exists()
