"""Guided search that goes on until a bound on the recall of each query reaches a target.

Rounds: an index of the vectors, or else a pass over the corpus, finds the documents that the
surrogate ranks first, and keeps a *pool* of them; the scorer scores the best of the pool; the
surrogate is fitted to the scores. The first surrogate is the function of second order that fits the
gradients at some documents.

From the second round on, a sample of the documents without a score is scored too: of every
*stratum*, which holds twice as many documents as the one above it by expected score. The surrogate
is never fitted to this sample, so it shows how far scores lie from what is expected, and bounds the
recall (:mod:`hypencli.engine.recall_bound`). While the bound is below the target, the search scores
the documents most likely to be missing; where these are outside the pool, a new round begins. A
query for which a large part of the corpus would be scored is searched exactly: its recall is 1.

Scoring in rounds of fits follows AXN (arXiv 2405.03651) and ORE (arXiv 2504.09353), which score a
fixed number of documents; the bound and the curved surrogates are not theirs.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import torch

from hypencli.engine.candidates import BatchSearch, QuerySearch
from hypencli.engine.corpus import Ordinals, Scores, SearchCorpus, names_by_place
from hypencli.engine.exact import CHUNK_ROWS, CorpusPass
from hypencli.engine.index_pool import FIRST_RECALL, RECALL, CandidatePool, Found, search_index
from hypencli.engine.parameters import GuidedOptions
from hypencli.engine.recall_bound import Floats, Residuals, Unscored, allowed, recall_bound
from hypencli.engine.surrogate import Surrogate, SurrogateScorer, evenly_spaced
from hypencli.engine.vector_index.index import VectorIndex

_ROUNDS = 5
"""Passes over the corpus before a query is searched exactly."""

_INDEX_ROUNDS = 5
"""Searches of an index before the corpus is read."""

_FIRST_TANGENTS, _TANGENTS, _CLOSE = 1, 3, 0.3
"""Linear functions that stand for a surrogate in a search of an index, at most, before and after
the first round; and the error of a tangent that does not matter, as a share of the deviation of
expected scores."""

_OUTSIDE, _INSIDE = 0.6, 0.3
"""Shares of the documents that may be missing: those outside of the pool, and those in it that are
left without a score."""

_ASKED = 3
"""Documents that an index is asked for with each tangent, as a multiple of those that are kept: a
tangent errs, so near the last documents that it finds, some of the surrogate's best are missed."""

_MISSED_OF_NONE = 2.3
"""The limit of the number of documents that are missed, where a sample shows none."""

_COUNTED = 200
"""Documents of the sample that should be in a pool, so that the share that is missed is known."""

_ANCHORS = 256
"""Documents of the sample, the best ones, out of which the points of tangents are chosen."""

_MORE_EFFORT, _LARGEST_EFFORT = 4, 256
"""How many times as much of an index is read where it has missed documents, and the most."""

_HELD, _LEAST_HELD = 24, 16
"""Documents of the sample in each stratum, and the number below which more are drawn."""

_FIRST_STRATUM = 32
_LEAST_BATCH = 16
_LEAST_POOL = 1_000

_LARGEST_SHARE, _LARGEST_POOL = 0.5, 100_000
"""The largest part of the corpus, and number of documents, that the search of a query may score;
beyond that, exact search takes less time."""

_GRADIENTS = 64
"""Documents at which the gradients of the scorer are taken."""

_FITTED_ROUND = 1
"""The rounds before the recall is bounded."""

_SPREAD_ROWS = 4_096

_DRAWN = 256
"""Random documents that are scored when the surrogate has to become better."""


@dataclass(frozen=True)
class CorpusSample:
    """Random documents of a corpus.

    Attributes:
        ordinals: Their ordinals ``[m]``, rising.
        vectors: Their vectors ``[m, d]`` in float32.
    """

    ordinals: Ordinals
    vectors: torch.Tensor

    @cached_property
    def spread(self) -> torch.Tensor:
        """The covariance ``[d, d]`` of the vectors."""
        some = self.vectors[:: max(1, len(self.vectors) // _SPREAD_ROWS)]
        centred = some - some.mean(dim=0)
        return centred.t() @ centred / len(centred)

    @classmethod
    def draw(cls, corpus: SearchCorpus, size: int, seed: int) -> CorpusSample:
        """Draw ``size`` documents, or all of a smaller corpus."""
        drawn = np.random.default_rng(seed).choice(corpus.n, min(corpus.n, size), replace=False)
        ordinals = np.sort(drawn)
        return cls(ordinals, torch.from_numpy(corpus.vectors(ordinals).astype(np.float32)))

    @property
    def centre(self) -> torch.Tensor:
        """The mean vector ``[1, d]``."""
        return torch.from_numpy(self.vectors.numpy().mean(axis=0, keepdims=True))


class RecallSearch:
    """The search of a batch of queries until their recall is bounded.

    Args:
        corpus: The documents.
        options: Options with a recall.
        sample: Random documents of the corpus.
        index: An index of the vectors; without one, the corpus is read.
        device: The device that scores.
        dtype: Arithmetic of the scores.
    """

    def __init__(
        self,
        corpus: SearchCorpus,
        options: GuidedOptions,
        sample: CorpusSample,
        *,
        index: VectorIndex | None,
        device: torch.device,
        dtype: torch.dtype,
    ) -> None:
        self._corpus, self._options, self._sample = corpus, options, sample
        self._index, self._device, self._dtype = index, device, dtype

    def __call__(self, batch: BatchSearch) -> None:
        """Search all queries of a batch."""
        if not batch.queries or not self._corpus.n:
            return
        by_index = 0 if self._index is None else _INDEX_ROUNDS
        queries = [
            _QuerySearch(
                search, self._corpus, self._options, self._sample, batch.k, by_index=by_index > 0
            )
            for search in batch.queries
        ]

        def begin(search: QuerySearch) -> None:
            queries[search.query].begin(*self._gradients(batch, search.query))

        def widen(search: QuerySearch) -> None:
            queries[search.query].widen()

        def score(search: QuerySearch) -> None:
            queries[search.query].score()

        def score_all(search: QuerySearch) -> None:
            queries[search.query].score_all()

        active = [query for query in queries if not query.exact]
        batch.each(begin, _of(active))
        for number in range(by_index + _ROUNDS):
            if number > _FITTED_ROUND:
                batch.each(widen, _of([query for query in active if query.is_poor]))
            if number < by_index:
                self._rank_by_index(batch, active)
            else:
                self._rank(batch, active)
            batch.each(score, _of(active))
            active = [query for query in active if not (query.settled or query.exact)]
        settled = [query for query in queries if query.settled]
        batch.each(score_all, _of([query for query in queries if query not in settled]))

    def _gradients(self, batch: BatchSearch, query: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Return vectors ``[m, d]`` of the sample, and the gradients ``[m, d]`` at them."""
        vectors = self._sample.vectors[:: max(1, len(self._sample.vectors) // _GRADIENTS)]
        points = vectors.to(device=self._device, dtype=self._dtype)
        gradients = batch.scorer.select([query]).gradients(points)[0].float().cpu()
        # If a q-net is not finite, so is its first score, and that error names the document.
        return vectors, torch.nan_to_num(gradients, posinf=0.0, neginf=0.0)

    def _rank(self, batch: BatchSearch, queries: list[_QuerySearch]) -> None:
        """Give each query the documents that its surrogate ranks first."""
        if not queries:
            return
        corpus_pass = CorpusPass(
            batch.threads, doc_ids=self._corpus.ids, tie_ids=names_by_place, device=self._device
        )
        scorer = SurrogateScorer([query.surrogate for query in queries], self._device)
        m = max(query.pool_size for query in queries)
        tops, _ = corpus_pass(scorer, self._corpus.blocks(), k=m)
        for query, top in zip(queries, tops, strict=True):
            ordinals, scores = top.kept
            order = np.lexsort((ordinals, -scores))[: query.pool_size]
            query.take_pass(np.sort(ordinals[order]))

    def _rank_by_index(self, batch: BatchSearch, queries: list[_QuerySearch]) -> None:
        """Give each query the documents that an index finds by its surrogate."""
        index = self._index
        if index is None or not queries:
            return
        by_query = {query.search.query: query for query in queries}

        def touch(search: QuerySearch) -> None:
            by_query[search.query].touch()

        batch.each(touch, _of(queries))
        effort = index.effort(RECALL if all(query.is_fitted for query in queries) else FIRST_RECALL)
        all_found = search_index(
            index,
            [query.tangents for query in queries],
            [_ASKED * query.pool_size for query in queries],
            [min(_LARGEST_EFFORT, query.effort * effort) for query in queries],
            batch.threads,
        )
        found = dict(zip(by_query, all_found, strict=True))

        def take(search: QuerySearch) -> None:
            by_query[search.query].take_found(found[search.query])

        batch.each(take, _of(queries))


def _needed(shares: Floats, counts: Floats, limit: float) -> float:
    """Return how many documents to score until those left hold no more than a limit.

    Args:
        shares: How many documents are missing, as expected, among those of each entry, ``[m]``.
        counts: The number of documents of each entry, ``[m]``.
        limit: How many may be expected to be missing.
    """
    order = np.argsort(-shares / np.maximum(counts, 1e-9), kind="stable")
    missing = np.cumsum(shares[order][::-1])[::-1]
    return float(counts[order][missing > limit].sum())


def _of(queries: list[_QuerySearch]) -> list[QuerySearch]:
    return [query.search for query in queries]


class _QuerySearch:
    """The search of one query.

    Attributes:
        search: The scores so far.
        surrogate: The surrogate.
        pool_size: Documents that the next pass keeps.
        pool: The documents that the last pass kept, or an index found.
        effort: How many times as much of an index to read as at first.
        is_poor: Whether the surrogate is to become better, for what may be missing is outside the
            pool by its expected score, and not because an index missed it.
        tangents: Linear functions ``[t, d]`` with which an index is asked.
        settled: Whether the bound has reached the target.
        exact: Whether all documents are to be scored.
    """

    def __init__(
        self,
        search: QuerySearch,
        corpus: SearchCorpus,
        options: GuidedOptions,
        sample: CorpusSample,
        k: int,
        *,
        by_index: bool,
    ) -> None:
        self.search = search
        self._corpus, self._options, self._sample = corpus, options, sample
        self._k, self._wanted = k, min(k, corpus.n)
        self._target = math.ceil((options.recall or 0.0) * self._wanted - 1e-9)
        self._batch = max(_LEAST_BATCH, round(options.batch * k))
        self.pool_size = min(corpus.n, max(_LEAST_POOL, round(options.pool * k)))
        self.pool = CandidatePool(
            np.empty(0, dtype=np.int64), np.zeros(len(sample.ordinals), np.bool_)
        )
        self.tangents = torch.empty(0, corpus.dim)
        self.effort = 1
        self.is_poor = True
        self._misses_by_index = False
        if by_index:
            limit = allowed(self._wanted - self._target, options.confidence)
            counted = max(_COUNTED, _MISSED_OF_NONE * self._wanted / (_OUTSIDE * limit / 2))
            size = round(counted * corpus.n / max(1, len(sample.ordinals)))
            self.pool_size = max(self.pool_size, min(size, _LARGEST_POOL, corpus.n // 2))
        self._random = np.random.default_rng(options.seed)
        self._held: Ordinals = np.empty(0, dtype=np.int64)
        self._held_scores: Scores = np.empty(0, dtype=np.float32)
        self.settled = False
        self._round = 0
        strata = math.log2(1 + corpus.n / _FIRST_STRATUM)
        self.exact = self._wanted + _HELD * strata > _LARGEST_SHARE * corpus.n

    def begin(self, vectors: torch.Tensor, gradients: torch.Tensor) -> None:
        """Make the first surrogate from gradients ``[m, d]`` at vectors ``[m, d]``."""
        self.surrogate = Surrogate.of(gradients, vectors, self._sample.spread)
        self._of_pool: Scores | None = None
        self._of_sample: Scores | None = None

    @property
    def is_fitted(self) -> bool:
        """Whether the surrogate was fitted to the scores of a round."""
        return self._round >= _FITTED_ROUND

    def touch(self) -> None:
        """Make the tangents of the surrogate at documents that it ranks high."""
        expected = torch.from_numpy(self._sample_expected)
        best = expected.topk(min(_ANCHORS, len(expected))).indices
        close = _CLOSE * float(expected.std())
        most = _TANGENTS if self.is_fitted else _FIRST_TANGENTS
        self.tangents = self.surrogate.tangents(self._sample.vectors[best], most, close)

    def take_found(self, found: Found) -> None:
        """Take what an index has found as the pool."""
        ordinals = found.ordinals
        expected = self.surrogate.expected(self._vectors(ordinals)).numpy()
        of_sample = (self._sample.ordinals, self._sample_expected)
        self.pool = CandidatePool.of_index((ordinals, expected), of_sample, self.pool_size)
        lost = self.pool.within & np.isin(self._sample.ordinals, ordinals, invert=True)
        missed = self._sample.vectors[torch.from_numpy(lost)]
        by_index = found.should_hold((self.tangents @ missed.t()).numpy())
        self._misses_by_index = bool(by_index.sum() > len(by_index) / 2)

    def take_pass(self, ordinals: Ordinals) -> None:
        """Take the documents that a pass over the corpus has kept, rising, as the pool."""
        self.pool = CandidatePool(ordinals, np.isin(self._sample.ordinals, ordinals))

    def score(self) -> None:
        """Score documents of a new pool: ``k`` at first, then until the recall is bounded."""
        self._take_pool()
        self._round += 1
        if self._round > _FITTED_ROUND:
            while not self.settled and self._score_missing():
                pass
            return
        self._score_best(max(_LEAST_BATCH, round(self._options.first * self._k)))
        while self.search.evaluations < self._wanted and self._left.any():
            lacking = self._wanted - self.search.evaluations
            self._score_best(min(lacking, max(self._batch, lacking // 2)))

    def widen(self) -> None:
        """Score random documents, and fit the surrogate to them too."""
        free = np.setdiff1d(self._sample.ordinals, self.search.scored[0])
        drawn = self._random.choice(free, min(len(free), _DRAWN), replace=False)
        self.search.evaluate(np.sort(drawn))
        self.search.iterations += 1
        self._refit()

    def _take_pool(self) -> None:
        self._pool_vectors = self._vectors(self.pool.ordinals)
        self._of_pool = None
        self._left = np.isin(self.pool.ordinals, self.search.scored[0], invert=True)

    def score_all(self) -> None:
        """Score all documents without a score; only the best are kept."""
        left = np.ones(self._corpus.n, dtype=np.bool_)
        left[self.search.scored[0]] = False
        rest = np.flatnonzero(left)
        for start in range(0, len(rest), CHUNK_ROWS):
            self.search.evaluate(rest[start : start + CHUNK_ROWS], keep=False)
        self.search.iterations += 1
        self.search.recall_bound = 1.0

    def _refit(self) -> None:
        """Fit the surrogate to the scores, without those of the sample that bounds the recall."""
        ordinals, scores = self.search.scored
        free = np.isin(ordinals, self._held, invert=True)
        ordinals, scores = ordinals[free], scores[free]
        m = self._options.fitted * (2 if self._round > _FITTED_ROUND else 1)
        places = evenly_spaced(scores, m)
        vectors, values = self._vectors(ordinals[places]), torch.from_numpy(scores[places])
        self.surrogate = self.surrogate.fitted(vectors, values, self._options.ridge)
        self._of_pool = self._of_sample = None

    def _vectors(self, ordinals: Ordinals) -> torch.Tensor:
        return torch.from_numpy(self._corpus.vectors(ordinals)).float()

    def _score_best(self, size: int) -> None:
        """Score the documents of the pool that the surrogate ranks first, and refit it."""
        expected = torch.from_numpy(self._pool_expected.copy())
        expected[~torch.from_numpy(self._left)] = -torch.inf
        places = expected.topk(min(size, int(self._left.sum())), sorted=False).indices.sort().values
        self._evaluate(places.numpy())
        self._refit()

    def _evaluate(self, places: npt.NDArray[np.int64]) -> Scores:
        """Score the documents at some places of the pool."""
        self._left[places] = False
        self.search.iterations += 1
        return self.search.evaluate(self.pool.ordinals[places])

    def _score_missing(self) -> bool:
        """Bound the recall, and score what may be missing; return False for a larger pool."""
        unscored, places = self._unscored()
        self._hold(unscored, places)
        unscored = self._with_missed(self._unscored()[0])
        expected = self._expected(self._held)
        residuals = Residuals(expected, self._held_scores.astype(np.float64))
        best = np.sort(self.search.top.kept[1].astype(np.float64))[::-1]
        confidence = self._options.confidence
        bound = recall_bound(best, self._k, unscored, residuals, confidence)
        self.search.recall_bound = bound
        if bound * self._wanted >= self._target - 1e-9:
            self.settled = True
            return True
        threshold = best[min(self._target, len(best)) - 1]
        shares = residuals.reaching(threshold, unscored.expected) * unscored.counts
        return self._go_on(shares, unscored, allowed(self._wanted - self._target, confidence))

    def _go_on(self, shares: Floats, unscored: Unscored, limit: float) -> bool:
        """Score what is most likely missing; return False if too much of it is outside the pool.

        Args:
            shares: How many of the documents without a score are missing, as expected, ``[m]``.
            unscored: These documents; those of the pool come first.
            limit: How many may be expected to be missing.
        """
        n_pool = int(self._left.sum())
        if not n_pool or shares[n_pool:].sum() > _OUTSIDE * limit:
            n_missed = 0 if self.pool.missed is None else len(self.pool.ordinals)
            known = len(shares) - n_missed
            need = _needed(shares[:known], unscored.counts[:known], _OUTSIDE * limit)
            self.is_poor = float(shares[n_pool:known].sum()) > _OUTSIDE * limit / 2
            self._widen_pool(need)
            return False
        in_pool = np.sort(shares[:n_pool])
        size = n_pool - int(np.searchsorted(np.cumsum(in_pool), _INSIDE * limit))
        self._score_best(max(1, min(size, max(self._batch, size // 3))))
        return True

    def _widen_pool(self, need: float) -> None:
        """Prepare the next round: more of the index, a larger pool, or exact search.

        Args:
            need: How many documents would be scored in all, by what is known.
        """
        if self._round > _FITTED_ROUND + 1 and not self._affordable(need):
            self.exact = True
        if not self.is_poor and self._misses_by_index:
            self.effort *= _MORE_EFFORT
            return
        largest = min(_LARGEST_POOL, int(_LARGEST_SHARE * self._corpus.n))
        wider = max(2 * self.pool_size, self.search.evaluations + 2 * round(need))
        self.pool_size = max(self.pool_size, min(wider, largest))

    def _affordable(self, need: float) -> bool:
        scored = self.search.evaluations + need
        return scored <= min(_LARGEST_POOL, _LARGEST_SHARE * self._corpus.n)

    def _unscored(self) -> tuple[Unscored, Ordinals]:
        """Return the documents without a score, those of the pool first, and their ordinals.

        Documents outside the pool are represented by those of the corpus sample.
        """
        expected = self._pool_expected[self._left]
        outside = ~self.pool.within
        ordinals = self._sample.ordinals[outside]
        others = self._sample_expected[outside]
        each = (self._corpus.n - len(self.pool.ordinals)) / max(1, len(ordinals))
        counts = each - np.isin(ordinals, self.search.scored[0]).astype(np.float64)
        return Unscored(
            np.concatenate([expected, others]).astype(np.float64),
            np.concatenate([np.ones(len(expected)), counts]),
        ), np.concatenate([self.pool.ordinals[self._left], ordinals])

    def _with_missed(self, unscored: Unscored) -> Unscored:
        """Add the documents that the index may have missed: some like each of the pool."""
        if self.pool.missed is None:
            return unscored
        return Unscored(
            np.concatenate([unscored.expected, self._pool_expected.astype(np.float64)]),
            np.concatenate([unscored.counts, self.pool.missed]),
        )

    @property
    def _pool_expected(self) -> Scores:
        """What the surrogate expects of the pool."""
        if self._of_pool is None:
            self._of_pool = self.surrogate.expected(self._pool_vectors).numpy()
        return self._of_pool

    @property
    def _sample_expected(self) -> Scores:
        """What the surrogate expects of the corpus sample."""
        if self._of_sample is None:
            self._of_sample = self.surrogate.expected(self._sample.vectors).numpy()
        return self._of_sample

    def _expected(self, ordinals: Ordinals) -> Floats:
        return self.surrogate.expected(self._vectors(ordinals)).numpy().astype(np.float64)

    def _hold(self, unscored: Unscored, ordinals: Ordinals) -> None:
        """Score documents of the strata whose residuals are not known well."""
        order = np.argsort(-unscored.expected, kind="stable")
        ranks = np.cumsum(unscored.counts[order])
        stratum = np.floor(np.log2(1 + ranks / max(_FIRST_STRATUM, self._k / 4))).astype(int)
        free = np.isin(ordinals[order], self.search.scored[0], invert=True)
        sampled = -np.sort(-self._expected(self._held)) if len(self._held) else np.empty(0)
        drawn: list[Ordinals] = []
        for number in range(int(stratum.max(initial=-1)) + 1):
            within = np.flatnonzero(stratum == number)
            if not len(within):
                continue
            ends = unscored.expected[order[within[[0, -1]]]]
            known = int(((sampled <= ends[0]) & (sampled >= ends[1])).sum())
            candidates = ordinals[order[within[free[within]]]]
            if known < _LEAST_HELD and len(candidates):
                size = min(len(candidates), _HELD - known)
                drawn.append(self._random.choice(candidates, size, replace=False))
        if not drawn:
            return
        new = np.sort(np.concatenate(drawn))
        scores = self.search.evaluate(new)
        self.search.iterations += 1
        self._left &= np.isin(self.pool.ordinals, new, invert=True)
        self._held = np.concatenate([self._held, new])
        self._held_scores = np.concatenate([self._held_scores, scores])
