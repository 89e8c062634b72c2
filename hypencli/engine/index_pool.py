"""Documents that a vector index finds for a surrogate, and how many such documents it misses.

An index finds large inner products. A linear surrogate is one vector; a curved one is asked for by
the tangents at some of its best documents, and what is found is ranked by the surrogate itself.
That a surrogate is itself a query of an inner-product search is the idea of AXN (arXiv 2405.03651)
and LEMUR (arXiv 2601.21853); a cheap index that leads a dear scorer is that of bi-metric search
(arXiv 2406.02891).

An index misses documents, and the tangents do. The misses are counted: of the random documents of
the sample whose expected score is as high as that of the pool, some are not in it. Their share
bounds how many documents of the corpus are missed in the same way.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt
import torch

from hypencli.engine.corpus import Ordinals, Scores
from hypencli.engine.recall_bound import missed_share
from hypencli.engine.vector_index.index import VectorIndex
from hypencli.engine.workers import Workers

RECALL = 0.99
"""The recall, as measured with the index, that decides how much of it is read at first."""


@dataclass(frozen=True)
class Pool:
    """Documents that a surrogate ranks high, out of which the scorer's documents are chosen.

    Attributes:
        ordinals: The documents ``[m]``, rising.
        within: For each document of the sample, whether its expected score is as high as those of
            the pool, so that it should be in the pool: ``[s]``.
        missed: A bound on the number of documents that should be in the pool, but are not, for
            each that is; 0 for a pass over the corpus.
    """

    ordinals: Ordinals
    within: npt.NDArray[np.bool_]
    missed: float = 0.0

    @classmethod
    def of_index(
        cls,
        found: tuple[Ordinals, Scores],
        sample: tuple[Ordinals, Scores],
        size: int,
    ) -> Pool:
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
        ordinals = ordinals[expected >= least]
        should = sample[0][within]
        missed = should[np.isin(should, ordinals, invert=True)]
        share = missed_share(len(missed), len(should))
        odds = share / (1 - share) if share < 1 else np.inf
        return cls(np.union1d(ordinals, missed), within, float(odds))


def search_index(
    index: VectorIndex,
    queries: Sequence[torch.Tensor],
    sizes: Sequence[int],
    efforts: Sequence[int],
    threads: Workers,
) -> list[Ordinals]:
    """Return the documents that an index finds for any of several vectors a query, rising.

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
        each = np.concatenate(found[first : first + len(vectors)])
        results.append(np.unique(each[each >= 0]))
        first += len(vectors)
    return results


def _found(index: VectorIndex, task: tuple[npt.NDArray[np.float32], int, int]) -> Ordinals:
    return index.search(*task)[0][0]
