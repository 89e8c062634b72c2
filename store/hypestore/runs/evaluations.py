"""Evaluations: the measures of one run against one set of judgements."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa

from hypestore.errors import InvalidContent
from hypestore.files import atomic_write_text
from hypestore.inventory import Inventory
from hypestore.manifest import ORDER, Manifest
from hypestore.tables import write_table
from hypestore.verification import read_artifact_table
from hypestore.work.locks import SHORT_WAIT_SECONDS, hold
from hypestore.work.work import Draft, WriteContext, plan_work

METRICS_NAME = "metrics.parquet"
PER_QUERY_NAME = "per_query.parquet"

METRICS_SCHEMA = pa.schema(
    [
        pa.field("measure", pa.string(), nullable=False),
        pa.field("value", pa.float64(), nullable=False),
    ]
)
PER_QUERY_SCHEMA = pa.schema(
    [
        pa.field("query_id", pa.string(), nullable=False),
        pa.field("measure", pa.string(), nullable=False),
        pa.field("value", pa.float64(), nullable=False),
    ]
)


def write_evaluation(
    context: WriteContext,
    runs: Sequence[str],
    *,
    qrels_id: str,
    inputs: Mapping[str, Any],
    per_query: Iterable[tuple[str, str, float]],
    aggregates: Mapping[str, float],
    stats: Mapping[str, Any],
    provenance: Mapping[str, Any],
) -> Manifest:
    """Write the measures of a run, unless they exist: equal inputs give the same evaluation.

    Args:
        context: Where to write.
        runs: Id of the run, then ids of the runs that it was measured against.
        qrels_id: Id of the judgements.
        inputs: What else determines the values, such as a fingerprint of the judgements.
        per_query: ``(query_id, measure, value)``.
        aggregates: Measure -> mean over the judged queries.
        stats: Further results: judged queries, queries without results, seconds.
        provenance: How it was made: versions.

    Raises:
        InvalidContent: A value is not finite, or a pair of query and measure occurs twice.
    """
    rows = list(per_query)
    metrics = pa.table([list(aggregates), list(aggregates.values())], schema=METRICS_SCHEMA)
    _check_values(rows, aggregates)
    record = plan_work(
        "evaluation",
        f"eval-{qrels_id}",
        {"measures": sorted(aggregates), **inputs, "run": runs[0], "qrels": qrels_id},
        parents=tuple(runs),
    )
    with Draft(context, record, wait_seconds=30.0, resumes=False) as draft:
        if draft.existing is None:
            write_table(draft.path / METRICS_NAME, metrics)
            columns = [list(column) for column in zip(*rows, strict=True)] or [[], [], []]
            write_table(draft.path / PER_QUERY_NAME, pa.table(columns, schema=PER_QUERY_SCHEMA))
        return draft.commit(stats=stats, provenance=provenance)


def renew_evaluation(context: WriteContext, evaluation: Manifest) -> Manifest:
    """Make an evaluation the newest of its run, as if it had been written now.

    Its manifest is replaced by one that differs in ``created`` and in its order alone.

    Returns:
        The new manifest; the present one if the evaluation is the newest already.

    Raises:
        ArtifactNotFound: The evaluation was removed.
        StoreNotWritable: The store is read-only.
    """
    inventory, layout = context.inventory, context.layout
    if evaluations_of(inventory, evaluation.parents[0])[-1].id == evaluation.id:
        return evaluation
    with hold(layout.store_lock, what="The store", wait_seconds=SHORT_WAIT_SECONDS):
        present = inventory.get(evaluation.id, "evaluation")
        newest = evaluations_of(inventory, present.parents[0])[-1]
        if newest.id == present.id:
            return present
        # The catalog tells by another time that the artifact has changed.
        created = max(datetime.now(UTC), present.created + timedelta(microseconds=1))
        provenance = {**present.provenance, ORDER: inventory.next_order()}
        renewed = present.model_copy(update={"created": created, "provenance": provenance})
        atomic_write_text(layout.manifest("evaluation", present.id), renewed.to_text())
    context.after_commit()
    return renewed


def evaluations_of(inventory: Inventory, run: str) -> list[Manifest]:
    """The evaluations whose first parent is a run, oldest first."""
    return [one for one in inventory.artifacts("evaluation") if one.parents[:1] == (run,)]


def read_aggregates(folder: Path, evaluation: Manifest) -> dict[str, float]:
    """Measure -> value over the judged queries."""
    table = read_artifact_table(folder, evaluation, METRICS_NAME, METRICS_SCHEMA)
    return dict(zip(table["measure"].to_pylist(), table["value"].to_pylist(), strict=True))


def read_per_query(folder: Path, evaluation: Manifest) -> pa.Table:
    """Columns ``query_id, measure, value``, one row per pair of query and measure."""
    return read_artifact_table(folder, evaluation, PER_QUERY_NAME, PER_QUERY_SCHEMA)


def _check_values(rows: list[tuple[str, str, float]], aggregates: Mapping[str, float]) -> None:
    for measure, value in aggregates.items():
        if not math.isfinite(value):
            raise InvalidContent(f"The aggregate of {measure} is {value}.")
    seen: set[tuple[str, str]] = set()
    for query_id, measure, value in rows:
        if not math.isfinite(value):
            raise InvalidContent(f"{measure} of query {query_id!r} is {value}.")
        if (query_id, measure) in seen:
            raise InvalidContent(f"{measure} of query {query_id!r} is given twice.")
        seen.add((query_id, measure))
