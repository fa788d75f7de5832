"""The restoration folder, shared by the engine and by host applications.

Standard library only, Python 3.9+.
"""

from wetgate.project.pairs import Pair, PairDraft
from wetgate.project.processes import detached, process_start, start_detached
from wetgate.project.restoration import Restoration, create_restoration, open_restoration
from wetgate.project.runs import COMMANDS, Run
from wetgate.project.schema import (
    ELEMENTS,
    ENCODINGS,
    MADE_REFERENCES,
    NEIGHBOURS,
    RECIPES,
    STATES,
    TRAINABLE,
    WITHOUT_REFERENCE,
)

__all__ = [
    "COMMANDS",
    "ELEMENTS",
    "ENCODINGS",
    "MADE_REFERENCES",
    "NEIGHBOURS",
    "RECIPES",
    "STATES",
    "TRAINABLE",
    "WITHOUT_REFERENCE",
    "Pair",
    "PairDraft",
    "Restoration",
    "Run",
    "create_restoration",
    "detached",
    "open_restoration",
    "process_start",
    "start_detached",
]
