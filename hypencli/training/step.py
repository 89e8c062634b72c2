"""The forward pass of a training step: a batch in, each loss and their sum out.

Axes: ``q`` queries, ``i`` passages a query, ``r`` random negatives of the batch, ``t`` tokens,
``h`` width of a token state, ``d`` of an embedding.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from hypencli.errors import ModelError
from hypencli.models.dual import HypencoderDualEncoder, TextDualEncoder
from hypencli.models.losses import (
    EmbeddedQueries,
    QueryBatch,
    make_losses,
)
from hypencli.models.qnets.batch import InnerProducts, QNetBatch
from hypencli.training.config import Stage
from hypencli.training.process.distributed import n_processes, of_other_processes


@dataclass(frozen=True)
class ExtraNegatives:
    """Queries that score more than their batch holds, wherever a loss scores the whole batch.

    A loss over the passages of each query alone sees nothing of it.

    Attributes:
        queries: The queries as they are.
    """

    queries: QueryBatch

    @property
    def num_queries(self) -> int:
        """How many queries, ``q``."""
        return self.queries.num_queries

    @property
    def embedded(self) -> QueryBatch | None:
        """The same with the queries' embeddings, where the model makes them."""
        own = self.queries.embedded if isinstance(self.queries, EmbeddedQueries) else None
        return None if own is None else replace(self, queries=own)

    def __call__(self, items: Tensor) -> Tensor:
        """Outputs ``[q, i, 1]`` for each query's own items ``[q, i, d]``."""
        return self.queries(items)

    def score(self, items: Tensor) -> Tensor:
        """Scores of the items ``[n, d]``, which come first, and of the others."""
        return self.queries.score(torch.cat([items, self._others(items)]))

    def _others(self, items: Tensor) -> Tensor:
        raise NotImplementedError


@dataclass(frozen=True)
class WithRandomNegatives(ExtraNegatives):
    """Queries that score random negatives too.

    Attributes:
        extra: Embeddings ``[r, d]`` of them.
    """

    extra: Tensor

    def _others(self, items: Tensor) -> Tensor:
        return self.extra.to(items)


@dataclass(frozen=True)
class AcrossProcesses(ExtraNegatives):
    """Queries that score the batches of all other processes too; q-nets stay where they are."""

    def _others(self, items: Tensor) -> Tensor:
        return of_other_processes(items)


class TrainingStep(nn.Module):
    """What the Trainer trains: a dual encoder with its losses, without a config that it may edit.

    A q-net with nested widths is trained at each of them: a loss is then the mean over the widths.

    Args:
        dual: The dual encoder.
        stages: When each loss counts; none given: always.
        recompute: Keep no activations of a chunk of texts: they are computed again when needed.
        across_processes: Whether in-batch losses count the passages of all processes.

    Attributes:
        number: Number of the optimiser step, from 0, which the stages go by.

    Raises:
        ModelError: It has no loss.
    """

    def __init__(
        self,
        dual: HypencoderDualEncoder | TextDualEncoder,
        *,
        stages: Sequence[Stage] = (),
        recompute: bool = False,
        across_processes: bool = False,
    ) -> None:
        super().__init__()
        if not dual.settings.losses:
            raise ModelError("The model has no loss to train with.", hint="Add [[losses]].")
        self.dual = dual
        self.number = 0
        self._losses = make_losses(dual.settings.losses)
        self._names = _distinct([loss.name for loss in dual.settings.losses])
        self._stages = tuple(stages) or (Stage(),) * len(self._losses)
        self._recompute = recompute
        self._across_processes = across_processes

    @property
    def needs_labels(self) -> bool:
        """Whether a loss needs the scores of a teacher."""
        return any(loss.needs_labels for loss in self._losses)

    def forward(
        self,
        queries: Mapping[str, Any],
        passages: Mapping[str, Any],
        random: Mapping[str, Any] | None = None,
        labels: Tensor | None = None,
    ) -> dict[str, Tensor]:
        """``loss``, and each loss by its name where there are several.

        Args:
            queries: The ``q`` queries, as the collator makes them: chunks of tokens, or states.
            passages: The ``q * i`` passages, those of the first query first: chunks of tokens, or
                embeddings.
            random: The ``r`` random negatives in the same form.
            labels: A teacher's scores ``[q, i]``.
        """
        batch = self.encode_queries(queries)
        vectors = self.encode_passages(passages)
        extra = None if random is None else self.encode_passages(random)
        loss_values = [
            self._losses_of(self._with_extra_negatives(each, extra), vectors, labels)
            for each in _nested(batch)
        ]
        losses = {
            name: torch.stack([one[name] for one in loss_values]).mean() for name in loss_values[0]
        }
        total = torch.stack(list(losses.values())).sum()
        return {"loss": total, **(losses if len(self._names) > 1 else {})}

    def _with_extra_negatives(self, queries: QueryBatch, extra: Tensor | None) -> QueryBatch:
        """The queries with all that in-batch losses score beside the passages of the batch."""
        if extra is not None:
            queries = WithRandomNegatives(queries, extra)
        together = self._across_processes and self.training and n_processes() > 1
        return AcrossProcesses(queries) if together else queries

    def _losses_of(
        self, queries: QueryBatch, passages: Tensor, labels: Tensor | None
    ) -> dict[str, Tensor]:
        return {
            name: loss(queries, passages, labels).loss
            for name, loss, stage in zip(self._names, self._losses, self._stages, strict=True)
            if stage.holds(self.number)
        }

    def encode_queries(self, side: Mapping[str, Any]) -> QueryBatch:
        """Q-nets, or query vectors, of the queries of a batch."""
        if "states" in side:
            return self._query_batch(self._read_states(side["states"], side["mask"]))
        parts = [self._encode(self._read_queries, ids, mask) for ids, mask in side["chunks"]]
        columns = zip(*parts, strict=True)
        return self._query_batch(tuple(_joined(column, side) for column in columns))

    def encode_passages(self, side: Mapping[str, Any]) -> Tensor:
        """Embeddings ``[n, d]`` of passages."""
        if "embeddings" in side:
            vectors: Tensor = side["embeddings"]
            return vectors
        parts = [self._encode(self._read_passages, ids, mask) for ids, mask in side["chunks"]]
        return _joined(parts, side)

    def _encode(self, read: Any, ids: Tensor, mask: Tensor) -> Any:
        if self._recompute and torch.is_grad_enabled():
            return checkpoint(read, ids, mask, use_reentrant=False)
        return read(ids, mask)

    def _read_passages(self, ids: Tensor, mask: Tensor) -> Tensor:
        vectors: Tensor = self.dual.passage_encoder(ids, mask).representation
        return vectors

    def _read_queries(self, ids: Tensor, mask: Tensor) -> tuple[Tensor, ...]:
        return self._tensors(self.dual.query_encoder(ids, mask))

    def _read_states(self, states: Tensor, mask: Tensor) -> tuple[Tensor, ...]:
        return self._tensors(self.dual.query_encoder(None, mask, token_states=states))

    def _tensors(self, output: Any) -> tuple[Tensor, ...]:
        """All that makes up queries, as plain tensors that can be cut and joined."""
        if not isinstance(self.dual, HypencoderDualEncoder):
            return (output.representation,)
        batch: QNetBatch = output.representation
        embedding = () if batch.query_embedding is None else (batch.query_embedding,)
        return (*batch.matrices, *batch.vectors, *embedding)

    def _query_batch(self, tensors: tuple[Tensor, ...]) -> QueryBatch:
        """The inverse of that."""
        if not isinstance(self.dual, HypencoderDualEncoder):
            return InnerProducts(tensors[0])
        encoder = self.dual.query_encoder
        n_matrices, n_vectors = len(encoder.weight_shapes), len(encoder.bias_shapes)
        rest = tensors[n_matrices + n_vectors :]
        return QNetBatch(
            matrices=tensors[:n_matrices],
            vectors=tensors[n_matrices : n_matrices + n_vectors],
            converter=encoder.weight_to_model_converter,
            query_embedding=rest[0] if rest else None,
            is_training=encoder.training,
        )


def _nested(queries: QueryBatch) -> list[QueryBatch]:
    """The queries at each of their widths; just as they are where there is one."""
    if not isinstance(queries, QNetBatch) or not queries.widths:
        return [queries]
    return [queries.narrow(width) for width in queries.widths]


def _joined(chunks: Sequence[Tensor], side: Mapping[str, Any]) -> Tensor:
    """What was made of the chunks, in the order of the batch."""
    return chunks[0] if len(chunks) == 1 else torch.cat(list(chunks))[side["order"]]


def _distinct(names: Sequence[str]) -> list[str]:
    """The names, with a number after those that come again."""
    return [
        name if name not in names[:i] else f"{name}_{1 + list(names[:i]).count(name)}"
        for i, name in enumerate(names)
    ]
