"""Collecting runs in the Python of the oldest Nuke, 3.9, in which nothing is installed."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from nuke_standin import ROOT

WAY = """
import contextlib, json, sys, types
sys.path.insert(0, sys.argv[1])
sys.modules["nuke"] = types.ModuleType("nuke")
from nuke_plugin import collecting, desk, host

def write_frames(node, frames, pattern, *, view, region, follow):
    for done, frame in enumerate(frames):
        assert not follow(done, len(frames), node)
        with open(pattern.replace("####", "%04d" % frame), "wb") as file:
            file.write(node.encode())

host.write_frames, host.has_gui = write_frames, lambda: False
host.full_resolution = contextlib.nullcontext
host.frame_range, host.picture_size = lambda node: (1, 9), lambda node: (64, 48)
host.source_files, host.frame_file = lambda node: ("", ""), lambda *asked: ""
host.script = host.colour_management = lambda: ""
host.views, host.is_as_in_files = lambda: ["main"], lambda node: False
added = collecting.add_pairs(sys.argv[2], "Scan", "Reference", collecting.frames_of("1-9x4"))
print(json.dumps([str(added), added.pairs, sorted({name.partition(".")[0] for name in sys.modules})]))
"""


def python_39():
    installed = sorted(Path.home().glob(".pyenv/versions/3.9.*/bin/python"))
    return str(installed[0]) if installed else shutil.which("python3.9")


@pytest.mark.skipif(python_39() is None, reason="no Python 3.9 on this machine")
def test_collecting_runs_under_python_39(tmp_path):
    done = subprocess.run(
        [python_39(), "-I", "-S", "-W", "error", "-c", WAY, ROOT, tmp_path / "reel3.wetgate"],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    said, pairs, modules = json.loads(done.stdout)
    assert (said, pairs) == ("3 frames are pairs 1 to 3 of reel3.wetgate.", [1, 2, 3])
    assert (tmp_path / "reel3.wetgate" / "pairs" / "0002" / "reference.exr").read_bytes() == b"Reference"
    assert not {"numpy", "PySide2", "PySide6", "OpenImageIO"} & set(modules)
