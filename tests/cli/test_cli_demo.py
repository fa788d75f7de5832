"""`wetgate demo`, killed and called again."""

from __future__ import annotations

import pytest

from wetgate.cli import demo
from wetgate.cli.main import invoke, main
from wetgate.project import create_restoration


@pytest.mark.parametrize("killed_before", ["new", "add"])
def test_a_demo_that_was_killed_collects_its_pairs(tmp_path, monkeypatch, killed_before):
    reel = tmp_path / "bikes.wetgate"
    if killed_before == "new":
        reel.mkdir()
    else:
        create_restoration(reel, "color")
    calls = []

    def follow(words):
        calls.append(words[0])
        if words[0] == "new":
            return invoke(words)
        return {"report": "r", "model": "m", "tables": []}

    monkeypatch.setattr(demo, "invoke", follow)
    monkeypatch.setattr(demo, "_is_there", lambda *_: True)
    monkeypatch.setattr(demo, "describe", lambda result: "")
    assert main(["demo", "--folder", str(tmp_path)]) == 0
    assert calls == [*(["new"] if killed_before == "new" else []), "add", "train", "apply", "evaluate"]
