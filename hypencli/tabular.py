"""Results as HTML in a notebook, and tables of results as Arrow or pandas."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from hypencli.errors import DataError, MissingDependencyError
from hypencli.escaping import escape_html

if TYPE_CHECKING:
    import pyarrow as pa

Row: TypeAlias = Sequence[object]
T_co = TypeVar("T_co", covariant=True)

_SHOWN_ROWS = 50
"""Maximum number of rows of a table in a notebook."""


class NotebookRecord:
    """A result that a notebook shows as a table of fields and values."""

    __slots__ = ()

    def _repr_html_(self) -> str:
        """Render the fields as HTML, with escaped text."""
        return _html(type(self).__name__, ("field", "value"), list(_fields(self)))


class Tabular:
    """A result that is a table; subclasses define columns and rows."""

    __slots__ = ()

    def _grid(self) -> tuple[Sequence[str], Sequence[Row]]:
        """Return the column names and the rows."""
        raise NotImplementedError

    def _title(self) -> str:
        return ""

    def to_dicts(self) -> list[dict[str, object]]:
        """Return the rows as dictionaries: column -> value."""
        columns, rows = self._grid()
        return [dict(zip(columns, row, strict=True)) for row in rows]

    def to_arrow(self) -> pa.Table:
        """Return the table as ``pyarrow.Table``.

        Raises:
            DataError: No Arrow type holds the values of a column: whole numbers beyond 64 bits, or
                values of several types. The message names the column.
        """
        import pyarrow as pa

        columns, rows = self._grid()
        values = [[row[place] for row in rows] for place in range(len(columns))]
        arrays = [_array(name, column) for name, column in zip(columns, values, strict=True)]
        return pa.Table.from_arrays(arrays, names=list(columns))

    def to_pandas(self) -> Any:
        """Return the table as ``pandas.DataFrame``.

        Raises:
            MissingDependencyError: pandas is not installed.
            DataError: No Arrow type holds the values of a column.
        """
        try:
            import pandas as pd  # type: ignore[import-untyped, unused-ignore]  # noqa: F401
        except ImportError as error:
            raise MissingDependencyError(
                "A table as a DataFrame needs pandas, which is not installed.",
                hint="pip install pandas; to_arrow() and to_dicts() need nothing more.",
            ) from error
        return self.to_arrow().to_pandas()

    def _repr_html_(self) -> str:
        """Render the first rows as HTML, with escaped text."""
        columns, rows = self._grid()
        return _html(self._title(), columns, rows)


class Records(tuple[T_co, ...], Tabular):
    """A tuple of records of one dataclass, which is also a table with one row for each record."""

    __slots__ = ()

    def _grid(self) -> tuple[Sequence[str], Sequence[Row]]:
        if not self:
            return (), ()
        names = [field.name for field in dataclasses.fields(self[0])]  # type: ignore[arg-type]
        return names, [[getattr(record, name) for name in names] for record in self]


class Tables(tuple[T_co, ...]):
    """A tuple of tables, all of which a notebook shows."""

    __slots__ = ()

    def _repr_html_(self) -> str:
        """Render each table as HTML, one below the other."""
        return "".join(table._repr_html_() for table in self)  # type: ignore[attr-defined]


def distinct_names(names: Sequence[str]) -> tuple[str, ...]:
    """Make column names unique: a repeated name becomes ``name_1``, ``name_2``, and so on.

    Args:
        names: Column names of an SQL result.
    """
    distinct: list[str] = []
    for name in names:
        unused, number = name, 0
        while unused in distinct or (number and unused in names):
            number += 1
            unused = f"{name}_{number}"
        distinct.append(unused)
    return tuple(distinct)


def _array(name: str, values: list[object]) -> pa.Array:
    import pyarrow as pa

    try:
        return pa.array(values)
    except (pa.ArrowException, OverflowError, TypeError) as error:
        raise DataError(
            f"The column {name!r} fits no Arrow type: {error}.",
            hint="Cast it in the query, with ::DOUBLE or ::VARCHAR, or take to_dicts().",
        ) from error


def _fields(value: object, prefix: str = "") -> Iterator[tuple[str, object]]:
    """Yield pairs of a field and its value; a nested field is ``seconds.scoring``."""
    if dataclasses.is_dataclass(value):
        pairs = [(field.name, getattr(value, field.name)) for field in dataclasses.fields(value)]
    else:
        pairs = list(value.items())  # type: ignore[attr-defined]
    for name, item in pairs:
        if isinstance(item, Mapping) or dataclasses.is_dataclass(item):
            yield from _fields(item, f"{prefix}{name}.")
        elif item is not None:
            yield f"{prefix}{name}", item


def _html(title: str, columns: Sequence[str], rows: Sequence[Row]) -> str:
    head = "".join(f"<th>{escape_html(column)}</th>" for column in columns)
    body = "".join(
        f"<tr>{''.join(f'<td>{escape_html(_shown(cell))}</td>' for cell in row)}</tr>"
        for row in rows[:_SHOWN_ROWS]
    )
    caption = f"<caption>{escape_html(title)}</caption>" if title else ""
    more = len(rows) - _SHOWN_ROWS
    rest = f"<p>{more:,} more rows</p>" if more > 0 else ""
    return f"<table>{caption}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{rest}"


def _shown(cell: object) -> str:
    """Format a cell: floats with 4 places, None as a dash."""
    if cell is None:
        return "–"
    return f"{cell:.4f}" if isinstance(cell, float) else str(cell)
