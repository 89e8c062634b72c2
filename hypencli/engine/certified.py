"""Exact search by two arithmetics: a fast one for all documents, float32 for those that may count.

All documents are scored in the scan's dtype. The best are scored again in float32, and so is a
sample of all; how far both scores are apart, times a safety factor, bounds what the scan may have
missed. More are scored again until no document that is left can reach the best ``k`` under that
bound. Scores are those of float32 search, to the last bit, and so are the documents and their order
as long as the bound holds. It is measured, not proved: a document whose scan is further off than
all that were looked at, by more than the safety factor allows, could be missed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

import numpy as np
import torch

from hypencli.engine.candidates import BatchSearch, QuerySearch, search_by
from hypencli.engine.corpus import Corpus, Ordinals, Scores, names_by_place
from hypencli.engine.exact import Scan
from hypencli.engine.found import Found, OnScored, ScanCosts, ScanOutcome, SearchSeconds, counts
from hypencli.engine.scorers import Scorer
from hypencli.engine.topk import TopK
from hypencli.errors import ModelError


@dataclass(frozen=True, slots=True)
class ScanOptions:
    """How a scan goes, and what is scored again.

    Attributes:
        dtype: Arithmetic of the scan.
        certify: Score more in float32 until nothing that is left can reach the best ``k``; else
            only ``margin`` more.
        margin: Documents scored again at first, beyond ``k``, as a share of it.
        sample: Documents of the whole corpus whose errors are measured too.
        safety: What multiplies the largest deviation seen from the mean error.
        limit: Share of the corpus scored again at most; beyond, the query is searched in float32.
        most: The same as a number of documents.
        seed: Of the sample.
    """

    dtype: torch.dtype = torch.bfloat16
    certify: bool = True
    margin: float = 0.2
    sample: int = 256
    safety: float = 2.0
    limit: float = 0.2
    most: int = 200_000
    seed: int = 0

    def first(self, k: int) -> int:
        """Documents scored again before anything is known of the errors, the sample aside."""
        return math.ceil(k * (1 + self.margin))

    def kept(self, n: int) -> int:
        """Documents, best by the scan, that may be scored again, of a corpus of ``n``."""
        return min(n, math.ceil(n * self.limit), self.most)


class CertifiedEngine:
    """Scans all documents in a fast dtype and ranks those that may count in float32.

    Args:
        corpus: The documents.
        options: How.
        device: Where to score; the CPU by default.
    """

    def __init__(
        self,
        corpus: Corpus,
        options: ScanOptions | None = None,
        *,
        device: torch.device | None = None,
    ) -> None:
        self._corpus = corpus
        self._options = options or ScanOptions()
        self._device = device or torch.device("cpu")

    def search(self, scorer: Scorer, *, k: int, on_scored: OnScored | None = None) -> Found:
        """The ``k`` best documents of every query by their scores in float32.

        The record says of each query what was scored again, and under which bound.
        """
        work = _Certifying(self._corpus, self._options, self._device, on_scored)
        found = search_by(work, scorer, self._corpus, k=k, device=self._device)
        seconds = found.seconds
        return replace(
            found,
            evaluations=counts([self._corpus.n] * scorer.n_queries),
            iterations=counts([1] * scorer.n_queries),
            seconds=SearchSeconds(scoring=seconds.selection + seconds.scoring, topk=seconds.topk),
            scan=ScanCosts.of(work.outcomes),
        )


@dataclass(slots=True)
class _Certifying:
    """The search of a batch of queries.

    Attributes:
        outcomes: What each query's search came to.
    """

    corpus: Corpus
    options: ScanOptions
    device: torch.device
    on_scored: OnScored | None
    outcomes: list[ScanOutcome] = field(default_factory=list)

    def __call__(self, batch: BatchSearch) -> None:
        """Scan, score again, and search in float32 what cannot be certified."""
        self.outcomes = [ScanOutcome() for _ in batch.queries]
        if not batch.queries or not self.corpus.n:
            return
        scanned = self._scan(batch)
        if scanned is None:
            for outcome in self.outcomes:
                outcome.fell_back = True
        else:
            batch.each(lambda search: self._certify(search, scanned[search.query], batch.k))
        self._fall_back(batch, self.on_scored if scanned is None else None)

    def _scan(self, batch: BatchSearch) -> list[_Scanned] | None:
        """What the scan leaves of each query; None where it cannot help."""
        n, kept = self.corpus.n, self.options.kept(self.corpus.n)
        if self.options.first(batch.k) > kept < n:
            return None
        drawn = np.random.default_rng(self.options.seed).choice(
            n, min(n, self.options.sample), replace=False
        )
        sample = _Sample(np.sort(drawn), len(batch.queries))
        scan = self._pass(batch, self.options.dtype, by_place=True)
        try:
            tops, _ = scan(
                batch.scorer,
                self.corpus.blocks(),
                k=kept,
                on_scored=self.on_scored,
                watch=sample.watch,
            )
        except ModelError:  # a score is not finite: float32 may do better, or else says where
            return None
        return [
            _Scanned.of(top, sample.ordinals, scores, whole=kept == n)
            for top, scores in zip(tops, sample.scores, strict=True)
        ]

    def _pass(self, batch: BatchSearch, dtype: torch.dtype, *, by_place: bool) -> Scan:
        return Scan(
            batch.threads,
            doc_ids=self.corpus.ids,
            tie_ids=names_by_place if by_place else None,
            device=self.device,
            dtype=dtype,
        )

    def _certify(self, search: QuerySearch, scanned: _Scanned, k: int) -> None:
        """Score again what may be among the best ``k`` of a query."""
        outcome, options = self.outcomes[search.query], self.options
        errors = [search.evaluate(scanned.sample) - scanned.sample_scores]
        done, wanted = 0, min(options.first(k), len(scanned.ordinals))
        first = wanted
        while True:
            again = slice(done, wanted)
            errors.append(search.evaluate(scanned.ordinals[again]) - scanned.scores[again])
            done = wanted
            outcome.bound = self._bound(np.concatenate(errors), search.top.last)
            wanted = scanned.reaching(search.top.last - outcome.bound)
            if not options.certify or wanted <= done:
                break
            if wanted == len(scanned.ordinals) and not scanned.whole:
                outcome.fell_back = True
                break
        outcome.rescored = done + len(scanned.sample)
        outcome.widened = done - first

    def _bound(self, errors: Scores, last: float) -> float:
        """How far a score in float32 may lie above its scan."""
        values = errors.astype(np.float64)
        centre = float(values.mean())
        rounding = torch.finfo(self.options.dtype).eps * abs(last) if np.isfinite(last) else 0.0
        return max(rounding, centre + self.options.safety * float(np.abs(values - centre).max()))

    def _fall_back(self, batch: BatchSearch, on_scored: OnScored | None) -> None:
        """Search in float32 where the scan does not do."""
        fallen = [place for place, outcome in enumerate(self.outcomes) if outcome.fell_back]
        if not fallen:
            return
        scorer = batch.scorer if len(fallen) == len(batch.queries) else batch.scorer.select(fallen)
        tops, _ = self._pass(batch, torch.float32, by_place=False)(
            scorer, self.corpus.blocks(), k=batch.k, on_scored=on_scored
        )
        for place, top in zip(fallen, tops, strict=True):
            batch.queries[place].top = top


class _Sample:
    """Documents whose scores in the scan are kept, whatever they are.

    Attributes:
        ordinals: Their places, rising.
        scores: ``[q, m]``.
    """

    def __init__(self, ordinals: Ordinals, n_queries: int) -> None:
        self.ordinals = ordinals
        self.scores: Scores = np.zeros((n_queries, len(ordinals)), dtype=np.float32)

    def watch(self, scores: Scores, first: int) -> None:
        """Take in the scores ``[q, n]`` of the documents from ``first`` on."""
        start, stop = np.searchsorted(self.ordinals, [first, first + scores.shape[1]])
        self.scores[:, start:stop] = scores[:, self.ordinals[start:stop] - first]


@dataclass(frozen=True, slots=True)
class _Scanned:
    """What a scan leaves of one query.

    Attributes:
        ordinals: The best documents by the scan, best first, without those of the sample.
        scores: Theirs.
        sample: Documents of the sample.
        sample_scores: Theirs.
        whole: Whether these are all documents.
    """

    ordinals: Ordinals
    scores: Scores
    sample: Ordinals
    sample_scores: Scores
    whole: bool

    @classmethod
    def of(cls, top: TopK, sample: Ordinals, sample_scores: Scores, *, whole: bool) -> _Scanned:
        """Of what the scan has kept and what it has seen of the sample."""
        ordinals, scores = top.kept
        others = np.isin(ordinals, sample, invert=True)
        ordinals, scores = ordinals[others], scores[others]
        order = np.argsort(-scores, kind="stable")
        return cls(ordinals[order], scores[order], sample, sample_scores, whole)

    def reaching(self, score: float) -> int:
        """How many of the documents have such a score in the scan, or a better one."""
        return int(np.searchsorted(-self.scores.astype(np.float64), -score, side="right"))
