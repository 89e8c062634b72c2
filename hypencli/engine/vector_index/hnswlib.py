"""Hierarchical navigable small world graphs by hnswlib (Malkov and Yashunin, 2018)."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

import numpy as np

from hypencli.engine.corpus import Ordinals, Scores
from hypencli.engine.vector_index.library import Vectors, import_library, threads
from hypencli.engine.vector_index.spec import IndexSpec
from hypencli.errors import ModelError

_TOO_FEW = "contiguous 2D array"
"""The error text of hnswlib when a search finds fewer than ``k`` documents."""


class HnswlibIndex:
    """An hnswlib graph in its space ``ip``, whose distances are ``1 - inner product``.

    Args:
        spec: Parameters of the graph and of its searches.
        graph: The library's own index.
    """

    def __init__(self, spec: IndexSpec, graph: Any) -> None:
        self._spec = spec
        self._graph = graph

    @classmethod
    def make(cls, spec: IndexSpec, n: int, dim: int) -> HnswlibIndex:
        """Make an empty graph for ``n`` vectors of width ``dim``."""
        graph = import_library("hnswlib", spec).Index(space="ip", dim=dim)
        graph.init_index(
            max_elements=n,
            M=spec["M"],
            ef_construction=spec["ef_construction"],
            random_seed=spec["seed"],
        )
        return cls(spec, graph)

    @classmethod
    def read(cls, path: Path, spec: IndexSpec, n: int, dim: int) -> HnswlibIndex:
        """Read a graph from a file.

        Raises:
            ModelError: The file cannot be read, or does not hold ``n`` vectors of width ``dim``.
        """
        graph = import_library("hnswlib", spec).Index(space="ip", dim=dim)
        try:
            graph.load_index(str(path), max_elements=n)
        except RuntimeError as error:
            raise ModelError(f"hnswlib cannot read {path}: {error}.") from error
        if graph.get_current_count() != n:
            count = graph.get_current_count()
            raise ModelError(f"{path} has {count:,} vectors, expected {n:,}.")
        return cls(spec, graph)

    def training_rows(self, n: int) -> int:
        """Return 0: a graph learns nothing before vectors are added."""
        return 0

    def train(self, sample: Vectors) -> None:
        """Do nothing: a graph has nothing to learn."""

    def add(self, vectors: Vectors) -> None:
        """Link the next vectors ``[n, d]`` into the graph."""
        first = self._graph.get_current_count()
        labels = np.arange(first, first + len(vectors))
        self._graph.add_items(vectors, labels, num_threads=threads(self._spec))

    def nearest(self, queries: Vectors, k: int, effort: int = 1) -> tuple[Ordinals, Scores]:
        """Return ordinals and inner products ``[q, k]``; ordinal -1 where no more are reached."""
        self._graph.set_ef(max(self._spec["ef_search"], k) * effort)
        try:
            return self._ask(queries, k)
        except RuntimeError as error:
            if _TOO_FEW not in str(error):
                raise
        ordinals: Ordinals = np.full((len(queries), k), -1, dtype=np.int64)
        scores: Scores = np.full((len(queries), k), -np.inf, dtype=np.float32)
        for i in range(len(queries)):
            nearest_ordinals, values = self._reached(queries[i : i + 1], k)
            ordinals[i, : len(nearest_ordinals)], scores[i, : len(nearest_ordinals)] = (
                nearest_ordinals,
                values,
            )
        return ordinals, scores

    def _ask(self, queries: Vectors, k: int) -> tuple[Ordinals, Scores]:
        labels, distances = self._graph.knn_query(queries, k, num_threads=threads(self._spec))
        return labels.astype(np.int64), 1.0 - distances

    def _reached(self, query: Vectors, k: int) -> tuple[Ordinals, Scores]:
        """Return all documents that one query reaches, up to ``k``, by bisection."""
        few, many = 1, k  # a search finds `few` documents, but not `many`
        if self._finds(query, k):
            few = k
        while few + 1 < many:
            middle = (few + many) // 2
            few, many = (middle, many) if self._finds(query, middle) else (few, middle)
        ordinals, scores = self._ask(query, few)
        return ordinals[0], scores[0]

    def _finds(self, query: Vectors, k: int) -> bool:
        try:
            self._ask(query, k)
        except RuntimeError as error:
            if _TOO_FEW not in str(error):
                raise
            return False
        return True

    def write(self, path: Path) -> None:
        """Write the complete graph to a file.

        Raises:
            OSError: The file is shorter than the graph: hnswlib does not say when a disk is full.
        """
        self._graph.save_index(str(path))
        if path.stat().st_size != self._graph.index_file_size():
            raise OSError(errno.ENOSPC, "No space left for the index", str(path))
