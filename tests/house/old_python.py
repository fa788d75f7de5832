"""Pythons of old hosts, and what files mean to them."""

from __future__ import annotations

import ast
import functools
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest


@functools.cache
def old_python(version: str) -> str | None:
    """The interpreter of a version such as "3.9", where this machine has one."""
    installed = sorted(Path.home().glob(f".pyenv/versions/{version}.*/bin/python"))
    return str(installed[0]) if installed else shutil.which(f"python{version}")


PYTHON_39 = old_python("3.9")
"""Of the oldest Nuke that is served."""

needs_python_39 = pytest.mark.skipif(PYTHON_39 is None, reason="no Python 3.9 on this machine")


def run_bare(python: str, code: str, *words: object) -> str:
    """Run code where nothing is installed and a warning is an error; return what it prints."""
    command = [python, "-I", "-S", "-W", "error", "-c", code, *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def imported_by(path: Path) -> Iterator[str]:
    """What a file imports, by full name; it must be Python 3.9."""
    tree = ast.parse(path.read_text(encoding="utf-8"), feature_version=(3, 9))
    for node in ast.walk(tree):
        assert not isinstance(node, ast.Match), f"{path}, line {node.lineno}: Python 3.10"
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield str(node.module)
