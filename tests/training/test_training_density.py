"""Density and its inverse, for every encoding and operations of every kind."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from wetgate.training.density import from_density, to_density
from wetgate.training.operations import Numpy
from wetgate.training.torch_operations import Torch

VALUES = np.concatenate(
    [np.linspace(-2, 2, 401), np.logspace(-7, 4.8, 60), -np.logspace(-7, 1, 30), [0.0, 65504.0]]
).astype(np.float32)


@pytest.mark.parametrize("encoding", ["display", "linear", "log"])
def test_there_and_back(encoding):
    density = to_density(Numpy(), VALUES, encoding)
    assert density.dtype == np.float32
    assert np.isfinite(density).all()
    np.testing.assert_allclose(from_density(Numpy(), density, encoding), VALUES, rtol=3e-5, atol=2e-6)


@pytest.mark.parametrize("encoding", ["display", "linear", "log"])
def test_more_light_is_less_density_everywhere(encoding):
    density = to_density(Numpy(), np.sort(VALUES), encoding).astype(np.float64)
    assert (np.diff(density) <= 0).all()
    inside = to_density(Numpy(), np.linspace(-0.1, 2, 5000, dtype=np.float32), encoding)
    assert (np.diff(inside) < 0).all()


@pytest.mark.parametrize("encoding", ["display", "linear"])
def test_the_curve_has_no_kink_at_black(encoding):
    step = 1e-5
    below, at, above = to_density(Numpy(), np.array([-step, 0, step], np.float64).astype(np.float32), encoding)
    assert (at - below) == pytest.approx(above - at, rel=0.05)


@pytest.mark.parametrize("encoding", ["display", "linear", "log"])
def test_torch_and_numpy_agree(encoding):
    density = to_density(Torch(), torch.from_numpy(VALUES), encoding)
    np.testing.assert_allclose(density.numpy(), to_density(Numpy(), VALUES, encoding), rtol=1e-5, atol=1e-5)
    back = from_density(Torch(), density, encoding)
    np.testing.assert_allclose(back.numpy(), VALUES, rtol=3e-5, atol=2e-6)


def test_encodings_of_one_picture_lie_on_one_scale():
    """A grey of 0.18 linear is 0.46 of gamma 2.2: the same density within flare."""
    display = to_density(Numpy(), np.float32([0.18 ** (1 / 2.2)]), "display")
    linear = to_density(Numpy(), np.float32([0.18]), "linear")
    assert display[0] == pytest.approx(linear[0], abs=0.03)


def test_an_unknown_encoding_is_refused():
    with pytest.raises(ValueError, match="bt2020"):
        to_density(Numpy(), VALUES, "bt2020")
