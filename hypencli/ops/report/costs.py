"""What searches take and find, for a report: the figures of ``hype costs``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from hypencli.ops.evaluation.costs import CostComparison, SearchCost, compare_costs
from hypencli.progress import Progress
from hypencli.reporting.contents import Limits, SearchCosts, SearchEntry
from hypencli.reporting.text import left_out
from hypestore import Store

_NAMED = 5


def costs_of(
    store: Store, limits: Limits, *, depth: int | None, progress: Progress
) -> tuple[tuple[SearchCosts, ...], tuple[str, ...]]:
    """The searches of each corpus and query set, and what was left out.

    Args:
        store: The project store.
        limits: How many to take.
        depth: Depth of recall; None takes one that the runs have.
        progress: Where to report.

    Raises:
        DamagedArtifact: Results that are to be compared cannot be read.
    """
    comparisons = compare_costs(store, depth=depth, progress=progress)
    more = len(comparisons) - limits.costs
    said = left_out(more, "pairs of corpus and query set", "hype costs")
    return tuple(_search_costs(one, limits) for one in comparisons[: limits.costs]), said


def _search_costs(comparison: CostComparison, limits: Limits) -> SearchCosts:
    return SearchCosts(
        corpus=comparison.corpus,
        queries=comparison.queries,
        n_documents=comparison.n_documents,
        depth=comparison.depth,
        searches=tuple(_search(one) for one in comparison.costs[: limits.searches]),
        places=comparison.places,
        remarks=tuple(_remarks(comparison, limits)),
    )


def _search(cost: SearchCost) -> SearchEntry:
    return SearchEntry(
        run=cost.run,
        label=cost.name or cost.run,
        engine=cost.engine,
        model=cost.model,
        searched=cost.searched,
        ms_per_query=cost.ms_per_query,
        ms_query_encoding=cost.ms_query_encoding,
        evaluations=cost.evaluations,
        evaluations_share=cost.evaluations_share,
        recall=cost.recall,
        checked_queries=cost.checked_queries,
        fronts=cost.fronts,
    )


def _remarks(comparison: CostComparison, limits: Limits) -> Iterator[str]:
    """How far the figures go, and what would give those that are lacking."""
    lacking = [cost for cost in comparison.costs if comparison.depth not in cost.recall]
    if lacking:
        yield (
            f"Without recall@{comparison.depth:,}: {_named(lacking)}. hype costs says why, "
            "and what would give it."
        )
    if len(comparison.places) > 1:
        yield f"Times are from several places, and do not compare: {'; '.join(comparison.places)}"
    if all(cost.engine == "exact" for cost in comparison.costs):
        yield (
            "All of these searches are exact: no plot would show more. "
            "Next: hype search QUERIES --approx"
        )
    yield from left_out(len(comparison.costs) - limits.searches, "slower searches", "hype costs")


def _named(costs: Sequence[SearchCost]) -> str:
    names = [cost.name or cost.run for cost in costs[:_NAMED]]
    more = len(costs) - len(names)
    return ", ".join(names) + (f" and {more:,} more" if more else "")
