"""Scoring of selected documents, for engines that do not score the whole corpus."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import lru_cache, partial

import numpy as np
import torch

from hypencli.engine.blocks import BlockScorer, block_rows, non_finite
from hypencli.engine.corpus import Ordinals, Scores, SearchCorpus
from hypencli.engine.results import Bounds, OnScored, SearchResult, counts, refuse_k
from hypencli.engine.scorers import Scorer
from hypencli.engine.seconds import SearchSeconds
from hypencli.engine.topk import TopK
from hypencli.engine.workers import ALONE, Workers, workers
from hypencli.errors import ModelError

_MULTIPLE = 64
"""The number of rows that the matrix products of a CPU need to add up in one fixed order.
Measured: with fewer rows the order changes, below 4 rows with wide layers and up to 48 with a last
layer that reads fewer than 25 values. The last values of an activation are also computed in
another way where they do not fill a register."""

_LEAST_ROWS = 128
"""The least number of documents for which a further thread pays."""

PREPARED = 16
"""How many prepared scorers are kept; each may hold a copy of the weights of a q-net."""


class CandidateScorer:
    """A function that scores documents, selected by their ordinals in the corpus.

    On a CPU, the scores of a prepared q-net or of a query vector are bit-equal to those of exact
    search in the same dtype. The scores of other functions with very narrow layers may differ in
    the last bit, because the order of their sums depends on the number of rows.

    Args:
        scorer: Scores for ``q`` queries.
        corpus: The documents.
        device: The device that scores.
        dtype: Arithmetic of the scores.

    Raises:
        ModelError: The width of the vectors differs from that of the scorer.
    """

    def __init__(
        self, scorer: Scorer, corpus: SearchCorpus, *, device: torch.device, dtype: torch.dtype
    ) -> None:
        if corpus.dim != scorer.dim:
            raise ModelError(
                f"The vectors are {corpus.dim} wide; the queries' scorer takes {scorer.dim}.",
                hint="Search the embeddings that were made with this model: hype ls embeddings",
            )
        self._all = scorer
        self._corpus = corpus
        self._dtype = dtype
        self._rows = block_rows(corpus.dim, dtype, device)
        self._score = BlockScorer(device=device, dtype=dtype, dim=corpus.dim, rows=self._rows)
        self._scorer = lru_cache(PREPARED)(self._prepare)

    def __call__(self, query: int, ordinals: Ordinals, threads: Workers = ALONE) -> Scores:
        """Return the scores ``[m]`` of the documents at ``ordinals`` ``[m]`` for one query.

        Raises:
            ModelError: A score is NaN or infinite; the error names the document.
        """
        if not len(ordinals):
            return np.empty(0, dtype=np.float32)
        blocks = self._evenly(ordinals, threads.threads)
        scores = np.concatenate(threads.map(partial(self._block, self._scorer(query)), blocks))
        finite = np.isfinite(scores)
        if not finite.all():
            worst = int(np.argmin(finite))
            doc_id = self._corpus.ids(ordinals[worst : worst + 1])[0]
            raise non_finite(doc_id, query, float(scores[worst]))
        return scores

    def _evenly(self, ordinals: Ordinals, threads: int) -> list[Ordinals]:
        """Split ordinals into blocks of about equal size, at least one a thread if large enough."""
        blocks = -(-len(ordinals) // self._rows)
        shared = min(blocks + -blocks % threads, len(ordinals) // _LEAST_ROWS)
        return np.array_split(ordinals, max(blocks, shared))

    def _prepare(self, query: int) -> Scorer:
        scorer = self._all.select([query])
        return scorer.prepared(self._dtype) or scorer

    def _block(self, scorer: Scorer, ordinals: Ordinals) -> Scores:
        pieces = [self._corpus.vectors(ordinals)]
        scores: Scores = self._score(scorer, pieces, multiple=_MULTIPLE)[0]
        return scores


class QuerySearch:
    """The state of the search of one query: scored documents, best documents and costs.

    Attributes:
        query: The position of the query in its batch.
        top: The best ``k`` documents so far.
        iterations: Steps so far; the engine counts them.
        seconds: The time that scoring and top-k took for this query.
        recall_bound: A lower bound on the recall, from 0 to 1, if the engine knows one.
    """

    def __init__(self, query: int, top: TopK, score: Callable[[Ordinals], Scores]) -> None:
        self.query = query
        self.top = top
        self.iterations = 0
        self.seconds = SearchSeconds()
        self.recall_bound: float | None = None
        self._score = score
        self._not_kept = 0
        self._ordinals: list[Ordinals] = [np.empty(0, dtype=np.int64)]
        self._scores: list[Scores] = [np.empty(0, dtype=np.float32)]

    @property
    def scored(self) -> tuple[Ordinals, Scores]:
        """The ordinals ``[m]`` and scores ``[m]`` of the documents scored so far, in that order."""
        self._ordinals = [np.concatenate(self._ordinals)]
        self._scores = [np.concatenate(self._scores)]
        return self._ordinals[0], self._scores[0]

    @property
    def evaluations(self) -> int:
        """The number of documents scored so far."""
        return sum(len(each) for each in self._ordinals) + self._not_kept

    def evaluate(self, ordinals: Ordinals, *, keep: bool = True) -> Scores:
        """Score documents ``[m]`` that were not scored before, keep the best, return the scores.

        Args:
            ordinals: The documents.
            keep: Whether ``scored`` holds them too; otherwise only the best are kept.
        """
        started = time.perf_counter()
        scores = self._score(ordinals)
        ended = time.perf_counter()
        if keep:
            self._ordinals.append(ordinals)
            self._scores.append(scores)
        else:
            self._not_kept += len(ordinals)
        self.top.add_some(scores, ordinals)
        self.seconds = self.seconds.plus(scoring=ended - started, topk=time.perf_counter() - ended)
        return scores


class BatchSearch:
    """The searches of a batch of queries, each of which selects the documents that it scores.

    Each thread runs one query. With fewer queries than threads, the threads share the documents of
    one query instead.

    Attributes:
        scorer: The scorer of all queries.
        queries: The search of each query.
        k: The number of documents that each query should get.
        threads: The threads for work on all queries at once.
    """

    def __init__(
        self,
        scorer: Scorer,
        queries: list[QuerySearch],
        *,
        k: int,
        threads: Workers,
        over_queries: Workers,
    ) -> None:
        self.scorer = scorer
        self.queries = queries
        self.k = k
        self.threads = threads
        self._over_queries = over_queries

    def each(
        self,
        step: Callable[[QuerySearch], object],
        queries: Sequence[QuerySearch] | None = None,
    ) -> None:
        """Apply a step to the searches of all queries, or to those in ``queries``."""
        self._over_queries.map(step, self.queries if queries is None else queries)


def search_by(
    method: Callable[[BatchSearch], None],
    scorer: Scorer,
    corpus: SearchCorpus,
    *,
    k: int,
    device: torch.device | None = None,
    dtype: torch.dtype = torch.float32,
    on_scored: OnScored | None = None,
) -> SearchResult:
    """Search with a method that selects the documents to score.

    Args:
        method: Runs the searches of all queries to their end.
        scorer: Scores documents for ``q`` queries.
        corpus: The documents.
        k: The number of documents a query gets; fewer if fewer were scored.
        device: The device that scores; the CPU by default.
        dtype: Arithmetic of the scores.
        on_scored: Called with the number of scores just computed.

    Raises:
        ModelError: A score is NaN or infinite, the width of the vectors differs from that of the
            scorer, or ``k`` is below 1.
    """
    refuse_k(k)
    device = device or torch.device("cpu")
    score = CandidateScorer(scorer, corpus, device=device, dtype=dtype)
    started = time.perf_counter()
    with workers(device) as threads:
        many = scorer.n_queries >= threads.threads
        over_queries, over_blocks = (threads, ALONE) if many else (ALONE, threads)
        queries = [
            QuerySearch(
                query,
                TopK(k, corpus.ids),
                partial(_score, score, over_blocks, on_scored, query),
            )
            for query in range(scorer.n_queries)
        ]
        method(BatchSearch(scorer, queries, k=k, threads=threads, over_queries=over_queries))
    ended = time.perf_counter()
    rankings = [query.top.ranking() for query in queries]
    seconds = _shared_out(queries, ended - started, many=many, threads=threads.threads)
    return SearchResult(
        rankings=rankings,
        evaluations=counts([query.evaluations for query in queries]),
        iterations=counts([query.iterations for query in queries]),
        seconds=seconds.plus(topk=time.perf_counter() - ended),
        recall_bounds=_recall_bounds(queries),
    )


def _recall_bounds(queries: Sequence[QuerySearch]) -> Bounds | None:
    bounds = [query.recall_bound for query in queries if query.recall_bound is not None]
    return np.asarray(bounds, dtype=np.float64) if len(bounds) == len(queries) > 0 else None


def _score(
    score: CandidateScorer,
    threads: Workers,
    on_scored: OnScored | None,
    query: int,
    ordinals: Ordinals,
) -> Scores:
    scores = score(query, ordinals, threads)
    if on_scored is not None:
        on_scored(len(scores))
    return scores


def _shared_out(
    queries: Sequence[QuerySearch], elapsed: float, *, many: bool, threads: int
) -> SearchSeconds:
    """Divide the elapsed time by what the threads spent it on; the rest counts as selection."""
    at_a_time = threads if many else 1
    scoring = sum(query.seconds.scoring for query in queries) / at_a_time
    topk = sum(query.seconds.topk for query in queries) / at_a_time
    return SearchSeconds(selection=max(0.0, elapsed - scoring - topk), scoring=scoring, topk=topk)
