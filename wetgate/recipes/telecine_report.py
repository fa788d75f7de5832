"""What the telecine recipe shows: each step against its references, on pairs that it had not seen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wetgate.evaluation import Row, Table, measure, summarise
from wetgate.images import to_display
from wetgate.recipes.looking import Shown, write_recipe_report
from wetgate.recipes.work import Work
from wetgate.training.telecine_model import Lesson, Step, TelecineModel, pixels_of
from wetgate.training.telecine_task import answer_of

Array = NDArray[np.float32]

WINDOW, AROUND = 512, 64
"""Largest side of what is measured of a pair, and pixels around it that networks see."""
_COVERED = 0.9
"""Of a row or a column that counts: where a reference covers a part of the frame, the rest is not measured."""


@dataclass(frozen=True)
class Judged:
    """A pair, and a step that answers it.

    Attributes:
        kind: which step it is, in words.
        scan: [c, H, W] display values of the pair's scan.
        lesson: the pair as the step learns from it.
        step: trained.
        held_out: whether neither the step nor the one before had seen the pair.
    """

    kind: str
    scan: Array
    lesson: Lesson
    step: Step
    held_out: bool


def write_telecine_report(
    work: Work, judged: Sequence[Judged], model: TelecineModel, facts: dict[str, str], chosen: dict[str, Any]
) -> dict[str, dict[str, float]]:
    """Write the run's report.html.

    Args:
        work: whose report.
        judged: pairs of every step, those of the last step last.
        model: which encoding the pictures have, and whether they are grey.
        facts: what else stands at the head.
        chosen: to be shown with the settings.

    Returns:
        Each method's mean measures on the held-out pairs of the last step; empty where there are none.
    """
    kinds = list(dict.fromkeys(one.kind for one in judged))
    shown = {kind: [_shown(one, model) for one in judged if one.kind == kind] for kind in kinds}
    tables = [
        Table(f"Step 1, {kind}: held-out pairs", _rows(shown[kind]), "Against the reference of that step.")
        for kind in kinds[:-1]
        if any(one.held_out for one in shown[kind])
    ]
    return write_recipe_report(
        work.restoration,
        work.run,
        shown[kinds[-1]] + [one for kind in kinds[:-1] for one in shown[kind] if not one.held_out],
        facts=facts,
        chosen=chosen,
        seconds=work.elapsed(),
        note=f"{kinds[-1]}; on a window of up to {WINDOW} pixels of each, where the reference covers it. The networks "
        "that are judged were trained for a short time on the other pairs.",
        tables=tables,
    )


def _rows(shown: Sequence[Shown]) -> list[Row]:
    unseen = [one for one in shown if one.held_out]
    names = list(dict.fromkeys(name for one in unseen for name in one.answers))
    return [
        Row(name, summarise(measure(one.answers[name], one.reference) for one in unseen if name in one.answers))
        for name in names
    ]


def _shown(one: Judged, model: TelecineModel) -> Shown:
    lesson, rows, columns = one.lesson, *_window(one.lesson.weight)
    wide_rows, wide_columns = _wider(rows, lesson.weight.shape[0]), _wider(columns, lesson.weight.shape[1])
    part = Lesson(
        lesson.number,
        lesson.frame,
        lesson.picture[:, wide_rows, wide_columns],
        lesson.seen[:, wide_rows, wide_columns],
        lesson.target[:, wide_rows, wide_columns],
        lesson.weight[wide_rows, wide_columns],
    )
    inner = np.s_[
        :,
        rows.start - wide_rows.start : rows.stop - wide_rows.start,
        columns.start - wide_columns.start : columns.stop - wide_columns.start,
    ]

    def display(values: Array) -> Array:
        return np.asarray(to_display(pixels_of(values, model), model.encoding), np.float32)

    plain = replace(one.step, weights={})
    answers = {"scan": display(one.scan[:, rows, columns])}
    if lesson.picture is not one.scan:
        answers["step 1"] = display(part.picture[inner])
    else:
        answers["solved"] = display(answer_of(plain, part)[inner])
    answers["restored"] = display(answer_of(one.step, part)[inner])
    return Shown(lesson.frame, one.held_out, answers, display(part.target[inner]))


def _window(weight: Array) -> tuple[slice, slice]:
    """Rows and columns in the middle of what counts."""
    sides = []
    for axis in (1, 0):
        share = weight.mean(axis)
        covered = np.nonzero(share >= _COVERED * share.max())[0]
        first, last = int(covered[0]), int(covered[-1]) + 1
        start = first + max((last - first - WINDOW) // 2, 0)
        sides.append(slice(start, min(start + WINDOW, last)))
    return sides[0], sides[1]


def _wider(side: slice, length: int) -> slice:
    return slice(max(side.start - AROUND, 0), min(side.stop + AROUND, length))
