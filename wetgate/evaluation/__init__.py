"""How good a restoration is: measures against a truth, tables of them, and the report. No torch here."""

from wetgate.evaluation.metrics import Comparison, Measures, Meter, ciede2000, flicker, measure, srgb_to_lab, summarise
from wetgate.evaluation.plots import Plot
from wetgate.evaluation.report import PairLine, Picture, Report, limits_of_pairs, page_size, write_report
from wetgate.evaluation.tables import Row, Table, as_text

__all__ = [
    "Comparison",
    "Measures",
    "Meter",
    "PairLine",
    "Picture",
    "Plot",
    "Report",
    "Row",
    "Table",
    "as_text",
    "ciede2000",
    "flicker",
    "limits_of_pairs",
    "measure",
    "page_size",
    "srgb_to_lab",
    "summarise",
    "write_report",
]
