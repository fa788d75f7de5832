"""A flickering scan: pairs are steadied before anything is learnt, and apply does as the model was trained."""

from __future__ import annotations

import json
import time

import cv2
import numpy as np
import pytest

from wetgate.files import sha256
from wetgate.images import write_image
from wetgate.inference.curves import Curves
from wetgate.inference.session import Session
from wetgate.project import create_restoration
from wetgate.recipes.color import train
from wetgate.recipes.exposure import TooSlow, curves_of_pairs
from wetgate.recipes.options import Options

FRAMES = 30
PAIRED = (4, 15, 26)


def still(height=72, width=96):
    generator = np.random.default_rng(2)
    light = cv2.resize(generator.random((12, 16, 1), dtype=np.float32), (width, height), interpolation=cv2.INTER_CUBIC)
    colour = cv2.resize(generator.random((6, 8, 3), dtype=np.float32), (width, height), interpolation=cv2.INTER_CUBIC)
    return np.clip(0.65 * light[..., None] + 0.35 * colour, 0.05, 0.95)


def flicker(frame: int):
    """Density of each layer that a frame has too much: the red one's flickers most."""
    return np.random.default_rng(frame).normal(0, 1, 3) * (0.06, 0.02, 0.02)


def scan_of(frame: int, amount=1.0):
    density = -np.log10(still() + 1 / 64) * (0.6, 0.8, 0.9) + 0.1 + amount * flicker(frame)
    grain = np.random.default_rng(100 + frame).normal(0, 0.005, (*density.shape[:2], 1))
    return (10.0**-density - 1 / 64 + grain).astype(np.float32)


@pytest.fixture
def reel(tmp_path):
    """A restoration of a flickering scan and a steady reference."""
    for frame in range(1, FRAMES + 1):
        for name, pixels in (("scan", scan_of(frame)), ("reference", still())):
            (tmp_path / name).mkdir(exist_ok=True)
            write_image(tmp_path / name / f"shot.{frame:04d}.exr", pixels, bit_depth="half")
    restoration = create_restoration(tmp_path / "reel.wetgate", "color")
    for frame in PAIRED:
        path = tmp_path / "scan" / f"shot.{frame:04d}.exr"
        with restoration.add_pair(frame, where_from={"scan": str(path)}) as draft:
            draft.scan.write_bytes(path.read_bytes())
            draft.reference.write_bytes((tmp_path / "reference" / path.name).read_bytes())
    restoration.add_source("scan", str(tmp_path / "scan"))
    return restoration


def test_the_pairs_of_a_flickering_scan_come_out_alike(reel):
    curves = curves_of_pairs(reel, reel.pairs(), lambda: None)
    assert sorted(curves) == [1, 2, 3]
    steadied = [
        Curves("display", {frame: curves[number]}).steady(frame, scan_of(frame))
        for number, frame in enumerate(PAIRED, 1)
    ]
    before, after = (
        np.std([frame.mean((0, 1)) for frame in frames], axis=0).max()
        for frames in ([scan_of(frame) for frame in PAIRED], steadied)
    )
    assert after < 0.35 * before


def test_a_scan_that_is_gone_or_a_single_picture_is_taken_as_it_is(reel, tmp_path):
    pairs = reel.pairs()
    for path in (tmp_path / "scan").iterdir():
        if path.name != "shot.0004.exr":
            path.unlink()
    assert curves_of_pairs(reel, pairs, lambda: None) == {}
    (tmp_path / "scan" / "shot.0004.exr").unlink()
    assert curves_of_pairs(reel, pairs, lambda: None) == {}


def go(reel, **options):
    run = reel.new_run({})
    with run.lock():
        result = train(
            reel, run, Options(**{"seconds": None, "steps": 4, "device": "cpu", **options}), time.monotonic()
        )
    return result, run


def test_a_model_of_steadied_pairs_differs_and_says_so(reel):
    (_, steadied), (_, plain) = go(reel), go(reel, steady=False)
    assert set(steadied.settings["exposure"]) == {"1", "2", "3"}
    assert plain.settings["exposure"] == {}
    assert sha256(steadied.model) != sha256(plain.model)
    for run, steady in ((steadied, True), (plain, False)):
        record = Session(run.model, "cpu").card.record
        assert record["settings"]["steady"] is steady
        assert any("Flicker is removed" in limit for limit in record["limitations"]) is steady


def test_where_there_is_no_time_flicker_stays_and_it_is_said(reel):
    def never():
        raise TooSlow

    with pytest.raises(TooSlow):
        curves_of_pairs(reel, reel.pairs(), never)
    _, run = go(reel, steps=None, seconds=0.5)
    assert run.settings["exposure"] == {}
    assert [event["event"] for event in run.events()[0]].count("not steadied") == 1


@pytest.mark.parametrize(
    ("train_words", "apply_words", "steady"),
    [
        ([], [], True),
        (["--no-steady"], [], False),
        (["--protect", "luma"], [], False),
        (["--protect", "luma", "--steady"], [], True),
        ([], ["--no-steady"], False),
    ],
)
def test_apply_does_as_the_model_was_trained(wetgate, reel, tmp_path, train_words, apply_words, steady):
    code, _, err = wetgate("train", reel.folder, "--steps", "2", *train_words)
    assert code == 0, err
    code, out, err = wetgate(
        "apply", reel.folder, tmp_path / "scan", tmp_path / "out", "--frames", "3-5", "--json", *apply_words
    )
    assert code == 0, err
    assert (json.loads(out)["steadied"] is not None) is steady
