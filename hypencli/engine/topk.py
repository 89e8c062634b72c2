"""The best k of a stream of scores, ties broken by document id."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Scores: TypeAlias = npt.NDArray[np.float32]
Ordinals: TypeAlias = npt.NDArray[np.int64]
DocIds: TypeAlias = Callable[[Ordinals], Sequence[str]]
"""Ids of positions in the corpus: asked only where scores tie, and for the final ranking."""


class TopK:
    """Keeps the ``k`` best documents of one query while scores stream by.

    Exact under ties: of documents with the score of the last place, those with the smallest ids
    stay, so the outcome does not depend on the order or the size of the pieces.

    Args:
        k: How many to keep, at least 1.
        doc_ids: Gives the ids of positions in the corpus.
    """

    def __init__(self, k: int, doc_ids: DocIds) -> None:
        self._k = k
        self._doc_ids = doc_ids
        self._scores: Scores = np.empty(0, dtype=np.float32)
        self._ordinals: Ordinals = np.empty(0, dtype=np.int64)

    def add(self, scores: Scores, first_ordinal: int) -> None:
        """Take in the scores ``[n]`` of the documents from ``first_ordinal`` on."""
        if len(self._scores) == self._k:
            chosen = np.flatnonzero(scores >= self._scores.min())
        else:
            chosen = np.arange(len(scores))
        if len(chosen) == 0:
            return
        self._scores = np.concatenate([self._scores, scores[chosen]])
        self._ordinals = np.concatenate([self._ordinals, chosen + first_ordinal])
        if len(self._scores) > self._k:
            self._cut()

    def _cut(self) -> None:
        """Drop all but the best ``k``."""
        last = np.partition(self._scores, len(self._scores) - self._k)[-self._k]
        above = np.flatnonzero(self._scores > last)
        tied = np.flatnonzero(self._scores == last)
        room = self._k - len(above)
        if len(tied) > room:
            ids = self._doc_ids(self._ordinals[tied])
            tied = tied[sorted(range(len(tied)), key=ids.__getitem__)[:room]]
        keep = np.concatenate([above, tied])
        self._scores, self._ordinals = self._scores[keep], self._ordinals[keep]

    def ranking(self) -> tuple[Ordinals, Scores, list[str]]:
        """Ordinals, scores and ids of what was kept: best score first, ties by document id."""
        order = np.argsort(-self._scores, kind="stable")
        scores, ordinals = self._scores[order], self._ordinals[order]
        ids = list(self._doc_ids(ordinals))
        if len(scores) > 1 and bool((scores[1:] == scores[:-1]).any()):
            by_id = sorted(range(len(ids)), key=lambda i: (-scores[i], ids[i]))
            scores, ordinals = scores[by_id], ordinals[by_id]
            ids = [ids[i] for i in by_id]
        return ordinals, scores, ids
