"""Which recipe trains how."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

from wetgate.errors import WetgateError
from wetgate.project import TRAINABLE, Restoration, Run
from wetgate.recipes.options import Options
from wetgate.recipes.work import Follow

Train = Callable[[Restoration, Run, Options, float, Follow], dict[str, Any]]


def trainer(restoration: Restoration) -> Train:
    """The ``train`` of the restoration's recipe.

    Raises:
        WetgateError: the recipe cannot be trained.
    """
    if restoration.recipe not in TRAINABLE:
        raise WetgateError(
            f"{restoration.folder} is for the recipe '{restoration.recipe}', which cannot be trained yet: only "
            f"{', '.join(TRAINABLE)} can."
        )
    train: Train = importlib.import_module(f"wetgate.recipes.{restoration.recipe}").train
    return train
