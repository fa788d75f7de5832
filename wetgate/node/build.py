"""The node's bundle from its C sources, for every platform on any machine.

``ziglang`` from PyPI is the compiler: a whole C toolchain with the system libraries of Linux, Windows and macOS. The
bundle is the layout that every OpenFX host knows::

    wetgate.ofx.bundle/Contents/Info.plist
                                Linux-x86-64/wetgate.ofx    needs glibc 2.17 (CentOS 7) or newer
                                Win64/wetgate.ofx           needs what Windows brings
                                MacOS/wetgate.ofx           universal: Apple silicon (signed ad hoc) and Intel
                                Resources/wetgate.json      what it was built from

The same sources and the same compiler give the same bytes, wherever they are built.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.metadata
import importlib.util
import json
import os
import platform
import plistlib
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from wetgate import __version__
from wetgate.errors import WetgateError
from wetgate.files import make_folder, sentence_for
from wetgate.node.macho import universal
from wetgate.project.locks import exclusive

BUNDLE = "wetgate.ofx.bundle"
BINARY = "wetgate.ofx"
FACTS_FILE = Path("Contents", "Resources", "wetgate.json")
"""In the bundle: the version of Wetgate, a digest of the sources, the compiler."""

COMPILER = "ziglang==0.17.1"
"""What the node is built and tested with, as pip is told."""

FLAGS = (
    "-shared",
    "-std=c11",
    "-O3",
    "-g0",
    "-s",
    "-Wall",
    "-Wextra",
    "-fvisibility=hidden",
    "-fno-sanitize=undefined",
)
"""For every platform. The two functions that a host looks for are marked as visible in the sources."""

FOREIGN_VARIABLES = ("CPATH", "C_INCLUDE_PATH", "CPLUS_INCLUDE_PATH", "LIBRARY_PATH", "SDKROOT", "CFLAGS", "LDFLAGS")
"""What would let a machine's own headers and libraries into the build."""


@dataclass(frozen=True)
class Platform:
    """Where a binary lies in the bundle and how it is compiled.

    Attributes:
        folder: its folder in ``Contents``, as the standard names it.
        targets: zig's names for what to compile for; several are joined into a universal file.
        words: further words for the compiler.
    """

    folder: str
    targets: tuple[str, ...]
    words: tuple[str, ...]


WINDOWS_WORDS = (
    "-nostdlib",
    "-rtlib=compiler-rt",
    "-isystem{zig}/lib/libc/include/any-windows-any",
    "-lkernel32",
    "-lws2_32",
    "-lucrtbase",
)
"""The C library is the one of Windows itself: zig's own start-up code is some 400 files that take a minute to compile.
What is left of it to write is in ``ofx/crt_windows.c``."""

PLATFORMS = {
    "linux": Platform("Linux-x86-64", ("x86_64-linux-gnu.2.17",), ("-lpthread", "-ldl")),
    "windows": Platform("Win64", ("x86_64-windows-gnu",), WINDOWS_WORDS),
    "macos": Platform("MacOS", ("aarch64-macos.11.0", "x86_64-macos.10.15"), ("-Wl,-x", f"-Wl,-install_name,{BINARY}")),
}


def own_platform() -> str:
    """The name in :data:`PLATFORMS` of the machine that this runs on.

    Raises:
        WetgateError: there is no node for it.
    """
    name = {"linux": "linux", "win32": "windows", "darwin": "macos"}.get(sys.platform)
    if name is None or (name != "macos" and platform.machine().lower() not in ("x86_64", "amd64")):
        raise WetgateError(
            f"There is no node for {platform.system()} on {platform.machine()}: it is built for Linux and Windows on "
            "x86-64 and for macOS."
        )
    return name


def binary_in(bundle: Path, name: str) -> Path:
    """Where the binary of a platform lies in a bundle."""
    return bundle / "Contents" / PLATFORMS[name].folder / BINARY


def sources() -> Path:
    """The folder of the C sources: in the package where it was installed from a wheel, else in the clone.

    Raises:
        WetgateError: neither is there.
    """
    package = Path(__file__).parent
    for folder in (package / "sources", package.parents[1] / "ofx"):
        if any(folder.glob("*.c")):
            return folder
    raise WetgateError("The node's sources are missing from this installation: run bootstrap.py install again.")


def build(output: Path, platforms: Sequence[str] = tuple(PLATFORMS)) -> Path:
    """Build the bundle into ``output``, in place of one that is there; return its path.

    Args:
        output: a folder, made where it is missing.
        platforms: names from :data:`PLATFORMS`.

    Raises:
        WetgateError: no compiler, sources that do not compile, or a folder that cannot be written.
    """
    compiler = zig()
    target = make_folder(output) / BUNDLE
    with staging(target) as bundle:
        (bundle / FACTS_FILE).parent.mkdir(parents=True)
        for name in platforms:
            binary_in(bundle, name).parent.mkdir()
            _compile(compiler, PLATFORMS[name], binary_in(bundle, name))
        facts = {"version": __version__, "sources": digest(), "compiler": _compiler_version()}
        (bundle / FACTS_FILE).write_bytes(json.dumps(facts, indent=2).encode() + b"\n")
        (bundle / "Contents" / "Info.plist").write_bytes(_property_list())
    return target


def current() -> Path:
    """A bundle of these very sources with the binary for this machine: the wheel's own, or one built now and kept.

    In a clone it lies in ``build/node``, in a folder named after its sources: whoever changes them gets another one.

    Raises:
        WetgateError: as :func:`build` and :func:`own_platform` do.
    """
    name = own_platform()
    shipped = Path(__file__).with_name(BUNDLE)
    if binary_in(shipped, name).exists():
        return shipped
    folder = sources()
    kept = folder.parent / "build" / "node" if folder.name == "ofx" else cache_folder("node")
    bundle = kept / f"{name}-{digest()[:16]}" / BUNDLE
    if not bundle.exists():
        with exclusive(make_folder(bundle.parent) / "lock", patience_s=600):
            if not bundle.exists():
                build(bundle.parent, [name])
    return bundle


def digest() -> str:
    """SHA-256 of everything that decides what the binaries are, the compiler itself apart."""
    whole = hashlib.sha256(repr((__version__, FLAGS, PLATFORMS)).encode())
    for path in sorted(sources().glob("*.[ch]")):
        whole.update(path.name.encode() + b"\0" + hashlib.sha256(path.read_bytes()).digest())
    return whole.hexdigest()


def zig() -> Path:
    """The compiler's program.

    Raises:
        WetgateError: it is not installed.
    """
    package = importlib.util.find_spec("ziglang")
    if package is None or package.origin is None:
        pip = subprocess.list2cmdline([sys.executable, "-m", "pip", "install", COMPILER])
        raise WetgateError(f"Building the node needs the compiler ziglang, which is not here; install it by:  {pip}")
    return Path(package.origin).with_name("zig.exe" if os.name == "nt" else "zig")


def cache_folder(name: str) -> Path:
    """A folder for what can be made again, in the user's cache."""
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA", Path.home() / "AppData" / "Local")) / "Wetgate" / "cache"
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches" / "Wetgate"
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "wetgate"
    return base / name


@contextlib.contextmanager
def staging(target: Path) -> Iterator[Path]:
    """Yield a path beside ``target`` to make a folder at; on success that takes the place of ``target``.

    Raises:
        WetgateError: the folder cannot be written, or a host holds the old one open (Windows).
    """
    try:
        with tempfile.TemporaryDirectory(prefix=".wetgate-unfinished-", dir=target.parent) as scratch:
            made, old = Path(scratch, "made"), Path(scratch, "old")
            yield made
            if target.exists():
                os.replace(target, old)
            try:
                os.replace(made, target)
            except OSError:
                if old.exists():
                    os.replace(old, target)
                raise
    except OSError as error:
        raise WetgateError(sentence_for(error, target)) from error


def _compile(compiler: Path, wanted: Platform, binary: Path) -> None:
    """Compile every source for one platform into ``binary``."""
    folder = sources()
    names = sorted(path.name for path in folder.glob("*.c"))
    version = [f'-DWETGATE_VERSION="{__version__}"']
    words = [word.format(zig=compiler.parent) for word in wanted.words]
    slices = []
    with tempfile.TemporaryDirectory() as scratch:
        for target in wanted.targets:
            thin = Path(scratch, target, BINARY)
            thin.parent.mkdir()
            done = subprocess.run(
                [str(compiler), "cc", "-target", target, *FLAGS, *version, *names, *words, "-o", str(thin)],
                cwd=folder,
                env=_environment(Path(scratch)),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                encoding="utf-8",
                errors="replace",
            )
            if done.returncode:
                raise WetgateError(f"The node could not be compiled for {target}:\n{done.stderr.strip()[-4000:]}")
            slices.append(thin.read_bytes())
    binary.write_bytes(slices[0] if len(slices) == 1 else universal(slices))
    binary.chmod(0o755)


def _environment(scratch: Path) -> dict[str, str]:
    """The compiler's environment: nothing of the machine's own, and a cache of ours.

    What zig compiles of each system's libraries, it keeps (about 60 MB), so that only the first build takes long.
    """
    try:
        cache = make_folder(cache_folder("zig"))
    except WetgateError:  # a build service without a home
        cache = scratch / "cache"
    kept = {name: value for name, value in os.environ.items() if name not in FOREIGN_VARIABLES}
    return kept | {"ZIG_GLOBAL_CACHE_DIR": str(cache), "ZIG_LOCAL_CACHE_DIR": str(cache), "LC_ALL": "C"}


def _compiler_version() -> str:
    return f"ziglang {importlib.metadata.version('ziglang')}"


def _property_list() -> bytes:
    return plistlib.dumps(
        {
            "CFBundleDevelopmentRegion": "en",
            "CFBundleExecutable": BINARY,
            "CFBundleIdentifier": "org.wetgate.ofx",
            "CFBundleInfoDictionaryVersion": "6.0",
            "CFBundleName": "Wetgate",
            "CFBundlePackageType": "BNDL",
            "CFBundleShortVersionString": __version__,
            "CFBundleSupportedPlatforms": ["MacOSX"],
            "CFBundleVersion": __version__,
            "LSMinimumSystemVersion": "10.15",
        }
    )
