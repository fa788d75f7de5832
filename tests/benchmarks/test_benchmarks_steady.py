"""Does the benchmark of `steady` measure what it says? On few frames; how steady they get is not asked here."""

from __future__ import annotations

import json

import numpy as np
import pytest

from benchmarks import steady
from wetgate.pairing.weave import Movement, Shot


def test_a_scene_comes_out_as_a_row_of_the_table(tmp_path, capsys):
    assert steady.main(["--frames", "6", "--scenes", "still", "--json", str(tmp_path / "rows.json")]) == 0
    (row,) = json.loads((tmp_path / "rows.json").read_text())
    assert set(row) == set(steady.COLUMNS)
    assert row["frames"] == 6 and row["weave_before"] > 0.3 and 0.5 < row["hf_gain"] < 1.1
    assert "| still | 6 | 1 |" in capsys.readouterr().out


def test_what_is_left_is_counted_against_the_true_weave():
    true = np.array([[1.0, 0.0, 0.0], [-1.0, 0.0, 0.0]] * 4)
    still = np.zeros((8, 3))
    frames = list(range(1, 9))

    def found(path):
        movement = Movement((30, 40), [Shot(frames, path, still, still)])
        return steady._movement(movement, true, still[:, :2], known=True)

    nothing, everything, half = (found(share * true) for share in (0.0, 1.0, 0.5))
    assert nothing["weave_after"] == nothing["weave_before"] == pytest.approx(1.0)
    assert everything["weave_after"] == everything["jitter_after"] == pytest.approx(0.0)
    assert half["weave_after"] == half["path_off"] == pytest.approx(0.5)
    assert nothing["jitter_before"] == nothing["jitter_after"] == pytest.approx(4.0)
