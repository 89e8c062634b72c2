"""Indexes of faiss: every vector, a graph, or inverted lists.

Graphs and inverted lists of whole vectors are mapped from disk: a search reads the parts that it
needs, and the system may drop them again, so they take no memory of the process.
"""

from __future__ import annotations

import errno
import math
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np

from hypencli.engine.corpus import Ordinals, Scores
from hypencli.engine.vector_index.library import Vectors, import_library, threads
from hypencli.engine.vector_index.spec import IndexSpec
from hypencli.engine.workers import faiss_threads
from hypencli.errors import ModelError, UsageError

MORE_LISTS = "lists-*.bin"
"""Names of files beside an index of inverted lists that hold more vectors of these lists."""

LISTED = ("faiss-ivf", "faiss-flat16")
"""Kinds with mapped inverted lists."""

_NUMBERS_A_CODE = 8
_TRAINED_A_LIST, _LEAST_TRAINED = 40, 65_536
"""Vectors from which centroids are learned: per list (faiss asks for 39), and the least in all."""

_MAPPED_TRAINED_A_LIST, _TRAINED_BYTES = 20, 256 * 1024**2
"""The same for mapped lists, and the most bytes of these vectors in float32."""

_FLAT_LISTS = 64
"""Lists of an index that reads all of them: several threads share them."""


class FaissIndex:
    """A faiss index over inner products.

    Args:
        spec: Parameters of the index and of its searches.
        index: The library's own index.
        more: Indexes with more vectors of the same inverted lists.
    """

    def __init__(self, spec: IndexSpec, index: Any, more: Sequence[Any] = ()) -> None:
        self._spec = spec
        self._index, self._more = index, more
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
        if spec.kind in LISTED:
            return cls(spec, _whole_vector_lists(faiss, spec, n, dim))
        return cls(spec, _inverted_lists(faiss, spec, n, dim))

    @classmethod
    def read(cls, path: Path, spec: IndexSpec, n: int, dim: int) -> FaissIndex:
        """Read an index from a file, or map it.

        Raises:
            ModelError: The file cannot be read, or does not hold ``n`` vectors of width ``dim``.
        """
        faiss = import_library("faiss", spec)
        flags = 0
        if spec.kind in LISTED:
            flags = faiss.IO_FLAG_MMAP | faiss.IO_FLAG_READ_ONLY
        elif spec.kind == "faiss-hnsw":
            flags = faiss.IO_FLAG_MMAP_IFC | faiss.IO_FLAG_READ_ONLY
        index = _opened(faiss, path, flags)
        paths = sorted(path.parent.glob(MORE_LISTS)) if spec.kind in LISTED else []
        more = [_opened(faiss, each, flags) for each in paths]
        shape = (sum(part.ntotal for part in (index, *more)), index.d)
        if shape != (n, dim):
            raise ModelError(
                f"{path} has {shape[0]:,} vectors of width {shape[1]}, expected {n:,} of {dim}."
            )
        return cls(spec, index, more)

    @classmethod
    def read_to_add(cls, path: Path, spec: IndexSpec) -> FaissIndex:
        """Read a part of an index, to which vectors can be added.

        Raises:
            ModelError: The file cannot be read.
        """
        return cls(spec, _opened(import_library("faiss", spec), path, 0))

    def training_rows(self, n: int) -> int:
        """Return how many of ``n`` vectors to learn centroids from; 0 for an index without them."""
        if self._index.is_trained:
            return 0
        lists = self._index.nlist
        if self._spec.kind in LISTED:
            most = max(lists, _TRAINED_BYTES // (4 * self._index.d))
            automatic = min(most, _MAPPED_TRAINED_A_LIST * lists)
        else:
            automatic = max(_TRAINED_A_LIST * lists, _LEAST_TRAINED)
        return min(n, self._spec.options.get("train_size") or automatic)

    def train(self, sample: Vectors) -> None:
        """Learn the centroids of lists and codes from vectors ``[n, d]``.

        Raises:
            UsageError: There are fewer vectors than centroids.
        """
        bits = self._spec["nbits"] if "nbits" in self._spec.options else 0
        centroids = max(self._index.nlist, 2**bits)
        if len(sample) < centroids:
            sizes = f"nlist={self._index.nlist}" + (f", nbits={bits}" if bits else "")
            lower = "nlist and nbits" if bits else "nlist"
            raise UsageError(
                f"{self._spec.kind} learns {centroids} centroids ({sizes}) from as many vectors "
                f"at least; there are {len(sample)}.",
                hint=f"Lower {lower}, raise train_size, or use faiss-flat, which a corpus "
                "of this size is quick with.",
            )
        with self._threads():
            self._index.train(sample)

    def add(self, vectors: Vectors) -> None:
        """Add the next vectors ``[n, d]``."""
        with self._threads():
            self._index.add(vectors)

    def add_from(self, first: int, vectors: Vectors) -> None:
        """Add vectors ``[n, d]`` with the ordinals from ``first`` on, to inverted lists."""
        ordinals = np.arange(first, first + len(vectors), dtype=np.int64)
        with self._threads():
            self._index.add_with_ids(vectors, ordinals)

    def nearest(self, queries: Vectors, k: int, effort: int = 1) -> tuple[Ordinals, Scores]:
        """Return ordinals and inner products ``[q, k]``; ordinal -1 for no document."""
        limits = self._limits(k, effort)
        with self._threads():
            if not self._more:
                scores, ordinals = self._index.search(queries, k, params=limits)
                return ordinals, scores
            near, lists = self._index.quantizer.search(queries, limits.nprobe)
            found = [
                self._of_part(part, queries, k, (lists, near), limits)
                for part in (self._index, *self._more)
            ]
        scores = np.concatenate([each for each, _ in found], axis=1)
        ordinals = np.concatenate([each for _, each in found], axis=1)
        scores[ordinals < 0] = -np.inf
        best = np.argpartition(-scores, k - 1, axis=1)[:, :k]
        return np.take_along_axis(ordinals, best, axis=1), np.take_along_axis(scores, best, axis=1)

    def _of_part(
        self, part: Any, queries: Vectors, k: int, lists: tuple[Ordinals, Scores], limits: Any
    ) -> tuple[Scores, Ordinals]:
        """Search the lists of one part. Several threads may do so with limits of their own."""
        pointer = self._faiss.swig_ptr
        scores: Scores = np.empty((len(queries), k), dtype=np.float32)
        ordinals: Ordinals = np.empty((len(queries), k), dtype=np.int64)
        near = [pointer(each) for each in lists]
        results = (pointer(scores), pointer(ordinals))
        part.search_preassigned_c(len(queries), pointer(queries), k, *near, *results, False, limits)
        return scores, ordinals

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

    def _limits(self, k: int, effort: int) -> Any:
        """Return the search parameters of faiss that limit what a search reads."""
        if self._spec.kind == "faiss-hnsw":
            candidates = max(self._spec["ef_search"], k) * effort
            return self._faiss.SearchParametersHNSW(efSearch=candidates)
        if self._spec.kind == "faiss-flat16":
            return self._faiss.SearchParametersIVF(nprobe=self._index.nlist)
        if self._spec.kind in ("faiss-ivf", "faiss-ivfpq"):
            lists = min(self._spec["nprobe"] * effort, self._index.nlist)
            return self._faiss.SearchParametersIVF(nprobe=lists)
        return None

    def _threads(self) -> AbstractContextManager[None]:
        return faiss_threads(self._faiss, threads(self._spec))


def _opened(faiss: Any, path: Path, flags: int) -> Any:
    try:
        return faiss.read_index(str(path), flags)
    except RuntimeError as error:
        raise ModelError(f"faiss cannot read {path}: {error}.") from error


def _graph(faiss: Any, spec: IndexSpec, dim: int) -> Any:
    metric = faiss.METRIC_INNER_PRODUCT
    if spec["bits"] == 16:
        index = faiss.IndexHNSWSQ(dim, faiss.ScalarQuantizer.QT_fp16, spec["M"], metric)
    else:
        index = faiss.IndexHNSWFlat(dim, spec["M"], metric)
    index.hnsw.efConstruction = spec["ef_construction"]
    index.hnsw.rng = faiss.RandomGenerator(spec["seed"])
    return index


def _whole_vector_lists(faiss: Any, spec: IndexSpec, n: int, dim: int) -> Any:
    flat = spec.kind == "faiss-flat16"
    automatic = _FLAT_LISTS if flat else round(4 * math.sqrt(n))
    lists = spec.options.get("nlist") or max(1, min(automatic, n))
    quantiser = faiss.IndexFlatIP(dim)
    one_byte = spec.options.get("bits") == 8
    codes = faiss.ScalarQuantizer.QT_8bit if one_byte else faiss.ScalarQuantizer.QT_fp16
    index = faiss.IndexIVFScalarQuantizer(
        quantiser, dim, lists, codes, faiss.METRIC_INNER_PRODUCT, one_byte
    )
    quantiser.this.disown()
    index.own_fields = True
    index.cp.seed = spec.options.get("seed", 0)
    index.cp.min_points_per_centroid = 1  # too few points raise our own error
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
