"""Line plots as SVG elements inside a page: no library, no colour, readable in print."""

from __future__ import annotations

import html
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Points = Sequence[tuple[float, float]]

_WIDTH, _HEIGHT = 560, 300
_LEFT, _RIGHT, _TOP, _BOTTOM = 58, 16, 14, 42
_MOST_POINTS = 600
_STROKES = [("#e6e6e6", ""), ("#a8a8a8", "7 4"), ("#cfcfcf", "2 3"), ("#888888", "10 3 2 3")]


@dataclass(frozen=True)
class Plot:
    """Curves over one pair of axes.

    curves: name and ``(x, y)`` points, x rising; points that are not finite are left out. logarithmic: the y
    axis, for positive values only. best: ``min`` or ``max`` marks that point instead of the last.
    """

    title: str
    curves: Sequence[tuple[str, Points]]
    x_label: str = "seconds"
    y_label: str = ""
    logarithmic: bool = False
    best: str | None = None


def plots_of(events: Iterable[Mapping[str, Any]]) -> list[Plot]:
    """The plots of a run's events: numbers under ``loss`` and ``validation`` over ``seconds`` of training.

    Events without ``seconds`` are placed by the clock, from the first event on.
    """
    loss: list[tuple[float, float]] = []
    validation: list[tuple[float, float]] = []
    start: float | None = None
    for event in events:
        time = float(event.get("time") or 0.0)
        start = time if start is None else start
        seconds = float(event.get("seconds") or time - start)
        for name, points in (("loss", loss), ("validation", validation)):
            if isinstance(event.get(name), (int, float)):
                points.append((seconds, float(event[name])))
    plots = []
    if loss:
        plots.append(Plot("Loss", [("loss", loss)], y_label="loss", logarithmic=True))
    if validation:
        plots.append(Plot("Held-out pairs", [("validation", validation)], y_label="validation", best="min"))
    return plots


def draw(plot: Plot) -> str:
    """The plot as an HTML figure; one that has no point says so."""
    curves = [(name, _drawable(points, plot.logarithmic)) for name, points in plot.curves]
    curves = [(name, points) for name, points in curves if points]
    title = html.escape(plot.title)
    if not curves:
        return (
            f'<figure class="plot"><figcaption>{title}</figcaption><p class="note">Nothing was recorded.</p></figure>'
        )
    xs = [x for _, points in curves for x, _ in points]
    ys = [_scaled(y, plot.logarithmic) for _, points in curves for _, y in points]
    x_axis, y_axis = _Axis(min(xs), max(xs)), _Axis(min(ys), max(ys), margin=0.05)

    def place(x: float, y: float) -> tuple[float, float]:
        across = x_axis.share(x) * (_WIDTH - _LEFT - _RIGHT)
        up = y_axis.share(_scaled(y, plot.logarithmic)) * (_HEIGHT - _TOP - _BOTTOM)
        return round(_LEFT + across, 1), round(_HEIGHT - _BOTTOM - up, 1)

    parts = [_grid(x_axis, y_axis, plot)]
    keys = []
    for number, (name, points) in enumerate(curves):
        colour, dashes = _STROKES[number % len(_STROKES)]
        stroke = f'fill="none" stroke="{colour}" stroke-width="1.6" stroke-dasharray="{dashes}"'
        line = " ".join(f"{x},{y}" for x, y in (place(*point) for point in points))
        parts.append(f'<polyline points="{line}" {stroke}/>')
        sample = f'<svg width="26" height="8" aria-hidden="true"><line x1="0" y1="4" x2="26" y2="4" {stroke}/></svg>'
        keys.append(f"<span>{sample}{html.escape(name)} {html.escape(_outcome(points, plot))}</span>")
        for x, y in (place(*point) for point in _marked(points, plot)):
            parts.append(f'<circle cx="{x}" cy="{y}" r="3" fill="{colour}"/>')
    return (
        f'<figure class="plot"><figcaption>{title}</figcaption>'
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{title}">{"".join(parts)}</svg>'
        f'<p class="keys">{"".join(keys)}</p></figure>'
    )


def _marked(points: Points, plot: Plot) -> Points:
    """The point that the key speaks of: the best, else the last; none on a level line."""
    values = [y for _, y in points]
    if len(points) > 1 and min(values) == max(values):
        return []
    if plot.best is None:
        return points[-1:]
    return [(min if plot.best == "min" else max)(points, key=lambda point: point[1])]


def _outcome(points: Points, plot: Plot) -> str:
    marked = _marked(points, plot)
    if not marked:
        return _number(points[0][1])
    word = "last" if plot.best is None else "best"
    return f"{_number(marked[0][1])} at {_number(marked[0][0])} {plot.x_label} ({word})"


class _Axis:
    def __init__(self, low: float, high: float, margin: float = 0.0) -> None:
        room = (high - low) * margin or (abs(high) or 1.0) * 0.05 * (high == low)
        self.low, self.high = low - room, high + room

    def share(self, value: float) -> float:
        return (value - self.low) / (self.high - self.low)

    def ticks(self) -> list[float]:
        """At most seven round values: steps of 1, 2 or 5 times a power of ten."""
        rough = (self.high - self.low) / 6
        power = 10.0 ** math.floor(math.log10(rough))
        step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * 0.999)
        first = math.ceil(self.low / step - 1e-9)
        return [number * step for number in range(first, math.floor(self.high / step + 1e-9) + 1)]


def _grid(x_axis: _Axis, y_axis: _Axis, plot: Plot) -> str:
    right, floor = _WIDTH - _RIGHT, _HEIGHT - _BOTTOM
    parts = []
    for tick in _y_ticks(y_axis, plot.logarithmic):
        y = round(floor - y_axis.share(_scaled(tick, plot.logarithmic)) * (floor - _TOP), 1)
        parts.append(f'<line class="grid" x1="{_LEFT}" y1="{y}" x2="{right}" y2="{y}"/>')
        parts.append(f'<text x="{_LEFT - 8}" y="{y + 4}" text-anchor="end">{_number(tick)}</text>')
    for tick in x_axis.ticks():
        x = round(_LEFT + x_axis.share(tick) * (right - _LEFT), 1)
        parts.append(f'<line class="grid" x1="{x}" y1="{_TOP}" x2="{x}" y2="{floor}"/>')
        parts.append(f'<text x="{x}" y="{floor + 17}" text-anchor="middle">{_number(tick)}</text>')
    middle = (_TOP + floor) / 2
    x_label, y_label = html.escape(plot.x_label), html.escape(plot.y_label)
    parts.append(f'<text x="{(_LEFT + right) / 2}" y="{_HEIGHT - 8}" text-anchor="middle">{x_label}</text>')
    parts.append(f'<text x="13" y="{middle}" text-anchor="middle" transform="rotate(-90 13 {middle})">{y_label}</text>')
    return "".join(parts)


def _y_ticks(axis: _Axis, logarithmic: bool) -> list[float]:
    if not logarithmic:
        return axis.ticks()
    for factors in ((1,), (1, 3), (1, 2, 5)):
        ticks = [
            factor * 10.0**power
            for power in range(math.floor(axis.low), math.ceil(axis.high) + 1)
            for factor in factors
            if axis.low <= math.log10(factor * 10.0**power) <= axis.high
        ]
        if len(ticks) >= 3:
            return ticks[:: max(1, len(ticks) // 6)]
    return [10.0**tick for tick in axis.ticks()]


def _drawable(points: Points, logarithmic: bool) -> list[tuple[float, float]]:
    kept = [(x, y) for x, y in points if math.isfinite(x) and math.isfinite(y) and (y > 0 or not logarithmic)]
    if len(kept) <= _MOST_POINTS:
        return kept
    size = math.ceil(len(kept) / _MOST_POINTS)
    groups = [kept[start : start + size] for start in range(0, len(kept), size)]
    return [(sum(x for x, _ in group) / len(group), sum(y for _, y in group) / len(group)) for group in groups]


def _scaled(value: float, logarithmic: bool) -> float:
    return math.log10(value) if logarithmic else value


def _number(value: float) -> str:
    return f"{0.0 if abs(value) < 1e-12 else value:.4g}"
