"""Unfinished runs: results are written to Parquet in a stream."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from types import TracebackType
from typing import Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from hypestore.errors import IncompleteWork, InvalidContent
from hypestore.files import sync_file, temporary_sibling, writing_in
from hypestore.manifest import Manifest, WorkRecord
from hypestore.tables import string_array, write_table
from hypestore.work.work import Draft, WriteContext

RESULTS_NAME = "results.parquet"
QUERIES_NAME = "queries.parquet"
COSTS_NAME = "costs.parquet"

RESULTS_SCHEMA = pa.schema(
    [
        pa.field("query_id", pa.string(), nullable=False),
        pa.field("doc_id", pa.string(), nullable=False),
        pa.field("rank", pa.int32(), nullable=False),
        pa.field("score", pa.float32(), nullable=False),
    ]
)
QUERIES_SCHEMA = pa.schema(
    [
        pa.field("query_id", pa.string(), nullable=False),
        pa.field("text", pa.string(), nullable=False),
    ]
)
COSTS_SCHEMA = pa.schema(
    [
        pa.field("query_id", pa.string(), nullable=False),
        pa.field("evaluations", pa.int64(), nullable=False),
        pa.field("iterations", pa.int64(), nullable=False),
    ]
)
COSTS_OPTIONAL = pa.schema([pa.field("recall_bound", pa.float64(), nullable=False)])
"""Columns that only some searches have costs of."""

_ROW_GROUP_ROWS = 131_072


class RunWriter(Draft):
    """An unfinished run: call ``queries`` once, ``append`` for results, then ``commit``.

    A run is not resumed: an error deletes what was written, and entering deletes what a killed
    process wrote. The docstring of ``Store`` has an example.
    """

    def __init__(
        self, context: WriteContext, record: WorkRecord, *, wait_seconds: float = 0.0
    ) -> None:
        super().__init__(context, record, wait_seconds=wait_seconds, resumes=False)
        self._writer: pq.ParquetWriter | None = None
        self._temporary = temporary_sibling(self.path / RESULTS_NAME)
        self._pending: list[pa.Table] = []
        self._queries: dict[str, str] | None = None
        self._costs: pa.Table | None = None
        self._order = _ResultOrder()

    def __enter__(self) -> Self:
        super().__enter__()
        if self.existing is None:
            self._draft.clear()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            self._close_writer()
        except OSError:  # on a full disk, closing fails after the write has failed
            if error is None:
                raise
        self._temporary.unlink(missing_ok=True)
        super().__exit__(kind, error, traceback)

    def queries(self, queries: Iterable[tuple[str, str]]) -> None:
        """Set the queries of the run: ``(query_id, text)``, in the order of the results.

        Raises:
            InvalidContent: A query id is empty or occurs twice.
        """
        self._queries = {}
        for query_id, text in queries:
            if not query_id or query_id in self._queries:
                raise InvalidContent(f"The query id {query_id!r} is empty or occurs twice.")
            self._queries[query_id] = text

    def costs(
        self,
        evaluations: Sequence[int],
        iterations: Sequence[int],
        recall_bounds: Sequence[float] | None = None,
    ) -> None:
        """Set the cost of each query, in the order of the queries.

        Args:
            evaluations: Documents that the q-net scored, per query.
            iterations: Steps of the search, per query.
            recall_bounds: A lower bound on the recall of each query, from 0 to 1, if there is one.

        Raises:
            IncompleteWork: ``queries`` was not called before.
            InvalidContent: There is not one number per query, or a bound is not from 0 to 1.
        """
        if self._queries is None:
            raise IncompleteWork(f"The run {self.id} has no queries: set them before their costs.")
        if not len(evaluations) == len(iterations) == len(self._queries):
            raise InvalidContent(
                f"The run {self.id} has {len(self._queries)} queries, and costs of "
                f"{len(evaluations)} and {len(iterations)}."
            )
        columns = [
            string_array(list(self._queries), "query ids"),
            pa.array(np.asarray(evaluations, dtype=np.int64)),
            pa.array(np.asarray(iterations, dtype=np.int64)),
        ]
        self._costs = pa.table(columns, schema=COSTS_SCHEMA)
        if recall_bounds is not None:
            bounds = np.asarray(recall_bounds, dtype=np.float64)
            if bounds.shape != (len(self._queries),) or not ((bounds >= 0) & (bounds <= 1)).all():
                raise InvalidContent(
                    f"The run {self.id} has {len(self._queries)} queries; bounds on their recall "
                    "are one number from 0 to 1 for each."
                )
            (field,) = COSTS_OPTIONAL
            self._costs = self._costs.append_column(field, pa.array(bounds))

    def append(
        self,
        query_ids: Sequence[str],
        doc_ids: Sequence[str],
        ranks: Sequence[int] | np.ndarray[Any, Any],
        scores: Sequence[float] | np.ndarray[Any, Any],
    ) -> None:
        """Add results, one row each. The rows of a query follow each other, by rank.

        Args:
            query_ids: Query of each row.
            doc_ids: Document of each row.
            ranks: Rank of each row: 1, 2, 3, … within a query.
            scores: Score of each row, stored as float32.

        Raises:
            InvalidContent: Columns differ in length, a score is not finite, ranks have a gap, the
                rows of a query do not follow each other, or a query has a document twice; the
                message names query and document.
            IncompleteWork: The run is finished.
        """
        if self.existing is not None:
            raise IncompleteWork(f"The run {self.id} is finished; nothing can be added.")
        table = _results_table(query_ids, doc_ids, ranks, scores)
        self._order.check(table)
        self._pending.append(table)
        if sum(len(pending) for pending in self._pending) >= _ROW_GROUP_ROWS:
            self._flush()

    def commit(
        self,
        *,
        stats: Mapping[str, Any] | None = None,
        provenance: Mapping[str, Any] | None = None,
    ) -> Manifest:
        """Finish the run; ``n_queries`` and ``n_results`` are added to the stats.

        Raises:
            IncompleteWork: ``queries`` was not called.
            InvalidContent: There are results of a query that is not in the run.
        """
        if self.existing is not None:
            return self.existing
        if self._queries is None:
            raise IncompleteWork(f"The run {self.id} has no queries: set all of them, then commit.")
        unknown = [query for query in self._order.seen if query not in self._queries]
        if unknown:
            raise InvalidContent(
                f"The run has results of {unknown[0]!r}, which is not one of its queries."
            )
        self._flush()
        self._close_writer()
        sync_file(self._temporary)
        self._temporary.replace(self.path / RESULTS_NAME)
        columns = [
            string_array(list(self._queries), "query ids"),
            string_array(list(self._queries.values()), "texts of queries"),
        ]
        write_table(self.path / QUERIES_NAME, pa.table(columns, schema=QUERIES_SCHEMA))
        if self._costs is not None:
            write_table(self.path / COSTS_NAME, self._costs)
        counts = {"n_queries": len(self._queries), "n_results": self._order.rows}
        return super().commit(stats={**(stats or {}), **counts}, provenance=provenance)

    def _flush(self) -> None:
        """Write the pending results as one row group; create the file in any case."""
        with writing_in(self.path):
            self._write_pending()

    def _write_pending(self) -> None:
        if self._writer is None:
            self._writer = pq.ParquetWriter(
                self._temporary, RESULTS_SCHEMA, compression="zstd", write_page_checksum=True
            )
        if self._pending:
            self._writer.write_table(pa.concat_tables(self._pending), row_group_size=2**30)
            self._pending = []

    def _close_writer(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None


class _ResultOrder:
    """Checks that results are in order, over all appended tables."""

    def __init__(self) -> None:
        self.rows = 0
        self.seen: set[str] = set()
        self._last_query: str | None = None
        self._last_rank = 0
        self._last_docs: set[str] = set()

    def check(self, table: pa.Table) -> None:
        """Raise ``InvalidContent`` for the first row that is out of order."""
        if len(table) == 0:
            return
        queries = table["query_id"].combine_chunks()
        ranks = table["rank"].to_numpy()
        starts = self._query_starts(queries)
        expected = np.arange(len(table)) + 1
        first_start = starts[0] if len(starts) else len(table)
        expected[:first_start] += self._last_rank
        for start, end in itertools.pairwise([*starts, len(table)]):
            expected[start:end] -= start
            self._begin_query(queries[int(start)].as_py())
        wrong = np.flatnonzero(ranks != expected)
        if len(wrong):
            row = int(wrong[0])
            raise InvalidContent(
                f"Query {queries[row].as_py()!r} has rank {ranks[row]} where {expected[row]} "
                "follows; ranks count 1, 2, 3, … within a query."
            )
        self._check_documents(table, [0, *starts, len(table)])
        self._last_rank = int(ranks[-1])
        self.rows += len(table)

    def _query_starts(self, queries: pa.StringArray) -> np.ndarray[Any, Any]:
        """Rows whose query differs from that of the row before."""
        changes = np.ones(len(queries), dtype=bool)
        changes[0] = queries[0].as_py() != self._last_query
        if len(queries) > 1:
            ids = queries.to_numpy(zero_copy_only=False)
            changes[1:] = ids[1:] != ids[:-1]
        return np.flatnonzero(changes)

    def _begin_query(self, query_id: str) -> None:
        if query_id in self.seen:
            raise InvalidContent(f"The results of query {query_id!r} are in two places of the run.")
        self.seen.add(query_id)
        self._last_query = query_id

    def _check_documents(self, table: pa.Table, bounds: list[int]) -> None:
        """Refuse a repeated document of a query, whose rows may begin in the table before."""
        documents = table["doc_id"].to_pylist()
        queries = table["query_id"]
        for start, end in itertools.pairwise(bounds):
            if start or bounds[1] == 0:
                self._last_docs = set()
            for document in documents[start:end]:
                if document in self._last_docs:
                    query = queries[start].as_py()
                    raise InvalidContent(f"Query {query!r} has document {document!r} twice.")
                self._last_docs.add(document)


def _results_table(
    query_ids: Sequence[str],
    doc_ids: Sequence[str],
    ranks: Sequence[int] | np.ndarray[Any, Any],
    scores: Sequence[float] | np.ndarray[Any, Any],
) -> pa.Table:
    lengths = [len(query_ids), len(doc_ids), len(ranks), len(scores)]
    if len(set(lengths)) != 1:
        raise InvalidContent(f"Results have columns of different lengths: {lengths}.")
    with np.errstate(over="ignore"):
        values = np.asarray(scores, dtype=np.float32)
    bad = np.flatnonzero(~np.isfinite(values))
    if len(bad):
        row = int(bad[0])
        raise InvalidContent(
            f"Query {query_ids[row]!r}, document {doc_ids[row]!r}: the score {scores[row]} is not "
            "a finite float32."
        )
    columns = [
        string_array(query_ids, "query ids"),
        string_array(doc_ids, "document ids"),
        pa.array(np.asarray(ranks, dtype=np.int32)),
        pa.array(values),
    ]
    return pa.table(columns, schema=RESULTS_SCHEMA)
