"""The leaderboard of a store, and tables by SQL."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from hypencli.evaluation.measures import DEFAULT_MEASURES, DL_MEASURES
from hypencli.records import UNNAMED_CORPUS
from hypencli.reporting.contents import Entry, Leaderboard
from hypencli.tabular import Row, Tabular, distinct_names
from hypestore import Store

MAX_SQL_ROWS = 1_000_000
MAX_SQL_SECONDS = 600.0
"""What a query of a user's own may give and take."""


@dataclass(frozen=True, slots=True)
class LeaderboardTable(Tabular):
    """Columns and rows to show, with a title."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[object, ...], ...]

    def _grid(self) -> tuple[Sequence[str], Sequence[Row]]:
        return self.columns, self.rows

    def _title(self) -> str:
        return self.title


class _LeaderboardRow(NamedTuple):
    """A row of the catalog's view: one measure of one run; fields are its columns."""

    corpus: str | None
    qrels: str
    run: str
    name: str | None
    model: str | None
    engine: str | None
    measure: str
    value: float
    seconds_total: float | None
    evaluation: str


def leaderboard(store: Store, *, measures: tuple[str, ...] = ()) -> list[LeaderboardTable]:
    """One table a set of judgements: a row a run, a column a measure, best first.

    Args:
        store: The project store.
        measures: Which measures to show, in this order, the first one sorting; empty shows all.
    """
    return [_table(board) for board in leaderboards(store, measures=measures)]


def _table(board: Leaderboard) -> LeaderboardTable:
    rows = tuple(
        (
            entry.label,
            entry.model,
            entry.engine,
            *(entry.values.get(measure) for measure in board.measures),
            entry.seconds,
        )
        for entry in board.entries
    )
    columns = ("run", "model", "engine", *board.measures, "seconds")
    return LeaderboardTable(f"{board.corpus} · {board.qrels}", columns, rows)


def leaderboards(store: Store, *, measures: tuple[str, ...] = ()) -> list[Leaderboard]:
    """The leaderboards of a store with the ids of runs and evaluations, best first.

    Args:
        store: The project store.
        measures: As for :func:`leaderboard`.
    """
    columns = ", ".join(_LeaderboardRow._fields)
    result = store.catalog.query(f"SELECT {columns} FROM leaderboard ORDER BY corpus, qrels, run")
    groups: dict[tuple[str, str], list[_LeaderboardRow]] = {}
    for row in map(_LeaderboardRow._make, result.rows):
        groups.setdefault((row.corpus or UNNAMED_CORPUS, row.qrels), []).append(row)
    return [_board(corpus, qrels, rows, measures) for (corpus, qrels), rows in groups.items()]


def _board(
    corpus: str, qrels: str, rows: Sequence[_LeaderboardRow], measures: tuple[str, ...]
) -> Leaderboard:
    names = sorted({row.measure for row in rows}, key=_place)
    shown = tuple(measure for measure in measures if measure in names) or tuple(names)
    by_run: dict[str, list[_LeaderboardRow]] = {}
    for row in rows:
        by_run.setdefault(row.run, []).append(row)
    entries = [_entry(some) for some in by_run.values()]
    entries.sort(key=lambda entry: -(entry.values.get(shown[0]) or 0.0))
    return Leaderboard(corpus, qrels, shown, tuple(entries))


def _entry(rows: Sequence[_LeaderboardRow]) -> Entry:
    """One run, from its rows of a measure each."""
    first = rows[0]
    return Entry(
        run=first.run,
        label=first.name or first.run,
        model=first.model,
        engine=first.engine,
        values={row.measure: row.value for row in rows},
        seconds=first.seconds_total,
        evaluations=tuple(dict.fromkeys(row.evaluation for row in rows)),
    )


def _place(measure: str) -> tuple[int, str]:
    """Order of columns: the default measures as published, then the others by name."""
    for order in (DEFAULT_MEASURES, DL_MEASURES):
        if measure in order:
            return order.index(measure), measure
    return len(DEFAULT_MEASURES), measure


def sql(store: Store, statement: str) -> LeaderboardTable:
    """A read-only query over the catalog, of a user's own.

    Columns of one name are told apart: ``name``, ``name_1``.

    Raises:
        CatalogQueryError: It is no query, or asks for too much.
    """
    result = store.catalog.query(statement, max_rows=MAX_SQL_ROWS, max_seconds=MAX_SQL_SECONDS)
    rows = tuple(tuple(row) for row in result.rows)
    return LeaderboardTable("", distinct_names(result.columns), rows)
