"""Search of a bi-encoder over a vector index, behind the interface of all engines."""

from __future__ import annotations

import math
import time

from hypencli.engine.blocks import non_finite
from hypencli.engine.corpus import Ordinals, Scores, SearchCorpus
from hypencli.engine.results import OnScored, SearchResult, counts, refuse_k
from hypencli.engine.scorers import InnerProductScorer, Scorer
from hypencli.engine.seconds import SearchSeconds
from hypencli.engine.vector_index.index import VectorIndex
from hypencli.errors import UsageError
from hypencli.records import Ranking


class IndexEngine:
    """Search for the largest inner products with a query vector, over a vector index.

    Args:
        corpus: The documents, whose ordinals the index returns.
        index: The index.

    Examples:
        >>> import torch
        >>> import numpy as np
        >>> from hypencli.engine.corpus import VectorCorpus
        >>> from hypencli.engine.scorers import InnerProductScorer
        >>> corpus = VectorCorpus(np.eye(3, dtype=np.float32), ids=["a", "b", "c"])
        >>> queries = InnerProductScorer(torch.tensor([[1.0, 3.0, 2.0]]))
        >>> from hypencli.engine.vector_index.index import build_index
        >>> from hypencli.engine.vector_index.spec import IndexSpec
        >>> index = build_index(corpus.blocks, IndexSpec("faiss-flat", {}), n=3, dim=3)
        >>> IndexEngine(corpus, index).search(queries, k=2).rankings
        [[('b', 3.0), ('c', 2.0)]]
    """

    def __init__(self, corpus: SearchCorpus, index: VectorIndex) -> None:
        self._corpus = corpus
        self._index = index

    def search(self, scorer: Scorer, *, k: int, on_scored: OnScored | None = None) -> SearchResult:
        """Return the ``k`` documents that the index finds for every query.

        No evaluations are counted, since the index computes its own scores.

        Raises:
            UsageError: The queries are q-nets, not vectors.
            ModelError: A score or a query is not finite, the width of the queries differs from that
                of the index, or ``k`` is below 1.
        """
        refuse_k(k)
        if not isinstance(scorer, InnerProductScorer):
            raise UsageError(
                "A vector index searches with query vectors; these queries are q-nets.",
                hint="Search with a bi-encoder, or with the engine guided, graph or exact.",
            )
        started = time.perf_counter()
        queries = scorer.queries.detach().to(device="cpu").float().numpy()
        ordinals, scores = self._index.search(queries, k)
        ended = time.perf_counter()
        rows = zip(ordinals, scores, strict=True)
        rankings = [self._ranking(query, *row) for query, row in enumerate(rows)]
        if on_scored is not None:
            on_scored(len(queries) * self._corpus.n)
        return SearchResult(
            rankings=rankings,
            evaluations=counts([0] * len(rankings)),
            iterations=counts([1] * len(rankings)),
            seconds=SearchSeconds(scoring=ended - started, topk=time.perf_counter() - ended),
        )

    def _ranking(self, query: int, ordinals: Ordinals, scores: Scores) -> Ranking:
        """Return ids and scores of one query, best score first, ties by document id."""
        valid = ordinals >= 0
        ids = self._corpus.ids(ordinals[valid])
        pairs = list(zip(ids, scores[valid].tolist(), strict=True))
        for doc_id, score in pairs:
            if not math.isfinite(score):
                raise non_finite(doc_id, query, score)
        return sorted(pairs, key=lambda pair: (-pair[1], pair[0]))
