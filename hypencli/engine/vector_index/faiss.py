"""Indexes of faiss: every vector, a graph, or inverted lists of quantised vectors."""

from __future__ import annotations

import errno
import math
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from hypencli.engine.corpus import Ordinals, Scores
from hypencli.engine.vector_index.library import Vectors, import_library, threads
from hypencli.engine.vector_index.spec import IndexSpec
from hypencli.engine.workers import faiss_threads
from hypencli.errors import ModelError, UsageError

_NUMBERS_A_CODE = 8
_TRAINED_A_LIST, _LEAST_TRAINED = 40, 65_536
"""Vectors from which centroids are learned: per list (faiss asks for 39), and the least in all."""


class FaissIndex:
    """A faiss index over inner products.

    Args:
        spec: Parameters of the index and of its searches.
        index: The library's own index.
    """

    def __init__(self, spec: IndexSpec, index: Any) -> None:
        self._spec = spec
        self._index = index
        self._faiss = import_library("faiss", spec)

    @classmethod
    def make(cls, spec: IndexSpec, n: int, dim: int) -> FaissIndex:
        """Make an empty index for ``n`` vectors of width ``dim``.

        Raises:
            UsageError: A parameter does not fit ``n`` or ``dim``.
        """
        faiss = import_library("faiss", spec)
        if spec.kind == "faiss-flat":
            return cls(spec, faiss.IndexFlatIP(dim))
        if spec.kind == "faiss-hnsw":
            return cls(spec, _graph(faiss, spec, dim))
        return cls(spec, _inverted_lists(faiss, spec, n, dim))

    @classmethod
    def read(cls, path: Path, spec: IndexSpec, n: int, dim: int) -> FaissIndex:
        """Read an index from a file.

        Raises:
            ModelError: The file cannot be read, or does not hold ``n`` vectors of width ``dim``.
        """
        try:
            index = import_library("faiss", spec).read_index(str(path))
        except RuntimeError as error:
            raise ModelError(f"faiss cannot read {path}: {error}.") from error
        if (index.ntotal, index.d) != (n, dim):
            raise ModelError(
                f"{path} has {index.ntotal:,} vectors of width {index.d}, expected {n:,} of {dim}."
            )
        return cls(spec, index)

    def training_rows(self, n: int) -> int:
        """Return how many of ``n`` vectors to learn centroids from; 0 for an index without them."""
        if self._index.is_trained:
            return 0
        automatic = max(_TRAINED_A_LIST * self._index.nlist, _LEAST_TRAINED)
        return min(n, self._spec["train_size"] or automatic)

    def train(self, sample: Vectors) -> None:
        """Learn the centroids of lists and codes from vectors ``[n, d]``.

        Raises:
            UsageError: There are fewer vectors than centroids.
        """
        centroids = max(self._index.nlist, 2 ** self._spec["nbits"])
        if len(sample) < centroids:
            raise UsageError(
                f"faiss-ivfpq learns {centroids} centroids (nlist={self._index.nlist}, "
                f"nbits={self._spec['nbits']}) from as many vectors at least; there are "
                f"{len(sample)}.",
                hint="Lower nlist and nbits, raise train_size, or use faiss-flat, which a corpus "
                "of this size is quick with.",
            )
        with self._threads():
            self._index.train(sample)

    def add(self, vectors: Vectors) -> None:
        """Add the next vectors ``[n, d]``."""
        with self._threads():
            self._index.add(vectors)

    def nearest(self, queries: Vectors, k: int) -> tuple[Ordinals, Scores]:
        """Return ordinals and inner products ``[q, k]``; ordinal -1 for no document."""
        with self._threads():
            scores, ordinals = self._index.search(queries, k, params=self._effort(k))
        return ordinals, scores

    def write(self, path: Path) -> None:
        """Write the complete index to a file.

        Raises:
            OSError: The file cannot be written.
        """
        try:
            self._faiss.write_index(self._index, str(path))
        except RuntimeError as error:
            full = "No space left" in str(error)
            raise OSError(errno.ENOSPC if full else errno.EIO, str(error), str(path)) from error

    def _effort(self, k: int) -> Any:
        """Return the search parameters of faiss that limit what a search reads."""
        if self._spec.kind == "faiss-hnsw":
            return self._faiss.SearchParametersHNSW(efSearch=max(self._spec["ef_search"], k))
        if self._spec.kind == "faiss-ivfpq":
            lists = min(self._spec["nprobe"], self._index.nlist)
            return self._faiss.SearchParametersIVF(nprobe=lists)
        return None

    def _threads(self) -> AbstractContextManager[None]:
        return faiss_threads(self._faiss, threads(self._spec))


def _graph(faiss: Any, spec: IndexSpec, dim: int) -> Any:
    index = faiss.IndexHNSWFlat(dim, spec["M"], faiss.METRIC_INNER_PRODUCT)
    index.hnsw.efConstruction = spec["ef_construction"]
    index.hnsw.rng = faiss.RandomGenerator(spec["seed"])
    return index


def _inverted_lists(faiss: Any, spec: IndexSpec, n: int, dim: int) -> Any:
    codes = spec["m"] or _codes(dim)
    if dim % codes:
        raise UsageError(
            f"m={codes} does not divide the width of the vectors, {dim}.",
            hint=f"faiss-ivfpq cuts a vector into m equal parts: m={_codes(dim)}, for example.",
        )
    lists = spec["nlist"] or max(1, round(4 * math.sqrt(n)))
    name = f"IVF{lists},PQ{codes}x{spec['nbits']}np"
    index = faiss.index_factory(dim, name, faiss.METRIC_INNER_PRODUCT)
    for clustering in (index.cp, index.pq.cp):
        clustering.seed = spec["seed"]
        clustering.min_points_per_centroid = 1  # too few points raise our own error
    return index


def _codes(dim: int) -> int:
    """Return the largest number of equal parts of a vector with at least 8 numbers each."""
    most = max(1, dim // _NUMBERS_A_CODE)
    return next(codes for codes in range(most, 0, -1) if dim % codes == 0)
