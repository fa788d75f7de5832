"""The plug-in runs in the Python of the oldest Nuke, 3.9, and brings nothing but what is shared."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from old_python import PYTHON_39, imported_by, needs_python_39, run_bare

from wetgate.images import read_image

ROOT = Path(__file__).resolve().parents[2]
FILES = sorted((ROOT / "nuke_plugin").rglob("*.py"))
SHARED = ("wetgate.project", "wetgate.service", "wetgate.files", "wetgate.errors")
HOST_ONLY = {"host.py": ("nuke", "nukescripts"), "panel": ("PySide2", "PySide6")}
"""What the host application brings, and who alone may use it."""

WHOLE_WAY = """
import json, sys
sys.path.insert(0, sys.argv[1])
from nuke_plugin.restoring import render_files
model, scan, output, command = json.loads(sys.argv[2])
seen = []
outcome = render_files(
    model, {int(number): path for number, path in scan.items()}, output, command=command,
    follow=lambda *told: seen.append(told), cancelled=lambda: False,
)
print(json.dumps({
    "made": outcome.made,
    "seen": seen,
    "modules": sorted({name.partition(".")[0] for name in sys.modules}),
    "wetgate": sorted(name for name in sys.modules if name.startswith("wetgate.")),
}))
"""


@pytest.fixture
def take_the_whole_way(places, command, save_model, save_scan, tmp_path):
    def take(python):
        scan = {number: str(path) for number, path in save_scan([1, 2]).items()}
        words = json.dumps([str(save_model()), scan, str(tmp_path / "made/shot.####.exr"), command])
        told = json.loads(run_bare(python, WHOLE_WAY, ROOT, words))
        assert read_image(tmp_path / "made" / "shot.0002.exr").size == (48, 40)
        return told

    return take


@needs_python_39
def test_the_plug_in_restores_under_python_39(take_the_whole_way):
    told = take_the_whole_way(PYTHON_39)
    assert told["made"] == [1, 2] and told["seen"] == [[1, 2, 1], [2, 2, 2]]


def test_the_plug_in_loads_only_the_standard_library_and_what_is_shared(take_the_whole_way):
    told = take_the_whole_way(sys.executable)
    assert set(told["modules"]) - sys.stdlib_module_names <= {"wetgate", "nuke_plugin", "__main__"}
    assert [name for name in told["wetgate"] if not name.startswith(SHARED)] == []


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_every_file_of_the_plug_in_is_python_39_and_imports_only_what_is_shared(path):
    allowed = (*SHARED, "nuke_plugin", *HOST_ONLY.get(path.relative_to(ROOT / "nuke_plugin").parts[0], ()))
    for name in imported_by(path):
        assert name.partition(".")[0] in sys.stdlib_module_names or name == "wetgate" or name.startswith(allowed)


def test_the_package_itself_imports_nothing():
    code = "import sys; before = set(sys.modules); import nuke_plugin; print(*sorted(set(sys.modules) - before))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.stdout.split() == ["nuke_plugin"], done.stderr


IMPORT_ALL = """
import sys, types
class Anything(types.ModuleType):
    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return type(name, (), {})
sys.modules["nuke"] = Anything("nuke")
sys.path.insert(0, sys.argv[1])
import importlib
for name in sys.argv[2:]:
    importlib.import_module(f"nuke_plugin.{name}")
print(*sorted(name for name in sys.modules if name.startswith("nuke_plugin.")))
"""


@needs_python_39
def test_every_module_beside_the_panel_is_imported_by_python_39():
    names = [path.stem for path in FILES if path.parent.name == "nuke_plugin" and path.stem != "__init__"]
    imported = run_bare(PYTHON_39, IMPORT_ALL, ROOT, *names).split()
    assert imported == sorted(f"nuke_plugin.{name}" for name in names)
