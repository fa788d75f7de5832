"""What a trained model says of frames unlike its pairs, all the way to `wetgate apply`."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
from reels import pair

from wetgate.cli.main import main
from wetgate.images import write_image
from wetgate.inference.session import Session
from wetgate.project import open_restoration


@pytest.fixture(scope="module")
def trained(reel_of_all, tmp_path_factory):
    """A restoration with a finished run. Not to be altered."""
    folder = shutil.copytree(reel_of_all, tmp_path_factory.mktemp("trained") / "reel.wetgate")
    assert main(["train", str(folder), "--steps", "4", "--device", "cpu", "--no-steady"]) == 0
    return folder


def test_apply_names_the_frame_least_like_the_pairs(trained, tmp_path, wetgate):
    scan = tmp_path / "scan"
    scan.mkdir()
    unlike = pair(2)[0] * np.array([0.1, 0.3, 1.4], np.float32)
    for frame, pixels in enumerate((pair(1)[0], unlike, pair(3)[0]), 1):
        write_image(scan / f"shot.{frame:04d}.exr", pixels)
    code, out, err = wetgate("apply", trained, scan, tmp_path / "restored", "--json")
    assert code == 0, err
    coverage = json.loads(out)["coverage"]
    assert coverage["2"] < 0.5 < 0.9 < min(coverage["1"], coverage["3"])


def test_both_files_of_a_run_tell_it(trained):
    run = open_restoration(trained).latest_run()
    frames = np.ascontiguousarray(pair(1)[0].transpose(2, 0, 1)[None])
    whole, half = (Session(run.folder / name, "cpu").run(frames)[1] for name in ("model.onnx", "model_fp16.onnx"))
    assert whole.mean() > 0.9
    assert np.array_equal(whole, half)
