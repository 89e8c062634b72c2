"""Scoring of blocks on a device: all q-nets of a batch in one product a layer where they may be.

A block is scored in pieces of one fixed number of documents, the last one padded, so that shapes
repeat. If the device runs out of memory, vectors that stayed on it go first; then the pieces are
halved, and a message says so.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

import torch
from torch.nn import functional

from hypencli.engine.blocks import SET_ASIDE, SetsAside
from hypencli.engine.device.streaming import DeviceBlocks
from hypencli.engine.scorers import PassScorer, QNetScorer
from hypencli.errors import ModelError

_LOG = logging.getLogger(__name__)

_ACTIVATION_BYTES = 1 << 30
"""Bytes of the activations of one layer for which pieces are sized."""

_LEAST_ROWS, _MOST_ROWS = 256, 65_536
"""Fewest and most documents of a piece."""


class DeviceScorer:
    """A function from blocks of vectors ``[n, d]`` on a device to float32 scores ``[q, n]``.

    In float32 each q-net has products of its own, so a score does not depend on the other queries.
    In another dtype the q-nets of all queries share a batched product a layer: such scores only
    select what float32 scores again, or what the caller asked for.

    Args:
        scorer: Scores vectors for ``q`` queries.
        blocks: The blocks, with their device and options.
        dtype: Arithmetic of the scores.
        aside: Documents that get the score ``SET_ASIDE``; none by default.
    """

    def __init__(
        self,
        scorer: PassScorer,
        blocks: DeviceBlocks,
        dtype: torch.dtype,
        aside: SetsAside | None = None,
    ) -> None:
        self._blocks = blocks
        self._dtype = dtype
        self._aside = aside
        together = scorer.n_queries if dtype != torch.float32 else 1
        self.rows = min(
            blocks.options.rows or _rows(together, scorer.dim, dtype), blocks.block_rows
        )
        self._score: Callable[[torch.Tensor], torch.Tensor]
        self._score = _grouped(scorer, dtype) or scorer.prepared(dtype) or scorer
        if blocks.options.compile:
            self._score = torch.compile(self._score, dynamic=False)

    def __call__(self, block: torch.Tensor) -> torch.Tensor:
        """Return float32 scores ``[q, n]`` of vectors ``[n, d]`` of any float dtype."""
        scores: list[torch.Tensor] = []
        done = 0
        while done < len(block):
            piece = block[done : done + self.rows]
            try:
                scores.append(self._piece(piece))
            except torch.OutOfMemoryError as error:
                self._use_less(error)
                continue
            done += len(piece)
        return torch.cat(scores, dim=1)

    def _piece(self, piece: torch.Tensor) -> torch.Tensor:
        padded = functional.pad(piece, (0, 0, 0, self.rows - len(piece)))
        scores = self._score(padded.to(self._dtype))[:, : len(piece)].float()
        if self._aside is None:
            return scores
        return scores.masked_fill(self._aside(piece.float()), SET_ASIDE)

    def _use_less(self, error: torch.OutOfMemoryError) -> None:
        """Give memory back, or halve the pieces.

        Raises:
            ModelError: The pieces are as small as they may be.
        """
        if not self._blocks.release():
            if self.rows // 2 < _LEAST_ROWS:
                raise ModelError(
                    f"{self._blocks.device} has no memory to score {self.rows:,} documents.",
                    hint="Search fewer queries at once, or on the CPU.",
                ) from error
            self.rows //= 2
            _LOG.warning(
                "%s is out of memory: %s documents are scored at once from now on",
                self._blocks.device,
                f"{self.rows:,}",
            )
        if self._blocks.device.type == "cuda":
            torch.cuda.empty_cache()


def _grouped(scorer: PassScorer, dtype: torch.dtype) -> Callable[..., torch.Tensor] | None:
    """Return the function of all q-nets together; None in float32 and for other scorers."""
    if dtype == torch.float32 or not isinstance(scorer, QNetScorer):
        return None
    return scorer.grouped(dtype)


def _rows(n_queries: int, dim: int, dtype: torch.dtype) -> int:
    """Return the largest power of two of documents whose activations have the intended size."""
    rows = _ACTIVATION_BYTES // max(1, n_queries * dim * dtype.itemsize)
    return min(_MOST_ROWS, max(_LEAST_ROWS, 1 << max(0, rows.bit_length() - 1)))
