"""The package is shared with host applications: Python 3.9, standard library only."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from old_python import PYTHON_39, imported_by, needs_python_39, run_bare

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


def take_the_whole_way(python, folder):
    return json.loads(run_bare(python, WHOLE_WAY, REPOSITORY, folder / "reel.wetgate"))


@needs_python_39
def test_the_whole_way_under_python_39(tmp_path):
    told = take_the_whole_way(PYTHON_39, tmp_path)
    assert told["pairs"] == [1001] and told["state"] == "finished"


def test_the_whole_way_loads_only_the_standard_library(tmp_path):
    told = take_the_whole_way(sys.executable, tmp_path)
    assert set(told["modules"]) - sys.stdlib_module_names <= {"wetgate", "__main__"}
    shared = ("wetgate.errors", "wetgate.files", "wetgate.project")
    assert [name for name in told["wetgate"] if not name.startswith(shared)] == []


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_every_file_is_python_39_and_imports_only_what_is_shared(path):
    for name in imported_by(path):
        shared = name in ("wetgate.errors", "wetgate.files") or name.partition(".")[0] in sys.stdlib_module_names
        assert shared or name.startswith("wetgate.project"), f"{path.name} imports {name}"
