import json

import numpy as np
import pytest

from wetgate.cli.main import main
from wetgate.images import open_source, read_image, write_image
from wetgate.simulate.presets import preset


@pytest.fixture
def clip(tmp_path, picture):
    folder = tmp_path / "clip"
    folder.mkdir()
    for number in (101, 102, 103):
        write_image(folder / f"shot.{number}.png", np.roll(picture, number, axis=1), bit_depth="16")
    return folder


def test_the_verb_writes_what_the_module_makes(tmp_path, clip, capsys):
    names = {kind: tmp_path / kind for kind in ("scan", "truth", "reference", "mask")}
    words = ["simulate", str(clip), str(names["scan"]), "--frames", "101-103x2", "--seed", "7", "--json"]
    for kind in ("truth", "reference", "mask"):
        words += [f"--{kind}", str(names[kind])]
    assert main(words) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["count"] == 2 and result["scan"] == str(names["scan"])
    for folder in names.values():
        assert sorted(path.name for path in folder.iterdir()) == ["shot.101.png", "shot.103.png"]
    expected = preset("faded_print", 7).frame(read_image(clip / "shot.103.png").pixels, 103)
    for kind, pixels in (("scan", expected.scan), ("truth", expected.aligned_truth)):
        assert np.abs(read_image(names[kind] / "shot.103.png").pixels - pixels).max() < 1e-4
    mask = read_image(names["mask"] / "shot.103.png").pixels[..., 0]
    assert np.abs(mask - expected.damage_mask).max() < 1e-4


def test_steady_leaves_the_truth_where_the_source_has_it(tmp_path, clip):
    assert main(["simulate", str(clip), str(tmp_path / "s"), "--truth", str(tmp_path / "t"), "--steady"]) == 0
    with open_source(str(clip)) as source, open_source(str(tmp_path / "t")) as truth:
        for frame in source.frames:
            assert np.array_equal(source.read(frame).pixels, truth.read(frame).pixels)


def test_linear_exr_goes_through_display_and_back(tmp_path, picture):
    source = tmp_path / "plates"
    source.mkdir()
    write_image(source / "a.0001.exr", (picture**2.2).astype(np.float32), bit_depth="float")
    words = [
        "simulate",
        str(source),
        str(tmp_path / "scan"),
        "--encoding",
        "linear",
        "--truth",
        str(tmp_path / "truth"),
    ]
    assert main([*words, "--steady"]) == 0
    truth = read_image(tmp_path / "truth" / "a.0001.exr").pixels
    assert np.abs(truth - picture**2.2).max() < 1e-3
    scan = read_image(tmp_path / "scan" / "a.0001.exr").pixels
    assert scan[..., 0].mean() > scan[..., 1].mean()


@pytest.mark.parametrize(
    ("extra", "sentence"),
    [
        (["--frames", "103-105"], "no frame 104-105"),
        (["--truth", "{scan}"], "same name"),
        (["--reference", "{scan}/r", "--reference-width", "0"], "no picture"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(tmp_path, clip, capsys, extra, sentence):
    scan = str(tmp_path / "scan")
    assert main(["simulate", str(clip), scan, *(word.format(scan=scan) for word in extra)]) == 1
    assert sentence in capsys.readouterr().err


def test_an_output_inside_the_source_is_refused(clip, capsys):
    assert main(["simulate", str(clip), str(clip / "scan")]) == 1
    assert "source" in capsys.readouterr().err
