"""Formats of printed tables: one function for each value of ``--format``.

An installed package offers a format of its own as an entry point of the group
``hypencli.formats``; see docs/extending.md.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

from hypencli.cli.output.render import escape, number, to_json
from hypencli.errors import UsageError, did_you_mean
from hypencli.escaping import escape_csv, escape_json, escape_latex, escape_markdown
from hypencli.plugins import offered, offered_names

FORMATS_GROUP = "hypencli.formats"

TERMINAL = "table"
"""The default format: a table that fits the width of the terminal."""

TableWriter: TypeAlias = Callable[[str, Sequence[str], Sequence[Sequence[object]]], str]
"""``(title, columns, rows) -> text``. The title may be empty; a cell is text, a number or None."""


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


FORMATS: Mapping[str, TableWriter] = {
    "json": _json_table,
    "csv": _csv,
    "markdown": _markdown,
    "latex": _latex,
}
"""Name -> writer of the shipped formats, without :data:`TERMINAL`."""


def check_format(name: str) -> str:
    """Return the name of a format, if that format exists.

    Raises:
        UsageError: No format has this name; the hint lists the formats.
    """
    if name != TERMINAL:
        format_writer(name)
    return name


def format_writer(name: str) -> TableWriter:
    """The function that writes a table in a format, shipped or of an installed package.

    Raises:
        UsageError: No format has this name, or the installed package offers no function.
    """
    writer = FORMATS.get(name) or offered(FORMATS_GROUP, name)
    if writer is None:
        names = [TERMINAL, *FORMATS, *offered_names(FORMATS_GROUP)]
        raise UsageError(f"Unknown format {name!r}.", hint=did_you_mean(name, names))
    if not callable(writer):
        raise UsageError(
            f"The format {name!r} of an installed package is not a function.",
            hint=f"Entry points of {FORMATS_GROUP} are functions (title, columns, rows) -> text.",
        )
    return writer
