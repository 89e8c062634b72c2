"""Neighbour graphs: for each document of an embedding set, the documents nearest to it."""

from __future__ import annotations

import mmap
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from tokenize import TokenError
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from hypestore.errors import (
    DamagedArtifact,
    IncompleteWork,
    InvalidContent,
)
from hypestore.files import atomic_path
from hypestore.manifest import Manifest
from hypestore.verification import check_files
from hypestore.work.work import (
    Draft,
    WriteContext,
    plan_work,
)

NEIGHBOURS_NAME = "neighbours.npy"
NO_NEIGHBOUR = -1
"""Fills the end of a row that has fewer neighbours than the graph is wide."""

_DTYPE = np.dtype("<i4")
_CHECKED_ROWS = 16_384
_NO_HEADER = (SyntaxError, TokenError, RecursionError, MemoryError)
"""What Python's parser raises over text that is none, besides ``ValueError``."""

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
            header = {"descr": _DTYPE.str, "fortran_order": False, "shape": (self.n, self.k)}
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
                out.write(np.ascontiguousarray(rows, _DTYPE).data)
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


@dataclass(frozen=True, eq=False)
class NeighbourGraph:
    """A finished neighbour graph. Opening it maps its file, whatever its size.

    Attributes:
        manifest: Its manifest.
        neighbours: Ordinals [n, k] int32, read-only: row i has the documents nearest to document
            i, nearest first, without itself; -1 at the end where there are fewer than k.
    """

    manifest: Manifest
    neighbours: npt.NDArray[np.int32]

    @property
    def n(self) -> int:
        """Documents."""
        return int(self.neighbours.shape[0])

    @property
    def k(self) -> int:
        """Neighbours a document, here."""
        return int(self.neighbours.shape[1])

    @property
    def embeddings(self) -> str:
        """Id of the embedding set whose ordinals these are."""
        return str(self.manifest.inputs["embeddings"])

    def first(self, k: int) -> NeighbourGraph:
        """The same graph with the ``k`` nearest of each row alone: a view, no copy.

        Raises:
            InvalidContent: The graph has fewer, or ``k`` is below 1.
        """
        if not 1 <= k <= self.k:
            raise InvalidContent(
                f"The graph {self.manifest.id} has {self.k} neighbours a document, not {k}.",
                hint="Make one with more: hype graph --k K",
            )
        return NeighbourGraph(self.manifest, self.neighbours[:, :k])


def open_graph(folder: Path, manifest: Manifest) -> NeighbourGraph:
    """Map the graph in a folder.

    Raises:
        DamagedArtifact: Its file is missing, of another size than the manifest says, or not an
            array of the shape and type that the manifest gives it.
    """
    check_files(folder, manifest)
    shape = (manifest.stat_int("n_documents"), manifest.input_int("k"))
    path = folder / NEIGHBOURS_NAME
    offset = _check_header(path, shape)
    if shape[0] == 0:  # nothing can be mapped
        return NeighbourGraph(manifest, np.empty(shape, np.int32))
    return NeighbourGraph(manifest, _map(path, shape, offset))


def _map(path: Path, shape: tuple[int, int], offset: int) -> npt.NDArray[np.int32]:
    """The ordinals where they lie: rows are asked for here and there, so none is read ahead."""
    with path.open("rb") as stream:
        mapped = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
    if hasattr(mmap, "MADV_RANDOM"):
        mapped.madvise(mmap.MADV_RANDOM)
    return np.frombuffer(mapped, _DTYPE, shape[0] * shape[1], offset).reshape(shape)


def _check_header(path: Path, shape: tuple[int, int]) -> int:
    """Where the ordinals begin in a file that holds them in this shape."""
    try:
        with path.open("rb") as stream:
            version = np.lib.format.read_magic(stream)
            if version != (1, 0):
                raise ValueError(f"NumPy format {version}, expected (1, 0)")
            header = np.lib.format.read_array_header_1_0(stream)
            offset = stream.tell()
        if header != (shape, False, _DTYPE):
            raise ValueError(f"an array {header}, expected {(shape, False, _DTYPE)}")
        size = path.stat().st_size
        expected = offset + shape[0] * shape[1] * _DTYPE.itemsize
        if size != expected:
            raise ValueError(f"{size} bytes long, expected {expected}")
    except (OSError, ValueError, *_NO_HEADER) as error:
        problem = str(error) if isinstance(error, OSError | ValueError) else "no NumPy header"
        raise DamagedArtifact(f"{path}: {problem}.", hint="hype doctor --checksums") from error
    return offset
