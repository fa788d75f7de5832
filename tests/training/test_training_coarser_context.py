"""A context network that looks at a smaller picture sees further, in torch and in the model file alike."""

from __future__ import annotations

import numpy as np

from wetgate.training.color_model import forward
from wetgate.training.operations import reach_of
from wetgate.training.torch_operations import Torch, tensor


def test_it_sees_further_and_keeps_to_its_grid(make_model):
    model = make_model()
    near, far = (reach_of(lambda ops, x, n=n: forward(ops, x, model.with_(coarser=n))) for n in (0, 2))
    assert far[0] > 3 * near[0]
    assert far[1] == 4 * near[1]


def test_what_lies_within_its_halo_is_all_it_sees(make_model):
    """A change beyond the halo changes nothing, one within it does; borders may be of any size."""
    model = make_model(with_kernels=False).with_(coarser=1)
    halo, multiple = reach_of(lambda ops, x: forward(ops, x, model))
    scan = np.random.default_rng(0).uniform(0.1, 0.9, (40, 2 * halo + 8 * multiple + 5, 3)).astype(np.float32)
    other = scan.copy()
    edge = -(-(halo + 8) // multiple) * multiple
    other[:, edge + halo :] = 0.5
    first, second = (forward(Torch(), tensor(one), model).detach().numpy() for one in (scan, other))
    assert first.shape[2:] == scan.shape[:2]
    assert np.abs(first - second)[..., :edge].max() < 1e-5
    assert np.abs(first - second)[..., edge + halo - 40 : edge + halo].max() > 1e-5
