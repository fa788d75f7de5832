"""Everything of a colour model that is solved, not trained: the fit, the kernels, the detail."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from wetgate.images import LUMA
from wetgate.training import chroma_bound, color_memory, detail, kernels, quadratic
from wetgate.training.chroma_bound import ChromaBound
from wetgate.training.color_model import ColorModel, colour, features
from wetgate.training.density import from_density, to_density
from wetgate.training.operations import Numpy
from wetgate.training.samples import STEP, Sample, low_density

Array = NDArray[np.float32]

_FIT_PIXELS = 60_000
"""Pixels of a pair that the thirty numbers are solved from; more changes nothing."""
MEMORY_PIXELS = 600_000
"""At half resolution, of all pairs, that are restored to see what is to be remembered."""
SURE = 0.99
"""Trust from which a place is remembered: what lies under a mask is no picture."""
KERNEL_WIDTH, KERNEL_SURROUND, KERNEL_RIDGE = 0.5, 0.5, 0.1


def first_model(samples: Sequence[Sample], encoding: str, protect: str) -> ColorModel:
    """The closed-form fit alone; needs no torch."""
    scan, target, importance = zip(*(_thinned(sample) for sample in samples), strict=True)
    every = np.float32(10) ** -np.concatenate(scan)
    model = ColorModel(
        encoding=encoding,
        protect=protect,
        coefficients=quadratic.fit(scan, target, importance),
        detail=LUMA,
        shift=np.concatenate(target).mean(0) - np.concatenate(scan).mean(0),
        mean=every.mean(0),
        scale=every.std(0) + np.float32(1e-3),
    )
    return model.with_(detail=_detail(samples, model))


def with_kernels(model: ColorModel, samples: Sequence[Sample], seed: int) -> ColorModel:
    """The model with kernels on top of its fit, at full share."""
    from wetgate.training.torch_operations import Torch, tensor

    ops = Torch()
    seen, residual = [], []
    for sample in samples:
        half = tensor(sample.scan)
        seen.append(_rows(features(ops, half)))
        residual.append(sample.target.reshape(-1, 3) - _rows(quadratic.apply(ops, half, model.coefficients)))
    solved = kernels.fit(
        seen,
        residual,
        [sample.weight.ravel() for sample in samples],
        width=KERNEL_WIDTH,
        surround=KERNEL_SURROUND,
        ridge=KERNEL_RIDGE,
        seed=seed,
    )
    return model.with_(kernels=solved, kernel_share=1.0)


def with_memory(model: ColorModel, samples: Sequence[Sample], seed: int, obey: Callable[[], None]) -> ColorModel:
    """The model with a memory of what it leaves wrong at the samples' places; of large pictures a part is looked at.

    Args:
        model: all else.
        samples: of the pairs.
        seed: of the choice of places.
        obey: called between pairs; may raise to stop.
    """
    from wetgate.training.torch_operations import Torch, tensor

    ops = Torch()
    generator = np.random.default_rng(seed)
    seen, missing = [], []
    for sample in samples:
        obey()
        part = _some(sample.weight.shape, MEMORY_PIXELS // len(samples), generator)
        planes = (sample.scan[part], sample.target[part], sample.weight[part][..., None])
        half, target, weight = (ops.pad_to_multiple(tensor(plane), color_memory.MULTIPLE) for plane in planes)
        restored, _ = colour(ops, half, half, model.with_(memory=None), lambda x: x)
        trusted = _rows(color_memory.to_eighth(ops, weight))[:, 0] > SURE
        seen.append(_rows(color_memory.features(ops, half))[trusted])
        missing.append(_rows(color_memory.to_eighth(ops, target - restored))[trusted])
    if not sum(map(len, seen)):
        return model
    shown = [index for index, places in enumerate(seen) if len(places)]
    memory = color_memory.fit([seen[index] for index in shown], [missing[index] for index in shown], seed)
    return model.with_(memory=memory)


def _some(sides: tuple[int, ...], most: int, generator: np.random.Generator) -> tuple[slice, slice]:
    """A part of a picture, anywhere, of about ``most`` pixels; the whole picture where it has no more."""
    share = min((most / (sides[0] * sides[1])) ** 0.5, 1.0)
    spans = []
    for side in sides:
        length = -int(-side * share // STEP) * STEP
        start = int(generator.integers((side - length) // STEP + 1)) * STEP
        spans.append(slice(start, start + length))
    return spans[0], spans[1]


def fitted(values: Array, encoding: str, coefficients: Array) -> Array:
    """What the closed-form fit makes of a picture [H, W, 3] in ``encoding``, in that encoding."""
    return from_density(Numpy(), _fitted(to_density(Numpy(), values, encoding), coefficients), encoding)


def bound_of(samples: Sequence[Sample]) -> ChromaBound:
    """The hues and saturations of what is most trusted in the samples' targets: at least half as much as the best."""
    sure = 0.5 * max(float(sample.weight.max()) for sample in samples)
    chosen = [sample.weight >= sure for sample in samples]
    return chroma_bound.fit(
        [10.0 ** -sample.target[inside] for sample, inside in zip(samples, chosen, strict=True)],
        [sample.weight[inside] for sample, inside in zip(samples, chosen, strict=True)],
    )


def _thinned(sample: Sample) -> tuple[Array, Array, Array]:
    """Scan, target and trust of every n-th pixel."""
    step = max(round((sample.weight.size / _FIT_PIXELS) ** 0.5), 1)
    inside = np.s_[::step, ::step]
    return sample.scan[inside].reshape(-1, 3), sample.target[inside].reshape(-1, 3), sample.weight[inside].ravel()


def _detail(samples: Sequence[Sample], model: ColorModel) -> Array:
    responses, colours = [], []
    for sample in samples:
        density = low_density(sample.scan_window, model.encoding)
        luma: Array = (10.0 ** -_fitted(density, model.coefficients) @ LUMA).astype(np.float32)
        colours.append(_band(luma).ravel())
        responses.append((-np.log(10.0) * luma[..., None] * _band(density)).reshape(-1, 3))
    return detail.fit(responses, colours)


def _fitted(low: Array, coefficients: Array) -> Array:
    i, j = np.array([0, 1, 2, 0, 1, 0]), np.array([0, 1, 2, 1, 2, 2])
    inside = np.clip(low, quadratic.LIGHTEST, quadratic.DARKEST)
    terms = np.concatenate([inside, inside[..., i] * inside[..., j]], -1)
    fitted: Array = terms @ coefficients[1:] + coefficients[0] + (low - inside)
    return fitted


def _band(picture: Array) -> Array:
    return cv2.GaussianBlur(picture, (0, 0), detail.FINE) - cv2.GaussianBlur(picture, (0, 0), detail.COARSE)


def _rows(picture: Any) -> Array:
    rows: Array = picture[0].flatten(1).T.numpy()
    return rows
