"""How a frame of colour film decays: fade, grain, dust, weave and flicker together.

The order is that of a print's life: the picture is printed (with the dust and the grain of its
generations), its dyes fade, it is scratched, it moves in the gate of the scanner, whose exposure
wanders, and dust lies on it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from wetgate.errors import WetgateError
from wetgate.images import Pixels, from_linear, to_linear
from wetgate.simulate.dust import Dust, damage_at
from wetgate.simulate.fade import Fade, dyes_of, fade_dyes, light_of, local_age
from wetgate.simulate.flicker import Flicker, flicker_at
from wetgate.simulate.grain import Grain, add_grain, grain_field
from wetgate.simulate.splices import Splices, join_at
from wetgate.simulate.stains import Stains, stained_at
from wetgate.simulate.weave import Weave, move, weave_transform


class Decayed(NamedTuple):
    """One frame after decay; all arrays float32.

    Attributes:
        scan: [H,W,3] display values 0-1, what the scanner sees.
        aligned_truth: [H,W,3] display values 0-1, the frame before decay, moved by the same weave as the scan.
        damage_mask: [H,W] coverage by dust, scratches, stains and joins, 0-1; exactly 0 where there is none.
    """

    scan: Pixels
    aligned_truth: Pixels
    damage_mask: Pixels


@dataclass(frozen=True)
class FilmDecay:
    """Settings of a decay; every frame follows from them, ``seed`` and its number alone.

    Sizes of grain, dust and weave are in micrometres on the film, so that one preset fits any resolution.

    Attributes:
        picture_width_mm: width of the picture on the film: 10.26 for 16 mm, 21.95 for 35 mm Academy.
    """

    fade: Fade = field(default_factory=Fade)
    grain: Grain = field(default_factory=Grain)
    dust: Dust = field(default_factory=Dust)
    stains: Stains = field(default_factory=Stains)
    splices: Splices = field(default_factory=Splices)
    weave: Weave = field(default_factory=Weave)
    flicker: Flicker = field(default_factory=Flicker)
    picture_width_mm: float = 10.26
    seed: int = 0

    def frame(self, pixels: Pixels, number: int) -> Decayed:
        """Decay one display-referred frame [H,W,3], 0-1 (values outside are clipped).

        For pairs that need no alignment take ``aligned_truth`` (or a reference made of it) beside ``scan``;
        for pairs that do, take a reference made of ``pixels``, which stand still while the scan weaves.

        Raises:
            WetgateError: the frame is not [H,W,3] or holds NaN.
        """
        if pixels.ndim != 3 or pixels.shape[2] != 3 or not pixels.size:
            raise WetgateError(f"Frame {number} has the shape {pixels.shape}; film decay needs height x width x 3.")
        if np.isnan(pixels).any():
            raise WetgateError(
                f"Frame {number} holds values that are not numbers (NaN); film decay needs clean pictures."
            )
        height, width = pixels.shape[:2]
        pixel_um = self.picture_width_mm * 1000 / width
        transform = weave_transform(self.weave, height, width, pixel_um, self.seed, number)
        join = join_at(self.splices, height, width, pixel_um, self.seed, number)
        transform[1, 2] += join.jump
        truth = move(np.clip(pixels, 0, 1).astype(np.float32, copy=False), transform)
        damage = damage_at(self.dust, height, width, pixel_um, self.seed, number)
        exposure, dye_flicker = flicker_at(self.flicker, self.seed, number)

        dyes = dyes_of(to_linear(truth, "display")) * (1 - damage.printed[..., None])
        if self.grain.granularity:
            dyes = add_grain(dyes, grain_field(self.grain, height, width, pixel_um, self.seed, number))
        age = local_age(self.fade, height, width, pixel_um, self.seed, number)
        dyes = fade_dyes(dyes, np.asarray(self.fade.remaining) * dye_flicker, age) * (1 - damage.scratched)
        base = np.asarray(self.fade.stain) - np.asarray(self.fade.scanner_light) + (exposure + join.density)
        light = light_of(dyes, base)
        mask = damage.mask
        if self.stains != Stains():
            stained = stained_at(self.stains, height, width, pixel_um, self.seed, number)
            light = light * 10**-stained.density * (1 - stained.held[..., None])
            mask = np.maximum(mask, stained.mask)
        if join.line.any():
            light += join.line[..., None] * (np.float32(join.light) - light)
            mask = np.maximum(mask, join.line)
        scan = from_linear(np.clip(light * (1 - damage.lying[..., None]), 0, 1), "display")
        return Decayed(scan, truth, mask)
