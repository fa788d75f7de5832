"""The `color` recipe: colour of a faded film from a reference of the same pictures.

Six steps: look at the pairs as they were collected (the first model.onnx, seconds after the start), prepare them and
solve the closed form, take out flicker, judge on held-out pairs what kernels and context are worth, train the context
network on all pairs, keep the record. A pair is held out by turns (leave-one-out with three pairs and fewer, else in
three parts), so no pair is lost to training.

Everything that a kill may cost lies in one checkpoint; whatever is solved is solved again, to the same bits.

Errors: no usable pair, a damaged picture, a full disk. A stop keeps the model that is there.
"""

from __future__ import annotations

import io
import itertools
import platform
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from wetgate import __version__
from wetgate.errors import WetgateError
from wetgate.files import make_folder, sha256, write_json
from wetgate.inference.curves import STILL, Curve, Curves, as_curve, as_lists
from wetgate.onnx_model import ModelCard
from wetgate.pairing.prepare import Pictures, glance, prepare, without_logos
from wetgate.project import Pair, Restoration, Run
from wetgate.recipes.exposure import TooSlow, curves_of_pairs
from wetgate.recipes.previews import Preview
from wetgate.records.shot_record import PairRecord, SourceRecord, shot_record
from wetgate.training import closed_form, context
from wetgate.training.budget import Budget
from wetgate.training.color_model import ColorModel, forward_with_coverage
from wetgate.training.onnx_export import export
from wetgate.training.samples import Sample, make_sample, rarity

if TYPE_CHECKING:
    from wetgate.training.loop import Job, State

Array = NDArray[np.float32]

SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)
MEASURING_SHARE = 0.4
"""Of the time: if flicker is not measured by then, it stays."""
CHECKPOINT_S = 10.0
STATUS_S = 0.5
VALIDATION_S = 3.0
MOST_PARTS = 3
SHOWN_PAIRS = 6
REPORT_S, REPORT_S_PER_PAIR = 1.5, 0.8
USUAL_SHARE, USUAL_PAIRS = 0.9, 6
"""The share of a trained context network before any evidence, and how many pairs' evidence weighs as much."""
HALF_TRAINED = 100
"""Steps after which a network deserves half of its share."""
SIMILAR = 1.02
"""A larger network may be this much worse on held-out pairs and is still taken, for what it keeps of the pairs."""


class Stopped(Exception):
    """The artist asked for an end."""


@dataclass
class Options:
    """What `wetgate train` was told.

    Attributes:
        protect: "grain", "luma" or "none".
        seconds, steps: how long to train; one of them.
        device: "auto", "cpu" or "cuda".
        hold_out: pairs that are never trained on.
        seed: of all random numbers.
        steady: take the flicker of the scans out first; whoever applies the model does the same.
        operator: who is responsible, for the record.
    """

    protect: str = "grain"
    seconds: float | None = 60.0
    steps: int | None = None
    device: str = "auto"
    hold_out: int = 0
    seed: int = 0
    steady: bool = True
    operator: str = ""


@dataclass
class Progress:
    """What a checkpoint holds besides the state of the job at work."""

    job: int = 0
    planned: list[float] = field(default_factory=list)
    errors: dict[str, list[float]] = field(default_factory=dict)
    networks: dict[str, Any] = field(default_factory=dict)
    steps: dict[str, int] = field(default_factory=dict)


def train(
    restoration: Restoration,
    run: Run,
    options: Options,
    started: float,
    follow: Callable[[dict[str, Any]], None] = lambda status: None,
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
    return _Training(restoration, run, options, started, follow).go()


class _Training:
    def __init__(
        self,
        restoration: Restoration,
        run: Run,
        options: Options,
        started: float,
        follow: Callable[[dict[str, Any]], None],
    ) -> None:
        self.restoration, self.run, self.options, self.started = restoration, run, options, started
        self.follow = follow
        self.samples: list[Sample] = []
        self.progress = Progress()
        self.clock = _Clock()
        self.budget = Budget(started, options.seconds, options.steps)
        self.resumed: State | None = None
        self.preview = Preview(restoration, run)
        self.stage = "so far"
        self.last = {"status": 0.0, "checkpoint": time.monotonic(), "validation": 0.0}
        self.status: dict[str, Any] = {"state": "preparing", "recipe": "color"}

    def go(self) -> dict[str, Any]:
        self._tell(message="reading the pairs")
        try:
            self._look()
            self._take_in()
            model = self._fit(self.samples)
            self._publish(model, "closed-form fit")
            if self._steady():
                model = self._fit(self.samples)
            model = self._train(model)
            state = "finished"
        except Stopped:
            state = "stopped"
            self.status.pop("eta_s", None)
        result = {"state": state, "run": self.run.number, "pairs": len(self.samples)}
        result["model"] = str(self.run.model) if self.run.model.exists() else None
        if state == "finished":
            result |= self._finish(model)
        self._tell(state=state, message="", **{key: result[key] for key in ("report",) if key in result})
        return result

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

    def _take_in(self) -> None:
        done = itertools.count(1)

        def follow(pair: Pair) -> None:
            self._tell(message=f"laying references over their scans, {next(done)} pairs done")
            self._obey()

        pairs = self._of_this_run(prepare(self.restoration, follow))
        pairs = without_logos(pairs, self.restoration.encoding)
        self.pairs = sorted(pairs, key=lambda two: (two[0].frame, two[0].number))
        self._make_samples()
        self.run.settings["held_out"] = [sample.number for sample in self.held_out]
        write_json(self.run.folder / "settings.json", self.run.settings)
        for pair in self.restoration.pairs({"rejected"}):
            self.run.emit({"event": "rejected", "pair": pair.number, "reason": pair.reason})
        self.run.emit({"event": "pairs", "accepted": len(self.pairs), "held_out": self.run.settings["held_out"]})

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
        held_out = _spread(len(every), self.options.hold_out)
        self.held_out = [every[index] for index in held_out]
        self.samples = [sample for index, sample in enumerate(every) if index not in held_out]
        self.weights = rarity(self.samples)

    def _steady(self) -> bool:
        """Take flicker out of the pairs' scans; whether there was any. A resumed run does as it did before."""
        if "exposure" not in self.run.settings:
            self._tell(message="measuring the scan's flicker")
            curves: dict[int, Curve] = {}
            if self.options.steady:
                try:
                    curves = curves_of_pairs(self.restoration, [pair for pair, _ in self.pairs], self._in_time)
                except TooSlow:
                    self.run.emit({"event": "not steadied", "reason": "measuring the scan would take too long"})
            self.run.settings["exposure"] = {str(number): as_lists(curve) for number, curve in curves.items()}
            write_json(self.run.folder / "settings.json", self.run.settings)
        found = {int(number): as_curve(lists) for number, lists in self.run.settings["exposure"].items()}
        if found:
            self._make_samples(found)
        return bool(found)

    def _in_time(self) -> None:
        self._obey()
        if self.options.seconds is not None and self._elapsed() > MEASURING_SHARE * self.options.seconds:
            raise TooSlow

    def _of_this_run(self, pairs: list[tuple[Pair, Pictures]]) -> list[tuple[Pair, Pictures]]:
        """All pairs at first; after a resume those of the start, for checkpoints fit no others."""
        wanted = self.run.settings.setdefault("pairs", [pair.number for pair, _ in pairs])
        missing = sorted(set(wanted) - {pair.number for pair, _ in pairs})
        if missing:
            raise WetgateError(
                f"Run {self.run.number:03d} was started with pair {missing[0]}, which can no longer be used: "
                "train without --resume."
            )
        return [(pair, pictures) for pair, pictures in pairs if pair.number in wanted]

    # Judge and train

    def _train(self, model: ColorModel) -> ColorModel:
        from wetgate.training.judging import context_mixture, held_out_errors
        from wetgate.training.loop import settle, weights_of

        settle()
        self.device = _device(self.options.device)
        self._tell(message="solving for the colours of the pairs", device=_name_of(self.device))
        count = len(self.samples)
        parts = [list(range(part, count, min(count, MOST_PARTS))) for part in range(min(count, MOST_PARTS))]
        if count == 1:
            parts = []
        model = closed_form.with_kernels(model, self.samples, self.options.seed)
        judged = [self._without(part) for part in parts]
        share = self._kernel_share(judged)
        model = model.with_(kernel_share=share)
        self._publish(model, "kernels")
        judged = [(part, one.with_(kernel_share=share)) for part, one in judged]

        reserve = REPORT_S + REPORT_S_PER_PAIR * min(count, SHOWN_PAIRS)
        self.budget.reserve = reserve
        self._resume()
        if not self.progress.planned:
            widths = self.budget.widths()
            self.progress.planned = [self.budget.of_judging(len(widths) * len(parts))] * (len(widths) * len(parts))
            self.progress.networks["widths"] = list(widths)
        widths = self.progress.networks["widths"]
        self.status["state"] = "training"
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
            self.progress.planned.append(self.budget.of_final())
        job = self._job(len(jobs), model, [], self.width)
        state = self._run_job(job, "training on all pairs")
        self.judged = [
            (part, self._with_context(one, self.progress.networks[name], self.progress.steps[name]))
            for name, (part, one) in ((f"{self.width}/{index}", two) for index, two in enumerate(judged))
        ]
        self.steps = state.step
        final = self._with_context(model, weights_of(state), state.step)
        self._publish(final, "context")
        return final

    def _without(self, part: Sequence[int]) -> tuple[Sequence[int], ColorModel]:
        """Fit and kernels of all samples but ``part``."""
        samples = [sample for index, sample in enumerate(self.samples) if index not in part]
        return part, closed_form.with_kernels(self._fit(samples), samples, self.options.seed)

    def _fit(self, samples: Sequence[Sample]) -> ColorModel:
        return closed_form.first_model(samples, self.restoration.encoding, self.options.protect)

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
        share = USUAL_SHARE * steps / (steps + HALF_TRAINED)
        errors = self.progress.errors.get(f"context {self.width}")
        if errors is not None:
            evidence = max(len(self.samples) - 2, 0)
            share = _drawn(SHARES[int(np.argmin(errors))], evidence, towards=share, by=USUAL_PAIRS)
        return model.with_(context=weights, context_share=share)

    def _job(self, index: int, model: ColorModel, part: Sequence[int], width: int) -> Job:
        from wetgate.training.loop import Job

        inside = [i for i in range(len(self.samples)) if i not in part]
        held_out = [self.samples[i] for i in part] or self.held_out
        return Job(
            index=index,
            model=model,
            training=[self.samples[i] for i in inside],
            training_weights=[self.weights[i] for i in inside],
            held_out=held_out,
            held_out_weights=[sample.weight for sample in held_out],
            width=width,
            seed=self.options.seed,
            device=self.device,
        )

    def _run_job(self, job: Job, message: str) -> State:
        from wetgate.training import loop

        state, self.resumed = self.resumed or loop.State(), None
        planned = self.progress.planned[job.index]
        self.clock = _Clock()
        held_out = [sample.number for sample in job.held_out]
        self.run.emit({"event": "job", "job": job.index, "what": message, "width": job.width, "held_out": held_out})

        def after_step(state: State, loss: float) -> None:
            state.seconds += self.clock.lap()
            if not np.isfinite(loss):
                self.run.emit({"event": "went back", "step": state.step, "job": job.index, "seconds": self._elapsed()})
                self._tell(message="training diverged: back to the last good weights, at half the rate")
            now = time.monotonic()
            if now - self.last["validation"] >= VALIDATION_S:
                self.last["validation"] = now
                self._note(job, state, loss)
            if now - self.last["status"] >= STATUS_S:
                left = self._left(job.index, state)
                self._tell(message=message, step=state.step, loss=loss, eta_s=left)
                self._obey(lambda: self._save(job, state))
            if now - self.last["checkpoint"] >= CHECKPOINT_S:
                self._save(job, state)

        loop.train(job, state, lambda state: self.budget.fraction(state, planned), after_step)
        self._note(job, state, state.running)
        return state

    def _note(self, job: Job, state: State, loss: float) -> None:
        from wetgate.training.loop import validation

        event = {"event": "step", "job": job.index, "step": state.step, "loss": loss, "seconds": self._elapsed()}
        error = validation(job, state)
        if error is not None:
            event["validation"] = self.status["validation"] = error
        self.run.emit(event)

    def _left(self, job: int, state: State) -> float | None:
        if self.budget.steps is None:
            return self.budget.left() + self.budget.reserve
        later = sum(self.progress.planned[job + 1 :]) + (
            self.budget.of_final() if job < len(self.progress.planned) - 1 or self._judging(job) else 0
        )
        rate = state.seconds / state.step if state.step else 0.0
        return max(self.progress.planned[job] - state.step + later, 0) * rate

    def _judging(self, job: int) -> bool:
        return (
            job < len(self.progress.networks["widths"]) * min(len(self.samples), MOST_PARTS) and len(self.samples) > 1
        )

    def _next_job(self) -> None:
        self.progress.job += 1
        self._save(None, None)

    # Checkpoints

    def _save(self, job: Job | None, state: State | None) -> None:
        import torch

        from wetgate.training.loop import checkpoint, weights_of

        stream = io.BytesIO()
        networks = {
            name: value if name == "widths" else {key: torch.from_numpy(array) for key, array in value.items()}
            for name, value in self.progress.networks.items()
        }
        whole = {**asdict(self.progress), "networks": networks, "state": None if state is None else checkpoint(state)}
        torch.save(whole, stream)
        self.run.save_checkpoint(stream.getvalue())
        self.last["checkpoint"] = time.monotonic()
        self.run.emit({"event": "checkpoint", "job": self.progress.job, "step": 0 if state is None else state.step})
        if job is not None and state is not None and not self._judging(job.index):
            self._publish(self._with_context(job.model, weights_of(state), state.step), "context, so far")

    def _resume(self) -> None:
        import torch

        from wetgate.training.loop import from_checkpoint

        path = self.run.newest_checkpoint()
        if path is None:
            return
        whole = torch.load(path, map_location="cpu", weights_only=True)
        self.progress.job, self.progress.planned = whole["job"], whole["planned"]
        self.progress.errors |= whole["errors"]
        self.progress.steps = whole["steps"]
        self.progress.networks = {
            name: value if name == "widths" else {key: array.numpy() for key, array in value.items()}
            for name, value in whole["networks"].items()
        }
        if whole["state"] is not None:
            self.resumed = from_checkpoint(whole["state"])
        step = 0 if self.resumed is None else self.resumed.step
        self.run.emit({"event": "resumed", "job": self.progress.job, "step": step})

    # What others see

    def _publish(self, model: ColorModel, stage: str) -> None:
        card = self._card(model, stage)
        export(self.run.model, lambda ops, frames: forward_with_coverage(ops, frames, model), card)
        self.run.emit({"event": "model", "stage": stage, "seconds": self._elapsed()})
        self.stage = self.status["model"] = stage
        self._strip(model, stage)
        self.preview.draw(stage, self._curve_of)

    def _strip(self, model: ColorModel, stage: str) -> None:
        """Scan, restored and reference of one pair side by side, once torch is loaded."""
        if stage in ("first look", "closed-form fit"):
            return
        from wetgate.recipes.looking import strip

        sample = (self.held_out or self.samples)[0]
        strip(make_folder(self.run.previews) / "latest.png", sample, model)

    def _curve_of(self, pair: int) -> Curve:
        found = self.run.settings.get("exposure", {}).get(str(pair))
        return STILL if found is None else as_curve(found)

    def _finish(self, model: ColorModel) -> dict[str, Any]:
        from wetgate.recipes.looking import held_out_report

        self._tell(message="writing the report", eta_s=None)
        export(
            self.run.folder / "model_fp16.onnx",
            lambda ops, frames: forward_with_coverage(ops, frames, model),
            replace(self._card(model, "context"), half_of=sha256(self.run.model)),
            half=True,
        )
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
        measures = held_out_report(self.restoration, self.run, model, self.samples, judged, chosen, self._elapsed())
        write_json(self.run.record, self._record("context", measures))
        return {"report": str(self.run.report), "held_out": measures, **chosen, "seconds": round(self._elapsed(), 1)}

    def _card(self, model: ColorModel, stage: str) -> ModelCard:
        return ModelCard(
            recipe="color",
            encoding=model.encoding,
            colour_space="as the scan",
            protected=model.protect,
            record=self._record(stage, {}),
            producer=f"wetgate {__version__}",
        )

    def _record(self, stage: str, results: dict[str, Any]) -> dict[str, Any]:
        pairs = self.restoration.pairs()
        trained = {sample.number for sample in self.samples}
        return shot_record(
            recipe="color",
            sources=[
                SourceRecord(role=s["element"], name=s["path"], element=s["element"], rights=s["rights"])
                for s in self.restoration.sources
            ],
            pairs=[_pair_record(pair, trained) for pair in pairs],
            settings={key: value for key, value in asdict(self.options).items() if key not in ("operator", "seed")},
            seed=self.options.seed,
            versions=_versions(),
            protected=self.options.protect,
            same_picture=True,
            limitations=[
                f"Stage: {stage}. Colours that no pair shows are extrapolated.",
                "Damage of the scan is not removed by this recipe.",
                "Flicker is removed before the model, by exposure curves of the scan."
                if self.options.steady
                else "Flicker of the scan is not removed.",
            ],
            results=results or None,
            operator=self.options.operator,
        )

    def _tell(self, **changes: Any) -> None:
        self.status |= changes
        self.last["status"] = time.monotonic()
        self.run.write_status({**self.status, "seconds": self._elapsed()})
        self.follow(self.status)

    def _obey(self, keep: Callable[[], None] = lambda: None) -> None:
        """Do what was asked for in commands/; a pause does not count against the time."""
        paused_at = time.monotonic()
        while True:
            for command in self.run.take_commands():
                if command == "stop":
                    keep()
                    raise Stopped
                if command == "checkpoint":
                    keep()
                elif command == "pause" and self.status["state"] != "paused":
                    keep()
                    self._paused = self.status["state"]
                    self._tell(state="paused")
                elif command == "resume" and self.status["state"] == "paused":
                    self._tell(state=self._paused)
            if self.preview.has_changed():
                self.preview.draw(self.stage, self._curve_of)
            if self.status["state"] != "paused":
                break
            time.sleep(0.1)
        if "_paused" in vars(self):
            del self._paused
            pause = time.monotonic() - paused_at
            self.started += pause
            self.clock.skip(pause)
            self.budget.started += pause

    def _elapsed(self) -> float:
        return round(time.monotonic() - self.started, 2)


class _Clock:
    """Seconds of work since the last lap, pauses left out."""

    def __init__(self) -> None:
        self._from = time.monotonic()

    def lap(self) -> float:
        now = time.monotonic()
        seconds, self._from = now - self._from, now
        return seconds

    def skip(self, seconds: float) -> None:
        self._from += seconds


def _sum(total: list[float] | None, more: list[float]) -> list[float]:
    return more if total is None else [a + b for a, b in zip(total, more, strict=True)]


def _drawn(share: float, pairs: int, *, towards: float, by: int) -> float:
    """``share``, which ``pairs`` found best, drawn towards another as if ``by`` more pairs had found that."""
    return (pairs * share + by * towards) / (pairs + by)


def _spread(count: int, wanted: int) -> list[int]:
    """Indices of ``wanted`` of ``count`` pairs, evenly spread; one pair at least is left to train on."""
    if wanted >= count > 0 and wanted:
        raise WetgateError(f"{wanted} of {count} pairs cannot be held out: one at least is needed to train on.")
    return sorted({int((index + 0.5) * count / wanted) for index in range(wanted)})


def _device(wanted: str) -> str:
    import torch

    if wanted == "cuda" and not torch.cuda.is_available():
        raise WetgateError("CUDA was asked for, but torch finds no NVIDIA GPU here. Choose --device cpu or auto.")
    return "cuda" if wanted != "cpu" and torch.cuda.is_available() else "cpu"


def _name_of(device: str) -> str:
    """The device as people know it."""
    if device == "cpu":
        return "CPU"
    import torch

    return torch.cuda.get_device_name()


def _pair_record(pair: Pair, trained: set[int]) -> PairRecord:
    return PairRecord(
        frame=pair.frame,
        accepted=pair.number in trained,
        reason=pair.reason or ("" if pair.number in trained else "held out"),
        scan_sha256=pair.checksums.get("scan.exr", ""),
        reference_sha256=pair.checksums.get("reference.exr", ""),
        alignment={"transform": pair.transform, "residual_px": pair.residual_px},
    )


def _versions() -> dict[str, str]:
    from importlib.metadata import PackageNotFoundError, version

    versions = {"wetgate": __version__, "python": platform.python_version()}
    for package in ("torch", "numpy", "onnx"):
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    return versions
