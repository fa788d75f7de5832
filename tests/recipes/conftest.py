"""Small pairs on disk, and the command line in this process."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from reels import save_footage

from wetgate.cli.main import main
from wetgate.images import write_image
from wetgate.pairing.prepare import prepare
from wetgate.project import Restoration, create_restoration, open_restoration

Wetgate = Callable[..., tuple[int, str, str]]
MakeReel = Callable[..., Restoration]


@pytest.fixture(scope="session")
def footage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ``scan`` and ``reference``, four frames each. Not to be altered."""
    return save_footage(tmp_path_factory.mktemp("footage"))


@pytest.fixture
def wetgate(capfd: pytest.CaptureFixture[str]) -> Wetgate:
    """Run a verb in this process; return exit code, stdout and stderr."""

    def run(*words: object) -> tuple[int, str, str]:
        capfd.readouterr()
        code = main([str(word) for word in words])
        return code, *capfd.readouterr()

    return run


@pytest.fixture(scope="session")
def reel_of_all(footage: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A restoration with four collected pairs. Not to be altered."""
    folder = tmp_path_factory.mktemp("reels") / "reel.wetgate"
    restoration = create_restoration(folder, "color")
    for frame in range(1, 5):
        with restoration.add_pair(frame) as draft:
            shutil.copy(footage / "scan" / f"shot.{frame:04d}.exr", draft.scan)
            shutil.copy(footage / "reference" / f"shot.{frame:04d}.exr", draft.reference)
    restoration.add_source("scan", str(footage / "scan"))
    return folder


@pytest.fixture
def reel(reel_of_all: Path, tmp_path: Path) -> Path:
    """A copy of it, to do with as a test likes."""
    return Path(shutil.copytree(reel_of_all, tmp_path / "reel.wetgate"))


@pytest.fixture(scope="session")
def prepared_of_all(reel_of_all: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same, its pairs prepared. Not to be altered."""
    folder = Path(shutil.copytree(reel_of_all, tmp_path_factory.mktemp("prepared") / "reel.wetgate"))
    prepare(open_restoration(folder))
    return folder


@pytest.fixture
def prepared(prepared_of_all: Path, tmp_path: Path) -> Path:
    """A copy of it, for what begins where a training does."""
    return Path(shutil.copytree(prepared_of_all, tmp_path / "reel.wetgate"))


@pytest.fixture
def make_reel(tmp_path: Path) -> MakeReel:
    """A restoration with the given pairs (scan, reference)."""

    def make(*pairs, encoding: str = "display", name: str = "own.wetgate", depth: str = "float") -> Restoration:
        restoration = create_restoration(tmp_path / name, "color", encoding)
        for frame, pictures in enumerate(pairs, 1):
            with restoration.add_pair(frame) as draft:
                for path, pixels in zip((draft.scan, draft.reference), pictures, strict=True):
                    write_image(path, np.asarray(pixels, np.float32), bit_depth=depth)
        return open_restoration(restoration.folder)

    return make
