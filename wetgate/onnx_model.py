"""The model contract: one self-describing ONNX file, and the checks before one is run.

Input ``frames``: float32 ``[N, 3*(2r+1), H, W]``, planar RGB, oldest frame first. Output ``restored``:
float32 ``[N, 3, H, W]``. Optional output ``coverage``: float32 ``[N, 1, H, W]``, 0 (unlike the training
pairs) to 1. Any N, H, W >= 1; the graph pads and crops inside. Encodings and their inverses live inside
the graph; values outside 0-1 go through unclamped.

Optional input ``damage``: float32 ``[N, 1, H, W]``, above 0.5 where the middle frame is to be repaired, and nowhere
else; negative everywhere: the model finds that by itself. It has -1 as its default in the file, so whoever knows
nothing of it feeds ``frames`` alone.

What else a user of the file must know stands in its ``metadata_props`` under ``wetgate.*``: see
:class:`ModelCard`. No torch, no onnx package: a farm node reads cards with the standard library.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import stat
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from wetgate.errors import WetgateError
from wetgate.onnx_file import Description, MalformedFile, Tensor, describe, skim
from wetgate.records.canonical import canonical_json, record_hash

CONTRACT_VERSION = 1
INPUT, DAMAGE, OUTPUT, COVERAGE = "frames", "damage", "restored", "coverage"
ENCODINGS = ("display", "linear", "log")
WHOLE_FRAME = "frame"
MAX_BYTES = 2**31 - 1
"""protobuf's own limit for one file."""

MAX_RADIUS = 1000
"""Frames before and after: more than any film needs, and what a request to the inference server can name."""

_PREFIX = "wetgate."
_LINE = re.compile(r"[^\x00-\x1f\x7f-\x9f\u2028\u2029]{0,400}")
_NOT_WHOLE = "{} is not a whole ONNX model ({}). Export or copy it again."
_ELEMENT_TYPES = {1: "float32", 10: "float16", 11: "float64", 16: "bfloat16", 2: "uint8"}
_FOREIGN_LIMITS = (
    "It carries no Wetgate card, so its encoding, what it protects and how it was trained are unknown.",
    "Its reach is unknown, so frames are not tiled and memory is not bounded.",
)


@dataclass(frozen=True)
class ModelCard:
    """What a model file says about itself.

    Attributes:
        recipe: the recipe that trained it, "" for a foreign model.
        radius: frames before and after that it looks at.
        halo: pixels around a tile that can change its result, or None where the whole frame can
            (then frames are never tiled).
        multiple: tiles start at multiples of this many pixels (the product of the graph's strides).
        encoding: what the frames must be: "display", "linear" or "log"; "" where unknown.
        colour_space: the frames' colour space in words, "" where unknown.
        protected: what of the scan the model promises to keep: "grain", "luma", "chroma", "none", ...
        record: how it was trained (see :mod:`wetgate.records.shot_record`), JSON-able.
        producer: software and version that wrote the file.
        half_of: sha256 of the float32 model file whose 16-bit variant this is, else "".
        limits: sentences on what cannot be promised; empty for a model that keeps the contract.
    """

    recipe: str
    radius: int = 0
    halo: int | None = 0
    multiple: int = 1
    encoding: str = "display"
    colour_space: str = ""
    protected: str = "none"
    record: dict[str, Any] = field(default_factory=dict)
    producer: str = ""
    half_of: str = ""
    limits: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not 0 <= self.radius <= MAX_RADIUS or self.multiple < 1 or (self.halo is not None and self.halo < 0):
            raise ValueError(f"radius {self.radius}, halo {self.halo}, multiple {self.multiple} make no sense")
        if self.encoding not in (*ENCODINGS, ""):
            raise ValueError(f"encoding '{self.encoding}' is none of {', '.join(ENCODINGS)}")

    @property
    def foreign(self) -> bool:
        """Whether the model was made by something else and states none of this."""
        return not self.recipe

    @property
    def steady(self) -> bool:
        """Whether it was trained on a steadied scan: what it is given should be steadied, too."""
        settings = self.record.get("settings")
        return isinstance(settings, dict) and bool(settings.get("steady"))

    def to_metadata(self) -> dict[str, str]:
        """The ``metadata_props`` to write; :meth:`from_metadata` gives the same card back."""
        metadata = {
            "wetgate.contract": str(CONTRACT_VERSION),
            "wetgate.recipe": self.recipe,
            "wetgate.radius": str(self.radius),
            "wetgate.halo": WHOLE_FRAME if self.halo is None else str(self.halo),
            "wetgate.multiple": str(self.multiple),
            "wetgate.encoding": self.encoding,
            "wetgate.colour_space": self.colour_space,
            "wetgate.protected": self.protected,
            "wetgate.producer": self.producer,
            "wetgate.record": canonical_json(self.record),
            "wetgate.record_sha256": record_hash(self.record),
        }
        if self.half_of:
            metadata["wetgate.half_of"] = self.half_of
        return metadata

    @classmethod
    def from_metadata(cls, metadata: dict[str, str]) -> ModelCard:
        """Read a card.

        Raises:
            WetgateError: a key is missing or makes no sense, the contract is newer than this software,
                or the training record does not match its hash. The sentence names no file.
        """
        contract = _whole_number(metadata, "contract")
        if contract > CONTRACT_VERSION:
            raise WetgateError(
                f"It was made by a newer Wetgate (model contract {contract}; this one reads up to {CONTRACT_VERSION}): "
                "update Wetgate."
            )
        try:
            record = json.loads(_value(metadata, "record"))
            matches = record_hash(record) == _value(metadata, "record_sha256")
        except (ValueError, RecursionError) as error:
            raise WetgateError("Its training record is not readable JSON.") from error
        if not matches or not isinstance(record, dict):
            raise WetgateError("Its training record was altered after training: the hash beside it does not match.")
        halo = None if _value(metadata, "halo") == WHOLE_FRAME else _whole_number(metadata, "halo")
        recipe = _line(metadata, "recipe")
        if not recipe:
            raise WetgateError("Its card names no recipe.")
        try:
            return cls(
                recipe=recipe,
                radius=_whole_number(metadata, "radius"),
                halo=halo,
                multiple=_whole_number(metadata, "multiple"),
                encoding=_line(metadata, "encoding"),
                colour_space=_line(metadata, "colour_space"),
                protected=_line(metadata, "protected"),
                record=record,
                producer=_line(metadata, "producer"),
                half_of=metadata.get("wetgate.half_of", ""),
            )
        except ValueError as error:
            raise WetgateError(f"Its card makes no sense: {error}.") from error


@dataclass(frozen=True)
class ModelFile:
    """A model file that passed every check that can be made without running it.

    Attributes:
        path: where it was read from.
        data: its bytes, to be run from memory, so that no other file is ever opened for it.
        sha256: of ``data``.
        card: what it says about itself.
        input: name of the input.
        outputs: names of the restored frame and, where there is one, the coverage.
        takes_damage: whether it can be told where to repair.
    """

    path: Path
    data: bytes = field(repr=False)
    sha256: str
    card: ModelCard
    input: str
    outputs: tuple[str, ...]
    takes_damage: bool = False


def open_model(path: str | os.PathLike[str]) -> ModelFile:
    """Read and check a model file.

    Raises:
        WetgateError: it is missing, empty, junk, truncated or larger than 2 GB; points at other files;
            needs operators outside standard ONNX; has other inputs, outputs or types than the contract;
            or follows a newer contract.
    """
    path = Path(path)
    data = _read(path)
    try:
        description = describe(data)
    except MalformedFile as error:
        raise WetgateError(_NOT_WHOLE.format(path, error)) from error
    _check_self_contained(path, description)
    try:
        card = _card(description)
        outputs = _check_interface(card, description)
        takes_damage = not card.foreign and _takes_damage(description)
    except WetgateError as error:
        raise WetgateError(f"{path} cannot be used. {error}") from error
    sha256 = hashlib.sha256(data).hexdigest()
    return ModelFile(path, data, sha256, card, description.inputs[0].name, outputs, takes_damage)


def read_card(path: str | os.PathLike[str]) -> ModelCard:
    """The card of a model file; checks and raises as :func:`open_model`."""
    return open_model(path).card


def local_paths_in(data: bytes) -> list[str]:
    """Paths of the machine that wrote ``data``: source files, home, temporary and working folders.

    Names such as ``/encoder/conv/Conv_output_0``, which exporters give to graph nodes, are not paths.
    """
    folders = {str(Path.home()), os.getcwd(), tempfile.gettempdir()} - {"/", "\\"}
    patterns = [re.escape(folder.encode()) + rb"[\w./\\ -]*" for folder in sorted(folders)]
    patterns += [
        rb"(?<![\w.])/(?:home|root|Users|tmp|var|usr|opt|mnt|srv|private|workspace)/[\w.+@/ -]*",
        rb"(?<!\w)[A-Za-z]:[\\/](?:Users[\\/]|(?:[\w.+@ -]{3,}[\\/]){2})[\w.+@/\\ -]*",
        rb"file://[\w./-]+",
        rb"[\w.-]*[/\\][\w./\\-]{3,}\.py\b",
    ]
    found = {match.group().decode("utf-8", "replace") for pattern in patterns for match in re.finditer(pattern, data)}
    return sorted(found)


def _read(path: Path) -> bytes:
    try:
        state = path.stat()
        if not stat.S_ISREG(state.st_mode) and not path.is_dir():
            raise WetgateError(f"{path} is no file (a device or a pipe). Name the .onnx file.")
        if state.st_size > MAX_BYTES:
            raise WetgateError(f"{path} is larger than 2 GB, which no ONNX file can be. Check what it is.")
        with open(path, "rb") as stream:
            skim(stream, state.st_size)  # two gigabytes of something else are not read for that
            stream.seek(0)
            data = stream.read()
    except MalformedFile as error:
        raise WetgateError(_NOT_WHOLE.format(path, error)) from error
    except FileNotFoundError as error:
        raise WetgateError(f"The model {path} does not exist. Check the path, or train first.") from error
    except IsADirectoryError as error:
        raise WetgateError(f"{path} is a folder, not a model. Name the .onnx file in it.") from error
    except OSError as error:
        raise WetgateError(f"The model {path} cannot be read: {error.strerror or error}.") from error
    if not data:
        raise WetgateError(f"The model {path} is empty. Export or copy it again.")
    return data


def _check_self_contained(path: Path, description: Description) -> None:
    if description.external_files:
        raise WetgateError(
            f"{path} keeps its weights in another file ({description.external_files[0]}), which is refused, as such "
            "a reference can point anywhere. Export it as one file."
        )
    if description.foreign_operators:
        raise WetgateError(
            f"{path} needs operators outside standard ONNX ({', '.join(description.foreign_operators[:3])}), "
            "which would need code from elsewhere. Export it with standard operators."
        )


def _card(description: Description) -> ModelCard:
    if any(key.startswith(_PREFIX) for key in description.metadata):
        return ModelCard.from_metadata(description.metadata)
    producer = description.producer if _LINE.fullmatch(description.producer) else ""
    return ModelCard(recipe="", halo=None, encoding="", producer=producer, limits=_FOREIGN_LIMITS)


def _check_interface(card: ModelCard, description: Description) -> tuple[str, ...]:
    """Check inputs and outputs against the card; return the outputs to ask for."""
    inputs, outputs = description.inputs, description.outputs
    if card.foreign:
        if len(inputs) != 1:
            raise WetgateError(f"A model made elsewhere must have one input, a picture; it has {_names(inputs)}.")
        outputs = outputs[:1]
    else:
        if [tensor.name for tensor in inputs] != [INPUT]:
            raise WetgateError(f"Its one input should be '{INPUT}'; it has {_names(inputs)}.")
        if [tensor.name for tensor in outputs] not in ([OUTPUT], [OUTPUT, COVERAGE]):
            raise WetgateError(f"Its outputs should be '{OUTPUT}' and perhaps '{COVERAGE}'; it has {_names(outputs)}.")
    channels = 3 * (2 * card.radius + 1)
    _check_picture(inputs[0], channels, stated=True)
    for tensor, expected in zip(outputs, (3, 1), strict=False):
        _check_picture(tensor, expected, stated=not card.foreign)
    return tuple(tensor.name for tensor in outputs)


def _takes_damage(description: Description) -> bool:
    found = [tensor for tensor in description.defaulted if tensor.name == DAMAGE]
    for tensor in found:
        _check_picture(tensor, 1, stated=True)
    return bool(found)


def _check_picture(tensor: Tensor, channels: int, *, stated: bool) -> None:
    """A float32 [N, channels, H, W] whose H and W are free; ``stated``: the shape must be in the file."""
    if tensor.element_type != 1:
        name = _ELEMENT_TYPES.get(tensor.element_type, f"ONNX type {tensor.element_type}")
        raise WetgateError(f"'{tensor.name}' is {name}; it should be float32 (half precision may be used inside).")
    shape = tensor.shape
    if shape is None and not stated:
        return
    if shape is None or len(shape) != 4 or (shape[1] != channels and (stated or shape[1] is not None)):
        raise WetgateError(f"'{tensor.name}' has shape {_shape(shape)}; it should be [N, {channels}, H, W].")
    if shape[2] is not None or shape[3] is not None:
        raise WetgateError(
            f"'{tensor.name}' is fixed to {shape[3]}x{shape[2]} pixels. Export the model with free height and width."
        )


def _names(tensors: list[Tensor]) -> str:
    return ", ".join(f"'{tensor.name}'" for tensor in tensors) or "none"


def _shape(shape: tuple[int | None, ...] | None) -> str:
    return "none" if shape is None else "[" + ", ".join("?" if size is None else str(size) for size in shape) + "]"


def _value(metadata: dict[str, str], key: str) -> str:
    try:
        return metadata[_PREFIX + key]
    except KeyError as error:
        raise WetgateError(f"Its card lacks '{_PREFIX}{key}'.") from error


def _line(metadata: dict[str, str], key: str) -> str:
    """A text that programs print, write into other files and send on."""
    text = _value(metadata, key)
    if not _LINE.fullmatch(text):
        raise WetgateError(f"Its card holds something else than a short line of text for '{_PREFIX}{key}'.")
    return text


def _whole_number(metadata: dict[str, str], key: str) -> int:
    text = _value(metadata, key)
    if not re.fullmatch(r"\d{1,6}", text):
        raise WetgateError(f"Its card says '{text[:40]}' for '{_PREFIX}{key}' where a whole number belongs.")
    return int(text)
