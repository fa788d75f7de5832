"""The `exemplar` recipe: colour of a film of which no reference shows the same picture.

Three steps: make a reference for each frame from what there is (paint, paintings, the fading itself:
:mod:`wetgate.recipes.proposals`), see that an artist has accepted them, and learn from them as the colour recipe does
(:mod:`wetgate.recipes.color`), each pixel by its confidence. Of a black-and-white scan the luma is kept. No colour
leaves the hues and saturations of what was most trusted (:mod:`wetgate.training.chroma_bound`), and the record says
that colour was inferred.

Errors: no frame, nothing that tells of colour, proposals that nobody has accepted, a damaged picture, a full disk.
"""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

from wetgate.errors import WetgateError
from wetgate.pairing.prepare import accepted
from wetgate.project import Pair, Restoration, Run
from wetgate.recipes.color import Training
from wetgate.recipes.options import Options
from wetgate.recipes.proposals import accept, is_monochrome, propose
from wetgate.recipes.work import Follow, Work

INFERRED = "Colour is inferred: from {}; no reference shows this picture's own colours."
_WORDS = {
    "paint": "frames that were painted by hand",
    "motion": "paint that was carried to other frames by motion",
    "shades": "what paint elsewhere gives to like shades",
    "paintings": "pictures of other scenes",
    "unfading": "the fading of the scan itself",
}


def train(
    restoration: Restoration, run: Run, options: Options, started: float, follow: Follow = lambda status: None
) -> dict[str, Any]:
    """Train, or go on after a kill; the run's lock must be held.

    Args:
        restoration: whose pairs.
        run: where everything goes.
        options: see :class:`Options`; of a black-and-white scan the luma is kept where its grain would be.
        started: ``time.monotonic()`` of the start, from which seconds count.
        follow: gets each status as it is written.

    Returns:
        As :func:`wetgate.recipes.color.train`.

    Raises:
        WetgateError: nothing can be learnt from, proposals wait for acceptance, a picture is damaged, or the disk is
            full.
    """
    if options.protect == "grain" and restoration.pairs() and is_monochrome(restoration):
        options = replace(options, protect="luma", steady=False)
    work = Work(restoration, run, options, started, follow)
    return work.carry_out(lambda: _steps(work))


def _steps(work: Work) -> dict[str, Any]:
    restoration = work.restoration
    work.tell(message="making references")
    if not restoration.pairs() or restoration.pairs({"collected"}):
        done = itertools.count(1)

        def follow(pair: Pair) -> None:
            work.tell(message=f"making references, {next(done)} done")
            work.obey()

        propose(restoration, follow)
    if work.options.accept:
        accept(restoration)
    waiting = restoration.pairs({"prepared"})
    if waiting:
        raise WetgateError(
            f"{len(waiting)} made {'reference waits' if len(waiting) == 1 else 'references wait'} in "
            f"{restoration.folder}: look at prepared.exr in the folders of its pairs (`wetgate prepare` draws them all "
            f"on one page), then run `wetgate accept {restoration.folder}`, or train with --accept."
        )
    pairs = accepted(restoration)
    if not pairs:
        raise WetgateError(f"Every frame of {restoration.folder} was rejected: add others.")
    kinds = {str(pair.where_from.get("constructed", {}).get("kind", "paint")) for pair, _ in pairs}
    words = [words for kind, words in _WORDS.items() if kind in kinds]
    limitations = [INFERRED.format(" and ".join(words))]
    result = Training(work, inferred=True, shades=is_monochrome(restoration), limitations=limitations).learn(pairs)
    return {"summary": _summary(result, words, work.elapsed()), **result}


def _summary(result: dict[str, Any], words: list[str], seconds: float) -> str:
    """What `wetgate train` prints."""
    frames = f"{result['pairs']} {'frame' if result['pairs'] == 1 else 'frames'}"
    said = (
        f"Learned from {frames}, {result['steps']} steps, in {seconds:.0f} s. Colour is inferred, from "
        f"{' and '.join(words)}."
    )
    held_out = result["held_out"]
    if not held_out:
        return said
    restored, scan = (held_out[name]["delta_e"] for name in ("restored", "scan"))
    return (
        f"{said}\nFrom made references that it had not seen it differs by {restored:.1f}, the scan by {scan:.1f}; how "
        "true they are nobody can measure."
    )
