"""Exact search: every document is scored for every query (paper, section 3.3, exhaustive).

1. The corpus is read in order and cut into blocks of a fixed number of documents, independent of
   its shards (``block_pieces``).
2. The threads get the blocks of ``CHUNK_ROWS`` documents at a time. Each thread scores a whole
   block for all queries (``BlockScorer``), with a scorer that is prepared once.
3. A score that is not finite ends the search with an error that names the document.
4. Each query keeps its best ``k`` (``TopK``); ties are broken by document id.
5. After the last block the rankings are sorted.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import islice
from typing import TypeAlias

import numpy as np
import torch

from hypencli.engine.blocks import (
    BLOCK_ROWS,
    BlockScorer,
    Pieces,
    SetsAside,
    block_pieces,
    block_rows,
    refuse_non_finite,
)
from hypencli.engine.corpus import Block, DocIds, Scores, SearchCorpus
from hypencli.engine.device.corpus_pass import DevicePass
from hypencli.engine.device.streaming import DeviceBlocks, on_device
from hypencli.engine.results import OnScored, SearchResult, counts, refuse_k
from hypencli.engine.scorers import PassScorer, Scorer
from hypencli.engine.seconds import SearchSeconds
from hypencli.engine.topk import TopK
from hypencli.engine.workers import Workers, workers

CHUNK_ROWS = 64 * BLOCK_ROWS
"""How many documents are scored between two selections of the best k."""

Watch: TypeAlias = Callable[[Scores, int], None]
"""A function that gets the scores ``[q, n]`` of the documents from an ordinal on."""


class ExactEngine:
    """Exact search: every document of the corpus is scored.

    Scores are bit-equal for every sharding, every set of other queries and every number of threads.
    Memory: one block a thread, and ``CHUNK_ROWS`` + ``k`` scores a query.

    On a CPU each thread scores its own block, instead of sharing every matrix product, so no thread
    waits for another inside a block. ``torch.get_num_threads()`` sets the number of threads; during
    the search it is 1.

    Args:
        corpus: The documents; their blocks may be of any size.
        device: The device that scores; the CPU by default.
        dtype: Arithmetic of the scores.
        rows: Documents scored at once; by default, a number for the width, dtype and device.

    Examples:
        >>> import numpy as np
        >>> from hypencli.engine.corpus import VectorCorpus
        >>> from hypencli.engine.scorers import InnerProductScorer
        >>> corpus = VectorCorpus(np.eye(3, dtype=np.float32), ids=["a", "b", "c"])
        >>> queries = InnerProductScorer(torch.tensor([[1.0, 3.0, 2.0]]))
        >>> ExactEngine(corpus).search(queries, k=2).rankings
        [[('b', 3.0), ('c', 2.0)]]
    """

    def __init__(
        self,
        corpus: SearchCorpus,
        *,
        device: torch.device | None = None,
        dtype: torch.dtype = torch.float32,
        rows: int | None = None,
    ) -> None:
        self._device = device or torch.device("cpu")
        self._corpus = on_device(corpus, self._device)
        self._dtype = dtype
        self._rows = rows

    def search(self, scorer: Scorer, *, k: int, on_scored: OnScored | None = None) -> SearchResult:
        """Return the ``k`` best documents of every query; fewer if the corpus is smaller.

        Raises:
            ModelError: A score is NaN or infinite, the width of the vectors differs from that of
                the scorer, or ``k`` is below 1.
        """
        refuse_k(k)
        with workers(self._device) as threads:
            corpus_pass = CorpusPass(
                threads,
                doc_ids=self._corpus.ids,
                device=self._device,
                dtype=self._dtype,
                rows=self._rows,
            )
            kept, seconds = corpus_pass(scorer, self._corpus.blocks(), k=k, on_scored=on_scored)
        started = time.perf_counter()
        rankings = [top.ranking() for top in kept]
        return SearchResult(
            rankings=rankings,
            evaluations=counts([corpus_pass.n_documents] * scorer.n_queries),
            iterations=counts([1] * scorer.n_queries),
            seconds=seconds.plus(topk=time.perf_counter() - started),
        )


class CorpusPass:
    """A pass over a corpus that keeps the best documents of every query.

    Args:
        threads: The threads that score.
        doc_ids: Returns the id of a document whose score is not finite, for the error.
        tie_ids: Returns the ids that break ties; ``doc_ids`` by default.
        device: The device that scores; the CPU by default.
        dtype: Arithmetic of the scores.
        rows: Documents scored at once; by default, a number for the width, dtype and device.

    Attributes:
        n_documents: The number of documents that the last pass scored.
    """

    def __init__(
        self,
        threads: Workers,
        *,
        doc_ids: DocIds,
        tie_ids: DocIds | None = None,
        device: torch.device | None = None,
        dtype: torch.dtype = torch.float32,
        rows: int | None = None,
    ) -> None:
        self._threads = threads
        self._doc_ids = doc_ids
        self._tie_ids = tie_ids or doc_ids
        self._device = device or torch.device("cpu")
        self._dtype = dtype
        self._rows = rows
        self.n_documents = 0

    def __call__(
        self,
        scorer: PassScorer,
        blocks: Iterable[Block],
        *,
        k: int,
        on_scored: OnScored | None = None,
        watch: Watch | None = None,
        aside: SetsAside | None = None,
    ) -> tuple[list[TopK], SearchSeconds]:
        """Return the best ``k`` documents of each query, and the time that each part took.

        Args:
            scorer: Scores blocks for ``q`` queries.
            blocks: The corpus in order.
            k: The number of documents kept for a query.
            on_scored: Called with the number of scores just computed.
            watch: Called with the scores ``[q, n]`` and the ordinal of the first document.
            aside: Documents that get the score ``SET_ASIDE`` from all queries; none by default.
        """
        if isinstance(blocks, DeviceBlocks):
            search = DevicePass(
                self._doc_ids, self._tie_ids, self._dtype, k, on_scored, watch, aside
            )
            kept, seconds, self.n_documents = search(scorer, blocks)
            return kept, seconds
        kept = [TopK(k, self._tie_ids) for _ in range(scorer.n_queries)]
        seconds, first = SearchSeconds(), 0
        rows = self._rows or block_rows(scorer.dim, self._dtype, self._device)
        score = BlockScorer(
            device=self._device, dtype=self._dtype, dim=scorer.dim, rows=rows, aside=aside
        )
        started = time.perf_counter()
        prepared = scorer.prepared(self._dtype, threads=self._threads) or scorer
        for chunk in _batched(block_pieces(blocks, scorer.dim, rows), CHUNK_ROWS // rows):
            scores = np.concatenate(self._threads.map(partial(score, prepared), chunk), axis=1)
            scored = time.perf_counter()
            refuse_non_finite(scores, first, self._doc_ids)
            for top, row in zip(kept, scores, strict=True):
                top.add(row, first)
            if watch is not None:
                watch(scores, first)
            first += scores.shape[1]
            if on_scored is not None:
                on_scored(scores.size)
            seconds = seconds.plus(scoring=scored - started, topk=time.perf_counter() - scored)
            started = time.perf_counter()
        self.n_documents = first
        return kept, seconds.plus(scoring=time.perf_counter() - started)


def _batched(pieces: Iterator[Pieces], size: int) -> Iterator[list[Pieces]]:
    while batch := list(islice(pieces, max(1, size))):
        yield batch
