"""What a first pass says of a sample of documents."""

from __future__ import annotations

import numpy as np

from hypencli.engine.blocks import SET_ASIDE
from hypencli.engine.corpus import Ordinals, Scores


class FirstPassSample:
    """A sample of documents whose scores in the first pass are all kept.

    Attributes:
        ordinals: Their ordinals ``[m]``, rising.
        scores: Their scores ``[q, m]``.
        aside: Ordinals ``[a]`` of the documents of the corpus that were set aside, rising.
    """

    def __init__(self, ordinals: Ordinals, n_queries: int) -> None:
        self.ordinals = ordinals
        self.scores: Scores = np.zeros((n_queries, len(ordinals)), dtype=np.float32)
        self.aside: Ordinals = np.empty(0, dtype=np.int64)

    def watch(self, scores: Scores, first: int) -> None:
        """Record scores ``[q, n]`` of the sampled documents among those from ``first`` on.

        Documents that were set aside are recorded too.
        """
        start, stop = np.searchsorted(self.ordinals, [first, first + scores.shape[1]])
        self.scores[:, start:stop] = scores[:, self.ordinals[start:stop] - first]
        aside = np.flatnonzero(scores[0] == SET_ASIDE) + first
        self.aside = np.concatenate([self.aside, aside])
