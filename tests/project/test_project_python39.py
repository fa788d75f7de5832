"""The package is shared with host applications: Python 3.9, standard library only."""

from __future__ import annotations

import ast
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
FILES = [
    REPOSITORY / "wetgate" / "__init__.py",
    REPOSITORY / "wetgate" / "errors.py",
    REPOSITORY / "wetgate" / "files.py",
    *sorted((REPOSITORY / "wetgate" / "project").glob("*.py")),
]

WHOLE_WAY = """
import json, sys
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from wetgate.project import create_restoration, open_restoration, process_start, start_detached
restoration = create_restoration(sys.argv[2], "color")
restoration.update(settings={"a": 1})
with restoration.add_pair(1001, region=(0, 0, 4, 4)) as draft:
    draft.scan.write_bytes(b"s")
    draft.reference.write_bytes(b"r")
draft.pair.update(state="accepted", prepared="reference.exr")
run = restoration.new_run({"seed": 1})
with run.lock():
    run.emit({"step": 1})
    run.write_status({"state": "finished"})
    run.send("stop")
    run.save_checkpoint(b"state")
    assert run.is_alive() and run.take_commands() == ["stop"]
assert start_detached([sys.executable, "-c", "pass"], run.log) > 0
again = open_restoration(sys.argv[2])
print(json.dumps({
    "pairs": [pair.frame for pair in again.pairs(["accepted"])],
    "state": again.latest_run().state,
    "modules": sorted({name.partition(".")[0] for name in sys.modules}),
    "wetgate": sorted(name for name in sys.modules if name.startswith("wetgate.")),
}))
"""


def python_39():
    installed = sorted(Path.home().glob(".pyenv/versions/3.9.*/bin/python"))
    return str(installed[0]) if installed else shutil.which("python3.9")


def take_the_whole_way(python, folder):
    done = subprocess.run(
        [python, "-I", "-S", "-W", "error", "-c", WHOLE_WAY, REPOSITORY, folder / "reel.wetgate"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.skipif(python_39() is None, reason="no Python 3.9 on this machine")
def test_the_whole_way_under_python_39(tmp_path):
    told = take_the_whole_way(python_39(), tmp_path)
    assert told["pairs"] == [1001] and told["state"] == "finished"


def test_the_whole_way_loads_only_the_standard_library(tmp_path):
    told = take_the_whole_way(sys.executable, tmp_path)
    assert set(told["modules"]) - sys.stdlib_module_names <= {"wetgate", "__main__"}
    shared = ("wetgate.errors", "wetgate.files", "wetgate.project")
    assert [name for name in told["wetgate"] if not name.startswith(shared)] == []


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_every_file_is_python_39_and_imports_only_what_is_shared(path):
    tree = ast.parse(path.read_text(encoding="utf-8"), feature_version=(3, 9))
    assert not any(isinstance(node, ast.Match) for node in ast.walk(tree))
    for node in ast.walk(tree):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        names += [node.module] if isinstance(node, ast.ImportFrom) else []
        for name in names:
            shared = name in ("wetgate.errors", "wetgate.files") or name.partition(".")[0] in sys.stdlib_module_names
            assert shared or name.startswith("wetgate.project"), f"{path.name} imports {name}"
