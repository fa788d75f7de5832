"""What a training shows: previews while it runs, and a report on pairs that the judged models never saw."""

from __future__ import annotations

from collections.abc import Sequence
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
from wetgate.project import Restoration, Run
from wetgate.training.color_model import ColorModel, forward
from wetgate.training.samples import Sample
from wetgate.training.torch_operations import Torch, tensor

Array = NDArray[np.float32]

SHOWN = 6


def restore(pixels: Array, model: ColorModel) -> Array:
    """Restored [H, W, 3] of scan pixels [H, W, 3], both as encoded."""
    with torch.no_grad():
        restored: Array = forward(Torch(), tensor(pixels), model)[0].permute(1, 2, 0).contiguous().numpy()
    return restored


def strip(path: Path, sample: Sample, model: ColorModel) -> None:
    """Write scan, restored and reference of a sample's window side by side, as a picture to look at."""
    pictures = [sample.scan_window, restore(sample.scan_window, model), sample.reference_window]
    write_image(path, np.clip(np.hstack([to_display(picture, model.encoding) for picture in pictures]), 0, 1))


def held_out_report(
    restoration: Restoration,
    run: Run,
    model: ColorModel,
    seen: Sequence[Sample],
    judged: Sequence[tuple[Sequence[Sample], ColorModel]],
    chosen: dict[str, Any],
    seconds: float,
) -> dict[str, dict[str, float]]:
    """Write the run's report.html; return each method's mean measures on the held-out windows.

    Args:
        restoration: for the record of its pairs.
        run: whose report.
        model: the model that was made.
        seen: what it was trained on, shown where no pair could be held out.
        judged: samples, and a model of the same kind that never saw them.
        chosen: what evidence chose, to be shown.
        seconds: what the training took.
    """
    unseen = [(sample, one) for samples, one in judged for sample in samples]
    shown = unseen[:SHOWN] or [(sample, model) for sample in seen[:SHOWN]]
    use = "held out" if unseen else "trained on"
    methods = {
        "scan": lambda pixels, one: pixels,
        "closed-form fit": lambda pixels, one: restore(pixels, one.with_(kernels=None, context={})),
        "fit and kernels": lambda pixels, one: restore(pixels, one.with_(context={})),
        "restored": restore,
    }
    found: dict[str, list[Measures]] = {name: [] for name in methods}
    pictures = []
    for sample, one in shown:
        answers = {name: to_display(method(sample.scan_window, one), one.encoding) for name, method in methods.items()}
        reference = to_display(sample.reference_window, one.encoding)
        for name, answer in answers.items():
            if unseen:
                found[name].append(measure(answer, reference))
        pictures.append(Picture(f"frame {sample.frame}, {use}", answers["scan"], answers["restored"], reference))
    rows = [Row(name, summarise(measures)) for name, measures in found.items() if measures]
    held_out = set(run.settings.get("held_out") or ())
    trained = len(restoration.pairs({"accepted"})) - len(held_out)
    tables = [Table(f"Held-out pairs ({len(shown)})", rows, "On a window of up to 512 pixels of each.")] if rows else []
    write_report(
        run.report,
        Report(
            title=f"{restoration.folder.name}, run {run.number:03d}",
            headline=_headline(rows),
            facts={
                "recipe": restoration.recipe,
                "encoding": restoration.encoding,
                "protects": model.protect,
                "pairs": f"{trained} trained on",
                "time": f"{seconds:.0f} s",
            },
            pictures=pictures,
            tables=tables,
            plots=plots_of(run.events()[0]),
            limits=limits_of_pairs(held_out=len(unseen), trained=trained),
            pairs=[_line(pair, held_out) for pair in restoration.pairs()],
            settings={**run.settings, **chosen},
        ),
    )
    return {row.name: _plain(row.measures) for row in rows}


def _headline(rows: Sequence[Row]) -> str:
    if not rows:
        return "No pair could be held out, so nothing is known about other frames."
    scan, restored = rows[0].measures, rows[-1].measures
    return (
        f"On pairs it had not seen: colour difference {scan.delta_e:.1f} before, {restored.delta_e:.1f} after; "
        f"{scan.psnr:.1f} dB before, {restored.psnr:.1f} dB after."
    )


def _line(pair: Any, held_out: set[int]) -> PairLine:
    use = "" if pair.state != "accepted" else "held out" if pair.number in held_out else "trained on"
    return PairLine(f"{pair.number:04d}", str(pair.frame), pair.state, use, pair.reason)


def _plain(measures: Measures) -> dict[str, float]:
    return {name: round(value, 4) for name, value in vars(measures).items() if value is not None}
