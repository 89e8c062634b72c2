"""The search of one query by a surrogate that is fitted to its q-net."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from hypencli.engine.blocks import SET_ASIDE
from hypencli.engine.candidates import QuerySearch
from hypencli.engine.certified.options import SurrogateOptions
from hypencli.engine.certified.random_documents import RandomDocuments
from hypencli.engine.certified.tails import Tail, chances, largest_error, needed
from hypencli.engine.corpus import Ordinals, Scores, SearchCorpus
from hypencli.engine.exact import CHUNK_ROWS
from hypencli.engine.recall_bound import Floats
from hypencli.engine.results import FirstPassOutcome
from hypencli.engine.scorers import Scorer
from hypencli.engine.surrogate import Surrogate, evenly_spaced
from hypencli.engine.topk import TopK
from hypencli.engine.workers import ALONE, Workers

_GRADIENTS = 64
"""Documents at which the gradients of a q-net are taken."""

_RIDGE, _RIDGE_OF_BEST = 0.3, 0.1
"""How strongly a fit is held to the function before: to random documents, and to the best too."""

_LARGEST_FIT = 2048
_LEAST_BEST = 256
"""The least number of documents that are scored for the second fit."""

_ROUND, _FIRST_ROUND, _STEP = 512, 0.2, 0.6
"""Documents of a round, at least; those of the first one, as a share of ``k``; and the part of what
seems to be needed that a later one scores. The scores that it finds raise the k-th best one, so
that fewer are needed."""

_WIDER = 1.5
"""How far a vector may lie from the middle along a direction, as a multiple of the farthest of the
random ones."""

_SHARES = (0.0, 0.02, 0.05, *(tenth / 10 for tenth in range(1, 9)))
"""Shares of the corpus that a query may need."""

_LENIENT = 1.5
"""How many times its limit a query may seem to need before the best documents are scored."""

_TIMED = 3
"""How often a surrogate is timed; the least time counts."""

_ROUNDING = 1e-6
"""The least deviation of errors, as a share of the largest score: that of rounding."""

FIRST = float(np.finfo(np.float32).max) / 2
"""What is expected of a document that lies far from the random ones: it ranks first."""


def best_of(k: int) -> int:
    """Return how many of the best documents are scored before the second fit."""
    return max(_LEAST_BEST, k)


def score_others(search: QuerySearch, n: int) -> None:
    """Score all documents, of a corpus of ``n``, that are without a score."""
    left = np.ones(n, dtype=np.bool_)
    left[search.scored[0]] = False
    others = np.flatnonzero(left)
    for start in range(0, len(others), CHUNK_ROWS):
        search.evaluate(others[start : start + CHUNK_ROWS], keep=False)


@dataclass(frozen=True, slots=True)
class Ranked:
    """The documents that a surrogate ranks first.

    Attributes:
        ordinals: The documents ``[m]``, best first.
        expected: What is expected of them, ``[m]``.
        held: What is expected of the documents that it is never fitted to, ``[h]``.
        aside: Documents ``[a]`` that it does not rank.
        whole: Whether all documents are ranked.
    """

    ordinals: Ordinals
    expected: Floats
    held: Floats
    aside: Ordinals
    whole: bool

    @classmethod
    def of(cls, top: TopK, held: Scores, aside: Ordinals, *, whole: bool) -> Ranked:
        """Return the documents that a pass kept."""
        ordinals, expected = top.kept
        ranked = expected != SET_ASIDE
        ordinals, expected = ordinals[ranked], expected[ranked]
        order = np.lexsort((ordinals, -expected))
        wide = expected[order].astype(np.float64)
        return cls(ordinals[order], wide, held.astype(np.float64), aside, whole)

    def without(self, ordinals: Ordinals) -> Ranked:
        """Return the documents that are not among some others."""
        others = np.isin(self.ordinals, ordinals, invert=True)
        aside = np.setdiff1d(self.aside, ordinals)
        return Ranked(self.ordinals[others], self.expected[others], self.held, aside, self.whole)


class QueryFit:
    """A surrogate of one query, and what was scored for it.

    Args:
        search: The float32 scores of the query.
        corpus: The documents.
        random: Random documents of the corpus.
        options: How much may be scored, and missed.
        k: The number of documents that the query should get.

    Attributes:
        surrogate: The surrogate.
    """

    def __init__(
        self,
        search: QuerySearch,
        corpus: SearchCorpus,
        random: RandomDocuments,
        options: SurrogateOptions,
        k: int,
    ) -> None:
        self.search = search
        self._corpus, self._random, self._options, self._k = corpus, random, options, k
        self._held: Floats = np.empty(0)

    def begin(self, scorer: Scorer, device: torch.device) -> bool:
        """Fit a surrogate to random documents; return whether it seems to be of use.

        Args:
            scorer: The scorer of this query alone.
            device: The device that scores.
        """
        vectors = self._random.fitted_vectors
        points = vectors[:_GRADIENTS]
        gradients = scorer.gradients(points.to(device))[0].float().cpu()
        gradients = torch.nan_to_num(gradients, posinf=0.0, neginf=0.0)
        scores = self.search.evaluate(self._random.fitted)
        surrogate = Surrogate.of(gradients, points, self._random.spread)
        self.surrogate = surrogate.fitted(vectors, torch.from_numpy(scores), _RIDGE)
        before = self.search.seconds.scoring
        held = self.search.evaluate(self._random.held)
        if not self._pays(self.search.seconds.scoring - before, device):
            return False
        self._held = held.astype(np.float64)
        return self._share(self._likely_last(scores)) <= min(1.0, _LENIENT * self._options.limit)

    def _likely_last(self, fitted: Scores) -> float:
        """Estimate the k-th best score; where it is beyond the sample, as if scores were normal."""
        from scipy.special import ndtri  # here, since most searches start without it

        scores = np.concatenate([fitted, self._held])
        share = 1 - min(1.0, self._k / self._corpus.n)
        normal = float(scores.mean() + ndtri(share) * scores.std())
        return max(normal, float(np.quantile(scores, share)))

    def _pays(self, seconds: float, device: torch.device) -> bool:
        """Return whether the surrogate is so much faster than the q-net as it has to be.

        Args:
            seconds: The time that the q-net took for the documents that are never fitted to.
            device: The device that scores.
        """
        if not self._options.least_ratio:
            return True
        scorer = RangedScorer([self.surrogate], self._random, device)
        vectors, least = self._random.held_vectors.to(device), math.inf
        for _ in range(_TIMED):
            started = time.perf_counter()
            scorer(vectors)
            least = min(least, time.perf_counter() - started)
        return seconds >= self._options.least_ratio * least

    def refit(self, ranked: Ranked) -> bool:
        """Score the best documents, and fit to them too; return whether it is of use."""
        best = ranked.without(self._random.ordinals).ordinals[: best_of(self._k)]
        self.search.evaluate(np.sort(best))
        ordinals, scores = self.search.scored
        free = np.isin(ordinals, self._random.held, invert=True)
        ordinals, scores = ordinals[free], scores[free]
        places = evenly_spaced(scores, _LARGEST_FIT)
        vectors = torch.from_numpy(self._corpus.vectors(ordinals[places]).astype(np.float32))
        scores_of = torch.from_numpy(scores[places])
        self.surrogate = self.surrogate.fitted(vectors, scores_of, _RIDGE_OF_BEST)
        return self._share(self.search.top.last) <= self._options.limit

    def _share(self, last: float) -> float:
        """Return the share of the corpus that is needed, by the documents not fitted to.

        Args:
            last: The k-th best score, as far as it is known.
        """
        expected = self.surrogate.expected(self._random.held_vectors).double().numpy()
        order = np.argsort(-expected)
        expected, errors = expected[order], (self._held - expected)[order]
        each = self._corpus.n / len(expected)
        for share in _SHARES:
            left = slice(round(share * len(expected)), None)
            shares = each * chances([self._tail(errors[left])], last - expected[left])
            if not needed(shares, self._options.risk):
                return share
        return 1.0

    def _tail(self, errors: Floats) -> Tail:
        return Tail(errors, least=_ROUNDING * float(np.abs(self._held).max()))

    def score(self, ranked: Ranked, outcome: FirstPassOutcome) -> None:
        """Score documents until no other should be missing; all where a bound needs too many."""
        left = ranked.without(self.search.scored[0])
        self.search.evaluate(left.aside)
        n, done = self._corpus.n, 0
        wanted = first = min(len(left.ordinals), max(_ROUND, round(_FIRST_ROUND * self._k)))
        recent = np.empty(0)
        while not outcome.fell_back:
            recent = np.concatenate([recent, self._evaluate(left, done, wanted)])[-_ROUND:]
            done = wanted
            unscored = n - self.search.evaluations
            if done == len(left.ordinals):
                outcome.fell_back = unscored > 0
                break
            tails = [self._tail(recent), self._tail_below(ranked, left.expected[done])]
            shares = chances(tails, self.search.top.last - left.expected[done:])
            shares[-1] *= 1 + unscored - len(shares)  # it stands for those that were not kept
            more = needed(shares, self._options.risk)
            if not more:
                outcome.bound = largest_error(tails, self._options.risk / unscored)
                outcome.risk = self._options.risk
                break
            wanted = min(len(left.ordinals), done + max(_ROUND, math.ceil(_STEP * more)))
        outcome.rescored, outcome.widened = self.search.evaluations, done - first
        if outcome.fell_back:
            score_others(self.search, n)

    def _evaluate(self, left: Ranked, start: int, stop: int) -> Floats:
        """Score some documents; return the errors of those that the surrogate ranked."""
        ordinals, expected = left.ordinals[start:stop], left.expected[start:stop]
        order = np.argsort(ordinals)  # memory is read in order
        scores = np.empty(len(ordinals))
        scores[order] = self.search.evaluate(ordinals[order])
        ranked = expected < FIRST
        errors: Floats = scores[ranked] - expected[ranked]
        return errors

    def _tail_below(self, ranked: Ranked, level: float) -> Tail:
        """Return the tail of the errors of random documents of which no more is expected."""
        below = ranked.held <= level
        return self._tail(self._held[below] - ranked.held[below])


class RangedScorer:
    """A scorer with surrogates that ranks documents far from the random ones first.

    A surrogate is fitted where the random documents are. A vector that lies beyond them along a
    direction in which the gradient of the q-net changes may have any score.

    Args:
        surrogates: One surrogate a query.
        random: The random documents.
        device: The device that scores.
    """

    def __init__(
        self, surrogates: Sequence[Surrogate], random: RandomDocuments, device: torch.device
    ) -> None:
        self.n_queries = len(surrogates)
        self.dim = int(random.spread.shape[0])
        vectors = torch.cat([random.fitted_vectors, random.held_vectors])
        self._each = [
            tuple(each.to(device) for each in (one.rows, one.form, *_range(one, vectors)))
            for one in surrogates
        ]

    def __call__(self, vectors: torch.Tensor) -> torch.Tensor:
        """Return scores ``[q, n]`` of document vectors ``[n, d]``."""
        turned = vectors.t()
        scores = vectors.new_empty((self.n_queries, len(vectors)))
        for row, (rows, form, middle, reach) in zip(scores, self._each, strict=True):
            parts = rows @ turned  # [8, n]
            torch.add(parts[0], ((form @ parts) * parts).sum(dim=0), out=row)
            far = (parts - middle).abs_().gt(reach).any(dim=0)
            row.masked_fill_(far, FIRST)
        return scores

    def prepared(
        self,
        dtype: torch.dtype,
        calibration: torch.Tensor | None = None,
        threads: Workers = ALONE,
    ) -> RangedScorer:
        """Return this scorer: it is prepared."""
        return self


def _range(surrogate: Surrogate, vectors: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the middle and the reach ``[8, 1]`` of the parts of vectors that are typical."""
    parts = surrogate.rows @ vectors.t()  # [8, m]: linear, directions, zeros
    middle = parts.mean(dim=1, keepdim=True)
    reach = _WIDER * (parts - middle).abs().amax(dim=1, keepdim=True)
    reach[0] = torch.inf  # of the linear part, a large value is what the search is for
    reach[1 + surrogate.curve.directions.shape[1] :] = torch.inf
    return middle, reach
