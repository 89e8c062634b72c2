"""Tables of the page: columns, cells, and sort keys."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

from hypencli.reporting.contents import Entry, Leaderboard, RunPair, SearchCost, SearchCosts
from hypencli.reporting.text import MISSING, decimals, p_value, signed, whole


@dataclass(frozen=True, slots=True)
class Column:
    """A column; ``order`` is set if the rows are sorted by it."""

    label: str
    numeric: bool = False
    order: Literal["ascending", "descending"] | None = None


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell.

    Attributes:
        value: Sort key of a number.
        note: Second line in small print.
        target: Id of the HTML element to link to.
        is_best: Whether it is the best value of its column.
        links: Several pairs ``(text, target)`` instead of ``text``.
    """

    text: str
    value: float | None = None
    note: str | None = None
    target: str | None = None
    is_best: bool = False
    links: tuple[tuple[str, str | None], ...] = ()


@dataclass(frozen=True, slots=True)
class Row:
    """A row; ``anchor`` is the id of its HTML element."""

    cells: tuple[Cell, ...]
    anchor: str | None = None


@dataclass(frozen=True, slots=True)
class Table:
    """A table.

    Attributes:
        heading: Index of the column that names the subject of a row.
    """

    caption: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    heading: int = 0


def leaderboard_table(board: Leaderboard, anchors: Mapping[str, str]) -> Table:
    """Build a table with a row per run and a column per measure; the best values are marked.

    Args:
        board: The runs.
        anchors: Id of an artifact -> id of its HTML element.
    """
    columns = [
        Column("run"),
        *(
            Column(measure, numeric=True, order="descending" if i == 0 else None)
            for i, measure in enumerate(board.measures)
        ),
        Column("seconds", numeric=True),
        *(Column(label) for label in ("engine", "model")),
    ]
    best = {measure: _best(board.entries, measure) for measure in board.measures}
    rows = tuple(Row(tuple(_entry_cells(entry, best, anchors))) for entry in board.entries)
    caption = f"{board.corpus} · {board.qrels}"
    return Table(caption, tuple(columns), rows)


def _best(entries: Sequence[Entry], measure: str) -> float | None:
    """Return the greatest value of a measure; None if all values are equal."""
    values = [value for entry in entries if (value := entry.values.get(measure)) is not None]
    return max(values) if len(set(values)) > 1 else None


def _entry_cells(
    entry: Entry, best: Mapping[str, float | None], anchors: Mapping[str, str]
) -> Iterable[Cell]:
    yield Cell(entry.label, target=anchors.get(entry.run))
    for measure, most in best.items():
        value = entry.values.get(measure)
        is_best = value is not None and value == most
        yield Cell(decimals(value), value, is_best=is_best)
    yield Cell(decimals(entry.seconds, 1), entry.seconds)
    yield Cell(entry.engine or MISSING)
    yield Cell(entry.model or MISSING)


def comparison_table(pair: RunPair) -> Table:
    """Build a table with a row per measure: both means, their difference, and the tests."""
    names = list(pair.tests[0].corrected) if pair.tests else []
    labels = ("A", "B", "B − A", "wins", "losses", "ties", *(f"p {name}" for name in names))
    rows = []
    for test in pair.tests:
        cells = [
            Cell(test.measure),
            Cell(decimals(test.mean_a), test.mean_a),
            Cell(decimals(test.mean_b), test.mean_b),
            Cell(signed(test.difference), test.difference),
            *(Cell(whole(count), count) for count in (test.wins, test.losses, test.ties)),
            *(Cell(p_value(test.corrected[name]), test.corrected[name]) for name in names),
        ]
        rows.append(Row(tuple(cells)))
    columns = (Column("measure"), *(Column(label, numeric=True) for label in labels))
    return Table(f"Measures over {pair.n_queries:,} queries", columns, tuple(rows))


def costs_table(costs: SearchCosts, anchors: Mapping[str, str]) -> Table:
    """Build a table with a row per search, numbered as in the plots, without empty columns."""
    depths = sorted({depth for search in costs.searches for depth in search.recall})
    cells: dict[str, Callable[[SearchCost], Cell]] = {
        "ms a query": lambda one: Cell(decimals(one.ms_per_query, 2), one.ms_per_query),
        "encoding ms": lambda one: Cell(decimals(one.ms_query_encoding, 2), one.ms_query_encoding),
        "evaluations": lambda one: Cell(whole(one.evaluations), one.evaluations),
        "% of corpus": lambda one: _percent(one.evaluations_share),
        **{f"recall@{depth}": partial(_recall, depth=depth) for depth in depths},
        "checked queries": lambda one: Cell(whole(one.checked_queries), one.checked_queries),
    }
    columns = {label: [cell(one) for one in costs.searches] for label, cell in cells.items()}
    shown = {
        label: column
        for label, column in columns.items()
        if any(cell.value is not None for cell in column)
    }
    rows = tuple(
        Row(
            (
                Cell(str(number), number),
                Cell(search.label, target=anchors.get(search.run)),
                *(column[number - 1] for column in shown.values()),
                Cell(" and ".join(search.fronts) or MISSING),
                Cell(search.engine),
                Cell(search.model),
            )
        )
        for number, search in enumerate(costs.searches, start=1)
    )
    headers = (
        Column("no.", numeric=True),
        Column("run"),
        *(
            Column(label, numeric=True, order="ascending" if label == "ms a query" else None)
            for label in shown
        ),
        *(Column(label) for label in (f"front at {costs.depth:,}", "engine", "model")),
    )
    return Table("Searches, quickest first", headers, rows, heading=1)


def _percent(share: float | None) -> Cell:
    percent = None if share is None else 100 * share
    return Cell(decimals(percent, 2), percent)


def _recall(search: SearchCost, depth: int) -> Cell:
    return Cell(decimals(search.recall.get(depth)), search.recall.get(depth))
