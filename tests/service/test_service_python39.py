"""The package is shared with host applications: Python 3.9, standard library only."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from old_python import PYTHON_39, imported_by, needs_python_39, run_bare

REPOSITORY = Path(__file__).resolve().parents[2]
FILES = sorted((REPOSITORY / "wetgate" / "service").glob("*.py"))

WHOLE_WAY = """
import json, sys
sys.path[:0] = sys.argv[1:3]
from fake_server import FakeServer
from wetgate.service import ServerError, connect, find_places, lay_out
from wetgate.service.protocol import Code, Describe, Error, Model, Render, Restored, Status, StatusIs
from wetgate.service.starting import find_command

def render(server, event):
    memory = server.segments[event.message.memory].map
    memory[event.message.output] = memory[event.message.input] + 1
    server.say(Restored(1, 32, True, 1, 10, 20, "cd"), event.request)

server = FakeServer(find_places())
server.answers.update({
    Render: render,
    Describe: Model(0, False, 0, "ab", "color", "log", "", "grain", "wetgate", ""),
    Status: StatusIs('{"pid": 1}'),
})
with connect(start=False) as client:
    layout = lay_out(1, 8, 8, coverage=True)
    segment = client.memory(layout.bytes)
    segment.map[0] = 41
    restored = client.render(segment, 8, 8, [1001], "/m.onnx", layout=layout, cancelled=lambda: False)
    told = {"restored": segment.map[layout.output], "us": restored.model_us}
    told["recipe"] = client.describe("/m.onnx").recipe
    client.forget(segment)
    told["status"] = client.status()
    server.answers[Render] = Error(Code.FAILED, "No.")
    try:
        client.render(client.memory(layout.bytes), 8, 8, [1001], "/m.onnx")
    except ServerError as error:
        told["error"] = [str(error), error.code]
    client.stop()
server.close()
told["modules"] = sorted({name.partition(".")[0] for name in sys.modules})
told["wetgate"] = sorted(name for name in sys.modules if name.startswith("wetgate."))
print(json.dumps(told))
"""


def take_the_whole_way(python):
    """In the places of the ``places`` fixture."""
    return json.loads(run_bare(python, WHOLE_WAY, REPOSITORY, Path(__file__).parent))


@needs_python_39
def test_the_whole_way_under_python_39(places):
    told = take_the_whole_way(PYTHON_39)
    assert (told["restored"], told["us"], told["recipe"]) == (42, 10, "color")
    assert (told["status"], told["error"]) == ({"pid": 1}, ["No.", 6])
    assert list(places.folder.iterdir()) == []


def test_the_whole_way_loads_only_the_standard_library(places):
    told = take_the_whole_way(sys.executable)
    assert set(told["modules"]) - sys.stdlib_module_names <= {"wetgate", "fake_server", "__main__"}
    shared = ("wetgate.errors", "wetgate.files", "wetgate.project", "wetgate.service")
    assert [name for name in told["wetgate"] if not name.startswith(shared)] == []


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_every_file_is_python_39_and_imports_only_what_is_shared(path):
    for name in imported_by(path):
        shared = name in ("wetgate", "wetgate.errors", "wetgate.files")
        shared = shared or name.startswith(("wetgate.project", "wetgate.service"))
        assert shared or name.partition(".")[0] in sys.stdlib_module_names, f"{path.name} imports {name}"
