"""Comparison of two runs query by query, for an HTML report."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from hypencli.escaping import escape_shell
from hypencli.ops.evaluation.compare import judged_pair
from hypencli.ops.report.judgements import JudgementFinder
from hypencli.ops.report.pair_view import PairPlan, PairView
from hypencli.reporting.contents import Leaderboard, Limits, RunPair
from hypestore import Store


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
    view = PairView(store, plan, finder, limits)
    return replace(
        view.summary(),
        queries=view.with_documents(view.differing()[: limits.queries]),
        remarks=tuple(_remarks(view)),
    )


def _remarks(view: PairView) -> Iterator[str]:
    """Remarks on what cannot be shown, with commands that add it."""
    comparison = view.comparison
    if not view.has_grades:
        yield (
            f"Grades are not shown: the judgements {comparison.qrels} cannot be read, or somebody "
            "else recorded where they are. "
            f"Name them: hype report {escape_shell(comparison.run_a)} "
            f"{escape_shell(comparison.run_b)} --html FILE "
            "--qrels PLACE"
        )
    if not view.documents.has_text:
        yield (
            "Documents are shown by id: the embedding sets of these runs are not in the store, or "
            "have no texts. Texts are kept unless hype encode runs with --no-keep-text."
        )
