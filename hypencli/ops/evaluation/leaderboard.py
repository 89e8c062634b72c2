"""Leaderboards of a store, and SQL queries over its catalog."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from hypencli.evaluation.measures import DEFAULT_MEASURES, DL_MEASURES
from hypencli.ops.content_names import JudgementNames, RunNames, key_of
from hypencli.reporting.contents import Entry, Leaderboard
from hypencli.tabular import Row, Tabular, distinct_names
from hypestore import Store

MAX_SQL_ROWS = 1_000_000
MAX_SQL_SECONDS = 600.0
"""Limits of an SQL query of the user: rows of the result, and seconds."""


@dataclass(frozen=True, slots=True)
class LeaderboardTable(Tabular):
    """A table with a title."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[object, ...], ...]

    def _grid(self) -> tuple[Sequence[str], Sequence[Row]]:
        return self.columns, self.rows

    def _title(self) -> str:
        return self.title


class _LeaderboardRow(NamedTuple):
    """A row of the catalog view ``leaderboard``: one measure of one run."""

    qrels: str
    qrels_fingerprint: str | None
    run: str
    name: str | None
    model: str | None
    engine: str | None
    measure: str
    value: float
    seconds_total: float | None
    evaluation: str


def leaderboard(store: Store, *, measures: tuple[str, ...] = ()) -> list[LeaderboardTable]:
    """Build one table per set of judgements: a row per run, a column per measure, best run first.

    Args:
        store: The project store.
        measures: Measures to show, in this order. The first one sorts the runs. Empty shows all.
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
    """Build one leaderboard per set of judgements, with the ids of runs and evaluations.

    Judgements and corpora are told apart by their fingerprints. The newest value of a measure
    counts where a run has several evaluations with the same judgements.

    Args:
        store: The project store.
        measures: Measures to show, in this order. The first one sorts the runs. Empty shows all.
    """
    columns = ", ".join(_LeaderboardRow._fields)
    result = store.catalog.query(f"SELECT {columns} FROM leaderboard ORDER BY run, measure")
    runs, judgements = RunNames(store), JudgementNames(store)
    groups: dict[tuple[str, str], list[_LeaderboardRow]] = {}
    for row in map(_LeaderboardRow._make, result.rows):
        qrels = judgements.of(key_of(row.qrels, row.qrels_fingerprint), row.qrels)
        groups.setdefault((runs.corpus(row.run), qrels), []).append(row)
    return [
        _board(corpus, qrels, groups[corpus, qrels], measures) for corpus, qrels in sorted(groups)
    ]


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
    """One run, from its rows of one measure each."""
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
    """Sort key of a measure: the default measures in published order, then others by name."""
    for order in (DEFAULT_MEASURES, DL_MEASURES):
        if measure in order:
            return order.index(measure), measure
    return len(DEFAULT_MEASURES), measure


def sql(
    store: Store,
    statement: str,
    *,
    max_rows: int = MAX_SQL_ROWS,
    max_seconds: float = MAX_SQL_SECONDS,
) -> LeaderboardTable:
    """Run a read-only SQL query over the catalog.

    Columns with equal names are numbered: ``name``, ``name_1``.

    Args:
        store: The project store.
        statement: The query.
        max_rows: Most rows of the result.
        max_seconds: Longest time of the query.

    Raises:
        CatalogQueryError: The statement is not a query, or exceeds a limit.
    """
    result = store.catalog.query(statement, max_rows=max_rows, max_seconds=max_seconds)
    rows = tuple(tuple(row) for row in result.rows)
    return LeaderboardTable("", distinct_names(result.columns), rows)
