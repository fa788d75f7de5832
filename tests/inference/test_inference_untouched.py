"""What a model left as it was stays as it was, also where a scan of one channel is written as luma."""

from __future__ import annotations

import numpy as np

from wetgate.inference.pixels import compose


def test_a_scan_of_one_channel_keeps_the_pixels_that_the_model_left_alone():
    grey = np.random.default_rng(0).random((50, 60, 1), np.float32)
    scan = np.repeat(grey, 3, axis=2)
    restored = scan.copy()
    restored[10:20, 10:20] = [0.2, 0.5, 0.1]
    compose(scan, restored, bad=None, weights=None, mono=True)
    changed = (restored != scan).any(axis=2)
    assert changed[10:20, 10:20].all()
    changed[10:20, 10:20] = False
    assert not changed.any()
    assert np.ptp(restored, axis=2).max() == 0
