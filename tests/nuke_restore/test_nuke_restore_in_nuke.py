"""tests/in_nuke.py, the script for the real Nuke, runs in the stand-in, so that it does not rot."""

from __future__ import annotations

import ast
import runpy
import sys
from pathlib import Path

import inference_node
import numpy as np
import pytest
from nuke_standin import Session
from standin_pictures import Picture

SCRIPT = Path(__file__).resolve().parents[1] / "in_nuke.py"


@pytest.fixture
def in_nuke(places, monkeypatch, capsys):
    """Run the script as `nuke -t` does; the exit code, and the table's states by step."""

    def run(*words: str, ofx=None) -> tuple[int, dict[str, tuple[str, str]]]:
        monkeypatch.setattr(sys, "argv", [str(SCRIPT), *words])
        with Session(gui=False).installed() as session:
            session.add_node_class("CheckerBoard2", inputs=0, render=board)
            if ofx is not None:
                inference_node.teach(session, ofx)
            with pytest.raises(SystemExit) as end:
                runpy.run_path(str(SCRIPT), run_name="__main__")
            assert session.names() == []
        lines = [line.split("  ") for line in capsys.readouterr().out.splitlines() if line.startswith("  ")]
        cells = [[cell.strip() for cell in line if cell.strip()] for line in lines]
        return int(end.value.code), {name: (state, " ".join(rest)) for state, name, *rest in cells}

    return run


def board(node, frame, view, scale):
    width, height = (edge // scale for edge in node._session.size)
    squares = (np.add.outer(np.arange(height) // 8, np.arange(width) // 8) % 2).astype(np.float32)
    return Picture((width, height), (0, 0, width, height), np.repeat(squares[..., None], 4, axis=2))


def test_every_step_works_in_the_stand_in(in_nuke, save_model, ofx):
    code, said = in_nuke(str(save_model()), ofx=ofx)
    assert {state for state, _ in said.values()} == {"ok"}, said
    assert code == 0 and len(said) == 13
    assert said["frames are restored by files"][1] == "2 frames, on cpu"


def test_what_cannot_be_tried_is_skipped_and_said(in_nuke, monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    monkeypatch.delenv("WETGATE_COMMAND")
    code, said = in_nuke()
    skipped = {name for name, (state, _) in said.items() if state == "skipped"}
    assert code == 0
    assert skipped == {
        "the engine is found",
        "the inference node is there",
        "frames are restored by files",
        "frames are restored by the node",
    }


def test_a_step_that_fails_is_said_and_the_others_go_on(in_nuke, tmp_path, ofx):
    code, said = in_nuke(str(tmp_path / "gone.onnx"), ofx=ofx)
    assert code == 1
    assert said["frames are restored by files"][0] == said["frames are restored by the node"][0] == "FAILED"
    assert "gone.onnx does not exist" in said["frames are restored by files"][1]
    assert said["a pair is added"][0] == "ok"


def test_the_script_is_python_39():
    ast.parse(SCRIPT.read_text(encoding="utf-8"), feature_version=(3, 9))
