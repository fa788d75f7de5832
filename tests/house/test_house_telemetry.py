"""Nothing that Wetgate uses tells anybody that it runs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import onnxruntime
import pytest

ROOT = Path(__file__).parents[2]


def written_by(code, home):
    """The files that ``code`` leaves in a new home."""
    environment = {name: value for name, value in os.environ.items() if name != "ORT_DISABLE_TELEMETRY"}
    environment |= {"HOME": str(home), "XDG_CACHE_HOME": str(home / ".cache")}
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment, check=True, timeout=120)
    return [path.name for path in home.rglob("*") if path.is_file()]


def test_onnxruntime_keeps_no_record_of_what_it_does(tmp_path):
    assert written_by("import wetgate.inference.session", tmp_path) == []


@pytest.mark.skipif(
    sys.platform != "linux" or not onnxruntime.__version__.startswith("1.31."), reason="measured with 1.31 on Linux"
)
def test_by_itself_it_would(tmp_path):
    """Or else the test above shows nothing. It writes in the background, so it is given time."""
    code = "import onnxruntime, pathlib, time\n"
    code += "until = time.monotonic() + 20\n"
    code += "while time.monotonic() < until and not list(pathlib.Path.home().rglob('onnxruntime.db')): time.sleep(0.05)"
    if "onnxruntime.db" not in written_by(code, tmp_path):
        pytest.skip("onnxruntime has kept no record of its own accord, so the test above shows nothing here")
