"""Comparisons: the leaderboard, two runs side by side, SQL."""

from __future__ import annotations

from dataclasses import dataclass

from hypencli.errors import UsageError
from hypencli.measures import DEFAULT_MEASURES, DL_MEASURES
from hypencli.ops.judged import values_by_measure
from hypencli.records import Evaluation, PairedTest
from hypestore import Manifest, QueryResult, Store


@dataclass(frozen=True, slots=True)
class Table:
    """Columns and rows to show, with a title."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[object, ...], ...]


@dataclass(frozen=True, slots=True)
class Comparison:
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


def leaderboard(store: Store, *, measures: tuple[str, ...] = ()) -> list[Table]:
    """One table a set of judgements: a row a run, a column a measure, best first.

    Args:
        store: The project store.
        measures: Which measures to show, in this order, the first one sorting; empty shows all.
    """
    found = store.catalog.query(
        "SELECT corpus, qrels, run, name, model, engine, measure, value, seconds_total "
        "FROM leaderboard ORDER BY corpus, qrels, run"
    )
    groups: dict[tuple[str, str], list[dict[str, object]]] = {}
    for row in (dict(zip(found.columns, values, strict=True)) for values in found.rows):
        groups.setdefault((str(row["corpus"]), str(row["qrels"])), []).append(row)
    return [
        _board(f"{corpus} · {qrels}", rows, measures) for (corpus, qrels), rows in groups.items()
    ]


def _board(title: str, rows: list[dict[str, object]], measures: tuple[str, ...]) -> Table:
    known = sorted({str(row["measure"]) for row in rows}, key=_place)
    shown = [measure for measure in measures if measure in known] or known
    runs: dict[str, dict[str, object]] = {}
    for row in rows:
        run = runs.setdefault(str(row["run"]), dict(row))
        run[str(row["measure"])] = row["value"]
    lines = [
        (
            str(run["name"] or run["run"]),
            run["model"],
            run["engine"],
            *(run.get(measure) for measure in shown),
            run["seconds_total"],
        )
        for run in runs.values()
    ]
    lines.sort(key=lambda line: -float(str(line[3])) if line[3] is not None else 0.0)
    return Table(title, ("run", "model", "engine", *shown, "seconds"), tuple(lines))


def _place(measure: str) -> tuple[int, str]:
    """Order of columns: the default measures as published, then the others by name."""
    for known in (DEFAULT_MEASURES, DL_MEASURES):
        if measure in known:
            return known.index(measure), measure
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
    from hypencli import measures as library

    first, second = store.get(run_a, kind="run"), store.get(run_b, kind="run")
    evaluation_a, evaluation_b = _common(store, first, second, qrels)
    values_a, values_b = _evaluation(store, evaluation_a), _evaluation(store, evaluation_b)
    both = [name for name in values_a.per_query if name in values_b.per_query]
    chosen = [name for name in measures if name in both] if measures else both
    if not chosen:
        raise UsageError(
            f"The runs {first.id} and {second.id} have no measure in common among those asked for.",
            hint=f"Measures that both have: {', '.join(both) or 'none'}",
        )
    tests = library.compare(values_a, values_b, chosen)
    return Comparison(
        run_a=first.name or first.id,
        run_b=second.name or second.id,
        qrels=str(evaluation_a.inputs["qrels"]),
        n_queries=max((test.n_queries for test in tests), default=0),
        tests=tuple(tests),
    )


def _common(
    store: Store, first: Manifest, second: Manifest, qrels: str | None
) -> tuple[Manifest, Manifest]:
    """The newest evaluations of both runs with the same judgements."""
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
    judged = int(str(manifest.stats["judged_queries"]))
    values = values_by_measure(store, manifest)
    return Evaluation(store.aggregates(manifest.id), values, judged)


def sql(store: Store, statement: str) -> Table:
    """A read-only query over the catalog."""
    found: QueryResult = store.catalog.query(statement)
    return Table("", tuple(found.columns), tuple(tuple(row) for row in found.rows))
