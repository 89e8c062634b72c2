"""Geometry of the plots, recomputed from the data in the plainest way."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import pytest

from hypencli.reporting.axes import Axis, axis
from hypencli.reporting.contents import HtmlReport, RunPair, SearchCosts
from hypencli.reporting.plots import MAX_BARS, Mark, cost_plot, curve_plot, difference_plot

SampleReport = Callable[..., HtmlReport]


def pair_with(report: HtmlReport, differences: list[float]) -> RunPair:
    return replace(report.pairs[0], differences=tuple(differences))


def bars(path: str) -> list[tuple[float, float, float, float]]:
    """``(x, base, end, width)`` of each bar."""
    number = r"(-?[\d.]+)"
    actual = re.findall(rf"M{number} {number}V{number}h{number}V{number}z", path)
    return [(float(x), float(base), float(end), float(w)) for x, base, end, w, _ in actual]


def test_a_linear_axis_places_in_proportion_and_ticks_are_round() -> None:
    line = axis([0.0, 0.37], 100, 0)
    assert (line.place(0.0), line.place(0.37), line.place(0.185)) == (100, 0, 50)
    assert [tick.label for tick in line.ticks()] == ["0", "0.1", "0.2", "0.3"]
    assert [tick.place for tick in line.ticks()] == pytest.approx([100, 73, 45.9, 18.9], abs=0.05)


def test_an_axis_over_a_factor_of_ten_may_be_logarithmic() -> None:
    line = axis([1.0, 1000.0], 0, 300, may_be_log=True)
    assert line.is_log
    assert [line.place(value) for value in (1, 10, 100, 1000)] == [0, 100, 200, 300]
    assert [tick.label for tick in line.ticks()] == ["1", "10", "100", "1,000"]
    assert not axis([0.0, 1000.0], 0, 300, may_be_log=True).is_log
    assert not axis([2.0, 19.0], 0, 300, may_be_log=True).is_log
    assert not axis([1.0, 1000.0], 0, 300).is_log


@pytest.mark.parametrize("values", [(1.0, 30.0), (3.0, 31.0), (0.7, 8.0)])
def test_a_short_logarithmic_axis_has_ticks_too(values: tuple[float, float]) -> None:
    line = axis(values, 0, 100, may_be_log=True)
    assert line.is_log
    ticks = line.ticks()
    assert len(ticks) >= 2
    assert all(0 <= tick.place <= 100 for tick in ticks)


def test_neighbouring_ticks_never_read_the_same() -> None:
    labels = [tick.label for tick in axis([0.99991, 0.99994], 0, 100).ticks()]
    assert len(set(labels)) == len(labels) > 2


def test_one_value_is_in_the_middle_and_its_own_tick() -> None:
    line = axis([0.5, 0.5], 0, 100)
    assert [(tick.place, tick.label) for tick in line.ticks()] == [(50, "0.5")]


def test_minus_is_a_true_minus_and_zero_has_none() -> None:
    labels = [tick.label for tick in Axis(-1.0, 1.0, 100, 0).ticks()]
    assert labels == ["−1", "−0.5", "0", "0.5", "1"]


def test_a_bar_a_query_up_for_b_and_down_for_a(sample_report: SampleReport) -> None:
    plot = difference_plot(pair_with(sample_report(), [0.8, 0.4, -0.2]))
    assert plot is not None
    styles = {line.style: bars(line.path) for line in plot.lines}
    ups, downs = styles["bar b"], styles["bar a"]
    heights = [base - end for _, base, end, _ in [*ups, *downs]]
    unit = heights[0] / 0.8
    assert heights == pytest.approx([0.8 * unit, 0.4 * unit, -0.2 * unit], abs=0.2)
    assert {base for _, base, _, _ in [*ups, *downs]} == {plot.base}
    assert [x for x, *_ in [*ups, *downs]] == sorted(x for x, *_ in [*ups, *downs])
    assert plot.x_label == "3 queries that differ, of 10"
    assert "2 better, 1 worse, from 0.8 to −0.2" in plot.description


def test_thousands_of_queries_are_a_bounded_drawing(sample_report: SampleReport) -> None:
    values = [1 - i / 4000 for i in range(8000)]
    plot = difference_plot(pair_with(sample_report(), values))
    assert plot is not None
    drawn = [bar for line in plot.lines for bar in bars(line.path)]
    assert len(drawn) == MAX_BARS
    assert drawn[0][2] == min(end for _, _, end, _ in drawn)
    assert "8,000 queries" in plot.x_label
    assert max(x + width for x, _, _, width in drawn) <= plot.width


def test_runs_that_never_differ_have_no_plot(sample_report: SampleReport) -> None:
    assert difference_plot(pair_with(sample_report(), [])) is None


def test_searches_are_placed_by_cost_and_recall(sample_report: SampleReport) -> None:
    costs = sample_report().costs[0]
    plot = cost_plot(costs, by="time")
    assert plot is not None
    assert plot.x_label == "ms a query, logarithmic"
    xs, ys = [mark.x for mark in plot.marks], [mark.y for mark in plot.marks]
    steps = [b - a for a, b in pairwise(xs)]
    assert steps == pytest.approx([steps[0]] * 3, abs=0.2)  # 1, 10, 100, 1000 ms
    assert ys == sorted(ys, reverse=True)
    assert [mark.label for mark in plot.marks] == ["1", "2", "3", "4"]
    assert plot.marks[1].title == "run 1: recall@10 0.6250, 10 ms"
    assert {mark.style for mark in plot.marks} == {"front"}
    (line,) = plot.lines
    assert line.path == "M" + "L".join(f"{x} {y}" for x, y in zip(xs, ys, strict=True))


def test_fronts_of_different_searches_are_different_lines(sample_report: SampleReport) -> None:
    costs = sample_report().costs[0]
    names = ["a", "a", "b", "b"]
    searches = tuple(
        replace(one, searched=(name,)) for one, name in zip(costs.searches, names, strict=True)
    )
    plot = cost_plot(replace(costs, searches=searches), by="evaluations")
    assert plot is not None
    assert len(plot.lines) == 2


def test_what_is_not_known_is_not_drawn(sample_report: SampleReport) -> None:
    costs = sample_report().costs[0]
    searches = (
        costs.searches[0],
        replace(costs.searches[1], ms_per_query=None),
        replace(costs.searches[2], recall={}),
        costs.searches[3],
    )
    plot = cost_plot(replace(costs, searches=searches), by="time")
    assert plot is not None
    assert [mark.label for mark in plot.marks] == ["1", "4"]
    assert cost_plot(replace(costs, searches=searches[:3]), by="time") is None


def crowded(costs: SearchCosts, n: int, apart: float) -> tuple[Mark, ...]:
    searches = tuple(
        replace(costs.searches[0], ms_per_query=10.0 + i * apart, recall={10: 0.5}, fronts=())
        for i in range(n)
    )
    plot = cost_plot(replace(costs, searches=searches), by="time")
    assert plot is not None
    return plot.marks


@pytest.mark.parametrize(("n", "apart"), [(6, 1.0), (40, 1.0), (60, 0.1)])
def test_labels_lie_on_no_mark_and_on_no_label(
    sample_report: SampleReport, n: int, apart: float
) -> None:
    marks = crowded(sample_report().costs[0], n, apart)
    labelled = [mark for mark in marks if mark.label]
    assert len(marks) == n
    assert labelled
    for one in labelled:
        half = 3 * len(one.label)
        for other in marks:
            if other is not one:
                near = abs(one.label_at[0] - other.x) < half + 3
                assert not (near and abs(one.label_at[1] - other.y) < 8)
        for other in labelled:
            if other is not one:
                across = abs(one.label_at[0] - other.label_at[0])
                down = abs(one.label_at[1] - other.label_at[1])
                assert across >= half + 3 * len(other.label) or down >= 9


def test_a_curve_goes_through_its_points() -> None:
    points = ((10, 0.5), (20, 0.25), (40, 1.0))
    plot = curve_plot("loss", points)
    assert plot is not None
    (line,) = plot.lines
    placed = [tuple(map(float, pair.split())) for pair in line.path[1:].split("L")]
    (x0, y0), (x1, y1), (x2, y2) = placed
    assert (x1 - x0) / (x2 - x0) == pytest.approx(1 / 3, abs=0.01)
    assert (y0 - y1) / (y2 - y1) == pytest.approx(1 / 3, abs=0.01)
    assert y2 < y0 < y1 < plot.bottom
    assert plot.description == ("loss from 0.5 at step 10 to 1 at step 40; least 0.25, most 1.")
    assert curve_plot("loss", points[:1]) is None


def test_a_flat_curve_is_drawn(sample_report: SampleReport) -> None:
    plot = curve_plot("loss", ((1, 0.5), (2, 0.5)))
    assert plot is not None
    assert not math.isnan(float(plot.lines[0].path.split()[-1]))
