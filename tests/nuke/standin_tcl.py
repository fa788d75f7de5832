"""Nuke's files (.nk, .gizmo) read by a real Tcl interpreter, in which only Nuke's own commands exist."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pytest

TCLSH = shutil.which("tclsh") or shutil.which("tclsh8.6")
PROGRAM = Path(__file__).with_name("standin.tcl")
GROUPS = ("Group", "Gizmo", "LiveGroup")


class Damaged(RuntimeError):
    """The file is none that Nuke would read."""


@dataclass
class NodeText:
    """One node of a file.

    Attributes:
        above: the ids of its inputs, first one first; "0" for none.
        knobs: name and value of each, in the file's order; values of user knobs too.
        user: of each user knob the words of its definition: id, name, and its options.
        inside: the nodes of a group.
    """

    id: str
    kind: str
    above: list[str]
    knobs: list[tuple[str, str]]
    user: list[list[str]]
    inside: list[NodeText]


def load(path: str | Path, classes: Iterable[str] = ()) -> list[NodeText]:
    """The nodes of a file, as many as there are outside groups.

    Args:
        path: the file.
        classes: those that Nuke knows; any where none is given.

    Raises:
        Damaged: it is not whole, or holds what is no Nuke.
    """
    if TCLSH is None:
        pytest.skip("NO TCLSH ON THIS MACHINE: what needs a gizmo is not tested")
    text = Path(path).read_bytes()
    done = subprocess.run([TCLSH, PROGRAM, *classes], input=text, capture_output=True, check=False, timeout=60)
    if done.returncode:
        raise Damaged(f"{path}: {done.stderr.decode().strip()}")
    top: list[NodeText] = []
    open_groups, latest = [top], None
    for line in done.stdout.decode().splitlines():
        step, *words = (bytes.fromhex(word[1:]).decode() for word in line.split())
        if step == "node":
            latest = NodeText(words[0], words[1], words[2].split(), [], [], [])
            open_groups[-1].append(latest)
            if latest.kind in GROUPS:
                open_groups.append(latest.inside)
        elif step == "end":
            open_groups.pop()
        elif step == "user":
            latest.user.append(words)
        else:
            latest.knobs.append((words[0], words[1]))
    return top
