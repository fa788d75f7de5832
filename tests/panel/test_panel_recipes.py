"""The panel speaks of the recipe that a restoration is for, and offers what means something to it."""

from __future__ import annotations

import pytest
from panel_stage import add_pair, add_run, new_restoration

from nuke_plugin import session as sessions
from nuke_plugin import words
from nuke_plugin.comparing import compare
from nuke_plugin.engine import Options
from nuke_plugin.panel import first_steps
from nuke_plugin.standing import Reader, RunStanding
from wetgate.errors import WetgateError
from wetgate.project import RECIPES, create_restoration

EVERY = ("color", "detail", "telecine", "damage", "steady")


@pytest.fixture
def every_recipe(monkeypatch):
    monkeypatch.setattr(sessions, "TRAINABLE", EVERY)
    monkeypatch.setattr(first_steps, "TRAINABLE", EVERY)


@pytest.fixture
def open_recipe(every_recipe, make_panel, tmp_path, until, desk):
    """A panel on a restoration of a recipe, and the restoration."""

    def make(recipe: str, *, pairs: int = 0, footage: str = ""):
        restoration = create_restoration(tmp_path / f"{recipe}.wetgate", recipe)
        for index in range(pairs):
            add_pair(restoration, 1001 + index)
        if footage:
            restoration.add_footage(footage, "1001-1100")
        panel = make_panel(restoration.folder, desk=desk)
        until(lambda: panel.session.has_engine and panel.session.standing.recipe)
        panel.refresh()
        return panel, restoration

    return make


@pytest.mark.parametrize("recipe", RECIPES)
def test_every_recipe_has_its_words(recipe):
    assert words.RECIPES[recipe] and words.BEGIN[recipe].endswith(".")
    assert words.kept({"recipe": recipe, "protect": "grain", "grain": "match"})


def test_a_new_restoration_can_be_for_whatever_can_be_trained(every_recipe, make_panel, tmp_path, until):
    panel = make_panel()
    page = panel.open_page
    assert [page.recipe.itemData(row) for row in range(page.recipe.count())] == list(EVERY)
    page.folder.setText(str(tmp_path / "new.wetgate"))
    page.recipe.setCurrentIndex(page.recipe.findData("detail"))
    page.make.click()
    until(lambda: panel.session.standing.recipe == "detail")


@pytest.mark.parametrize(
    ("recipe", "shown"),
    [
        ("color", {"protect", "hold_out"}),
        ("detail", {"grain", "hold_out"}),
        ("telecine", {"hold_out"}),
        ("damage", set()),
        ("steady", set()),
    ],
)
def test_only_options_that_mean_something_are_shown(open_recipe, recipe, shown):
    panel, _ = open_recipe(recipe)
    assert {name for name in ("protect", "grain", "hold_out") if getattr(panel.bar, name).isVisible()} == shown


def test_what_becomes_of_the_grain_is_kept_and_handed_to_the_engine(open_recipe, until):
    panel, restoration = open_recipe("detail", pairs=1)
    panel.bar.grain.setCurrentIndex(panel.bar.grain.findData("match"))
    assert panel.session.options.grain == "match"
    until(lambda: Reader(restoration.folder).read().settings.get("training", {}).get("grain") == "match")
    words_of_train = panel.session.options.words()
    assert words_of_train[words_of_train.index("--grain") + 1] == "match"
    assert "--grain" not in Options().words()
    with pytest.raises(WetgateError, match="Grain cannot be more"):
        Options(grain="more").words()


def test_a_scan_alone_is_enough_where_the_recipe_needs_no_reference(open_recipe, until):
    panel, restoration = open_recipe("damage")
    assert panel.list.add.text() == "Add scan from Viewer"
    assert "press Add scan" in panel.bar.train.toolTip() and not panel.bar.train.isEnabled()
    restoration.add_footage("/reels/scan/reel3.####.dpx", "1001-1100")
    panel.session.look()
    until(lambda: panel.session.standing.footage)
    panel.refresh()
    assert panel.list.counts.text() == "1 scan without reference"
    panel.suggestions.scan.setText("/reels/scan/reel3.####.dpx")
    assert not panel.suggestions.ask.isEnabled()
    assert "nothing to pair" in panel.suggestions.hint.text()
    assert panel.bar.train.isEnabled()


def test_a_recipe_that_learns_from_pairs_is_not_content_with_a_scan(open_recipe):
    panel, _ = open_recipe("detail")
    assert panel.list.add.text() == "Add pair from Viewer"
    assert panel.bar.train.toolTip() == words.BEGIN["detail"]


def test_a_recipe_that_cannot_be_trained_says_so(make_panel, tmp_path, until, monkeypatch):
    monkeypatch.setattr(sessions, "TRAINABLE", ("color",))
    restoration = create_restoration(tmp_path / "reel.wetgate", "telecine")
    add_pair(restoration, 1001)
    panel = make_panel(restoration.folder)
    until(lambda: panel.session.has_engine and panel.session.standing.recipe)
    panel.refresh()
    assert panel.bar.train.toolTip() == "The recipe Video reference cannot be trained yet."


def run_of(recipe: str, **measures) -> RunStanding:
    settings = {"recipe": recipe, "protect": "luma", "grain": "none"}
    return RunStanding(1, None, "finished", settings=settings, measures=measures)


def test_what_a_run_kept_and_reached_is_said_in_the_words_of_its_recipe(application, tmp_path):
    scan, restored = {"delta_e": 4.0, "psnr": 30.71}, {"delta_e": 3.0, "psnr": 33.25}
    assert "went from 4.0 to 3.0" in words.verdict(run_of("color", scan=scan, restored=restored))
    assert words.verdict(run_of("detail", scan=scan, restored=restored)).endswith(
        "from 30.7 to 33.2 dB of the reference."
    )
    assert words.verdict(run_of("damage")) == ""
    assert [words.kept(run_of(recipe).settings) for recipe in EVERY] == [
        "Brightness",
        "Grain taken out",
        "Nothing",
        "All but damage",
        "All but flicker and weave",
    ]
    (line,) = [line for line in compare(run_of("detail"), run_of("damage")) if line.name == "Protects"]
    assert line.values == ("Grain taken out", "All but damage")
    restoration = new_restoration(tmp_path / "reel.wetgate", 1)
    add_run(restoration)
    (run,) = Reader(restoration.folder).read().runs
    assert words.kept(run.settings) == "Grain and detail"
