"""The `damage` recipe: dust, scratches, stains and splices, found and repaired without any reference.

Networks start from what was learnt on made-up scenes (:mod:`wetgate.training.damage_prior`), which is the first
model.onnx. Four steps: take windows out of the film (frames with their neighbours, a part of each), train both networks
on simulated damage over them (a model.onnx at each checkpoint), choose the threshold on windows that no lesson was made
of, report. Where the restoration has pairs, what their scans show and their references do not is learnt as damage too.

Errors: nothing to learn from, frames that are too small or cannot be read, a full disk. A stop keeps the model that is
there.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from wetgate.errors import WetgateError
from wetgate.images import open_source, parse_frames
from wetgate.inference.pixels import fill_bad
from wetgate.onnx_model import ModelCard
from wetgate.pairing.prepare import prepare
from wetgate.project import Pair, Restoration, Run
from wetgate.recipes.neighbours import possible_radius, window
from wetgate.recipes.options import Options
from wetgate.recipes.work import Follow, Work
from wetgate.service.layout import window_of
from wetgate.training.damage_model import LEAST, MOST, MULTIPLE, DamageModel, forward, to_display_values
from wetgate.training.operations import Numpy

if TYPE_CHECKING:
    from wetgate.training.damage_lessons import Lesson
    from wetgate.training.damage_task import DamageTask, Material
    from wetgate.training.loop import State

Array = NDArray[np.float32]

RADIUS = 1
SIDE = 192
"""Pixels on a side of the windows that lessons are made of."""
LEAST_SIDE = 80
FRAMES, PARTS = 30, 2
"""Frames that windows are taken from, for a minute's training; more for longer ones, up to twice as many. And windows
of each."""
HELD_OUT = 5
"""Each fifth frame is for judging alone."""
LESSONS_PER_SECOND, LESSONS_PER_STEP, MOST_LESSONS = 2.4, 0.4, 720
"""Fewer are learnt by heart: what is found on other shots then gets worse with every step."""
USUAL_WIDTHS = 640, 2048
"""On frames as wide as these damage is simulated at the sizes that dirt has there; smaller on narrower ones, larger on
wider ones."""
RATE = 1e-3
"""Largest learning rate: networks know much before they see the film."""
FIRST_THRESHOLD = 1.5
"""Of the model before training."""
REPORT_S = 4.0
LIMITS = (
    "The damage is simulated, and like that of the lessons: what is on the film may be found less well. Look through "
    "the masks that `wetgate detect` writes.",
    "Windows come from all over the footage: a scene that no window shows may come out worse.",
)
PROTECTED = "all outside the damage"


def train(
    restoration: Restoration,
    run: Run,
    options: Options,
    started: float,
    follow: Follow = lambda status: None,
) -> dict[str, Any]:
    """Train, or go on after a kill; the run's lock must be held.

    Args:
        restoration: whose footage and pairs.
        run: where everything goes.
        options: see :class:`Options`; of "radius" 1 and 2 count. Scans are never steadied: outside the damage every
            pixel is the scan's own.
        started: ``time.monotonic()`` of the start, from which seconds count.
        follow: gets each status as it is written.

    Returns:
        What came out: "state", "model", "report", "held_out" measures by method, "found" (what held-out windows say:
        "f1", "false_share", "psnr", "threshold"), "windows", "steps", "summary".

    Raises:
        WetgateError: there is nothing to learn from, a picture cannot be read, or the disk is full.
    """
    work = Work(restoration, run, replace(options, steady=False), started, follow)
    return work.carry_out(_Training(work).go)


class _Training:
    def __init__(self, work: Work) -> None:
        self.work = work
        self.restoration, self.run, self.options = work.restoration, work.run, work.options
        self.encoding = work.restoration.encoding
        self.radius = RADIUS if self.options.radius is None else self.options.radius
        self.pairs: list[int] = []
        self.windows: list[Array] = []
        self.origins: list[tuple[str, int]] = []
        self.given: list[Lesson] = []
        self.scales: list[float] = []

    def go(self) -> dict[str, Any]:
        if self.radius == 0:
            raise WetgateError(
                "Damage is told from the picture by the frames before and after: train with --radius 1 or 2."
            )
        self._take_in()
        return self._finish(*self._train())

    # Take in the film

    def _take_in(self) -> None:
        """Windows of the footage, and of the pairs; a resumed run takes the same ones."""
        self.work.tell(message="taking windows out of the film")
        plan = self.run.settings.get("windows")
        if plan is None:
            plan = self._planned() if self.restoration.footage else []
            self.run.settings["windows"] = plan
            self.work.keep_settings()
        self.windows = list(self._cut_out(plan))
        self.origins = [(one["scan"], one["frame"]) for one in plan]
        self.scales = [_scale_of(one["width"]) for one in plan]
        if self.restoration.pairs():
            self._take_in_pairs()
        if len(self.windows) < 2:
            raise WetgateError(
                f"{self.restoration.folder} has {len(self.windows)} windows of film to learn from: add frames of the "
                f"scan with `wetgate add {self.restoration.folder} --scan PATTERN --frames FRAMES`."
            )
        self.judging, self.learning = held_out(self.origins)
        self.run.emit({"event": "windows", "trained": len(self.learning), "held_out": len(self.judging)})

    def _planned(self) -> list[dict[str, Any]]:
        """Which part of which frame, spread over all footage."""
        seconds = self.options.seconds or 60.0
        wanted = int(FRAMES * min(max(seconds / 60, 1.0), 2.0))
        random = np.random.default_rng(self.options.seed)
        frames = [(one["scan"], frame) for one in self.restoration.footage for frame in parse_frames(one["frames"])]
        chosen = sorted({round(at) for at in np.linspace(0, len(frames) - 1, wanted)})
        repeats = PARTS * max(1, wanted // max(len(chosen), 1))
        plan = []
        for scan, spot in itertools.groupby((frames[at] for at in chosen), key=lambda one: one[0]):
            with open_source(scan) as source:
                width, height = source.size
            if min(width, height) < LEAST_SIDE:
                raise WetgateError(
                    f"{scan} is {width} x {height} pixels; damage is learnt on frames of {LEAST_SIDE} x {LEAST_SIDE} "
                    "and more."
                )
            size = [min(SIDE, length // MULTIPLE * MULTIPLE) for length in (height, width)]
            for (_, frame), _ in itertools.product(spot, range(repeats)):
                place = [
                    int(random.integers(length - side + 1)) for length, side in zip((height, width), size, strict=True)
                ]
                plan.append(
                    {"scan": scan, "frame": frame, "region": [place[1], place[0], size[1], size[0]], "width": width}
                )
        return plan

    def _cut_out(self, plan: Sequence[dict[str, Any]]) -> Iterator[Array]:
        for scan, parts in itertools.groupby(plan, key=lambda one: one["scan"]):
            with open_source(scan) as source:
                present = frozenset(source.frames)
                for one in parts:
                    x, y, width, height = one["region"]
                    frames = []
                    for number in window_of(one["frame"], self.radius, present):
                        pixels = source.read(number).pixels[y : y + height, x : x + width]
                        frames.append(self._values(fill_bad(pixels)[0]))
                    self.work.tell(message=f"taking windows out of the film, frame {one['frame']}")
                    self.work.obey()
                    yield np.stack(frames)

    def _values(self, pixels: Array) -> Array:
        return np.clip(to_display_values(Numpy(), pixels.astype(np.float32), self.encoding), LEAST, MOST)

    def _take_in_pairs(self) -> None:
        """Windows of the scans of pairs, and what their references do not show."""
        from wetgate.training.damage_lessons import lessons_of_pair

        done = itertools.count(1)

        def follow(pair: Pair) -> None:
            self.work.tell(message=f"laying references over their scans, {next(done)} pairs done")
            self.work.obey()

        try:
            prepared = prepare(self.restoration, follow)
        except WetgateError as error:
            if not self.windows:
                raise
            self.run.emit({"event": "no pairs", "reason": str(error)})
            prepared = []
        for pair, pictures in self.work.of_this_run(prepared):
            radius, reason = possible_radius(self.restoration, [pair], self.radius)
            if radius < self.radius or min(pictures.scan.shape[:2]) < LEAST_SIDE:
                reason = reason or "it is too small"
                self.run.emit({"event": "left out", "pair": pair.number, "reason": reason})
                continue
            frames = np.stack([self._values(one) for one in window(self.restoration, pair, self.radius)])
            whole = np.ones(frames.shape[1:3], np.float32)
            confidence = whole if pictures.weight is None else pictures.weight
            found = lessons_of_pair(frames, self._values(pictures.reference), confidence, SIDE, MULTIPLE)
            self.given += found
            self.windows += [lesson.frames for lesson in found]
            self.origins += [(f"pair {pair.number}", pair.frame)] * len(found)
            self.scales += [_scale_of(frames.shape[2])] * len(found)
            self.pairs.append(pair.number)
        self.work.note_pairs(len(self.pairs), [])

    # Train and choose

    def _train(self) -> tuple[DamageTask, State, dict[str, float]]:
        from wetgate.training import damage_prior
        from wetgate.training.damage_task import DamageTask
        from wetgate.training.loop import from_checkpoint, settle, weights_of

        settle()
        device = self.work.device()
        self.work.budget.reserve = REPORT_S
        whole = self.work.load()
        planned = whole["planned"] if whole else self._planned_training()
        lessons = whole["lessons"] if whole else self._lessons(planned)
        state = from_checkpoint(whole["state"]) if whole else None
        if whole:
            self.run.emit({"event": "resumed", "job": 0, "step": 0 if state is None else state.step})
        start = damage_prior.read(self.radius)
        if state is None:
            self._publish(self._model(start, FIRST_THRESHOLD), "before training")
        task = DamageTask(
            index=0,
            material=self._material(self.learning),
            held_out=self._material(self.judging),
            radius=self.radius,
            lessons=lessons,
            start=start,
            given=self.given,
            seed=self.options.seed,
            device=device,
            rate=RATE,
            obey=self.work.obey,
        )
        self.work.tell(state="training", message="damaging windows of the film")

        def keep(state: State) -> None:
            self._save(state, planned, lessons)
            self._publish(self._model(weights_of(state), task.judged(state.weights)["threshold"]), "so far")

        state = self.work.train_network(task, planned, "learning to find and to fill damage", state=state, keep=keep)
        judged = task.judged(state.weights)
        self._publish(self._model(weights_of(state), judged["threshold"]), "trained")
        return task, state, judged

    def _planned_training(self) -> float:
        return self.work.budget.left() if self.options.steps is None else float(self.options.steps)

    def _lessons(self, planned: float) -> int:
        """Each lesson takes a tenth of a second or two to make, and is looked at some thirty times."""
        each = LESSONS_PER_SECOND if self.options.steps is None else LESSONS_PER_STEP
        return int(np.clip(each * planned, len(self.learning), MOST_LESSONS))

    def _unseen(self) -> str:
        """What is true of the windows that judge."""
        seen = {self.origins[at] for at in self.learning}
        if any(self.origins[at] in seen for at in self.judging):
            return "of the only frame there is, which it has seen elsewhere"
        return "of frames that it had not seen"

    def _material(self, windows: Sequence[int]) -> Material:
        from wetgate.training.damage_task import Material

        return Material([self.windows[at] for at in windows], [self.scales[at] for at in windows])

    def _model(self, weights: dict[str, Array], threshold: float) -> DamageModel:
        from wetgate.training.damage_task import parted

        return DamageModel(
            self.encoding, self.radius, parted(weights, "finding"), parted(weights, "filling"), threshold
        )

    def _save(self, state: State, planned: float, lessons: int) -> None:
        from wetgate.training.loop import checkpoint

        self.work.save({"planned": planned, "lessons": lessons, "state": checkpoint(state)}, step=state.step)

    # What others see

    def _publish(self, model: DamageModel, stage: str) -> None:
        self.work.publish(lambda ops, frames: forward(ops, frames, model), self._card(stage), stage)

    def _card(self, stage: str, results: dict[str, Any] | None = None) -> ModelCard:
        return self.work.card(self._record(stage, results), protected=PROTECTED, radius=self.radius)

    def _record(self, stage: str, results: dict[str, Any] | None) -> dict[str, Any]:
        return self.work.record(
            trained=self.pairs,
            protected=PROTECTED,
            limitations=[
                f"Stage: {stage}. What is painted over damage is a guess from frames before and after and from around.",
                "Its networks had learnt on made-up scenes before they saw this film, and on nobody's footage.",
                "Small things that appear on one frame alone look like dirt: look through the masks where it rains or "
                "sparks fly.",
                "Damage at the same place of several frames is closed from its rim where neighbours do not help.",
            ],
            results=results,
            same_picture=False,
        )

    def _finish(self, task: DamageTask, state: State, judged: dict[str, float]) -> dict[str, Any]:
        from wetgate.files import write_json
        from wetgate.recipes.looking import Shown, write_recipe_report
        from wetgate.training.loop import weights_of

        self.work.tell(message="writing the report", eta_s=None)
        model = self._model(weights_of(state), judged["threshold"])
        self.work.publish_half(lambda ops, frames: forward(ops, frames, model), self._card("trained"))
        frames = itertools.cycle([self.origins[at][1] for at in self.judging])
        shown = [
            Shown(next(frames), True, {"scan": scan, "restored": restored}, truth)
            for scan, restored, truth in task.shown(state.weights, judged["threshold"])
        ]
        chosen = {"lessons": task.lessons, "steps": state.step, **{key: round(judged[key], 5) for key in judged}}
        summary = (
            f"On {len(self.judging)} windows {self._unseen()}, with damage like that it learnt from: F1 of what is "
            f"found {judged['f1']:.2f}, {judged['false_share']:.3%} of the pixels that no damage is near taken for "
            f"damage, {judged['psnr']:.1f} dB inside the damage."
        )
        measures = write_recipe_report(
            self.restoration,
            self.run,
            shown,
            facts={"looks at": f"{self.radius} frames before and after", "protects": PROTECTED},
            chosen=chosen,
            seconds=self.work.elapsed(),
            note="Windows of the film that no lesson was made of, damaged by simulation; scan and restored against the "
            "window as it was.",
            headline=lambda rows: summary,
            unseen_are="Held-out windows",
            limits=LIMITS,
        )
        write_json(self.run.record, self._record("trained", measures))
        found = {key: judged[key] for key in ("f1", "false_share", "psnr", "threshold")}
        lines = (
            f"Trained on {len(self.learning)} windows of film, {task.lessons} lessons, {state.step} steps, in "
            f"{self.work.elapsed():.0f} s.\n{summary}"
        )
        return {
            "pairs": len(self.pairs),
            "windows": len(self.windows),
            "report": str(self.run.report),
            "held_out": measures,
            "found": found,
            "steps": state.step,
            "summary": lines,
        }


def _scale_of(width: int) -> float:
    """Of simulated damage on frames so wide."""
    least, most = USUAL_WIDTHS
    return max(min(1.0, width / least), width / most)


def held_out(origins: Sequence[tuple[str, int]]) -> tuple[list[int], list[int]]:
    """Indexes of windows for judging, and of those for learning: no frame is in both, unless there is only one.

    Args:
        origins: the scan and frame of each window.
    """
    frames = list(dict.fromkeys(origins))
    if len(frames) == 1:
        return [0], list(range(1, len(origins)))
    chosen = set(frames[HELD_OUT // 2 :: HELD_OUT] or frames[-1:])
    judging = [at for at, origin in enumerate(origins) if origin in chosen]
    return judging, [at for at in range(len(origins)) if at not in judging]
