"""What the artist has chosen and what is going on: everything that the panel does, without Qt and without Nuke.

All calls return at once, and all of it lives on disk: a session may be closed and another opened in its place at any
moment, here or on another machine, and finds the same pairs, runs and notes, and a training that went on meanwhile.

    none -> waiting -> preparing <-> training -> finished
                          |  ^          |  ^
                          v  |          v  |        stopped, failed and interrupted from everywhere;
                         paused        paused       from those it goes on, or a new run starts
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Optional, Protocol

from nuke_plugin import words
from nuke_plugin.comparing import Difference, compare
from nuke_plugin.engine import Calls, Engine, Health, Options, Task, Worker
from nuke_plugin.memory import memory_file, remember, remembered, use
from nuke_plugin.standing import PairStanding, Reader, RunStanding, Standing, exr_size, write_note
from wetgate.errors import WetgateError
from wetgate.project import TRAINABLE, WITHOUT_REFERENCE, Pair, Run, create_restoration, open_restoration

ACTIONS: Mapping[str, frozenset[str]] = {
    "none": frozenset({"train"}),
    "waiting": frozenset({"stop"}),
    "preparing": frozenset({"pause", "stop"}),
    "training": frozenset({"pause", "checkpoint", "stop"}),
    "paused": frozenset({"resume", "stop"}),
    "finished": frozenset({"train"}),
    "stopped": frozenset({"train", "go_on"}),
    "failed": frozenset({"train", "go_on"}),
    "interrupted": frozenset({"train", "go_on"}),
}
"""What an artist can do with a training, by its state."""
_SETTING = "training"
"""Of restoration.json: how to train, as last chosen."""
_MOST_RECENT = 8
_START_PATIENCE_S = 20.0
_BY_HAND = "by hand"


class Desk(Protocol):
    """Where pairs come from and models go to: Nuke's graph, or nothing. Called in the main thread."""

    @property
    def why_not(self) -> str:
        """Why there is no graph, in a sentence; empty where there is one."""

    def from_viewer(self, folder: str) -> str:
        """Take what the Viewer shows, a pair or a scan; what was done, in a sentence.

        Raises:
            WetgateError: there is nothing to take, or it cannot be written.
        """

    def create_restore(self, model: str, folder: str) -> str:
        """Make a restore node with this model; its name."""

    def scan_pattern(self) -> str:
        """The files of the scan that the Viewer shows, as `shot.####.exr`; empty where there are none."""


class NoDesk:
    """Without a host application."""

    why_not = "This needs Nuke: open the panel there."

    def from_viewer(self, folder: str) -> str:
        raise WetgateError(self.why_not)

    def create_restore(self, model: str, folder: str) -> str:
        raise WetgateError(self.why_not)

    def scan_pattern(self) -> str:
        return ""


@dataclass(frozen=True)
class Suggestion:
    """A frame that is worth pairing next.

    Attributes:
        frame: of the scan.
        reason: why, in a sentence.
        coverage: 0-1, how much of it the pairs know; None where it was not said.
        gain: 0-1, how much of the whole scan it would add to what they know; None where it was not said.
    """

    frame: int
    reason: str
    coverage: Optional[float] = None
    gain: Optional[float] = None


class Session:
    """One restoration at a time, for one window.

    Args:
        calls: where threads put their callbacks; whoever owns the session makes them, again and again.
        desk: the host application.
        engine: for tests; the installed one by default.
        memory: the file that remembers which restorations were open; None for the user's own.
    """

    def __init__(
        self,
        calls: Calls,
        *,
        desk: Optional[Desk] = None,
        engine: Optional[Engine] = None,
        memory: Optional[Path] = None,
    ) -> None:
        self.desk: Desk = NoDesk() if desk is None else desk
        self.calls = calls
        self.engine = Engine(calls) if engine is None else engine
        self.standing = Standing()
        self.health: Optional[Health] = None
        self.notice = ""
        self.trouble = False
        self.options = Options()
        self.chosen: Optional[int] = None
        self.suggestions: tuple[Suggestion, ...] = ()
        self.coverage: Optional[float] = None
        self.known: Mapping[int, float] = {}
        self.recent: tuple[Path, ...] = ()
        self.set_up: tuple[str, ...] = ()
        self._tasks: dict[str, Task] = {}
        self._listeners: list[Callable[[], None]] = []
        self._worker = Worker(calls)
        self._reader: Optional[Reader] = None
        self._reading = False
        self._tried: frozenset[int] = frozenset()
        self._awaited = 0.0
        self._scan_in_viewer = ""
        self._memory = memory_file() if memory is None else memory

    # Who wants to know

    def listen(self, call: Callable[[], None]) -> None:
        """Have ``call`` called whenever something is other than before."""
        self._listeners.append(call)

    def close(self) -> None:
        """Forget everything; trainings go on."""
        self._listeners.clear()
        self._worker.close()
        self.engine.close()

    def _changed(self) -> None:
        for call in list(self._listeners):
            call()

    def say(self, sentence: str, *, trouble: bool = False) -> None:
        """Show a sentence until the next one."""
        self.notice, self.trouble = sentence, trouble
        self._changed()

    def _failed(self, sentence: str) -> None:
        self.say(sentence, trouble=True)

    # The restoration

    def start(self, folder: Optional[Path] = None) -> None:
        """Open ``folder``, or what was open last; look for the engine."""

        def done(found: tuple[list[Path], Health]) -> None:
            recent, self.health = found
            self.recent = tuple(recent)
            if folder is None and self._reader is None and recent:
                self._show(recent[0])
            self._changed()
            self.look()

        if folder is not None:
            self.open(folder)
        self._worker.run(lambda: (remembered(self._memory), self._presence()), done, self._failed)

    def _presence(self) -> Health:
        try:
            self.engine.command()
        except WetgateError as error:
            return Health("missing", str(error))
        return Health("ready")

    def open(self, folder: Path) -> None:
        """Show the restoration in ``folder``, which the artist has chosen."""
        use(str(folder))
        self._show(folder)

    def _show(self, folder: Path) -> None:
        self._reader = Reader(folder)
        self.standing = Standing(self._reader.folder)
        self.chosen, self._tried = None, frozenset()
        self.suggestions, self.coverage, self.known = (), None, {}
        self.options = Options()
        self.notice, self.trouble = "", False
        self.recent = tuple(dict.fromkeys([self._reader.folder, *self.recent]))[:_MOST_RECENT]
        recent = self.recent
        self._worker.run(lambda: remember(self._memory, recent))
        self._changed()
        self.look()

    def create(self, folder: Path, recipe: str = "color", encoding: str = "linear") -> None:
        """Make a restoration in a new folder and open it."""
        self._worker.run(
            lambda: create_restoration(folder, recipe, encoding), lambda made: self.open(made.folder), self._failed
        )

    def look(self) -> None:
        """Read what has changed on disk; to be called a few times a second."""
        reader = self._reader
        if reader is None or self._reading:
            return
        self._reading = True

        def done(standing: Standing) -> None:
            self._reading = False
            if reader is self._reader:
                self._take(standing)
            else:
                self.look()

        def failed(sentence: str) -> None:
            self._reading = False
            self._failed(sentence)

        self._worker.run(reader.read, done, failed)

    def _take(self, standing: Standing) -> None:
        before, self.standing = self.standing, standing
        if before.recipe == "" and standing.recipe:
            self.options = _options(standing.settings.get(_SETTING))
        if standing != before and self.pair is None:
            self.chosen = standing.pairs[0].number if standing.pairs else None
        self._draw_what_is_missing()
        awaited = self._awaited
        if awaited and (standing.latest is None or standing.latest.at_work or time.monotonic() > awaited):
            self._awaited = 0.0
        if standing != before or awaited != self._awaited:
            self._changed()

    # Pairs

    @property
    def pair(self) -> Optional[PairStanding]:
        """The chosen one."""
        return None if self.chosen is None else self.standing.pair(self.chosen)

    def choose(self, number: int) -> None:
        self.chosen = number
        self._changed()

    def accept(self, number: int) -> None:
        """Train on this pair, whatever was found about it."""

        def change(pair: Pair) -> None:
            corrected = sorted(pair.folder.glob("corrected.*")) if pair.state == "prepared" else []
            if corrected:
                raise WetgateError(
                    f"Pair {pair.number} has a correction, {corrected[0].name}, which only the command line takes in: "
                    f"run `wetgate accept {pair.folder.parents[1]} --pairs {pair.number}`."
                )
            name = "prepared.exr" if (pair.folder / "prepared.exr").exists() else "reference.exr"
            if exr_size(pair.folder / name) != exr_size(pair.scan):
                raise WetgateError(
                    f"The reference of pair {pair.number} is of another size than its scan and could not be laid over "
                    "it: it cannot be accepted. Add the frame again with a reference that fits."
                )
            pair.update(state="accepted", reason=_by_hand("accepted", pair.reason), prepared=name)

        self._change_pair(number, change)

    def reject(self, number: int, why: str = "") -> None:
        """Never train on this pair."""

        def change(pair: Pair) -> None:
            pair.update(state="rejected", reason=why.strip() or _by_hand("rejected", pair.reason))

        self._change_pair(number, change)

    def look_again(self, number: int) -> None:
        """Take back what was decided: the engine looks at the pair as if it were new."""
        self._change_pair(number, lambda pair: pair.update(state="collected", reason="", prepared=None, transform=None))

    def _change_pair(self, number: int, change: Callable[[Pair], None]) -> None:
        pair = self.standing.pair(number)
        if pair is not None:
            self._worker.run(lambda: change(Pair(pair.folder)), lambda _: self.look(), self._failed)

    def add_from_viewer(self) -> None:
        """Take what the host's Viewer shows: a pair, or where the recipe needs no reference, the scan alone."""
        folder = self.standing.folder
        if folder is None:
            self._failed("Open or make a restoration first, so that the pair has a place.")
            return
        said = self._ask_desk(lambda: self.desk.from_viewer(str(folder)))
        if said is not None:
            self.say(said)
        self.look()

    def prepare(self) -> None:
        """Align and judge the new pairs, and draw all pictures."""
        folder = self.standing.folder
        if folder is not None:
            self._begin("prepare", lambda done, failed: self.engine.prepare(folder, done, failed))

    def _draw_what_is_missing(self) -> None:
        """Pictures of pairs are the engine's to draw; once for the same pairs, and never beside a training."""
        bare = frozenset(pair.number for pair in self.standing.pairs if not pair.drawn)
        latest = self.standing.latest
        busy = "prepare" in self._tasks or (latest is not None and latest.at_work)
        if bare - self._tried and not busy and self.has_engine:
            self._tried |= bare
            self.prepare()

    @property
    def needs_reference(self) -> bool:
        """Whether the recipe learns from pairs only, and not from the scan alone."""
        return self.standing.recipe not in WITHOUT_REFERENCE

    # Training

    @property
    def has_engine(self) -> bool:
        return self.health is not None and self.health.state == "ready"

    @property
    def state(self) -> str:
        """Of the latest training; "none" before the first."""
        latest = self.standing.latest
        return "none" if latest is None else latest.state

    @property
    def starting(self) -> bool:
        """Whether a trainer was asked for and is not there yet."""
        return "start" in self._tasks or self._awaited > 0.0

    @property
    def actions(self) -> frozenset[str]:
        """What can be done with the training now."""
        latest = self.standing.latest
        if self.starting or self.standing.folder is None:
            return frozenset()
        possible = ACTIONS[self.state] - frozenset(latest.asked if latest is not None and latest.at_work else ())
        return possible if not self.why_not_train else possible - {"train", "go_on"}

    @property
    def why_not_train(self) -> str:
        """What is missing for a training, in a sentence; empty where nothing is."""
        standing = self.standing
        if standing.folder is None:
            return "Open or make a restoration first."
        if standing.problem:
            return standing.problem
        if self.health is None:
            return "Looking for the engine."
        if not self.has_engine:
            return self.health.sentence
        if standing.recipe not in TRAINABLE:
            return f"The recipe {words.RECIPES.get(standing.recipe, standing.recipe)} cannot be trained yet."
        if not standing.pairs and not standing.footage:
            return words.BEGIN.get(standing.recipe, "Add a pair first.")
        if not standing.footage and all(pair.state in ("rejected", "damaged") for pair in standing.pairs):
            return "All pairs are rejected: accept one, or add others."
        return ""

    def choose_options(self, **changes: Any) -> None:
        """Change how the next training goes; kept in the restoration."""
        self.options = replace(self.options, **changes)
        folder, kept = self.standing.folder, _as_setting(self.options)
        if folder is not None and not self.standing.problem:
            self._worker.run(lambda: open_restoration(folder).update(settings={_SETTING: kept}), failed=self._failed)
        self._changed()

    def train(self) -> None:
        """Start a new run in the background."""
        folder, options = self.standing.folder, self.options
        if folder is not None and "train" in self.actions:
            self._end_task("prepare")
            self._begin(
                "start", lambda done, failed: self.engine.start_training(folder, options, done, failed), self._await
            )

    def go_on(self) -> None:
        """Go on with the latest run."""
        folder = self.standing.folder
        if folder is not None and "go_on" in self.actions:
            self._begin("start", lambda done, failed: self.engine.go_on(folder, done, failed), self._await)

    def _await(self, answer: Mapping[str, Any]) -> None:
        """A trainer comes up: look at it until it is there, and have it show the chosen pair, or any that counts."""
        pair, folder = self.pair, Path(str(answer.get("folder", "")))
        if self.standing.folder not in folder.parents:
            return
        self._awaited = time.monotonic() + _START_PATIENCE_S
        if pair is None or pair.state in ("rejected", "damaged"):
            pair = next((one for one in self.standing.pairs if one.state not in ("rejected", "damaged")), None)
        run = self.standing.run(int(answer.get("run", 0)))
        if pair is not None and (run is None or run.preview_pair is None):
            number = pair.number
            self._worker.run(lambda: Run(folder).choose_preview(pair=number), failed=self._failed)

    def send(self, command: str) -> None:
        """Have the trainer stop, pause, resume, or keep a checkpoint after its current step."""
        latest = self.standing.latest
        if latest is not None and command in self.actions:
            folder = latest.folder
            self._worker.run(lambda: Run(folder).send(command), lambda _: self.look(), self._failed)

    def pause_or_resume(self) -> None:
        self.send("resume" if self.state == "paused" else "pause")

    # The preview

    def preview(self, pair: int) -> None:
        """Have the trainer show this pair."""
        latest = self.standing.latest
        if latest is not None:
            folder = latest.folder
            self._worker.run(lambda: Run(folder).choose_preview(pair=pair), lambda _: self.look(), self._failed)

    # Runs

    def note(self, number: int, text: str) -> None:
        """Keep what the artist noted about a run."""
        run = self.standing.run(number)
        if run is not None and text != run.note:
            folder = run.folder
            self._worker.run(lambda: write_note(folder, text), lambda _: self.look(), self._failed)

    def compare(self, first: int, second: int) -> tuple[Difference, ...]:
        """Two runs side by side, as lines of a table."""
        runs = self.standing.run(first), self.standing.run(second)
        if runs[0] is None or runs[1] is None:
            return ()
        return compare(runs[0], runs[1])

    # What to pair next

    def look_at_viewer(self) -> None:
        """Ask the host which scan its Viewer shows."""
        self._scan_in_viewer = self._ask_desk(self.desk.scan_pattern) or ""

    def suggest(self, scan: str) -> None:
        """Ask which frames of ``scan`` are worth pairing next."""
        folder = self.standing.folder
        if folder is None:
            return

        def told(answer: Mapping[str, Any]) -> None:
            if folder != self.standing.folder:
                return
            self.suggestions = tuple(_suggestions(answer))
            self.coverage = _share(answer.get("coverage")) if answer.get("pairs", 1) else None
            self.known = _known(answer.get("frames"))

        self._begin(
            "suggest",
            lambda done, failed: self.engine.suggest(folder, scan, done=done, failed=failed),
            told,
        )

    @property
    def scan_pattern(self) -> str:
        """The scan's files as far as they are known: the Viewer's, or those of the newest pair."""
        pattern = self._scan_in_viewer
        for pair in reversed(self.standing.pairs):
            pattern = pattern or pattern_of(str(pair.where_from.get("scan", "")), pair.frame)
        return pattern

    # The host

    @property
    def model(self) -> Optional[RunStanding]:
        """The newest run that has a model."""
        return next((run for run in reversed(self.standing.runs) if run.model is not None), None)

    def create_restore(self, number: Optional[int] = None) -> None:
        """Make a restore node with the model of a run, the newest by default."""
        run = self.model if number is None else self.standing.run(number)
        if run is None or run.model is None:
            self._failed("There is no model yet: train first.")
            return
        model = str(run.model)
        name = self._ask_desk(lambda: self.desk.create_restore(model, str(self.standing.folder)))
        if name is not None:
            steadied = run.settings.get("steady") and run.settings.get("recipe") != "steady"
            flicker = " It was trained on a steadied scan: press Measure flicker on it." if steadied else ""
            self.say(f"Made {name} with the model of run {run.number}.{flicker}")

    def _ask_desk(self, call: Callable[[], str]) -> Optional[str]:
        """Ask the host; None where it refuses, which is shown."""
        try:
            return call()
        except WetgateError as error:
            self._failed(str(error))
        except Exception as error:  # hosts raise anything
            self._failed(f"The host refused: {error or repr(error)}")
        return None

    # The engine

    @property
    def busy(self) -> frozenset[str]:
        """What is being waited for: start, prepare, suggest, install, examine."""
        return frozenset(self._tasks)

    def install(self) -> None:
        """Set the engine up for this user; its lines come into ``set_up``."""
        self.set_up = ()

        def follow(line: str) -> None:
            self.set_up = (*self.set_up, line)
            self._changed()

        def told(said: str) -> None:
            self.set_up = (*self.set_up, *str(said).splitlines())
            self.health = None
            self.examine()

        self._begin("install", lambda done, failed: self.engine.install(follow, done, failed), told)

    def cancel(self, name: str) -> None:
        """Give up what is being waited for."""
        self._end_task(name)
        self._changed()

    def examine(self) -> None:
        """Ask the engine whether all of it works."""

        def told(health: Health) -> None:
            self.health = health
            if health.sentence:
                self._failed(health.sentence)

        self._begin("examine", lambda done, failed: self.engine.examine(done), told)

    def _begin(
        self,
        name: str,
        start: Callable[[Callable[[Any], None], Callable[[str], None]], Task],
        told: Callable[[Any], None] = lambda answer: None,
    ) -> None:
        """Have a process do something; never twice at the same time."""
        if name in self._tasks:
            return

        def done(answer: Any) -> None:
            self._tasks.pop(name, None)
            told(answer)
            self._changed()
            self.look()

        def failed(sentence: str) -> None:
            self._tasks.pop(name, None)
            self._failed(sentence)
            self.look()

        self._tasks[name] = start(done, failed)
        self._changed()

    def _end_task(self, name: str) -> None:
        task = self._tasks.pop(name, None)
        if task is not None:
            task.cancel()


def pattern_of(path: str, frame: int) -> str:
    """The sequence that a file belongs to: frame 21 of `bikes.0021.dpx` is in `bikes.####.dpx`."""
    folder, name = os.path.split(path)
    places = [match for match in re.finditer(r"\d+", name) if int(match.group()) == frame]
    if not places:
        return path
    place = places[-1]
    return os.path.join(folder, name[: place.start()] + "#" * len(place.group()) + name[place.end() :])


def _by_hand(what: str, reason: str) -> str:
    """Keeps what the engine had found, once."""
    found = re.sub(rf"^(accepted|rejected) {_BY_HAND}(; found: )?", "", reason)
    return f"{what} {_BY_HAND}" + (f"; found: {found}" if found else "")


def _options(kept: Any) -> Options:
    """As last chosen for this restoration; what is not understood is left at its default."""
    kept = kept if isinstance(kept, dict) else {}
    default = Options()
    protect, grain, seconds, hold_out = (kept.get(name) for name in ("protect", "grain", "time_s", "hold_out"))
    return replace(
        default,
        protect=protect if protect in words.PROTECTED else default.protect,
        grain=grain if grain in words.GRAIN else default.grain,
        seconds=float(seconds) if isinstance(seconds, (int, float)) and seconds > 0 else default.seconds,
        hold_out=hold_out if isinstance(hold_out, int) and hold_out >= 0 else default.hold_out,
    )


def _as_setting(options: Options) -> dict[str, Any]:
    return {
        "protect": options.protect,
        "grain": options.grain,
        "time_s": options.seconds,
        "hold_out": options.hold_out,
    }


def _suggestions(answer: Mapping[str, Any]) -> list[Suggestion]:
    found = answer.get("suggestions")
    return [
        Suggestion(int(one["frame"]), str(one.get("reason", "")), _share(one.get("coverage")), _share(one.get("gain")))
        for one in (found if isinstance(found, list) else [])
        if isinstance(one, dict) and isinstance(one.get("frame"), int)
    ]


def _known(frames: Any) -> Mapping[int, float]:
    """How much of each frame the pairs know, 0-1, by its number."""
    if not isinstance(frames, dict):
        return {}
    return {int(number): share for number, share in frames.items() if number.isdigit() and _share(share) is not None}


def _share(value: Any) -> Optional[float]:
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None
