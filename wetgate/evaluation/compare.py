"""Methods side by side on the same frames: every frame is read once, measured for each method, and let go."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from wetgate.errors import WetgateError
from wetgate.evaluation.metrics import Mask, Meter
from wetgate.evaluation.report import Picture, page_size
from wetgate.evaluation.tables import Row
from wetgate.images import Pixels, to_display

Follow = Callable[[int, str], None]


def unheard(done: int, label: str) -> None:
    """Follow nothing."""


@dataclass(frozen=True)
class Frame:
    """One frame with its truth, in the restoration's encoding.

    mask: what counts, ``[H, W]``; None for all of it. window: the scan's frames around it for a model that looks at
    several, oldest first; empty where they are not to be had.
    """

    number: int
    truth: Pixels
    scan: Pixels | None = None
    mask: Mask | None = None
    window: Sequence[Pixels] = ()


@dataclass(frozen=True)
class Sample:
    """A frame that can be read when its turn comes. label: how it is called, such as ``frame 1041``."""

    label: str
    read: Callable[[], Frame]


@dataclass(frozen=True)
class Method:
    """A way to restore a frame: gives ``[H, W, 3]`` in the restoration's encoding. Costs as in :class:`Row`."""

    name: str
    restore: Callable[[Frame], Pixels]
    parameters: int | None = None
    seconds: float | None = None


@dataclass(frozen=True)
class Outcome:
    """What :func:`compare` found.

    rows: one for each method, means over all frames. frames: the last method, frame by frame. pictures: of it.
    """

    rows: list[Row]
    frames: list[Row]
    pictures: list[Picture]


def scan_method() -> Method:
    """The scan left as it is: what every restoration must beat."""

    def restore(frame: Frame) -> Pixels:
        assert frame.scan is not None
        return frame.scan

    return Method("scan", restore)


def compare(
    samples: Sequence[Sample],
    methods: Sequence[Method],
    *,
    encoding: str,
    inset: int = 0,
    pictures: int = 4,
    follow: Follow = unheard,
) -> Outcome:
    """Measure every method on every sample; the last method is the one in question.

    Args:
        samples: frames in ascending order, so that flicker can be measured between neighbours.
        encoding: of truth, scan and results; measures are of the display-referred pictures.
        inset: pixels left out along each edge.
        pictures: how many frames to keep for the report, spread evenly.
        follow: called with the number of samples done and the label of the last.

    Raises:
        WetgateError: a frame cannot be read, restored or compared; the sentence names it.
    """
    shown = set(np.linspace(0, len(samples) - 1, min(pictures, len(samples))).round().astype(int).tolist())
    meters = [Meter(f"{method.name} picture", inset=inset) for method in methods]
    outcome = Outcome([], [], [])
    for position, sample in enumerate(samples):
        frame = sample.read()
        truth = to_display(frame.truth, encoding)
        for method, meter in zip(methods, meters, strict=True):
            result = to_display(method.restore(frame), encoding)
            try:
                meter.add(frame.number, result, truth, frame.mask)
            except WetgateError as error:
                raise WetgateError(f"{sample.label[:1].upper()}{sample.label[1:]}: {error}") from error
        measures = meters[-1].measures[-1]
        outcome.frames.append(Row(sample.label, measures))
        if position in shown:
            scan = None if frame.scan is None else page_size(to_display(frame.scan, encoding))
            note = f"PSNR {measures.psnr:.2f} dB, dE {measures.delta_e:.2f}, HF gain {measures.hf_gain:.2f}"
            outcome.pictures.append(Picture(sample.label, scan, page_size(result), page_size(truth), note))
        follow(position + 1, sample.label)
    outcome.rows.extend(
        Row(method.name, meter.summary, method.parameters, method.seconds)
        for method, meter in zip(methods, meters, strict=True)
    )
    return outcome
