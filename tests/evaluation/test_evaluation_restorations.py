"""A restoration's model on its pairs, and results against a truth, from real files."""

import dataclasses
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnx.helper
import onnx.numpy_helper
import pytest

from wetgate.errors import WetgateError
from wetgate.evaluation.compare import Frame, Method
from wetgate.evaluation.restorations import common_frames, evaluate_pairs, evaluate_sequence, newest_model, split_pairs
from wetgate.images import from_display, open_source, write_image
from wetgate.inference.curves import Curves
from wetgate.onnx_model import ModelCard, read_card
from wetgate.project import create_restoration

ROOT = Path(__file__).parents[2]
Film = Callable[..., np.ndarray]


def evaluate(*words: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "wetgate", "evaluate", *map(str, words)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)


def write_sequence(folder: Path, frames: dict[int, np.ndarray], suffix: str = ".exr", depth: str = "half") -> Path:
    folder.mkdir()
    for number, pixels in frames.items():
        write_image(folder / f"shot.{number:04d}{suffix}", pixels, bit_depth=depth)
    return folder


def test_the_model_is_measured_on_held_out_pairs_apart(faded) -> None:
    for frame in (1001, 1011, 1021):
        faded.add_pair(frame)
    faded.add_pair(1031, "rejected", "the reference shows another frame")
    run = faded.train(held_out=[2])
    done = evaluate(faded.restoration.folder, "--json", "--inset", 2)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    held_out, trained, each = result["tables"]
    assert (held_out["title"], trained["title"]) == ("Held-out pairs (1)", "Pairs trained on (2)")
    assert [row["name"] for row in held_out["rows"]] == ["scan", "restored"]
    scan, restored = (row["measures"] for row in held_out["rows"])
    assert scan["psnr"] < 15 and scan["hf_gain"] == pytest.approx(0.25, abs=0.01)
    assert restored["psnr"] == 100 and restored["delta_e"] < 0.01
    assert [row["name"] for row in each["rows"]] == [
        "frame 1011, pair 2, held out",
        "frame 1001, pair 1, trained on",
        "frame 1021, pair 3, trained on",
    ]
    assert result["report"] == str(run / "report.html")
    page = (run / "report.html").read_text(encoding="utf-8")
    for words in ("run 001", "2 trained on, 1 held out, 1 rejected", "another frame", "2 pixels inside", "Loss"):
        assert words in page


def test_only_the_seen_pairs_are_measured_where_none_was_held_out(faded) -> None:
    faded.add_pair(1001)
    faded.train()
    done = evaluate(faded.restoration.folder)
    assert done.returncode == 0, done.stderr
    assert "Pairs trained on (1)" in done.stdout and "Held-out" not in done.stdout
    assert "report.html" in done.stdout.splitlines()[-1]
    assert "No pair was held out" in newest_model(faded.restoration).report.read_text(encoding="utf-8")


def of_recipe(faded, recipe: str):
    return dataclasses.replace(faded, restoration=create_restoration(faded.restoration.folder.parent / recipe, recipe))


def test_made_references_are_not_called_true(faded) -> None:
    painted = of_recipe(faded, "exemplar")
    painted.add_pair(1001)
    painted.train()
    report = evaluate_pairs(painted.restoration, newest_model(painted.restoration))
    assert report.headline.startswith("The references were made")
    assert any("nothing how true they are" in limit for limit in report.limits)
    assert not any("taken for the truth" in limit for limit in report.limits)


def test_two_steps_are_measured_by_good_film_alone(faded) -> None:
    telecine = of_recipe(faded, "telecine")
    for frame in (1001, 1011, 1021):
        telecine.add_pair(frame)
    first, second, third = telecine.restoration.pairs()
    telecine.train()
    latest = newest_model(telecine.restoration)
    assert [pair.number for pair in split_pairs(telecine.restoration, latest)[1]] == [1, 2, 3]
    second.update(where_from={"reference_element": "film"})
    third.update(where_from={"scan_element": "telecine", "reference_element": "film"})
    assert [pair.number for pair in split_pairs(telecine.restoration, latest)[1]] == [2]
    second.update(where_from={})
    with pytest.raises(WetgateError, match="both steps"):
        split_pairs(telecine.restoration, latest)
    assert first.elements == ("film", "telecine")


def test_what_learns_from_the_scan_alone_is_not_asked_for_pairs(faded) -> None:
    damage = of_recipe(faded, "damage")
    run = damage.train()
    done = evaluate(damage.restoration.folder)
    assert done.returncode == 1 and "wetgate add" not in done.stderr and str(run / "report.html") in done.stderr


def the_next_frame_doubled() -> bytes:
    """A model of radius 1."""
    begin, end, along = (
        onnx.numpy_helper.from_array(np.array([value], np.int64), name)
        for name, value in (("begin", 6), ("end", 9), ("along", 1))
    )
    graph = onnx.helper.make_graph(
        [
            onnx.helper.make_node("Slice", ["frames", "begin", "end", "along"], ["next"]),
            onnx.helper.make_node("Add", ["next", "next"], ["restored"]),
        ],
        "next",
        [onnx.helper.make_tensor_value_info("frames", onnx.TensorProto.FLOAT, ["N", 9, "H", "W"])],
        [onnx.helper.make_tensor_value_info("restored", onnx.TensorProto.FLOAT, ["N", 3, "H", "W"])],
        [begin, end, along],
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 20)], ir_version=10)
    card = ModelCard(recipe="color", encoding="display", protected="grain", producer="test", radius=1)
    onnx.helper.set_model_props(model, card.to_metadata())
    return model.SerializeToString()


def test_a_model_of_several_frames_sees_those_around_a_pair(faded) -> None:
    other, alike = faded.film(7) / 2, faded.film(1001) / 2  # half as bright as the reference of frame 1001
    faded.add_pair(1001, around={-1: other, 1: alike})
    faded.add_pair(1011, around={-1: alike, 1: other})
    faded.add_pair(1021)
    (faded.train() / "model.onnx").write_bytes(the_next_frame_doubled())
    done = evaluate(faded.restoration.folder, "--json")
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    right, wrong, alone = (row["measures"]["psnr"] for row in result["tables"][-1]["rows"])
    assert right == alone == 100 and wrong < 30
    assert [limit for limit in result["limits"] if "1021 are not to be had" in limit]
    assert not [limit for limit in result["limits"] if "1001" in limit or "1011" in limit]


def test_the_model_sees_a_pair_steadied_as_in_training(faded) -> None:
    faded.add_pair(1001)
    faded.add_pair(1011)
    darker, back = (((offset, 0.0),) * 3 for offset in (0.2, -0.2))
    flickered = faded.restoration.pairs()[0]
    steady = Curves("display", {1001: darker}).steady(1001, faded.film(1001) / 2)
    write_image(flickered.scan, steady, bit_depth="float")
    flickered.update(reason="collected again")
    faded.train(exposure={"1": back})
    done = evaluate(faded.restoration.folder, "--json")
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert [row["measures"]["psnr"] > 60 for row in result["tables"][-1]["rows"]] == [True, True]
    assert result["tables"][0]["rows"][0]["measures"]["psnr"] < 15


def test_a_damaged_neighbour_costs_no_report(faded) -> None:
    alike = faded.film(1001) / 2
    faded.add_pair(1001, around={-1: alike, 1: alike})
    (faded.train() / "model.onnx").write_bytes(the_next_frame_doubled())
    damaged = faded.restoration.pairs()[0].neighbours[1]
    damaged.write_bytes(damaged.read_bytes()[:200])
    done = evaluate(faded.restoration.folder, "--json")
    assert done.returncode == 0, done.stderr
    assert any("1001 are not to be had" in limit for limit in json.loads(done.stdout)["limits"])


def test_where_chroma_is_the_scans_the_headline_is_of_luma(faded) -> None:
    faded.add_pair(1001)
    run = faded.train()
    model = onnx.load(run / "model.onnx")
    card = dataclasses.replace(read_card(run / "model.onnx"), protected="chroma")
    onnx.helper.set_model_props(model, card.to_metadata())
    onnx.save(model, run / "model.onnx")
    headline = evaluate_pairs(faded.restoration, newest_model(faded.restoration)).headline
    assert "luma" in headline and "100.00 dB" in headline and "dE" not in headline


def test_what_the_mask_leaves_out_does_not_count(faded) -> None:
    mask = np.zeros((48, 64), np.float32)
    mask[:, :32] = 1
    faded.add_pair(1001, mask=mask)
    faded.train()
    pair = faded.restoration.pairs()[0]
    spoiled = faded.film(1001)
    spoiled[:, 32:] = 0.9
    write_image(pair.folder / "prepared.exr", spoiled, bit_depth="float")
    pair.update(prepared="prepared.exr")
    report = evaluate_pairs(faded.restoration, newest_model(faded.restoration))
    assert report.tables[0].rows[-1].measures.psnr == 100
    write_image(pair.folder / "confidence.exr", np.repeat(mask[..., None], 3, axis=2), bit_depth="half")
    pair.update(reason="as before")
    assert evaluate_pairs(faded.restoration, newest_model(faded.restoration)).tables[0].rows[-1].measures.psnr == 100


def test_two_regions_of_one_frame_both_count(faded) -> None:
    faded.add_pair(1001)
    faded.add_pair(1001)
    faded.train()
    report = evaluate_pairs(faded.restoration, newest_model(faded.restoration))
    assert [row.name for row in report.tables[-1].rows] == [
        "frame 1001, pair 1, trained on",
        "frame 1001, pair 2, trained on",
    ]


def test_baselines_stand_in_the_same_table(faded) -> None:
    faded.add_pair(1001)
    faded.add_pair(1011)
    faded.train(held_out=[1])
    run = newest_model(faded.restoration)
    held_out, trained = split_pairs(faded.restoration, run)
    assert [pair.number for pair in held_out] == [1] and [pair.number for pair in trained] == [2]

    def brighten(frame: Frame) -> np.ndarray:
        assert frame.scan is not None
        return frame.scan * np.float32(1.9)

    report = evaluate_pairs(faded.restoration, run, baselines=[Method("gain", brighten, 1, 0.1)])
    for table in report.tables[:2]:
        assert [row.name for row in table.rows] == ["scan", "gain", "restored"]
        psnr = [row.measures.psnr for row in table.rows]
        assert psnr == sorted(psnr)
    assert report.tables[0].rows[1].parameters == 1


def test_the_newest_run_with_a_model_is_taken(faded) -> None:
    faded.add_pair(1001)
    faded.train(gain=1.0)
    faded.train(gain=2.0)
    faded.restoration.new_run({})
    assert newest_model(faded.restoration).number == 2


@pytest.mark.parametrize(("missing", "sentence"), [("model", "has no model yet"), ("pairs", "has no accepted pair")])
def test_nothing_to_measure_is_a_sentence(faded, missing: str, sentence: str) -> None:
    if missing == "model":
        faded.add_pair(1001)
        faded.restoration.new_run({})
    else:
        faded.add_pair(1001, "rejected", "too dark")
        faded.train()
    done = evaluate(faded.restoration.folder)
    assert done.returncode == 1
    assert sentence in done.stderr and "Traceback" not in done.stderr


def test_a_model_of_another_encoding_is_refused(faded) -> None:
    faded.add_pair(1001)
    faded.train(encoding="log")
    with pytest.raises(WetgateError, match="works on log pictures, but the restoration now says display"):
        evaluate_pairs(faded.restoration, newest_model(faded.restoration))


def test_a_result_is_measured_against_a_truth(faded, film: Film, tmp_path: Path) -> None:
    """EXR result, PNG truth, PNG scan; two code values of flicker in the result."""
    frames = range(1001, 1005)
    truth = write_sequence(tmp_path / "truth", {n: film(n) for n in frames}, ".png", "16")
    scan = write_sequence(tmp_path / "scan", {n: film(n) / 2 for n in frames}, ".png", "16")
    flickering = {n: film(n) + np.float32((n % 2) * 2 / 255) for n in range(1000, 1004)}
    result = write_sequence(tmp_path / "result", flickering, depth="float")
    done = evaluate(
        faded.restoration.folder, "--result", result, "--truth", truth / "shot.####.png", "--scan", scan, "--json"
    )
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    table, each = answer["tables"]
    assert [row["name"] for row in each["rows"]] == ["frame 1001", "frame 1002", "frame 1003"]
    before, after = (row["measures"] for row in table["rows"])
    assert before["hf_gain"] == pytest.approx(0.25, abs=0.01) and before["psnr"] < 15
    assert after["flicker"] == pytest.approx(2, abs=0.01)
    assert after["psnr"] == pytest.approx(
        (2 * -20 * np.log10(2 / 255) + each["rows"][1]["measures"]["psnr"]) / 3, abs=0.1
    )
    page = Path(answer["report"]).read_text(encoding="utf-8")
    assert answer["report"] == str(faded.restoration.folder / "truth.html")
    assert "1001-1003" in page and "against a truth" in page


def test_frames_and_report_can_be_chosen(faded, film: Film, tmp_path: Path) -> None:
    result = write_sequence(tmp_path / "result", {n: film(n) for n in range(1, 8)})
    done = evaluate(
        *(faded.restoration.folder, "--result", result, "--truth", result, "--frames", "2-6x2"),
        *("--report", tmp_path / "page.html"),
    )
    assert done.returncode == 0, done.stderr
    assert "Against the truth (3 frames)" in done.stdout and "100.00" in done.stdout
    assert (tmp_path / "page.html").exists()
    assert not (faded.restoration.folder / "truth.html").exists()


@pytest.mark.parametrize("encoding", ["linear", "log"])
def test_measures_are_of_what_is_seen(tmp_path: Path, film: Film, encoding: str) -> None:
    restoration = create_restoration(tmp_path / "job.wetgate", "color", encoding)
    coded = {n: from_display(film(n), encoding) for n in (1, 2)}
    brighter = {n: from_display(film(n) + np.float32(0.05), encoding) for n in (1, 2)}
    with (
        open_source(write_sequence(tmp_path / "a", brighter, depth="float")) as result,
        open_source(write_sequence(tmp_path / "b", coded, depth="float")) as truth,
    ):
        report = evaluate_sequence(restoration, result, truth, frames=[1, 2])
    assert report.tables[0].rows[0].measures.psnr == pytest.approx(-20 * np.log10(0.05), abs=0.01)


def test_wrong_sequences_are_sentences(faded, film: Film, tmp_path: Path) -> None:
    first = write_sequence(tmp_path / "first", {1: film(1), 2: film(2)})
    later = write_sequence(tmp_path / "later", {7: film(7)})
    smaller = write_sequence(tmp_path / "smaller", {1: film(1, 20, 30), 2: film(2, 20, 30)})
    with open_source(first) as one, open_source(later) as other:
        with pytest.raises(WetgateError, match=r"no frame in common \(result 1-2, truth 7\)"):
            common_frames(one, other)
        with pytest.raises(WetgateError, match=r"The scan .* has no frame 1-2, only 7"):
            common_frames(one, one, other, [1, 2])
    with (
        open_source(first) as one,
        open_source(smaller) as other,
        pytest.raises(WetgateError, match="Frame 1: The scan picture is 30x20 and the truth 64x48"),
    ):
        evaluate_sequence(faded.restoration, one, one, other, frames=[1])


def test_pixels_that_are_no_numbers_are_named_with_their_frame(faded, film: Film, tmp_path: Path) -> None:
    good = {1: film(1), 2: film(2)}
    bad = {1: film(1), 2: film(2)}
    bad[2][3, 4] = np.nan
    done = evaluate(
        *(faded.restoration.folder, "--result", write_sequence(tmp_path / "bad", bad)),
        *("--truth", write_sequence(tmp_path / "good", good)),
    )
    assert done.returncode == 1
    assert "Frame 2: The restored picture holds NaN or infinity in 1 pixel:" in done.stderr


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--result", "x"], "belong together"),
        (["--scan", "x"], "give --result and --truth"),
        (["--inset", "99"], "inset of 99"),
    ],
)
def test_arguments_that_do_not_fit_are_sentences(faded, words: list[str], sentence: str) -> None:
    faded.add_pair(1001)
    faded.train()
    done = evaluate(faded.restoration.folder, *words)
    assert done.returncode == 1 and sentence in done.stderr


def test_single_pixels_can_be_evaluated(faded, tmp_path: Path) -> None:
    one = write_sequence(tmp_path / "one", {1: np.full((1, 1, 3), 0.5, np.float32)})
    done = evaluate(faded.restoration.folder, "--result", one, "--truth", one)
    assert done.returncode == 0, done.stderr
