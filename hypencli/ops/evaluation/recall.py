"""How much of an exact run another run of the same search has found, from their results alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import duckdb

from hypestore import DamagedArtifact, JsonValue, Manifest, Store

_SAME = ("model", "embeddings", "queries_fingerprint", "width")
"""Inputs that two runs must share to be searches of the same."""

_NOT_OTHER = ("query_max_length", "exclude_same_id")
"""Inputs in which they must not differ, where both say."""


def find_reference(store: Store, inputs: Mapping[str, JsonValue]) -> Manifest | None:
    """The exact run that ranks what a run ranks, at least as deep; None where there is none.

    Of several, one with the same arithmetic is taken before others, then the newest.
    """
    if "queries_fingerprint" not in inputs:
        return None
    fitting = [one for one in store.artifacts("run") if _is_reference(one.inputs, inputs)]
    dtype = inputs.get("dtype")
    return max(
        fitting, key=lambda one: (one.inputs.get("dtype") == dtype, one.created), default=None
    )


def _is_reference(its: Mapping[str, JsonValue], mine: Mapping[str, JsonValue]) -> bool:
    return (
        its.get("engine") == "exact"
        and depth_of(its) >= depth_of(mine) > 0
        and all(mine.get(key) == its.get(key) for key in _SAME)
        and all(mine.get(key, its.get(key)) == its.get(key, mine.get(key)) for key in _NOT_OTHER)
    )


def depth_of(inputs: Mapping[str, JsonValue]) -> int:
    """How many results a query of a run has at most; 0 where its inputs do not say."""
    k = inputs.get("k")
    return k if isinstance(k, int) else 0


def recall_of(
    store: Store, run: Manifest, reference: Manifest, depths: Sequence[int]
) -> dict[int, float]:
    """Depth -> share of the best documents of the reference that the run has at that depth too.

    A mean over the queries that the reference has results for; where it has fewer results than a
    depth, as in a small corpus, they are all of them. Results are read in a stream by DuckDB.

    Args:
        store: Holds both.
        run: What is measured; a query that it has no results for counts as 0.
        reference: An exact run of the same search, at least as deep.
        depths: Depths, each at most that of the run.

    Raises:
        DamagedArtifact: The results of one cannot be read.
    """
    if not depths:
        return {}
    shares = ", ".join(f"avg(found_{depth} / nullif(there_{depth}, 0))" for depth in depths)
    counts = ", ".join(
        f"count(*) FILTER (e.rank <= {depth}) AS there_{depth}, "
        f"count(a.rank) FILTER (e.rank <= {depth} AND a.rank <= {depth}) AS found_{depth}"
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
