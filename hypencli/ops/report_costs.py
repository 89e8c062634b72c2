"""What searches take and find, for a report: as ``hype report --pareto`` has it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from hypencli.ops.pareto import CostComparison, SearchCost, compare_costs
from hypencli.progress import Progress
from hypencli.reporting.contents import Limits, Search, SearchCosts
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
    found = compare_costs(store, depth=depth, progress=progress)
    more = len(found) - limits.costs
    said = left_out(more, "pairs of corpus and query set", "hype report --pareto")
    return tuple(_search_costs(one, limits) for one in found[: limits.costs]), said


def _search_costs(found: CostComparison, limits: Limits) -> SearchCosts:
    return SearchCosts(
        corpus=found.corpus,
        queries=found.queries,
        n_documents=found.n_documents,
        depth=found.depth,
        searches=tuple(_search(one) for one in found.costs[: limits.searches]),
        places=found.places,
        remarks=tuple(_remarks(found, limits)),
    )


def _search(cost: SearchCost) -> Search:
    return Search(
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


def _remarks(found: CostComparison, limits: Limits) -> Iterator[str]:
    """How far the figures go, and what would give those that are lacking."""
    lacking = [cost for cost in found.costs if found.depth not in cost.recall]
    if lacking:
        yield (
            f"Without recall@{found.depth:,}: {_named(lacking)}. hype report --pareto says why, "
            "and what would give it."
        )
    if len(found.places) > 1:
        yield f"Times are from several places, and do not compare: {'; '.join(found.places)}"
    if all(cost.engine == "exact" for cost in found.costs):
        yield (
            "All of these searches are exact: no plot would show more. "
            "Next: hype search QUERIES --approx"
        )
    yield from left_out(
        len(found.costs) - limits.searches, "slower searches", "hype report --pareto"
    )


def _named(costs: Sequence[SearchCost]) -> str:
    names = [cost.name or cost.run for cost in costs[:_NAMED]]
    more = len(costs) - len(names)
    return ", ".join(names) + (f" and {more:,} more" if more else "")
