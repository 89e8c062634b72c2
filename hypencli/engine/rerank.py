"""Reranking: each query scores its own list of documents from an earlier search."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import torch

from hypencli.engine.candidates import BatchSearch, QuerySearch, search_by
from hypencli.engine.corpus import Ordinals, SearchCorpus
from hypencli.engine.results import OnScored, SearchResult
from hypencli.engine.scorers import Scorer


class RerankEngine:
    """Search that scores the documents of another search.

    Args:
        corpus: The documents.
        candidates: Ordinals to score, one array ``[m]`` a query, each document once.
        device: The device that scores; the CPU by default.
        dtype: Arithmetic of the scores.

    Examples:
        >>> import numpy as np
        >>> from hypencli.engine.corpus import VectorCorpus
        >>> from hypencli.engine.scorers import InnerProductScorer
        >>> corpus = VectorCorpus(np.eye(3, dtype=np.float32), ids=["a", "b", "c"])
        >>> queries = InnerProductScorer(torch.tensor([[1.0, 3.0, 2.0]]))
        >>> candidates = [np.array([0, 2])]  # places of documents, a list for each query
        >>> RerankEngine(corpus, candidates).search(queries, k=2).rankings
        [[('c', 2.0), ('a', 1.0)]]
    """

    def __init__(
        self,
        corpus: SearchCorpus,
        candidates: Sequence[Ordinals],
        *,
        device: torch.device | None = None,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        self._corpus = corpus
        self._candidates = candidates
        self._device, self._dtype = device, dtype

    def search(self, scorer: Scorer, *, k: int, on_scored: OnScored | None = None) -> SearchResult:
        """Return the ``k`` best of the candidates of each query."""
        return search_by(
            partial(BatchSearch.each, step=self._rerank),
            scorer,
            self._corpus,
            k=k,
            device=self._device,
            dtype=self._dtype,
            on_scored=on_scored,
        )

    def _rerank(self, search: QuerySearch) -> None:
        search.evaluate(self._candidates[search.query])
        search.iterations += 1
