"""Does the gauge benchmark measure what it says? Nothing is trained here."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from benchmarks import gauge


def pair(seed: int):
    """A soft scan of lower contrast, and its reference."""
    sharp = cv2.resize(np.random.default_rng(seed).random((24, 24), np.float32), (96, 96))
    soft = 0.5 + 0.7 * (cv2.GaussianBlur(sharp, (0, 0), 1.5) - 0.5)
    return tuple(np.repeat(one[..., None], 3, 2).astype(np.float32) for one in (soft, sharp))


def test_unsharp_masks_are_tuned_on_the_pairs_and_a_curve_helps_where_contrast_was_lost():
    pairs = {number: pair(number) for number in (1, 2)}
    scan, truth = pair(3)
    errors = [
        float(np.square(made - truth).mean())
        for made in (scan, *(gauge.tuned(pairs, curve=c)(scan) for c in (False, True)))
    ]
    assert errors[0] > 1.5 * errors[1] > 1.5 * errors[2]


def test_a_row_knows_lost_decibels_chroma_and_what_a_shift_is_worth():
    scan, truth = pair(1)
    perfect = gauge._row("a", "b", truth, truth, truth)
    assert perfect.psnr > 100 and perfect.chroma == 0 and perfect.measures.middle_gain == pytest.approx(1)
    tinted = truth.copy()
    tinted[..., 0] = np.clip(tinted[..., 0] + 3 / 255, 0, 1)
    assert gauge._row("a", "b", tinted, truth, truth).chroma == pytest.approx(3, abs=0.01)
    shifted = np.ascontiguousarray(np.roll(scan, 1, 1))
    row = gauge._row("a", "b", scan, shifted, scan)
    assert row.aligned > row.psnr + 3
    assert "mean of 2" in gauge.as_table([perfect, row])
