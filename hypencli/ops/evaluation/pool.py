"""Pools: runs of one system on several query sets as one, such as TREC DL 2019 and 2020."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from hypencli.errors import UsageError
from hypencli.evaluation.p_mrr import P_MRR
from hypencli.ops.evaluation.compare import Comparison
from hypencli.ops.evaluation.judged import JudgedRun, common_measures, judged_run
from hypencli.ops.models import display_name
from hypencli.records import Evaluation
from hypestore import Store

if TYPE_CHECKING:
    from collections.abc import Iterable


@dataclass(frozen=True, slots=True)
class PooledRun:
    """One run of a pool.

    Attributes:
        run: Name or id of the run.
        qrels: Id of its judgements.
        n_queries: Number of judged queries.
        aggregates: Measure -> value of this run alone.
    """

    run: str
    qrels: str
    n_queries: int
    aggregates: dict[str, float]


@dataclass(frozen=True, slots=True)
class PooledRuns:
    """Several runs as one.

    Attributes:
        measures: Measures that all runs have.
        runs: The members of the pool.
        aggregates: Measure -> mean over the judged queries of all runs. Every query has the same
            weight.
        n_queries: Number of judged queries of all runs.
    """

    measures: tuple[str, ...]
    runs: tuple[PooledRun, ...]
    aggregates: dict[str, float]
    n_queries: int


def pool(store: Store, runs: tuple[str, ...], *, measures: tuple[str, ...] = ()) -> PooledRuns:
    """Average measures over the queries of several runs, as if they were one query set.

    The judgements of a run are those of its newest evaluation. A mean of the runs' means would give
    the queries of a small set more weight.

    Args:
        store: The project store.
        runs: Runs on different query sets, by id, unique prefix, or name.
        measures: Measures, in this order. Empty selects all that the runs have in common.

    Raises:
        UsageError: A run has no evaluation, two runs contain the same query, or the runs have no
            measure in common.
    """
    members = [judged_run(store, run, measures=measures) for run in runs]
    together = _together(members)
    names = common_measures(members, measures)
    return PooledRuns(
        measures=names,
        runs=tuple(
            PooledRun(
                run=display_name(member.run),
                qrels=member.qrels,
                n_queries=member.evaluation.judged_queries,
                aggregates={name: member.evaluation.aggregates[name] for name in names},
            )
            for member in members
        ),
        aggregates={name: _aggregate(name, together.per_query[name].values()) for name in names},
        n_queries=together.judged_queries,
    )


def compare_pools(
    store: Store,
    first: tuple[str, ...],
    second: tuple[str, ...],
    *,
    measures: tuple[str, ...] = (),
) -> Comparison:
    """Compare two systems over the queries of several sets, with paired tests.

    Args:
        store: The project store.
        first: Runs of the first system.
        second: Runs of the second system, on the same judgements in any order.
        measures: Measures, in this order. Empty selects all that all runs have in common.

    Raises:
        UsageError: The systems were not measured on the same judgements, a run has no evaluation,
            two runs of a system contain the same query, or no measure is in common.
    """
    from hypencli.evaluation import measures as library

    pools = [
        [judged_run(store, run, measures=measures) for run in runs] for runs in (first, second)
    ]
    sets = [{member.fingerprint: member.qrels for member in members} for members in pools]
    if sets[0].keys() != sets[1].keys():
        alone = [qrels for a, b in (sets, sets[::-1]) for key, qrels in a.items() if key not in b]
        raise UsageError(
            f"Only one of the two pools was measured on {', '.join(sorted(set(alone)))}.",
            hint="Evaluate a run of the other pool on them: hype eval RUN --qrels QRELS",
        )
    a, b = (_together(members) for members in pools)
    names = common_measures([*pools[0], *pools[1]], measures)
    tests = library.compare(a, b, names)
    return Comparison(
        run_a=" + ".join(display_name(member.run) for member in pools[0]),
        run_b=" + ".join(display_name(member.run) for member in pools[1]),
        qrels=" + ".join(sets[0].values()),
        n_queries=max(test.n_queries for test in tests),
        tests=tuple(tests),
    )


def _together(members: list[JudgedRun]) -> Evaluation:
    """Merge the values of all runs. A query is identified by its judgements and its id."""
    per_query: dict[str, dict[str, float]] = {}
    seen: dict[str, int] = {}
    for place, member in enumerate(members):
        own = {query for values in member.evaluation.per_query.values() for query in values}
        for query in sorted(own):
            first = seen.setdefault(f"{member.fingerprint} {query}", place)
            if first != place:
                raise UsageError(
                    f"Query {query!r} of {member.qrels} is in "
                    f"{display_name(members[first].run)} and in {display_name(member.run)}: "
                    "it would count twice in a pool.",
                    hint="Pool runs of one system on different query sets. Two systems: "
                    "hype compare --pool RUN RUN --against RUN --against RUN",
                )
        for measure, values in member.evaluation.per_query.items():
            together = per_query.setdefault(measure, {})
            together |= {f"{member.fingerprint} {query}": value for query, value in values.items()}
    return Evaluation({}, per_query, len(seen))


def _aggregate(measure: str, values: Iterable[float]) -> float:
    """The mean over queries, or the sum if the measure is defined as a sum."""
    from hypencli.evaluation import measures as library

    if measure == P_MRR:
        listed = list(values)
        return sum(listed) / len(listed)
    return library.aggregate(library.parse_measures([measure])[0], values)
