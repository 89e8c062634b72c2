"""A plain search over a neighbour graph in the published way, to measure against.

What it does is described by the published code's behaviour: one tensor of all vectors,
dictionaries from ids to places and to lists of neighbours' ids, one query at a time. A step scores
its candidates in one call of the q-net and goes through the best of them one by one: a full
priority queue gives up its worst document and takes back the better of the two, and neighbours that
were never listed are the candidates of the next step.

Where the published way costs more, the loop here has the cheaper one: the candidates of a step are
not copied, the scores of the best become Python numbers at once, and no texts are kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from queue import PriorityQueue
from typing import Any

import numpy as np
import torch


@dataclass(frozen=True, slots=True)
class PlainFound:
    """Ids and scores, best first, and how many documents were scored."""

    ranking: list[tuple[str, float]]
    evaluations: int


class PlainGraphSearch:
    """Documents ``[n, d]`` and their neighbours ``[n, m]``, nearest first, as Python objects."""

    def __init__(self, ids: Sequence[str], vectors: np.ndarray, neighbours: np.ndarray) -> None:
        self.ids = list(ids)
        self.vectors = torch.from_numpy(vectors.astype(np.float32))
        self.place = {doc_id: place for place, doc_id in enumerate(self.ids)}
        self.neighbours = {
            doc_id: [self.ids[near] for near in row.tolist() if near >= 0]
            for doc_id, row in zip(self.ids, neighbours, strict=True)
        }

    @torch.no_grad()
    def search(
        self,
        q_net: Any,
        entry_points: Sequence[int],
        *,
        k: int,
        candidates: int,
        max_iterations: int,
        early_stop: bool = True,
    ) -> PlainFound:
        """The ``k`` best documents that the walk of one query comes by."""
        queue: PriorityQueue[tuple[float, str]] = PriorityQueue(maxsize=k)
        listed = [self.ids[place] for place in entry_points]
        explored = set(listed)
        evaluations = 0
        for _ in range(max_iterations):
            if not listed:
                break
            scored = self.vectors[[self.place[doc_id] for doc_id in listed]]
            scores = q_net(scored.unsqueeze(0))[0, :, 0]
            evaluations += len(listed)
            values, places = torch.topk(scores, min(max(candidates, k), len(listed)))
            step, listed, added = listed, [], 0
            for rank, (score, place) in enumerate(
                zip(values.tolist(), places.tolist(), strict=True)
            ):
                doc_id = step[place]
                added += self._offer(queue, score, doc_id)
                if rank < candidates:
                    for neighbour in self.neighbours[doc_id]:
                        if neighbour not in explored:
                            explored.add(neighbour)
                            listed.append(neighbour)
            if early_stop and added == 0:
                break
        return PlainFound(self._ranking(queue), evaluations)

    @staticmethod
    def _offer(queue: PriorityQueue[tuple[float, str]], score: float, doc_id: str) -> bool:
        """Put a document into the queue, if it is better than the worst of a full one."""
        if not queue.full():
            queue.put((score, doc_id))
            return True
        worst = queue.get()
        better = score > worst[0]
        queue.put((score, doc_id) if better else worst)
        return better

    @staticmethod
    def _ranking(queue: PriorityQueue[tuple[float, str]]) -> list[tuple[str, float]]:
        collected = []
        while not queue.empty():
            score, doc_id = queue.get()
            collected.append((doc_id, score))
        return collected[::-1]
