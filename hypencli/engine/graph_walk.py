"""Search over a neighbour graph, as published."""

from __future__ import annotations

import random
from collections.abc import Sequence
from functools import partial

import numpy as np
import numpy.typing as npt
import torch

from hypencli.engine.candidates import BatchSearch, QuerySearch, search_by
from hypencli.engine.corpus import Ordinals, Scores, SearchCorpus
from hypencli.engine.parameters import WalkOptions
from hypencli.engine.results import OnScored, SearchResult
from hypencli.engine.scorers import Scorer
from hypencli.errors import UsageError

Neighbours = npt.NDArray[np.int32]
"""Ordinals ``[n, k]`` of the neighbours of each document, nearest first; -1 for no neighbour."""


def draw_entry_points(n: int, options: WalkOptions) -> Ordinals:
    """Draw the documents with which every search begins, like the published code for a seed.

    Deviation: the published code seeds the generator of the whole process for this draw, and fails
    if the corpus is smaller than the number of entry points.
    """
    drawn = random.Random(options.seed).sample(range(n), min(n, options.entry_points))
    return np.asarray(drawn, dtype=np.int64)


class GraphEngine:
    """Search that walks along a neighbour graph from random documents to ones that score higher.

    Each step scores its candidates, adds the best of them to the ranking, and expands the best
    ``candidates``: their neighbours that were not candidates before are those of the next step.

    Args:
        corpus: The documents.
        neighbours: The graph, ``[n, k]``; may be a memory map.
        options: Options of the walk; the defaults if None.
        entry_points: Ordinals of the documents to begin with, instead of random ones.
        seeds: Ordinals of each query's own documents to begin with, best first. The entry points
            follow them, up to the same number.
        device: The device that scores; the CPU by default.
        dtype: Arithmetic of the scores.

    Raises:
        UsageError: The graph and the corpus have different numbers of documents.

    Examples:
        >>> import numpy as np
        >>> from hypencli.engine.corpus import VectorCorpus
        >>> from hypencli.engine.scorers import InnerProductScorer
        >>> corpus = VectorCorpus(np.eye(3, dtype=np.float32), ids=["a", "b", "c"])
        >>> queries = InnerProductScorer(torch.tensor([[1.0, 3.0, 2.0]]))
        >>> neighbours = np.array([[1, 2], [0, 2], [0, 1]], dtype=np.int32)
        >>> engine = GraphEngine(corpus, neighbours, WalkOptions(entry_points=1))
        >>> engine.search(queries, k=2).rankings
        [[('b', 3.0), ('c', 2.0)]]
    """

    def __init__(
        self,
        corpus: SearchCorpus,
        neighbours: Neighbours,
        options: WalkOptions | None = None,
        *,
        entry_points: Sequence[int] | None = None,
        seeds: Sequence[Ordinals] | None = None,
        device: torch.device | None = None,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        if len(neighbours) != corpus.n:
            raise UsageError(
                f"The graph is of {len(neighbours)} documents; the corpus has {corpus.n}.",
                hint="Build the graph of these embeddings: hype graph",
            )
        self._corpus = corpus
        self._options = options or WalkOptions()
        self._neighbours = neighbours[:, : self._options.neighbours]
        self._device, self._dtype = device, dtype
        self.entry_points: Ordinals = (
            draw_entry_points(corpus.n, self._options)
            if entry_points is None
            else np.asarray(entry_points, dtype=np.int64)
        )
        self._seeds = seeds

    def search(self, scorer: Scorer, *, k: int, on_scored: OnScored | None = None) -> SearchResult:
        """Return the ``k`` best documents that the walk of each query scores."""
        return search_by(
            partial(BatchSearch.each, step=self._walk),
            scorer,
            self._corpus,
            k=k,
            device=self._device,
            dtype=self._dtype,
            on_scored=on_scored,
        )

    def _first(self, query: int) -> Ordinals:
        """Return the documents with which the search of a query begins, each once."""
        if self._seeds is None:
            return self.entry_points
        seeds = self._seeds[query][: len(self.entry_points)]
        others = self.entry_points[~np.isin(self.entry_points, seeds)]
        return np.concatenate([seeds, others[: len(self.entry_points) - len(seeds)]])

    def _walk(self, search: QuerySearch) -> None:
        listed = np.zeros(self._corpus.n, dtype=np.bool_)
        candidates = self._first(search.query)
        listed[candidates] = True
        while len(candidates) and search.iterations < self._options.max_iterations:
            last = search.top.last
            scores = search.evaluate(candidates)
            search.iterations += 1
            if self._options.early_stop and scores.max() <= last:
                break
            best = candidates[_best(scores, self._options.candidates)]
            candidates = _unlisted(self._neighbours[best], listed)
            listed[candidates] = True


def _best(scores: Scores, m: int) -> Ordinals:
    """Return the positions of the ``m`` largest of ``scores`` ``[n]``, in no order."""
    if len(scores) <= m:
        return np.arange(len(scores))
    return np.argpartition(scores, -m)[-m:]


def _unlisted(neighbours: Neighbours, listed: npt.NDArray[np.bool_]) -> Ordinals:
    """Return the documents in rows of the graph that were not listed, each once, in order."""
    present = neighbours[neighbours >= 0]
    unique: Ordinals = np.unique(present[~listed[present]]).astype(np.int64)
    return unique
