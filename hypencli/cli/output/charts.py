"""Curves and bars for a terminal, drawn with braille dots and block characters."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, TypeAlias

from hypencli.cli.output.render import escape

if TYPE_CHECKING:
    from rich.console import Console

Points: TypeAlias = Sequence[tuple[int, float]]
"""Pairs ``(step, value)``, ordered by step."""

_WIDTH, _HEIGHT, _LOW_HEIGHT = 60, 8, 4
_LABEL, _NAME, _SPARK = 9, 24, 24
_BARS = 40
_BLOCKS = "▁▂▃▄▅▆▇█"
_PARTS = " ▏▎▍▌▋▊▉"
_DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))
"""Bits of the dots of a braille character: 4 rows of 2 dots."""


def draw_curves(console: Console, curves: Mapping[str, Points]) -> None:
    """Draw charts of the loss and of validations, and a sparkline of each other curve."""
    finite = {name: [p for p in points if math.isfinite(p[1])] for name, points in curves.items()}
    drawn = {name: points for name, points in finite.items() if points}
    charted = [name for name in drawn if name == "loss" or name.startswith("validation.")]
    for name in charted:
        _draw_chart(console, name, drawn[name])
    if len(drawn) > len(charted):
        console.print()
    for name in drawn:
        if name not in charted:
            _draw_line(console, name, drawn[name])
    for name, points in curves.items():
        if len(points) > len(finite[name]):
            console.print(
                f"{escape(name)}: {len(points) - len(finite[name]):,} values are not finite"
            )


def _draw_chart(console: Console, name: str, points: Points) -> None:
    console.print(f"\n{escape(name)}: {_summary(name, points)}")
    if len(points) > 1:
        width = max(20, min(_WIDTH, console.width - _LABEL - 5))
        height = _HEIGHT if name == "loss" else _LOW_HEIGHT
        for line in chart(points, width=width, height=height):
            console.print(line)


def _draw_line(console: Console, name: str, points: Points) -> None:
    line = sparkline([value for _, value in points], _SPARK)
    ends = f"{_short(points[0][1])} → {_short(points[-1][1])}"
    console.print(f"{escape(name)[:_NAME]:{_NAME}} {line:{_SPARK}} {ends}")


def chart(points: Points, *, width: int = _WIDTH, height: int = _HEIGHT) -> list[str]:
    """A line chart of ``width`` by ``height`` characters, with its axes.

    If several points fall into one column, the line spans from their minimum to their maximum.

    Args:
        points: At least two, ordered by step, all finite.
        width: Characters of the plot, without 12 for the labels on its left.
        height: Lines of the plot, without 2 for the axis below.
    """
    values = [value for _, value in points]
    rows = _braille(points, width=width, height=height)
    labels = {0: _short(max(values)), height - 1: _short(min(values))}
    lines = [
        f" {labels.get(i, ''):>{_LABEL}} {'┤' if i in labels else '│'}{row}"
        for i, row in enumerate(rows)
    ]
    first, last = f"{points[0][0]:,}", f"{points[-1][0]:,}"
    margin = " " * (_LABEL + 2)
    steps = f"{first}{last:>{width - len(first)}}"
    return [*lines, f"{margin}└{'─' * width}", f"{margin} {steps}"]


def sparkline(values: Sequence[float], width: int = _WIDTH) -> str:
    """A curve as one line of block characters; each shows the mean of an equal part."""
    n, parts = len(values), min(width, len(values))
    bounds = [i * n // parts for i in range(parts + 1)]
    means = [sum(values[a:b]) / (b - a) for a, b in pairwise(bounds)]
    low, span = min(means), (max(means) - min(means)) or 1.0
    return "".join(_BLOCKS[int((value - low) / span * (len(_BLOCKS) - 1))] for value in means)


def bars(values: Sequence[tuple[str, float]], width: int = _BARS) -> list[str]:
    """Horizontal bars, one line for each name; bars of negative values are hatched.

    Args:
        values: Names and values, all finite.
        width: Characters of the longest bar.
    """
    longest = max((abs(value) for _, value in values), default=0.0) or 1.0
    column = max((len(name) for name, _ in values), default=0)
    lines = []
    for name, value in values:
        eighths = round(abs(value) / longest * width * 8)
        full, rest = divmod(eighths, 8)
        bar = "█" * full + (_PARTS[rest] if rest else "")
        bar = bar if value >= 0 else "▒" * max(1, round(eighths / 8))
        lines.append(f"{name:{column}} {bar:{width}} {100 * value:6.1f} %".rstrip())
    return lines


def _braille(points: Points, *, width: int, height: int) -> list[str]:
    """The lines of a plot; each character has 2 by 4 dots."""
    dots = _dots(points, columns=2 * width, rows=4 * height)
    cells = [[0x2800] * width for _ in range(height)]
    for x, y in dots:
        cells[y // 4][x // 2] |= _DOTS[y % 4][x % 2]
    return ["".join(map(chr, row)).replace("\u2800", " ").rstrip() for row in cells]


def _dots(points: Points, *, columns: int, rows: int) -> set[tuple[int, int]]:
    """Dots ``(x, y)`` of a curve, counted from the upper left corner, joined by lines."""
    steps, values = [step for step, _ in points], [value for _, value in points]
    low, span = min(values), max(values) - min(values)
    length = max(steps[-1] - steps[0], 1)

    def place(step: int, value: float) -> tuple[int, int]:
        x = round((step - steps[0]) / length * (columns - 1))
        up = 0.5 if span == 0 else (value - low) / span
        return x, rows - 1 - round(up * (rows - 1))

    placed = [place(*point) for point in points]
    dots = set(placed)
    for start, end in pairwise(placed):
        dots |= _line(start, end)
    return dots


def _line(start: tuple[int, int], end: tuple[int, int]) -> set[tuple[int, int]]:
    """The dots of a straight line between two dots."""
    (x0, y0), (x1, y1) = start, end
    n = max(abs(x1 - x0), abs(y1 - y0), 1)
    return {(round(x0 + (x1 - x0) * i / n), round(y0 + (y1 - y0) * i / n)) for i in range(n + 1)}


def _summary(name: str, points: Points) -> str:
    """The last and the best value of a curve: a loss is best at its minimum."""
    last, is_loss = points[-1], name.endswith("loss")
    best = (min if is_loss else max)(points, key=lambda point: point[1])
    return (
        f"{_short(last[1])} at step {last[0]:,}; "
        f"{'least' if is_loss else 'best'} {_short(best[1])} at step {best[0]:,}"
    )


def _short(value: float) -> str:
    return f"{value:.4g}"
