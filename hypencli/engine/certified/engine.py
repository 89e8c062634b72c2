"""Error-bounded search: a cheap first pass over all documents, then float32 for the best ones.

The first pass ranks all documents, by surrogates of the q-nets
(:mod:`hypencli.engine.certified.surrogates`) or by the q-nets themselves in int8 or bfloat16. In
the latter case, the best documents, and a sample of the corpus, are scored again in float32. The
largest difference between both scores, times a safety factor, bounds the error of the first pass.
More documents are scored again until, under that bound, no other document can be among the best
``k``. The scores are bit-equal to those of float32 search; so are the documents and their order as
long as the bound holds. The bound is measured, not proved: a document could be missed if the first
pass errs on it by more than on every document scored twice, beyond the safety factor. Documents
whose vectors are unlike those of the sample (:mod:`hypencli.engine.certified.outliers`) would be
such: they are always scored in float32.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np
import torch

from hypencli.engine.blocks import SET_ASIDE, block_rows
from hypencli.engine.candidates import BatchSearch, QuerySearch, search_by
from hypencli.engine.certified.options import FirstPassOptions, SurrogateOptions
from hypencli.engine.certified.outliers import TypicalVectors
from hypencli.engine.certified.sample import FirstPassSample
from hypencli.engine.certified.surrogates import SurrogatePass
from hypencli.engine.corpus import (
    Ordinals,
    Scores,
    SearchCorpus,
    Vectors,
    names_by_place,
)
from hypencli.engine.device.streaming import on_device
from hypencli.engine.exact import CorpusPass
from hypencli.engine.results import FirstPassCosts, FirstPassOutcome, OnScored, SearchResult, counts
from hypencli.engine.scorers import Scorer
from hypencli.engine.seconds import SearchSeconds
from hypencli.engine.topk import TopK
from hypencli.errors import ModelError


class ErrorBoundedEngine:
    """Search with a first pass in a fast dtype over all documents, and float32 for the best.

    Args:
        corpus: The documents.
        options: Options of the first pass; the defaults if None.
        device: The device that scores; the CPU by default.

    Examples:
        >>> import numpy as np
        >>> import torch
        >>> from hypencli.engine.corpus import VectorCorpus
        >>> from hypencli.engine.scorers import InnerProductScorer
        >>> corpus = VectorCorpus(np.linspace([0, 1], [1, 0], 1000, dtype=np.float32))
        >>> queries = InnerProductScorer(torch.tensor([[1.0, 0.0]]))
        >>> result = ErrorBoundedEngine(corpus).search(queries, k=2)
        >>> [doc_id for doc_id, score in result.rankings[0]]
        ['999', '998']
    """

    def __init__(
        self,
        corpus: SearchCorpus,
        options: FirstPassOptions | None = None,
        *,
        device: torch.device | None = None,
    ) -> None:
        self._options = options or FirstPassOptions()
        self._device = device or torch.device("cpu")
        self._corpus = on_device(corpus, self._device)

    def search(self, scorer: Scorer, *, k: int, on_scored: OnScored | None = None) -> SearchResult:
        """Return the ``k`` best documents of every query by their scores in float32.

        For each query, the result records what was scored again, and under which bound.
        """
        work = _ErrorBoundedSearch(self._corpus, self._options, self._device, on_scored)
        result = search_by(work, scorer, self._corpus, k=k, device=self._device)
        seconds = result.seconds
        return replace(
            result,
            evaluations=counts([self._corpus.n] * scorer.n_queries),
            iterations=counts([1] * scorer.n_queries),
            seconds=SearchSeconds(scoring=seconds.selection + seconds.scoring, topk=seconds.topk),
            scan=FirstPassCosts.of(work.outcomes, certified=self._options.certify),
        )


@dataclass(slots=True)
class _ErrorBoundedSearch:
    """The search of a batch of queries.

    Attributes:
        outcomes: The outcome of the first pass of each query.
    """

    corpus: SearchCorpus
    options: FirstPassOptions
    device: torch.device
    on_scored: OnScored | None
    outcomes: list[FirstPassOutcome] = field(default_factory=list)
    _drawn: Ordinals = field(init=False)
    _drawn_vectors: Vectors = field(init=False)
    _typical: TypicalVectors = field(init=False)
    _of_drawn: dict[int, Scores] = field(init=False, default_factory=dict)
    _complete: set[int] = field(init=False, default_factory=set)

    def __post_init__(self) -> None:
        n = self.corpus.n
        drawn = np.random.default_rng(self.options.seed).choice(
            n, min(n, self.options.sample), replace=False
        )
        self._drawn = np.sort(drawn)
        self._drawn_vectors = self.corpus.vectors(self._drawn).astype(np.float32)
        self._typical = TypicalVectors.of(self._drawn_vectors)

    def __call__(self, batch: BatchSearch) -> None:
        """Run the first pass, score again, and search in float32 where no bound is reached."""
        self.outcomes = [FirstPassOutcome() for _ in batch.queries]
        if not batch.queries or not self.corpus.n:
            return
        left = list(range(len(batch.queries)))
        if self.options.surrogate is not None:
            left = self._search_by_surrogates(batch, self.options.surrogate, left)
        for dtype in self.options.dtypes:
            left = self._search_bounded(batch, dtype, left)
        for query in left:
            self.outcomes[query].fell_back = True
        self._fall_back(batch)

    def _search_by_surrogates(
        self, batch: BatchSearch, options: SurrogateOptions, queries: list[int]
    ) -> list[int]:
        """Search for ``queries`` by surrogates; return those for which they are no use."""
        for query in queries:
            self.outcomes[query].dtype = "surrogate"
        alone = not self.options.dtypes
        first_pass = SurrogatePass(self.corpus, options, self.device, alone=alone)
        left = first_pass(batch, queries, self.outcomes)
        if self.on_scored is not None:
            self.on_scored((len(queries) - len(left)) * self.corpus.n)
        self._complete = set(queries) - set(left)
        for query in left:  # what was scored in vain is scored again
            batch.queries[query].top = TopK(batch.k, self.corpus.ids)
        return left

    def _search_bounded(
        self, batch: BatchSearch, dtype: torch.dtype, queries: list[int]
    ) -> list[int]:
        """Run the first pass for ``queries``; return those for which it is no use."""
        first_pass = self._first_pass(batch, dtype, queries) if queries else None
        if first_pass is None:
            return queries
        self.on_scored = None  # Scores computed from now on were counted already.
        of_query = dict(zip(queries, first_pass, strict=True))
        rough: set[int] = set()

        def bound_errors(search: QuerySearch) -> None:
            self.outcomes[search.query].dtype = str(dtype).removeprefix("torch.")
            if not self._bound_errors(search, of_query[search.query], batch.k):
                rough.add(search.query)

        batch.each(bound_errors, [batch.queries[query] for query in queries])
        return [query for query in queries if query in rough]

    def _first_pass(
        self, batch: BatchSearch, dtype: torch.dtype, queries: list[int]
    ) -> list[FirstPassResult] | None:
        """Return the first pass of each of ``queries``; None if it cannot run in this dtype."""
        n, kept = self.corpus.n, self.options.kept(self.corpus.n)
        if self.options.first(batch.k) > kept < n:
            return None
        prepared = self._prepared(batch, dtype, queries)
        if prepared is None:
            return None
        sample = FirstPassSample(self._drawn, len(queries))
        rows = block_rows(self.corpus.dim, dtype, self.device)
        corpus_pass = self._pass(batch, prepared.dtype, by_place=True, rows=rows)
        try:
            tops, _ = corpus_pass(
                prepared.scorer,
                self.corpus.blocks(),
                k=kept,
                on_scored=self.on_scored,
                watch=sample.watch,
                aside=self._typical.outliers,
            )
        except ModelError:  # not finite; float32 may succeed, or its error names the document
            return None
        if len(sample.aside) > kept:
            return None
        return [
            FirstPassResult.of(top, sample, query, whole=kept == n)
            for query, top in enumerate(tops)
        ]

    def _prepared(
        self, batch: BatchSearch, dtype: torch.dtype, queries: list[int]
    ) -> _Prepared | None:
        """Return the prepared scorer of ``queries``; None if it cannot run in this dtype."""
        scorer = _some(batch, queries)
        if dtype != torch.int8:
            return _Prepared(scorer, dtype)
        if self.device.type != "cpu":
            return None
        vectors = torch.from_numpy(self._drawn_vectors)
        like = vectors[~self._typical.outliers(vectors)][:: self.options.sparse]
        if not len(like):
            return None
        if len(queries) > 1:
            rough = scorer.prepared(torch.int8, like, batch.threads)
        else:
            pending = batch.threads.start(partial(scorer.prepared, torch.int8, like))
            self._float32_of_drawn(batch.queries[queries[0]])
            rough = pending()
        return None if rough is None else _Prepared(rough, torch.float32)

    def _float32_of_drawn(self, search: QuerySearch) -> Scores:
        """Return the float32 scores ``[m]`` of the sample; they are computed once a query."""
        if search.query not in self._of_drawn:
            self._of_drawn[search.query] = search.evaluate(self._drawn)
        return self._of_drawn[search.query]

    def _pass(
        self, batch: BatchSearch, dtype: torch.dtype, *, by_place: bool, rows: int | None = None
    ) -> CorpusPass:
        return CorpusPass(
            batch.threads,
            doc_ids=self.corpus.ids,
            tie_ids=names_by_place if by_place else None,
            device=self.device,
            dtype=dtype,
            rows=rows,
        )

    def _bound_errors(self, search: QuerySearch, first_pass: FirstPassResult, k: int) -> bool:
        """Score again all that may be among the best ``k``; return False if that is too much."""
        outcome, options = self.outcomes[search.query], self.options
        errors = [first_pass.errors_of_sample(self._float32_of_drawn(search))]
        if options.certify and self._is_too_rough(errors[0], first_pass, k):
            return False
        search.evaluate(first_pass.aside)
        done, wanted = 0, min(options.first(k), len(first_pass.ordinals))
        first = wanted
        while True:
            again = slice(done, wanted)
            errors.append(search.evaluate(first_pass.ordinals[again]) - first_pass.scores[again])
            done = wanted
            outcome.bound = self._bound(np.concatenate(errors), search.top.last)
            wanted = first_pass.reaching(search.top.last - outcome.bound)
            if not options.certify or wanted <= done:
                break
            if wanted == len(first_pass.ordinals) and not first_pass.whole:
                outcome.fell_back = True
                break
        outcome.rescored = done + len(first_pass.sample_scores) + len(first_pass.aside)
        outcome.widened = done - first
        return True

    def _is_too_rough(self, errors: Scores, first_pass: FirstPassResult, k: int) -> bool:
        """Return whether, by the sample, more documents than allowed would be scored again.

        The k-th best score is estimated as that of the first pass plus the mean error.
        """
        if first_pass.whole or len(first_pass.ordinals) < k:
            return False
        last = float(first_pass.scores[k - 1]) + float(errors.astype(np.float64).mean())
        reaching = first_pass.reaching(last - self._bound(errors, last))
        return reaching == len(first_pass.ordinals)

    def _bound(self, errors: Scores, last: float) -> float:
        """Return how far a float32 score may lie above that of the first pass."""
        values = errors.astype(np.float64)
        centre = float(values.mean())
        rounding = torch.finfo(torch.bfloat16).eps * abs(last) if np.isfinite(last) else 0.0
        return max(rounding, centre + self.options.safety * float(np.abs(values - centre).max()))

    def _fall_back(self, batch: BatchSearch) -> None:
        """Search in float32 for the queries without a usable first pass."""
        fallen = [
            place
            for place, outcome in enumerate(self.outcomes)
            if outcome.fell_back and place not in self._complete
        ]
        if not fallen:
            return
        tops, _ = self._pass(batch, torch.float32, by_place=False)(
            _some(batch, fallen), self.corpus.blocks(), k=batch.k, on_scored=self.on_scored
        )
        for place, top in zip(fallen, tops, strict=True):
            batch.queries[place].top = top


def _some(batch: BatchSearch, queries: list[int]) -> Scorer:
    """Return the scorer of ``queries`` of a batch."""
    every = len(queries) == len(batch.queries)
    return batch.scorer if every else batch.scorer.select(queries)


@dataclass(frozen=True, slots=True)
class _Prepared:
    """A scorer prepared for the first pass, with the dtype of its vectors.

    Attributes:
        scorer: The scorer of the queries of this first pass.
        dtype: Dtype of the vectors that it takes.
    """

    scorer: Scorer
    dtype: torch.dtype


@dataclass(frozen=True, slots=True)
class FirstPassResult:
    """The result of the first pass of one query.

    Attributes:
        ordinals: The best documents ``[n]`` by the first pass, best first, without the sample and
            without what was set aside.
        scores: Their scores ``[n]``.
        sample_scores: Scores ``[m]`` of the documents of the sample.
        aside: Documents ``[a]`` that were set aside and are not in the sample.
        whole: Whether these are all documents of the corpus.
    """

    ordinals: Ordinals
    scores: Scores
    sample_scores: Scores
    aside: Ordinals
    whole: bool

    @classmethod
    def of(cls, top: TopK, sample: FirstPassSample, query: int, *, whole: bool) -> FirstPassResult:
        """Return the result of a query for the kept documents, the sample and what is aside."""
        ordinals, scores = top.kept
        aside = np.setdiff1d(sample.aside, sample.ordinals, assume_unique=True)
        others = np.isin(ordinals, np.concatenate([sample.ordinals, aside]), invert=True)
        ordinals, scores = ordinals[others], scores[others]
        order = np.argsort(-scores, kind="stable")
        return cls(ordinals[order], scores[order], sample.scores[query], aside, whole)

    def errors_of_sample(self, exact: Scores) -> Scores:
        """Return float32 scores ``[m]`` of the sample minus those of the first pass.

        Documents that were set aside are left out: the first pass did not rank them.
        """
        ranked = self.sample_scores != SET_ASIDE
        errors: Scores = exact[ranked] - self.sample_scores[ranked]
        return errors

    def reaching(self, score: float) -> int:
        """Return how many documents have at least this score in the first pass."""
        return int(np.searchsorted(-self.scores.astype(np.float64), -score, side="right"))
