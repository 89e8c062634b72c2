"""Exact search: every document is scored for every query (paper, section 3.3, exhaustive)."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from hypencli.engine.scorers import Scorer
from hypencli.engine.topk import DocIds, TopK
from hypencli.errors import ModelError
from hypencli.records import Ranking

Block = tuple[int, npt.NDArray[np.generic]]
"""Position of the first document, and vectors ``[n, d]`` in float16 or float32."""

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
    by position in the corpus, so that a document's score, to the last bit, depends neither on the
    shards nor on the queries beside it. Memory: one block, ``CHUNK_ROWS`` scores a query, and k.

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
    started = time.perf_counter()
    staged = _staged(blocks, scorer.dim, block_rows, dtype, device or torch.device("cpu"))
    for first, scores in _chunks(staged, scorer, block_rows):
        scored = time.perf_counter()
        scoring += scored - started
        _refuse_non_finite(scores, first, doc_ids)
        for top, row in zip(kept, scores, strict=True):
            top.add(row, first)
        n_documents += scores.shape[1]
        if on_scored is not None:
            on_scored(scores.shape[1])
        started = time.perf_counter()
        selecting += started - scored
    scoring += time.perf_counter() - started
    started = time.perf_counter()
    rankings = []
    for top in kept:
        _, scores, ids = top.ranking()
        rankings.append(list(zip(ids, scores.tolist(), strict=True)))
    selecting += time.perf_counter() - started
    return ExactSearch(rankings, n_documents, scoring, selecting)


def _staged(
    blocks: Iterable[Block], dim: int, block_rows: int, dtype: torch.dtype, device: torch.device
) -> Iterator[tuple[torch.Tensor, int]]:
    """The corpus in blocks of ``block_rows``, the last one padded, and how many rows are real."""
    buffer = torch.zeros((block_rows, dim), dtype=torch.float32)
    rows: npt.NDArray[np.float32] = buffer.numpy()
    filled = 0
    for first, vectors in blocks:
        if vectors.shape[1] != dim:
            raise ModelError(
                f"The vectors from document {first} on are {vectors.shape[1]} wide; "
                f"the queries' scorer takes {dim}.",
                hint="Search the embeddings that were made with this model: hype ls embeddings",
            )
        taken = 0
        while taken < len(vectors):
            step = min(block_rows - filled, len(vectors) - taken)
            rows[filled : filled + step] = vectors[taken : taken + step]
            filled, taken = filled + step, taken + step
            if filled == block_rows:
                yield buffer.to(device=device, dtype=dtype), filled
                filled = 0
    if filled:
        rows[filled:] = 0.0
        yield buffer.to(device=device, dtype=dtype), filled


@torch.inference_mode()
def _score(scorer: Scorer, block: torch.Tensor) -> torch.Tensor:
    return scorer(block).to(device="cpu", dtype=torch.float32)


def _chunks(
    staged: Iterable[tuple[torch.Tensor, int]], scorer: Scorer, block_rows: int
) -> Iterator[tuple[int, npt.NDArray[np.float32]]]:
    """Scores ``[q, n]`` in pieces of ``CHUNK_ROWS`` documents, with the position of the first."""
    chunk_blocks = max(1, CHUNK_ROWS // block_rows)
    scores = np.empty((scorer.n_queries, chunk_blocks * block_rows), dtype=np.float32)
    first = filled = 0
    for block, real in staged:
        scores[:, filled : filled + real] = _score(scorer, block).numpy()[:, :real]
        filled += real
        if filled == scores.shape[1]:
            yield first, scores
            first, filled = first + filled, 0
    if filled:
        yield first, scores[:, :filled]


def _refuse_non_finite(scores: npt.NDArray[np.float32], first: int, doc_ids: DocIds) -> None:
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
