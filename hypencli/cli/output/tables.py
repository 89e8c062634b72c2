"""Print tables, drawn for a terminal or in another format."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence

from hypencli.cli.output.formats import TERMINAL, format_writer
from hypencli.cli.output.render import console, escape, number

_MANY_ROWS = 100
"""Longer tables are aligned without rich, which takes seconds for thousands of rows."""


def print_table(
    title: str, columns: Sequence[str], rows: Sequence[Sequence[object]], *, format: str = TERMINAL
) -> None:
    """Print a table.

    Args:
        title: A heading; may be empty.
        columns: Names of the columns.
        rows: Cells, one for each column.
        format: A name that :func:`~hypencli.cli.output.formats.check_format` accepts.
    """
    if format == TERMINAL:
        _rich_table(title, columns, rows)
    else:
        sys.stdout.write(format_writer(format)(title, columns, rows))


def _rich_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    terminal = console()
    if title:
        terminal.print(Text(escape(title)))
    numeric = [any(isinstance(row[i], int | float) for row in rows) for i in range(len(columns))]
    if len(rows) >= _MANY_ROWS:
        lines = aligned([list(map(escape, columns)), *(map(number, row) for row in rows)], numeric)
        if lines is not None and len(lines[0]) <= terminal.width:
            terminal.print(Text("\n".join(lines)), soft_wrap=True)
            return
    table = Table(box=box.SIMPLE)
    for column, right in zip(columns, numeric, strict=True):
        table.add_column(
            Text(escape(column)), justify="right" if right else "left", overflow="fold"
        )
    for row in rows:
        table.add_row(*(Text(number(cell)) for cell in row))
    terminal.print(table)


def aligned(rows: Iterable[Iterable[str]], right: Sequence[bool]) -> list[str] | None:
    """The lines of a table in rich's style ``SIMPLE``; the first row is the head.

    The result is None if a cell holds a character that is not one column wide.
    """
    cells = [list(row) for row in rows]
    if not all(cell.isascii() or cell == "–" for row in cells for cell in row):
        return None
    if any("\n" in cell or "\t" in cell for row in cells for cell in row):
        return None
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    layout = "".join(
        f"  {{:{'>' if is_right else '<'}{width}}} "
        for is_right, width in zip(right, widths, strict=True)
    )
    head, *body = (f"{layout.format(*row)} " for row in cells)
    blank, rule = " " * len(head), f" {'─' * (len(head) - 2)} "
    return [blank, head, rule, *body, blank]


def print_pairs(rows: Sequence[tuple[str, str]], *, width: int) -> None:
    """Print names and their meanings in two columns, without a frame.

    Args:
        rows: Pairs of a name and its meaning.
        width: Characters of the first column. A longer name gets its own line.
    """
    from rich.table import Table
    from rich.text import Text

    terminal = console()
    for name, meaning in rows:
        fits = len(name) <= width
        if not fits:
            terminal.print(Text(escape(name)))
        table = Table.grid(padding=(0, 2, 0, 0))
        table.add_column(width=width)
        table.add_row(Text(escape(name) if fits else ""), Text(escape(meaning)))
        terminal.print(table)
