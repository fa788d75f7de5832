"""One run at work: what every recipe does alike while it trains.

It tells how far it is, obeys the files in commands/, keeps time, trains networks with validation and checkpoints on
the way, and publishes models, each whole or not at all.
"""

from __future__ import annotations

import io
import platform
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from wetgate import __version__
from wetgate.errors import WetgateError
from wetgate.files import sha256, write_json
from wetgate.inference.curves import STILL, Curve
from wetgate.onnx_model import ModelCard
from wetgate.project import Pair, Restoration, Run
from wetgate.recipes.options import Options
from wetgate.recipes.previews import Preview
from wetgate.records.shot_record import PairRecord, SourceRecord, shot_record
from wetgate.training.budget import LEAST_STEPS, Budget
from wetgate.training.onnx_export import export

if TYPE_CHECKING:
    from wetgate.training.loop import State, Task

Follow = Callable[[dict[str, Any]], None]
Forward = Callable[[Any, Any], Any]

CHECKPOINT_S = 10.0
STATUS_S = 0.5
VALIDATION_S = 3.0
HURRIED = "The time was spent before the network could learn anything: train again, and give it more."


class Stopped(Exception):
    """The artist asked for an end."""


@dataclass
class Progress:
    """Where a run of several networks stands, but for the one at work.

    Attributes:
        job: how many networks are trained.
        planned: seconds or steps of each, as far as that was decided.
        errors: on what was held out, by what was judged.
        networks: weights by name, of each network; and what else was decided, as lists.
        steps: that each was trained for.
    """

    job: int = 0
    planned: list[float] = field(default_factory=list)
    errors: dict[str, list[float]] = field(default_factory=dict)
    networks: dict[str, Any] = field(default_factory=dict)
    steps: dict[str, int] = field(default_factory=dict)


class Work:
    """A run of a restoration while it is worked on; the run's lock must be held.

    Args:
        restoration: whose pairs.
        run: where everything goes.
        options: see :class:`Options`.
        started: ``time.monotonic()`` of the start, from which seconds count.
        follow: gets each status as it is written.

    Attributes:
        status: what status.json says.
        budget: how long things may take.
        stage: of the newest model, as published.
    """

    def __init__(
        self, restoration: Restoration, run: Run, options: Options, started: float, follow: Follow = lambda status: None
    ) -> None:
        self.restoration, self.run, self.options = restoration, run, options
        self.budget = Budget(started, options.seconds, options.steps)
        self.status: dict[str, Any] = {"state": "preparing", "recipe": restoration.recipe}
        self.stage = "so far"
        self._started = started
        self._follow = follow
        self._clock = _Clock()
        self._preview = Preview(restoration, run)
        self._last = {"status": 0.0, "checkpoint": time.monotonic(), "validation": 0.0}
        self._hurried = False
        if run.settings.get("steady") != options.steady:
            run.settings["steady"] = options.steady
            self.keep_settings()

    def carry_out(self, steps: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """Do the recipe's work.

        Args:
            steps: prepares, trains and reports, and returns what came out: "pairs" (how many were trained on),
                "report", "held_out" (measures by method), "steps", and what the recipe wants to add.

        Returns:
            That, with "state" ("finished", or "stopped" with nothing else of it), "run", "model", "seconds", and
            "note" (a sentence) where the time was spent before the last network could learn.
        """
        result: dict[str, Any] = {"state": "finished", "run": self.run.number}
        try:
            result |= steps()
        except Stopped:
            result["state"] = "stopped"
            self.status.pop("eta_s", None)
        result["model"] = str(self.run.model) if self.run.model.exists() else None
        result["seconds"] = round(self.elapsed(), 1)
        report = {"report": result["report"]} if "report" in result else {}
        if self._hurried and result["state"] == "finished":
            result["note"] = HURRIED
        self.tell(state=result["state"], message=result.get("note", ""), **report)
        return result

    # Time, status, commands

    def elapsed(self) -> float:
        """Seconds since the start, pauses left out."""
        return round(time.monotonic() - self._started, 2)

    def tell(self, **changes: Any) -> None:
        """Write status.json with ``changes``."""
        self.status |= changes
        self._last["status"] = time.monotonic()
        self.run.write_status({**self.status, "seconds": self.elapsed()})
        self._follow(self.status)

    def obey(self, keep: Callable[[], None] = lambda: None) -> None:
        """Do what was asked for in commands/; a pause does not count against the time.

        Args:
            keep: writes a checkpoint; called before a stop and a pause.

        Raises:
            Stopped: a stop was asked for.
        """
        paused_at = time.monotonic()
        before = ""
        while True:
            for command in self.run.take_commands():
                if command == "stop":
                    keep()
                    raise Stopped
                if command == "checkpoint":
                    keep()
                elif command == "pause" and self.status["state"] != "paused":
                    keep()
                    before = self.status["state"]
                    self.tell(state="paused")
                elif command == "resume" and self.status["state"] == "paused":
                    self.tell(state=before)
            if self._preview.has_changed():
                self._preview.draw(self.stage, self.curve_of)
            if self.status["state"] != "paused":
                break
            time.sleep(0.1)
        if before:
            pause = time.monotonic() - paused_at
            self._started += pause
            self._clock.skip(pause)
            self.budget.started += pause

    # Pairs

    def of_this_run(self, pairs: Sequence[tuple[Pair, Any]]) -> list[tuple[Pair, Any]]:
        """All pairs at first, in order of their frames; after a resume those of the start, which checkpoints fit.

        Raises:
            WetgateError: one of them can no longer be used.
        """
        wanted = self.run.settings.setdefault("pairs", [pair.number for pair, _ in pairs])
        missing = sorted(set(wanted) - {pair.number for pair, _ in pairs})
        if missing:
            raise WetgateError(
                f"Run {self.run.number:03d} was started with pair {missing[0]}, which can no longer be used: "
                "train without --resume."
            )
        kept = [(pair, pictures) for pair, pictures in pairs if pair.number in wanted]
        return sorted(kept, key=lambda two: (two[0].frame, two[0].number))

    def note_pairs(self, accepted: int, held_out: Sequence[int]) -> None:
        """Keep in the run which pairs are held out, by number, and tell of the rejected ones."""
        self.run.settings["held_out"] = list(held_out)
        self.keep_settings()
        for pair in self.restoration.pairs({"rejected"}):
            self.run.emit({"event": "rejected", "pair": pair.number, "reason": pair.reason})
        self.run.emit({"event": "pairs", "accepted": accepted, "held_out": self.run.settings["held_out"]})

    def keep_settings(self) -> None:
        """Write the run's settings.json anew, with what was found out."""
        write_json(self.run.folder / "settings.json", self.run.settings)

    def curve_of(self, pair: int) -> Curve:
        """The exposure curve that steadied a pair's scan, by the pair's number."""
        from wetgate.inference.curves import as_curve

        found = self.run.settings.get("exposure", {}).get(str(pair))
        return STILL if found is None else as_curve(found)

    # Networks

    def train_network(
        self,
        task: Task,
        planned: float,
        message: str,
        *,
        state: State | None = None,
        keep: Callable[[State], None] = lambda state: None,
        later: float = 0.0,
        **words: Any,
    ) -> State:
        """Train for ``planned`` seconds or steps, whichever the budget counts.

        Args:
            task: what to train.
            planned: how long.
            message: for the status and the events.
            state: from a checkpoint, or None to begin.
            keep: writes a checkpoint (see :meth:`save`), and perhaps a model; called now and then, before a pause and
                before a stop.
            later: steps that come after this network, for the time left.
            words: more for the event of the start.

        Raises:
            Stopped: a stop was asked for.
        """
        from wetgate.training import loop

        state = state or loop.State()
        self._clock = _Clock()
        self.run.emit({"event": "job", "job": task.index, "what": message, **words})

        def left() -> float | None:
            if self.budget.steps is None:
                return self.budget.left() + self.budget.reserve
            rate = state.seconds / state.step if state.step else 0.0
            return max(planned - state.step + later, 0) * rate

        def save() -> None:
            keep(state)
            self._last["checkpoint"] = time.monotonic()

        def after_step(state: State, loss: float) -> None:
            state.seconds += self._clock.lap()
            if not np.isfinite(loss):
                words = {"event": "went back", "step": state.step, "job": task.index, "seconds": self.elapsed()}
                self.run.emit(words)
                self.tell(message="training diverged: back to the last good weights, at half the rate")
            now = time.monotonic()
            if now - self._last["validation"] >= VALIDATION_S:
                self._last["validation"] = now
                self._note(task, state, loss)
            if now - self._last["status"] >= STATUS_S:
                self.tell(message=message, step=state.step, loss=loss, eta_s=left())
                self.obey(save)
            if now - self._last["checkpoint"] >= CHECKPOINT_S:
                save()

        loop.train(task, state, lambda state: self.budget.fraction(state, planned), after_step)
        self._note(task, state, state.running)
        self._hurried = self.budget.steps is None and state.step <= LEAST_STEPS
        return state

    def _note(self, task: Task, state: State, loss: float) -> None:
        event = {"event": "step", "job": task.index, "step": state.step, "loss": loss, "seconds": self.elapsed()}
        error = task.validation(state.weights)
        if error is not None:
            event["validation"] = self.status["validation"] = error
        self.run.emit(event)

    def device(self) -> str:
        """Where to train, "cpu" or "cuda"; the status then names it as people know it.

        Raises:
            WetgateError: CUDA was asked for and is not there.
        """
        import torch

        wanted = self.options.device
        if wanted == "cuda" and not torch.cuda.is_available():
            raise WetgateError("CUDA was asked for, but torch finds no NVIDIA GPU here. Choose --device cpu or auto.")
        device = "cuda" if wanted != "cpu" and torch.cuda.is_available() else "cpu"
        self.status["device"] = "CPU" if device == "cpu" else torch.cuda.get_device_name()
        return device

    # Checkpoints

    def save(self, whole: Mapping[str, Any], *, job: int = 0, step: int = 0) -> None:
        """Write a checkpoint: numbers, texts, bytes, tensors, and lists and dicts of these."""
        import torch

        stream = io.BytesIO()
        torch.save(dict(whole), stream)
        self.run.save_checkpoint(stream.getvalue())
        self._last["checkpoint"] = time.monotonic()
        self.run.emit({"event": "checkpoint", "job": job, "step": step})

    def load(self) -> dict[str, Any] | None:
        """What :meth:`save` wrote last, or None; nothing in it is executed."""
        import torch

        path = self.run.newest_checkpoint()
        return None if path is None else torch.load(path, map_location="cpu", weights_only=True)

    def save_progress(self, progress: Progress, state: State | None) -> None:
        """Write a checkpoint of a run of several networks, and of the one at work, where there is one."""
        import torch

        from wetgate.training.loop import checkpoint

        networks = {
            name: {key: torch.from_numpy(array) for key, array in value.items()} if isinstance(value, dict) else value
            for name, value in progress.networks.items()
        }
        whole = {**vars(progress), "networks": networks, "state": None if state is None else checkpoint(state)}
        self.save(whole, job=progress.job, step=0 if state is None else state.step)

    def load_progress(self, progress: Progress) -> State | None:
        """Bring ``progress`` to where :meth:`save_progress` wrote it last, if it did; the network that was at work."""
        from wetgate.training.loop import from_checkpoint

        whole = self.load()
        if whole is None:
            return None
        progress.job, progress.planned, progress.steps = whole["job"], whole["planned"], whole["steps"]
        progress.errors |= whole.get("errors", {})
        progress.networks = {
            name: {key: tensor.numpy() for key, tensor in value.items()} if isinstance(value, dict) else value
            for name, value in whole["networks"].items()
        }
        state = None if whole["state"] is None else from_checkpoint(whole["state"])
        step = 0 if state is None else state.step
        self.run.emit({"event": "resumed", "job": progress.job, "step": step})
        return state

    # What others see

    def publish(self, forward: Forward, card: ModelCard, stage: str) -> None:
        """Replace model.onnx by ``forward(ops, frames)``, and draw what is looked at with it."""
        export(self.run.model, forward, card)
        self.run.emit({"event": "model", "stage": stage, "seconds": self.elapsed()})
        self.stage = self.status["model"] = stage
        self._preview.draw(stage, self.curve_of)

    def publish_half(self, forward: Forward, card: ModelCard) -> None:
        """Write the 16-bit variant of the model that was published last."""
        card = replace(card, half_of=sha256(self.run.model))
        export(self.run.folder / "model_fp16.onnx", forward, card, half=True)

    def card(self, record: dict[str, Any], *, protected: str, radius: int = 0) -> ModelCard:
        """What the model file says about itself."""
        return ModelCard(
            recipe=self.restoration.recipe,
            radius=radius,
            encoding=self.restoration.encoding,
            colour_space="as the scan",
            protected=protected,
            record=record,
            producer=f"wetgate {__version__}",
        )

    def record(
        self,
        *,
        trained: Collection[int],
        protected: str,
        limitations: Sequence[str],
        results: dict[str, Any] | None = None,
        same_picture: bool = True,
    ) -> dict[str, Any]:
        """How the model came about (:mod:`wetgate.records.shot_record`).

        Args:
            trained: numbers of the pairs that were learnt from.
            protected: what of the scan is kept.
            limitations: sentences.
            results: measures, by method.
            same_picture: whether the references show the scan's own picture.
        """
        settings = {key: value for key, value in asdict(self.options).items() if key not in ("operator", "seed")}
        return shot_record(
            recipe=self.restoration.recipe,
            sources=[
                SourceRecord(role=s["element"], name=s["path"], element=s["element"], rights=s["rights"])
                for s in self.restoration.sources
            ],
            pairs=[_pair_record(pair, trained) for pair in self.restoration.pairs()],
            settings=settings,
            seed=self.options.seed,
            versions=versions(),
            protected=protected,
            same_picture=same_picture,
            limitations=list(limitations),
            results=results or None,
            operator=self.options.operator,
        )


def spread(count: int, wanted: int) -> list[int]:
    """Indices of ``wanted`` of ``count`` pairs to hold out, evenly spread.

    Raises:
        WetgateError: not one would be left to train on.
    """
    if wanted >= count > 0 and wanted:
        raise WetgateError(f"{wanted} of {count} pairs cannot be held out: one at least is needed to train on.")
    return sorted({int((index + 0.5) * count / wanted) for index in range(wanted)})


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


def _pair_record(pair: Pair, trained: Collection[int]) -> PairRecord:
    return PairRecord(
        frame=pair.frame,
        accepted=pair.number in trained,
        reason=pair.reason or ("" if pair.number in trained else "held out"),
        scan_sha256=pair.checksums.get("scan.exr", ""),
        reference_sha256=pair.checksums.get("reference.exr", ""),
        alignment={"transform": pair.transform, "residual_px": pair.residual_px},
    )


def versions() -> dict[str, str]:
    """Of what a model is made with, by name: for its record."""
    from importlib.metadata import PackageNotFoundError, version

    found = {"wetgate": __version__, "python": platform.python_version()}
    for package in ("torch", "numpy", "onnx"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
