"""Examples to batches: texts padded to the longest of the batch, or cached states in their place.

Axes: ``q`` queries, ``i`` passages a query, ``r`` random negatives of the batch, ``t`` tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from hypencli.training.examples import Example
from hypencli.training.sampling import draw_random
from hypencli.training.tables import StateTable, TokenTable


@dataclass(frozen=True, slots=True)
class Collator:
    """Makes the keyword arguments of one training step.

    Passages are in the order ``[q * i + r]``: those of the first query, of the second, and so on,
    then the random negatives.

    Attributes:
        queries: Query tokens, or token states where the encoder is cached.
        passages: Passage tokens, or embeddings ``[n, d]`` where the encoder is cached.
        pool: Passages that random negatives are drawn from.
        random_negatives: How many for each batch.
        seed: Seed of the run.
    """

    queries: TokenTable | StateTable
    passages: TokenTable | Tensor
    pool: npt.NDArray[np.int64]
    random_negatives: int
    seed: int

    def __call__(self, examples: Sequence[Example]) -> dict[str, Tensor]:
        """One batch."""
        return {
            **self._query_inputs([example.query for example in examples]),
            **self._passage_inputs([i for example in examples for i in example.passages]),
            **self._random_inputs(examples),
            **_labels(examples),
        }

    def _query_inputs(self, queries: Sequence[int]) -> dict[str, Tensor]:
        name = "query_input_ids" if isinstance(self.queries, TokenTable) else "query_token_states"
        values, mask = self.queries.batch(queries)
        return {name: values, "query_attention_mask": mask}

    def _passage_inputs(
        self, passages: Sequence[int], prefix: str = "passage"
    ) -> dict[str, Tensor]:
        if isinstance(self.passages, Tensor):
            return {f"{prefix}_embeddings": self.passages[torch.tensor(passages)]}
        ids, mask = self.passages.batch(passages)
        return {f"{prefix}_input_ids": ids, f"{prefix}_attention_mask": mask}

    def _random_inputs(self, examples: Sequence[Example]) -> dict[str, Tensor]:
        if not self.random_negatives:
            return {}
        drawn = draw_random(
            self.pool,
            sorted({i for example in examples for i in example.relevant}),
            count=self.random_negatives,
            seed=self.seed,
            epoch=examples[0].epoch,
            row=examples[0].row,
        )
        return self._passage_inputs(drawn, prefix="random") if drawn else {}


def _labels(examples: Sequence[Example]) -> dict[str, Tensor]:
    scores = [example.scores for example in examples if example.scores is not None]
    return {"labels": torch.tensor(scores)} if scores else {}
