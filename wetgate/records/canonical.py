"""JSON in one canonical form, so that equal records have equal hashes."""

from __future__ import annotations

import hashlib
import json
from typing import Any


def canonical_json(record: Any) -> str:
    """Keys sorted, no spaces, text as it is, numbers as Python writes them.

    Raises:
        ValueError: ``record`` holds NaN or an infinity, which JSON has no word for.
        TypeError: ``record`` holds something that JSON cannot say.
    """
    return json.dumps(record, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def record_hash(record: Any) -> str:
    """SHA-256 of the canonical JSON in UTF-8, in hexadecimal."""
    return hashlib.sha256(canonical_json(record).encode("utf-8")).hexdigest()
