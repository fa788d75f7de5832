"""A host for the panel's tests, the engine's stand-in, and how long tests wait for either."""

from __future__ import annotations

import sys
from pathlib import Path

from wetgate.errors import WetgateError

STANDIN = [sys.executable, str(Path(__file__).with_name("standin_wetgate.py"))]
PATIENCE_S = 60.0


class RecordingDesk:
    """A host that remembers what it was asked for."""

    why_not = ""

    def __init__(self) -> None:
        self.asked: list[tuple[str, ...]] = []
        self.refusal = ""
        self.scan = ""

    def from_viewer(self, folder: str) -> str:
        self._note("from_viewer", folder)
        return "Added frame 1001 as a pair."

    def create_restore(self, model: str, folder: str) -> str:
        self._note("create_restore", model, folder)
        return "WetgateRestore1"

    def scan_pattern(self) -> str:
        return self.scan

    def _note(self, *asked: str) -> None:
        if self.refusal:
            raise WetgateError(self.refusal)
        self.asked.append(asked)
