"""Scoring of blocks of documents, in buffers that fit into the cache of a CPU core."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from typing import TypeAlias

import numpy as np
import torch

from hypencli.engine.corpus import Block, DocIds, Scores, Vectors
from hypencli.engine.scorers import PassScorer
from hypencli.errors import ModelError

BLOCK_ROWS = 1024
"""The largest number of documents scored at once."""

_BLOCK_BYTES, _ROWS = 768 * 1024, (256, 512)
_BLOCK_BYTES_INT8, _ROWS_INT8 = 512 * 1024, (512, 1024)
"""Bytes of the vectors of a block; rows of a block of wide vectors, and of narrow ones."""


def block_rows(dim: int, dtype: torch.dtype, device: torch.device) -> int:
    """Return how many documents to score at once.

    On a CPU, a block is so small that its activations stay in the cache of a core, and that the
    allocator keeps its memory. The memory of larger blocks went back to the system after every
    layer, and allocating it again took up to a tenth of the time (``docs/performance-log.md``).
    """
    if device.type != "cpu":
        return BLOCK_ROWS
    free_bytes, (least, most) = (
        (_BLOCK_BYTES_INT8, _ROWS_INT8) if dtype == torch.int8 else (_BLOCK_BYTES, _ROWS)
    )
    return least if most * max(1, dim) * dtype.itemsize > free_bytes else most


Pieces: TypeAlias = list[Vectors]
"""Views that make up one block to score."""

SetsAside: TypeAlias = Callable[[torch.Tensor], torch.Tensor]
"""A function from float32 vectors ``[n, d]`` to booleans ``[n]``: which of them are set aside."""

SET_ASIDE = float(np.finfo(np.float32).min)
"""The score of a document that was set aside: it ranks last."""


class BlockScorer:
    """A function that scores one block at a time, in a buffer of the calling thread.

    Args:
        device: The device that scores.
        dtype: Arithmetic of the scores.
        rows: The largest number of documents of a block.
        aside: Documents that get the score ``SET_ASIDE``; none by default.
    """

    def __init__(
        self,
        *,
        device: torch.device,
        dtype: torch.dtype,
        dim: int,
        rows: int = BLOCK_ROWS,
        aside: SetsAside | None = None,
    ) -> None:
        self.device = device
        self.rows = rows
        self._shape = (rows, dim)
        self._dtype = dtype
        self._aside = aside
        self._local = threading.local()

    @torch.inference_mode()
    def __call__(
        self, scorer: PassScorer, pieces: Pieces, *, multiple: int | None = None
    ) -> Scores:
        """Return the scores ``[q, n]`` of the ``n`` documents of a block.

        Args:
            scorer: The scorer, for vectors of this object's dtype.
            pieces: Views ``[m, d]`` that make up the block, one after another.
            multiple: The block is padded with zeros to a multiple of this number of rows; by
                default, to a full block. A matrix product of few rows adds up in another order,
                so without padding a score would depend on the other documents of the block.
        """
        buffer = self._buffer("rows", torch.float32)
        filled = 0
        for piece in pieces:
            self._fill(buffer[filled : filled + len(piece)], piece)
            filled += len(piece)
        padded = min(self.rows, filled + -filled % (multiple or self.rows))
        buffer[filled:padded] = 0.0
        scores = scorer(buffer[:padded].to(device=self.device, dtype=self._dtype))
        result: Scores = scores.to(device="cpu", dtype=torch.float32).numpy()[:, :filled]
        if self._aside is None:
            return result
        aside = self._aside(buffer[:filled]).numpy()
        return np.where(aside, np.float32(SET_ASIDE), result) if aside.any() else result

    def _fill(self, rows: torch.Tensor, piece: Vectors) -> None:
        """Copy vectors ``[n, d]`` into float32 rows ``[n, d]``."""
        if piece.dtype == np.float32:
            rows.numpy()[:] = piece
            return
        # Copy the bytes first: torch converts five times as fast as NumPy, but it needs aligned
        # numbers, which a memory map does not guarantee.
        halves = self._buffer("halves", torch.float16)[: len(piece)]
        halves.numpy().view(np.uint8)[:] = piece.view(np.uint8)
        rows.copy_(halves)

    def _buffer(self, name: str, dtype: torch.dtype) -> torch.Tensor:
        """Return a buffer of the calling thread; it is allocated on first use."""
        if not hasattr(self._local, name):
            setattr(self._local, name, torch.zeros(self._shape, dtype=dtype))
        buffer: torch.Tensor = getattr(self._local, name)
        return buffer


def refuse_width(width: int, dim: int, first: int) -> None:
    """Raise an error unless the vectors from document ``first`` on are ``dim`` wide.

    Raises:
        ModelError: They have another width.
    """
    if width != dim:
        raise ModelError(
            f"The vectors from document {first} on are {width} wide; "
            f"the queries' scorer takes {dim}.",
            hint="Search the embeddings that were made with this model: hype ls embeddings",
        )


def block_pieces(blocks: Iterable[Block], dim: int, rows: int) -> Iterator[Pieces]:
    """Yield lists of views that hold ``rows`` documents each; the last holds the rest.

    Raises:
        ModelError: The vectors are not ``dim`` wide.
    """
    pieces: list[Vectors] = []
    free_rows = rows
    for first, vectors in blocks:
        refuse_width(vectors.shape[1], dim, first)
        taken = 0
        while taken < len(vectors):
            piece = vectors[taken : taken + free_rows]
            pieces.append(piece)
            taken += len(piece)
            free_rows -= len(piece)
            if free_rows == 0:
                yield pieces
                pieces, free_rows = [], rows
    if pieces:
        yield pieces


def refuse_non_finite(scores: Scores, first: int, doc_ids: DocIds) -> None:
    """Raise an error unless all scores ``[q, n]`` of the documents from ``first`` on are finite.

    Raises:
        ModelError: A score is NaN or infinite; the error names the document and the query.
    """
    finite = np.isfinite(scores)
    if finite.all():
        return
    query, column = np.argwhere(~finite)[0]
    raise non_finite(doc_ids(np.array([first + column]))[0], int(query), scores[query, column])


def non_finite(doc_id: str, query: int, score: float) -> ModelError:
    """Return the error for a score that is not finite and so cannot be ranked."""
    return ModelError(
        f"The score of document {doc_id!r} for query number {query + 1} of the batch is "
        f"{score}; a ranking needs finite scores.",
        hint="Check the model's weights, or score in float32.",
    )
