"""Nuke's stand-in, and scans for it to read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from nuke_standin import nuke_session  # noqa: F401
from standin_files import pixels_of, write_exr


@pytest.fixture
def save_frames(tmp_path: Path) -> Callable[..., str]:
    """Numbered EXR files of 32 bits in a folder; return their pattern."""

    def save(numbers, folder: str = "scan", size: tuple[int, int] = (64, 48)) -> str:
        (tmp_path / folder).mkdir(parents=True, exist_ok=True)
        for number in numbers:
            write_exr(tmp_path / folder / f"shot.{number:04d}.exr", pixels_of(number, size))
        return str(tmp_path / folder / "shot.####.exr")

    return save
