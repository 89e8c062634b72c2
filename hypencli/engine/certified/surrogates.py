"""A first pass by surrogates: functions of second order that are fitted to each q-net.

1. Random documents are scored in float32. A surrogate (:mod:`hypencli.engine.surrogate`) is fitted
   to half of them; the other half, which it is never fitted to, show how far it errs.
2. It ranks all documents. The best are scored in float32, it is fitted to them too, and ranks all
   documents again.
3. The documents are scored in that order in rounds, until those that are left are expected to hold
   no more than ``risk`` of the best ``k`` (:mod:`hypencli.engine.certified.tails`). Errors may be
   larger near the best documents than elsewhere, so those of the last round count too.

A query that would need too many documents is given up as soon as that shows. Documents whose
vectors are unlike the others are always scored: by length and values, by direction, and by their
place along the directions in which the gradient of the q-net changes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch

from hypencli.engine.candidates import PREPARED, BatchSearch, QuerySearch
from hypencli.engine.certified.fits import QueryFit, RangedScorer, Ranked, best_of, score_others
from hypencli.engine.certified.options import SurrogateOptions
from hypencli.engine.certified.random_documents import RandomDocuments
from hypencli.engine.certified.sample import FirstPassSample
from hypencli.engine.corpus import SearchCorpus, names_by_place
from hypencli.engine.exact import CorpusPass
from hypencli.engine.results import FirstPassOutcome

_LEAST_SETTLED = 0.25
"""The share of a group of queries for which surrogates must be of use; else no further group has
them."""

_FIRST_GROUP = 4
"""Queries of the first group, which shows whether surrogates are of use."""

_LEAST_COSTLY = 0.02
"""The share of the corpus that must be scored so that it is not scored again in vain."""


class SurrogatePass:
    """First passes by surrogates over one corpus.

    Args:
        corpus: The documents.
        options: How much may be scored, and missed.
        device: The device that scores.
        alone: Whether there is no other first pass. A query for which a surrogate is of no use then
            goes on in float32, unless so little is scored that a pass of many queries is better.
    """

    def __init__(
        self,
        corpus: SearchCorpus,
        options: SurrogateOptions,
        device: torch.device,
        *,
        alone: bool,
    ) -> None:
        self._corpus, self._options, self._device = corpus, options, device
        self._alone = alone
        self._random = RandomDocuments.draw(corpus, options)

    def __call__(
        self, batch: BatchSearch, queries: Sequence[int], outcomes: Sequence[FirstPassOutcome]
    ) -> list[int]:
        """Search for ``queries``; return those for which surrogates are no use."""
        random, options = self._random, self._options
        scored = options.fitted + options.held + best_of(batch.k)
        if random is None or scored > options.limit * self._corpus.n:
            return list(queries)
        left: list[int] = []
        start, size = 0, _FIRST_GROUP
        while start < len(queries):
            group = [batch.queries[query] for query in queries[start : start + size]]
            settled = self._search(batch, random, group, outcomes)
            start, size = start + size, PREPARED
            others = [search for search in group if search.query not in settled]
            left += self._go_on(batch, others, outcomes)
            if len(settled) < _LEAST_SETTLED * len(group):
                return left + list(queries[start:])
        return left

    def _go_on(
        self,
        batch: BatchSearch,
        queries: Sequence[QuerySearch],
        outcomes: Sequence[FirstPassOutcome],
    ) -> list[int]:
        """Score all documents for some queries; return those for which it is better not to."""
        costly = [
            search
            for search in queries
            if self._alone and search.evaluations > _LEAST_COSTLY * self._corpus.n
        ]

        def score_rest(search: QuerySearch) -> None:
            outcome = outcomes[search.query]
            outcome.rescored, outcome.fell_back = search.evaluations, True
            score_others(search, self._corpus.n)

        batch.each(score_rest, costly)
        return [search.query for search in queries if search not in costly]

    def _search(
        self,
        batch: BatchSearch,
        random: RandomDocuments,
        group: Sequence[QuerySearch],
        outcomes: Sequence[FirstPassOutcome],
    ) -> set[int]:
        """Search for a group of queries; return those that are done."""
        fits = {
            search.query: QueryFit(search, self._corpus, random, self._options, batch.k)
            for search in group
        }

        def begin(fit: QueryFit) -> bool:
            return fit.begin(batch.scorer.select([fit.search.query]), self._device)

        fits = _useful(batch, fits, begin)
        m = min(self._corpus.n, best_of(batch.k) + len(random.ordinals))
        ranked = self._rank(batch, random, fits, m)
        fits = _useful(batch, fits, lambda fit: fit.refit(ranked[fit.search.query]))
        ranked = self._rank(batch, random, fits, self._options.kept(self._corpus.n, len(fits)))
        batch.each(
            lambda search: fits[search.query].score(ranked[search.query], outcomes[search.query]),
            [fit.search for fit in fits.values()],
        )
        return set(fits)

    def _rank(
        self, batch: BatchSearch, random: RandomDocuments, fits: Mapping[int, QueryFit], m: int
    ) -> dict[int, Ranked]:
        """Return the ``m`` documents that the surrogate of each query ranks first."""
        if not fits:
            return {}
        scorer = RangedScorer([fit.surrogate for fit in fits.values()], random, self._device)
        sample = FirstPassSample(random.held, len(fits))
        corpus_pass = CorpusPass(
            batch.threads, doc_ids=self._corpus.ids, tie_ids=names_by_place, device=self._device
        )
        tops, _ = corpus_pass(
            scorer, self._corpus.blocks(), k=m, watch=sample.watch, aside=random.outliers
        )
        whole = m == self._corpus.n
        return {
            query: Ranked.of(top, scores, sample.aside, whole=whole)
            for query, top, scores in zip(fits, tops, sample.scores, strict=True)
        }


def _useful(
    batch: BatchSearch, fits: Mapping[int, QueryFit], step: Callable[[QueryFit], bool]
) -> dict[int, QueryFit]:
    """Apply a step to the searches of some queries; return those for which it returns True."""
    useful: dict[int, bool] = {}

    def apply(search: QuerySearch) -> None:
        useful[search.query] = step(fits[search.query])

    batch.each(apply, [fit.search for fit in fits.values()])
    return {query: fit for query, fit in fits.items() if useful[query]}
