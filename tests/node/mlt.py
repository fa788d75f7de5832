"""MLT 7 as a real OpenFX host, out of Debian's packages, without installing anything.

Its OpenFX module is in Debian from forky on, which needs a newer C library than most machines have. So the packages
are fetched by apt with a configuration of its own, made from the machine's own sources with the release changed, and
unpacked into a folder; a Python runs `mlt_child.py` under that folder's own dynamic loader. apt checks the signatures.

MLT hands over 16-bit RGBA, the current frame only, rows from the bottom (a negative rowBytes), one instance per frame.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from wetgate.project.locks import exclusive

RELEASE = "forky"
PACKAGES = (
    "libmlt7",
    "libmlt-data",
    "libc6",
    "libglib2.0-0t64",
    "libpcre2-8-0",
    "libatomic1",
    "libgomp1",
    "libgcc-s1",
)
MODULES = ("libmltcore.so", "libmltopenfx.so")
"""All that is loaded; MLT's other modules need more packages."""

FIELDS = ("Types", "URIs", "Suites", "Signed-By")
"""What is taken over of a source of apt's."""

LIBRARIES = Path("usr", "lib", "x86_64-linux-gnu")
PATIENCE_S = 120


class Unavailable(Exception):
    """Why there is no MLT here."""


@dataclass(frozen=True)
class Rendered:
    """What a host made.

    Attributes:
        frames: uint16 [H, W, 4], rows from the top.
        messages: what the plug-in had to say to the artist.
    """

    frames: list[np.ndarray]
    messages: list[str]


@dataclass(frozen=True)
class Mlt:
    """An unpacked MLT; ``root`` holds what would be in ``/``."""

    root: Path

    def render(
        self,
        plugins: Path,
        identifier: str,
        frames: Sequence[np.ndarray],
        parameters: dict[str, object],
        *,
        threads: int = 1,
        preview: int = 1,
    ) -> Rendered:
        """Render frames through a plug-in.

        Args:
            plugins: the folder of its bundle.
            identifier: of the plug-in.
            frames: uint16 [H, W, 4] each, rows from the top.
            parameters: of the plug-in.
            threads: how many frames are rendered at once.
            preview: how many times larger the project is than the frames: MLT's preview scale.
        """
        job = {
            "repository": str(self.root / "modules"),
            "plugin": f"openfx.{identifier}",
            "parameters": {name: str(value) for name, value in parameters.items()},
            "threads": threads,
            "preview": preview,
            "frames": [],
        }
        with tempfile.TemporaryDirectory() as scratch:
            return self._run(job, Path(scratch), plugins, frames)

    def _run(self, job: dict, scratch: Path, plugins: Path, frames: Sequence[np.ndarray]) -> Rendered:
        for position, frame in enumerate(frames):
            (scratch / f"{position}.in").write_bytes(np.ascontiguousarray(frame, np.uint16).tobytes())
            job["frames"].append(
                {
                    "position": position,
                    "height": frame.shape[0],
                    "width": frame.shape[1],
                    "input": str(scratch / f"{position}.in"),
                    "output": str(scratch / f"{position}.out"),
                }
            )
        (scratch / "job.json").write_text(json.dumps(job), encoding="utf-8")
        libraries = self.root / LIBRARIES
        done = subprocess.run(
            [
                str(libraries / "ld-linux-x86-64.so.2"),
                *("--library-path", str(libraries)),
                *(sys.executable, "-I", str(Path(__file__).with_name("mlt_child.py")), str(scratch / "job.json")),
            ],
            env=os.environ | {"OFX_PLUGIN_PATH": str(plugins), "MLT_DATA": str(self.root / "usr/share/mlt-7")},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            timeout=PATIENCE_S,
        )
        if done.returncode:
            raise AssertionError(f"MLT ended with {done.returncode}:\n{done.stdout}{done.stderr}")
        made = [
            np.frombuffer((scratch / f"{position}.out").read_bytes(), np.uint16).reshape(frame.shape)
            for position, frame in enumerate(frames)
        ]
        return Rendered(made, re.findall(r"\[openfx\] .*?\bmsg=(.*)", done.stderr))


def fetched(folder: Path) -> Mlt:
    """MLT in ``folder``, fetched where it is not there yet.

    Raises:
        Unavailable: this is no Debian on x86-64, or the packages do not download.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    with exclusive(folder.with_name(folder.name + ".lock"), patience_s=2 * PATIENCE_S):
        if not folder.is_dir():
            with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".mlt-") as scratch:
                root = Path(scratch, "root")
                _unpack(_download(Path(scratch)), root)
                os.replace(root, folder)
    return Mlt(folder)


def _download(scratch: Path) -> list[Path]:
    if not all(map(shutil.which, ("apt-get", "dpkg-deb"))) or os.uname().machine != "x86_64":
        raise Unavailable("this is no Debian on x86-64")
    (scratch / "sources.sources").write_text(_sources(), encoding="utf-8")
    (scratch / "status").touch()
    for name in ("lists/partial", "cache/archives/partial", "packages"):
        (scratch / name).mkdir(parents=True)
    settings = {
        "Dir::Etc::sourcelist": scratch / "sources.sources",
        "Dir::Etc::sourceparts": "/dev/null",
        "Dir::State": scratch,
        "Dir::State::lists": scratch / "lists",
        "Dir::State::status": scratch / "status",
        "Dir::Cache": scratch / "cache",
        "Acquire::Check-Valid-Until": "false",
        "Acquire::Languages": "none",
        "Acquire::Retries": 2,
        "Acquire::http::Timeout": 20,
        "APT::Sandbox::User": "",
        "APT::Update::Error-Mode": "any",
    }
    apt = ["apt-get", "-q", *(word for name, value in settings.items() for word in ("-o", f"{name}={value}"))]
    for words in (["update"], ["download", *(f"{package}/{RELEASE}" for package in PACKAGES)]):
        try:
            done = subprocess.run(
                [*apt, *words],
                cwd=scratch / "packages",
                env=os.environ | {"LC_ALL": "C"},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                encoding="utf-8",
                errors="replace",
                timeout=PATIENCE_S,
            )
        except subprocess.TimeoutExpired:
            raise Unavailable(f"apt-get {words[0]} took longer than {PATIENCE_S} s") from None
        if done.returncode:
            raise Unavailable(f"apt-get {words[0]} failed: {done.stderr.strip()}")
    return list((scratch / "packages").glob("*.deb"))


def _unpack(packages: Sequence[Path], root: Path) -> None:
    for package in packages:
        subprocess.run(["dpkg-deb", "-x", str(package), str(root)], check=True, timeout=PATIENCE_S)
    (root / "modules").mkdir()
    for name in MODULES:
        os.symlink(Path("..", LIBRARIES, "mlt-7", name), root / "modules" / name)


def _sources() -> str:
    """A deb822 source like the machine's own for its Debian release, of the release that has MLT."""
    facts = dict(re.findall(r'^(\w+)="?([^"\n]*)', _read(Path("/etc/os-release")), re.MULTILINE))
    places = [Path("/etc/apt/sources.list"), *sorted(Path("/etc/apt/sources.list.d").glob("*"))]
    own = source_of_debian(places, facts.get("VERSION_CODENAME", "")) if facts.get("ID") == "debian" else None
    if own is None:
        raise Unavailable("apt has no Debian source here")
    return "".join(f"{name}: {value}\n" for name, value in {**own, "Suites": RELEASE, "Components": "main"}.items())


def source_of_debian(places: Sequence[Path], release: str) -> dict[str, str] | None:
    """Where the machine has the packages of its own release from: Types, URIs and, where it is told, Signed-By."""
    for place in places:
        for source in _stanzas(place):
            if "deb" in source["Types"].split() and release in source.pop("Suites").split():
                return source | {"Types": "deb"}
    return None


def _stanzas(place: Path) -> list[dict[str, str]]:
    """The sources that a file of apt's names, whichever of its two forms it has, as deb822 fields."""
    found = []
    if place.suffix == ".sources":
        for stanza in re.split(r"\n\s*\n", re.sub(r"^#.*\n", "", _read(place), flags=re.MULTILINE)):
            fields = dict(re.findall(r"^([\w-]+):[ \t]*(.*(?:\n[ \t].*)*)", stanza, re.MULTILINE))
            if {"Types", "URIs", "Suites"} <= set(fields) and fields.get("Enabled", "yes") != "no":
                found.append({name: fields[name] for name in FIELDS if name in fields})
    elif place.suffix == ".list":
        for options, uri, suite in re.findall(r"^deb\s+(?:\[(.*?)\]\s+)?(\S+)\s+(\S+)", _read(place), re.MULTILINE):
            signed = re.search(r"signed-by=(\S+)", options)
            source = {"Types": "deb", "URIs": uri, "Suites": suite}
            found.append(source | ({"Signed-By": signed[1]} if signed else {}))
    return found


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError:
        return ""
