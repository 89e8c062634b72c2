"""Recall of an approximate run against an exact run, from the stored results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import duckdb

from hypestore import DamagedArtifact, JsonValue, Manifest, Store

_SAME = ("model", "embeddings", "queries_fingerprint", "width")
"""Inputs that a run and its reference must share."""

_NOT_OTHER = ("query_max_length", "exclude_same_id")
"""Inputs that must be equal if both runs record them."""


def find_reference(store: Store, inputs: Mapping[str, JsonValue]) -> Manifest | None:
    """Find an exact run of the same model, embeddings and queries that is at least as deep.

    A run with the same dtype is preferred, then the newest. None means that the store has no such
    run.

    Args:
        store: The project store.
        inputs: Inputs of the run to compare.
    """
    if "queries_fingerprint" not in inputs:
        return None
    newest_first = reversed(store.artifacts("run"))
    fitting = [one for one in newest_first if _is_reference(one.inputs, inputs)]
    dtype = inputs.get("dtype")
    return max(fitting, key=lambda one: one.inputs.get("dtype") == dtype, default=None)


def _is_reference(its: Mapping[str, JsonValue], mine: Mapping[str, JsonValue]) -> bool:
    return (
        its.get("engine") == "exact"
        and depth_of(its) >= depth_of(mine) > 0
        and all(mine.get(key) == its.get(key) for key in _SAME)
        and all(mine.get(key, its.get(key)) == its.get(key, mine.get(key)) for key in _NOT_OTHER)
    )


def depth_of(inputs: Mapping[str, JsonValue]) -> int:
    """The maximum number of results per query, from the inputs of a run; 0 if not recorded."""
    k = inputs.get("k")
    return k if isinstance(k, int) else 0


def recall_of(
    store: Store, run: Manifest, reference: Manifest, depths: Sequence[int]
) -> dict[int, float]:
    """Compute recall: the share of the reference's best documents that the run has too, by depth.

    Recall is a mean over the queries for which the reference has results. If the reference has
    fewer results than a depth, all of them count. DuckDB streams the results.

    Args:
        store: Store of both runs.
        run: Run to measure. A query without results has recall 0.
        reference: Exact run of the same model, embeddings and queries, at least as deep.
        depths: Depths, none above the depth of the run.

    Returns:
        Depth -> recall, from 0 to 1.

    Raises:
        DamagedArtifact: The results of a run cannot be read.
    """
    if not depths:
        return {}
    shares = ", ".join(f"avg(hits_{depth} / nullif(relevant_{depth}, 0))" for depth in depths)
    counts = ", ".join(
        f"count(*) FILTER (e.rank <= {depth}) AS relevant_{depth}, "
        f"count(a.rank) FILTER (e.rank <= {depth} AND a.rank <= {depth}) AS hits_{depth}"
        for depth in depths
    )
    statement = (
        f"SELECT {shares} FROM (SELECT {counts} "
        "FROM read_parquet(?) AS e LEFT JOIN read_parquet(?) AS a USING (query_id, doc_id) "
        f"WHERE e.rank <= {max(depths)} GROUP BY query_id)"
    )
    files = [str(store.run(one.id).results_path) for one in (reference, run)]
    try:
        with duckdb.connect(":memory:") as connection:
            (row,) = connection.execute(statement, files).fetchall()
    except duckdb.Error as error:
        raise DamagedArtifact(
            f"The results of {run.id} and {reference.id} cannot be compared: {error}.",
            hint="hype doctor --checksums",
        ) from error
    return {depth: share for depth, share in zip(depths, row, strict=True) if share is not None}
