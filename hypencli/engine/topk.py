"""Selection of the best k documents from a stream of scores, with ties broken by id."""

from __future__ import annotations

import numpy as np

from hypencli.engine.corpus import DocIds, Ordinals, Scores
from hypencli.records import Ranking


class TopK:
    """The ``k`` best documents of one query, kept while its scores arrive.

    Ties are exact: of the documents with the k-th best score, those with the smallest ids stay. So
    the result does not depend on the order or the number of the calls.

    Args:
        k: The number of documents to keep, at least 1.
        doc_ids: Returns the ids of ordinals in the corpus.
    """

    def __init__(self, k: int, doc_ids: DocIds) -> None:
        self._k = k
        self._doc_ids = doc_ids
        self._scores: Scores = np.empty(0, dtype=np.float32)
        self._ordinals: Ordinals = np.empty(0, dtype=np.int64)

    @property
    def full(self) -> bool:
        """Whether ``k`` documents are kept."""
        return len(self._scores) == self._k

    @property
    def last(self) -> float:
        """The k-th best score; minus infinity while fewer than ``k`` documents are kept."""
        return float(self._scores.min()) if self.full else -np.inf

    def add(self, scores: Scores, first_ordinal: int) -> None:
        """Add the scores ``[n]`` of the documents from ``first_ordinal`` on."""
        places = np.flatnonzero(scores >= self.last)
        self._keep(scores[places], places + first_ordinal)

    def add_some(self, scores: Scores, ordinals: Ordinals) -> None:
        """Add the scores ``[n]`` of documents that were not added before, in any order."""
        mask = scores >= self.last
        self._keep(scores[mask], ordinals[mask])

    def _keep(self, scores: Scores, ordinals: Ordinals) -> None:
        if len(scores) == 0:
            return
        self._scores = np.concatenate([self._scores, scores])
        self._ordinals = np.concatenate([self._ordinals, ordinals])
        if len(self._scores) > self._k:
            self._cut()

    def _cut(self) -> None:
        """Drop all but the best ``k``."""
        last = np.partition(self._scores, len(self._scores) - self._k)[-self._k]
        above = np.flatnonzero(self._scores > last)
        tied = np.flatnonzero(self._scores == last)
        free_places = self._k - len(above)
        if len(tied) > free_places:
            ids = self._doc_ids(self._ordinals[tied])
            tied = tied[sorted(range(len(tied)), key=ids.__getitem__)[:free_places]]
        keep = np.concatenate([above, tied])
        self._scores, self._ordinals = self._scores[keep], self._ordinals[keep]

    @property
    def kept(self) -> tuple[Ordinals, Scores]:
        """The ordinals and scores kept so far, in no order."""
        return self._ordinals, self._scores

    def ranking(self) -> Ranking:
        """Return ids and scores of the kept documents, best score first, ties by document id."""
        order = np.argsort(-self._scores, kind="stable")
        scores = self._scores[order]
        ids = list(self._doc_ids(self._ordinals[order]))
        if len(scores) > 1 and bool((scores[1:] == scores[:-1]).any()):
            by_id = sorted(range(len(ids)), key=lambda i: (-scores[i], ids[i]))
            scores, ids = scores[by_id], [ids[i] for i in by_id]
        return list(zip(ids, scores.tolist(), strict=True))
