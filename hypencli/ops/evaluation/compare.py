"""Comparisons: the leaderboard, two runs side by side, SQL."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from hypencli.errors import UsageError
from hypencli.evaluation.measures import DEFAULT_MEASURES, DL_MEASURES
from hypencli.ops.evaluation.judged import values_by_measure
from hypencli.records import (
    UNNAMED_CORPUS,
    Evaluation,
    PairedTest,
)
from hypencli.reporting.contents import Entry, Leaderboard
from hypencli.tabular import Row, Tabular, distinct_names
from hypestore import (
    Manifest,
    QueryResult,
    Store,
)

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


@dataclass(frozen=True, slots=True)
class Comparison(Tabular):
    """Two runs on the same judgements.

    Attributes:
        tests: One a measure: means, difference (B minus A), wins, losses, ties, p-values.
        n_queries: Judged queries that both have a value for.
    """

    run_a: str
    run_b: str
    qrels: str
    n_queries: int
    tests: tuple[PairedTest, ...]

    def _grid(self) -> tuple[Sequence[str], Sequence[Row]]:
        names = [] if not self.tests else list(self.tests[0].corrected)
        columns = ("measure", "mean_a", "mean_b", "difference", "wins", "losses", "ties")
        rows = [
            (
                *(getattr(test, column) for column in columns),
                *(test.corrected[name] for name in names),
            )
            for test in self.tests
        ]
        return (*columns, *(f"p_{name}" for name in names)), rows

    def _title(self) -> str:
        return f"A: {self.run_a}, B: {self.run_b}, on {self.qrels}, {self.n_queries} queries"


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
    """The same as :func:`leaderboard`, with the ids of runs and evaluations."""
    rows_found = store.catalog.query(
        "SELECT corpus, qrels, run, name, model, engine, measure, value, seconds_total, evaluation "
        "FROM leaderboard ORDER BY corpus, qrels, run"
    )
    groups: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for row in (dict(zip(rows_found.columns, values, strict=True)) for values in rows_found.rows):
        groups.setdefault((row["corpus"] or UNNAMED_CORPUS, str(row["qrels"])), []).append(row)
    return [_board(corpus, qrels, rows, measures) for (corpus, qrels), rows in groups.items()]


def _board(
    corpus: str, qrels: str, rows: list[dict[str, Any]], measures: tuple[str, ...]
) -> Leaderboard:
    names = sorted({str(row["measure"]) for row in rows}, key=_place)
    shown = tuple(measure for measure in measures if measure in names) or tuple(names)
    by_run: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        by_run.setdefault(row["run"], []).append(row)
    entries = [_entry(some) for some in by_run.values()]
    entries.sort(key=lambda entry: -(entry.values.get(shown[0]) or 0.0))
    return Leaderboard(corpus, qrels, shown, tuple(entries))


def _entry(rows: list[dict[str, Any]]) -> Entry:
    """One run, from its rows of a measure each."""
    first = rows[0]
    return Entry(
        run=first["run"],
        label=first["name"] or first["run"],
        model=first["model"],
        engine=first["engine"],
        values={row["measure"]: row["value"] for row in rows},
        seconds=first["seconds_total"],
        evaluations=tuple(dict.fromkeys(row["evaluation"] for row in rows)),
    )


def _place(measure: str) -> tuple[int, str]:
    """Order of columns: the default measures as published, then the others by name."""
    for order in (DEFAULT_MEASURES, DL_MEASURES):
        if measure in order:
            return order.index(measure), measure
    return len(DEFAULT_MEASURES), measure


def compare(
    store: Store,
    run_a: str,
    run_b: str,
    *,
    measures: tuple[str, ...] = (),
    qrels: str | None = None,
) -> Comparison:
    """Two runs side by side, query by query, on judgements that both were evaluated with.

    Raises:
        UsageError: There are no judgements that both were evaluated with.
    """
    from hypencli.evaluation import measures as library

    first, second = store.get(run_a, kind="run"), store.get(run_b, kind="run")
    evaluation_a, evaluation_b = common_evaluations(store, first, second, qrels)
    values_a, values_b = _evaluation(store, evaluation_a), _evaluation(store, evaluation_b)
    both = [name for name in values_a.per_query if name in values_b.per_query]
    shared = [name for name in measures if name in both] if measures else both
    if not shared:
        raise UsageError(
            f"The runs {first.id} and {second.id} have no measure in common among those asked for.",
            hint=f"Measures that both have: {', '.join(both) or 'none'}",
        )
    tests = library.compare(values_a, values_b, shared)
    return Comparison(
        run_a=first.name or first.id,
        run_b=second.name or second.id,
        qrels=str(evaluation_a.inputs["qrels"]),
        n_queries=max((test.n_queries for test in tests), default=0),
        tests=tuple(tests),
    )


def verdict(comparison: Comparison, level: float = 0.05) -> str:
    """What the randomisation test says, in a sentence: where B is better, worse, or neither."""
    sorted_out: dict[str, list[str]] = {"better": [], "worse": []}
    for test in comparison.tests:
        if test.corrected["randomisation"] < level:
            sorted_out["better" if test.difference > 0 else "worse"].append(test.measure)
    said = [f"{how} on {', '.join(names)}" for how, names in sorted_out.items() if names]
    if not said:
        return f"No difference between {comparison.run_a} and {comparison.run_b} is significant."
    verdict = " and ".join(said)
    return f"{comparison.run_b} is significantly {verdict} than {comparison.run_a} (p < {level})."


def common_evaluations(
    store: Store, first: Manifest, second: Manifest, qrels: str | None
) -> tuple[Manifest, Manifest]:
    """The newest evaluations of both runs with the same judgements.

    Raises:
        UsageError: There are none.
    """
    of_second = store.evaluations(second.id)
    for one in reversed(store.evaluations(first.id)):
        if qrels is not None and one.inputs["qrels"] != qrels:
            continue
        for other in reversed(of_second):
            if one.inputs["qrels_fingerprint"] == other.inputs["qrels_fingerprint"]:
                return one, other
    raise UsageError(
        f"The runs {first.id} and {second.id} were not evaluated with the same judgements.",
        hint=f"hype eval {first.id} --qrels QRELS; hype eval {second.id} --qrels QRELS",
    )


def _evaluation(store: Store, manifest: Manifest) -> Evaluation:
    judged = manifest.stat_int("judged_queries")
    values = values_by_measure(store, manifest)
    return Evaluation(store.aggregates(manifest.id), values, judged)


def sql(store: Store, statement: str) -> LeaderboardTable:
    """A read-only query over the catalog, of a user's own.

    Columns of one name are told apart: ``name``, ``name_1``.

    Raises:
        CatalogQueryError: It is none, or asks for too much.
    """
    result: QueryResult = store.catalog.query(
        statement, max_rows=MAX_SQL_ROWS, max_seconds=MAX_SQL_SECONDS
    )
    rows = tuple(tuple(row) for row in result.rows)
    return LeaderboardTable("", distinct_names(result.columns), rows)
