"""The node's bundle: what is in the binaries of each platform, and in the wheel."""

from __future__ import annotations

import importlib.util
import plistlib
import re
import struct
import subprocess
import sys
import threading
import tomllib
import zipfile
from pathlib import Path

import binaries
import pytest
from made_once import made_once

import wetgate
from wetgate.errors import WetgateError
from wetgate.node import build
from wetgate.node.install import identify
from wetgate.node.macho import universal

ROOT = Path(__file__).parents[2]
EXPORTS = {"OfxGetNumberOfPlugins", "OfxGetPlugin"}
OF_THE_LINKER = {"__mh_dylib_header", "___dso_handle"}
"""Names for the file itself, which zig's linker puts into every dylib."""


@pytest.fixture(scope="module")
def bundle(tmp_path_factory) -> Path:
    """The node for all platforms, with warnings as errors."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(build, "FLAGS", (*build.FLAGS, "-Werror"))
        return made_once(tmp_path_factory, "node-of-all-platforms", build.build) / build.BUNDLE


def content(bundle: Path, platform: str) -> bytes:
    return build.binary_in(bundle, platform).read_bytes()


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_layout(bundle):
    assert set(files_of(bundle)) == {
        "Contents/Info.plist",
        "Contents/Linux-x86-64/wetgate.ofx",
        "Contents/MacOS/wetgate.ofx",
        "Contents/Resources/wetgate.json",
        "Contents/Win64/wetgate.ofx",
    }
    facts = plistlib.loads((bundle / "Contents" / "Info.plist").read_bytes())
    assert (facts["CFBundleExecutable"], facts["CFBundleVersion"]) == ("wetgate.ofx", wetgate.__version__)


def test_linux_needs_no_more_than_glibc_2_17(bundle):
    library = binaries.elf(content(bundle, "linux"))
    assert library.processor == 62  # EM_X86_64
    assert library.exports == EXPORTS
    assert library.libraries <= {"libc.so.6", "libpthread.so.0", "libdl.so.2", "ld-linux-x86-64.so.2"}
    versions = [tuple(map(int, re.fullmatch(r"GLIBC_([\d.]+)", name)[1].split("."))) for name in library.versions]
    assert versions
    assert max(versions) <= (2, 17)


def test_windows_needs_only_what_windows_brings(bundle):
    library = binaries.pe(content(bundle, "windows"))
    assert library.processor == 0x8664
    assert library.exports == EXPORTS
    assert library.libraries <= {"kernel32.dll", "ws2_32.dll", "ucrtbase.dll"}
    assert library.flags & 0x140 == 0x140  # may be loaded anywhere, data is not run


def test_macos_has_apple_silicon_signed_and_intel(bundle):
    apple, intel = binaries.macho(content(bundle, "macos"))
    assert (apple.processor, intel.processor) == (0x0100000C, 0x01000007)
    assert apple.signed  # macOS kills what is not
    for library in (apple, intel):
        assert library.is_whole
        assert library.exports - OF_THE_LINKER == {f"_{name}" for name in EXPORTS}
        assert library.libraries == {"/usr/lib/libSystem.B.dylib"}


@pytest.mark.parametrize("platform", build.PLATFORMS)
def test_no_binary_tells_where_it_was_built(bundle, platform):
    for trace in (ROOT, Path.home(), build.zig().parent):
        assert str(trace).encode() not in content(bundle, platform)


@pytest.mark.parametrize("platform", build.PLATFORMS)
def test_the_same_bytes_anywhere(bundle, tmp_path, monkeypatch, platform):
    """From another folder and with another, empty cache."""
    sources = tmp_path / "elsewhere"
    sources.mkdir()
    for source in build.sources().glob("*.[ch]"):
        (sources / source.name).write_bytes(source.read_bytes())
    monkeypatch.setattr(build, "sources", lambda: sources)
    monkeypatch.setattr(build, "cache_folder", lambda name: tmp_path / "cache" / name)
    again = build.build(tmp_path / "again", [platform])
    assert content(again, platform) == content(bundle, platform)


def test_the_binary_of_this_machine_says_who_it_is(bundle):
    plugin = identify(bundle)
    assert plugin.identifier == "org.wetgate.restore"
    major, minor, patch = (int(part) for part in wetgate.__version__.split("."))
    assert (plugin.major, plugin.minor) == (1, 10000 * major + 100 * minor + patch)


def test_without_the_compiler_a_sentence_says_how_to_get_it(monkeypatch, tmp_path):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(WetgateError, match=f"-m pip install {build.COMPILER}"):
        build.build(tmp_path)
    assert not list(tmp_path.iterdir())


def test_sources_that_do_not_compile_leave_the_old_bundle(bundle, monkeypatch, tmp_path):
    (tmp_path / "sources").mkdir()
    (tmp_path / "sources" / "plugin.c").write_text("int broken(void) { return nothing; }\n")
    monkeypatch.setattr(build, "sources", lambda: tmp_path / "sources")
    (tmp_path / "out" / build.BUNDLE).mkdir(parents=True)
    (tmp_path / "out" / build.BUNDLE / "old").touch()
    with pytest.raises(WetgateError, match=r"could not be compiled for x86_64-linux(.|\n)*nothing"):
        build.build(tmp_path / "out", ["linux"])
    assert list(files_of(tmp_path / "out")) == [f"{build.BUNDLE}/old"]


def test_a_bundle_is_built_once_for_its_sources(monkeypatch, tmp_path):
    monkeypatch.setattr(build, "cache_folder", lambda name: tmp_path / "cache" / name)
    monkeypatch.setattr(build, "sources", lambda: tmp_path / "sources")
    monkeypatch.setattr(build, "zig", lambda: Path("zig"))
    (tmp_path / "sources").mkdir()
    (tmp_path / "sources" / "plugin.c").write_text("one")
    compiled = []

    def compile_nothing(compiler, wanted, binary):
        compiled.append(wanted.folder)
        binary.write_bytes(b"")

    monkeypatch.setattr(build, "_compile", compile_nothing)
    threads = [threading.Thread(target=build.current) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(compiled) == 1
    before = build.current()
    (tmp_path / "sources" / "plugin.c").write_text("two")
    assert build.current() != before
    assert len(compiled) == 2


def test_building_and_installing_need_python_alone():
    """pip runs the wheel's build in an environment that holds hatchling and ziglang only."""
    code = "import sys; sys.path.insert(0, sys.argv[1]); import wetgate.node.build, wetgate.node.install"
    subprocess.run([sys.executable, "-I", "-S", "-c", code, str(ROOT)], check=True, timeout=60)


def test_the_compiler_is_the_one_that_is_pinned():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    pinned = (ROOT / "requirements" / "development.txt").read_text(encoding="utf-8").split()
    assert build.COMPILER in project["build-system"]["requires"]
    assert set(project["build-system"]["requires"]) <= set(pinned)


def thin(processor: int, length: int) -> bytes:
    return struct.pack("<3I", 0xFEEDFACF, processor, 3).ljust(length, b"x")


def test_a_universal_file_holds_its_slices_on_pages():
    one, other = thin(7, 100), thin(12, 40000)
    data = universal([one, other])
    for number, wanted in enumerate((one, other)):
        processor, subtype, start, length, alignment = struct.unpack_from(">5I", data, 8 + 20 * number)
        assert data[start : start + length] == wanted
        assert (processor, subtype, start % 16384, alignment) == ((7, 12)[number], 3, 0, 14)


@pytest.mark.parametrize("slices", [[thin(7, 64), thin(7, 64)], [b"\x7fELF".ljust(64)]], ids=["twice", "elf"])
def test_what_makes_no_universal_file(slices):
    with pytest.raises(ValueError, match="thin 64-bit Mach-O"):
        universal(slices)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """The wheel, built from the source distribution as an installation without a clone would."""

    def make(folder: Path) -> None:
        for words in (
            ["hatchling", "build", "-t", "sdist", "-d", str(folder)],
            ["pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", str(folder)],
        ):
            subprocess.run(
                [sys.executable, "-m", *words, *map(str, folder.glob("*.tar.gz"))],
                cwd=ROOT,
                check=True,
                capture_output=True,
                timeout=240,
            )

    return next(made_once(tmp_path_factory, "wheel", make).glob("*.whl"))


def test_the_wheel_holds_the_node_and_its_sources(wheel, bundle):
    assert wheel.name == f"wetgate-{wetgate.__version__}-py3-none-any.whl"
    with zipfile.ZipFile(wheel) as archive:
        files = {name: archive.read(name) for name in archive.namelist() if name.startswith("wetgate/node/")}
    for platform in build.PLATFORMS:
        name = build.binary_in(Path("wetgate/node", build.BUNDLE), platform).as_posix()
        assert files[name] == content(bundle, platform)
    for source in build.sources().glob("*.[ch]"):
        assert files[f"wetgate/node/sources/{source.name}"] == source.read_bytes()


def test_from_the_wheel_the_node_is_installed_without_a_compiler(wheel, tmp_path):
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "packages")
    code = (
        "import sys, importlib.util as util\n"
        "found = util.find_spec\n"
        "util.find_spec = lambda name, *rest: None if name == 'ziglang' else found(name, *rest)\n"
        "from wetgate.cli.main import main\n"
        "sys.exit(main(['node', 'install', '--folder', sys.argv[1]]))"
    )
    subprocess.run(
        [sys.executable, "-I", "-c", f"import sys; sys.path.insert(0, sys.argv[2])\n{code}", "ofx", "packages"],
        cwd=tmp_path,
        check=True,
        timeout=60,
    )
    for platform in build.PLATFORMS:
        assert build.binary_in(tmp_path / "ofx" / build.BUNDLE, platform).exists()
    assert identify(tmp_path / "ofx" / build.BUNDLE).identifier == "org.wetgate.restore"


def test_from_the_wheel_nuke_gets_one_folder_with_all_that_the_plug_in_needs(wheel, tmp_path):
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path)
        assert not [name for name in archive.namelist() if name.endswith(".pyc")]
    code = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from wetgate.nuke_setup import check_files, plugin_folder\n"
        "((state, said),) = check_files()\n"
        "print(state, plugin_folder())"
    )
    words = [sys.executable, "-I", "-c", code, str(tmp_path)]
    asked = subprocess.run(words, capture_output=True, text=True, check=True, timeout=60)
    folder = tmp_path.resolve() / "wetgate" / "nuke"
    assert asked.stdout.split() == ["ok", str(folder)]
    code = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "import nuke_plugin.restoring, nuke_plugin.engine, wetgate\n"
        "print(wetgate.__file__)"
    )
    words = [sys.executable, "-I", "-S", "-c", code, str(folder)]
    asked = subprocess.run(words, capture_output=True, text=True, check=True, timeout=60)
    assert asked.stdout.strip() == str(folder / "wetgate" / "__init__.py")
