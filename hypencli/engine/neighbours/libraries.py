"""Approximate neighbour graphs by libraries: NN-descent (pynndescent), HNSW (hnswlib, faiss)."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from typing import Any, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt
import torch

from hypencli.engine.corpus import VectorSource
from hypencli.engine.neighbours.settings import Hnsw, NNDescent
from hypencli.engine.neighbours.similarity import Metric
from hypencli.engine.neighbours.top_neighbours import NO_NEIGHBOUR, Ordinals
from hypencli.engine.workers import faiss_threads
from hypencli.errors import MissingDependencyError, UsageError
from hypencli.packages import install_command

Floats: TypeAlias = npt.NDArray[np.float32]
OnDone: TypeAlias = Callable[[int], None]

_NN_DESCENT_METRICS = {"l2": "euclidean", "ip": "inner_product", "cos": "cosine"}
_HNSW_SPACES = {"l2": "l2", "ip": "ip", "cos": "cosine"}
_ROWS = 8_192


def by_nn_descent(
    corpus: VectorSource, metric: Metric, *, k: int, settings: NNDescent
) -> Iterator[Ordinals]:
    """Yield neighbours [r, k] of all documents in order, nearest first, by NN-descent.

    Memory: all vectors in float32, and 8·k bytes a document.

    Raises:
        MissingDependencyError: pynndescent is not installed.
        UsageError: The corpus has hardly more than k documents.
    """
    library = _library("pynndescent")
    _refuse_small(corpus, k, "nn-descent")
    with warnings.catch_warnings():
        # Ignore the warning about rows that are not full: the measured recall says more.
        warnings.filterwarnings("ignore", "Failed to correctly find n_neighbors")
        index = library.NNDescent(
            _all_vectors(corpus),
            metric=_NN_DESCENT_METRICS[metric],
            n_neighbors=k + 1,
            n_trees=settings.trees,
            n_iters=settings.iterations,
            max_candidates=settings.candidates,
            random_state=settings.seed,
            n_jobs=torch.get_num_threads(),
        )
    neighbours: npt.NDArray[np.int32] = index.neighbor_graph[0]
    for start in range(0, corpus.n, _ROWS):
        yield without_self(neighbours[start : start + _ROWS], start, k)


def by_hnsw(
    corpus: VectorSource,
    metric: Metric,
    *,
    k: int,
    settings: Hnsw,
    library: str = "hnswlib",
    on_done: OnDone | None = None,
) -> Iterator[Ordinals]:
    """Yield neighbours [r, k] of all documents in order, nearest first, by an HNSW index.

    With several threads, the index depends on the order in which they add documents, so two builds
    may differ in some neighbours.

    Args:
        corpus: The documents.
        metric: The similarity: ``l2``, ``ip`` or ``cos``.
        k: Neighbours of a document.
        settings: Settings of the index and its searches.
        library: ``hnswlib`` or ``faiss``.
        on_done: Called with the number of documents just added, later just searched for.

    Raises:
        MissingDependencyError: The library is not installed.
    """
    graph: _HnswGraph = _HNSW_GRAPHS[library](corpus, metric, settings)
    for _, vectors in _blocks(corpus):
        graph.add(vectors)
        if on_done is not None:
            on_done(len(vectors))
    for first, vectors in _blocks(corpus):
        yield without_self(graph.nearest(vectors, min(k + 1, corpus.n)), first, k)
        if on_done is not None:
            on_done(len(vectors))


class _HnswGraph(Protocol):
    """An HNSW index that is filled, then searched."""

    def add(self, vectors: Floats) -> None:
        """Link the next vectors [r, d] into the graph."""
        ...

    def nearest(self, vectors: Floats, k: int) -> Ordinals:
        """Return ordinals [r, k] nearest to vectors [r, d]; -1 where a search reaches fewer."""
        ...


class _ByHnswlib:
    """An index of hnswlib."""

    def __init__(self, corpus: VectorSource, metric: Metric, settings: Hnsw) -> None:
        library = _library("hnswlib")
        self._index = library.Index(space=_HNSW_SPACES[metric], dim=corpus.dim)
        self._index.init_index(
            max_elements=corpus.n,
            M=settings.m,
            ef_construction=settings.ef_construction,
            random_seed=settings.seed,
        )
        self._index.set_num_threads(torch.get_num_threads())
        self._ef_search = settings.ef_search

    def add(self, vectors: Floats) -> None:
        first = self._index.get_current_count()
        self._index.add_items(vectors, np.arange(first, first + len(vectors)))

    def nearest(self, vectors: Floats, k: int) -> Ordinals:
        self._index.set_ef(max(self._ef_search, k))
        return _reached(self._index, vectors, k)


class _ByFaiss:
    """An index of faiss; cosines are inner products of vectors of length 1."""

    def __init__(self, corpus: VectorSource, metric: Metric, settings: Hnsw) -> None:
        self._faiss = _library("faiss")
        near = self._faiss.METRIC_L2 if metric == "l2" else self._faiss.METRIC_INNER_PRODUCT
        self._index = self._faiss.IndexHNSWFlat(corpus.dim, settings.m, near)
        self._index.hnsw.efConstruction = settings.ef_construction
        self._index.hnsw.rng = self._faiss.RandomGenerator(settings.seed)
        self._normalise = metric == "cos"
        self._ef_search = settings.ef_search

    def add(self, vectors: Floats) -> None:
        with faiss_threads(self._faiss, torch.get_num_threads()):
            self._index.add(self._compared(vectors))

    def nearest(self, vectors: Floats, k: int) -> Ordinals:
        effort = self._faiss.SearchParametersHNSW(efSearch=max(self._ef_search, k))
        with faiss_threads(self._faiss, torch.get_num_threads()):
            _, ordinals = self._index.search(self._compared(vectors), k, params=effort)
        return np.asarray(ordinals, dtype=np.int32)

    def _compared(self, vectors: Floats) -> Floats:
        if not self._normalise:
            return vectors
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        directions: Floats = vectors / np.maximum(lengths, np.finfo(np.float32).tiny)
        return directions


_HNSW_GRAPHS: dict[str, type[_ByHnswlib] | type[_ByFaiss]] = {
    "hnswlib": _ByHnswlib,
    "faiss": _ByFaiss,
}


def _reached(index: Any, vectors: Floats, k: int) -> Ordinals:
    """Return ordinals [r, k] nearest to vectors [r, d]; -1 where a search reaches fewer.

    hnswlib refuses a whole batch if one of its vectors reaches fewer than k documents. Such vectors
    are searched one by one, with a falling number of neighbours.
    """
    if k == 0:
        return np.empty((len(vectors), 0), dtype=np.int32)
    try:
        labels, _ = index.knn_query(vectors, k=k)
    except RuntimeError:
        half = len(vectors) // 2
        if half:
            parts = (vectors[:half], vectors[half:])
            return np.concatenate([_reached(index, part, k) for part in parts])
        fewer = _reached(index, vectors, k // 2)
        missing = ((0, 0), (0, k - fewer.shape[1]))
        return np.pad(fewer, missing, constant_values=NO_NEIGHBOUR)
    return np.asarray(labels, dtype=np.int32)


def without_self(nearest: Ordinals, first: int, k: int) -> Ordinals:
    """Remove each document from its own neighbours, and return rows [r, k].

    Args:
        nearest: Ordinals [r, any], nearest first; below 0 for no neighbour.
        first: Ordinal of the document of the first row.
        k: Neighbours to keep; shorter rows end in -1.
    """
    own = np.arange(first, first + len(nearest))[:, None]
    kept = (nearest >= 0) & (nearest != own)
    places = np.cumsum(kept, axis=1) - 1
    kept &= places < k
    rows, columns = np.nonzero(kept)
    neighbours = np.full((len(nearest), k), NO_NEIGHBOUR, dtype=np.int32)
    neighbours[rows, places[rows, columns]] = nearest[rows, columns]
    return neighbours


def recall(neighbours: Ordinals, exact: Ordinals) -> float:
    """Return the share of the exact neighbours [s, k] that are in ``neighbours``; 1 if none."""
    wanted = int((exact != NO_NEIGHBOUR).sum())
    pairs = zip(neighbours, exact, strict=True)
    hits = sum(int(np.isin(near[near != NO_NEIGHBOUR], row).sum()) for row, near in pairs)
    return hits / wanted if wanted else 1.0


def _refuse_small(corpus: VectorSource, k: int, builder: str) -> None:
    if corpus.n <= k + 1:
        raise UsageError(
            f"{builder} finds {k} neighbours among more than {k + 1} documents, and there are "
            f"{corpus.n}.",
            hint="Choose the builder exact.",
        )


def _all_vectors(corpus: VectorSource) -> Floats:
    whole = np.empty((corpus.n, corpus.dim), dtype=np.float32)
    for first, vectors in corpus.blocks():
        whole[first : first + len(vectors)] = vectors
    return whole


def _blocks(corpus: VectorSource) -> Iterator[tuple[int, Floats]]:
    """Yield the vectors in order in float32, in blocks that a library handles quickly."""
    for first, vectors in corpus.blocks():
        for start in range(0, len(vectors), _ROWS):
            yield first + start, np.array(vectors[start : start + _ROWS], dtype=np.float32)


def _library(name: str) -> Any:
    import importlib

    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise MissingDependencyError(
            f"The package {name} is not installed.",
            hint=f"{install_command(name)}, or choose the builder exact",
        ) from error
