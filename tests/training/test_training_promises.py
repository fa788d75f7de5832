"""What is protected of the scan."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from color_pictures import faded, smooth_picture, torch_answer

from wetgate.images import LUMA
from wetgate.training.closed_form import first_model, with_kernels
from wetgate.training.samples import make_sample

BT709 = np.array([0.2126, 0.7152, 0.0722], np.float64)


@pytest.mark.parametrize("encoding", ["display", "linear", "log"])
def test_luma_of_the_result_is_the_scans(make_model, encoding):
    model = make_model(encoding, "luma")
    scan = (smooth_picture(2, 61, 83) + np.random.default_rng(2).normal(0, 0.03, (61, 83, 3))).astype(np.float32)
    restored = torch_answer(scan, model)
    assert np.abs(restored - scan).max() > 0.05
    assert np.abs(restored.astype(np.float64) @ BT709 - scan.astype(np.float64) @ BT709).max() < 1e-5


def test_grain_of_the_result_is_the_scans():
    grain = np.random.default_rng(11).normal(0, 0.02, (96, 128, 1)).astype(np.float32)
    reference = smooth_picture(4)
    scan = faded(reference) + grain
    sample = make_sample(scan, reference, "display", number=1, frame=1)
    model = with_kernels(first_model([sample], "display", "grain"), [sample], 0)
    restored = torch_answer(scan, model)
    fine = [(p - cv2.GaussianBlur(p, (0, 0), 1.5)) @ LUMA for p in (scan, restored)]
    assert np.corrcoef(fine[0].ravel(), fine[1].ravel())[0, 1] > 0.95
    assert fine[1].std() > fine[0].std()


def test_detail_of_the_reference_is_not_taken_over():
    """A reference with scratches of its own gives a result without them."""
    reference = smooth_picture(4)
    scan = faded(reference)
    scratched = reference.copy()
    scratched[:, 40] += 0.3
    models = [
        first_model([make_sample(scan, r, "display", number=1, frame=1)], "display", "grain")
        for r in (reference, scratched)
    ]
    clean, other = (torch_answer(scan, model) for model in models)
    across = np.abs(np.diff(other[:, 36:46].mean(0) - clean[:, 36:46].mean(0), axis=0)).max()
    assert across < 0.02
