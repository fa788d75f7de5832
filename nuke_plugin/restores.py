"""Which restore nodes a picture comes through: those of a restoration, and those that cannot restore on this machine.

Where the inference node is not installed, the gizmo's Switch passes the scan as it is.
"""

from __future__ import annotations

import os

from nuke_plugin import host
from nuke_plugin.following import restoration_of
from wetgate.errors import WetgateError


def restores_of(node: str, restoration: str) -> list[str]:
    """The restore nodes at and above a node that have models of a restoration, the nearest first."""
    wanted = os.path.realpath(restoration)
    return [name for name in _at_and_above(node) if wanted in _restorations(name)]


def is_on(node: str) -> bool:
    return not host.knob(node, "disable")


def unrestored(node: str) -> list[str]:
    """The restore nodes at and above a node that should restore and cannot, the nearest first."""
    return [name for name in _at_and_above(node) if _passes(name)]


def refuse(write: str) -> None:
    """Nuke is about to render a Write: rather no frames than unrestored ones that nobody notices.

    Raises:
        WetgateError: a node above it cannot restore.
    """
    found = unrestored(write)
    if found:
        raise WetgateError(
            f"{write} would render unrestored frames, for {found[0]} has no inference node on this machine: run "
            f"`wetgate node install` here, or disable {found[0]}."
        )


def _at_and_above(node: str) -> list[str]:
    itself = [node] if host.class_of(node) == "WetgateRestore" else []
    return [*itself, *host.above(node, "WetgateRestore")]


def _restorations(node: str) -> set[str]:
    """The folders of the restoration that a node names and of the one that its model lies in."""
    named = {host.path(node, "restoration"), restoration_of(host.path(node, "model"))}
    return {os.path.realpath(folder) for folder in named if folder}


def _passes(node: str) -> bool:
    """Whether a node is switched on, has a model, and only the Switch inside to restore with."""
    inner = f"{node}.Restore"
    stands_in = host.has_node(inner) and host.class_of(inner) == "Switch"
    return stands_in and is_on(node) and bool(host.path(node, "model"))
