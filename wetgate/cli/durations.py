"""Lengths of time as people write them."""

from __future__ import annotations

import re
from argparse import ArgumentTypeError

_UNITS = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0}


def seconds(text: str) -> float:
    """``60s``, ``5m`` or ``1h`` in seconds, as the type of an argument; a bare number is seconds."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([smh]?)", text.strip())
    if not match or float(match[1]) <= 0:
        raise ArgumentTypeError(f"'{text}' is no length of time: write 60s, 5m or 1h")
    return float(match[1]) * _UNITS[match[2]]
