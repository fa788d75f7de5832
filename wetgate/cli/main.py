"""The command line: one module per verb; wiring here, work in the engine.

A verb module offers ``HELP`` (one line), ``add_arguments(parser)``, ``run(arguments) -> dict`` and
``describe(result) -> str``. Here, and only here, results are printed and exit codes are set:
0 done, 1 failed (one sentence on stderr), 2 wrong arguments, 130 interrupted.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import shlex
import sys
from collections.abc import Sequence
from types import ModuleType
from typing import Any

from wetgate import __version__
from wetgate.errors import WetgateError

VERBS = {
    "demo": "the whole way on real footage: decay, pairs, training, restored frames, report",
    "restore": "the whole way in one line: scan and reference in, restored frames out",
    "new": "start a restoration folder",
    "add": "add pairs of scan and reference frames",
    "match": "find which reference frame shows which scan frame",
    "prepare": "check and weigh the pairs; accept or reject each with a reason",
    "exemplar": "name pictures of other scenes to take colours from, or colours that are known",
    "accept": "take the references that were made for the recipe exemplar",
    "suggest": "say which frames are worth pairing next, and why",
    "train": "train a model from the accepted pairs",
    "detect": "find damage: masks to look at, to edit, and to repair by",
    "apply": "run a model over a sequence or a video",
    "export": "write a model as TorchScript or as a .cube, for other programs",
    "evaluate": "measure a result against the reference or a given truth",
    "status": "show how a training run stands",
    "stop": "stop, pause or resume a training run",
    "unfade": "undo the fading of a colour print as far as the scan itself tells it",
    "curves": "measure flicker and gate weave of a scan, for nodes that restore single frames",
    "serve": "serve frames to the nodes in Nuke and other hosts",
    "node": "build and install the node for Nuke, Resolve, Natron and other OpenFX hosts",
    "nuke": "have Nuke load the panel, the menu and the nodes, and check that they are found",
    "simulate": "decay good footage the way film decays",
    "doctor": "check this installation",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb; return the exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    as_json = "--json" in words
    try:
        arguments, verb = _parse(words)
        result = verb.run(arguments)
        text = json.dumps(result, ensure_ascii=False) if arguments.json else verb.describe(result)
        print(text, flush=True)
        return int(result.get("exit_code", 0))
    except WetgateError as error:
        return _fail(str(error), as_json)
    except ImportError as error:
        return _fail(f"A package that this needs cannot be loaded ({error}): see `wetgate doctor`.", as_json)
    except SystemExit as stop:
        return int(stop.code or 0)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        what = error.filename or "A file or a connection"
        return _fail(
            f"{what} cannot be used ({error.strerror or error}): check its name, its permissions and the disk.", as_json
        )
    except KeyboardInterrupt:
        print("Interrupted. What was finished is kept; run the same command to go on.", file=sys.stderr)
        return 130


def invoke(words: Sequence[str]) -> dict[str, Any]:
    """Run one verb from within another, saying so on stderr; return its result.

    Raises:
        WetgateError: as the verb does.
    """
    print(f"$ wetgate {shlex.join(words)}", file=sys.stderr)
    arguments, verb = _parse(list(words))
    result: dict[str, Any] = verb.run(arguments)
    return result


def _parse(words: list[str]) -> tuple[argparse.Namespace, ModuleType]:
    parser = argparse.ArgumentParser(
        prog="wetgate",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Train small, film-specific restoration models from a handful of pairs.\n\nverbs:\n"
        + "\n".join(f"  {name:<10} {help_line}" for name, help_line in VERBS.items()),
        epilog="`wetgate VERB --help` explains one verb.",
        usage="wetgate VERB ...",
    )
    parser.add_argument("--version", action="version", version=f"wetgate {__version__}")
    parser.add_argument("verb", choices=VERBS, metavar="VERB", help=argparse.SUPPRESS)
    name = parser.parse_args(words[:1]).verb
    module = importlib.import_module(f"wetgate.cli.{name}")
    verb_parser = argparse.ArgumentParser(
        prog=f"wetgate {name}",
        description=module.HELP,
        epilog=getattr(module, "EPILOG", None),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    verb_parser.add_argument("--json", action="store_true", help="print one JSON object for machines")
    module.add_arguments(verb_parser)
    return verb_parser.parse_args(words[1:]), module


def _fail(sentence: str, as_json: bool) -> int:
    if as_json:
        print(json.dumps({"error": sentence}, ensure_ascii=False))
    print(f"wetgate: {sentence}", file=sys.stderr)
    return 1
