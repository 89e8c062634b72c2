"""What searches take and what they find: recall against time and against evaluations of q-nets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from hypencli.ops.evaluation.recall import find_reference, recall_of
from hypencli.progress import (
    SILENT,
    Progress,
    Task,
)
from hypestore import Manifest, Store

RECALL_DEPTHS = (10, 100, 1000)
"""Depths at which recall is always given."""

_PREFERRED_DEPTHS = (100, 10, 1000)
_COSTS = {"time": "ms_per_query", "evaluations": "evaluations"}

_Row: TypeAlias = dict[str, Any]


@dataclass(frozen=True, slots=True)
class SearchCost:
    """One run: what its search took, and what it found of the exact ranking.

    Attributes:
        run: Its id.
        engine: ``exact``, or what chose the documents to score.
        searched: Model, embedding set and width of the q-nets: runs that share them rank the same.
        ms_per_query: Milliseconds of selection, scoring and top k.
        ms_query_encoding: Milliseconds of encoding a query, not in ``ms_per_query``.
        evaluations: Documents that a q-net scored for a query, on average; None without q-nets.
        evaluations_share: The same as a share of the corpus, 0 to 1.
        recall: Depth -> share of the exact ranking that was found.
        checked_queries: Queries that recall was measured on; None of an exact search.
        checked_against: Id of the exact run that it was measured against, if one is kept.
        fronts: ``time``, ``evaluations``: where no run of the same ``searched`` finds as much for
            less, or more for as much.
    """

    run: str
    name: str | None
    engine: str
    model: str
    searched: tuple[str, ...]
    k: int | None
    ms_per_query: float | None
    ms_query_encoding: float | None
    evaluations: float | None
    evaluations_share: float | None
    recall: Mapping[int, float]
    checked_queries: int | None
    checked_against: str | None
    fronts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class CostComparison:
    """The runs of one corpus and query set.

    Attributes:
        depth: The depth of recall that the fronts are for.
        costs: Quickest first.
        places: Machines and devices that the times are from: of several, times do not compare.
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
    """Every run whose time or evaluations are known, by corpus and query set.

    Recall is what the run's own check says. Where it has none, its results are compared with those
    of an exact run of the same search, if the store has one that is as deep.

    Args:
        store: The project store.
        depth: Depth of recall for the fronts; None takes 100, or another that the runs have.
        progress: Where to report.

    Raises:
        DamagedArtifact: Results that are to be compared cannot be read.
    """
    searches = store.catalog.query("FROM efficiency ORDER BY ms_per_query, name, run")
    groups: dict[tuple[str, str, str], list[_Row]] = {}
    for row in (dict(zip(searches.columns, values, strict=True)) for values in searches.rows):
        row["manifest"] = store.get(row["run"], kind="run")
        inputs = row["manifest"].inputs
        fingerprint = str(inputs.get("queries_fingerprint"))
        key = (str(row["corpus"]), str(row["queries"]), fingerprint)
        groups.setdefault(key, []).append(row)
    with progress.task("recall", total=len(searches.rows), unit="runs") as task:
        return [_comparison(store, groups[key], depth, task) for key in sorted(groups)]


def _comparison(
    store: Store, rows: Sequence[_Row], depth: int | None, task: Task
) -> CostComparison:
    depths = sorted({*RECALL_DEPTHS, *([] if depth is None else [depth])})
    costs = []
    for row in rows:
        costs.append(_cost(store, row, depths))
        task.advance()
    shown_depth = depth or _depth_to_show(costs)
    return CostComparison(
        corpus=str(rows[0]["corpus"]),
        queries=str(rows[0]["queries"]),
        n_documents=rows[0]["n_documents"],
        depth=shown_depth,
        costs=tuple(replace(one, fronts=_fronts(one, costs, shown_depth)) for one in costs),
        places=tuple(sorted({_place(row["manifest"]) for row in rows})),
    )


def _cost(store: Store, row: _Row, depths: Sequence[int]) -> SearchCost:
    recall_at = _measured_recall(row)
    lacking = [depth for depth in depths if depth not in recall_at and _reaches(row, depth)]
    checked = row["checked_queries"], row["checked_against"]
    if row["engine"] == "exact":
        recall_at |= dict.fromkeys(lacking, 1.0)
    elif lacking:
        reference = find_reference(store, row["manifest"].inputs)
        if reference is not None:
            measured = recall_of(store, row["manifest"], reference, lacking)
            checked = checked if recall_at else (row["n_queries"], reference.id)
            recall_at |= measured
    width = row["manifest"].inputs.get("width")
    return SearchCost(
        run=row["run"],
        name=row["name"],
        engine=str(row["engine"]),
        model=str(row["model"]),
        searched=(str(row["model_id"]), str(row["embeddings"]), str(width)),
        k=row["k"],
        ms_per_query=row["ms_per_query"],
        ms_query_encoding=row["ms_query_encoding"],
        evaluations=row["evaluations_mean"],
        evaluations_share=row["evaluations_share"],
        recall=dict(sorted(recall_at.items())),
        checked_queries=checked[0],
        checked_against=checked[1],
    )


def _measured_recall(row: _Row) -> dict[int, float]:
    """Depth -> recall as the catalog has it, and at other depths that the run was checked at."""
    recall_at = {depth: row[f"recall_{depth}"] for depth in RECALL_DEPTHS}
    check = row["manifest"].stats.get("check")
    measured = check.get("recall") if isinstance(check, dict) else None
    for depth, share in (measured if isinstance(measured, dict) else {}).items():
        if depth.isdecimal() and isinstance(share, int | float):
            recall_at[int(depth)] = float(share)
    return {depth: share for depth, share in recall_at.items() if share is not None}


def _reaches(row: _Row, depth: int) -> bool:
    """Whether a run has results down to a depth, or all there are."""
    k, n_documents = row["k"], row["n_documents"]
    return k is not None and k >= min(depth, depth if n_documents is None else n_documents)


def _depth_to_show(costs: Sequence[SearchCost]) -> int:
    """The depth that approximate runs have recall at; of exact ones alone, theirs."""
    approximate = [one for one in costs if one.engine != "exact"]
    for some in (approximate, costs):
        depths = {depth for one in some for depth in one.recall}
        if depths:
            preferred = [depth for depth in _PREFERRED_DEPTHS if depth in depths]
            return preferred[0] if preferred else max(depths)
    return _PREFERRED_DEPTHS[0]


def _fronts(one: SearchCost, costs: Sequence[SearchCost], depth: int) -> tuple[str, ...]:
    """The costs at which no run of the same search is better."""
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
    """Where a run was made: platform, processor, CPUs, device, as far as it says."""
    origin = run.provenance
    cpus = origin.get("cpus")
    parts = [origin.get("platform"), origin.get("processor"), cpus and f"{cpus} CPUs"]
    return ", ".join(str(part) for part in [*parts, origin.get("device")] if part) or "unknown"
