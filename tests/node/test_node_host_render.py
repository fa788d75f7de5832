"""The node in the strict host, with the real server."""

from __future__ import annotations

import numpy as np
import pytest
from host import OK, Clip, Host, Layout


@pytest.fixture
def host(library, places):
    loaded = Host(library)
    yield loaded
    loaded.unload()
    assert loaded.violations == []


def test_the_model_sees_the_picture_and_the_host_gets_its_answer(host, gain, picture):
    scan = picture(1)
    node = host.node(model=gain(0.5), source=Clip({1001: scan}))
    result = node.render(1001)
    assert (result.status, node.message) == (OK, None)
    np.testing.assert_array_equal(result.pixels[..., :3], scan[..., :3] * np.float32(0.5))
    np.testing.assert_array_equal(result.pixels[..., 3], scan[..., 3])
    node.destroy()
