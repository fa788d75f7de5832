"""`wetgate export` as people run it."""

from __future__ import annotations

import json

import pytest
import torch
from onnx import helper

from wetgate.cli.export import describe
from wetgate.cli.main import main
from wetgate.onnx_model import ModelCard


def test_torchscript_lies_beside_the_model_and_is_described(save_color_model, capsys):
    path = save_color_model()
    assert main(["export", str(path), "--torchscript"]) == 0
    told = capsys.readouterr().out
    assert f"Wrote {path.with_suffix('.pt')}: TorchScript for libtorch 1.12" in told
    assert "It takes 3 channels (display-coded) and gives 3." in told
    assert torch.jit.load(path.with_suffix(".pt"))(torch.zeros(1, 3, 2, 2)).shape == (1, 3, 2, 2)


def test_a_cube_in_words_and_in_json(save_color_model, tmp_path, capsys):
    path = save_color_model("log", "none", whole=False)
    words = ["export", str(path), "--cube", "--output", str(tmp_path / "grade.cube")]
    assert main(words) == 0
    assert "33 colours a side, from 0 to 1 (Cineon log)" in capsys.readouterr().out
    assert main([*words, "--size", "65", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert (result["size"], result["format"], result["encoding"]) == (65, "cube", "log")
    assert "LUT_3D_SIZE 65" in (tmp_path / "grade.cube").read_text()


def test_wrong_arguments(save_color_model, capsys):
    path = str(save_color_model())
    before = save_color_model().read_bytes()
    assert main(["export", path]) == 2
    assert main(["export", path, "--cube", "--torchscript"]) == 2
    assert main(["export", path, "--cube", "--size", "7"]) == 2
    assert main(["export", path, "--torchscript", "--size", "33"]) == 1
    assert "--size belongs to --cube" in capsys.readouterr().err
    assert main(["export", path, "--torchscript", "--output", path]) == 1
    assert "is the model itself" in capsys.readouterr().err
    assert save_color_model().read_bytes() == before


def test_a_model_of_a_steadied_scan_says_so(save_graph, tmp_path, capsys):
    card = ModelCard("color", record={"settings": {"steady": True}})
    path = save_graph([helper.make_node("Identity", ["frames"], ["restored"])], card=card)
    assert main(["export", str(path), "--cube"]) == 0
    assert "trained on a steadied scan" in capsys.readouterr().out


@pytest.mark.parametrize(("size", "mean", "advised"), [(33, 2e-3, True), (33, 1e-4, False), (65, 2e-3, False)])
def test_a_finer_table_is_advised_where_it_shows(size, mean, advised):
    result = {"format": "cube", "output": "a.cube", "size": size, "coding": "log", "difference": 0.0, "steadied": False}
    text = describe({**result, "interpolation": {"largest": 0.1, "mean": mean}})
    assert ("--size 65 errs less" in text) == advised
