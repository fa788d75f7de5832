"""How much of an opinion to take: what pairs say that were held out while it was formed."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from wetgate.training.color_model import ColorModel, fit_and_kernels, mix, second_opinion
from wetgate.training.context_task import ContextTask, countable, middle
from wetgate.training.density import to_values
from wetgate.training.torch_operations import Torch, tensor

Mixture = Callable[[float], Tensor]
"""Restored display values, flare included, for a share, 0-1, of what is being judged."""


def kernel_mixture(half: Tensor, model: ColorModel) -> Mixture:
    """Of a half-resolution scan density [1, 3, h, w]: the fit with a share of the kernels."""
    plain, mended = (
        fit_and_kernels(Torch(), half, half, model.with_(kernel_share=share), _as_it_is)[0] for share in (0.0, 1.0)
    )
    return lambda share: to_values(Torch(), plain + share * (mended - plain))


def context_mixture(half: Tensor, model: ColorModel) -> Mixture:
    """Of a half-resolution scan density [1, 3, h, w]: fit and kernels with a share of the context network."""
    first, near = fit_and_kernels(Torch(), half, half, model, _as_it_is)
    second = second_opinion(Torch(), half, half, model, _as_it_is)
    return lambda share: mix(Torch(), to_values(Torch(), first), second, near, share)


def held_out_errors(
    job: ContextTask, model: ColorModel, mixture_of: Callable[[Tensor, ColorModel], Mixture], shares: Sequence[float]
) -> list[float]:
    """Weighted mean squared display error on the middle of the job's held-out samples, for each share."""
    totals = np.zeros(len(shares))
    mass = 0.0
    with torch.no_grad():
        for sample, weight in zip(job.held_out, job.held_out_weights, strict=True):
            rows, columns = (middle(side) for side in weight.shape)
            trust = tensor(weight[rows, columns, None])
            target = to_values(Torch(), tensor(sample.target[rows, columns]))
            mixture = mixture_of(tensor(sample.scan[rows, columns]), model)
            mass += float(trust.sum())
            for index, share in enumerate(shares):
                error = countable(mixture(share) - target, model.protect)
                totals[index] += float((trust * error**2).sum())
    return [float(total / max(mass, 1e-9)) for total in totals]


def _as_it_is(x: Tensor) -> Tensor:
    return x
