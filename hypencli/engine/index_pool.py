"""Documents that a vector index finds for a surrogate, and how many such documents it misses.

An index finds large inner products. A linear surrogate is one vector; a curved one is asked for by
the tangents at some of its best documents, and what is found is ranked by the surrogate itself.
That a surrogate is itself a query of an inner-product search is the idea of AXN (arXiv 2405.03651)
and LEMUR (arXiv 2601.21853); a cheap index that leads a dear scorer is that of bi-metric search
(arXiv 2406.02891).

An index misses documents, and the tangents do. The misses are counted: of the random documents of
the sample whose expected score is as high as that of the pool, some are not in it. Their share
bounds how many documents of the corpus are missed in the same way. It is taken in bands of expected
score, each of which has half of the documents below its upper end: near the lower end of the pool
more is missed than among the best. Within a band, all documents are taken to be missed alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import torch

from hypencli.engine.corpus import Ordinals, Scores
from hypencli.engine.recall_bound import missed_share
from hypencli.engine.vector_index.index import VectorIndex
from hypencli.engine.workers import Workers

Odds: TypeAlias = npt.NDArray[np.float64]

_BAND = 400
"""The least number of documents of the sample in a band."""

FIRST_RECALL, RECALL = 0.95, 0.99
"""The recall, as measured with the index, that decides how much of it is read: for the first
surrogate, and for those that are fitted to scores."""


@dataclass(frozen=True)
class CandidatePool:
    """Documents that a surrogate ranks high, out of which the scorer's documents are chosen.

    Attributes:
        ordinals: The documents ``[m]``, rising.
        within: For each document of the sample, whether its expected score is as high as those of
            the pool, so that it should be in the pool: ``[s]``.
        missed: For each document of the pool, a bound on the number of documents that should be
            in the pool beside it, but are not: ``[m]``; None for a pass over the corpus, which
            misses none.
    """

    ordinals: Ordinals
    within: npt.NDArray[np.bool_]
    missed: npt.NDArray[np.float64] | None = None

    @classmethod
    def of_index(
        cls,
        found: tuple[Ordinals, Scores],
        sample: tuple[Ordinals, Scores],
        size: int,
    ) -> CandidatePool:
        """Make a pool of what an index has found, and of what the sample shows that it missed.

        Args:
            found: Documents ``[m]``, rising, and the scores ``[m]`` that are expected of them.
            sample: The documents of the sample, rising, and what is expected of them, ``[s]``.
            size: The number of documents that are kept.
        """
        ordinals, expected = found
        size = min(size, len(ordinals))
        least = np.partition(expected, len(expected) - size)[-size] if size else np.inf
        within = sample[1] >= least
        kept = expected >= least
        ordinals, expected = ordinals[kept], expected[kept]
        should = sample[0][within]
        lost = np.isin(should, ordinals, invert=True)
        odds = _odds(sample[1][within], lost, expected)
        ordinals = np.concatenate([ordinals, should[lost]])
        odds = np.concatenate([odds, _odds(sample[1][within], lost, sample[1][within][lost])])
        order = np.argsort(ordinals, kind="stable")
        return cls(ordinals[order], within, odds[order])


def _odds(of_sample: Scores, lost: npt.NDArray[np.bool_], expected: Scores) -> Odds:
    """Return how many documents are missed for each that is found, by its expected score ``[m]``.

    Args:
        of_sample: What is expected of the documents of the sample that should be found, ``[s]``.
        lost: Whether they were not, ``[s]``.
        expected: What is expected of the documents, ``[m]``.
    """
    order = np.argsort(-of_sample, kind="stable")
    falling, lost = of_sample[order], lost[order]
    odds: Odds = np.zeros(len(expected))
    stop = len(falling)
    while True:
        start = stop // 2 if stop >= 2 * _BAND else 0
        share = missed_share(int(lost[start:stop].sum()), stop - start)
        of_band = expected >= falling[stop - 1] if stop < len(falling) else slice(None)
        odds[of_band] = share / (1 - share) if share < 1 else np.inf
        if not start:
            return odds
        stop = start


@dataclass(frozen=True)
class Found:
    """The documents that an index finds for several vectors of a query.

    Attributes:
        ordinals: The documents ``[m]``, rising.
        least: The least inner product that was found with each vector, ``[t]``.
    """

    ordinals: Ordinals
    least: Scores

    def should_hold(self, products: Scores) -> npt.NDArray[np.bool_]:
        """Return whether documents would be found if the index missed none.

        Args:
            products: Inner products ``[t, m]`` of the vectors with documents.
        """
        return (products >= self.least[:, None]).any(axis=0)


def search_index(
    index: VectorIndex,
    queries: Sequence[torch.Tensor],
    sizes: Sequence[int],
    efforts: Sequence[int],
    threads: Workers,
) -> list[Found]:
    """Return the documents that an index finds for any of several vectors a query.

    Args:
        index: The index.
        queries: For each query, vectors ``[t, d]``.
        sizes: For each query, the number of documents for each of its vectors.
        efforts: For each query, how many times as much to read as the index reads by default.
        threads: The threads, each of which searches with one vector.
    """
    tasks = [
        (row[None], min(size, index.n), effort)
        for vectors, size, effort in zip(queries, sizes, efforts, strict=True)
        for row in vectors.numpy()
    ]
    found = threads.map(partial(_found, index), tasks)
    results, first = [], 0
    for vectors in queries:
        own = found[first : first + len(vectors)]
        ordinals = np.unique(np.concatenate([each for each, _ in own]))
        least = np.array([scores.min(initial=np.inf) for _, scores in own], dtype=np.float32)
        results.append(Found(ordinals, least))
        first += len(vectors)
    return results


def _found(
    index: VectorIndex, task: tuple[npt.NDArray[np.float32], int, int]
) -> tuple[Ordinals, Scores]:
    ordinals, scores = index.search(*task)
    valid = ordinals[0] >= 0
    return ordinals[0][valid], scores[0][valid]
