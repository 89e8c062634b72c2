"""Scatter plots, read back from the characters."""

from __future__ import annotations

import pytest

from hypencli.cli.output.scatter import LETTERS, letter, scatter

MARGIN = 12


def places(lines: list[str], height: int) -> dict[str, tuple[int, int]]:
    """Letter -> (column from the left, row from the bottom)."""
    return {
        character: (column, height - 1 - row)
        for row, line in enumerate(lines[:height])
        for column, character in enumerate(line[MARGIN:])
        if character != " "
    }


def test_points_lie_where_they_are() -> None:
    points = [("A", 0.0, 0.0), ("B", 4.0, 1.0), ("C", 1.0, 0.5), ("D", 3.0, 0.25)]
    lines = scatter(points, width=41, height=5)
    assert places(lines, 5) == {"A": (0, 0), "B": (40, 4), "C": (10, 2), "D": (30, 1)}
    assert len(lines) == 7


def test_a_wide_span_above_zero_is_logarithmic() -> None:
    points = [("A", 1.0, 0.0), ("B", 10.0, 0.5), ("C", 100.0, 1.0)]
    lines = scatter(points, width=21, height=3)
    assert places(lines, 3) == {"A": (0, 0), "B": (10, 1), "C": (20, 2)}
    assert lines[4].split() == ["1", "(log)", "100"]
    narrow = scatter([("A", 1.0, 0.0), ("B", 5.0, 0.5), ("C", 9.0, 1.0)], width=21, height=3)
    assert places(narrow, 3)["B"] == (10, 1)
    assert "(log)" not in narrow[4]
    from_zero = scatter([("A", 0.0, 0.0), ("B", 50.0, 0.5), ("C", 100.0, 1.0)], width=21, height=3)
    assert places(from_zero, 3)["B"] == (10, 1)


def test_axes_say_the_ends() -> None:
    lines = scatter([("A", 0.25, 0.125), ("B", 12345.6, 1.0)], width=30, height=4)
    assert lines[0].startswith("         1 ┤")
    assert lines[3].startswith("     0.125 ┤A")
    assert lines[4] == " " * 11 + "└" + "─" * 30
    assert lines[5].split() == ["0.25", "(log)", "12,346"]
    assert len(lines[5]) == MARGIN + 30


def test_letters_that_share_a_place_are_named() -> None:
    points = [("A", 1.0, 1.0), ("B", 1.01, 1.0), ("C", 5.0, 0.0), ("D", 1.0, 1.0)]
    lines = scatter(points, width=20, height=4)
    assert set(places(lines, 4)) == {"A", "C"}
    assert lines[6:] == [" " * MARGIN + "A: also B, D"]


@pytest.mark.parametrize("points", [[("A", 3.0, 0.5)], [("A", 3.0, 0.5), ("B", 3.0, 0.5)]])
def test_equal_points_are_in_the_middle(points: list[tuple[str, float, float]]) -> None:
    lines = scatter(points, width=21, height=5)
    assert places(lines, 5) == {"A": (10, 2)}
    assert "0.5 ┤" in lines[2]
    assert lines[6].strip() == "3"


def test_points_beyond_the_letters_are_dots() -> None:
    assert [letter(0), letter(26), letter(61), letter(62), letter(99)] == ["A", "a", "9", "·", "·"]
    assert len(set(LETTERS)) == len(LETTERS) == 62
