"""The `color` recipe: colour of a faded film from a reference of the same pictures.

Seven steps: look at the pairs as they were collected (the first model.onnx, seconds after the start), prepare them and
solve the closed form, take out flicker, judge on held-out pairs what kernels and context are worth, train the context
network on all pairs, remember what they show, keep the record. A pair is held out by turns (leave-one-out with three
pairs and fewer, else in three parts), so no pair is lost to training.

Everything that a kill may cost lies in one checkpoint; whatever is solved is solved again, to the same bits.

Errors: no usable pair, a damaged picture, a full disk. A stop keeps the model that is there.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from wetgate.files import make_folder, write_json
from wetgate.inference.curves import STILL, Curve, Curves, as_curve, as_lists
from wetgate.onnx_model import ModelCard
from wetgate.pairing.prepare import Pictures, glance, prepare, without_logos
from wetgate.project import Pair, Restoration, Run
from wetgate.recipes.exposure import TooSlow, curves_of_pairs
from wetgate.recipes.options import Options
from wetgate.recipes.work import Follow, Progress, Work, spread
from wetgate.training import closed_form, context
from wetgate.training.color_model import ColorModel, forward_with_coverage
from wetgate.training.samples import Sample, make_sample, rarity

if TYPE_CHECKING:
    from wetgate.training.context_task import ContextTask
    from wetgate.training.loop import State

Array = NDArray[np.float32]

SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)
MEASURING_SHARE = 0.4
"""Of the time: if flicker is not measured by then, it stays."""
MOST_PARTS = 3
SHOWN_PAIRS = 6
REPORT_S, REPORT_S_PER_PAIR = 1.5, 0.8
MEMORY_S, MEMORY_S_PER_MEGAPIXEL = 2.0, 3.0
"""For solving for what is remembered, and for looking at each megapixel of the pairs."""
USUAL_SHARE, USUAL_PAIRS = 0.9, 6
"""The share of a trained context network before any evidence, and how many pairs' evidence weighs as much."""
HALF_TRAINED = 100
"""Steps after which a network deserves half of its share."""
SHADES_RATE, SHADES_HALF_TRAINED = 4e-3, 25
"""The same of black-and-white scans, where the network starts from no colour at all: measured in docs/exemplar.md."""
SHADES_SIDE = 192
"""Pixels of the larger side at which that network looks at a whole frame, give or take a third."""
SIMILAR = 1.02
"""A larger network may be this much worse on held-out pairs and is still taken, for what it keeps of the pairs."""


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
        options: see :class:`Options`.
        started: ``time.monotonic()`` of the start, from which seconds count.
        follow: gets each status as it is written.

    Returns:
        What came out: "state", "model", "report", "held_out" measures by method, shares, steps.

    Raises:
        WetgateError: no pair can be used, a picture is damaged, or the disk is full.
    """
    work = Work(restoration, run, options, started, follow)
    return work.carry_out(Training(work).go)


class Training:
    """A colour model in the making.

    Args:
        work: of the run.
        inferred: the references were made and show what somebody believes (the `exemplar` recipe): the record says so,
            and no colour leaves the hues and saturations of what was most trusted in them.
        shades: the scans are black and white. What colour a shade has only its surroundings tell: the context network
            is believed alone, and no time is spent on judging it.
        limitations: more sentences for the record.
    """

    def __init__(
        self, work: Work, *, inferred: bool = False, shades: bool = False, limitations: Sequence[str] = ()
    ) -> None:
        self.work = work
        self.inferred, self.shades, self.limitations = inferred, shades, limitations
        self.parts = 0
        self.restoration, self.run, self.options = work.restoration, work.run, work.options
        self.samples: list[Sample] = []
        self.progress = Progress()
        self.resumed: State | None = None

    def go(self) -> dict[str, Any]:
        """Prepare the restoration's pairs and learn from them."""
        self.work.tell(message="reading the pairs")
        self._look()
        return self.learn(self._take_in())

    def learn(self, pairs: list[tuple[Pair, Pictures]]) -> dict[str, Any]:
        """Train on accepted pairs; what came out, for :meth:`Work.carry_out`."""
        self.pairs = self.work.of_this_run(pairs)
        if not self.inferred:
            self.pairs = without_logos(self.pairs, self.restoration.encoding)
        self._make_samples()
        self.work.note_pairs(len(self.pairs), [sample.number for sample in self.held_out])
        model = self._fit(self.samples)
        self._publish(model, "closed-form fit")
        if self._steady():
            model = self._fit(self.samples)
        return self._finish(self._train(model))

    # Take in the pairs

    def _look(self) -> None:
        """A first model from pairs that were not prepared yet, where they seem to lie over one another."""
        if "pairs" in self.run.settings or not self.restoration.pairs({"collected"}):
            return
        encoding = self.restoration.encoding
        samples = [
            make_sample(p.scan, p.reference, encoding, number=pair.number, frame=pair.frame, weight=p.weight)
            for pair, p in glance(self.restoration)
        ]
        if samples:
            self._publish(self._fit(samples), "first look")

    def _take_in(self) -> list[tuple[Pair, Pictures]]:
        done = itertools.count(1)

        def follow(pair: Pair) -> None:
            self.work.tell(message=f"laying references over their scans, {next(done)} pairs done")
            self.work.obey()

        return prepare(self.restoration, follow)

    def _make_samples(self, curves: Mapping[int, Curve] = MappingProxyType({})) -> None:
        encoding = self.restoration.encoding
        every = []
        for pair, pictures in self.pairs:
            curve = Curves(encoding, {pair.frame: curves.get(pair.number, STILL)})
            scan = curve.steady(pair.frame, pictures.scan)
            sample = make_sample(
                scan,
                pictures.reference,
                encoding,
                number=pair.number,
                frame=pair.frame,
                weight=pictures.weight,
                resolution_px=pictures.resolution_px,
            )
            every.append(sample)
        held_out = spread(len(every), self.options.hold_out)
        self.held_out = [every[index] for index in held_out]
        self.samples = [sample for index, sample in enumerate(every) if index not in held_out]
        self.weights = rarity(self.samples)

    def _steady(self) -> bool:
        """Take flicker out of the pairs' scans; whether there was any. A resumed run does as it did before."""
        if "exposure" not in self.run.settings:
            self.work.tell(message="measuring the scan's flicker")
            curves: dict[int, Curve] = {}
            if self.options.steady:
                try:
                    curves = curves_of_pairs(self.restoration, [pair for pair, _ in self.pairs], self._in_time)
                except TooSlow:
                    self.run.emit({"event": "not steadied", "reason": "measuring the scan would take too long"})
            self.run.settings["exposure"] = {str(number): as_lists(curve) for number, curve in curves.items()}
            self.work.keep_settings()
        found = {int(number): as_curve(lists) for number, lists in self.run.settings["exposure"].items()}
        if found:
            self._make_samples(found)
        return bool(found)

    def _in_time(self) -> None:
        self.work.obey()
        if self.options.seconds is not None and self.work.elapsed() > MEASURING_SHARE * self.options.seconds:
            raise TooSlow

    # Judge and train

    def _train(self, model: ColorModel) -> ColorModel:
        from wetgate.training.judging import context_mixture, held_out_errors
        from wetgate.training.loop import settle, weights_of

        settle()
        self.device = self.work.device()
        self.work.tell(message="solving for the colours of the pairs")
        count = len(self.samples)
        parts = [list(range(part, count, min(count, MOST_PARTS))) for part in range(min(count, MOST_PARTS))]
        if count == 1 or self.shades:
            parts = []
        self.parts = len(parts)
        model = closed_form.with_kernels(model, self.samples, self.options.seed)
        judged = [self._without(part) for part in parts]
        share = self._kernel_share(judged)
        model = model.with_(kernel_share=share)
        self._publish(model, "kernels")
        judged = [(part, one.with_(kernel_share=share)) for part, one in judged]

        reserve = REPORT_S + REPORT_S_PER_PAIR * min(count, SHOWN_PAIRS)
        if not self.inferred:
            pixels = 4 * min(sum(sample.weight.size for sample in self.samples), closed_form.MEMORY_PIXELS)
            reserve += MEMORY_S + MEMORY_S_PER_MEGAPIXEL * pixels / 1e6
        self.work.budget.reserve = reserve
        self.resumed = self.work.load_progress(self.progress)
        if not self.progress.planned:
            widths = self.work.budget.widths()[: 1 if self.shades else None]
            self.progress.planned = [self.work.budget.of_judging(len(widths) * len(parts))] * (len(widths) * len(parts))
            self.progress.networks["widths"] = list(widths)
        widths = self.progress.networks["widths"]
        self.work.status["state"] = "training"
        jobs = [(width, index) for width in widths for index in range(len(parts))]
        for number, (width, index) in enumerate(jobs):
            if number >= self.progress.job:
                part, one = judged[index]
                job = self._job(number, one, part, width)
                state = self._run_job(job, f"trying out what context is worth, {number + 1} of {len(jobs)}")
                self.progress.networks[f"{width}/{index}"] = weights_of(state)
                self.progress.steps[f"{width}/{index}"] = state.step
                self.progress.errors[f"context {width}"] = _sum(
                    self.progress.errors.get(f"context {width}"),
                    held_out_errors(job, one.with_(context=weights_of(state)), context_mixture, SHARES),
                )
                self._next_job()
        self.width = self._choose_width(widths)
        if len(self.progress.planned) == len(jobs):
            self.progress.planned.append(self.work.budget.of_final())
        job = self._job(len(jobs), model, [], self.width)
        state = self._run_job(job, "training on all pairs")
        self.judged = [
            (part, self._with_context(one, self.progress.networks[name], self.progress.steps[name]))
            for name, (part, one) in ((f"{self.width}/{index}", two) for index, two in enumerate(judged))
        ]
        self.steps = state.step
        final = self._with_context(model, weights_of(state), state.step)
        self._publish(final, "context")
        if self.inferred:
            return final
        self.work.tell(message="remembering what the pairs show")
        final = closed_form.with_memory(final, self.samples, self.options.seed, self.work.obey)
        self._publish(final, "memory")
        return final

    def _without(self, part: Sequence[int]) -> tuple[Sequence[int], ColorModel]:
        """Fit and kernels of all samples but ``part``."""
        samples = [sample for index, sample in enumerate(self.samples) if index not in part]
        return part, closed_form.with_kernels(self._fit(samples), samples, self.options.seed)

    def _fit(self, samples: Sequence[Sample]) -> ColorModel:
        model = closed_form.first_model(samples, self.restoration.encoding, self.options.protect)
        if self.shades:
            side = max(max(sample.weight.shape) for sample in samples)
            model = model.with_(coarser=max(round(math.log2(side / SHADES_SIDE)), 0))
        return model.with_(bound=closed_form.bound_of(samples)) if self.inferred else model

    def _kernel_share(self, judged: Sequence[tuple[Sequence[int], ColorModel]]) -> float:
        """What held-out pairs say, drawn towards 1 by as much as two pairs would."""
        from wetgate.training.judging import held_out_errors, kernel_mixture

        errors = None
        for part, one in judged:
            errors = _sum(errors, held_out_errors(self._job(0, one, part, 1), one, kernel_mixture, SHARES))
        if errors is None:
            return 1.0
        self.progress.errors["kernels"] = errors
        return _drawn(SHARES[int(np.argmin(errors))], len(self.samples), towards=1.0, by=2)

    def _choose_width(self, widths: Sequence[int]) -> int:
        best = widths[0]
        for width in widths[1:]:
            small, large = (self.progress.errors.get(f"context {one}") for one in (best, width))
            if small is None or large is None or min(large) <= SIMILAR * min(small):
                best = width
        return best

    def _with_context(self, model: ColorModel, weights: dict[str, Array], steps: int) -> ColorModel:
        """The model with a context network, and how much of its answer is taken where colours are known.

        A judged network has learned from fewer pairs than the final one: from a single pair where there are two,
        which says nothing. So evidence counts from the third pair on, against ``USUAL_PAIRS`` pairs that say what a
        network of so many steps usually deserves.
        """
        if self.shades:
            return model.with_(context=weights, context_share=steps / (steps + SHADES_HALF_TRAINED))
        share = USUAL_SHARE * steps / (steps + HALF_TRAINED)
        errors = self.progress.errors.get(f"context {self.width}")
        if errors is not None:
            evidence = max(len(self.samples) - 2, 0)
            share = _drawn(SHARES[int(np.argmin(errors))], evidence, towards=share, by=USUAL_PAIRS)
        return model.with_(context=weights, context_share=share)

    def _job(self, index: int, model: ColorModel, part: Sequence[int], width: int) -> ContextTask:
        from wetgate.training.context_task import RATE, ContextTask

        inside = [i for i in range(len(self.samples)) if i not in part]
        held_out = [self.samples[i] for i in part] or self.held_out
        return ContextTask(
            index=index,
            model=model,
            training=[self.samples[i] for i in inside],
            training_weights=[self.weights[i] for i in inside],
            held_out=held_out,
            held_out_weights=[sample.weight for sample in held_out],
            width=width,
            seed=self.options.seed,
            device=self.device,
            rate=SHADES_RATE if self.shades else RATE,
        )

    def _run_job(self, job: ContextTask, message: str) -> State:
        state, self.resumed = self.resumed, None
        later = sum(self.progress.planned[job.index + 1 :])
        if self.work.budget.steps is not None and self._judging(job.index):
            later += self.work.budget.of_final()
        held_out = [sample.number for sample in job.held_out]
        return self.work.train_network(
            job,
            self.progress.planned[job.index],
            message,
            state=state,
            keep=lambda state: self._save(job, state),
            later=later,
            width=job.width,
            held_out=held_out,
        )

    def _judging(self, job: int) -> bool:
        return job < len(self.progress.networks["widths"]) * self.parts

    def _next_job(self) -> None:
        self.progress.job += 1
        self._save(None, None)

    # Checkpoints

    def _save(self, job: ContextTask | None, state: State | None) -> None:
        from wetgate.training.loop import weights_of

        self.work.save_progress(self.progress, state)
        if job is not None and state is not None and not self._judging(job.index):
            self._publish(self._with_context(job.model, weights_of(state), state.step), "context, so far")

    # What others see

    def _publish(self, model: ColorModel, stage: str) -> None:
        self.work.publish(
            lambda ops, frames: forward_with_coverage(ops, frames, model), self._card(model, stage), stage
        )
        self._strip(model, stage)

    def _strip(self, model: ColorModel, stage: str) -> None:
        """Scan, restored and reference of one pair side by side, once torch is loaded."""
        if stage in ("first look", "closed-form fit"):
            return
        from wetgate.recipes.looking import strip

        sample = (self.held_out or self.samples)[0]
        strip(make_folder(self.run.previews) / "latest.png", sample, model)

    def _finish(self, model: ColorModel) -> dict[str, Any]:
        from wetgate.recipes.looking import held_out_report

        stage = "memory" if model.memory else "context"
        self.work.tell(message="writing the report", eta_s=None)
        self.work.publish_half(lambda ops, frames: forward_with_coverage(ops, frames, model), self._card(model, stage))
        chosen = {
            "kernel_share": round(model.kernel_share, 3),
            "context_share": round(model.context_share, 3),
            "context_width": context.width_of(model.context) if model.context else 0,
            "detail_gain": round(float(model.detail.sum()), 3),
            "steps": self.steps,
        }
        judged = [([self.samples[i] for i in part], one) for part, one in self.judged]
        if self.held_out:
            judged = [(self.held_out, model)]
        measures = held_out_report(
            self.restoration, self.run, model, self.samples, judged, chosen, self.work.elapsed(), self.inferred
        )
        write_json(self.run.record, self._record(stage, measures))
        return {"pairs": len(self.samples), "report": str(self.run.report), "held_out": measures, **chosen}

    def _card(self, model: ColorModel, stage: str) -> ModelCard:
        return self.work.card(self._record(stage, {}), protected=model.protect)

    def _record(self, stage: str, results: dict[str, Any]) -> dict[str, Any]:
        return self.work.record(
            trained={sample.number for sample in self.samples},
            protected=self.options.protect,
            limitations=[
                f"Stage: {stage}. Colours that no pair shows are extrapolated.",
                "Damage of the scan is not removed by this recipe.",
                "Flicker is removed before the model, by exposure curves of the scan."
                if self.options.steady
                else "Flicker of the scan is not removed.",
                *self.limitations,
            ],
            results=results,
            same_picture=not self.inferred,
        )


def _sum(total: list[float] | None, more: list[float]) -> list[float]:
    return more if total is None else [a + b for a, b in zip(total, more, strict=True)]


def _drawn(share: float, pairs: int, *, towards: float, by: int) -> float:
    """``share``, which ``pairs`` found best, drawn towards another as if ``by`` more pairs had found that."""
    return (pairs * share + by * towards) / (pairs + by)
