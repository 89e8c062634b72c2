"""Exact search: every document is scored for every query (paper, section 3.3, exhaustive)."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import torch

from hypencli.engine.scorers import Scorer
from hypencli.engine.topk import DocIds, Scores, TopK
from hypencli.errors import ModelError
from hypencli.records import Ranking

Vectors: TypeAlias = npt.NDArray[np.generic]
Block: TypeAlias = tuple[int, Vectors]
"""Position of the first document, and vectors ``[n, d]`` in float16 or float32."""

Pieces: TypeAlias = list[Vectors]
"""Views that make up one block to score."""

ScoreAll: TypeAlias = Callable[[Callable[[Pieces], Scores], list[Pieces]], list[Scores]]

BLOCK_ROWS = 1024
"""Documents scored at once: a block and its activations stay in the cache of a CPU core."""

CHUNK_ROWS = 64 * BLOCK_ROWS
"""Documents between two selections of the best k."""


@dataclass(frozen=True, slots=True)
class ExactSearch:
    """What an exact search found.

    Attributes:
        rankings: One a query, best first.
        n_documents: How many documents were scored.
        scoring_seconds: Time in reading vectors and scoring.
        topk_seconds: Time in selecting and ordering the best k.
    """

    rankings: list[Ranking]
    n_documents: int
    scoring_seconds: float
    topk_seconds: float


def search_exact(
    scorer: Scorer,
    blocks: Iterable[Block],
    *,
    k: int,
    doc_ids: DocIds,
    device: torch.device | None = None,
    dtype: torch.dtype = torch.float32,
    block_rows: int = BLOCK_ROWS,
    on_scored: Callable[[int], None] | None = None,
) -> ExactSearch:
    """The ``k`` best documents of every query, by scoring all of them.

    Blocks are streamed and may be of any size: they are laid out again in blocks of ``block_rows``
    by position in the corpus, and each of these is scored by one thread, so that a document's
    score, to the last bit, depends neither on the shards nor on the queries beside it, nor on the
    number of threads. Memory: a block a thread, ``CHUNK_ROWS`` scores a query, and k.

    On a CPU the threads of torch score a block each, instead of sharing every matrix product:
    there is nothing to wait for inside a block. ``torch.get_num_threads()`` says how many; while
    the search runs, it is 1.

    Args:
        scorer: Scores blocks for ``q`` queries.
        blocks: The corpus in order, as ``(first ordinal, vectors [n, d])``.
        k: How many documents a query gets; fewer where the corpus is smaller.
        doc_ids: Ids of positions, asked for the ranking and where scores tie.
        device: Where to score; the CPU by default.
        dtype: Arithmetic of the scores.
        block_rows: Documents scored at once.
        on_scored: Called with the number of documents just scored.

    Raises:
        ModelError: A score is NaN or infinite, or the vectors have another width than the scorer.
    """
    if k < 1:
        raise ModelError(f"k is {k}; a search returns at least 1 document a query.")
    kept = [TopK(k, doc_ids) for _ in range(scorer.n_queries)]
    scoring, selecting, n_documents = 0.0, 0.0, 0
    block_scorer = _BlockScorer(scorer, block_rows, device or torch.device("cpu"), dtype)
    started = time.perf_counter()
    with _threads(block_scorer.device) as score_all:
        chunks = _batched(_block_pieces(blocks, scorer.dim, block_rows), CHUNK_ROWS // block_rows)
        for chunk in chunks:
            scores = np.concatenate(score_all(block_scorer, chunk), axis=1)
            scored = time.perf_counter()
            scoring += scored - started
            _refuse_non_finite(scores, n_documents, doc_ids)
            for top, row in zip(kept, scores, strict=True):
                top.add(row, n_documents)
            n_documents += scores.shape[1]
            if on_scored is not None:
                on_scored(scores.shape[1])
            started = time.perf_counter()
            selecting += started - scored
    scoring += time.perf_counter() - started
    started = time.perf_counter()
    rankings = []
    for top in kept:
        _, best, ids = top.ranking()
        rankings.append(list(zip(ids, best.tolist(), strict=True)))
    selecting += time.perf_counter() - started
    return ExactSearch(rankings, n_documents, scoring, selecting)


def _block_pieces(blocks: Iterable[Block], dim: int, block_rows: int) -> Iterator[Pieces]:
    """Views that together make ``block_rows`` documents each; the last has the rest."""
    pieces: list[Vectors] = []
    room = block_rows
    for first, vectors in blocks:
        if vectors.shape[1] != dim:
            raise ModelError(
                f"The vectors from document {first} on are {vectors.shape[1]} wide; "
                f"the queries' scorer takes {dim}.",
                hint="Search the embeddings that were made with this model: hype ls embeddings",
            )
        taken = 0
        while taken < len(vectors):
            piece = vectors[taken : taken + room]
            pieces.append(piece)
            taken += len(piece)
            room -= len(piece)
            if room == 0:
                yield pieces
                pieces, room = [], block_rows
    if pieces:
        yield pieces


class _BlockScorer:
    """Scores one block after another, each padded to the same shape, in a buffer of its thread."""

    def __init__(
        self, scorer: Scorer, block_rows: int, device: torch.device, dtype: torch.dtype
    ) -> None:
        self.device = device
        self._scorer = scorer
        self._shape = (block_rows, scorer.dim)
        self._dtype = dtype
        self._local = threading.local()

    @torch.inference_mode()
    def __call__(self, pieces: Pieces) -> Scores:
        """Scores ``[q, n]`` of the ``n`` documents of a block."""
        if not hasattr(self._local, "buffer"):
            self._local.buffer = torch.zeros(self._shape, dtype=torch.float32)
        buffer: torch.Tensor = self._local.buffer
        rows: npt.NDArray[np.float32] = buffer.numpy()
        filled = 0
        for piece in pieces:
            rows[filled : filled + len(piece)] = piece
            filled += len(piece)
        rows[filled:] = 0.0
        scores = self._scorer(buffer.to(device=self.device, dtype=self._dtype))
        found: Scores = scores.to(device="cpu", dtype=torch.float32).numpy()
        return found[:, :filled]


@contextmanager
def _threads(device: torch.device) -> Iterator[ScoreAll]:
    """How to score many blocks: on a CPU, as many at a time as torch has threads."""
    if device.type != "cpu":
        yield lambda score, blocks: [score(pieces) for pieces in blocks]
        return
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with ThreadPoolExecutor(threads) as pool:
            yield lambda score, blocks: list(pool.map(score, blocks))
    finally:
        torch.set_num_threads(threads)


def _batched(pieces: Iterator[Pieces], size: int) -> Iterator[list[Pieces]]:
    while batch := list(islice(pieces, max(1, size))):
        yield batch


def _refuse_non_finite(scores: Scores, first: int, doc_ids: DocIds) -> None:
    finite = np.isfinite(scores)
    if finite.all():
        return
    query, column = np.argwhere(~finite)[0]
    doc_id = doc_ids(np.array([first + column]))[0]
    raise ModelError(
        f"The score of document {doc_id!r} for query number {query + 1} of the batch is "
        f"{scores[query, column]}; a ranking needs finite scores.",
        hint="Check the model's weights, or score in another dtype: --dtype float32",
    )
