"""Plots as plain geometry, in units of the drawing; the page's templates draw them as SVG."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from hypencli.reporting.axes import Axis, Tick, axis, short
from hypencli.reporting.contents import Points, RunPair, Search, SearchCosts

MAX_BARS = 400
"""Bars of a plot of differences: of more queries, evenly spaced ones are drawn."""

_LABEL_WIDTH, _LABEL_HEIGHT = 7.0, 11.0


@dataclass(frozen=True, slots=True)
class Line:
    """A path, and the class of the style sheet that colours it."""

    path: str
    style: str


@dataclass(frozen=True, slots=True)
class Mark:
    """A point: ``label`` stands beside it where there is room; ``title`` is said of it."""

    x: float
    y: float
    label: str
    title: str
    style: str


@dataclass(frozen=True, slots=True)
class Plot:
    """A drawing.

    Attributes:
        left: Where the plot begins; the labels of the y axis stand before it.
        bottom: Where the x axis is.
        description: What it shows, for those who do not see it.
    """

    width: int
    height: int
    left: float
    bottom: float
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    x_label: str
    y_label: str
    description: str
    lines: tuple[Line, ...] = ()
    marks: tuple[Mark, ...] = ()


def difference_plot(pair: RunPair) -> Plot | None:
    """A bar for each query that differs, from B's greatest gain to its greatest loss."""
    if not pair.differences:
        return None
    width, height, left, right, top, bottom = 420, 210, 40.0, 412.0, 14.0, 178.0
    most = max(abs(value) for value in pair.differences)
    up = Axis(-most, most, bottom, top)
    values = _spaced(pair.differences, MAX_BARS)
    step = (right - left) / len(values)
    bars: dict[str, list[str]] = {"b": [], "a": []}
    for i, value in enumerate(values):
        side = bars["b" if value > 0 else "a"]
        side.append(_bar(left + i * step, step, up.place(0.0), up.place(value)))
    n_better = sum(value > 0 for value in pair.differences)
    n_worse = len(pair.differences) - n_better
    return Plot(
        width,
        height,
        left,
        bottom,
        x_ticks=(),
        y_ticks=up.ticks(),
        x_label=f"{len(pair.differences):,} queries that differ, of {pair.n_queries:,}",
        y_label=f"{pair.measure}: B − A",
        description=(
            f"{pair.measure} of {pair.label_b} minus {pair.label_a}, a bar a query that differs: "
            f"{n_better:,} better, {n_worse:,} worse, from {short(pair.differences[0])} "
            f"to {short(pair.differences[-1])}."
        ),
        lines=tuple(Line("".join(parts), f"bar {side}") for side, parts in bars.items() if parts),
    )


def _spaced(values: Sequence[float], count: int) -> list[float]:
    """At most ``count`` of some values, evenly spaced, the first and the last among them."""
    if len(values) <= count:
        return list(values)
    return [values[round(i * (len(values) - 1) / (count - 1))] for i in range(count)]


def _bar(x: float, step: float, base: float, end: float) -> str:
    """An upright bar; from three units on, a gap stands between it and the next."""
    broad = min(step * 0.8, 18.0) if step >= 3 else step
    return f"M{x + (step - broad) / 2:.2f} {base}V{end}h{broad:.2f}V{base}z"


def cost_plot(costs: SearchCosts, *, by: str) -> Plot | None:
    """Recall upwards, a cost to the right; None where fewer than two searches have both.

    Args:
        costs: The searches, each known by its place among them, from 1.
        by: ``time`` or ``evaluations``.
    """
    cost_of, unit, front = _COSTS[by]
    known = [
        (number, search, cost, recall)
        for number, search in enumerate(costs.searches, start=1)
        if (cost := cost_of(search)) is not None
        and (recall := search.recall.get(costs.depth)) is not None
    ]
    if len(known) < 2:
        return None
    width, height, left, right, top, bottom = 420, 250, 46.0, 396.0, 16.0, 208.0
    along = axis([cost for _, _, cost, _ in known], left + 8, right, may_be_log=True)
    up = axis([recall for _, _, _, recall in known], bottom - 8, top)
    marks = [
        Mark(
            along.place(cost),
            up.place(recall),
            str(number),
            f"{search.label}: recall@{costs.depth} {recall:.4f}, {short(cost)} {unit}",
            "front" if front in search.fronts else "behind",
        )
        for number, search, cost, recall in known
    ]
    scale = ", logarithmic" if along.is_log else ""
    return Plot(
        width,
        height,
        left,
        bottom,
        x_ticks=along.ticks(),
        y_ticks=up.ticks(),
        x_label=f"{unit} a query{scale}",
        y_label=f"recall@{costs.depth}",
        description=(
            f"recall@{costs.depth} of {len(known)} searches against {unit} a query; "
            "the table beside it has the values."
        ),
        lines=tuple(_front_lines([one[1] for one in known], marks)),
        marks=tuple(_labelled(marks)),
    )


_COSTS: dict[str, tuple[Callable[[Search], float | None], str, str]] = {
    "time": (lambda search: search.ms_per_query, "ms", "time"),
    "evaluations": (lambda search: search.evaluations, "q-net evaluations", "evaluations"),
}


def _front_lines(searches: Sequence[Search], marks: Sequence[Mark]) -> Iterable[Line]:
    """The front of each search that has more than one point on it, as a line."""
    fronts: dict[tuple[str, ...], list[tuple[float, float]]] = {}
    for search, mark in zip(searches, marks, strict=True):
        if mark.style == "front":
            fronts.setdefault(search.searched, []).append((mark.x, mark.y))
    for points in fronts.values():
        if len(points) > 1:
            yield Line(_path(sorted(points)), "front")


def _labelled(marks: Sequence[Mark]) -> Iterable[Mark]:
    """The marks, without the labels that would lie on others; those of a front come first."""
    taken: list[tuple[float, float, float]] = [(mark.x, mark.x, mark.y) for mark in marks]
    order = sorted(range(len(marks)), key=lambda i: marks[i].style != "front")
    kept = set()
    for i in order:
        mark = marks[i]
        box = (mark.x + 6, mark.x + 6 + _LABEL_WIDTH * len(mark.label), mark.y)
        if not any(_overlap(box, other) for other in taken):
            taken.append(box)
            kept.add(i)
    for i, mark in enumerate(marks):
        label = mark.label if i in kept else ""
        yield Mark(mark.x, mark.y, label, mark.title, mark.style)


def _overlap(one: tuple[float, float, float], other: tuple[float, float, float]) -> bool:
    apart = one[1] < other[0] - 3 or other[1] + 3 < one[0]
    return not apart and abs(one[2] - other[2]) < _LABEL_HEIGHT


def curve_plot(name: str, points: Points) -> Plot | None:
    """A training curve; None where it has fewer than two points."""
    if len(points) < 2:
        return None
    width, height, left, right, top, bottom = 280, 130, 44.0, 272.0, 12.0, 104.0
    along = axis([float(step) for step, _ in points], left, right)
    up = axis([value for _, value in points], bottom - 4, top)
    placed = [(along.place(step), up.place(value)) for step, value in points]
    last = points[-1]
    return Plot(
        width,
        height,
        left,
        bottom,
        x_ticks=along.ticks(3),
        y_ticks=up.ticks(3),
        x_label="step",
        y_label=name,
        description=(
            f"{name} from {short(points[0][1])} at step {points[0][0]:,} "
            f"to {short(last[1])} at step {last[0]:,}; "
            f"least {short(up.low)}, most {short(up.high)}."
        ),
        lines=(Line(_path(placed), "curve"),),
    )


def _path(points: Iterable[tuple[float, float]]) -> str:
    return "M" + "L".join(f"{x} {y}" for x, y in points)
