"""What a training shows: previews while it runs, and a report on pairs that the judged models never saw."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from wetgate.evaluation import (
    Measures,
    PairLine,
    Picture,
    Report,
    Row,
    Table,
    limits_of_pairs,
    measure,
    summarise,
    write_report,
)
from wetgate.evaluation.plots import plots_of
from wetgate.images import to_display, write_image
from wetgate.project import MADE_REFERENCES, Restoration, Run
from wetgate.training.color_model import ColorModel, forward
from wetgate.training.samples import Sample
from wetgate.training.torch_operations import Torch, tensor

Array = NDArray[np.float32]

SHOWN = 6
_OF_MEMORY = " Restored is without what the model remembers of its own pairs, which says nothing of others."
_OF_MADE = " These references were made; where they are unsure, a difference from them may be an improvement."


def restore(pixels: Array, model: ColorModel) -> Array:
    """Restored [H, W, 3] of scan pixels [H, W, 3], both as encoded."""
    with torch.no_grad():
        restored: Array = forward(Torch(), tensor(pixels), model)[0].permute(1, 2, 0).contiguous().numpy()
    return restored


def strip(path: Path, sample: Sample, model: ColorModel) -> None:
    """Write scan, restored and reference of a sample's window side by side, as a picture to look at."""
    pictures = [sample.scan_window, restore(sample.scan_window, model), sample.reference_window]
    shown = np.clip(np.hstack([to_display(picture, model.encoding) for picture in pictures]), 0, 1)
    write_image(path, shown, bit_depth="8")


@dataclass(frozen=True)
class Shown:
    """A pair, or a window of it, as each method restores it.

    Attributes:
        frame: of the scan.
        held_out: whether no method had seen it.
        answers: display values [H, W, 3] by method; the scan first, the restored picture last.
        reference: display values [H, W, 3].
    """

    frame: int
    held_out: bool
    answers: dict[str, Array]
    reference: Array


def write_recipe_report(
    restoration: Restoration,
    run: Run,
    shown: Sequence[Shown],
    *,
    facts: dict[str, str],
    chosen: dict[str, Any],
    seconds: float,
    note: str = "",
    headline: Callable[[Sequence[Row]], str] | None = None,
    unseen_are: str = "Held-out pairs",
    limits: Sequence[str] | None = None,
    tables: Sequence[Table] = (),
) -> dict[str, dict[str, float]]:
    """Write the run's report.html.

    Args:
        restoration: for the record of its pairs.
        run: whose report; its settings name the pairs that were held out.
        shown: at most :data:`SHOWN` are drawn; all held-out ones are measured.
        facts: what else stands at the head, by name.
        chosen: what evidence chose, to be shown with the settings.
        seconds: what the training took.
        note: under the table of held-out pairs.
        headline: the first sentence, from the rows of that table; colour and decibels by default.
        unseen_are: what the table's figures are of.
        limits: what the figures do not say; by default what those of pairs do not.
        tables: more of them.

    Returns:
        Each method's mean measures on the held-out ones; empty where there are none.
    """
    unseen = [one for one in shown if one.held_out]
    found: dict[str, list[Measures]] = {}
    for one in unseen:
        for name, answer in one.answers.items():
            found.setdefault(name, []).append(measure(answer, one.reference))
    pictures = []
    for one in shown[:SHOWN]:
        use = "held out" if one.held_out else "trained on"
        scan, *_, restored = one.answers.values()
        pictures.append(Picture(f"frame {one.frame}, {use}", scan, restored, one.reference))
    rows = [Row(name, summarise(measures)) for name, measures in found.items()]
    held_out = set(run.settings.get("held_out") or ())
    trained = len(restoration.pairs({"accepted"})) - len(held_out)
    of_pairs = limits_of_pairs(held_out=len(unseen), trained=trained, made=restoration.recipe in MADE_REFERENCES)
    own = [Table(f"{unseen_are} ({len(unseen)})", rows, note)] if rows else []
    write_report(
        run.report,
        Report(
            title=f"{restoration.folder.name}, run {run.number:03d}",
            headline=(headline or _headline)(rows),
            facts={
                "recipe": restoration.recipe,
                "encoding": restoration.encoding,
                **facts,
                "pairs": f"{trained} trained on",
                "time": f"{seconds:.0f} s",
            },
            pictures=pictures,
            tables=[*own, *tables],
            plots=plots_of(run.events()[0]),
            limits=of_pairs if limits is None else list(limits),
            pairs=[_line(pair, held_out) for pair in restoration.pairs()],
            settings={**run.settings, **chosen},
        ),
    )
    return {row.name: _plain(row.measures) for row in rows}


def held_out_report(
    restoration: Restoration,
    run: Run,
    model: ColorModel,
    seen: Sequence[Sample],
    judged: Sequence[tuple[Sequence[Sample], ColorModel]],
    chosen: dict[str, Any],
    seconds: float,
    inferred: bool = False,
) -> dict[str, dict[str, float]]:
    """Write the report of a colour model; return each method's mean measures on the held-out windows.

    Args:
        restoration: for the record of its pairs.
        run: whose report.
        model: the model that was made.
        seen: what it was trained on, shown where no pair could be held out.
        judged: samples, and a model of the same kind that never saw them.
        chosen: what evidence chose, to be shown.
        seconds: what the training took.
        inferred: whether the references were made and show what somebody believes.
    """
    unseen = [(sample, one) for samples, one in judged for sample in samples]
    shown = unseen[:SHOWN] or [(sample, model) for sample in seen[:SHOWN]]
    remembers = any(one.memory is not None for _, one in shown)
    methods = {
        "scan": lambda pixels, one: pixels,
        "closed-form fit": lambda pixels, one: restore(pixels, one.with_(kernels=None, context={}, memory=None)),
        "fit and kernels": lambda pixels, one: restore(pixels, one.with_(context={}, memory=None)),
        "restored": restore,
    }
    return write_recipe_report(
        restoration,
        run,
        [
            Shown(
                sample.frame,
                bool(unseen),
                {name: to_display(method(sample.scan_window, one), one.encoding) for name, method in methods.items()},
                to_display(sample.reference_window, one.encoding),
            )
            for sample, one in shown
        ],
        facts={"protects": model.protect},
        chosen=chosen,
        seconds=seconds,
        note="On a window of up to 512 pixels of each." + (_OF_MADE if inferred else "" if remembers else _OF_MEMORY),
        headline=_inferred_headline if inferred else None,
    )


def _headline(rows: Sequence[Row]) -> str:
    if not rows:
        return "No pair could be held out, so nothing is known about other frames."
    scan, restored = rows[0].measures, rows[-1].measures
    return (
        f"On pairs it had not seen: colour difference {scan.delta_e:.1f} before, {restored.delta_e:.1f} after; "
        f"{scan.psnr:.1f} dB before, {restored.psnr:.1f} dB after."
    )


def _inferred_headline(rows: Sequence[Row]) -> str:
    said = "Colour is inferred: no reference shows this picture's own colours, so nothing here says how true they are."
    if not rows:
        return said
    scan, restored = rows[0].measures, rows[-1].measures
    return (
        f"{said} From references that were made and that it had not seen the model differs by {restored.delta_e:.1f}, "
        f"the scan by {scan.delta_e:.1f}."
    )


def _line(pair: Any, held_out: set[int]) -> PairLine:
    use = "" if pair.state != "accepted" else "held out" if pair.number in held_out else "trained on"
    return PairLine(f"{pair.number:04d}", str(pair.frame), pair.state, use, pair.reason)


def _plain(measures: Measures) -> dict[str, float]:
    return {name: round(value, 4) for name, value in vars(measures).items() if value is not None}
