"""What every file of the repository keeps to."""

from __future__ import annotations

import re
import subprocess
import tomllib
from pathlib import Path

import pytest

import wetgate

ROOT = Path(__file__).parents[2]
PACKAGE_FREE = ("docs", "gizmos", "models", "tests")
REQUIREMENTS = sorted((ROOT / "requirements").glob("*.txt"))
PIN = re.compile(
    r"^(?P<name>[A-Za-z0-9_.-]+)(\[[a-z,]+\])?==(?P<version>[0-9][0-9a-z.]*)(; python_version (<|>=) \"3\.\d+\")?$"
)
NO_EXTRAS = ("constraints", "panel-pyside2")
"""The second is for a Python that Wetgate itself does not run on."""

MACHINE_TRACES = re.compile(
    rb"/(?:work|tmp)/(?:main|lab|shared)|(?<![.\w])/root/\w|\.\./shared"  # folders of the machine it is written on
    rb"|--(?:extra-)?index-url|--find-links|files\.pythonhosted|download\.pytorch|://pypi\."  # registry hosts
)


def tracked_files() -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=False)
    if listed.returncode:
        pytest.skip("not a git checkout")
    return [ROOT / name for name in listed.stdout.decode().split("\0") if name and (ROOT / name).is_file()]


def test_no_file_names_a_machines_folders_or_a_registry_host():
    found = {
        f"{path.relative_to(ROOT)}: {match.group().decode()}"
        for path in tracked_files()
        if path != Path(__file__).resolve()
        for match in MACHINE_TRACES.finditer(path.read_bytes())
    }
    assert not found


def test_folders_on_nukes_path_are_no_packages():
    assert not [path for folder in PACKAGE_FREE for path in (ROOT / folder).rglob("__init__.py")]


def test_every_test_module_has_a_name_of_its_own():
    names = [path.name for path in (ROOT / "tests").rglob("test_*.py")]
    assert len(names) == len(set(names))


def pins(path: Path) -> dict[str, str]:
    lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]
    matches = {line: PIN.match(line) for line in lines if line and not line.startswith("#")}
    assert all(matches.values()), f"{path.name}: every line is NAME==VERSION"
    return {match["name"].lower(): match["version"] for match in matches.values() if match}


def project() -> dict[str, object]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def test_all_requirement_files_agree_on_versions():
    agreed: dict[str, str] = {}
    for path in REQUIREMENTS:
        for name, version in pins(path).items():
            assert agreed.setdefault(name, version) == version, f"{path.name}: {name}"


def test_no_requirement_file_mixes_the_two_onnx_runtimes():
    for path in REQUIREMENTS:
        assert not {"onnxruntime", "onnxruntime-gpu"} <= set(pins(path)), path.name


@pytest.mark.parametrize("name", [path.stem for path in REQUIREMENTS if path.stem not in NO_EXTRAS])
def test_pins_are_what_pyproject_asks_for(name):
    path = ROOT / "requirements" / f"{name}.txt"
    wanted = list(project()["optional-dependencies"][name])
    if name.startswith(("engine", "inference")):
        wanted += project()["dependencies"]
    names = set()
    for line in wanted:
        package, floor, ceiling = re.match(r"([\w-]+)(?:\[.*\])?>=([\d.]+),<([\d.]+)$", line).groups()
        version = [int(part) for part in pins(path)[package.lower()].split(".")]
        assert [int(part) for part in floor.split(".")] <= version < [int(part) for part in ceiling.split(".")], line
        names.add(package.lower())
    assert names == set(pins(path))


def test_every_dependency_is_explained():
    explained = (ROOT / "docs" / "dependencies.md").read_text(encoding="utf-8").lower()
    for path in REQUIREMENTS:
        for name in pins(path):
            assert f"`{name}`" in explained, f"docs/dependencies.md says nothing about {name}"


def test_the_changelog_knows_this_version():
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert re.search(rf"^## {re.escape(wetgate.__version__)}\b", changelog, re.MULTILINE)
