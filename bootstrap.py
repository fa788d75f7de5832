#!/usr/bin/env python3
"""Set Wetgate up and run it.

    python3 bootstrap.py demo       film footage decays, is restored and measured; needs nothing done before
    python3 bootstrap.py test       every check that a change must pass
    python3 bootstrap.py doctor     what works on this machine, and what to do about the rest
    python3 bootstrap.py install    `wetgate` for your own user account

The first run makes a private environment in `.venv` beside this file from the exact versions in `requirements/`;
later runs find it ready. Nothing else on the machine is touched. pip takes its mirrors from its own configuration.

Standard library only. Runs under any Python from 3.6 on, to find one that Wetgate can use or to say what is missing.
"""

import argparse
import contextlib
import ctypes
import glob
import hashlib
import json
import os
import shlex
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Dict, Iterator, List, NamedTuple, Optional, Tuple

ROOT = Path(__file__).resolve().parent
WINDOWS = os.name == "nt"
PYTHONS = ("3.11", "3.12", "3.13", "3.14")
"""The Pythons that every pinned package has wheels for, the one tested most first."""
OLD_HOST_PYTHONS = ("3.10",)
"""Of Nuke 15, the last with PySide2: the panel's tests run there, too."""
CUDA_FLOOR = 13000
"""What the pinned PyTorch and ONNX Runtime are built for, in the units of cuDriverGetVersion."""

SIDE_BY_SIDE = ("--numprocesses=auto", "--maxprocesses=4", "--dist=worksteal")
"""One process for each core, of a gigabyte each; one that runs out of tests takes some of another's."""


class Refusal(Exception):
    """One sentence for the person at the keyboard."""


def main(words: List[str]) -> int:
    options, passed_on = parse(words)
    try:
        return options.run(options, passed_on)
    except Refusal as refusal:
        print("bootstrap: {}".format(refusal), file=sys.stderr)
    except OSError as error:
        print("bootstrap: {}: {}.".format(error.filename or "a file", error.strerror or error), file=sys.stderr)
    except KeyboardInterrupt:
        print("bootstrap: interrupted; run the same command to go on.", file=sys.stderr)
        return 130
    return 1


def parse(words: List[str]) -> Tuple[argparse.Namespace, List[str]]:
    """Split ``words`` into what this file understands and what it passes on to the verb's own program."""
    parser = argparse.ArgumentParser(
        prog="bootstrap.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    verbs = parser.add_subparsers(dest="verb", metavar="VERB")

    def add_verb(name: str, run: Any, help: str, own_help: bool) -> argparse.ArgumentParser:
        verb = verbs.add_parser(name, help=help, description=help, add_help=own_help, allow_abbrev=False)
        verb.set_defaults(run=run)
        device = verb.add_mutually_exclusive_group()
        device.add_argument("--cpu", dest="device", action="store_const", const="cpu", help="without GPU support")
        device.add_argument("--cuda", dest="device", action="store_const", const="cuda", help="for an NVIDIA GPU")
        return verb

    add_verb("demo", run_wetgate, "the whole way on real footage; further words go to `wetgate demo`", False)
    add_verb("test", run_tests, "ruff, import-linter, mypy and pytest; further words go to pytest", False)
    add_verb("doctor", run_wetgate, "what works on this machine; further words go to `wetgate doctor`", False)
    install = add_verb("install", run_install, "put `wetgate` where your shell finds it", True)
    install.add_argument("--prefix", type=Path, metavar="DIR", help="install into DIR/engine and DIR/bin instead")
    install.add_argument("--inference-only", action="store_true", help="apply models only: no PyTorch (farm nodes)")

    options, passed_on = parser.parse_known_args(words)
    if options.verb is None:
        parser.error("which one: demo, test, doctor or install?")
    if options.verb == "install" and passed_on:
        install.error("unrecognized arguments: " + " ".join(passed_on))
    return options, passed_on


# Verbs


def run_wetgate(options: argparse.Namespace, passed_on: List[str]) -> int:
    return hand_over([clone_python(options.device), "-P", "-m", "wetgate", options.verb, *passed_on])


def run_tests(options: argparse.Namespace, passed_on: List[str]) -> int:
    python = clone_python(options.device)
    os.chdir(str(ROOT))
    failed = []
    for name, words in (
        ("ruff", ["-m", "ruff", "check"]),
        ("import-linter", ["-c", "from importlinter.cli import lint_imports_command as run; run()"]),
        ("mypy", ["-m", "mypy"]),
    ):
        say("{} ...".format(name))
        if subprocess.call([python, *words], env=clean_environment()):
            failed.append(name)
    say("pytest ...")
    code = subprocess.call([python, "-m", "pytest", *SIDE_BY_SIDE, *passed_on], env=clean_environment())
    if not passed_on or any("tests/panel" in word for word in passed_on):
        code = test_in_old_host(python, passed_on or ["tests/panel"]) or code
    if failed:
        say("failed before the tests: {} (see above)".format(", ".join(failed)))
    return code or int(bool(failed))


def test_in_old_host(engine: str, words: List[str]) -> int:
    """The panel's tests under PySide2; a machine without a Python for it is told so, loudly."""
    try:
        find_python(OLD_HOST_PYTHONS)
    except Refusal:
        say("THE PANEL WAS NOT TESTED UNDER PySide2 (Nuke 14, 15): there is no Python {}.".format(OLD_HOST_PYTHONS[0]))
        return 0
    python = OldHostEnvironment(ROOT / ".venv-pyside2", "panel", "cpu").ready_python("")
    say("pytest under PySide2 ...")
    environment = dict(clean_environment(), WETGATE_TEST_ENGINE=engine)
    return subprocess.call([python, "-m", "pytest", *SIDE_BY_SIDE, *words], env=environment)


def run_install(options: argparse.Namespace, passed_on: List[str]) -> int:
    folder, commands = install_places(options.prefix)
    kind = "inference" if options.inference_only else "engine"
    environment = Environment(folder, kind, options.device)
    python = environment.ready_python(source_digest())
    command = write_launcher(python, commands)
    print("Wetgate is installed in {}.".format(folder))
    if shutil.which("wetgate") == str(command):
        print("Run it with:  wetgate doctor")
    else:
        print("{} is not on your PATH: add it, or run Wetgate with:  {} doctor".format(commands, quoted(command)))
    return 0


def clone_python(device: Optional[str]) -> str:
    return Environment(ROOT / ".venv", "clone", device).ready_python(str(ROOT))


def hand_over(command: List[str]) -> int:
    """Run ``command`` in this process's place, so that signals and the exit code are its own."""
    if WINDOWS:
        return subprocess.call(command, env=clean_environment())
    return os.execve(command[0], command, clean_environment())


def clean_environment() -> Dict[str, str]:
    """The environment less what a host application may have set for its own Python."""
    foreign = ("PYTHONPATH", "PYTHONHOME", "__PYVENV_LAUNCHER__")
    return {name: value for name, value in os.environ.items() if name not in foreign}


def say(sentence: str) -> None:
    print("bootstrap: {}".format(sentence), file=sys.stderr, flush=True)


# The environment: a virtual environment and a stamp that says what it holds


class Environment:
    """A virtual environment of Wetgate's own, made from the pinned files.

    ``wetgate.json`` in its folder is the stamp: written first as "installing", last as "ready". So an environment that
    was killed half-made is known as such and made again from nothing, and so is one whose requirements have changed.

    Args:
        folder: where it lies; beside it lies a lock, so that of two set-ups at once one waits.
        kind: "clone" (engine and development tools, Wetgate read from the clone), "engine" or "inference" (Wetgate
            copied in).
        device: "cpu", "cuda", or None for what the environment has, or else what the machine has.
    """

    versions: Tuple[str, ...] = PYTHONS

    def __init__(self, folder: Path, kind: str, device: Optional[str]) -> None:
        self.folder = folder
        self.kind = kind
        self.device = device or self.stamp().get("device") or detected_device()
        self.python = folder / ("Scripts/python.exe" if WINDOWS else "bin/python")

    def ready_python(self, package: str) -> str:
        """The environment's interpreter, after making or mending the environment where that is needed.

        Args:
            package: what identifies the Wetgate inside: the clone's path, or a digest of the copied source.
        """
        if not self.is_ready(package):
            self.folder.parent.mkdir(parents=True, exist_ok=True)
            with locked(self.folder.with_name(self.folder.name + ".lock")):
                if not self.is_ready(package):
                    self.make(package)
        return str(self.python)

    def is_ready(self, package: str) -> bool:
        return self.has_requirements() and self.stamp().get("package") == package

    def has_requirements(self) -> bool:
        stamp = self.stamp()
        return (
            stamp.get("state") == "ready"
            and stamp.get("requirements") == self.requirements_digest()
            and stamp.get("python") == version_of(str(self.python))
        )

    def make(self, package: str) -> None:
        started = time.monotonic()
        if not self.has_requirements():
            self.install_requirements()
        self.install_package()
        version = version_of(str(self.python))
        self.write_stamp(state="ready", requirements=self.requirements_digest(), package=package, python=version)
        say("ready after {:.0f} s.".format(time.monotonic() - started))

    def install_requirements(self) -> None:
        python = find_python(self.versions)
        self.remove()
        self.folder.mkdir(parents=True)
        self.write_stamp(state="installing")
        say("setting up {} ({}, {}); once, and it takes a minute or more.".format(self.folder, self.kind, self.device))
        if subprocess.call([python, "-I", "-m", "venv", str(self.folder)]):
            raise Refusal("{} could not make a virtual environment in {} (see above).".format(python, self.folder))
        main, *without_dependencies = self.requirement_files()
        self.pip("--only-binary", ":all:", *main)
        for files in without_dependencies:
            self.pip("--only-binary", ":all:", "--no-deps", *files)

    def install_package(self) -> None:
        if self.kind == "clone":
            packages = next(self.folder.glob("Lib/site-packages" if WINDOWS else "lib/python*/site-packages"))
            (packages / "wetgate.pth").write_text(str(ROOT) + "\n", encoding="utf-8")
        else:
            self.pip("--no-deps", "--force-reinstall", str(ROOT))

    def pip(self, *words: str) -> None:
        """Run ``pip install``: with its progress for who looks on, silent but for errors otherwise."""
        loudness = [] if sys.stderr.isatty() or os.environ.get("WETGATE_PROGRESS") else ["-qq"]
        pip = [str(self.python), "-I", "-m", "pip", "--no-input", "--disable-pip-version-check", *loudness]
        if subprocess.call([*pip, "install", *words], stdout=sys.stderr, stdin=subprocess.DEVNULL):
            raise Refusal(
                "pip could not install what Wetgate needs (its own words are above). The first set-up needs a package "
                "index that pip can reach and free disk space; then run the same command again."
            )

    def requirement_files(self) -> List[List[str]]:
        """pip's words for the files to install; the first list with dependencies, the others without."""
        suffix = "cpu" if self.device == "cpu" else "gpu" if self.kind == "inference" else "cuda"
        main = ["-c", requirements("constraints"), "-r", requirements("{}-{}".format(self.base, suffix))]
        if self.kind == "inference":
            return [main]
        if self.kind == "clone":
            main += ["-r", requirements("development")]
        return [main, ["-r", requirements("demo")]]

    @property
    def base(self) -> str:
        return "inference" if self.kind == "inference" else "engine"

    def requirements_digest(self) -> str:
        digest = hashlib.sha256()
        for words in self.requirement_files():
            for path in words[1::2]:
                digest.update(Path(path).name.encode() + b"\0" + Path(path).read_bytes())
        return digest.hexdigest()

    def stamp(self) -> Dict[str, str]:
        try:
            return dict(json.loads((self.folder / "wetgate.json").read_text(encoding="utf-8")))
        except (OSError, ValueError):
            return {}

    def write_stamp(self, **facts: Optional[str]) -> None:
        temporary = self.folder / "wetgate.json.new"
        temporary.write_text(json.dumps(dict(facts, device=self.device), indent=2) + "\n", encoding="utf-8")
        os.replace(str(temporary), str(self.folder / "wetgate.json"))

    def remove(self) -> None:
        """Remove what is there, unless it is something that no set-up has made."""
        if not self.folder.exists():
            return
        ours = any(self.folder.glob("wetgate.json*")) or (self.folder / "pyvenv.cfg").exists()
        if not ours and any(self.folder.iterdir()):
            raise Refusal("{} is in the way and no virtual environment: move it, then run again.".format(self.folder))
        removed = self.folder.with_name(self.folder.name + ".removed")
        shutil.rmtree(str(removed), ignore_errors=True)
        os.replace(str(self.folder), str(removed))
        shutil.rmtree(str(removed))


class OldHostEnvironment(Environment):
    """What the panel's tests need in the Python of an old host: its Qt and pytest, and no Wetgate."""

    versions = OLD_HOST_PYTHONS

    def requirement_files(self) -> List[List[str]]:
        return [["-c", requirements("constraints"), "-r", requirements("panel-pyside2")]]

    def install_package(self) -> None:
        """Nothing: the tests read Wetgate from the clone."""


def requirements(name: str) -> str:
    return str(ROOT / "requirements" / (name + ".txt"))


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock file ``path``; the operating system lets go of it when this process ends, however it ends."""
    with open(str(path), "a+") as stream:
        waiting = False
        while not try_lock(stream):
            if not waiting:
                say("another set-up is at work on the same environment; waiting for it.")
            waiting = True
            time.sleep(0.2)
        yield


def try_lock(stream: Any) -> bool:
    try:
        if WINDOWS:
            import msvcrt

            msvcrt.locking(stream.fileno(), msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined,unused-ignore]
        else:
            import fcntl

            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    return True


# A Python to make it with


class Candidate(NamedTuple):
    """An interpreter that was tried: the version and the real path, or why it will not do."""

    path: str
    version: str
    problem: str


PROBE = (
    "import struct, sys\n"
    "print('%d.%d' % sys.version_info[:2])\n"
    "print(8 * struct.calcsize('P'))\n"
    "print(sys.executable)\n"
    "try:\n import ensurepip, venv\nexcept ImportError:\n print('no venv')"
)


def find_python(versions: Tuple[str, ...] = PYTHONS) -> str:
    """The interpreter to make the environment with: this one where it will do, else the first that does.

    Raises:
        Refusal: there is none; the sentence says what was found and what to install.
    """
    rejected = []
    for command in python_commands(versions):
        candidate = probe(command, versions)
        if candidate and not candidate.problem:
            return candidate.path
        if candidate:
            rejected.append("{} {}".format(candidate.path, candidate.problem))
    raise Refusal(
        "Wetgate needs a 64-bit Python {} to {} with the venv module, and found none ({}). Install one (Windows and "
        "macOS: from python.org; Debian and Ubuntu: apt install python3 python3-venv; Red Hat and Rocky: dnf install "
        "python3.11), then run the same command again.".format(versions[0], versions[-1], "; ".join(rejected))
    )


def python_commands(versions: Tuple[str, ...] = PYTHONS) -> Iterator[List[str]]:
    """Commands that may start a suitable Python: this one, those on PATH, then the usual folders."""
    yield [sys.executable]
    for version in versions:
        if shutil.which("python" + version):
            yield ["python" + version]
        if shutil.which("py"):
            yield ["py", "-" + version]
    for version in versions:
        for pattern in usual_places(version):
            for path in sorted(glob.glob(os.path.expanduser(os.path.expandvars(pattern))), reverse=True):
                yield [path]


def usual_places(version: str) -> List[str]:
    digits = version.replace(".", "")
    pyenv = os.environ.get("PYENV_ROOT", "~/.pyenv")
    if WINDOWS:
        return [
            r"%LOCALAPPDATA%\Programs\Python\Python{}\python.exe".format(digits),
            r"%ProgramFiles%\Python{}\python.exe".format(digits),
            r"{}\pyenv-win\versions\{}.*\python.exe".format(pyenv, version),
            r"%APPDATA%\uv\python\cpython-{}.*\python.exe".format(version),
        ]
    return [
        "/usr/bin/python" + version,
        "/usr/local/bin/python" + version,
        "/opt/homebrew/bin/python" + version,
        "/Library/Frameworks/Python.framework/Versions/{}/bin/python3".format(version),
        "{}/versions/{}.*/bin/python".format(pyenv, version),
        "~/.local/share/uv/python/cpython-{}.*/bin/python3".format(version),
    ]


def probe(command: List[str], versions: Tuple[str, ...] = PYTHONS) -> Optional[Candidate]:
    """Try an interpreter; None where nothing starts (a launcher or shim without that version)."""
    answer = run_quietly([*command, "-I", "-c", PROBE])
    lines = (answer or "").splitlines()
    if len(lines) < 3:
        return None
    version, bits, path = lines[:3]
    if version not in versions:
        return Candidate(path, version, "is Python " + version)
    if bits != "64":
        return Candidate(path, version, "is a {}-bit Python".format(bits))
    if len(lines) > 3:
        return Candidate(path, version, "lacks venv or ensurepip (Debian and Ubuntu: apt install python3-venv)")
    return Candidate(path, version, "")


def version_of(python: str) -> Optional[str]:
    """The interpreter's version such as "3.11"; None where it does not start."""
    answer = run_quietly([python, "-I", "-S", "-c", "import sys; print('%d.%d' % sys.version_info[:2])"])
    return answer.strip() if answer else None


def run_quietly(command: List[str]) -> Optional[str]:
    try:
        result = subprocess.run(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=30
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return result.stdout.decode(errors="replace") if result.returncode == 0 else None


# The GPU


def detected_device() -> str:
    version = cuda_driver_version()
    if version is None:
        return "cpu"
    if version < CUDA_FLOOR:
        say(
            "an NVIDIA driver for CUDA {} is here, but CUDA {} is needed: taking the processor. Update the driver, "
            "then run again with --cuda.".format(version // 1000, CUDA_FLOOR // 1000)
        )
        return "cpu"
    return "cuda"


def cuda_driver_version() -> Optional[int]:
    """What cuDriverGetVersion says (13000 for CUDA 13.0); None without an NVIDIA driver and at least one GPU."""
    try:
        driver = ctypes.CDLL("nvcuda.dll" if WINDOWS else "libcuda.so.1")
    except OSError:
        return None
    count, version = ctypes.c_int(), ctypes.c_int()
    if driver.cuInit(0) or driver.cuDeviceGetCount(ctypes.byref(count)) or not count.value:
        return None
    return version.value if driver.cuDriverGetVersion(ctypes.byref(version)) == 0 else None


# Installing for a user


def install_places(prefix: Optional[Path]) -> Tuple[Path, Path]:
    """The folder of the environment and the folder of the `wetgate` command."""
    home = Path.home()
    if prefix:
        base = prefix.expanduser().resolve()
    elif WINDOWS:
        base = Path(os.environ.get("LOCALAPPDATA", str(home / "AppData" / "Local"))) / "Wetgate"
    elif sys.platform == "darwin":
        return home / "Library" / "Application Support" / "Wetgate" / "engine", home / ".local" / "bin"
    else:
        data = Path(os.environ.get("XDG_DATA_HOME", str(home / ".local" / "share")))
        return data / "wetgate" / "engine", home / ".local" / "bin"
    return base / "engine", base / "bin"


def write_launcher(python: str, commands: Path) -> Path:
    """Write the `wetgate` command into ``commands``; return its path."""
    commands.mkdir(parents=True, exist_ok=True)
    if WINDOWS:
        # From where the command lies: the console's code page may not have the letters of a user's name.
        beside = os.path.relpath(python, str(commands))
        path, text = commands / "wetgate.cmd", '@"%~dp0{}" -P -m wetgate %*\r\n'.format(beside)
    else:
        path, text = commands / "wetgate", '#!/bin/sh\nexec {} -P -m wetgate "$@"\n'.format(shlex.quote(python))
    temporary = path.with_name(path.name + ".new")
    temporary.write_bytes(text.encode("utf-8"))
    temporary.chmod(0o755)
    os.replace(str(temporary), str(path))
    return path


def source_digest() -> str:
    """A digest of everything that the installed package is built from."""
    digest = hashlib.sha256()
    files = [ROOT / name for name in ("pyproject.toml", "README.md", "hatch_build.py", "init.py", "menu.py")]
    for folder in ("gizmos", "nuke_plugin", "ofx", "wetgate"):
        files += (ROOT / folder).rglob("*")
    for path in sorted(files):
        if path.is_file() and "__pycache__" not in path.parts:
            digest.update(str(path.relative_to(ROOT)).encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def quoted(path: Path) -> str:
    return '"{}"'.format(path) if WINDOWS else shlex.quote(str(path))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
