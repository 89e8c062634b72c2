"""Curves drawn in the terminal, read back from the characters."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping

import pytest
from rich.console import Console

from hypencli.cli.output.charts import Points, bars, chart, draw_curves, sparkline

# Dots of a braille character by their numbers in Unicode, 1 to 8: (column, row).
NUMBERED = [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2), (0, 3), (1, 3)]


def drawn(curves: Mapping[str, Points], width: int = 80) -> list[str]:
    out = io.StringIO()
    draw_curves(Console(file=out, width=width, highlight=False, markup=False), curves)
    return out.getvalue().splitlines()


def dots(lines: list[str]) -> set[tuple[int, int]]:
    """The dots (x, y) of a chart, y upwards from the bottom."""
    plot = [line[11:] for line in lines[:-2]]
    actual = set()
    for row, text in enumerate(plot):
        for column, character in enumerate(text):
            bits = ord(character) - 0x2800 if character != " " else 0
            for bit, (dx, dy) in enumerate(NUMBERED):
                if bits >> bit & 1:
                    actual.add((2 * column + dx, 4 * (len(plot) - 1 - row) + 3 - dy))
    return actual


def test_a_straight_line_is_one() -> None:
    lines = chart([(0, 0.0), (39, 39.0)], width=20, height=10)
    assert dots([line[1:] for line in lines]) == {(i, i) for i in range(40)}


def test_points_lie_where_their_steps_are() -> None:
    """Uneven steps are not drawn as even ones."""
    lines = chart([(0, 0.0), (10, 0.0), (100, 1.0)], width=50, height=2)
    actual = dots([line[1:] for line in lines])
    assert {x for x, y in actual if y == 0} >= set(range(11))
    assert max(actual) == (99, 7)


def test_a_column_of_many_points_spans_them_all() -> None:
    points = [(step, float(step % 2)) for step in range(1000)]
    lines = chart(points, width=4, height=2)
    assert dots([line[1:] for line in lines]) == {(x, y) for x in range(8) for y in range(8)}


def test_axes_say_the_ends() -> None:
    lines = chart([(10, 2.5), (1500, 0.00002)], width=30, height=4)
    assert lines[0].startswith("       2.5 ┤")
    assert lines[3].startswith("     2e-05 ┤")
    assert lines[4].strip() == "└" + "─" * 30
    assert lines[5].split() == ["10", "1,500"]
    assert len(lines[5]) == len(lines[4])


def test_a_flat_curve_is_a_line_in_the_middle() -> None:
    actual = dots([line[1:] for line in chart([(1, 3.0), (5, 3.0)], width=10, height=4)])
    assert len({y for _, y in actual}) == 1
    assert len(actual) == 20


@pytest.mark.parametrize("n", [1, 2, 59, 60, 61, 150, 1000])
def test_a_sparkline_keeps_its_width(n: int) -> None:
    line = sparkline([float(i) for i in range(n)])
    assert len(line) == min(n, 60)
    assert list(line) == sorted(line)


def test_the_loss_and_validation_are_charted_and_the_others_are_lines() -> None:
    steps = range(10, 210, 10)
    curves = {
        "loss": [(step, 1 / step) for step in steps],
        "margin_mse": [(step, 2 / step) for step in steps],
        "learning_rate": [(step, step * 1e-7) for step in steps],
        "validation.nDCG@10": [(50, 0.25), (100, 0.5), (150, 0.375)],
        "validation.loss": [(50, 0.5), (100, 0.25), (150, 0.375)],
    }
    lines = drawn(curves)
    assert "loss: 0.005 at step 200; least 0.005 at step 200" in lines
    assert "validation.nDCG@10: 0.375 at step 150; best 0.5 at step 100" in lines
    assert "validation.loss: 0.375 at step 150; least 0.25 at step 100" in lines
    assert sum("└" in line for line in lines) == 3
    (rate,) = (line.split() for line in lines if line.startswith("learning_rate"))
    assert rate[1:] == ["▁▁▁▂▂▂▃▃▃▄▄▅▅▅▆▆▆▇▇█", "1e-06", "→", "2e-05"]
    assert max(map(len, lines)) <= 80


@pytest.mark.parametrize("width", [40, 80, 160])
def test_charts_fit_the_terminal(width: int) -> None:
    curves = {"loss": [(i, math.sin(i)) for i in range(500)], "x" * 50: [(1, 1.0), (2, 12345.678)]}
    assert max(map(len, drawn({"loss": curves["loss"]}, width))) <= min(width, 80)
    assert max(map(len, drawn(curves, 80))) <= 80


def test_values_that_are_not_finite_are_counted_and_not_drawn() -> None:
    curves = {"loss": [(1, 1.0), (2, math.nan), (3, math.inf), (4, 2.0)], "norm": [(1, math.nan)]}
    lines = drawn(curves)
    assert "loss: 2 values are not finite" in lines
    assert "norm: 1 values are not finite" in lines
    assert lines[1].startswith("loss: 2 at step 4; least 1 at step 1")


def test_one_point_is_told_in_words() -> None:
    assert drawn({"loss": [(5, 0.5)]}) == ["", "loss: 0.5 at step 5; least 0.5 at step 5"]
    assert drawn({}) == []


def test_bars_are_as_long_as_their_values() -> None:
    lines = bars([("long one", 0.5), ("half", 0.25), ("gain", -0.25), ("none", 0.0)], width=8)
    assert lines == [
        "long one ████████   50.0 %",
        "half     ████       25.0 %",
        "gain     ▒▒▒▒      -25.0 %",
        "none                 0.0 %",
    ]
    assert bars([("a", 0.0)], width=4) == ["a         0.0 %"]
    assert bars([("a", 1.0), ("b", 0.26)], width=4)[1].startswith("b █ ")
    assert bars([]) == []
