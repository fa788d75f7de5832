"""`wetgate doctor` on whole and on damaged installations."""

from __future__ import annotations

import json

DOCTOR = "from wetgate.cli.main import main\nsys.exit(main(['doctor', *{words!r}]))"


def states(result) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for check in json.loads(result.stdout)["checks"]:
        found.setdefault(check["topic"], set()).add(check["state"])
    return found


def test_whole_installation(python_without):
    result = python_without(set(), DOCTOR.format(words=[]))
    assert result.returncode == 0, result.stdout + result.stderr
    assert "Everything that this installation promises works." in result.stdout


def test_inference_only_installation_is_well(python_without):
    result = python_without({"torch", "onnx", "onnxscript"}, DOCTOR.format(words=["--json"]))
    assert result.returncode == 0, result.stdout + result.stderr
    assert states(result)["Training"] == {"note"}
    assert states(result)["Models"] == {"ok"}


def test_an_inference_only_installation_cannot_do_without_opencv(python_without):
    result = python_without({"torch", "onnx", "onnxscript", "cv2"}, DOCTOR.format(words=[]))
    assert result.returncode == 1
    assert "No module named 'cv2'" in result.stdout


def test_missing_package_is_named_and_the_page_still_comes(python_without):
    result = python_without({"OpenImageIO", "torch"}, DOCTOR.format(words=[]))
    assert result.returncode == 1
    assert "No module named 'OpenImageIO'" in result.stdout
    assert result.stdout.rstrip().endswith("Does not work here: Packages, Images.")


def test_no_onnx_runtime_is_bad(python_without):
    result = python_without({"onnxruntime", "torch"}, DOCTOR.format(words=["--json"]))
    assert result.returncode == 1
    assert "bad" in states(result)["Packages"]
    assert states(result)["Models"] == {"bad"}
