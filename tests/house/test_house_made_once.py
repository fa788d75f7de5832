"""What several processes of a test run share is made by one of them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from made_once import made_once

ASK = """
import sys
sys.path[:0] = sys.argv[1:3]
from pathlib import Path
from made_once import made_once

class Places:
    def getbasetemp(self):
        return Path(sys.argv[3]) / sys.argv[4]

def make(folder):
    with open(Path(sys.argv[3], "makers"), "a") as file:
        file.write("one\\n")
    (folder / "made").write_text("whole")

print((made_once(Places(), "thing", make) / "made").read_text())
"""


def test_processes_that_ask_at_once_get_the_same(tmp_path):
    here = Path(__file__).resolve()
    environment = dict(os.environ, PYTEST_XDIST_WORKER="gw0")
    asking = []
    for worker in ("gw0", "gw1", "gw2"):
        (tmp_path / worker).mkdir()
        words = [sys.executable, "-c", ASK, here.parent, here.parents[2], tmp_path, worker]
        asking.append(subprocess.Popen(words, env=environment, stdout=subprocess.PIPE, text=True))
    assert [process.communicate(timeout=120)[0] for process in asking] == ["whole\n"] * 3
    assert (tmp_path / "makers").read_text() == "one\n"


def test_what_was_not_finished_is_made_again(tmp_path, monkeypatch):
    monkeypatch.delenv("PYTEST_XDIST_WORKER", raising=False)

    class Places:
        def getbasetemp(self):
            return tmp_path

    def fail(folder):
        (folder / "half").touch()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        made_once(Places(), "thing", fail)
    assert list(made_once(Places(), "thing", lambda folder: (folder / "whole").touch()).iterdir()) == [
        tmp_path / "thing" / "whole"
    ]
