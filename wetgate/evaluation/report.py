"""``report.html``: what a restoration does to the pictures, on one page that needs nothing else.

The page holds its pictures, plots, style and script; a content security policy keeps it from loading
anything. Pictures come first, between neutral greys: nothing coloured stands beside them.
"""

from __future__ import annotations

import base64
import html
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from typing import Any

import cv2
import numpy as np

from wetgate import __version__
from wetgate.errors import WetgateError
from wetgate.evaluation.metrics import Array
from wetgate.evaluation.plots import Plot, draw
from wetgate.evaluation.tables import COLUMNS, Table
from wetgate.files import write_bytes

LONGEST_EDGE = 1920
DIFFERENCE_GAIN = 4
JPEG_QUALITY = 95

_KEYS = {"wipe": "w", "side by side": "s", "scan": "1", "restored": "2", "reference": "3", "difference": "d"}
_BEST = ' class="best"'


@dataclass(frozen=True)
class Picture:
    """One frame to look at; float ``[H, W, 3]`` display-referred, all of one size.

    label: for example ``frame 1041, held out``. note: a line below, for example its own measures. Of scan and
    reference one may be missing.
    """

    label: str
    scan: Array | None
    restored: Array
    reference: Array | None = None
    note: str = ""


@dataclass(frozen=True)
class PairLine:
    """What became of one pair. state: as in the restoration folder; use: ``trained on``, ``held out`` or empty."""

    name: str
    frame: str
    state: str
    use: str = ""
    reason: str = ""


@dataclass(frozen=True)
class Report:
    """Everything that the page shows; empty parts are left out.

    headline: one sentence with the outcome. facts, settings: shown as they are, in this order. plots_title: above the
    plots.
    """

    title: str
    headline: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)
    pictures: Sequence[Picture] = ()
    tables: Sequence[Table] = ()
    plots: Sequence[Plot] = ()
    plots_title: str = "Training"
    limits: Sequence[str] = ()
    pairs: Sequence[PairLine] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)


def write_report(path: str | os.PathLike[str], report: Report) -> None:
    """Write the page, whole or not at all.

    Raises:
        WetgateError: the file cannot be written, or the pictures of one frame differ in size.
    """
    write_bytes(path, page(report).encode("utf-8"))


def page(report: Report) -> str:
    """The page as HTML text."""
    parts = [
        _section("Pictures", "".join(map(_figure, report.pictures)), "pictures"),
        _section("Measures", "".join(map(_table, report.tables)) + _legend() if report.tables else "", "measures"),
        _section(
            report.plots_title,
            f'<div class="plots">{"".join(map(draw, report.plots))}</div>' if report.plots else "",
            "training",
        ),
        _section("Limits", _list(report.limits)),
        _section("Record", _pairs(report.pairs) + _settings(report.settings)),
    ]
    headline = f'<p class="headline">{_text(report.headline)}</p>' if report.headline else ""
    return (
        "<!DOCTYPE html>\n"
        '<html lang="en"><head><meta charset="utf-8">'
        '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; img-src data:; '
        "style-src 'unsafe-inline'; script-src 'unsafe-inline'\">"
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="dark">'
        f"<title>{_text(report.title)}</title>"
        f"<style>{_resource('report.css')}</style></head>\n"
        f"<body><header><h1>{_text(report.title)}</h1>{headline}{_facts(report.facts)}</header>\n"
        f"<main>{''.join(parts)}</main>\n"
        f"<footer>Wetgate {_text(__version__)}. Pictures on this page are 8-bit JPEG (quality {JPEG_QUALITY}, 4:4:4), "
        f"at most {LONGEST_EDGE} pixels long; the measures come from the frames at full size and precision.</footer>\n"
        f"<script>{_resource('report.js')}</script></body></html>\n"
    )


def page_size(pixels: Array) -> Array:
    """The picture as large as the page shows it: smaller ones as they are."""
    height, width = pixels.shape[:2]
    shrink = LONGEST_EDGE / max(height, width)
    if shrink >= 1:
        return pixels
    size = (max(1, round(width * shrink)), max(1, round(height * shrink)))
    return np.asarray(cv2.resize(np.asarray(pixels, np.float32), size, interpolation=cv2.INTER_AREA))


_MADE = "The references were made: figures say how near the model comes to them, and nothing how true they are."
_TAKEN_FOR_TRUE = (
    "The reference is taken for the truth. Its own faults (compression, another grade, misalignment left over) "
    "count as errors here, and are learned where they are the same in every pair."
)


def limits_of_pairs(*, held_out: int, trained: int, made: bool = False) -> list[str]:
    """What figures from ``held_out`` pairs, next to ``trained`` ones, do not say.

    With ``made``, references show what somebody believes, and not the scan's own picture.
    """
    limits = []
    if held_out == 0:
        limits.append(
            "No pair was held out: every figure is of a pair that the model was trained on, and flatters it. "
            "Add pairs, or judge the frames in between by eye."
        )
    elif held_out < 3:
        pairs = "one held-out pair" if held_out == 1 else f"{held_out} held-out pairs"
        limits.append(f"The figures rest on {pairs}: other frames of the shot may come out better or worse.")
    if 0 < trained < 4:
        limits.append(
            f"Trained on {trained} {'pair' if trained == 1 else 'pairs'}: "
            "what these frames do not show is extrapolated."
        )
    return [
        *limits,
        _MADE if made else _TAKEN_FOR_TRUE,
        "Shots unlike the pairs are not covered by these figures; make a restoration for each shot.",
        "Flicker is not measured on pairs: it needs successive frames with a truth.",
    ]


def _table(table: Table) -> str:
    columns = table.columns
    head = "".join(f'<th scope="col" title="{_text(column.meaning)}">{_text(column.title)}</th>' for column in columns)
    body = ""
    for row, marks in zip(table.rows, table.best, strict=True):
        cells = "".join(
            f"<td{_BEST if mark else ''}>{column.text(row)}</td>" for column, mark in zip(columns, marks, strict=True)
        )
        body += f'<tr><th scope="row">{_text(row.name)}</th>{cells}</tr>'
    note = f'<p class="note">{_text(table.note)}</p>' if table.note else ""
    return (
        f'<div class="scroll"><table><caption>{_text(table.title)}</caption>'
        f'<thead><tr><th scope="col"></th>{head}</tr></thead><tbody>{body}</tbody></table></div>{note}'
    )


def _legend() -> str:
    terms = "".join(f"<dt>{_text(column.title)}</dt><dd>{_text(column.meaning)}</dd>" for column in COLUMNS)
    return f"<details><summary>What the columns mean</summary><dl>{terms}</dl></details>"


def _figure(picture: Picture) -> str:
    given = {"scan": picture.scan, "restored": picture.restored, "reference": picture.reference}
    layers = {name: page_size(layer) for name, layer in given.items() if layer is not None}
    sizes = {name: f"{layer.shape[1]}x{layer.shape[0]}" for name, layer in given.items() if layer is not None}
    if len(set(sizes.values())) > 1:
        listed = ", ".join(f"{name} {size}" for name, size in sizes.items())
        raise WetgateError(f"The pictures of {picture.label} differ in size ({listed}): they cannot be compared.")
    ground = "reference" if "reference" in layers else "scan"
    height, width = layers[ground].shape[:2]
    with np.errstate(invalid="ignore"):
        difference = 0.5 + DIFFERENCE_GAIN * (layers["restored"] - layers[ground])
    difference_name = f"restored minus {ground}, {DIFFERENCE_GAIN}x, grey is none"
    images = "".join(
        _image(pixels, name, caption, picture.label)
        for name, caption, pixels in [
            *((name, name, layer) for name, layer in layers.items()),
            ("difference", difference_name, difference),
        ]
    )
    views = ["wipe", "side by side", *layers, "difference"]
    buttons = "".join(
        f'<button type="button" data-view="{view}" data-key="{_KEYS[view]}" title="key {_KEYS[view].upper()}">'
        f"{view.capitalize()}</button>"
        for view in views
    )
    wipes = "".join(
        f'<div class="wipe" role="slider" tabindex="0" data-wipe="{number}" aria-valuemin="0" aria-valuemax="100" '
        f'aria-label="{left} to {right}"></div>'
        for number, (left, right) in enumerate(zip(list(layers)[:-1], list(layers)[1:], strict=True))
    )
    note = f'<p class="note">{_text(picture.note)}</p>' if picture.note else ""
    return (
        f'<figure data-layers="{len(layers)}" data-view="side by side" style="--w:{width};--h:{height}">'
        f"<figcaption><h3>{_text(picture.label)}</h3>"
        f'<div class="views" role="group" aria-label="View of {_text(picture.label)}">{buttons}'
        '<button type="button" data-zoom aria-pressed="false">1:1</button></div></figcaption>'
        f'<div class="port"><div class="stage">{images}{wipes}</div></div>{note}</figure>'
    )


def _image(pixels: Array, name: str, caption: str, label: str) -> str:
    codes = np.rint(255 * np.clip(np.nan_to_num(pixels, posinf=1.0, neginf=0.0), 0, 1)).astype(np.uint8)
    options = [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY]
    options += [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444]
    _, data = cv2.imencode(".jpg", np.ascontiguousarray(codes[..., ::-1]), options)
    source = "data:image/jpeg;base64," + base64.b64encode(data.tobytes()).decode("ascii")
    height, width = pixels.shape[:2]
    return (
        f'<div class="layer" data-layer="{name}"><img src="{source}" width="{width}" height="{height}" '
        f'alt="{_text(caption)}, {_text(label)}" draggable="false"><span>{_text(caption)}</span></div>'
    )


def _facts(facts: Mapping[str, Any]) -> str:
    if not facts:
        return ""
    terms = "".join(f"<div><dt>{_text(name)}</dt><dd>{_text(value)}</dd></div>" for name, value in facts.items())
    return f'<dl class="facts">{terms}</dl>'


def _list(sentences: Sequence[str]) -> str:
    return f"<ul>{''.join(f'<li>{_text(sentence)}</li>' for sentence in sentences)}</ul>" if sentences else ""


def _pairs(pairs: Sequence[PairLine]) -> str:
    if not pairs:
        return ""
    head = "".join(f'<th scope="col">{title}</th>' for title in ("pair", "frame", "state", "use", "reason"))
    body = "".join(
        f'<tr><th scope="row">{_text(pair.name)}</th><td>{_text(pair.frame)}</td><td>{_text(pair.state)}</td>'
        f"<td>{_text(pair.use)}</td><td>{_text(pair.reason)}</td></tr>"
        for pair in pairs
    )
    return (
        f'<div class="scroll"><table class="words"><caption>Pairs</caption><thead><tr>{head}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


def _settings(settings: Mapping[str, Any]) -> str:
    if not settings:
        return ""
    terms = "".join(f"<dt>{_text(name)}</dt><dd>{_text(value)}</dd>" for name, value in settings.items())
    return f"<details><summary>Settings</summary><dl>{terms}</dl></details>"


def _section(title: str, content: str, name: str = "") -> str:
    return f'<section class="{name or title.lower()}"><h2>{title}</h2>{content}</section>\n' if content else ""


def _text(value: Any) -> str:
    return html.escape(str(value), quote=True)


def _resource(name: str) -> str:
    return resources.files("wetgate.evaluation").joinpath(name).read_text(encoding="utf-8")
