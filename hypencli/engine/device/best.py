"""The best k documents of each query of a batch, kept on the device that scores."""

from __future__ import annotations

import numpy as np
import torch

from hypencli.engine.corpus import DocIds
from hypencli.engine.topk import TopK


class BestOnDevice:
    """All documents of ``q`` queries that may be among the best ``k``.

    The device keeps every document with at least the k-th best score, so ties are left for the host
    to break by document id. A device's own top-k breaks them in no fixed order.

    Args:
        n_queries: The number of queries, ``q``.
        k: The number of documents that each should get.
        device: The device of the scores.
    """

    def __init__(self, n_queries: int, k: int, device: torch.device) -> None:
        self._k = k
        self._best = torch.empty((n_queries, 0), device=device)
        """The best scores so far ``[q, <= k]``, in no order."""
        self._last = torch.full((n_queries,), -torch.inf, device=device)
        """The k-th best score ``[q]``; minus infinity while there are fewer."""
        self._query = torch.empty(0, dtype=torch.int64, device=device)
        self._ordinal = torch.empty(0, dtype=torch.int64, device=device)
        self._score = torch.empty(0, device=device)

    def add(self, scores: torch.Tensor, first: int) -> None:
        """Add float32 scores ``[q, n]`` of the documents from the ordinal ``first`` on."""
        both = torch.cat([self._best, scores], dim=1)
        most = min(self._k, both.shape[1])
        self._best = both.topk(most, dim=1, sorted=False).values  # [q, most]
        if most == self._k:
            self._last = self._best.amin(dim=1)
        kept = self._score >= self._last[self._query]  # of those kept so far
        query, column = torch.nonzero(scores >= self._last.unsqueeze(1), as_tuple=True)
        self._query = torch.cat([self._query[kept], query])
        self._ordinal = torch.cat([self._ordinal[kept], column + first])
        self._score = torch.cat([self._score[kept], scores[query, column]])

    def on_host(self, tie_ids: DocIds) -> list[TopK]:
        """Return the best ``k`` of each query; ``tie_ids`` gives the ids that break ties."""
        query, ordinals = self._query.cpu().numpy(), self._ordinal.cpu().numpy()
        scores = self._score.cpu().numpy()
        order = np.argsort(query, kind="stable")
        tops = [TopK(self._k, tie_ids) for _ in range(len(self._last))]
        ends = np.searchsorted(query[order], np.arange(1, len(tops)))
        for top, places in zip(tops, np.split(order, ends) if tops else [], strict=True):
            top.add_some(scores[places], ordinals[places])
        return tops
