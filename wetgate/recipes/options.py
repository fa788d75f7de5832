"""What a training was told."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Options:
    """The settings of one training; a recipe reads those that mean something to it.

    Attributes:
        protect: what of the scan is kept where colour is learnt: "grain", "luma" or "none".
        grain: what of the scan's grain where detail is learnt: "keep", "match" (to the reference's) or "none".
        radius: frames before and after that the model looks at; None leaves it to the recipe.
        seconds, steps: how long to train; one of them.
        device: "auto", "cpu" or "cuda".
        hold_out: pairs that are never trained on.
        seed: of all random numbers.
        steady: take the flicker of the scans out first; whoever applies the model does the same.
        shrinkage: what the film has lost, for the recipe `steady`: "", "0.8%", "0.8%,0.6%" (along the film, then
            across it), or "reference" where pairs show it.
        fill: what stands where that recipe moves a frame in from outside: "edge" or "zoom".
        accept: take references that were made without anybody's having looked at them.
        operator: who is responsible, for the record.
    """

    protect: str = "grain"
    grain: str = "keep"
    radius: int | None = None
    seconds: float | None = 60.0
    steps: int | None = None
    device: str = "auto"
    hold_out: int = 0
    seed: int = 0
    steady: bool = True
    shrinkage: str = ""
    fill: str = "edge"
    accept: bool = False
    operator: str = ""
