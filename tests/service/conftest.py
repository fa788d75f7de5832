from __future__ import annotations

import pytest
from fake_server import FakeServer
from server_places import places_of_one_test

from wetgate.service.protocol import Code, Error, Restored


@pytest.fixture
def places(monkeypatch):
    """Places of this test alone, which the environment names."""
    with places_of_one_test(monkeypatch) as own:
        yield own


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
