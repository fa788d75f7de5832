"""The gizmos' files: real Tcl reads them, damaged ones are refused, and Python speaks of no knob that they have not."""

from __future__ import annotations

import ast
import re

import pytest
from nuke_standin import ROOT, Session
from standin_tcl import Damaged, load

GIZMOS = sorted((ROOT / "gizmos").glob("*.gizmo"))
PAIRS = ROOT / "gizmos" / "WetgatePairs.gizmo"
PAIRS_KNOBS = [
    "folder",
    "recipe",
    "elements",
    "encoding",
    "view",
    "use_region",
    "region",
    "from_viewer",
    "add",
    "frames",
    "add_frames",
    "panel",
    "status",
    "wetgate_version",
]


@pytest.fixture(params=GIZMOS, ids=lambda path: path.stem)
def path(request):
    return request.param


@pytest.fixture
def session():
    with Session().installed() as session:
        session.plugin_paths.append(str(ROOT / "gizmos"))
        yield session


def lines_of(path):
    return [line for line in path.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]


def test_both_gizmos_are_there():
    assert [path.stem for path in GIZMOS] == ["WetgatePairs", "WetgateRestore"]


def test_real_tcl_reads_it_and_a_node_of_it_can_be_made(session, path):
    made = session.gizmo(path)
    assert made.Class() == path.stem and path.stem in session.kinds
    assert made._picture(1, "main", 1).size == session.size


def test_two_nodes_of_it_have_names_of_their_own(session, path):
    assert [session.gizmo(path).name() for _ in range(2)] == [f"{path.stem}1", f"{path.stem}2"]


def test_each_knob_that_an_artist_sees_says_what_it_does(session, path):
    silent = [
        name
        for name, knob in session.gizmo(path).knobs().items()
        if knob._flags.isdisjoint({"+INVISIBLE"})
        and not knob.tooltip()
        and type(knob).__name__ not in ("Tab_Knob", "Text_Knob")
        and name not in ("name", "label", "disable")
    ]
    assert silent == []


def test_its_knobs_have_a_version_which_artists_do_not_see(session, path):
    knob = session.gizmo(path).knobs()["wetgate_version"]
    assert type(knob).__name__ == "Int_Knob" and "+INVISIBLE" in knob._flags


def test_the_knobs_of_pairs_stay_what_old_scripts_set(session):
    ours = [name for name in session.gizmo(PAIRS).knobs() if name not in ("name", "label", "disable", "Wetgate")]
    assert [name for name in ours if name not in ("what", "adding")] == PAIRS_KNOBS


def test_a_cut_anywhere_is_refused(path, tmp_path, session):
    """Behind every third line."""
    lines = path.read_text(encoding="utf-8").splitlines()
    cut = tmp_path / path.name
    first = next(index for index, line in enumerate(lines) if line.startswith("Gizmo"))
    for last in range(first, len(lines) - 1, 3):
        cut.write_text("\n".join(lines[: last + 1]), encoding="utf-8")
        with pytest.raises(Damaged):
            load(cut)


@pytest.mark.parametrize(
    "damage",
    [
        ("Gizmo {", "Gizmo"),
        ("Gizmo {", "gizmo {"),
        ("end_group", ""),
        ("end_group", "end_group\nend_group"),
        ("addUserKnob {2 ", "addUserKnob {99 "),
        ("addUserKnob {2 ", "addUserKnobs {2 "),
        ("addUserKnob {2 ", "addUserKnob 2 "),
        (" wetgate_version", " wetgate_versio"),
        (" Output {", " Outputs {"),
        (" name Output1", " name"),
        (" number 1", " number 7"),
        (' t "', ' t "" "'),
        ("Gizmo {", "exec ls\nGizmo {"),
        ("Gizmo {", "proc x {} {}\nGizmo {"),
    ],
    ids=lambda damage: f"{damage[0]}->{damage[1]}".replace("\n", " ").strip(),
)
def test_damage_is_refused(path, tmp_path, session, damage):
    text = path.read_text(encoding="utf-8")
    if damage[0] not in text:
        pytest.skip(f"it has no {damage[0]}")
    if damage[0] == " wetgate_version" and "\n wetgate_version" not in text:
        pytest.skip("it sets no version")
    where = text.rindex(damage[0]) if damage[0].strip() in ("end_group", "wetgate_version") else text.index(damage[0])
    damaged = tmp_path / path.name
    damaged.write_text(text[:where] + damage[1] + text[where + len(damage[0]) :], encoding="utf-8")
    session.plugin_paths.clear()
    with pytest.raises((RuntimeError, ValueError)):
        session.gizmo(damaged)


def test_knobs_that_collecting_speaks_of_are_the_gizmos(session):
    """Each text that is given to host.knob, host.set_knob and host.set_quietly is a knob's name."""
    knobs = session.gizmo(PAIRS).knobs()
    tree = ast.parse((ROOT / "nuke_plugin" / "collecting.py").read_text(encoding="utf-8"))
    named = set()
    for call in ast.walk(tree):
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute):
            if call.func.attr in ("knob", "set_knob", "path"):
                named |= {word.value for word in call.args[1:2] if isinstance(word, ast.Constant)}
            if call.func.attr == "set_quietly":
                named |= {keyword.arg for keyword in call.keywords}
    assert named == {"folder", "frames", "view", "recipe", "elements", "encoding", "use_region", "region", "status"}
    assert named <= knobs.keys()


def test_buttons_press_what_collecting_knows(session):
    source = (ROOT / "nuke_plugin" / "collecting.py").read_text(encoding="utf-8")
    for name, knob in session.gizmo(PAIRS).knobs().items():
        if type(knob).__name__ == "PyScript_Knob":
            pressed = re.fullmatch(r"from nuke_plugin import collecting\ncollecting\.press\('(\w+)'\)", knob.value())
            assert pressed and (f'"{pressed.group(1)}"' in source or pressed.group(1) == "panel"), name


def test_recipes_and_encodings_are_those_of_restorations(session):
    from wetgate.project import ENCODINGS, RECIPES

    knobs = session.gizmo(PAIRS).knobs()
    assert set(knobs["encoding"].values()) == set(ENCODINGS) and set(knobs["recipe"].values()) <= set(RECIPES)
    assert (knobs["encoding"].value(), knobs["recipe"].value()) == ("linear", "color")


def test_gizmos_name_no_folder_of_a_machine(path):
    assert not [line for line in lines_of(path) if re.search(r'[ "](/|[A-Za-z]:[/\\])\w', line)]
