"""Two runs side by side: what each was told, and what came of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Optional

from nuke_plugin import words
from nuke_plugin.standing import RunStanding


@dataclass(frozen=True)
class Difference:
    """One line of a comparison of two runs; ``better`` is 0 for the first, 1 for the second, None for neither."""

    name: str
    values: tuple[str, str]
    better: Optional[int] = None


def compare(first: RunStanding, second: RunStanding) -> tuple[Difference, ...]:
    """What two runs were told and what came of it."""
    runs = (first, second)

    def line(name: str, value: Callable[[RunStanding], str]) -> Difference:
        return Difference(name, (value(first), value(second)))

    lines = [
        line("State", lambda run: words.RUN_STATES.get(run.state, run.state)),
        line("Time", lambda run: words.duration(words.seconds_since_start(run))),
        line("Protects", lambda run: words.kept(run.settings) or "?"),
        line("Pairs", lambda run: str(len(run.settings.get("pairs") or ()))),
        line("Held out", lambda run: str(len(run.settings.get("held_out") or ()) or "by turns")),
    ]
    for key, name, more_is_better in words.MEASURES:
        found = [run.measures.get("restored", {}).get(key) for run in runs]
        if found[0] is None and found[1] is None:
            continue
        digits = 3 if key == "ssim" else 2
        shown = ["not measured" if value is None else f"{value:.{digits}f}" for value in found]
        better = None
        if found[0] is not None and found[1] is not None and more_is_better and shown[0] != shown[1]:
            better = int((found[1] - found[0]) * more_is_better > 0)
        lines.append(Difference(name, (shown[0], shown[1]), better))
    return (*lines, line("Note", lambda run: run.note))
