"""The `steady` recipe: flicker, gate weave and shrinkage taken out of a scan.

Nothing is learnt: exposure and movement of every frame are measured against its neighbours, in two passes over the
scan. The model that comes out leaves pictures as they are; what lies beside it (``steady.json``) steadies each frame
before the model sees it, in `wetgate apply` and in the node alike, with one resampling. At the end a stretch of the
steadied scan is measured again, so that the report says what is left.

Features: a pan stays, cuts are told apart, frames that show too little are left alone and named.
Limits: a hand-held camera's own tremble cannot be told from weave; shrinkage cannot be told from the film alone.
Errors: no scan, several scans, no frame that can be read, a full disk. A stop leaves nothing behind but the run.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wetgate.errors import WetgateError
from wetgate.evaluation import Picture, Report, write_report
from wetgate.evaluation.plots import Plot, Points
from wetgate.files import make_folder, write_bytes, write_json
from wetgate.images import Image, Source, format_frames, open_source, parse_frames, read_header, to_display, write_image
from wetgate.inference.curves import Curves, density_of, identity, sidecar
from wetgate.pairing import weave
from wetgate.pairing.prepare import prepare
from wetgate.pairing.reading_ahead import Part
from wetgate.pairing.resampling import shrink
from wetgate.pairing.steadying import Wanted, measure
from wetgate.pairing.weave import Movement, Shot
from wetgate.project import Restoration, Run
from wetgate.recipes import shrinkage
from wetgate.recipes.options import Options
from wetgate.recipes.work import Follow, Work

Array = NDArray[np.float32]

PROTECTED = "all but flicker and weave"
JUDGED = 48
"""Frames that are measured again once they are steady."""
AVERAGED = 13
"""Frames whose mean the report shows: what moves is blurred in it."""

_MIDDLE = 0.3
_SHOWN_SIDE = 960


def train(
    restoration: Restoration,
    run: Run,
    options: Options,
    started: float,
    follow: Follow = lambda status: None,
) -> dict[str, Any]:
    """Measure the scan; the run's lock must be held.

    Args:
        restoration: whose footage; pairs only say how much the film has shrunk.
        run: where everything goes.
        options: "steady" (exposure, too), "shrinkage" and "fill" mean something here; it takes what time it takes.
        started: ``time.monotonic()`` of the start, from which seconds count.
        follow: gets each status as it is written.

    Returns:
        What came out: "state", "model", "report", "held_out" (what is found in a stretch of the scan, and again once
        it is steady: "weave_px" and "flicker" in density, as deviations), "unmoved" frames, "summary".

    Raises:
        WetgateError: there is no scan, or not one; no frame can be read; or the disk is full.
    """
    work = Work(restoration, run, options, started, follow)
    return work.carry_out(_Steadying(work).go)


class _Steadying:
    def __init__(self, work: Work) -> None:
        self.work = work
        self.restoration, self.run, self.options = work.restoration, work.run, work.options
        self.encoding = work.restoration.encoding

    def go(self) -> dict[str, Any]:
        pattern, frames = footage_of(self.restoration)
        wanted = Wanted(self.options.steady, self._shrinkage(), self.options.fill)
        with open_source(pattern) as whole:
            scan = _Watched(whole, chosen(whole, frames), self.encoding)
            measured_of = identity(whole)  # as it is before it is read: what changes meanwhile is another scan
            total = 2 * len(scan.frames)

            def follow(done: int, note: str) -> None:
                left = self.work.elapsed() * (total - done) / done
                self.work.tell(message=f"measuring {note}", eta_s=round(left, 1))
                self.work.obey()

            curves, movement = measure(scan, self.encoding, wanted, follow)
            curves = replace(curves, scan=measured_of)
            write_bytes(sidecar(self.run.model), curves.dumps().encode())
            judged = self._judged(scan, curves, movement)
            record = self._record(wanted, curves, judged)
            self.work.publish(lambda ops, pictures: pictures, self.work.card(record, protected=PROTECTED), "measured")
            self._report(scan, curves, movement, wanted, judged)
            write_json(self.run.record, record)
        measured = sorted(curves.frames)
        return {
            "pairs": 0,
            "steps": 0,
            "report": str(self.run.report),
            "curves": str(sidecar(self.run.model)),
            "steadied": curves.extent(measured),
            "unmoved": format_frames(_untold(curves, movement)),
            "left_out": format_frames(_left_out(scan, curves)),
            "held_out": judged,
            "summary": _summary(scan, curves, movement, judged),
        }

    def _shrinkage(self) -> tuple[float, float]:
        """Of width and height."""
        said = self.options.shrinkage
        if said != shrinkage.REFERENCE:
            return shrinkage.parse(said) if said else (0.0, 0.0)
        self.work.tell(message="laying references over their scans")
        pairs = [pair for pair, _ in prepare(self.restoration, lambda pair: self.work.obey())]
        return shrinkage.of_pairs(pairs, [(_size(pair.scan), _size(pair.reference)) for pair in pairs])

    def _judged(self, scan: _Watched, curves: Curves, movement: Movement) -> dict[str, dict[str, float]]:
        """What is found in a stretch of the scan, and what is found again in the steadied one."""
        frames = _stretch(movement, scan)
        if len(frames) < weave.LEAST_FRAMES:
            return {}
        self.work.tell(message="measuring what is left", eta_s=None)
        found = {}
        for name, some in (("scan", curves), ("restored", None)):
            again, moved = (
                (some, movement)
                if some is not None
                else measure(_Steadied(scan, frames, curves), self.encoding, Wanted())
            )
            found[name] = _figures(again, moved, frames)
            self.work.obey()
        return found

    def _record(self, wanted: Wanted, curves: Curves, judged: dict[str, dict[str, float]]) -> dict[str, Any]:
        limits = [
            "Made for one scan: its values lie beside the model. Another scan is measured anew.",
            "Movement that trembles as weave does is taken for weave, a hand-held camera's too.",
        ]
        if wanted.shrinkage != (0.0, 0.0) and self.options.shrinkage != shrinkage.REFERENCE:
            limits.append("The shrinkage is what the operator said, not what was measured.")
        return self.work.record(
            trained=[],
            protected=PROTECTED,
            limitations=limits,
            results={"wanted": wanted.to_json(), "measured": judged, "steadied": curves.extent(sorted(curves.frames))},
        )

    def _report(
        self,
        scan: _Watched,
        curves: Curves,
        movement: Movement,
        wanted: Wanted,
        judged: dict[str, dict[str, float]],
    ) -> None:
        self.work.tell(message="writing the report")
        untold, left_out = _untold(curves, movement), _left_out(scan, curves)
        limits = ["The camera's own tremble cannot be told from weave, and is taken out with it."]
        if untold:
            limits.append(
                f"Frames {format_frames(untold)} are left where they lie: they show too little to tell, or their shot "
                "is too short."
            )
        if left_out:
            limits.append(f"Frames {format_frames(left_out)} could not be read, so nothing is known of them.")
        if wanted.fill == "edge":
            limits.append("Where a frame is moved in from outside, its outermost pixels go on.")
        if wanted.shrinkage == (0.0, 0.0):
            limits.append("Shrinkage was not looked at: the film alone cannot tell it.")
        write_report(
            self.run.report,
            Report(
                title=f"{self.restoration.folder.name}, run {self.run.number:03d}",
                headline=_summary(scan, curves, movement, judged),
                facts=_facts(curves, movement, wanted, judged),
                pictures=self._pictures(scan, curves, movement),
                plots=_plots(scan, curves, movement),
                plots_title="Movement and exposure",
                limits=limits,
                settings=self.run.settings,
            ),
        )

    def _pictures(self, scan: _Watched, curves: Curves, movement: Movement) -> list[Picture]:
        """The mean of some frames of the stillest stretch, before and after."""
        frames = _stillest(movement, AVERAGED) or sorted(curves.frames)[:1]
        sums: list[Array] = []
        for frame in frames:
            self.work.obey()
            pixels = np.nan_to_num(scan.read(frame).pixels, nan=0.0, posinf=1.0, neginf=0.0)
            both = (to_display(one, self.encoding) for one in (pixels, curves.steady(frame, pixels)))
            sums = [total + one for total, one in zip(sums, both, strict=True)] if sums else list(both)
        before, after = (np.clip(total / len(frames), 0, 1).astype(np.float32) for total in sums)
        strip = np.hstack([shrink(picture, _SHOWN_SIDE) for picture in (before, after)])
        write_image(make_folder(self.run.previews) / "latest.png", strip, bit_depth="8")
        return [Picture(f"mean of frames {format_frames(frames)}", before, after)]


def footage_of(restoration: Restoration) -> tuple[str, list[int] | None]:
    """The one scan of a restoration, a pattern, and which of its frames; None for all.

    Raises:
        WetgateError: there is none, or there are several.
    """
    added = restoration.footage
    scans = list(dict.fromkeys(one["scan"] for one in added))
    scans = scans or list(dict.fromkeys(s["path"] for s in restoration.sources if s["element"] == "scan" and s["path"]))
    if len(scans) != 1:
        what = f"speaks of {len(scans)} scans" if scans else "knows no scan"
        raise WetgateError(
            f"{restoration.folder} {what}, but steadies one: make a restoration for each, with "
            "`wetgate add FOLDER --scan PATTERN`."
        )
    frames = sorted({frame for one in added for frame in parse_frames(one["frames"])})
    return scans[0], frames or None


def chosen(source: Source, frames: Sequence[int] | None) -> list[int]:
    """``frames`` that the source has, or all of them.

    Raises:
        WetgateError: it has none of them.
    """
    found = [frame for frame in source.frames if frames is None or frame in set(frames)]
    if not found:
        raise WetgateError(f"{source.name} has none of the frames that were added: check the path of the scan.")
    return found


class _Watched(Part):
    """Notes the exposure of frames as they are read: ``densities`` [3] by frame."""

    def __init__(self, whole: Source, frames: Sequence[int], encoding: str) -> None:
        super().__init__(whole, frames)
        self.densities: dict[int, NDArray[np.float64]] = {}
        self._encoding = encoding

    def read(self, frame: int) -> Image:
        image = self._whole.read(frame)
        if frame not in self.densities:
            some = np.nan_to_num(image.pixels[::8, ::8], nan=0.0, posinf=1.0, neginf=0.0)
            self.densities[frame] = density_of(some, self._encoding).mean(axis=(0, 1), dtype=np.float64)
        return image


class _Steadied(Part):
    """Frames as the model gets them."""

    def __init__(self, whole: Source, frames: Sequence[int], curves: Curves) -> None:
        super().__init__(whole, frames)
        self._curves = curves

    def read(self, frame: int) -> Image:
        image = self._whole.read(frame)
        pixels = np.nan_to_num(image.pixels, nan=0.0, posinf=1.0, neginf=0.0)
        return Image(self._curves.steady(frame, pixels), None, image.header, image.path)


def _size(path: Path) -> tuple[int, int]:
    return read_header(path).size


def _stretch(movement: Movement, scan: Source) -> list[int]:
    """Frames in a row of the longest shot, from its middle."""
    longest = max((shot.frames for shot in movement.shots), key=len, default=[])
    first = max(0, (len(longest) - JUDGED) // 2)
    return longest[first : first + JUDGED]


def _stillest(movement: Movement, count: int) -> list[int]:
    """So many frames in a row, or a shorter shot's all, over which the camera moves least."""
    best: tuple[float, list[int]] = (np.inf, [])
    for shot in movement.shots:
        if not np.isfinite(shot.weave).all(axis=1).any():
            continue
        size = min(count, len(shot.frames))
        for first in range(len(shot.frames) - size + 1):
            part = shot.camera[first : first + size, :2]
            reach = float(np.ptp(part, axis=0).max()) if np.isfinite(part).all() else np.inf
            reach = (reach + 1) * count / size
            if reach < best[0]:
                best = reach, shot.frames[first : first + size]
    return best[1]


def _figures(curves: Curves, movement: Movement, frames: Sequence[int]) -> dict[str, float]:
    """Deviations of what is found in ``frames``: of the weave, in pixels, and of the exposure, in density."""
    some = set(frames)
    moved = np.array(
        [row[:2] for shot in movement.shots for n, row in zip(shot.frames, shot.weave, strict=True) if n in some]
    ).reshape(-1, 2)
    moved = moved[np.isfinite(moved).all(axis=1)]
    exposed = np.array([[o + _MIDDLE * g for o, g in curves.of(n)] for n in frames if n in curves.frames])
    return {
        "weave_px": round(float(np.sqrt(np.square(moved).sum(axis=1).mean())) if len(moved) else 0.0, 4),
        "flicker": round(float(np.sqrt(np.square(exposed).mean())) if len(exposed) else 0.0, 5),
    }


def _untold(curves: Curves, movement: Movement) -> list[int]:
    """Frames of which nothing is known: they show too little, or their shot is too short to tell weave in."""
    told: set[int] = set()
    for shot in movement.shots:
        frames = [frame for frame, row in zip(shot.frames, shot.weave, strict=True) if np.isfinite(row).all()]
        told.update(frames if len(frames) >= weave.LEAST_FRAMES else [])
    return sorted(set(curves.frames) - told)


def _left_out(scan: Source, curves: Curves) -> list[int]:
    return sorted(set(scan.frames) - set(curves.frames))


def _summary(scan: Source, curves: Curves, movement: Movement, judged: dict[str, dict[str, float]]) -> str:
    extent = curves.extent(sorted(curves.frames))
    parts = [f"{extent['moved']} of {len(curves.frames)} frames are moved, by up to {extent['furthest_px']:.1f} pixels"]
    parts.append(f"{extent['frames']} get another exposure, by up to {extent['largest']:.3f} density")
    untold, left_out = _untold(curves, movement), _left_out(scan, curves)
    if untold:
        parts.append(f"{len(untold)} stay where they are, for they or their shots show too little to tell")
    if left_out:
        parts.append(f"{format_frames(left_out)} could not be read")
    sentence = "; ".join(parts) + "."
    if judged:
        before, after = judged["scan"], judged["restored"]
        sentence += (
            f" Weave of {before['weave_px']:.2f} pixels (deviation) before, {after['weave_px']:.2f} after; "
            f"flicker of {before['flicker']:.4f} density before, {after['flicker']:.4f} after."
        )
    return sentence


def _facts(curves: Curves, movement: Movement, wanted: Wanted, judged: dict[str, dict[str, float]]) -> dict[str, str]:
    facts = {
        "frames": str(len(curves.frames)),
        "shots": str(len(movement.shots)),
        "edges": {"edge": "outermost pixels go on", "zoom": "enlarged until none shows"}[wanted.fill],
    }
    if wanted.shrinkage != (0.0, 0.0):
        across, down = (f"{100 * share:.2f} %" for share in wanted.shrinkage)
        facts["shrinkage"] = f"{down} along the film, {across} across"
    if judged:
        facts["measured again"] = (
            f"{judged['restored']['weave_px']:.2f} px, {judged['restored']['flicker']:.4f} density"
        )
    return facts


def _plots(scan: _Watched, curves: Curves, movement: Movement) -> list[Plot]:
    plots = []
    for index, name in enumerate(("across", "down")):
        seen = [("measured", _over_frames(movement.shots, "path", index))]
        seen.append(("camera: what is left", _over_frames(movement.shots, "camera", index)))
        plots.append(Plot(f"Movement {name}", seen, x_label="frame", y_label="pixels"))
    taken = [(name, _over_frames(movement.shots, "weave", index)) for index, name in enumerate(("across", "down"))]
    plots.append(Plot("Weave that is taken out", taken, x_label="frame", y_label="pixels"))
    before, after = [], []
    for frame in sorted(set(scan.densities) & set(curves.frames)):
        offset, gain = curves.of(frame)[1]
        level = float(scan.densities[frame][1])
        before.append((float(frame), level))
        after.append((float(frame), level + offset + gain * level))
    exposure = [("before", before), ("after", after)]
    plots.append(Plot("Exposure, green", exposure, x_label="frame", y_label="mean density"))
    return plots


def _over_frames(shots: Sequence[Shot], what: str, index: int) -> Points:
    return [
        (float(frame), float(row[index]))
        for shot in shots
        for frame, row in zip(shot.frames, getattr(shot, what), strict=True)
    ]
