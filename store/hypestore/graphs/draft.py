"""Neighbour graphs in the making: for each document of an embedding set, those nearest to it."""

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
"""Fills the end of a row that has fewer neighbours than the graph is wide."""

_CHECKED_ROWS = 16_384

Rows = npt.NDArray[np.integer[Any]]


class GraphDraft(Draft):
    """A neighbour graph in the making: ``write`` every row once, then ``commit``.

    Attributes:
        n: Documents of the embedding set, which is the number of rows.
        k: Neighbours a row.
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
            raise InvalidContent(f"A graph of {k} neighbours a document is none; at least 1.")
        self.n = embeddings.stat_int("n_documents")
        self.k = k
        self._edges: int | None = None
        content = {**inputs, "embeddings": embeddings.id, "k": k}
        record = plan_work("graph", id_prefix, content, parents=(embeddings.id,), name=name)
        super().__init__(context, record, wait_seconds=wait_seconds)

    def write(self, blocks: Iterable[Rows]) -> None:
        """Write the neighbours of all documents, in order.

        Args:
            blocks: Ordinals [n, k] in blocks of any number of rows: row i has the documents
                nearest to document i, nearest first, then -1 where there are fewer than k.

        Raises:
            InvalidContent: An ordinal that is no document's, the document itself, one twice in a
                row, -1 before another; names the row.
            IncompleteWork: Fewer or more rows than the set has documents; or the graph is finished.
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
            IncompleteWork: The neighbours were not written.
        """
        if self.existing is not None:
            return self.existing
        if self._edges is None:
            raise IncompleteWork(f"The graph {self.id} has no neighbours: write them, then commit.")
        counts = {"n_documents": self.n, "n_edges": self._edges}
        return super().commit(stats={**(stats or {}), **counts}, provenance=provenance)

    def _write_rows(self, out: BinaryIO, blocks: Iterable[Rows]) -> int:
        """Write and check the rows; returns the number of edges."""
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
    """Refuse rows of a graph that are not valid.

    Args:
        rows: Ordinals [r, k] of the neighbours of the documents from ``first`` on.
        first: Ordinal of the first row.
        n: Documents of the set.

    Returns:
        How many neighbours there are.

    Raises:
        InvalidContent: See ``GraphDraft.write``.
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
