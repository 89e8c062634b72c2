"""What a scan of all documents leaves of each query: its best, and its scores of a sample."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hypencli.engine.corpus import Ordinals, Scores
from hypencli.engine.topk import TopK


class FirstPassSample:
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
class FirstPassResult:
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
    def of(
        cls, top: TopK, sample: Ordinals, sample_scores: Scores, *, whole: bool
    ) -> FirstPassResult:
        """Of what the scan has kept and what it has seen of the sample."""
        ordinals, scores = top.kept
        others = np.isin(ordinals, sample, invert=True)
        ordinals, scores = ordinals[others], scores[others]
        order = np.argsort(-scores, kind="stable")
        return cls(ordinals[order], scores[order], sample, sample_scores, whole)

    def reaching(self, score: float) -> int:
        """How many of the documents have such a score in the scan, or a better one."""
        return int(np.searchsorted(-self.scores.astype(np.float64), -score, side="right"))
