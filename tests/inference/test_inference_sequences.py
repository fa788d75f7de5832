"""A model over a sequence: what is written, what is kept on the next run, and what is said when it fails."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from onnx import helper
from onnx_graphs import constant, model_of

from wetgate.errors import WetgateError
from wetgate.images import Header, Window, open_sink, open_source, read_image, write_image
from wetgate.inference.curves import STILL, Curves
from wetgate.inference.sequences import apply
from wetgate.inference.session import Session
from wetgate.onnx_model import ModelCard
from wetgate.service.layout import window_of


def run(model: Path, scan: Path | str, output: Path | str, *, mask=None, **options):
    with open_source(scan) as source:
        opened = open_source(mask) if mask is not None else None
        return apply(Session(model, "cpu"), source, open_sink(output, source), mask=opened, **options)


def pixels_of(folder: Path, number: int, suffix: str = ".exr") -> np.ndarray:
    return read_image(folder / f"shot.{number:04d}{suffix}").pixels


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def output(tmp_path: Path) -> Path:
    return tmp_path / "restored"


def test_frames_and_what_is_said_about_them(gain, save_sequence, output):
    scan = save_sequence([1001, 1002, 1003])
    said = []
    result = run(gain(0.5, coverage=True), scan, output, progress=lambda done, note: said.append((done, note)))
    for number in (1001, 1002, 1003):
        assert np.array_equal(pixels_of(output, number), pixels_of(scan, number) / 2)
    assert result["frames"] == "1001-1003"
    assert (result["restored"], result["kept"], result["device"]) == (3, 0, "cpu")
    assert result["coverage"] == {"1001": 0.75, "1002": 0.75, "1003": 0.75}
    assert result["bad_pixels"] == result["unusable_pixels"] == {}
    assert said == [(0, ""), (1, "frame 1001"), (2, "frame 1002"), (3, "frame 1003")]
    json.dumps(result)


def test_an_exr_carries_the_scans_metadata_and_ours(gain, tmp_path, output):
    scan = tmp_path / "scan"
    scan.mkdir()
    window = Window(0, 0, 8, 4)
    attributes = {"smpte:TimeCode": (0x10203040, 0), "reel": 3}
    header = Header("exr", "half", ("R", "G", "B"), window, window, attributes, {"smpte:TimeCode": "timecode"})
    for number in (7, 8):
        write_image(scan / f"shot.{number:04d}.exr", np.full((4, 8, 3), 0.25, np.float32), like=header)
    model = gain()
    run(model, scan, output)
    found = read_image(output / "shot.0008.exr").header.attributes
    assert found["reel"] == 3
    assert found["smpte:TimeCode"] == (0x10203040, 0)
    assert "DateTime" not in found
    assert found["wetgate:source_file"] == "shot.0008.exr"
    assert found["wetgate:source_frame"] == 8
    assert found["wetgate:model_sha256"] == Session(model, "cpu").model_sha256
    assert found["wetgate:recipe"] == "color"
    assert len(found["wetgate:record_sha256"]) == len(found["wetgate:source_sha256"]) == 64
    card = json.loads((output / ".wetgate" / f"model-{found['wetgate:model_sha256']}.json").read_text())
    assert ModelCard.from_metadata(card["card"]).record == {"seed": 1}


@pytest.mark.parametrize("suffix", [".dpx", ".tif", ".png"])
def test_integer_formats_come_back_in_their_own_depth(gain, save_sequence, output, suffix):
    scan = save_sequence([1, 2], suffix=suffix)
    run(gain(1.0), scan, output)
    for number in (1, 2):
        before, after = (
            read_image(scan / f"shot.{number:04d}{suffix}"),
            read_image(output / f"shot.{number:04d}{suffix}"),
        )
        assert np.array_equal(before.pixels, after.pixels)
        assert before.header.depth == after.header.depth
        assert before.header.block == after.header.block


def test_alpha_is_the_scans(gain, save_sequence, output):
    scan = save_sequence([1, 2], alpha=True)
    run(gain(0.5), scan, output)
    before, after = read_image(scan / "shot.0002.exr"), read_image(output / "shot.0002.exr")
    assert np.array_equal(after.alpha, before.alpha)
    assert np.array_equal(after.pixels, before.pixels / 2)


def test_a_single_channel_stays_one_and_lost_colour_is_said(save_model, save_sequence, output):
    window = Window(0, 0, 24, 16)
    scan = save_sequence([1, 2], like=Header("exr", "float", ("Y",), window, window), depth="float")
    tint = constant("tint", np.array([1.0, 0.5, 0.5], np.float32).reshape(1, 3, 1, 1))
    model = save_model(
        model_of([helper.make_node("Mul", ["frames", "tint"], ["restored"])], [tint], card=ModelCard("color"))
    )
    result = run(model, scan, output)
    before, after = read_image(scan / "shot.0001.exr"), read_image(output / "shot.0001.exr")
    assert after.mono and after.header.channels == ("Y",)
    np.testing.assert_allclose(after.pixels, before.pixels * (0.2126 + 0.7874 / 2), rtol=1e-6)
    assert any("written as its luma" in note for note in result["notes"])


def test_grey_in_grey_out_needs_no_note(gain, save_sequence, output):
    window = Window(0, 0, 24, 16)
    scan = save_sequence([1, 2], like=Header("exr", "half", ("Y",), window, window))
    result = run(gain(0.5), scan, output)
    assert not any("luma" in note for note in result["notes"])
    assert np.array_equal(pixels_of(output, 2), pixels_of(scan, 2) / 2)


# Exposure curves


def test_the_model_sees_steadied_frames_and_receipts_say_so(gain, save_sequence, tmp_path, output):
    scan = save_sequence([1, 2], depth="float")
    curves = Curves("display", {1: ((0.01, 0.02), (-0.01, 0.0), (0.0, 0.0)), 2: STILL})
    result = run(gain(1.0), scan, output, curves=curves, change_map=tmp_path / "changes")
    assert result["steadied"] == {"frames": 1, "largest": 0.016}
    assert np.array_equal(pixels_of(output, 1), curves.steady(1, pixels_of(scan, 1)))
    assert np.array_equal(pixels_of(output, 2), pixels_of(scan, 2))
    assert result["changes"]["largest_in_frame"] == 1
    receipt = json.loads((output / ".wetgate" / "shot.0001.exr.json").read_text())
    assert receipt["request"]["exposure"] == [[[0.01, 0.02], [-0.01, 0.0], [0.0, 0.0]]]
    assert json.loads(read_image(output / "shot.0001.exr").header.attributes["wetgate:exposure_curve"])[0] == [
        0.01,
        0.02,
    ]
    assert run(gain(1.0), scan, output, curves=curves)["kept"] == 2
    other = Curves("display", {**curves.frames, 1: STILL})
    assert run(gain(1.0), scan, output, curves=other)["kept"] == 1
    assert np.array_equal(pixels_of(output, 1), pixels_of(scan, 1))


def test_outside_the_mask_nothing_is_steadied(gain, save_sequence, tmp_path, output):
    scan = save_sequence([1], depth="float")
    weights = np.zeros((16, 24, 3), np.float32)
    weights[8:] = 1.0
    write_image(tmp_path / "mask.png", weights)
    curves = Curves("display", {1: ((0.1, 0.0),) * 3})
    run(gain(1.0), scan, output, curves=curves, mask=tmp_path / "mask.png")
    before, after = pixels_of(scan, 1), pixels_of(output, 1)
    assert np.array_equal(after[:8], before[:8])
    assert (after[8:] < before[8:]).mean() > 0.99


def test_every_frame_of_a_window_is_steadied_by_its_own_curve(mean_of_window, save_sequence, output):
    scan = save_sequence([1, 2, 3], depth="float")
    frames = {number: ((0.01 * number, 0.0),) * 3 for number in (1, 2, 3)}
    curves = Curves("display", frames)
    run(mean_of_window(1), scan, output, curves=curves)
    first, middle, last = (curves.steady(number, pixels_of(scan, number)) for number in (1, 2, 3))
    np.testing.assert_allclose(pixels_of(output, 2), middle + 0.01 * first + 0.03 * last, rtol=1e-4, atol=1e-5)


# The mask


def test_outside_the_mask_the_scan_stays_bit_for_bit(gain, save_sequence, tmp_path, output):
    scan = save_sequence([1, 2], depth="float")
    weights = np.zeros((16, 24, 3), np.float32)
    weights[4:8], weights[8:10] = 1.0, 0.5
    write_image(tmp_path / "mask.png", weights, bit_depth="16")
    result = run(gain(0.3), scan, output, mask=tmp_path / "mask.png")
    before, after = pixels_of(scan, 2), pixels_of(output, 2)
    assert np.array_equal(after[:4], before[:4]) and np.array_equal(after[10:], before[10:])
    assert np.array_equal(after[4:8], before[4:8] * np.float32(0.3))
    np.testing.assert_allclose(after[8:10], before[8:10] * 0.65, rtol=1e-4)
    assert result["changes"]["share"] == pytest.approx(6 / 16, abs=0.01)


def test_a_single_channel_scan_stays_bit_for_bit_outside_the_mask_too(save_model, save_sequence, tmp_path, output):
    window = Window(0, 0, 24, 16)
    scan = save_sequence([1], like=Header("exr", "float", ("Y",), window, window), depth="float")
    tint = constant("tint", np.array([1.0, 0.5, 0.5], np.float32).reshape(1, 3, 1, 1))
    model = save_model(
        model_of([helper.make_node("Mul", ["frames", "tint"], ["restored"])], [tint], card=ModelCard("color"))
    )
    weights = np.zeros((16, 24, 3), np.float32)
    weights[:8] = 1.0
    write_image(tmp_path / "mask.png", weights)
    run(model, scan, output, mask=tmp_path / "mask.png")
    assert np.array_equal(pixels_of(output, 1)[8:], pixels_of(scan, 1)[8:])


def test_masks_by_frame_drawn_into_alpha(gain, save_sequence, tmp_path, output):
    scan = save_sequence([1, 2])
    for number in (1, 2):
        alpha = np.full((16, 24), number - 1, np.float32)
        (tmp_path / "masks").mkdir(exist_ok=True)
        write_image(tmp_path / "masks" / f"matte.{number}.exr", np.zeros((16, 24, 3), np.float32), alpha=alpha)
    run(gain(0.5), scan, output, mask=tmp_path / "masks" / "matte.#.exr")
    assert np.array_equal(pixels_of(output, 1), pixels_of(scan, 1))
    assert np.array_equal(pixels_of(output, 2), pixels_of(scan, 2) / 2)


def test_masks_that_do_not_fit_are_refused(gain, save_sequence, tmp_path, output):
    scan = save_sequence([1, 2, 3])
    write_image(tmp_path / "small.png", np.ones((4, 4, 3), np.float32))
    with pytest.raises(WetgateError, match=r"small\.png is 4 x 4 but the scan is 24 x 16"):
        run(gain(), scan, output, mask=tmp_path / "small.png")
    masks = save_sequence([1, 2], folder="masks")
    with pytest.raises(WetgateError, match="has no frame 3"):
        run(gain(), scan, output, mask=masks)


# Bad pixels


def test_bad_pixels_stay_as_they_were_and_harm_nothing_around(deep, save_sequence, tmp_path, output):
    scan = save_sequence([1, 2], depth="float", size=(40, 32))
    spoiled = pixels_of(scan, 1)
    for column, bad in enumerate((np.nan, np.inf, -np.inf)):
        spoiled[10, 10 + column] = bad
    spoiled[20:24, 20:24, 1] = np.nan
    write_image(scan / "shot.0001.exr", spoiled, bit_depth="float")
    result = run(deep, scan, output)
    after = pixels_of(output, 1)
    bad = ~np.isfinite(spoiled).all(axis=2)
    assert np.array_equal(after[bad], spoiled[bad], equal_nan=True)
    assert np.isfinite(after[~bad]).all()
    assert result["bad_pixels"] == {"1": 19}
    assert "19 pixels in frame 1 held NaN or infinity in the scan and stand as they were." in result["notes"]


def test_a_frame_of_nothing_but_nan_comes_back(gain, save_sequence, output):
    scan = save_sequence([1], size=(3, 3))
    write_image(scan / "shot.0001.exr", np.full((3, 3, 3), np.nan, np.float32))
    assert run(gain(), scan, output)["bad_pixels"] == {"1": 9}
    assert np.isnan(pixels_of(output, 1)).all()


def test_where_the_model_gives_no_number_the_scan_stands(save_model, save_sequence, output):
    scan = save_sequence([1], size=(8, 8))
    dark = np.full((8, 8, 3), 0.5, np.float32)
    dark[2, 3] = 0.0
    write_image(scan / "shot.0001.exr", dark)
    one = constant("one", np.float32(1))
    inverse = model_of([helper.make_node("Div", ["one", "frames"], ["restored"])], [one], card=ModelCard("color"))
    result = run(save_model(inverse), scan, output)
    after = pixels_of(output, 1)
    assert (after[2, 3] == 0).all() and after[0, 0, 0] == 2.0
    assert result["unusable_pixels"] == {"1": 1}
    root = model_of(
        [helper.make_node("Sqrt", ["minus"], ["restored"]), helper.make_node("Neg", ["frames"], ["minus"])][::-1],
        card=ModelCard("color"),
    )
    write_image(scan / "shot.0001.exr", np.full((8, 8, 3), 0.5, np.float32))
    with pytest.raises(WetgateError, match="gave no number for any pixel of frame 1"):
        run(save_model(root), scan, output)


@pytest.mark.parametrize("suffix", [".exr", ".dpx", ".png"])
def test_one_pixel(deep, save_sequence, output, suffix):
    scan = save_sequence([1, 2], size=(1, 1), suffix=suffix)
    run(deep, scan, output)
    assert read_image(output / f"shot.0002{suffix}").size == (1, 1)


# Frames in time


def test_windows_repeat_the_last_frame_at_ends_and_gaps():
    present = frozenset([1, 2, 3, 7])
    assert window_of(2, 1, present) == (1, 2, 3)
    assert window_of(1, 2, present) == (1, 1, 1, 2, 3)
    assert window_of(3, 2, present) == (1, 2, 3, 3, 3)
    assert window_of(7, 1, present) == (7, 7, 7)
    assert window_of(5, 0, present | {5}) == (5,)


def test_a_temporal_model_sees_its_neighbours_each_decoded_once(mean_of_window, save_sequence, output):
    scan = save_sequence(range(1, 8))
    reads: list[int] = []
    lock = threading.Lock()
    with open_source(scan) as source:
        plain = source.read

        def counting(frame: int):
            with lock:
                reads.append(frame)
            return plain(frame)

        source.read = counting
        apply(Session(mean_of_window(1), "cpu"), source, open_sink(output, source), frames=range(2, 8))
        assert sorted(reads) == list(range(1, 8))
    for number, (before, after) in {2: (1, 3), 5: (4, 6), 7: (6, 7)}.items():
        expected = pixels_of(scan, number) + 0.01 * pixels_of(scan, before) + 0.03 * pixels_of(scan, after)
        np.testing.assert_allclose(pixels_of(output, number), expected, atol=1e-3)


def test_the_choice_of_frames_does_not_change_a_frame(mean_of_window, save_sequence, tmp_path):
    scan = save_sequence(range(1, 8))
    model = mean_of_window(2)
    run(model, scan, tmp_path / "all")
    run(model, scan, tmp_path / "some", frames=[3, 6])
    for name in ("shot.0003.exr", "shot.0006.exr"):
        assert (tmp_path / "all" / name).read_bytes() == (tmp_path / "some" / name).read_bytes()
    assert sorted(path.name for path in (tmp_path / "some").glob("*.exr")) == ["shot.0003.exr", "shot.0006.exr"]


def test_reading_computing_and_writing_overlap(gain, save_sequence, output):
    """Frame 2 is read while frame 1 is computed, and computed while frame 1 is written."""
    second_read, second_computed = threading.Event(), threading.Event()
    session = Session(gain(), "cpu")
    seen = []
    with open_source(save_sequence([1, 2])) as source:
        sink = open_sink(output, source)
        read, compute, write = source.read, session.run_into, sink.write

        def reading(frame):
            image = read(frame)
            if frame == 2:
                second_read.set()
            return image

        def computing(*arguments):
            seen.append(second_read.wait(30))
            if len(seen) == 2:
                second_computed.set()
            return compute(*arguments)

        def writing(frame, pixels, like):
            assert frame == 2 or second_computed.wait(30)
            write(frame, pixels, like)

        source.read, session.run_into, sink.write = reading, computing, writing
        apply(session, source, sink)
    assert seen == [True, True]


# Going on


def test_a_second_run_leaves_every_file_alone(deep, save_sequence, output, tmp_path):
    scan = save_sequence(range(1, 6))
    first = run(deep, scan, output, change_map=tmp_path / "changes")
    stamps = {path: path.stat().st_mtime_ns for path in output.rglob("*")}
    second = run(deep, scan, output, change_map=tmp_path / "changes")
    assert (second["restored"], second["kept"]) == (0, 5)
    assert {path: path.stat().st_mtime_ns for path in output.rglob("*")} == stamps
    assert {**first, "restored": 0, "kept": 5} == second


def spoil_output(output: Path, scan: Path) -> None:
    path = output / "shot.0002.exr"
    path.write_bytes(path.read_bytes()[:-1])


def lose_output(output: Path, scan: Path) -> None:
    (output / "shot.0002.exr").unlink()


def lose_receipt(output: Path, scan: Path) -> None:
    (output / ".wetgate" / "shot.0002.exr.json").unlink()


def tear_receipt(output: Path, scan: Path) -> None:
    path = output / ".wetgate" / "shot.0002.exr.json"
    path.write_text(path.read_text()[:50])


def empty_receipt(output: Path, scan: Path) -> None:
    (output / ".wetgate" / "shot.0002.exr.json").write_text("[]")


def change_scan(output: Path, scan: Path) -> None:
    write_image(scan / "shot.0002.exr", np.zeros((16, 24, 3), np.float32))


@pytest.mark.parametrize("event", [spoil_output, lose_output, lose_receipt, tear_receipt, empty_receipt, change_scan])
def test_only_what_no_longer_holds_is_made_anew(deep, save_sequence, tmp_path, output, event):
    scan = save_sequence(range(1, 5))
    run(deep, scan, output)
    event(output, scan)
    assert run(deep, scan, output)["restored"] == 1
    run(deep, scan, tmp_path / "fresh")
    assert contents(output) == contents(tmp_path / "fresh")


def test_a_changed_neighbour_counts_as_changed_input(mean_of_window, save_sequence, output):
    scan = save_sequence(range(1, 8))
    run(mean_of_window(1), scan, output)
    write_image(scan / "shot.0004.exr", np.zeros((16, 24, 3), np.float32))
    assert run(mean_of_window(1), scan, output)["restored"] == 3


def test_another_model_or_mask_makes_all_anew(gain, save_sequence, tmp_path, output):
    scan = save_sequence([1, 2])
    run(gain(0.5), scan, output)
    assert run(gain(0.25), scan, output)["restored"] == 2
    assert np.array_equal(pixels_of(output, 1), pixels_of(scan, 1) / 4)
    write_image(tmp_path / "mask.png", np.ones((16, 24, 3), np.float32))
    assert run(gain(0.25), scan, output, mask=tmp_path / "mask.png")["restored"] == 2
    write_image(tmp_path / "mask.png", np.zeros((16, 24, 3), np.float32))
    assert run(gain(0.25), scan, output, mask=tmp_path / "mask.png")["restored"] == 2


def test_change_maps_asked_for_later_or_lost_are_made(gain, save_sequence, tmp_path, output):
    scan = save_sequence([1, 2, 3])
    maps = tmp_path / "changes"
    run(gain(), scan, output)
    assert run(gain(), scan, output, change_map=maps)["restored"] == 3
    (maps / "change.0002.exr").unlink()
    assert run(gain(), scan, output, change_map=maps)["restored"] == 1
    assert run(gain(), scan, output)["restored"] == 0


def test_what_a_killed_run_left_is_swept(gain, save_sequence, output, tmp_path):
    scan = save_sequence([1])
    killed = """
import contextlib, os, sys
from wetgate.files import atomic_path
with contextlib.ExitStack() as writing:
    for target in sys.argv[1:]:
        writing.enter_context(atomic_path(target)).write_bytes(b"half")
    os._exit(1)
"""
    places = [output, output / ".wetgate", tmp_path / "changes"]
    for place in places:
        place.mkdir(parents=True)
    subprocess.run([sys.executable, "-c", killed, *(str(place / "a.exr") for place in places)])
    assert [len(list(place.glob(".*.wetgate-*"))) for place in places] == [1, 1, 1]
    run(gain(), scan, output, change_map=tmp_path / "changes")
    assert not list(tmp_path.rglob(".*.wetgate-*"))


# Failing


def test_a_truncated_frame_is_named_and_the_others_are_made(gain, save_sequence, output):
    scan = save_sequence(range(1, 8))
    whole = (scan / "shot.0004.exr").read_bytes()
    (scan / "shot.0004.exr").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(WetgateError, match=r"1 of 7 frames could not be restored \(4\): .*shot\.0004\.exr .*damaged"):
        run(gain(), scan, output)
    assert len(list(output.glob("*.exr"))) == 6
    (scan / "shot.0004.exr").write_bytes(whole)
    result = run(gain(), scan, output)
    assert (result["restored"], result["kept"]) == (1, 6)


def test_a_frame_lost_to_a_window_takes_its_neighbours_and_is_said_once(mean_of_window, save_sequence, output):
    scan = save_sequence(range(1, 8))
    (scan / "shot.0004.exr").write_bytes(b"")
    with pytest.raises(WetgateError, match=r"3 of 7 frames could not be restored \(3-5\)") as caught:
        run(mean_of_window(1), scan, output)
    assert str(caught.value).count("shot.0004.exr") == 1


def test_a_frame_of_another_size_is_named(gain, save_sequence, output):
    scan = save_sequence([1, 2, 3])
    write_image(scan / "shot.0002.exr", np.zeros((8, 8, 3), np.float32))
    with pytest.raises(WetgateError, match=r"shot\.0002\.exr is 8 x 8"):
        run(gain(), scan, output)
    assert (output / "shot.0003.exr").exists()


def test_frames_that_do_not_exist(gain, save_sequence, output):
    scan = save_sequence([1, 2, 3])
    with pytest.raises(WetgateError, match="has no frame 4-6, but 1-3"):
        run(gain(), scan, output, frames=range(2, 7))
    with pytest.raises(WetgateError, match="No frames were named"):
        run(gain(), scan, output, frames=[])


def test_nothing_is_written_among_the_scans(gain, save_sequence):
    scan = save_sequence([1, 2, 3])
    before = contents(scan)
    for output in (scan, scan / "restored", scan / "out.####.exr"):
        with pytest.raises(WetgateError, match="source"):
            run(gain(), scan, output)
    with pytest.raises(WetgateError, match="source's folder"):
        run(gain(), scan, scan.parent / "elsewhere", change_map=scan / "changes")
    assert contents(scan) == before


def test_an_output_that_cannot_be_a_folder(gain, save_sequence, tmp_path):
    scan = save_sequence([1, 2])
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(WetgateError, match="taken"):
        run(gain(), scan, tmp_path / "taken" / "restored")
    with pytest.raises(WetgateError, match="taken"):
        run(gain(), scan, tmp_path / "restored", change_map=tmp_path / "taken" / "changes")


@pytest.fixture
def small_disk(tmp_path: Path):
    place = tmp_path / "disk"
    place.mkdir()
    if os.name == "nt" or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "none", str(place)]).returncode:
        pytest.skip("a small file system cannot be mounted here")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def test_a_full_disk_is_said_and_room_lets_it_go_on(gain, save_sequence, small_disk, tmp_path):
    scan = save_sequence(range(1, 11), size=(96, 64), depth="float")
    (small_disk / "ballast").write_bytes(bytes(100 << 10))
    with pytest.raises(WetgateError, match="disk is full"):
        run(gain(), scan, small_disk / "restored")
    left = [path.name for path in (small_disk / "restored").iterdir() if path.name.startswith(".shot")]
    assert left == []
    finished = list((small_disk / "restored").glob("*.exr"))
    assert 0 < len(finished) < 10
    for path in finished:
        read_image(path)
    subprocess.run(["mount", "-o", "remount,size=4m", str(small_disk)], check=True)
    result = run(gain(), scan, small_disk / "restored")
    assert result["kept"] >= len(finished) - 2
    run(gain(), scan, tmp_path / "fresh")
    assert contents(small_disk / "restored") == contents(tmp_path / "fresh")


def test_a_folder_that_may_not_be_written(gain, save_sequence, small_disk):
    scan = save_sequence([1, 2])
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    with pytest.raises(WetgateError, match="cannot be written"):
        run(gain(), scan, small_disk / "restored")


# Foreign and mismatched models


def test_a_models_encoding_that_the_scan_does_not_state_is_said(gain, save_sequence, output):
    result = run(gain(), save_sequence([1, 2]), output)
    assert any("trained on display pictures" in note for note in result["notes"])


def test_a_foreign_models_limits_are_said(save_model, save_sequence, output):
    foreign = save_model(model_of([helper.make_node("Neg", ["frames"], ["restored"])]))
    result = run(foreign, save_sequence([1, 2]), output)
    assert any("no Wetgate card" in note for note in result["notes"])
    assert "wetgate:recipe" not in read_image(output / "shot.0001.exr").header.attributes
