"""Tables for the terminal, for programs, and for papers."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence

from hypencli.cli.output.render import (
    console,
    escape,
    number,
    to_json,
)
from hypencli.escaping import (
    escape_csv,
    escape_json,
    escape_latex,
    escape_markdown,
)

_MANY_ROWS = 100
"""From here on a table that fits is laid out here: rich takes seconds for thousands of rows."""

TABLE_FORMATS = ("table", "json", "csv", "markdown", "latex")


def print_table(
    title: str, columns: Sequence[str], rows: Sequence[Sequence[object]], *, format: str = "table"
) -> None:
    """Print a table in one of :data:`TABLE_FORMATS`."""
    if format == "table":
        _rich_table(title, columns, rows)
        return
    writers = {"json": _json_table, "csv": _csv, "markdown": _markdown, "latex": _latex}
    sys.stdout.write(writers[format](title, columns, rows))


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
    """The lines of a table whose first row is its head, as rich draws a simple box.

    None where a cell is not of characters of one column each.
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
    """Print names and what they mean, the names in a column of ``width``, without a frame.

    A name that is longer has a line of its own.
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


def _json_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    records = [dict(zip(columns, map(to_json, row), strict=True)) for row in rows]
    return escape_json({"title": title, "rows": records}) + "\n"


def _csv(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    return escape_csv(columns) + "".join(escape_csv(map(to_json, row)) for row in rows)


def _markdown(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    def line(cells: Sequence[object]) -> str:
        return f"| {' | '.join(escape_markdown(number(cell)) for cell in cells)} |\n"

    head = f"**{escape_markdown(title)}**\n\n" if title else ""
    return head + line(columns) + line(["---"] * len(columns)) + "".join(map(line, rows))


def _latex(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    def line(cells: Sequence[object]) -> str:
        return " & ".join(escape_latex(number(cell)) for cell in cells) + " \\\\\n"

    layout = "l" + "r" * (len(columns) - 1)
    head = f"% {escape(title)}\n" if title else ""
    body = "".join(line(row) for row in rows)
    return (
        f"{head}\\begin{{tabular}}{{{layout}}}\n\\toprule\n{line(columns)}\\midrule\n"
        f"{body}\\bottomrule\n\\end{{tabular}}\n"
    )
