"""One receipt per written file: what was asked, what came out. Resuming and tracing both rest on it.

Receipts lie in a ``.wetgate`` folder beside the files they speak of, one JSON file each, so that many
machines can write frames of one sequence at once:

    OUTPUT/shot.1001.exr
    OUTPUT/.wetgate/shot.1001.exr.json
    OUTPUT/.wetgate/model-3f2a....json      the card of each model used, once
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from wetgate.errors import WetgateError
from wetgate.files import make_folder, sha256, sweep_temporaries, write_json

SCHEMA = 1
FOLDER = ".wetgate"


def receipt_path(output: Path) -> Path:
    """Where the receipt of ``output`` lies."""
    return output.parent / FOLDER / f"{output.name}.json"


def prepare(folder: Path) -> None:
    """Make the receipts' folder in ``folder``; sweep what killed processes left in both.

    Raises:
        WetgateError: ``folder`` cannot be written.
    """
    make_folder(folder / FOLDER)
    for place in (folder, folder / FOLDER):
        sweep_temporaries(place)


def save(output: Path, digest: str, request: dict[str, Any], result: dict[str, Any]) -> dict[str, Any]:
    """Write the receipt of ``output``, which must be complete on disk; return it.

    Args:
        output: the written file.
        digest: its SHA-256.
        request: all that decides its content: hashes of model, inputs and mask, settings, software.
        result: figures worth keeping: pixels changed, bad pixels, device, ...

    Raises:
        WetgateError: the receipt cannot be written.
    """
    receipt = {
        "schema": SCHEMA,
        "output": {"file": output.name, "sha256": digest},
        "request": request,
        "result": result,
    }
    write_json(receipt_path(output), receipt)
    return receipt


def load(output: Path) -> dict[str, Any] | None:
    """The receipt of ``output``, or None where there is none that can be understood."""
    try:
        receipt = json.loads(receipt_path(output).read_text("utf-8"))
    except (OSError, ValueError):
        return None
    if not isinstance(receipt, dict) or receipt.get("schema") != SCHEMA:
        return None
    if not all(isinstance(receipt.get(part), dict) for part in ("output", "request", "result")):
        return None
    return receipt


def is_intact(output: Path, receipt: dict[str, Any]) -> bool:
    """Whether ``output`` is, byte for byte, the file that its receipt speaks of."""
    try:
        return sha256(output) == receipt["output"].get("sha256")
    except OSError:
        return False


def save_model_card(folder: Path, model_sha256: str, card: dict[str, str]) -> None:
    """Keep the metadata of a model beside the frames it made (once per model)."""
    path = folder / FOLDER / f"model-{model_sha256}.json"
    if not path.exists():
        write_json(path, {"schema": SCHEMA, "model_sha256": model_sha256, "card": card})


def file_hash(path: Path) -> str:
    """SHA-256 of a file; a file that cannot be read is a sentence.

    Raises:
        WetgateError: ``path`` cannot be read.
    """
    try:
        return sha256(path)
    except OSError as error:
        raise WetgateError(f"{path} cannot be read: {error.strerror or error}.") from error
