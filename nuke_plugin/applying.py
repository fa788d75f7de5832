"""The WetgateRestore node at work: what happens when one is made, when a knob is touched, when a button is pressed.

Its pixels need nothing of this: the gizmo's knobs are links to the inference node inside it. Here are the card's words,
the following of a training, what is rendered and measured in the background, and the way of old nodes into new
versions.
"""

from __future__ import annotations

import itertools
import os
import re
import threading
from collections.abc import Callable
from typing import Optional, Union

from nuke_plugin import host
from nuke_plugin.background import Job, Order
from nuke_plugin.following import Follower, Model, restoration_of
from nuke_plugin.measuring import Measurement, curves_file, scan_of
from nuke_plugin.restores import unrestored
from nuke_plugin.words import RECIPES
from wetgate.errors import WetgateError
from wetgate.service.client import connect
from wetgate.service.protocol import WANTS_CURVES
from wetgate.service.protocol import Model as Card

PROTECTS = {
    "grain": "the scan's grain and detail",
    "luma": "the scan's brightness, pixel by pixel",
    "chroma": "the scan's colour",
    "none": "nothing: grain and detail may change, too",
}
CODED = {
    "display": "display-coded pictures (0-1, as on a monitor): give it a Read with raw data on",
    "linear": "scene-linear pictures, as Nuke works",
    "log": "Cineon log pictures: give it a Read with raw data on",
}
MEASURE = "It was trained on a steadied scan: press Measure flicker, or the colours follow the flicker."
STEADIED = "The flicker that it was trained without is taken out by {node}, which comes before."
TWICE = "Flicker is taken out twice, here and by {node}, which comes before: empty the exposure curves here."
NO_MODEL = ("no model is chosen", " ")

SIDECAR = "steady.json"
"""Beside a model of the recipe `steady`: what it does to each frame."""

Work = Union[Job, Measurement]
_Asked = tuple[str, str, tuple[tuple[str, str, str], ...]]


# What Nuke calls


def created(node: str) -> None:
    """A node was made, pasted or loaded; in renders, too. Its card waits until somebody opens the node's panel."""
    upgrade(node)
    if host.has_gui():
        if not _jobs_of(node) and str(host.knob(node, "job")).strip():
            host.set_quietly(node, job=" ")  # of a rendering long ago, or of the node that this is a copy of
        _follow(node)


def changed(node: str, knob: str) -> None:
    """The artist touched a knob, opened the node's panel or gave it another name.

    Nuke tells only of nodes whose panel is open, so what has changed before is looked at when it opens.
    """
    if knob in ("model", "curves", "showPanel"):
        _read_card(node)
    if knob in ("follow", "restoration", "name", "model", "showPanel"):
        _follow(node)


def changed_inside(node: str, knob: str) -> None:
    """A knob of an inference node changed, perhaps by the link to it on one of our nodes."""
    group = node.rpartition(".")[0]
    if knob in ("model", "curves") and group and host.class_of(group) == "WetgateRestore":
        changed(group, knob)


def press(button: str) -> None:
    """The artist pressed a button of the node."""
    node = host.this_node()
    try:
        {"render": render, "measure": measure, "cancel": cancel}[button](node)
    except Exception as error:  # an artist's click must not end in a traceback
        host.tell_error(error)


# Knobs of old versions


def _forward_slashes(node: str) -> None:
    """Scripts that set the knobs by themselves may have written paths as Windows does; to Nuke that is no path."""
    for name in ("model", "curves", "restoration", "output"):
        value = str(host.knob(node, name) or "")
        mended = re.sub(r"\\(?![\[$])", "/", value)  # a backslash before these keeps Tcl away from them
        if mended != value:
            host.set_quietly(node, **{name: mended})


UPGRADES: tuple[Callable[[str], None], ...] = (_forward_slashes,)
"""From version 0, 1, ... to the next. Version 0 is a node that no :func:`created` has seen: made by a script or by a
Nuke without this plug-in. Knobs of the gizmo are never renamed or removed, since Nuke does not read on after a knob
that it does not know; a knob that is given up stays, hidden, and a step here takes over its value."""


def upgrade(node: str) -> None:
    """Bring a node's knobs to this version."""
    made_with = int(str(host.knob(node, "wetgate_version") or 0))
    if made_with > len(UPGRADES):
        print(f"Wetgate: {node} was made with a newer Wetgate: install that one, or look at its settings.")  # noqa: T201
        return
    for step in UPGRADES[made_with:]:
        step(node)
    if made_with < len(UPGRADES):
        host.set_quietly(node, wetgate_version=len(UPGRADES))


# The model's card


def card_words(card: Card, curves: str = "", steadied_by: str = "") -> tuple[str, str]:
    """What a model protects, and what else its card says.

    Args:
        card: of the model.
        curves: the node's exposure curves, or "".
        steadied_by: the node before it that takes flicker out, or "".
    """
    limits = card.limits.splitlines()
    if WANTS_CURVES in limits:
        limits.remove(WANTS_CURVES)
        limits += [] if curves else [STEADIED.format(node=steadied_by) if steadied_by else MEASURE]
    if curves and steadied_by:
        limits.append(TWICE.format(node=steadied_by))
    if not card.recipe:
        return "not known", f"A model that something else has made. {' '.join(limits)}"
    sentences = [f"{RECIPES.get(card.recipe, card.recipe)}. It takes {CODED.get(card.encoding, card.encoding)}."]
    if card.radius:
        sentences.append(f"It looks at {card.radius} frames on each side.")
    return PROTECTS.get(card.protected, card.protected), " ".join([*sentences, *limits])


def _read_card(node: str) -> None:
    """Show what the model's card says, as soon as the server has read it."""
    model, curves, before = asked = _card_of(node)
    if not model:
        _show_card(node, asked, NO_MODEL)
        return

    def read() -> None:
        try:
            with connect() as client:
                card = client.describe(model)
            steadies = (name for name, its_model, its_curves in before if its_curves or _has_sidecar(its_model))
            said = card_words(card, curves, next(steadies, ""))
        except WetgateError as error:
            said = ("not known", str(error))
        host.in_main_thread(_show_card, node, asked, said)

    threading.Thread(target=read, name="wetgate-card", daemon=True).start()


def _has_sidecar(model: str) -> bool:
    """Whether it is a model of the recipe `steady`, which has its curves beside it."""
    return bool(model) and os.path.isfile(os.path.join(os.path.dirname(model), SIDECAR))


def _card_of(node: str) -> _Asked:
    """What a node's card depends on: its model and curves, and names, models and curves of the nodes before it."""
    before = host.above(node, "WetgateRestore")
    return (
        host.path(node, "model"),
        host.path(node, "curves"),
        tuple((name, host.path(name, "model"), host.path(name, "curves")) for name in before),
    )


def _show_card(node: str, asked: _Asked, said: tuple[str, str]) -> None:
    if host.has_node(node) and _card_of(node) == asked:
        host.set_quietly(node, protects=said[0], card=said[1])


# Following a training


def _followed_by(node: str) -> str:
    """The restoration that a node follows; "" where it follows none."""
    if not host.has_node(node) or not host.knob(node, "follow"):
        return ""
    return host.path(node, "restoration") or restoration_of(host.path(node, "model"))


def _follow(node: str) -> None:
    restoration = _followed_by(node)
    if restoration:
        _follower.follow(node, restoration)
    else:
        _follower.leave(node)


def _arrived(node: str, restoration: str, model: Model) -> None:
    """Have a newer model rendered, if the node still wants it: it may be gone, or follow another one by now."""
    if _followed_by(node) != restoration:
        _follow(node)
        return
    if host.path(node, "model") != model.path.replace("\\", "/"):
        host.set_quietly(node, model=host.as_text(model.path))
        _read_card(node)
    _render_anew(node)


def _render_anew(node: str) -> None:
    """The server compares files' states; a number that was never used before makes Nuke ask it again."""
    host.set_quietly(node, revision=int(str(host.knob(node, "revision") or 0)) + 1)


_follower = Follower(_arrived, host.in_main_thread)


# In the background


def render(node: str) -> None:
    """Restore the node's frames by files, and bring them into the script as a Read.

    Raises:
        WetgateError: something is not chosen or not connected, the files would not be what the node shows, or it is
            at work already.
    """
    model, scan = _model_and_scan(node)
    if float(str(host.knob(node, "mix"))) != 1 or host.is_animated(node, "mix"):
        raise WetgateError(
            f"{node} mixes its result with the scan, but frames are restored in full in the background: set mix to 1, "
            "and mix the Read with the scan."
        )
    before = unrestored(scan)
    if before:
        raise WetgateError(
            f"{before[-1]} passes the scan of {node} unrestored, for the inference node is not installed: render "
            f"{before[-1]} in the background first and connect its Read, or run `wetgate node install`."
        )
    first, last = (int(str(host.knob(node, name))) for name in ("first", "last"))
    if first == last == 0:
        first, last = host.frame_range(scan)
    order = Order(
        model=model,
        scan=scan,
        mask=host.input_of(node, 1),
        first=first,
        last=last,
        output=host.path(node, "output") or _new_output(node, model),
        view=host.current_view(),
        device=str(host.knob(node, "device")),
        curves=host.path(node, "curves"),
        offset=int(str(host.knob(node, "frameOffset"))),
    )
    name = host.name_from_now_on(node)
    job = Job(order, lambda sentence: _say(name(), sentence), lambda read: _ended(job))
    _start(job, name)


def measure(node: str) -> None:
    """Measure the flicker of a node's scan, and have it taken out.

    Raises:
        WetgateError: it cannot be measured, something is not connected, or the node is at work already.
    """
    model, scan = _model_and_scan(node)
    before = [name for name in [scan, *host.above(scan, "WetgateRestore")] if host.class_of(name) == "WetgateRestore"]
    if before:
        raise WetgateError(
            f"Flicker is measured in the scan, but {node} is behind {before[-1]}: press Measure flicker there; it is "
            "taken out once, for all that follow."
        )
    files = scan_of(scan, host.current_view())
    name = host.name_from_now_on(node)

    def ended(curves: Optional[str]) -> None:
        _ended(job)
        if curves is not None:
            _take_curves(name(), curves, files.offset)

    job = Measurement(model, files, curves_file(files, model), lambda sentence: _say(name(), sentence), ended)
    _start(job, name)


def _take_curves(node: Optional[str], curves: str, offset: int) -> None:
    if node is None:
        host.say(f"The exposure curves are {curves}; the node that asked for them is gone.")
        return
    host.set_knobs(node, "Wetgate flicker", curves=host.as_text(curves), frameOffset=offset)
    _render_anew(node)  # they may have replaced older ones
    _read_card(node)


def cancel(node: str) -> None:
    """End what is at work for a node in the background."""
    for job in _jobs_of(node):
        job.cancel()


def _new_output(node: str, model: str) -> str:
    """Files in a folder that is not there yet, beside the run or the model."""
    beside = restoration_of(model) or os.path.dirname(os.path.abspath(model))
    names = itertools.chain(["restored"], (f"restored-{number}" for number in itertools.count(2)))
    folder = next(path for path in (os.path.join(beside, name) for name in names) if not os.path.exists(path))
    return os.path.join(folder, f"{node.rpartition('.')[2]}.####.exr")


def _model_and_scan(node: str) -> tuple[str, str]:
    """What something is to be begun with.

    Raises:
        WetgateError: it is not there, or something is at work already.
    """
    if _jobs_of(node):
        raise WetgateError(f"{node} is at work already: wait, or press Cancel.")
    model, scan = host.path(node, "model"), host.input_of(node, 0)
    if not model:
        raise WetgateError(f"{node} has no model: choose the model.onnx of a run.")
    if scan is None:
        raise WetgateError(f"{node} has no scan: connect it to the input named Source.")
    return model, scan


def _start(job: Work, name: Callable[[], Optional[str]]) -> None:
    _jobs[job] = name
    try:
        job.start()
    except BaseException:
        _ended(job)
        raise


def _jobs_of(node: str) -> list[Work]:
    """The job of a node, if it has one."""
    return [job for job, name in _jobs.items() if name() == node]


def _say(node: Optional[str], sentence: str) -> None:
    if node is not None:
        host.set_quietly(node, job=sentence)


def _ended(job: Work) -> None:
    _jobs.pop(job, None)


_jobs: dict[Work, Callable[[], Optional[str]]] = {}
"""Those at work, and what tells the names of their nodes: these may change, and another script has its own."""
