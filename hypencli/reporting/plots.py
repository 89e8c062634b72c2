"""Plots as plain geometry in units of the drawing. The templates of the page draw them as SVG."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from hypencli.reporting.axes import Axis, Tick, axis, short
from hypencli.reporting.contents import Points, RunPair, SearchCost, SearchCosts

MAX_BARS = 400
"""Maximum number of bars in a plot. Of more queries, evenly spaced ones are drawn."""

_LABEL_WIDTH = 6.5
"""Width of a digit in units of the drawing."""


@dataclass(frozen=True, slots=True)
class PlotLine:
    """A path, and the CSS class that determines its colour."""

    path: str
    style: str


@dataclass(frozen=True, slots=True)
class Mark:
    """A point of a plot.

    Attributes:
        label: Text beside the mark, centred at ``label_at``; empty if there is no space.
        title: Tooltip.
        style: CSS class.
    """

    x: float
    y: float
    label: str
    title: str
    style: str
    label_at: tuple[float, float] = (0.0, 0.0)


@dataclass(frozen=True, slots=True)
class Plot:
    """A drawing.

    Attributes:
        left: Left end of the plot area. The labels of the y axis are left of it.
        bottom: Position of the x axis. Its labels are below.
        base: Position of the line of the x axis.
        description: Description of the plot in words, for users who cannot see it.
    """

    width: int
    height: int
    left: float
    bottom: float
    base: float
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    x_label: str
    y_label: str
    description: str
    lines: tuple[PlotLine, ...] = ()
    marks: tuple[Mark, ...] = ()


def difference_plot(pair: RunPair) -> Plot | None:
    """Draw a bar per query with a difference, from B's greatest gain to its greatest loss."""
    if not pair.differences:
        return None
    width, height, left, right, top, bottom = 420, 220, 40.0, 420.0, 28.0, 192.0
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
        base=up.place(0.0),
        x_ticks=(),
        y_ticks=up.ticks(),
        x_label=f"{len(pair.differences):,} queries that differ, of {pair.n_queries:,}",
        y_label=f"{pair.measure}: B − A",
        description=(
            f"{pair.measure} of {pair.label_b} minus {pair.label_a}, a bar a query that differs: "
            f"{n_better:,} better, {n_worse:,} worse, from {short(pair.differences[0])} "
            f"to {short(pair.differences[-1])}."
        ),
        lines=tuple(
            PlotLine("".join(parts), f"bar {side}") for side, parts in bars.items() if parts
        ),
    )


def _spaced(values: Sequence[float], count: int) -> list[float]:
    """Return at most ``count`` evenly spaced values, including the first and the last."""
    if len(values) <= count:
        return list(values)
    return [values[round(i * (len(values) - 1) / (count - 1))] for i in range(count)]


def _bar(x: float, step: float, base: float, end: float) -> str:
    """Return the path of a vertical bar; bars of at least three units have a gap between them."""
    broad = min(step * 0.8, 18.0) if step >= 3 else step
    return f"M{x + (step - broad) / 2:.2f} {base}V{end}h{broad:.2f}V{base}z"


def cost_plot(costs: SearchCosts, *, by: str) -> Plot | None:
    """Draw recall (y axis) over a cost (x axis); None if fewer than two searches have both.

    Args:
        costs: The searches. Each is labelled with its number, from 1.
        by: ``time`` or ``evaluations``.
    """
    cost_of, unit, front = _COSTS[by]
    measured = [
        (number, search, cost, recall)
        for number, search in enumerate(costs.searches, start=1)
        if (cost := cost_of(search)) is not None
        and (recall := search.recall.get(costs.depth)) is not None
    ]
    if len(measured) < 2:
        return None
    width, height, left, right, top, bottom = 420, 250, 46.0, 396.0, 28.0, 204.0
    along = axis([cost for _, _, cost, _ in measured], left + 8, right, may_be_log=True)
    up = axis([recall for _, _, _, recall in measured], bottom - 8, top)
    marks = [
        Mark(
            along.place(cost),
            up.place(recall),
            str(number),
            f"{search.label}: recall@{costs.depth} {recall:.4f}, {short(cost)} {unit}",
            "front" if front in search.fronts else "behind",
        )
        for number, search, cost, recall in measured
    ]
    scale = ", logarithmic" if along.is_log else ""
    return Plot(
        width,
        height,
        left,
        bottom,
        base=bottom,
        x_ticks=along.ticks(),
        y_ticks=up.ticks(),
        x_label=f"{unit} a query{scale}",
        y_label=f"recall@{costs.depth}",
        description=(
            f"recall@{costs.depth} of {len(measured)} searches against {unit} a query; "
            "the table beside it has the values."
        ),
        lines=tuple(_front_lines([one[1] for one in measured], marks)),
        marks=tuple(_labelled(marks)),
    )


def cost_plots(costs: SearchCosts) -> list[Plot]:
    """Plot recall by time and by evaluations; return nothing if all searches are exact."""
    if all(search.engine == "exact" for search in costs.searches):
        return []
    drawn = (cost_plot(costs, by=by) for by in ("time", "evaluations"))
    return [plot for plot in drawn if plot is not None]


_COSTS: dict[str, tuple[Callable[[SearchCost], float | None], str, str]] = {
    "time": (lambda search: search.ms_per_query, "ms", "time"),
    "evaluations": (lambda search: search.evaluations, "q-net evaluations", "evaluations"),
}


def _front_lines(searches: Sequence[SearchCost], marks: Sequence[Mark]) -> Iterable[PlotLine]:
    """Yield a line for every front with more than one point."""
    fronts: dict[tuple[str, ...], list[tuple[float, float]]] = {}
    for search, mark in zip(searches, marks, strict=True):
        if mark.style == "front":
            fronts.setdefault(search.searched, []).append((mark.x, mark.y))
    for points in fronts.values():
        if len(points) > 1:
            yield PlotLine(_path(sorted(points)), "front")


def _labelled(marks: Sequence[Mark]) -> Iterable[Mark]:
    """Yield the marks with labels that do not overlap; marks of a front get labels first."""
    taken = [_Box(mark.x - 4, mark.x + 4, mark.y - 4, mark.y + 4) for mark in marks]
    order = sorted(range(len(marks)), key=lambda i: marks[i].style != "front")
    places: dict[int, tuple[float, float]] = {}
    for i in order:
        for place in _label_places(marks[i]):
            box = _label_box(marks[i], place)
            if not any(box.overlaps(other) for j, other in enumerate(taken) if j != i):
                taken.append(box)
                places[i] = place
                break
    for i, mark in enumerate(marks):
        place = places.get(i, (0.0, 0.0))
        yield replace(mark, label=mark.label if i in places else "", label_at=place)


def _label_places(mark: Mark) -> Iterable[tuple[float, float]]:
    """Yield the possible positions of a label's centre: right of the mark, above, left, below."""
    aside = 7 + _LABEL_WIDTH * len(mark.label) / 2
    for across, down in ((aside, 0.0), (0.0, -11.0), (-aside, 0.0), (0.0, 11.0)):
        yield round(mark.x + across, 1), round(mark.y + down, 1)


def _label_box(mark: Mark, place: tuple[float, float]) -> _Box:
    half = _LABEL_WIDTH * len(mark.label) / 2
    return _Box(place[0] - half, place[0] + half, place[1] - 5, place[1] + 5)


@dataclass(frozen=True, slots=True)
class _Box:
    """The rectangle that a mark or a label covers."""

    left: float
    right: float
    top: float
    bottom: float

    def overlaps(self, other: _Box) -> bool:
        across = self.left < other.right and other.left < self.right
        return across and self.top < other.bottom and other.top < self.bottom


def curve_plot(name: str, points: Points) -> Plot | None:
    """Draw a training curve; None if it has fewer than two points."""
    if len(points) < 2:
        return None
    width, height, left, right, top, bottom = 280, 144, 44.0, 272.0, 26.0, 106.0
    along = axis([float(step) for step, _ in points], left, right)
    up = axis([value for _, value in points], bottom - 4, top)
    placed = [(along.place(step), up.place(value)) for step, value in points]
    last = points[-1]
    return Plot(
        width,
        height,
        left,
        bottom,
        base=bottom,
        x_ticks=along.ticks(3),
        y_ticks=up.ticks(3),
        x_label="step",
        y_label=name,
        description=(
            f"{name} from {short(points[0][1])} at step {points[0][0]:,} "
            f"to {short(last[1])} at step {last[0]:,}; "
            f"least {short(up.low)}, most {short(up.high)}."
        ),
        lines=(PlotLine(_path(placed), "curve"),),
    )


def _path(points: Iterable[tuple[float, float]]) -> str:
    return "M" + "L".join(f"{x} {y}" for x, y in points)
