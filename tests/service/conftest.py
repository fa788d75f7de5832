from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import pytest
from fake_server import FakeServer

from wetgate.service.places import Places
from wetgate.service.protocol import Code, Error, Restored


@pytest.fixture
def places(monkeypatch):
    """Places of this test alone, which the environment names; pytest's own folders are too long for a socket."""
    folder = Path(tempfile.mkdtemp(prefix="wetgate-test-"))
    monkeypatch.setenv("WETGATE_RUNTIME", str(folder / "run"))
    yield Places(folder / "run")
    shutil.rmtree(folder)


@pytest.fixture
def server(places):
    fake = FakeServer(places)
    yield fake
    fake.close()


@pytest.fixture
def failed():
    return Error(Code.FAILED, "The model gave up.")


@pytest.fixture
def restored():
    return Restored(1, 32, False, 1, 1000, 2000, "ab" * 32)
