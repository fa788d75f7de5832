"""Each name of Nuke's that the plug-in uses, and each that the stand-in has, is known in Nuke 14, 15, 16 and 17.

What is known where is in nuke_names.tsv. A name that is known before and after a version is known in it. Methods are
checked through the stand-in: it has no other names, each of its classes is a class of Nuke's, and what the plug-in does
with them runs in the tests; mypy checks the same against `types-nuke`.
"""

from __future__ import annotations

import ast
import importlib.util
import sys
import types
from pathlib import Path

import pytest
import standin_tcl
from nuke_standin import ROOT, Session

VERSIONS = (14, 15, 16, 17)
ON_TRUST = {
    "nuke.GUI": "a constant: tables after 15.0 list none at all",
    "nuke.NUKE_VERSION_MAJOR": "a constant: tables after 15.0 list none at all; plug-ins ask for it in 16",
    "nuke.NUKE_VERSION_MINOR": "a constant: tables after 15.0 list none at all",
    "nukescripts.panels": "a module: tables list what is in it",
    "nukescripts.panels.PythonPanel": "of Nuke's own scripts, in Python: tables after 15.0 list their functions only",
    "nukescripts.panels.PythonPanel.addToPane": "the same",
}
PLUGIN = sorted((ROOT / "nuke_plugin").rglob("*.py"))
GIZMOS = sorted((ROOT / "gizmos").glob("*.gizmo"))
STARTS = [path for path in (ROOT / "init.py", ROOT / "menu.py") if path.exists()]


def table() -> dict[str, set[float]]:
    known: dict[str, set[float]] = {}
    for line in Path(__file__).with_name("nuke_names.tsv").read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            name, versions, _ = line.split("\t")
            known.setdefault(name, set()).update(float(version) for version in versions.split())
    return known


KNOWN = table()


def known_in(name: str) -> list[int]:
    """The major versions that have a name."""
    seen = KNOWN.get(name, set())
    return [
        version
        for version in VERSIONS
        if any(int(each) == version for each in seen)
        or (any(each < version for each in seen) and any(each > version for each in seen))
    ]


def used_names(source: str) -> set[str]:
    """Every `nuke.a.b` of a source, whatever name it was imported by; a call's result is followed no further."""
    tree = ast.parse(source)
    aliases: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.partition(".")[0] in ("nuke", "nukescripts"):
                    aliases[alias.asname or alias.name.partition(".")[0]] = (
                        alias.name if alias.asname else "" or (alias.name.partition(".")[0])
                    )
        elif isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] in ("nuke", "nukescripts"):
            for alias in node.names:
                aliases[alias.asname or alias.name] = f"{node.module}.{alias.name}"
    found = set(aliases.values()) - {"nuke", "nukescripts"}
    for node in ast.walk(tree):
        parts: list[str] = []
        while isinstance(node, ast.Attribute):
            parts.insert(0, node.attr)
            node = node.value
        if isinstance(node, ast.Name) and node.id in aliases and parts:
            found.add(".".join([aliases[node.id], *parts]))
    return found


def classes_of_nodes(name: str) -> bool:
    """`nuke.nodes.Crop` is a class of nodes, not a name of Python's."""
    return name.startswith("nuke.nodes.")


def test_the_audit_sees_names_through_aliases_and_calls():
    source = "import nuke as n\nfrom nukescripts import panels as p\nn.a(n.b.c().d)\np.e()\nnuke.f"
    assert used_names(source) == {"nuke.a", "nuke.b", "nuke.b.c", "nukescripts.panels", "nukescripts.panels.e"}
    assert known_in("nuke.no_such_name") == []


@pytest.mark.parametrize("path", [*PLUGIN, *STARTS], ids=lambda path: path.name)
def test_host_alone_imports_nuke(path):
    used = used_names(path.read_text(encoding="utf-8"))
    assert not used or path == ROOT / "nuke_plugin" / "host.py"


def test_each_name_that_the_plug_in_uses_is_known_in_every_version():
    names = used_names((ROOT / "nuke_plugin" / "host.py").read_text(encoding="utf-8"))
    assert {"nuke.execute", "nuke.Undo.disable", "nuke.nodes.Write"} <= names
    names = {"nuke.nodes" if classes_of_nodes(name) else name for name in names}
    unknown = {name: known_in(name) for name in names - ON_TRUST.keys() if known_in(name) != list(VERSIONS)}
    assert unknown == {}


@pytest.mark.parametrize("path", GIZMOS, ids=lambda path: path.stem)
def test_buttons_of_gizmos_use_the_plug_in_only(path):
    """So that a node in an old script does what the plug-in of today does."""
    buttons = [words for node in everything(standin_tcl.load(path)) for words in node.user if words[0] == "22"]
    assert buttons
    for words in buttons:
        code = words[words.index("T") + 1] if "T" in words else ""
        assert used_names(code) == set()
        for node in ast.walk(ast.parse(code)):
            if isinstance(node, ast.ImportFrom):
                assert node.module == "nuke_plugin"
                for alias in node.names:
                    assert importlib.util.find_spec(f"nuke_plugin.{alias.name}") is not None


def everything(nodes: list[standin_tcl.NodeText]) -> list[standin_tcl.NodeText]:
    return [found for node in nodes for found in [node, *everything(node.inside)]]


def face_of_the_stand_in() -> dict[str, type | None]:
    """Each public name of the stand-in: `nuke.Node.width` with its class, `nuke.frame` with None."""
    found: dict[str, type | None] = {}

    def look(name: str, thing: object) -> None:
        found[name] = None
        if isinstance(thing, types.ModuleType):
            for inner, value in vars(thing).items():
                if not inner.startswith("_"):
                    look(f"{name}.{inner}", value)
        elif isinstance(thing, type):
            for inner in vars(thing):
                if not inner.startswith("_"):
                    found[f"{name}.{inner}"] = thing

    with Session().installed():
        look("nuke", sys.modules["nuke"])
        look("nukescripts", sys.modules["nukescripts"])
    return {name: owner for name, owner in found.items() if "." in name}


def test_the_stand_in_has_no_name_that_nuke_has_not():
    face = face_of_the_stand_in()
    assert len(face) > 150
    unknown = {}
    for name, owner in face.items():
        seen = set(known_in(name))
        if owner is not None:  # some tables list a method with the class that has it, some with those that inherit it
            method = name.rpartition(".")[2]
            seen = seen.union(*(known_in(f"nuke.{kind.__name__}.{method}") for kind in relatives_of(owner)))
        if seen != set(VERSIONS) and name not in ON_TRUST:
            unknown[name] = sorted(seen)
    assert unknown == {}


def relatives_of(kind: type) -> list[type]:
    """The classes that a class inherits from, and those that inherit from it."""

    def heirs(kind: type) -> list[type]:
        return [found for heir in kind.__subclasses__() for found in [heir, *heirs(heir)]]

    return [*kind.__mro__[1:], *heirs(kind)]


def test_nothing_is_taken_on_trust_that_the_table_knows():
    assert [name for name in ON_TRUST if known_in(name) == list(VERSIONS)] == []


def test_the_table_holds_nothing_that_nobody_uses():
    used = used_names((ROOT / "nuke_plugin" / "host.py").read_text(encoding="utf-8"))
    methods = {name.rpartition(".")[2] for name in face_of_the_stand_in()}
    assert {name for name in KNOWN if name not in used and name.rpartition(".")[2] not in methods} == set()


@pytest.mark.skipif(
    importlib.util.find_spec("nuke-stubs") is None
    and not any((Path(folder) / "nuke-stubs").is_dir() for folder in sys.path),
    reason="types-nuke is not installed",
)
def test_types_nuke_knows_each_name_too():
    folder = next(Path(folder) / "nuke-stubs" for folder in sys.path if (Path(folder) / "nuke-stubs").is_dir())
    names: set[str] = set()
    for path in folder.glob("*.pyi"):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            targets = [node.target] if isinstance(node, ast.AnnAssign) else getattr(node, "targets", [])
            names |= {target.id for target in targets if isinstance(target, ast.Name)}
            names.add(getattr(node, "name", ""))
            names |= {
                f"{node.name}.{inner.name}"
                for inner in getattr(node, "body", [])
                if isinstance(node, ast.ClassDef) and isinstance(inner, ast.FunctionDef)
            }
    used = used_names((ROOT / "nuke_plugin" / "host.py").read_text(encoding="utf-8"))
    assert {name for name in used if name.startswith("nuke.") and not classes_of_nodes(name)} <= {
        f"nuke.{name}" for name in names
    }
