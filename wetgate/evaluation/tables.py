"""Tables of measures: which columns there are, how values read, and which is best."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from wetgate.evaluation.metrics import Measures


@dataclass(frozen=True)
class Row:
    """One line: a method or a frame. parameters, seconds: what a method costs, where known."""

    name: str
    measures: Measures
    parameters: int | None = None
    seconds: float | None = None


@dataclass(frozen=True)
class Column:
    """One measure. cost: the smaller the better; None where nothing is best."""

    name: str
    title: str
    form: str
    meaning: str
    cost: Callable[[float], float] | None = None

    def value(self, row: Row) -> float | None:
        value: float | None = getattr(row if hasattr(row, self.name) else row.measures, self.name)
        return value

    def text(self, row: Row) -> str:
        value = self.value(row)
        return "–" if value is None else format(value, self.form)

    def best_text(self, rows: Sequence[Row]) -> str | None:
        """How the best value reads; None for a single row. What reads the same ranks the same."""
        cost = self.cost
        measured = [(cost(value), self.text(row)) for row in rows if cost and (value := self.value(row)) is not None]
        return min(measured)[1] if len(measured) > 1 else None


@dataclass(frozen=True)
class Table:
    """Measures of several methods (``ranked``: the best of each column stands out) or of several frames."""

    title: str
    rows: Sequence[Row]
    note: str = ""
    ranked: bool = True

    @property
    def columns(self) -> list[Column]:
        """Those in which at least one row has a value."""
        return [column for column in COLUMNS if any(column.value(row) is not None for row in self.rows)]

    @property
    def best(self) -> list[list[bool]]:
        """For each row and column: whether the value is the best of its column."""
        best = [column.best_text(self.rows) if self.ranked else None for column in self.columns]
        return [
            [column.text(row) == text for column, text in zip(self.columns, best, strict=True)] for row in self.rows
        ]


def as_text(table: Table) -> str:
    """The table for a terminal; a star follows the best values."""
    lines = [["", *(column.title + " " for column in table.columns)]]
    for row, marks in zip(table.rows, table.best, strict=True):
        values = zip(table.columns, marks, strict=True)
        lines.append([row.name, *(column.text(row) + (" *"[mark]) for column, mark in values)])
    widths = [max(map(len, cells)) for cells in zip(*lines, strict=True)]
    text = [table.title]
    for name, *cells in lines:
        aligned = (cell.rjust(width) for cell, width in zip(cells, widths[1:], strict=True))
        text.append("  ".join([name.ljust(widths[0]), *aligned]).rstrip())
    return "\n".join([*text, *([table.note] if table.note else [])])


def _lower(value: float) -> float:
    return value


def _higher(value: float) -> float:
    return -value


def _nearest_one(value: float) -> float:
    return abs(math.log(max(value, 1e-12)))


COLUMNS = [
    Column("psnr", "PSNR dB", ".2f", "pixel error; higher is better", _higher),
    Column("luma_psnr", "luma dB", ".2f", "pixel error of the luma alone; higher is better", _higher),
    Column("ssim", "SSIM", ".3f", "structure of the luma; higher is better, 1 at most", _higher),
    Column("delta_e", "dE", ".2f", "mean colour difference (CIEDE2000) without grain; lower is better", _lower),
    Column("delta_e_p95", "dE p95", ".2f", "its 95th percentile: the worst places; lower is better", _lower),
    Column("hf_gain", "HF gain", ".2f", "energy of grain and fine detail over the truth's; 1 is right", _nearest_one),
    Column("hf_correlation", "HF corr", ".3f", "whether it is the same grain and detail; higher is better", _higher),
    Column("fine_gain", "fine", ".2f", "energy below 1 pixel over the truth's; 1 is right", _nearest_one),
    Column("middle_gain", "middle", ".2f", "energy from 1 to 4 pixels over the truth's; 1 is right", _nearest_one),
    Column("flicker", "flicker", ".2f", "how the error changes from frame to frame, in 8-bit code values; "
           "lower is better", _lower),
    Column("parameters", "parameters", ",d", "numbers that the method learns"),
    Column("seconds", "seconds", ".1f", "time to learn them"),
]  # fmt: skip
