"""Frames by files: the same as `wetgate apply` makes, through a real server."""

from __future__ import annotations

import os
import signal
import threading

import numpy as np
import pytest

from nuke_plugin.restoring import frame_name, render_files
from wetgate.cli.main import main
from wetgate.errors import WetgateError
from wetgate.images import read_image, write_image
from wetgate.service.client import connect


def files_in(folder):
    return sorted(path.name for path in folder.rglob("*") if path.is_file() and ".wetgate" not in path.parts)


def applied(model, scan, folder, *words):
    (source,) = {path.parent for path in scan.values()}
    assert main(["apply", str(model), str(source), str(folder), "--device", "cpu", "--json", *words]) == 0
    return folder


@pytest.mark.parametrize(
    ("suffix", "depth"), [(".exr", None), (".dpx", "10"), (".dpx", "16"), (".png", "8"), (".tif", "16")]
)
def test_the_same_pixels_as_apply(places, command, save_model, save_scan, tmp_path, suffix, depth):
    model, scan = save_model(), save_scan(range(1001, 1005), suffix=suffix, depth=depth)
    seen = []
    outcome = render_files(
        model,
        scan,
        str(tmp_path / f"made/shot.####{suffix}"),
        follow=lambda *told: seen.append(told),
        command=command,
    )
    assert (outcome.made, outcome.cancelled, outcome.device) == ((1001, 1002, 1003, 1004), False, "cpu")
    assert seen == [(1, 4, 1001), (2, 4, 1002), (3, 4, 1003), (4, 4, 1004)]
    wanted = applied(model, scan, tmp_path / "wanted")
    assert files_in(tmp_path / "made") == files_in(wanted)
    for number in scan:
        name = f"shot.{number}{suffix}"
        made, expected = tmp_path / "made" / name, wanted / name
        np.testing.assert_array_equal(read_image(made).pixels, read_image(expected).pixels)
        assert suffix == ".exr" or made.read_bytes() == expected.read_bytes()  # an EXR says how it was made


def test_neighbours_are_those_of_apply_at_ends_and_at_gaps(places, command, save_model, save_scan, tmp_path):
    model, scan = save_model(radius=2), save_scan([1001, 1002, 1003, 1005, 1006])
    outcome = render_files(
        model, scan, str(tmp_path / "made/shot.%04d.exr"), frames=[1006, 1001, 1003], command=command
    )
    assert outcome.made == (1001, 1003, 1006)
    wanted = applied(model, scan, tmp_path / "wanted", "--frames", "1001,1003,1006")
    for name in files_in(wanted):
        np.testing.assert_array_equal(read_image(tmp_path / "made" / name).pixels, read_image(wanted / name).pixels)


def test_masks_one_for_each_frame_and_one_for_all(places, command, save_model, save_scan, tmp_path):
    model, scan = save_model(), save_scan([1, 2])
    left = np.zeros((40, 48, 3), np.float32)
    left[:, :24] = 1
    masks = {1: tmp_path / "left.exr", 2: tmp_path / "right.exr"}
    write_image(masks[1], left)
    write_image(masks[2], 1 - left)
    render_files(model, scan, str(tmp_path / "each/shot.####.exr"), mask=masks, command=command)
    render_files(model, scan, str(tmp_path / "all/shot.####.exr"), mask=str(masks[1]), command=command)
    for number, folder, kept in [(1, "each", np.s_[:, 24:]), (2, "each", np.s_[:, :24]), (2, "all", np.s_[:, 24:])]:
        source = read_image(scan[number]).pixels
        made = read_image(tmp_path / folder / f"shot.{number:04d}.exr").pixels
        np.testing.assert_array_equal(made[kept], source[kept])
        assert np.abs(made - source).max() > 0.1


def test_a_frame_that_cannot_be_read_is_named_and_the_others_are_made(places, command, save_model, save_scan, tmp_path):
    model, scan = save_model(), save_scan([1, 2, 3])
    scan[2].write_bytes(scan[2].read_bytes()[:500])
    with pytest.raises(WetgateError, match=r"1 of 3 frames could not be restored \(2\): .*shot.0002.exr.*others are"):
        render_files(model, scan, str(tmp_path / "made/shot.####.exr"), command=command)
    assert files_in(tmp_path / "made") == ["shot.0001.exr", "shot.0003.exr"]


@pytest.mark.parametrize(
    ("problem", "sentence"),
    [
        ({"model": "nowhere.onnx"}, "nowhere.onnx does not exist"),
        ({"frames": []}, "No frame was named"),
        ({"frames": [1, 9]}, "The scan has no file for frame 9"),
        ({"mask": {1: "mask.exr"}}, "The mask has no file for frame 2"),
        ({"output": "made/shot.exr"}, "needs one place for the frame's number"),
        (
            {"output": "scan/new.####.exr"},
            "2 of 2 frames could not be restored.*where nothing is written; choose another folder.$",
        ),
        ({"device": "tpu"}, "'tpu' is no device"),
    ],
)
def test_what_is_wrong_is_said_and_nothing_is_written(
    places, command, save_model, save_scan, tmp_path, problem, sentence
):
    asked = {"model": save_model(), "scan": save_scan([1, 2]), "output": "made/shot.####.exr", **problem}
    asked["output"] = str(tmp_path / asked["output"])
    with pytest.raises(WetgateError, match=sentence):
        render_files(**asked, command=command)
    assert files_in(tmp_path) == ["model.onnx", "shot.0001.exr", "shot.0002.exr"]


def test_given_up_it_ends_early_and_leaves_whole_files_only(places, command, save_model, save_scan, tmp_path):
    model, scan = save_model(layers=40), save_scan(range(1, 9), size=(400, 300))
    given_up = threading.Event()
    outcome = render_files(
        model,
        scan,
        str(tmp_path / "made/shot.####.exr"),
        follow=lambda done, total, frame: given_up.set(),
        cancelled=given_up.is_set,
        command=command,
    )
    assert outcome.cancelled
    assert 1 in outcome.made and len(outcome.made) < 8
    assert files_in(tmp_path / "made") == [f"shot.{number:04d}.exr" for number in outcome.made]
    for name in files_in(tmp_path / "made"):
        assert read_image(tmp_path / "made" / name).size == (400, 300)
    with connect(start=False) as client:
        assert (
            client.render_file([scan[8]], tmp_path / "made" / "shot.0008.exr", save_model(name="fast.onnx")).tiles == 1
        )


def test_given_up_before_it_begins_starts_no_server(places, command, save_model, save_scan, tmp_path):
    outcome = render_files(
        save_model(), save_scan([1]), str(tmp_path / "made/shot.####.exr"), cancelled=lambda: True, command=command
    )
    assert (outcome.made, outcome.cancelled) == ((), True)
    assert not places.folder.exists()


def test_a_server_that_is_killed_is_replaced_and_no_frame_is_missing(places, command, save_model, save_scan, tmp_path):
    model, scan = save_model(layers=10), save_scan(range(1, 7), size=(200, 150))
    processes = []

    def kill_once(done: int, total: int, frame: int) -> None:
        if done == 3:  # answered before the server was killed, or by the one in its place: none may run just now
            return
        with connect(start=False) as client:
            processes.append(client.server.process_id)
        if done == 2:
            os.kill(processes[-1], signal.SIGKILL)

    outcome = render_files(model, scan, str(tmp_path / "made/shot.####.exr"), follow=kill_once, command=command)
    assert outcome.made == (1, 2, 3, 4, 5, 6) and not outcome.cancelled
    assert len(set(processes)) == 2
    wanted = applied(model, scan, tmp_path / "wanted")
    assert files_in(tmp_path / "made") == files_in(wanted)
    for name in files_in(wanted):
        np.testing.assert_array_equal(read_image(tmp_path / "made" / name).pixels, read_image(wanted / name).pixels)


@pytest.mark.parametrize(
    ("pattern", "name"),
    [
        ("a/shot.####.exr", "a/shot.0012.exr"),
        ("a/shot.#.exr", "a/shot.12.exr"),
        ("a/shot.%04d.exr", "a/shot.0012.exr"),
        ("a/shot.%d.exr", "a/shot.12.exr"),
        ("a/####/shot_%03d.exr", "a/####/shot_012.exr"),
    ],
)
def test_names_of_frames(pattern, name):
    assert frame_name(pattern, 12) == os.path.join(*name.split("/"))


@pytest.mark.parametrize("pattern", ["shot.exr", "a/####/shot.exr", "sh##ot.####.exr", "####.%04d.exr"])
def test_names_without_one_place_for_the_number(pattern):
    with pytest.raises(WetgateError, match="needs one place for the frame's number"):
        frame_name(pattern, 12)
