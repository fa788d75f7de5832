"""What of a gauge model is solved in closed form: contrast, and gains of bands until there is a network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from wetgate.training import gauge_contrast
from wetgate.training.gauge_bands import Curve, split
from wetgate.training.gauge_contrast import Contrast
from wetgate.training.gauge_model import GaugeModel, with_contrast, without_contrast
from wetgate.training.gauge_samples import Sample, scale_of
from wetgate.training.kernels import told
from wetgate.training.memory import Memory
from wetgate.training.torch_operations import Torch

Array = NDArray[np.float32]

FORETOLD = 0.7
"""Of the difference in contrast this much may be left on every held-out pair, for kernels to speak of any place."""
_RIDGE = 1e-3


def first_model(samples: Sequence[Sample], encoding: str, seed: int, *, remembered: bool | None = None) -> GaugeModel:
    """Contrast and band gains of the samples.

    Args:
        samples: of the pairs.
        encoding: of their frames.
        seed: of the choice of places.
        remembered: whether contrast is for places alone that the pairs show; None lets the pairs say.
    """
    mean, scale = scale_of(samples)
    model = GaugeModel(encoding=encoding, radius=len(samples[0].scan) // 2, mean=mean, scale=scale)
    model = model.with_(contrast=contrast_of(samples, seed, remembered))
    return model.with_(sharpening=_sharpening(samples, model))


def contrast_of(samples: Sequence[Sample], seed: int, remembered: bool | None = None) -> Contrast | Memory:
    """Of any place if the pairs foretell one another's contrast, else of the places that they show."""
    parts = [sample.middle() for sample in samples]
    places = [_places(part, None) for part in parts]
    if remembered is None:
        remembered = not _foretell(places, seed)
    if remembered:
        return gauge_contrast.remembered(*_columns(places), seed)
    scans = [part.scan[len(part.scan) // 2] for part in parts]
    curve = gauge_contrast.curve_of(
        [scan.ravel() for scan in scans],
        [(part.target - scan).ravel() for part, scan in zip(parts, scans, strict=True)],
        [part.weight.ravel() for part in parts],
    )
    return Contrast(gauge_contrast.wide(*_columns([_places(part, curve) for part in parts]), seed), curve)


def _foretell(places: Sequence[tuple[Any, Array, Array, Array]], seed: int) -> bool:
    """Whether wide kernels of the other pairs take away enough of each pair's difference."""
    if len(places) < 2:
        return False
    count = min(len(places), 4)
    for part in range(count):
        others = [one for index, one in enumerate(places) if index % count != part]
        kernels = gauge_contrast.wide(*_columns(others), seed)
        for picture, _, missing, weight in places[part::count]:
            with torch.no_grad():
                left = missing - _rows(told(Torch(), picture, kernels))
            if weight @ left**2 > FORETOLD * (weight @ missing**2):
                return False
    return True


def _columns(places: Sequence[tuple[Any, Array, Array, Array]]) -> tuple[list[Array], list[Array], list[Array]]:
    return [one[1] for one in places], [one[2] for one in places], [one[3] for one in places]


def _places(sample: Sample, curve: Curve | None) -> tuple[Any, Array, Array, Array]:
    """Features as a picture and in rows, what a curve leaves of the contrast, and its weight; an eighth of the size."""
    ops = Torch()
    with torch.no_grad():
        scan = _picture(sample.scan[len(sample.scan) // 2])
        picture = gauge_contrast.features(ops, scan)
        start = scan if curve is None else scan + curve.apply(ops, scan)
        trust = _picture(sample.weight)
        weight = gauge_contrast.reduce(ops, trust)
        missing = gauge_contrast.low(ops, trust * (_picture(sample.target) - start))
        missing = missing / gauge_contrast.low(ops, trust).clamp_min(1e-3)
    return picture, _rows(picture), _rows(missing), _rows(weight)[:, 0]


def _sharpening(samples: Sequence[Sample], model: GaugeModel) -> tuple[float, ...]:
    """Gains of the scan's bands by least squares, every pair counting the same."""
    gram, towards = np.zeros((3, 3)), np.zeros(3)
    ops = Torch()
    for sample in samples:
        part = sample.middle()
        with torch.no_grad():
            scan = _picture(part.scan[model.radius])
            start, _ = with_contrast(ops, scan, model)
            missing = without_contrast(ops, _picture(part.target) - start)
            bands = [without_contrast(ops, band) for band in split(ops, scan)[0]]
        root = np.sqrt(part.weight).ravel().astype(np.float64)
        x = np.stack([band[0, 0].numpy().ravel() * root for band in bands], 1)
        y = missing[0, 0].numpy().ravel() * root
        energy = float(y @ y) + 1e-9
        gram += x.T @ x / energy
        towards += x.T @ y / energy
    solved = np.linalg.solve(gram + _RIDGE * np.trace(gram) / 3 * np.eye(3) + 1e-9 * np.eye(3), towards)
    return tuple(float(gain) for gain in solved)


def _picture(plane: Array) -> Any:
    return torch.from_numpy(np.ascontiguousarray(plane))[None, None]


def _rows(picture: Any) -> Array:
    rows: Array = picture[0].flatten(1).T.contiguous().numpy()
    return rows
