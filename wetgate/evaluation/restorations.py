"""The evaluation of a restoration: its newest model on its pairs, or a result against a truth."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from wetgate.errors import WetgateError
from wetgate.evaluation.compare import Follow, Frame, Method, Outcome, Sample, compare, scan_method, unheard
from wetgate.evaluation.metrics import Mask
from wetgate.evaluation.plots import plots_of
from wetgate.evaluation.report import PairLine, Report, limits_of_pairs
from wetgate.evaluation.tables import Table
from wetgate.images import Pixels, Source, format_frames, read_image
from wetgate.inference.session import Session
from wetgate.inference.tiles import Restorer
from wetgate.project import MADE_REFERENCES, WITHOUT_REFERENCE, Pair, Restoration, Run

_MADE = "The references were made; nothing here says how true they are. "
SHOWN_HELD_OUT = 6
SHOWN_TRAINED = 2

Windows = Callable[[Pair, int], Sequence[Pixels]]
"""The scan's 2r+1 frames around a pair, steadied, for a radius r; none where they are not to be had or the pair's own
is all."""


def newest_model(restoration: Restoration) -> Run:
    """The latest run that has a model.

    Raises:
        WetgateError: none has.
    """
    for run in reversed(restoration.runs()):
        if run.model.is_file():
            return run
    raise WetgateError(f"{restoration.folder} has no model yet: make one with `wetgate train {restoration.folder}`.")


def split_pairs(restoration: Restoration, run: Run) -> tuple[list[Pair], list[Pair]]:
    """The accepted pairs, in order of their frames: those that ``run`` held out, and those that it trained on.

    The run's settings list the held-out ones by number under ``held_out``. Of the recipe telecine only pairs count
    whose reference shows what the whole model answers: good film where there is some, else the telecine.

    Raises:
        WetgateError: there is no accepted pair.
    """
    pairs = sorted(restoration.pairs({"accepted"}), key=lambda pair: (pair.frame, pair.number))
    if restoration.recipe == "telecine":
        pairs = _answered(restoration, pairs)
    if not pairs and restoration.recipe in WITHOUT_REFERENCE:
        raise WetgateError(
            f"{restoration.folder} has no pairs to measure on: read what its training says in {run.report}, or name "
            "--result and --truth."
        )
    if not pairs:
        raise WetgateError(
            f"{restoration.folder} has no accepted pair: add some with `wetgate add`, then run `wetgate prepare`."
        )
    numbers = set(run.settings.get("held_out") or ())
    return [pair for pair in pairs if pair.number in numbers], [pair for pair in pairs if pair.number not in numbers]


def evaluate_pairs(
    restoration: Restoration,
    run: Run,
    *,
    baselines: Sequence[Method] = (),
    inset: int = 0,
    device: str = "auto",
    windows: Windows = lambda pair, radius: (),
    follow: Follow = unheard,
) -> Report:
    """Measure the run's model on every accepted pair, held-out ones apart, beside the scan and ``baselines``.

    A model sees a pair's ``windows``, or its frame, repeated for one that looks at several, where there are none.

    Raises:
        WetgateError: there is no accepted pair, a file is damaged, or the model cannot run.
    """
    held_out, trained = split_pairs(restoration, run)
    session = Session(run.model, device)
    card = session.card
    if card.encoding not in ("", restoration.encoding):
        raise WetgateError(
            f"{run.model} works on {card.encoding} pictures, but the restoration now says {restoration.encoding}: "
            "train again, or set the encoding back."
        )
    restorer = Restorer(session)
    alone: set[int] = set()

    def restore(frame: Frame) -> Pixels:
        if card.radius and not frame.window:
            alone.add(frame.number)
        window = frame.window or [_scan(frame)] * (2 * card.radius + 1)
        return restorer.restore(window)[0]

    restored = Method("restored", restore)
    methods = [scan_method(), *baselines, restored]

    def measured(pairs: Sequence[Pair], use: str, pictures: int, done_before: int) -> Outcome:
        return compare(
            [_sample(pair, use, windows, card.radius) for pair in pairs],
            methods,
            encoding=restoration.encoding,
            inset=inset,
            pictures=pictures,
            follow=lambda done, label: follow(done_before + done, label),
        )

    found: list[tuple[str, Outcome]] = []
    if held_out:
        found.append(("Held-out pairs", measured(held_out, "held out", SHOWN_HELD_OUT, 0)))
    if trained:
        pictures = SHOWN_TRAINED if held_out else SHOWN_HELD_OUT
        found.append(("Pairs trained on", measured(trained, "trained on", pictures, len(held_out))))
    tables = [Table(f"{title} ({len(outcome.frames)})", outcome.rows, _inset_note(inset)) for title, outcome in found]
    frames = [row for _, outcome in found for row in outcome.frames]
    rejected = restoration.pairs({"rejected"})
    made = restoration.recipe in MADE_REFERENCES
    limits = limits_of_pairs(held_out=len(held_out), trained=len(trained), made=made) + list(card.limits)
    if alone:
        limits.append(
            f"The frames before and after {format_frames(alone)} are not to be had: the model saw the frame itself in "
            "their place, and may do better on a sequence."
        )
    return Report(
        title=f"{restoration.folder.name}, run {run.number:03d}",
        headline=(_MADE if made else "") + _headline(tables[0], luma=card.protected == "chroma"),
        facts={
            "recipe": restoration.recipe,
            "encoding": restoration.encoding,
            "protects": card.protected,
            "pairs": f"{len(trained)} trained on, {len(held_out)} held out, {len(rejected)} rejected",
            "device": session.device,
            "model": f"{run.model.name}, SHA-256 {session.model_sha256[:12]}",
        },
        pictures=[picture for _, outcome in found for picture in outcome.pictures],
        tables=[*tables, Table("Each pair, restored", frames, ranked=False)],
        plots=plots_of(run.events()[0]),
        limits=limits,
        pairs=_pair_lines(restoration.pairs(), {pair.number for pair in held_out}),
        settings=_settings(restoration, run),
    )


def evaluate_sequence(
    restoration: Restoration,
    result: Source,
    truth: Source,
    scan: Source | None = None,
    *,
    frames: Sequence[int],
    baselines: Sequence[Method] = (),
    inset: int = 0,
    follow: Follow = unheard,
) -> Report:
    """Measure ``result`` against ``truth``, all in the restoration's encoding, and the scan too where it is given.

    Args:
        frames: numbers to measure, from :func:`common_frames`.
        baselines: further methods; they need the scan.

    Raises:
        WetgateError: a frame cannot be read, or pictures cannot be compared.
    """

    def sample(number: int) -> Sample:
        return Sample(
            f"frame {number}",
            lambda: Frame(number, truth.read(number).pixels, None if scan is None else scan.read(number).pixels),
        )

    methods = [Method("restored", lambda frame: result.read(frame.number).pixels)]
    if scan is not None:
        methods = [scan_method(), *baselines, *methods]
    outcome = compare(
        [sample(number) for number in frames], methods, encoding=restoration.encoding, inset=inset, follow=follow
    )
    table = Table(f"Against the truth ({_count(len(frames), 'frame')})", outcome.rows, _inset_note(inset))
    limits = ["The truth is taken as it is: whatever is wrong with it counts against the result."]
    if table.rows[-1].measures.flicker is None:
        limits.append("Flicker was not measured: it needs successive frames.")
    return Report(
        title=f"{restoration.folder.name}, against a truth",
        headline=_headline(table),
        facts={
            "recipe": restoration.recipe,
            "encoding": restoration.encoding,
            "frames": format_frames(frames),
            **{role: source.name for role, source in _by_role(result, truth, scan).items()},
        },
        pictures=outcome.pictures,
        tables=[table, Table("Each frame, restored", outcome.frames, ranked=False)],
        limits=limits,
    )


def common_frames(
    result: Source, truth: Source, scan: Source | None = None, wanted: Iterable[int] | None = None
) -> list[int]:
    """The frames that all of them have, or the ``wanted`` ones, ascending.

    Raises:
        WetgateError: there is none in common, or a wanted one is missing.
    """
    sources = _by_role(result, truth, scan)
    common = set.intersection(*(set(source.frames) for source in sources.values()))
    if wanted is None and not common:
        listed = ", ".join(f"{role} {format_frames(source.frames)}" for role, source in sources.items())
        raise WetgateError(f"There is no frame in common ({listed}): give sequences with the same frame numbers.")
    chosen = sorted(common if wanted is None else set(wanted))
    for role, source in sources.items():
        missing = set(chosen).difference(source.frames)
        if missing:
            raise WetgateError(
                f"The {role} {source.name} has no frame {format_frames(missing)}, only {format_frames(source.frames)}: "
                "choose other frames."
            )
    return chosen


def _by_role(result: Source, truth: Source, scan: Source | None) -> dict[str, Source]:
    return {"result": result, "truth": truth, **({} if scan is None else {"scan": scan})}


def _sample(pair: Pair, use: str, windows: Windows, radius: int) -> Sample:
    def read() -> Frame:
        scan, truth = read_image(pair.scan).pixels, read_image(pair.prepared).pixels
        return Frame(pair.frame, truth, scan, _what_counts(pair), windows(pair, radius))

    return Sample(f"frame {pair.frame}, pair {pair.number}, {use}", read)


def _what_counts(pair: Pair) -> Mask | None:
    masks = [read_image(path).pixels[..., 0] > 0.5 for path in (pair.mask, pair.confidence) if path is not None]
    return np.logical_and.reduce(masks) if masks else None


def _scan(frame: Frame) -> Any:
    assert frame.scan is not None
    return np.ascontiguousarray(frame.scan)


def _answered(restoration: Restoration, pairs: list[Pair]) -> list[Pair]:
    """The pairs of the film itself whose reference is what the last step learnt from."""
    last = [pair for pair in pairs if pair.elements[1] == "film"] or pairs
    of_film = [pair for pair in last if pair.elements[0] == "film"]
    if len(last) < len(pairs) and not of_film:
        raise WetgateError(
            f"{restoration.folder} has no pair of the film itself and good film, by which both steps could be measured "
            "at once: the report of its training shows each step, and --result with --truth measures any frames."
        )
    return of_film or last


def _headline(table: Table, *, luma: bool = False) -> str:
    """The last row, after the first where there are several; of luma alone where nothing else is restored."""
    first, last = table.rows[0].measures, table.rows[-1].measures
    if luma:
        lumas = dict.fromkeys(f"{one.luma_psnr:.2f}" for one in (first, last))
        return f"{table.title}: luma {' → '.join(lumas)} dB."
    values = [
        "PSNR " + " → ".join(dict.fromkeys([f"{first.psnr:.2f}", f"{last.psnr:.2f}"])) + " dB",
        "dE " + " → ".join(dict.fromkeys([f"{first.delta_e:.2f}", f"{last.delta_e:.2f}"])),
    ]
    return f"{table.title}: {', '.join(values)}."


def _pair_lines(pairs: Sequence[Pair], held_out: set[int]) -> list[PairLine]:
    lines = []
    for pair in pairs:
        use = "held out" if pair.number in held_out else "trained on"
        use = use if pair.state == "accepted" else ""
        lines.append(PairLine(f"{pair.number:04d}", str(pair.frame), pair.state, use, pair.reason))
    return lines


def _settings(restoration: Restoration, run: Run) -> dict[str, str]:
    settings = {**restoration.settings, **run.settings}
    return {name: value if isinstance(value, str) else json.dumps(value) for name, value in settings.items()}


def _inset_note(inset: int) -> str:
    return f"Measured {_count(inset, 'pixel')} inside the edges." if inset else ""


def _count(number: int, unit: str) -> str:
    return f"{number} {unit}" if number == 1 else f"{number} {unit}s"
