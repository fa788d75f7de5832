"""`wetgate nuke`: one line in the artist's init.py and out again, and what the doctor sees."""

from __future__ import annotations

import json
import os
import runpy
import sys
import types
from pathlib import Path

import pytest

from wetgate import nuke_setup
from wetgate.cli.main import main
from wetgate.errors import WetgateError
from wetgate.node import install as node_install

ROOT = Path(__file__).resolve().parents[2]
FILES = {
    "none": None,
    "empty": b"",
    "plain": b"import nuke\nnuke.pluginAddPath('./gizmos')\n",
    "no newline at the end": b"import nuke\nnuke.pluginAddPath('./gizmos')",
    "of Windows": b"import nuke\r\nnuke.pluginAddPath('./gizmos')\r\n",
    "of Windows, no newline at the end": b"import nuke\r\nx = 1",
    "coded in another way": b"# -*- coding: latin-1 -*-\nname = 'M\xfcller'\n",
    "blank lines": b"\n\n\n",
    "with a mark of UTF-8": b"\xef\xbb\xbfx = 1\n",
    "of an old Macintosh": b"x = 1\ry = 2\r",
}


@pytest.fixture
def folder(tmp_path) -> Path:
    return tmp_path / "an artist" / ".nuke"


def write(folder: Path, content: bytes | None) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    if content is not None:
        (folder / "init.py").write_bytes(content)
    return folder / "init.py"


@pytest.mark.parametrize("content", FILES.values(), ids=FILES)
def test_in_and_out_again_leaves_every_byte(folder, content):
    path = write(folder, content)
    assert nuke_setup.install(folder) == path
    with_line = path.read_bytes()
    assert with_line.startswith(content or b"") and with_line.count(b"pluginAddPath('" + bytes(ROOT)) == 1
    nuke_setup.install(folder)
    assert path.read_bytes() == with_line
    assert nuke_setup.uninstall(folder)
    assert (path.read_bytes() if content else None) == (content or None)
    assert not nuke_setup.uninstall(folder)


@pytest.mark.parametrize("content", FILES.values(), ids=FILES)
def test_python_runs_the_file_and_the_line_in_it(folder, content, monkeypatch):
    path, added = write(folder, content), []
    nuke = types.ModuleType("nuke")
    nuke.pluginAddPath = added.append
    monkeypatch.setitem(sys.modules, "nuke", nuke)
    nuke_setup.install(folder)
    runpy.run_path(str(path))
    assert added[-1] == ROOT.as_posix()


def test_a_line_for_another_folder_is_replaced_where_it_stands(folder):
    old = nuke_setup.line(Path("/gone/wetgate's folder"))
    path = write(folder, b"a = 1\n" + old + b"\nb = 2\n")
    assert nuke_setup.noted_folder(folder) == "/gone/wetgate's folder"
    nuke_setup.install(folder)
    assert path.read_bytes() == b"a = 1\n" + nuke_setup.line(ROOT) + b"\nb = 2\n"
    nuke_setup.uninstall(folder)
    assert path.read_bytes() == b"a = 1\nb = 2\n"


def test_what_was_added_behind_the_line_stays(folder):
    path = write(folder, b"a = 1")
    nuke_setup.install(folder)
    path.write_bytes(path.read_bytes() + b"\nb = 2\n")
    nuke_setup.uninstall(folder)
    assert path.read_bytes() == b"a = 1\nb = 2\n"


@pytest.mark.parametrize(
    "content",
    [
        b"# import nuke; nuke.pluginAddPath('/x')\nimport nuke; nuke.pluginAddPath('/x')\n",
        b"# " + nuke_setup.line(ROOT) + b"\n",
        b"x = 1; " + nuke_setup.line(ROOT) + b"\n",
    ],
)
def test_lines_that_only_look_like_it_stay(folder, content):
    write(folder, content)
    assert nuke_setup.noted_folder(folder) == ""
    assert not nuke_setup.uninstall(folder)
    nuke_setup.install(folder)
    nuke_setup.uninstall(folder)
    assert (folder / "init.py").read_bytes() == content


@pytest.mark.parametrize("name", ["/films/Müller's [4K] $HOME", "C:\\Users\\me"])
def test_the_line_is_ascii_and_says_the_folder(folder, name):
    wanted = nuke_setup.line(Path(name))
    write(folder, wanted + b"\n")
    assert nuke_setup.noted_folder(folder) == Path(name).as_posix()


def test_a_linked_file_stays_a_link_and_permissions_stay(folder, tmp_path):
    write(folder, None)
    target = tmp_path / "dotfiles.py"
    target.write_bytes(b"a = 1\n")
    target.chmod(0o640)
    (folder / "init.py").symlink_to(target)
    nuke_setup.install(folder)
    assert (folder / "init.py").is_symlink() and target.read_bytes().startswith(b"a = 1\nimport nuke;")
    assert target.stat().st_mode & 0o777 == 0o640


def test_the_line_in_a_block_of_code_is_kept_up_and_left_to_its_owner(folder):
    path = write(folder, b"if True:\n    " + nuke_setup.line(Path("/gone")) + b"\n")
    nuke_setup.install(folder)
    content = b"if True:\n    " + nuke_setup.line(ROOT) + b"\n"
    assert path.read_bytes() == content
    with pytest.raises(WetgateError, match="inside a block of code: take it out there by hand"):
        nuke_setup.uninstall(folder)
    assert path.read_bytes() == content


@pytest.mark.parametrize("there", [True, False])
def test_a_link_to_nothing_but_the_line_stays_a_link_to_nothing(folder, tmp_path, there):
    write(folder, None)
    target = tmp_path / "dotfiles.py"
    if there:
        target.touch()
    (folder / "init.py").symlink_to(target)
    nuke_setup.install(folder)
    assert target.read_bytes() == nuke_setup.line(ROOT) + b"\n"
    assert nuke_setup.uninstall(folder)
    assert (folder / "init.py").is_symlink() and target.read_bytes() == b""


@pytest.mark.parametrize(
    "content",
    [
        b"print 'of Python 2'\n",
        "x = 1\r\n".encode("utf-16"),
        b"name = 'M\xfcller'\n",
        b"x = 1 + \\\n",
        b'"""never closed',
    ],
)
def test_a_file_that_python_cannot_run_is_a_sentence_and_stays(folder, content):
    path = write(folder, content)
    with pytest.raises(WetgateError, match="Nuke cannot run .*, it is no Python.*: mend it, then install again"):
        nuke_setup.install(folder)
    assert path.read_bytes() == content


@pytest.mark.parametrize("change", [nuke_setup.install, nuke_setup.uninstall])
@pytest.mark.parametrize("rest", [b"", b"a = 1\n"])
def test_a_file_that_is_locked_stays(folder, monkeypatch, change, rest):
    content = rest + nuke_setup.line(ROOT if change is nuke_setup.uninstall else Path("/gone")) + b"\n"
    path = write(folder, content)
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(WetgateError, match="is write-protected: change its permissions, or have NUKE_PATH name"):
        change(folder)
    assert path.read_bytes() == content


def test_what_is_no_file_is_a_sentence(folder):
    (folder / "init.py").mkdir(parents=True)
    for change in (nuke_setup.install, nuke_setup.uninstall):
        with pytest.raises(WetgateError, match="init.py cannot be read"):
            change(folder)


def test_a_full_disk_leaves_the_file(folder, monkeypatch):
    path = write(folder, b"a = 1\n")
    monkeypatch.setattr(os, "replace", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(WetgateError, match="The disk is full"):
        nuke_setup.install(folder)
    assert os.listdir(folder) == ["init.py"] and path.read_bytes() == b"a = 1\n"


# The verb


def test_the_verb_and_its_json(folder, capsys):
    assert main(["nuke", "install", "--folder", str(folder), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said == {"action": "install", "file": str(folder / "init.py"), "plugin": str(ROOT)}
    assert main(["nuke", "uninstall", "--folder", str(folder), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["removed"] is True
    assert main(["nuke", "uninstall", "--folder", str(folder)]) == 0
    assert "did not mention Wetgate" in capsys.readouterr().out
    assert not (folder / "init.py").exists()


@pytest.mark.parametrize("words", [["nuke"], ["nuke", "repair"], ["nuke", "install", "--where", "x"]], ids=str)
def test_wrong_words_of_the_verb(words):
    assert main(words) == 2


def test_a_folder_that_cannot_be_written_is_a_sentence(tmp_path, capsys):
    (tmp_path / "file").touch()
    assert main(["nuke", "install", "--folder", str(tmp_path / "file")]) == 1
    assert "a file stands where a folder is needed" in capsys.readouterr().err


# The doctor


@pytest.fixture
def examine(folder, tmp_path, monkeypatch, capsys):
    """What the doctor says of each topic, on a machine where only ``tmp_path`` is looked at."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    for name in ("NUKE_PATH", "OFX_PLUGIN_PATH", "WETGATE_COMMAND"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PATH", "/usr/bin:/bin")

    def look() -> tuple[int, dict[str, tuple[str, str]]]:
        code = main(["nuke", "doctor", "--folder", str(folder), "--json"])
        checks = json.loads(capsys.readouterr().out)["checks"]
        return code, {check["topic"]: (check["state"], f"{check['detail']} {check['advice']}") for check in checks}

    return look


def test_the_doctor_on_a_bare_machine(examine):
    code, said = examine()
    assert code == 1
    assert said["Start"][0] == "bad" and "wetgate nuke install" in said["Start"][1]
    assert said["Engine"][0] == "bad" and "install Wetgate" in said["Engine"][1]
    assert said["Node"][0] == said["Search path"][0] == "note"
    assert said["Files"][0] == "ok"


def test_the_doctor_when_all_is_well(examine, folder, tmp_path, monkeypatch):
    monkeypatch.setenv("WETGATE_COMMAND", sys.executable)
    nuke_setup.install(folder)
    node_install.install(tmp_path / "ofx")
    monkeypatch.setenv("OFX_PLUGIN_PATH", str(tmp_path / "ofx"))
    code, said = examine()
    assert code == 0 and {state for state, _ in said.values()} == {"ok"}
    assert "org.wetgate.restore" in said["Node"][1] and str(tmp_path / "ofx") in said["Search path"][1]


def test_the_doctor_sees_a_node_that_nuke_does_not_look_for(examine, tmp_path):
    node_install.install(node_install.default_folder())
    _, said = examine()
    assert said["Search path"][0] == "note" and "export OFX_PLUGIN_PATH=" in said["Search path"][1]


@pytest.mark.parametrize(
    ("named", "on_path", "state", "words"),
    [
        ("", True, "ok", "NUKE_PATH names"),
        ("here", True, "ok", "init.py names"),
        ("/gone", False, "bad", "names /gone"),
        ("/gone", True, "bad", "names /gone"),
    ],
)
def test_the_doctor_knows_who_names_the_plug_in(examine, folder, monkeypatch, named, on_path, state, words):
    if named:
        write(folder, nuke_setup.line(ROOT if named == "here" else Path(named)))
    if on_path:
        monkeypatch.setenv("NUKE_PATH", os.pathsep.join(["/studio", str(ROOT)]))
    _, said = examine()
    assert said["Start"][0] == state and words in said["Start"][1]


def test_the_doctor_follows_links(examine, tmp_path, monkeypatch):
    (tmp_path / "link").symlink_to(ROOT)
    monkeypatch.setenv("NUKE_PATH", str(tmp_path / "link"))
    assert examine()[1]["Start"][0] == "ok"


def test_the_doctor_sees_a_plug_in_that_is_not_whole(examine, tmp_path, monkeypatch):
    for name in ("init.py", "menu.py", "nuke_plugin/__init__.py"):
        (tmp_path / "half" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "half" / name).touch()
    monkeypatch.setattr(nuke_setup, "__file__", str(tmp_path / "half" / "wetgate" / "nuke_setup.py"))
    _, said = examine()
    assert said["Files"][0] == "bad" and "gizmos/WetgateRestore.gizmo" in said["Files"][1]
