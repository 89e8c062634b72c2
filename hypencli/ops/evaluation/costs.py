"""Costs of searches: recall against time and against q-net evaluations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from hypencli.ops.content_names import RunNames
from hypencli.ops.evaluation.recall import find_reference, recall_of
from hypencli.progress import SILENT, Progress, Task
from hypencli.reporting.contents import SearchCost
from hypestore import Manifest, Store

RECALL_DEPTHS = (10, 100, 1000)
"""Depths at which recall is always reported."""

_PREFERRED_DEPTHS = (100, 10, 1000)
_COSTS = {"time": "ms_per_query", "evaluations": "evaluations"}


class _EfficiencyRow(NamedTuple):
    """A row of the catalog view ``efficiency``. The fields are its columns."""

    run: str
    name: str | None
    engine: str
    model: str
    model_id: str
    embeddings: str | None
    k: int | None
    n_queries: int
    n_documents: int | None
    ms_per_query: float | None
    ms_query_encoding: float | None
    evaluations_mean: float | None
    evaluations_share: float | None
    recall_10: float | None
    recall_100: float | None
    recall_1000: float | None
    checked_queries: int | None
    checked_against: str | None


@dataclass(frozen=True, slots=True)
class _TimedSearch:
    """A timed run: its manifest and its row of the catalog."""

    run: Manifest
    row: _EfficiencyRow


@dataclass(frozen=True, slots=True)
class CostComparison:
    """Search costs of all runs over one corpus and query set.

    Attributes:
        corpus: Name of the corpus, which no other corpus of the store has.
        queries: Name of the query set, which no other of the store has.
        n_documents: Documents in the corpus, if recorded.
        depth: Depth of recall of the Pareto fronts.
        costs: One entry per run, fastest first.
        places: Machines and devices of the runs. Times from different machines do not compare.
    """

    corpus: str
    queries: str
    n_documents: int | None
    depth: int
    costs: tuple[SearchCost, ...]
    places: tuple[str, ...]


def compare_costs(
    store: Store, *, depth: int | None = None, progress: Progress = SILENT
) -> list[CostComparison]:
    """Compare the costs of all runs with a recorded time or number of evaluations.

    Recall comes from the check of a run. A run without a check is compared with an exact run of the
    same model, embeddings and queries, if the store has one that is at least as deep.

    Args:
        store: The project store.
        depth: Depth of recall for the Pareto fronts. None selects 100 where the runs have it.
        progress: Where to report.

    Returns:
        One comparison per corpus and query set.

    Raises:
        DamagedArtifact: The results of a run cannot be read.
    """
    columns = ", ".join(_EfficiencyRow._fields)
    result = store.catalog.query(
        f"SELECT {columns} FROM efficiency ORDER BY ms_per_query, name, run"
    )
    names = RunNames(store)
    groups: dict[tuple[str, str], list[_TimedSearch]] = {}
    for row in map(_EfficiencyRow._make, result.rows):
        search = _TimedSearch(store.get(row.run, kind="run"), row)
        groups.setdefault((names.corpus(row.run), names.queries(row.run)), []).append(search)
    with progress.task("recall", total=len(result.rows), unit="runs") as task:
        return [_comparison(store, key, groups[key], depth, task) for key in sorted(groups)]


def _comparison(
    store: Store,
    about: tuple[str, str],
    searches: Sequence[_TimedSearch],
    depth: int | None,
    task: Task,
) -> CostComparison:
    depths = sorted({*RECALL_DEPTHS, *([] if depth is None else [depth])})
    costs = []
    for search in searches:
        costs.append(_cost(store, search, depths))
        task.advance()
    shown_depth = depth or _depth_to_show(costs)
    corpus, queries = about
    return CostComparison(
        corpus=corpus,
        queries=queries,
        n_documents=searches[0].row.n_documents,
        depth=shown_depth,
        costs=tuple(replace(one, fronts=_fronts(one, costs, shown_depth)) for one in costs),
        places=tuple(sorted({_place(search.run) for search in searches})),
    )


def _cost(store: Store, search: _TimedSearch, depths: Sequence[int]) -> SearchCost:
    run, row = search.run, search.row
    recall_at = _measured_recall(search)
    lacking = [depth for depth in depths if depth not in recall_at and _reaches(row, depth)]
    checked = row.checked_queries, row.checked_against
    if row.engine == "exact":
        recall_at |= dict.fromkeys(lacking, 1.0)
    elif lacking:
        reference = find_reference(store, run.inputs)
        if reference is not None:
            measured = recall_of(store, run, reference, lacking)
            checked = checked if recall_at else (row.n_queries, reference.id)
            recall_at |= measured
    return SearchCost(
        run=row.run,
        name=row.name,
        engine=str(row.engine),
        model=str(row.model),
        searched=(str(row.model_id), str(row.embeddings), str(run.inputs.get("width"))),
        k=row.k,
        ms_per_query=row.ms_per_query,
        ms_query_encoding=row.ms_query_encoding,
        evaluations=row.evaluations_mean,
        evaluations_share=row.evaluations_share,
        recall=dict(sorted(recall_at.items())),
        checked_queries=checked[0],
        checked_against=checked[1],
    )


def _measured_recall(search: _TimedSearch) -> dict[int, float]:
    """Depth -> recall, from the catalog and from the check of the run."""
    row = search.row
    shares = zip(RECALL_DEPTHS, (row.recall_10, row.recall_100, row.recall_1000), strict=True)
    recall_at = {depth: share for depth, share in shares if share is not None}
    check = search.run.stats.get("check")
    measured = check.get("recall") if isinstance(check, dict) else None
    for name, value in (measured if isinstance(measured, dict) else {}).items():
        if name.isdecimal() and isinstance(value, int | float):
            recall_at[int(name)] = float(value)
    return recall_at


def _reaches(row: _EfficiencyRow, depth: int) -> bool:
    """Whether a run has results down to a depth, or all documents."""
    n_documents = depth if row.n_documents is None else row.n_documents
    return row.k is not None and row.k >= min(depth, n_documents)


def _depth_to_show(costs: Sequence[SearchCost]) -> int:
    """A depth at which the approximate runs have recall; else a depth of the exact runs."""
    approximate = [one for one in costs if one.engine != "exact"]
    for some in (approximate, costs):
        depths = {depth for one in some for depth in one.recall}
        if depths:
            preferred = [depth for depth in _PREFERRED_DEPTHS if depth in depths]
            return preferred[0] if preferred else max(depths)
    return _PREFERRED_DEPTHS[0]


def _fronts(one: SearchCost, costs: Sequence[SearchCost], depth: int) -> tuple[str, ...]:
    """The kinds of cost for which the run lies on the Pareto front."""
    rivals = [other for other in costs if other.searched == one.searched]
    return tuple(name for name, field in _COSTS.items() if _is_on_front(one, rivals, field, depth))


def _is_on_front(one: SearchCost, rivals: Sequence[SearchCost], field: str, depth: int) -> bool:
    cost, recall = getattr(one, field), one.recall.get(depth)
    if cost is None or recall is None:
        return False
    for rival in rivals:
        its_cost, its_recall = getattr(rival, field), rival.recall.get(depth)
        if its_cost is None or its_recall is None or (its_cost, its_recall) == (cost, recall):
            continue
        if its_cost <= cost and its_recall >= recall:
            return False
    return True


def _place(run: Manifest) -> str:
    """The machine of a run: platform, processor, CPUs and device, as far as recorded."""
    origin = run.provenance
    cpus = origin.get("cpus")
    parts = [origin.get("platform"), origin.get("processor"), cpus and f"{cpus} CPUs"]
    return ", ".join(str(part) for part in [*parts, origin.get("device")] if part) or "unknown"
