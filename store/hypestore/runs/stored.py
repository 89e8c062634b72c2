"""Finished runs: their results by rank, as a table, by query, or in a stream."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from functools import cached_property
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from hypestore.errors import DamagedArtifact, refuse_open_limit
from hypestore.manifest import Manifest
from hypestore.runs.draft import (
    COSTS_NAME,
    COSTS_OPTIONAL,
    COSTS_SCHEMA,
    QUERIES_NAME,
    QUERIES_SCHEMA,
    RESULTS_NAME,
    RESULTS_SCHEMA,
)
from hypestore.tables import refuse_bomb
from hypestore.verification import check_files, read_artifact_table, verified_path

if TYPE_CHECKING:
    import pyarrow.compute as pc

_EVERY_RANK = 2**31 - 1

Ranking: TypeAlias = list[tuple[str, int, float]]
"""``(doc_id, rank, score)`` of one query, by rank."""


class StoredRun:
    """A finished run. Opening checks the sizes of its files; reading a file checks its content.

    Attributes:
        manifest: Its manifest.
        folder: Its folder.

    Raises:
        DamagedArtifact: A file is missing or differs from the manifest.
    """

    def __init__(self, folder: Path, manifest: Manifest) -> None:
        self.manifest = manifest
        self.folder = folder
        check_files(folder, manifest)

    @cached_property
    def results_path(self) -> Path:
        """The file of all results, for other programs; its content is checked once."""
        return verified_path(self.folder, self.manifest, RESULTS_NAME)

    def table(self) -> pa.Table:
        """All results as columns ``query_id, doc_id, rank, score``, by query and then rank.

        Raises:
            DamagedArtifact: The file is damaged, or has a score that is not finite.
        """
        table = read_artifact_table(self.folder, self.manifest, RESULTS_NAME, RESULTS_SCHEMA)
        if not np.isfinite(table["score"].to_numpy()).all():
            raise DamagedArtifact(
                f"{self.folder / RESULTS_NAME} has a score that is not finite.",
                hint="hype doctor --checksums",
            )
        return table

    def rankings(
        self, *, to_rank: int | None = None, only: Collection[str] | None = None
    ) -> Iterator[tuple[str, Ranking]]:
        """Pairs ``(query_id, ranking)`` in the order of the run, without queries without results.

        Results are read in a stream, so that memory does not grow with the run.

        Args:
            to_rank: The last rank to read; None for all.
            only: Ids of the queries to read; None for all.
        """
        import pyarrow.compute as pc

        wanted = pc.field("rank") <= (_EVERY_RANK if to_rank is None else to_rank)
        if only is not None:
            wanted &= pc.field("query_id").isin(pa.array(sorted(only), pa.string()))
        for query_id, rows in groupby(self._rows(wanted), key=itemgetter(0)):
            yield query_id, [(doc_id, rank, score) for _, doc_id, rank, score in rows]

    def _rows(self, wanted: pc.Expression) -> Iterator[tuple[str, str, int, float]]:
        path = self.results_path
        try:
            with pq.ParquetFile(path, page_checksum_verification=True) as file:
                for group in range(file.metadata.num_row_groups):
                    refuse_bomb(path, file.metadata, groups=[group])
                for batch in file.iter_batches(columns=RESULTS_SCHEMA.names):
                    kept = batch.filter(wanted)
                    kept.validate(full=True)  # strings may be no UTF-8
                    columns = (kept[name].to_pylist() for name in RESULTS_SCHEMA.names)
                    yield from zip(*columns, strict=True)
        except (pa.ArrowException, OSError, KeyError, UnicodeDecodeError) as error:
            refuse_open_limit(error)
            raise DamagedArtifact(f"{path}: {error}.", hint="hype doctor --checksums") from error

    def costs(self) -> pa.Table | None:
        """Columns ``query_id, evaluations, iterations``; None if the run stores no costs.

        A search that bounds its recall has a column ``recall_bound`` too.
        """
        if all(record.path != COSTS_NAME for record in self.manifest.files):
            return None
        return read_artifact_table(
            self.folder, self.manifest, COSTS_NAME, COSTS_SCHEMA, optional=COSTS_OPTIONAL
        )

    def by_query(self) -> ResultsByQuery:
        """The results for look-up by query, held in columns: less memory than ``results``."""
        return ResultsByQuery(self.table())

    def queries(self) -> dict[str, str]:
        """Query id -> text for every query of the run, also those without results."""
        table = read_artifact_table(self.folder, self.manifest, QUERIES_NAME, QUERIES_SCHEMA)
        return dict(zip(table["query_id"].to_pylist(), table["text"].to_pylist(), strict=True))

    def results(self) -> dict[str, list[tuple[str, float]]]:
        """Query id -> ``(doc_id, score)`` by rank; a query without results has an empty list."""
        table = self.table()
        rankings: dict[str, list[tuple[str, float]]] = {query: [] for query in self.queries()}
        columns = (table[name].to_pylist() for name in ("query_id", "doc_id", "score"))
        for query_id, doc_id, score in zip(*columns, strict=True):
            if query_id not in rankings:
                raise DamagedArtifact(f"{self.folder}: results of the unknown query {query_id!r}.")
            rankings[query_id].append((doc_id, score))
        return rankings


class ResultsByQuery:
    """Look-up of the results of a run by query.

    Args:
        table: Columns ``query_id, doc_id, rank, score``, by query and then rank.
    """

    def __init__(self, table: pa.Table) -> None:
        import pyarrow.compute as pc

        ends = pc.run_end_encode(table["query_id"].combine_chunks())
        stops = ends.run_ends.to_pylist()
        starts = [0, *stops][:-1]
        self._bounds = dict(
            zip(ends.values.to_pylist(), zip(starts, stops, strict=True), strict=True)
        )
        self._doc_ids = table["doc_id"].combine_chunks()
        self._scores = table["score"].combine_chunks()

    @property
    def query_ids(self) -> Collection[str]:
        """Ids of the queries that have results, in the order of the run."""
        return self._bounds.keys()

    def doc_ids(self, query_id: str) -> list[str]:
        """The documents of a query by rank; empty if it has no results."""
        start, stop = self._bounds.get(query_id, (0, 0))
        ids: list[str] = self._doc_ids[start:stop].to_pylist()
        return ids

    def ranking(self, query_id: str) -> list[tuple[str, float]]:
        """Pairs ``(doc_id, score)`` of a query by rank; empty if it has no results."""
        start, stop = self._bounds.get(query_id, (0, 0))
        return list(zip(self.doc_ids(query_id), self._scores[start:stop].to_pylist(), strict=True))
