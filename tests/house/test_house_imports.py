"""What may be imported where: tried in a Python that lacks the forbidden packages."""

from __future__ import annotations

import ast
import itertools
import json
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest
from onnx import helper
from onnx_graphs import model_of

from wetgate.images import write_image
from wetgate.onnx_model import ModelCard
from wetgate.pairing.steadying import Wanted

ROOT = Path(__file__).parents[2]
ENGINE = ROOT / "wetgate"
WITHOUT_TORCH = ["project", "service", "images", "onnx_model.py", "inference", "records"]
ONLY_TO_TRAIN = {"torch", "onnx", "onnxscript", "skvideo"}
IMPORT_NAMES = {"opencv-python-headless": "cv2", "scikit-video": "skvideo", "onnxruntime-gpu": "onnxruntime"}


def modules(*places: str) -> list[str]:
    files: list[Path] = []
    for place in places:
        path = ENGINE / place
        files += sorted(path.rglob("*.py")) if path.is_dir() else [path]
    return [".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__") for file in files]


def importing(names: list[str]) -> str:
    return "import importlib\n" + "\n".join(f"importlib.import_module({name!r})" for name in names)


def test_wetgate_itself_imports_nothing(python_without):
    result = python_without(
        set(), "before = set(sys.modules)\nimport wetgate\nprint(*sorted(set(sys.modules) - before))"
    )
    assert result.stdout.split() == ["wetgate"], result.stderr


def test_what_runs_models_needs_neither_torch_nor_onnx_nor_opencv(python_without):
    result = python_without({*ONLY_TO_TRAIN, "cv2"}, importing(modules(*WITHOUT_TORCH)))
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize("recipe", ["color", "steady"])
@pytest.mark.parametrize("requirements", ["inference-cpu", "inference-gpu"])
def test_a_farm_node_applies_a_model_that_wants_a_steadied_scan(python_without, tmp_path, requirements, recipe):
    """With no package but those that its requirement file names, of all that Wetgate imports anywhere."""
    lines = (ROOT / "requirements" / f"{requirements}.txt").read_text(encoding="utf-8").splitlines()
    names = {line.split("==")[0].split("[")[0] for line in lines if not line.startswith("#")}
    there = {IMPORT_NAMES.get(name, name) for name in names} | set(sys.stdlib_module_names) | {"wetgate"}
    others = set().union(*(imported_names(path) for path in ENGINE.rglob("*.py"))) - there
    card = ModelCard(recipe, record={"settings": {"steady": True}, "results": {"wanted": Wanted().to_json()}})
    node = helper.make_node("Identity", ["frames"], ["restored"])
    (tmp_path / "model.onnx").write_bytes(model_of([node], card=card).SerializeToString())
    (tmp_path / "scan").mkdir()
    for frame in range(1, 6):
        pixels = np.random.default_rng(0).uniform(0.1, 0.5, (48, 64, 3)) * (1.2 if frame == 3 else 1.0)
        write_image(tmp_path / "scan" / f"scan.{frame}.exr", pixels.astype(np.float32))
    words = ["apply", *(str(tmp_path / name) for name in ("model.onnx", "scan/scan.#.exr", "out/out.#.exr"))]
    code = f"from wetgate.cli.main import main\nsys.exit(main({[*words, '--json']!r}))"
    result = python_without(ONLY_TO_TRAIN | others, code)
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout)["steadied"]


def test_a_blocked_package_really_is_missing(python_without):
    assert "No module named 'torch'" in python_without({"torch"}, "import torch").stderr


@pytest.mark.parametrize("verb", ["new", "status", "stop", "apply", "curves", "detect", "doctor"])
def test_verbs_of_an_inference_installation_start_without_torch(python_without, verb):
    code = f"from wetgate.cli.main import main\nsys.exit(main([{verb!r}, '--help']))"
    result = python_without(ONLY_TO_TRAIN, code)
    assert result.returncode == 0, result.stderr
    assert f"wetgate {verb}" in result.stdout


def imported_names(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names.add(node.module.partition(".")[0])
    return names


@pytest.mark.parametrize("place", ["project", "service", "files.py", "errors.py"])
def test_what_a_host_application_shares_is_standard_library_only(place):
    path = ENGINE / place
    for file in sorted(path.rglob("*.py")) if path.is_dir() else [path]:
        assert imported_names(file) <= set(sys.stdlib_module_names) | {"wetgate"}, file


def test_every_imported_package_is_declared():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    declared = [*project["dependencies"], *itertools.chain(*project["optional-dependencies"].values())]
    names = {line.split(">")[0].split("[")[0] for line in declared}
    known = {IMPORT_NAMES.get(name, name) for name in names} | set(sys.stdlib_module_names) | {"wetgate"}
    for file in ENGINE.rglob("*.py"):
        assert imported_names(file) <= known, file
