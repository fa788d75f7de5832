"""Models one after another, frame by frame: what one makes the next is given, and no file lies between them.

Each model gets what it would be given if the one before had been run over the whole scan into float EXR files: the same
bits. A temporal model later in a chain looks at restored frames before and after; those are made too, each once, and
kept as long as a window needs them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from wetgate.errors import WetgateError
from wetgate.images import Image, Source, guess_encoding
from wetgate.inference.curves import Curves
from wetgate.inference.frames import Frame, Restored, restore_frame
from wetgate.inference.reading import Masks, Unreadable, WindowReader
from wetgate.inference.session import Session
from wetgate.inference.summary import FrameResult
from wetgate.inference.tiles import Restorer
from wetgate.service.layout import window_of

_VISIBLE_COLOUR = 0.01

Array = NDArray[np.float32]


@dataclass(frozen=True)
class Stage:
    """One model of a chain.

    Attributes:
        session: the model.
        curves: exposure curves that steady what it is given, or None.
        damage: masks of what it is to repair, by frame number, or one picture for all; None: it finds that itself.
    """

    session: Session
    curves: Curves | None = None
    damage: Source | None = None


class Plan:
    """Which frames each stage makes, and from which frames of the stage before it.

    Args:
        radii: of the stages' models, first stage first.
        frames: what the last stage is to make, ascending.
        present: the frames of the scan.

    Attributes:
        windows: for each stage, by the frames that it makes, ascending: the frames that it looks at.
        scans: the frames of the scan that are read, ascending.
    """

    def __init__(self, radii: Sequence[int], frames: Sequence[int], present: frozenset[int]) -> None:
        self.windows: list[dict[int, tuple[int, ...]]] = []
        self.scans = list(frames)
        for radius in reversed(radii):
            windows = {frame: window_of(frame, radius, present) for frame in self.scans}
            self.windows.insert(0, windows)
            self.scans = sorted({number for window in windows.values() for number in window})


@dataclass(frozen=True)
class Made:
    """A frame that a stage has made.

    Attributes:
        pixels: float32 [H, W, 3].
        scan: the scan's frame, as read.
        weights: of its mask [H, W], or None.
        result: figures so far; see :data:`wetgate.inference.summary.FrameResult`.
    """

    pixels: Array
    scan: Image
    weights: Array | None
    result: FrameResult


class Maker(Protocol):
    """Makes frames in their order."""

    @property
    def coming(self) -> int | None:
        """The frame that :meth:`next` makes; None after the last."""

    def next(self) -> Made:
        """Make a frame; whatever happens, the one after it is next.

        Raises:
            Unreadable: a file that it depends on cannot be read.
            WetgateError: a model failed.
        """


def chain(
    stages: Sequence[Stage], tile: int | None, plan: Plan, reader: WindowReader, damage: Sequence[Masks | None]
) -> Maker:
    """The maker of a plan's frames.

    Args:
        stages: the models, first one first.
        tile: pixels kept on a side of a tile, or None: as many as memory allows. In a chain, models that see whole
            frames only are left alone.
        plan: of the same stages.
        reader: of the first stage's windows.
        damage: of each stage, its masks or None; those of the first stage come from ``reader``.
    """
    whole_frames = [stage.session.card.halo is None and len(stages) > 1 for stage in stages]
    restorers = [
        Restorer(stage.session, None if whole else tile) for stage, whole in zip(stages, whole_frames, strict=True)
    ]
    maker: Maker = _First(restorers[0], plan.windows[0], reader)
    for stage, restorer, windows, masks in list(zip(stages, restorers, plan.windows, damage, strict=True))[1:]:
        maker = _Later(stage, restorer, windows, maker, masks)
    return maker


class _Ordered:
    def __init__(self, windows: Mapping[int, tuple[int, ...]]) -> None:
        self._windows, self._order, self._done = windows, list(windows), 0

    @property
    def coming(self) -> int | None:
        return self._order[self._done] if self._done < len(self._order) else None

    def _take(self) -> int:
        self._done += 1
        return self._order[self._done - 1]


class _First(_Ordered):
    """Frames made from the scan."""

    def __init__(self, restorer: Restorer, windows: Mapping[int, tuple[int, ...]], reader: WindowReader) -> None:
        super().__init__(windows)
        self._restorer, self._reader = restorer, reader

    def next(self) -> Made:
        frame = self._take()
        window, weights, damage = self._reader.read(self._done - 1)
        middle = window[len(window) // 2]
        restored = restore_frame(window, weights, self._restorer, f"frame {frame}", damage=damage)
        result: FrameResult = {
            "bad_pixels": 0 if middle.bad is None else int(middle.bad.sum()),
            "stated_encoding": guess_encoding(middle.image.header),
        }
        return Made(restored.pixels, middle.image, weights, _added(result, restored, self._restorer))


class _Later(_Ordered):
    """Frames made from those that the stage before makes."""

    def __init__(
        self,
        stage: Stage,
        restorer: Restorer,
        windows: Mapping[int, tuple[int, ...]],
        before: Maker,
        damage: Masks | None,
    ) -> None:
        super().__init__(windows)
        self._curves, self._restorer, self._before, self._damage = stage.curves, restorer, before, damage
        self._frames: dict[int, Frame | Unreadable] = {}
        self._made: dict[int, Made] = {}

    def next(self) -> Made:
        frame = self._take()
        numbers = self._windows[frame]
        self._fill(numbers[-1])
        found = [self._frames[number] for number in numbers]
        made = self._made.pop(frame, None)
        self._forget()
        window = [one for one in found if isinstance(one, Frame)]
        unreadable = [one for one in found if isinstance(one, Unreadable)]
        if unreadable or made is None:
            raise Unreadable(str(unreadable[0]))
        damage = _weights_of(self._damage, frame) if self._damage else None
        restored = restore_frame(window, made.weights, self._restorer, f"frame {frame}", damage=damage)
        return replace(made, pixels=restored.pixels, result=_added(made.result, restored, self._restorer))

    def _fill(self, last: int) -> None:
        """Have the stage before make its frames up to ``last``."""
        while (number := self._before.coming) is not None and number <= last:
            try:
                made = self._before.next()
            except Unreadable as error:
                self._frames[number] = error
                continue
            self._frames[number] = self._as_read(number, made)
            if number in self._windows:
                self._made[number] = made

    def _as_read(self, number: int, made: Made) -> Frame:
        """What reading the frame from a float EXR file would give, steadied where it is due here."""
        header = made.scan.header
        pixels = made.pixels
        if header.data_window != header.window:  # a file holds nothing beyond it
            inside = header.data_window.within(header.window)
            pixels = np.zeros_like(pixels)
            pixels[inside] = made.pixels[inside]
        frame = Frame.of(Image(pixels, None, header))
        return frame if self._curves is None else replace(frame, clean=self._curves.steady(number, frame.clean))

    def _forget(self) -> None:
        coming = self.coming
        oldest = None if coming is None else self._windows[coming][0]
        for number in [number for number in self._frames if oldest is None or number < oldest]:
            del self._frames[number]


def _weights_of(masks: Masks, frame: int) -> Array | None:
    try:
        return masks.weights(frame)
    except WetgateError as error:
        raise Unreadable(str(error)) from error


def _added(result: FrameResult, restored: Restored, restorer: Restorer) -> FrameResult:
    """The figures of a frame after one stage more."""
    device = restorer.session.device
    devices = result.get("device", device).split(", ")
    added = {
        **result,
        "device": ", ".join(dict.fromkeys([*devices, device])),
        "unusable_pixels": result.get("unusable_pixels", 0) + restored.unusable,
    }
    if restored.coverage is not None:
        added["coverage"] = min(float(restored.coverage.mean(dtype=np.float64)), result.get("coverage", 1.0))
    if restored.colour > _VISIBLE_COLOUR:
        added["colour_dropped"] = max(restored.colour, result.get("colour_dropped", 0.0))
    return added
