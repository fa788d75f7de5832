"""The panel has words for every stage of every recipe."""

from __future__ import annotations

import ast
from pathlib import Path

import wetgate.recipes
from nuke_plugin import words

PUBLISHING = {"publish", "_publish", "_first"}


def stages_of(path: Path) -> set[str]:
    """Texts that a recipe hands to what publishes its models."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in PUBLISHING:
            found |= {one.value for one in node.args if isinstance(one, ast.Constant) and isinstance(one.value, str)}
    return found


def test_no_stage_is_without_words():
    recipes = Path(wetgate.recipes.__file__).parent
    stages = set().union(*map(stages_of, recipes.glob("*.py")))
    assert {"before training", "detail", "kernels"} <= stages
    assert stages <= set(words.STAGES)
