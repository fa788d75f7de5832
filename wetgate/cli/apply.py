"""`wetgate apply`: run models over a sequence or a video."""

from __future__ import annotations

import contextlib
from argparse import ArgumentParser, ArgumentTypeError, BooleanOptionalAction, Namespace
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from wetgate.cli.progress import Progress
from wetgate.errors import WetgateError
from wetgate.images import Source, open_sink, open_source, parse_frames
from wetgate.inference.chains import Stage
from wetgate.inference.curves import STEADY, Curves, identity, kept, load_curves, sidecar
from wetgate.inference.sequences import apply, check, chosen
from wetgate.inference.session import DEVICES, Session
from wetgate.onnx_model import ModelCard
from wetgate.project import open_restoration
from wetgate.records import receipts

HELP = "Run models over a sequence or a video. Interrupted or killed, the same command goes on where it was."
EPILOG = """A PATTERN is a folder, a sequence such as shot.####.dpx or shot.%04d.dpx, one picture, or a video.
OUTPUT is a folder (names and format as the scan's), a pattern, or a video, which is made in one go.
Pixels outside the mask are the scan's own, bit for bit. Each frame gets a receipt in OUTPUT/.wetgate.
Several models work one after another on each frame, as float pictures, with nothing written in between.

examples:
  wetgate apply reel3.wetgate scans/shot.####.dpx restored/ --frames 1001-1100 --change-map changes/
  wetgate apply dust.wetgate scans/shot.####.dpx restored/ --then sharper.wetgate --then colour.onnx"""


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("model", metavar="MODEL", help="an ONNX file, or a restoration folder (its newest model)")
    parser.add_argument("scan", metavar="SCAN_PATTERN", help="the pictures to restore")
    parser.add_argument("output", metavar="OUTPUT", help="where the restored pictures go")
    parser.add_argument(
        "--then",
        action="append",
        default=[],
        metavar="MODEL",
        help="a model for what the one before has made; may be given several times",
    )
    parser.add_argument(
        "--frames",
        metavar="FRAMES",
        help="which frames (default: all); models that look at frames before and after read those as well",
    )
    parser.add_argument("--mask", metavar="PATTERN", help="restore only where these pictures, or this one, are white")
    parser.add_argument(
        "--damage",
        metavar="PATTERN",
        help="repair exactly where these masks are white, and nowhere else (as `wetgate detect` writes them; edit them "
        "before)",
    )
    parser.add_argument(
        "--steady",
        action=BooleanOptionalAction,
        help="take flicker out first: the exposure of the whole scan is measured once, then each frame is steadied "
        "before the model sees it; real changes of light stay (default: before the first model that was trained so)",
    )
    parser.add_argument(
        "--curves",
        metavar="FILE",
        help="what steadies the scan, as `wetgate curves` or the recipe steady made it, whatever the models were "
        "trained on (default: measured if wanted)",
    )
    parser.add_argument("--change-map", metavar="DIR", help="also write what was changed: pictures and figures")
    parser.add_argument("--device", choices=DEVICES, default="auto", help="where to compute (default: auto)")
    parser.add_argument(
        "--tile",
        metavar="auto|N",
        type=_tile,
        default=None,
        help="pixels on a side of the tiles that large frames are cut into; the result is the same "
        "(default: auto, as many as a fixed memory budget holds)",
    )


def run(arguments: Namespace) -> dict[str, Any]:
    models = [model_of(Path(name)) for name in (arguments.model, *arguments.then)]
    sessions = [Session(model, arguments.device, 1 / len(models)) for model in models]
    with contextlib.ExitStack() as opened:
        source = opened.enter_context(open_source(arguments.scan))
        mask = opened.enter_context(open_source(arguments.mask)) if arguments.mask is not None else None
        damage = opened.enter_context(open_source(arguments.damage)) if arguments.damage is not None else None
        frames = chosen(source, parse_frames(arguments.frames) if arguments.frames is not None else None)
        sink = open_sink(arguments.output, source)
        notes: list[str] = []
        first, *then = _stages(models, sessions, source, damage, sink.path(frames[0]), arguments, notes.append)
        progress = opened.enter_context(Progress(len(frames), "frames", quiet=arguments.json))
        result = apply(
            first.session,
            source,
            sink,
            then=then,
            frames=frames,
            mask=mask,
            damage=first.damage,
            curves=first.curves,
            change_map=Path(arguments.change_map) if arguments.change_map is not None else None,
            tile=arguments.tile,
            progress=progress.update,
        )
    used = [
        {"model": str(model), "model_sha256": session.model_sha256, "recipe": session.card.recipe}
        for model, session in zip(models, sessions, strict=True)
    ]
    return {
        **used[0],
        **({"then": used[1:]} if then else {}),
        **result,
        "notes": [*notes, *result["notes"]],
    }


def describe(result: dict[str, Any]) -> str:
    made = f"Restored {result['restored']} frames"
    if result["kept"]:
        made += f" ({result['kept']} were done already)"
    recipes = [one["recipe"] or Path(one["model"]).name for one in (result, *result.get("then", []))]
    by = f" with {', then '.join(recipes)}" if len(recipes) > 1 else ""
    lines = [f"{made} into {result['output']}{by}, on {result['device']}."]
    if result["steadied"]:
        steadied = result["steadied"]
        lines.append(f"Steadied before: {steadied['frames']} frames, by at most {steadied['largest']:.3f} density.")
        if "moved" in steadied:
            lines.append(
                f"Brought to rest: {steadied['moved']} frames, by at most {steadied['furthest_px']:.2f} pixels."
            )
    changes = result["changes"]
    lines.append(
        f"Changed: {changes['share']:.1%} of the pixels, by {changes['mean']:.4f} on average, "
        f"at most {changes['largest']:.4f} (frame {changes['largest_in_frame']})."
    )
    coverage = result["coverage"]
    if coverage:
        least = min(coverage, key=coverage.__getitem__)
        lines.append(f"Least like the training pairs: frame {least} (coverage {coverage[least]:.0%}).")
    return "\n".join([*lines, *result["notes"]])


def _stages(
    models: list[Path],
    sessions: list[Session],
    source: Source,
    damage: Source | None,
    output: Path,
    arguments: Namespace,
    note: Callable[[str], None],
) -> list[Stage]:
    """The models with what goes with each: flicker is taken out once, and one of them is told what to repair."""
    steadied = _steadied([session.card for session in sessions], arguments.steady, named=arguments.curves is not None)
    repairs = [index for index, session in enumerate(sessions) if session.takes_damage]
    told = (repairs or [0])[0] if damage is not None else None
    stages = [Stage(session, None, damage if index == told else None) for index, session in enumerate(sessions)]
    check(stages)  # before the scan is measured, which takes long
    for index in steadied:
        curves = _curves(source, models[index], sessions[index], output, arguments, note)
        stages[index] = replace(stages[index], curves=curves)
    return stages


def _steadied(cards: list[ModelCard], wanted: bool | None, *, named: bool = False) -> list[int]:
    """Which models are given a steadied scan: flicker is taken out once, and by a model of the recipe `steady` if any.

    Args:
        cards: of the models.
        wanted: whether flicker is to be taken out; None: as the models were trained.
        named: whether a file says what steadies the scan.

    Raises:
        WetgateError: such a model is told not to, stands behind one that wants a steadied scan, or is not the only one;
            or a file is named and not wanted.
    """
    own = [index for index, card in enumerate(cards) if card.recipe == STEADY]
    trained = [index for index, card in enumerate(cards) if card.steady]
    if named and wanted is False:
        raise WetgateError("--curves names what steadies the scan, --no-steady leaves it as it is: leave one out.")
    if len(own) > 1:
        raise WetgateError(
            "Only one model of the recipe steady can be in a chain: a second would move the same frames once more."
        )
    if not own:
        if named and not trained:
            return [0]
        return {None: trained[:1], True: [0], False: []}[wanted]
    if wanted is not None:
        raise WetgateError(
            "A model of the recipe steady does what it was made for: leave --steady and --no-steady out."
        )
    if trained and trained[0] < own[0] and cards[own[0]].steady:
        raise WetgateError(
            f"The model for {cards[trained[0]].recipe} wants a scan without flicker, but steady comes after it: name "
            "the model of the recipe steady first."
        )
    return own if named or cards[own[0]].steady else sorted({*own, *trained[:1]})


def _curves(
    source: Source, model: Path, session: Session, output: Path, arguments: Namespace, note: Callable[[str], None]
) -> Curves:
    """What steadies the scan, kept beside the receipts so that a resumed run gives the same bits."""
    if arguments.curves is not None:
        return load_curves(Path(arguments.curves))
    card = session.card
    encoding = card.encoding or "display"
    beside = sidecar(model)
    if card.recipe == STEADY and not beside.exists():
        note(f"{beside} is missing, which says what the model does to each frame: the scan was measured anew.")
    elif card.recipe == STEADY:
        found = load_curves(beside)
        if found.scan == identity(source):
            return found
        note(
            f"{beside} was measured on another scan, or before its files were copied or changed, so this one was "
            "measured anew. Where it is meant for this one all the same, or was edited by hand, name it with --curves."
        )

    def measure() -> Curves:
        from wetgate.pairing import deflicker, steadying

        moves = card.recipe == STEADY
        with Progress((1 + moves) * len(source.frames), "frames measured", quiet=arguments.json) as progress:
            if moves:
                return steadying.measure(source, encoding, steadying.wanted_by(card.record), progress.update)[0]
            return deflicker.measure(source, encoding, follow=progress.update)

    kind = f"steady-{session.model_sha256[:16]}" if card.recipe == STEADY else "curves"
    return kept(output.parent / receipts.FOLDER, source, encoding, measure, kind=kind)


def _tile(text: str) -> int | None:
    if text == "auto":
        return None
    if not text.isdecimal() or int(text) < 1:
        raise ArgumentTypeError(f"'{text}' is neither 'auto' nor a number of pixels")
    return int(text)


def model_of(path: Path) -> Path:
    """The model to run: ``path`` itself, or the newest model of the restoration there."""
    if not path.is_dir():
        return path
    models = [run.model for run in open_restoration(path).runs() if run.model.exists()]
    if not models:
        raise WetgateError(f"{path} has no model yet: run `wetgate train {path}` first.")
    return models[-1]
