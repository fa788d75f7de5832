from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def bootstrap() -> ModuleType:
    """A fresh copy of bootstrap.py as a module, whose names a test may change."""
    spec = importlib.util.spec_from_file_location("bootstrap_under_test", ROOT / "bootstrap.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def fake_python(tmp_path) -> Callable[..., Path]:
    """Make an interpreter that answers the probe as a Python of some version would."""
    if sys.platform == "win32":
        pytest.skip("fake interpreters are shell scripts")

    def make(name: str, version: str, bits: int = 64, venv: bool = True, folder: Path = tmp_path / "bin") -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / name
        answer = f"{version}\n{bits}\n{path}\n" + ("" if venv else "no venv\n")
        path.write_text(f"#!/bin/sh\nprintf '{answer}'\n")
        path.chmod(0o755)
        return path

    return make


@pytest.fixture
def only_these_pythons(bootstrap, monkeypatch, tmp_path) -> Callable[[Path], None]:
    """Hide every Python of this machine but those on a PATH of our own; `current` runs bootstrap.py."""

    def hide(current: Path) -> None:
        monkeypatch.setattr(bootstrap.sys, "executable", str(current))
        monkeypatch.setattr(bootstrap, "usual_places", lambda version: [])
        monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/bin")
        real_which = bootstrap.shutil.which
        monkeypatch.setattr(bootstrap.shutil, "which", lambda name: real_which(name, path=str(tmp_path / "bin")))

    return hide
