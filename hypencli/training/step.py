"""The forward pass of a training step: a batch in, each loss and their sum out.

Axes: ``q`` queries, ``i`` passages a query, ``r`` random negatives of the batch, ``t`` tokens,
``h`` width of a token state, ``d`` of an embedding.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from hypencli.errors import ModelError
from hypencli.models.dual import HypencoderDualEncoder, TextDualEncoder
from hypencli.models.losses import QueryBatch, make_losses
from hypencli.models.qnet import InnerProducts


@dataclass(frozen=True, slots=True)
class WithRandomNegatives:
    """Queries that score some more passages wherever a loss scores those of the whole batch.

    A loss over the passages of each query alone does not see them.

    Attributes:
        queries: The queries as they are.
        extra: Embeddings ``[r, d]`` of the random negatives.
    """

    queries: QueryBatch
    extra: Tensor

    @property
    def num_queries(self) -> int:
        """How many queries, ``q``."""
        return self.queries.num_queries

    def __call__(self, items: Tensor) -> Tensor:
        """Outputs ``[q, i, 1]`` for each query's own items ``[q, i, d]``."""
        return self.queries(items)

    def score(self, items: Tensor) -> Tensor:
        """Scores ``[q, n + r]`` of the items ``[n, d]``, then of the random negatives."""
        return self.queries.score(torch.cat([items, self.extra.to(items)]))


class TrainingStep(nn.Module):
    """What the Trainer trains: a dual encoder with its losses, without a config that it may edit.

    Args:
        dual: The dual encoder.

    Raises:
        ModelError: It has no loss.
    """

    def __init__(self, dual: HypencoderDualEncoder | TextDualEncoder) -> None:
        super().__init__()
        if not dual.settings.losses:
            raise ModelError("The model has no loss to train with.", hint="Add [[losses]].")
        self.dual = dual
        self._losses = make_losses(dual.settings.losses)
        self._names = _distinct([loss.name for loss in dual.settings.losses])

    @property
    def needs_labels(self) -> bool:
        """Whether a loss needs the scores of a teacher."""
        return any(loss.needs_labels for loss in self._losses)

    def forward(
        self,
        query_input_ids: Tensor | None = None,
        query_token_states: Tensor | None = None,
        query_attention_mask: Tensor | None = None,
        passage_input_ids: Tensor | None = None,
        passage_attention_mask: Tensor | None = None,
        passage_embeddings: Tensor | None = None,
        random_input_ids: Tensor | None = None,
        random_attention_mask: Tensor | None = None,
        random_embeddings: Tensor | None = None,
        labels: Tensor | None = None,
    ) -> dict[str, Tensor]:
        """``loss``, and each loss by its name where there are several.

        Args:
            query_input_ids: ``[q, t]``, or
            query_token_states: ``[q, t, h]`` of a cached encoder.
            query_attention_mask: ``[q, t]``.
            passage_input_ids: ``[q * i, t]``, those of the first query first, with
            passage_attention_mask: ``[q * i, t]``; or
            passage_embeddings: ``[q * i, d]`` of a cached encoder.
            random_input_ids: ``[r, t]``, with
            random_attention_mask: ``[r, t]``; or
            random_embeddings: ``[r, d]``.
            labels: A teacher's scores ``[q, i]``.
        """
        queries = self._queries(query_input_ids, query_attention_mask, query_token_states)
        passages = self._passages(passage_input_ids, passage_attention_mask, passage_embeddings)
        extra = self._passages(random_input_ids, random_attention_mask, random_embeddings)
        if passages is None:
            raise TypeError("A training step needs passages.")
        if extra is not None:
            queries = WithRandomNegatives(queries, extra)
        losses = {
            name: loss(queries, passages, labels).loss
            for name, loss in zip(self._names, self._losses, strict=True)
        }
        total = torch.stack(list(losses.values())).sum()
        return {"loss": total, **(losses if len(losses) > 1 else {})}

    def _queries(
        self, ids: Tensor | None, mask: Tensor | None, states: Tensor | None
    ) -> QueryBatch:
        output = self.dual.query_encoder(ids, mask, token_states=states)
        if isinstance(self.dual, HypencoderDualEncoder):
            q_nets: QueryBatch = output.representation
            return q_nets
        return InnerProducts(output.representation)

    def _passages(
        self, ids: Tensor | None, mask: Tensor | None, embeddings: Tensor | None
    ) -> Tensor | None:
        if embeddings is not None or ids is None:
            return embeddings
        vectors: Tensor = self.dual.passage_encoder(ids, mask).representation
        return vectors


def _distinct(names: Sequence[str]) -> list[str]:
    """The names, with a number after those that come again."""
    return [
        name if name not in names[:i] else f"{name}_{1 + list(names[:i]).count(name)}"
        for i, name in enumerate(names)
    ]
