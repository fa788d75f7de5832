"""Wetgate as its users run it: the command line, in processes of its own, on files."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Collection, Mapping
from pathlib import Path

from wetgate.errors import WetgateError
from wetgate.evaluation.compare import Frame, Method
from wetgate.images import Pixels, format_frames, open_source, write_image

ROOT = Path(__file__).parents[1]
NAME = "wetgate"
UNSTEADIED = "wetgate, flicker left"
"""As the methods that know single frames only."""


def train_and_apply(
    pairs: Mapping[int, tuple[Pixels, Pixels]],
    scans: Mapping[int, Pixels],
    wanted: Collection[int],
    *,
    seconds: float,
    protect: str,
    seed: int = 0,
    steady: bool = True,
) -> Method:
    """`wetgate new`, `add`, `train` and `apply`; the method knows the ``wanted`` frames and no others.

    Args:
        pairs: scan and reference by frame number, display-referred.
        scans: frames of the whole scan; a number that is also in ``pairs`` is the same frame.
        wanted: those of them to restore.
        seconds: wall time of `train`.
        protect: as `train` takes it.
        seed: as `train` takes it.
        steady: False for `train --no-steady`; as by default otherwise.

    Raises:
        WetgateError: a command failed; the sentence is its own.
    """
    with tempfile.TemporaryDirectory(prefix="wetgate-benchmark-") as temporary:
        folder = Path(temporary)
        scan, reference, restored = (str(folder / name / f"{name}.####.exr") for name in ("scan", "reference", "new"))
        for number, pixels in {**{n: pair[0] for n, pair in pairs.items()}, **scans}.items():
            write_frame(scan, number, pixels)
        for number, pair in pairs.items():
            write_frame(reference, number, pair[1])
        reel = str(folder / "reel.wetgate")
        run_verb("new", reel, "--recipe", "color", "--encoding", "display")
        run_verb("add", reel, "--scan", scan, "--reference", reference, "--frames", format_frames(sorted(pairs)))
        begun = time.monotonic()
        run_verb(
            "train",
            reel,
            "--time",
            f"{seconds:g}s",
            "--protect",
            protect,
            "--seed",
            str(seed),
            *([] if steady else ["--no-steady"]),
        )
        took = time.monotonic() - begun
        run_verb("apply", reel, scan, restored, "--frames", format_frames(sorted(wanted)))
        with open_source(restored) as source:
            answers = {number: source.read(number).pixels for number in wanted}

    def restore(frame: Frame) -> Pixels:
        return answers[frame.number]

    return Method(NAME if steady else UNSTEADIED, restore, None, took)


def write_frame(pattern: str, number: int, pixels: Pixels) -> None:
    """A frame of a sequence such as scan.####.exr, in floating point."""
    path = Path(pattern.replace("####", f"{number:04d}"))
    path.parent.mkdir(exist_ok=True)
    write_image(path, pixels, bit_depth="float")


def run_verb(*words: str) -> None:
    """`wetgate WORDS` in a process of its own.

    Raises:
        WetgateError: it failed; the sentence is its own.
    """
    paths = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = {**os.environ, "PYTHONPATH": paths}
    command = [sys.executable, "-m", "wetgate", words[0], "--json", *words[1:]]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise WetgateError(f"`wetgate {words[0]}` failed: {(done.stderr or done.stdout).strip()}")
