"""The `detail` recipe: what a smaller gauge or another generation has lost, from a better element of the same pictures.

Five steps: solve for contrast and for gains of bands (the first model.onnx, seconds after the start), train networks
that have not seen a part of the pairs, by turns, train one on all pairs, judge by the former how much of its detail
is taken and what grain goes with it, keep the record. Luma alone changes; chroma stays the scan's.

It starts as the scan, and where nothing was found that held-out pairs are better for, it stays the scan and says so.

Errors: no usable pair, a damaged picture, a full disk. A stop keeps the model that is there.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from wetgate.errors import WetgateError
from wetgate.evaluation import Row
from wetgate.files import make_folder, write_json
from wetgate.images import read_image, to_display, write_image
from wetgate.inference.curves import Curves, as_lists
from wetgate.onnx_model import ModelCard
from wetgate.pairing.prepare import Pictures, glance, prepare, without_logos
from wetgate.project import Pair, Restoration, Run
from wetgate.recipes.exposure import TooSlow, curves_of_run, curves_of_windows
from wetgate.recipes.neighbours import is_moving_picture, possible_radius, window
from wetgate.recipes.options import Options
from wetgate.recipes.work import Follow, Progress, Work, spread
from wetgate.training.gauge_contrast import Contrast
from wetgate.training.gauge_model import GaugeModel, forward
from wetgate.training.gauge_samples import Sample, make_sample
from wetgate.training.memory import Memory

if TYPE_CHECKING:
    from wetgate.training.gauge_judging import Seen, Verdict
    from wetgate.training.gauge_task import GaugeTask
    from wetgate.training.loop import State

Array = NDArray[np.float32]

RADIUS = 1
"""Frames before and after, where the pairs have them: grain is never the same on two frames."""
MEASURING_SHARE = 0.4
"""Of the time: if flicker is not measured by then, it stays."""
MOST_PARTS = 3
SHOWN_PAIRS = 6
GLANCE_PAIRS = 2
"""On which grain is measured, where the model is not yet the last one."""
REPORT_S, REPORT_S_PER_PAIR = 3.0, 1.5
SAME_SIZE = 0.02
"""A reference that was scaled by no more than this shows its grain as it is."""


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
        options: see :class:`Options`; "protect" means nothing here, chroma is always kept.
        started: ``time.monotonic()`` of the start, from which seconds count.
        follow: gets each status as it is written.

    Returns:
        What came out: "state", "model", "report", "held_out" measures by method, "share" of the detail that is taken,
        "keeps_scan", "steps", "summary".

    Raises:
        WetgateError: no pair can be used, a picture is damaged, or the disk is full.
    """
    work = Work(restoration, run, options, started, follow)
    return work.carry_out(_Training(work).go)


class _Training:
    def __init__(self, work: Work) -> None:
        self.work = work
        self.restoration, self.run, self.options = work.restoration, work.run, work.options
        self.encoding = work.restoration.encoding
        self.radius = 0
        self.samples: list[Sample] = []
        self.held_out: list[Sample] = []
        self.progress = Progress()
        self.resumed: State | None = None

    def go(self) -> dict[str, Any]:
        from wetgate.training.loop import settle

        self.work.tell(message="reading the pairs")
        settle()
        self._look()
        self._take_in()
        self._steady()
        return self._finish(*self._train())

    # Take in the pairs

    def _look(self) -> None:
        """A first model from pairs that were not prepared yet, where they seem to lie over one another."""
        if "pairs" in self.run.settings or not self.restoration.pairs({"collected"}):
            return
        found = glance(self.restoration)
        if found:
            self.samples = [self._sample(pair, pictures, [pictures.scan]) for pair, pictures in found]
            self._first("first look")

    def _take_in(self) -> None:
        done = itertools.count(1)

        def follow(pair: Pair) -> None:
            self.work.tell(message=f"laying references over their scans, {next(done)} pairs done")
            self.work.obey()

        pairs = self.work.of_this_run(prepare(self.restoration, follow))
        self.pairs = without_logos(pairs, self.encoding)
        wanted = RADIUS if self.options.radius is None else self.options.radius
        numbered = [pair for pair, _ in self.pairs]
        self.radius, reason = possible_radius(self.restoration, numbered, wanted)
        if self.radius and self.options.radius is None and not is_moving_picture(self.restoration, numbered):
            self.radius, reason = 0, "The frames before and after most pairs show something else: stills, not a shot."
        if reason and self.options.radius is not None:
            self.work.tell(message=reason)
        if reason:
            self.run.emit({"event": "fewer frames", "radius": self.radius, "reason": reason})
        self._make_samples({})
        self.work.note_pairs(len(self.pairs), [sample.number for sample in self.held_out])
        self._first("closed form")

    def _make_samples(self, curves: dict[int, Curves]) -> None:
        every = []
        for pair, pictures in self.pairs:
            curve = curves.get(pair.number)
            frames = window(self.restoration, pair, self.radius, curve) if self.radius or curve else [pictures.scan]
            every.append(self._sample(pair, pictures, frames))
        held_out = spread(len(every), self.options.hold_out)
        self.held_out = [every[index] for index in held_out]
        self.samples = [sample for index, sample in enumerate(every) if index not in held_out]

    def _sample(self, pair: Pair, pictures: Pictures, frames: Sequence[Array]) -> Sample:
        from wetgate.training.gauge_shift import expected_of

        return make_sample(
            frames,
            pictures.reference,
            self.encoding,
            number=pair.number,
            frame=pair.frame,
            weight=pictures.weight,
            untouched=_untouched(pair, pictures),
            off_px=expected_of(pair.residual_px),
        )

    def _steady(self) -> None:
        """Take flicker out of the pairs' scans. A resumed run does as it did before."""
        if "exposure" not in self.run.settings:
            self.work.tell(message="measuring the scan's flicker")
            found: dict[int, Curves] = {}
            if self.options.steady:
                try:
                    pairs = [pair for pair, _ in self.pairs]
                    found = curves_of_windows(self.restoration, pairs, self.radius, self._in_time)
                except TooSlow:
                    self.run.emit({"event": "not steadied", "reason": "measuring the scan would take too long"})
            frames = {pair.number: pair.frame for pair, _ in self.pairs}
            self.run.settings["exposure"] = {
                str(number): as_lists(curves.of(frames[number])) for number, curves in found.items()
            }
            self.run.settings["exposures"] = {
                str(number): {str(frame): as_lists(curve) for frame, curve in curves.frames.items()}
                for number, curves in found.items()
            }
            self.work.keep_settings()
        kept = curves_of_run(self.run, self.restoration)
        if kept:
            self._make_samples(kept)

    def _in_time(self) -> None:
        self.work.obey()
        if self.options.seconds is not None and self.work.elapsed() > MEASURING_SHARE * self.options.seconds:
            raise TooSlow

    # Judge and train

    def _parts(self) -> list[list[int]]:
        """Samples that are held out by turns; none where there is but one."""
        count = min(len(self.samples), MOST_PARTS)
        return [list(range(part, len(self.samples), count)) for part in range(count)] if count > 1 else []

    def _inside(self, part: Sequence[int]) -> list[Sample]:
        return [sample for index, sample in enumerate(self.samples) if index not in part]

    def _first(self, stage: str) -> None:
        """Publish what is solved in closed form, as far as pairs say that were held out of it by turns."""
        from wetgate.training.gauge_fit import first_model
        from wetgate.training.gauge_judging import look_at

        self.parts = self._parts()
        seed = self.options.seed
        self.first = first_model(self.samples, self.encoding, seed)
        remembered = isinstance(self.first.contrast, Memory)
        self.solved = [
            first_model(self._inside(part), self.encoding, seed, remembered=remembered) for part in self.parts
        ]
        seen = [look_at(*pair) for pair in self._solved_without()]
        self._publish(self._relied_upon(self.first, self._judged(seen)), stage)

    def _train(self) -> tuple[GaugeModel, Verdict, list[tuple[Sample, GaugeModel]]]:
        from wetgate.training.gauge_judging import look_at

        self.device = self.work.device()
        if self.run.settings.get("exposures"):
            self._first("closed form, steadied")
        self.work.budget.reserve = REPORT_S + REPORT_S_PER_PAIR * min(len(self.samples), SHOWN_PAIRS)
        self.resumed = self.work.load_progress(self.progress)
        jobs = len(self.parts)
        if not self.progress.planned:
            self.progress.planned = [self.work.budget.of_judging(jobs)] * jobs
        self.work.status["state"] = "training"
        judged = []
        for number, part in enumerate(self.parts):
            model = self.solved[number]
            if number >= self.progress.job:
                task = self._task(number, model, self._inside(part), [self.samples[index] for index in part])
                self._run_job(task, f"finding out what detail is worth, {number + 1} of {jobs}")
            model = model.with_(network=self.progress.networks[str(number)])
            judged += [(self.samples[index], model) for index in part]
        unseen = [look_at(sample, model) for sample, model in judged]
        self.verdict = self._judged(unseen)
        if len(self.progress.planned) == jobs:
            self.progress.planned.append(self.work.budget.of_final())
        if jobs >= self.progress.job:
            self._run_job(self._task(jobs, self.first, self.samples, self.held_out), "training on all pairs")
        model = self.first.with_(network=self.progress.networks[str(jobs)])
        if self.held_out:
            judged = [(sample, model) for sample in self.held_out]
            unseen += [look_at(sample, model) for sample in self.held_out]
            self.verdict = self._judged(unseen)
        if not isinstance(self.first.contrast, Memory):
            model, judged = self._better_of(model, judged)
        final = self._relied_upon(model, self.verdict)
        self._publish(final, "detail")
        return final, self.verdict, judged

    def _solved_without(self) -> list[tuple[Sample, GaugeModel]]:
        """Each sample that is held out by turns, with what was solved without it."""
        return [
            (self.samples[index], model) for part, model in zip(self.parts, self.solved, strict=True) for index in part
        ]

    def _better_of(
        self, model: GaugeModel, judged: list[tuple[Sample, GaugeModel]]
    ) -> tuple[GaugeModel, list[tuple[Sample, GaugeModel]]]:
        """The trained model, or what was solved if pairs that were held out of it by turns gain more from that."""
        from wetgate.training.gauge_judging import look_at

        solved = self._solved_without() + [(sample, self.first) for sample in self.held_out]
        if not solved:
            return model, judged
        verdict = self._judged([look_at(*pair) for pair in solved])
        if np.mean(verdict.gains_db) <= np.mean(self.verdict.gains_db):
            return model, judged
        self.verdict = verdict
        return self.first, solved

    def _judged(self, unseen: Sequence[Seen]) -> Verdict:
        from wetgate.training.gauge_judging import judge

        return judge(self.options.grain, unseen, remembered=isinstance(self.first.contrast, Memory))

    def _relied_upon(self, model: GaugeModel, verdict: Verdict, most: int = SHOWN_PAIRS) -> GaugeModel:
        """The model as far as evidence goes, with the grain that was asked for; or the scan itself.

        Grain is measured on ``most`` pairs.
        """
        from wetgate.training.gauge_judging import grain_of, look_at

        if verdict.keeps_scan:
            return GaugeModel(self.encoding, self.radius)
        grain = None
        if self.options.grain != "none":
            chosen = self.samples[:: -(-len(self.samples) // most)]
            grain = grain_of(self.options.grain, [look_at(sample, model) for sample in chosen])
        return model.with_(share=verdict.share, grain=grain)

    def _task(self, index: int, model: GaugeModel, training: Sequence[Sample], held_out: Sequence[Sample]) -> GaugeTask:
        from wetgate.training.gauge_task import GaugeTask

        return GaugeTask(
            index=index,
            model=model,
            training=training,
            held_out=held_out,
            seed=self.options.seed,
            device=self.device,
        )

    def _run_job(self, task: GaugeTask, message: str) -> None:
        from wetgate.training.loop import weights_of

        state, self.resumed = self.resumed, None
        judging = task.index < len(self.parts)
        later = sum(self.progress.planned[task.index + 1 :])
        if judging and self.work.budget.steps is not None:
            later += self.work.budget.of_final()

        def keep(state: State) -> None:
            self.work.save_progress(self.progress, state)
            if not judging:
                model = task.model.with_(network=weights_of(state))
                self._publish(self._relied_upon(model, self.verdict, GLANCE_PAIRS), "detail, so far")

        state = self.work.train_network(
            task,
            self.progress.planned[task.index],
            message,
            state=state,
            keep=keep,
            later=later,
            held_out=[sample.number for sample in task.held_out],
        )
        self.progress.networks[str(task.index)] = weights_of(state)
        self.progress.steps[str(task.index)] = state.step
        self.progress.job = task.index + 1
        self.work.save_progress(self.progress, None)

    # What others see

    def _publish(self, model: GaugeModel, stage: str) -> None:
        self.work.publish(lambda ops, frames: forward(ops, frames, model), self._card(model, stage), stage)
        sample = (self.held_out or self.samples)[0]
        pictures = [sample.frames[len(sample.frames) // 2], restored(sample, model), sample.reference]
        shown = np.hstack([to_display(picture, self.encoding) for picture in pictures])
        write_image(make_folder(self.run.previews) / "latest.png", np.clip(shown, 0, 1))

    def _finish(
        self, model: GaugeModel, verdict: Verdict, judged: Sequence[tuple[Sample, GaugeModel]]
    ) -> dict[str, Any]:
        from wetgate.recipes.looking import Shown, write_recipe_report

        self.work.tell(message="writing the report", eta_s=None)
        self.work.publish_half(lambda ops, frames: forward(ops, frames, model), self._card(model, "detail"))
        steps = self.progress.steps[str(len(self.parts))]
        places = {type(None): "none", Contrast: "any place", Memory: "known places"}
        chosen: dict[str, Any] = {
            "detail_share": verdict.share,
            "contrast": places[type(model.contrast)],
            "keeps_scan": verdict.keeps_scan,
            "radius": self.radius,
            "steps": steps,
        }
        shown = []
        relied: dict[int, GaugeModel] = {}
        for sample, one in list(judged)[:SHOWN_PAIRS] or [(sample, model) for sample in self.samples[:SHOWN_PAIRS]]:
            plain = one.with_(network={}, grain=None, share=1.0)
            if id(one) not in relied:
                relied[id(one)] = self._relied_upon(one, verdict, GLANCE_PAIRS)
            answers = {
                "scan": sample.frames[len(sample.frames) // 2],
                "closed form": restored(sample, plain),
                "restored": restored(sample, relied[id(one)]),
            }
            display = {name: to_display(answer, self.encoding) for name, answer in answers.items()}
            shown.append(Shown(sample.frame, bool(judged), display, to_display(sample.reference, self.encoding)))
        measures = write_recipe_report(
            self.restoration,
            self.run,
            shown,
            facts={"protects": "chroma", "grain": self.options.grain},
            chosen=chosen,
            seconds=self.work.elapsed(),
            note="On a window of up to 768 pixels of each. The closed form is without the say of held-out pairs.",
            headline=lambda rows: _headline(rows, verdict.keeps_scan),
        )
        write_json(self.run.record, self._record("detail", measures))
        return {
            "pairs": len(self.samples),
            "report": str(self.run.report),
            "held_out": measures,
            "summary": _summary(measures, verdict),
            **chosen,
        }

    def _card(self, model: GaugeModel, stage: str) -> ModelCard:
        return self.work.card(self._record(stage, {}), protected="chroma", radius=model.radius)

    def _record(self, stage: str, results: dict[str, Any]) -> dict[str, Any]:
        return self.work.record(
            trained={sample.number for sample in self.samples},
            protected="chroma",
            limitations=[
                f"Stage: {stage}. Detail is inferred from the pairs; what no pair shows alike is a guess.",
                "Contrast is given back where the pairs foretell one another, or where they show the place.",
                "Damage of the scan is not removed by this recipe.",
                "Flicker is removed before the model, by exposure curves of the scan."
                if self.options.steady
                else "Flicker of the scan is not removed.",
            ],
            results=results or None,
        )


def restored(sample: Sample, model: GaugeModel) -> Array:
    """The sample's window as the model restores it: [h, w, 3], as encoded."""
    import torch

    from wetgate.training.torch_operations import Torch

    frames = torch.from_numpy(sample.frames.transpose(0, 3, 1, 2).reshape(1, -1, *sample.frames.shape[1:3]).copy())
    if model.radius == 0 and len(sample.frames) > 1:
        middle = 3 * (len(sample.frames) // 2)
        frames = frames[:, middle : middle + 3]
    with torch.no_grad():
        answer: Array = forward(Torch(), frames, model)[0].permute(1, 2, 0).contiguous().numpy()
    return answer


def _untouched(pair: Pair, pictures: Pictures) -> Array | None:
    """The reference as it was collected, for its grain, where it was moved and not scaled; None where nothing moved."""
    if pair.state == "collected" or pair.prepared == pair.reference:
        return None
    try:
        collected = read_image(pair.reference).pixels
    except WetgateError:
        return None
    transform = (pair.transform or {}).get("scan_to_reference")
    scale = 1.0 if transform is None else abs(float(np.linalg.det(np.asarray(transform)[:2, :2]))) ** 0.5
    return collected if abs(scale - 1) <= SAME_SIZE else None


def _headline(rows: Sequence[Row], keeps_scan: bool) -> str:
    if not rows:
        return "No pair could be held out, so nothing is known about other frames."
    if keeps_scan:
        return "Nothing was found that pairs it had not seen are better for: the model gives the scan back as it is."
    scan, done = rows[0].measures, rows[-1].measures
    return (
        f"On pairs it had not seen: luma {scan.luma_psnr:.1f} dB before, {done.luma_psnr:.1f} dB after; of the "
        f"reference's detail (1 to 4 pixels) {scan.middle_gain or 0:.0%} before, {done.middle_gain or 0:.0%} after."
    )


def _summary(measures: dict[str, dict[str, float]], verdict: Verdict) -> str:
    if verdict.keeps_scan:
        return "The scan is kept as it is: held-out pairs are better for nothing that was found."
    if not measures:
        return "No pair could be held out, so nothing is known about other frames."
    before, after = (measures[name]["luma_psnr"] for name in ("scan", "restored"))
    return f"On pairs it had not seen: luma {before:.1f} dB before, {after:.1f} dB after; chroma is the scan's."
