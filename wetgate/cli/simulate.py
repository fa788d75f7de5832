"""`wetgate simulate`: decay good footage the way film decays."""

from __future__ import annotations

import contextlib
from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import Any

import numpy as np

from wetgate.cli.progress import Progress
from wetgate.errors import WetgateError
from wetgate.images import ENCODINGS, format_frames, from_display, open_sink, open_source, parse_frames, to_display
from wetgate.simulate.presets import PRESETS, preset
from wetgate.simulate.telecine import Telecine, reference_of

HELP = "Decay good footage the way film decays: fade, grain, dust, weave and flicker, the same for the same seed."
EPILOG = """A PATTERN is a folder, a sequence such as shot.####.exr, one picture, or a video; an output may be any of
them. Scan, truth, reference and mask lie over one another, unless --steady leaves truth and reference where the
source has them while the scan weaves.

example:
  wetgate simulate clip.mp4 scan --preset faded_print --seed 7 --truth truth --reference dvd"""


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("source", metavar="SOURCE_PATTERN", help="good footage")
    parser.add_argument("output", metavar="OUTPUT_DIR", help="where the decayed scan goes")
    parser.add_argument("--preset", default="faded_print", choices=PRESETS, help="which decay (default: faded_print)")
    parser.add_argument("--frames", metavar="FRAMES", help="such as 1-100 or 1001-1100x10 (default: all)")
    parser.add_argument("--seed", type=int, default=0, help="another number is another print (default: 0)")
    parser.add_argument("--encoding", choices=ENCODINGS, default="display", help="of the source (default: display)")
    parser.add_argument("--truth", metavar="DIR", help="write the frames before decay too")
    parser.add_argument("--reference", metavar="DIR", help="write what a DVD would have kept of them too")
    parser.add_argument("--reference-width", type=int, default=352, metavar="W", help="of that DVD (default: 352)")
    parser.add_argument("--mask", metavar="DIR", help="write the coverage by dust and scratches too")
    parser.add_argument("--steady", action="store_true", help="truth and reference do not weave with the scan")


def run(arguments: Namespace) -> dict[str, Any]:
    film = preset(arguments.preset, arguments.seed)
    telecine = Telecine(width=arguments.reference_width)
    outputs = {
        kind: path
        for kind in ("scan", "truth", "reference", "mask")
        if (path := arguments.output if kind == "scan" else getattr(arguments, kind)) is not None
    }
    if len({Path(path).resolve() for path in outputs.values()}) < len(outputs):
        raise WetgateError("Two outputs have the same name: give scan, truth, reference and mask a place each.")
    with contextlib.ExitStack() as opened:
        source = opened.enter_context(open_source(arguments.source))
        frames = source.frames if arguments.frames is None else parse_frames(arguments.frames)
        missing = sorted(set(frames) - set(source.frames))
        if missing:
            raise WetgateError(
                f"{arguments.source} has no frame {format_frames(missing)}: choose among its own frames."
            )
        sinks = {kind: opened.enter_context(open_sink(path, source)) for kind, path in outputs.items()}
        progress = opened.enter_context(Progress(len(frames), "frames", quiet=arguments.json))
        for done, frame in enumerate(frames, start=1):
            image = source.read(frame)
            display = to_display(image.pixels, arguments.encoding)
            decayed = film.frame(display, frame)
            truth = display if arguments.steady else decayed.aligned_truth
            pictures = {"scan": decayed.scan, "truth": truth}
            if "reference" in sinks:
                pictures["reference"] = reference_of(truth, telecine, arguments.seed, frame)
            for kind, sink in sinks.items():
                if kind == "mask":
                    sink.write(frame, np.repeat(decayed.damage_mask[..., None], 3, axis=2), image)
                else:
                    sink.write(frame, from_display(pictures[kind], arguments.encoding), image)
            progress.update(done, f"frame {frame}")
    return {
        "source": arguments.source,
        "preset": arguments.preset,
        "seed": arguments.seed,
        "frames": format_frames(frames),
        "count": len(frames),
        **outputs,
    }


def describe(result: dict[str, Any]) -> str:
    lines = [f"Decayed {result['count']} frames ({result['preset']}, seed {result['seed']})."]
    lines += [f"{kind:<10} {result[kind]}" for kind in ("scan", "truth", "reference", "mask") if kind in result]
    return "\n".join(lines)
