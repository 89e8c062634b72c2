"""Comparison of two runs query by query, for an HTML report."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from hypencli.escaping import escape_shell
from hypencli.ops.content_names import RunNames
from hypencli.ops.evaluation.compare import Comparison, compare_judged, judged_pair, verdict
from hypencli.ops.report.documents import PairDocuments
from hypencli.ops.report.judgements import JudgementFinder
from hypencli.reporting.contents import Leaderboard, Limits, QueryDifference, RunPair
from hypencli.reporting.text import shortened
from hypestore import Store

_NOISE = 1e-12
"""Smaller differences are rounding errors. The paired tests use the same limit."""


@dataclass(frozen=True, slots=True)
class PairPlan:
    """Two runs to compare.

    Attributes:
        run_a: Id of the first run.
        run_b: Id of the second run.
        qrels: Name of the judgements, as in the leaderboard. None selects the newest that both runs
            were evaluated with.
        measures: Measures to test. The first one is shown query by query. Empty selects all.
    """

    run_a: str
    run_b: str
    qrels: str | None
    measures: tuple[str, ...]


def best_pairs(boards: Sequence[Leaderboard]) -> list[PairPlan]:
    """Pair the best two runs of each leaderboard. B is the best run."""
    return [
        PairPlan(board.entries[1].run, board.entries[0].run, board.qrels, board.measures)
        for board in boards
        if len(board.entries) > 1
    ]


def named_pair(
    store: Store,
    runs: tuple[str, str],
    boards: Sequence[Leaderboard],
    *,
    qrels: str | None,
    measures: tuple[str, ...],
) -> PairPlan:
    """Pair two runs that the user named, with the measures of a leaderboard that has both.

    Raises:
        ArtifactNotFound: There is no such run.
        UsageError: The runs were not evaluated with the same judgements.
    """
    a, b = judged_pair(store, *runs, qrels=qrels)
    plan = PairPlan(a.run.id, b.run.id, a.qrels, measures)
    for board in boards:
        has_both = {a.run.id, b.run.id} <= {entry.run for entry in board.entries}
        if has_both and board.qrels == a.qrels and not measures:
            return replace(plan, measures=board.measures)
    return plan


def pair_of(store: Store, plan: PairPlan, finder: JudgementFinder, limits: Limits) -> RunPair:
    """Compare two runs, and gather the queries with the largest differences.

    Raises:
        UsageError: The runs were not evaluated with the same judgements.
        DataError: The judgements that the user named cannot be read.
    """
    a, b = judged_pair(store, plan.run_a, plan.run_b, qrels=plan.qrels)
    comparison = compare_judged(a, b, plan.measures)
    run_a, run_b = (store.run(one.run.id) for one in (a, b))
    measure = comparison.tests[0].measure
    differing = _differing(*(one.evaluation.per_query[measure] for one in (a, b)))
    qrels = finder.find(a, (a.run, b.run))
    documents = PairDocuments(store, run_a, run_b, qrels or {}, limits)
    shown = differing[: limits.queries]
    return RunPair(
        corpus=RunNames(store).corpus(a.run.id),
        qrels=comparison.qrels,
        run_a=run_a.manifest.id,
        run_b=run_b.manifest.id,
        label_a=comparison.run_a,
        label_b=comparison.run_b,
        measure=measure,
        tests=comparison.tests,
        verdict=verdict(comparison),
        differences=tuple(sorted((b - a for _, a, b in differing), reverse=True)),
        n_queries=comparison.n_queries,
        queries=_queries(shown, documents, run_b.queries() | run_a.queries(), limits),
        has_grades=qrels is not None,
        remarks=tuple(_remarks(comparison, documents, has_grades=qrels is not None)),
    )


def _differing(a: Mapping[str, float], b: Mapping[str, float]) -> list[tuple[str, float, float]]:
    """``(query id, value of A, value of B)`` of queries that differ, largest difference first."""
    rows = [(query_id, a[query_id], b[query_id]) for query_id in a if query_id in b]
    rows = [row for row in rows if abs(row[2] - row[1]) >= _NOISE]
    return sorted(rows, key=lambda row: (-round(abs(row[2] - row[1]), 12), row[0]))


def _queries(
    rows: Sequence[tuple[str, float, float]],
    documents: PairDocuments,
    texts: Mapping[str, str],
    limits: Limits,
) -> tuple[QueryDifference, ...]:
    """The queries of some rows, with the documents of both runs."""
    text_of = documents.of([query_id for query_id, _, _ in rows])
    return tuple(
        QueryDifference(
            query_id=query_id,
            text=shortened(texts.get(query_id, ""), 2 * limits.text_characters),
            value_a=value_a,
            value_b=value_b,
            top_a=one.top_a,
            top_b=one.top_b,
            moved=one.moved,
            n_moved=one.n_moved,
            end_a=one.end_a,
            end_b=one.end_b,
            found=one.found,
        )
        for (query_id, value_a, value_b), one in zip(rows, text_of, strict=True)
    )


def _remarks(
    comparison: Comparison, documents: PairDocuments, *, has_grades: bool
) -> Iterator[str]:
    """Remarks on what cannot be shown, with commands that add it."""
    if not has_grades:
        yield (
            f"Grades are not shown: the judgements {comparison.qrels} cannot be read, or somebody "
            "else recorded where they are. "
            f"Name them: hype report {escape_shell(comparison.run_a)} "
            f"{escape_shell(comparison.run_b)} --html FILE "
            "--qrels PLACE"
        )
    if not documents.has_text:
        yield (
            "Documents are shown by id: the embedding sets of these runs are not in the store, or "
            "have no texts. Texts are kept unless hype encode runs with --no-keep-text."
        )
