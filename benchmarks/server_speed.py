"""What the inference server costs over the model itself: frames a second against a bare session, in one run.

A frame is written into shared memory, restored and read out again, as the node does it. Medians; ratios are within
the run. With a GPU also how far its answer, in 16 bit where the model has that variant, is from the processor's.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from wetgate.inference.session import Session, cuda_is_offered
from wetgate.inference.tiles import Restorer
from wetgate.service.client import Client, connect
from wetgate.service.layout import Layout, lay_out
from wetgate.service.memory import Segment
from wetgate.service.places import VARIABLE, Places
from wetgate.service.protocol import Restored

ROOT = Path(__file__).parents[1]
CLIENTS = 4
Array = NDArray[np.float32]


class Seat:
    """A client with a frame of its own and memory for it."""

    def __init__(self, client: Client, frame: Array) -> None:
        _, height, width = frame.shape
        self.frame = frame
        self.restored = np.empty_like(frame)
        self._client = client
        self._layout: Layout = lay_out(1, width, height)
        self._segment: Segment = client.memory(self._layout.bytes)

    def restore(self, model: Path, device: str) -> Restored:
        """One frame, in and out."""
        _, height, width = self.frame.shape
        self._part(self._layout.input)[...] = self.frame
        answer = self._client.render(self._segment, width, height, [1], model, layout=self._layout, device=device)
        self.restored[...] = self._part(self._layout.output)
        return answer

    def _part(self, offset: int) -> Array:
        mapped = self._segment.map
        assert mapped is not None
        return np.frombuffer(mapped, np.float32, self.frame.size, offset).reshape(self.frame.shape)


def main(argv: Sequence[str] | None = None) -> int:
    """Print a table for each size."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.server_speed", description=__doc__)
    parser.add_argument("model", type=Path, help="a model.onnx")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--sizes", nargs="+", default=["2048x1556", "4096x3112"], metavar="WIDTHxHEIGHT")
    parser.add_argument("--seconds", type=float, default=10.0, help="for each figure (default: 10)")
    arguments = parser.parse_args(argv)
    with tempfile.TemporaryDirectory(prefix="wetgate-") as folder:
        places = Places(Path(folder, "run"))
        os.environ[VARIABLE] = str(places.folder)
        command = program(Path(folder))
        clients = [connect(command=[str(command)], places=places, patience_s=60) for _ in range(CLIENTS)]
        try:
            for size in arguments.sizes:
                width, height = (int(side) for side in size.split("x"))
                _measure(arguments.model, arguments.device, width, height, arguments.seconds, clients)
        finally:
            clients[0].stop()
    return 0


def program(folder: Path) -> Path:
    """This clone's ``wetgate`` as a program in ``folder``."""
    command = folder / "wetgate"
    command.write_text(
        f'#!/bin/sh\nexport PYTHONPATH={":".join(sys.path[1:])}\ncd {ROOT} && exec {sys.executable} -m wetgate "$@"\n'
    )
    command.chmod(0o755)
    return command


def _measure(model: Path, device: str, width: int, height: int, seconds: float, clients: Sequence[Client]) -> None:
    frames = [np.random.default_rng(seed).random((3, height, width), dtype=np.float32) for seed in range(len(clients))]
    seats = [Seat(client, frame) for client, frame in zip(clients, frames, strict=True)]
    answer = seats[0].restore(model, device)
    ran_on = answer.device.name.lower()
    print(f"\n{model.name}, {width}x{height}, {ran_on}, {answer.bits} bit, {answer.tiles} tiles")
    answers: list[Restored] = []
    alone = median_s(lambda: answers.append(seats[0].restore(model, device)), seconds)
    inside, served = (
        statistics.median(times) / 1e6 for times in ([a.model_us for a in answers], [a.total_us for a in answers])
    )
    together = together_s([partial(seat.restore, model, device) for seat in seats], seconds)
    files = {"32 bit": model}
    half = model.with_name(f"{model.stem}_fp16{model.suffix}")
    if ran_on == "cuda" and half.exists():
        files["16 bit"] = half
    _line("server, one client", alone, alone)
    _line("  of it from its turn to the answer", served, alone)
    _line("  of it inside the model", inside, alone)
    _line(f"server, {len(seats)} clients, each frame", together, alone)
    for name, file in files.items():
        try:
            _line(f"bare session.run, whole frame, {name}", _bare_s(file, ran_on, frames[0], seconds), alone)
        except Exception as error:  # onnxruntime's exceptions share no base; out of memory is a result, too
            print(f"  bare session.run, {name}: {str(error).splitlines()[0][:120]}")
    spare = np.empty_like(frames[0])
    _line("one copy of the three planes", median_s(lambda: np.copyto(spare, frames[0]), 1.0), alone)
    if ran_on == "cuda":
        expected, *_ = Restorer(Session(model, "cpu")).restore([np.ascontiguousarray(frames[0].transpose(1, 2, 0))])
        difference = np.abs(seats[0].restored.transpose(1, 2, 0) - expected)
        print(f"  against the processor: largest difference {difference.max():.2e}, mean {difference.mean():.2e}")


def _bare_s(model: Path, device: str, frame: Array, seconds: float) -> float:
    """onnxruntime as it comes, without Wetgate's bounds on memory."""
    providers: list[Any] = ["CPUExecutionProvider"]
    if device == "cuda" and cuda_is_offered():
        providers.insert(0, ("CUDAExecutionProvider", {"use_tf32": "0", "cudnn_conv_algo_search": "HEURISTIC"}))
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(str(model), options, providers=providers, enable_fallback=0)
    feed = {session.get_inputs()[0].name: frame[None]}
    session.run(None, feed)
    return median_s(lambda: session.run(None, feed), seconds)


def together_s(works: Sequence[Callable[[], Any]], seconds: float) -> float:
    """Seconds for each call while all of ``works`` are called again and again at once."""
    begun = time.perf_counter()
    end = begun + seconds

    def repeat(work: Callable[[], Any]) -> int:
        count = 0
        while time.perf_counter() < end:
            work()
            count += 1
        return count

    with ThreadPoolExecutor(len(works)) as pool:
        done = sum(pool.map(repeat, works))
    return (time.perf_counter() - begun) / done


def median_s(work: Callable[[], Any], seconds: float) -> float:
    """Median seconds of a call, of three at least."""
    times: list[float] = []
    end = time.perf_counter() + seconds
    while len(times) < 3 or time.perf_counter() < end:
        begun = time.perf_counter()
        work()
        times.append(time.perf_counter() - begun)
    return statistics.median(times)


def _line(name: str, value_s: float, alone_s: float) -> None:
    print(f"  {name:<44} {1000 * value_s:9.1f} ms {1 / value_s:8.2f} fps  {value_s / alone_s:6.2f} of one client")


if __name__ == "__main__":
    sys.exit(main())
