from __future__ import annotations

import json
import os
import signal

import pytest

from wetgate.errors import WetgateError
from wetgate.project import create_restoration, open_restoration
from wetgate.project.locks import exclusive


def rewrite(path, **changes):
    data = json.loads(path.read_text())
    for name, value in changes.items():
        if value is ...:
            del data[name]
        else:
            data[name] = value
    path.write_text(json.dumps(data))


def test_what_is_made_can_be_opened(restoration):
    restoration.update(settings={"protect": "grain"})
    restoration.add_source("35 mm print, Rolle 3 – Öl", "/scans/reel3", "courtesy of the archive")

    again = open_restoration(restoration.folder)

    assert (again.recipe, again.encoding) == ("color", "display")
    assert again.settings == {"protect": "grain"}
    assert again.sources == [
        {"element": "35 mm print, Rolle 3 – Öl", "path": "/scans/reel3", "rights": "courtesy of the archive"}
    ]
    assert again.created.endswith("+00:00")
    assert again.pairs() == [] and again.runs() == [] and again.latest_run() is None


def test_the_same_source_is_noted_once(restoration):
    for _ in range(2):
        restoration.add_source("print", "/scans")
    assert len(open_restoration(restoration.folder).sources) == 1


def test_a_relative_folder_is_kept_absolute(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    made = create_restoration("reel.wetgate", "color")
    monkeypatch.chdir("/")
    assert open_restoration(made.folder).folder == tmp_path / "reel.wetgate"


def test_a_folder_that_holds_something_is_refused(restoration, tmp_path):
    with pytest.raises(WetgateError, match=r"reel\.wetgate already holds a restoration"):
        create_restoration(restoration.folder, "color")
    (tmp_path / "film").mkdir()
    (tmp_path / "film" / "frame.dpx").write_bytes(b"x")
    with pytest.raises(WetgateError, match="film is not empty"):
        create_restoration(tmp_path / "film", "color")
    assert [entry.name for entry in (tmp_path / "film").iterdir()] == ["frame.dpx"]


def test_a_file_in_the_way_is_refused(tmp_path):
    (tmp_path / "taken").write_bytes(b"x")
    with pytest.raises(WetgateError, match="taken"):
        create_restoration(tmp_path / "taken", "color")


@pytest.mark.parametrize(
    ("recipe", "encoding", "sentence"),
    [("colour", "display", "no recipe 'colour'.*color"), ("color", "sRGB", "no encoding 'sRGB'.*display")],
)
def test_unknown_names_are_refused_before_anything_is_made(tmp_path, recipe, encoding, sentence):
    with pytest.raises(WetgateError, match=sentence):
        create_restoration(tmp_path / "reel.wetgate", recipe, encoding)
    assert not (tmp_path / "reel.wetgate").exists()


def test_what_is_no_restoration_says_so(tmp_path):
    with pytest.raises(WetgateError, match=r"no folder .*nowhere.*wetgate new"):
        open_restoration(tmp_path / "nowhere")
    with pytest.raises(WetgateError, match=r"not a restoration.*restoration\.json"):
        open_restoration(tmp_path)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"schema": "1"}, "schema"),
        ({"schema": True}, "schema"),
        ({"schema": 0}, "schema"),
        ({"schema": ...}, "schema"),
        ({"recipe": "colour"}, "recipe"),
        ({"recipe": ...}, "recipe"),
        ({"recipe": ["color"]}, "recipe"),
        ({"encoding": "srgb"}, "encoding"),
        ({"created": 7}, "created"),
        ({"sources": {}}, "sources"),
        ({"sources": [{"element": "print", "path": "/scans"}]}, "sources"),
        ({"sources": ["print"]}, "sources"),
        ({"settings": []}, "settings"),
    ],
)
def test_a_broken_field_is_named_with_its_file(restoration, changes, field):
    rewrite(restoration.folder / "restoration.json", **changes)
    with pytest.raises(WetgateError, match=rf'restoration\.json: the field "{field}"'):
        open_restoration(restoration.folder)


def test_a_newer_schema_asks_for_an_update(restoration):
    rewrite(restoration.folder / "restoration.json", schema=2)
    with pytest.raises(WetgateError, match=r"newer Wetgate.*update"):
        open_restoration(restoration.folder)


@pytest.mark.parametrize("content", [b"", b'{"schema": 1, "reci', b"[1]", b"\xff\xfe\x00", b"[" * 100_000])
def test_a_torn_file_is_named(restoration, content):
    (restoration.folder / "restoration.json").write_bytes(content)
    with pytest.raises(WetgateError, match=r"restoration\.json is damaged"):
        open_restoration(restoration.folder)


def test_a_change_that_breaks_the_schema_is_not_written(restoration):
    before = (restoration.folder / "restoration.json").read_bytes()
    with pytest.raises(WetgateError, match='"recipe" is "colour"'):
        restoration.update(recipe="colour")
    assert (restoration.folder / "restoration.json").read_bytes() == before
    assert restoration.recipe == "color"


def test_fields_of_other_programs_survive_a_change(restoration):
    rewrite(restoration.folder / "restoration.json", notes="shot on a Tuesday")
    restoration.update(settings={"a": 1})
    assert json.loads((restoration.folder / "restoration.json").read_text())["notes"] == "shot on a Tuesday"


def test_processes_that_change_at_once_lose_nothing(restoration, start):
    code = """
        import sys
        from wetgate.project import open_restoration
        restoration = open_restoration(sys.argv[1])
        print("ready", flush=True); sys.stdin.readline()
        for index in range(20):
            restoration.update(settings={f"{sys.argv[2]}-{index}": index})
            restoration.add_source(f"{sys.argv[2]}-{index}")
    """
    children = [start(code, restoration.folder, name) for name in "abcd"]
    for child in children:
        child.read_line()
    for child in children:
        child.go_on()
    for child in children:
        child.finish()
    again = open_restoration(restoration.folder)
    expected = {f"{name}-{index}" for name in "abcd" for index in range(20)}
    assert set(again.settings) == expected
    assert {source["element"] for source in again.sources} == expected


HOLD_THE_LOCK = """
    import os, sys, time
    from wetgate.project.locks import exclusive
    with exclusive(sys.argv[1] + "/.lock"):
        if len(sys.argv) > 2 and os.fork() == 0:
            print(os.getpid(), flush=True)
            time.sleep(600)
        elif len(sys.argv) == 2:
            print("locked", flush=True)
        time.sleep(600)
"""


def test_a_killed_process_never_blocks(restoration, start):
    holder = start(HOLD_THE_LOCK, restoration.folder)
    holder.read_line()
    with pytest.raises(WetgateError, match=r"\.lock has been locked"), exclusive(restoration.folder / ".lock", 0.05):
        pass
    holder.kill()
    with exclusive(restoration.folder / ".lock", 0):
        pass
    restoration.update(settings={"after": True})
    assert open_restoration(restoration.folder).settings == {"after": True}


def test_a_worker_that_outlives_its_killed_parent_does_not_block(restoration, start):
    holder = start(HOLD_THE_LOCK, restoration.folder, "fork")
    worker = int(holder.read_line())
    try:
        holder.kill()
        with exclusive(restoration.folder / ".lock", 0):
            pass
    finally:
        os.kill(worker, signal.SIGKILL)


def test_the_lock_is_free_again_after_an_error(restoration):
    with pytest.raises(WetgateError):
        restoration.update(encoding="unknown")
    with exclusive(restoration.folder / ".lock", 0):
        pass
