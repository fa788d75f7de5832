"""What the OpenFX node costs over the model itself, and whether several nodes get in each other's way; in one run.

The node's render action in the tests' host, whose pictures lie ready. The unit is one copy of the frame in memory. The
goal: over the model's own time at most 1.5 times two copies and 3 ms.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks.server_speed import Seat, median_s, program, together_s
from wetgate.node.build import binary_in, current, own_platform
from wetgate.service.client import connect
from wetgate.service.places import VARIABLE
from wetgate.service.starting import COMMAND_VARIABLE

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests" / "node"))

import host as strict  # noqa: E402

NODES = 4
GOAL_COPIES, GOAL_MS = 1.5 * 2, 3.0


class QuickNode(strict.Node):
    """Gives the same pictures again and again, without the copies and checks of the strict node."""

    def prepare(self) -> None:
        """Lay the pictures ready."""
        clip = self.source
        assert clip is not None
        pixels = np.asarray(clip.frames[0])
        images = {"Source": pixels, "Output": np.zeros_like(pixels)}
        self._ready = {
            name: self.host.handle(strict._ImageOfNode(self, strict._Image(array, (0, 0), self.layout)))
            for name, array in images.items()
        }
        x1, y1, x2, y2 = self.bounds()
        self._arguments = strict.Properties(
            "arguments",
            {
                "OfxPropTime": 0.0,
                "OfxImageEffectPropFieldToRender": "OfxFieldNone",
                "OfxImageEffectPropRenderWindow": (x1, y1, x2, y2),
                "OfxImageEffectPropRenderScale": (1.0, 1.0),
            },
        )

    def give_image(self, name: str, time: float, to: int) -> int:
        self.host._store(strict.POINTER, to, self._ready[name])
        return strict.OK

    def take_image_back(self, handle: int) -> None:
        """It is given again."""

    def render_again(self) -> None:
        """One render action."""
        with self.host._temporary(self._arguments) as (arguments,):
            status = self.host.act("OfxImageEffectActionRender", self.handle, arguments)
        assert status == strict.OK, self.message


def main(argv: Sequence[str] | None = None) -> int:
    """Print one table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.node_overhead", description=__doc__)
    parser.add_argument("model", type=Path, help="a model.onnx")
    parser.add_argument("--size", default="2048x1556", metavar="WIDTHxHEIGHT")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--bundle", type=Path, help="a built node (default: that of this clone, built where needed)")
    parser.add_argument("--seconds", type=float, default=10.0, help="for each figure (default: 10)")
    arguments = parser.parse_args(argv)
    width, height = (int(side) for side in arguments.size.split("x"))
    with tempfile.TemporaryDirectory(prefix="wetgate-") as folder:
        os.environ |= {VARIABLE: str(Path(folder, "run")), COMMAND_VARIABLE: str(program(Path(folder)))}
        try:
            library = binary_in(arguments.bundle or current(), own_platform())
            _measure(library, arguments.model.resolve(), arguments.device, width, height, arguments.seconds)
        finally:
            with connect(start=False) as client:
                client.stop()
    return 0


def _measure(library: Path, model: Path, device: str, width: int, height: int, seconds: float) -> None:
    loaded = strict.Host(str(library), processors=os.cpu_count() or 1)
    frame = np.random.default_rng(0).random((height, width, 4), dtype=np.float32)
    choice = ["auto", "cuda", "cpu"].index(device)
    nodes = []
    for _ in range(NODES):
        made = QuickNode(loaded, "Filter", source=strict.Clip({0: frame}), model=str(model), device=choice)
        made.prepare()
        made.render_again()
        nodes.append(made)
    with connect(start=False) as client:
        seat = Seat(client, np.ascontiguousarray(frame[..., :3].transpose(2, 0, 1)))
        answers = [seat.restore(model, device)]
        median_s(lambda: answers.append(seat.restore(model, device)), seconds)
    inside_s = statistics.median(answer.model_us for answer in answers[1:]) / 1e6
    spare = np.empty_like(frame)
    copy_s = median_s(lambda: np.copyto(spare, frame), 1.0)
    node_s = median_s(nodes[0].render_again, seconds)
    all_s = together_s([node.render_again for node in nodes], seconds)
    over_ms, goal_ms = 1000 * (node_s - inside_s), 1000 * GOAL_COPIES * copy_s + GOAL_MS
    print(f"{model.name}, {width}x{height} RGBA float, {answers[0].device.name.lower()}, {answers[0].bits} bit")
    for name, value_s, note in (
        ("one copy of the frame", copy_s, ""),
        ("inside the model", inside_s, ""),
        ("one node", node_s, f"{1 / node_s:.2f} fps"),
        ("  over the model", node_s - inside_s, f"{over_ms / (1000 * copy_s):.2f} copies; goal: {goal_ms:.1f} ms"),
        (f"{NODES} nodes at once, each frame", all_s, f"{node_s / all_s:.2f} of one node's throughput"),
    ):
        print(f"  {name:<32} {1000 * value_s:8.1f} ms  {note}")


if __name__ == "__main__":
    sys.exit(main())
