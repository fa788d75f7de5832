"""The proofs of a restoration's pairs are drawn from what lies in its folder."""

from __future__ import annotations

import cv2
import numpy as np

from wetgate.images import read_image, write_image
from wetgate.pairing.gallery import write_proofs
from wetgate.pairing.prepare import prepare
from wetgate.project import create_restoration


def picture(seed, height=120, width=160):
    texture = np.random.default_rng(seed).random((height, width, 1)).astype(np.float32)
    soft = cv2.GaussianBlur(texture, (0, 0), 2.0)
    return np.clip(0.5 + (soft[..., None] - 0.5) * 3, 0, 1).repeat(3, 2)


def test_each_pair_has_its_pictures_whatever_became_of_it(tmp_path):
    restoration = create_restoration(tmp_path / "reel.wetgate", "color")
    whole = picture(1, 140, 180)
    for scan, reference in (
        (whole[:120, :160], whole[3:123, 2:162]),
        (picture(2), picture(3)),
        (picture(4), picture(4)),
    ):
        with restoration.add_pair(5) as draft:
            write_image(draft.scan, scan)
            write_image(draft.reference, reference)
    prepare(restoration)
    assert [pair.state for pair in restoration.pairs()] == ["accepted", "rejected", "accepted"]
    last = restoration.pairs()[2].scan
    last.write_bytes(last.read_bytes()[:200])
    sheet = write_proofs(restoration)
    assert sheet == restoration.folder / "proofs" / "pairs.png"
    made = sorted(path.name for path in sheet.parent.iterdir())
    kinds = ("-blink", "-difference", "-reference", "-scan", "")
    assert made == [*(f"{number}{kind}.png" for number in ("0001", "0002") for kind in kinds), "pairs.png"]
    layers = [read_image(sheet.parent / f"0001-{kind}.png").pixels for kind in ("scan", "reference", "difference")]
    assert {layer.shape for layer in layers} == {(120, 160, 3)}
    assert np.abs(layers[0] - whole[:120, :160]).max() < 0.005
    assert np.abs(layers[1] - layers[0]).mean() < 0.05 and layers[2].std() < 0.05
    assert read_image(sheet).pixels.std() > 0.05
