"""The record of one training run: who made what from what, for archives that must answer later.

Stored in the model file (``wetgate.record``), beside it as ``record.json``, and as a hash in every
frame that the model makes. It holds names of files, never their folders.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

SCHEMA = 1

_IPTC = "http://cv.iptc.org/newscodes/digitalsourcetype/"
RECOVERED = _IPTC + "algorithmicallyEnhanced"
"""Recovered under supervision from a reference of the same picture."""
INFERRED = _IPTC + "compositeWithTrainedAlgorithmicMedia"
"""Colour or detail was inferred where no reference shows it."""


@dataclass(frozen=True)
class SourceRecord:
    """One element that the run drew on.

    Attributes:
        role: "scan", "reference", "mask", "exemplar", ...
        name: file or sequence name; folders in front of it are dropped.
        element: what it is, in the archive's words ("35 mm colour positive, reel 3").
        rights: licence or authorisation under which it was used.
    """

    role: str
    name: str
    element: str = ""
    rights: str = ""


@dataclass(frozen=True)
class PairRecord:
    """One pair, used or not.

    Attributes:
        frame: scan frame number.
        reference_frame: reference frame number, where it differs or is known.
        accepted: whether it was trained on.
        reason: why it was rejected, or what to know about it.
        scan_sha256, reference_sha256: hashes of the collected files.
        alignment: how the reference was laid over the scan (transform, crop, residual in pixels).
    """

    frame: int
    accepted: bool
    reason: str = ""
    reference_frame: int | None = None
    scan_sha256: str = ""
    reference_sha256: str = ""
    alignment: Mapping[str, Any] = field(default_factory=dict)


def shot_record(
    *,
    recipe: str,
    sources: Sequence[SourceRecord],
    pairs: Sequence[PairRecord],
    settings: Mapping[str, Any],
    seed: int,
    versions: Mapping[str, str],
    protected: str,
    same_picture: bool,
    limitations: Sequence[str],
    results: Mapping[str, Any] | None = None,
    operator: str = "",
) -> dict[str, Any]:
    """Put the record together.

    Args:
        recipe: name of the recipe.
        sources: all elements, scan and reference at least.
        pairs: accepted and rejected ones.
        settings: what the run was started with, JSON-able, without paths.
        seed: of all random numbers.
        versions: software by name: wetgate, torch, ...
        protected: what of the scan the model keeps.
        same_picture: whether every restored quality was learned from references that show the same
            picture; otherwise the record says that colour or detail was inferred.
        limitations: sentences on what the model should not be used for.
        results: figures on held-out pairs, JSON-able.
        operator: who is responsible, where they want to be named.

    Returns:
        A JSON-able dict; its hash is :func:`wetgate.records.canonical.record_hash`.
    """
    record: dict[str, Any] = {
        "schema": SCHEMA,
        "recipe": recipe,
        "digital_source_type": RECOVERED if same_picture else INFERRED,
        "protected": protected,
        "sources": [asdict(source) | {"name": _name(source.name)} for source in sources],
        "pairs": [asdict(pair) for pair in sorted(pairs, key=lambda pair: pair.frame)],
        "settings": dict(settings),
        "seed": seed,
        "versions": dict(versions),
        "limitations": list(limitations),
    }
    if results:
        record["results"] = dict(results)
    if operator:
        record["operator"] = operator
    return record


def _name(path: str) -> str:
    return path.replace("\\", "/").rstrip("/").rpartition("/")[2]
