"""Search costs for an HTML report: the figures of ``hype costs``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from hypencli.ops.evaluation.costs import CostComparison, compare_costs
from hypencli.progress import Progress
from hypencli.reporting.contents import Limits, SearchCost, SearchCosts
from hypencli.reporting.text import left_out
from hypestore import Store

_NAMED = 5


def costs_of(
    store: Store, limits: Limits, *, depth: int | None, progress: Progress
) -> tuple[tuple[SearchCosts, ...], tuple[str, ...]]:
    """Gather search costs by corpus and query set.

    Args:
        store: The project store.
        limits: Limits of the report.
        depth: Depth of recall. None selects a depth that the runs have.
        progress: Where to report.

    Returns:
        The costs, and remarks on what was left out.

    Raises:
        DamagedArtifact: The results of a run cannot be read.
    """
    comparisons = compare_costs(store, depth=depth, progress=progress)
    more = len(comparisons) - limits.costs
    remarks = left_out(more, "pairs of corpus and query set", "hype costs")
    return tuple(_search_costs(one, limits) for one in comparisons[: limits.costs]), remarks


def _search_costs(comparison: CostComparison, limits: Limits) -> SearchCosts:
    return SearchCosts(
        corpus=comparison.corpus,
        queries=comparison.queries,
        n_documents=comparison.n_documents,
        depth=comparison.depth,
        searches=comparison.costs[: limits.searches],
        places=comparison.places,
        remarks=tuple(_remarks(comparison, limits)),
    )


def _remarks(comparison: CostComparison, limits: Limits) -> Iterator[str]:
    """Remarks on missing figures, with commands that add them."""
    lacking = [cost for cost in comparison.costs if comparison.depth not in cost.recall]
    if lacking:
        yield (f"Without recall@{comparison.depth:,}: {_named(lacking)}. The reason: hype costs")
    if len(comparison.places) > 1:
        yield f"Times from several machines do not compare: {'; '.join(comparison.places)}"
    if all(cost.engine == "exact" for cost in comparison.costs):
        yield (
            "There is no plot: all of these searches are exact. Next: hype search QUERIES --approx"
        )
    yield from left_out(len(comparison.costs) - limits.searches, "slower searches", "hype costs")


def _named(costs: Sequence[SearchCost]) -> str:
    names = [cost.label for cost in costs[:_NAMED]]
    more = len(costs) - len(names)
    return ", ".join(names) + (f" and {more:,} more" if more else "")
