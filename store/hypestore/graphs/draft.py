"""Unfinished neighbour graphs: for each document of an embedding set, the nearest others."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from hypestore.errors import IncompleteWork, InvalidContent
from hypestore.files import atomic_path
from hypestore.graphs.stored import DTYPE, NEIGHBOURS_NAME
from hypestore.manifest import Manifest
from hypestore.work.work import Draft, WriteContext, plan_work

NO_NEIGHBOUR = -1
"""Value at the end of a row with fewer than k neighbours."""

_CHECKED_ROWS = 16_384

Rows = npt.NDArray[np.integer[Any]]


class GraphDraft(Draft):
    """An unfinished neighbour graph: call ``write`` once for all rows, then ``commit``.

    >>> from tempfile import mkdtemp
    >>> import hypestore as hs
    >>> store = hs.Store.create(mkdtemp())
    >>> spec = hs.EmbeddingSpec(id_prefix="docs", inputs={}, dim=1, keep_text=False)
    >>> with store.embedding_work(spec, name="docs") as work:
    ...     work.write_shard(0, ["d0", "d1", "d2"], np.array([[0.0], [1.0], [3.0]]))
    ...     documents = work.finish(3)
    >>> with store.graph_draft("docs", "near", {"metric": "l2"}, k=2, name="near") as draft:
    ...     draft.write([np.array([[1, 2], [0, 2], [1, 0]])])
    ...     manifest = draft.commit()
    >>> store.graph("near").first(1).neighbours.tolist()
    [[1], [0], [1]]

    Attributes:
        n: Documents of the embedding set, and rows of the graph.
        k: Neighbours per row.
    """

    def __init__(
        self,
        context: WriteContext,
        id_prefix: str,
        inputs: Mapping[str, Any],
        *,
        embeddings: Manifest,
        k: int,
        name: str | None,
        wait_seconds: float = 0.0,
    ) -> None:
        if k < 1:
            raise InvalidContent(f"A graph needs at least 1 neighbour per document, got {k}.")
        self.n = embeddings.stat_int("n_documents")
        self.k = k
        self._edges: int | None = None
        content = {**inputs, "embeddings": embeddings.id, "k": k}
        record = plan_work("graph", id_prefix, content, parents=(embeddings.id,), name=name)
        super().__init__(context, record, wait_seconds=wait_seconds)

    def write(self, blocks: Iterable[Rows]) -> None:
        """Write the neighbours of all documents, in order.

        Args:
            blocks: Ordinals [n, k] in blocks of any number of rows. Row i has the documents
                nearest to document i, nearest first, then -1 if there are fewer than k.

        Raises:
            InvalidContent: A row has an ordinal outside of the set, the document itself, a
                document twice, or -1 before another ordinal; the message names the row.
            IncompleteWork: There are fewer or more rows than documents, or the graph is finished.
        """
        if self.existing is not None:
            raise IncompleteWork(f"The graph {self.id} is finished; nothing can be written.")
        with atomic_path(self.path / NEIGHBOURS_NAME) as temporary, temporary.open("wb") as out:
            header = {"descr": DTYPE.str, "fortran_order": False, "shape": (self.n, self.k)}
            np.lib.format.write_array_header_1_0(out, header)
            self._edges = self._write_rows(out, blocks)

    def commit(
        self,
        *,
        stats: Mapping[str, Any] | None = None,
        provenance: Mapping[str, Any] | None = None,
    ) -> Manifest:
        """Finish the graph; ``n_documents`` and ``n_edges`` are added to the stats.

        Raises:
            IncompleteWork: ``write`` was not called.
        """
        if self.existing is not None:
            return self.existing
        if self._edges is None:
            raise IncompleteWork(f"The graph {self.id} has no neighbours: write them, then commit.")
        counts = {"n_documents": self.n, "n_edges": self._edges}
        return super().commit(stats={**(stats or {}), **counts}, provenance=provenance)

    def _write_rows(self, out: BinaryIO, blocks: Iterable[Rows]) -> int:
        """Check and write the rows; return the number of edges."""
        done = edges = 0
        for block in blocks:
            if block.ndim != 2 or block.shape[1] != self.k:
                raise InvalidContent(f"Rows of the shape {block.shape}, expected [n, {self.k}].")
            for start in range(0, len(block), _CHECKED_ROWS):
                rows = block[start : start + _CHECKED_ROWS]
                edges += check_neighbours(rows, done, self.n)
                done += len(rows)
                out.write(np.ascontiguousarray(rows, DTYPE).data)
        if done != self.n:
            raise IncompleteWork(f"The graph {self.id} got {done} rows for {self.n} documents.")
        return edges


def check_neighbours(rows: Rows, first: int, n: int) -> int:
    """Check rows of a graph.

    Args:
        rows: Ordinals [r, k] of the neighbours of the documents from ``first`` on.
        first: Ordinal of the document of the first row.
        n: Documents of the embedding set.

    Returns:
        The number of neighbours, -1 not counted.

    Raises:
        InvalidContent: A row is not valid; ``GraphDraft.write`` says which rows are.
    """
    present = rows != NO_NEIGHBOUR
    own = np.arange(first, first + len(rows))[:, None]
    _refuse(present & ((rows < 0) | (rows >= n)), rows, first, f"no document of {n}")
    _refuse(rows == own, rows, first, "the document itself")
    _refuse(present[:, 1:] & ~present[:, :-1], rows[:, 1:], first, "after a -1, which ends a row")
    ordered = np.sort(rows, axis=1)
    twice = (ordered[:, 1:] == ordered[:, :-1]) & (ordered[:, 1:] != NO_NEIGHBOUR)
    _refuse(twice, ordered[:, 1:], first, "there twice")
    return int(np.count_nonzero(present))


def _refuse(wrong: npt.NDArray[np.bool_], rows: Rows, first: int, why: str) -> None:
    if wrong.any():
        row, column = np.argwhere(wrong)[0]
        raise InvalidContent(
            f"Document {first + row} has the neighbour {rows[row, column]}, which is {why}."
        )
