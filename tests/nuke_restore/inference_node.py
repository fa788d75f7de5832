"""The inference node in the stand-in's graph: the real binary, loaded as OpenFX hosts load it."""

from __future__ import annotations

from typing import Any

import numpy as np
import standin_knobs as knobs
from host import OK, Clip, Host
from nuke_standin import Session
from standin_nodes import Node
from standin_pictures import Picture

CLASS = "OFXorg.wetgate.restore_v1"
KINDS = {"Double": knobs.Double_Knob, "Integer": knobs.Int_Knob, "PushButton": knobs.PyScript_Knob}
AROUND = 3
"""Frames before and after that a model of a test may look at."""


def teach(session: Session, ofx: Host) -> None:
    """Let Nuke know the node."""
    session.add_node_class(CLASS, inputs=2, knobs=lambda: _knobs_of(ofx), render=lambda *asked: _restored(ofx, *asked))


def _knobs_of(ofx: Host) -> list[knobs.Knob]:
    """As Nuke makes them of what the node describes: its names, its choices, its defaults."""
    made: list[knobs.Knob] = []
    for name, described in ofx.contexts["General"].parameters.items():
        said = described.values
        kind, default = said["type"][0].removeprefix("OfxParamType"), said.get("OfxParamPropDefault", [None])[0]
        if kind == "Choice":
            made.append(knobs.Enumeration_Knob(name, None, said["OfxParamPropChoiceOption"]))
        elif kind == "String":
            is_file = said["OfxParamPropStringMode"] == ["OfxParamStringIsFilePath"]
            made.append((knobs.File_Knob if is_file else knobs.String_Knob)(name, value=default))
        else:
            made.append(KINDS[kind](name, value=default))
    return made


def _restored(ofx: Host, node: Node, frame: int, view: str, scale: int) -> Picture:
    first, last = node._inputs[0]._frames()
    near = range(max(first, frame - AROUND), min(last, frame + AROUND) + 1)
    sources = {number: node._from(0, number, view, scale) for number in near}
    mask = None if node._inputs[1] is None else {frame: _from_top(node._from(1, frame, view, scale))}
    values: dict[str, Any] = {}
    for name, knob in node._knobs.items():
        if isinstance(knob, knobs.Enumeration_Knob):
            values[name] = int(knob.getValue())
        elif name in ofx.contexts["General"].parameters and not isinstance(knob, knobs.PyScript_Knob):
            values[name] = knob.evaluate() if isinstance(knob, knobs.EvalString_Knob) else knob.value()
    frames = {number: _from_top(picture) for number, picture in sources.items()}
    effect = ofx.node(
        "General",
        source=Clip(frames, range=(float(first), float(last))),
        mask=None if mask is None else Clip(mask),
        **values,
    )
    try:
        rendered = effect.render(frame)
        if rendered.status != OK:
            raise RuntimeError(f"{node.fullName()}: {effect.message}")
        if rendered.pixels is None:
            return sources[frame]
        return Picture(sources[frame].size, (0, 0, *sources[frame].size), rendered.pixels[::-1])
    finally:
        effect.destroy()


def _from_top(picture: Picture) -> np.ndarray:
    return np.ascontiguousarray(picture.whole()[::-1])
