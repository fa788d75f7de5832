"""What the inference server does for a request: pixels or files in, pixels or files out. No sockets here."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wetgate.errors import WetgateError
from wetgate.files import make_folder
from wetgate.images import read_image, require_outside, write_image
from wetgate.inference.curves import Curves
from wetgate.inference.frames import Frame, marks, restore_frame
from wetgate.inference.frames import Restored as RestoredFrame
from wetgate.inference.models import Described, Loaded, Models
from wetgate.inference.pixels import fill_bad, matte
from wetgate.inference.session import OutOfMemory, Stop, Stopped
from wetgate.inference.tiles import Effort
from wetgate.records.receipts import file_hash
from wetgate.service.layout import check_layout
from wetgate.service.protocol import WANTS_CURVES, Code, Device, Model, Render, RenderFile, Restored

DEVICE_NAMES = {Device.AUTO: "auto", Device.CPU: "cpu", Device.CUDA: "cuda"}

Array = NDArray[np.float32]
Turn = Callable[[Callable[[], RestoredFrame]], RestoredFrame]
"""Runs what computes when the device's turn comes, and gives its result."""


class Refusal(WetgateError):
    """Why a request is not done: ``code`` for programs, a sentence for the artist."""

    def __init__(self, code: Code, sentence: str) -> None:
        super().__init__(sentence)
        self.code = code


def describe(models: Models, model: str) -> Model:
    """Answer DESCRIBE.

    Raises:
        Refusal: the model cannot be used.
    """
    described = _described(models, model)
    card = described.card
    return Model(
        radius=card.radius,
        gives_coverage=described.gives_coverage,
        halo=card.halo,
        sha256=described.sha256,
        recipe=card.recipe,
        encoding=card.encoding,
        colour_space=card.colour_space,
        protected=card.protected,
        producer=card.producer,
        limits="\n".join([*card.limits, *([WANTS_CURVES] if models.wants_curves(Path(model)) else [])]),
    )


def render(models: Models, request: Render, memory: memoryview, stop: Stop) -> Restored:
    """Answer RENDER, in ``memory``.

    Raises:
        Refusal: it cannot be done, or ``stop`` was requested.
    """
    started = time.perf_counter()
    loaded = _loaded(models, request.model, request.device, len(request.numbers))
    height, width = request.height, request.width
    problem = check_layout(request, len(memory))
    if problem:
        raise Refusal(Code.MEMORY, problem)
    parts = [(request.input, 3 * len(request.numbers)), (request.output, 3)]
    if request.coverage is not None:
        parts.append((request.coverage, 1))
    window, restored, *more = (
        np.frombuffer(memory, np.float32, planes * height * width, offset).reshape(planes, height, width)
        for offset, planes in parts
    )
    coverage = more[0][0] if more and loaded.restorer.session.gives_coverage else None
    with _refused_as(Code.FAILED):
        curves = models.curves_for(Path(request.model), request.curves)
        effort = loaded.restorer.restore_into(_clean(window, request, curves), restored, coverage, stop)
    return _answer(loaded, effort, coverage is not None, started)


def render_file(models: Models, request: RenderFile, turn: Turn, stop: Stop) -> Restored:
    """Answer RENDER_FILE: the picture is written whole or not at all, as ``wetgate apply`` writes it.

    Raises:
        Refusal: it cannot be done, or ``stop`` was requested.
    """
    loaded = _loaded(models, request.model, request.device, len(request.scans))
    output, scans = Path(request.output), [Path(scan) for scan in request.scans]
    source, number = scans[len(scans) // 2], request.numbers[len(scans) // 2]
    with _refused_as(Code.FILE):
        _check_files(output, scans)
        if request.mask and Path(request.mask).resolve() == output.resolve():
            raise WetgateError(f"{output} is the mask, which would be overwritten: choose another output.")
        curves = models.curves_for(Path(request.model), request.curves)
        window = _read_window(scans, request.numbers, curves)
        image = window[len(window) // 2].image
        weights = matte(read_image(request.mask), image.size) if request.mask else None
        source_sha256 = file_hash(source)
    started = time.perf_counter()
    with _refused_as(Code.FAILED):
        restored = turn(lambda: restore_frame(window, weights, loaded.restorer, source.name, stop))
    with _refused_as(Code.FILE):
        if output.suffix.lower() == ".exr":
            steadied = () if curves is None else (curves.of(number), curves.place_of(number))
            said = marks(
                loaded.restorer.session.card, loaded.sha256, source, source_sha256, number, *(steadied or (None,))
            )
            image = replace(image, header=image.header.with_attributes(said))
        make_folder(output.parent)
        write_image(output, restored.pixels, like=image.header, alpha=image.alpha)
    return _answer(loaded, restored.effort, False, started)


def _described(models: Models, model: str) -> Described:
    if not Path(model).is_absolute():
        raise Refusal(Code.MODEL, f"'{model}' is no absolute path of a model file: choose the file again.")
    with _refused_as(Code.MODEL):
        return models.describe(Path(model))


def _loaded(models: Models, model: str, device: Device, frames: int) -> Loaded:
    """The model on its device.

    Raises:
        Refusal: it cannot be used, does not load there, or looks at another number of frames.
    """
    _described(models, model)
    with _refused_as(Code.FAILED):
        loaded = models.load(Path(model), DEVICE_NAMES[device])
    wanted = 2 * loaded.restorer.session.card.radius + 1
    if frames != wanted:
        raise Refusal(Code.WINDOW, f"{model} looks at {wanted} frames at a time, but {frames} were given.")
    return loaded


def _clean(window: Array, request: Render, curves: Curves | None) -> list[Array]:
    """The window as the model may see it: numbers everywhere, at a steady exposure. ``window`` itself stays."""
    if not request.may_hold_nan and curves is None:
        return [window]
    frames = []
    for index, number in enumerate(request.numbers):
        pixels = window[3 * index : 3 * index + 3].transpose(1, 2, 0)
        if request.may_hold_nan:
            pixels, _ = fill_bad(pixels)
        if curves is not None:
            pixels = curves.steady(number, pixels)
        frames.append(pixels.transpose(2, 0, 1))
    return frames


def _check_files(output: Path, scans: Sequence[Path]) -> None:
    for path in (output, *scans):
        if not path.is_absolute():
            raise WetgateError(f"'{path}' is no absolute path: name the file with its folders.")
    require_outside(output, output.resolve().parent, scans)


def _read_window(scans: Sequence[Path], numbers: Sequence[int], curves: Curves | None) -> list[Frame]:
    """The frames in these files, each file read once, steadied where there are curves."""
    frames: dict[Path, Frame] = {}
    for scan, number in zip(scans, numbers, strict=True):
        if scan not in frames:
            frame = Frame.of(read_image(scan))
            frames[scan] = frame if curves is None else replace(frame, clean=curves.steady(number, frame.clean))
    first = frames[scans[0]].image
    for scan, frame in frames.items():
        if frame.image.size != first.size:
            raise WetgateError(
                f"{scan} is {frame.image.size[0]} x {frame.image.size[1]}, but {scans[0].name} is "
                f"{first.size[0]} x {first.size[1]}; all frames of a sequence must have one size."
            )
    return [frames[scan] for scan in scans]


def _answer(loaded: Loaded, effort: Effort, coverage: bool, started: float) -> Restored:
    return Restored(
        device=Device.CUDA if loaded.device == "cuda" else Device.CPU,
        bits=loaded.bits,
        coverage=coverage,
        tiles=effort.tiles,
        model_us=round(effort.model_s * 1e6),
        total_us=round((time.perf_counter() - started) * 1e6),
        sha256=loaded.sha256,
    )


@contextlib.contextmanager
def _refused_as(code: Code) -> Iterator[None]:
    """Raise what goes wrong inside as a :class:`Refusal`: of ``code``, where nothing more exact is known."""
    try:
        yield
    except Refusal:
        raise
    except Stopped as error:
        raise Refusal(Code.CANCELLED, str(error)) from error
    except (OutOfMemory, MemoryError) as error:
        sentence = str(error) or "There is not enough memory for a picture of this size."
        raise Refusal(Code.OUT_OF_MEMORY, sentence) from error
    except WetgateError as error:
        raise Refusal(code, str(error)) from error
