"""Scores of chosen documents: what every engine that does not scan the corpus is made of."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import lru_cache, partial

import numpy as np
import torch

from hypencli.engine.blocks import BlockScorer, block_rows, non_finite
from hypencli.engine.corpus import Ordinals, Scores, SearchCorpus
from hypencli.engine.results import OnScored, SearchResult, counts, refuse_k
from hypencli.engine.scorers import Scorer
from hypencli.engine.seconds import SearchSeconds
from hypencli.engine.topk import TopK
from hypencli.engine.workers import ALONE, Workers, workers
from hypencli.errors import ModelError

_MULTIPLE = 64
"""Fewer rows are added up in another order by the matrix products of a CPU (measured: fewer than 4
with wide layers, up to 48 with a last layer that reads fewer than 25 values), and the last few
values of an activation are computed in another way where they do not fill a register."""

_LEAST_ROWS = 128
"""Documents that are worth a thread of their own."""

_PREPARED = 8
"""Queries whose scorers are kept prepared; each may be a copy of the q-net's weights."""


class CandidateScorer:
    """Scores of documents that are chosen by their places.

    On a CPU the score of a q-net that is laid out, or of a query vector, is to the last bit that of
    exact search in the same dtype. Of other functions with very narrow layers it may differ in the
    last bit: their matrix products add up by the number of rows.

    Args:
        scorer: Scores for ``q`` queries.
        corpus: The documents.
        device: Where to score.
        dtype: Arithmetic of the scores.

    Raises:
        ModelError: The vectors have another width than the scorer.
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
        self._scorer = lru_cache(_PREPARED)(self._prepare)

    def __call__(self, query: int, ordinals: Ordinals, threads: Workers = ALONE) -> Scores:
        """Scores ``[m]`` of the documents at ``ordinals`` ``[m]`` for one query.

        Raises:
            ModelError: A score is NaN or infinite; names the document.
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
        """Blocks of about one size, as many for every thread, unless they would be small."""
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
    """The search of one query as it goes on: what was scored, what is best, what it cost.

    Attributes:
        query: Its place among the queries.
        top: The best ``k`` so far.
        iterations: Steps so far; counted by the engine.
        seconds: Time of this query in scoring and top-k.
    """

    def __init__(self, query: int, top: TopK, score: Callable[[Ordinals], Scores]) -> None:
        self.query = query
        self.top = top
        self.iterations = 0
        self.seconds = SearchSeconds()
        self._score = score
        self._ordinals: list[Ordinals] = [np.empty(0, dtype=np.int64)]
        self._scores: list[Scores] = [np.empty(0, dtype=np.float32)]

    @property
    def scored(self) -> tuple[Ordinals, Scores]:
        """Every document scored so far with its score, in the order of scoring."""
        self._ordinals = [np.concatenate(self._ordinals)]
        self._scores = [np.concatenate(self._scores)]
        return self._ordinals[0], self._scores[0]

    @property
    def evaluations(self) -> int:
        """How many documents were scored."""
        return sum(len(each) for each in self._ordinals)

    def evaluate(self, ordinals: Ordinals) -> Scores:
        """Scores ``[m]`` of documents that were not scored before; the best are kept."""
        started = time.perf_counter()
        scores = self._score(ordinals)
        ended = time.perf_counter()
        self._ordinals.append(ordinals)
        self._scores.append(scores)
        self.top.add_some(scores, ordinals)
        self.seconds = self.seconds.plus(scoring=ended - started, topk=time.perf_counter() - ended)
        return scores


class BatchSearch:
    """Searches of many queries that choose what they score: a query a thread.

    Where there are fewer queries than threads, the threads share the documents of each instead.

    Attributes:
        scorer: That of all queries.
        queries: One search a query.
        k: How many documents each is to find.
        threads: For work on all queries at once.
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
        """Take a step of all searches, or of some."""
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
    """Search with a method that chooses the documents to score.

    Args:
        method: Takes the searches of all queries from their beginning to their end.
        scorer: Scores documents for ``q`` queries.
        corpus: The documents.
        k: How many documents a query gets; fewer where fewer were scored.
        device: Where to score; the CPU by default.
        dtype: Arithmetic of the scores.
        on_scored: Called with the number of scores just computed.

    Raises:
        ModelError: A score is NaN or infinite, the vectors have another width than the scorer, or
            ``k`` is below 1.
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
    )


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
    """The elapsed time, by what the queries' threads spent it on; the rest is selection."""
    at_a_time = threads if many else 1
    scoring = sum(query.seconds.scoring for query in queries) / at_a_time
    topk = sum(query.seconds.topk for query in queries) / at_a_time
    return SearchSeconds(selection=max(0.0, elapsed - scoring - topk), scoring=scoring, topk=topk)
