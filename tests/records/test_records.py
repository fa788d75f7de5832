"""Receipts, change maps and the record of a training."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from wetgate.errors import WetgateError
from wetgate.images import Header, Image, Window, open_source, read_image, write_image
from wetgate.onnx_model import ModelCard
from wetgate.records import change_maps, receipts
from wetgate.records.canonical import canonical_json, record_hash
from wetgate.records.shot_record import INFERRED, RECOVERED, PairRecord, SourceRecord, shot_record


def record(**changes):
    given = {
        "recipe": "color",
        "sources": [
            SourceRecord("scan", "/archive/scans/reel3/shot.####.dpx", "35 mm print, reel 3", "own"),
            SourceRecord("reference", r"D:\transfers\dvd.mov", "DVD 2004", "licensed from X"),
        ],
        "pairs": [
            PairRecord(1040, accepted=False, reason="the reference shows another cut"),
            PairRecord(1001, accepted=True, reference_frame=25, alignment={"residual_px": 0.2}),
        ],
        "settings": {"time_s": 60.0, "protect": "grain"},
        "seed": 7,
        "versions": {"wetgate": "0.1.0"},
        "protected": "grain",
        "same_picture": True,
        "limitations": ["Trained on one shot."],
    }
    return shot_record(**{**given, **changes})


def test_a_record_holds_names_reasons_and_no_folders():
    made = record(operator="A. Restorer", results={"psnr": 33.1})
    text = json.dumps(made)
    assert [source["name"] for source in made["sources"]] == ["shot.####.dpx", "dvd.mov"]
    assert "archive" not in text and "transfers" not in text
    assert [(pair["frame"], pair["accepted"]) for pair in made["pairs"]] == [(1001, True), (1040, False)]
    assert made["pairs"][1]["reason"] == "the reference shows another cut"
    assert made["digital_source_type"] == RECOVERED
    assert made["operator"] == "A. Restorer" and made["results"] == {"psnr": 33.1}


def test_who_did_it_is_not_made_up():
    assert "operator" not in record() and "results" not in record()


def test_inferred_colour_is_declared():
    assert record(same_picture=False)["digital_source_type"] == INFERRED


def test_a_record_keeps_its_hash_through_a_model_card():
    made = record()
    card = ModelCard(recipe="color", record=made)
    again = ModelCard.from_metadata(card.to_metadata())
    assert record_hash(again.record) == record_hash(made)


def test_canonical_json_knows_no_order_and_no_nan():
    assert canonical_json({"b": 1, "a": "é"}) == canonical_json({"a": "é", "b": 1}) == '{"a":"é","b":1}'
    assert record_hash({"a": 1}) != record_hash({"a": 2})
    with pytest.raises(ValueError, match="JSON"):
        canonical_json({"loss": float("nan")})


def test_a_receipt_speaks_of_exactly_one_file(tmp_path: Path):
    receipts.prepare(tmp_path)
    output = tmp_path / "shot.0001.exr"
    assert receipts.load(output) is None
    output.write_bytes(b"pixels")
    made = receipts.save(output, receipts.file_hash(output), {"model": "abc"}, {"device": "cpu"})
    assert receipts.load(output) == made
    assert receipts.is_intact(output, made)
    output.write_bytes(b"pixelz")
    assert not receipts.is_intact(output, made)
    output.unlink()
    assert not receipts.is_intact(output, made)
    assert str(tmp_path) not in receipts.receipt_path(output).read_text()


def test_a_receipt_of_another_schema_is_no_receipt(tmp_path: Path):
    receipts.prepare(tmp_path)
    output = tmp_path / "shot.0001.exr"
    output.write_bytes(b"pixels")
    made = receipts.save(output, "", {}, {})
    receipts.receipt_path(output).write_text(json.dumps({**made, "schema": 2}))
    assert receipts.load(output) is None


def test_a_map_gives_the_restored_frame_back(tmp_path: Path):
    generator = np.random.default_rng(0)
    scan = generator.random((300, 20, 3), dtype=np.float32)
    restored = scan.copy()
    restored[10:13, 5, 1] += np.float32([0.25, -0.5, 2.0])
    restored[280, 0] = 1e6
    window = Window(0, 0, 20, 300)
    header = Header("exr", "float", ("R", "G", "B"), window, window)
    change_maps.write_map(tmp_path, 12, Image(scan, None, header), restored)
    found = read_image(tmp_path / "change.0012.exr")
    assert found.header.depth == "half"
    assert (found.pixels[20:270] == 0).all()
    np.testing.assert_allclose(found.pixels[10:13, 5, 1], [0.25, -0.5, 2.0], atol=1e-3)
    assert (found.pixels[280, 0] == 65504).all()
    figures = change_maps.figures(scan, restored)
    assert figures["share"] == 4 / 6000
    assert figures["largest"] == pytest.approx(1e6)
    assert figures["mean"] == pytest.approx(float(np.abs(restored - scan).mean(dtype=np.float64)))


def test_bad_pixels_that_stand_are_no_change():
    scan = np.full((4, 4, 3), np.nan, np.float32)
    scan[0] = np.inf
    assert change_maps.figures(scan, scan.copy()) == {"share": 0.0, "largest": 0.0, "mean": 0.0}


def test_the_summary_grows_run_by_run(tmp_path: Path):
    change_maps.add_to_summary(tmp_path, {1: {"share": 1.0, "largest": 0.5, "mean": 0.1}})
    change_maps.add_to_summary(tmp_path, {2: {"share": 0.0, "largest": 0.75, "mean": 0.3}})
    summary = json.loads((tmp_path / "changes.json").read_text())
    assert list(summary["frames"]) == ["1", "2"]
    assert summary["all"] == {"share": 0.5, "mean": 0.2, "largest": 0.75, "largest_in_frame": 2}
    (tmp_path / "changes.json").write_text("{")
    change_maps.add_to_summary(tmp_path, {3: {"share": 0.0, "largest": 0.0, "mean": 0.0}})
    assert list(json.loads((tmp_path / "changes.json").read_text())["frames"]) == ["3"]


def test_maps_are_not_written_among_the_scans(tmp_path: Path):
    for number in (1, 2):
        write_image(tmp_path / f"shot.{number:04d}.exr", np.zeros((2, 2, 3), np.float32))
    with open_source(tmp_path) as source, pytest.raises(WetgateError, match="source's folder"):
        change_maps.prepare(tmp_path / "changes", source)
    assert not (tmp_path / "changes").exists()
