"""The recipe `telecine` on damaged film: real crops, a simulated film in two steps, and the edge of a cropped telecine.

`crops` trains on the pairs of a folder (``scan.NNNN.png``, ``reference.NNNN.png``) and measures on the same ones, or
with ``--test`` on the one that is held out. `simulated` makes a damaged print of the demo's footage, a cropped telecine
of it and good film on a few frames, and compares what one step, two steps and one single network give on other frames.
`seam` looks for an edge in the answer where the telecine ends. All of it through the command line, as users do.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from benchmarks import product
from benchmarks.baselines import Budget, train
from wetgate.errors import WetgateError
from wetgate.evaluation import Row, Table, as_text, measure, summarise
from wetgate.evaluation.compare import Frame
from wetgate.images import Pixels, format_frames, open_source, read_image, to_display
from wetgate.pairing.align import align, warp
from wetgate.project import open_restoration
from wetgate.simulate.dust import Dust, damage_at
from wetgate.simulate.film import FilmDecay
from wetgate.simulate.footage import demo_frames
from wetgate.simulate.grain import Grain
from wetgate.simulate.presets import LIGHTLY_FADED
from wetgate.simulate.telecine import Telecine, reference_of

INSET = 4
BASE = np.array([0.93, 0.95, 0.90], np.float32)
"""Display values of film without emulsion."""
FILM = replace(
    LIGHTLY_FADED,
    grain=Grain(granularity=28, size_um=10, shared=0.3),
    dust=Dust(specks=60, sparkle=25, hairs=4, scratches=8, size_um=90),
)
LOST = Dust(sparkle=3, size_um=900)
"""Places where the emulsion has come off, drawn as large dust is."""
VIDEO = Telecine(width=352, crop=(0.07, 0.06, 0.05, 0.08), quantiser=6, noise=0.01)
TELECINES, GOOD = 10, 4
"""Frames of the footage that have a telecine, and others that have good film."""
NEAR = 6
"""Pixels to each side of the telecine's edge: its frame weaves, and what is next to it does not count."""
METHODS = ("step 1", "single network", "copycat-style", "two steps")


def main(argv: Sequence[str] | None = None) -> int:
    arguments = _parse(argv)
    try:
        rows = {"crops": _crops, "simulated": _simulated, "seam": _seam}[arguments.what](arguments)
        for title, lines in rows:
            print(as_text(Table(title, lines)) if isinstance(lines[0], Row) else "\n".join([title, *map(str, lines)]))
    except WetgateError as error:
        print(f"telecine: {error}", file=sys.stderr)
        return 1
    return 0


def _crops(arguments: argparse.Namespace) -> Iterator[tuple[str, list[Row]]]:
    folder: Path = arguments.folder
    frames = sorted(int(path.suffixes[0][1:]) for path in folder.glob("scan.[0-9]*.png"))
    if not frames:
        raise WetgateError(f"{folder} holds no crops named scan.NNNN.png.")
    pictures = {
        kind: {n: read_image(folder / f"{kind}.{n:04d}.png").pixels for n in frames}
        for kind in ("scan", "reference", "copycat")
        if (folder / f"{kind}.{frames[0]:04d}.png").exists()
    }
    tested = frames if arguments.test == "none" else [int(arguments.test)]
    trained = frames if arguments.test == "none" else [n for n in frames if n not in tested]
    with tempfile.TemporaryDirectory(prefix="wetgate-benchmark-") as temporary:
        reel = Reel(Path(temporary))
        reel.write("scan", pictures["scan"])
        reel.write("reference", {n: pictures["reference"][n] for n in trained})
        how = ["--aligned"] if arguments.as_delivered else []
        reel.add("scan", "reference", trained, *how)
        reel.train(arguments.seconds, arguments.steps, arguments.seed)
        restored = reel.apply("scan", tested)
    methods = {"scan": pictures["scan"], "telecine": restored}
    if "copycat" in pictures and arguments.test == "none":
        methods["copycat"] = pictures["copycat"]
    yield from _against(methods, pictures["reference"], tested, "the target as delivered")
    laid = {n: _laid(pictures["scan"][n], pictures["reference"][n]) for n in tested}
    yield from _against(methods, laid, tested, "the target laid over the scan")


def _against(
    methods: dict[str, dict[int, Pixels]], target: dict[int, Pixels], frames: Sequence[int], what: str
) -> Iterator[tuple[str, list[Row]]]:
    """Each crop's decibels, then all measures."""
    lines = []
    for name, pictures in methods.items():
        each = [measure(_cut(pictures[n], target[n]), _cut(target[n], target[n]), inset=INSET) for n in frames]
        decibels = ", ".join(f"{n}: {one.psnr:.2f}" for n, one in zip(frames, each, strict=True))
        lines.append(Row(f"{name} ({decibels})", summarise(each)))
    yield f"Crops {format_frames(frames)} against {what}", lines


def _laid(scan: Pixels, reference: Pixels) -> Pixels:
    """The reference over the scan; NaN beyond its edges."""
    found = align(scan, reference, dense=False)
    return np.where(found.valid[..., None] > 0.99, warp(reference, found, scan.shape), np.float32(np.nan))


def _cut(picture: Pixels, target: Pixels) -> Pixels:
    """The largest middle part of a picture over which the target holds values everywhere."""
    known = np.isfinite(target).all(2)
    edge = next(n for n in range(min(known.shape) // 2) if known[n : known.shape[0] - n, n : known.shape[1] - n].all())
    return np.ascontiguousarray(picture[edge : known.shape[0] - edge, edge : known.shape[1] - edge])


def _simulated(arguments: argparse.Namespace) -> Iterator[tuple[str, list[Row]]]:
    damaged, video, good, truth = _film(arguments.frames, arguments.seed)
    lines = [Row("scan", _measured(damaged, truth))]
    for method in arguments.methods:
        if method == "copycat-style":
            pairs = [(damaged[n], good[n]) for n in good]
            baseline = train(method, pairs, Budget(arguments.seconds), protect="none", seed=arguments.seed)
            restored = {n: baseline.restore(Frame(n, truth[n], damaged[n])) for n in truth}
        else:
            restored = _restored(method, damaged, video, good, list(truth), arguments)
        lines.append(Row(method, _measured(restored, truth)))
        print(as_text(Table(method, lines)), file=sys.stderr, flush=True)
        if arguments.pictures:
            _draw(arguments.pictures, method, damaged, restored, truth)
    length = f"{arguments.seconds:g} s" if arguments.steps is None else f"{arguments.steps} steps"
    title = f"{len(truth)} frames without a reference; telecine of {format_frames(list(video))}, good film of "
    yield f"{title}{format_frames(list(good))}; {length}; seed {arguments.seed}", lines


def _film(count: int, seed: int) -> tuple[dict[int, Pixels], ...]:
    """Damaged scans, telecine, good film, and truth of judged frames, display values by frame number."""
    film: FilmDecay = replace(FILM, seed=seed)
    with_video = {int((i + 0.5) * count / TELECINES) + 1 for i in range(TELECINES)}
    with_film = {int((i + 0.5) * count / GOOD) + 4 for i in range(GOOD)} - with_video
    judged = set(range(7, count, 21)) - with_video - with_film
    damaged, video, good, truth = ({} for _ in range(4))  # type: tuple[dict[int, Pixels], ...]
    for number, pixels in demo_frames():
        if number > count:
            break
        if number in with_video | with_film | judged:
            scan, aligned, _ = film.frame(pixels, number)
            pixel_um = film.picture_width_mm * 1000 / pixels.shape[1]
            lost = damage_at(LOST, *pixels.shape[:2], pixel_um, seed + 1, number).printed[..., None]
            damaged[number] = scan * (1 - lost) + BASE * lost
        if number in with_video:
            video[number] = reference_of(pixels, VIDEO, seed, number)
        if number in with_film:
            good[number] = pixels
        if number in judged:
            truth[number] = aligned
    return damaged, video, good, truth


def _restored(
    method: str,
    damaged: dict[int, Pixels],
    video: dict[int, Pixels],
    good: dict[int, Pixels],
    wanted: Sequence[int],
    arguments: argparse.Namespace,
) -> dict[int, Pixels]:
    with tempfile.TemporaryDirectory(prefix="wetgate-benchmark-") as temporary:
        reel = Reel(Path(temporary))
        reel.write("scan", damaged)
        if method != "single network":
            reel.write("video", video)
            reel.add("scan", "video", list(video))
        if method != "step 1":
            reel.write("good", good)
            reel.add("scan", "good", list(good), "--reference-element", "film")
        part = 0.5 if method == "step 1" else 1.0
        steps = None if arguments.steps is None else round(part * arguments.steps)
        reel.train(part * arguments.seconds, steps, arguments.seed)
        return reel.apply("scan", wanted)


def _measured(pictures: dict[int, Pixels], truth: dict[int, Pixels]):
    return summarise(measure(pictures[n], truth[n], inset=INSET) for n in truth)


def _draw(
    folder: Path, method: str, damaged: dict[int, Pixels], restored: dict[int, Pixels], truth: dict[int, Pixels]
) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for n in list(truth)[::4]:
        strip = np.clip(np.vstack([damaged[n], restored[n], truth[n]]), 0, 1)
        cv2.imwrite(str(folder / f"{method.replace(' ', '_')}.{n:04d}.png"), np.round(255 * strip[..., ::-1]))


def _seam(arguments: argparse.Namespace) -> Iterator[tuple[str, list[str]]]:
    """The error's gradient across the telecine's edge, over what it is elsewhere."""
    damaged, video, _, truth = _film(arguments.frames, arguments.seed)
    with tempfile.TemporaryDirectory(prefix="wetgate-benchmark-") as temporary:
        reel = Reel(Path(temporary))
        reel.write("scan", damaged)
        reel.write("video", video)
        reel.add("scan", "video", list(video))
        reel.train(arguments.seconds, arguments.steps, arguments.seed)
        restored = reel.apply("scan", list(truth))
        covered = np.mean([_covered(pair) for pair in open_restoration(reel.folder).pairs({"accepted"})], axis=0) > 0.5
    error = np.stack([restored[n] - truth[n] for n in truth]).mean(3)
    middle = {0: covered[:, covered.shape[1] // 2], 1: covered[covered.shape[0] // 2]}
    lines = []
    for axis, name in ((0, "row"), (1, "column")):
        along = np.abs(np.diff(error, axis=axis + 1)).mean(axis=(0, 2 - axis))
        usual = f"elsewhere {np.median(along):.4f}, 95 % of it below {np.percentile(along, 95):.4f}"
        for place in np.nonzero(np.diff(middle[axis].astype(int)))[0]:
            lines.append(f"{name} {place}: {along[place - NEAR : place + NEAR + 1].mean():.4f} ({usual})")
    share = 100 * covered.mean()
    yield f"Mean absolute gradient of result less truth across the telecine's edge ({share:.0f} % covered)", lines


def _covered(pair) -> Pixels:
    return read_image(pair.confidence).pixels[..., 0]


class Reel:
    """A restoration and its pictures in a folder."""

    def __init__(self, folder: Path) -> None:
        self._pictures, self.folder = folder, folder / "reel.wetgate"
        product.run_verb("new", str(self.folder), "--recipe", "telecine", "--encoding", "display")

    def write(self, name: str, frames: dict[int, Pixels]) -> None:
        """A sequence of display values."""
        for number, pixels in frames.items():
            product.write_frame(self._pattern(name), number, pixels)

    def add(self, scan: str, reference: str, frames: Sequence[int], *how: str) -> None:
        """Pairs of two sequences that were written."""
        pictures = ["--scan", self._pattern(scan), "--reference", self._pattern(reference)]
        product.run_verb("add", str(self.folder), *pictures, "--frames", format_frames(sorted(frames)), *how)

    def train(self, seconds: float, steps: int | None, seed: int) -> None:
        """`wetgate train`, for so many steps where they are given."""
        long = ["--time", f"{seconds:g}s"] if steps is None else ["--steps", str(steps)]
        product.run_verb("train", str(self.folder), *long, "--seed", str(seed))

    def apply(self, scan: str, frames: Sequence[int]) -> dict[int, Pixels]:
        """Restored frames."""
        output = self._pattern("restored")
        product.run_verb(
            "apply", str(self.folder), self._pattern(scan), output, "--frames", format_frames(sorted(frames))
        )
        with open_source(output) as source:
            return {number: to_display(source.read(number).pixels, "display") for number in frames}

    def _pattern(self, name: str) -> str:
        return str(self._pictures / name / f"{name}.####.exr")


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.telecine", description=__doc__.partition("\n")[0])
    verbs = parser.add_subparsers(dest="what", required=True)
    crops = verbs.add_parser("crops", help="real crops of a film")
    crops.add_argument("folder", type=Path)
    crops.add_argument(
        "--test", default="none", metavar="N", help="hold out this crop and measure on it (default: none)"
    )
    crops.add_argument("--as-delivered", action="store_true", help="leave the targets as they lie (`add --aligned`)")
    simulated = verbs.add_parser("simulated", help="the demo's footage as a damaged film")
    simulated.add_argument("--methods", nargs="+", choices=METHODS, default=METHODS, metavar="METHOD")
    simulated.add_argument("--pictures", type=Path, metavar="DIR", help="where strips to look at go")
    seam = verbs.add_parser("seam", help="the edge of a cropped telecine")
    for verb, seconds in ((crops, 300.0), (simulated, 150.0), (seam, 60.0)):
        verb.add_argument("--seconds", type=float, default=seconds, help=f"of each training (default: {seconds:g})")
        verb.add_argument(
            "--steps", type=int, metavar="N", help="train so many steps instead, on a machine with other work"
        )
        verb.add_argument("--seed", type=int, default=0)
    for verb in (simulated, seam):
        verb.add_argument("--frames", type=int, default=250, help="of the footage (default: 250)")
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(main())
