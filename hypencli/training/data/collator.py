"""Collation of examples into batches, with texts in chunks of similar length or cached states.

Axes: ``q`` queries, ``i`` passages a query, ``r`` random negatives of the batch, ``t`` tokens,
``h`` width of a token state, ``d`` of an embedding.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import torch

from hypencli.training.data.examples import Example
from hypencli.training.data.sampling import draw_random
from hypencli.training.data.token_tables import TokenStateStore, TokenTable, cut_by_length

Side: TypeAlias = dict[str, Any]
"""The texts of a batch in one of three forms: ``chunks`` of ids and masks ``[n, t]``, with the
``order`` that restores the order of the batch; ``states [n, t, h]`` with their ``mask``; or
``embeddings [n, d]``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Collator:
    """A function from examples to the keyword arguments of one training step.

    Passages have the order ``[q * i + r]``: those of the first query, those of the second, and so
    on, then the random negatives.

    Deviation: the published code pads all passages of a batch to the longest; here they are in
    chunks of similar length, which the encoder reads one by one.

    Attributes:
        queries: Query tokens, or token states if the encoder is cached.
        passages: Passage tokens, or embeddings ``[n, d]`` if the encoder is cached.
        pool: Passages from which random negatives are drawn.
        random_negatives: Number of random negatives of each batch.
        seed: Seed of the run.
        token_budget: Most tokens of a chunk, with padding.
        chunk_size: Most texts of a chunk; None means that only the budget counts.
    """

    queries: TokenTable | TokenStateStore
    passages: TokenTable | npt.NDArray[np.float32]
    pool: npt.NDArray[np.int64]
    random_negatives: int
    seed: int
    token_budget: int
    chunk_size: int | None = None

    def __call__(self, examples: Sequence[Example]) -> dict[str, Any]:
        """Return one batch."""
        batch: dict[str, Any] = {
            "queries": self._query_side([example.query for example in examples]),
            "passages": self._passage_side([i for each in examples for i in each.passages]),
        }
        drawn = self._draw_random(examples)
        if drawn:
            batch["random"] = self._passage_side(drawn)
        scores = [example.scores for example in examples if example.scores is not None]
        if scores:
            batch["labels"] = torch.tensor(scores)
        return batch

    def _query_side(self, queries: Sequence[int]) -> Side:
        if isinstance(self.queries, TokenTable):
            return self._chunks(self.queries, queries)
        states, mask = self.queries.batch(queries)
        return {"states": states, "mask": mask}

    def _passage_side(self, passages: Sequence[int]) -> Side:
        if isinstance(self.passages, TokenTable):
            return self._chunks(self.passages, passages)
        vectors: npt.NDArray[np.float32] = self.passages[list(passages)]
        return {"embeddings": torch.from_numpy(np.asarray(vectors))}

    def _chunks(self, table: TokenTable, texts: Sequence[int]) -> Side:
        lengths = [len(table[i]) for i in texts]
        chunks = list(
            cut_by_length(lengths, token_budget=self.token_budget, most_texts=self.chunk_size)
        )
        if len(chunks) == 1:
            return {"chunks": [table.batch(texts)]}
        order = torch.empty(len(texts), dtype=torch.long)
        order[torch.tensor([i for chunk in chunks for i in chunk])] = torch.arange(len(texts))
        return {
            "chunks": [table.batch([texts[i] for i in chunk]) for chunk in chunks],
            "order": order,
        }

    def _draw_random(self, examples: Sequence[Example]) -> list[int]:
        if not self.random_negatives:
            return []
        return draw_random(
            self.pool,
            sorted({i for example in examples for i in example.relevant}),
            count=self.random_negatives,
            seed=self.seed,
            epoch=examples[0].epoch,
            row=examples[0].row,
        )
