"""`wetgate doctor`: what works in this installation, tried rather than looked up.

Works with every module but the standard library missing, so that it can say which one is.
"""

from __future__ import annotations

import base64
import importlib
import importlib.metadata
import os
import platform
import shutil
import sys
import tempfile
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from wetgate import __version__

HELP = "Check this installation: packages, devices, formats, disk; say what to do about what fails."

INFERENCE_PACKAGES = {"numpy": "numpy", "OpenImageIO": "OpenImageIO", "av": "av", "opencv-python-headless": "cv2"}
ENGINE_PACKAGES = {"torch": "torch", "onnx": "onnx", "onnxscript": "onnxscript"}
RUNTIMES = ("onnxruntime", "onnxruntime-gpu")
CODECS = {
    "ProRes": ("prores", "prores_ks"),
    "DNxHR": ("dnxhd", "dnxhd"),
    "FFV1": ("ffv1", "ffv1"),
    "v210": ("v210", "v210"),
    "H.264": ("h264", "libx264"),
    "MPEG-2": ("mpeg2video", "mpeg2video"),
}
"""FFmpeg's decoder and encoder for each kind of video that Wetgate promises."""
ROOM_BYTES = 5 << 30
"""Less free disk than this is worth a note: a 2K shot of half-float frames fills it."""

NEGATIVE = base64.b64decode(
    "CAk6aAoXCgZmcmFtZXMSCHJlc3RvcmVkIgNOZWcSAWdaIwoGZnJhbWVzEhkKFwgBEhMKAxIBbgoCCAMKAxIBaAoDEgF3YiUKCHJlc3RvcmVk"
    "EhkKFwgBEhMKAxIBbgoCCAMKAxIBaAoDEgF3QgQKABAU"
)
"""The smallest ONNX model: `restored` = -`frames`, float32 [N, 3, H, W], opset 20, a single Neg node."""

OK, NOTE, BAD = "ok", "note", "bad"


@dataclass(frozen=True)
class Check:
    """One line of the page.

    Attributes:
        topic: what was checked.
        state: "ok", "note" (works, but worth knowing) or "bad" (something promised does not work).
        detail: what was found.
        advice: what to do about it; empty when there is nothing to do.
    """

    topic: str
    state: str
    detail: str
    advice: str = ""


def add_arguments(parser: ArgumentParser) -> None:
    """Doctor needs nothing but the common arguments."""


def run(arguments: Namespace) -> dict[str, Any]:
    return page(CHECKS)


def page(wanted: Mapping[str, Callable[[], Iterator[Finding]]]) -> dict[str, Any]:
    """What the checks find, for :func:`describe`."""
    checks: list[Check] = []
    for topic, check in wanted.items():
        try:
            checks += [Check(topic, *finding) for finding in check()]
        except Exception as error:  # a broken library may raise anything; the page must still come
            checks.append(Check(topic, BAD, f"{type(error).__name__}: {error}".strip(), REINSTALL))
    bad = sum(check.state == BAD for check in checks)
    return {
        "wetgate": __version__,
        "machine": machine(),
        "checks": [asdict(check) for check in checks],
        "exit_code": int(bad > 0),
    }


def describe(result: dict[str, Any]) -> str:
    checks = [Check(**check) for check in result["checks"]]
    width = max(len(check.topic) for check in checks)
    lines = [f"Wetgate {result['wetgate']} on {result['machine']}", ""]
    for check in checks:
        lines.append(f"  {check.state:<4}  {check.topic:<{width}}  {check.detail}")
        if check.advice:
            lines.append(f"  {'':<4}  {'':<{width}}  -> {check.advice}")
    bad = [check.topic for check in checks if check.state == BAD]
    verdict = f"Does not work here: {', '.join(bad)}." if bad else "Everything that this installation promises works."
    return "\n".join([*lines, "", verdict])


def machine() -> str:
    """The system in a few words: name, processor cores, memory where the system tells it."""
    words = [f"{platform.system()} {platform.machine()}", f"{os.cpu_count()} cores"]
    names: dict[str, int] = getattr(os, "sysconf_names", {})
    if "SC_PHYS_PAGES" in names:
        words.append(f"{gibibytes(os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE'))} of memory")
    return ", ".join(words)


# Checks. Each yields (state, detail[, advice]); what it raises is reported as bad.

Finding = tuple[str, str] | tuple[str, str, str]

REINSTALL = "This installation is damaged: remove its folder (in a clone: .venv) and run bootstrap.py again."


def check_python() -> Iterator[Finding]:
    yield OK, f"{platform.python_version()}, {sys.executable}"


def check_packages() -> Iterator[Finding]:
    packages = dict(INFERENCE_PACKAGES)
    if version_of("torch"):
        packages |= ENGINE_PACKAGES
    runtimes = [name for name in RUNTIMES if version_of(name)]
    packages |= dict.fromkeys(runtimes, "onnxruntime")
    found = []
    for name, module in packages.items():
        try:
            importlib.import_module(module)
            found.append(f"{name} {version_of(name)}")
        except ImportError as error:
            yield BAD, f"{name} cannot be imported: {error}", REINSTALL
    if len(runtimes) != 1:
        yield BAD, f"exactly one of {' and '.join(RUNTIMES)} must be installed, not {len(runtimes)}", REINSTALL
    yield OK, ", ".join(found)


def check_training() -> Iterator[Finding]:
    if not version_of("torch"):
        yield NOTE, "no PyTorch: this installation applies models and cannot train them"
        return
    import torch

    if torch.cuda.is_available():
        name, memory = torch.cuda.get_device_name(), torch.cuda.get_device_properties(0).total_memory
        total = float((torch.ones(4, device="cuda") * 2).sum())
        yield (OK if total == 8 else BAD), f"on {name}, {gibibytes(memory)} (PyTorch {torch.__version__})"
        return
    where = f"on the processor, {torch.get_num_threads()} threads (PyTorch {torch.__version__})"
    if not shutil.which("nvidia-smi"):
        yield OK, where
    elif torch.version.cuda is None:
        yield NOTE, where, "An NVIDIA driver is here, but this PyTorch has no CUDA: see docs/dependencies.md."
    else:
        yield NOTE, where, f"Update the NVIDIA driver: PyTorch does not find a GPU for its CUDA {torch.version.cuda}."


def check_models() -> Iterator[Finding]:
    """A session really runs a model: a list of providers also holds those that do not start."""
    import numpy as np

    from wetgate.errors import WetgateError
    from wetgate.inference.session import Session

    frames = np.linspace(-1, 2, 3 * 5 * 7, dtype=np.float32).reshape(1, 3, 5, 7)
    devices = ["cpu", "cuda"] if version_of("onnxruntime-gpu") else ["cpu"]
    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder, "negative.onnx")
        model.write_bytes(NEGATIVE)
        for device in devices:
            try:
                restored, _ = Session(model, device).run(frames)
            except WetgateError as error:
                if device == "cuda":
                    yield NOTE, str(error), "Until the NVIDIA driver supports CUDA 13, models run on the processor."
                else:
                    yield BAD, str(error), REINSTALL
                continue
            right = np.array_equal(restored, -frames)
            yield (OK, f"run on {device}") if right else (BAD, f"a model's answer on {device} is wrong", REINSTALL)


def check_images() -> Iterator[Finding]:
    """Each format is written and read back; 10-bit and half float hold these eighths exactly, 8-bit nearly."""
    import numpy as np

    from wetgate.images import read_image, write_image

    pixels = np.tile(np.arange(8, dtype=np.float32)[None, :, None] / np.float32(8), (8, 1, 3))
    good = []
    with tempfile.TemporaryDirectory() as folder:
        for suffix in (".exr", ".dpx", ".tif", ".png", ".jpg"):
            path = Path(folder, "picture" + suffix)
            write_image(path, pixels)
            error = float(np.abs(read_image(path).pixels - pixels).max())
            if error > 0.02:
                yield BAD, f"{suffix} comes back wrong by {error:.3f}", REINSTALL
            good.append(suffix[1:].upper())
    yield OK, f"{', '.join(good)} written and read back"


def check_video() -> Iterator[Finding]:
    from av.codec.codec import Codec, UnknownCodecError

    def known(name: str, mode: Any) -> bool:
        try:
            Codec(name, mode)
        except UnknownCodecError:
            return False
        return True

    good = []
    for name, (decoder, encoder) in CODECS.items():
        if known(decoder, "r") and known(encoder, "w"):
            good.append(name)
        else:
            yield BAD, f"this FFmpeg does not both read and write {name}", REINSTALL
    yield OK, f"FFmpeg reads and writes {', '.join(good)}"


def check_node() -> Iterator[Finding]:
    """Every bundle where hosts look: a host that loads a broken or an old one shows the artist less than this."""
    from wetgate.errors import WetgateError
    from wetgate.node import install
    from wetgate.node.build import BUNDLE, own_platform

    try:
        own_platform()
    except WetgateError as error:
        yield NOTE, str(error)
        return
    bundles = [folder / BUNDLE for folder in install.search_path() if (folder / BUNDLE).is_dir()]
    if not bundles:
        yield NOTE, "not installed: OpenFX hosts do not find it", "Run `wetgate node install`."
    for bundle in bundles:
        try:
            plugin = install.identify(bundle)
        except WetgateError as error:
            yield BAD, str(error)
            continue
        command, version = install.noted_command(bundle), install.built_version(bundle)
        again = f"Run `wetgate node install --folder {bundle.parent}`."
        if version != __version__:
            yield NOTE, f"{bundle} is of Wetgate {version or '?'}, this is {__version__}", again
        elif not os.access(command, os.X_OK):
            yield NOTE, f"{bundle} starts the server by '{command}', which is not there", again
        else:
            yield OK, f"{plugin.identifier}_v{plugin.major} of Wetgate {version} loads from {bundle}"


def check_disk() -> Iterator[Finding]:
    for name, folder in (("this folder", Path.cwd()), ("temporary files", Path(tempfile.gettempdir()))):
        free = shutil.disk_usage(folder).free
        try:
            with tempfile.TemporaryFile(dir=folder) as stream:
                stream.write(b"wetgate")
        except OSError as error:
            yield BAD, f"{name} ({folder}) cannot be written: {error.strerror}", "Work in a folder that you may write."
            continue
        advice = "Free some space before restoring a sequence." if free < ROOM_BYTES else ""
        yield (NOTE if advice else OK), f"{name} ({folder}) can be written, {gibibytes(free)} free", advice


CHECKS: dict[str, Callable[[], Iterator[Finding]]] = {
    "Python": check_python,
    "Packages": check_packages,
    "Training": check_training,
    "Models": check_models,
    "Images": check_images,
    "Video": check_video,
    "Node": check_node,
    "Disk": check_disk,
}


def version_of(package: str) -> str | None:
    """The installed version of a distribution, or None."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def gibibytes(count: float) -> str:
    return f"{count / (1 << 30):.0f} GiB"
