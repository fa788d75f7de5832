"""`wetgate curves`: the exposure curves of a scan, for whatever restores frames one by one."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import Any

from wetgate.cli.progress import Progress
from wetgate.errors import WetgateError
from wetgate.files import make_folder, write_bytes
from wetgate.images import ENCODINGS, format_frames, open_source
from wetgate.pairing import deflicker, steadying

HELP = "Measure flicker and gate weave of a scan; a node takes them out before the model sees a frame."
EPILOG = """`wetgate apply` measures by itself. A node sees single frames, so it is given the curves of the whole scan:
without them, a model that was trained on a steadied scan leaves the flicker in, and its colours follow it. With --weave
the same file also brings the frames to rest, in a node and in `wetgate apply --curves`.

example:
  wetgate curves scans/shot.####.dpx shot.curves.json"""


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument(
        "scan", metavar="SCAN_PATTERN", help="the whole scan: what flickers is told from its neighbours"
    )
    parser.add_argument("output", metavar="FILE", help="where the curves go, as JSON")
    parser.add_argument(
        "--encoding", choices=ENCODINGS, default="display", help="how the scan is coded (default: display)"
    )
    parser.add_argument(
        "--weave", action="store_true", help="measure gate weave, too: where each frame lies against its neighbours"
    )


def run(arguments: Namespace) -> dict[str, Any]:
    output = Path(arguments.output)
    with open_source(arguments.scan) as source:
        if output.exists() and output.resolve() in {source.path(frame).resolve() for frame in source.frames}:
            raise WetgateError(f"{output} is a picture of the scan; name another file.")
        passes = 2 if arguments.weave else 1
        with Progress(passes * len(source.frames), "frames measured", quiet=arguments.json) as progress:
            if arguments.weave:
                curves, _ = steadying.measure(source, arguments.encoding, steadying.Wanted(), progress.update)
            else:
                curves = deflicker.measure(source, arguments.encoding, follow=progress.update)
        measured = sorted(curves.frames)
        left_out = sorted(set(source.frames) - set(measured))
        if not measured:
            source.read(left_out[0])  # says what is wrong with it
    make_folder(output.absolute().parent)
    write_bytes(output, curves.dumps().encode())
    return {
        "curves": str(output),
        "frames": len(measured),
        "steadied": curves.extent(measured),
        "left_out": format_frames(left_out),
    }


def describe(result: dict[str, Any]) -> str:
    steadied = result["steadied"]
    missing = f"; {result['left_out']} could not be read and have no curve" if result["left_out"] else ""
    moved = ""
    if "moved" in steadied:
        moved = f"; {steadied['moved']} are brought to rest, by at most {steadied['furthest_px']:.2f} pixels"
    return (
        f"{result['curves']}: {steadied['frames']} of {result['frames']} frames are steadied, "
        f"by at most {steadied['largest']:.3f} density{moved}{missing}."
    )
