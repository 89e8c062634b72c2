"""Guided search: the gradient of the scorer gives a first surrogate, its scores better ones.

A q-net is a function of the document vector. Near its best documents it is close to a linear
surrogate, which ranks the corpus at a fraction of the cost of the q-net. The gradient of the q-net
at the centre of the corpus gives the first surrogate; ridge regression on the scored documents
gives better ones. Scoring stops when hardly any newly scored document enters the ranking.

Deviation: the paper walks over a neighbour graph instead
(:mod:`hypencli.engine.graph_walk`); guided search has a higher recall with fewer
evaluations (``docs/approximate-search.md``) and needs no graph.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from hypencli.engine.candidates import BatchSearch, QuerySearch, search_by
from hypencli.engine.corpus import Ordinals, SearchCorpus, names_by_place
from hypencli.engine.exact import CorpusPass
from hypencli.engine.guided_recall import CorpusSample, RecallSearch
from hypencli.engine.index_pool import RECALL, search_index
from hypencli.engine.parameters import GuidedOptions
from hypencli.engine.results import OnScored, SearchResult
from hypencli.engine.scorers import Scorer
from hypencli.engine.surrogate import LinearScorer, evenly_spaced, fit
from hypencli.engine.vector_index.index import VectorIndex

_LEAST_BATCH = 16
_LEAST_POOL = 1_000


class GuidedEngine:
    """Search that scores the documents ranked first by a linear surrogate, and refits it.

    Two passes over the corpus rank all documents for all queries by inner products: first with the
    gradients, then with the first fit. All further documents come from the pool of the second pass.
    An index of the vectors takes the place of the passes, if one is given.

    Args:
        corpus: The documents.
        options: Options of guided search; the defaults if None.
        index: An index of the vectors with a sample, in place of the passes.
        device: The device that scores; the CPU by default.
        dtype: Arithmetic of the scores.

    Examples:
        >>> import numpy as np
        >>> from hypencli.engine.corpus import VectorCorpus
        >>> from hypencli.engine.scorers import InnerProductScorer
        >>> corpus = VectorCorpus(np.linspace([0, 1], [1, 0], 1000, dtype=np.float32))
        >>> queries = InnerProductScorer(torch.tensor([[1.0, 0.0]]))
        >>> engine = GuidedEngine(corpus, GuidedOptions(budget=50))
        >>> result = engine.search(queries, k=2)
        >>> [doc_id for doc_id, score in result.rankings[0]]
        ['999', '998']
        >>> result.evaluations.tolist()
        [50]
    """

    def __init__(
        self,
        corpus: SearchCorpus,
        options: GuidedOptions | None = None,
        *,
        index: VectorIndex | None = None,
        device: torch.device | None = None,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        self._corpus = corpus
        self._options = options or GuidedOptions()
        self._device, self._dtype = device or torch.device("cpu"), dtype
        self._index = index
        self._sample: CorpusSample | None = None

    def search(self, scorer: Scorer, *, k: int, on_scored: OnScored | None = None) -> SearchResult:
        """Return the ``k`` best of the documents that the search of each query scores."""
        return search_by(
            self._search if self._options.recall is None else self._search_to_recall,
            scorer,
            self._corpus,
            k=k,
            device=self._device,
            dtype=self._dtype,
            on_scored=on_scored,
        )

    def _search(self, batch: BatchSearch) -> None:
        if not batch.queries or self._corpus.n == 0:
            return
        centre = self._corpus_sample().centre.to(device=self._device, dtype=self._dtype)
        gradients = batch.scorer.gradients(centre)[:, 0].float().cpu()
        # If a q-net is not finite, so is its first score, and that error names the document.
        weights = torch.nan_to_num(gradients, posinf=0.0, neginf=0.0)
        plan = _Plan.of(self._options, k=batch.k, n=self._corpus.n)
        seeds = self._scan(batch, weights, plan.first)

        def begin(search: QuerySearch) -> None:
            search.evaluate(seeds[search.query])
            search.iterations += 1
            weights[search.query] = self._refit(weights[search.query], search)

        batch.each(begin)
        pools = self._scan(batch, weights, plan.pool)
        batch.each(
            lambda search: self._go_on(search, weights[search.query], pools[search.query], plan)
        )

    def _search_to_recall(self, batch: BatchSearch) -> None:
        search = RecallSearch(
            self._corpus,
            self._options,
            self._corpus_sample(),
            index=self._index,
            device=self._device,
            dtype=self._dtype,
        )
        search(batch)

    def _corpus_sample(self) -> CorpusSample:
        """Return a sample of the corpus, which is drawn once."""
        if self._sample is None and self._index is not None and self._index.sample is not None:
            kept = self._index.sample
            vectors = torch.from_numpy(kept.vectors.astype(np.float32))
            self._sample = CorpusSample(kept.ordinals, vectors)
        if self._sample is None:
            self._sample = CorpusSample.draw(self._corpus, self._options.sample, self._options.seed)
        return self._sample

    def _scan(self, batch: BatchSearch, weights: torch.Tensor, m: int) -> list[Ordinals]:
        """Return the ``m`` documents with the largest inner products with each of ``[q, d]``."""
        if self._index is not None:
            q = len(weights)
            efforts = [self._index.effort(RECALL)] * q
            found = search_index(
                self._index, list(weights[:, None]), [m] * q, efforts, batch.threads
            )
            return [each.ordinals for each in found]
        corpus_pass = CorpusPass(
            batch.threads, doc_ids=self._corpus.ids, tie_ids=names_by_place, device=self._device
        )
        scorer = LinearScorer(weights.to(self._device))
        kept, _ = corpus_pass(scorer, self._corpus.blocks(), k=m)
        return [np.sort(top.kept[0]) for top in kept]

    def _go_on(
        self, search: QuerySearch, weights: torch.Tensor, pool: Ordinals, plan: _Plan
    ) -> None:
        """Score the pool of a query in the order of the last fit, until the ranking settles."""
        vectors = self._vectors(pool)
        left = torch.from_numpy(np.isin(pool, search.scored[0], invert=True))
        while size := min(plan.next(search.evaluations), int(left.sum())):
            expected = torch.where(left, vectors @ weights, -torch.inf)
            batch_places = expected.topk(size, sorted=False).indices.sort().values
            left[batch_places] = False
            before = search.evaluations
            scores = search.evaluate(pool[batch_places.numpy()])
            search.iterations += 1
            if plan.ends(before, float((scores >= search.top.last).mean())):
                return
            weights = self._refit(weights, search)

    def _vectors(self, ordinals: Ordinals) -> torch.Tensor:
        return torch.from_numpy(self._corpus.vectors(ordinals)).float()

    def _refit(self, weights: torch.Tensor, search: QuerySearch) -> torch.Tensor:
        """Return weights ``[d]`` of a surrogate fitted to the scored documents."""
        ordinals, scores = search.scored
        places = evenly_spaced(scores, self._options.fitted)
        vectors = self._vectors(ordinals[places])
        return fit(weights, vectors, torch.from_numpy(scores[places]), self._options.ridge)


@dataclass(frozen=True, slots=True)
class _Plan:
    """The number of documents that each step of the search of one query scores."""

    k: int
    first: int
    batch: int
    pool: int
    budget: int | None
    stopping_threshold: float

    @classmethod
    def of(cls, options: GuidedOptions, *, k: int, n: int) -> _Plan:
        """Return the plan for the ``k`` best of ``n`` documents."""
        budget = options.budget
        first = max(_LEAST_BATCH, round(options.first * k))
        pool = max(_LEAST_POOL, round(options.pool * k), budget or 0)
        return cls(
            k=k,
            first=min(n, first if budget is None else min(first, budget)),
            batch=max(_LEAST_BATCH, round(options.batch * k)),
            pool=min(n, pool),
            budget=budget,
            stopping_threshold=options.gain,
        )

    def next(self, evaluated: int) -> int:
        """Return the size of the next batch: up to ``k`` documents at once, then full batches."""
        size = self.k - evaluated if evaluated < self.k else self.batch
        return size if self.budget is None else min(size, self.budget - evaluated)

    def ends(self, before: int, gained: float) -> bool:
        """Return whether a batch is the last, by the share of it that entered the ranking."""
        return self.budget is None and before >= self.k and gained <= self.stopping_threshold
