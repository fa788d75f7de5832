"""The `telecine` recipe: damaged film brought back by way of a video of it, in two steps of one command.

Step 1 learns the telecine from the damaged film: picture that the film has lost since. Step 2 learns the good film from
step 1's answers, or from the telecine itself: resolution and tone. What a pair's scan and reference are of says which
step it is for (:attr:`wetgate.project.Pair.elements`); pairs of one kind alone make one step. Colour and tone come from
the references, and where all of those are black-and-white the answer is.

A reference that covers a part of the frame is learnt from where it lies; networks do not know where they are, so the
rest is restored alike. A part of the frames is held out by turns from both steps, to tell what they are worth.

Errors: no usable pair, a damaged picture, a full disk. A stop keeps the model that is there.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import ceil
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from wetgate.errors import WetgateError
from wetgate.files import write_json
from wetgate.images import LUMA, to_display
from wetgate.onnx_model import ModelCard
from wetgate.pairing.overlap import fineness
from wetgate.pairing.prepare import Pictures, glance, prepare
from wetgate.project import Pair, Restoration, Run
from wetgate.recipes.neighbours import possible_radius, window
from wetgate.recipes.options import Options
from wetgate.recipes.work import Follow, Progress, Work, spread
from wetgate.training import telecine_model
from wetgate.training.telecine_features import levels_of
from wetgate.training.telecine_model import Lesson, Moments, Step, TelecineModel

if TYPE_CHECKING:
    from wetgate.recipes.telecine_report import Judged
    from wetgate.training.loop import State
    from wetgate.training.telecine_task import TelecineTask

Array = NDArray[np.float32]

FIRST, SECOND = "film to telecine", "telecine to good film"
"""The two steps."""
JUDGING_SHARE = 0.15
"""Of the time: for what is held out by turns. Where steps are counted, so many come on top."""
SHARE_OF_FIRST = 0.5
"""Of the rest, where there are two steps."""
MOST_PARTS = 3
SHOWN = 6
REPORT_S, REPORT_S_PER_PAIR = 2.0, 1.0
GREY = 0.004
"""Display values by which the channels of a black-and-white reference differ at most, on average: one 8-bit step."""


@dataclass(frozen=True)
class _Pair:
    """A pair as it was prepared, in display values [c, H, W]; ``seen`` are its frames, one after another."""

    number: int
    frame: int
    kind: str
    of_film: bool
    picture: Array
    seen: Array
    target: Array
    weight: Array
    reduction: int


def train(
    restoration: Restoration,
    run: Run,
    options: Options,
    started: float,
    follow: Follow = lambda status: None,
) -> dict[str, Any]:
    """Train, or go on after a kill; the run's lock must be held.

    Args:
        restoration: whose pairs.
        run: where everything goes.
        options: see :class:`Options`. Nothing of the scan's grain or luma is protected, since that is what is damaged,
            and its flicker is left to the networks.
        started: ``time.monotonic()`` of the start, from which seconds count.
        follow: gets each status as it is written.

    Returns:
        What came out: "state", "model", "report", "held_out" measures by method, "steps", "summary".

    Raises:
        WetgateError: no pair can be used, luma is to be protected, a picture is damaged, or the disk is full.
    """
    if options.protect == "luma":
        raise WetgateError(
            "The recipe telecine brings back picture that the scan has lost, so it cannot keep the scan's luma: train "
            "without --protect luma, or use the recipe color."
        )
    work = Work(restoration, run, replace(options, protect="none", steady=False), started, follow)
    return work.carry_out(_Training(work).go)


class _Training:
    def __init__(self, work: Work) -> None:
        self.work = work
        self.restoration, self.run, self.options = work.restoration, work.run, work.options
        self.pairs: list[_Pair] = []
        self.held_out: list[_Pair] = []
        self.judged: list[tuple[list[_Pair], list[Step]]] = []
        self._kinds: list[str] = []
        self._moments: dict[int, Moments] = {}
        self.progress = Progress()
        self.resumed: State | None = None

    def go(self) -> dict[str, Any]:
        self.work.tell(message="reading the pairs")
        self._look()
        self._take_in()
        first = self._kinds[0]
        self._publish([self._plain(first, self._lessons(first, self.pairs, []))], "tone and colour")
        return self._finish(self._train())

    # Take in the pairs

    def _look(self) -> None:
        """A first model from pairs that were not prepared yet, where they seem to lie over one another."""
        if "pairs" in self.run.settings or not self.restoration.pairs({"collected"}):
            return
        found = glance(self.restoration)
        if found:
            self._read(found, 0)
            first = self._kinds[0]
            self._publish([self._plain(first, self._lessons(first, self.pairs, []))], "first look")

    def _take_in(self) -> None:
        done = itertools.count(1)

        def follow(pair: Pair) -> None:
            self.work.tell(message=f"laying references over their scans, {next(done)} pairs done")
            self.work.obey()

        pairs = self.work.of_this_run(prepare(self.restoration, follow))
        of_film = [pair for pair, _ in pairs if pair.elements[0] == "film"]
        radius, reason = possible_radius(self.restoration, of_film, self.options.radius or 0) if of_film else (0, "")
        if reason:
            self.run.emit({"event": "fewer frames", "reason": reason})
        self._read(pairs, radius)
        held_out = spread(len(self.pairs), self.options.hold_out)
        self.held_out = [self.pairs[index] for index in held_out]
        self.pairs = [pair for index, pair in enumerate(self.pairs) if index not in held_out]
        self._kinds = [kind for kind in self._kinds if any(pair.kind == kind for pair in self.pairs)]
        self.work.note_pairs(len(pairs), [pair.number for pair in self.held_out])
        self.run.emit({"event": "steps", "of": self._kinds})

    def _read(self, pairs: Sequence[tuple[Pair, Pictures]], radius: int) -> None:
        encoding = self.restoration.encoding
        references = [to_display(pictures.reference, encoding) for _, pictures in pairs]
        grey = all(float(np.ptp(picture, axis=2).mean()) <= GREY for picture in references)
        self.model = TelecineModel(encoding, grey, radius, ())
        self.pairs = []
        for (pair, pictures), reference in zip(pairs, references, strict=True):
            scan_of, reference_of = pair.elements
            frames = window(self.restoration, pair, radius) if radius and scan_of == "film" else [pictures.scan]
            shown = [telecine_model.values_of(frame, self.model) for frame in frames]
            weight = np.ones(pictures.scan.shape[:2], np.float32) if pictures.weight is None else pictures.weight
            self.pairs.append(
                _Pair(
                    pair.number,
                    pair.frame,
                    FIRST if reference_of == "telecine" else SECOND,
                    scan_of == "film",
                    shown[len(shown) // 2],
                    np.concatenate(shown),
                    telecine_model.values_of(pictures.reference, self.model),
                    np.clip(weight, 0, 1).astype(np.float32),
                    fineness(reference),
                )
            )
        self._kinds = [kind for kind in (FIRST, SECOND) if any(pair.kind == kind for pair in self.pairs)]
        second = [pair for pair in self.pairs if pair.kind == SECOND]
        self.model = replace(self.model, looks_back=all(pair.of_film for pair in second))

    def _lessons(self, kind: str, pairs: Sequence[_Pair], steps: Sequence[Step]) -> list[Lesson]:
        """Of the pairs that are for a step; the second goes on from the answers of the first."""
        lessons = []
        for pair in pairs:
            if pair.kind != kind:
                continue
            own = Lesson(pair.number, pair.frame, pair.picture, pair.seen, pair.target, pair.weight)
            if steps and pair.of_film:
                from wetgate.training.telecine_task import answer_of

                answer = answer_of(steps[0], own)
                seen = np.concatenate([answer, pair.picture]) if self.model.looks_back else answer
                own = replace(own, picture=answer, seen=seen)
            elif steps:
                own = replace(own, seen=pair.picture)
            lessons.append(own)
        return lessons

    def _plain(self, kind: str, lessons: Sequence[Lesson]) -> Step:
        """A step's tone and colour alone."""
        every = [*self.pairs, *self.held_out]
        reduction = min(pair.reduction for pair in every if pair.kind == kind) if kind == FIRST else 1
        step = telecine_model.plain_step([one.picture for one in lessons], [one.seen for one in lessons], reduction)
        seen = [
            telecine_model.moments(
                telecine_model.reduced_array(one.picture, reduction), one.target, one.weight, reduction
            )
            for one in lessons
        ]
        return telecine_model.solved(step, seen, step.levels)

    def _solved(self, kind: str, lessons: Sequence[Lesson]) -> Step:
        """A step without its network; the first goes by features of the damaged film."""
        step = self._plain(kind, lessons)
        if kind != FIRST:
            return step
        from wetgate.training.telecine_task import moments_of

        levels = self._levels()
        described = replace(step, levels=levels)
        for one in lessons:
            if one.number not in self._moments:
                self._moments[one.number] = moments_of(described, one, self.device)
                self.work.obey()
        return telecine_model.solved(step, [self._moments[one.number] for one in lessons], levels)

    def _levels(self) -> Array:
        """Of the damaged film's luma, over all its scans."""
        scans = [pair.picture for pair in [*self.pairs, *self.held_out] if pair.of_film]
        return levels_of([scan[0] if len(scan) == 1 else np.tensordot(LUMA, scan, 1) for scan in scans])

    # Train

    def _train(self) -> list[Step]:
        from wetgate.training.loop import settle

        settle()
        self.device = self.work.device()
        self.work.tell(message="solving for what the damaged film still tells")
        if self._kinds[0] == FIRST:
            self._publish([self._solved(FIRST, self._lessons(FIRST, self.pairs, []))], "solved")
        self.work.budget.reserve = REPORT_S + REPORT_S_PER_PAIR * min(len(self.pairs), SHOWN)
        self.parts = self._parts()
        self.resumed = self.work.load_progress(self.progress)
        if not self.progress.planned:
            judging = len(self.parts) * len(self._kinds)
            whole = self.work.budget.left() if self.work.budget.steps is None else self.work.budget.steps
            self.progress.planned = [JUDGING_SHARE * whole / judging] * judging if judging else []
        self.work.status["state"] = "training"
        self.judged = [
            (part, self._chain(part, number * len(self._kinds), f"judging, part {number + 1} of {len(self.parts)}"))
            for number, part in enumerate(self.parts)
        ]
        self.judged = [
            (part, [self._doubted(kind, step) for kind, step in zip(self._kinds, steps, strict=True)])
            for part, steps in self.judged
        ]
        return self._chain([], len(self.parts) * len(self._kinds), "training on all pairs")

    def _doubted(self, kind: str, step: Step) -> Step:
        """The step with as much doubt of its networks as did best on what was held out."""
        from wetgate.training.telecine_task import DOUBTS

        errors = self.progress.errors.get(kind)
        return step if errors is None else replace(step, doubt=DOUBTS[int(np.argmin(errors))])

    def _parts(self) -> list[list[_Pair]]:
        """Pairs to hold out by turns, whole frames; each part leaves pairs of every kind to learn from."""
        frames = sorted({pair.frame for pair in self.pairs})
        count = min(len(frames), MOST_PARTS)
        parts = [[pair for pair in self.pairs if pair.frame in frames[i::count]] for i in range(count)]
        return [
            part
            for part in parts
            if all(any(pair.kind == kind for pair in self.pairs if pair not in part) for kind in self._kinds)
        ]

    def _chain(self, part: Sequence[_Pair], job: int, message: str) -> list[Step]:
        """Train the steps, each on the answers of the one before, on all pairs but those of ``part``."""
        inside = [pair for pair in self.pairs if pair not in part]
        judges = part or self.held_out
        steps: list[Step] = []
        for number, kind in enumerate(self._kinds, job):
            lessons = self._lessons(kind, inside, steps)
            step = self._solved(kind, lessons)
            if not part:
                step = self._doubted(kind, step)
            if number >= self.progress.job:
                self._plan(number)
                task = self._task(number, step, lessons, self._lessons(kind, judges, steps))
                state = self._run_job(task, steps, f"{message}: {kind}", "" if part else f"{kind}, so far")
                self.progress.networks[str(number)] = _weights_of(state)
                self.progress.steps[str(number)] = state.step
                if part and task.held_out:
                    errors = task.held_out_errors(state.weights)
                    self.progress.errors[kind] = [
                        a + b for a, b in zip(errors, self.progress.errors.get(kind, [0.0] * len(errors)), strict=True)
                    ]
                self.progress.job = number + 1
                self.work.save_progress(self.progress, None)
            steps.append(replace(step, weights=self.progress.networks[str(number)]))
            if not part:
                self._publish(steps, kind)
        return steps

    def _plan(self, number: int) -> None:
        if number < len(self.progress.planned):
            return
        last = number == (len(self.parts) + 1) * len(self._kinds) - 1
        share = 1.0 if len(self._kinds) == 1 else 1 - SHARE_OF_FIRST if last else SHARE_OF_FIRST
        budget = self.work.budget
        planned = (
            budget.left() * (1.0 if last else share) if budget.steps is None else float(ceil(budget.steps * share))
        )
        self.progress.planned.append(planned)

    def _task(self, number: int, step: Step, lessons: list[Lesson], held_out: list[Lesson]) -> TelecineTask:
        from wetgate.training.telecine_task import TelecineTask

        return TelecineTask(
            index=number,
            step=step,
            training=lessons,
            held_out=held_out,
            seed=self.options.seed,
            device=self.device,
        )

    def _run_job(self, task: TelecineTask, before: Sequence[Step], message: str, stage: str) -> State:
        """Train a task; what it has learnt so far is published as ``stage``, where that is named."""
        state, self.resumed = self.resumed, None

        def keep(state: State) -> None:
            self.work.save_progress(self.progress, state)
            if stage:
                self._publish([*before, replace(task.step, weights=_weights_of(state))], stage)

        return self.work.train_network(
            task,
            self.progress.planned[task.index],
            message,
            state=state,
            keep=keep,
            later=sum(self.progress.planned[task.index + 1 :]),
            held_out=[lesson.number for lesson in task.held_out],
        )

    # What others see

    def _publish(self, steps: Sequence[Step], stage: str) -> None:
        model = replace(self.model, steps=tuple(steps))
        self.work.publish(lambda ops, frames: telecine_model.forward(ops, frames, model), self._card(stage, {}), stage)

    def _finish(self, steps: list[Step]) -> dict[str, Any]:
        from wetgate.recipes.telecine_report import write_telecine_report

        self.work.tell(message="writing the report", eta_s=None)
        model = replace(self.model, steps=tuple(steps))
        self.work.publish_half(
            lambda ops, frames: telecine_model.forward(ops, frames, model), self._card(self._kinds[-1], {})
        )
        taken = {f"steps, {kind}": self.progress.steps[name] for kind, name in self._final_jobs()}
        chosen = {
            "works at": ", ".join(f"1/{step.reduction}" for step in steps),
            "black-and-white": model.grey,
            "radius": model.radius,
            "doubt of the networks": ", ".join(str(step.doubt) for step in steps),
            **taken,
        }
        measures = write_telecine_report(self.work, self._for_report(steps), model, {}, chosen)
        write_json(self.run.record, self._record(self._kinds[-1], measures))
        return {
            "report": str(self.run.report),
            "pairs": len(self.pairs),
            "held_out": measures,
            "steps": sum(taken.values()),
            "summary": self._summary(measures),
        }

    def _for_report(self, steps: list[Step]) -> list[Judged]:
        """Pairs that chains had not seen, or where there are none the first that were trained on."""
        from wetgate.recipes.telecine_report import Judged

        chains = [(self.held_out, steps)] if self.held_out else self.judged
        unseen = bool(chains)
        found = []
        for number, kind in enumerate(self._kinds):
            for pairs, one in chains if unseen else [(self.pairs, steps)]:
                own = [pair for pair in pairs if pair.kind == kind]
                lessons = self._lessons(kind, own, one[:number])
                found += [
                    Judged(kind, pair.picture, lesson, one[number], unseen)
                    for pair, lesson in zip(own[:SHOWN], lessons[:SHOWN], strict=True)
                ]
        return found

    def _final_jobs(self) -> list[tuple[str, str]]:
        before = len(self.parts) * len(self._kinds)
        return [(kind, str(before + number)) for number, kind in enumerate(self._kinds)]

    def _summary(self, measures: dict[str, dict[str, float]]) -> str:
        words = (
            "In two steps, film to telecine and telecine to good film."
            if len(self._kinds) == 2
            else f"In one step, {self._kinds[0]}: {self._why_no_other()}."
        )
        if measures:
            scan, *_, restored = measures.values()
            words += f" On pairs it had not seen: {scan['psnr']:.1f} dB before, {restored['psnr']:.1f} dB after."
        return words

    def _why_no_other(self) -> str:
        """Why there is but one step."""
        if any(pair.kind not in self._kinds for pair in self.held_out):
            return "all pairs for the other one are held out"
        for pair in self.restoration.pairs({"rejected"}):
            if (FIRST if pair.elements[1] == "telecine" else SECOND) not in self._kinds:
                return f"no pair for the other one can be used (pair {pair.number}: {pair.reason})"
        return "the restoration has no pairs for the other one"

    def _card(self, stage: str, results: dict[str, Any]) -> ModelCard:
        return self.work.card(self._record(stage, results), protected="none", radius=self.model.radius)

    def _record(self, stage: str, results: dict[str, Any]) -> dict[str, Any]:
        return self.work.record(
            trained={pair.number for pair in self.pairs},
            protected="none",
            limitations=[
                f"Stage: {stage}. Where the film has lost its picture and no reference was paired, what is drawn there "
                "is a guess from its surroundings.",
                "Grain and luma of the scan are not kept: both are drawn anew.",
                "Flicker of the scan is not removed.",
            ],
            results=results,
        )


def _weights_of(state: State) -> dict[str, Array]:
    from wetgate.training.loop import weights_of

    return weights_of(state)
