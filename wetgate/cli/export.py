"""`wetgate export`: a model for programs that do not run ONNX files."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import Any

from wetgate.errors import WetgateError
from wetgate.inference.curves import STEADY
from wetgate.onnx_model import read_card

HELP = "Write a model as TorchScript, or as a colour table where it is nothing but a colour transform."
EPILOG = """--torchscript is for Nuke's own Inference node, through CatFileCreator. It answers as the ONNX file does:
that is checked before it is written. --cube is refused, with what was measured, where a colour's surroundings
matter. Neither takes flicker out of the scan first, as `wetgate apply` does for a model that was trained so.

examples:
  wetgate export reel3.wetgate/runs/001/model.onnx --torchscript
  wetgate export first.onnx --cube --size 65 --output grade.cube"""


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("model", metavar="MODEL", help="an ONNX file")
    kind = parser.add_mutually_exclusive_group(required=True)
    kind.add_argument("--torchscript", action="store_true", help="for libtorch 1.12 and newer: Nuke 14 and newer")
    kind.add_argument("--cube", action="store_true", help="an Iridas .cube")
    parser.add_argument("--size", type=int, choices=(33, 65), default=None, help="colours a side (default: 33)")
    parser.add_argument("--output", metavar="FILE", help="where to (default: beside MODEL, as .pt or .cube)")


def run(arguments: Namespace) -> dict[str, Any]:
    if arguments.size is not None and not arguments.cube:
        raise WetgateError("--size belongs to --cube; TorchScript has no size.")
    model = Path(arguments.model)
    card = read_card(model)
    if card.recipe == STEADY:
        raise WetgateError(
            f"{model} is of the recipe steady and does nothing by itself: what steadies the scan lies beside it, and "
            "only `wetgate apply` and the node carry it out."
        )
    output = Path(arguments.output or model.with_suffix(".cube" if arguments.cube else ".pt"))
    if output.exists() and output.samefile(model):
        raise WetgateError(f"{output} is the model itself: choose another --output.")
    if arguments.cube:
        from wetgate.exporting import cube

        result = {"format": "cube", **cube.export(model, output, size=arguments.size or cube.SIZES[0])}
    else:
        from wetgate.exporting import torchscript

        result = {"format": "torchscript", **torchscript.export(model, output)}
    return {"model": str(model), "output": str(output), "encoding": card.encoding, "steadied": card.steady, **result}


def describe(result: dict[str, Any]) -> str:
    lines = _describe_cube(result) if result["format"] == "cube" else _describe_torchscript(result)
    if result["steadied"]:
        lines.append("The model was trained on a steadied scan: take flicker out before, or use `wetgate apply`.")
    return "\n".join(lines)


def _describe_torchscript(result: dict[str, Any]) -> list[str]:
    return [
        f"Wrote {result['output']}: TorchScript for libtorch 1.12 and newer.",
        f"Largest difference to the ONNX file: {result['largest_error']:.1e}, at {len(result['sizes'])} picture sizes.",
        f"It takes {result['channels']} channels{_coded(result['encoding'])} and gives 3.",
    ]


def _describe_cube(result: dict[str, Any]) -> list[str]:
    error = result["interpolation"]
    finer = " --size 65 errs less." if result["size"] < 65 and error["mean"] > 1 / 1023 else ""
    return [
        f"Wrote {result['output']}: {result['size']} colours a side, from 0 to 1{_coded(result['coding'])}.",
        f"Largest difference that surroundings made to a colour: {result['difference']:.1e}.",
        f"Between the table's colours it errs by {error['mean']:.1e} on average and {error['largest']:.1e} at most "
        f"(trilinear).{finer}",
    ]


def _coded(encoding: str) -> str:
    words = {"display": "display-coded", "linear": "scene-linear", "log": "Cineon log"}
    return f" ({words[encoding]})" if encoding else ""
