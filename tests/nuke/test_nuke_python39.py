"""Collecting runs in the Python of the oldest Nuke, 3.9, in which nothing is installed."""

from __future__ import annotations

import json

from nuke_standin import ROOT
from old_python import PYTHON_39, needs_python_39, run_bare

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
host.class_of, host.above = lambda node: "Read", lambda node, node_class: []
host.views, host.is_as_in_files = lambda: ["main"], lambda node: False
added = collecting.add_pairs(sys.argv[2], "Scan", "Reference", collecting.frames_of("1-9x4"))
print(json.dumps([str(added), added.pairs, sorted({name.partition(".")[0] for name in sys.modules})]))
"""


@needs_python_39
def test_collecting_runs_under_python_39(tmp_path):
    said, pairs, modules = json.loads(run_bare(PYTHON_39, WAY, ROOT, tmp_path / "reel3.wetgate"))
    assert (said, pairs) == ("3 frames are pairs 1 to 3 of reel3.wetgate.", [1, 2, 3])
    assert (tmp_path / "reel3.wetgate" / "pairs" / "0002" / "reference.exr").read_bytes() == b"Reference"
    assert not {"numpy", "PySide2", "PySide6", "OpenImageIO"} & set(modules)
