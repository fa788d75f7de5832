"""What the recipe `damage` starts from is made by a command, and what comes along is of its kind."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks import damage_prior as maker
from wetgate.training import damage_model, damage_prior


def test_it_is_made_of_scenes_alone_and_has_the_names_of_what_comes_along(tmp_path, monkeypatch):
    shipped = damage_prior.read(1)
    monkeypatch.setattr(damage_prior, "PATH", tmp_path / "prior.npz")
    monkeypatch.setattr(maker, "JUDGED", 1)
    assert maker.main(["--scenes", "3", "--lessons", "4", "--steps", "2"]) == 0
    made = damage_prior.read(1)
    assert {name: one.shape for name, one in made.items()} == {name: one.shape for name, one in shipped.items()}
    again = maker.scene(0, 1)
    assert all(np.array_equal(*pair) for pair in zip(maker.scene(0, 1)[0], again[0], strict=True))


@pytest.mark.parametrize("radius", [1, 2])
def test_what_comes_along_fits_the_networks(radius):
    finding, filling = damage_model.initial_weights(radius, 0)
    wanted = {f"finding.{name}": one.shape for name, one in finding.items()}
    wanted |= {f"filling.{name}": one.shape for name, one in filling.items()}
    assert {name: one.shape for name, one in damage_prior.read(radius).items()} == wanted
