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
    fade=Fade(remaining=(0.32, 0.80, 0.50), stain=(0.03, 0.05, 0.13), unevenness=0.06),
    grain=Grain(granularity=20, size_um=8, shared=0.3),
    dust=Dust(specks=5, sparkle=2, hairs=0.4, scratches=0.7, size_um=40),
    weave=Weave(shift_um=(12, 15), rotation=0.03),
    flicker=Flicker(exposure=0.015, cyan=0.07),
)
"""A 16 mm print from the years of unstable cyan dye, after decades in the warm.

The dye factors were searched so that on the demo footage (``bikes``, all 250 frames, seed 0) the scan stands at
about 14 dB and dE 23 from the aligned truth; measured: PSNR 14.17 dB, CIEDE2000 23.17 after the sigma-3 low-pass,
HF gain 0.75 and HF correlation 0.92 (other seeds: 14.2-14.3 dB, 23.0-23.1). Two thirds of the cyan, half of the
yellow and a fifth of the magenta gone make nearly all of it: the lost contrast costs the decibels, the red cast the
colour difference; the stain dims and warms the whites. Grain was set by the HF correlation, flicker and unevenness
so that one global colour transform cannot undo the decay.
"""

LIGHTLY_FADED = replace(
    FADED_PRINT,
    fade=Fade(remaining=(0.68, 0.95, 0.82), stain=(0.01, 0.02, 0.05), unevenness=0.04),
    grain=Grain(granularity=12, size_um=8, shared=0.3),
    dust=Dust(specks=2, sparkle=1, hairs=0.1, scratches=0.2, size_um=40),
    flicker=Flicker(exposure=0.008, cyan=0.02),
)
"""The same print, stored cool: warm shadows, a little contrast lost."""

WORN_PRINT = replace(
    LIGHTLY_FADED,
    grain=FADED_PRINT.grain,
    dust=Dust(specks=30, sparkle=8, hairs=2, scratches=5, size_um=60),
    weave=Weave(shift_um=(25, 30), rotation=0.06),
    flicker=FADED_PRINT.flicker,
)
"""A print that has been projected too often: scratches, dirt and tired perforations, little fade."""

PRESETS = {"faded_print": FADED_PRINT, "lightly_faded": LIGHTLY_FADED, "worn_print": WORN_PRINT}


def preset(name: str, seed: int = 0) -> FilmDecay:
    """A named decay with a seed of its own.

    Raises:
        WetgateError: there is no preset of that name.
    """
    if name not in PRESETS:
        raise WetgateError(f"There is no decay called {name}: choose one of {', '.join(PRESETS)}.")
    return replace(PRESETS[name], seed=seed)
