"""Named decays."""

from __future__ import annotations

from dataclasses import replace

from wetgate.errors import WetgateError
from wetgate.simulate.dust import Dust
from wetgate.simulate.fade import Fade
from wetgate.simulate.film import FilmDecay
from wetgate.simulate.flicker import Flicker
from wetgate.simulate.grain import Grain
from wetgate.simulate.weave import Weave

FADED_PRINT = FilmDecay(
    fade=Fade(remaining=(0.27, 0.88, 0.53), stain=(0.03, 0.05, 0.14)),
    grain=Grain(granularity=36, size_um=12, shared=0.3),
    dust=Dust(specks=3, sparkle=1.5, hairs=0.3, scratches=0.6),
    weave=Weave(shift_um=(12, 15), rotation=0.03),
    flicker=Flicker(exposure=0.012, cyan=0.05),
)

PRESETS = {"faded_print": FADED_PRINT}


def preset(name: str, seed: int = 0) -> FilmDecay:
    """A named decay with a seed of its own.

    Raises:
        WetgateError: there is no preset of that name.
    """
    if name not in PRESETS:
        raise WetgateError(f"There is no decay called {name}: choose one of {', '.join(PRESETS)}.")
    return replace(PRESETS[name], seed=seed)
