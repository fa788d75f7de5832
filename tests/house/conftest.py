"""A Python without some packages: the way to know what an installation without them does."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

BLOCKER = """
import importlib.metadata, sys

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in BLOCKED:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

real_version = importlib.metadata.version

def version(package):
    if package in BLOCKED:
        raise importlib.metadata.PackageNotFoundError(package)
    return real_version(package)

importlib.metadata.version = version
sys.meta_path.insert(0, Missing())
"""


@pytest.fixture
def python_without() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run code in a fresh interpreter in which the named packages are not installed."""

    def run(packages: set[str], code: str) -> subprocess.CompletedProcess[str]:
        program = f"BLOCKED = {packages!r}\n{BLOCKER}\n{code}"
        return subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=120)

    return run
