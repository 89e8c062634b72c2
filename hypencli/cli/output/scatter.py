"""A scatter plot for a terminal, with one letter for each point."""

from __future__ import annotations

import math
import string
from collections.abc import Sequence
from typing import TypeAlias

LetterPoint: TypeAlias = tuple[str, float, float]
"""``(letter, x, y)``, both finite."""

LETTERS = string.ascii_uppercase + string.ascii_lowercase + string.digits
_OTHER = "·"
_LABEL = 9
_LOG_SPAN = 10.0
"""The x axis is logarithmic from this ratio of its maximum to its minimum on."""


def letter(index: int) -> str:
    """The letter of a point; points beyond the 62nd share a dot."""
    return LETTERS[index] if index < len(LETTERS) else _OTHER


def scatter(points: Sequence[LetterPoint], *, width: int = 60, height: int = 12) -> list[str]:
    """A plot of ``width`` by ``height`` characters, with its axes.

    If several points fall into one character, it shows the first letter, and a line below names
    the others. The x axis is logarithmic, and marked so, if x is positive and spans a factor of 10.

    Args:
        points: At least one.
        width: Characters of the plot, without 12 for the labels on its left.
        height: Lines of the plot, without 2 for the axis below.
    """
    xs, ys = [x for _, x, _ in points], [y for _, _, y in points]
    is_log = min(xs) > 0 and max(xs) / min(xs) >= _LOG_SPAN
    scaled = [math.log(x) for x in xs] if is_log else xs
    cells: dict[tuple[int, int], list[str]] = {}
    for (name, _, y), x in zip(points, scaled, strict=True):
        column = _place(x, scaled, width)
        row = height - 1 - _place(y, ys, height)
        cells.setdefault((row, column), []).append(name)
    labels = {0: _short(max(ys)), height - 1: _short(min(ys))}
    if max(ys) == min(ys):
        labels = {height - 1 - _place(ys[0], ys, height): _short(ys[0])}
    lines = [
        f" {labels.get(row, ''):>{_LABEL}} {'┤' if row in labels else '│'}"
        + "".join(cells.get((row, column), " ")[0] for column in range(width)).rstrip()
        for row in range(height)
    ]
    return [*lines, *_axis(min(xs), max(xs), width, is_log=is_log), *_hidden(cells)]


def _place(value: float, values: Sequence[float], size: int) -> int:
    """The character, of ``size``, for a value; the middle one if all values are equal."""
    low, span = min(values), max(values) - min(values)
    share = 0.5 if span == 0 else (value - low) / span
    return round(share * (size - 1))


def _axis(least: float, most: float, width: int, *, is_log: bool) -> list[str]:
    margin = " " * (_LABEL + 2)
    first, last = _short(least), "" if least == most else _short(most)
    middle = "(log)" if is_log else ""
    if least == most:
        first, middle = "", first
    ends = f"{first}{middle:^{width - len(first) - len(last)}}{last}"
    return [f"{margin}└{'─' * width}", f"{margin} {ends}".rstrip()]


def _short(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def _hidden(cells: dict[tuple[int, int], list[str]]) -> list[str]:
    """Lines that name points hidden behind another point."""
    margin = " " * (_LABEL + 3)
    shared = [names for names in cells.values() if len(names) > 1]
    return [f"{margin}{names[0]}: also {', '.join(names[1:])}" for names in shared]
